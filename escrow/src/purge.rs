//! What the escrow forgets, so that no purchase costs it a row for ever.
//!
//! A purchase is *past* when its deadline lies before the first epoch of its bank that is not closed. The escrow writes down
//! up to which deadline that is, for each bank, and never goes back before it. From then on it decides no such purchase any
//! more (`Closed`). Then a pass over the rows forgets, of past purchases:
//!
//! 1. sales on a merchant's list;
//! 2. aborts, and commits that their bank has acknowledged, with the acknowledgement;
//! 3. single sales of purchases that are forgotten;
//! 4. the numbers of purchases that coins of closed epochs have cancelled.
//!
//! So a commit stays until its bank has it, as only a commit gives somebody money. A bank that has applied and forgotten it says
//! that it knows no such purchase, and then the commit goes too (`settle`).

use crate::escrow::Escrow;
use crate::rows::{
    ACKNOWLEDGED, CANCELS, CLOSED_BEFORE, DECISIONS, KEY_LISTS, PURGE, Place, SEALED_SALES, SINGLE_SALES,
    STREAMS,
};
use crate::transactions;
use farthing_coin::{KeyId, PublicKey};
use farthing_node::{
    card::RoleName,
    purge::{ROUND_MAX, Round, after_bound, full, page_of_coins},
};
use farthing_protocol::{
    decision::Decision,
    documents::{PurchaseId, Terms},
    forgetting::closed_by_list,
    ids::SaleId,
};
use farthing_store::{Reads, RowKey, StoreError, Transaction, View, limits::SCAN_MAX_ROWS};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// A row that may be forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Old {
    Sale((PublicKey, u64)),
    Decision(PurchaseId),
    SingleSale((PublicKey, SaleId), PurchaseId),
    Cancels((KeyId, PublicKey)),
}

/// What a round has found: the old rows, and where the next round begins.
type Found = (Vec<Old>, Option<Place>);

/// By bank: deadlines before this one are past.
type Marks = BTreeMap<PublicKey, u64>;

impl Escrow {
    /// Looks at the next [`ROUND_MAX`] rows of a pass, and forgets the old ones. A pass begins each time that an epoch more of
    /// a bank is closed. It goes on where it was after a restart.
    ///
    /// An escrow whose clock cannot be right, or that waits for a witness, forgets nothing.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn purge_round(&self) -> Result<Round, StoreError> {
        let (Ok(now_ms), Ok(())) = (self.now_ms(), self.history.standing()) else {
            return Ok(Round::default());
        };
        let view = self.store.view();
        let place = match PURGE.peek(&view, &())? {
            Some(place) => place,
            None if self.close_epochs(now_ms).await? => Place::Sales(None),
            None => return Ok(Round::default()),
        };
        let marks: Marks = CLOSED_BEFORE
            .scan(&view, Bound::Unbounded, SCAN_MAX_ROWS)?
            .into_iter()
            .collect();
        let (old, next) = match place {
            Place::Sales(after) => find_sales(&view, &marks, after),
            Place::Decisions(after) => find_decisions(&view, &marks, after),
            Place::SingleSales(after) => find_single_sales(&view, after),
            Place::Cancels(after) => find_cancels(&view, &self.closed_keys(&marks), after),
        }?;
        let reads = Reads::from(old.iter().flat_map(rows_of));
        let forgetting = self.store.transact(reads, move |tx| forget(tx, &old, next));
        Ok(Round {
            forgotten: forgetting.await?,
            more: next.is_some(),
        })
    }

    /// Writes down which deadlines are past now. Returns whether these are more than before; a pass then begins.
    async fn close_epochs(&self, now_ms: u64) -> Result<bool, StoreError> {
        // A list that is years old closes nothing.
        for card in self.peers.cards(RoleName::Bank) {
            drop(self.keys.refresh(&card.identity).await);
        }
        let view = self.store.view();
        let mut later = Marks::new();
        for (bank, _) in KEY_LISTS.roots.scan(&view, Bound::Unbounded, SCAN_MAX_ROWS)? {
            // A list that cannot be read closes nothing, and is complained of where it is needed.
            let Ok(Some(book)) = self.keys.kept(&bank) else {
                continue;
            };
            let before_ms = closed_by_list(&book, now_ms);
            if before_ms > CLOSED_BEFORE.peek(&view, &bank)?.unwrap_or_default() {
                later.insert(bank, before_ms);
            }
        }
        if later.is_empty() {
            return Ok(false);
        }
        let reads = Reads::from([PURGE.key(&())]);
        let closing = self.store.transact(reads, move |tx| {
            for (bank, before_ms) in &later {
                CLOSED_BEFORE.put(tx, bank, before_ms)?;
            }
            PURGE.put(tx, &(), &Place::Sales(None))
        });
        closing.await?;
        Ok(true)
    }

    /// The keys of closed epochs.
    fn closed_keys(&self, marks: &Marks) -> BTreeSet<KeyId> {
        let mut closed = BTreeSet::new();
        for (bank, before_ms) in marks {
            if let Ok(Some(book)) = self.keys.kept(bank) {
                let keys = book
                    .denominations()
                    .filter(|(_, key)| key.issue_from_ms < *before_ms);
                closed.extend(keys.map(|(id, _)| *id));
            }
        }
        closed
    }
}

