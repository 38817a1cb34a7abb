//! The bank's list of keys, append-only and on a fixed calendar.
//!
//! A key that a bank makes for one customer would mark this customer's coins. So a wallet takes keys only from a signed
//! list. It checks that the list has one key for each value and epoch, on the calendar's dates. It compares the digest of
//! the list with the digest in the merchants' offers.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::bounded;
use crate::denomination::Denomination;
use crate::document::{Document, Signed};
use crate::ids::{KeyId, KeyListDigest};
use crate::sign::{PublicKey, SignatureError};
use crate::transcript::{Transcript, TranscriptExt, label};

/// The longest name of a currency (bytes).
pub const MAX_CURRENCY_BYTES: usize = 12;

/// Whether `text` can name a currency: 1 to [`MAX_CURRENCY_BYTES`] bytes from `!` to `~`.
#[must_use]
pub fn is_currency(text: &str) -> bool {
    let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
    (1..=MAX_CURRENCY_BYTES).contains(&text.len()) && printable
}

/// The most values that a currency can have: each power of two that a `u64` holds.
pub const MAX_VALUES: usize = 64;
/// The most epochs that one list can have.
pub const MAX_EPOCHS: usize = 4096;

/// When epochs begin and end. Epoch n begins at n `epoch_ms` of Unix time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calendar {
    /// Length of an epoch, in which its keys issue coins (milliseconds). More than zero.
    pub epoch_ms: u64,
    /// Number of epochs after the issue in which its coins can be spent.
    pub spend_epochs: u32,
    /// Number of epochs after these in which its coins can still be exchanged.
    pub redeem_epochs: u32,
}

/// The keys of one epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochKeys {
    /// The epoch's number in the calendar.
    pub epoch: u32,
    /// One key for each of the list's values, in the same order.
    #[serde(deserialize_with = "bounded::list::<_, _, MAX_VALUES>")]
    pub keys: Vec<PublicKey>,
}

/// All keys of one bank for one currency, as the bank signs them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyList {
    /// The bank. It signs the list with this key.
    pub bank: PublicKey,
    /// The currency, 1 to [`MAX_CURRENCY_BYTES`] printable ASCII characters without spaces.
    #[serde(deserialize_with = "bounded::text::<_, MAX_CURRENCY_BYTES>")]
    pub currency: String,
    /// The calendar of the epochs.
    pub calendar: Calendar,
    /// The values in the smallest unit: strictly ascending powers of two, 1 to [`MAX_VALUES`] of them.
    #[serde(deserialize_with = "bounded::list::<_, _, MAX_VALUES>")]
    pub values: Vec<u64>,
    /// The epochs, 1 to [`MAX_EPOCHS`] of them. Each number is the successor of the one before.
    #[serde(deserialize_with = "bounded::list::<_, _, MAX_EPOCHS>")]
    pub epochs: Vec<EpochKeys>,
}

/// Why a list of keys was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyListError {
    /// The list belongs to another bank.
    #[error("got the list of bank {got} and expected the list of bank {expected}")]
    WrongBank {
        /// The bank that the list names.
        got: PublicKey,
        /// The expected bank.
        expected: PublicKey,
    },
    /// The bank's signature over the list does not verify.
    #[error("the bank's signature over its list of keys is refused: {0}")]
    Signature(#[from] SignatureError),
    /// The currency's name is empty, too long, or not printable ASCII.
    #[error("the currency's name is not 1 to 12 printable ASCII characters")]
    Currency,
    /// The list has no values or too many.
    #[error("got {got} values and expected 1 to 64")]
    ValueCount {
        /// Number of values.
        got: usize,
    },
    /// A value is not a power of two, or not above the one before.
    #[error("value {value} is not a power of two above the value before it")]
    Value {
        /// The value.
        value: u64,
    },
    /// The list has no epochs or too many.
    #[error("got {got} epochs and expected 1 to 4096")]
    EpochCount {
        /// Number of epochs.
        got: usize,
    },
    /// An epoch is not the successor of the one before.
    #[error("got epoch {got} where epoch {expected} follows")]
    EpochOrder {
        /// The epoch in the list.
        got: u32,
        /// The successor of the epoch before it.
        expected: u64,
    },
    /// The calendar's epochs have no length, or the dates of an epoch do not fit.
    #[error("the calendar gives epoch {epoch} no valid dates")]
    Dates {
        /// The epoch.
        epoch: u32,
    },
    /// An epoch has too few or too many keys.
    #[error("epoch {epoch} has {got} keys and expected one for each of {expected} values")]
    KeyCount {
        /// The epoch.
        epoch: u32,
        /// Number of its keys.
        got: usize,
        /// Number of values.
        expected: usize,
    },
    /// A key is not a canonical point, or is the identity.
    #[error("the key of value {value} in epoch {epoch} is refused: {error}")]
    Key {
        /// The key's value.
        value: u64,
        /// The key's epoch.
        epoch: u32,
        /// What is wrong with it.
        error: SignatureError,
    },
    /// Two denominations have the same key.
    #[error("the key of value {value} in epoch {epoch} is also the key of another denomination")]
    DuplicateKey {
        /// Value of the second denomination.
        value: u64,
        /// Epoch of the second denomination.
        epoch: u32,
    },
}

