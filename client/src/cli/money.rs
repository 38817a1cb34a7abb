//! Commands for accounts and coins.

use super::exit::Exit;
use super::report::{Align, Report, amount, chain, count, date, short, table};
use crate::{
    coins::{Balance, Validity},
    error::WalletError,
    rows::{CoinRow, CoinStatus},
    wallet::Wallet,
};
use anyhow::{Context, Result};
use farthing_coin::{Denomination, KeyId, PublicKey};
use farthing_node::{
    card::{Card, RoleName},
    terminal::Shown,
};
use farthing_protocol::{limits::COINS_PER_REQUEST_MAX, money::Amount};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// How many coins `exchange --all` puts into one request. It is half of the limit, because the fresh assortment may
/// have more coins than the old one.
const EXCHANGED_TOGETHER: usize = COINS_PER_REQUEST_MAX / 2;

/// What follows the amount of the withdrawals under way.
const IN_WITHDRAWALS: &str = "is being withdrawn, and not in the wallet yet (`farthing resume`)";

/// Shows the account at a bank and its balance.
pub(super) async fn account(wallet: &Wallet, bank: Option<&str>) -> Result<Report> {
    let bank = wallet.party(RoleName::Bank, bank)?;
    let account = wallet.account(&bank.identity)?;
    let in_withdrawals = wallet.in_withdrawals(&bank.identity)?;
    let (balance, error, exit) = match wallet.account_balance(&bank).await {
        Ok(balance) => (Some(balance), None, Exit::Done),
        // The key is printed even without an account: the bank needs it to open one.
        Err(error @ (WalletError::Silent { .. } | WalletError::Refused { .. })) => {
            let exit = Exit::of_wallet(&error);
            (None, Some(chain(&error.into())), exit)
        }
        Err(other) => return Err(other.into()),
    };
    let mut says = balance.map_or_else(
        || error.clone().unwrap_or_default(),
        |balance| format!("balance {balance} at {}", bank.title()),
    );
    if in_withdrawals > Amount(0) {
        says = format!("{says}\n{in_withdrawals} {IN_WITHDRAWALS}");
    }
    let json = json!({
        "account": account.to_string(),
        "bank": bank.name,
        "balance": balance.map(amount),
        "in_withdrawals": amount(in_withdrawals),
        "error": error,
        "code": exit.code(),
    });
    Ok(Report {
        text: format!("account {account}\n{says}"),
        json,
        exit,
    })
}

/// Prints only the account key, for scripts.
pub(super) fn account_key(wallet: &Wallet, bank: Option<&str>) -> Result<Report> {
    let bank = wallet.party(RoleName::Bank, bank)?;
    let account = wallet.account(&bank.identity)?.to_string();
    let json = json!({ "account": account, "bank": bank.name });
    Ok(Report::done(account, json))
}

/// Withdraws coins. If a withdrawal of the same amount is under way, it is carried on, unless `again` asks for another.
pub(super) async fn withdraw(
    wallet: &Wallet,
    asked: Amount,
    bank: Option<&str>,
    again: bool,
) -> Result<Report> {
    if asked == Amount(0) {
        anyhow::bail!("nothing to withdraw; give an amount such as 20.00");
    }
    let bank = wallet.party(RoleName::Bank, bank)?;
    let before = wallet.coins()?.len();
    let under_way = match again {
        true => Vec::new(),
        false => wallet.withdrawals_under_way(&bank.identity)?,
    };
    let same = under_way.iter().find(|under_way| under_way.asked == asked);
    match (same, under_way.first()) {
        (Some(same), _) => wallet
            .carry_on_withdrawal(&bank, same)
            .await
            .with_context(|| format!("the withdrawal of {asked} that was under way is not finished"))?,
        (None, Some(other)) => anyhow::bail!(
            "a withdrawal of {} from {} is under way, so nothing more was withdrawn; `farthing resume` carries it on, \
             and `farthing withdraw {asked} --again` withdraws {asked} besides",
            other.asked,
            bank.title()
        ),
        (None, None) => wallet.withdraw(&bank, asked).await?,
    }
    let coins = wallet.coins()?.len().saturating_sub(before) as u64;
    let (balances, balances_json) = balances(wallet)?;
    let carried_on = match same {
        Some(_) => "carried on the withdrawal that was under way; `--again` makes another\n",
        None => "",
    };
    let text = format!(
        "{carried_on}withdrew {asked} from {} in {}\n{balances}",
        bank.title(),
        count(coins, "coin"),
    );
    let json = json!({
        "withdrawn": amount(asked),
        "carried_on": same.is_some(),
        "coins": coins,
        "bank": bank.name,
        "balances": balances_json,
    });
    Ok(Report::done(text, json))
}

