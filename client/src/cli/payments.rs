//! Commands for payments by deposit, and for requests of payments.

use super::{
    money::balances,
    report::{Align, Report, amount, bank_name, date, short, table},
};
use crate::{
    deposit::Paid,
    error::WalletError,
    gift::Gift,
    pay_uri::PayUri,
    request::Requested,
    rows::{DepositRow, DepositState},
    wallet::Wallet,
};
use anyhow::{Result, bail};
use farthing_coin::PublicKey;
use farthing_node::{
    card::RoleName,
    network_file::NetworkFile,
    qr::drawn,
    terminal::{Shown, one_line},
};
use farthing_protocol::{
    api::Question,
    deposited::{DepositOutput, Payee},
    money::Amount,
};
use serde_json::{Value, json};

// ---- paying -------------------------------------------------------------------------------------------------------

/// Pays coins into the wallet's own account.
pub(super) async fn redeem(
    wallet: &Wallet,
    asked: Amount,
    bank: Option<&str>,
    again: bool,
) -> Result<Report> {
    let bank = wallet.party(RoleName::Bank, bank)?;
    let paid = wallet.redeem(&bank, asked, again).await.map_err(unfinished)?;
    let text = format!("paid {asked} into your account at {}", bank.title());
    done(wallet, &text, paid)
}

/// Pays a request.
pub(super) async fn send(
    wallet: &Wallet,
    uri: &PayUri,
    asked: Option<Amount>,
    again: bool,
) -> Result<Report> {
    if matches!(uri.to, Payee::Account(_)) {
        return Err(WalletError::NotARequest.into());
    }
    let asked = amount_of(uri, asked)?;
    let paid = wallet.pay(uri, asked, again).await.map_err(unfinished)?;
    done(wallet, &format!("paid {asked}{}", for_text(&uri.text)), paid)
}

/// The amount that is paid for a request.
pub(super) fn amount_of(uri: &PayUri, asked: Option<Amount>) -> Result<Amount> {
    match (uri.amount, asked) {
        (Some(wanted), Some(other)) if wanted != other => {
            bail!(
                "the request is for {wanted}, and not for {other}; leave out `--amount`, or ask for another request"
            )
        }
        (Some(amount), _) | (None, Some(amount)) => Ok(amount),
        (None, None) => bail!("the request has no amount; say what to pay with `--amount AMOUNT`"),
    }
}

/// Says what a payment that the bank has not confirmed means.
pub(super) fn unfinished(error: WalletError) -> anyhow::Error {
    let is_under_way = matches!(
        error,
        WalletError::Silent {
            question: Question::Deposit,
            ..
        }
    );
    match is_under_way {
        true => anyhow::Error::from(error).context(
            "the payment is under way: `farthing resume` carries it on, and `farthing give-up NUMBER` takes back what the \
             bank does not confirm (`farthing payments` shows the number)",
        ),
        false => error.into(),
    }
}

pub(super) fn for_text(text: &str) -> String {
    match text.is_empty() {
        true => String::new(),
        false => format!(" for \"{}\"", Shown(text)),
    }
}

/// The report of a payment that is done.
pub(super) fn done(wallet: &Wallet, says: &str, paid: Paid) -> Result<Report> {
    let row = wallet.payment(paid.number)?;
    let (text, balances) = balances(wallet)?;
    let carried_on = match paid.is_carried_on {
        true => "carried on the payment that was under way\n",
        false => "",
    };
    let number = paid.number;
    let text = format!(
        "{carried_on}{says}, payment {number}\n`farthing receipt payment {number}` proves it\n{text}"
    );
    let json = json!({
        "payment": payment_json(wallet, number, &row)?,
        "carried_on": paid.is_carried_on,
        "balances": balances,
    });
    Ok(Report::done(text, json))
}

/// Gives a payment up.
pub(super) async fn give_up(wallet: &Wallet, number: u64) -> Result<Report> {
    let state = wallet.give_up_payment(number).await?;
    let says = match &state {
        DepositState::Done(_) => {
            format!("payment {number} was carried out; `farthing receipt payment {number}` proves it")
        }
        DepositState::Refused(_) | DepositState::GivenUp => {
            format!(
                "payment {number} is {} for good, and its coins are back",
                state.word()
            )
        }
        DepositState::Sending => {
            format!("payment {number} is still under way; `farthing resume` carries it on")
        }
    };
    let (text, balances) = balances(wallet)?;
    let row = wallet.payment(number)?;
    let json = json!({ "payment": payment_json(wallet, number, &row)?, "balances": balances });
    Ok(Report::done(format!("{says}\n{text}"), json))
}

