//! The cards that a node or a wallet has pinned.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

use farthing_coin::PublicKey;

use crate::address::Addresses;
use crate::card::{CARD_MAX_CHARS, Card, RoleName};
use crate::home::files;

/// The name of the file in its directory.
pub const NETWORK_FILE: &str = "network.json";

/// The most cards that a network file holds.
pub const NETWORK_CARDS_MAX: usize = 1_024;

/// The most bytes of a network file that are read.
const NETWORK_FILE_MAX_BYTES: u64 = 1024 * 1024;

/// Seals the files of a directory.
pub trait FileCipher: Send + Sync {
    /// Seals the text of the file called `name`.
    fn seal_file(&self, name: &str, text: &[u8]) -> Vec<u8>;

    /// Opens the sealed file called `name`.
    ///
    /// # Errors
    /// When the file was changed, or is not sealed under this key.
    fn open_file(&self, name: &str, sealed: &[u8]) -> io::Result<Zeroizing<Vec<u8>>>;
}

/// The file of pinned cards in a directory. A node in it is identified by the keys of its card.
#[derive(Clone)]
pub struct NetworkFile {
    path: PathBuf,
    cipher: Option<Arc<dyn FileCipher>>,
    cards: Vec<Card>,
}

/// The result of adding a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Added {
    /// The card was added.
    New,
    /// The card was pinned before.
    Known,
    /// The same keys were pinned with other addresses, which were replaced.
    Moved {
        /// The previous addresses.
        from: Addresses,
    },
    /// The same keys and addresses were pinned with other further fields, which were replaced.
    Updated,
    /// The card was pinned under another local name, which was replaced.
    Renamed {
        /// The previous name.
        from: String,
    },
}

impl Added {
    /// A word for programs and a text for people about `card`, as it is pinned now.
    #[must_use]
    pub fn say(&self, card: &Card) -> (&'static str, String) {
        let title = card.title();
        match self {
            Added::New => ("new", format!("{title} is known from now on")),
            Added::Known => ("known", format!("{title} was known already")),
            Added::Moved { from } => (
                "moved",
                format!("{title} has moved from {from} to {}", card.address),
            ),
            Added::Updated => ("updated", format!("the further fields of {title} are replaced")),
            Added::Renamed { from } => (
                "renamed",
                format!("{} `{from}` is {title} from now on", card.role),
            ),
        }
    }
}

/// An error about the network file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkFileError {
    /// The file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The file is not a list of cards.
    #[error("{path} is not a list of cards: {reason}; correct it, or move it away and add the cards again", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The error in it.
        reason: String,
    },
    /// The file is full.
    #[error("the network file already holds {NETWORK_CARDS_MAX} cards; remove one first")]
    Full,
    /// Another key is pinned under this name.
    #[error(
        "the pinned key of {peer} is {pinned}, this card has {got}. Add another {role} under a name of your own with \
         `--as NAME`. If you are sure that {peer} itself has new keys, remove the old card first"
    )]
    Pinned {
        /// The role of the server.
        role: RoleName,
        /// The pinned server.
        peer: String,
        /// The pinned key (hex).
        pinned: String,
        /// The key in the new card (hex).
        got: String,
    },
    /// The key is pinned with another certificate.
    #[error(
        "the pinned fingerprint of {peer} is {pinned}, this card has {got}; if you are sure of the new card, remove \
         the old one first"
    )]
    OtherCertificate {
        /// The server.
        peer: String,
        /// The pinned fingerprint (hex).
        pinned: String,
        /// The fingerprint in the new card (hex).
        got: String,
    },
    /// The key is pinned for another role.
    #[error(
        "the key {identity} of {peer} is already pinned as {known}; if you are sure of the new card, remove the \
         old one first"
    )]
    OtherRole {
        /// The key (hex).
        identity: String,
        /// The server in the new card.
        peer: String,
        /// The pinned server.
        known: String,
    },
    /// The card does not fit into a line with its local name.
    #[error(
        "with the name `{0}` this card has more than {CARD_MAX_CHARS} characters; give it a shorter name with `--as NAME`"
    )]
    LongName(String),
    /// No card of this role is pinned.
    #[error("no {0} is pinned; add its card with `network add` first")]
    Nobody(RoleName),
    /// Several cards of this role are pinned.
    #[error("several {role}s are pinned: {names}; name one of them")]
    Several {
        /// The role.
        role: RoleName,
        /// Their names.
        names: String,
    },
}