/// Shows the money in the wallet.
pub(super) fn balance(wallet: &Wallet) -> Result<Report> {
    let (text, json) = balances(wallet)?;
    Ok(Report::done(text, json!({ "balances": json })))
}

/// The money in the wallet, for people and for programs: one entry for each bank, and never a sum of two.
pub(super) fn balances(wallet: &Wallet) -> Result<(String, Value)> {
    let balances = wallet.balances()?;
    let file = wallet.network_file()?;
    let named: Vec<(Option<&Card>, &Balance)> = balances
        .iter()
        .map(|balance| (file.by_identity(&balance.bank), balance))
        .collect();
    let json: Vec<Value> = named
        .iter()
        .map(|(bank, balance)| balance_json(*bank, balance))
        .collect();
    let lines: Vec<String> = named
        .iter()
        .map(|(bank, balance)| balance_text(*bank, balance))
        .collect();
    let text = match lines.is_empty() {
        true => "no money, and no bank is known; add its card with `farthing network add CARD`".into(),
        false => lines.join("\n"),
    };
    Ok((text, Value::Array(json)))
}

/// A balance for people: one line, and one more for each part that needs the customer's attention.
fn balance_text(bank: Option<&Card>, balance: &Balance) -> String {
    let currency = balance
        .currency
        .as_deref()
        .map_or_else(String::new, |it| format!(" {}", Shown(it)));
    let with_currency = |amount: Amount| format!("{amount}{currency}");
    let bank = bank.map_or_else(|| format!("bank {}", short(&balance.bank.0)), Card::title);
    let mut lines = vec![format!(
        "{} can be spent, {}",
        with_currency(balance.available),
        Shown(&bank)
    )];
    let by = |ms: Option<u64>| date(ms.unwrap_or(u64::MAX));
    let parts = [
        (
            balance.ending,
            format!(
                "of that expires from {} on; `farthing exchange` renews it",
                by(balance.ending_ms)
            ),
        ),
        (
            balance.expired,
            format!(
                "has expired; `farthing exchange` renews it, before {}, or it is lost",
                by(balance.expired_until_ms)
            ),
        ),
        (balance.in_withdrawals, IN_WITHDRAWALS.into()),
        (balance.in_purchases, "is in purchases under way".into()),
        (
            balance.in_payments,
            "is in payments under way (`farthing payments`, `farthing resume`)".into(),
        ),
        (
            balance.in_exchanges,
            "is being exchanged, or waits for that (`farthing resume`, `farthing exchange`)".into(),
        ),
        (
            balance.in_reserves,
            "is owed by the bank, and not in coins yet (`farthing resume`, `farthing receive`)".into(),
        ),
        (
            balance.lost,
            "is lost: it was not exchanged in time, and the bank does not take it any more".into(),
        ),
    ];
    for (part, says) in parts {
        if part > Amount(0) {
            lines.push(format!("  {} {says}", with_currency(part)));
        }
    }
    lines.join("\n")
}

/// A balance for programs.
fn balance_json(bank: Option<&Card>, balance: &Balance) -> Value {
    json!({
        "bank": bank.map(|bank| &bank.name),
        "identity": balance.bank.to_string(),
        "currency": balance.currency,
        "available": amount(balance.available),
        "ending": amount(balance.ending),
        "ending_ms": balance.ending_ms,
        "expired": amount(balance.expired),
        "expired_until_ms": balance.expired_until_ms,
        "in_purchases": amount(balance.in_purchases),
        "in_payments": amount(balance.in_payments),
        "in_exchanges": amount(balance.in_exchanges),
        "in_reserves": amount(balance.in_reserves),
        "lost": amount(balance.lost),
        "in_withdrawals": amount(balance.in_withdrawals),
        "total": amount(balance.total()),
    })
}

