//! The count of an item of which a limited number is sold.
//!
//! An offer that is out reserves one, so a customer who pays is never told that another one was faster. A reservation
//! ends in one of three ways:
//!
//! - The sale is committed. Then it takes one from the count.
//! - The escrow has aborted the purchase, or the offer has expired. Then the place is free again. A release that is under
//!   way keeps its place until the escrow has answered, because the escrow may have committed it.
//! - A sealed offer has expired, and the escrow's list of sales, asked for after that, does not have the sale. The escrow
//!   commits sealed offers without the merchant, so neither an abort nor the merchant's clock ends such a reservation.
//!   Silence keeps it.
//!
//! Every function here is a part of a transaction.

use crate::rows::{ITEMS, Item, RESERVATION_ENDS, RESERVATIONS, Reservation, STOCKS, Stock};
use farthing_coin::PublicKey;
use farthing_protocol::documents::Offer;
use farthing_protocol::ids::{ItemId, SaleId};
use farthing_store::{RowKey, StoreError, Transaction};

/// The highest count.
pub const STOCK_MAX: u64 = 1_000_000;

/// How long after the end of a sealed offer the escrow's list decides about its reservation (ms). The escrow's clock may
/// be behind the merchant's.
pub const SEALED_GRACE_MS: u64 = 10 * 60 * 1000;

impl Stock {
    /// Whether another offer can be made.
    pub fn has_free(&self) -> bool {
        self.left.is_none_or(|left| self.reserved < left)
    }
}

impl Reservation {
    /// The reservation of a signed offer.
    pub(crate) fn of(offer: &Offer) -> Option<Self> {
        Some(Self {
            item_id: offer.item_id,
            escrow: *offer.escrows.first()?,
            sealed: offer.sealed_key.is_some(),
            ends_ms: offer.expires_ms,
            releasing: 0,
        })
    }

    /// Whether the reservation is over although nothing was sold.
    pub(crate) fn is_over(&self, passed: &Passed) -> bool {
        let is_past = match passed {
            Passed::Time { now_ms } => !self.sealed && self.ends_ms <= *now_ms,
            Passed::Listed { escrow, asked_ms } => {
                let decided_ms = self.ends_ms.saturating_add(SEALED_GRACE_MS);
                self.sealed && self.escrow == *escrow && decided_ms <= *asked_ms
            }
        };
        self.releasing == 0 && is_past
    }
}

/// What has happened that may end reservations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Passed {
    /// Time has passed. It ends reservations of offers that are not sealed.
    Time {
        /// The time (ms since 1970).
        now_ms: u64,
    },
    /// An escrow has listed all its sales, and all are stored. It ends reservations of that escrow's sealed offers.
    Listed {
        /// The escrow.
        escrow: PublicKey,
        /// When it was asked (ms since 1970).
        asked_ms: u64,
    },
}

impl Passed {
    /// When it has happened (ms since 1970).
    pub(crate) fn at_ms(&self) -> u64 {
        match self {
            Passed::Time { now_ms } => *now_ms,
            Passed::Listed { asked_ms, .. } => *asked_ms,
        }
    }
}

/// The rows that every change of a sale's stock reads.
pub fn sale_stock_reads(item_id: &ItemId, sale_id: &SaleId) -> [RowKey; 2] {
    [STOCKS.key(item_id), RESERVATIONS.key(sale_id)]
}

/// The rows that [`set_stock`] reads.
pub fn set_stock_reads(item_id: &ItemId) -> [RowKey; 2] {
    [ITEMS.key(item_id), STOCKS.key(item_id)]
}

/// Sets how many of an item can still be sold, with the ones that offers reserve. `None` sells any number. Returns the
/// stock, or nothing if the item is not for sale.
///
/// # Errors
/// When the item has sealed offers and no count, as any number of its offers may be out. When the store fails.
pub fn set_stock(
    tx: &mut Transaction<'_>,
    item_id: &ItemId,
    left: Option<u64>,
) -> Result<Option<Stock>, StoreError> {
    let Some(item) = ITEMS.get(tx, item_id)? else {
        return Ok(None);
    };
    let stock = STOCKS.get(tx, item_id)?.unwrap_or_default();
    check_counts(&item, left).map_err(StoreError::Refused)?;
    if item.sealed && left.is_some() && stock.left.is_none() {
        return Err(StoreError::Refused(
            "its offers are sealed and had no count, so any number of them may still be bought; add the goods again with \
             `goods add --sealed --stock N`, and remove this item"
                .into(),
        ));
    }
    check_count(left)?;
    let stock = Stock { left, ..stock };
    STOCKS.put(tx, item_id, &stock)?;
    Ok(Some(stock))
}

/// Sets the count of an item that is added by the same transaction.
///
/// # Errors
/// When the count is too high, or the store fails.
pub fn open_stock(tx: &mut Transaction<'_>, item_id: &ItemId, left: Option<u64>) -> Result<(), StoreError> {
    check_count(left)?;
    match left {
        Some(_) => STOCKS.put(tx, item_id, &Stock { left, reserved: 0 }),
        None => Ok(()),
    }
}

/// Checks that an item may have this count. Anyone can take a free item without a trace, so nothing counts it.
///
/// # Errors
/// A message for the operator.
pub(crate) fn check_counts(item: &Item, left: Option<u64>) -> Result<(), String> {
    match item.is_free() && left.is_some() {
        true => Err(
            "a free item has no count: anyone could empty it; give it a price, or sell any number (`goods stock ITEM --unlimited`)".into(),
        ),
        false => Ok(()),
    }
}

