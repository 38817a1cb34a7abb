//! Finds the coins of withdrawals and exchanges again, by number.

use super::{
    buckets::{Fetched, PAGES_MAX, bucket},
    search::{Search, ask_for, reserve},
};
use crate::{
    accounts::account_keys,
    coins::coin_reads,
    error::WalletError,
    issuance::{add_coins, new_rows},
    observer::WalletEvent,
    rescan_schedule::mark_arrival,
    rows::{Counter, RESTORED},
    wallet::Wallet,
};
use farthing_coin::{KeyBook, RequestId, Signed};
use farthing_node::{card::Card, network::Lane};
use farthing_protocol::{
    documents::Issued,
    ids::IssueSource,
    issue::{IssuanceFault, finish},
    limits::RESTORE_GAP,
    money::Amount,
    restore::{BucketRecord, Origin, ScanRecord, Shelf, WithdrawalsRequest},
};
use std::collections::BTreeMap;

/// The gap that ends the search while the bank's list of withdrawals still has unmatched records (numbers).
pub(crate) const WITHDRAWAL_GAP: u64 = 100_000;

pub(crate) async fn restore_withdrawals(
    wallet: &Wallet,
    bank: &Card,
    keys: &KeyBook,
    asked: &mut ScanRecord,
) -> Result<(), WalletError> {
    let mut records = withdrawal_records(wallet, bank).await?;
    let seed = wallet.seed_for(&bank.identity);
    let mut search = Search::new(&asked.withdrawals);
    let mut found = 0;
    loop {
        // The bank's whole list is here, so numbers are cheap to try. Go on until every record is matched.
        let gap = if records.is_empty() {
            RESTORE_GAP
        } else {
            WITHDRAWAL_GAP
        };
        let Some(number) = search.next(gap) else { break };
        if let Some(record) = records.remove(&seed.withdraw_id(number)) {
            restore_withdrawal(wallet, bank, keys, number, &record).await?;
            found += 1;
            search.found();
        }
    }
    wallet.observer().on_event(&WalletEvent::Restored {
        what: "withdrawals",
        found,
    });
    reserve(
        wallet,
        &bank.identity,
        Counter::Withdrawals,
        &search,
        &mut asked.withdrawals,
    )
    .await
}

/// All that the bank has issued to the wallet's accounts, by request id.
pub(crate) async fn withdrawal_records(
    wallet: &Wallet,
    bank: &Card,
) -> Result<BTreeMap<RequestId, Signed<Issued>>, WalletError> {
    let mut records = BTreeMap::new();
    for key in account_keys(wallet, &bank.identity)? {
        let mut peer = wallet.peer_client(bank, Lane::Identified);
        let mut after = None;
        for _ in 0..PAGES_MAX {
            let request = WithdrawalsRequest {
                bank: bank.identity,
                account: key.public(),
                after,
            };
            let page = peer.must(&Signed::sign(request, &key)).await?;
            after = page.records.last().map(|record| record.body.request_id);
            records.extend(
                page.records
                    .into_iter()
                    .map(|record| (record.body.request_id, record)),
            );
            if !page.more || after.is_none() {
                break;
            }
        }
    }
    Ok(records)
}

/// Adds the coins of the withdrawal with this number.
pub(crate) async fn restore_withdrawal(
    wallet: &Wallet,
    bank: &Card,
    keys: &KeyBook,
    number: u64,
    record: &Signed<Issued>,
) -> Result<(), WalletError> {
    let request_id = wallet.seed_for(&bank.identity).withdraw_id(number);
    let accounts = account_keys(wallet, &bank.identity)?;
    let mut sources = accounts.iter().map(|key| key.public().into());
    let source = sources
        .find(|account| *account == record.body.source)
        .ok_or(IssuanceFault::Mismatch("source"))?;
    let origin = |slot| Origin::withdrawn(number as u32, slot);
    restore_coins(wallet, bank, keys, &request_id, record, &source, origin).await
}

/// What was issued under the numbers of exchanges: what paid for it, and what it is worth.
pub(crate) type IssuedByNumber = BTreeMap<u64, (IssueSource, Amount)>;

/// Finds the exchanges, and the withdrawals from reserves, which have numbers of exchanges.
pub(crate) async fn restore_exchanges(
    wallet: &Wallet,
    bank: &Card,
    keys: &KeyBook,
    issued: &mut IssuedByNumber,
    asked: &mut ScanRecord,
) -> Result<(), WalletError> {
    let mut fetched = Fetched::default();
    let mut search = Search::new(&asked.exchanges);
    let mut found = 0;
    while let Some(number) = search.next(RESTORE_GAP) {
        ask_for(wallet, &bank.identity, Counter::Exchanges, number).await?;
        if let Some(record) = restore_exchange(wallet, bank, keys, &mut fetched, number).await? {
            issued.insert(number, record);
            found += 1;
            search.found();
        }
    }
    wallet.observer().on_event(&WalletEvent::Restored {
        what: "exchanges",
        found,
    });
    reserve(
        wallet,
        &bank.identity,
        Counter::Exchanges,
        &search,
        &mut asked.exchanges,
    )
    .await
}

/// Adds the coins of the exchange with this number. Returns what paid for them and what they are worth; `None` if there is no
/// such exchange.
pub(crate) async fn restore_exchange(
    wallet: &Wallet,
    bank: &Card,
    keys: &KeyBook,
    fetched: &mut Fetched,
    number: u64,
) -> Result<Option<(IssueSource, Amount)>, WalletError> {
    let request_id = wallet.seed_for(&bank.identity).exchange_id(number);
    let bucket = bucket(wallet, bank, fetched, Shelf::Exchanges, &request_id.into()).await?;
    let record = bucket.iter().find_map(|record| match record {
        BucketRecord::Exchange(issued) if issued.body.request_id == request_id => Some(issued.clone()),
        _ => None,
    });
    let Some(record) = record else {
        return Ok(None);
    };
    let source = record.body.source;
    let origin = |slot| Origin::exchanged(number as u32, slot);
    restore_coins(wallet, bank, keys, &request_id, &record, &source, origin).await?;
    Ok(Some((
        source,
        wallet.worth(&bank.identity, &record.body.outputs)?,
    )))
}

pub(crate) async fn restore_coins(
    wallet: &Wallet,
    bank: &Card,
    keys: &KeyBook,
    request_id: &RequestId,
    record: &Signed<Issued>,
    source: &IssueSource,
    origin: impl Fn(u8) -> Origin,
) -> Result<(), WalletError> {
    let seed = wallet.seed_for(&bank.identity);
    let coins = finish(request_id, record, &bank.identity, source, keys, &seed)?;
    let rows = new_rows(&coins, keys, origin)?;
    let bank = bank.identity;
    let reads = coin_reads(&coins).into_iter().chain([RESTORED.key(&bank)]);
    wallet
        .transact(reads, move |tx| {
            mark_arrival(tx, &bank)?;
            add_coins(tx, &rows)
        })
        .await
}
