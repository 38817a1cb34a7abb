//! A world: a bank, escrows, merchants, customers, and the network between them.

use super::{
    foundation::{Foundation, Population},
    machine::{Death, Machine},
    network::{MemoryNetwork, Power},
    party::{Party, VirtualClock},
    server::{Server, clone_bank, start_bank, start_escrow, start_merchant, start_relay},
};
use async_trait::async_trait;
use farthing_bank::{
    admin::{Cash, Command},
    bank::Bank,
};
use farthing_client::purchase::Parties;
use farthing_coin::PublicKey;
use farthing_escrow::escrow::Escrow;
use farthing_merchant::merchant::Merchant;
use farthing_node::{
    card::Card,
    history::witness::COMPARE_MS,
    network::{Network, Service},
};
use farthing_protocol::{money::Amount, refusal::Later};
use farthing_relay::Relay;
use farthing_store::{clock::Clock, disk::MemoryDisk};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// Start time of every world (ms since 1970).
const BEGINNING_MS: u64 = 1_800_000_000_000;

/// Pause of a service manager before it starts a node again.
const START_PAUSE: Duration = Duration::from_secs(5);

/// Timeout for bank and escrows to hear what they remember of each other.
const WITNESSED_WITHIN: Duration = Duration::from_secs(60);

/// Interval between two checks of that.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Longer than bank and escrows take to compare their journals once more. After it, nothing is written any more if
/// nobody does anything.
pub const AT_REST_AFTER: Duration = Duration::from_millis(2 * COMPARE_MS);

/// Each start has a moment of its own: its work in other threads ends before the next start begins.
const INSTANT: Duration = Duration::from_millis(1);

/// A world: its servers, and the machines of the customers that a test makes.
pub struct World {
    /// The constant part.
    pub foundation: Arc<Foundation>,
    /// The time. Every machine's clock follows it, unless a test sets it.
    pub clock: Arc<VirtualClock>,
    /// The network between all of them.
    pub network: Arc<MemoryNetwork>,
    bank: Server<Bank>,
    escrows: Vec<Server<Escrow>>,
    merchants: Vec<Server<Merchant>>,
    relay: Option<Server<Relay>>,
    customers: Mutex<Vec<Arc<Machine>>>,
    dir: TempDir,
}

impl World {
    /// A world from `seed` with one server of each role. Needs tokio's paused time.
    pub async fn new(seed: u64) -> Arc<World> {
        Self::of(seed, Population::default()).await
    }

    /// Like [`new`](World::new), with this price of the merchant's item.
    pub async fn with_price(seed: u64, price: Amount) -> Arc<World> {
        Self::of(seed, Population::with_price(price)).await
    }

    /// Like [`new`](World::new), with sealed offers.
    pub async fn sealed(seed: u64) -> Arc<World> {
        Self::of(seed, Population::sealed()).await
    }

    /// A world from `seed` with this population.
    pub async fn of(seed: u64, population: Population) -> Arc<World> {
        let foundation = Arc::new(Foundation::lay(seed, population));
        let mut stocked = Vec::new();
        for number in 0..foundation.population.prices.len() {
            stocked.push(foundation.stocked(number).await);
        }
        let disk = |party| match party {
            Party::Merchant(number) => stocked[number].clone(),
            _ => MemoryDisk::new(),
        };
        let world = Self::upon(foundation.clone(), BEGINNING_MS, disk).await;
        for number in 0..world.merchants.len() {
            let account = world.merchant(number).account();
            world.open_account(account, &format!("merchant-{number}")).await;
        }
        world
    }

    /// A fork of this world from what is on its disks: the same servers, each with a copy of its disk, and no faults.
    /// Wallets are forked with [`CustomerMachine::fork`](super::customer::CustomerMachine::fork).
    pub async fn fork(&self) -> Arc<World> {
        let before = |party: Party, machine: &Machine| machine.keys.copy_from(&self.machine(party).keys);
        let disk = |party| self.machine(party).disk.copy();
        Self::upon_with(self.foundation.clone(), self.clock.now_ms(), disk, before).await
    }

