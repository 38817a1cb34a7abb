//! The tables and rows of a wallet's store.

mod reserves;

pub use reserves::{
    GIFTS, GiftRow, RESERVE_DENIALS, RESERVE_WITHDRAWALS, RESERVES, ReserveOrigin, ReserveRow,
    ReserveWithdrawalRow,
};

use farthing_coin::{Coin, KeyId, KeyList, PublicKey, RequestId, Signed, StatementDigest};
use farthing_node::{
    card::Card,
    key_lists::{KeyListEpochsTable, KeyListRootsTable, KeyListTables},
};
use farthing_protocol::{
    denial::Denial,
    deposit::Deposit,
    deposited::Deposited,
    documents::{Abort, Commit, EarlierUse, Hold, Receipt, coins_digest},
    evidence::ShownTick,
    exchange::Exchange,
    ids::{CoinsDigest, SessionDigest},
    issue::IssueState,
    money::Amount,
    oblivious::{EncryptionKey, TwoKeys},
    purchase::Purchase,
    restore::{CoinUsed, Origin},
    stream::{Raised, StreamCommit},
    withdraw::Withdrawal,
};
use farthing_store::{Key, StoreError, Table, View};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{ops::Bound, path::PathBuf};

/// Counters of the numbers from which secrets derive. A number is used once, even if nothing came of its use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    /// Withdrawals.
    Withdrawals,
    /// Exchanges.
    Exchanges,
    /// Purchases as the customer sees them. No secret derives from these.
    Purchases,
    /// Orders. A purchase takes a number when coins are put to it, and its secrets derive from that number.
    Orders,
    /// Payments by deposit, as the customer sees them. The salts of their texts derive from these.
    Deposits,
    /// Reserves, for what others pay to this wallet.
    Reserves,
}

/// The next unused number of each counter, by bank. With common counters, the numbers used at one bank would be gaps
/// at another, where a restore would take them for the end.
pub const COUNTERS: Table<(PublicKey, u8), u64> = Table::new(1, "counters");

/// Exclusive upper bound of the numbers that a restore is certain to reach, by bank and counter. A wallet of an older
/// version has no row until its first scan record.
pub const BRIDGED: Table<(PublicKey, u8), u64> = Table::new(21, "bridged numbers");

/// When the scan record at a bank was last written, or first looked at (ms since 1970).
pub const SCAN_RECORD_TIMES: Table<PublicKey, u64> = Table::new(24, "times of scan records");

/// The placeholder bank under which purchases and payments are numbered for the customer. No bank has this key: it is not
/// valid.
pub const NO_BANK: PublicKey = PublicKey([0; 32]);

/// Coins that are not used up, by key id and coin key.
pub const COINS: Table<(KeyId, PublicKey), CoinRow> = Table::new(2, "coins");

/// Coins that are used up: see [`CoinStatus::is_past`].
pub const PAST_COINS: Table<(KeyId, PublicKey), CoinRow> = Table::new(9, "past coins");

/// Withdrawals, by bank and number.
pub const WITHDRAWALS: Table<(PublicKey, u64), Withdrawal> = Table::new(3, "withdrawals");

/// Whether a withdrawal or an exchange is under way.
pub(crate) fn is_under_way(state: &IssueState) -> bool {
    matches!(state, IssueState::Beginning | IssueState::Finishing { .. })
}

/// The whole amount of the withdrawal that a request is a part of, by the request's bank and number. Requests that an
/// older version or a restore wrote have no row.
pub const WITHDRAWN_AMOUNTS: Table<(PublicKey, u64), Amount> = Table::new(23, "withdrawn amounts");

/// When the request of a withdrawal was planned (ms since 1970), by its bank and number. Requests that an older version
/// or a restore wrote have no row.
pub const WITHDRAWAL_TIMES: Table<(PublicKey, u64), u64> = Table::new(60, "times of withdrawals");

/// Exchanges, by bank and number.
pub const EXCHANGES: Table<(PublicKey, u64), ExchangeRow> = Table::new(4, "exchanges");

/// When an exchange was planned last (ms since 1970), by bank and number. Exchanges that an older version or a restore
/// wrote have no row.
pub const EXCHANGE_TIMES: Table<(PublicKey, u64), u64> = Table::new(61, "times of exchanges");

