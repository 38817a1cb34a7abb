//! Commands for purchases.

use super::{
    args::{Buy, OtherOutput},
    exit::Exit,
    report::{Align, Report, amount, chain, count, date, table},
};
use crate::{
    error::WalletError,
    purchase::{Output, Parties, Wanted},
    receive::Change,
    rows::{Delivery, PurchaseRow},
    wallet::Wallet,
};
use anyhow::{Context, Result, bail};
use farthing_node::{
    card::RoleName,
    home::files::{self, Existing},
    network_file::NetworkFile,
    terminal::{Shown, one_line},
};
use farthing_protocol::{
    documents::AbortReason,
    money::Amount,
    purchase::{Proof, Purchase},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// Shortest prefix of a purchase id that names a purchase (characters).
const PREFIX_MIN_CHARS: usize = 4;

// ---- looking ------------------------------------------------------------------------------------------------------

/// All purchases, with the local names that their merchants have now.
fn all_purchases(wallet: &Wallet) -> Result<Vec<(u64, PurchaseRow)>> {
    let cards = wallet.network_file()?;
    let rows = wallet.purchases()?.into_iter();
    Ok(rows.map(|(number, row)| (number, named(&cards, row))).collect())
}

/// A purchase, with the local name that its merchant has now.
pub(super) fn one_purchase(wallet: &Wallet, number: u64) -> Result<PurchaseRow> {
    Ok(named(&wallet.network_file()?, wallet.purchase(number)?))
}

/// Replaces the merchant's card of the time of the purchase with the pinned one.
fn named(cards: &NetworkFile, mut row: PurchaseRow) -> PurchaseRow {
    if let Some(card) = cards.by_identity(&row.merchant.identity) {
        row.merchant.clone_from(card);
    }
    row
}

/// Lists all purchases.
pub(super) fn list(wallet: &Wallet) -> Result<Report> {
    let purchases = all_purchases(wallet)?;
    let json: Vec<Value> = purchases
        .iter()
        .map(|(number, row)| purchase_json(*number, row))
        .collect();
    Ok(Report::done(
        purchases_table(&purchases),
        json!({ "purchases": json }),
    ))
}

fn purchases_table(purchases: &[(u64, PurchaseRow)]) -> String {
    if purchases.is_empty() {
        return "no purchases yet; `farthing catalog` lists what you can buy".into();
    }
    let rows: Vec<[String; 6]> = purchases
        .iter()
        .map(|(number, row)| {
            let offer = &row.purchase.offer().body;
            [
                number.to_string(),
                status(row).to_owned(),
                format!(
                    "{} {}",
                    row.purchase.paid().unwrap_or(offer.price),
                    offer.currency
                ),
                date(row.begun_ms),
                row.merchant.name.clone(),
                offer.title.clone(),
            ]
        })
        .collect();
    let columns = [
        ("NO", Align::Right),
        ("STATUS", Align::Left),
        ("PRICE", Align::Right),
        ("BEGUN (UTC)", Align::Left),
        ("MERCHANT", Align::Left),
        ("TITLE", Align::Left),
    ];
    table(columns, &rows)
}

/// The status of a purchase, one word. After the end, the status of its goods.
pub(super) fn status(row: &PurchaseRow) -> &'static str {
    match (&row.purchase, row.delivery) {
        (purchase, Delivery::OnDemand)
            if !matches!(purchase, Purchase::Aborted(..) | Purchase::Recovered(_)) =>
        {
            "on-demand"
        }
        (Purchase::Committed(..), Delivery::Delivered) => "delivered",
        (Purchase::Committed(..), Delivery::NotAsDescribed) => "not-as-described",
        (purchase, _) => purchase.status(),
    }
}

/// A purchase for programs.
pub(super) fn purchase_json(number: u64, row: &PurchaseRow) -> Value {
    let offer = &row.purchase.offer().body;
    let delivery = match row.delivery {
        Delivery::Pending => "pending",
        Delivery::OnDemand => "on_demand",
        Delivery::Delivered => "delivered",
        Delivery::NotAsDescribed => "not_as_described",
    };
    let mut json = json!({
        "number": number,
        "purchase_id": row.purchase.order().map(|order| order.purchase().to_string()),
        "status": row.purchase.status(),
        "delivery": delivery,
        "title": offer.title,
        "item_id": hex::encode(offer.item_id),
        "media_type": offer.media_type,
        "size_bytes": offer.size_bytes,
        "price": amount(offer.price),
        "currency": offer.currency,
        "merchant": row.merchant.name,
        "output": row.output,
        "refusal": row.refusal,
        "has_receipt": matches!(&row.purchase, Purchase::Committed(_, Proof::Receipt(_) | Proof::Free(_))),
        "begun_ms": row.begun_ms,
    });
    // A stream costs what was watched. Everything else costs its price.
    if offer.ticks().is_some()
        && let (Some(paid), Some(members)) = (row.purchase.paid(), json.as_object_mut())
    {
        members.insert("paid".into(), amount(paid));
    }
    json
}

