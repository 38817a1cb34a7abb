//! The wallet: a seed, coins, purchases under way.

use crate::{
    error::WalletError,
    goods_names::rename_goods,
    migrate::migrate,
    observer::Observer,
    peer_client::{PeerClient, RetryPolicy},
    rows::RESTORED,
};
use farthing_coin::{KeyBook, PublicKey, Seed};
use farthing_node::{
    card::{Card, RoleName},
    home::files,
    network::{Lane, Network},
    network_file::NetworkFile,
};
use farthing_store::{
    Reads, SCHEMA_VERSION, Store, StoreError, StoreOptions, Transaction, View, clock::Clock, entropy::Entropy,
};
use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};
use zeroize::Zeroizing;

/// The file that holds the seed phrase.
pub const SEED_FILE: &str = "seed.phrase";

/// The file that marks a wallet made from its phrase.
pub const FROM_PHRASE_FILE: &str = "from-phrase";

/// The file that marks a wallet whose banks each know an account key of their own, unless it says otherwise. Wallets that
/// were made before have none.
pub const OWN_ACCOUNTS_FILE: &str = "own-accounts";

/// Where the wallet's rows are kept.
const STORE_DIR: &str = "store";

/// Where encrypted goods are kept.
pub const GOODS_DIR: &str = "goods";

/// The longest seed file that is read (bytes).
const SEED_FILE_MAX_BYTES: u64 = 4096;

/// What a wallet needs of the world around it.
#[derive(Clone)]
pub struct Env {
    /// How parties are reached.
    pub network: Arc<dyn Network>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where randomness comes from.
    pub entropy: Arc<dyn Entropy>,
    /// Who watches.
    pub observer: Arc<dyn Observer>,
    /// How long to wait.
    pub retry: RetryPolicy,
    /// How the store is opened.
    pub store: StoreOptions,
}

/// An open wallet.
pub struct Wallet {
    dir: PathBuf,
    pub(crate) seed: Seed,
    pub(crate) store: Store,
    pub(crate) env: Env,
    /// The lists of keys that were verified since the wallet was opened: each is checked key by key, which costs more
    /// than a purchase's own signatures.
    pub(crate) books: Mutex<BTreeMap<PublicKey, Arc<KeyBook>>>,
}

impl std::fmt::Debug for Wallet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wallet")
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

impl Wallet {
    /// Makes a wallet in `dir` from `seed`, durably.
    ///
    /// # Errors
    /// When there is something in `dir` already, or a file cannot be written.
    pub fn create(dir: &Path, seed: &Seed) -> Result<(), WalletError> {
        if dir.join(SEED_FILE).exists() {
            let message = format!(
                "there is a wallet in {} already; choose another directory",
                dir.display()
            );
            return Err(WalletError::Home(message));
        }
        if dir.join(STORE_DIR).exists() {
            let message = format!(
                "there is a wallet in {} whose words are missing; put its {SEED_FILE} back, or run `farthing restore` \
                 with them into another directory: a new wallet's words would not restore it",
                dir.display()
            );
            return Err(WalletError::Home(message));
        }
        files::create_private_dir(dir).map_err(not_private(dir))?;
        files::create_private_dir(&dir.join(GOODS_DIR)).map_err(WalletError::io(dir))?;
        // Before the seed is there, so that no wallet is ever found without its mark.
        let mark = dir.join(OWN_ACCOUNTS_FILE);
        fs::File::create(&mark)
            .and_then(|file| file.sync_all())
            .map_err(WalletError::io(&mark))?;
        let path = dir.join(SEED_FILE);
        let write = || -> std::io::Result<()> {
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)?;
            file.write_all(seed.to_phrase().as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            fs::File::open(dir)?.sync_all()
        };
        write().map_err(WalletError::io(&path))
    }

    /// As [`create`](Wallet::create), for a seed that was used before: nothing is done with a bank until
    /// [`restore`](Wallet::restore) has found what there is.
    ///
    /// # Errors
    /// As [`create`](Wallet::create).
    pub fn create_from_phrase(dir: &Path, seed: &Seed) -> Result<(), WalletError> {
        files::create_private_dir(dir).map_err(not_private(dir))?;
        // Before the seed is there, so that no wallet is ever found without its mark.
        let mark = dir.join(FROM_PHRASE_FILE);
        fs::File::create(&mark)
            .and_then(|file| file.sync_all())
            .map_err(WalletError::io(&mark))?;
        Self::create(dir, seed)
    }

    /// Opens the wallet in `dir`, and closes the directory to others (0700) if it was open to them.
    ///
    /// # Errors
    /// When there is none, another process has it open, its words or the directory are open to others, or its store is
    /// damaged.
    pub fn open(dir: &Path, env: Env) -> Result<Wallet, WalletError> {
        let seed = open_home(dir)?;
        let (store, _) = Store::open(&dir.join(STORE_DIR), env.store.clone())?;
        Self::with_store(dir, seed, store, env)
    }

    /// Opens the wallet in `dir`, whose rows are in `store`: a partition of one that several wallets share, and so the
    /// syncs of its journal. A wallet has to be opened with the same store each time.
    ///
    /// # Errors
    /// When there is none.
    pub fn open_in(dir: &Path, store: Store, env: Env) -> Result<Wallet, WalletError> {
        Self::with_store(dir, open_home(dir)?, store, env)
    }

    /// The wallet whose rows are in `store`, brought up to date.
    fn with_store(dir: &Path, seed: Seed, store: Store, env: Env) -> Result<Wallet, WalletError> {
        if store.schema_version()? < SCHEMA_VERSION {
            let file = NetworkFile::load(dir)?;
            let is_of_today = dir.join(OWN_ACCOUNTS_FILE).exists();
            store.migrate(|migration| migrate(migration, file.cards(), is_of_today))?;
        }
        Ok(Wallet {
            dir: dir.to_path_buf(),
            seed,
            store,
            env,
            books: Mutex::default(),
        })
    }