/// Refused exchanges, by bank and set of inputs ([`input_set`]). The same inputs are planned again under the same
/// number. Exchanges that an older version saw refused have no row.
pub const REFUSED_EXCHANGES: Table<(PublicKey, CoinsDigest), u64> = Table::new(20, "refused exchanges");

/// The digest of a set of coins. It does not depend on their order.
pub fn input_set(coins: &[Coin]) -> CoinsDigest {
    let mut coins = coins.to_vec();
    coins.sort_by_key(|coin| (coin.key_id, coin.public));
    coins_digest(&coins)
}

/// When upkeep exchanges coins (ms since 1970), by bank and kind of exchange.
pub const UPKEEP: Table<(PublicKey, u8), u64> = Table::new(70, "upkeep");

/// The encryption keys of a server that a relay has told, by the server's identity key.
pub const ENCRYPTION_KEYS: Table<PublicKey, KnownKeys> = Table::new(80, "encryption keys");

/// The encryption keys of the last two days that a server has signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownKeys {
    /// The key of the latest day.
    pub latest: Signed<EncryptionKey>,
    /// The key of the day before it that was told.
    pub previous: Option<Signed<EncryptionKey>>,
}

impl KnownKeys {
    /// Whether `key` is one of them.
    #[must_use]
    pub fn contains(&self, key: &Signed<EncryptionKey>) -> bool {
        self.latest == *key || self.previous.as_ref() == Some(key)
    }
}

/// The first proof that a server has signed two encryption keys for one day, by the server's identity key.
pub const TWO_KEYS: Table<PublicKey, TwoKeys> = Table::new(81, "two encryption keys");

/// Purchases, by number.
pub const PURCHASES: Table<u64, PurchaseRow> = Table::new(5, "purchases");

/// Payments by deposit, by number.
pub const DEPOSITS: Table<u64, DepositRow> = Table::new(95, "payments");

/// Payments that were requested, by bank and number of the reserve.
pub const REQUESTED: Table<(PublicKey, u64), RequestedRow> = Table::new(96, "requested payments");

/// Every first message of a bank that was ever seen, by digest, with its request, slot and key.
pub const FIRST_MESSAGES: Table<SessionDigest, (RequestId, u32, KeyId)> = Table::new(6, "first messages");

/// The key that names the wallet's account at a bank. No row: the bank's own.
pub const ACCOUNT_KEYS: Table<PublicKey, AccountKey> = Table::new(22, "account keys");

/// The kind of the key that names the wallet's account at a bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccountKey {
    /// A key that no other bank sees.
    Own,
    /// The key that wallets of protocol version 1 showed to every bank.
    Shared,
}

/// The banks from which a wallet that was made from its phrase has been restored.
pub const RESTORED: Table<PublicKey, RestoredRow> = Table::new(12, "restored");

/// Coins that their bank has denied without a signature, by key id and coin key, with the use that it showed. Only older
/// versions wrote these rows. They prove nothing.
pub const DENIED: Table<(KeyId, PublicKey), Option<EarlierUse>> = Table::new(10, "denied coins");

/// Signed denials, without a good reason, of coins that the wallet still owns, by key id and coin key. At most one for
/// each coin.
pub const DENIALS: Table<(KeyId, PublicKey), Signed<Denial>> = Table::new(30, "denials");

/// Every finish of a withdrawal or an exchange that may have been sent, by request id and digest. The bank may have
/// carried it out, no matter what it has said since.
pub const SENT_FINISHES: Table<(RequestId, StatementDigest), SentFinish> = Table::new(31, "sent finishes");

/// Small encrypted goods, which have no file, by number of the purchase.
pub const SMALL_GOODS: Table<u64, SmallGoods> = Table::new(11, "small goods");

/// The files that goods may replace, by number of the purchase. The customer has agreed to lose them.
pub const REPLACEABLE: Table<u64, FileId> = Table::new(50, "replaceable files");

/// The banks' lists of keys in the first format, used if [`KEYS`] has none. A row is limited to 64 KiB.
pub const KEY_LISTS: Table<PublicKey, Signed<KeyList>> = Table::new(7, "key lists");