impl fmt::Debug for NetworkFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetworkFile")
            .field("path", &self.path)
            .field("cards", &self.cards)
            .finish_non_exhaustive()
    }
}

impl NetworkFile {
    /// Reads the network file of `dir`. A missing file is an empty one.
    ///
    /// # Errors
    /// [`NetworkFileError::Io`] and [`NetworkFileError::Malformed`].
    pub fn load(dir: &Path) -> Result<Self, NetworkFileError> {
        Self::load_sealed(dir, None)
    }

    /// As [`load`](NetworkFile::load), for a directory whose files are sealed with `cipher`, if there is one.
    ///
    /// # Errors
    /// As [`load`](NetworkFile::load), and [`NetworkFileError::Malformed`] when the file does not open.
    pub fn load_sealed(dir: &Path, cipher: Option<Arc<dyn FileCipher>>) -> Result<Self, NetworkFileError> {
        let path = dir.join(NETWORK_FILE);
        let malformed = |reason: String| NetworkFileError::Malformed {
            path: path.clone(),
            reason,
        };
        let cards = match files::read_bounded(&path, NETWORK_FILE_MAX_BYTES) {
            Ok(bytes) => {
                let text = match &cipher {
                    Some(cipher) => cipher
                        .open_file(NETWORK_FILE, &bytes)
                        .map_err(|e| malformed(e.to_string()))?,
                    None => bytes.into(),
                };
                serde_json::from_slice(&text).map_err(|e| malformed(e.to_string()))?
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(NetworkFileError::Io { path, source }),
        };
        let mut file = Self {
            path: path.clone(),
            cipher,
            cards: Vec::new(),
        };
        // Adding each card again applies the same rules to a file that was edited by hand.
        for card in cards {
            match file.place(card, None) {
                Ok(Added::New) => {}
                Ok(_) => return Err(malformed("a card is there twice".to_owned())),
                Err(e) => return Err(malformed(e.to_string())),
            }
        }
        Ok(file)
    }

    /// Reads the file again, pins `card` in it and saves it.
    ///
    /// A server is recognised by its key. A known one keeps its local name, and gets the addresses and further fields
    /// of `card`. A new one gets the name in `card`.
    ///
    /// # Errors
    /// [`NetworkFileError::Pinned`], [`NetworkFileError::OtherCertificate`] and [`NetworkFileError::OtherRole`] for a
    /// card that contradicts a pinned one, [`NetworkFileError::LongName`], [`NetworkFileError::Full`],
    /// [`NetworkFileError::Io`]. The file is then unchanged.
    pub fn add(&mut self, card: Card) -> Result<Added, NetworkFileError> {
        self.change(|file| file.place(card, None))
    }

    /// Like [`add`](Self::add), under the local name `name`. A known server is renamed. The name must be
    /// [valid](crate::card::check_name). Returns the card as it is pinned, too.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_as(&mut self, card: Card, name: Option<&str>) -> Result<(Added, Card), NetworkFileError> {
        self.change(|file| {
            let identity = card.identity;
            let added = file.place(card.clone(), name)?;
            Ok((added, file.by_identity(&identity).cloned().unwrap_or(card)))
        })
    }

