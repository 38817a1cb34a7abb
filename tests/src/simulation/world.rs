//! The parties of a world, each with a disk of its own, and their crashes and restarts.

use super::network::{MemoryNetwork, Power, Wire};
use async_trait::async_trait;
use farthing_bank::{
    admin::{Cash, Command},
    bank::{Bank, BankParts},
    keys::{BankSettings, Master},
};
use farthing_client::{
    buy::Parties,
    talk::Patience,
    wallet::{Surroundings, Wallet},
    watch::Unwatched,
};
use farthing_coin::{Calendar, PublicKey, SecretKey, Seed};
use farthing_escrow::escrow::{Escrow, EscrowParts};
use farthing_merchant::{
    merchant::{Merchant, MerchantParts, Settings},
    rows::Item,
    secret::MerchantSecret,
    shelf::Shelf,
    transactions::add_item,
};
use farthing_node::{
    card::{Card, NetworkFile, RoleName},
    clock::Clock,
    disk::MemoryDisk,
    entropy::{Entropy, SeededEntropy},
    network::Service,
    process::{Stopper, stop_pair},
    serve::Role,
    store::{Store, StoreOptions},
};
use farthing_protocol::money::Amount;
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tempfile::TempDir;

/// When every world begins (ms since 1970).
const BEGINNING_MS: u64 = 1_800_000_000_000;

/// Virtual time: it passes when everybody waits.
#[derive(Debug)]
pub struct VirtualClock {
    start: tokio::time::Instant,
    base_ms: AtomicU64,
}

impl VirtualClock {
    /// Lets the clock jump, forwards or back; nobody's waiting is shortened by it.
    pub fn jump_to(&self, now_ms: u64) {
        let elapsed = self.start.elapsed().as_millis() as u64;
        self.base_ms
            .store(now_ms.saturating_sub(elapsed), Ordering::SeqCst);
    }
}

impl Clock for VirtualClock {
    fn now_ms(&self) -> u64 {
        self.base_ms.load(Ordering::SeqCst) + self.start.elapsed().as_millis() as u64
    }
}

/// A server that is up.
struct Up<R> {
    role: Arc<R>,
    _stopper: Option<Stopper>,
}

/// A server's lasting part: its key and its disk.
struct Server<R> {
    card: Card,
    key: [u8; 32],
    disk: MemoryDisk,
    up: Mutex<Option<Up<R>>>,
}

impl<R> Server<R> {
    fn role(&self) -> Arc<R> {
        let up = self.up.lock().unwrap_or_else(PoisonError::into_inner);
        up.as_ref().map(|up| up.role.clone()).expect("the server is up")
    }

    fn set(&self, up: Option<Up<R>>) {
        *self.up.lock().unwrap_or_else(PoisonError::into_inner) = up;
    }

    fn secret(&self) -> SecretKey {
        SecretKey::from_bytes(&self.key).expect("the key is one")
    }
}

/// A world: one bank, one escrow, one merchant, and the wallets that a test opens.
pub struct World {
    dir: TempDir,
    seed: u64,
    /// Everybody's clock.
    pub clock: Arc<VirtualClock>,
    /// The network between them.
    pub network: Arc<MemoryNetwork>,
    bank: Server<Bank>,
    escrow: Server<Escrow>,
    merchant: Server<Merchant>,
    merchant_secret: PathBuf,
    crashes: AtomicU64,
    /// The item that the merchant sells.
    pub goods: Vec<u8>,
    /// What it costs.
    pub price: Amount,
}

impl World {
    /// A world from `seed`. Its time is tokio's, which must be paused.
    pub async fn new(seed: u64) -> Arc<World> {
        Self::with_price(seed, Amount(725)).await
    }