// ---- buying -------------------------------------------------------------------------------------------------------

/// Buys an item. A purchase of it that is under way is carried on instead, unless the customer asks for another.
pub(super) async fn buy(wallet: &Wallet, buy: &Buy) -> Result<Report> {
    let merchant = wallet.party(RoleName::Merchant, Some(&buy.merchant))?;
    if !buy.again
        && let Some((number, row)) = wallet.purchase_under_way(&merchant.identity, &buy.item)?
        && let Some(report) = carry_on(wallet, number, &row, buy).await?
    {
        return Ok(report);
    }
    let path = check_output(&buy.output, buy.force)?;
    let parties = Parties {
        merchant,
        escrow: wallet
            .party(RoleName::Escrow, buy.escrow.as_deref())
            .context("name the escrow that decides with --escrow NAME")?,
        bank: wallet
            .party(RoleName::Bank, buy.bank.as_deref())
            .context("name the bank whose coins pay with --bank NAME")?,
    };
    let wanted = Wanted {
        item: &buy.item,
        at_most: buy.at_most,
    };
    let existing = Existing::by_force(buy.force);
    let output = Output {
        path: &path,
        existing,
    };
    let number = wallet.buy(&parties, wanted, output).await?;
    let report = outcome(number, &one_purchase(wallet, number)?, Some(&path));
    with_change(wallet, number, report).await
}

/// Receives what the bank still owes for a purchase, and adds to its report what became of its change.
pub(super) async fn with_change(wallet: &Wallet, number: u64, mut report: Report) -> Result<Report> {
    let failed = wallet.receive_change(number).await.err();
    let Change {
        amount: change,
        due,
        lacking,
        ..
    } = wallet.change_of_purchase(number)?;
    if let Some(members) = report.json.as_object_mut() {
        members.insert("change".into(), amount(change));
        members.insert("change_due".into(), amount(due));
        members.insert("change_lacking".into(), amount(lacking));
    }
    let says = match (due, failed) {
        (Amount(0), _) if change == Amount(0) => return Ok(report),
        (Amount(0), _) if lacking > Amount(0) => format!(
            "the bank says that {lacking} of the change was taken before, and this wallet has not got it; a copy of the \
             wallet may have it"
        ),
        (Amount(0), _) => format!("the coins were worth {change} more, and this change is in your wallet"),
        (due, Some(why)) => {
            let why = chain(&why.into());
            format!(
                "the bank still owes {due} of change: {}; `farthing resume` receives it",
                Shown(&why)
            )
        }
        (due, None) => format!("the bank still owes {due} of change; `farthing resume` receives it"),
    };
    report.text = format!("{}\n{says}", report.text);
    Ok(report)
}

/// Carries on a purchase of an item that is bought again. `None` if it ended without any coin at stake.
async fn carry_on(wallet: &Wallet, number: u64, row: &PurchaseRow, buy: &Buy) -> Result<Option<Report>> {
    let price = row.purchase.offer().body.price;
    if buy.at_most.is_some_and(|at_most| price > at_most) {
        bail!(
            "purchase {number} of this item is under way, for {price}; `farthing resume {number}` carries it on, \
             `farthing cancel {number}` asks for its coins back, and `farthing buy --again` buys another one"
        );
    }
    let output = std::path::absolute(&buy.output)?;
    if output != row.output {
        let other = OtherOutput {
            output: Some(buy.output.clone()),
            force: buy.force,
        };
        deliver_to(wallet, number, &other).await?;
    }
    let driven = wallet.drive_purchase(number).await;
    driven.with_context(|| format!("purchase {number} of this item was under way and is not finished"))?;
    let ended = one_purchase(wallet, number)?;
    if matches!(ended.purchase, Purchase::Dropped(_)) {
        return Ok(None);
    }
    let mut report = outcome(number, &ended, Some(&output));
    report.text = format!(
        "purchase {number} of this item was under way and was carried on; `--again` buys another one\n{}",
        report.text
    );
    if let Some(members) = report.json.as_object_mut() {
        members.insert("carried_on".into(), Value::Bool(true));
    }
    Ok(Some(with_change(wallet, number, report).await?))
}

