//! The tables of the escrow.

use farthing_coin::{KeyId, PublicKey, Signed};
use farthing_node::history::HeadsTable;
use farthing_node::key_lists::{KeyListEpochsTable, KeyListRootsTable, KeyListTables};
use farthing_protocol::{
    decision::Decision,
    documents::{BankHold, Contract, PurchaseId, Settled},
    ids::SaleId,
    stream::OpenStream,
};
use farthing_store::Table;
use serde::{Deserialize, Serialize};

/// The one final decision of each purchase, by purchase id. A row is never changed.
pub const DECISIONS: Table<PurchaseId, Decision> = Table::new(1, "decisions");

/// The committed purchase of each single-sale offer, by merchant and sale id.
pub const SINGLE_SALES: Table<(PublicKey, SaleId), PurchaseId> = Table::new(2, "single sales");

/// Decisions that their bank has not acknowledged, by purchase id. Each is written with its decision. A cancel at a bank
/// without a pinned card is not in it.
pub const OUTBOX: Table<PurchaseId, ()> = Table::new(3, "outbox");

/// The bank's signed acknowledgement that it has applied a decision, by purchase id. It is the escrow's evidence.
pub const ACKNOWLEDGED: Table<PurchaseId, Signed<Settled>> = Table::new(4, "acknowledgements");

/// The journal's time (ms since 1970): the latest time on which a decision rests. See [`time`](crate::time).
pub const LATEST_MS: Table<(), u64> = Table::new(5, "latest time");

/// The longest journal head of each bank.
pub const HEADS: HeadsTable = Table::new(6, "heads of banks' journals");

/// The committed purchases of each merchant's sealed offers, by merchant and number. Numbers start at 0 and have no gap. Each row is written with its decision. The merchant takes no part in these purchases and learns of them from this list.
pub const SEALED_SALES: Table<(PublicKey, u64), SealedSaleRow> = Table::new(7, "sealed sales");

/// How many sealed sales each merchant has.
pub const SEALED_SALE_COUNTS: Table<PublicKey, u64> = Table::new(8, "counts of sealed sales");

/// How many undecided purchases each coin has cancelled, by its denomination and its key. Table 9 had them by the key alone.
pub const CANCELS: Table<(KeyId, PublicKey), u64> = Table::new(11, "cancels by coin");

/// The open streams, by purchase id. A decision takes the place of the row.
pub const STREAMS: Table<PurchaseId, OpenStream> = Table::new(10, "open streams");

/// A sale that was committed on a sealed offer. The decision has the rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedSaleRow {
    /// The contract.
    pub contract: Contract,
    /// The bank's signed word that the coins are held.
    pub bank_hold: Signed<BankHold>,
}

/// By bank: purchases with an earlier deadline are not decided any more (ms since 1970).
pub const CLOSED_BEFORE: Table<PublicKey, u64> = Table::new(12, "closed deadlines");

/// Where the pass goes on that forgets. Absent while there is none.
pub const PURGE: Table<(), Place> = Table::new(13, "the pass that forgets");

/// The numbers of decisions that were forgotten.
pub const FORGOTTEN: Table<(), Forgotten> = Table::new(14, "forgotten decisions");

/// A place in the pass over the rows: the row after which it goes on, or the begin of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// In [`SEALED_SALES`].
    Sales(Option<(PublicKey, u64)>),
    /// In [`DECISIONS`].
    Decisions(Option<PurchaseId>),
    /// In [`SINGLE_SALES`].
    SingleSales(Option<(PublicKey, SaleId)>),
    /// In [`CANCELS`].
    Cancels(Option<(KeyId, PublicKey)>),
}

/// How many decisions were forgotten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgotten {
    /// Commits.
    pub committed: u64,
    /// Aborts.
    pub aborted: u64,
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
