//! The steps of all parties, each run once by the shipped function and remembered.

use crate::{
    pool::Pool,
    stage::{Arrival, Flow, Job, PRICE, Ran, Rows, Served, Sitting, Stage, needs_sessions, opens_session},
    who::Who,
};
use farthing_bank::rows::{ACCOUNTS, HOLDS};
use farthing_client::{
    rows::{Delivery, PurchaseRow},
    wallet::Wallet,
};
use farthing_coin::{PublicKey, Signed};
use farthing_escrow::rows::OUTBOX;
use farthing_merchant::rows::OPEN_SALES;
use farthing_model::facts::{Facts, Holding, Party, Sale};
use farthing_node::{card::RoleName, network::Lane, probe::question};
use farthing_protocol::{
    api::{BankRequest, MerchantRequest},
    documents::Issued,
    limits::REPLY_MAX_BYTES,
    refusal::{IssueFault, Refusal},
    wire,
};
use farthing_store::{View, disk::MemoryDisk};
use std::{collections::HashMap, ops::Bound, sync::Arc};

/// More accounts than a bank has here.
const ACCOUNTS_MAX: usize = 8;

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Message {
    /// A request.
    Request {
        /// The sender.
        from: Who,
        /// The receiver.
        to: Who,
        /// The lane.
        lane: Lane,
        /// The request.
        bytes: Vec<u8>,
    },
    /// A reply.
    Reply {
        /// The number of the request.
        to: u32,
        /// The reply.
        bytes: Vec<u8>,
    },
}

/// What arrived at a running function.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Entry {
    rows: u32,
    late: bool,
    ask: usize,
    request: u32,
    reply: Option<u32>,
}

/// A function that waits for replies: how it came there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fiber {
    /// Whose it is.
    pub who: Who,
    /// The number of the request that it answers, or none.
    pub serves: Option<u32>,
    job: Job,
    rows: u32,
    /// The sitting of the bank, if it depends on the open sessions.
    sitting: Option<u32>,
    late: bool,
    log: Vec<Entry>,
    /// What it waits for: the number of the question in this run, and of the message.
    pub asks: Vec<(usize, u32)>,
}

/// What a function that starts finds.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// The rows of the party.
    pub rows: u32,
    /// The sitting of the bank.
    pub sitting: u32,
    /// Whether the deadline has passed.
    pub late: bool,
}

/// What a step does.
#[derive(Debug, Clone)]
pub struct Effect {
    /// The rows of the party.
    pub rows: u32,
    /// The sitting of the bank, if it has changed.
    pub sitting: Option<u32>,
    /// The function, if it waits.
    pub fiber: Option<u32>,
    /// The messages that leave after the write.
    pub sends: Vec<u32>,
}

/// Runs the steps, and remembers them.
pub struct Machine {
    stage: Stage,
    /// The flow is a withdrawal or an exchange.
    is_issuance: bool,
    rows: [Pool<Rows>; 4],
    disks: HashMap<u32, MemoryDisk>,
    messages: Pool<Message>,
    fibers: Pool<Fiber>,
    sittings: Pool<Sitting>,
    effects: HashMap<Fiber, Effect>,
    healed: HashMap<([u32; 4], bool), Arc<Facts>>,
    silences_max: usize,
    writes_max: u64,
}

impl Machine {
    /// The machine at the beginning of a setting.
    pub fn new(flow: Flow, silences_max: usize) -> Machine {
        let stage = Stage::new(flow);
        let mut rows: [Pool<Rows>; 4] = std::array::from_fn(|_| Pool::default());
        for (pool, rows) in rows.iter_mut().zip(&stage.begin) {
            pool.number(rows.clone());
        }
        let disks = HashMap::from([(0, stage.disk.clone())]);
        let mut sittings = Pool::default();
        sittings.number(Sitting::default());
        Machine {
            stage,
            is_issuance: flow.purchases() == 0,
            rows,
            disks,
            messages: Pool::default(),
            fibers: Pool::default(),
            sittings,
            effects: HashMap::new(),
            healed: HashMap::new(),
            silences_max,
            writes_max: 0,
        }
    }

    /// The most durable writes of one step.
    pub fn writes_max(&self) -> u64 {
        self.writes_max
    }