/// The four dates of an epoch.
struct Dates {
    issue_from_ms: u64,
    issue_until_ms: u64,
    spend_until_ms: u64,
    redeem_until_ms: u64,
}

impl Calendar {
    /// The epoch in which coins are issued at `now_ms`. `None` beyond the last epoch, or if epochs have no length.
    pub fn epoch_at(&self, now_ms: u64) -> Option<u32> {
        u32::try_from(now_ms.checked_div(self.epoch_ms)?).ok()
    }

    /// The dates of `epoch`. `None` if epochs have no length or a date does not fit a u64.
    fn dates(&self, epoch: u32) -> Option<Dates> {
        if self.epoch_ms == 0 {
            return None;
        }
        let issue_from_ms = self.epoch_ms.checked_mul(u64::from(epoch))?;
        let issue_until_ms = issue_from_ms.checked_add(self.epoch_ms)?;
        let spend_ms = self.epoch_ms.checked_mul(u64::from(self.spend_epochs))?;
        let spend_until_ms = issue_until_ms.checked_add(spend_ms)?;
        let redeem_ms = self.epoch_ms.checked_mul(u64::from(self.redeem_epochs))?;
        let redeem_until_ms = spend_until_ms.checked_add(redeem_ms)?;
        Some(Dates {
            issue_from_ms,
            issue_until_ms,
            spend_until_ms,
            redeem_until_ms,
        })
    }
}

impl KeyList {
    /// Checks the bounds, values, dates and keys. It does not need the signature.
    ///
    /// # Errors
    /// The first error in the list.
    pub fn check(&self) -> Result<(), KeyListError> {
        self.check_values()?;
        if self.epochs.is_empty() || self.epochs.len() > MAX_EPOCHS {
            return Err(KeyListError::EpochCount {
                got: self.epochs.len(),
            });
        }
        let mut expected = None;
        let mut seen = BTreeSet::new();
        for epoch_keys in &self.epochs {
            let epoch = epoch_keys.epoch;
            if let Some(expected) = expected.filter(|expected| *expected != u64::from(epoch)) {
                return Err(KeyListError::EpochOrder { got: epoch, expected });
            }
            expected = Some(u64::from(epoch) + 1);
            self.check_epoch(epoch_keys, &mut seen)?;
        }
        Ok(())
    }

    fn check_values(&self) -> Result<(), KeyListError> {
        if !is_currency(&self.currency) {
            return Err(KeyListError::Currency);
        }
        if self.values.is_empty() || self.values.len() > MAX_VALUES {
            return Err(KeyListError::ValueCount {
                got: self.values.len(),
            });
        }
        let mut previous = 0;
        for &value in &self.values {
            if !value.is_power_of_two() || value <= previous {
                return Err(KeyListError::Value { value });
            }
            previous = value;
        }
        Ok(())
    }