    /// Like [`add`](Self::add), for several cards: all of them or none.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_all(&mut self, cards: impl IntoIterator<Item = Card>) -> Result<(), NetworkFileError> {
        self.change(|file| {
            let mut cards = cards.into_iter();
            cards.try_for_each(|card| file.place(card, None).map(drop))
        })
    }

    /// Reads the file again, removes the card of this role and name, and saves it. `None` if no card has them.
    ///
    /// # Errors
    /// [`NetworkFileError::Io`]. The file is then unchanged.
    pub fn remove(&mut self, role: RoleName, name: &str) -> Result<Option<Card>, NetworkFileError> {
        self.change(|file| {
            let card = file.find(role, name).cloned();
            file.cards.retain(|known| card.as_ref() != Some(known));
            Ok(card)
        })
    }

    /// Reads the file again, changes it and saves it, under a lock.
    fn change<T>(
        &mut self,
        change: impl FnOnce(&mut Self) -> Result<T, NetworkFileError>,
    ) -> Result<T, NetworkFileError> {
        let dir = self.path.parent().unwrap_or(Path::new("."));
        let _locked = files::lock(dir).map_err(|source| NetworkFileError::Io {
            path: dir.join(files::LOCK_FILE),
            source,
        })?;
        *self = Self::load_sealed(dir, self.cipher.clone())?;
        let mut changed = self.clone();
        let done = change(&mut changed)?;
        if changed.cards != self.cards {
            changed.save()?;
            *self = changed;
        }
        Ok(done)
    }

    /// The pinned cards, in the order in which they were added.
    #[must_use]
    pub fn cards(&self) -> &[Card] {
        &self.cards
    }

    /// The card of this role and name.
    #[must_use]
    pub fn find(&self, role: RoleName, name: &str) -> Option<&Card> {
        self.cards
            .iter()
            .find(|card| card.role == role && card.name == name)
    }

    /// The card with this identity key.
    #[must_use]
    pub fn by_identity(&self, identity: &PublicKey) -> Option<&Card> {
        self.cards.iter().find(|card| card.identity == *identity)
    }

    /// The card of the only node of this role, for commands that do not name it.
    ///
    /// # Errors
    /// [`NetworkFileError::Nobody`] and [`NetworkFileError::Several`].
    pub fn only_one(&self, role: RoleName) -> Result<&Card, NetworkFileError> {
        let mut of_role = self.cards.iter().filter(|card| card.role == role);
        let card = of_role.next().ok_or(NetworkFileError::Nobody(role))?;
        if of_role.next().is_none() {
            return Ok(card);
        }
        let names: Vec<&str> = self
            .cards
            .iter()
            .filter(|card| card.role == role)
            .map(|card| card.name.as_str())
            .collect();
        Err(NetworkFileError::Several {
            role,
            names: names.join(", "),
        })
    }

    /// Adds `card` in memory only, under the local name `name` if there is one.
    fn place(&mut self, mut card: Card, name: Option<&str>) -> Result<Added, NetworkFileError> {
        let known = self.by_identity(&card.identity).cloned();
        if let Some(known) = &known {
            refuse_other_party(known, &card)?;
            card.name.clone_from(&known.name);
        }
        if let Some(name) = name {
            name.clone_into(&mut card.name);
        }
        if let Some(other) = self.find(card.role, &card.name)
            && other.identity != card.identity
        {
            return Err(NetworkFileError::Pinned {
                role: card.role,
                peer: other.title(),
                pinned: other.identity_hex(),
                got: card.identity_hex(),
            });
        }
        if card.to_string().len() > CARD_MAX_CHARS {
            return Err(NetworkFileError::LongName(card.name));
        }
        let Some(known) = known else {
            if self.cards.len() >= NETWORK_CARDS_MAX {
                return Err(NetworkFileError::Full);
            }
            self.cards.push(card);
            return Ok(Added::New);
        };
        let added = if known.address != card.address {
            Added::Moved { from: known.address }
        } else if known.fields != card.fields {
            Added::Updated
        } else if known.name != card.name {
            Added::Renamed { from: known.name }
        } else {
            Added::Known
        };
        let pinned = self
            .cards
            .iter_mut()
            .filter(|pinned| pinned.identity == card.identity);
        pinned.for_each(|pinned| pinned.clone_from(&card));
        Ok(added)
    }

    /// Replaces the file atomically and durably.
    fn save(&self) -> Result<(), NetworkFileError> {
        let io = |source| NetworkFileError::Io {
            path: self.path.clone(),
            source,
        };
        let mut bytes = serde_json::to_vec_pretty(&self.cards).map_err(|e| io(std::io::Error::other(e)))?;
        bytes.push(b'\n');
        if let Some(cipher) = &self.cipher {
            bytes = cipher.seal_file(NETWORK_FILE, &bytes);
        }
        files::replace(&self.path, &bytes, files::Mode::Secret).map_err(io)
    }
}

/// Refuses a card of a pinned key with another role or certificate. One key in two roles would let one party take part
/// as two.
fn refuse_other_party(known: &Card, card: &Card) -> Result<(), NetworkFileError> {
    if known.role != card.role {
        return Err(NetworkFileError::OtherRole {
            identity: card.identity_hex(),
            peer: card.title(),
            known: known.title(),
        });
    }
    if known.fingerprint != card.fingerprint {
        return Err(NetworkFileError::OtherCertificate {
            peer: known.title(),
            pinned: known.fingerprint_hex(),
            got: card.fingerprint_hex(),
        });
    }
    Ok(())
}
