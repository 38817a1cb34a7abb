//! Pages for wallets that are restored from their seed. They are bounded, and read durable rows only.

use crate::rows::{COINS, EXCHANGED, KEY_TOTALS, RECOVERY_RECORDS, TOTALS, WITHDRAWN};
use farthing_coin::{RecoveryRecordId, RequestId, SecretKey, Signed};
use farthing_node::call::unavailable;
use farthing_protocol::{
    coins::CoinState,
    ids::RecordId,
    limits::RESTORE_PAGE_MAX,
    refusal::Refusal,
    restore::{
        BucketPage, BucketRecord, BucketRequest, CoinUsed, Shelf, VerifiedWithdrawals, WithdrawalsPage,
    },
};
use farthing_store::{StoreError, View};
use std::ops::Bound;

/// One more row than a page has, to see whether more follow.
const LOOK_AHEAD: usize = RESTORE_PAGE_MAX + 1;

/// A page of an account's finished withdrawals.
///
/// # Errors
/// When the store cannot be read.
pub fn withdrawals(
    view: &View,
    request: &VerifiedWithdrawals,
    identity: &SecretKey,
) -> Result<WithdrawalsPage, Refusal> {
    let account = request.account();
    let after = request.after().map(|id| (account, id));
    let from = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
    let rows = WITHDRAWN
        .scan_under(view, &account, from, LOOK_AHEAD)
        .map_err(|e| unavailable(&e))?;
    let more = rows.len() > RESTORE_PAGE_MAX;
    let records = rows
        .into_iter()
        .take(RESTORE_PAGE_MAX)
        .map(|(_, issued)| Signed::sign(issued, identity))
        .collect();
    Ok(WithdrawalsPage { records, more })
}

/// A page of a bucket.
///
/// # Errors
/// When the prefix is too long, or the store cannot be read.
pub fn bucket(view: &View, request: &BucketRequest, identity: &SecretKey) -> Result<BucketPage, Refusal> {
    request.prefix.check()?;
    let page = match request.shelf {
        Shelf::Exchanges => exchanges(view, request, identity),
        Shelf::Notes => notes(view, request),
        Shelf::Coins(_) => coins(view, request),
    };
    page.map_err(|e| unavailable(&e))
}

fn exchanges(view: &View, request: &BucketRequest, identity: &SecretKey) -> Result<BucketPage, StoreError> {
    let first = RequestId(request.prefix.first().0);
    let after = request.after.map(|id| RequestId(id.0));
    let from = from(&first, after.as_ref());
    let rows = EXCHANGED.scan(view, from, LOOK_AHEAD)?;
    let records = rows
        .into_iter()
        .take_while(|(id, _)| request.prefix.holds(&(*id).into()))
        .map(|(id, issued)| (id.into(), BucketRecord::Exchange(Signed::sign(issued, identity))))
        .collect();
    let shelf = TOTALS.peek(view, &())?.unwrap_or_default().exchanges;
    Ok(page(records, shelf))
}

fn notes(view: &View, request: &BucketRequest) -> Result<BucketPage, StoreError> {
    let first = (RecoveryRecordId(request.prefix.first().0), 0);
    let after = request.after.map(|id| (RecoveryRecordId(id.0), u8::MAX));
    let from = from(&first, after.as_ref());
    let rows = RECOVERY_RECORDS.scan(view, from, LOOK_AHEAD)?;
    let mut records: Vec<(RecordId, BucketRecord)> = rows
        .into_iter()
        .take_while(|((id, _), _)| request.prefix.holds(&(*id).into()))
        .map(|((note_id, _), note)| {
            let note = note.bytes;
            (note_id.into(), BucketRecord::Note { note_id, note })
        })
        .collect();
    // A page ends between two ids, as the next page begins after an id. No id has as many records as a page.
    if records.len() > RESTORE_PAGE_MAX
        && let Some((cut, _)) = records.last().cloned()
    {
        let whole = records.iter().take_while(|(id, _)| *id != cut).count();
        let more = records.get(whole.saturating_sub(1)).map(|(id, _)| *id);
        records.truncate(whole);
        let shelf_records = TOTALS.peek(view, &())?.unwrap_or_default().recovery_records;
        return Ok(BucketPage {
            records: records.into_iter().map(|(_, record)| record).collect(),
            more_after: more,
            shelf_records,
        });
    }
    let shelf = TOTALS.peek(view, &())?.unwrap_or_default().recovery_records;
    Ok(page(records, shelf))
}

fn coins(view: &View, request: &BucketRequest) -> Result<BucketPage, StoreError> {
    let Shelf::Coins(key_id) = request.shelf else {
        return Ok(page(Vec::new(), 0));
    };
    let first = (key_id, farthing_coin::PublicKey(request.prefix.first().0));
    let after = request.after.map(|id| (key_id, farthing_coin::PublicKey(id.0)));
    let from = from(&first, after.as_ref());
    let rows = COINS.scan_under(view, &key_id, from, LOOK_AHEAD)?;
    let records = rows
        .into_iter()
        .take_while(|((_, coin), _)| request.prefix.holds(&(*coin).into()))
        .filter_map(|((_, coin), state)| {
            let used = match state {
                CoinState::Unseen => return None,
                CoinState::Held(_) => CoinUsed::Held,
                CoinState::Spent(_) => CoinUsed::Spent,
                CoinState::Released(_) => CoinUsed::Released,
                CoinState::Exchanged(_) => CoinUsed::Exchanged,
                CoinState::Deposited(_) => CoinUsed::Deposited,
            };
            Some((coin.into(), BucketRecord::Coin { coin, used }))
        })
        .collect();
    let shelf = KEY_TOTALS.peek(view, &key_id)?.unwrap_or_default().shown();
    Ok(page(records, shelf))
}

/// The begin of a page: after the last record of the previous page, and never before the bucket.
fn from<'k, K: Ord>(first: &'k K, after: Option<&'k K>) -> Bound<&'k K> {
    match after {
        Some(after) if after >= first => Bound::Excluded(after),
        _ => Bound::Included(first),
    }
}

fn page(mut records: Vec<(RecordId, BucketRecord)>, shelf_records: u64) -> BucketPage {
    let more = records.len() > RESTORE_PAGE_MAX;
    records.truncate(RESTORE_PAGE_MAX);
    BucketPage {
        more_after: records.last().filter(|_| more).map(|(id, _)| *id),
        records: records.into_iter().map(|(_, record)| record).collect(),
        shelf_records,
    }
}
