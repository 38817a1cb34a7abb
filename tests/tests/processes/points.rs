//! SIGKILL at every named point of the protocol, in each program: one purchase and one cancelled purchase are run once
//! to find the points that they pass, and then once for each of them, with the process that reaches it killed there
//! and started again.

use crate::{PROGRAM, in_parallel};
use farthing_kit::{
    faults::Draws,
    points::{Message, Party, Point},
};
use farthing_node::card::RoleName::Merchant;
use farthing_tests::processes::{
    buyer::Buyer,
    executioner::{Executioner, NthPoint},
    goods::{POSTCARD, PRICE},
    run::{Wait, tell, until},
    seed::fresh_seed,
    testbed::Testbed,
};
use std::{
    collections::BTreeMap,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

/// The variable that asks, with `all`, for every place instead of as many as there is time for.
const SCHEDULES_VARIABLE: &str = "FARTHING_SCHEDULES";

/// For how long places are drawn otherwise.
const SAMPLED_FOR: Duration = Duration::from_secs(40);

/// How many testbeds there are at once.
const TESTBEDS: usize = 3;

/// When nobody has reached anything for so long, all that was to be settled is.
const CALM: Duration = Duration::from_millis(900);

/// What a customer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    Buys,
    /// She loses power when the merchant is to be asked for the key, and wants her coins back then.
    Cancels,
}

/// Where she loses power.
fn delivery() -> NthPoint {
    let deliver = Message {
        server: Merchant,
        question: "deliver".into(),
    };
    NthPoint {
        party: Party::Wallet,
        point: Point::BeforeAsking(deliver),
        before: 0,
    }
}

/// A customer in a testbed of her own, who goes a way again and again.
struct Walker {
    testbed: Testbed,
    customer: Buyer,
}

impl Walker {
    fn new() -> Walker {
        let testbed = Testbed::probed(PROGRAM);
        let customer = testbed.newcomer("alice");
        testbed.pay_in(&customer.account, 1_000_000);
        let walker = Walker { testbed, customer };
        // What is only done the first time is done now.
        walker.walks(Course::Buys, None);
        walker
    }

    /// Goes a way to its end, with a process killed at `place`; what was passed, and whether it was killed.
    fn walks(&self, way: Course, place: Option<&NthPoint>) -> (Vec<NthPoint>, bool) {
        if self.customer.balance()[0] < 2 * PRICE {
            self.customer.done(&["withdraw", "30.00"]);
        }
        let number = self.customer.purchases().len();
        let stop = (way == Course::Cancels).then(delivery);
        let walk = Walk {
            walker: self,
            executioner: Executioner::watch(&self.testbed, place.into_iter().cloned().chain(stop).collect()),
            way,
            place,
        };
        walk.goes(number);
        let (places, killed) = (walk.executioner.places(), walk.has_killed());
        walk.ends(number);
        (places, killed)
    }
}

/// One way, with one process killed on it.
struct Walk<'w> {
    walker: &'w Walker,
    executioner: Executioner,
    way: Course,
    place: Option<&'w NthPoint>,
}

impl Drop for Walk<'_> {
    fn drop(&mut self) {
        if let (true, Some(place)) = (thread::panicking(), self.place) {
            tell(&format!("where one {:?}, with a kill of {place}", self.way));
        }
    }
}

