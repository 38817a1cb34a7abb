//! The commands of a meter.

use super::files::{self, Output, STORE_DIR, complete, make_dir, settings};
use crate::{
    address::PostalCode,
    documents::{AuditChallenge, refill_text},
    meter::{file_device::FileDevice, interface::Meter, soft::SoftMeter},
};
use anyhow::{Context, Result};
use clap::Subcommand;
use farthing_node::{
    operator::{Directory, Report},
    pay_uri::PayUri,
};
use farthing_protocol::{deposited::Payee, money::Amount};
use farthing_store::{StoreOptions, entropy::SystemEntropy};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

const SETTINGS_FILE: &str = "meter.json";
const DEVICE_FILE: &str = "meter.device";

/// The settings of a meter.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MeterSettings {
    /// The device file: in the directory, if it is a name alone.
    device: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(super) enum MeterCommand {
    /// Make a meter in a new directory, with a fresh key.
    ///
    /// The device file has the key that seals the meter's state, and counts its changes. It stands for the memory of a secure
    /// device: keep it where no backup and no copy reaches it.
    Init {
        /// The directory. It must not exist or be empty.
        dir: PathBuf,
        /// The postal code where its mail is posted.
        #[arg(long, value_name = "CODE")]
        from: PostalCode,
        /// The device file, if it is not to be in the directory.
        #[arg(long, value_name = "FILE")]
        device: Option<PathBuf>,
    },
    /// Write the request for a certificate, for the office.
    Request {
        /// The meter's directory.
        dir: PathBuf,
        #[command(flatten)]
        output: Output,
    },
    /// Take the office's certificate.
    Certify {
        /// The meter's directory.
        dir: PathBuf,
        /// The certificate.
        certificate: PathBuf,
    },
    /// Print how any wallet pays for a refill.
    Pay {
        /// The meter's directory.
        dir: PathBuf,
        /// The amount.
        amount: Amount,
    },
    /// Apply a refill of the office. A refill that was applied before changes nothing.
    Refill {
        /// The meter's directory.
        dir: PathBuf,
        /// The refill.
        refill: PathBuf,
    },
    /// Write the signed registers, for the office.
    Audit {
        /// The meter's directory.
        dir: PathBuf,
        /// The office's question, from `farthing-postage office ask`. The answer shows that it was made after the question.
        #[arg(long)]
        challenge: Option<AuditChallenge>,
        #[command(flatten)]
        output: Output,
    },
    /// Show the key, the registers and the office.
    Show(Directory),
}

/// Executes a command.
pub(super) fn execute(command: MeterCommand) -> Result<Report> {
    match command {
        MeterCommand::Init { dir, from, device } => init(&dir, from, device),
        MeterCommand::Request { dir, output } => {
            let request = with(&dir, |meter| Ok(meter.request()?))?;
            files::write(&request, &output)?;
            let text = format!(
                "the request is in {}; give it to the office",
                output.output.display()
            );
            Ok(Report::new(
                text,
                json!({ "meter": request.body.meter, "request": output.output }),
            ))
        }
        MeterCommand::Certify { dir, certificate } => {
            let certificate = files::read(&certificate)?;
            with(&dir, |meter| Ok(meter.certify(&certificate)?))?;
            show(&dir)
        }
        MeterCommand::Pay { dir, amount } => pay(&dir, amount),
        MeterCommand::Refill { dir, refill } => {
            let refill = files::read(&refill)?;
            with(&dir, |meter| Ok(meter.refill(&refill)?))?;
            show(&dir)
        }
        MeterCommand::Audit {
            dir,
            challenge,
            output,
        } => {
            let challenge = challenge.unwrap_or(AuditChallenge([0; 32]));
            let audit = with(&dir, |meter| Ok(meter.audit(challenge)?))?;
            files::write(&audit, &output)?;
            let text = format!(
                "the signed registers are in {}; give them to the office",
                output.output.display()
            );
            Ok(Report::new(
                text,
                json!({ "audit": output.output, "registers": audit.body.registers }),
            ))
        }
        MeterCommand::Show(Directory { dir }) => show(&dir),
    }
}

/// Opens the meter in `dir`, calls `work`, and closes it.
pub(super) fn with<T>(dir: &Path, work: impl FnOnce(&SoftMeter) -> Result<T>) -> Result<T> {
    let own: MeterSettings = settings(dir, SETTINGS_FILE, "a meter")?;
    let device = dir.join(&own.device);
    let device = FileDevice::open(&device).with_context(|| format!("the device {}", device.display()))?;
    let meter = SoftMeter::open(
        &dir.join(STORE_DIR),
        StoreOptions::default(),
        Arc::new(device),
        Arc::new(SystemEntropy),
    )?;
    let done = work(&meter);
    meter.close()?;
    done
}

fn init(dir: &Path, from: PostalCode, device: Option<PathBuf>) -> Result<Report> {
    make_dir(dir)?;
    let device = match device {
        None => PathBuf::from(DEVICE_FILE),
        Some(path) => std::path::absolute(path)?,
    };
    let made = FileDevice::create(&dir.join(&device), &SystemEntropy)?;
    let meter = SoftMeter::create(
        &dir.join(STORE_DIR),
        StoreOptions::default(),
        Arc::new(made),
        from,
        Arc::new(SystemEntropy),
    )?;
    meter.close()?;
    complete(dir, SETTINGS_FILE, &MeterSettings { device })?;
    show(dir)
}

fn pay(dir: &Path, amount: Amount) -> Result<Report> {
    let (id, state) = with(dir, |meter| Ok((meter.id(), meter.state()?)))?;
    let terms = state
        .certificate
        .context("the meter has no certificate yet; ask the office for one first")?
        .body;
    let link = PayUri::new(terms.bank, Payee::Account(terms.account), Some(amount), "")?.to_string();
    let words = refill_text(&id);
    // A wallet pays the same payee again only if it is told to.
    let again = if state.registers.refilled() == Some(Amount(0)) {
        ""
    } else {
        " --again"
    };
    let text = format!(
        "any wallet pays for it, and writes the bank's statement for the office:\n  \
         farthing donate '{link}' {amount} --for '{words}'{again}\n  farthing receipt payment NUMBER -o paid.json"
    );
    Ok(Report::new(
        text,
        json!({ "uri": link, "text": words, "amount": amount.to_string() }),
    ))
}

fn show(dir: &Path) -> Result<Report> {
    let (id, state) = with(dir, |meter| Ok((meter.id(), meter.state()?)))?;
    let registers = state.registers;
    let office = state.certificate.map(|certificate| certificate.body.office);
    let certified = match office {
        Some(office) => format!("certified by the office {office}"),
        None => "not certified yet".to_owned(),
    };
    let text = format!(
        "meter {id}\n{certified}\nmail is posted at {}\nprinted so far {} in {} prints, left {}",
        state.from, registers.ascending, registers.sequence, registers.descending
    );
    let json = json!({
        "meter": id, "office": office, "from": state.from, "sequence": registers.sequence,
        "ascending": registers.ascending.to_string(), "descending": registers.descending.to_string(),
    });
    Ok(Report::new(text, json))
}