/// Lists the coins.
pub(super) fn coins(wallet: &Wallet, all: bool) -> Result<Report> {
    let mut rows = wallet.coins()?;
    rows.retain(|row| all || row.status.counts());
    rows.sort_by(|a, b| {
        b.value
            .cmp(&a.value)
            .then_with(|| a.coin.public.cmp(&b.coin.public))
    });
    let mut keys: BTreeMap<(PublicKey, KeyId), Denomination> = BTreeMap::new();
    for row in &rows {
        let key = (row.bank, row.coin.key_id);
        if !keys.contains_key(&key)
            && let Some(denomination) = wallet.denomination(&row.bank, &row.coin.key_id)?
        {
            keys.insert(key, denomination);
        }
    }
    let with_keys: Vec<(&CoinRow, Option<&Denomination>)> = rows
        .iter()
        .map(|row| (row, keys.get(&(row.bank, row.coin.key_id))))
        .collect();
    let json: Vec<Value> = with_keys.iter().map(|(row, key)| coin_json(row, *key)).collect();
    Ok(Report::done(
        coins_table(&with_keys, wallet.now_ms()),
        json!({ "coins": json }),
    ))
}

fn coins_table(coins: &[(&CoinRow, Option<&Denomination>)], now_ms: u64) -> String {
    if coins.is_empty() {
        return "no coins; get some with `farthing withdraw AMOUNT`".into();
    }
    let rows: Vec<[String; 5]> = coins
        .iter()
        .map(|(row, key)| {
            [
                Amount(row.value).to_string(),
                key.map(|key| key.currency.clone()).unwrap_or_default(),
                status(row, *key, now_ms).to_owned(),
                key.map(|key| date(key.spend_until_ms)).unwrap_or_default(),
                short(&row.coin.public.0),
            ]
        })
        .collect();
    let columns = [
        ("VALUE", Align::Right),
        ("CURRENCY", Align::Left),
        ("STATUS", Align::Left),
        ("SPEND UNTIL (UTC)", Align::Left),
        ("COIN", Align::Left),
    ];
    table(columns, &rows)
}

/// The status of a coin for people: a coin that cannot be spent is not shown as available.
fn status(row: &CoinRow, key: Option<&Denomination>, now_ms: u64) -> &'static str {
    match (row.status, Validity::of(key, now_ms)) {
        (CoinStatus::Available, Validity::Expired(_)) => "expired",
        (CoinStatus::Available, Validity::Lost) => "lost",
        (status, _) => status.word(),
    }
}

/// The public fields of a coin: all that is needed to verify it, and nothing that spends it.
fn coin_json(row: &CoinRow, key: Option<&Denomination>) -> Value {
    let coin = &row.coin;
    let payment = match row.status {
        CoinStatus::InDeposit(number) | CoinStatus::Deposited(number) => Some(number),
        _ => None,
    };
    let purchase = match row.status {
        CoinStatus::InPurchase(number) | CoinStatus::Spent(number) | CoinStatus::Released(number) => {
            Some(number)
        }
        _ => None,
    };
    json!({
        "suite": coin.suite,
        "key_id": coin.key_id.to_string(),
        "public": coin.public.to_string(),
        "r": hex::encode(coin.r),
        "z": hex::encode(coin.z),
        "y": hex::encode(coin.y),
        "value": amount(Amount(row.value)),
        "status": row.status.word(),
        "purchase": purchase,
        "payment": payment,
        "denomination": key.map(denomination_json),
    })
}

