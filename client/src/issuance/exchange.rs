//! Exchanges, driven until the fresh coins are in the wallet: for change, before keys end, and after an abort.

use super::{row::At, run::drive};
use crate::{
    coins::{coin_reads, have_status, set_status},
    counters::{number_reads, take_numbers},
    error::WalletError,
    keys::{current_keys, issuing},
    rows::{
        COINS, CoinRow, CoinStatus, Counter, EXCHANGE_TIMES, EXCHANGES, ExchangeRow, REFUSED_EXCHANGES,
        input_set,
    },
    scan_record::{GAP_MAX, bridge_gap},
    wallet::Wallet,
};
use farthing_coin::{Coin, KeyId, PublicKey};
use farthing_node::{
    card::{Card, RoleName},
    network::Lane,
};
use farthing_protocol::{
    api::Question,
    exchange::Exchange,
    issue::IssueState,
    limits::COINS_PER_REQUEST_MAX,
    money::{Amount, assortment, change, fewest},
    restore::Origin,
};
use farthing_store::{Reads, StoreError, Transaction, View};

/// How many numbers in a row one exchange, or one withdrawal from a reserve, tries.
pub(super) const NUMBERS_MAX: usize = 32;

impl Wallet {
    /// Like [`exchange`](Wallet::exchange), but a coin that the bank refuses does not stop the others: they are tried
    /// again without it. Returns the exchanged amount and the errors.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn exchange_despite_refusals(
        &self,
        rows: Vec<CoinRow>,
    ) -> Result<(Amount, Vec<WalletError>), WalletError> {
        let (mut total, mut failed) = (Amount(0), Vec::new());
        for part in rows.chunks(COINS_PER_REQUEST_MAX) {
            let mut left = part.to_vec();
            while !left.is_empty() {
                let error = match self.exchange(left.clone()).await {
                    Ok(worth) => {
                        total = Amount(total.0.saturating_add(worth.0));
                        break;
                    }
                    Err(error) => error,
                };
                let denied = match &error {
                    WalletError::CoinDenied { coin, .. } => Some(*coin),
                    WalletError::Refused { .. } => None,
                    // The bank does not answer: these coins are under way, and the others stay as they are.
                    _ => {
                        failed.push(error);
                        return Ok((total, failed));
                    }
                };
                failed.push(error);
                let before = left.len();
                left = unchanged(&self.rows(), &left)?;
                left.retain(|row| Some(row.coin.public) != denied);
                if left.len() == before {
                    break;
                }
            }
        }
        Ok((total, failed))
    }

    /// Exchanges coins of one bank and one status for a fresh assortment of the same worth, in as many requests as
    /// needed. Returns their worth.
    ///
    /// # Errors
    /// When the bank refuses, or does not answer; `resume` then carries on. When the store fails.
    pub async fn exchange(&self, rows: Vec<CoinRow>) -> Result<Amount, WalletError> {
        let Some(first) = rows.first() else {
            return Ok(Amount(0));
        };
        let bank = self.party_by_key(RoleName::Bank, &first.bank)?;
        let keys = current_keys(self, &bank).await?;
        let mut total = Amount(0);
        for part in rows.chunks(COINS_PER_REQUEST_MAX) {
            let worth = Amount(part.iter().fold(0, |sum, row| sum.saturating_add(row.value)));
            let values = fitting(worth, keys.values()).ok_or(WalletError::NoCoins(worth))?;
            exchange_coins(self, &bank, part.to_vec(), &values).await?;
            total = Amount(total.0.saturating_add(worth.0));
        }
        Ok(total)
    }
}

/// Exchanges `inputs`, which all have the same status, for fresh coins of `values`, worth the same. If a copy of this
/// wallet has used a number for other coins, the next number is tried.
///
/// # Errors
/// When the bank refuses, or does not answer; `resume` then carries on.
async fn exchange_coins(
    wallet: &Wallet,
    bank: &Card,
    inputs: Vec<CoinRow>,
    values: &[u64],
) -> Result<(), WalletError> {
    wallet.check_restored(&bank.identity)?;
    let keys = current_keys(wallet, bank).await?;
    let outputs = issuing(&keys, values, wallet.now_ms())?;
    for _ in 0..NUMBERS_MAX {
        bridge_gap(wallet, bank, Counter::Exchanges, 1, GAP_MAX).await?;
        let mut peer = wallet.peer_client(bank, Lane::Anonymous);
        // The connection is made while the plan is written. It shows nothing of the plan.
        let planning = plan_exchange(wallet, bank, inputs.clone(), outputs.clone());
        let (planned, ()) = tokio::join!(biased; planning, peer.prepare());
        let Some(at) = planned? else {
            // Another task has taken a coin. The caller looks at the coins again.
            return Ok(());
        };
        let ended: ExchangeRow = drive(wallet, at, &mut peer).await?;
        if ended.exchange.state == IssueState::Done {
            return Ok(());
        }
    }
    Err(numbers_used(bank, Question::Exchange))
}

/// The error if copies of this wallet have used the next numbers.
pub(super) fn numbers_used(bank: &Card, question: Question) -> WalletError {
    WalletError::Silent {
        party: bank.title(),
        question,
        why: "copies of this wallet have used the next numbers of its exchanges".into(),
    }
}

