//! One day of one customer, with chosen faults at numbered messages and durable writes.

use super::{
    customer::CustomerMachine,
    fault::Fault,
    foundation::Population,
    machine::{CrashPoint, Death, START_POINTS, WRITE_POINTS},
    network::{MUCH_LATER, PARTITION},
    party::Party,
    shopping::{self, Mode},
    world::World,
};
use farthing_protocol::money::Amount;
use std::{collections::BTreeMap, sync::Arc};

/// What the account has at first.
pub const FUNDS: Amount = Amount(5000);

/// What the customer withdraws.
pub const WITHDRAWN: Amount = Amount(2000);

/// The faults of a day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schedule {
    /// Faults of messages, by number.
    pub messages: Vec<(u64, Fault)>,
    /// Points at which processes die.
    pub crashes: Vec<(Party, CrashPoint)>,
}

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    /// A fault of a message, by number.
    Message(u64, Fault),
    /// A process dies at a point.
    Crash(Party, CrashPoint),
}

impl Wrong {
    /// Whether both are at the same message or write. There is only one of each.
    fn is_where(&self, other: &Self) -> bool {
        match (self, other) {
            (Wrong::Message(one, _), Wrong::Message(two, _)) => one == two,
            (Wrong::Crash(one, first), Wrong::Crash(two, second)) => {
                one == two && first.write == second.write
            }
            _ => false,
        }
    }
}

impl FromIterator<Wrong> for Schedule {
    fn from_iter<I: IntoIterator<Item = Wrong>>(wrong: I) -> Self {
        let mut schedule = Schedule::default();
        for one in wrong {
            match one {
                Wrong::Message(number, fault) => schedule.messages.push((number, fault)),
                Wrong::Crash(party, point) => schedule.crashes.push((party, point)),
            }
        }
        schedule
    }
}

/// Number of messages and writes of a day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Length {
    /// Number of messages.
    pub messages: u64,
    /// Number of durable writes of each party.
    pub writes: BTreeMap<Party, u64>,
}

impl Length {
    /// Every schedule of one fault: at a message, at a durable write, or at a start after the party died at its first
    /// write.
    pub fn singles(&self) -> Vec<Schedule> {
        let one = self
            .faults(0, 0)
            .into_iter()
            .map(|fault| Schedule::from_iter([fault]));
        let starts = self.writes.keys().flat_map(|party| {
            let before = at(*party, 1, WRITE_POINTS[1])[1];
            at_start(*party).map(move |again| Schedule::from_iter([before, again]))
        });
        one.chain(starts).collect()
    }

    /// Every schedule of two faults: each at a message or a write, or one at a write and one at the start after it. A
    /// fault causes more messages and writes, so the second is searched a little further.
    pub fn pairs(&self) -> Vec<Schedule> {
        let there = self.faults(0, 0);
        let further: Vec<Wrong> = self
            .faults(MESSAGES_MORE, WRITES_MORE)
            .into_iter()
            .filter(|fault| !there.contains(fault))
            .chain(self.writes.keys().flat_map(|party| at_start(*party)))
            .collect();
        let mut pairs = Vec::new();
        for (first, one) in there.iter().enumerate() {
            let others = there[first + 1..].iter().chain(&further);
            let others = others.filter(|other| !one.is_where(other));
            pairs.extend(others.map(|other| Schedule::from_iter([*one, *other])));
        }
        pairs
    }

    /// Every fault at every message and every durable write, and at some more of each.
    fn faults(&self, messages_more: u64, writes_more: u64) -> Vec<Wrong> {
        let messages = (0..self.messages + messages_more)
            .flat_map(|number| Fault::ALL.map(|fault| Wrong::Message(number, fault)));
        let writes = self.writes.iter().flat_map(|(party, writes)| {
            (1..=*writes + writes_more).flat_map(move |write| {
                WRITE_POINTS
                    .into_iter()
                    .flat_map(move |point| at(*party, write, point))
            })
        });
        messages.chain(writes).collect()
    }
}

/// How many more messages are tried for the second fault of a pair.
const MESSAGES_MORE: u64 = 3;

/// How many more durable writes of each party are tried.
const WRITES_MORE: u64 = 1;

/// A party is killed, or loses power, at this point of this write.
fn at(party: Party, write: u64, point: &'static str) -> [Wrong; 2] {
    let deaths = [Death::Killed, Death::PowerLost];
    deaths.map(|death| Wrong::Crash(party, CrashPoint { write, point, death }))
}

/// A party is killed, or loses power, at each point of its next start.
fn at_start(party: Party) -> impl Iterator<Item = Wrong> {
    START_POINTS
        .into_iter()
        .flat_map(move |point| at(party, 0, point))
}

/// The world before the day. Every run starts from it.
pub struct Morning {
    world: Arc<World>,
    customer: CustomerMachine,
    mode: Mode,
    /// Whether whoever dies is away until the dates have passed.
    is_late: bool,
}

impl Morning {
    /// A customer with money in the account, and a bank, an escrow and a merchant, before a day of this mode.
    pub async fn new(seed: u64, mode: Mode) -> Morning {
        Self::of(seed, mode, mode.population()).await
    }

    /// Like [`new`](Morning::new), with a relay.
    pub async fn relayed(seed: u64, mode: Mode) -> Morning {
        Self::of(seed, mode, mode.population().relayed()).await
    }

    async fn of(seed: u64, mode: Mode, population: Population) -> Morning {
        let world = World::of(seed, population).await;
        let customer = world.customer("alice", FUNDS).await;
        Morning {
            world,
            customer,
            mode,
            is_late: false,
        }
    }

    /// Whoever dies in the day is away until the dates have passed, and the customer waits for that.
    pub fn late(self) -> Morning {
        Morning {
            is_late: true,
            ..self
        }
    }

    /// Withdraws, so that the day begins with coins.
    pub async fn with_coins(self) -> Morning {
        let wallet = self.customer.wallet();
        shopping::withdraw(&wallet, &self.world.parties(), WITHDRAWN).await;
        self
    }

    /// Runs the day with these faults, and checks every invariant at its end.
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
        if self.is_late {
            let everyone = everyone.iter().map(|party| world.machine(*party));
            everyone.for_each(|machine| machine.set_away(shopping::UNTIL_AFTER_THE_DEADLINE));
        }
        let wallet = customer
            .live(async |wallet| match self.is_late {
                true => shopping::late_day(&world, wallet).await,
                false => shopping::day(&world, wallet, self.mode, WITHDRAWN).await,
            })
            .await;
        let length = Length {
            messages: world.network.messages(),
            writes: everyone
                .iter()
                // A relay writes nothing.
                .filter(|party| **party != Party::Relay)
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
