//! What a bank keeps: its tables, and the sums it keeps beside them.
//!
//! No row stands beside another that would join a customer to a coin: withdrawals are kept by account and know
//! no coin, coins know no account, and nothing keeps an address. Documents are not kept but signed anew whenever
//! they are asked for: signatures are deterministic, so a repeated reply is the same to the byte.

use farthing_coin::{EpochKeys, KeyId, NoteId, PublicKey, RequestId, StatementDigest};
use farthing_node::history::HeadsTable;
use farthing_protocol::{
    coins::CoinState, decision::SignedDecision, documents::Issued, documents::PurchaseId, money::Amount,
    restore::Memo, settle::BankPurchase,
};
use farthing_store::{RowKey, StoreError, Table, Transaction};
use serde::{Deserialize, Serialize};

/// Accounts, by the key that owns them.
pub const ACCOUNTS: Table<PublicKey, Account> = Table::new(1, "accounts");
/// What the cash desk has done, by the operator's reference.
pub const MOVEMENTS: Table<String, Movement> = Table::new(2, "movements");
/// Finished withdrawals, by account and request id.
pub const WITHDRAWN: Table<(PublicKey, RequestId), Issued> = Table::new(3, "withdrawals");
/// Finished exchanges, by request id.
pub const EXCHANGED: Table<RequestId, Issued> = Table::new(4, "exchanges");
/// Every coin that was shown to the bank, by denomination key and coin key: never by signature bytes.
pub const COINS: Table<(KeyId, PublicKey), CoinState> = Table::new(5, "coins");
/// Purchases, by id and escrow. Their rows stay for ever.
pub const PURCHASES: Table<(PurchaseId, PublicKey), BankPurchase> = Table::new(6, "purchases");
/// Customers' notes to themselves, by note id and in the order in which they came.
pub const RECOVERY_RECORDS: Table<(NoteId, u8), RecoveryRecord> = Table::new(7, "notes");
/// The purchases whose coins are held, by deadline.
pub const HOLDS: Table<(u64, PurchaseId, PublicKey), ()> = Table::new(8, "holds");
/// The sums over everything.
pub const TOTALS: Table<(), Totals> = Table::new(9, "totals");
/// The sums over the coins of one denomination key.
pub const KEY_TOTALS: Table<KeyId, KeyTotals> = Table::new(10, "key totals");
/// What the list of keys stands on. It never changes.
pub const KEY_ROOT: Table<(), KeyRoot> = Table::new(11, "key root");
/// The list of keys, by epoch. It only grows.
pub const EPOCHS: Table<u32, EpochKeys> = Table::new(12, "epochs");

/// Decisions that contradict the one that a purchase's row has, by the row's key: with it they convict the escrow. At
/// most one for each purchase that has ended.
pub const CONTRADICTIONS: Table<(PurchaseId, PublicKey), SignedDecision> = Table::new(14, "contradictions");

/// Each account's memo to its owner.
pub const SCAN_RECORDS: Table<PublicKey, Memo> = Table::new(13, "memos");

/// The version of each account's memo; none for one that was kept before memos had versions.
pub const SCAN_RECORD_VERSIONS: Table<PublicKey, u64> = Table::new(20, "versions of memos");

/// The longest journal head that each escrow has told.
pub const HEADS: HeadsTable = Table::new(15, "heads of escrows' journals");
/// The request ids of finished exchanges, by the digest of the finish that the coins' keys signed: from a coin's row to
/// what was given for it.
pub const FINISHED: Table<StatementDigest, RequestId> = Table::new(30, "finished exchanges");

/// Purchases whose coins were held under version 1, whose escrows still abort by their word alone. Filled when the store
/// is brought to version 2, and never added to; a row goes when its purchase ends.
pub const HELD_BEFORE_CAUSES: Table<(PurchaseId, PublicKey), ()> = Table::new(16, "holds without causes");

/// The most notes that are kept under one note id. A wallet needs one; a stranger who has seen the id in a bucket
/// could otherwise bury the note that was there first.
pub const RECOVERY_RECORDS_PER_ID_MAX: u8 = 8;

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// What it holds.
    pub balance: Amount,
    /// What the operator calls it.
    pub name: Option<String>,
    /// When it was opened (ms since 1970).
    pub opened_ms: u64,
}

/// Which way money goes over the cash desk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// Paid in and credited.
    In,
    /// Debited and paid out.
    Out,
}

/// Something the cash desk has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Movement {
    /// Which way.
    pub direction: Direction,
    /// The account.
    pub account: PublicKey,
    /// How much.
    pub amount: Amount,
    /// The balance after it.
    pub balance: Amount,
    /// When (ms since 1970).
    pub at_ms: u64,
}

/// A customer's note to herself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryRecord {
    /// The purchase that it came with.
    pub purchase: PurchaseId,
    /// The note, encrypted.
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

