//! Banks' key lists in a store, with one row for each epoch. So a list can be as long as the protocol allows, and a new
//! epoch writes one row.

use farthing_coin::{Calendar, EpochKeys, KeyList, PublicKey, Signature, Signed};
use farthing_store::{RowKey, StoreError, Table, Transaction, View, limits::SCAN_MAX_ROWS};
use serde::{Deserialize, Serialize};
use std::ops::Bound;

/// The fields of a key list except its epochs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyListRoot {
    /// The currency.
    pub currency: String,
    /// The calendar of the epochs.
    pub calendar: Calendar,
    /// The values of the denominations.
    pub values: Vec<u64>,
    /// The number of the first epoch.
    pub first: u32,
    /// The number of consecutive epochs in the list.
    pub epochs: u32,
    /// The bank's signature over the whole list.
    pub signature: Signature,
}

/// The roots of key lists, by bank.
pub type KeyListRootsTable = Table<PublicKey, KeyListRoot>;

/// The epochs of key lists, by bank and number.
pub type KeyListEpochsTable = Table<(PublicKey, u32), EpochKeys>;

/// The tables in which a role stores banks' key lists.
#[derive(Clone, Copy)]
pub struct KeyListTables {
    /// The roots.
    pub roots: &'static KeyListRootsTable,
    /// The epochs.
    pub epochs: &'static KeyListEpochsTable,
}

impl std::fmt::Debug for KeyListTables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyListTables({}, {})", self.roots.name(), self.epochs.name())
    }
}

impl KeyListTables {
    /// Loads the stored list of `bank`, as the bank signed it.
    ///
    /// Its signature was verified before it was stored. [`KeyBook::new`](farthing_coin::KeyBook::new) verifies it
    /// again.
    ///
    /// # Errors
    /// When the index fails or a row does not decode.
    pub fn load(&self, view: &View, bank: &PublicKey) -> Result<Option<Signed<KeyList>>, StoreError> {
        let Some(root) = self.roots.peek(view, bank)? else {
            return Ok(None);
        };
        let from = (*bank, root.first);
        let most = usize::try_from(root.epochs).unwrap_or(SCAN_MAX_ROWS);
        let rows = self.epochs.scan_under(view, bank, Bound::Included(&from), most)?;
        let list = KeyList {
            bank: *bank,
            currency: root.currency,
            calendar: root.calendar,
            values: root.values,
            epochs: rows.into_iter().map(|(_, keys)| keys).collect(),
        };
        Ok(Some(Signed {
            body: list,
            signature: root.signature,
        }))
    }

    /// The row that [`KeyListTables::save`] reads.
    pub fn save_reads(&self, bank: &PublicKey) -> RowKey {
        self.roots.key(bank)
    }

    /// Stores `signed`. The caller has verified it, and that it continues the stored list. Only the appended epochs are
    /// written.
    ///
    /// # Errors
    /// When the store refuses the write.
    pub fn save(&self, tx: &mut Transaction<'_>, signed: &Signed<KeyList>) -> Result<(), StoreError> {
        let list = &signed.body;
        let kept = self.roots.get(tx, &list.bank)?.map_or(0, |root| root.epochs);
        let new = list
            .epochs
            .iter()
            .skip(usize::try_from(kept).unwrap_or(usize::MAX));
        for keys in new {
            self.epochs.put(tx, &(list.bank, keys.epoch), keys)?;
        }
        let root = KeyListRoot {
            currency: list.currency.clone(),
            calendar: list.calendar,
            values: list.values.clone(),
            first: list.epochs.first().map_or(0, |keys| keys.epoch),
            epochs: u32::try_from(list.epochs.len()).unwrap_or(u32::MAX),
            signature: signed.signature,
        };
        self.roots.put(tx, &list.bank, &root)
    }
}
