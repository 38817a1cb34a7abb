//! SIGKILL at every named point of the protocol, in each program. One purchase and one cancelled purchase run once, to find
//! the points that they pass. Then they run once for each point, and the process that reaches it is killed there and
//! started again.

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

/// The environment variable that asks, with `all`, for every place. Otherwise places are drawn for a limited time.
const SCHEDULES_VARIABLE: &str = "FARTHING_SCHEDULES";

/// Time for drawn places.
const SAMPLED_FOR: Duration = Duration::from_secs(40);

/// Number of testbeds at a time.
const TESTBEDS: usize = 3;

/// After this time without a reached point, everything is settled.
const CALM: Duration = Duration::from_millis(900);

/// The course of a purchase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    Buys,
    /// The wallet is killed before it asks the merchant for the key, and then cancels.
    Cancels,
}

/// The place where the wallet of a cancelled purchase is killed.
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

/// A customer with a testbed, who runs courses one after the other.
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
        // The first purchase passes points that later ones do not.
        walker.walks(Course::Buys, None);
        walker
    }

    /// Runs a course to its end, with a process killed at `place`. Returns the places passed, and whether one was killed.
    fn walks(&self, course: Course, place: Option<&NthPoint>) -> (Vec<NthPoint>, bool) {
        if self.customer.balance()[0] < 2 * PRICE {
            self.customer.done(&["withdraw", "30.00"]);
        }
        let number = self.customer.purchases().len();
        let stop = (course == Course::Cancels).then(delivery);
        let walk = Walk {
            walker: self,
            executioner: Executioner::watch(&self.testbed, place.into_iter().cloned().chain(stop).collect()),
            course,
            place,
        };
        walk.goes(number);
        let (places, killed) = (walk.executioner.places(), walk.has_killed());
        walk.ends(number);
        (places, killed)
    }
}

/// One run of a course, with at most one process killed at `place`.
struct Walk<'w> {
    walker: &'w Walker,
    executioner: Executioner,
    course: Course,
    place: Option<&'w NthPoint>,
}

impl Drop for Walk<'_> {
    fn drop(&mut self) {
        if let (true, Some(place)) = (thread::panicking(), self.place) {
            tell(&format!(
                "in the course {:?}, with a kill of {place}",
                self.course
            ));
        }
    }
}

impl Walk<'_> {
    fn goes(&self, number: usize) {
        let customer = &self.walker.customer;
        let buying = customer.buying(POSTCARD, &format!("goods-{number}"));
        self.runs(&buying.iter().map(String::as_str).collect::<Vec<_>>(), &[0]);
        if self.course == Course::Cancels {
            // The command runs again if it was killed, because it may not have stored the cancel.
            // Exit code 1: a wallet that was killed early has nothing to cancel.
            while !self.runs(&["cancel", &number.to_string()], &[0, 1]) {}
        }
        while !self.runs(&["resume"], &[0]) {}
        until("no point is reached any more", || {
            self.raises();
            (self.executioner.silence() > CALM).then_some(())
        });
    }

    fn has_killed(&self) -> bool {
        self.place.is_some_and(|place| self.executioner.has_killed(place))
    }

    /// Runs a command, and restarts the node that is killed meanwhile. Returns `false` if the command itself was killed.
    fn runs(&self, args: &[&str], codes: &[i32]) -> bool {
        let mut running = self.walker.customer.start_quietly(args);
        while !running.ends_within(Duration::from_millis(5)).wait() {
            self.raises();
        }
        let said = running.end().wait();
        let killed = self.has_killed() || self.executioner.has_killed(&delivery());
        match said.code {
            None => assert!(killed, "the command died without a kill: {said:?}"),
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

    /// Asserts that everything has ended as the course says, and counts.
    fn ends(self, number: usize) {
        let Walker { testbed, customer } = self.walker;
        self.executioner.stop();
        for purchase in &customer.purchases()[number..] {
            let end = purchase["status"].as_str().unwrap();
            let ends: &[&str] = match self.course {
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
        .flat_map(|course| {
            let (places, _) = walkers[0].walks(course, None);
            let stop = (course == Course::Cancels).then(delivery);
            let others = places
                .into_iter()
                .filter(move |place| Some(place) != stop.as_ref());
            others.map(move |place| (course, place))
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
        while let Some((course, place)) = next() {
            let (_, killed) = walker.walks(course, Some(&place));
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
        "{killed} kills in {:.0} s at {tried} of {all} places of a purchase and of a cancelled one (a place \
         that was not reached again has no kill), drawn by seed {seed}; {SCHEDULES_VARIABLE}=all tries every one",
        begun.elapsed().as_secs_f64()
    ));
    assert!(killed * 2 > tried, "most places were not reached again");
}
