//! The bank's tables and their sums.
//!
//! No two rows together link a customer to a coin. Withdrawals are stored by account and name no coin. Coins name no
//! account. No row has an address. Documents are not stored. They are signed again for each reply. Signatures are
//! deterministic, so a repeated reply is the same, byte for byte.

use crate::movement::{LedgerEnd, LedgerRow};
use crate::policy::{PeriodSums, ReportRow};
use farthing_coin::{EpochKeys, KeyId, PublicKey, RecoveryRecordId, RequestId, Signature, StatementDigest};
use farthing_node::history::HeadsTable;
use farthing_protocol::{
    coins::CoinState,
    decision::SignedDecision,
    deposited::Deposited,
    documents::{Issued, PurchaseId},
    ids::{CreditId, DepositId},
    money::Amount,
    reserve_sums::ReserveSums,
    restore::Memo,
    settle::BankPurchase,
};
use farthing_store::{RowKey, StoreError, Table, Transaction};
use serde::{Deserialize, Serialize};

/// Accounts, by the key that owns them.
pub const ACCOUNTS: Table<PublicKey, Account> = Table::new(1, "accounts");
/// The movements of the cash desk, by the operator's reference.
pub const MOVEMENTS: Table<String, Movement> = Table::new(2, "movements");
/// Finished withdrawals, by account and request id.
pub const WITHDRAWN: Table<(PublicKey, RequestId), Issued> = Table::new(3, "withdrawals");
/// Finished exchanges, by request id.
pub const EXCHANGED: Table<RequestId, Issued> = Table::new(4, "exchanges");
/// Every coin that the bank has seen, by key id and coin key, never by signature bytes.
pub const COINS: Table<(KeyId, PublicKey), CoinState> = Table::new(5, "coins");
/// Purchases, by id and escrow.
pub const PURCHASES: Table<(PurchaseId, PublicKey), BankPurchase> = Table::new(6, "purchases");
/// Recovery records of customers, by note id and in the order of arrival.
pub const RECOVERY_RECORDS: Table<(RecoveryRecordId, u8), RecoveryRecordRow> = Table::new(7, "notes");
/// The purchases whose coins are held, by deadline.
pub const HOLDS: Table<(u64, PurchaseId, PublicKey), ()> = Table::new(8, "holds");
/// The sums over all rows.
pub const TOTALS: Table<(), Totals> = Table::new(9, "totals");
/// The sums over the coins of one denomination key.
pub const KEY_TOTALS: Table<KeyId, KeyTotals> = Table::new(10, "key totals");
/// The parts of the list of keys that never change.
pub const KEY_ROOT: Table<(), KeyRoot> = Table::new(11, "key root");
/// The list of keys, by epoch. It only grows.
pub const EPOCHS: Table<u32, EpochKeys> = Table::new(12, "epochs");

/// Decisions that contradict the decision in a purchase's row, by the key of that row. Both together convict the escrow.
/// At most one for each ended purchase.
pub const CONTRADICTIONS: Table<(PurchaseId, PublicKey), SignedDecision> = Table::new(14, "contradictions");

/// The scan record of each account.
pub const SCAN_RECORDS: Table<PublicKey, Memo> = Table::new(13, "memos");

/// The version of each account's scan record. A record that is older than versions has none.
pub const SCAN_RECORD_VERSIONS: Table<PublicKey, u64> = Table::new(20, "versions of memos");

/// The longest journal head of each escrow.
pub const HEADS: HeadsTable = Table::new(15, "heads of escrows' journals");
/// The request ids of finished exchanges, by the digest of the finish that the coins' keys signed. It leads from a coin's
/// row to the coins that were issued for it.
pub const FINISHED: Table<StatementDigest, RequestId> = Table::new(30, "finished exchanges");

/// Purchases whose coins were held under version 1. Their escrows may abort them without a cause. The migration to
/// version 2 fills the table, and nothing adds to it later. A row is deleted when its purchase ends.
pub const HELD_BEFORE_CAUSES: Table<(PurchaseId, PublicKey), ()> = Table::new(16, "holds without causes");

