//! Buying, and what becomes of purchases.

use super::{
    args::Buy,
    exit::Exit,
    report::{Align, Report, amount, chain, date, table},
};
use crate::{
    error::WalletError,
    purchase::{Parties, Wanted},
    rows::{Delivery, PurchaseRow},
    wallet::Wallet,
};
use anyhow::{Context, Result, bail};
use farthing_node::{
    card::RoleName,
    home::files::{self, Existing},
    terminal::{Shown, one_line},
};
use farthing_protocol::{
    documents::AbortReason,
    purchase::{Proof, Purchase},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, path::Path};

/// The fewest characters that name a purchase or an item by the beginning of its id.
const PREFIX_MIN_CHARS: usize = 4;

// ---- looking ------------------------------------------------------------------------------------------------------

/// Every purchase.
pub(super) fn list(wallet: &Wallet) -> Result<Report> {
    let purchases = wallet.purchases()?;
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
        return "nothing was bought yet; `farthing catalog` lists what there is".into();
    }
    let rows: Vec<[String; 6]> = purchases
        .iter()
        .map(|(number, row)| {
            let offer = &row.purchase.offer().body;
            [
                number.to_string(),
                status(row).to_owned(),
                format!("{} {}", offer.price, offer.currency),
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

/// How a purchase stands, in a word: where it has ended, what became of the goods.
fn status(row: &PurchaseRow) -> &'static str {
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
    json!({
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
        "has_receipt": matches!(&row.purchase, Purchase::Committed(_, Proof::Receipt(_))),
        "begun_ms": row.begun_ms,
    })
}

// ---- buying -------------------------------------------------------------------------------------------------------

/// Buys an item.
pub(super) async fn buy(wallet: &Wallet, buy: &Buy) -> Result<Report> {
    check_output(&buy.output, buy.force)?;
    let parties = Parties {
        merchant: wallet.party(RoleName::Merchant, Some(&buy.merchant))?,
        escrow: wallet
            .party(RoleName::Escrow, buy.escrow.as_deref())
            .context("which escrow decides is said with --escrow NAME")?,
        bank: wallet
            .party(RoleName::Bank, buy.bank.as_deref())
            .context("whose coins pay is said with --bank NAME")?,
    };
    let wanted = Wanted {
        item: &buy.item,
        at_most: buy.at_most,
    };
    let number = wallet.buy(&parties, wanted, &buy.output).await?;
    Ok(outcome(number, &wallet.purchase(number)?))
}

/// The goods must have a place before they are paid for.
fn check_output(output: &Path, force: bool) -> Result<()> {
    files::check_output(output, Existing::by_force(force))?;
    let parent = output.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent
        && !parent.is_dir()
    {
        bail!("there is no directory {}; make it first", parent.display());
    }
    Ok(())
}

/// How a purchase has ended.
fn outcome(number: u64, row: &PurchaseRow) -> Report {
    let offer = &row.purchase.offer().body;
    let title = one_line(&offer.title);
    let (text, exit) = match (&row.purchase, row.delivery) {
        (Purchase::Committed(_, proof), Delivery::Delivered) => {
            let receipt = match proof {
                Proof::Receipt(_) => {
                    format!("\n`farthing receipt show {number}` prints what proves it")
                }
                Proof::Commit(..) => String::new(),
            };
            let (file, price) = (row.output.display(), offer.price);
            let text = format!(
                "{file}: \"{title}\", as described, for {price} {}{receipt}",
                Shown(&offer.currency)
            );
            (text, Exit::Done)
        }
        (Purchase::Committed(..), Delivery::NotAsDescribed) => {
            let text = format!(
                "the goods of purchase {number} (\"{title}\") are not what the merchant described; \
                 `farthing receipt show {number}` prints what proves it"
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
                "purchase {number} (\"{title}\") has ended without its escrow, which gave no decision: the bank held \
                 nothing for it and gave fresh coins, so the coins are back{}",
                why_not_bought(row)
            );
            (text, exit_without_goods(row))
        }
        (Purchase::Dropped(_), _) => {
            let text = format!("purchase {number} (\"{title}\") was given up before anything was at stake");
            (text, Exit::Done)
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

/// Why the customer did not get what was to be bought, where that was not the customer's own wish.
fn why_not_bought(row: &PurchaseRow) -> String {
    let why = row.refusal.as_ref();
    why.map_or_else(String::new, |refusal| {
        format!("; it was not bought, as {}", one_line(refusal))
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
            "the escrow found another key in the merchant's offer than it commits to; `farthing receipt show` has what \
             proves it"
                .into()
        }
        (None, _) => "it was cancelled".into(),
    }
}

/// How a command ends whose purchase has ended with the coins back: aborted, unless the customer wanted it so.
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

/// Carries on one purchase, or everything under way.
pub(super) async fn resume(wallet: &Wallet, named: Option<&str>) -> Result<Report> {
    let Some(named) = named else {
        return resume_all(wallet).await;
    };
    let number = find(wallet, named)?;
    wallet.drive_purchase(number).await?;
    Ok(outcome(number, &wallet.purchase(number)?))
}

/// Carries on everything under way; a restore ends with it.
pub(super) async fn resume_all(wallet: &Wallet) -> Result<Report> {
    let resumed = wallet.resume().await?;
    let mut lines: Vec<String> = Vec::new();
    let mut purchases: Vec<Value> = Vec::new();
    let mut exit = Exit::Done;
    let mut matters: BTreeSet<&str> = resumed.ended.iter().map(String::as_str).collect();
    for (number, row) in wallet.purchases()? {
        if matters.remove(format!("purchase {number}").as_str()) {
            let ended = outcome(number, &row);
            lines.push(ended.text);
            purchases.push(purchase_json(number, &row));
            if ended.exit == Exit::Aborted {
                exit = Exit::Aborted;
            }
        }
    }
    lines.extend(matters.into_iter().map(|matter| format!("{matter}: done")));
    let mut open: Vec<Value> = Vec::new();
    for (matter, error) in resumed.open {
        let code = Exit::of_wallet(&error);
        // What failed says more than what is merely silent.
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
            "what was under way when this wallet was lost may come through until {}: run `farthing resume` once more \
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

/// Asks for the coins of a purchase back.
pub(super) async fn cancel(wallet: &Wallet, named: &str) -> Result<Report> {
    let number = find(wallet, named)?;
    wallet.cancel(number).await?;
    let row = wallet.purchase(number)?;
    let mut report = outcome(number, &row);
    match &row.purchase {
        // Here the coins are what was wanted.
        Purchase::Aborted(..) | Purchase::Recovered(_) => report.exit = Exit::Done,
        Purchase::Committed(..) => {
            report.text = format!("it was paid already, so the goods are here\n{}", report.text);
            report.exit = Exit::Failed;
        }
        _ => {}
    }
    Ok(report)
}

/// The number of the purchase that is named by its number, or by the beginning of its id.
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
        _ => bail!("the ids of several purchases begin with `{named}`; give more of it, or the number"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purchases_are_named_by_number_or_by_the_beginning_of_their_id() {
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
    fn goods_have_a_place_before_they_are_paid_for() {
        let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
        let says = |path: &Path, force| check_output(path, force).unwrap_err().to_string();
        assert!(says(crate_dir, true).contains("is not a file"));
        assert!(says(&crate_dir.join("Cargo.toml"), false).contains("--force"));
        assert!(says(&crate_dir.join("nowhere/goods"), false).contains("make it first"));
        assert!(check_output(&crate_dir.join("Cargo.toml"), true).is_ok());
        assert!(check_output(Path::new("goods-of-no-one"), false).is_ok());
    }
}
