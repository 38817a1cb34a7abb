//! One purchase in each mode, with every fault at every message and every durable write of it, and pairs of them.
//!
//! | | of each row that is run |
//! |---|---|
//! | `FARTHING_SCHEDULES=all` | runs all, and says how far it is |
//! | `FARTHING_SCHEDULES=5000-6000`, or one number | runs these: one that failed has said its number, and this command |

use farthing_simulation::{
    local,
    schedule::{Length, Morning, Schedule},
    shopping::Mode,
};
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread::available_parallelism,
    time::Instant,
};

const SEED: u64 = 1;

/// About how many pairs of each mode are run, unless others are asked for.
const PAIRS: usize = 800;

/// About how many pairs of a free purchase are run, which has few messages.
const FREE_PAIRS: usize = 100;

/// About how many pairs of a purchase with change are run.
const CHANGE_PAIRS: usize = 200;

/// About how many pairs of a day of payments are run.
const PAYMENT_PAIRS: usize = 200;

/// Pairs of faults of a stream in every run.
const STREAM_PAIRS: usize = 200;

/// About how many schedules of one fault are run in which the dates of a stream pass. Each takes a second or more.
const LATE_SINGLES: usize = 20;

/// About how many schedules of one fault with a relay are run of each longer mode.
const RELAYED_SINGLES: usize = 300;

/// About how many pairs with a relay are run of each mode.
const RELAYED_PAIRS: usize = 100;

/// Interval between two lines of progress of a long row.
const TELL_EVERY: usize = 5_000;

/// The schedules that a day of a mode is run with.
struct Row {
    mode: Mode,
    /// Whether the customer has withdrawn before the day.
    with_coins: bool,
    /// Whether the customer uses a relay.
    relayed: bool,
    /// Whether whoever dies is away until the dates have passed.
    late: bool,
    what: &'static str,
    schedules: fn(&Length) -> Vec<Schedule>,
    which: Which,
}

/// Which schedules of a row are run.
enum Which {
    /// All.
    All,
    /// About this many, from all parts of the row.
    Sample(usize),
    /// The schedules from one number to another.
    Range(usize, usize),
}

impl Which {
    /// The value of `FARTHING_SCHEDULES`, or `these`.
    fn asked_or(these: Which) -> Self {
        let Ok(asked) = std::env::var("FARTHING_SCHEDULES") else {
            return these;
        };
        if asked == "all" {
            return Which::All;
        }
        let (first, last) = asked.split_once('-').unwrap_or((&asked, &asked));
        match (first.parse(), last.parse()) {
            (Ok(first), Ok(last)) => Which::Range(first, last),
            _ => panic!("FARTHING_SCHEDULES is `all`, a number, or two of them with a dash between: {asked}"),
        }
    }

    /// The numbers of the schedules to run.
    fn of(&self, all: usize) -> Vec<usize> {
        match self {
            Which::All => (0..all).collect(),
            Which::Sample(sample) => (0..all).step_by(prime_from(all / sample)).collect(),
            Which::Range(first, last) => (*first..all.min(last + 1)).collect(),
        }
    }
}

/// The first prime that is not less. With steps of this size, a sample has every pair of kinds of fault.
fn prime_from(number: usize) -> usize {
    let is_prime = |number: usize| (2..number).all(|divisor| !number.is_multiple_of(divisor));
    let mut number = number.max(2);
    while !is_prime(number) {
        number += 1;
    }
    number
}

impl Row {
    /// The world before the day: the same for everyone who makes it.
    async fn morning(&self) -> Morning {
        let morning = match self.relayed {
            true => Morning::relayed(SEED, self.mode).await,
            false => Morning::new(SEED, self.mode).await,
        };
        match self.with_coins {
            true => morning.with_coins().await,
            false => morning,
        }
    }

