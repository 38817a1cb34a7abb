//! The keys that issue: derived from one master secret, on a list that only grows, by the calendar.
//!
//! The list itself is in the store; the secrets are in memory, derived anew with every start from the file
//! [`ISSUING_KEY_FILE`]. Whoever has that file can make money.

use crate::rows::{EPOCHS, KEY_ROOT, KeyRoot};
use farthing_coin::{
    Calendar, DenominationSecret, EpochKeys, KeyBook, KeyId, KeyList, KeyListError, MAX_EPOCHS, MasterSecret,
    SecretKey, Signed,
};
use farthing_node::{home::files, operator::status::KeyListStatus};
use farthing_protocol::limits::KEY_LIST_MAX_BYTES;
use farthing_store::{Reads, Store, StoreError, View, limits::SCAN_MAX_ROWS};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    io,
    ops::Bound,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// The file of the master secret, in the bank's directory (hex, 0600).
pub const ISSUING_KEY_FILE: &str = "issuing.key";

/// How long a new bank's list of keys must be able to grow (ms): ten years.
pub const LIFE_LEAST_MS: u64 = 3_652 * 24 * 60 * 60 * 1000;

/// The most bytes that a list has besides its epochs and its values.
const LIST_FIXED_BYTES: usize = 256;

/// The bytes of an epoch besides its keys, and those of a key or a value.
const EPOCH_FIXED_BYTES: usize = 12;
const KEY_BYTES: usize = 32;
const VALUE_BYTES: usize = 8;

/// What a bank is set to when it is made. Its coins depend on all of it, so it never changes afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BankSettings {
    /// The currency's name.
    pub currency: String,
    /// When epochs begin and end.
    pub calendar: Calendar,
    /// The values of coins in the smallest unit, ascending powers of two.
    pub values: Vec<u64>,
}

impl BankSettings {
    /// How many epochs the bank's list of keys has room for: [`MAX_EPOCHS`], and [`KEY_LIST_MAX_BYTES`].
    pub fn epochs_max(&self) -> usize {
        epochs_max(self.values.len())
    }

    /// Checks that the list of keys can grow for [`LIFE_LEAST_MS`].
    ///
    /// # Errors
    /// [`KeysError::ShortLife`], which says what would do.
    pub fn check_life(&self) -> Result<(), KeysError> {
        // The epoch that has begun, and the one after it, are on the list from the first day on.
        let needed = |epoch_ms: u64| LIFE_LEAST_MS.div_ceil(epoch_ms.max(1)).saturating_add(2);
        let room = |values: usize| u64::try_from(epochs_max(values)).unwrap_or(u64::MAX);
        let epoch_ms = self.calendar.epoch_ms;
        let values = self.values.len();
        if needed(epoch_ms) <= room(values) {
            return Ok(());
        }
        let fitting = (1..values).rev().find(|fewer| needed(epoch_ms) <= room(*fewer));
        let least_ms = LIFE_LEAST_MS.div_ceil(room(values).saturating_sub(2).max(1));
        Err(KeysError::ShortLife {
            days: u64::try_from(epochs_max(values))
                .unwrap_or(u64::MAX)
                .saturating_mul(epoch_ms)
                / DAY_MS,
            least_days: least_ms.div_ceil(DAY_MS),
            fewer: fitting.map_or_else(String::new, |fewer| format!(", or at most {fewer} values")),
        })
    }
}

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// How many epochs fit a list of so many values.
fn epochs_max(values: usize) -> usize {
    let epoch_bytes = values.saturating_mul(KEY_BYTES).saturating_add(EPOCH_FIXED_BYTES);
    let fixed_bytes = values
        .saturating_mul(VALUE_BYTES)
        .saturating_add(LIST_FIXED_BYTES);
    let fitting = KEY_LIST_MAX_BYTES.saturating_sub(fixed_bytes) / epoch_bytes;
    fitting.min(MAX_EPOCHS)
}

