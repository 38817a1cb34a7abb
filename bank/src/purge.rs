//! What the bank forgets, so that no purchase costs it most of its rows for ever.
//!
//! A year and four epochs after the last coin of an epoch could come back in any way, it is *closed*, with all earlier ones.
//! A pass over the rows then forgets:
//!
//! 1. the recovery records of purchases whose deadline lies before the first epoch that is not closed;
//! 2. the states of coins of closed epochs;
//! 3. what was issued for coins, if all of it is of closed epochs. What was issued from a reserve proves a debit of the
//!    reserve, so it stays;
//! 4. these purchases themselves, and aborts that came before a hold in that time.
//!
//! Nothing is forgotten of coins that are still held. The states go before what proves them: what was issued, and purchases.
//! What is forgotten is counted for the audit.
//!
//! Nothing that is forgotten can be decided again, as the dates of such coins have passed. A bank whose clock lies before
//! these dates takes no coins at all (`check_clock`). A judge hears no claim about such purchases any more.

use crate::bank::Bank;
use crate::keys::Keys;
use crate::rows::{
    COINS, CONTRADICTIONS, EXCHANGED, FINISHED, FORGOTTEN, PURCHASES, PURGE, Place, Purge, RECOVERY_RECORDS,
    REFUNDS, RESERVE_DEBITS, RESERVE_FINISHES, TOTALS, count,
};
use farthing_coin::{KeyId, PublicKey, RecoveryRecordId, RequestId, StatementDigest};
use farthing_node::purge::{ROUND_MAX, Round, after_bound, full, page_of_coins};
use farthing_protocol::{
    coins::CoinState, documents::Issued, forgetting::closed_by_list, ids::PurchaseId, refusal::Later,
    settle::BankPurchase,
};
use farthing_store::{Reads, RowKey, StoreError, Transaction, View, limits::SCAN_MAX_ROWS};
use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

/// A row that may be forgotten, or that is noted so that it is not.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Old {
    Record((RecoveryRecordId, u8), PurchaseId),
    Coin((KeyId, PublicKey)),
    /// The finish of a withdrawal from a reserve, which is noted.
    Debit(StatementDigest),
    Exchange(StatementDigest, RequestId, Vec<KeyId>),
    Purchase((PurchaseId, PublicKey)),
}

/// What a round has found: the old rows, and where the next round begins.
type Found = (Vec<Old>, Option<Place>);

impl Bank {
    /// Whether the clock stands after the dates of all coins that the bank has forgotten.
    ///
    /// # Errors
    /// When it does not. A coin that was used could then be taken again.
    pub(crate) fn check_clock(&self) -> Result<(), Later> {
        match self.clock.now_ms() >= self.closed_until_ms.load(Ordering::SeqCst) {
            true => Ok(()),
            false => Err(Later::Unavailable(
                "the bank's clock is years behind; its operator has to set it right".into(),
            )),
        }
    }

    /// Looks at the next [`ROUND_MAX`] rows of a pass, and forgets the old ones. A pass begins each time that an epoch more is
    /// closed. It goes on where it was after a restart.
    ///
    /// A bank that doubts its clock, or waits for a witness, forgets nothing.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn purge_round(&self) -> Result<Round, StoreError> {
        let (keys, now_ms) = (self.keys(), self.clock.now_ms());
        let is_sure = self.history.standing().is_ok() && keys.status(now_ms).doubt.is_none();
        let pass = is_sure.then(|| self.pass(closed_by_list(keys.book(), now_ms)));
        let Some((before_ms, place)) = pass.flatten() else {
            return Ok(Round::default());
        };
        // From now on, coins of these epochs are refused by their dates alone.
        let closed_until_ms = keys.taken_until_ms(before_ms);
        self.closed_until_ms.fetch_max(closed_until_ms, Ordering::SeqCst);
        let (old, place) = find(&self.store.view(), &keys, before_ms, place)?;
        let next = Purge { before_ms, place };
        let more = place.is_some();
        // Rounds that find nothing are not written down.
        let forgotten = match old.is_empty() && more {
            true => 0,
            false => {
                let reads = forget_reads(&old);
                let forgetting = self.store.transact(reads, move |tx| forget(tx, &old, &next));
                forgetting.await?
            }
        };
        *self.purge.lock().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(Round { forgotten, more })
    }

    /// The pass that is under way, or a new one if an epoch more is closed than in the last one.
    fn pass(&self, before_ms: u64) -> Option<(u64, Place)> {
        let last = *self.purge.lock().unwrap_or_else(PoisonError::into_inner);
        match last.place {
            Some(place) => Some((last.before_ms, place)),
            None => (before_ms > last.before_ms).then_some((before_ms, Place::Records(None))),
        }
    }
}