// ---- requesting ---------------------------------------------------------------------------------------------------

/// Requests a payment.
pub(super) async fn request(
    wallet: &Wallet,
    asked: Option<Amount>,
    text: &str,
    bank: Option<&str>,
    qr: bool,
) -> Result<Report> {
    let bank = wallet.party(RoleName::Bank, bank)?;
    let uri = wallet.request(&bank, asked, text).await?;
    let written = uri.to_string();
    let json = json!({
        "uri": written,
        "bank": bank.name,
        "reserve": payee_key(&uri.to).to_string(),
        "amount": uri.amount.map(amount),
        "text": uri.text,
    });
    Ok(Report::done(drawn(written, qr)?, json))
}

// ---- looking ------------------------------------------------------------------------------------------------------

/// Lists all payments.
pub(super) fn list(wallet: &Wallet) -> Result<Report> {
    let (sent, requested) = (wallet.payments()?, wallet.requested()?);
    let file = wallet.network_file()?;
    let mut sent_json = Vec::new();
    for (number, row) in &sent {
        sent_json.push(payment_json(wallet, *number, row)?);
    }
    let requested_json: Vec<Value> = requested.iter().map(requested_json).collect();
    let gifts = wallet.gifts()?;
    let gifts_json = gifts.iter().map(|gift| gift_json(wallet, gift));
    let gifts_json = gifts_json.collect::<Result<Vec<Value>>>()?;
    let json = json!({ "sent": sent_json, "requested": requested_json, "gifts": gifts_json });
    let mut lines = vec![sent_table(wallet, &sent)?];
    for gift in &gifts {
        lines.push(gift_text(wallet, gift)?);
    }
    if !requested.is_empty() {
        lines.push(requested_table(&requested, &file));
    }
    Ok(Report::done(lines.join("\n\n"), json))
}

fn sent_table(wallet: &Wallet, sent: &[(u64, DepositRow)]) -> Result<String> {
    if sent.is_empty() {
        return Ok("no payments yet; `farthing send` pays a request of another wallet".into());
    }
    let mut rows = Vec::new();
    for (number, row) in sent {
        rows.push([
            number.to_string(),
            row.state.word().to_owned(),
            row.deposit.total().unwrap_or_default().to_string(),
            date(row.begun_ms),
            paid_for(wallet, row)?,
        ]);
    }
    let columns = [
        ("NO", Align::Right),
        ("STATUS", Align::Left),
        ("AMOUNT", Align::Right),
        ("BEGUN (UTC)", Align::Left),
        ("FOR", Align::Left),
    ];
    Ok(table(columns, &rows))
}

/// What a payment was for: its text, or to whom it went. For a donation, both.
pub(super) fn paid_for(wallet: &Wallet, row: &DepositRow) -> Result<String> {
    let is_reserve = |output: &DepositOutput| matches!(output.to, Payee::Reserve(_));
    if !row.text.is_empty() && row.deposit.outputs.iter().all(is_reserve) {
        return Ok(one_line(&row.text));
    }
    let own = Payee::Account(wallet.account(&row.deposit.bank)?);
    let payees = row.deposit.outputs.iter().map(|output| match output.to {
        to if to == own => "your account".to_owned(),
        Payee::Account(key) => format!("account {}", short(&key.0)),
        Payee::Reserve(key) => format!("reserve {}", short(&key.0)),
    });
    let payees = payees.collect::<Vec<String>>().join(", ");
    Ok(match row.text.is_empty() {
        true => payees,
        false => format!("{payees}, from {}", one_line(&row.text)),
    })
}

fn requested_table(requested: &[Requested], file: &NetworkFile) -> String {
    let known = requested.iter().filter(|it| it.row.requested_ms.is_some());
    let rows: Vec<[String; 5]> = known
        .map(
            |Requested {
                 bank, reserve, row, ..
             }| {
                [
                    row.amount
                        .map_or_else(|| "any".into(), |amount| amount.to_string()),
                    row.requested_ms.map(date).unwrap_or_default(),
                    bank_name(bank, file),
                    short(&reserve.0),
                    one_line(&row.text),
                ]
            },
        )
        .collect();
    let restored = requested.len().saturating_sub(rows.len());
    let columns = [
        ("REQUESTED", Align::Right),
        ("AT (UTC)", Align::Left),
        ("BANK", Align::Left),
        ("RESERVE", Align::Left),
        ("FOR", Align::Left),
    ];
    let mut parts = Vec::new();
    if !rows.is_empty() {
        parts.push(table(columns, &rows));
    }
    if restored > 0 {
        parts.push(format!(
            "{restored} keys from before the restore may have been used for requests"
        ));
    }
    parts.join("\n")
}

