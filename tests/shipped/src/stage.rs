//! Runs one shipped function on given rows: a service of a node, a round of its background work, or a purchase of the
//! wallet.

use crate::{
    hub::{Hub, Wire, reply_with_head, with_head},
    who::Who,
};
use farthing_bank::{
    bank::{Bank, BankParts},
    keys::Master,
};
use farthing_client::wallet::Wallet;
use farthing_escrow::{Escrow, EscrowParts};
use farthing_kit::scratch::copy_dir;
use farthing_merchant::{
    merchant::{Merchant, MerchantParts, Settings},
    secret::MerchantSecret,
    shelf::GoodsShelf,
};
use farthing_node::{
    card::RoleName,
    network::{Lane, Service},
};
use farthing_protocol::{api::BankRequest, money::Amount};
use farthing_simulation::{
    customer::environment,
    foundation::{Foundation, ITEM, Population, STORE},
    party::Party,
    server::bank_settings,
    world::World,
};
use farthing_store::{
    Reads, Store, StoreOptions, Transaction, View,
    clock::{Clock, ManualClock},
    disk::MemoryDisk,
    entropy::{Entropy, SeededEntropy},
};
use std::{
    collections::BTreeMap,
    ops::Bound,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    runtime::Runtime,
    time::{sleep, timeout},
};

/// A function that a program runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Job {
    /// A node answers a request.
    Serve(Lane, Vec<u8>),
    /// A node's background work: the bank asks about overdue holds, the escrow pushes decisions, the merchant finishes
    /// its sales.
    Round,
    /// The merchant asks for its sales on sealed offers.
    Learn,
    /// The wallet drives a purchase.
    Drive(u64),
    /// The wallet carries on everything that is under way.
    CarryOn,
    /// The customer cancels a purchase.
    Cancel(u64),
}

/// The rows of a store.
pub type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// A reply that arrives, or the end of waiting for it.
#[derive(Debug, Clone)]
pub struct Arrival<'a> {
    /// The rows of the node at that time. A wallet's are its own.
    pub rows: &'a Rows,
    /// Whether the deadline has passed.
    pub late: bool,
    /// The number of the request of this run.
    pub ask: usize,
    /// The request.
    pub request: &'a [u8],
    /// Who was asked.
    pub of: Who,
    /// The reply. `None`: silence.
    pub reply: Option<&'a [u8]>,
}

/// What a function has done since the last arrival.
#[derive(Clone)]
pub struct Ran {
    /// The rows now.
    pub rows: Rows,
    /// The durable writes.
    pub writes: u64,
    /// The requests for which it waits, by number.
    pub asks: Vec<(usize, Who, Lane, Vec<u8>)>,
    /// The reply, if it has ended with one.
    pub reply: Option<Vec<u8>>,
    /// Whether it has ended.
    pub ended: bool,
    /// A wallet's disk.
    pub disk: Option<MemoryDisk>,
}

/// What the wallet has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flow {
    /// This many purchases of which the merchant releases the key. The wallet has the money for one.
    Released(usize),
    /// The same of offers with the goods key, sealed to the escrow.
    Sealed(usize),
    /// A withdrawal.
    Withdrawal,
    /// An exchange of the coin that it has.
    Exchange,
}

impl Flow {
    /// The purchases that the wallet has begun.
    pub fn purchases(self) -> usize {
        match self {
            Flow::Released(purchases) | Flow::Sealed(purchases) => purchases,
            Flow::Withdrawal | Flow::Exchange => 0,
        }
    }

    /// Whether its offers have the goods key.
    pub fn is_sealed(self) -> bool {
        matches!(self, Flow::Sealed(_))
    }
}

/// A request on which the bank's open sessions depend.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Served {
    /// The number of the bank's rows before it.
    pub rows: u32,
    /// Whether the deadline had passed.
    pub late: bool,
    /// The lane.
    pub lane: Lane,
    /// The request.
    pub request: Vec<u8>,
    /// The reply.
    pub reply: Vec<u8>,
}