/// Why the keys cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The list breaks its own rules.
    #[error(transparent)]
    List(#[from] KeyListError),
    /// The configuration differs from what the bank's coins were made with.
    #[error(
        "the {0} in the bank's configuration is not the one that its coins were made with; put the old one back"
    )]
    Changed(&'static str),
    /// The master secret is not the one that the list was made with.
    #[error(
        "the secret in {ISSUING_KEY_FILE} is not the one that epoch {epoch} was made with; restore the file from \
         your backup"
    )]
    OtherSecret {
        /// The epoch.
        epoch: u32,
    },
    /// The list of a new bank would be full too soon.
    #[error(
        "with these epochs and values the list of keys is full after {days} days; a bank needs ten years: choose epochs of \
         at least {least_days} days{fewer}"
    )]
    ShortLife {
        /// After how many days it would be full.
        days: u64,
        /// The shortest epochs that would do for these values (days).
        least_days: u64,
        /// How many values would do for these epochs, in words; empty if none.
        fewer: String,
    },
    /// The master secret's file.
    #[error("{path}: {source}; restore it from your backup, or, if the bank never ran, remove its directory and run `farthing-bank init`", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Others can read the master secret.
    #[error("{path} can be read by others (mode {mode:o}); run `chmod 600 {path}`, and think of who may have read it", path = path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

/// The master secret that every issuing key is derived from.
pub struct Master(MasterSecret);

impl std::fmt::Debug for Master {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Master(..)")
    }
}

impl Master {
    /// A fresh one.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(bytes.as_mut_slice());
        Master(MasterSecret::from_bytes(*bytes))
    }

    /// Writes it into the directory `dir`, durably, where there is none yet.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn create(&self, dir: &Path) -> Result<(), KeysError> {
        let path = dir.join(ISSUING_KEY_FILE);
        let hex = Zeroizing::new(hex::encode(self.0.as_bytes()));
        files::create(&path, hex.as_bytes(), files::Mode::Secret)
            .and_then(|()| files::sync_dir(dir))
            .map_err(|source| KeysError::File { path, source })
    }

    /// Reads it from the directory `dir`.
    ///
    /// # Errors
    /// When it is missing, open to others, or not 64 hexadecimal digits.
    pub fn read(dir: &Path) -> Result<Self, KeysError> {
        let path = dir.join(ISSUING_KEY_FILE);
        let io = |source| KeysError::File {
            path: path.clone(),
            source,
        };
        if let Some(mode) = files::exposed(&path).map_err(io)? {
            return Err(KeysError::Exposed { path, mode });
        }
        let text = Zeroizing::new(files::read_bounded(&path, 128).map_err(io)?);
        let mut bytes = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text.trim_ascii(), bytes.as_mut_slice())
            .map_err(|_| io(io::Error::other("expected 64 hexadecimal digits")))?;
        Ok(Master(MasterSecret::from_bytes(*bytes)))
    }

    fn derive(&self, value: u64, epoch: u32) -> DenominationSecret {
        DenominationSecret::derive(&self.0, value, epoch)
    }

    fn epoch_keys(&self, values: &[u64], epoch: u32) -> EpochKeys {
        let keys = values.iter().map(|value| self.derive(*value, epoch).public());
        EpochKeys {
            epoch,
            keys: keys.collect(),
        }
    }
}

/// The list of keys, signed, with the secrets that belong to it.
#[derive(Debug)]
pub struct Keys {
    book: KeyBook,
    secrets: BTreeMap<KeyId, DenominationSecret>,
}

impl Keys {
    /// Opens the list in the store, and appends what the calendar asks for by `now_ms`: the keys of this epoch and of
    /// the next, so that wallets and merchants know them before they issue.
    ///
    /// # Errors
    /// [`KeysError`]; nothing is written then.
    pub async fn open(
        store: &Store,
        root: &KeyRoot,
        master: &Master,
        identity: &SecretKey,
        now_ms: u64,
    ) -> Result<Keys, KeysError> {
        let stored = check_root(&store.view(), root)?;
        let rows = EPOCHS.scan(&store.view(), Bound::Unbounded, SCAN_MAX_ROWS)?;
        let mut epochs: Vec<EpochKeys> = rows.into_iter().map(|(_, keys)| keys).collect();
        for keys in &epochs {
            if *keys != master.epoch_keys(&root.values, keys.epoch) {
                return Err(KeysError::OtherSecret { epoch: keys.epoch });
            }
        }
        let due: Vec<u32> = due(&root.calendar, epochs.last().map(|keys| keys.epoch), now_ms)?.collect();
        let room = epochs_max(root.values.len()).saturating_sub(epochs.len());
        // All or none: a clock that has leapt far ahead must not fill the list up.
        let full = due.len() > room;
        let due = if full { Vec::new() } else { due };
        let new: Vec<EpochKeys> = due
            .into_iter()
            .map(|epoch| master.epoch_keys(&root.values, epoch))
            .collect();
        epochs.extend(new.iter().cloned());
        let keys = Keys::build(root, epochs, master, identity)?;
        if !stored || !new.is_empty() {
            let root = root.clone();
            store
                .transact(Reads::none(), move |tx| {
                    KEY_ROOT.put(tx, &(), &root)?;
                    new.iter().try_for_each(|keys| EPOCHS.put(tx, &keys.epoch, keys))
                })
                .await?;
        }
        Ok(keys)
    }

