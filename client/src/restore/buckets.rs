//! The bank's public records, read bucket by bucket, so that the bank does not learn which record is wanted.

use crate::{error::WalletError, wallet::Wallet};
use farthing_node::{card::Card, network::Lane};
use farthing_protocol::{
    ids::RecordId,
    limits::RESTORE_PAGE_MAX,
    restore::{BucketRecord, BucketRequest, Prefix, Shelf},
};
use std::collections::{BTreeMap, BTreeSet};

/// Upper bound of the pages that are read of one bucket, or of an account's withdrawals.
pub(crate) const PAGES_MAX: usize = 100_000;

/// The buckets that a restore has fetched so far.
#[derive(Default)]
pub(crate) struct Fetched {
    bits: BTreeMap<Shelf, u8>,
    seen: BTreeSet<(Shelf, Prefix)>,
    records: BTreeMap<(Shelf, Prefix), Vec<BucketRecord>>,
}

/// The records of the bucket that contains `id`. Each bucket is fetched once, on a connection of its own.
pub(crate) async fn bucket<'f>(
    wallet: &Wallet,
    bank: &Card,
    fetched: &'f mut Fetched,
    shelf: Shelf,
    id: &RecordId,
) -> Result<&'f [BucketRecord], WalletError> {
    let bits = match fetched.bits.get(&shelf) {
        Some(bits) => *bits,
        None => {
            // The first page of the whole shelf says how large it is. Every wallet asks the same for it.
            let whole = Prefix::of(&RecordId([0; 32]), 0);
            let request = BucketRequest {
                shelf,
                prefix: whole,
                after: None,
            };
            let page = wallet.peer_client(bank, Lane::Anonymous).must(&request).await?;
            let bits = Prefix::bits_for(page.shelf_records);
            fetched.bits.insert(shelf, bits);
            bits
        }
    };
    let prefix = Prefix::of(id, bits);
    if !fetched.seen.contains(&(shelf, prefix)) {
        let records = fetch_bucket(wallet, bank, shelf, prefix).await?;
        fetched.records.insert((shelf, prefix), records);
        fetched.seen.insert((shelf, prefix));
    }
    Ok(fetched
        .records
        .get(&(shelf, prefix))
        .map(Vec::as_slice)
        .unwrap_or_default())
}

async fn fetch_bucket(
    wallet: &Wallet,
    bank: &Card,
    shelf: Shelf,
    prefix: Prefix,
) -> Result<Vec<BucketRecord>, WalletError> {
    let mut peer = wallet.peer_client(bank, Lane::Anonymous);
    let mut records = Vec::new();
    let mut after = None;
    for _ in 0..PAGES_MAX {
        let page = peer.must(&BucketRequest { shelf, prefix, after }).await?;
        if page.records.len() > RESTORE_PAGE_MAX {
            let why = format!("a page of {} records", page.records.len());
            return Err(WalletError::Garbled {
                party: bank.title(),
                why,
            });
        }
        records.extend(page.records);
        after = page.more_after;
        if after.is_none() {
            break;
        }
    }
    Ok(records)
}