/// What the bank keeps in memory only, as the requests that it has served since it started. Its nonces differ after each
/// start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Sitting {
    /// How often it has lost its sessions.
    pub start: u64,
    /// The requests, in their order.
    pub served: Vec<Served>,
}

/// Whether a request to the bank opens a session.
pub fn opens_session(request: &[u8]) -> bool {
    matches!(
        BankRequest::decode(request),
        Ok(BankRequest::WithdrawBegin(_) | BankRequest::ExchangeBegin(_))
    )
}

/// Whether a request to the bank depends on its open sessions.
pub fn needs_sessions(request: &[u8]) -> bool {
    let finishes = matches!(
        BankRequest::decode(request),
        Ok(BankRequest::WithdrawFinish(_) | BankRequest::ExchangeFinish(_))
    );
    finishes || opens_session(request)
}

/// The name of the copy of the wallet's directory.
const TEMPLATE: &str = "wallet";

/// The price of the goods. The wallet has as much.
pub const PRICE: Amount = Amount(64);

/// The time of a world before the model begins. The rest of the offer's hour is less than a leap of the clock.
const BEGUN_AFTER: Duration = Duration::from_secs(45 * 60);

/// From the beginning of the model to well after the deadline (ms).
const LATE_MS: u64 = 20 * 60_000;

/// How long bank and escrow may take to tell each other what they remember.
const WITNESSED_WITHIN: Duration = Duration::from_secs(1);

const SEED: u64 = 7;

/// The start of the bank that heals. Its nonces are others than those of a start that may have gone before.
const HEALING: u64 = 2;

/// The first start of the bank with open sessions.
const FIRST_SITTING: u64 = 3;

type Running<'a> = Pin<Box<dyn Future<Output = Option<Vec<u8>>> + 'a>>;

/// The nodes, and the wallet's directory.
pub struct Stage {
    runtime: Runtime,
    hub: Arc<Hub>,
    clock: Arc<ManualClock>,
    begin_ms: u64,
    foundation: Arc<Foundation>,
    bank: Arc<Bank>,
    escrow: Arc<Escrow>,
    merchant: Arc<Merchant>,
    stores: [Store; 3],
    /// The wallet's directory, and a copy of it as it was at the beginning.
    dir: PathBuf,
    template: TempDir,
    /// The rows of all parties at the beginning.
    pub begin: [Rows; 4],
    /// The wallet's disk at the beginning.
    pub disk: MemoryDisk,
    /// The purchases that the wallet has begun.
    pub purchases: Vec<u64>,
    output: PathBuf,
}

/// What a world leaves for the model.
struct Left {
    foundation: Arc<Foundation>,
    disks: [MemoryDisk; 4],
    dir: PathBuf,
    template: TempDir,
    begin_ms: u64,
    purchases: Vec<u64>,
    output: PathBuf,
}

async fn prepare(flow: Flow) -> Left {
    let population = match flow.is_sealed() {
        true => Population::sealed(),
        false => Population::default(),
    };
    let population = Population {
        prices: vec![PRICE],
        goods_bytes: 500,
        ..population
    };
    let world = World::of(SEED, population).await;
    let customer = world.customer("alice", PRICE).await;
    let wallet = customer.wallet();
    let parties = world.parties();
    if flow != Flow::Withdrawal {
        wallet.withdraw(&parties.bank, PRICE).await.expect("a withdrawal");
    }
    let output = world.dir().join("out");
    let mut purchases = Vec::new();
    for number in 0..flow.purchases() {
        let output = output.join(format!("picture-{number}"));
        let begun = wallet.begin_purchase(&parties, ITEM, output.as_path()).await;
        purchases.push(begun.expect("an offer"));
    }
    drop(wallet);
    sleep(BEGUN_AFTER).await;
    let template = Foundation::directory();
    copy_dir(customer.dir(), &template.path().join(TEMPLATE)).expect("a copy");
    let disk = |party| world.machine(party).disk.copy();
    Left {
        foundation: world.foundation.clone(),
        disks: [
            disk(Party::Bank),
            disk(Party::Escrow(0)),
            disk(Party::Merchant(0)),
            disk(Party::Customer(0)),
        ],
        dir: customer.dir().to_path_buf(),
        template,
        begin_ms: world.clock.now_ms(),
        purchases,
        output,
    }
}