/// Checks that the goods can be written to a file, before any party is asked. Returns its absolute path.
fn check_output(output: &Path, force: bool) -> Result<PathBuf> {
    files::check_output(output, Existing::by_force(force))?;
    let path = std::path::absolute(output)?;
    files::prove_output(&path)?;
    Ok(path)
}

/// The result of a purchase. `wanted` is the file for its goods as the customer knows it.
pub(super) fn outcome(number: u64, row: &PurchaseRow, wanted: Option<&Path>) -> Report {
    let offer = &row.purchase.offer().body;
    let title = one_line(&offer.title);
    let (text, exit) = match (&row.purchase, row.delivery) {
        (Purchase::Committed(_, Proof::Stream(stream, _)), _) => {
            let paid = stream.commit.body.amount;
            let text = format!(
                "the stream of purchase {number} (\"{title}\") has ended, and {paid} {} of it is paid\n\
                 `farthing receipt show {number}` prints the documents that prove it",
                Shown(&offer.currency),
            );
            (text, Exit::Done)
        }
        (Purchase::Committed(_, proof), Delivery::Delivered) => {
            let receipt = match proof {
                Proof::Receipt(_) | Proof::Free(_) => {
                    format!("\n`farthing receipt show {number}` prints the documents that prove it")
                }
                Proof::Commit(..) | Proof::Stream(..) => String::new(),
            };
            let (file, price) = (row.output.display(), offer.price);
            let text = format!(
                "{file}: \"{title}\", as described, for {price} {}{}{receipt}",
                Shown(&offer.currency),
                wanted.map_or_else(String::new, |wanted| beside(wanted, &row.output)),
            );
            (text, Exit::Done)
        }
        (Purchase::Committed(..), Delivery::NotAsDescribed) => {
            let text = format!(
                "the goods of purchase {number} (\"{title}\") are not what the merchant described; \
                 `farthing receipt show {number}` prints the documents that prove it"
            );
            (text, Exit::MerchantBroke)
        }
        (Purchase::Aborted(..), _) => {
            let text = format!(
                "purchase {number} (\"{title}\") was aborted: {}; the coins are back",
                why_aborted(row)
            );
            (text, exit_without_goods(row))
        }
        (Purchase::Recovered(_), _) => {
            let text = format!(
                "purchase {number} (\"{title}\") ended without a decision of the escrow: the bank held nothing for it, \
                 and exchanged its coins, so the coins are back{}",
                why_not_bought(row)
            );
            (text, exit_without_goods(row))
        }
        (Purchase::Dropped(_), _) => {
            let text = format!(
                "purchase {number} (\"{title}\") was given up before any coin was at stake, and nothing was paid{}",
                why_not_bought(row)
            );
            (text, exit_without_goods(row))
        }
        _ => {
            let text = format!(
                "purchase {number} (\"{title}\") is {}; `farthing resume` carries on",
                status(row)
            );
            (text, Exit::NotFinished)
        }
    };
    Report {
        text,
        json: json!({ "purchase": purchase_json(number, row) }),
        exit,
    }
}

/// Says why the goods are not in the file that was wanted, if they are not.
fn beside(wanted: &Path, output: &Path) -> String {
    if wanted == output {
        return String::new();
    }
    format!(
        "\nanother file is at {0}. It is unchanged, and the goods are in {1}",
        wanted.display(),
        output.display()
    )
}

/// The refusal that led to the cancel, if the customer did not ask for it.
fn why_not_bought(row: &PurchaseRow) -> String {
    let why = row.refusal.as_ref();
    why.map_or_else(String::new, |refusal| {
        format!("; it was not bought because: {}", one_line(refusal))
    })
}

fn why_aborted(row: &PurchaseRow) -> String {
    let reason = match &row.purchase {
        Purchase::Aborted(_, abort) => Some(&abort.body.reason),
        _ => None,
    };
    match (&row.refusal, reason) {
        (Some(refusal), _) => one_line(refusal),
        (None, Some(AbortReason::DeadlinePassed | AbortReason::Overdue(_))) => {
            "its deadline passed before the merchant had the hold".into()
        }
        (None, Some(AbortReason::WrongSealedKey | AbortReason::WrongKey(_))) => {
            "the merchant's offer has a wrong key; `farthing receipt show` prints the documents that prove it"
                .into()
        }
        (None, _) => "it was cancelled".into(),
    }
}