impl Walk<'_> {
    fn goes(&self, number: usize) {
        let customer = &self.walker.customer;
        let buying = customer.buying(POSTCARD, &format!("goods-{number}"));
        self.runs(&buying.iter().map(String::as_str).collect::<Vec<_>>(), &[0]);
        if self.way == Course::Cancels {
            // Once more if that is where it was killed: until it is written down, nobody has cancelled anything.
            // 1: a wallet that was killed early enough has nothing to cancel.
            while !self.runs(&["cancel", &number.to_string()], &[0, 1]) {}
        }
        while !self.runs(&["resume"], &[0]) {}
        until("it is calm", || {
            self.raises();
            (self.executioner.silence() > CALM).then_some(())
        });
    }

    fn has_killed(&self) -> bool {
        self.place.is_some_and(|place| self.executioner.has_killed(place))
    }

    /// Runs a command, and starts the node again that is killed meanwhile; `false` if the command itself was.
    fn runs(&self, args: &[&str], codes: &[i32]) -> bool {
        let mut running = self.walker.customer.start_quietly(args);
        while !running.ends_within(Duration::from_millis(5)).wait() {
            self.raises();
        }
        let said = running.end().wait();
        let killed = self.has_killed() || self.executioner.has_killed(&delivery());
        match said.code {
            None => assert!(killed, "nobody has killed it: {said:?}"),
            Some(code) => assert!(codes.contains(&code), "{said:?}"),
        }
        said.code.is_some()
    }

    fn raises(&self) {
        if let Some(NthPoint {
            party: Party::Node(role),
            ..
        }) = self.place
        {
            let node = self.walker.testbed.node(*role);
            if node.has_died() {
                node.restart().wait();
            }
        }
    }

    /// Everything has ended, as it was wanted, and is counted.
    fn ends(self, number: usize) {
        let Walker { testbed, customer } = self.walker;
        self.executioner.stop();
        for purchase in &customer.purchases()[number..] {
            let end = purchase["status"].as_str().unwrap();
            let ends: &[&str] = match self.way {
                Course::Buys => &["committed"],
                Course::Cancels => &["aborted", "dropped", "recovered"],
            };
            assert!(ends.contains(&end), "it ends as {end}");
        }
        testbed.check(&[customer]);
    }
}

#[test]
fn every_program_is_killed_at_every_point_of_a_purchase_and_of_a_cancelled_one() {
    let seed = fresh_seed();
    let walkers = in_parallel(&[(); TESTBEDS], |()| Walker::new());
    let mut places: Vec<(Course, NthPoint)> = [Course::Buys, Course::Cancels]
        .into_iter()
        .flat_map(|way| {
            let (places, _) = walkers[0].walks(way, None);
            let stop = (way == Course::Cancels).then(delivery);
            let others = places
                .into_iter()
                .filter(move |place| Some(place) != stop.as_ref());
            others.map(move |place| (way, place))
        })
        .collect();
    let all = places.len();
    assert!(all > 150, "only {all} places were found");
    let mut draws = Draws(seed);
    for at in (1..all).rev() {
        places.swap(at, draws.below(at as u64 + 1) as usize);
    }
    let every = std::env::var(SCHEDULES_VARIABLE).is_ok_and(|which| which == "all");
    let begun = Instant::now();
    let rest = Mutex::new(places);
    let next = || {
        let goes_on = every || begun.elapsed() < SAMPLED_FOR;
        goes_on.then(|| rest.lock().unwrap().pop()).flatten()
    };
    let counts: Mutex<BTreeMap<(Party, bool), usize>> = Mutex::default();
    in_parallel(&walkers.iter().collect::<Vec<_>>(), |walker| {
        while let Some((way, place)) = next() {
            let (_, killed) = walker.walks(way, Some(&place));
            *counts.lock().unwrap().entry((place.party, killed)).or_default() += 1;
        }
    });
    let (mut tried, mut killed) = (0, 0);
    for ((party, was), many) in counts.into_inner().unwrap() {
        tried += many;
        if was {
            killed += many;
            tell(&format!("{many:>5} kills of {party:?}"));
        }
    }
    tell(&format!(
        "{killed} kills in {:.0} s at {tried} of {all} places on the way of a purchase and of a cancelled one (a place \
         that was not reached again has no kill), drawn by seed {seed}; {SCHEDULES_VARIABLE}=all tries every one",
        begun.elapsed().as_secs_f64()
    ));
    assert!(killed * 2 > tried, "most places were not reached again");
}