    fn check_epoch(
        &self,
        epoch_keys: &EpochKeys,
        seen: &mut BTreeSet<PublicKey>,
    ) -> Result<(), KeyListError> {
        let epoch = epoch_keys.epoch;
        self.calendar.dates(epoch).ok_or(KeyListError::Dates { epoch })?;
        let (got, expected) = (epoch_keys.keys.len(), self.values.len());
        if got != expected {
            return Err(KeyListError::KeyCount { epoch, got, expected });
        }
        for (&value, key) in self.values.iter().zip(&epoch_keys.keys) {
            key.check()
                .map_err(|error| KeyListError::Key { value, epoch, error })?;
            if !seen.insert(*key) {
                return Err(KeyListError::DuplicateKey { value, epoch });
            }
        }
        Ok(())
    }

    /// The denomination of one value and epoch, if the list has it.
    pub fn denomination(&self, value: u64, epoch: u32) -> Option<Denomination> {
        let epoch_keys = self.epochs.iter().find(|keys| keys.epoch == epoch)?;
        let position = self.values.iter().position(|listed| *listed == value)?;
        self.describe_key(value, epoch, epoch_keys.keys.get(position)?)
    }

    fn describe_key(&self, value: u64, epoch: u32, public: &PublicKey) -> Option<Denomination> {
        let dates = self.calendar.dates(epoch)?;
        Some(Denomination {
            bank: self.bank,
            currency: self.currency.clone(),
            value,
            epoch,
            issue_from_ms: dates.issue_from_ms,
            issue_until_ms: dates.issue_until_ms,
            spend_until_ms: dates.spend_until_ms,
            redeem_until_ms: dates.redeem_until_ms,
            public: *public,
        })
    }

    /// The first link of the chain: the digest of all fields that stay the same when epochs are appended.
    fn root(&self) -> KeyListDigest {
        let mut transcript = Transcript::start(label::KEY_LIST);
        transcript.bytes(b"bank", &self.bank.0);
        transcript.bytes(b"currency", self.currency.as_bytes());
        transcript.u64(b"epoch length", self.calendar.epoch_ms);
        transcript.u32(b"spend epochs", self.calendar.spend_epochs);
        transcript.u32(b"redeem epochs", self.calendar.redeem_epochs);
        transcript.count(b"values", self.values.len());
        for value in &self.values {
            transcript.u64(b"value", *value);
        }
        KeyListDigest(transcript.digest32(b"link"))
    }

    /// The digests of the list up to each of its epochs, in order. Each link covers the one before.
    pub fn chain(&self) -> Vec<KeyListDigest> {
        let mut link = self.root();
        let mut chain = Vec::with_capacity(self.epochs.len());
        for epoch_keys in &self.epochs {
            let mut transcript = Transcript::start(label::KEY_LIST_EPOCH);
            transcript.bytes(b"previous", &link.0);
            transcript.u32(b"epoch", epoch_keys.epoch);
            transcript.count(b"keys", epoch_keys.keys.len());
            for key in &epoch_keys.keys {
                transcript.bytes(b"X", &key.0);
            }
            link = KeyListDigest(transcript.digest32(b"link"));
            chain.push(link);
        }
        chain
    }
}

impl Document for KeyList {
    const LABEL: &'static str = "farthing key list";

    /// The chain's last link covers every field.
    fn describe(&self, transcript: &mut Transcript) {
        let last = self.chain().last().copied().unwrap_or_else(|| self.root());
        transcript.bytes(b"chain", &last.0);
    }
}

/// A verified list of keys, with an index.
///
/// ```
/// use farthing_coin::{Calendar, DenominationSecret, EpochKeys, KeyBook, KeyList, MasterSecret, SecretKey, Signed};
///
/// let bank = SecretKey::from_wide(&[9; 64])?;
/// let master = MasterSecret::from_bytes([7; 32]);
/// let list = KeyList {
///     bank: bank.public(),
///     currency: "FTH".into(),
///     calendar: Calendar { epoch_ms: 1000, spend_epochs: 2, redeem_epochs: 2 },
///     values: vec![1, 2],
///     epochs: vec![EpochKeys {
///         epoch: 3,
///         keys: [1, 2].map(|value| DenominationSecret::derive(&master, value, 3).public()).to_vec(),
///     }],
/// };
/// let book = KeyBook::new(Signed::sign(list, &bank), &bank.public())?;
/// let issuing = book.issuing(2, 3500).expect("3500 ms is in epoch 3");
/// assert_eq!((issuing.value, issuing.epoch, issuing.issue_until_ms), (2, 3, 4000));
/// assert!(book.issuing(2, 4000).is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct KeyBook {
    signed: Signed<KeyList>,
    chain: Vec<KeyListDigest>,
    by_id: BTreeMap<KeyId, Denomination>,
    by_date: BTreeMap<(u32, u64), KeyId>,
}

