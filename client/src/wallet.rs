//! The wallet: its directory, its seed, its store, and the cards of its parties.

pub use crate::file_names::SEED_FILE;
use crate::{
    coin_memory::CoinMemory,
    error::WalletError,
    file_names::{RESEALING_DIR, RESTORED_DIR, STORE_DIR},
    goods_names::rename_goods,
    holder::Holder,
    migrate::migrate,
    observer::{NoObserver, Observer},
    peer_client::{PeerClient, RetryPolicy},
    relay_keys::{self, Route},
    rows::{COINS, CoinRow, RESTORED},
    vault::{
        self, Password, VAULT_FILE, WalletKey, reseal,
        sealing::{is_sealed_file, with_cipher},
    },
};
use farthing_coin::{KeyBook, PublicKey, Seed};
use farthing_node::{
    card::{Card, RoleName},
    home::files::{self, Mode},
    network::{Lane, Network},
    network_file::{FileCipher, NetworkFile},
    quic::QuicNetwork,
    uri::KeyPrefix,
};
use farthing_store::{
    Reads, SCHEMA_VERSION, Store, StoreError, StoreOptions, Transaction, View,
    clock::{Clock, SystemClock},
    disk::Disk,
    entropy::{Entropy, SystemEntropy},
};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};
use zeroize::Zeroizing;

/// The file that marks a wallet that was made from its phrase.
pub const FROM_PHRASE_FILE: &str = "from-phrase";

/// The file that marks a wallet of version 2, which shows each bank an account key of its own. A wallet of version 1
/// does not have it.
pub const OWN_ACCOUNTS_FILE: &str = "own-accounts";

/// The file that marks a wallet that has had a store. From then on no empty store takes the place of a lost one.
pub const STORED_FILE: &str = "stored";

/// The directories of a wallet, which are private with everything in them.
const INNER_DIRS: [&str; 4] = [STORE_DIR, GOODS_DIR, RESTORED_DIR, RESEALING_DIR];

/// The directory of encrypted goods.
pub const GOODS_DIR: &str = "goods";

/// Upper bound of the size of a seed file (bytes).
const SEED_FILE_MAX_BYTES: u64 = 4096;

/// What a wallet needs from its environment. [`Env::system`] is the real one.
#[derive(Clone)]
pub struct Env {
    /// The network over which parties are reached.
    pub network: Arc<dyn Network>,
    /// The way of anonymous requests over that network.
    pub route: Route,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The source of randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Receives the wallet's events.
    pub observer: Arc<dyn Observer>,
    /// How long to wait for a party.
    pub retry: RetryPolicy,
    /// Options of the store.
    pub store: StoreOptions,
    /// The key of a wallet with a password ([`vault::unlock`]).
    pub key: Option<WalletKey>,
}

