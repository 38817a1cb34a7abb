//! The commands of an office.

use super::files::{self, Output, bank, complete, make_dir, make_store, now_ms, open_store, settings, short};
use crate::{
    day::Day,
    documents::{AuditChallenge, MeterAudit},
    keys,
    office::{
        desk::{Office, OfficeAccount},
        rows::MeterRow,
    },
};
use anyhow::{Context, Result};
use clap::Subcommand;
use farthing_coin::{PublicKey, SecretKey, Signed};
use farthing_node::{
    date,
    operator::{Directory, Report},
    pay_uri::PayUri,
    table::{Align, table},
};
use farthing_protocol::deposited::Payee;
use farthing_store::entropy::{Entropy, SystemEntropy};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::{Path, PathBuf};

const SETTINGS_FILE: &str = "office.json";
const KEY_FILE: &str = "office.key";
const ACCOUNT_FILE: &str = "account.key";

/// The settings of an office.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfficeSettings {
    name: String,
    bank: PublicKey,
    account: PublicKey,
}

#[derive(Debug, Subcommand)]
pub(super) enum OfficeCommand {
    /// Make an office in a new directory. Prints its key, and its account for the bank's operator.
    Init {
        /// The directory. It must not exist or be empty.
        dir: PathBuf,
        /// The bank: its card or its identity key.
        #[arg(long, value_parser = bank)]
        bank: PublicKey,
        /// An account that exists. Without it the office makes a key for one.
        #[arg(long, value_name = "KEY")]
        account: Option<PublicKey>,
        /// The office's name. It is in the link to its account.
        #[arg(long, default_value = "post")]
        name: String,
    },
    /// Print the office's key, its account, and the link to it.
    Show(Directory),
    /// Certify a meter. A meter that is certified gets the same certificate again.
    Certify {
        /// The office's directory.
        dir: PathBuf,
        /// The meter's request.
        request: PathBuf,
        #[command(flatten)]
        output: Output,
    },
    /// Sell a refill for a payment. A payment that was shown before gets the same refill again.
    Refill {
        /// The office's directory.
        dir: PathBuf,
        /// What proves the payment, from `farthing receipt payment`.
        proof: PathBuf,
        #[command(flatten)]
        output: Output,
    },
    /// Take meters' signed registers, from `farthing-postage meter audit`.
    ///
    /// A meter that answers the last question (`ask`) with registers that are older than the question is revoked. An older
    /// audit without an answer proves nothing, and changes nothing.
    Take {
        /// The office's directory.
        dir: PathBuf,
        /// The meters' audits.
        #[arg(required = true)]
        audits: Vec<PathBuf>,
    },
    /// Ask a meter for its registers as they are now. Prints the question for `farthing-postage meter audit --challenge`.
    Ask {
        /// The office's directory.
        dir: PathBuf,
        /// The meter's key.
        meter: PublicKey,
    },
    /// Take stations' reports. Two indicia under one sequence number revoke the meter.
    Report {
        /// The office's directory.
        dir: PathBuf,
        /// The reports.
        #[arg(required = true)]
        reports: Vec<PathBuf>,
    },
    /// Write the signed list of meters for the stations, with the revoked ones.
    List {
        /// The office's directory.
        dir: PathBuf,
        #[command(flatten)]
        output: Output,
    },
    /// Revoke a meter that is locked, lost or broken.
    Revoke {
        /// The office's directory.
        dir: PathBuf,
        /// The meter's key.
        meter: PublicKey,
        /// Mail with this date and later is refused (2026-11-29). Without it, all mail.
        #[arg(long, value_parser = date::parse)]
        from: Option<u64>,
    },
    /// Reissue what is left of a revoked meter to another one, when its last mail has expired.
    Settle {
        /// The office's directory.
        dir: PathBuf,
        /// The revoked meter's key.
        meter: PublicKey,
        /// The key of the meter that gets the rest.
        #[arg(long)]
        to: PublicKey,
        #[command(flatten)]
        output: Output,
    },
    /// List the meters.
    Meters(Directory),
    /// Forget reported indicia that have expired. Their sums stay.
    Purge(Directory),
}

