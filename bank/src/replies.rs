//! The replies to the operator's commands. Their JSON is the output of `farthing-bank --json`.

use farthing_coin::{Calendar, Denomination, KeyId, KeyListDigest, PublicKey};
use farthing_protocol::{
    documents::PurchaseId,
    money::{Amount, amount_text},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::{fmt, str::FromStr};

/// An account was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountOpened {
    /// The key that owns the account.
    pub key: PublicKey,
    /// Whether this command opened it. False if it was open before.
    pub new: bool,
}

/// Whether the bank issues coins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuingState {
    /// When it stopped to issue coins (ms since 1970). Absent while it issues.
    pub stopped_ms: Option<u64>,
}

/// Money was paid in or out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// The account.
    pub key: PublicKey,
    /// The amount of the movement.
    #[serde(with = "amount_text")]
    pub amount: Amount,
    /// The balance after the movement.
    #[serde(with = "amount_text")]
    pub balance: Amount,
    /// The operator's name for the movement.
    pub reference: String,
    /// Whether this command moved the money. False if an earlier command with the same reference did.
    pub new: bool,
}

/// A page of the accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountsPage {
    /// At most [`ACCOUNTS_PAGE_MAX`](crate::admin::ACCOUNTS_PAGE_MAX) accounts, by key.
    pub accounts: Vec<AccountLine>,
    /// Whether more accounts follow.
    pub more: bool,
}

/// One account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountLine {
    /// The key that owns the account.
    pub key: PublicKey,
    /// The account's name.
    pub name: Option<String>,
    /// The balance.
    #[serde(with = "amount_text")]
    pub balance: Amount,
    /// When it was opened (ms since 1970).
    pub opened_ms: u64,
}

/// A page of the open holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldsPage {
    /// At most [`HOLDS_PAGE_MAX`](crate::admin::HOLDS_PAGE_MAX) holds, by deadline.
    pub holds: Vec<HoldLine>,
    /// Whether more holds follow.
    pub more: bool,
}

/// One open hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldLine {
    /// The purchase.
    pub purchase: PurchaseId,
    /// The escrow that decides the purchase.
    pub escrow: PublicKey,
    /// The price.
    #[serde(with = "amount_text")]
    pub amount: Amount,
    /// The deadline (ms since 1970).
    pub deadline_ms: u64,
    /// Whether the deadline has passed by the bank's clock.
    pub overdue: bool,
    /// The position of this hold in the list.
    pub position: HoldPosition,
}

/// The position of a hold in the list. As text it is `DEADLINE.PURCHASE.ESCROW`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldPosition {
    /// The deadline (ms since 1970).
    pub deadline_ms: u64,
    /// The purchase.
    pub purchase: PurchaseId,
    /// The escrow that decides the purchase.
    pub escrow: PublicKey,
}

impl HoldPosition {
    /// The key of the hold's row.
    pub(crate) fn row(&self) -> (u64, PurchaseId, PublicKey) {
        (self.deadline_ms, self.purchase, self.escrow)
    }
}

impl fmt::Display for HoldPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.deadline_ms, self.purchase, self.escrow)
    }
}

impl FromStr for HoldPosition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.splitn(3, '.');
        let mut parse = || {
            Some(HoldPosition {
                deadline_ms: parts.next()?.parse().ok()?,
                purchase: parts.next()?.parse().ok()?,
                escrow: parts.next()?.parse().ok()?,
            })
        };
        parse().ok_or_else(|| format!("`{text}` is not a position of a hold"))
    }
}

impl Serialize for HoldPosition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HoldPosition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// The bank's list of keys. It has every field of every digest: the list's digest and each key id can be recomputed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyLines {
    /// The bank's identity key.
    pub bank: PublicKey,
    /// The currency.
    pub currency: String,
    /// The calendar that dates every key.
    pub calendar: Calendar,
    /// The values of the coins (smallest units), ascending.
    pub values: Vec<u64>,
    /// The digest of the list.
    pub digest: KeyListDigest,
    /// The keys, by epoch and value.
    pub keys: Vec<KeyLine>,
}

/// One key of the bank.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyLine {
    /// The key id.
    pub id: KeyId,
    /// The public key X.
    pub x: PublicKey,
    /// The worth of a coin under this key.
    pub value: Value,
    /// The epoch.
    pub epoch: u32,
    /// When the key begins to issue coins (ms since 1970).
    pub issue_from_ms: u64,
    /// When the key stops issuing coins (ms since 1970).
    pub issue_until_ms: u64,
    /// When coins can no longer enter a purchase (ms since 1970).
    pub spend_until_ms: u64,
    /// When coins can no longer be exchanged (ms since 1970).
    pub redeem_until_ms: u64,
    /// Whether the key issues coins now, by the bank's clock.
    pub issuing: bool,
}

impl KeyLine {
    pub(crate) fn new(key: &Denomination, now_ms: u64) -> Self {
        Self {
            id: key.id(),
            x: key.public,
            value: Value {
                units: key.value,
                text: Amount(key.value),
            },
            epoch: key.epoch,
            issue_from_ms: key.issue_from_ms,
            issue_until_ms: key.issue_until_ms,
            spend_until_ms: key.spend_until_ms,
            redeem_until_ms: key.redeem_until_ms,
            issuing: (key.issue_from_ms..key.issue_until_ms).contains(&now_ms),
        }
    }
}

/// An amount, in smallest units and as people write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Value {
    /// Smallest units.
    pub units: u64,
    /// The same with two decimals.
    #[serde(with = "amount_text")]
    pub text: Amount,
}