/// The exit code of a purchase that ended with the coins back: aborted, unless the customer cancelled it.
fn exit_without_goods(row: &PurchaseRow) -> Exit {
    let is_wanted = match &row.purchase {
        Purchase::Aborted(_, abort) => abort.body.reason.is_cancel(),
        _ => true,
    };
    match row.refusal {
        None if is_wanted => Exit::Done,
        _ => Exit::Aborted,
    }
}

// ---- carrying on --------------------------------------------------------------------------------------------------

/// Carries on one purchase, or everything that is under way.
pub(super) async fn resume(wallet: &Wallet, named: Option<&str>, other: &OtherOutput) -> Result<Report> {
    let Some(named) = named else {
        return resume_all(wallet).await;
    };
    let number = find(wallet, named)?;
    let is_gone = wallet.is_delivery_gone(number)?;
    let mut wanted = wallet.purchase(number)?.output;
    if let Some(path) = deliver_to(wallet, number, other).await? {
        wanted = path;
    } else if is_gone {
        wallet.deliver_to(number, &wanted).await?;
    }
    wallet.drive_purchase(number).await?;
    let row = one_purchase(wallet, number)?;
    let mut report = with_unseen(wallet, number, &row, outcome(number, &row, Some(&wanted)))?;
    let is_written_again = is_gone && report.exit == Exit::Done;
    if let Some(members) = report.json.as_object_mut() {
        members.insert("written_again".into(), is_written_again.into());
    }
    if is_written_again {
        report.text = format!(
            "the file of these goods was gone, so it is written again\n{}",
            report.text
        );
    }
    with_change(wallet, number, report).await
}

/// Has the goods of a purchase go to the file that the customer has named, and returns its absolute path.
async fn deliver_to(wallet: &Wallet, number: u64, other: &OtherOutput) -> Result<Option<PathBuf>> {
    let Some(output) = &other.output else {
        return Ok(None);
    };
    let path = check_output(output, other.force)?;
    let existing = Existing::by_force(other.force);
    let output = Output {
        path: &path,
        existing,
    };
    wallet.deliver_to(number, output).await?;
    Ok(Some(path))
}

/// How many records of a stream were paid for and not shown, and how to see them. `None` if there are none.
fn unseen(wallet: &Wallet, number: u64, row: &PurchaseRow) -> Result<Option<(u32, String)>> {
    let unseen = wallet.unseen_ticks(row)?;
    let hint = format!(
        "{} of it may not have been shown; `farthing watch --on {number}` shows what is missing",
        count(unseen.into(), "record")
    );
    Ok((unseen > 0).then_some((unseen, hint)))
}

/// A report, with how to see the records of a stream that were paid for and not shown.
pub(super) fn with_unseen(
    wallet: &Wallet,
    number: u64,
    row: &PurchaseRow,
    mut report: Report,
) -> Result<Report> {
    if let Some((_, hint)) = unseen(wallet, number, row)? {
        report.text = format!("{}\n{hint}", report.text);
    }
    Ok(report)
}

/// Carries on everything that is under way. A restore ends with this.
pub(super) async fn resume_all(wallet: &Wallet) -> Result<Report> {
    let outputs = wallet.purchases()?.into_iter();
    let outputs: BTreeMap<u64, PathBuf> = outputs.map(|(number, row)| (number, row.output)).collect();
    let resumed = wallet.resume().await?;
    let mut lines: Vec<String> = Vec::new();
    let mut purchases: Vec<Value> = Vec::new();
    let mut exit = Exit::Done;
    let mut matters: BTreeSet<&str> = resumed.ended.iter().map(String::as_str).collect();
    for (number, row) in all_purchases(wallet)? {
        if matters.remove(format!("purchase {number}").as_str()) {
            let ended = outcome(number, &row, outputs.get(&number).map(PathBuf::as_path));
            lines.push(ended.text);
            let mut json = purchase_json(number, &row);
            if let Some((unseen, hint)) = unseen(wallet, number, &row)? {
                lines.push(hint);
                if let Some(members) = json.as_object_mut() {
                    members.insert("unseen_records".into(), unseen.into());
                }
            }
            purchases.push(json);
            if ended.exit == Exit::Aborted {
                exit = Exit::Aborted;
            }
        }
    }
    lines.extend(matters.into_iter().map(|matter| format!("{matter}: done")));
    let mut open: Vec<Value> = Vec::new();
    for (matter, error) in resumed.open {
        let code = Exit::of_wallet(&error);
        // A failure takes precedence over a silent party.
        if matches!(exit, Exit::Done | Exit::Aborted | Exit::NotFinished) {
            exit = code;
        }
        let why = chain(&error.into());
        lines.push(format!("{matter}: {}", Shown(&why)));
        open.push(json!({ "matter": matter, "error": why, "code": code.code() }));
    }
    if lines.is_empty() {
        lines.push("nothing is under way".into());
    }
    if let Some(until_ms) = resumed.late_until_ms {
        lines.push(format!(
            "requests from before this wallet was lost may come through until {}: run `farthing resume` once more \
             after that",
            date(until_ms)
        ));
    }
    let json = json!({
        "ended": resumed.ended,
        "open": open,
        "purchases": purchases,
        "late_until_ms": resumed.late_until_ms,
    });
    Ok(Report {
        text: lines.join("\n"),
        json,
        exit,
    })
}

