//! What an escrow keeps on disk.

use farthing_coin::{PublicKey, Signed};
use farthing_node::history::HeadsTable;
use farthing_node::key_lists::{KeyListEpochsTable, KeyListRootsTable, KeyListTables};
use farthing_protocol::{
    decision::Decision,
    documents::{BankHold, Contract, PurchaseId, Settled},
    ids::SaleId,
};
use farthing_store::Table;
use serde::{Deserialize, Serialize};

/// The one final decision of each purchase, by purchase id. A row is never changed and never removed.
pub const DECISIONS: Table<PurchaseId, Decision> = Table::new(1, "decisions");

/// Which purchase has an offer that was for one sale only, by merchant and sale id.
pub const SINGLE_SALES: Table<(PublicKey, SaleId), PurchaseId> = Table::new(2, "single sales");

/// Decisions that their bank has not acknowledged yet, by purchase id. Written with the decision, unless it is a
/// cancel at a bank whose card is not here.
pub const OUTBOX: Table<PurchaseId, ()> = Table::new(3, "outbox");

/// The bank's word that it has obeyed, by purchase id: the escrow's evidence.
pub const ACKNOWLEDGED: Table<PurchaseId, Signed<Settled>> = Table::new(4, "acknowledgements");

/// The journal's time (ms since 1970): the latest that a decision rests on. See [`time`](crate::time).
pub const LATEST_MS: Table<(), u64> = Table::new(5, "latest time");

/// The longest journal head that each bank has told.
pub const HEADS: HeadsTable = Table::new(6, "heads of banks' journals");

/// What was committed of each merchant's sealed offers, by merchant and number, from 0 on without a gap. Written with the
/// decision. It is how the merchant learns of it, who had no part in it.
pub const SEALED_SALES: Table<(PublicKey, u64), SealedSaleRow> = Table::new(7, "sealed sales");

/// How many sealed sales each merchant has.
pub const SEALED_SALE_COUNTS: Table<PublicKey, u64> = Table::new(8, "counts of sealed sales");

/// A sale that was committed on a sealed offer. The decision has the rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedSaleRow {
    /// What was agreed.
    pub contract: Contract,
    /// The bank's word that the coins are held.
    pub bank_hold: Signed<BankHold>,
}

/// The roots of the banks' lists of keys.
pub const KEY_LIST_ROOTS: KeyListRootsTable = Table::new(40, "roots of key lists");

/// Their epochs, one row each.
pub const KEY_LIST_EPOCHS: KeyListEpochsTable = Table::new(41, "epochs of key lists");

/// The banks' lists of keys.
pub const KEY_LISTS: KeyListTables = KeyListTables {
    roots: &KEY_LIST_ROOTS,
    epochs: &KEY_LIST_EPOCHS,
};
