//! The issuing keys. They derive from one master secret. Their list follows the calendar and only grows.
//!
//! The list is in the store. The secrets are in memory. Each start derives them again from the file
//! [`ISSUING_KEY_FILE`]. Anyone who has that file can make money.

use crate::rows::{EPOCHS, KEY_ROOT, KeyRoot};
use farthing_coin::{
    Calendar, Denomination, DenominationSecret, EpochKeys, KeyBook, KeyId, KeyList, KeyListError, MAX_EPOCHS,
    MasterSecret, SecretKey, Signed,
};
use farthing_node::{
    home::files,
    operator::status::{ClockDoubt, KeyListStatus},
};
use farthing_protocol::limits::{CLOSED_AFTER_EPOCHS, KEY_LIST_MAX_BYTES, RELEASED_GRACE_MS};
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

/// The time for which the list of a new bank must have room (ms): ten years.
pub const LIFE_LEAST_MS: u64 = 3_652 * 24 * 60 * 60 * 1000;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// How far the clock may be ahead of the list before the bank doubts it (ms): 30 days.
pub const AHEAD_MAX_MS: u64 = 30 * DAY_MS;

/// How many epochs may be missing before the bank doubts its clock. Both bounds must be exceeded. So a bank with short epochs
/// may rest for 30 days, and one with long epochs for four of them.
pub const AHEAD_MAX_EPOCHS: usize = CLOSED_AFTER_EPOCHS as usize;

/// The earliest clock that `init` believes (ms since 1970): 2026-01-01. No program is older.
pub const CLOCK_LEAST_MS: u64 = 1_767_225_600_000;

/// The latest clock that `init` believes (ms since 1970): 2076-01-01.
pub const CLOCK_MOST_MS: u64 = 3_345_062_400_000;

/// Whether epochs are appended that the clock asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Only if there is no [`ClockDoubt`].
    Doubting,
    /// The operator has said that the clock is right.
    Accepted,
}

/// Checks the clock of a new bank. Its first epoch, before which it never issues coins, comes from it.
///
/// # Errors
/// [`KeysError::Clock`].
pub fn check_clock(now_ms: u64) -> Result<(), KeysError> {
    match (CLOCK_LEAST_MS..CLOCK_MOST_MS).contains(&now_ms) {
        true => Ok(()),
        false => Err(KeysError::Clock {
            seconds: now_ms / 1000,
        }),
    }
}

/// The most bytes of a list without its epochs and values.
const LIST_FIXED_BYTES: usize = 256;

/// The bytes of an epoch without its keys, of a key, and of a value.
const EPOCH_FIXED_BYTES: usize = 12;
const KEY_BYTES: usize = 32;
const VALUE_BYTES: usize = 8;

/// The settings of a new bank. Its coins depend on all of them, so they never change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BankSettings {
    /// The name of the currency.
    pub currency: String,
    /// The calendar.
    pub calendar: Calendar,
    /// The values of coins (smallest units): ascending powers of two.
    pub values: Vec<u64>,
}

impl BankSettings {
    /// How many epochs fit the list of keys. [`MAX_EPOCHS`] and [`KEY_LIST_MAX_BYTES`] bound it.
    pub fn epochs_max(&self) -> usize {
        epochs_max(self.values.len())
    }

    /// Checks that the list of keys can grow for [`LIFE_LEAST_MS`].
    ///
    /// # Errors
    /// [`KeysError::ShortLife`], with settings that have enough room.
    pub fn check_life(&self) -> Result<(), KeysError> {
        // The present epoch and the next one are on the list from the first day.
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

/// How many epochs fit a list with this number of values.
fn epochs_max(values: usize) -> usize {
    let epoch_bytes = values.saturating_mul(KEY_BYTES).saturating_add(EPOCH_FIXED_BYTES);
    let fixed_bytes = values
        .saturating_mul(VALUE_BYTES)
        .saturating_add(LIST_FIXED_BYTES);
    let fitting = KEY_LIST_MAX_BYTES.saturating_sub(fixed_bytes) / epoch_bytes;
    fitting.min(MAX_EPOCHS)
}

/// An error about the issuing keys.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The list is not valid.
    #[error(transparent)]
    List(#[from] KeyListError),
    /// The configuration differs from the settings that the bank's coins were made with.
    #[error(
        "the {0} in the bank's configuration is not the one that its coins were made with; restore the old {0}"
    )]
    Changed(&'static str),
    /// The list was made with another master secret.
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
        /// The time after which it would be full (days).
        days: u64,
        /// The shortest epochs with enough room for these values (days).
        least_days: u64,
        /// The most values with enough room for these epochs, in words. Empty if none have.
        fewer: String,
    },
    /// The clock of a new bank cannot be right.
    #[error(
        "the clock says {seconds} seconds since 1970, which cannot be right; a bank never issues coins before the date of its \
         `init`: set the clock right, then repeat `init`; nothing was made"
    )]
    Clock {
        /// The clock (s since 1970).
        seconds: u64,
    },
    /// The master secret's file.
    #[error("{path}: {source}; restore it from your backup, or, if the bank never ran, remove its directory and run `farthing-bank init`", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Other users can read the master secret.
    #[error("{path} can be read by other users (mode {mode:o}), who could make money; run `chmod 600 {path}`, and find out who may have read it", path = path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