    async fn upon(
        foundation: Arc<Foundation>,
        now_ms: u64,
        disk: impl Fn(Party) -> MemoryDisk,
    ) -> Arc<World> {
        Self::upon_with(foundation, now_ms, disk, |_, _| {}).await
    }

    async fn upon_with(
        foundation: Arc<Foundation>,
        now_ms: u64,
        disk: impl Fn(Party) -> MemoryDisk,
        before: impl Fn(Party, &Machine),
    ) -> Arc<World> {
        let clock = VirtualClock::new(now_ms);
        let network = MemoryNetwork::new();
        let machine = |party| {
            let trace = network.trace.clone();
            let machine = Machine::new(party, disk(party), &clock, trace, foundation.seed);
            before(party, &machine);
            machine
        };
        let has_relay = foundation.population.relayed;
        let world = Arc::new(World {
            bank: foundation.server(Party::Bank, machine(Party::Bank)),
            escrows: (0..foundation.population.escrows)
                .map(|number| foundation.server(Party::Escrow(number), machine(Party::Escrow(number))))
                .collect(),
            merchants: (0..foundation.population.prices.len())
                .map(|number| foundation.server(Party::Merchant(number), machine(Party::Merchant(number))))
                .collect(),
            relay: has_relay.then(|| foundation.server(Party::Relay, machine(Party::Relay))),
            customers: Mutex::default(),
            dir: Foundation::directory(),
            foundation,
            clock,
            network,
        });
        world.network.set_power(Arc::new(Mains(Arc::downgrade(&world))));
        for party in world.servers() {
            world.network.introduce(world.card(party).identity, party);
        }
        for party in world.servers() {
            let mains = Mains(Arc::downgrade(&world));
            let start_again = move |party| {
                let mains = mains.clone();
                tokio::spawn(async move { mains.start(party).await });
            };
            world.machine(party).when_it_dies(Box::new(start_again));
            world.start(party).await;
        }
        world.witnessed().await;
        // The starts are over, so that a test counts only its own messages.
        sleep(AT_REST_AFTER).await;
        world
    }

