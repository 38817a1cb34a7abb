//! Customers: each a machine with a wallet on it.

use super::{
    machine::{Death, Died, Life, Machine},
    network::MemoryNetwork,
    party::Party,
    world::World,
};
use farthing_client::{
    observer::NoObserver,
    peer_client::RetryPolicy,
    wallet::{Env, OWN_ACCOUNTS_FILE, Wallet},
};
use farthing_coin::{PublicKey, Seed};
use farthing_node::network_file::NetworkFile;
use farthing_protocol::money::Amount;
use farthing_store::{StoreOptions, disk::MemoryDisk};
use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// A customer's machine, with her wallet's directory and disk.
pub struct Customer {
    /// Her machine.
    pub machine: Arc<Machine>,
    dir: PathBuf,
    seed: Seed,
    bank: PublicKey,
    network: Arc<MemoryNetwork>,
}

impl Customer {
    /// A customer with an empty wallet of this seed, and no account.
    pub fn new(world: &World, name: &str, seed: &Seed) -> Customer {
        let dir = world.dir().join(name);
        Wallet::create(&dir, seed).expect("the wallet is made");
        Self::at(world, dir, seed, MemoryDisk::new())
    }

    /// The same customer with nothing but her phrase: a new machine, an empty wallet.
    pub fn with_phrase_of(world: &World, customer: &Customer, name: &str) -> Customer {
        let phrase = std::fs::read_to_string(customer.dir.join("seed.phrase")).expect("the phrase");
        let seed = Seed::from_phrase(phrase.trim()).expect("a phrase");
        let dir = world.dir().join(name);
        Wallet::create_from_phrase(&dir, &seed).expect("the wallet is made");
        customer.beside(Self::at(world, dir, &seed, MemoryDisk::new()))
    }

    /// Notes that this other customer is the same one.
    fn beside(&self, twin: Customer) -> Customer {
        self.machine.set_twin();
        twin.machine.set_twin();
        twin
    }

    fn at(world: &World, dir: PathBuf, seed: &Seed, disk: MemoryDisk) -> Customer {
        let mut file = NetworkFile::load(&dir).expect("the network file");
        for card in world.foundation.cards() {
            file.add(card).expect("the card is pinned");
        }
        Customer {
            machine: world.add_machine(disk),
            dir,
            seed: Seed::from_bytes(&seed.to_bytes()),
            bank: world.card(Party::Bank).identity,
            network: world.network.clone(),
        }
    }

    /// A copy of her machine as it stands, in the same world: the same seed, the same rows.
    pub fn copy(&self, world: &World, name: &str) -> Customer {
        self.beside(self.fork(world, name))
    }

    /// Her machine as it stands, in another world.
    pub fn fork(&self, world: &World, name: &str) -> Customer {
        let dir = world.dir().join(name);
        std::fs::create_dir_all(dir.join("goods")).expect("a directory");
        for name in ["seed.phrase", OWN_ACCOUNTS_FILE] {
            if self.dir.join(name).exists() {
                std::fs::copy(self.dir.join(name), dir.join(name)).expect("the file is copied");
            }
        }
        for file in std::fs::read_dir(self.dir.join("goods")).expect("her goods") {
            let file = file.expect("a file");
            std::fs::copy(file.path(), dir.join("goods").join(file.file_name()))
                .expect("the goods are copied");
        }
        let disk = MemoryDisk::new();
        for name in ["journal", "state"] {
            // The store keeps its files under the wallet's own directory.
            if let Some(bytes) = self.machine.disk.bytes(&self.dir.join("store").join(name)) {
                disk.put(&dir.join("store").join(name), bytes);
            }
        }
        Self::at(world, dir, &self.seed, disk)
    }

    /// The key of the customer's account.
    pub fn account(&self) -> PublicKey {
        self.seed.bank_account_key(&self.bank).public()
    }

    /// The key that a wallet of before has shown to every bank.
    pub fn shared_account(&self) -> PublicKey {
        self.seed.account_key().public()
    }

    /// Opens her wallet and does something with it, again from its beginning whenever she dies meanwhile. Returns
    /// the wallet that she has then.
    pub async fn live(&self, mut errand: impl AsyncFnMut(&Wallet)) -> Wallet {
        loop {
            let Some(wallet) = self.try_wallet() else { continue };
            // On the heap, as in [`local`](super::local).
            if self.machine.life().run(Box::pin(errand(&wallet))).await.is_some() {
                return wallet;
            }
        }
    }

    /// Opens her wallet.
    pub fn wallet(&self) -> Wallet {
        self.try_wallet().expect("she lives")
    }

    /// Opens her wallet, unless she dies in that.
    pub fn try_wallet(&self) -> Option<Wallet> {
        let life = self.machine.start();
        let surroundings = self.env(life);
        match catch_unwind(AssertUnwindSafe(|| Wallet::open(&self.dir, surroundings))) {
            Ok(wallet) => Some(wallet.expect("the wallet opens")),
            Err(panic) if Died::is(panic.as_ref()) => None,
            Err(panic) => resume_unwind(panic),
        }
    }

    fn env(&self, life: Life) -> Env {
        Env {
            network: self.network.wire(self.machine.party, life),
            clock: self.machine.clock.clone(),
            entropy: self.machine.entropy(),
            observer: Arc::new(NoObserver),
            retry: RetryPolicy {
                attempt: Duration::from_secs(5),
                total: Duration::from_secs(30),
            },
            store: StoreOptions {
                reserve_bytes: 0,
                ..self.machine.store_options()
            },
        }
    }

    /// Her process dies and her wallet is opened again.
    pub fn wallet_after(&self, death: Death) -> Wallet {
        self.machine.die(death);
        self.wallet()
    }

    /// Waits until the process of her wallet has died.
    pub async fn died(&self) {
        self.machine.life().over().await;
    }

    /// Her wallet's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

impl World {
    /// A customer with an account of `amount`, and her wallet's directory and disk.
    pub async fn customer(self: &Arc<Self>, name: &str, amount: Amount) -> Customer {
        let customer = Customer::new(self, name, &self.foundation.seed_of(name));
        let account = customer.account();
        self.open_account(account, name).await;
        self.pay_in(account, amount, name).await;
        customer
    }
}