impl Stage {
    /// Makes a world, withdraws, begins the purchases, and takes over from there.
    pub fn new(flow: Flow) -> Stage {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime");
        let left = tokio::task::LocalSet::new().block_on(&runtime, Box::pin(prepare(flow)));
        let (hub, clock) = (
            Arc::new(Hub::default()),
            Arc::new(ManualClock::new(left.begin_ms)),
        );
        let open = |disk: &MemoryDisk| {
            let options = StoreOptions::simulated(disk.clone(), SEED);
            Store::open(Path::new(STORE), options).expect("the store opens").0
        };
        let stores = [open(&left.disks[0]), open(&left.disks[1]), open(&left.disks[2])];
        let _entered = runtime.enter();
        let (bank, escrow, merchant) = runtime.block_on(nodes(&left, &hub, &clock, &stores));
        drop(_entered);
        let disk = left.disks[3].clone();
        let mut stage = Stage {
            runtime,
            hub,
            clock,
            begin_ms: left.begin_ms,
            foundation: left.foundation,
            bank,
            escrow,
            merchant,
            begin: std::array::from_fn(|_| Rows::new()),
            stores,
            dir: left.dir,
            template: left.template,
            disk,
            purchases: left.purchases,
            output: left.output,
        };
        stage.witnessed();
        if matches!(flow, Flow::Withdrawal | Flow::Exchange) {
            stage.disk = stage.begin_issuance(flow);
        }
        stage.begin = [
            stage.dump(Who::Bank),
            stage.dump(Who::Escrow),
            stage.dump(Who::Merchant),
            stage.dump_disk(&stage.disk).0,
        ];
        stage
    }

    /// Bank and escrow tell each other what they remember.
    fn witnessed(&self) {
        self.hub.begin(true);
        self.runtime.block_on(async {
            let (stopper, stop) = farthing_node::process::stop_pair();
            let bank = self.bank.history().clone().watch(stop.clone());
            let escrow = self.escrow.history().clone().watch(stop);
            let watching = async { tokio::join!(bank, escrow) };
            drop(timeout(WITNESSED_WITHIN, watching).await);
            drop(stopper);
        });
        assert_eq!(self.bank.history().standing(), Ok(()));
        assert_eq!(self.escrow.history().standing(), Ok(()));
    }

