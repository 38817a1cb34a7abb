//! The command `donate`, and links to accounts.

use super::{
    args::AccountLink,
    payments::{done, unfinished},
    report::{Report, short},
};
use crate::{pay_uri::PayUri, wallet::Wallet};
use anyhow::{Result, bail};
use farthing_node::{card::RoleName, qr::drawn, terminal::Shown};
use farthing_protocol::{deposited::Payee, money::Amount};
use serde_json::json;

/// Pays into the account of a link.
pub(super) async fn donate(
    wallet: &Wallet,
    charity: &PayUri,
    asked: Amount,
    donor: &str,
    bank: Option<&str>,
    again: bool,
) -> Result<Report> {
    if let Some(wanted) = charity.amount.filter(|wanted| *wanted != asked) {
        bail!(
            "this link is for {wanted}, and not for {asked}; nothing was paid. Give {wanted}, or ask for another link"
        );
    }
    if let Some(name) = bank {
        let pinned = wallet.party(RoleName::Bank, Some(name))?;
        if !charity.bank.is_of(&pinned.identity) {
            bail!(
                "the account of this link is not at {}; nothing was paid",
                pinned.title()
            );
        }
    }
    let paid = wallet
        .donate(charity, asked, donor, again)
        .await
        .map_err(unfinished)?;
    let text = format!("paid {asked} into {}{}", owner(charity), from(donor));
    let mut report = done(wallet, &text, paid)?;
    report.text.push_str(&format!(
        "\nwrite its document now with `farthing receipt payment {} -o FILE`, and keep it: a wallet that is restored from its \
         words does not have it",
        paid.number
    ));
    Ok(report)
}

/// The payee of a link to an account: its name there, and the beginning of its key.
pub(super) fn owner(uri: &PayUri) -> String {
    let (Payee::Account(key) | Payee::Reserve(key)) = uri.to;
    let key = short(&key.0);
    match uri.text.is_empty() {
        true => format!("the account {key}"),
        false => format!("the account {key} of \"{}\"", Shown(&uri.text)),
    }
}

/// From whom a payment is, in words.
pub(super) fn from(donor: &str) -> String {
    match donor.is_empty() {
        true => String::new(),
        false => format!(", from \"{}\"", Shown(donor)),
    }
}

/// Prints the link to an account.
pub(super) fn link(wallet: &Wallet, bank: Option<&str>, link: &AccountLink) -> Result<Report> {
    let bank = wallet.party(RoleName::Bank, bank)?;
    let account = match link.of {
        Some(key) if !key.is_valid() => bail!("{key} is no key of an account; copy it again"),
        Some(key) => key,
        None => wallet.account(&bank.identity)?,
    };
    let name = link.name.as_deref().unwrap_or_default();
    let uri = PayUri::new(bank.identity, Payee::Account(account), None, name)?.to_string();
    let json = json!({ "uri": uri, "account": account.to_string(), "bank": bank.name, "name": name });
    Ok(Report::done(drawn(uri, link.qr)?, json))
}