/// The values of coins of this worth, largest first: an assortment, or the fewest coins if that is too many for a request.
pub(super) fn fitting(worth: Amount, values: &[u64]) -> Option<Vec<u64>> {
    assortment(worth, values)
        .filter(|coins| coins.len() <= COINS_PER_REQUEST_MAX)
        .or_else(|| fewest(worth, values))
}

/// Stores an exchange before anything is requested; `None` if the status of a coin has changed.
///
/// Coins whose exchange was refused keep its number, and no other coins get it: the bank has seen its id beside them.
/// A new number for each attempt would leave a gap that a restore takes for the end.
async fn plan_exchange(
    wallet: &Wallet,
    bank: &Card,
    inputs: Vec<CoinRow>,
    outputs: Vec<KeyId>,
) -> Result<Option<At>, WalletError> {
    let Some(before) = inputs.first().map(|row| row.status) else {
        return Ok(None);
    };
    let coins: Vec<Coin> = inputs.iter().map(|row| row.coin).collect();
    let origins: Vec<Origin> = inputs.iter().map(|row| row.origin).collect();
    let (bank_key, seed, now_ms) = (bank.identity, wallet.seed_for(&bank.identity), wallet.now_ms());
    let reads = Reads::from(coin_reads(&coins))
        .and([number_reads(&bank_key, Counter::Exchanges)])
        .and([REFUSED_EXCHANGES.key(&(bank_key, input_set(&coins)))]);
    let reads = reads.then({
        let set = (bank_key, input_set(&coins));
        move |first| {
            let number = first.get(&REFUSED_EXCHANGES, &set)?;
            Ok(number
                .map(|number| EXCHANGES.key(&(bank_key, number)))
                .into_iter()
                .collect())
        }
    });
    wallet
        .transact(reads, move |tx| {
            if !have_status(tx, &coins, before)? {
                return Ok(None);
            }
            let (number, row) = match take_refused(tx, &bank_key, &coins)? {
                Some((number, refused)) => (number, ExchangeRow { before, ..refused }),
                None => {
                    let number = take_numbers(tx, &bank_key, Counter::Exchanges, 1)?;
                    let exchange = Exchange {
                        bank: bank_key,
                        request_id: seed.exchange_id(number),
                        inputs: coins.clone(),
                        outputs: Vec::new(),
                        state: IssueState::Beginning,
                    };
                    let row = ExchangeRow {
                        exchange,
                        origins: origins.clone(),
                        before,
                    };
                    (number, row)
                }
            };
            set_status(tx, &coins, |_| CoinStatus::InExchange(number))?;
            let row = ExchangeRow {
                exchange: Exchange {
                    outputs: outputs.clone(),
                    state: IssueState::Beginning,
                    ..row.exchange
                },
                ..row
            };
            EXCHANGES.put(tx, &(bank_key, number), &row)?;
            EXCHANGE_TIMES.put(tx, &(bank_key, number), &now_ms)?;
            Ok(Some((bank_key, number)))
        })
        .await
}

/// Exchanges one coin for change, split so that every price up to its value can be paid.
pub(crate) async fn make_change(wallet: &Wallet, row: CoinRow) -> Result<(), WalletError> {
    let bank = wallet.party_by_key(RoleName::Bank, &row.bank)?;
    let values = change(row.value, current_keys(wallet, &bank).await?.values());
    exchange_coins(wallet, &bank, vec![row], &values).await
}

/// Exchanges many small coins for a few large ones.
pub(crate) async fn consolidate(wallet: &Wallet, rows: Vec<CoinRow>) -> Result<(), WalletError> {
    let Some(first) = rows.first() else { return Ok(()) };
    let bank = wallet.party_by_key(RoleName::Bank, &first.bank)?;
    let worth = Amount(rows.iter().fold(0, |sum, row| sum.saturating_add(row.value)));
    let values =
        fewest(worth, current_keys(wallet, &bank).await?.values()).ok_or(WalletError::NoCoins(worth))?;
    exchange_coins(wallet, &bank, rows, &values).await
}

/// Takes the refused exchange of exactly these coins, and its number, to plan it again.
fn take_refused(
    tx: &mut Transaction<'_>,
    bank: &PublicKey,
    coins: &[Coin],
) -> Result<Option<(u64, ExchangeRow)>, StoreError> {
    let key = (*bank, input_set(coins));
    let Some(number) = REFUSED_EXCHANGES.get(tx, &key)? else {
        return Ok(None);
    };
    REFUSED_EXCHANGES.delete(tx, &key)?;
    let row = EXCHANGES.get(tx, &(*bank, number))?;
    let refused = row.filter(|row| matches!(row.exchange.state, IssueState::Refused { .. }));
    Ok(refused.map(|row| (number, row)))
}

/// The rows among `rows` that the store has unchanged.
///
/// # Errors
/// When the store fails.
pub(crate) fn unchanged(view: &View, rows: &[CoinRow]) -> Result<Vec<CoinRow>, StoreError> {
    let mut left = Vec::with_capacity(rows.len());
    for row in rows {
        let now = COINS.peek(view, &(row.coin.key_id, row.coin.public))?;
        left.extend(now.filter(|now| now == row));
    }
    Ok(left)
}