/// The movements of each account, by account and number. Numbers start at 0 and have no gap.
pub const LEDGER: Table<(PublicKey, u64), LedgerRow> = Table::new(17, "ledger");
/// The end of each account's ledger. Absent for an account that is older than the ledger and has not moved since.
pub const LEDGER_ENDS: Table<PublicKey, LedgerEnd> = Table::new(18, "ends of the ledger");
/// The sums of each account in the last period, by kind of movement. Only with a policy of reports.
pub const REPORT_SUMS: Table<(PublicKey, u8), PeriodSums> = Table::new(19, "sums for reports");
/// The reports, by the time, the account and the number of their movement.
pub const REPORTS: Table<(u64, PublicKey, u64), ReportRow> = Table::new(21, "reports");

/// Reserves, by their key. A row is never deleted.
pub const RESERVES: Table<PublicKey, ReserveSums> = Table::new(22, "reserves");
/// The credits of each reserve, by the id of their source. Each is credited once.
pub const RESERVE_CREDITS: Table<(PublicKey, CreditId), Amount> = Table::new(23, "credits of reserves");
/// The debits of each reserve, by the digest of the request that its owner has signed.
pub const RESERVE_DEBITS: Table<(PublicKey, StatementDigest), ReserveDebit> =
    Table::new(24, "debits of reserves");
/// Deposits, by their id.
pub const DEPOSITS: Table<DepositId, Deposited> = Table::new(25, "deposits");
/// What merchants have refunded of each purchase in all, by the key of the purchase's row.
pub const REFUNDS: Table<(PurchaseId, PublicKey), Amount> = Table::new(26, "refunds");
/// The sum of the balances of all reserves.
pub const RESERVES_TOTAL: Table<(), Amount> = Table::new(27, "sum of the reserves");

/// How far the bank has forgotten what is of closed epochs.
pub const PURGE: Table<(), Purge> = Table::new(31, "the pass that forgets");
/// What the bank has forgotten under each key: coins that were issued in exchanges, and states of coins.
pub const FORGOTTEN: Table<KeyId, KeyTotals> = Table::new(32, "forgotten coins");
/// The finishes of withdrawals from reserves, which prove debits. They are noted before anything that was issued is forgotten.
pub const RESERVE_FINISHES: Table<StatementDigest, ()> = Table::new(33, "withdrawals from reserves");

/// When the bank stopped to issue coins (ms since 1970). Absent while it issues.
pub const ISSUING_STOPPED: Table<(), u64> = Table::new(28, "end of issuing");

/// The most recovery records under one note id. A wallet needs one. Without a bound, a stranger who has seen the id in a
/// bucket could bury the first record under others.
pub const RECOVERY_RECORDS_PER_ID_MAX: u8 = 8;

/// A debit of a reserve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReserveDebit {
    /// The amount.
    pub amount: Amount,
    /// The signature of the reserve's key under the request.
    pub signature: Signature,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The balance.
    pub balance: Amount,
    /// The operator's name for it.
    pub name: Option<String>,
    /// When it was opened (ms since 1970).
    pub opened_ms: u64,
}

/// The direction of a movement at the cash desk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// Paid in and credited.
    In,
    /// Debited and paid out.
    Out,
}

/// A movement of the cash desk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Movement {
    /// The direction.
    pub direction: Direction,
    /// The account.
    pub account: PublicKey,
    /// The amount.
    pub amount: Amount,
    /// The balance after the movement.
    pub balance: Amount,
    /// The time (ms since 1970).
    pub at_ms: u64,
}

/// A recovery record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryRecordRow {
    /// The purchase that it came with.
    pub purchase: PurchaseId,
    /// The sealed record.
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

/// How far the bank has forgotten what is of closed epochs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purge {
    /// Epochs that began earlier are closed (ms since 1970).
    pub before_ms: u64,
    /// Where the pass over the rows goes on. `None` once it has ended.
    pub place: Option<Place>,
}

/// A place in the pass over the rows: the row after which it goes on, or the begin of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// In [`RECOVERY_RECORDS`].
    Records(Option<(RecoveryRecordId, u8)>),
    /// In [`COINS`].
    Coins(Option<(KeyId, PublicKey)>),
    /// In [`RESERVE_DEBITS`], whose finishes are noted.
    Debits(Option<(PublicKey, StatementDigest)>),
    /// In [`FINISHED`], which leads to [`EXCHANGED`].
    Exchanges(Option<StatementDigest>),
    /// In [`PURCHASES`].
    Purchases(Option<(PurchaseId, PublicKey)>),
}

/// The sums over all rows. Each is updated in the same write as the rows that it counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// The money that was paid in.
    pub paid_in: Amount,
    /// The money that was paid out.
    pub paid_out: Amount,
    /// The sum of all balances.
    pub accounts: Amount,
    /// The number of finished exchanges.
    pub exchanges: u64,
    /// The number of recovery records.
    pub recovery_records: u64,
}

