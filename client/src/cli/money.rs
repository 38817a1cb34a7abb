//! Commands for accounts and coins.

use super::exit::Exit;
use super::report::{Align, Report, amount, chain, count, date, short, table};
use crate::{
    coins::Balance,
    error::WalletError,
    rows::{CoinRow, CoinStatus},
    wallet::Wallet,
};
use anyhow::Result;
use farthing_coin::{Denomination, KeyId, PublicKey};
use farthing_node::{card::RoleName, network_file::NetworkFileError};
use farthing_protocol::{limits::COINS_PER_REQUEST_MAX, money::Amount};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// How many coins `exchange --all` puts into one request. It is half of the limit, because the fresh assortment may
/// have more coins than the old one.
const EXCHANGED_TOGETHER: usize = COINS_PER_REQUEST_MAX / 2;

/// Shows the account at a bank and its balance.
pub(super) async fn account(wallet: &Wallet, bank: Option<&str>) -> Result<Report> {
    let bank = match wallet.party(RoleName::Bank, bank) {
        Ok(bank) => bank,
        Err(WalletError::Card(NetworkFileError::Nobody(_))) => {
            let text = "no bank is known yet; add its card with `farthing network add CARD`";
            let json = json!({ "account": null, "bank": null, "balance": null, "error": null });
            return Ok(Report::done(text, json));
        }
        Err(other) => return Err(other.into()),
    };
    let account = wallet.account(&bank.identity)?;
    let (balance, error) = match wallet.account_balance(&bank).await {
        Ok(balance) => (Some(balance), None),
        // The key is printed even without an account: the bank needs it to open one.
        Err(error @ (WalletError::Silent { .. } | WalletError::Refused { .. })) => {
            (None, Some(chain(&error.into())))
        }
        Err(other) => return Err(other.into()),
    };
    let says = balance.map_or_else(
        || error.clone().unwrap_or_default(),
        |balance| format!("balance {balance} at {}", bank.title()),
    );
    let json = json!({
        "account": account.to_string(),
        "bank": bank.name,
        "balance": balance.map(amount),
        "error": error,
    });
    Ok(Report::done(format!("account {account}\n{says}"), json))
}

/// Prints only the account key, for scripts.
pub(super) fn account_key(wallet: &Wallet, bank: Option<&str>) -> Result<Report> {
    let bank = wallet.party(RoleName::Bank, bank)?;
    let account = wallet.account(&bank.identity)?.to_string();
    let json = json!({ "account": account, "bank": bank.name });
    Ok(Report::done(account, json))
}

/// Withdraws coins.
pub(super) async fn withdraw(wallet: &Wallet, asked: Amount, bank: Option<&str>) -> Result<Report> {
    if asked == Amount(0) {
        anyhow::bail!("nothing to withdraw; give an amount such as 20.00");
    }
    let bank = wallet.party(RoleName::Bank, bank)?;
    let before = wallet.coins()?.len();
    wallet.withdraw(&bank, asked).await?;
    let coins = wallet.coins()?.len().saturating_sub(before) as u64;
    let balance = wallet.balance()?;
    let text = format!(
        "withdrew {asked} from {} in {}\n{}",
        bank.title(),
        count(coins, "coin"),
        balance_text(&balance)
    );
    let json = json!({
        "withdrawn": amount(asked),
        "coins": coins,
        "bank": bank.name,
        "balance": balance_json(&balance),
    });
    Ok(Report::done(text, json))
}

/// Shows the money in the wallet.
pub(super) fn balance(wallet: &Wallet) -> Result<Report> {
    let balance = wallet.balance()?;
    Ok(Report::done(balance_text(&balance), balance_json(&balance)))
}

/// A balance for people: one line, and one more for each amount that is under way.
pub(super) fn balance_text(balance: &Balance) -> String {
    let mut parts = vec![format!("{} can be spent", balance.available)];
    let under_way = [
        (balance.in_purchases, "is in purchases under way"),
        (
            balance.in_exchanges,
            "is being exchanged, or waits for that (`farthing resume`, `farthing exchange`)",
        ),
    ];
    for (part, says) in under_way {
        if part > Amount(0) {
            parts.push(format!("{part} {says}"));
        }
    }
    parts.join("\n")
}

/// A balance for programs.
pub(super) fn balance_json(balance: &Balance) -> Value {
    json!({
        "available": amount(balance.available),
        "in_purchases": amount(balance.in_purchases),
        "in_exchanges": amount(balance.in_exchanges),
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
    Ok(Report::done(coins_table(&with_keys), json!({ "coins": json })))
}

fn coins_table(coins: &[(&CoinRow, Option<&Denomination>)]) -> String {
    if coins.is_empty() {
        return "no coins; get some with `farthing withdraw AMOUNT`".into();
    }
    let rows: Vec<[String; 5]> = coins
        .iter()
        .map(|(row, key)| {
            [
                Amount(row.value).to_string(),
                key.map(|key| key.currency.clone()).unwrap_or_default(),
                row.status.word().to_owned(),
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

/// The public fields of a coin: all that is needed to verify it, and nothing that spends it.
fn coin_json(row: &CoinRow, key: Option<&Denomination>) -> Value {
    let coin = &row.coin;
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

/// Exchanges released coins and coins whose keys end soon. With `all`, every other coin too.
pub(super) async fn exchange(wallet: &Wallet, all: bool) -> Result<Report> {
    let mut by_bank: BTreeMap<PublicKey, Vec<CoinRow>> = BTreeMap::new();
    if all {
        // Chosen first, so that fresh coins are not exchanged again.
        for row in wallet.coins()? {
            if row.status == CoinStatus::Available {
                by_bank.entry(row.bank).or_default().push(row);
            }
        }
    }
    let (released, mut failed) = wallet.exchange_released().await?;
    let (expiring, more) = wallet.exchange_expiring().await?;
    failed.extend(more);
    let mut total = add(released, expiring);
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
    let balance = wallet.balance()?;
    let mut lines = vec![match total {
        Amount(0) if failed.is_empty() => "nothing to exchange".to_owned(),
        Amount(0) => "nothing was exchanged".to_owned(),
        total => format!("exchanged {total} for fresh coins"),
    }];
    if total > Amount(0) || !failed.is_empty() {
        lines.push(balance_text(&balance));
    }
    let exit = Exit::of_all(&failed);
    let mut open = Vec::with_capacity(failed.len());
    for error in failed {
        let code = Exit::of_wallet(&error).code();
        let why = chain(&error.into());
        lines.push(format!("not exchanged: {why}"));
        open.push(json!({ "error": why, "code": code }));
    }
    let json = json!({ "exchanged": amount(total), "failed": open, "balance": balance_json(&balance) });
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
            redeem_until_ms: 4,
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
            coins_table(&[(&row(CoinStatus::InPurchase(1)), Some(&key()))]),
            "VALUE  CURRENCY  STATUS       SPEND UNTIL (UTC)  COIN\n\
             10.24  FTG       in-purchase  2024-02-29 00:00   040404040404"
        );
        assert!(coins_table(&[]).contains("farthing withdraw"));
    }

    #[test]
    fn a_balance_shows_amounts_under_way_only_if_there_are_any() {
        let mut balance = Balance {
            available: Amount(2000),
            ..Balance::default()
        };
        assert_eq!(balance_text(&balance), "20.00 can be spent");
        balance.in_purchases = Amount(5);
        assert!(balance_text(&balance).contains("0.05 is in purchases under way"));
        assert_eq!(balance_json(&balance)["total"]["units"], 2005);
    }
}
