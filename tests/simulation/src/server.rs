//! The servers of a world, and how they start.

use super::{
    foundation::{Foundation, STORE},
    machine::{Died, Life, Machine},
    network::MemoryNetwork,
    party::Party,
    recorder::{Recorder, Target},
};
use farthing_bank::{
    bank::{Bank, BankParts},
    keys::{BankSettings, KeysError, Master},
};
use farthing_coin::{Calendar, SecretKey};
use farthing_escrow::escrow::{Escrow, EscrowParts};
use farthing_merchant::{
    merchant::{Merchant, MerchantParts, Settings},
    secret::MerchantSecret,
    shelf::GoodsShelf,
};
use farthing_node::{
    card::Card,
    network::Service,
    oblivious::{ObliviousParts, ObliviousService},
    process::{StopToken, Stopper, stop_pair},
    serve::Role,
};
use farthing_relay::{Relay, RelayParts};
use farthing_store::{
    Migration, Store, StoreError, StoreOptions,
    disk::MemoryDisk,
    entropy::{Entropy, SeededEntropy},
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::task::JoinHandle;

/// The purpose of the randomness for keys and nonces of requests from a relay.
const OBLIVIOUS: u16 = 0x0B11;

/// A server: its identity, its machine, and its process.
pub struct Server<R> {
    /// Its card.
    pub card: Card,
    /// Its machine.
    pub machine: Arc<Machine>,
    key: [u8; 32],
    up: Mutex<Option<Up<R>>>,
}

/// Its process.
struct Up<R> {
    role: Arc<R>,
    service: Arc<dyn Service>,
    background: JoinHandle<()>,
    _stopper: Stopper,
}

impl<R> Drop for Up<R> {
    fn drop(&mut self) {
        // A process that has ended does not finish its tasks.
        self.background.abort();
    }
}

impl<R> Server<R> {
    /// A server that does not run yet.
    pub fn new(card: Card, key: [u8; 32], machine: Arc<Machine>) -> Self {
        Self {
            card,
            machine,
            key,
            up: Mutex::new(None),
        }
    }

    /// The running process.
    pub fn role(&self) -> Arc<R> {
        let up = self.up.lock().unwrap_or_else(PoisonError::into_inner);
        up.as_ref().map(|up| up.role.clone()).expect("the server is up")
    }

    /// The running process, if there is one.
    pub fn running(&self) -> Option<Arc<R>> {
        let up = self.up.lock().unwrap_or_else(PoisonError::into_inner);
        let up = up.as_ref().filter(|_| !self.machine.life().is_over());
        up.map(|up| up.role.clone())
    }

    /// What answers to others.
    pub fn service(&self) -> Arc<dyn Service> {
        let up = self.up.lock().unwrap_or_else(PoisonError::into_inner);
        up.as_ref()
            .map(|up| up.service.clone())
            .expect("the server is up")
    }

    fn set(&self, up: Option<Up<R>>) {
        let before = std::mem::replace(&mut *self.up.lock().unwrap_or_else(PoisonError::into_inner), up);
        drop(before);
    }

    fn secret(&self) -> SecretKey {
        SecretKey::from_bytes(&self.key).expect("the key is one")
    }

    /// Ends its process. Nobody answers for it any more.
    pub fn stop(&self, network: &MemoryNetwork) {
        network.detach(&self.card.identity);
        self.machine.disk.kill();
        self.set(None);
    }
}

impl Foundation {
    /// A server that does not run yet.
    pub fn server<R>(&self, party: Party, machine: Arc<Machine>) -> Server<R> {
        let (card, key) = self.identities[&party].clone();
        Server::new(card, key, machine)
    }
}

impl<R: Service + 'static> Server<R> {
    /// Starts a process, which opens its store. One that dies while it starts is started again. `None` if the disk is
    /// at fault.
    fn begin(&self, migrate: fn(&Migration<'_>) -> Result<(), StoreError>) -> Option<(Store, Life)> {
        loop {
            let life = self.machine.start();
            let options = self.machine.store_options();
            let opening = || {
                let (store, report) = Store::open(Path::new(STORE), options)?;
                store.migrate(migrate).map(|()| (store, report))
            };
            match catch_unwind(AssertUnwindSafe(opening)) {
                Ok(Ok((store, _))) => return Some((store, life)),
                Ok(Err(StoreError::Disk { .. } | StoreError::Full { .. })) => {
                    life.end();
                    return None;
                }
                Ok(Err(error)) => panic!("{} does not start: {error}", self.machine.party),
                Err(panic) if Died::is(panic.as_ref()) => {}
                Err(panic) => resume_unwind(panic),
            }
        }
    }

    /// The role with the answers to a relay.
    fn target(&self, network: &Arc<MemoryNetwork>, role: Arc<R>) -> Target {
        let machine = &self.machine;
        let opened = Recorder::new(role.clone(), network, self.card.clone(), machine.party);
        let parts = ObliviousParts {
            is_known_server: Arc::new(|_| true),
            identity: self.secret(),
            place: machine.keys.clone(),
            clock: machine.clock.clone(),
            entropy: machine.entropy_for(OBLIVIOUS),
        };
        let oblivious = ObliviousService::new(Arc::new(opened), parts).expect("keys");
        Target { role, oblivious }
    }

    /// Lets the process answer.
    fn answer<F: Future<Output = ()> + Send + 'static>(
        &self,
        (network, foundation): (&Arc<MemoryNetwork>, &Foundation),
        role: Arc<R>,
        life: Life,
        background: impl FnOnce(Arc<R>, StopToken) -> F,
    ) {
        let (stopper, stop) = stop_pair();
        let service: Arc<dyn Service> = match foundation.population.relayed {
            true if self.machine.party != Party::Relay => Arc::new(self.target(network, role.clone())),
            _ => role.clone(),
        };
        network.attach(self.card.identity, self.machine.party, service.clone(), life);
        let background = tokio::spawn(background(role.clone(), stop));
        self.set(Some(Up {
            role,
            service,
            background,
            _stopper: stopper,
        }));
    }
}

