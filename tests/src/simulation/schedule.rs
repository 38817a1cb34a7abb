//! One day of one customer, with chosen faults: at messages by their number, at durable writes by theirs.

use super::{
    customer::Customer,
    fault::Fault,
    machine::{CrashPoint, Death, START_POINTS, WRITE_POINTS},
    network::{MUCH_LATER, PARTITION},
    party::Party,
    shopping::{self, Mode},
    world::World,
};
use farthing_protocol::money::Amount;
use std::{collections::BTreeMap, sync::Arc};

/// What she has in her account at first.
pub const FUNDS: Amount = Amount(5000);

/// What she withdraws.
pub const WITHDRAWN: Amount = Amount(2000);

/// What goes wrong on a day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schedule {
    /// What becomes of messages, by number.
    pub messages: Vec<(u64, Fault)>,
    /// Where processes die by themselves.
    pub crashes: Vec<(Party, CrashPoint)>,
}

/// How much there was on a day for things to go wrong at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Length {
    /// How many messages were sent.
    pub messages: u64,
    /// How many durable writes each party made.
    pub writes: BTreeMap<Party, u64>,
}

impl Length {
    /// Every schedule of one fault.
    pub fn singles(&self) -> Vec<Schedule> {
        let messages = self.message_faults().map(|fault| Schedule {
            messages: vec![fault],
            ..Schedule::default()
        });
        let crashes = self.crashes().map(|crashes| Schedule {
            crashes,
            ..Schedule::default()
        });
        messages.chain(crashes).collect()
    }

    /// Every schedule of two faults at messages. A fault adds messages behind it, so the second one is looked for a
    /// little further.
    pub fn pairs(&self) -> Vec<Schedule> {
        let mut pairs = Vec::new();
        for (first, one) in self.message_faults() {
            for second in first + 1..self.messages + 4 {
                for other in Fault::ALL {
                    pairs.push(Schedule {
                        messages: vec![(first, one), (second, other)],
                        ..Schedule::default()
                    });
                }
            }
        }
        pairs
    }

    fn message_faults(&self) -> impl Iterator<Item = (u64, Fault)> + use<> {
        (0..self.messages).flat_map(|number| Fault::ALL.map(|fault| (number, fault)))
    }

    /// Every party dies at every point of every durable write, and once more at every point of a start.
    fn crashes(&self) -> impl Iterator<Item = Vec<(Party, CrashPoint)>> + '_ {
        let deaths = [Death::Killed, Death::PowerLost];
        let at = move |party: Party, write, point| {
            deaths.map(|death| vec![(party, CrashPoint { write, point, death })])
        };
        let of_writes = self.writes.iter().flat_map(move |(party, writes)| {
            (1..=*writes).flat_map(move |write| {
                WRITE_POINTS
                    .into_iter()
                    .flat_map(move |point| at(*party, write, point))
            })
        });
        let of_starts = self.writes.keys().flat_map(move |party| {
            START_POINTS.into_iter().flat_map(move |point| {
                // It has to start again for that: so it dies at its first write as well.
                at(*party, 0, point).map(|again| [at(*party, 1, WRITE_POINTS[1])[1].clone(), again].concat())
            })
        });
        of_writes.chain(of_starts)
    }
}

/// A world before the day, which every run begins from.
pub struct Morning {
    world: Arc<World>,
    customer: Customer,
    mode: Mode,
}

impl Morning {
    /// A customer with money in her account, and a bank, an escrow and a merchant, before a day of this mode.
    pub async fn new(seed: u64, mode: Mode) -> Morning {
        let world = World::of(seed, mode.population()).await;
        let customer = world.customer("alice", FUNDS).await;
        Morning {
            world,
            customer,
            mode,
        }
    }

    /// Lets her withdraw, so that the day begins with coins.
    pub async fn with_coins(self) -> Morning {
        let wallet = self.customer.wallet();
        shopping::withdraw(&wallet, &self.world.parties(), WITHDRAWN).await;
        self
    }

    /// Runs the day with these faults, and checks every invariant once it has ended.
    pub async fn run(&self, schedule: &Schedule) -> Length {
        let world = self.world.fork().await;
        let customer = self.customer.fork(&world, "alice");
        let _told = world.network.trace.told_on_panic();
        let everyone = world.everyone();
        for party in &everyone {
            let of_party = schedule.crashes.iter().filter(|(whose, _)| whose == party);
            world.machine(*party).arm(of_party.map(|(_, crash)| *crash));
        }
        world.network.schedule(schedule.messages.clone());
        let wallet = customer
            .live(async |wallet| shopping::day(&world, wallet, self.mode, WITHDRAWN).await)
            .await;
        let length = Length {
            messages: world.network.messages(),
            writes: everyone
                .iter()
                .map(|party| (*party, world.machine(*party).writes()))
                .collect(),
        };
        let late = |(_, fault): &(u64, Fault)| matches!(fault, Fault::RepeatLate | Fault::Partition);
        if schedule.messages.iter().any(late) {
            tokio::time::sleep(MUCH_LATER + PARTITION).await;
        }
        world.heal();
        world.check(&[&wallet]).await;
        length
    }
}
