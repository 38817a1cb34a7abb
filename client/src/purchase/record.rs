//! The writes of a purchase's steps. All writes of a step are one transaction.

use crate::{
    coin_finding::CoinFinding,
    coins::{coin_reads, coin_row, have_status, set_status},
    counters::{bridged_reads, mark_bridged, number_reads, take_numbers},
    recovery::{end_recovered, recovered_reads},
    reserves::{change_reads, owe_change},
    rows::{
        COUNTERS, CoinRow, CoinStatus, Counter, FileId, NO_BANK, PURCHASES, PurchaseRow, REPLACEABLE,
        SMALL_GOODS, SmallGoods,
    },
};
use farthing_coin::{Coin, PublicKey};
use farthing_protocol::{
    money::Amount,
    purchase::{Order, Purchase},
};
use farthing_store::{Reads, RowKey, StoreError, Transaction};

/// A write of a step of a purchase.
#[derive(Clone)]
pub(crate) enum Write {
    /// Stores the purchase for the first time, under the next free number.
    Begin {
        /// The purchase to store.
        row: PurchaseRow,
        /// Its encrypted goods, if they are small and were fetched.
        goods: Option<SmallGoods>,
        /// The file that they may replace.
        replaceable: Option<FileId>,
    },
    /// Puts coins to the purchase, if they are available, and if the number and the order's counter are free.
    Place {
        /// Number of the purchase.
        number: u64,
        /// The purchase as the store has it.
        before: Option<Purchase>,
        /// The purchase with its order.
        row: PurchaseRow,
        /// Its encrypted goods, if they are small and were fetched.
        goods: Option<SmallGoods>,
        /// The file that they may replace. Without effect for a purchase that is stored already.
        replaceable: Option<FileId>,
    },
    /// Stores the purchase's state and the new status of its coins.
    Save {
        /// Number of the purchase.
        number: u64,
        /// The purchase as the store has it.
        before: Purchase,
        /// The purchase to store.
        row: PurchaseRow,
    },
    /// Stores what a bank's denial says of a coin.
    Used {
        /// The bank.
        bank: PublicKey,
        /// All coins of the purchase.
        coins: Vec<Coin>,
        /// The finding.
        finding: CoinFinding,
        /// Time of the denial (ms since 1970).
        now_ms: u64,
    },
    /// Stores small encrypted goods.
    Goods {
        /// Number of the purchase.
        number: u64,
        /// The goods.
        goods: SmallGoods,
    },
    /// Ends the purchase as recovered, if all coins have left it.
    EndRecovered {
        /// Number of the purchase.
        number: u64,
    },
}

/// The result of a step's writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// Written.
    Done,
    /// Written. The purchase is new and has this number.
    Begun(u64),
    /// Written. The purchase has ended as recovered.
    Recovered,
    /// Not written: another task of this program has changed the purchase, a coin or a number first.
    Overtaken,
}

impl Written {
    /// Whether it was written.
    pub(crate) fn is_done(self) -> bool {
        self != Written::Overtaken
    }
}

impl Write {
    /// Whether it stores the purchase's state.
    pub(crate) fn saves(&self) -> bool {
        matches!(
            self,
            Write::Begin { .. } | Write::Place { .. } | Write::Save { .. }
        )
    }
}

/// The rows that [`apply`] reads.
pub(crate) fn reads(writes: &[Write]) -> Reads {
    let mut reads = Reads::none();
    for write in writes {
        reads = match write {
            Write::Begin { .. } => reads.and([number_reads(&NO_BANK, Counter::Purchases)]),
            Write::Place { number, row, .. } => {
                let purchase = [PURCHASES.key(number), number_reads(&NO_BANK, Counter::Purchases)];
                let order = row.purchase.order();
                let order = order.map(|order| order_reads(order, number_reads));
                reads.and(purchase).and(order.unwrap_or_default())
            }
            Write::Save { number, row, .. } => {
                let order = row.purchase.order();
                let terms = order.map(|order| &order.contract.terms);
                let change = terms.map(|terms| change_reads(&terms.bank, &terms.purchase_key));
                let order = order.map(|order| order_reads(order, bridged_reads));
                let reads = reads.and([PURCHASES.key(number)]).and(change);
                reads.and(order.unwrap_or_default())
            }
            Write::Used {
                bank, coins, finding, ..
            } => reads.and(coin_reads(coins)).and(finding.reads(bank)),
            Write::Goods { .. } => reads,
            Write::EndRecovered { number } => {
                let number = *number;
                reads
                    .and([PURCHASES.key(&number)])
                    .then(move |first| recovered_reads(first, number))
            }
        };
    }
    reads
}