/// Configuration of the simulated bank.
pub fn bank_settings() -> BankSettings {
    BankSettings {
        currency: "FTH".into(),
        calendar: Calendar {
            epoch_ms: 90 * 24 * 3_600_000,
            spend_epochs: 2,
            redeem_epochs: 1,
        },
        values: (0..12).map(|bit| 1 << bit).collect(),
    }
}

/// Starts the bank, unless its disk fails.
pub async fn start_bank(server: &Server<Bank>, network: &Arc<MemoryNetwork>, foundation: &Foundation) {
    let Some((store, life)) = server.begin(farthing_bank::migrate::migrate) else {
        return;
    };
    run_bank(server, network, foundation, store, life).await;
}

/// Lets a copy of the running bank answer in its place. The copy began with the same randomness, and `disk` is its
/// disk.
pub async fn clone_bank(
    server: &Server<Bank>,
    network: &Arc<MemoryNetwork>,
    foundation: &Foundation,
    disk: MemoryDisk,
) {
    let options = StoreOptions::simulated(disk, foundation.seed);
    let (store, _) = Store::open(Path::new(STORE), options).expect("the copy opens");
    run_bank(server, network, foundation, store, server.machine.life()).await;
}

async fn run_bank(
    server: &Server<Bank>,
    network: &Arc<MemoryNetwork>,
    foundation: &Foundation,
    store: Store,
    life: Life,
) {
    let seeded: &dyn Entropy = &SeededEntropy::new(foundation.seed);
    let parts = BankParts {
        identity: server.secret(),
        master: Master::generate(&mut seeded.rng()),
        settings: bank_settings(),
        store,
        clock: server.machine.clock.clone(),
        entropy: server.machine.entropy(),
        network: network.wire(server.machine.party, life.clone()),
        cards: foundation.cards(),
    };
    let bank = match Bank::open(parts).await {
        Ok(bank) => Arc::new(bank),
        Err(KeysError::Store(_)) => return life.end(),
        Err(error) => panic!("the bank does not open: {error}"),
    };
    let background = |bank: Arc<Bank>, stop| async move { bank.background(stop).await };
    server.answer((network, foundation), bank, life, background);
}

/// Starts an escrow, unless its disk fails.
pub fn start_escrow(server: &Server<Escrow>, network: &Arc<MemoryNetwork>, foundation: &Foundation) {
    let Some((store, life)) = server.begin(farthing_escrow::migrate::migrate) else {
        return;
    };
    let escrow = Arc::new(Escrow::new(EscrowParts {
        key: server.secret(),
        store,
        network: network.wire(server.machine.party, life.clone()),
        cards: foundation.cards(),
        clock: server.machine.clock.clone(),
        entropy: server.machine.entropy(),
    }));
    server.answer((network, foundation), escrow, life, Escrow::background);
}

/// Starts a merchant, unless its disk fails. Its secret and goods are in the directory `home`.
pub fn start_merchant(
    server: &Server<Merchant>,
    network: &Arc<MemoryNetwork>,
    foundation: &Foundation,
    home: &Path,
) {
    let Some((store, life)) = server.begin(farthing_merchant::migrate::migrate) else {
        return;
    };
    let merchant = Arc::new(Merchant::new(MerchantParts {
        key: server.secret(),
        secret: MerchantSecret::load(home).expect("the secret"),
        settings: Settings::new("FTH".into()),
        store,
        shelf: GoodsShelf::open(home).expect("the shelf"),
        network: network.wire(server.machine.party, life.clone()),
        cards: foundation.cards(),
        clock: server.machine.clock.clone(),
        entropy: server.machine.entropy(),
    }));
    server.answer((network, foundation), merchant, life, Merchant::background);
}

/// Starts the relay. It has no disk that could fail.
pub fn start_relay(server: &Server<Relay>, network: &Arc<MemoryNetwork>, foundation: &Foundation) {
    let life = server.machine.start();
    let relay = Arc::new(Relay::new(RelayParts {
        network: network.wire(Party::Relay, life.clone()),
        cards: foundation.cards(),
        clock: server.machine.clock.clone(),
        entropy: server.machine.entropy(),
    }));
    server.answer((network, foundation), relay, life, Relay::background);
}
