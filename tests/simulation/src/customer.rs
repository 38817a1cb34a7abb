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
use farthing_node::{network::Network, network_file::NetworkFile};
use farthing_protocol::money::Amount;
use farthing_store::{StoreOptions, clock::Clock, disk::MemoryDisk, entropy::Entropy};
use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::time::sleep;

/// The surroundings of a wallet without a password. Its store keeps no room free.
pub fn environment(
    network: Arc<dyn Network>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    store: StoreOptions,
) -> Env {
    Env {
        key: None,
        route: Default::default(),
        network,
        clock,
        entropy,
        observer: Arc::new(NoObserver),
        retry: RetryPolicy {
            attempt: Duration::from_secs(5),
            total: Duration::from_secs(30),
        },
        store: StoreOptions {
            reserve_bytes: 0,
            ..store
        },
    }
}

/// A customer's machine, with the wallet's directory and disk.
pub struct CustomerMachine {
    /// The machine.
    pub machine: Arc<Machine>,
    dir: PathBuf,
    seed: Seed,
    bank: PublicKey,
    network: Arc<MemoryNetwork>,
}

impl CustomerMachine {
    /// A customer with an empty wallet of this seed, and no account.
    pub fn new(world: &World, name: &str, seed: &Seed) -> CustomerMachine {
        let dir = world.dir().join(name);
        Wallet::create(&dir, seed).expect("the wallet is made");
        Self::at(world, dir, seed, MemoryDisk::new())
    }

    /// The same customer with only the phrase: a new machine, an empty wallet.
    pub fn with_phrase_of(world: &World, customer: &CustomerMachine, name: &str) -> CustomerMachine {
        let phrase = std::fs::read_to_string(customer.dir.join("seed.phrase")).expect("the phrase");
        let seed = Seed::from_phrase(phrase.trim()).expect("a phrase");
        let dir = world.dir().join(name);
        Wallet::create_from_phrase(&dir, &seed).expect("the wallet is made");
        customer.beside(Self::at(world, dir, &seed, MemoryDisk::new()))
    }

    /// Records that another machine is of the same customer.
    fn beside(&self, twin: CustomerMachine) -> CustomerMachine {
        self.machine.set_twin();
        twin.machine.set_twin();
        twin
    }

    fn at(world: &World, dir: PathBuf, seed: &Seed, disk: MemoryDisk) -> CustomerMachine {
        let mut file = NetworkFile::load(&dir).expect("the network file");
        for card in world.foundation.cards() {
            file.add(card).expect("the card is pinned");
        }
        CustomerMachine {
            machine: world.add_machine(disk),
            dir,
            seed: Seed::from_bytes(&seed.to_bytes()),
            bank: world.card(Party::Bank).identity,
            network: world.network.clone(),
        }
    }

    /// A copy of the machine, in the same world: the same seed, the same rows.
    pub fn copy(&self, world: &World, name: &str) -> CustomerMachine {
        self.beside(self.fork(world, name))
    }

    /// A copy of the machine in another world.
    pub fn fork(&self, world: &World, name: &str) -> CustomerMachine {
        let dir = world.dir().join(name);
        std::fs::create_dir_all(dir.join("goods")).expect("a directory");
        for name in ["seed.phrase", OWN_ACCOUNTS_FILE] {
            if self.dir.join(name).exists() {
                std::fs::copy(self.dir.join(name), dir.join(name)).expect("the file is copied");
            }
        }
        for file in std::fs::read_dir(self.dir.join("goods")).expect("the goods") {
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

    /// The shared account key of protocol version 1.
    pub fn shared_account(&self) -> PublicKey {
        self.seed.account_key().public()
    }

    /// Opens the wallet and runs `errand` with it, from the beginning again after each death. Returns the wallet that
    /// is open then.
    pub async fn live(&self, mut errand: impl AsyncFnMut(&Wallet)) -> Wallet {
        loop {
            let Some(wallet) = self.try_wallet() else { continue };
            // On the heap, as in [`local`](super::local).
            if self.machine.life().run(Box::pin(errand(&wallet))).await.is_some() {
                return wallet;
            }
            drop(wallet);
            let away = self.machine.away();
            if !away.is_zero() {
                sleep(away).await;
            }
        }
    }

    /// Opens the wallet.
    pub fn wallet(&self) -> Wallet {
        self.try_wallet().expect("the process lives")
    }

    /// Opens the wallet, unless the process dies in it.
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
        let machine = &self.machine;
        let network = self.network.wire(machine.party, life);
        environment(
            network,
            machine.clock.clone(),
            machine.entropy(),
            machine.store_options(),
        )
    }

    /// Kills the process and opens the wallet again.
    pub fn wallet_after(&self, death: Death) -> Wallet {
        self.machine.die(death);
        self.wallet()
    }

    /// Waits until the wallet's process has died.
    pub async fn died(&self) {
        self.machine.life().over().await;
    }

    /// The wallet's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

impl World {
    /// A customer with an account of `amount`, and the wallet's directory and disk.
    pub async fn customer(self: &Arc<Self>, name: &str, amount: Amount) -> CustomerMachine {
        let customer = CustomerMachine::new(self, name, &self.foundation.seed_of(name));
        let account = customer.account();
        self.open_account(account, name).await;
        self.pay_in(account, amount, name).await;
        customer
    }
}
