//! Commands for gifts.

use super::{
    exit::Exit,
    money::balances,
    payments::{for_text, payment_json, unfinished},
    report::{Report, amount},
};
use crate::{deposit::Paid, gift::Given, gift_uri::GiftUri, receive::Taken, wallet::Wallet};
use anyhow::Result;
use farthing_node::{card::RoleName, qr::drawn};
use farthing_protocol::money::Amount;
use serde_json::json;

/// Gives an amount, and prints the link for the recipient.
pub(super) async fn give(
    wallet: &Wallet,
    asked: Amount,
    text: &str,
    bank: Option<&str>,
    qr: bool,
    again: bool,
) -> Result<Report> {
    let bank = wallet.party(RoleName::Bank, bank)?;
    let given = wallet.give(&bank, asked, text, again).await;
    let Given { uri, paid } = given.map_err(unfinished)?;
    let Paid {
        number,
        is_carried_on,
    } = paid;
    let written = uri.to_string();
    let carried_on = match is_carried_on {
        true => "carried on the gift that was under way; `--again` makes another\n",
        false => "",
    };
    let link = drawn(written.clone(), qr)?;
    let (money, balances) = balances(wallet)?;
    let text = format!(
        "{carried_on}{link}\n\
         whoever has this link has the {asked}: send it over a channel that you trust\n\
         `farthing take-back {number}` takes it back until somebody has accepted it\n{money}"
    );
    let json = json!({
        "uri": written,
        "payment": payment_json(wallet, number, &wallet.payment(number)?)?,
        "carried_on": is_carried_on,
        "balances": balances,
    });
    Ok(Report::done(text, json))
}

/// Accepts a gift.
pub(super) async fn accept(wallet: &Wallet, uri: &GiftUri) -> Result<Report> {
    let taken = wallet.accept(uri).await?;
    let got = format!("you have got {}{}", taken.now, for_text(&uri.text));
    let gone = "nothing is in this gift: it was accepted or taken back before, or not paid yet";
    ended(wallet, taken, &got, gone)
}

/// Takes a gift back.
pub(super) async fn take_back(wallet: &Wallet, payment: u64) -> Result<Report> {
    let taken = wallet.take_back(payment).await?;
    let got = format!(
        "{} is back in your wallet, and the link is worth nothing",
        taken.now
    );
    let gone = "nothing is in this gift any more: it was accepted, or taken back before";
    ended(wallet, taken, &got, gone)
}

/// The report of an attempt to get what is in a gift.
fn ended(wallet: &Wallet, taken: Taken, got: &str, gone: &str) -> Result<Report> {
    let (money, balances) = balances(wallet)?;
    let (says, exit) = match taken.now {
        Amount(0) => (gone, Exit::Failed),
        _ => (got, Exit::Done),
    };
    Ok(Report {
        text: format!("{says}\n{money}"),
        json: json!({
            "received": amount(taken.now),
            "credited": amount(taken.credited),
            "balances": balances,
        }),
        exit,
    })
}