/// Finds old rows in the next page from `place`.
fn find(view: &View, keys: &Keys, before_ms: u64, place: Place) -> Result<Found, StoreError> {
    let closed = || keys.closed(before_ms).map(|(id, _)| *id).collect();
    match place {
        Place::Records(after) => find_records(view, before_ms, after),
        Place::Coins(after) => find_coins(view, &closed(), after),
        Place::Debits(after) => find_debits(view, after),
        Place::Exchanges(after) => find_exchanges(view, &closed(), after),
        Place::Purchases(after) => find_purchases(view, before_ms, after),
    }
}

fn find_records(
    view: &View,
    before_ms: u64,
    after: Option<(RecoveryRecordId, u8)>,
) -> Result<Found, StoreError> {
    let rows = RECOVERY_RECORDS.scan(view, after_bound(after.as_ref()), ROUND_MAX)?;
    let next = full(&rows).map_or(Place::Coins(None), |last| Place::Records(Some(last)));
    let mut old = Vec::new();
    for (place, record) in rows {
        if has_ended_before(view, &record.purchase, before_ms)? {
            old.push(Old::Record(place, record.purchase));
        }
    }
    Ok((old, Some(next)))
}

/// Whether a purchase has ended, and had a deadline before `before_ms`. A record is written with its purchase, so a purchase
/// that is not there is forgotten.
fn has_ended_before(view: &View, purchase: &PurchaseId, before_ms: u64) -> Result<bool, StoreError> {
    let rows = PURCHASES.scan_under(view, purchase, Bound::Unbounded, SCAN_MAX_ROWS)?;
    // The id is the digest of the terms, so all rows with terms have the same deadline.
    let with_terms = rows.iter().filter(|(_, row)| row.terms().is_some());
    Ok(with_terms.map(|(_, row)| row).all(|row| is_old(row, before_ms)))
}

/// Whether a purchase has ended, and had a deadline before `before_ms`. An abort that came before a hold has no deadline, so
/// the time counts at which it came.
fn is_old(purchase: &BankPurchase, before_ms: u64) -> bool {
    let dated_ms = match purchase {
        BankPurchase::Held { .. } => None,
        BankPurchase::NotHeld { at_ms, .. } => Some(*at_ms),
        ended => ended.terms().map(|terms| terms.deadline_ms),
    };
    dated_ms.is_some_and(|dated_ms| dated_ms < before_ms)
}

fn find_coins(
    view: &View,
    closed: &BTreeSet<KeyId>,
    after: Option<(KeyId, PublicKey)>,
) -> Result<Found, StoreError> {
    let rows = page_of_coins(&COINS, view, closed, after)?;
    let next = rows
        .last()
        .map_or(Place::Debits(None), |(last, _)| Place::Coins(Some(*last)));
    let is_old = |state: &CoinState| !matches!(state, CoinState::Held(_));
    let old = rows.into_iter().filter(|(_, state)| is_old(state));
    Ok((old.map(|(coin, _)| Old::Coin(coin)).collect(), Some(next)))
}

/// Debits that are not noted yet. A debit that comes later is of a key that is not closed.
fn find_debits(view: &View, after: Option<(PublicKey, StatementDigest)>) -> Result<Found, StoreError> {
    let rows = RESERVE_DEBITS.scan(view, after_bound(after.as_ref()), ROUND_MAX)?;
    let next = full(&rows).map_or(Place::Exchanges(None), |last| Place::Debits(Some(last)));
    let mut old = Vec::new();
    for ((_, finish), _) in rows {
        if RESERVE_FINISHES.peek(view, &finish)?.is_none() {
            old.push(Old::Debit(finish));
        }
    }
    Ok((old, Some(next)))
}

