//! What a wallet keeps in its store.

use farthing_coin::{Coin, KeyId, KeyList, PublicKey, RequestId, Signed, StatementDigest};
use farthing_node::{
    card::Card,
    key_lists::{KeyListEpochsTable, KeyListRootsTable, KeyListTables},
};
use farthing_protocol::{
    denial::Denial,
    documents::{Abort, Commit, EarlierUse, Hold, Receipt, coins_digest},
    exchange::Exchange,
    ids::CoinsDigest,
    purchase::Purchase,
    restore::{CoinUsed, Origin},
    withdraw::Withdrawal,
};
use farthing_store::{Key, StoreError, Table, View};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{ops::Bound, path::PathBuf};

/// What secrets are numbered by. A number is used once, whatever becomes of what it was used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    /// Of withdrawals.
    Withdrawals,
    /// Of exchanges.
    Exchanges,
    /// Of purchases as the customer sees them; nothing secret is derived from these.
    Purchases,
    /// Of orders: taken when coins are put to a purchase, and what its secrets are derived from.
    Orders,
}

/// The next unused number of each counter, by bank: one bank's numbers are no gaps at another, where a restore
/// would take them for the end.
pub const COUNTERS: Table<(PublicKey, u8), u64> = Table::new(1, "counters");

/// Exclusive upper bound of each counter's numbers to which a restore gets for certain, by bank. None in a wallet of
/// before, which finds out by its first scan record.
pub const BRIDGED: Table<(PublicKey, u8), u64> = Table::new(21, "bridged numbers");

/// Under whose counters purchases are numbered for the customer: nobody's.
pub const NO_BANK: PublicKey = PublicKey([0; 32]);

/// The coins that are not used up, by what the bank knows them by.
pub const COINS: Table<(KeyId, PublicKey), CoinRow> = Table::new(2, "coins");

/// The coins that are used up for good: see [`CoinStatus::is_past`].
pub const PAST_COINS: Table<(KeyId, PublicKey), CoinRow> = Table::new(9, "past coins");

/// Withdrawals, by bank and number.
pub const WITHDRAWALS: Table<(PublicKey, u64), Withdrawal> = Table::new(3, "withdrawals");

/// Exchanges, by bank and number.
pub const EXCHANGES: Table<(PublicKey, u64), ExchangeRow> = Table::new(4, "exchanges");

/// The exchanges that were refused, by bank and set of inputs ([`input_set`]): the number that the same inputs are
/// planned under again. A wallet of before has no rows for what was refused then.
pub const REFUSED_EXCHANGES: Table<(PublicKey, CoinsDigest), u64> = Table::new(20, "refused exchanges");

/// Names a set of coins, whatever their order.
pub fn input_set(coins: &[Coin]) -> CoinsDigest {
    let mut coins = coins.to_vec();
    coins.sort_by_key(|coin| (coin.key_id, coin.public));
    coins_digest(&coins)
}

/// Purchases, by number.
pub const PURCHASES: Table<u64, PurchaseRow> = Table::new(5, "purchases");

/// Every first message of a bank that was ever met, by its digest, with the request, slot and key it was met
/// under.
pub const FIRST_MESSAGES: Table<[u8; 32], (RequestId, u32, KeyId)> = Table::new(6, "first messages");

/// Which key names the wallet's account at a bank. None: the bank's own.
pub const ACCOUNT_KEYS: Table<PublicKey, AccountKey> = Table::new(22, "account keys");

/// Which key names the wallet's account at a bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccountKey {
    /// One that no other bank sees.
    Own,
    /// The one that wallets showed to every bank before banks had keys of their own.
    Shared,
}

/// The banks that a wallet made from its phrase has been restored from.
pub const RESTORED: Table<PublicKey, RestoredRow> = Table::new(12, "restored");

/// Coins that their bank has denied without a signature, by what the bank knows each by, with what it showed. Only older
/// versions wrote these rows, which prove nothing.
pub const DENIED: Table<(KeyId, PublicKey), Option<EarlierUse>> = Table::new(10, "denied coins");

/// Signed denials, without a good reason, of coins that the wallet goes on to own, by what the bank knows each by: at most
/// one row for each coin.
pub const DENIALS: Table<(KeyId, PublicKey), Signed<Denial>> = Table::new(30, "denials");

/// Every finish of a withdrawal or an exchange that may have been sent, by request id and by digest: the bank may have
/// carried it out, whatever it has said since.
pub const SENT_FINISHES: Table<(RequestId, StatementDigest), SentFinish> = Table::new(31, "sent finishes");

/// Encrypted goods that are no file of their own, by their purchase's number.
pub const SMALL_GOODS: Table<u64, SmallGoods> = Table::new(11, "small goods");

/// The banks' lists of keys, as wallets kept them at first: read where [`KEYS`] has none. A row of it takes 64 KiB and no
/// more.
pub const KEY_LISTS: Table<PublicKey, Signed<KeyList>> = Table::new(7, "key lists");

/// The roots of the banks' lists of keys.
pub const KEY_LIST_ROOTS: KeyListRootsTable = Table::new(40, "roots of key lists");

/// Their epochs, one row each.
pub const KEY_LIST_EPOCHS: KeyListEpochsTable = Table::new(41, "epochs of key lists");

