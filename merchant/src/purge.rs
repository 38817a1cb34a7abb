//! What the merchant forgets, so that no sale costs it rows permanently.
//!
//! An epoch of a bank's coins is closed more than a year after its coins could come back in any way. For any other party than
//! the bank, the bank's list of keys says so together with the clock (`closed_by_list`). A pass over the rows then forgets:
//!
//! 1. the sales that have ended and whose deadline lies in a closed epoch of their bank, with all rows about them;
//! 2. the events from before all epochs that are not closed, except those of sales that are kept.
//!
//! A sale whose refund the bank has not confirmed stays. While the webhook has an event to post, nothing is forgotten: the
//! content of an event comes from its sale. What is forgotten is counted for the books.
//!
//! No forgotten sale begins again: what has no row and such a deadline is refused (`is_forgotten`), whatever the clock says.

use crate::forgotten::{CLOSED_BEFORE, FORGOTTEN_SALES, PURGE, Pass, Place};
use crate::merchant::Merchant;
use crate::payable::BANKS_MAX;
use crate::rows::{BROKEN_PROMISES, EVENTS, KEY_LIST_ROOTS, OPEN_REFUNDS, REFUNDS, SALE_DATES, SALES};
use crate::webhook;
use farthing_coin::PublicKey;
use farthing_node::purge::{ROUND_MAX, Round, after_bound, full};
use farthing_protocol::{documents::PurchaseId, forgetting::closed_by_list};
use farthing_store::{Reads, RowKey, StoreError, Transaction, View};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::PoisonError;

/// A row that may be forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Old {
    /// A sale, with its currency.
    Sale(PurchaseId, String),
    Event(u64),
}

/// What a round has found: the old rows, and where the next round begins.
type Found = (Vec<Old>, Option<Place>);

impl Merchant {
    /// Looks at the next [`ROUND_MAX`] rows of a pass, and forgets the old ones. A pass begins each time that an epoch more of
    /// some bank is closed. It goes on where it was after a restart.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn purge_round(&self) -> Result<Round, StoreError> {
        let (forgotten, view) = (0, self.store.view());
        let Some((pass, place)) = self.pass(&view)? else {
            return Ok(Round::default());
        };
        let (old, place) = find(&view, &pass, place)?;
        // Asked after the rows are read: an event is written together with the state of its sale.
        if !old.is_empty() && webhook::is_behind(&view)? {
            return Ok(Round {
                forgotten,
                more: true,
            });
        }
        let next = Pass { place, ..pass };
        let more = place.is_some();
        // Rounds that find nothing are not written down.
        let forgotten = match old.is_empty() && more {
            true => 0,
            false => {
                let (reads, pass) = (forget_reads(&old, &next), next.clone());
                let forgetting = self.store.transact(reads, move |tx| forget(tx, &old, &pass));
                forgetting.await?
            }
        };
        *self.purge.lock().unwrap_or_else(PoisonError::into_inner) = Some(next);
        Ok(Round { forgotten, more })
    }

    /// The pass that is under way, or a new one if an epoch more of some bank is closed than in the last one.
    fn pass(&self, view: &View) -> Result<Option<(Pass, Place)>, StoreError> {
        let known = self.purge.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let last = match known {
            Some(known) => known,
            None => Pass::read(view)?,
        };
        if let Some(place) = last.place {
            return Ok(Some((last, place)));
        }
        let mut next = last.clone();
        for (bank, closed_before_ms) in self.closed(view)? {
            let date_ms = next.closed_before.entry(bank).or_default();
            *date_ms = closed_before_ms.max(*date_ms);
        }
        let is_later = |(bank, date_ms): (&PublicKey, &u64)| {
            *date_ms > last.closed_before.get(bank).copied().unwrap_or(0)
        };
        let begins = next.closed_before.iter().any(is_later);
        Ok(begins.then_some((next, Place::Sales(None))))
    }

    /// By bank whose list of keys is known, the begin of the first epoch that is not closed (ms since 1970). 0 if its list cannot
    /// be read.
    fn closed(&self, view: &View) -> Result<BTreeMap<PublicKey, u64>, StoreError> {
        let now_ms = self.clock.now_ms();
        let banks = KEY_LIST_ROOTS.scan(view, Bound::Unbounded, BANKS_MAX)?;
        let closed = banks.into_iter().map(|(bank, _)| {
            let book = self.keys.kept(&bank).ok().flatten();
            (bank, book.map_or(0, |book| closed_by_list(&book, now_ms)))
        });
        Ok(closed.collect())
    }
}

