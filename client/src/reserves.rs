//! What the wallet knows of its reserves: what a bank owes under a key of this wallet.
//!
//! The wallet counts what its documents prove, what the bank has signed, and which coins it has got. All of these sums only
//! grow, so the larger one of two is the later one. The coins of a withdrawal are counted in the write that adds them.

use crate::{
    coins::coin_row,
    counters::{bridged_reads, number_reads, take_numbers},
    error::WalletError,
    rows::{BRIDGED, CoinRow, Counter, RESERVES, ReserveOrigin, ReserveRow, all},
    scan_record::reserve_next,
    wallet::Wallet,
};
use farthing_coin::PublicKey;
use farthing_node::card::Card;
use farthing_protocol::{money::Amount, reserve_sums::ReserveSums, withdraw::Withdrawal};
use farthing_store::{RowKey, StoreError, Table, Transaction};
use serde::{Serialize, de::DeserializeOwned};

/// How often a number is taken, if other tasks take the reserved ones.
const TRIES_MAX: usize = 16;

impl Wallet {
    /// What a bank owes in all reserves of this wallet, as far as the wallet knows.
    ///
    /// # Errors
    /// When the store fails.
    pub fn in_reserves(&self, bank: &PublicKey) -> Result<Amount, WalletError> {
        let rows = all(&self.rows(), &RESERVES)?.into_iter();
        let due = rows.filter(|((at, _), _)| at == bank).map(|(_, row)| row.due().0);
        Ok(Amount(due.fold(0, u64::saturating_add)))
    }

    /// Stores sums of a reserve that the bank has signed, as far as they are larger than the known ones.
    pub(crate) async fn raise_sums(
        &self,
        (bank, reserve): (PublicKey, PublicKey),
        origin: &ReserveOrigin,
        stated: ReserveSums,
    ) -> Result<ReserveRow, WalletError> {
        let origin = origin.clone();
        self.transact([RESERVES.key(&(bank, reserve))], move |tx| {
            raise(tx, &(bank, reserve), &origin, stated)
        })
        .await
    }
}

/// Raises the sums of a reserve to these. Returns the row afterwards. A reserve that was never credited has no row.
fn raise(
    tx: &mut Transaction<'_>,
    at: &(PublicKey, PublicKey),
    origin: &ReserveOrigin,
    stated: ReserveSums,
) -> Result<ReserveRow, StoreError> {
    let known = RESERVES.get(tx, at)?;
    let row = known.unwrap_or_else(|| ReserveRow::new(origin.clone()));
    let sums = ReserveSums {
        credited: row.sums.credited.max(stated.credited),
        debited: row.sums.debited.max(stated.debited),
    };
    if sums != row.sums {
        let raised = ReserveRow { sums, ..row };
        RESERVES.put(tx, at, &raised)?;
        return Ok(raised);
    }
    Ok(row)
}

/// The row that [`owe_change`] reads.
pub(crate) fn change_reads(bank: &PublicKey, purchase_key: &PublicKey) -> RowKey {
    RESERVES.key(&(*bank, *purchase_key))
}

/// Records that the bank owes the change of the purchase of an order, once. A wallet that was restored may know of it
/// already.
pub(crate) fn owe_change(
    tx: &mut Transaction<'_>,
    (bank, purchase_key): (PublicKey, PublicKey),
    order: u64,
    change: Amount,
) -> Result<(), StoreError> {
    let known = RESERVES.get(tx, &(bank, purchase_key))?;
    let row = known.unwrap_or_else(|| ReserveRow::new(ReserveOrigin::Order(order)));
    let proven = row.proven.max(change);
    RESERVES.put(tx, &(bank, purchase_key), &ReserveRow { proven, ..row })
}

/// The row that [`count_received`] reads. It reads the rows of the new coins, too.
pub(crate) fn received_reads(withdrawal: &Withdrawal) -> RowKey {
    RESERVES.key(&(withdrawal.bank, withdrawal.account))
}

/// Counts the new coins of a withdrawal from a reserve as received, except coins that the wallet has already.
pub(crate) fn count_received(
    tx: &mut Transaction<'_>,
    withdrawal: &Withdrawal,
    issued: &[CoinRow],
) -> Result<(), StoreError> {
    let at = (withdrawal.bank, withdrawal.account);
    let mut received = 0u64;
    for row in issued {
        if coin_row(tx, &(row.coin.key_id, row.coin.public))?.is_none() {
            received = received.saturating_add(row.value);
        }
    }
    let Some(row) = RESERVES.get(tx, &at)? else {
        return Ok(());
    };
    let received = Amount(row.received.0.saturating_add(received));
    RESERVES.put(tx, &at, &ReserveRow { received, ..row })
}

/// Raises the sums of a reserve after a deposit into the wallet's account, and counts what was deposited as received, once.
pub(crate) async fn count_deposited(
    wallet: &Wallet,
    at: (PublicKey, PublicKey),
    origin: &ReserveOrigin,
    spent: ReserveSums,
) -> Result<(), WalletError> {
    let origin = origin.clone();
    wallet
        .transact([RESERVES.key(&at)], move |tx| {
            let known = RESERVES.get(tx, &at)?.map(|row| row.sums.debited);
            let row = raise(tx, &at, &origin, spent)?;
            let deposited = spent.debited.checked_sub(known.unwrap_or_default());
            let received = row.received.0.saturating_add(deposited.unwrap_or_default().0);
            let received = Amount(received);
            RESERVES.put(tx, &at, &ReserveRow { received, ..row })
        })
        .await
}

/// Takes the next number of a reserve, and stores what it is for. The scan record at the bank has the number before.
///
/// # Errors
/// When the bank does not answer, or has no account of this wallet.
pub(crate) async fn new_reserve<R>(
    wallet: &Wallet,
    bank: &Card,
    table: &'static Table<(PublicKey, u64), R>,
    row: R,
) -> Result<u64, WalletError>
where
    R: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    let (counter, identity) = (Counter::Reserves, bank.identity);
    for _ in 0..TRIES_MAX {
        reserve_next(wallet, bank, counter).await?;
        let reads = [
            bridged_reads(&identity, counter),
            number_reads(&identity, counter),
        ];
        let row = row.clone();
        let taken = wallet.transact(reads, move |tx| {
            let end = BRIDGED.get(tx, &(identity, counter as u8))?.unwrap_or(0);
            let number = take_numbers(tx, &identity, counter, 1)?;
            if number >= end {
                // The number stays unused.
                return Ok(None);
            }
            table.put(tx, &(identity, number), &row)?;
            Ok(Some(number))
        });
        if let Some(number) = taken.await? {
            return Ok(number);
        }
    }
    Err(WalletError::Inconsistent(
        "the numbers of reserves are taken as fast as they are reserved",
    ))
}