fn denomination_json(key: &Denomination) -> Value {
    json!({
        "bank": key.bank.to_string(),
        "currency": key.currency,
        "value": amount(Amount(key.value)),
        "epoch": key.epoch,
        "issue_from_ms": key.issue_from_ms,
        "issue_until_ms": key.issue_until_ms,
        "spend_until_ms": key.spend_until_ms,
        "redeem_until_ms": key.redeem_until_ms,
        "x": key.public.to_string(),
    })
}

/// Carries on what is under way, and exchanges released coins and coins whose keys end soon. With `all`, every other
/// coin too.
pub(super) async fn exchange(wallet: &Wallet, all: bool) -> Result<Report> {
    let mut by_bank: BTreeMap<PublicKey, Vec<CoinRow>> = BTreeMap::new();
    if all {
        // Chosen first, so that fresh coins are not exchanged again.
        for row in wallet.present_coins()? {
            let key = wallet.denomination(&row.bank, &row.coin.key_id)?;
            let is_lost = Validity::of(key.as_ref(), wallet.now_ms()) == Validity::Lost;
            if row.status == CoinStatus::Available && !is_lost {
                by_bank.entry(row.bank).or_default().push(row);
            }
        }
    }
    let (carried_on, mut failed) = wallet.carry_on_exchanges(None).await?;
    let (released, more) = wallet.exchange_released().await?;
    failed.extend(more);
    let (expiring, more) = wallet.exchange_expiring().await?;
    failed.extend(more);
    let mut total = add(carried_on, add(released, expiring));
    for rows in by_bank.values().flat_map(|rows| rows.chunks(EXCHANGED_TOGETHER)) {
        // Some may have been exchanged just now.
        let left = still_available(wallet, rows)?;
        let (worth, more) = wallet.exchange_despite_refusals(left).await?;
        total = add(total, worth);
        let is_silent = more.iter().any(WalletError::is_silence);
        failed.extend(more);
        if is_silent {
            break;
        }
    }
    let (balances, balances_json) = balances(wallet)?;
    let mut lines = vec![match total {
        Amount(0) if failed.is_empty() => "nothing to exchange".to_owned(),
        Amount(0) => "nothing was exchanged".to_owned(),
        total => format!("exchanged {total} for fresh coins"),
    }];
    if total > Amount(0) || !failed.is_empty() {
        lines.push(balances);
    }
    let exit = Exit::of_all(&failed);
    let mut open = Vec::with_capacity(failed.len());
    for error in failed {
        let code = Exit::of_wallet(&error).code();
        let why = chain(&error.into());
        lines.push(format!("not exchanged: {why}"));
        open.push(json!({ "error": why, "code": code }));
    }
    let json = json!({ "exchanged": amount(total), "failed": open, "balances": balances_json });
    Ok(Report {
        text: lines.join("\n"),
        json,
        exit,
    })
}

fn still_available(wallet: &Wallet, rows: &[CoinRow]) -> Result<Vec<CoinRow>> {
    let chosen: BTreeSet<PublicKey> = rows.iter().map(|row| row.coin.public).collect();
    let mut left = wallet.coins()?;
    left.retain(|row| row.status == CoinStatus::Available && chosen.contains(&row.coin.public));
    Ok(left)
}