/// A credit of a payment for programs.
pub(super) fn output_json(output: &DepositOutput) -> Value {
    let kind = match output.to {
        Payee::Account(_) => "account",
        Payee::Reserve(_) => "reserve",
    };
    json!({ "kind": kind, "key": payee_key(&output.to).to_string(), "amount": amount(output.amount) })
}

fn payee_key(payee: &Payee) -> PublicKey {
    match payee {
        Payee::Account(key) | Payee::Reserve(key) => *key,
    }
}

/// A payment for programs.
pub(super) fn payment_json(wallet: &Wallet, number: u64, row: &DepositRow) -> Result<Value> {
    let own = Payee::Account(wallet.account(&row.deposit.bank)?);
    let outputs: Vec<Value> = row
        .deposit
        .outputs
        .iter()
        .map(|output| {
            let mut value = output_json(output);
            if let Some(fields) = value.as_object_mut() {
                fields.insert("own".into(), (output.to == own).into());
            }
            value
        })
        .collect();
    let done_ms = match &row.state {
        DepositState::Done(deposited) => Some(deposited.body.at_ms),
        _ => None,
    };
    let refusal = match &row.state {
        DepositState::Refused(denial) => Some(denial.body.cause.to_string()),
        _ => None,
    };
    Ok(json!({
        "number": number,
        "deposit_id": row.deposit.id().to_string(),
        "status": row.state.word(),
        "bank": bank_name(&row.deposit.bank, &wallet.network_file()?),
        "amount": amount(row.deposit.total().unwrap_or_default()),
        "outputs": outputs,
        "text": row.text,
        "begun_ms": row.begun_ms,
        "done_ms": done_ms,
        "refusal": refusal,
    }))
}

/// A request for programs.
pub(super) fn requested_json(it: &Requested) -> Value {
    json!({
        "number": it.number,
        "bank": it.bank.to_string(),
        "reserve": it.reserve.to_string(),
        "amount": it.row.amount.map(amount),
        "text": it.row.text,
        "requested_ms": it.row.requested_ms,
    })
}

/// A gift with its link, for people.
fn gift_text(wallet: &Wallet, gift: &Gift) -> Result<String> {
    let uri = wallet.gift_uri(&gift.bank, gift.number, &gift.row)?;
    let paid = match &gift.payment {
        Some((number, row)) => format!("payment {number}, {}", row.state.word()),
        None => "not paid".into(),
    };
    let words = for_text(&gift.row.text);
    Ok(format!("gift of {}{words}, {paid}:\n{uri}", gift.row.amount))
}

/// A gift for programs.
fn gift_json(wallet: &Wallet, gift: &Gift) -> Result<Value> {
    let uri = wallet.gift_uri(&gift.bank, gift.number, &gift.row)?;
    Ok(json!({
        "payment": gift.payment.as_ref().map(|(number, _)| number),
        "amount": amount(gift.row.amount),
        "text": gift.row.text,
        "given_ms": gift.row.given_ms,
        "uri": uri.to_string(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_amount_of_a_request_is_never_replaced() {
        let key = PublicKey([1; 32]);
        let uri = |amount| PayUri::new(key, Payee::Reserve(key), amount, "").unwrap();
        let (five, six) = (Amount(500), Amount(600));
        assert_eq!(amount_of(&uri(Some(five)), None).unwrap(), five);
        assert_eq!(amount_of(&uri(Some(five)), Some(five)).unwrap(), five);
        assert_eq!(amount_of(&uri(None), Some(six)).unwrap(), six);
        let refused = amount_of(&uri(Some(five)), Some(six)).unwrap_err().to_string();
        assert!(refused.contains("5.00") && refused.contains("6.00"), "{refused}");
        assert!(
            amount_of(&uri(None), None)
                .unwrap_err()
                .to_string()
                .contains("--amount")
        );
    }

    #[test]
    fn the_longest_request_fits_a_picture() {
        let key = PublicKey([1; 32]);
        let text = "\u{e9}".repeat(farthing_node::uri::TEXT_MAX_BYTES / 2);
        let longest = PayUri::new(key, Payee::Account(key), Some(Amount(u64::MAX)), &text).unwrap();
        assert!(drawn(longest.to_string(), true).unwrap().lines().count() > 20);
    }
}
