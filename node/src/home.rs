//! The directory of a node: its secrets, its configuration, and its pinned cards.
//!
//! | file | holds | mode |
//! |---|---|---|
//! | `identity.key` | the key that signs documents (hex) | 0600 |
//! | `tls.cert` | the certificate of its QUIC endpoint (DER) | 0644 |
//! | `tls.key` | the certificate's key (PKCS#8 DER) | 0600 |
//! | `encryption.keys` | the keys to which wallets encrypt requests that a relay carries; not for backups | 0600 |
//! | `network.json` | the pinned cards, see [`NetworkFile`] | 0600 |
//! | `files.lock` | locked while one of these files is changed | 0600 |
//! | `config.toml` | role, name, addresses, cache of the index, settings of the role; written last | 0644 |
//!
//! Only its owner can read the directory: each time it is opened, its mode becomes 0700.

mod config;
mod error;
mod file_names;
pub mod files;
mod own_file;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use farthing_coin::SecretKey;
use rand_core::CryptoRng;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::probe::ProcessProbe;
use crate::transport::ServerIdentity;
use crate::{
    card::{Card, Fields, RoleName, check_name},
    network_file::{NETWORK_FILE, NetworkFile},
};
pub use config::{Config, read_settings};
pub use error::HomeError;
use farthing_store::{DatabaseUrl, StoreOptions, limits::CACHE_BYTES};
use file_names::LOST_AND_FOUND;
pub use file_names::{
    CONFIG_FILE, ENCRYPTION_KEYS_FILE, IDENTITY_KEY_FILE, OLD_CONFIG_FILE, STORE_DIR, TLS_CERTIFICATE_FILE,
    TLS_KEY_FILE,
};
use own_file::{damaged, io_error, read};

/// The open directory of a node.
pub struct Home<C> {
    dir: PathBuf,
    config: Config<C>,
    identity: SecretKey,
    tls: ServerIdentity,
}

impl<C> std::fmt::Debug for Home<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Home")
            .field("dir", &self.dir)
            .field("role", &self.config.role)
            .finish_non_exhaustive()
    }
}

impl<C> Home<C> {
    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config<C> {
        &self.config
    }

    /// The configuration, to change it for this run.
    pub(crate) fn config_mut(&mut self) -> &mut Config<C> {
        &mut self.config
    }

    /// The key that signs the node's documents. It is wiped when the home is dropped.
    #[must_use]
    pub fn identity(&self) -> &SecretKey {
        &self.identity
    }

    /// The certificate and key of the node's QUIC endpoint.
    #[must_use]
    pub fn tls(&self) -> &ServerIdentity {
        &self.tls
    }

    /// The node's card, with the configured address.
    ///
    /// # Errors
    /// [`HomeError::NoAddress`] when nobody can dial the address, such as `0.0.0.0`.
    pub fn card(&self) -> Result<Card, HomeError> {
        self.card_at(self.config.listen)
    }

    /// The node's card with the address where it listens now, for a node that is configured with port 0. Configured
    /// `advertise` addresses take precedence.
    ///
    /// # Errors
    /// [`HomeError::NoAddress`] as for [`card`](Home::card).
    pub fn card_at(&self, listens: SocketAddr) -> Result<Card, HomeError> {
        let address = self.config.advertise.clone().unwrap_or_else(|| listens.into());
        if !address.are_reachable() {
            return Err(HomeError::NoAddress(address));
        }
        Ok(Card {
            role: self.config.role,
            name: self.config.name.clone(),
            address,
            fingerprint: self.tls.fingerprint(),
            identity: self.identity.public(),
            fields: Fields::default(),
        })
    }

    /// The options with which the node opens its store.
    #[must_use]
    pub fn store_options(&self, probe: &ProcessProbe) -> StoreOptions {
        let set = |mib: NonZeroU32| u64::from(mib.get()).saturating_mul(1024 * 1024);
        StoreOptions {
            cache_bytes: self.config.cache_mib.map_or(CACHE_BYTES, set),
            ..probe.store_options()
        }
    }