    /// Runs the row on all cores, each schedule in a copy of the morning. `test` is what the test is called.
    fn run(&self, test: &str) {
        let length = local(async { self.morning().await.run(&Schedule::default()).await });
        let schedules = (self.schedules)(&length);
        let numbers = self.which.of(schedules.len());
        let (began, next) = (Instant::now(), AtomicUsize::new(0));
        let thread = async || {
            let morning = match self.late {
                true => self.morning().await.late(),
                false => self.morning().await,
            };
            loop {
                let place = next.fetch_add(1, Ordering::Relaxed);
                let Some(number) = numbers.get(place) else {
                    return;
                };
                let failed = FailureNote {
                    test,
                    mode: self.mode,
                    number: *number,
                    schedule: &schedules[*number],
                    next: &next,
                };
                morning.run(&schedules[*number]).await;
                std::mem::forget(failed);
                if (place + 1).is_multiple_of(TELL_EVERY) {
                    let seconds = began.elapsed().as_secs();
                    println!(
                        "{:?}: {} of {} after {seconds} s",
                        self.mode,
                        place + 1,
                        numbers.len()
                    );
                }
            }
        };
        let threads = available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| local(thread()));
            }
        });
        let writes: u64 = length.writes.values().sum();
        println!(
            "{:?}: {} of {} schedules of {}, over {} messages and {writes} durable writes, in {:.1} s with {threads} threads",
            self.mode,
            numbers.len(),
            schedules.len(),
            self.what,
            length.messages,
            began.elapsed().as_secs_f64(),
        );
    }
}

/// Prints which schedule failed and how to run it again, and starts no more.
struct FailureNote<'a> {
    test: &'a str,
    mode: Mode,
    number: usize,
    schedule: &'a Schedule,
    next: &'a AtomicUsize,
}

impl Drop for FailureNote<'_> {
    fn drop(&mut self) {
        let Self {
            test,
            mode,
            number,
            schedule,
            next,
        } = self;
        eprintln!(
            "failed: seed {SEED}, {mode:?}, schedule {number}: {schedule:?}\nto run it again: FARTHING_SCHEDULES={number} \
             cargo test -p farthing-tests --test simulation {test} -- --nocapture"
        );
        next.store(usize::MAX / 2, Ordering::Relaxed);
    }
}

fn singles(mode: Mode) -> Row {
    Row {
        mode,
        with_coins: false,
        relayed: false,
        late: false,
        what: "one fault",
        schedules: Length::singles,
        which: Which::asked_or(Which::All),
    }
}

fn pairs(mode: Mode) -> Row {
    Row {
        mode,
        with_coins: true,
        relayed: false,
        late: false,
        what: "two faults",
        schedules: Length::pairs,
        which: Which::asked_or(Which::Sample(PAIRS)),
    }
}

/// The row with a relay.
fn relayed(row: Row, which: Which) -> Row {
    Row {
        relayed: true,
        which: Which::asked_or(which),
        ..row
    }
}

#[test]
fn every_single_fault_of_a_purchase() {
    singles(Mode::Buy).run("every_single_fault_of_a_purchase");
}

#[test]
fn every_single_fault_of_a_cancelled_purchase() {
    singles(Mode::Cancel).run("every_single_fault_of_a_cancelled_purchase");
}

#[test]
fn every_single_fault_of_a_sealed_purchase() {
    singles(Mode::Sealed).run("every_single_fault_of_a_sealed_purchase");
}

#[test]
fn every_single_fault_of_a_cancelled_sealed_purchase() {
    singles(Mode::SealedCancel).run("every_single_fault_of_a_cancelled_sealed_purchase");
}

#[test]
fn every_single_fault_of_a_purchase_whose_escrow_is_silent() {
    singles(Mode::EscrowSilent).run("every_single_fault_of_a_purchase_whose_escrow_is_silent");
}

#[test]
fn every_single_fault_of_a_free_purchase() {
    singles(Mode::Free).run("every_single_fault_of_a_free_purchase");
}

#[test]
fn every_single_fault_of_a_purchase_with_change() {
    singles(Mode::Change).run("every_single_fault_of_a_purchase_with_change");
}

#[test]
fn every_single_fault_of_a_sealed_purchase_with_change() {
    singles(Mode::SealedChange).run("every_single_fault_of_a_sealed_purchase_with_change");
}

#[test]
fn pairs_of_faults_of_a_purchase_with_change() {
    let pairs = Row {
        which: Which::asked_or(Which::Sample(CHANGE_PAIRS)),
        ..pairs(Mode::Change)
    };
    pairs.run("pairs_of_faults_of_a_purchase_with_change");
}