    /// The purchases. None if the wallet has begun something else.
    pub fn purchases(&self) -> Vec<u64> {
        self.stage.purchases.clone()
    }

    /// A message.
    pub fn message(&self, number: u32) -> Arc<Message> {
        self.messages.get(number)
    }

    /// A function that waits.
    pub fn fiber(&self, number: u32) -> Arc<Fiber> {
        self.fibers.get(number)
    }

    /// The words for a message.
    pub fn words(&self, number: u32) -> String {
        match &*self.messages.get(number) {
            Message::Request { to, bytes, .. } => question(role(*to), bytes).to_owned(),
            Message::Reply { to, bytes } => {
                let how = if is_refusal(bytes) { "refusal" } else { "reply" };
                format!("{how}: {}", self.words(*to))
            }
        }
    }

    /// What the bank keeps in memory only.
    pub fn sitting(&self, number: u32) -> Arc<Sitting> {
        self.sittings.get(number)
    }

    /// The bank has lost its open sessions.
    pub fn sessions_lost(&mut self, sitting: u32) -> u32 {
        let start = self.sittings.get(sitting).start + 1;
        let served = Vec::new();
        self.sittings.number(Sitting { start, served })
    }

    /// Starts a function.
    pub fn start(&mut self, (who, job): (Who, Job), serves: Option<u32>, now: Now) -> Effect {
        let has_sessions =
            matches!(&job, Job::Serve(_, request) if who == Who::Bank && needs_sessions(request));
        let Now { rows, sitting, late } = now;
        self.effect(Fiber {
            who,
            serves,
            job,
            rows,
            sitting: has_sessions.then_some(sitting),
            late,
            log: Vec::new(),
            asks: Vec::new(),
        })
    }

    /// A reply arrives at a function that waits, or it waits no longer. `None` if it does not wait for that.
    pub fn arrive(
        &mut self,
        fiber: u32,
        request: u32,
        reply: Option<u32>,
        rows: u32,
        late: bool,
    ) -> Option<Effect> {
        let mut fiber = (*self.fibers.get(fiber)).clone();
        let silences = fiber.log.iter().filter(|it| it.reply.is_none()).count();
        if reply.is_none() && silences >= self.silences_max {
            return None;
        }
        let (ask, _) = *fiber.asks.iter().find(|(_, asked)| *asked == request)?;
        // A wallet's rows are its own.
        let rows = if fiber.who == Who::Wallet { 0 } else { rows };
        fiber.log.push(Entry {
            rows,
            late,
            ask,
            request,
            reply,
        });
        fiber.asks.clear();
        Some(self.effect(fiber))
    }

    fn effect(&mut self, fiber: Fiber) -> Effect {
        if let Some(effect) = self.effects.get(&fiber) {
            return effect.clone();
        }
        let ran = self.run(&fiber);
        let sitting = self.sitting_after(&fiber, &ran);
        self.writes_max = self.writes_max.max(ran.writes);
        let who = fiber.who;
        let rows = self.rows[who.place()].number(ran.rows);
        if let Some(disk) = ran.disk {
            self.disks.entry(rows).or_insert(disk);
        }
        let mut sends = Vec::new();
        let mut asks = Vec::new();
        for (number, to, lane, bytes) in ran.asks {
            if !belongs(self.is_issuance, to, &bytes) {
                continue;
            }
            let from = who;
            let message = self.messages.number(Message::Request {
                from,
                to,
                lane,
                bytes,
            });
            asks.push((number, message));
            sends.push(message);
        }
        if let (Some(request), Some(bytes)) = (fiber.serves, ran.reply) {
            sends.push(self.messages.number(Message::Reply { to: request, bytes }));
        }
        let waits = (!ran.ended && !asks.is_empty()).then(|| {
            let asks = asks.clone();
            self.fibers.number(Fiber {
                asks,
                ..fiber.clone()
            })
        });
        let effect = Effect {
            rows,
            sitting,
            fiber: waits,
            sends,
        };
        self.effects.insert(fiber, effect.clone());
        effect
    }