    /// The cards that the node has pinned.
    ///
    /// # Errors
    /// [`HomeError::Network`].
    pub fn network(&self) -> Result<NetworkFile, HomeError> {
        Ok(NetworkFile::load(&self.dir)?)
    }
}

/// A directory in which a node is being created. It is not a node before [`complete`](NewHome::complete).
///
/// The configuration is written last, so it is the mark that the node has everything else: its keys, and the store of a
/// role that has one. A start therefore never makes a store. If the store is missing, it was lost, and an empty one would
/// have forgotten every spent coin or every decision. A crash before the mark leaves a directory that every command
/// refuses as incomplete. Such a node has never answered anybody, so nothing is lost with it. Directories from before this
/// rule need no mark of their own: `init` of every version has made the store before the first start.
#[must_use = "the directory is no node before it is complete"]
pub struct NewHome<C>(Home<C>);

impl<C> std::fmt::Debug for NewHome<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("NewHome").field(&self.0).finish()
    }
}

impl<C> NewHome<C> {
    /// The directory, which is no node yet.
    pub fn home(&self) -> &Home<C> {
        &self.0
    }

    /// The same with the store in a database, if one is given.
    pub fn with_store(mut self, store: Option<DatabaseUrl>) -> Self {
        self.0.config.store = store;
        self
    }
}

impl<C: Serialize + DeserializeOwned> NewHome<C> {
    /// Makes the directory a node. Everything that the role needs in it is there and durable.
    ///
    /// # Errors
    /// [`HomeError::Io`].
    pub fn complete(self) -> Result<Home<C>, HomeError> {
        let Self(home) = self;
        let dir = &home.dir;
        files::sync_dir(dir).map_err(|source| io_error(dir, source))?;
        config::create(dir, &home.config)?;
        let parent = dir.parent().unwrap_or(Path::new("/"));
        files::sync_dir(parent).map_err(|source| io_error(parent, source))?;
        Ok(home)
    }
}

impl<C: Serialize + DeserializeOwned> Home<C> {
    /// Begins a node in `dir`, which must not exist or be empty. The role then makes its own files and its store, and
    /// completes the directory.
    ///
    /// The identity key comes from `rng`, the TLS key from the operating system's randomness.
    ///
    /// # Errors
    /// [`HomeError::NotEmpty`], [`HomeError::Name`], [`HomeError::Io`], [`HomeError::Identity`].
    pub fn create(
        dir: &Path,
        role: RoleName,
        name: &str,
        listen: SocketAddr,
        settings: C,
        rng: &mut impl CryptoRng,
    ) -> Result<NewHome<C>, HomeError> {
        check_name(name)?;
        make_empty_dir(dir)?;
        let identity = SecretKey::generate(rng);
        let tls = ServerIdentity::generate()?;
        let config = Config {
            role,
            name: name.to_owned(),
            listen,
            advertise: None,
            cache_mib: None,
            metrics: None,
            metrics_open: false,
            store: None,
            settings,
        };
        let home = Self {
            dir: dir.to_owned(),
            config,
            identity,
            tls,
        };
        let identity_hex = Zeroizing::new(hex::encode(*home.identity.to_bytes()));
        home.write_new(IDENTITY_KEY_FILE, identity_hex.as_bytes(), files::Mode::Secret)?;
        home.write_new(
            TLS_CERTIFICATE_FILE,
            home.tls.certificate_der(),
            files::Mode::Public,
        )?;
        home.write_new(TLS_KEY_FILE, home.tls.key_der(), files::Mode::Secret)?;
        home.write_new(NETWORK_FILE, b"[]\n", files::Mode::Secret)?;
        Ok(NewHome(home))
    }