/// The rows of an order: its coins, and the counter of its bank.
fn order_reads(order: &Order, counted: impl Fn(&PublicKey, Counter) -> RowKey) -> Vec<RowKey> {
    let mut reads = coin_reads(&order.payment.coins);
    reads.push(counted(&order.contract.terms.bank, Counter::Orders));
    reads
}

/// Applies the writes of a step.
///
/// # Errors
/// When the store fails.
pub(crate) fn apply(tx: &mut Transaction<'_>, writes: &[Write]) -> Result<Written, StoreError> {
    let mut written = Written::Done;
    for write in writes {
        match apply_one(tx, write)? {
            Written::Done => {}
            Written::Overtaken => return Ok(Written::Overtaken),
            other => written = other,
        }
    }
    Ok(written)
}

fn apply_one(tx: &mut Transaction<'_>, write: &Write) -> Result<Written, StoreError> {
    match write {
        Write::Begin {
            row,
            goods,
            replaceable,
        } => {
            let number = take_numbers(tx, &NO_BANK, Counter::Purchases, 1)?;
            keep_goods(tx, number, goods.as_ref())?;
            keep_replaceable(tx, number, *replaceable)?;
            PURCHASES.put(tx, &number, row)?;
            Ok(Written::Begun(number))
        }
        Write::Place {
            number,
            before,
            row,
            goods,
            replaceable,
        } => {
            let placed = place(tx, *number, before.as_ref(), row, goods.as_ref())?;
            if placed.is_done() && before.is_none() {
                keep_replaceable(tx, *number, *replaceable)?;
            }
            Ok(placed)
        }
        Write::Save { number, before, row } => save(tx, *number, before, row),
        Write::Used {
            bank,
            coins,
            finding,
            now_ms,
        } => {
            mark_used(tx, bank, coins, finding, *now_ms)?;
            Ok(Written::Done)
        }
        Write::Goods { number, goods } => {
            SMALL_GOODS.put(tx, number, goods)?;
            Ok(Written::Done)
        }
        Write::EndRecovered { number } => {
            let is_recovered = end_recovered(tx, *number)?;
            Ok(if is_recovered {
                Written::Recovered
            } else {
                Written::Done
            })
        }
    }
}

fn keep_goods(tx: &mut Transaction<'_>, number: u64, goods: Option<&SmallGoods>) -> Result<(), StoreError> {
    match goods {
        Some(goods) => SMALL_GOODS.put(tx, &number, goods),
        None => Ok(()),
    }
}

/// Stores the file that the goods of a new purchase may replace.
fn keep_replaceable(
    tx: &mut Transaction<'_>,
    number: u64,
    replaceable: Option<FileId>,
) -> Result<(), StoreError> {
    match replaceable {
        Some(file) => REPLACEABLE.put(tx, &number, &file),
        None => Ok(()),
    }
}

