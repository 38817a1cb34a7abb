//! The cards that a node or a wallet has pinned.

use std::path::{Path, PathBuf};

use farthing_coin::PublicKey;

use crate::card::{Card, RoleName};
use crate::home::files;

/// The name of the file in its directory.
pub const NETWORK_FILE: &str = "network.json";

/// The most cards that a network file holds.
pub const NETWORK_CARDS_MAX: usize = 1_024;

/// The most bytes of a network file that are read.
const NETWORK_FILE_MAX_BYTES: u64 = 1024 * 1024;

/// The file of pinned cards in a directory. Whoever is in it is trusted to be who its keys say.
#[derive(Debug, Clone)]
pub struct NetworkFile {
    path: PathBuf,
    cards: Vec<Card>,
}

/// What adding a card did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Added {
    /// The card is pinned now.
    New,
    /// The card was there already.
    Known,
    /// The same keys were known at another address, which has been replaced.
    Moved {
        /// The address until now.
        from: std::net::SocketAddr,
    },
}

/// Why the network file could not be used as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkFileError {
    /// The file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file does not hold a list of cards.
    #[error("{path} is not a list of cards: {reason}; mend it, or move it away and add the cards again", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file is full.
    #[error("the network file already holds {NETWORK_CARDS_MAX} cards; remove one first")]
    Full,
    /// Another key is pinned under this name.
    #[error(
        "the pinned {what} of {peer} is {pinned}, this card has {got}; if you are sure of the new card, remove \
         the old one first"
    )]
    Pinned {
        /// `key` or `fingerprint`.
        what: &'static str,
        /// The server.
        peer: String,
        /// What is pinned (hex).
        pinned: String,
        /// What the card has (hex).
        got: String,
    },
    /// The key is pinned under another name.
    #[error(
        "the key {identity} of {peer} is already pinned as {known}; if you are sure of the new card, remove the \
         old one first"
    )]
    KnownAs {
        /// The key (hex).
        identity: String,
        /// What the new card calls its holder.
        peer: String,
        /// What the pinned card calls it.
        known: String,
    },
    /// No card of this role is pinned.
    #[error("no {0} is known here; add its card to the network file first")]
    Nobody(RoleName),
    /// Several cards of this role are pinned.
    #[error("several {role}s are known here: {names}; say which one")]
    Several {
        /// The role.
        role: RoleName,
        /// Their names.
        names: String,
    },
}

impl NetworkFile {
    /// The network file of `dir`; one that does not exist is empty.
    ///
    /// # Errors
    /// [`NetworkFileError::Io`] and [`NetworkFileError::Malformed`].
    pub fn load(dir: &Path) -> Result<Self, NetworkFileError> {
        let path = dir.join(NETWORK_FILE);
        let malformed = |reason: String| NetworkFileError::Malformed {
            path: path.clone(),
            reason,
        };
        let cards = match files::read_bounded(&path, NETWORK_FILE_MAX_BYTES) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| malformed(e.to_string()))?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(NetworkFileError::Io { path, source }),
        };
        let mut file = Self {
            path: path.clone(),
            cards: Vec::new(),
        };
        // Each card is added anew, so that a file that was edited by hand keeps to the same rules.
        for card in cards {
            match file.place(card) {
                Ok(Added::New) => {}
                Ok(_) => return Err(malformed("a card is there twice".to_owned())),
                Err(e) => return Err(malformed(e.to_string())),
            }
        }
        Ok(file)
    }

    /// Pins `card` in the file as it is now, whoever has changed it since it was loaded, and saves it. The same card again
    /// changes nothing; the same keys at another address replace the address.
    ///
    /// # Errors
    /// [`NetworkFileError::Pinned`] and [`NetworkFileError::KnownAs`] for a card that contradicts a pinned one,
    /// [`NetworkFileError::Full`], [`NetworkFileError::Io`]. None of them changes anything.
    pub fn add(&mut self, card: Card) -> Result<Added, NetworkFileError> {
        self.change(|file| file.place(card))
    }

    /// Removes the card of this role and name from the file as it is now and saves it; `None` if there is none.
    ///
    /// # Errors
    /// [`NetworkFileError::Io`], which changes nothing.
    pub fn remove(&mut self, role: RoleName, name: &str) -> Result<Option<Card>, NetworkFileError> {
        self.change(|file| {
            let card = file.find(role, name).cloned();
            file.cards.retain(|known| card.as_ref() != Some(known));
            Ok(card)
        })
    }

    /// Reads the file anew, changes it and saves it, with no other process in between.
    fn change<T>(
        &mut self,
        change: impl FnOnce(&mut Self) -> Result<T, NetworkFileError>,
    ) -> Result<T, NetworkFileError> {
        let dir = self.path.parent().unwrap_or(Path::new("."));
        let _locked = files::lock(dir).map_err(|source| NetworkFileError::Io {
            path: dir.join(files::LOCK_FILE),
            source,
        })?;
        *self = Self::load(dir)?;
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

    /// The card of whoever signs with this key.
    #[must_use]
    pub fn by_identity(&self, identity: &PublicKey) -> Option<&Card> {
        self.cards.iter().find(|card| card.identity == *identity)
    }

    /// The card of the only node of this role, for commands that need not name it.
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

    /// Puts `card` among the cards, in memory only.
    fn place(&mut self, card: Card) -> Result<Added, NetworkFileError> {
        let same_name = |known: &&mut Card| known.role == card.role && known.name == card.name;
        if let Some(known) = self.cards.iter_mut().find(same_name) {
            refuse_other_keys(known, &card)?;
            if known.address == card.address {
                return Ok(Added::Known);
            }
            let from = std::mem::replace(&mut known.address, card.address);
            return Ok(Added::Moved { from });
        }
        // One key under two names would let one party take part as two.
        if let Some(known) = self.by_identity(&card.identity) {
            return Err(NetworkFileError::KnownAs {
                identity: card.identity_hex(),
                peer: card.title(),
                known: known.title(),
            });
        }
        if self.cards.len() >= NETWORK_CARDS_MAX {
            return Err(NetworkFileError::Full);
        }
        self.cards.push(card);
        Ok(Added::New)
    }

    /// Replaces the file atomically and durably.
    fn save(&self) -> Result<(), NetworkFileError> {
        let io = |source| NetworkFileError::Io {
            path: self.path.clone(),
            source,
        };
        let mut bytes = serde_json::to_vec_pretty(&self.cards).map_err(|e| io(std::io::Error::other(e)))?;
        bytes.push(b'\n');
        files::replace(&self.path, &bytes, files::Mode::Public).map_err(io)
    }
}

/// A card under a known name must have the keys that are pinned for it.
fn refuse_other_keys(known: &Card, card: &Card) -> Result<(), NetworkFileError> {
    if known.identity != card.identity {
        return Err(NetworkFileError::Pinned {
            what: "key",
            peer: known.title(),
            pinned: known.identity_hex(),
            got: card.identity_hex(),
        });
    }
    if known.fingerprint != card.fingerprint {
        return Err(NetworkFileError::Pinned {
            what: "fingerprint",
            peer: known.title(),
            pinned: known.fingerprint_hex(),
            got: card.fingerprint_hex(),
        });
    }
    Ok(())
}