/// Finds old rows in the next page from `place`.
fn find(view: &View, pass: &Pass, place: Place) -> Result<Found, StoreError> {
    match place {
        Place::Sales(after) => find_sales(view, pass, after),
        Place::Events(after) => find_events(view, pass, after),
    }
}

fn find_sales(view: &View, pass: &Pass, after: Option<PurchaseId>) -> Result<Found, StoreError> {
    let rows = SALES.scan(view, after_bound(after.as_ref()), ROUND_MAX)?;
    let next = full(&rows).map_or(Place::Events(None), |last| Place::Sales(Some(last)));
    let mut old = Vec::new();
    for (purchase, sale) in rows {
        let terms = sale.contract.terms;
        let has_ended = !sale.state.is_open() && OPEN_REFUNDS.peek(view, &purchase)?.is_none();
        if has_ended && pass.closes(&terms) {
            old.push(Old::Sale(purchase, terms.currency));
        }
    }
    Ok((old, Some(next)))
}

/// The events of a forgotten sale have lost their sale before.
fn find_events(view: &View, pass: &Pass, after: Option<u64>) -> Result<Found, StoreError> {
    let rows = EVENTS.scan(view, after_bound(after.as_ref()), ROUND_MAX)?;
    let next = full(&rows).map(|last| Place::Events(Some(last)));
    let before_ms = pass.all_closed_before_ms();
    let mut old = Vec::new();
    for (number, event) in rows.into_iter().filter(|(_, event)| event.at_ms < before_ms) {
        let has_sale = match event.kind.purchase() {
            Some(purchase) => SALES.peek(view, &purchase)?.is_some(),
            None => false,
        };
        if !has_sale {
            old.push(Old::Event(number));
        }
    }
    Ok((old, next))
}

/// The rows that [`forget`] reads.
fn forget_reads(old: &[Old], pass: &Pass) -> Reads {
    let rows = |old: &Old| -> Vec<RowKey> {
        match old {
            Old::Sale(purchase, currency) => vec![
                SALES.key(purchase),
                REFUNDS.key(purchase),
                OPEN_REFUNDS.key(purchase),
                FORGOTTEN_SALES.key(currency),
            ],
            Old::Event(_) => Vec::new(),
        }
    };
    let banks = pass.closed_before.keys().map(|bank| CLOSED_BEFORE.key(bank));
    Reads::from(banks).and(old.iter().flat_map(rows))
}

/// Forgets the rows, counts them, and writes how far `pass` has come. Returns how many sales and events were forgotten.
fn forget(tx: &mut Transaction<'_>, old: &[Old], pass: &Pass) -> Result<usize, StoreError> {
    for (bank, before_ms) in &pass.closed_before {
        if CLOSED_BEFORE
            .get(tx, bank)?
            .is_none_or(|known_ms| *before_ms > known_ms)
        {
            CLOSED_BEFORE.put(tx, bank, before_ms)?;
        }
    }
    let mut forgotten = 0usize;
    for row in old {
        let is_forgotten = match row {
            Old::Sale(purchase, currency) => forget_sale(tx, purchase, currency)?,
            Old::Event(number) => {
                EVENTS.delete(tx, number)?;
                true
            }
        };
        forgotten = forgotten.saturating_add(is_forgotten.into());
    }
    match &pass.place {
        Some(place) => PURGE.put(tx, &(), place)?,
        None => PURGE.delete(tx, &())?,
    }
    Ok(forgotten)
}

fn forget_sale(
    tx: &mut Transaction<'_>,
    purchase: &PurchaseId,
    currency: &String,
) -> Result<bool, StoreError> {
    // A customer may have begun a sale again that had ended, and the operator a refund.
    let (sale, refund) = (SALES.get(tx, purchase)?, REFUNDS.get(tx, purchase)?);
    let is_refunding = OPEN_REFUNDS.get(tx, purchase)?.is_some();
    let Some(sale) = sale.filter(|_| !is_refunding) else {
        return Ok(false);
    };
    let mut sums = FORGOTTEN_SALES.get(tx, currency)?.unwrap_or_default();
    if !sums.add(&sale, refund.as_ref()) {
        return Ok(false);
    }
    FORGOTTEN_SALES.put(tx, currency, &sums)?;
    SALES.delete(tx, purchase)?;
    SALE_DATES.delete(tx, purchase)?;
    REFUNDS.delete(tx, purchase)?;
    BROKEN_PROMISES.delete(tx, purchase)?;
    Ok(true)
}