fn place(
    tx: &mut Transaction<'_>,
    number: u64,
    before: Option<&Purchase>,
    row: &PurchaseRow,
    goods: Option<&SmallGoods>,
) -> Result<Written, StoreError> {
    let Some(order) = row.purchase.order() else {
        return Ok(Written::Overtaken);
    };
    let (bank, coins) = (order.contract.terms.bank, &order.payment.coins);
    if PURCHASES.get(tx, &number)?.map(|now| now.purchase).as_ref() != before {
        return Ok(Written::Overtaken);
    }
    if !have_status(tx, coins, CoinStatus::Available)? {
        return Ok(Written::Overtaken);
    }
    let next = |tx: &mut Transaction<'_>, bank: &PublicKey, counter: Counter| {
        Ok::<u64, StoreError>(COUNTERS.get(tx, &(*bank, counter as u8))?.unwrap_or(0))
    };
    if next(tx, &bank, Counter::Orders)? != order.counter {
        return Ok(Written::Overtaken);
    }
    if before.is_none() {
        if next(tx, &NO_BANK, Counter::Purchases)? != number {
            return Ok(Written::Overtaken);
        }
        take_numbers(tx, &NO_BANK, Counter::Purchases, 1)?;
    }
    take_numbers(tx, &bank, Counter::Orders, 1)?;
    set_status(tx, coins, |_| CoinStatus::InPurchase(number))?;
    keep_goods(tx, number, goods)?;
    PURCHASES.put(tx, &number, row)?;
    Ok(Written::Done)
}

fn save(
    tx: &mut Transaction<'_>,
    number: u64,
    before: &Purchase,
    row: &PurchaseRow,
) -> Result<Written, StoreError> {
    let now = PURCHASES.get(tx, &number)?;
    if now.is_none_or(|now| now.purchase != *before) {
        return Ok(Written::Overtaken);
    }
    if let Purchase::Held(order, _) | Purchase::Streaming(order, _) | Purchase::Committed(order, _) =
        &row.purchase
        && !order.payment.coins.is_empty()
    {
        // The bank has the recovery record that came with the coins.
        let bank = order.contract.terms.bank;
        mark_bridged(tx, &bank, Counter::Orders, order.counter.saturating_add(1))?;
    }
    match &row.purchase {
        Purchase::Committed(order, _) => {
            let spent = CoinStatus::Spent(number);
            set_status(tx, &order.payment.coins, |coin| ended(coin, number, spent))?;
            keep_change(tx, order, row.purchase.paid().unwrap_or_default())?;
        }
        Purchase::Aborted(order, _) => {
            let released = CoinStatus::Released(number);
            set_status(tx, &order.payment.coins, |coin| ended(coin, number, released))?;
        }
        _ => {}
    }
    PURCHASES.put(tx, &number, row)?;
    Ok(Written::Done)
}

/// Records what the bank owes if the coins of an order were worth more than what was paid.
fn keep_change(tx: &mut Transaction<'_>, order: &Order, paid: Amount) -> Result<(), StoreError> {
    let mut worth = 0u64;
    for coin in &order.payment.coins {
        let row = coin_row(tx, &(coin.key_id, coin.public))?;
        worth = worth.saturating_add(row.map_or(0, |row| row.value));
    }
    let terms = &order.contract.terms;
    match terms.change(Amount(worth), paid) {
        Some(change) => owe_change(tx, (terms.bank, terms.purchase_key), order.counter, change),
        None => Ok(()),
    }
}

/// The status of a coin after its purchase has ended. A coin that turned out to be used elsewhere keeps its status.
fn ended(row: &CoinRow, number: u64, status: CoinStatus) -> CoinStatus {
    match row.status {
        // A released coin becomes spent too, if the bank has obeyed a commit of an escrow that also signed an abort.
        CoinStatus::InPurchase(other) | CoinStatus::Released(other) if other == number => status,
        other => other,
    }
}

fn mark_used(
    tx: &mut Transaction<'_>,
    bank: &PublicKey,
    coins: &[Coin],
    finding: &CoinFinding,
    now_ms: u64,
) -> Result<(), StoreError> {
    let Some((used, status)) = finding.take_effect(tx, bank, now_ms)? else {
        return Ok(());
    };
    let mut coins = coins.to_vec();
    coins.retain(|coin| coin.public == used);
    // A coin that is used up keeps its status. So does a coin in an exchange: the exchange shows the use.
    set_status(tx, &coins, |row| match row.status {
        now @ CoinStatus::InExchange(_) => now,
        now if now.is_past() => now,
        _ => status,
    })
}