    /// The sitting of the bank after a function, if the function has changed it. A session that is opened again, or not
    /// opened, or gone, and a finish that is answered again change nothing. A finish that is denied closes its session.
    fn sitting_after(&mut self, fiber: &Fiber, ran: &Ran) -> Option<u32> {
        let before = self.sittings.get(fiber.sitting?);
        let (Job::Serve(lane, request), Some(reply)) = (&fiber.job, &ran.reply) else {
            return None;
        };
        let is_known = |served: &Served| served.request == *request && served.reply == *reply;
        let has_written = *self.rows[Who::Bank.place()].get(fiber.rows) != ran.rows;
        let changes = match opens_session(request) {
            true => !is_refusal(reply),
            false => has_written || (is_refusal(reply) && !is_session_gone(reply)),
        };
        if !changes || before.served.iter().any(is_known) {
            return None;
        }
        let mut after = (*before).clone();
        after.served.push(Served {
            rows: fiber.rows,
            late: fiber.late,
            lane: *lane,
            request: request.clone(),
            reply: reply.clone(),
        });
        Some(self.sittings.number(after))
    }

    fn sit(&mut self, sitting: u32) {
        let sitting = self.sittings.get(sitting);
        let bank = &self.rows[Who::Bank.place()];
        let rows: Vec<Arc<Rows>> = sitting.served.iter().map(|it| bank.get(it.rows)).collect();
        let served: Vec<_> = rows.iter().map(|rows| &**rows).zip(&sitting.served).collect();
        self.stage.sit(sitting.start, &served);
    }

    fn run(&mut self, fiber: &Fiber) -> Ran {
        if let Some(sitting) = fiber.sitting {
            self.sit(sitting);
        }
        let place = fiber.who.place();
        let held: Vec<_> = fiber
            .log
            .iter()
            .map(|entry| {
                let reply = entry.reply.map(|reply| self.messages.get(reply));
                (
                    entry,
                    self.rows[place].get(entry.rows),
                    self.messages.get(entry.request),
                    reply,
                )
            })
            .collect();
        let arrivals: Vec<Arrival<'_>> = held
            .iter()
            .map(|(entry, rows, request, reply)| {
                let Message::Request { to, bytes, .. } = &**request else {
                    panic!("it asks a request");
                };
                Arrival {
                    rows,
                    late: entry.late,
                    ask: entry.ask,
                    request: bytes,
                    of: *to,
                    reply: reply.as_ref().map(|reply| match &**reply {
                        Message::Reply { bytes, .. } => bytes.as_slice(),
                        Message::Request { .. } => panic!("a reply is one"),
                    }),
                }
            })
            .collect();
        let rows = self.rows[place].get(fiber.rows);
        let disk = (fiber.who == Who::Wallet).then(|| &self.disks[&fiber.rows]);
        self.stage
            .run(fiber.who, &fiber.job, (&rows, fiber.late), disk, &arrivals)
    }

    /// What is true after all parties have carried on without faults from these rows.
    pub fn healed(&mut self, rows: [u32; 4], late: bool) -> Arc<Facts> {
        if let Some(facts) = self.healed.get(&(rows, late)) {
            return facts.clone();
        }
        let of = |place: usize| self.rows[place].get(rows[place]);
        let (bank, escrow, merchant) = (of(0), of(1), of(2));
        let disk = self.disks[&rows[3]].clone();
        let nodes: [&Rows; 3] = [&bank, &escrow, &merchant];
        let account = self.stage.merchant_account();
        let facts = self.stage.heal(nodes, &disk, late, |wallet, views, open| {
            facts(account, wallet, views, open)
        });
        let facts = Arc::new(facts);
        self.healed.insert((rows, late), facts.clone());
        facts
    }
}

/// What there is, and what is open.
fn facts(merchant: PublicKey, wallet: &Wallet, views: [&View; 3], open: &[String]) -> Facts {
    let [bank, ..] = views;
    let (own, paid) = balances(bank, &merchant);
    let has = own + farthing_simulation::money::spendable(wallet).0;
    let rows = wallet.purchases().expect("the purchases");
    let holding = |of, before, now| Holding {
        of,
        before,
        now: units(now),
    };
    Facts {
        money: vec![
            holding(Party::Customer, 1, has),
            holding(Party::Merchant, 0, paid),
        ],
        agreed: i8::from(!rows.is_empty()),
        sales: sales(&rows, PRICE.0.saturating_sub(has) / PRICE.0, paid / PRICE.0),
        open: left_open(&rows, views, open),
        ..Facts::default()
    }
}