impl Env {
    /// The environment of a program: QUIC, the system's clock and randomness, files, and no observer.
    ///
    /// ```
    /// use farthing_client::{peer_client::RetryPolicy, wallet::Env};
    /// use std::time::Duration;
    ///
    /// // A wallet that waits ten minutes for a silent party.
    /// let retry = RetryPolicy { total: Duration::from_secs(600), ..RetryPolicy::default() };
    /// let env = Env { retry, ..Env::system() };
    /// # let _ = env;
    /// ```
    #[must_use]
    pub fn system() -> Env {
        Env {
            network: Arc::new(QuicNetwork::new()),
            route: Route::default(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            observer: Arc::new(NoObserver),
            retry: RetryPolicy::default(),
            store: StoreOptions::default(),
            key: None,
        }
    }

    /// The options of the wallet's store.
    fn store_options(&self) -> StoreOptions {
        with_cipher(&self.store, self.key.as_ref())
    }

    /// The cipher of the wallet's files.
    fn file_cipher(&self) -> Option<Arc<dyn FileCipher>> {
        let key = self.key.clone();
        key.map(|key| -> Arc<dyn FileCipher> { Arc::new(key) })
    }
}

/// An open wallet.
///
/// Only one process can have a wallet open and change it. Others can [look](Wallet::open_to_read). Its methods can run at the same time, from several tasks.
///
/// ```
/// use farthing_client::wallet::{Env, Wallet};
/// use farthing_coin::Seed;
/// use farthing_store::entropy::{Entropy, SystemEntropy};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let temporary = tempfile::tempdir()?;
/// let dir = temporary.path().join("wallet");
/// let entropy: &dyn Entropy = &SystemEntropy;
/// let seed = Seed::generate(&mut entropy.rng());
/// Wallet::create(&dir, &seed)?;
///
/// let wallet = Wallet::open(&dir, Env::system())?;
/// assert!(wallet.balances()?.is_empty());
/// wallet.close()?;
/// # Ok(())
/// # }
/// ```
pub struct Wallet {
    dir: PathBuf,
    pub(crate) seed: Seed,
    pub(crate) store: Store,
    pub(crate) env: Env,
    /// The network of the environment, through the relay if there is one.
    network: Arc<dyn Network>,
    /// Lists of keys that were verified since the wallet was opened. Every key of a list is checked, which costs more
    /// than the signatures of a purchase.
    pub(crate) books: Mutex<BTreeMap<PublicKey, Arc<KeyBook>>>,
    /// The coins, for choosing.
    coins: CoinMemory,
}

impl std::fmt::Debug for Wallet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wallet")
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

impl Wallet {
    /// Makes a new wallet in `dir` from `seed`, durably.
    ///
    /// # Errors
    /// When there is a wallet in `dir` already, or a file cannot be written.
    pub fn create(dir: &Path, seed: &Seed) -> Result<(), WalletError> {
        Self::create_with(dir, seed, None)
    }

    /// As [`create`](Wallet::create). With a password, everything in the directory is sealed.
    ///
    /// # Errors
    /// As [`create`](Wallet::create).
    pub fn create_with(dir: &Path, seed: &Seed, password: Option<&Password>) -> Result<(), WalletError> {
        files::create_private_dir(dir).map_err(not_private(dir))?;
        // Two commands would otherwise mix the key of one wallet with the words of the other.
        let _lock = files::lock(dir).map_err(WalletError::io(dir))?;
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
        files::create_private_dir(&dir.join(GOODS_DIR)).map_err(WalletError::io(dir))?;
        // Before the seed is there, so that no wallet is ever without its mark.
        let mark = dir.join(OWN_ACCOUNTS_FILE);
        files::replace(&mark, b"", Mode::Secret).map_err(WalletError::io(&mark))?;
        let path = dir.join(SEED_FILE);
        let phrase = Zeroizing::new(format!("{}\n", seed.to_phrase().as_str()));
        let bytes = match password {
            Some(password) => {
                let key = vault::create(dir, password, Arc::new(SystemEntropy))?;
                Zeroizing::new(key.seal_file(SEED_FILE, phrase.as_bytes()))
            }
            None => {
                vault::remove(dir)?;
                Zeroizing::new(phrase.as_bytes().to_vec())
            }
        };
        let written = files::create(&path, &bytes, Mode::Secret).and_then(|()| files::sync_dir(dir));
        written.map_err(WalletError::io(&path))
    }

    /// Like [`create`](Wallet::create), for a seed that was used before. The wallet does nothing at a bank until
    /// [`restore`](Wallet::restore) has found what exists there.
    ///
    /// # Errors
    /// As [`create`](Wallet::create).
    pub fn create_from_phrase(dir: &Path, seed: &Seed) -> Result<(), WalletError> {
        Self::create_from_phrase_with(dir, seed, None)
    }

    /// As [`create_from_phrase`](Wallet::create_from_phrase), with a password.
    ///
    /// # Errors
    /// As [`create`](Wallet::create).
    pub fn create_from_phrase_with(
        dir: &Path,
        seed: &Seed,
        password: Option<&Password>,
    ) -> Result<(), WalletError> {
        files::create_private_dir(dir).map_err(not_private(dir))?;
        // Before the seed is there, so that no wallet is ever without its mark.
        let mark = dir.join(FROM_PHRASE_FILE);
        files::replace(&mark, b"", Mode::Secret).map_err(WalletError::io(&mark))?;
        Self::create_with(dir, seed, password)
    }