    /// Waits until the bank and the escrows have told each other what they remember, as far as they answer.
    pub async fn witnessed(&self) {
        let waits = || {
            let mut standings = self.servers().into_iter().map(|party| self.standing(party));
            standings.any(|standing| standing == Some(Err(Later::Unwitnessed)))
        };
        let end = Instant::now() + WITNESSED_WITHIN;
        while waits() && Instant::now() < end {
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Every server.
    pub fn servers(&self) -> Vec<Party> {
        let escrows = (0..self.escrows.len()).map(Party::Escrow);
        let merchants = (0..self.merchants.len()).map(Party::Merchant);
        [Party::Bank]
            .into_iter()
            .chain(escrows)
            .chain(merchants)
            .chain(self.relay.as_ref().map(|_| Party::Relay))
            .collect()
    }

    /// Every server, and every customer's machine.
    pub fn everyone(&self) -> Vec<Party> {
        let customers = (0..self.customers().len()).map(Party::Customer);
        self.servers().into_iter().chain(customers).collect()
    }

    /// A party's machine.
    pub fn machine(&self, party: Party) -> Arc<Machine> {
        match party {
            Party::Bank => self.bank.machine.clone(),
            Party::Escrow(number) => self.escrows[number].machine.clone(),
            Party::Merchant(number) => self.merchants[number].machine.clone(),
            Party::Relay => self.relay().machine.clone(),
            Party::Customer(number) => self.customers()[number].clone(),
            Party::Stranger => panic!("a stranger has no machine here"),
        }
    }

    /// A server's card.
    pub fn card(&self, party: Party) -> &Card {
        match party {
            Party::Bank => &self.bank.card,
            Party::Escrow(number) => &self.escrows[number].card,
            Party::Merchant(number) => &self.merchants[number].card,
            Party::Relay => &self.relay().card,
            Party::Customer(_) | Party::Stranger => panic!("{party} is no server"),
        }
    }

    /// The servers' disks, to fill, cut or flip.
    pub fn disks(&self) -> Vec<MemoryDisk> {
        let disk = |party: &Party| self.machine(*party).disk.clone();
        self.servers().iter().map(disk).collect()
    }

    fn customers(&self) -> MutexGuard<'_, Vec<Arc<Machine>>> {
        self.customers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more customer's machine.
    pub(super) fn add_machine(&self, disk: MemoryDisk) -> Arc<Machine> {
        let mut customers = self.customers();
        let party = Party::Customer(customers.len());
        let (trace, seed) = (self.network.trace.clone(), self.foundation.seed);
        let machine = Machine::new(party, disk, &self.clock, trace, seed);
        customers.push(machine.clone());
        machine
    }

    /// The bank.
    pub fn bank(&self) -> Arc<Bank> {
        self.bank.role()
    }

    /// An escrow.
    pub fn escrow(&self, number: usize) -> Arc<Escrow> {
        self.escrows[number].role()
    }

    /// Whether the bank or an escrow may decide and pay; `None` while its process is dead.
    pub fn standing(&self, party: Party) -> Option<Result<(), Later>> {
        let history = match party {
            Party::Bank => self.bank.running()?.history().clone(),
            Party::Escrow(number) => self.escrows[number].running()?.history().clone(),
            _ => return None,
        };
        Some(history.standing())
    }

    /// A merchant.
    pub fn merchant(&self, number: usize) -> Arc<Merchant> {
        self.merchants[number].role()
    }

    fn relay(&self) -> &Server<Relay> {
        self.relay.as_ref().expect("a world with a relay")
    }

    /// What a server answers to others.
    pub(super) fn service(&self, party: Party) -> Arc<dyn Service> {
        match party {
            Party::Bank => self.bank.service(),
            Party::Escrow(number) => self.escrows[number].service(),
            Party::Merchant(number) => self.merchants[number].service(),
            Party::Relay => self.relay().service(),
            Party::Customer(_) | Party::Stranger => panic!("nobody asks a {party}"),
        }
    }

    /// The parties of a purchase from this merchant through this escrow.
    pub fn parties_of(&self, merchant: usize, escrow: usize) -> Parties {
        Parties {
            merchant: self.merchants[merchant].card.clone(),
            escrow: self.escrows[escrow].card.clone(),
            bank: self.bank.card.clone(),
        }
    }

    /// The parties of a purchase from the first merchant through the first escrow.
    pub fn parties(&self) -> Parties {
        self.parties_of(0, 0)
    }

    /// The network as seen by a test that makes messages by hand.
    pub fn wire(&self) -> Arc<dyn Network> {
        self.network.wire(Party::Stranger, Default::default())
    }

    /// The directory for files of tests.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where a merchant keeps its secret and its goods.
    pub fn merchant_home(&self, number: usize) -> PathBuf {
        self.foundation.merchant_home(number)
    }

    /// Removes all faults: network, disks and clocks are right, and nobody dies.
    pub fn heal(&self) {
        self.network.heal();
        for party in self.everyone() {
            self.machine(party).heal();
        }
    }

    // ---- power ------------------------------------------------------------------------------------------------

    /// Stops a server until it is [started](World::start) or [restarted](World::restart).
    pub fn stop(&self, party: Party) {
        match party {
            Party::Bank => self.bank.stop(&self.network),
            Party::Escrow(number) => self.escrows[number].stop(&self.network),
            Party::Merchant(number) => self.merchants[number].stop(&self.network),
            Party::Relay => self.relay().stop(&self.network),
            Party::Customer(_) | Party::Stranger => self.machine(party).life().end(),
        }
    }

    /// Starts a server that does not run. If its disk fails, starts it again and again, as a service manager does. A
    /// customer's wallet is not started here.
    pub async fn start(&self, party: Party) {
        if !self.servers().contains(&party) {
            return;
        }
        while self.machine(party).life().is_over() {
            self.try_start(party).await;
            if self.machine(party).life().is_over() {
                self.network.trace.note(format!("{party} cannot start"));
                sleep(START_PAUSE).await;
            }
        }
        sleep(INSTANT).await;
    }

    async fn try_start(&self, party: Party) {
        let (network, foundation) = (&self.network, self.foundation.as_ref());
        match party {
            Party::Bank => start_bank(&self.bank, network, foundation).await,
            Party::Escrow(number) => start_escrow(&self.escrows[number], network, foundation),
            Party::Merchant(number) => {
                let home = self.merchant_home(number);
                start_merchant(&self.merchants[number], network, foundation, &home);
            }
            Party::Relay => start_relay(self.relay(), network, foundation),
            Party::Customer(_) | Party::Stranger => {}
        }
    }

    /// Kills a party's process. A server is started again.
    pub async fn restart(&self, party: Party, death: Death) {
        self.stop(party);
        self.machine(party).die(death);
        self.start(party).await;
    }

    /// Lets a copy of the bank's machine answer in its place, with the bank's first randomness and with `disk`. The
    /// copied process is the running one from now on.
    pub async fn clone_bank(&self, disk: MemoryDisk) -> Arc<Bank> {
        clone_bank(&self.bank, &self.network, &self.foundation, disk).await;
        sleep(INSTANT).await;
        self.bank()
    }

    // ---- the bank's cash desk ---------------------------------------------------------------------------------

    /// Opens an account at the bank.
    pub async fn open_account(&self, key: PublicKey, name: &str) {
        let command = Command::AccountOpen {
            key,
            name: Some(name.into()),
        };
        self.bank().administer(command).await.expect("the account opens");
    }

    /// Pays cash in for an account.
    pub async fn pay_in(&self, key: PublicKey, amount: Amount, reference: &str) {
        let reference = reference.to_string();
        self.bank()
            .administer(Command::AccountCredit(Cash {
                key,
                amount,
                reference,
            }))
            .await
            .expect("cash");
    }
}

/// Kills and starts machines for the network.
#[derive(Clone)]
struct Mains(Weak<World>);

impl Mains {
    /// Starts a server that has died, after it was away for its time.
    async fn start(&self, party: Party) {
        let away = self.0.upgrade().map(|world| world.machine(party).away());
        if let Some(away) = away.filter(|away| !away.is_zero()) {
            sleep(away).await;
        }
        if let Some(world) = self.0.upgrade() {
            world.start(party).await;
        }
    }
}

#[async_trait]
impl Power for Mains {
    async fn restart(&self, party: Party, death: Death) {
        let Some(world) = self.0.upgrade() else { return };
        if world.machine(party).away().is_zero() {
            return world.restart(party, death).await;
        }
        world.stop(party);
        world.machine(party).die(death);
        let mains = self.clone();
        tokio::spawn(async move { mains.start(party).await });
    }

    fn disk(&self, party: Party) -> MemoryDisk {
        // A message may still be on its way when its world has ended.
        let world = self.0.upgrade();
        world.map_or_else(MemoryDisk::new, |world| world.machine(party).disk.clone())
    }

    fn sync_takes(&self, party: Party) -> Duration {
        let world = self.0.upgrade();
        world.map_or(Duration::ZERO, |world| world.machine(party).sync_takes())
    }
}

/// The network and its users hold each other. They let go when the world ends.
impl Drop for World {
    fn drop(&mut self) {
        for party in self.servers() {
            self.stop(party);
        }
    }
}