    /// Whether the calendar asks for more keys by `now_ms`, and there is room for them. A list that is full wants none,
    /// however long it goes on.
    pub fn wants_more(&self, now_ms: u64) -> bool {
        (1..=self.room()).contains(&self.due(now_ms))
    }

    /// How many epochs the calendar asks for by `now_ms`.
    fn due(&self, now_ms: u64) -> usize {
        let list = self.book.list();
        let last = list.epochs.last().map(|keys| keys.epoch);
        due(&list.calendar, last, now_ms).map_or(0, Iterator::count)
    }

    /// How many more epochs fit.
    fn room(&self) -> usize {
        let list = self.book.list();
        epochs_max(list.values.len()).saturating_sub(list.epochs.len())
    }

    /// How much room the list has by `now_ms`, and until when it issues.
    pub fn status(&self, now_ms: u64) -> KeyListStatus {
        let list = self.book.list();
        let issuing = self.book.denominations().map(|(_, key)| key.issue_until_ms);
        KeyListStatus {
            epochs: list.epochs.len(),
            epochs_max: epochs_max(list.values.len()),
            issues_until_ms: issuing.max().unwrap_or_default(),
            full: self.due(now_ms) > self.room(),
        }
    }

    fn build(
        root: &KeyRoot,
        epochs: Vec<EpochKeys>,
        master: &Master,
        identity: &SecretKey,
    ) -> Result<Keys, KeysError> {
        let list = KeyList {
            bank: root.bank,
            currency: root.currency.clone(),
            calendar: root.calendar,
            values: root.values.clone(),
            epochs,
        };
        let book = KeyBook::new(Signed::sign(list, identity), &root.bank)?;
        let secrets = book
            .denominations()
            .map(|(id, denomination)| (*id, master.derive(denomination.value, denomination.epoch)))
            .collect();
        Ok(Keys { book, secrets })
    }

    /// The list.
    pub fn book(&self) -> &KeyBook {
        &self.book
    }

    /// The secret of a key on the list.
    pub fn secret(&self, id: &KeyId) -> Option<&DenominationSecret> {
        self.secrets.get(id)
    }
}

/// Whether the store has what the list stands on, and that it is what the configuration says.
fn check_root(view: &View, root: &KeyRoot) -> Result<bool, KeysError> {
    let Some(stored) = KEY_ROOT.peek(view, &())? else {
        return Ok(false);
    };
    let checks = [
        (stored.bank == root.bank, "identity key"),
        (stored.currency == root.currency, "currency"),
        (stored.calendar == root.calendar, "calendar"),
        (stored.values == root.values, "list of values"),
    ];
    match checks.into_iter().find(|(same, _)| !same) {
        Some((_, what)) => Err(KeysError::Changed(what)),
        None => Ok(true),
    }
}

/// The epochs that are missing by `now_ms`: up to the one after the current.
fn due(
    calendar: &Calendar,
    last: Option<u32>,
    now_ms: u64,
) -> Result<impl Iterator<Item = u32> + use<>, KeyListError> {
    let out_of_dates = KeyListError::Dates { epoch: u32::MAX };
    let current = calendar.epoch_at(now_ms).ok_or(out_of_dates)?;
    let first = match last {
        Some(last) => last.checked_add(1).ok_or(out_of_dates)?,
        None => current,
    };
    let next = current.checked_add(1).ok_or(out_of_dates)?;
    // More than fit any list are as good as too many.
    Ok((first..=next).take(MAX_EPOCHS.saturating_add(1)))
}