impl KeyBook {
    /// Verifies that `bank` signed the list, checks all fields, and indexes the keys.
    ///
    /// # Errors
    /// The first error in the list.
    pub fn new(signed: Signed<KeyList>, bank: &PublicKey) -> Result<Self, KeyListError> {
        let list = &signed.body;
        if list.bank != *bank {
            return Err(KeyListError::WrongBank {
                got: list.bank,
                expected: *bank,
            });
        }
        // Bounds come first: a list without a valid signature must cost little.
        list.check_values()?;
        if list.epochs.is_empty() || list.epochs.len() > MAX_EPOCHS {
            return Err(KeyListError::EpochCount {
                got: list.epochs.len(),
            });
        }
        signed.verify(bank)?;
        list.check()?;
        let mut by_id = BTreeMap::new();
        let mut by_date = BTreeMap::new();
        for epoch_keys in &list.epochs {
            let epoch = epoch_keys.epoch;
            for (&value, key) in list.values.iter().zip(&epoch_keys.keys) {
                let denomination = list
                    .describe_key(value, epoch, key)
                    .ok_or(KeyListError::Dates { epoch })?;
                let id = denomination.id();
                by_id.insert(id, denomination);
                by_date.insert((epoch, value), id);
            }
        }
        let chain = list.chain();
        Ok(Self {
            signed,
            chain,
            by_id,
            by_date,
        })
    }

    /// The denomination with this id.
    pub fn get(&self, id: &KeyId) -> Option<&Denomination> {
        self.by_id.get(id)
    }

    /// The denomination of one value and epoch.
    pub fn denomination(&self, value: u64, epoch: u32) -> Option<&Denomination> {
        self.get(self.by_date.get(&(epoch, value))?)
    }

    /// The denomination of `value` that is issued at `now_ms`. There is at most one.
    pub fn issuing(&self, value: u64, now_ms: u64) -> Option<&Denomination> {
        self.denomination(value, self.list().calendar.epoch_at(now_ms)?)
    }

    /// All denominations, in the order of their ids.
    pub fn denominations(&self) -> impl Iterator<Item = (&KeyId, &Denomination)> {
        self.by_id.iter()
    }

    /// The values, ascending.
    pub fn values(&self) -> &[u64] {
        &self.list().values
    }

    /// The list.
    pub fn list(&self) -> &KeyList {
        &self.signed.body
    }

    /// The list as the bank signed it.
    pub fn signed(&self) -> &Signed<KeyList> {
        &self.signed
    }

    /// The digest of the whole list. Merchants put it into their offers.
    pub fn digest(&self) -> KeyListDigest {
        // A checked list has an epoch, so its chain has a link.
        self.chain.last().copied().unwrap_or_else(|| self.list().root())
    }

    /// Whether `digest` belongs to this list or to a list that this one extends.
    pub fn knows_digest(&self, digest: &KeyListDigest) -> bool {
        self.chain.contains(digest)
    }

    /// The last epoch of the list with this digest. `None` if this list is not that list and does not extend it.
    pub fn last_epoch_of(&self, digest: &KeyListDigest) -> Option<u32> {
        let position = self.chain.iter().position(|link| link == digest)?;
        self.list().epochs.get(position).map(|keys| keys.epoch)
    }

    /// Whether this list is `older`, or `older` with only epochs appended.
    pub fn extends(&self, older: &KeyBook) -> bool {
        self.knows_digest(&older.digest())
    }
}