/// Executes a command.
pub(super) fn execute(command: OfficeCommand) -> Result<Report> {
    let today = Day::of_ms(now_ms());
    match command {
        OfficeCommand::Init {
            dir,
            bank,
            account,
            name,
        } => init(&dir, bank, account, name),
        OfficeCommand::Show(Directory { dir }) => show(&dir),
        OfficeCommand::Certify { dir, request, output } => certify(&dir, &request, &output, today),
        OfficeCommand::Refill { dir, proof, output } => refill(&dir, &proof, &output),
        OfficeCommand::Ask { dir, meter } => ask(&dir, &meter),
        OfficeCommand::Take { dir, audits } => take(&dir, &audits, today),
        OfficeCommand::Report { dir, reports } => report(&dir, &reports, today),
        OfficeCommand::List { dir, output } => list(&dir, &output),
        OfficeCommand::Revoke { dir, meter, from } => {
            revoke(&dir, &meter, from.map_or(Day(0), Day::of_ms), today)
        }
        OfficeCommand::Settle {
            dir,
            meter,
            to,
            output,
        } => settle(&dir, &meter, &to, &output, today),
        OfficeCommand::Meters(Directory { dir }) => meters(&dir),
        OfficeCommand::Purge(Directory { dir }) => purge(&dir, today),
    }
}

/// Opens the office in `dir`.
pub(super) fn open(dir: &Path) -> Result<Office> {
    let own: OfficeSettings = settings(dir, SETTINGS_FILE, "an office")?;
    let key = keys::read(&dir.join(KEY_FILE)).context("the key of the office")?;
    let account = OfficeAccount {
        bank: own.bank,
        account: own.account,
    };
    Ok(Office::new(open_store(dir)?, key, account))
}

fn init(dir: &Path, bank: PublicKey, account: Option<PublicKey>, name: String) -> Result<Report> {
    if account.is_some_and(|account| !account.is_valid()) {
        anyhow::bail!("the account is no key; copy it again");
    }
    make_dir(dir)?;
    let entropy: &dyn Entropy = &SystemEntropy;
    let key = SecretKey::generate(&mut entropy.rng());
    keys::create(&dir.join(KEY_FILE), &key)?;
    let account = match account {
        Some(account) => account,
        None => {
            let key = SecretKey::generate(&mut entropy.rng());
            keys::create(&dir.join(ACCOUNT_FILE), &key)?;
            key.public()
        }
    };
    make_store(dir)?.close()?;
    complete(dir, SETTINGS_FILE, &OfficeSettings { name, bank, account })?;
    show(dir)
}

fn show(dir: &Path) -> Result<Report> {
    let own: OfficeSettings = settings(dir, SETTINGS_FILE, "an office")?;
    let office = keys::read(&dir.join(KEY_FILE))?.public();
    let link = PayUri::new(own.bank, Payee::Account(own.account), None, &own.name)?.to_string();
    let text = format!(
        "the office {office}\nits account {}\nthe link to it {link}\n\nThe bank's operator opens the account:\n  \
         farthing-bank account open BANK {} --name {}",
        own.account, own.account, own.name
    );
    let json = json!({ "office": office, "account": own.account, "bank": own.bank, "uri": link });
    Ok(Report::new(text, json))
}

fn certify(dir: &Path, request: &Path, output: &Output, today: Day) -> Result<Report> {
    let office = open(dir)?;
    let certificate = office.certify(&files::read(request)?, today);
    office.close()?;
    let certificate = certificate?;
    files::write(&certificate, output)?;
    let meter = certificate.body.meter;
    let text = format!(
        "meter {} is certified; its certificate is in {}",
        short(&meter),
        output.output.display()
    );
    Ok(Report::new(
        text,
        json!({ "meter": meter, "certificate": output.output }),
    ))
}

fn refill(dir: &Path, proof: &Path, output: &Output) -> Result<Report> {
    let office = open(dir)?;
    let refill = office.refill(&files::read(proof)?);
    office.close()?;
    let refill = refill?;
    files::write(&refill, output)?;
    let body = &refill.body;
    let text = format!(
        "a refill of {} for meter {}, {} in all, is in {}",
        body.amount,
        short(&body.meter),
        body.total,
        output.output.display()
    );
    let json = json!({
        "meter": body.meter, "amount": body.amount.to_string(), "total": body.total.to_string(), "refill": output.output,
    });
    Ok(Report::new(text, json))
}

fn take(dir: &Path, audits: &[PathBuf], today: Day) -> Result<Report> {
    let office = open(dir)?;
    let mut lines = Vec::new();
    for path in audits {
        let audit: Signed<MeterAudit> = files::read(path)?;
        let row = office.audited(&audit, today)?;
        lines.push(match row.revoked {
            None if row.seen != audit.body.registers => format!(
                "meter {}: this audit is older than what the office has seen, and changes nothing",
                short(&row.certificate.meter)
            ),
            None => format!(
                "meter {}: print {}",
                short(&row.certificate.meter),
                row.seen.sequence
            ),
            Some(revoked) => format!(
                "meter {} is revoked: {}",
                short(&row.certificate.meter),
                revoked.reason.text()
            ),
        });
    }
    office.close()?;
    Ok(Report::new(lines.join("\n"), json!({ "taken": lines })))
}

