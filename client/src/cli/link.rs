//! The command `open`: says what a link does, and does it if the customer agrees.

use super::{
    args::{Buy, Open, Options},
    donation, gift,
    payments::{amount_of, for_text, send},
    purchases,
    report::{Report, short},
    setup,
};
use crate::{gift_uri::GiftUri, link::Link, pay_uri::PayUri, wallet::Wallet};
use anyhow::{Context, Result, bail};
use farthing_node::{
    card::{Card, RoleName},
    offer_uri::OfferUri,
    terminal::{Shown, print_prompt},
};
use farthing_protocol::deposited::Payee;
use serde_json::json;
use std::io::{BufRead, IsTerminal, Read};

/// The longest answer to a question that is read (bytes).
const ANSWER_MAX_BYTES: u64 = 64;

/// Says what a link does, and does it if the customer agrees.
pub(super) async fn open(wallet: &Wallet, options: &Options, asked: Open) -> Result<Report> {
    check_options(&asked)?;
    match &asked.link {
        Link::Pay(uri) => open_payment(wallet, options, uri, &asked).await,
        Link::Gift(uri) => open_gift(wallet, options, uri, &asked).await,
        Link::Offer(uri) => open_offer(wallet, options, uri, &asked).await,
        Link::Card(card) => open_card(wallet, options, card, &asked),
    }
}

/// Refuses options that the kind of link does not take.
fn check_options(asked: &Open) -> Result<()> {
    let is = match &asked.link {
        Link::Pay(_) => "names a payee",
        Link::Gift(_) => "is a gift",
        Link::Offer(_) => "sells an item",
        Link::Card(_) => "is a card",
    };
    let payment = matches!(asked.link, Link::Pay(_));
    let purchase = matches!(asked.link, Link::Offer(_));
    let options = [
        ("--amount", asked.amount.is_some(), payment),
        ("--for", asked.donor.is_some(), payment),
        ("--output", asked.output.is_some(), purchase),
        ("--escrow", asked.escrow.is_some(), purchase),
        ("--bank", asked.bank.is_some(), purchase),
    ];
    match options.iter().find(|(_, is_there, takes)| *is_there && !takes) {
        Some((option, ..)) => bail!("this link {is}; leave out `{option}`"),
        None => Ok(()),
    }
}

async fn open_payment(wallet: &Wallet, options: &Options, uri: &PayUri, asked: &Open) -> Result<Report> {
    let (amount, bank) = (
        amount_of(uri, asked.amount)?,
        wallet.party_of(RoleName::Bank, &uri.bank)?,
    );
    let at = Shown(&bank.title()).to_string();
    let says = match uri.to {
        Payee::Account(_) => {
            let donor = asked.donor.as_deref().unwrap_or_default();
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
            let donor = asked.donor.as_deref().unwrap_or_default();
            donation::donate(wallet, uri, amount, donor, None, false).await
        }
        Payee::Reserve(_) => send(wallet, uri, Some(amount), false).await,
    }
}

async fn open_gift(wallet: &Wallet, options: &Options, uri: &GiftUri, asked: &Open) -> Result<Report> {
    let bank = wallet.party_of(RoleName::Bank, &uri.bank)?;
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

async fn open_offer(wallet: &Wallet, options: &Options, uri: &OfferUri, asked: &Open) -> Result<Report> {
    let merchant = wallet.party_of(RoleName::Merchant, &uri.merchant)?;
    let title = match uri.title.is_empty() {
        true => short(&uri.item.0),
        false => format!("\"{}\"", Shown(&uri.title.replace('"', "'"))),
    };
    let says = format!(
        "this link buys an item from {} for at most {}; it calls the item {title}",
        Shown(&merchant.title()),
        uri.price
    );
    let Some(output) = &asked.output else {
        bail!("{says}; say where the goods go with `--output FILE`");
    };
    if !agrees(options, asked, &says, "nothing was bought", "Buy it?")? {
        return Ok(Report::done("nothing was bought", json!({ "purchase": null })));
    }
    let buy = Buy {
        merchant: merchant.name,
        item: uri.item.to_string(),
        at_most: Some(uri.price),
        output: output.clone(),
        escrow: asked.escrow.clone(),
        bank: asked.bank.clone(),
        force: false,
        again: false,
    };
    purchases::buy(wallet, &buy).await
}

fn open_card(wallet: &Wallet, options: &Options, card: &Card, asked: &Open) -> Result<Report> {
    if asked.yes {
        bail!("this link is a card, and a card is pinned only by hand: use `farthing network add CARD`");
    }
    let file = wallet.network_file()?;
    let does = match file.by_identity(&card.identity) {
        Some(known) => format!(
            "moves {} from {} to {}",
            Shown(&known.title()),
            known.address,
            card.address
        ),
        None => format!(
            "pins the card of {} at {}, with the key {}",
            Shown(&card.title()),
            card.address,
            card.identity_hex()
        ),
    };
    let carries = match card.role {
        RoleName::Relay => "; a relay carries all your anonymous requests, and sees your network address",
        _ => "",
    };
    let says = format!("this link {does}{carries}; anyone can make a card, so take it only from its owner");
    match agrees(options, asked, &says, "it was not pinned", "Pin it?")? {
        true => setup::add_card(file, card, None),
        false => Ok(Report::done("it was not pinned", json!({ "added": null }))),
    }
}

/// Whether the customer agrees to what a link does.
///
/// # Errors
/// When nobody can be asked.
fn agrees(options: &Options, asked: &Open, says: &str, undone: &str, question: &str) -> Result<bool> {
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