/// The master secret. Every issuing key derives from it.
pub struct Master(MasterSecret);

impl std::fmt::Debug for Master {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Master(..)")
    }
}

impl Master {
    /// Generates a master secret.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(bytes.as_mut_slice());
        Master(MasterSecret::from_bytes(*bytes))
    }

    /// Durably writes it into the directory `dir`. Never replaces a file.
    ///
    /// # Errors
    /// [`KeysError::File`].
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
    /// When the file is missing, readable by other users, or not 64 hexadecimal digits.
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

/// The signed list of keys, with their secrets.
#[derive(Debug)]
pub struct Keys {
    book: KeyBook,
    secrets: BTreeMap<KeyId, DenominationSecret>,
}

impl Keys {
    /// Opens the list in the store, and appends the keys of the present and the next epoch at `now_ms`, unless the clock is
    /// doubted.
    ///
    /// Wallets and merchants then know the keys of an epoch before it begins.
    ///
    /// # Errors
    /// [`KeysError`]. Nothing is then written.
    pub async fn open(
        store: &Store,
        root: &KeyRoot,
        master: &Master,
        identity: &SecretKey,
        now_ms: u64,
        trust: Trust,
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
        // All missing epochs are appended, or none: a clock that has leapt far ahead must not fill the list.
        let full = due.len() > room;
        let doubted = trust == Trust::Doubting && doubt(&root.calendar, &epochs, now_ms).is_some();
        let due = if full || doubted { Vec::new() } else { due };
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

    /// Whether the calendar asks for more keys at `now_ms` and the list has room for them. A full list never wants more, and
    /// neither does a bank that doubts its clock.
    pub fn wants_more(&self, now_ms: u64) -> bool {
        self.status(now_ms).doubt.is_none() && (1..=self.room()).contains(&self.due(now_ms))
    }

    /// How many more epochs the calendar asks for at `now_ms`.
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

    /// The room in the list at `now_ms`, and the end of its last epoch.
    pub fn status(&self, now_ms: u64) -> KeyListStatus {
        let list = self.book.list();
        let issuing = self.book.denominations().map(|(_, key)| key.issue_until_ms);
        // A list without room is full even if nobody has looked at it for years.
        let doubt = doubt(&list.calendar, &list.epochs, now_ms)
            .filter(|doubt| *doubt == ClockDoubt::Behind || self.room() > 0);
        KeyListStatus {
            epochs: list.epochs.len(),
            epochs_max: epochs_max(list.values.len()),
            issues_until_ms: issuing.max().unwrap_or_default(),
            full: doubt.is_none() && self.due(now_ms) > self.room(),
            doubt,
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

    /// The keys of epochs that began before `before_ms`.
    pub(crate) fn closed(&self, before_ms: u64) -> impl Iterator<Item = (&KeyId, &Denomination)> {
        let keys = self.book.denominations();
        keys.filter(move |(_, key)| key.issue_from_ms < before_ms)
    }

    /// Until when coins of these keys were taken, in any way (ms since 1970). 0 if there are none.
    pub(crate) fn taken_until_ms(&self, before_ms: u64) -> u64 {
        let closed = self.closed(before_ms);
        let until = closed.map(|(_, key)| key.redeem_until_ms.saturating_add(RELEASED_GRACE_MS));
        until.max().unwrap_or(0)
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

/// Checks the configuration against the stored root of the list. Returns false for a new store.
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

/// Why the clock is not believed at `now_ms`, if it is not. The list of keys is the bank's memory of the time: a bank that
/// serves appends an epoch ahead of each one. A new list has no epochs, and nothing to compare with.
fn doubt(calendar: &Calendar, epochs: &[EpochKeys], now_ms: u64) -> Option<ClockDoubt> {
    let (first, last) = (epochs.first()?.epoch, epochs.last()?.epoch);
    if calendar.epoch_at(now_ms).is_some_and(|current| current < first) {
        return Some(ClockDoubt::Behind);
    }
    // A clock beyond all dates is ahead of every list.
    let missing = due(calendar, Some(last), now_ms).map_or(MAX_EPOCHS, Iterator::count);
    let missing_ms = u64::try_from(missing)
        .unwrap_or(u64::MAX)
        .saturating_mul(calendar.epoch_ms);
    (missing > AHEAD_MAX_EPOCHS && missing_ms > AHEAD_MAX_MS).then_some(ClockDoubt::Ahead)
}

/// The epochs that are missing at `now_ms`, up to the one after the present.
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
    // One more than the longest list is enough to see that they do not fit.
    Ok((first..=next).take(MAX_EPOCHS.saturating_add(1)))
}