    /// Opens the wallet in `dir`. If others can read the directory, its mode becomes 0700.
    ///
    /// # Errors
    /// When there is no wallet, another process has it open, others can read the words, or the store is damaged or gone.
    pub fn open(dir: &Path, env: Env) -> Result<Wallet, WalletError> {
        reseal::settle(dir, &env.store)?;
        let seed = open_home(dir, env.key.as_ref())?;
        let store = open_store(dir, env.store_options())?;
        // The engine of the index makes files as the user's mask says.
        make_private(dir)?;
        Self::with_store(dir, seed, store, env)
    }

    /// Opens the wallet in `dir` to look at it. If another process has it open, this reads the rows beside that process, as
    /// they are now, and changes nothing in the directory. Methods that write then fail.
    ///
    /// # Errors
    /// As [`open`](Wallet::open), and [`StoreError::Older`] when the other process has not upgraded the rows yet.
    pub fn open_to_read(dir: &Path, env: Env) -> Result<Wallet, WalletError> {
        match Self::open(dir, env.clone()) {
            Err(WalletError::Store(in_use @ StoreError::InUse { .. })) => {
                reseal::settle(dir, &env.store)?;
                let seed = read_seed(dir, env.key.as_ref())?;
                let store_dir = dir.join(STORE_DIR);
                // Without a journal, the other process is about to make the first one.
                let store = Store::open_read_only(&store_dir, &env.store_options())?.ok_or(in_use)?;
                if store.head().sequence > 0 && store.schema_version()? < SCHEMA_VERSION {
                    return Err(StoreError::Older { dir: store_dir }.into());
                }
                Self::of(dir, seed, store, env)
            }
            opened => opened,
        }
    }

    /// Who has the wallet in `dir` open. `None` if nobody has, or they left no note.
    pub fn holder(dir: &Path, disk: &dyn Disk) -> Option<Holder> {
        Holder::read(&dir.join(STORE_DIR), disk)
    }

    /// Opens the wallet in `dir`, whose rows are in `store`. The store is a namespace of one that several wallets
    /// share, so they share the syncs of its journal. A wallet must be opened with the same store each time.
    ///
    /// # Errors
    /// When there is no wallet.
    pub fn open_in(dir: &Path, store: Store, env: Env) -> Result<Wallet, WalletError> {
        let seed = open_home(dir, env.key.as_ref())?;
        Self::with_store(dir, seed, store, env)
    }

    /// The wallet whose rows are in `store`. Older rows are migrated first, and goods files are renamed whose names tell
    /// what was bought.
    fn with_store(dir: &Path, seed: Seed, store: Store, env: Env) -> Result<Wallet, WalletError> {
        rename_goods(&dir.join(GOODS_DIR), &seed)?;
        if store.schema_version()? < SCHEMA_VERSION {
            let file = NetworkFile::load_sealed(dir, env.file_cipher())?;
            let is_of_today = dir.join(OWN_ACCOUNTS_FILE).exists();
            store.migrate(|migration| migrate(migration, file.cards(), is_of_today))?;
        }
        Self::of(dir, seed, store, env)
    }

    fn of(dir: &Path, seed: Seed, store: Store, env: Env) -> Result<Wallet, WalletError> {
        let file = NetworkFile::load_sealed(dir, env.file_cipher())?;
        Ok(Wallet {
            dir: dir.to_path_buf(),
            network: network_of(&env, &store, &file)?,
            seed,
            store,
            env,
            books: Mutex::default(),
            coins: CoinMemory::default(),
        })
    }

    /// Adds cards. From now on, anonymous requests take this way, whose relay may be among the cards.
    ///
    /// # Errors
    /// When a card contradicts a pinned one, the file cannot be written, or the relay is not pinned.
    pub fn add_cards(&mut self, cards: Vec<Card>, route: Route) -> Result<NetworkFile, WalletError> {
        let mut file = self.network_file()?;
        file.add_all(cards)?;
        self.env.route = route;
        self.network = network_of(&self.env, &self.store, &file)?;
        Ok(file)
    }