    /// Closes the wallet. What was done is durable without it; it only makes the next start quicker.
    ///
    /// # Errors
    /// What the disk says.
    pub fn close(self) -> Result<(), WalletError> {
        Ok(self.store.close()?)
    }

    /// The wallet's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The seed of everything that is done with `bank`, but for the account's key.
    pub(crate) fn seed_for(&self, bank: &PublicKey) -> Seed {
        self.seed.for_bank(bank)
    }

    /// Refuses to use a bank that a wallet made from its phrase was not restored from: it would use numbers
    /// again that it has used before it was lost, which would join its past to its future.
    pub(crate) fn check_restored(&self, bank: &PublicKey) -> Result<(), WalletError> {
        let from_phrase = self.dir.join(FROM_PHRASE_FILE).exists();
        if from_phrase && RESTORED.peek(&self.store.view(), bank)?.is_none() {
            let who = self.party_by_key(RoleName::Bank, bank)?.title();
            return Err(WalletError::NotRestored(who));
        }
        Ok(())
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.env.clock.now_ms()
    }

    pub(crate) fn observer(&self) -> &dyn Observer {
        self.env.observer.as_ref()
    }

    // ---- parties ----------------------------------------------------------------------------------------------

    /// The cards that the wallet has pinned.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn network_file(&self) -> Result<NetworkFile, WalletError> {
        Ok(NetworkFile::load(&self.dir)?)
    }

    /// The card of the party of `role` that `name` names, or of the only one.
    ///
    /// # Errors
    /// When there is none, or several and no name.
    pub fn party(&self, role: RoleName, name: Option<&str>) -> Result<Card, WalletError> {
        let file = self.network_file()?;
        match name {
            Some(name) => file
                .find(role, name)
                .cloned()
                .ok_or_else(|| WalletError::NoCard(format!("{role} `{name}`"))),
            None => Ok(file.only_one(role)?.clone()),
        }
    }

    /// The card of the party that signs with `identity`.
    pub(crate) fn party_by_key(&self, role: RoleName, identity: &PublicKey) -> Result<Card, WalletError> {
        card_of(&self.network_file()?, role, identity)
    }

    /// Begins a conversation, which shares nothing with any other.
    pub(crate) fn peer_client(&self, card: &Card, lane: Lane) -> PeerClient<'_> {
        let env = &self.env;
        PeerClient::new(
            env.network.as_ref(),
            env.observer.as_ref(),
            env.retry,
            card.clone(),
            lane,
        )
    }

    // ---- rows -------------------------------------------------------------------------------------------------

    /// The rows as they are now.
    pub(crate) fn rows(&self) -> View {
        self.store.view()
    }

    /// Runs a transaction, which reads no other rows than `reads`, and may run again.
    pub(crate) async fn transact<T: Send + 'static>(
        &self,
        reads: impl Into<Reads>,
        transaction: impl Fn(&mut Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, WalletError> {
        Ok(self.store.transact(reads, transaction).await?)
    }
}

/// The card in `file` of the party that signs with `identity`.
pub(crate) fn card_of(file: &NetworkFile, role: RoleName, identity: &PublicKey) -> Result<Card, WalletError> {
    let found = file.by_identity(identity).filter(|card| card.role == role);
    found
        .cloned()
        .ok_or_else(|| WalletError::NoCard(format!("{role} {identity}")))
}

/// Closes the wallet's directory to others if it is open to them.
///
/// # Errors
/// When it cannot be done.
pub(crate) fn make_private(dir: &Path) -> Result<(), WalletError> {
    files::make_private(dir).map_err(not_private(dir))?;
    for inner in [STORE_DIR, GOODS_DIR].map(|name| dir.join(name)) {
        if inner.exists() {
            files::make_private(&inner).map_err(not_private(&inner))?;
        }
    }
    Ok(())
}

fn not_private(dir: &Path) -> impl FnOnce(std::io::Error) -> WalletError {
    move |why| WalletError::Home(format!("{}: {why}", dir.display()))
}

/// Opens the wallet's directory: its seed. Nothing in it is open to others, or tells what was bought by its name.
fn open_home(dir: &Path) -> Result<Seed, WalletError> {
    if dir.join(SEED_FILE).exists() {
        make_private(dir)?;
    }
    let seed = read_seed(dir)?;
    rename_goods(&dir.join(GOODS_DIR), &seed)?;
    Ok(seed)
}

/// The seed of the wallet in `dir`.
fn read_seed(dir: &Path) -> Result<Seed, WalletError> {
    let path = dir.join(SEED_FILE);
    let size = fs::metadata(&path).map_err(|_| {
        WalletError::Home(format!(
            "there is no wallet in {}; make one with `farthing init`",
            dir.display()
        ))
    })?;
    if size.len() > SEED_FILE_MAX_BYTES {
        return Err(WalletError::Home(format!(
            "{} is not a seed phrase",
            path.display()
        )));
    }
    if let Some(mode) = files::exposed(&path).map_err(WalletError::io(&path))? {
        return Err(WalletError::Home(format!(
            "{0} can be read by others (mode {mode:o}); run `chmod 600 {0}`, and think of who may have read it: whoever \
             has the words has the money",
            path.display()
        )));
    }
    let phrase = Zeroizing::new(fs::read_to_string(&path).map_err(WalletError::io(&path))?);
    Seed::from_phrase(phrase.trim()).map_err(|why| WalletError::Home(format!("{}: {why}", path.display())))
}