/// The banks' lists of keys.
pub const KEYS: KeyListTables = KeyListTables {
    roots: &KEY_LIST_ROOTS,
    epochs: &KEY_LIST_EPOCHS,
};

/// Whose finish it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentFinish {
    /// The bank.
    pub bank: PublicKey,
    /// The number of the withdrawal or exchange.
    pub number: u64,
}

/// A restore that has ended. What was under way when it looked, and so what may come through later, has numbers below
/// those that it has looked for; the wallet's own are above.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoredRow {
    /// Behind the numbers of withdrawals that it has looked for.
    pub withdrawals: u64,
    /// Behind those of exchanges.
    pub exchanges: u64,
    /// Behind those of orders.
    pub orders: u64,
    /// When it began (ms since 1970).
    pub began_ms: u64,
    /// Where goods of its purchases go.
    pub goods_dir: PathBuf,
    /// Until when something may come through (ms since 1970): a look that begins then or later is the last one. `None`
    /// when that has been.
    pub late_until_ms: Option<u64>,
    /// Whether coins have come through, and what they were made of was not looked for yet.
    pub has_come: bool,
}

/// A coin and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoinRow {
    /// The coin.
    pub coin: Coin,
    /// Its bank.
    pub bank: PublicKey,
    /// Its value in the smallest unit.
    pub value: u64,
    /// What its secrets are derived from.
    pub origin: Origin,
    /// What became of it.
    pub status: CoinStatus,
}

/// What became of a coin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CoinStatus {
    /// It can be spent.
    Available,
    /// It was put to this purchase, which is under way.
    InPurchase(u64),
    /// It paid for this purchase.
    Spent(u64),
    /// It was released by this purchase's abort, and is exchanged before it is used again.
    Released(u64),
    /// It was put to this exchange, which is under way.
    InExchange(u64),
    /// It was exchanged.
    Exchanged(u64),
    /// The bank has shown that it was used otherwise, with the coin's own signature: by a copy of this wallet, or by what
    /// it had sent before it was lost.
    UsedElsewhere(EarlierUse),
    /// A restore found it used, and no purchase of this wallet has claimed it.
    FoundUsed(CoinUsed),
    /// The bank has shown that it is held for a purchase that this wallet does not know, with the coin's own signature. That
    /// may be aborted yet; so the coin is put to an exchange now and then, until it is exchanged or used up.
    HeldElsewhere(EarlierUse),
}

impl CoinStatus {
    /// One word for people and scripts.
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
        }
    }

    /// Whether the coin is used up for good.
    pub fn is_past(&self) -> bool {
        matches!(
            self,
            CoinStatus::Spent(_) | CoinStatus::Exchanged(_) | CoinStatus::UsedElsewhere(_)
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
        )
    }
}

/// An exchange, and where its inputs came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangeRow {
    /// The exchange.
    pub exchange: Exchange,
    /// Of the inputs, in their order.
    pub origins: Vec<Origin>,
    /// What the inputs were before, and are again if the bank refuses.
    pub before: CoinStatus,
}

/// A purchase, and what the customer wants of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurchaseRow {
    /// The purchase.
    pub purchase: Purchase,
    /// The merchant.
    pub merchant: Card,
    /// Where the goods are to be written.
    pub output: PathBuf,
    /// What became of the goods.
    pub delivery: Delivery,
    /// Why the escrow, the bank or the merchant refused, where one did.
    pub refusal: Option<String>,
    /// When it was begun (ms since 1970).
    pub begun_ms: u64,
    /// Where its coins came from, in their order; empty before coins were put to it.
    pub origins: Vec<Origin>,
    /// Documents that convict the escrow, at most [`EXHIBITS_MAX`].
    pub exhibits: Vec<Exhibit>,
}

/// Encrypted goods of at most
/// [`GOODS_WITH_OFFER_MAX_BYTES`](farthing_protocol::limits::GOODS_WITH_OFFER_MAX_BYTES).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmallGoods(#[serde(with = "serde_bytes")] pub Vec<u8>);

/// The most convicting documents that are kept of one purchase; two are enough.
pub const EXHIBITS_MAX: usize = 3;

/// A document that an escrow should never have signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exhibit {
    /// A receipt with a wrong goods key, or for a purchase that it aborted or that was recovered.
    Receipt(Box<Signed<Receipt>>),
    /// An abort of a purchase that it committed, or without a cause.
    Abort(Signed<Abort>),
    /// A commit, as the bank has it, with a wrong goods key, or of a purchase that it aborted or that was recovered.
    Commit(Box<Signed<Commit>>),
    /// The escrow's hold of a purchase that it aborted without a cause: its promise to show one.
    Hold(Box<Signed<Hold>>),
}

/// What became of a purchase's goods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Delivery {
    /// Not decrypted yet.
    Pending,
    /// A purchase of the past that a restore has found: its goods are fetched when they are asked for, since
    /// asking for all of them at once would join her past purchases.
    OnDemand,
    /// Written where the customer wants them, as described.
    Delivered,
    /// Paid for, but not as described: `receipt verify` proves it.
    NotAsDescribed,
}

/// How many rows are read at a time.
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