    /// As [`new`](World::new), where the merchant's item costs `price`.
    pub async fn with_price(seed: u64, price: Amount) -> Arc<World> {
        let dir = tempfile::tempdir().expect("a directory");
        let clock = Arc::new(VirtualClock {
            start: tokio::time::Instant::now(),
            base_ms: AtomicU64::new(BEGINNING_MS),
        });
        let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(seed));
        let server = |role, name: &str, port| {
            let key = SecretKey::generate(&mut entropy.rng());
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            let identity = key.public();
            (
                Card {
                    role,
                    name: name.into(),
                    address,
                    fingerprint: identity.0,
                    identity,
                },
                *key.to_bytes(),
            )
        };
        let merchant_secret = dir.path().join("merchant");
        std::fs::create_dir(&merchant_secret).expect("a directory");
        MerchantSecret::generate(entropy.as_ref())
            .save(&merchant_secret)
            .expect("a secret");
        let world = Arc::new(World {
            seed,
            clock,
            network: MemoryNetwork::new(),
            bank: lasting(server(RoleName::Bank, "central", 1)),
            escrow: lasting(server(RoleName::Escrow, "fair", 2)),
            merchant: lasting(server(RoleName::Merchant, "studio", 3)),
            merchant_secret,
            crashes: AtomicU64::new(0),
            goods: (0..100_000u32).map(|i| (i % 251) as u8).collect(),
            price,
            dir,
        });
        world.network.set_power(Arc::new(Mains(Arc::downgrade(&world))));
        world.start_bank().await;
        world.start_escrow();
        world.stock().await;
        world.start_merchant();
        let account = world.merchant().account();
        world.open_account(account, "studio").await;
        world
    }

    fn entropy(&self, salt: u64) -> Arc<dyn Entropy> {
        let crashes = self.crashes.load(Ordering::SeqCst);
        Arc::new(SeededEntropy::new(self.seed ^ (salt << 32) ^ (crashes << 40)))
    }

    fn store(&self, disk: &MemoryDisk, salt: u64) -> Store {
        // One byte must stay free, so that a disk without room refuses at once.
        let options = StoreOptions {
            reserve_bytes: 1,
            ..StoreOptions::simulated(disk.clone(), self.seed ^ salt)
        };
        Store::open(Path::new("/store"), options)
            .expect("the store opens by itself")
            .0
    }

    fn wire(&self) -> Arc<Wire> {
        Arc::new(Wire(self.network.clone()))
    }

    fn cards(&self) -> Vec<Card> {
        vec![
            self.bank.card.clone(),
            self.escrow.card.clone(),
            self.merchant.card.clone(),
        ]
    }

    // ---- servers ----------------------------------------------------------------------------------------------

    async fn start_bank(&self) {
        let settings = BankSettings {
            currency: "FTH".into(),
            calendar: Calendar {
                epoch_ms: 90 * 24 * 3_600_000,
                spend_epochs: 2,
                redeem_epochs: 1,
            },
            values: (0..12).map(|bit| 1 << bit).collect(),
        };
        let parts = BankParts {
            identity: self.bank.secret(),
            master: Master::generate(&mut (&SeededEntropy::new(self.seed) as &dyn Entropy).rng()),
            settings,
            store: self.store(&self.bank.disk, 1),
            clock: self.clock.clone(),
            entropy: self.entropy(1),
            network: self.wire(),
            cards: self.cards(),
        };
        let role = Arc::new(Bank::open(parts).await.expect("the bank opens"));
        self.network
            .attach(self.bank.card.identity, role.clone() as Arc<dyn Service>);
        self.bank.set(Some(Up { role, _stopper: None }));
    }

    fn start_escrow(&self) {
        let role = Arc::new(Escrow::new(EscrowParts {
            key: self.escrow.secret(),
            store: self.store(&self.escrow.disk, 2),
            network: self.wire(),
            cards: self.cards(),
            clock: self.clock.clone(),
            entropy: self.entropy(2),
            dir: None,
        }));
        start(&self.network, &self.escrow, role);
    }

    fn start_merchant(&self) {
        let role = Arc::new(Merchant::new(MerchantParts {
            key: self.merchant.secret(),
            secret: MerchantSecret::load(&self.merchant_secret).expect("the secret"),
            settings: Settings::new("FTH".into()),
            store: self.store(&self.merchant.disk, 3),
            shelf: Shelf::open(&self.merchant_secret).expect("the shelf"),
            network: self.wire(),
            cards: self.cards(),
            clock: self.clock.clone(),
            entropy: self.entropy(3),
            dir: None,
        }));
        start(&self.network, &self.merchant, role);
    }

    /// The bank.
    pub fn bank(&self) -> Arc<Bank> {
        self.bank.role()
    }

    /// The escrow.
    pub fn escrow(&self) -> Arc<Escrow> {
        self.escrow.role()
    }

    /// The merchant.
    pub fn merchant(&self) -> Arc<Merchant> {
        self.merchant.role()
    }

    /// The disks, to fill, cut or flip.
    pub fn disks(&self) -> [(&'static str, &MemoryDisk); 3] {
        [
            ("bank", &self.bank.disk),
            ("escrow", &self.escrow.disk),
            ("merchant", &self.merchant.disk),
        ]
    }

    fn disk_of(&self, server: &PublicKey) -> &MemoryDisk {
        match server {
            _ if *server == self.bank.card.identity => &self.bank.disk,
            _ if *server == self.escrow.card.identity => &self.escrow.disk,
            _ => &self.merchant.disk,
        }
    }

    /// Takes the server off the network until [`Power::restart`].
    pub fn stop(&self, role: RoleName) {
        let card = match role {
            RoleName::Bank => &self.bank.card,
            RoleName::Escrow => &self.escrow.card,
            RoleName::Merchant => &self.merchant.card,
        };
        self.network.detach(&card.identity);
    }

    /// Kills a server and starts it again; `power` says that its machine loses what was not synced.
    pub async fn restart(&self, role: RoleName, power: bool) {
        let number = self.crashes.fetch_add(1, Ordering::SeqCst);
        let dead = |disk: &MemoryDisk| {
            if power {
                disk.crash(self.seed ^ number)
            } else {
                disk.kill()
            }
        };
        self.stop(role);
        match role {
            RoleName::Bank => {
                self.bank.set(None);
                dead(&self.bank.disk);
                self.start_bank().await;
            }
            RoleName::Escrow => {
                self.escrow.set(None);
                dead(&self.escrow.disk);
                self.start_escrow();
            }
            RoleName::Merchant => {
                self.merchant.set(None);
                dead(&self.merchant.disk);
                self.start_merchant();
            }
        }
    }

    // ---- people -----------------------------------------------------------------------------------------------

    async fn stock(&self) {
        let merchant_shelf = Shelf::open(&self.merchant_secret).expect("the shelf");
        let secret = MerchantSecret::load(&self.merchant_secret).expect("the secret");
        let file = self.dir.path().join("goods");
        std::fs::write(&file, &self.goods).expect("the goods");
        let (item_id, salt) = ([7; 32], [8; 32]);
        let shelved = merchant_shelf
            .add(
                &item_id,
                &secret.content_key(&item_id),
                salt,
                &mut std::fs::File::open(&file).expect("goods"),
                &mut |_| {},
            )
            .expect("the goods are shelved");
        let item = Item {
            title: "a picture".into(),
            description: "of nothing".into(),
            media_type: "image/png".into(),
            price: self.price,
            currency: "FTH".into(),
            summary: shelved.summary,
            file_name: "goods".into(),
        };
        let store = self.store(&self.merchant.disk, 3);
        store
            .transact(move |tx| add_item(tx, &item_id, &item))
            .await
            .expect("the item is added");
        store.close().expect("the store closes");
    }

    /// Opens an account at the bank.
    pub async fn open_account(&self, key: PublicKey, name: &str) {
        let command = Command::AccountOpen {
            key: key.to_string(),
            name: Some(name.into()),
        };
        self.bank().administer(command).await.expect("the account opens");
    }

    /// Pays cash in for an account.
    pub async fn pay_in(&self, key: PublicKey, amount: Amount, reference: &str) {
        let (key, amount, reference) = (key.to_string(), amount.to_string(), reference.to_string());
        self.bank()
            .administer(Command::AccountCredit(Cash {
                key,
                amount,
                reference,
            }))
            .await
            .expect("cash");
    }

    /// A customer with an account of `amount`, and her wallet's directory and disk.
    pub async fn customer(&self, name: &str, amount: Amount) -> Customer {
        let seed_bytes = {
            let mut bytes = [0; 32];
            self.entropy(1000 + name.len() as u64).fill(&mut bytes);
            bytes
                .iter_mut()
                .zip(name.bytes())
                .for_each(|(byte, c)| *byte ^= c);
            bytes
        };
        let seed = Seed::from_bytes(&seed_bytes);
        let customer = self.customer_from(name, &seed);
        let account = seed.account_key().public();
        self.open_account(account, name).await;
        self.pay_in(account, amount, name).await;
        customer
    }

    /// The same customer with nothing but her phrase: a new machine, an empty wallet.
    pub fn customer_with_phrase_of(&self, customer: &Customer, name: &str) -> Customer {
        let phrase = std::fs::read_to_string(customer.dir.join("seed.phrase")).expect("the phrase");
        let seed = Seed::from_phrase(phrase.trim()).expect("a phrase");
        Wallet::create_from_phrase(&self.dir.path().join(name), &seed).expect("the wallet is made");
        self.customer_at(name)
    }

    /// A wallet of this seed, empty.
    pub fn customer_from(&self, name: &str, seed: &Seed) -> Customer {
        Wallet::create(&self.dir.path().join(name), seed).expect("the wallet is made");
        self.customer_at(name)
    }

    fn customer_at(&self, name: &str) -> Customer {
        let dir = self.dir.path().join(name);
        let mut file = NetworkFile::load(&dir).expect("the network file");
        for card in self.cards() {
            file.add(card).expect("the card is pinned");
        }
        Customer {
            dir,
            disk: MemoryDisk::new(),
            surroundings: self.surroundings(name.len() as u64),
        }
    }

    fn surroundings(&self, salt: u64) -> Surroundings {
        Surroundings {
            network: self.wire(),
            clock: self.clock.clone(),
            entropy: self.entropy(100 + salt),
            watch: Arc::new(Unwatched),
            patience: Patience {
                attempt: Duration::from_secs(5),
                total: Duration::from_secs(30),
            },
            store: StoreOptions::default(),
        }
    }

    /// Everyone who takes part in a purchase.
    pub fn parties(&self) -> Parties {
        Parties {
            merchant: self.merchant.card.clone(),
            escrow: self.escrow.card.clone(),
            bank: self.bank.card.clone(),
        }
    }

    /// The directory for what tests write.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

fn lasting<R>((card, key): (Card, [u8; 32])) -> Server<R> {
    Server {
        card,
        key,
        disk: MemoryDisk::new(),
        up: Mutex::new(None),
    }
}

fn start<R: Role>(network: &MemoryNetwork, server: &Server<R>, role: Arc<R>) {
    let (stopper, stop) = stop_pair();
    network.attach(server.card.identity, role.clone() as Arc<dyn Service>);
    tokio::spawn(role.clone().background(stop));
    server.set(Some(Up {
        role,
        _stopper: Some(stopper),
    }));
}

/// Restarts servers for the network's faults.
struct Mains(Weak<World>);

#[async_trait]
impl Power for Mains {
    async fn restart(&self, server: PublicKey, power: bool) {
        let Some(world) = self.0.upgrade() else { return };
        let card = world.cards().into_iter().find(|card| card.identity == server);
        if let Some(card) = card {
            world.restart(card.role, power).await;
        }
    }

    fn tear(&self, server: PublicKey) {
        if let Some(world) = self.0.upgrade() {
            world.disk_of(&server).fail_sync_after(0);
        }
    }

    fn fill(&self, server: PublicKey, full: bool) {
        if let Some(world) = self.0.upgrade() {
            world.disk_of(&server).set_capacity(full.then_some(0));
        }
    }
}

/// A customer's lasting part.
pub struct Customer {
    dir: PathBuf,
    disk: MemoryDisk,
    surroundings: Surroundings,
}

impl Customer {
    /// A copy of her machine as it stands: the same seed, the same rows.
    pub fn copy(&self, dir: &Path) -> Customer {
        std::fs::create_dir_all(dir.join("goods")).expect("a directory");
        for file in ["seed.phrase", "network.json"] {
            std::fs::copy(self.dir.join(file), dir.join(file)).expect("the file is copied");
        }
        let disk = MemoryDisk::new();
        for name in ["journal", "state"] {
            // The store keeps its files under the wallet's own directory.
            if let Some(bytes) = self.disk.bytes(&self.dir.join("store").join(name)) {
                disk.put(&dir.join("store").join(name), bytes);
            }
        }
        Customer {
            dir: dir.to_path_buf(),
            disk,
            surroundings: self.surroundings.clone(),
        }
    }

    /// Opens her wallet.
    pub fn wallet(&self) -> Wallet {
        let store = StoreOptions::simulated(self.disk.clone(), 9);
        Wallet::open(
            &self.dir,
            Surroundings {
                store,
                ..self.surroundings.clone()
            },
        )
        .expect("the wallet opens")
    }

    /// Her machine dies (`power`: loses what was not synced) and her wallet is opened again.
    pub fn wallet_after_crash(&self, power: bool) -> Wallet {
        if power {
            self.disk.crash(5)
        } else {
            self.disk.kill()
        }
        self.wallet()
    }

    /// Her wallet's disk.
    pub fn disk(&self) -> &MemoryDisk {
        &self.disk
    }
}