fn add(one: Amount, other: Amount) -> Amount {
    Amount(one.0.saturating_add(other.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use farthing_coin::{Coin, EncodedPoint, EncodedScalar};
    use farthing_protocol::restore::Origin;

    fn key() -> Denomination {
        Denomination {
            bank: PublicKey([1; 32]),
            currency: "FTG".into(),
            value: 1024,
            epoch: 7,
            issue_from_ms: 1,
            issue_until_ms: 2,
            spend_until_ms: 1_709_164_800_000,
            redeem_until_ms: 1_709_769_600_000,
            public: PublicKey([2; 32]),
        }
    }

    fn row(status: CoinStatus) -> CoinRow {
        CoinRow {
            coin: Coin {
                suite: 1,
                key_id: KeyId([3; 32]),
                public: PublicKey([4; 32]),
                r: EncodedPoint([5; 32]),
                z: EncodedScalar([6; 32]),
                y: EncodedScalar([7; 32]),
            },
            bank: PublicKey([1; 32]),
            value: 1024,
            origin: Origin::withdrawn(0, 0),
            status,
        }
    }

    #[test]
    fn a_coin_shows_its_public_fields_and_no_secret() {
        let json = coin_json(&row(CoinStatus::Available), Some(&key()));
        let names: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        let mut expected = vec![
            "suite",
            "key_id",
            "public",
            "r",
            "z",
            "y",
            "value",
            "status",
            "purchase",
            "payment",
            "denomination",
        ];
        expected.sort_unstable();
        assert_eq!(names, expected);
        assert_eq!(json["r"], "05".repeat(32));
        assert_eq!(json["value"], json!({ "units": 1024, "text": "10.24" }));
        assert_eq!(json["denomination"]["x"], "02".repeat(32));
        assert_eq!(json["denomination"]["issue_until_ms"], 2);
        assert_eq!(json["purchase"], Value::Null);
        assert_eq!(coin_json(&row(CoinStatus::Spent(3)), None)["purchase"], 3);
    }

    #[test]
    fn coins_are_a_table() {
        assert_eq!(
            coins_table(&[(&row(CoinStatus::InPurchase(1)), Some(&key()))], 3),
            "VALUE  CURRENCY  STATUS       SPEND UNTIL (UTC)  COIN\n\
             10.24  FTG       in-purchase  2024-02-29 00:00   040404040404"
        );
        assert!(coins_table(&[], 3).contains("farthing withdraw"));
        let status = |now_ms| super::status(&row(CoinStatus::Available), Some(&key()), now_ms);
        let (spend_until_ms, redeem_until_ms) = (key().spend_until_ms, key().redeem_until_ms);
        assert_eq!(status(spend_until_ms - 1), "available");
        assert_eq!(status(spend_until_ms), "expired");
        assert_eq!(status(redeem_until_ms), "lost");
    }

    #[test]
    fn a_balance_has_a_line_for_each_part_that_there_is() {
        let row = |status, number: u8| CoinRow {
            bank: PublicKey([number; 32]),
            ..row(status)
        };
        let available = row(CoinStatus::Available, 1);
        let mut balance = Balance::empty(available.bank, Some("EUR".into()));
        balance.add(&available, Some(&key()), false, 1);
        assert_eq!(
            balance_text(None, &balance),
            "10.24 EUR can be spent, bank 010101010101"
        );
        balance.add(&row(CoinStatus::InPurchase(1), 1), Some(&key()), false, 1);
        balance.add(&available, Some(&key()), false, key().spend_until_ms);
        balance.add(&available, Some(&key()), false, key().redeem_until_ms);
        balance.add(&row(CoinStatus::Spent(1), 1), Some(&key()), false, 1);
        assert_eq!(
            balance_text(None, &balance),
            "10.24 EUR can be spent, bank 010101010101\n  \
             10.24 EUR has expired; `farthing exchange` renews it, before 2024-03-07 00:00, or it is lost\n  \
             10.24 EUR is in purchases under way\n  \
             10.24 EUR is lost: it was not exchanged in time, and the bank does not take it any more"
        );
        let json = balance_json(None, &balance);
        assert_eq!(json["total"]["units"], 3 * 1024);
        assert_eq!(json["lost"]["units"], 1024);
        assert_eq!(json["currency"], "EUR");
        balance.in_withdrawals = Amount(300);
        assert!(balance_text(None, &balance).contains("3.00 EUR is being withdrawn"));
        assert_eq!(balance_json(None, &balance)["in_withdrawals"]["units"], 300);
        assert_eq!(balance.total(), Amount(3 * 1024));
        // A quarter of an epoch before the end.
        let mut balance = Balance::empty(available.bank, None);
        let near_ms = key().spend_until_ms - 1;
        balance.add(
            &available,
            Some(&Denomination {
                issue_until_ms: 5,
                ..key()
            }),
            false,
            near_ms,
        );
        assert_eq!(
            balance_text(None, &balance),
            "10.24 can be spent, bank 010101010101\n  \
             10.24 of that expires from 2024-02-29 00:00 on; `farthing exchange` renews it"
        );
    }
}
