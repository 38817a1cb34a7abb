//! The command `open`: says what a link does, and does it if the customer agrees.

use super::{
    args::Options,
    donation, gift,
    payments::{amount_of, for_text, send},
    report::{Report, short},
};
use crate::{gift_uri::GiftUri, link::Link, pay_uri::PayUri, wallet::Wallet};
use anyhow::{Context, Result, bail};
use farthing_node::terminal::{Shown, print_prompt};
use farthing_protocol::{deposited::Payee, money::Amount};
use serde_json::json;
use std::io::{BufRead, IsTerminal, Read};

/// The longest answer to a question that is read (bytes).
const ANSWER_MAX_BYTES: u64 = 64;

/// What the customer has said besides the link.
pub(super) struct Asked<'a> {
    /// To do it without a question.
    pub(super) yes: bool,
    /// The amount, if the link has none.
    pub(super) amount: Option<Amount>,
    /// The name in the document of a donation.
    pub(super) donor: Option<&'a str>,
}

/// Says what a link does, and does it if the customer agrees.
pub(super) async fn open(
    wallet: &Wallet,
    options: &Options,
    link: &Link,
    asked: Asked<'_>,
) -> Result<Report> {
    match link {
        Link::Pay(uri) => open_payment(wallet, options, uri, &asked).await,
        Link::Gift(uri) => open_gift(wallet, options, uri, &asked).await,
    }
}

async fn open_payment(wallet: &Wallet, options: &Options, uri: &PayUri, asked: &Asked<'_>) -> Result<Report> {
    let (amount, bank) = (amount_of(uri, asked.amount)?, wallet.bank_of(&uri.bank)?);
    let at = Shown(&bank.title()).to_string();
    let says = match uri.to {
        Payee::Account(_) => {
            let donor = asked.donor.unwrap_or_default();
            format!(
                "this link pays {amount} into {} at {at}{}",
                donation::owner(uri),
                donation::from(donor)
            )
        }
        Payee::Reserve(_) if asked.donor.is_some() => {
            bail!("this link is a request for one payment, which names no donor; leave out `--for`")
        }
        Payee::Reserve(key) => format!(
            "this link asks for {amount}{}, to {} at {at}",
            for_text(&uri.text),
            short(&key.0),
        ),
    };
    if !agrees(options, asked, &says, "nothing was paid", "Pay it?")? {
        return Ok(Report::done("nothing was paid", json!({ "payment": null })));
    }
    match uri.to {
        Payee::Account(_) => {
            let donor = asked.donor.unwrap_or_default();
            donation::donate(wallet, uri, amount, donor, None, false).await
        }
        Payee::Reserve(_) => send(wallet, uri, Some(amount), false).await,
    }
}

async fn open_gift(wallet: &Wallet, options: &Options, uri: &GiftUri, asked: &Asked<'_>) -> Result<Report> {
    if asked.amount.is_some() || asked.donor.is_some() {
        bail!("this link is a gift, which has an amount and no donor; leave out `--amount` and `--for`");
    }
    let bank = wallet.bank_of(&uri.bank)?;
    let says = format!(
        "this link is a gift of {}{}, at {}",
        uri.amount,
        for_text(&uri.text),
        Shown(&bank.title())
    );
    match agrees(options, asked, &says, "it was not accepted", "Accept it?")? {
        true => gift::accept(wallet, uri).await,
        false => Ok(Report::done("it was not accepted", json!({ "received": null }))),
    }
}

/// Whether the customer agrees to what a link does.
///
/// # Errors
/// When nobody can be asked.
fn agrees(options: &Options, asked: &Asked<'_>, says: &str, undone: &str, question: &str) -> Result<bool> {
    if asked.yes {
        return Ok(true);
    }
    if options.json || !std::io::stdin().is_terminal() {
        bail!("{says}; {undone}. `farthing open --yes` does it");
    }
    print_prompt(&format!("{says}. {question} [y/N] "));
    let mut answer = String::new();
    let mut input = std::io::stdin().lock().take(ANSWER_MAX_BYTES);
    input.read_line(&mut answer).context("cannot read the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
