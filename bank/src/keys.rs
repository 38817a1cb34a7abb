//! The keys that issue: derived from one master secret, on a list that only grows, by the calendar.
//!
//! The list itself is in the store; the secrets are in memory, derived anew with every start from the file
//! [`ISSUING_KEY_FILE`]. Whoever has that file can make money.

use crate::rows::{EPOCHS, KEY_ROOT, KeyRoot};
use farthing_coin::{
    Calendar, DenominationSecret, EpochKeys, KeyBook, KeyId, KeyList, KeyListError, SecretKey, Signed,
};
use farthing_node::{
    home::files,
    store::{Store, StoreError, View, limits::SCAN_MAX_ROWS},
};
use farthing_protocol::wire;
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    io,
    ops::Bound,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// The file of the master secret, in the bank's directory (hex, 0600).
pub const ISSUING_KEY_FILE: &str = "issuing.key";

/// The longest list of keys as it travels (bytes): what a wallet's store takes in one row.
const LIST_MAX_BYTES: usize = farthing_node::store::limits::VALUE_MAX_BYTES - 1024;

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

/// Why the keys cannot be used.
#[derive(Debug, thiserror::Error)]
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
    /// There is no room for another epoch.
    #[error(
        "the list of keys is full at {epochs} epochs; make a new bank and let customers exchange their coins"
    )]
    Full {
        /// How many there are.
        epochs: usize,
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
pub struct Master(Zeroizing<[u8; 32]>);

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
        Master(bytes)
    }

    /// Writes it into the directory `dir`, durably, where there is none yet.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn create(&self, dir: &Path) -> Result<(), KeysError> {
        let path = dir.join(ISSUING_KEY_FILE);
        let hex = Zeroizing::new(hex::encode(*self.0));
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
        let mode = std::fs::metadata(&path).map_err(io)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeysError::Exposed { path, mode });
        }
        let text = Zeroizing::new(files::read_bounded(&path, 128).map_err(io)?);
        let mut bytes = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text.trim_ascii(), bytes.as_mut_slice())
            .map_err(|_| io(io::Error::other("expected 64 hexadecimal digits")))?;
        Ok(Master(bytes))
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
        let new: Vec<EpochKeys> = due(&root.calendar, epochs.last().map(|keys| keys.epoch), now_ms)?
            .map(|epoch| master.epoch_keys(&root.values, epoch))
            .collect();
        epochs.extend(new.iter().cloned());
        let keys = Keys::build(root, epochs, master, identity)?;
        if !stored || !new.is_empty() {
            let root = root.clone();
            store
                .transact(move |tx| {
                    KEY_ROOT.put(tx, &(), &root)?;
                    new.iter().try_for_each(|keys| EPOCHS.put(tx, &keys.epoch, keys))
                })
                .await?;
        }
        Ok(keys)
    }

    /// Whether the calendar asks for more keys by `now_ms`.
    pub fn wants_more(&self, now_ms: u64) -> bool {
        let list = self.book.list();
        let last = list.epochs.last().map(|keys| keys.epoch);
        due(&list.calendar, last, now_ms).is_ok_and(|mut epochs| epochs.next().is_some())
    }

    fn build(
        root: &KeyRoot,
        epochs: Vec<EpochKeys>,
        master: &Master,
        identity: &SecretKey,
    ) -> Result<Keys, KeysError> {
        let count = epochs.len();
        let list = KeyList {
            bank: root.bank,
            currency: root.currency.clone(),
            calendar: root.calendar,
            values: root.values.clone(),
            epochs,
        };
        let book = KeyBook::new(Signed::sign(list, identity), &root.bank)?;
        if wire::encode(book.signed()).map_or(usize::MAX, |bytes| bytes.len()) > LIST_MAX_BYTES {
            return Err(KeysError::Full { epochs: count });
        }
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
    // A clock that has leapt far ahead gets a bounded list, and is then refused for its length.
    Ok((first..=next).take(SCAN_MAX_ROWS))
}