#[test]
fn every_single_fault_of_a_stream() {
    singles(Mode::Stream).run("every_single_fault_of_a_stream");
}

#[test]
fn single_faults_of_a_stream_whose_dates_pass() {
    let late = Row {
        with_coins: true,
        late: true,
        which: Which::asked_or(Which::Sample(LATE_SINGLES)),
        ..singles(Mode::Stream)
    };
    late.run("single_faults_of_a_stream_whose_dates_pass");
}

#[test]
fn pairs_of_faults_of_a_stream() {
    let pairs = Row {
        which: Which::asked_or(Which::Sample(STREAM_PAIRS)),
        ..pairs(Mode::Stream)
    };
    pairs.run("pairs_of_faults_of_a_stream");
}

#[test]
fn single_faults_of_a_relayed_stream() {
    relayed(singles(Mode::Stream), Which::Sample(RELAYED_SINGLES)).run("single_faults_of_a_relayed_stream");
}

#[test]
fn every_single_fault_of_payments() {
    singles(Mode::Pay).run("every_single_fault_of_payments");
}

#[test]
fn single_faults_of_relayed_payments() {
    relayed(singles(Mode::Pay), Which::Sample(RELAYED_PAIRS)).run("single_faults_of_relayed_payments");
}

#[test]
fn pairs_of_faults_of_payments() {
    let pairs = Row {
        which: Which::asked_or(Which::Sample(PAYMENT_PAIRS)),
        ..pairs(Mode::Pay)
    };
    pairs.run("pairs_of_faults_of_payments");
}

#[test]
fn pairs_of_faults_of_a_free_purchase() {
    let pairs = Row {
        which: Which::asked_or(Which::Sample(FREE_PAIRS)),
        ..pairs(Mode::Free)
    };
    pairs.run("pairs_of_faults_of_a_free_purchase");
}

#[test]
fn pairs_of_faults_of_a_purchase() {
    pairs(Mode::Buy).run("pairs_of_faults_of_a_purchase");
}

#[test]
fn pairs_of_faults_of_a_cancelled_purchase() {
    pairs(Mode::Cancel).run("pairs_of_faults_of_a_cancelled_purchase");
}

#[test]
fn pairs_of_faults_of_a_sealed_purchase() {
    pairs(Mode::Sealed).run("pairs_of_faults_of_a_sealed_purchase");
}

#[test]
fn pairs_of_faults_of_a_cancelled_sealed_purchase() {
    pairs(Mode::SealedCancel).run("pairs_of_faults_of_a_cancelled_sealed_purchase");
}

#[test]
fn pairs_of_faults_of_a_purchase_whose_escrow_is_silent() {
    pairs(Mode::EscrowSilent).run("pairs_of_faults_of_a_purchase_whose_escrow_is_silent");
}

#[test]
fn single_faults_of_a_relayed_purchase() {
    relayed(singles(Mode::Buy), Which::All).run("single_faults_of_a_relayed_purchase");
}

#[test]
fn single_faults_of_a_relayed_cancelled_purchase() {
    relayed(singles(Mode::Cancel), Which::Sample(RELAYED_SINGLES))
        .run("single_faults_of_a_relayed_cancelled_purchase");
}

#[test]
fn single_faults_of_a_relayed_sealed_purchase() {
    relayed(singles(Mode::Sealed), Which::All).run("single_faults_of_a_relayed_sealed_purchase");
}

#[test]
fn single_faults_of_a_relayed_cancelled_sealed_purchase() {
    relayed(singles(Mode::SealedCancel), Which::Sample(RELAYED_SINGLES))
        .run("single_faults_of_a_relayed_cancelled_sealed_purchase");
}

#[test]
fn single_faults_of_a_relayed_purchase_whose_escrow_is_silent() {
    relayed(singles(Mode::EscrowSilent), Which::Sample(RELAYED_SINGLES))
        .run("single_faults_of_a_relayed_purchase_whose_escrow_is_silent");
}

#[test]
fn relayed_pairs_of_faults() {
    for mode in [Mode::Buy, Mode::Sealed] {
        relayed(pairs(mode), Which::Sample(RELAYED_PAIRS)).run("relayed_pairs_of_faults");
    }
}