/// Cancels a purchase.
pub(super) async fn cancel(wallet: &Wallet, named: &str, other: &OtherOutput) -> Result<Report> {
    let number = find(wallet, named)?;
    if !matches!(wallet.purchase(number)?.purchase, Purchase::Committed(..)) {
        deliver_to(wallet, number, other).await?;
    }
    let wanted = wallet.purchase(number)?.output;
    wallet.cancel(number).await?;
    let row = one_purchase(wallet, number)?;
    let mut report = outcome(number, &row, Some(&wanted));
    match &row.purchase {
        // The customer wanted the coins back.
        Purchase::Aborted(..) | Purchase::Recovered(_) | Purchase::Dropped(_) => report.exit = Exit::Done,
        Purchase::Committed(..) => {
            report.text = format!("it was paid already, so you have the goods\n{}", report.text);
            report.exit = Exit::Failed;
        }
        _ => {}
    }
    with_change(wallet, number, report).await
}

/// Finds a purchase by its number, or by a prefix of its id.
pub(super) fn find(wallet: &Wallet, named: &str) -> Result<u64> {
    let purchases = wallet.purchases()?;
    let ids: Vec<(u64, Option<String>)> = purchases
        .into_iter()
        .map(|(number, row)| {
            (
                number,
                row.purchase.order().map(|order| order.purchase().to_string()),
            )
        })
        .collect();
    match_purchase(&ids, named)
}

fn match_purchase(ids: &[(u64, Option<String>)], named: &str) -> Result<u64> {
    if let Ok(number) = named.parse::<u64>()
        && ids.iter().any(|(known, _)| *known == number)
    {
        return Ok(number);
    }
    let wanted = named.to_ascii_lowercase();
    let begins = |id: &Option<String>| id.as_ref().is_some_and(|id| id.starts_with(&wanted));
    let matches: Vec<u64> = ids
        .iter()
        .filter(|(_, id)| wanted.len() >= PREFIX_MIN_CHARS && begins(id))
        .map(|(number, _)| *number)
        .collect();
    match matches.as_slice() {
        [number] => Ok(*number),
        [] => Err(WalletError::NoPurchase(named.into()).into()),
        _ => bail!("the ids of several purchases begin with `{named}`; give more characters, or the number"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purchases_are_found_by_number_or_by_a_prefix_of_the_id() {
        let ids = [
            (0, Some("abcd11".to_owned())),
            (1, Some("abcd22".to_owned())),
            (2, Some("1234ff".to_owned())),
            (3, None),
        ];
        for (named, number) in [("0", 0), ("3", 3), ("abcd1", 0), ("ABCD2", 1), ("1234", 2)] {
            assert_eq!(match_purchase(&ids, named).unwrap(), number, "{named}");
        }
        for (named, says) in [
            ("abcd", "several purchases"),
            ("abc", "there is no purchase `abc`"),
            ("7", "`farthing purchases` lists them"),
            ("", "there is no purchase"),
        ] {
            let error = match_purchase(&ids, named).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn the_output_is_checked_before_the_payment() {
        let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
        let says = |path: &Path, force| check_output(path, force).unwrap_err().to_string();
        assert!(says(crate_dir, true).contains("is not a file"));
        assert!(says(&crate_dir.join("Cargo.toml"), false).contains("--force"));
        assert!(says(&crate_dir.join("nowhere/goods"), false).contains("make it first"));
        assert!(says(&crate_dir.join("a".repeat(256)), false).contains("too long"));
        assert!(says(Path::new("/dev/full"), true).contains("is not a file"));
        assert!(says(Path::new("/proc/self/goods"), false).contains("cannot write"));
        assert!(check_output(&crate_dir.join("Cargo.toml"), true).is_ok());
        assert!(check_output(Path::new("goods-of-no-one"), false).is_ok());
    }
}