/// The balance of the customer's account, and of the merchant's.
fn balances(bank: &View, merchant: &PublicKey) -> (u64, u64) {
    let accounts = ACCOUNTS
        .scan(bank, Bound::Unbounded, ACCOUNTS_MAX)
        .expect("the rows");
    assert!(accounts.len() < ACCOUNTS_MAX);
    let (mut own, mut paid) = (0, 0);
    for (key, account) in accounts {
        let balance = if key == *merchant { &mut paid } else { &mut own };
        *balance += account.balance.0;
    }
    (own, paid)
}

/// An amount in prices. A part of a price must not disappear in the division.
fn units(amount: u64) -> i8 {
    let is_whole = amount.is_multiple_of(PRICE.0);
    let units = i8::try_from(amount / PRICE.0).unwrap_or(i8::MAX);
    units.saturating_add(if is_whole { 0 } else { 100 })
}

/// The sales of these purchases, with the money that was given and received. Delivered ones come first.
fn sales(rows: &[(u64, PurchaseRow)], given: u64, received: u64) -> Vec<Sale> {
    let is_delivered = |row: &PurchaseRow| row.delivery == Delivery::Delivered;
    let mut delivered: Vec<bool> = rows.iter().map(|(_, row)| is_delivered(row)).collect();
    delivered.sort_by_key(|delivered| !delivered);
    let counted = (1..).zip(delivered);
    counted
        .map(|(count, delivered)| Sale::direct(given >= count, received >= count, delivered))
        .collect()
}

/// What a party waits for.
fn left_open(
    rows: &[(u64, PurchaseRow)],
    [bank, escrow, merchant]: [&View; 3],
    open: &[String],
) -> Vec<(Party, &'static str)> {
    let is_under_way = |row: &PurchaseRow| {
        matches!(
            row.purchase.status(),
            "fetching" | "holding" | "held" | "cancelling"
        )
    };
    let held = HOLDS.scan(bank, Bound::Unbounded, 1).expect("the rows");
    let unsettled = OUTBOX.scan(escrow, Bound::Unbounded, 1).expect("the rows");
    let unfinished = OPEN_SALES.scan(merchant, Bound::Unbounded, 1).expect("the rows");
    let all = [
        (
            rows.iter().any(|(_, row)| is_under_way(row)),
            (Party::Customer, "a purchase has not ended"),
        ),
        (!held.is_empty(), (Party::Bank, "coins are held")),
        (
            !unsettled.is_empty(),
            (Party::Third, "a decision is not acknowledged"),
        ),
        (!unfinished.is_empty(), (Party::Merchant, "a sale is open")),
        (
            !open.is_empty(),
            (Party::Customer, "a task of the wallet is open"),
        ),
    ];
    all.into_iter()
        .filter_map(|(is_open, what)| is_open.then_some(what))
        .collect()
}

/// Whether a reply says that a session is gone.
fn is_session_gone(reply: &[u8]) -> bool {
    let decoded = wire::decode::<Result<Signed<Issued>, Refusal>>(reply, REPLY_MAX_BYTES);
    matches!(decoded, Ok(Err(Refusal::Issue(IssueFault::SessionGone))))
}

/// Whether a reply is a refusal.
fn is_refusal(reply: &[u8]) -> bool {
    reply.first() == Some(&1)
}

fn role(who: Who) -> RoleName {
    match who {
        Who::Bank => RoleName::Bank,
        Who::Escrow => RoleName::Escrow,
        Who::Merchant => RoleName::Merchant,
        Who::Wallet => panic!("nobody asks a wallet"),
    }
}

/// Whether a request belongs to the flow. An exchange of coins that a purchase has given back, and a new offer, begin a
/// story of their own. The wallet stops before them here, and they follow in the healing.
fn belongs(is_issuance: bool, to: Who, request: &[u8]) -> bool {
    match to {
        Who::Bank if is_issuance => needs_sessions(request),
        Who::Bank => matches!(
            BankRequest::decode(request),
            Ok(BankRequest::Hold(_)
                | BankRequest::Push(_)
                | BankRequest::Settle(_)
                | BankRequest::Collect(_))
        ),
        Who::Merchant => matches!(MerchantRequest::decode(request), Ok(MerchantRequest::Deliver(_))),
        Who::Escrow | Who::Wallet => true,
    }
}