fn ask(dir: &Path, meter: &PublicKey) -> Result<Report> {
    let mut challenge = [0; 32];
    SystemEntropy.fill(&mut challenge);
    let challenge = AuditChallenge(challenge);
    let office = open(dir)?;
    let asked = office.ask(meter, challenge);
    office.close()?;
    asked?;
    let text = format!(
        "{challenge}\nthe meter's owner answers with `farthing-postage meter audit DIR --challenge {challenge} -o FILE`"
    );
    Ok(Report::new(
        text,
        json!({ "meter": meter, "challenge": challenge }),
    ))
}

fn report(dir: &Path, reports: &[PathBuf], today: Day) -> Result<Report> {
    let office = open(dir)?;
    let mut all = Vec::new();
    let mut lines = Vec::new();
    for path in reports {
        let taken = office.report(&files::read(path)?, today)?;
        lines.push(format!(
            "{}: {} new indicia, {} known, {} too old, {} of no meter of this office",
            path.display(),
            taken.new,
            taken.known,
            taken.late,
            taken.bad
        ));
        if taken.is_early {
            lines.push("  an earlier report of this station is missing; ask it for a new one".into());
        }
        let copied = taken.copied.iter();
        lines.extend(copied.map(|meter| {
            format!("  meter {meter} was copied, and is revoked; send the stations a new list")
        }));
        all.push(taken);
    }
    office.close()?;
    Ok(Report::new(lines.join("\n"), json!({ "reports": all })))
}

fn list(dir: &Path, output: &Output) -> Result<Report> {
    let office = open(dir)?;
    let list = office.list();
    office.close()?;
    let list = list?;
    files::write(&list, output)?;
    let revoked = list
        .body
        .meters
        .iter()
        .filter(|listed| listed.revoked.is_some())
        .count();
    let meters = list.body.meters.len();
    let text = format!(
        "list {} of {meters} meters, {revoked} revoked, is in {}",
        list.body.number,
        output.output.display()
    );
    Ok(Report::new(
        text,
        json!({ "number": list.body.number, "meters": meters, "revoked": revoked }),
    ))
}

fn revoke(dir: &Path, meter: &PublicKey, from: Day, today: Day) -> Result<Report> {
    let office = open(dir)?;
    let row = office.revoke(meter, from, today);
    office.close()?;
    row?;
    let text = format!(
        "meter {} is revoked; send the stations a new list (`farthing-postage office list`)",
        short(meter)
    );
    Ok(Report::new(text, json!({ "meter": meter })))
}

fn settle(dir: &Path, meter: &PublicKey, to: &PublicKey, output: &Output, today: Day) -> Result<Report> {
    let office = open(dir)?;
    let refill = office.settle(meter, to, today);
    office.close()?;
    let refill = refill?;
    files::write(&refill, output)?;
    let text = format!(
        "the rest of {} of meter {} goes to meter {}; the refill is in {}",
        refill.body.amount,
        short(meter),
        short(to),
        output.output.display()
    );
    Ok(Report::new(
        text,
        json!({ "amount": refill.body.amount.to_string(), "refill": output.output }),
    ))
}

fn meters(dir: &Path) -> Result<Report> {
    let office = open(dir)?;
    let meters = office.meters();
    office.close()?;
    let meters = meters?;
    let status = |row: &MeterRow| match row.revoked {
        None => "active".to_owned(),
        Some(revoked) => format!("revoked: {}", revoked.reason.text()),
    };
    let rows: Vec<[String; 7]> = meters
        .iter()
        .map(|(key, row)| {
            [
                key.to_string(),
                row.certificate.from.to_string(),
                row.sold.to_string(),
                row.seen.sequence.to_string(),
                row.seen.ascending.to_string(),
                row.carried.to_string(),
                status(row),
            ]
        })
        .collect();
    let columns = [
        ("METER", Align::Left),
        ("FROM", Align::Left),
        ("SOLD", Align::Right),
        ("PRINT", Align::Right),
        ("PRINTED", Align::Right),
        ("CARRIED", Align::Right),
        ("STATUS", Align::Left),
    ];
    let json: Vec<_> = meters
        .iter()
        .map(|(key, row)| json!({ "meter": key, "row": row }))
        .collect();
    Ok(Report::new(table(columns, &rows), json!({ "meters": json })))
}

fn purge(dir: &Path, today: Day) -> Result<Report> {
    let office = open(dir)?;
    let purged = office.purge(today);
    office.close()?;
    let purged = purged?;
    Ok(Report::new(
        format!("{purged} indicia were forgotten"),
        json!({ "purged": purged }),
    ))
}
