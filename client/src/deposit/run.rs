//! The runtime of a payment: makes a step's write durable, then sends its request.

use super::step::{Event, Known, Step, Then, step};
use crate::{
    error::WalletError,
    keys::fetch_keys,
    rows::{CoinRow, CoinStatus, DepositState},
    wallet::Wallet,
};
use farthing_node::{card::RoleName, network::Lane};

/// Drives a payment until it has ended. Coins that return after a denial are exchanged: the bank has seen them together,
/// and perhaps beside an account.
///
/// # Errors
/// When the bank refuses, or does not answer within the time of the retry policy.
pub(crate) async fn drive(wallet: &Wallet, number: u64) -> Result<(), WalletError> {
    let outcome = take_steps(wallet, number).await;
    if matches!(outcome, Err(WalletError::Refused { .. })) {
        let row = wallet.payment(number)?;
        if matches!(row.state, DepositState::Refused(_)) {
            let coins = row.deposit.coins();
            let is_back = |coin: &CoinRow| coin.status == CoinStatus::Available && coins.contains(&coin.coin);
            let _errors = wallet
                .exchange_despite_refusals(wallet.coins_that(is_back)?)
                .await?;
        }
    }
    outcome
}

async fn take_steps(wallet: &Wallet, number: u64) -> Result<(), WalletError> {
    let row = wallet.payment(number)?;
    let bank = wallet.party_by_key(RoleName::Bank, &row.deposit.bank)?;
    let seed = wallet.seed_for(&bank.identity);
    let mut peer = wallet.peer_client(&bank, Lane::Anonymous);
    let (mut event, mut are_keys_fresh) = (Event::Resumed, false);
    loop {
        let keys = wallet.stored_keys(&bank)?;
        let known = Known {
            number,
            row: &row,
            rows: &wallet.rows(),
            keys: keys.as_deref(),
            are_keys_fresh,
            seed: &seed,
            bank: &bank,
            now_ms: wallet.now_ms(),
        };
        let Step { write, then } = step(&known, &event)?;
        if let Some(write) = write {
            wallet
                .transact(write.reads(number), move |tx| write.apply(tx, number))
                .await?;
        }
        match then {
            Then::Send(request) => {
                event = match peer.ask(&*request).await? {
                    Ok(deposited) => Event::Answered(deposited),
                    Err(refusal) => Event::Refused(refusal),
                };
            }
            Then::FetchKeys => {
                fetch_keys(wallet, &bank).await?;
                are_keys_fresh = true;
            }
            Then::End(outcome) => return outcome,
        }
    }
}