    /// The relay that carries the wallet's anonymous requests, if there is one.
    ///
    /// # Errors
    /// When the cards cannot be read, or the relay's card is gone.
    pub fn relay(&self) -> Result<Option<Card>, WalletError> {
        self.env.route.relay(&self.network_file()?)
    }

    /// Closes the wallet. Everything is durable without this; it only makes the next start faster.
    ///
    /// # Errors
    /// When the store cannot be closed cleanly.
    pub fn close(self) -> Result<(), WalletError> {
        Ok(self.store.close()?)
    }

    /// The wallet's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The seed of everything at `bank`, except the account's key.
    pub(crate) fn seed_for(&self, bank: &PublicKey) -> Seed {
        self.seed.for_bank(bank)
    }

    /// Fails if this wallet was made from its phrase and was not restored from this bank. It would use numbers again
    /// that it used before it was lost, which would link its past to its future.
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

    /// The file of the cards that the wallet has pinned.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn network_file(&self) -> Result<NetworkFile, WalletError> {
        Ok(NetworkFile::load_sealed(&self.dir, self.env.file_cipher())?)
    }

    /// The pinned card of the `role` with this name. Without a name: the only card of that role.
    ///
    /// # Errors
    /// When there is no such card, or several and no name was given.
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

    /// The pinned card of the party that a link names.
    ///
    /// # Errors
    /// When no card of it is pinned.
    pub fn party_of(&self, role: RoleName, prefix: &KeyPrefix) -> Result<Card, WalletError> {
        let file = self.network_file()?;
        let mut cards = file.cards().iter().filter(|card| card.role == role);
        let found = cards.find(|card| prefix.is_of(&card.identity)).cloned();
        found.ok_or_else(|| WalletError::NoCard(format!("{role} {prefix} of this link")))
    }

    /// The card of the party that signs with `identity`.
    pub(crate) fn party_by_key(&self, role: RoleName, identity: &PublicKey) -> Result<Card, WalletError> {
        card_of(&self.network_file()?, role, identity)
    }

    /// The network of the wallet's requests.
    pub(crate) fn network(&self) -> &dyn Network {
        self.network.as_ref()
    }