    /// Opens the node of this role in `dir`.
    ///
    /// # Errors
    /// [`HomeError`] says what is missing, exposed or damaged, and what to do.
    pub fn open(dir: &Path, role: RoleName) -> Result<Self, HomeError> {
        refuse_incomplete(dir, role)?;
        files::make_private(dir).map_err(|source| io_error(dir, source))?;
        config::migrate::<C>(dir, role)?;
        let config: Config<C> = config::read(dir, role)?;
        let identity_hex = read(dir, IDENTITY_KEY_FILE, files::Mode::Secret)?;
        let identity =
            parse_identity(&identity_hex).map_err(|reason| damaged(dir, IDENTITY_KEY_FILE, reason))?;
        let certificate = read(dir, TLS_CERTIFICATE_FILE, files::Mode::Public)?;
        let key = read(dir, TLS_KEY_FILE, files::Mode::Secret)?;
        let tls = ServerIdentity::from_der(certificate.to_vec(), key)?;
        Ok(Self {
            dir: dir.to_owned(),
            config,
            identity,
            tls,
        })
    }

    /// Changes the configuration on the disk durably, under a lock. Comments and all other settings stay.
    ///
    /// # Errors
    /// [`HomeError::Io`] and [`HomeError::Config`]. The file is then unchanged.
    pub fn change_config(&mut self, change: impl FnOnce(&mut Config<C>)) -> Result<(), HomeError> {
        let _locked = files::lock(&self.dir).map_err(|source| io_error(&self.dir, source))?;
        let mut config = config::read(&self.dir, self.config.role)?;
        change(&mut config);
        config::save(&self.dir, &config)?;
        self.config = config;
        Ok(())
    }

    fn write_new(&self, name: &str, bytes: &[u8], mode: files::Mode) -> Result<(), HomeError> {
        let path = self.dir.join(name);
        files::create(&path, bytes, mode).map_err(|source| io_error(&path, source))
    }
}

/// Creates `dir` for its owner only. If it exists, it must be empty, except for the directory that the file system has put
/// at the root of a volume.
pub(crate) fn make_empty_dir(dir: &Path) -> Result<(), HomeError> {
    let io = |source| io_error(dir, source);
    match fs::read_dir(dir) {
        Ok(entries) => {
            for entry in entries {
                if entry.map_err(io)?.file_name() != LOST_AND_FOUND {
                    return Err(HomeError::NotEmpty { dir: dir.to_owned() });
                }
            }
            files::make_private(dir).map_err(io)
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => files::create_private_dir(dir).map_err(io),
        Err(e) => Err(io(e)),
    }
}

/// Refuses a directory without a node, and one that lacks a file.
fn refuse_incomplete(dir: &Path, role: RoleName) -> Result<(), HomeError> {
    let names = [CONFIG_FILE, IDENTITY_KEY_FILE, TLS_CERTIFICATE_FILE, TLS_KEY_FILE];
    let is_there = |name: &&str| {
        let is_old = *name == CONFIG_FILE && dir.join(OLD_CONFIG_FILE).exists();
        is_old || dir.join(name).exists()
    };
    let Some(missing) = names.iter().find(|name| !is_there(name)) else {
        return Ok(());
    };
    let dir = dir.to_owned();
    match names.iter().copied().find(|name| is_there(name)) {
        None => Err(HomeError::Missing { role, dir }),
        Some(present) => Err(HomeError::Incomplete {
            role,
            dir,
            present,
            missing,
        }),
    }
}

/// Parses the secret key, which a file has in hex.
fn parse_identity(hex_bytes: &[u8]) -> Result<SecretKey, String> {
    let mut bytes = Zeroizing::new([0; 32]);
    let trimmed = hex_bytes.trim_ascii();
    hex::decode_to_slice(trimmed, bytes.as_mut_slice())
        .map_err(|_| format!("expected 64 hex characters, got {}", trimmed.len()))?;
    SecretKey::from_bytes(&bytes).map_err(|e| e.to_string())
}
