//! The recovery records of the wallet's orders. On the wire they are notes.

use super::{
    buckets::{Fetched, bucket},
    search::{Search, ask_for, reserve},
};
use crate::{error::WalletError, observer::WalletEvent, rows::Counter, wallet::Wallet};
use farthing_node::card::Card;
use farthing_protocol::{
    limits::RESTORE_GAP,
    restore::{BucketRecord, RecoveryRecord, ScanRecord, Shelf},
    seal::open_record,
    wire,
};

/// Upper bound of a recovery record's plain text (bytes).
pub(crate) const RECORD_TEXT_MAX_BYTES: usize = 4096;

/// A recovery record that was found and opened.
#[derive(Clone)]
pub(crate) struct FoundRecord {
    pub(crate) counter: u64,
    pub(crate) sealed: Vec<u8>,
    pub(crate) record: RecoveryRecord,
    pub(crate) merchant: Card,
}

/// Finds the recovery records of this wallet's orders. It runs before the search for used coins: the other order
/// would combine a newer record with an older answer about the same coins.
pub(crate) async fn find_records(
    wallet: &Wallet,
    bank: &Card,
    fetched: &mut Fetched,
    asked: &mut ScanRecord,
) -> Result<Vec<FoundRecord>, WalletError> {
    let mut search = Search::new(&asked.orders);
    let mut found = Vec::new();
    while let Some(counter) = search.next(RESTORE_GAP) {
        ask_for(wallet, &bank.identity, Counter::Orders, counter).await?;
        let order_records = records_of_order(wallet, bank, fetched, counter).await?;
        if !order_records.is_empty() {
            found.extend(order_records);
            search.found();
        }
    }
    wallet.observer().on_event(&WalletEvent::Restored {
        what: "purchases",
        found: found.len() as u64,
    });
    reserve(
        wallet,
        &bank.identity,
        Counter::Orders,
        &search,
        &mut asked.orders,
    )
    .await?;
    Ok(found)
}

/// The recovery records under one order's number. Copies of a wallet can leave several under one id, and anyone can
/// leave one that does not open.
pub(crate) async fn records_of_order(
    wallet: &Wallet,
    bank: &Card,
    fetched: &mut Fetched,
    counter: u64,
) -> Result<Vec<FoundRecord>, WalletError> {
    let seed = wallet.seed_for(&bank.identity);
    let (note_id, key) = (
        seed.recovery_record_id(counter),
        seed.recovery_record_key(counter),
    );
    let bucket = bucket(wallet, bank, fetched, Shelf::Notes, &note_id.into()).await?;
    let opened = |record: &BucketRecord| {
        let sealed = match record {
            BucketRecord::Note { note_id: id, note } if *id == note_id => note,
            _ => return None,
        };
        let bytes = open_record(&key, &note_id, sealed).ok()?;
        let text: RecoveryRecord = wire::decode(&bytes, RECORD_TEXT_MAX_BYTES).ok()?;
        let merchant: Card = text.merchant_card.parse().ok()?;
        Some(FoundRecord {
            counter,
            sealed: sealed.clone(),
            record: text,
            merchant,
        })
    };
    Ok(bucket.iter().filter_map(opened).collect())
}