    /// A new client of a party, which shares nothing with any other client.
    pub(crate) fn peer_client(&self, card: &Card, lane: Lane) -> PeerClient<'_> {
        let env = &self.env;
        PeerClient::new(
            self.network.as_ref(),
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

    /// Runs a transaction. It reads no rows except `reads`, and may run again.
    pub(crate) async fn transact<T: Send + 'static>(
        &self,
        reads: impl Into<Reads>,
        transaction: impl Fn(&mut Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, WalletError> {
        let changing = self.coins.changing();
        let done = self.store.transact(reads, move |tx| {
            let value = transaction(tx)?;
            Ok((value, COINS.written(tx)?))
        });
        match done.await {
            Ok((value, changed)) => {
                changing.ended(&self.rows(), &changed)?;
                Ok(value)
            }
            Err(error) => {
                changing.failed();
                Err(error.into())
            }
        }
    }

    /// The coins for which `is_wanted` holds, in the order of the store.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) fn coins_that(
        &self,
        is_wanted: impl Fn(&CoinRow) -> bool,
    ) -> Result<Vec<CoinRow>, StoreError> {
        self.coins.coins(&self.rows(), is_wanted)
    }
}

/// The network of a wallet with these cards: through the relay, if there is one.
fn network_of(env: &Env, store: &Store, file: &NetworkFile) -> Result<Arc<dyn Network>, WalletError> {
    let relay = env.route.relay(file)?;
    Ok(relay_keys::network(
        Arc::clone(&env.network),
        relay,
        store,
        &env.clock,
        &env.entropy,
    ))
}

/// The card in `file` of the party that signs with `identity`.
pub(crate) fn card_of(file: &NetworkFile, role: RoleName, identity: &PublicKey) -> Result<Card, WalletError> {
    let found = file.by_identity(identity).filter(|card| card.role == role);
    found
        .cloned()
        .ok_or_else(|| WalletError::NoCard(format!("{role} {identity}")))
}

/// Makes the wallet's directory (0700) and the files in it (0600) private, except the seed: if others can read its file,
/// [`read_seed`] refuses it. Returns whether others could enter the directory. Without a wallet, nothing is changed.
///
/// # Errors
/// When a mode cannot be changed.
pub(crate) fn make_private(dir: &Path) -> Result<bool, WalletError> {
    match dir.join(SEED_FILE).exists() {
        true => files::make_tree_private(dir, SEED_FILE, &INNER_DIRS).map_err(not_private(dir)),
        false => Ok(false),
    }
}

fn not_private(dir: &Path) -> impl FnOnce(std::io::Error) -> WalletError {
    move |why| WalletError::Home(format!("{}: {why}", dir.display()))
}

/// Makes the wallet's directory and files private, and reads its seed.
fn open_home(dir: &Path, key: Option<&WalletKey>) -> Result<Seed, WalletError> {
    make_private(dir)?;
    read_seed(dir, key)
}

/// Opens the wallet's store, and makes it if there was none yet. An empty one in the place of a lost one would show no
/// coin, and number new coins as old ones.
fn open_store(dir: &Path, options: StoreOptions) -> Result<Store, WalletError> {
    let (mark, store_dir) = (dir.join(STORED_FILE), dir.join(STORE_DIR));
    if !mark.exists() {
        let (store, _) = Store::open(&store_dir, options)?;
        files::replace(&mark, b"", Mode::Secret).map_err(WalletError::io(&mark))?;
        return Ok(store);
    }
    match Store::open_existing(&store_dir, options) {
        Ok((store, _)) => Ok(store),
        Err(StoreError::Absent { .. }) => Err(WalletError::Home(format!(
            "the wallet's store {} is gone; is its disk mounted? put the directory back, or make the wallet again from its 24 \
             words with `farthing --wallet NEW restore`, which finds its coins; nothing was changed",
            store_dir.display()
        ))),
        Err(error) => Err(error.into()),
    }
}

/// The seed of the wallet in `dir`. `key` opens it if the wallet has a password.
fn read_seed(dir: &Path, key: Option<&WalletKey>) -> Result<Seed, WalletError> {
    let path = dir.join(SEED_FILE);
    let size = fs::metadata(&path).map_err(|_| WalletError::NoWallet(dir.to_owned()))?;
    if size.len() > SEED_FILE_MAX_BYTES {
        return Err(WalletError::Home(format!(
            "{} is not a seed phrase",
            path.display()
        )));
    }
    if let Some(mode) = files::exposed(&path).map_err(WalletError::io(&path))? {
        return Err(WalletError::Home(format!(
            "{0} can be read by others (mode {mode:o}); run `chmod 600 {0}`. Anyone who has read it can spend your money: if \
             that may be so, move the money to a new wallet",
            path.display()
        )));
    }
    let stored = Zeroizing::new(fs::read(&path).map_err(WalletError::io(&path))?);
    let malformed = |why: String| WalletError::Home(format!("{}: {why}", path.display()));
    let phrase = match (vault::is_sealed(dir), key) {
        (false, _) if is_sealed_file(&stored) => {
            let why = format!(
                "it is sealed with a password, and {VAULT_FILE} is missing; put a copy of that file back, or make the \
                 wallet again from its 24 words with `farthing restore`"
            );
            return Err(malformed(why));
        }
        (false, _) => stored,
        (true, Some(key)) => key
            .open_file(SEED_FILE, &stored)
            .map_err(WalletError::io(&path))?,
        (true, None) => return Err(WalletError::Locked(dir.to_owned())),
    };
    let phrase = std::str::from_utf8(&phrase).map_err(|why| malformed(why.to_string()))?;
    Seed::from_phrase(phrase.trim()).map_err(|why| malformed(why.to_string()))
}