/// The sums over everything. Each is kept in the same write as what it counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// What the cash desk took in.
    pub paid_in: Amount,
    /// What it paid out.
    pub paid_out: Amount,
    /// What all accounts hold together.
    pub accounts: Amount,
    /// How many exchanges are on record.
    pub exchanges: u64,
    /// How many notes are on record.
    pub recovery_records: u64,
}

/// The sums over the coins of one denomination key (coins).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyTotals {
    /// Issued, in withdrawals and exchanges.
    pub issued: u64,
    /// Held for a purchase now.
    pub held: u64,
    /// Released by an abort, and not held or exchanged since.
    pub released: u64,
    /// Spent.
    pub spent: u64,
    /// Exchanged.
    pub exchanged: u64,
}

impl KeyTotals {
    /// How many coins the bank was shown.
    pub fn shown(&self) -> u64 {
        [self.held, self.released, self.spent, self.exchanged]
            .into_iter()
            .fold(0, u64::saturating_add)
    }

    /// How many coins are out: issued, and neither spent nor exchanged. `None` if more came back than were issued.
    pub fn outstanding(&self) -> Option<u64> {
        self.issued.checked_sub(self.spent)?.checked_sub(self.exchanged)
    }

    /// The sum that counts coins in `state`.
    pub fn in_state(&mut self, state: &CoinState) -> Option<&mut u64> {
        match state {
            CoinState::Unseen => None,
            CoinState::Held(_) => Some(&mut self.held),
            CoinState::Released(_) => Some(&mut self.released),
            CoinState::Spent(_) => Some(&mut self.spent),
            CoinState::Exchanged(_) => Some(&mut self.exchanged),
        }
    }
}

/// What the list of keys stands on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRoot {
    /// The bank.
    pub bank: PublicKey,
    /// The currency.
    pub currency: String,
    /// When epochs begin and end.
    pub calendar: farthing_coin::Calendar,
    /// The values.
    pub values: Vec<u64>,
}

/// The key of a purchase's row.
pub fn purchase_key(purchase: &PurchaseId, escrow: &PublicKey) -> (PurchaseId, PublicKey) {
    (*purchase, *escrow)
}

/// What [`coin_states`] and [`move_coins`] read.
pub fn coin_reads(coins: &[(KeyId, PublicKey)]) -> impl Iterator<Item = RowKey> {
    let states = coins.iter().map(|coin| COINS.key(coin));
    states.chain(coins.iter().map(|(key_id, _)| KEY_TOTALS.key(key_id)))
}

/// What [`count_issued`] reads.
pub fn count_reads(outputs: &[KeyId]) -> impl Iterator<Item = RowKey> {
    outputs.iter().map(|key_id| KEY_TOTALS.key(key_id))
}

/// What is known of each of `coins`, in their order.
///
/// # Errors
/// When the index fails.
pub fn coin_states(
    tx: &mut Transaction<'_>,
    coins: &[(KeyId, PublicKey)],
) -> Result<Vec<CoinState>, StoreError> {
    coins
        .iter()
        .map(|coin| Ok(COINS.get(tx, coin)?.unwrap_or(CoinState::Unseen)))
        .collect()
}

/// Moves each of `coins` from its state in `before` to that in `after`, and the sums with them.
///
/// # Errors
/// When the store refuses.
pub fn move_coins(
    tx: &mut Transaction<'_>,
    coins: &[(KeyId, PublicKey)],
    before: &[CoinState],
    after: &[CoinState],
) -> Result<(), StoreError> {
    for (coin, (before, after)) in coins.iter().zip(before.iter().zip(after)) {
        COINS.put(tx, coin, after)?;
        // A sum that would leave its bounds stays at the bound: the audit finds it, and no request fails for it.
        count(tx, &coin.0, |totals| {
            if let Some(left) = totals.in_state(before) {
                *left = left.saturating_sub(1);
            }
            if let Some(entered) = totals.in_state(after) {
                *entered = entered.saturating_add(1);
            }
        })?;
    }
    Ok(())
}

/// Counts the new coins of `issued`.
///
/// # Errors
/// When the store refuses.
pub fn count_issued(tx: &mut Transaction<'_>, issued: &Issued) -> Result<(), StoreError> {
    issued.outputs.iter().try_for_each(|key_id| {
        count(tx, key_id, |totals| {
            totals.issued = totals.issued.saturating_add(1);
        })
    })
}

fn count(
    tx: &mut Transaction<'_>,
    key_id: &KeyId,
    change: impl FnOnce(&mut KeyTotals),
) -> Result<(), StoreError> {
    let mut totals = KEY_TOTALS.get(tx, key_id)?.unwrap_or_default();
    change(&mut totals);
    KEY_TOTALS.put(tx, key_id, &totals)
}