/// The numbers of coins of one denomination key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyTotals {
    /// Issued, in withdrawals and exchanges.
    pub issued: u64,
    /// Held for a purchase now.
    pub held: u64,
    /// Released by an abort, and not held or exchanged since.
    pub released: u64,
    /// Spent, in purchases and deposits.
    pub spent: u64,
    /// Exchanged.
    pub exchanged: u64,
}

impl KeyTotals {
    /// How many coins the bank has seen.
    pub fn shown(&self) -> u64 {
        [self.held, self.released, self.spent, self.exchanged]
            .into_iter()
            .fold(0, u64::saturating_add)
    }

    /// How many coins are outstanding: issued, and neither spent nor exchanged. `None` if more came back than were issued.
    pub fn outstanding(&self) -> Option<u64> {
        self.issued.checked_sub(self.spent)?.checked_sub(self.exchanged)
    }

    /// The sum that counts coins in `state`.
    pub fn in_state(&mut self, state: &CoinState) -> Option<&mut u64> {
        match state {
            CoinState::Unseen => None,
            CoinState::Held(_) => Some(&mut self.held),
            CoinState::Released(_) => Some(&mut self.released),
            CoinState::Spent(_) | CoinState::Deposited(_) => Some(&mut self.spent),
            CoinState::Exchanged(_) => Some(&mut self.exchanged),
        }
    }
}

/// The parts of the list of keys that never change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRoot {
    /// The bank.
    pub bank: PublicKey,
    /// The currency.
    pub currency: String,
    /// The calendar.
    pub calendar: farthing_coin::Calendar,
    /// The values.
    pub values: Vec<u64>,
}

/// The key of a purchase's row.
pub fn purchase_key(purchase: &PurchaseId, escrow: &PublicKey) -> (PurchaseId, PublicKey) {
    (*purchase, *escrow)
}

/// The rows that [`coin_states`] and [`move_coins`] read.
pub fn coin_reads(coins: &[(KeyId, PublicKey)]) -> impl Iterator<Item = RowKey> {
    let states = coins.iter().map(|coin| COINS.key(coin));
    states.chain(coins.iter().map(|(key_id, _)| KEY_TOTALS.key(key_id)))
}

/// The rows that [`count_issued`] reads.
pub fn count_reads(outputs: &[KeyId]) -> impl Iterator<Item = RowKey> {
    outputs.iter().map(|key_id| KEY_TOTALS.key(key_id))
}

/// Returns the state of each of `coins`, in their order.
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

/// Moves each of `coins` from its state in `before` to its state in `after`, and updates the sums.
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
        // A sum stays within its bounds. The audit finds the difference, and no request fails because of it.
        count(tx, &KEY_TOTALS, &coin.0, |totals| {
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
        count(tx, &KEY_TOTALS, key_id, |totals| {
            totals.issued = totals.issued.saturating_add(1);
        })
    })
}

/// The rows that [`put_exchanged`] reads.
pub fn exchanged_reads(id: RequestId, outputs: &[KeyId]) -> impl Iterator<Item = RowKey> {
    let rows = [EXCHANGED.key(&id), TOTALS.key(&())];
    rows.into_iter().chain(count_reads(outputs))
}

/// Puts what a `finish` was issued on the shelf of the exchanges, where a restore finds it, and counts it.
///
/// # Errors
/// When the store refuses.
pub fn put_exchanged(
    tx: &mut Transaction<'_>,
    finish: StatementDigest,
    issued: &Issued,
) -> Result<(), StoreError> {
    EXCHANGED.put(tx, &issued.request_id, issued)?;
    FINISHED.put(tx, &finish, &issued.request_id)?;
    count_issued(tx, issued)?;
    let mut totals = TOTALS.get(tx, &())?.unwrap_or_default();
    totals.exchanges = totals.exchanges.saturating_add(1);
    TOTALS.put(tx, &(), &totals)
}

/// Changes the sums of a key in `table`.
pub(crate) fn count(
    tx: &mut Transaction<'_>,
    table: &Table<KeyId, KeyTotals>,
    key_id: &KeyId,
    change: impl FnOnce(&mut KeyTotals),
) -> Result<(), StoreError> {
    let mut totals = table.get(tx, key_id)?.unwrap_or_default();
    change(&mut totals);
    table.put(tx, key_id, &totals)
}