/// The roots of the banks' lists of keys.
pub const KEY_LIST_ROOTS: KeyListRootsTable = Table::new(40, "roots of key lists");

/// The epochs of these lists, one row each.
pub const KEY_LIST_EPOCHS: KeyListEpochsTable = Table::new(41, "epochs of key lists");

/// The banks' lists of keys.
pub const KEYS: KeyListTables = KeyListTables {
    roots: &KEY_LIST_ROOTS,
    epochs: &KEY_LIST_EPOCHS,
};

/// The issuance of a finish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentFinish {
    /// The bank.
    pub bank: PublicKey,
    /// The number of the withdrawal or exchange.
    pub number: u64,
}

/// A restore that has ended. A request that was under way during its scan may come through later. Its number is below
/// these bounds. Numbers that the wallet uses itself are above.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoredRow {
    /// Exclusive upper bound of the withdrawal numbers that were scanned.
    pub withdrawals: u64,
    /// Exclusive upper bound of the exchange numbers that were scanned.
    pub exchanges: u64,
    /// Exclusive upper bound of the order numbers that were scanned.
    pub orders: u64,
    /// When it began (ms since 1970).
    pub began_ms: u64,
    /// The directory for the goods of its purchases.
    pub goods_dir: PathBuf,
    /// Until when something may come through (ms since 1970). A scan that begins at that time or later is the last
    /// one. `None` after it.
    pub late_until_ms: Option<u64>,
    /// Whether coins have come through and the coins that paid for them were not scanned for yet.
    pub has_come: bool,
}

/// A coin and its status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoinRow {
    /// The coin.
    pub coin: Coin,
    /// Its bank.
    pub bank: PublicKey,
    /// Its value in the currency's smallest unit.
    pub value: u64,
    /// The origin from which its secrets derive.
    pub origin: Origin,
    /// Its status.
    pub status: CoinStatus,
}

/// The status of a coin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CoinStatus {
    /// It can be spent.
    Available,
    /// It is in this purchase, which is under way.
    InPurchase(u64),
    /// It paid for this purchase.
    Spent(u64),
    /// It was released by the abort of this purchase. It is exchanged before it is used again.
    Released(u64),
    /// It is in this exchange, which is under way.
    InExchange(u64),
    /// It was exchanged in this exchange.
    Exchanged(u64),
    /// The bank has shown, with the coin's own signature, that it was used otherwise: by a copy of this wallet, or by
    /// a request from before the wallet was lost.
    UsedElsewhere(EarlierUse),
    /// A restore found it used, and no purchase of this wallet accounts for that.
    FoundUsed(CoinUsed),
    /// The bank has shown, with the coin's own signature, that it is held for a purchase that this wallet does not
    /// know. That purchase may still be aborted. So the wallet tries to exchange the coin from time to time, until it
    /// is exchanged or used up.
    HeldElsewhere(EarlierUse),
    /// It is in this payment, which is under way.
    InDeposit(u64),
    /// It paid for this payment.
    Deposited(u64),
}

impl CoinStatus {
    /// Its name for people and scripts, one word.
    pub fn word(&self) -> &'static str {
        match self {
            CoinStatus::Available => "available",
            CoinStatus::InPurchase(_) => "in-purchase",
            CoinStatus::Spent(_) => "spent",
            CoinStatus::Released(_) => "released",
            CoinStatus::InExchange(_) => "in-exchange",
            CoinStatus::Exchanged(_) => "exchanged",
            CoinStatus::UsedElsewhere(_) => "used-elsewhere",
            CoinStatus::FoundUsed(_) => "used",
            CoinStatus::HeldElsewhere(_) => "held-elsewhere",
            CoinStatus::InDeposit(_) => "in-payment",
            CoinStatus::Deposited(_) => "paid",
        }
    }

    /// Whether the coin is used up permanently.
    pub fn is_past(&self) -> bool {
        matches!(
            self,
            CoinStatus::Spent(_)
                | CoinStatus::Exchanged(_)
                | CoinStatus::UsedElsewhere(_)
                | CoinStatus::Deposited(_)
        )
    }

    /// Whether the coin still counts as the wallet's money.
    pub fn counts(&self) -> bool {
        matches!(
            self,
            CoinStatus::Available
                | CoinStatus::InPurchase(_)
                | CoinStatus::Released(_)
                | CoinStatus::InExchange(_)
                | CoinStatus::InDeposit(_)
        )
    }
}