    /// Lets the wallet begin a withdrawal or an exchange, until it asks for a session. Returns its disk.
    fn begin_issuance(&self, flow: Flow) -> MemoryDisk {
        self.hub.begin(false);
        let disk = self.disk.copy();
        self.runtime.block_on(async {
            let wallet = self.wallet(&disk);
            let bank = wallet.party(RoleName::Bank, None).expect("a bank");
            let mut running: Running<'_> = Box::pin(async {
                let begun = match flow {
                    Flow::Withdrawal => wallet.withdraw(&bank, PRICE).await,
                    _ => {
                        let coins = wallet.present_coins().expect("the coins");
                        wallet.exchange(coins).await.map(drop)
                    }
                };
                panic!("it ends without a session: {begun:?}");
            });
            loop {
                let ended = self.until_it_waits(&mut running).await;
                assert!(ended.is_none(), "it asks for a session");
                for (number, to, lane, request) in self.hub.waiting() {
                    if needs_sessions(&request) {
                        return disk.copy();
                    }
                    let reply = self.service(to).call(lane, request).await;
                    self.hub.answer(number, Some(reply));
                }
            }
        })
    }

    /// Starts the bank anew. Its limits of open sessions count from there, too.
    fn restart_bank(&mut self, start: u64) {
        let starting = open_bank(&self.foundation, &self.hub, &self.clock, &self.stores[0], start);
        self.bank = self.runtime.block_on(starting);
        self.witnessed();
    }

    /// Brings the bank to where it was after it had served these requests on these rows.
    pub fn sit(&mut self, start: u64, served: &[(&Rows, &Served)]) {
        self.restart_bank(FIRST_SITTING + start);
        self.hub.begin(true);
        for (rows, served) in served {
            self.load(Who::Bank, rows);
            self.set_time(served.late);
            let service = self.service(Who::Bank);
            let reply = self
                .runtime
                .block_on(service.call(served.lane, served.request.clone()));
            assert_eq!(reply, served.reply, "the bank repeats what it has done");
        }
    }

    fn store(&self, who: Who) -> &Store {
        &self.stores[who.place()]
    }

    /// The rows of a node, except what it remembers of others' journals.
    fn dump(&self, who: Who) -> Rows {
        let heads = match who {
            Who::Bank => farthing_bank::rows::HEADS.prefix(),
            Who::Escrow => farthing_escrow::rows::HEADS.prefix(),
            _ => 0,
        };
        dump(&self.store(who).view(), heads)
    }

    /// The rows on a wallet's disk, and the number of its records.
    fn dump_disk(&self, disk: &MemoryDisk) -> (Rows, u64) {
        let options = StoreOptions::simulated(disk.copy(), SEED);
        let (store, _) = Store::open(&self.dir.join("store"), options).expect("the store opens");
        (dump(&store.view(), 0), store.head().sequence)
    }

    /// Puts these rows into a node's store.
    fn load(&self, who: Who, rows: &Rows) {
        let now = self.dump(who);
        if now == *rows {
            return;
        }
        let gone: Vec<Vec<u8>> = now
            .keys()
            .filter(|key| !rows.contains_key(*key))
            .cloned()
            .collect();
        let set = rows.iter().filter(|(key, value)| now.get(*key) != Some(value));
        let set: Vec<(Vec<u8>, Vec<u8>)> = set.map(|(key, value)| (key.clone(), value.clone())).collect();
        let put = move |tx: &mut Transaction<'_>| {
            gone.iter().try_for_each(|key| tx.delete(key))?;
            set.iter().try_for_each(|(key, value)| tx.put(key, value.clone()))
        };
        let loaded = self.store(who).transact_blocking(Reads::none(), put);
        loaded.expect("the rows are put");
    }

    fn set_time(&self, late: bool) {
        self.clock.set(self.begin_ms + if late { LATE_MS } else { 0 });
    }

    fn service(&self, who: Who) -> Arc<dyn Service> {
        match who {
            Who::Bank => self.bank.clone(),
            Who::Escrow => self.escrow.clone(),
            Who::Merchant => self.merchant.clone(),
            Who::Wallet => panic!("a wallet serves nobody"),
        }
    }

    fn running(&self, who: Who, job: &Job, disk: Option<&MemoryDisk>) -> Running<'_> {
        match (who, job.clone()) {
            (_, Job::Serve(lane, request)) => {
                let service = self.service(who);
                let sender = match who {
                    Who::Bank => Some(self.escrow.history().clone()),
                    Who::Escrow => Some(self.bank.history().clone()),
                    _ => None,
                };
                let request = with_head(who, &request, || sender.as_ref().map(|it| it.head()));
                Box::pin(async move { Some(service.call(lane, request).await) })
            }
            (Who::Bank, Job::Round) => Box::pin(async {
                self.bank.chase_overdue().await.expect("a round");
                None
            }),
            (Who::Escrow, Job::Round) => Box::pin(async {
                self.escrow.settle_round().await.expect("a round");
                None
            }),
            (Who::Merchant, Job::Round) => Box::pin(async {
                self.merchant.sales_round().await.expect("a round");
                None
            }),
            (Who::Merchant, Job::Learn) => Box::pin(async {
                self.merchant.learn_round().await.expect("a round");
                None
            }),
            (Who::Wallet, job) => {
                let wallet = self.wallet(disk.expect("a wallet has a disk"));
                Box::pin(async move {
                    // The result is in the rows.
                    let _ended = match job {
                        Job::Drive(number) => wallet.drive_purchase(number).await,
                        Job::Cancel(number) => wallet.cancel(number).await,
                        Job::CarryOn => wallet.finish_all().await.map(drop),
                        _ => panic!("no job of a wallet"),
                    };
                    None
                })
            }
            (who, job) => panic!("{job:?} is no job of {who:?}"),
        }
    }

    /// The wallet on this disk, with the files of the beginning.
    fn wallet(&self, disk: &MemoryDisk) -> Wallet {
        for dir in [&self.dir, &self.output] {
            if dir.exists() {
                std::fs::remove_dir_all(dir).expect("the directory is removed");
            }
        }
        // It also makes the world's own directory again, which has both.
        std::fs::create_dir_all(&self.output).expect("a directory");
        copy_dir(&self.template.path().join(TEMPLATE), &self.dir).expect("a copy");
        let env = environment(
            Arc::new(Wire(self.hub.clone())),
            self.clock.clone(),
            Arc::new(SeededEntropy::new(SEED)),
            StoreOptions::simulated(disk.clone(), SEED),
        );
        Wallet::open(&self.dir, env).expect("the wallet opens")
    }

    /// Runs `job` of `who` from the beginning, on `rows` or `disk`, through `arrivals`, until it waits or has ended.
    pub fn run(
        &self,
        who: Who,
        job: &Job,
        (rows, late): (&Rows, bool),
        disk: Option<&MemoryDisk>,
        arrivals: &[Arrival<'_>],
    ) -> Ran {
        let disk = disk.map(MemoryDisk::copy);
        self.hub.begin(false);
        self.set_time(late);
        if who != Who::Wallet {
            self.load(who, rows);
        }
        self.runtime.block_on(async {
            let writes = |disk: &Option<MemoryDisk>| match disk {
                Some(disk) => self.dump_disk(disk).1,
                None => self.store(who).head().sequence,
            };
            let mut before = writes(&disk);
            let mut running = self.running(who, job, disk.as_ref());
            let mut ended = self.until_it_waits(&mut running).await;
            for arrival in arrivals {
                assert!(ended.is_none(), "{who:?} {job:?} has ended before its arrivals");
                self.set_time(arrival.late);
                if who != Who::Wallet {
                    self.load(who, arrival.rows);
                }
                before = writes(&disk);
                let head = |of: Who| match of {
                    Who::Bank => Some(self.bank.history().head()),
                    Who::Escrow => Some(self.escrow.history().head()),
                    _ => None,
                };
                let reply = arrival
                    .reply
                    .map(|reply| reply_with_head(arrival.of, arrival.request, reply, || head(arrival.of)));
                self.hub.answer(arrival.ask, reply);
                ended = self.until_it_waits(&mut running).await;
            }
            let writes = writes(&disk) - before;
            let asks = match ended {
                Some(_) => Vec::new(),
                None => self.hub.waiting(),
            };
            let rows = match &disk {
                Some(disk) => self.dump_disk(disk).0,
                None => self.dump(who),
            };
            let disk = disk.map(|disk| disk.copy());
            drop(running);
            tokio::task::yield_now().await;
            let is_ended = ended.is_some();
            let reply = ended.flatten().map(|reply| match job {
                Job::Serve(_, request) => reply_with_head(who, request, &reply, || None),
                _ => reply,
            });
            Ran {
                rows,
                writes,
                asks,
                reply,
                ended: is_ended,
                disk,
            }
        })
    }

    async fn until_it_waits(&self, running: &mut Running<'_>) -> Option<Option<Vec<u8>>> {
        let mut last = None;
        for _ in 0..200_000 {
            tokio::select! {
                biased;
                ended = running.as_mut() => return Some(ended),
                () = sleep(Duration::from_millis(1)) => {}
            }
            let now = self.hub.counts();
            if now.1 > 0 && last == Some(now) {
                return None;
            }
            last = Some(now);
        }
        panic!("a function neither ends nor asks anything");
    }

    /// Lets all parties carry on from these rows without faults, until nothing changes. `act` looks at the wallet and
    /// the nodes then.
    pub fn heal<T>(
        &mut self,
        rows: [&Rows; 3],
        disk: &MemoryDisk,
        late: bool,
        look: impl Fn(&Wallet, [&View; 3], &[String]) -> T,
    ) -> T {
        self.hub.begin(true);
        for (who, rows) in Who::ALL.into_iter().zip(rows) {
            self.load(who, rows);
        }
        self.restart_bank(HEALING);
        let disk = disk.copy();
        self.runtime.block_on(async {
            let wallet = self.wallet(&disk);
            let mut open = Vec::new();
            for late in [late, true, true] {
                self.set_time(late);
                for _ in 0..3 {
                    let resumed = wallet.resume().await.expect("the wallet resumes");
                    open = resumed
                        .open
                        .into_iter()
                        .map(|(matter, why)| format!("{matter}: {why}"))
                        .collect();
                    self.escrow.settle_round().await.expect("a round");
                    self.merchant.learn_round().await.expect("a round");
                    self.merchant.sales_round().await.expect("a round");
                    self.bank.chase_overdue().await.expect("a round");
                }
            }
            let views = [
                self.stores[0].view(),
                self.stores[1].view(),
                self.stores[2].view(),
            ];
            look(&wallet, [&views[0], &views[1], &views[2]], &open)
        })
    }

    /// The merchant's account.
    pub fn merchant_account(&self) -> farthing_coin::PublicKey {
        self.merchant.account()
    }
}

