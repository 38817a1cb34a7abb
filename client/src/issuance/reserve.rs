//! Withdrawals from a reserve of this wallet, driven until the coins are in the wallet.

use super::{
    exchange::{NUMBERS_MAX, fitting, numbers_used},
    row::At,
    run::drive,
};
use crate::{
    counters::{number_reads, take_numbers},
    error::WalletError,
    keys::{current_keys, issuing},
    peer_client::PeerClient,
    rows::{
        Counter, RESERVE_WITHDRAWALS, RESERVES, ReserveOrigin, ReserveRow, ReserveWithdrawalRow, is_under_way,
    },
    scan_record::{GAP_MAX, bridge_gap},
    wallet::Wallet,
};
use farthing_coin::{KeyId, PublicKey};
use farthing_node::card::Card;
use farthing_protocol::{
    api::Question,
    issue::IssueState,
    limits::COINS_PER_REQUEST_MAX,
    money::Amount,
    withdraw::{ReserveWithdrawal, Withdrawal},
};
use farthing_store::{Reads, StoreError, Transaction};

/// Withdraws `balance` from the reserve, or as much of it as one request can. If a copy of this wallet has used a number for
/// something else, the next number is tried.
///
/// # Errors
/// When the bank refuses, or does not answer; `resume` then carries on.
pub(crate) async fn withdraw_from_reserve(
    wallet: &Wallet,
    bank: &Card,
    origin: &ReserveOrigin,
    balance: Amount,
    peer: &mut PeerClient<'_>,
) -> Result<(), WalletError> {
    wallet.check_restored(&bank.identity)?;
    let keys = current_keys(wallet, bank).await?;
    let values = coins_of(balance, keys.values()).ok_or(WalletError::NoCoins(balance))?;
    let outputs = issuing(&keys, &values, wallet.now_ms())?;
    for _ in 0..NUMBERS_MAX {
        bridge_gap(wallet, bank, Counter::Exchanges, 1, GAP_MAX).await?;
        let at = plan(wallet, bank.identity, origin, outputs.clone()).await?;
        let ended: ReserveWithdrawalRow = drive(wallet, at, peer).await?;
        if ended.withdrawal.0.state == IssueState::Done {
            return Ok(());
        }
    }
    Err(numbers_used(bank, Question::Reserve))
}

/// The values of the coins of a balance. More coins than one request takes are left for the next one.
fn coins_of(balance: Amount, values: &[u64]) -> Option<Vec<u64>> {
    let mut coins = fitting(balance, values)?;
    coins.truncate(COINS_PER_REQUEST_MAX);
    Some(coins)
}

/// Stores a withdrawal before anything is requested. If one from this reserve is under way, it is taken instead.
async fn plan(
    wallet: &Wallet,
    bank: PublicKey,
    origin: &ReserveOrigin,
    outputs: Vec<KeyId>,
) -> Result<At, WalletError> {
    let (seed, now_ms) = (wallet.seed_for(&bank), wallet.now_ms());
    let (origin, at) = (origin.clone(), (bank, origin.key(&seed)?.public()));
    let reads = Reads::from([RESERVES.key(&at), number_reads(&bank, Counter::Exchanges)]);
    let reads = reads.then(move |first| {
        let latest = first.get(&RESERVES, &at)?.and_then(|row| row.latest);
        let latest = latest.map(|number| RESERVE_WITHDRAWALS.key(&(bank, number)));
        Ok(latest.into_iter().collect())
    });
    wallet
        .transact(reads, move |tx| {
            let row = RESERVES.get(tx, &at)?;
            let row = row.unwrap_or_else(|| ReserveRow::new(origin.clone()));
            if let Some(number) = open_withdrawal(tx, bank, &row)? {
                return Ok((bank, number));
            }
            let number = take_numbers(tx, &bank, Counter::Exchanges, 1)?;
            let withdrawal = ReserveWithdrawal(Withdrawal {
                bank,
                account: at.1,
                request_id: seed.exchange_id(number),
                outputs: outputs.clone(),
                state: IssueState::Beginning,
            });
            let planned = ReserveWithdrawalRow {
                withdrawal,
                origin: origin.clone(),
                begun_ms: now_ms,
            };
            RESERVE_WITHDRAWALS.put(tx, &(bank, number), &planned)?;
            let latest = Some(number);
            RESERVES.put(tx, &at, &ReserveRow { latest, ..row })?;
            Ok((bank, number))
        })
        .await
}

/// The latest withdrawal from a reserve, if it is under way.
fn open_withdrawal(
    tx: &mut Transaction<'_>,
    bank: PublicKey,
    row: &ReserveRow,
) -> Result<Option<u64>, StoreError> {
    let Some(number) = row.latest else {
        return Ok(None);
    };
    let latest = RESERVE_WITHDRAWALS.get(tx, &(bank, number))?;
    let is_open = latest.is_some_and(|row| is_under_way(&row.withdrawal.0.state));
    Ok(is_open.then_some(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_balance_is_withdrawn_in_coins_of_one_request_each() {
        let values: Vec<u64> = (0..4).map(|exponent| 1 << exponent).collect();
        assert_eq!(coins_of(Amount(5), &values), Some(vec![4, 1]));
        let mut left = 64 * 8 * 2 + 13;
        let mut requests = 0;
        while left > 0 {
            let coins = coins_of(Amount(left), &values).expect("the values have a 1");
            assert!(coins.len() <= COINS_PER_REQUEST_MAX);
            left -= coins.iter().sum::<u64>();
            requests += 1;
        }
        assert_eq!(requests, 3);
        assert_eq!(coins_of(Amount(3), &[2, 4]), None);
    }
}