/// An exchange and the origins of its inputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangeRow {
    /// The exchange.
    pub exchange: Exchange,
    /// The origins of the inputs, in order.
    pub origins: Vec<Origin>,
    /// The status of the inputs before the exchange. They return to it if the bank refuses.
    pub before: CoinStatus,
}

/// A payment by deposit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DepositRow {
    /// The request, which is the same each time that it is sent.
    pub deposit: Deposit,
    /// The origins of its coins, in order.
    pub origins: Vec<Origin>,
    /// What the payment is for. The request has only its digest.
    pub text: String,
    /// When it was begun (ms since 1970).
    pub begun_ms: u64,
    /// The state.
    pub state: DepositState,
}

/// The state of a payment by deposit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DepositState {
    /// It was sent, or is about to be. The bank may have carried it out.
    Sending,
    /// The bank has carried it out.
    Done(Box<Signed<Deposited>>),
    /// The bank has denied it. Its coins are back.
    Refused(Box<Signed<Denial>>),
    /// One of its coins was exchanged, so that it cannot be carried out any more. Its coins are back.
    GivenUp,
}

impl DepositState {
    /// Its name for people and scripts, one word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            DepositState::Sending => "sending",
            DepositState::Done(_) => "done",
            DepositState::Refused(_) => "refused",
            DepositState::GivenUp => "given-up",
        }
    }

    /// Whether the bank may still carry the payment out.
    #[must_use]
    pub fn is_open(&self) -> bool {
        *self == DepositState::Sending
    }

    /// Whether the payee was paid, or may be.
    #[must_use]
    pub fn has_paid(&self) -> bool {
        matches!(self, DepositState::Sending | DepositState::Done(_))
    }
}

/// A payment that was requested. Its payer needs nothing but the reserve's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestedRow {
    /// The amount. `None` if the payer chooses it, or a restore has found the number.
    pub amount: Option<Amount>,
    /// What it is for. Empty without a text.
    pub text: String,
    /// When it was requested (ms since 1970). `None` if a restore has found the number.
    pub requested_ms: Option<u64>,
}

impl RequestedRow {
    /// A number that a restore has found. Only the bank knows whether it was ever used.
    #[must_use]
    pub fn restored() -> RequestedRow {
        RequestedRow {
            amount: None,
            text: String::new(),
            requested_ms: None,
        }
    }
}

/// A purchase and its delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurchaseRow {
    /// The purchase.
    pub purchase: Purchase,
    /// The merchant.
    pub merchant: Card,
    /// The file for the goods.
    pub output: PathBuf,
    /// The state of the delivery.
    pub delivery: Delivery,
    /// The refusal of the escrow, the bank or the merchant, if there was one.
    pub refusal: Option<String>,
    /// When it was begun (ms since 1970).
    pub begun_ms: u64,
    /// The origins of its coins, in order. Empty before coins are put to it.
    pub origins: Vec<Origin>,
    /// Documents that convict the escrow. At most [`EXHIBITS_MAX`].
    pub exhibits: Vec<Exhibit>,
}

impl PurchaseRow {
    /// The keys of the bank whose coins pay, and of the escrow that decides.
    pub(crate) fn bank_and_escrow(&self) -> Option<(PublicKey, PublicKey)> {
        match (&self.purchase, self.purchase.order()) {
            (_, Some(order)) => Some((order.contract.terms.bank, order.contract.terms.escrow)),
            (Purchase::Fetching(plan) | Purchase::Dropped(plan), _) => Some((plan.bank, plan.escrow)),
            _ => None,
        }
    }