/// Starts the bank, with randomness of its own for each start, and lets it answer.
async fn open_bank(
    foundation: &Foundation,
    hub: &Arc<Hub>,
    clock: &Arc<ManualClock>,
    store: &Store,
    start: u64,
) -> Arc<Bank> {
    let seeded: &dyn Entropy = &SeededEntropy::new(foundation.seed);
    let bank = Bank::open(BankParts {
        identity: foundation.key(Party::Bank),
        master: Master::generate(&mut seeded.rng()),
        settings: bank_settings(),
        store: store.clone(),
        clock: clock.clone(),
        entropy: Arc::new(SeededEntropy::new(SEED ^ start << 40)),
        network: Arc::new(Wire(hub.clone())),
        cards: foundation.cards(),
    });
    let bank = Arc::new(bank.await.expect("the bank opens"));
    hub.attach(Who::Bank, bank.clone());
    bank
}

async fn nodes(
    left: &Left,
    hub: &Arc<Hub>,
    clock: &Arc<ManualClock>,
    stores: &[Store; 3],
) -> (Arc<Bank>, Arc<Escrow>, Arc<Merchant>) {
    let foundation = &left.foundation;
    let network = || Arc::new(Wire(hub.clone()));
    let entropy = |more: u64| Arc::new(SeededEntropy::new(SEED ^ more << 32));
    hub.begin(true);
    let bank = open_bank(foundation, hub, clock, &stores[0], 1).await;
    let escrow = Arc::new(Escrow::new(EscrowParts {
        key: foundation.key(Party::Escrow(0)),
        store: stores[1].clone(),
        network: network(),
        cards: foundation.cards(),
        clock: clock.clone(),
        entropy: entropy(2),
    }));
    let home = foundation.merchant_home(0);
    let merchant = Arc::new(Merchant::new(MerchantParts {
        key: foundation.key(Party::Merchant(0)),
        secret: MerchantSecret::load(&home).expect("the secret"),
        settings: Settings::new("FTH".into()),
        store: stores[2].clone(),
        shelf: GoodsShelf::open(&home).expect("the shelf"),
        network: network(),
        cards: foundation.cards(),
        clock: clock.clone(),
        entropy: entropy(3),
    }));
    hub.attach(Who::Escrow, escrow.clone());
    hub.attach(Who::Merchant, merchant.clone());
    (bank, escrow, merchant)
}

fn dump(view: &View, except: u8) -> Rows {
    let mut rows = Rows::new();
    for prefix in (1..=253).filter(|prefix| *prefix != except) {
        let found = view
            .scan(&[prefix], Bound::Unbounded, usize::MAX)
            .expect("the rows");
        rows.extend(found);
    }
    rows
}