/// Whether the deadline of these terms is past.
fn is_past(marks: &Marks, terms: &Terms) -> bool {
    marks
        .get(&terms.bank)
        .is_some_and(|before_ms| terms.deadline_ms < *before_ms)
}

fn find_sales(view: &View, marks: &Marks, after: Option<(PublicKey, u64)>) -> Result<Found, StoreError> {
    let rows = SEALED_SALES.scan(view, after_bound(after.as_ref()), ROUND_MAX)?;
    let next = full(&rows).map_or(Place::Decisions(None), |last| Place::Sales(Some(last)));
    let old = rows
        .into_iter()
        .filter(|(_, sale)| is_past(marks, &sale.contract.terms));
    Ok((old.map(|(key, _)| Old::Sale(key)).collect(), Some(next)))
}

fn find_decisions(view: &View, marks: &Marks, after: Option<PurchaseId>) -> Result<Found, StoreError> {
    let rows = DECISIONS.scan(view, after_bound(after.as_ref()), ROUND_MAX)?;
    let next = full(&rows).map_or(Place::SingleSales(None), |last| Place::Decisions(Some(last)));
    let mut old = Vec::new();
    for (purchase, decision) in rows {
        if !is_past(marks, decision.terms()) {
            continue;
        }
        let may_go = match decision {
            Decision::Aborted { .. } => true,
            Decision::Committed { .. } | Decision::Streamed { .. } => {
                ACKNOWLEDGED.peek(view, &purchase)?.is_some()
            }
        };
        if may_go {
            old.push(Old::Decision(purchase));
        }
    }
    Ok((old, Some(next)))
}

/// A single sale is written with the decision of its purchase, or with its open stream. So one without either is forgotten.
fn find_single_sales(view: &View, after: Option<(PublicKey, SaleId)>) -> Result<Found, StoreError> {
    let rows = SINGLE_SALES.scan(view, after_bound(after.as_ref()), ROUND_MAX)?;
    let next = full(&rows).map_or(Place::Cancels(None), |last| Place::SingleSales(Some(last)));
    let mut old = Vec::new();
    for (sale, purchase) in rows {
        if DECISIONS.peek(view, &purchase)?.is_none() && STREAMS.peek(view, &purchase)?.is_none() {
            old.push(Old::SingleSale(sale, purchase));
        }
    }
    Ok((old, Some(next)))
}

fn find_cancels(
    view: &View,
    closed: &BTreeSet<KeyId>,
    after: Option<(KeyId, PublicKey)>,
) -> Result<Found, StoreError> {
    let rows = page_of_coins(&CANCELS, view, closed, after)?;
    let next = rows.last().map(|(last, _)| Place::Cancels(Some(*last)));
    Ok((
        rows.into_iter().map(|(coin, _)| Old::Cancels(coin)).collect(),
        next,
    ))
}

/// The rows that [`forget`] reads of an old one.
fn rows_of(old: &Old) -> Vec<RowKey> {
    match old {
        Old::Decision(purchase) => transactions::forget_reads(purchase).to_vec(),
        Old::SingleSale(_, purchase) => vec![DECISIONS.key(purchase), STREAMS.key(purchase)],
        Old::Sale(_) | Old::Cancels(_) => Vec::new(),
    }
}

/// Forgets the rows, counts the decisions among them, and writes how far the pass has come. Returns how many were forgotten.
fn forget(tx: &mut Transaction<'_>, old: &[Old], next: Option<Place>) -> Result<usize, StoreError> {
    let mut forgotten = 0usize;
    for row in old {
        let is_forgotten = match row {
            Old::Sale(key) => {
                SEALED_SALES.delete(tx, key)?;
                true
            }
            Old::Decision(purchase) => transactions::forget(tx, purchase)?,
            Old::SingleSale(sale, purchase) => {
                let is_free = DECISIONS.get(tx, purchase)?.is_none() && STREAMS.get(tx, purchase)?.is_none();
                if is_free {
                    SINGLE_SALES.delete(tx, sale)?;
                }
                is_free
            }
            Old::Cancels(coin) => {
                CANCELS.delete(tx, coin)?;
                true
            }
        };
        forgotten = forgotten.saturating_add(is_forgotten.into());
    }
    match next {
        Some(place) => PURGE.put(tx, &(), &place)?,
        None => PURGE.delete(tx, &())?,
    }
    Ok(forgotten)
}