    /// Whether the purchase may still be paid, or its paid goods are missing. A past purchase that a restore has found
    /// is not under way.
    pub fn is_under_way(&self) -> bool {
        match self.purchase {
            Purchase::Aborted(..) | Purchase::Dropped(_) | Purchase::Recovered(_) => false,
            Purchase::Committed(..) => self.delivery == Delivery::Pending,
            Purchase::Fetching(_)
            | Purchase::Holding(_)
            | Purchase::Held(..)
            | Purchase::Cancelling(_)
            | Purchase::Taking(_)
            | Purchase::Streaming(..) => self.delivery != Delivery::OnDemand,
        }
    }

    /// Whether the bank keeps change and refunds of this purchase in the reserve with this origin.
    pub(crate) fn is_paid_at(&self, bank: &PublicKey, origin: &ReserveOrigin) -> bool {
        self.purchase.order().is_some_and(|order| {
            order.contract.terms.bank == *bank && ReserveOrigin::Order(order.counter) == *origin
        })
    }
}

/// Encrypted goods of at most
/// [`GOODS_WITH_OFFER_MAX_BYTES`](farthing_protocol::limits::GOODS_WITH_OFFER_MAX_BYTES).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmallGoods(#[serde(with = "serde_bytes")] pub Vec<u8>);

/// The identity of a file as it was at one time. Any later change of the file, even of its name, changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileId {
    /// The file system.
    pub device: u64,
    /// The file's number in it.
    pub inode: u64,
    /// The last change of the file or its attributes (seconds since 1970). No program can set it.
    pub changed_s: i64,
    /// The nanoseconds after that second.
    pub changed_ns: i64,
    /// Its length (bytes). Clocks of file systems are coarse.
    pub size_bytes: u64,
}

/// Upper bound of the convicting documents of one purchase. Two are enough.
pub const EXHIBITS_MAX: usize = 3;

/// A document that an escrow should never have signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exhibit {
    /// A receipt with a wrong goods key, or of a purchase that the escrow aborted or that was recovered.
    Receipt(Box<Signed<Receipt>>),
    /// An abort without a cause, or of a purchase that the escrow committed.
    Abort(Signed<Abort>),
    /// A commit, as the bank has it, with a wrong goods key, or of a purchase that the escrow aborted or that was
    /// recovered.
    Commit(Box<Signed<Commit>>),
    /// The hold of a purchase that the escrow aborted without a cause. In it the escrow promises to show a cause.
    Hold(Box<Signed<Hold>>),
    /// The commit of a stream with a wrong key, for a voucher that the customer has not signed, or of a stream that the escrow
    /// aborted.
    Stream(Box<StreamCommit>),
    /// The escrow's promise to commit ticks of a stream. It convicts with a commit of fewer, or with an abort.
    Raised(Box<Signed<Raised>>),
    /// A tick of a stream that does not open. It convicts the merchant.
    Tick(Box<ShownTick>),
}

/// The delivery of a purchase's goods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Delivery {
    /// Not decrypted yet.
    Pending,
    /// Written when the customer asks: a past purchase that a restore has found, or goods that were delivered before.
    /// A request for all of them at once would link the customer's past purchases.
    OnDemand,
    /// Written to the output file, as described.
    Delivered,
    /// Paid for, but not as described. `receipt verify` proves it.
    NotAsDescribed,
}

/// Page size of a scan (rows).
const PAGE_ROWS: usize = 256;

/// All rows of a table.
///
/// # Errors
/// When the store fails.
pub(crate) fn all<K, V>(rows: &View, table: &Table<K, V>) -> Result<Vec<(K, V)>, StoreError>
where
    K: Key,
    V: Serialize + DeserializeOwned,
{
    all_from(rows, table, Bound::Unbounded)
}

/// The rows of a table from a key on.
///
/// # Errors
/// When the store fails.
pub(crate) fn all_from<K, V>(
    view: &View,
    table: &Table<K, V>,
    from: Bound<K>,
) -> Result<Vec<(K, V)>, StoreError>
where
    K: Key,
    V: Serialize + DeserializeOwned,
{
    let mut rows: Vec<(K, V)> = Vec::new();
    loop {
        let from = rows.last().map_or(from.as_ref(), |(key, _)| Bound::Excluded(key));
        let page = table.scan(view, from, PAGE_ROWS)?;
        let full = page.len() == PAGE_ROWS;
        rows.extend(page);
        if !full {
            return Ok(rows);
        }
    }
}