fn check_count(left: Option<u64>) -> Result<(), StoreError> {
    if left.is_some_and(|left| left > STOCK_MAX) {
        return Err(StoreError::Refused(format!(
            "the count is too high; the highest is {STOCK_MAX}, or give no count"
        )));
    }
    Ok(())
}

/// Reserves one for an offer that is about to be signed. Returns false if all are sold or reserved.
///
/// # Errors
/// When the store fails.
pub fn reserve(tx: &mut Transaction<'_>, sale_id: &SaleId, new: &Reservation) -> Result<bool, StoreError> {
    let stock = match STOCKS.get(tx, &new.item_id)? {
        Some(stock) if stock.left.is_some() => stock,
        _ => return Ok(true),
    };
    if !stock.has_free() {
        return Ok(false);
    }
    put(tx, sale_id, new)?;
    add_reserved(tx, &new.item_id, stock)?;
    Ok(true)
}

/// Takes part in the reservation of an offer whose goods key is about to be released. An offer without one, which is late
/// or older than the count, gets a free place. Returns false if there is none: then nothing may be released.
///
/// # Errors
/// When the store fails.
pub fn begin(tx: &mut Transaction<'_>, offer: &Offer) -> Result<bool, StoreError> {
    let (reservation, is_new) = match (RESERVATIONS.get(tx, &offer.sale_id)?, Reservation::of(offer)) {
        (Some(reservation), _) => (reservation, false),
        (None, Some(reservation)) => (reservation, true),
        (None, None) => return Ok(true),
    };
    if is_new {
        match STOCKS.get(tx, &offer.item_id)? {
            Some(stock) if stock.left.is_some() && !stock.has_free() => return Ok(false),
            Some(stock) if stock.left.is_some() => add_reserved(tx, &offer.item_id, stock)?,
            _ => return Ok(true),
        }
    }
    let releasing = reservation.releasing.saturating_add(1);
    put(
        tx,
        &offer.sale_id,
        &Reservation {
            releasing,
            ..reservation
        },
    )?;
    Ok(true)
}

/// Ends the part of a release that the escrow has refused or aborted. An abort frees the place of an offer that is not
/// sealed. A refusal does not: the customer can send the hold again until the offer expires.
///
/// # Errors
/// When the store fails.
pub fn leave(tx: &mut Transaction<'_>, offer: &Offer, is_aborted: bool) -> Result<(), StoreError> {
    let Some(reservation) = RESERVATIONS.get(tx, &offer.sale_id)? else {
        return Ok(());
    };
    let releasing = reservation.releasing.saturating_sub(1);
    let reservation = Reservation {
        releasing,
        ..reservation
    };
    if is_aborted && releasing == 0 && !reservation.sealed {
        return remove(tx, &offer.sale_id, &reservation);
    }
    put(tx, &offer.sale_id, &reservation)
}

/// Takes one from the count for a sale that is committed, and ends its reservation. Returns how many are left, if the item
/// has a count.
///
/// # Errors
/// When the store fails.
pub fn sell(tx: &mut Transaction<'_>, offer: &Offer) -> Result<Option<u64>, StoreError> {
    if let Some(reservation) = RESERVATIONS.get(tx, &offer.sale_id)? {
        remove(tx, &offer.sale_id, &reservation)?;
    }
    let Some(stock) = STOCKS.get(tx, &offer.item_id)? else {
        return Ok(None);
    };
    let left = stock.left.map(|left| left.saturating_sub(1));
    STOCKS.put(tx, &offer.item_id, &Stock { left, ..stock })?;
    Ok(left)
}

/// Ends a reservation that is over. Returns whether it was.
///
/// # Errors
/// When the store fails.
pub fn expire(tx: &mut Transaction<'_>, sale_id: &SaleId, passed: &Passed) -> Result<bool, StoreError> {
    match RESERVATIONS.get(tx, sale_id)? {
        Some(reservation) if reservation.is_over(passed) => {
            remove(tx, sale_id, &reservation)?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

fn add_reserved(tx: &mut Transaction<'_>, item_id: &ItemId, stock: Stock) -> Result<(), StoreError> {
    let reserved = stock.reserved.saturating_add(1);
    STOCKS.put(tx, item_id, &Stock { reserved, ..stock })
}

fn put(tx: &mut Transaction<'_>, sale_id: &SaleId, reservation: &Reservation) -> Result<(), StoreError> {
    RESERVATION_ENDS.put(tx, &(reservation.ends_ms, *sale_id), &())?;
    RESERVATIONS.put(tx, sale_id, reservation)
}

/// Removes a reservation, so that its place is free.
fn remove(tx: &mut Transaction<'_>, sale_id: &SaleId, reservation: &Reservation) -> Result<(), StoreError> {
    RESERVATION_ENDS.delete(tx, &(reservation.ends_ms, *sale_id))?;
    RESERVATIONS.delete(tx, sale_id)?;
    if let Some(stock) = STOCKS.get(tx, &reservation.item_id)? {
        let reserved = stock.reserved.saturating_sub(1);
        STOCKS.put(tx, &reservation.item_id, &Stock { reserved, ..stock })?;
    }
    Ok(())
}