fn find_exchanges(
    view: &View,
    closed: &BTreeSet<KeyId>,
    after: Option<StatementDigest>,
) -> Result<Found, StoreError> {
    let rows = FINISHED.scan(view, after_bound(after.as_ref()), ROUND_MAX)?;
    let next = full(&rows).map_or(Place::Purchases(None), |last| Place::Exchanges(Some(last)));
    let mut old = Vec::new();
    for (finish, id) in rows {
        if RESERVE_FINISHES.peek(view, &finish)?.is_some() {
            continue;
        }
        let is_closed = |issued: &Issued| issued.outputs.iter().all(|output| closed.contains(output));
        if let Some(issued) = EXCHANGED.peek(view, &id)?.filter(is_closed) {
            old.push(Old::Exchange(finish, id, issued.outputs));
        }
    }
    Ok((old, Some(next)))
}

fn find_purchases(
    view: &View,
    before_ms: u64,
    after: Option<(PurchaseId, PublicKey)>,
) -> Result<Found, StoreError> {
    let rows = PURCHASES.scan(view, after_bound(after.as_ref()), ROUND_MAX)?;
    let next = full(&rows).map(|last| Place::Purchases(Some(last)));
    let old = rows.into_iter().filter(|(_, row)| is_old(row, before_ms));
    Ok((old.map(|(key, _)| Old::Purchase(key)).collect(), next))
}

/// The rows that [`forget`] reads.
fn forget_reads(old: &[Old]) -> Reads {
    let rows = |old: &Old| -> Vec<RowKey> {
        match old {
            Old::Record(place, _) => vec![RECOVERY_RECORDS.key(place)],
            Old::Coin(coin) => vec![COINS.key(coin), FORGOTTEN.key(&coin.0)],
            Old::Debit(_) => Vec::new(),
            Old::Exchange(_, id, outputs) => {
                let sums = outputs.iter().map(|output| FORGOTTEN.key(output));
                sums.chain([EXCHANGED.key(id)]).collect()
            }
            Old::Purchase(key) => vec![PURCHASES.key(key)],
        }
    };
    Reads::from([TOTALS.key(&())]).and(old.iter().flat_map(rows))
}

/// Forgets the rows, counts them, and writes how far the pass has come. Returns how many were forgotten.
fn forget(tx: &mut Transaction<'_>, old: &[Old], next: &Purge) -> Result<usize, StoreError> {
    let mut totals = TOTALS.get(tx, &())?.unwrap_or_default();
    let mut forgotten = 0usize;
    for row in old {
        let is_forgotten = match row {
            Old::Record(place, purchase) => {
                let record = RECOVERY_RECORDS.get(tx, place)?;
                let is_there = record.is_some_and(|record| record.purchase == *purchase);
                if is_there {
                    RECOVERY_RECORDS.delete(tx, place)?;
                    totals.recovery_records = totals.recovery_records.saturating_sub(1);
                }
                is_there
            }
            Old::Coin(coin) => forget_coin(tx, coin)?,
            Old::Debit(finish) => {
                RESERVE_FINISHES.put(tx, finish, &())?;
                false
            }
            Old::Exchange(finish, id, outputs) => {
                let is_there = EXCHANGED.get(tx, id)?.is_some();
                if is_there {
                    EXCHANGED.delete(tx, id)?;
                    FINISHED.delete(tx, finish)?;
                    totals.exchanges = totals.exchanges.saturating_sub(1);
                    for output in outputs {
                        count(tx, &FORGOTTEN, output, |sums| {
                            sums.issued = sums.issued.saturating_add(1)
                        })?;
                    }
                }
                is_there
            }
            Old::Purchase(key) => {
                let is_there = PURCHASES
                    .get(tx, key)?
                    .is_some_and(|row| is_old(&row, next.before_ms));
                if is_there {
                    PURCHASES.delete(tx, key)?;
                    REFUNDS.delete(tx, key)?;
                    CONTRADICTIONS.delete(tx, key)?;
                }
                is_there
            }
        };
        forgotten = forgotten.saturating_add(is_forgotten.into());
    }
    TOTALS.put(tx, &(), &totals)?;
    PURGE.put(tx, &(), next)?;
    Ok(forgotten)
}

fn forget_coin(tx: &mut Transaction<'_>, coin: &(KeyId, PublicKey)) -> Result<bool, StoreError> {
    match COINS.get(tx, coin)? {
        None | Some(CoinState::Held(_)) => Ok(false),
        Some(state) => {
            COINS.delete(tx, coin)?;
            count(tx, &FORGOTTEN, &coin.0, |sums| {
                if let Some(sum) = sums.in_state(&state) {
                    *sum = sum.saturating_add(1);
                }
            })?;
            Ok(true)
        }
    }
}
