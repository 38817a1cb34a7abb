//! A soak: many wallets buy, cancel, exchange and are restored, while processes are killed and restarted every second
//! and every line loses, repeats, reorders and delays. At the end everything heals and is counted to the unit.
//!
//! | what | file |
//! |---|---|
//! | what befalls nodes and lines | [`faults`] |
//! | what the owner of one wallet does, with the commands that she has | [`owner`] |
//! | what is counted | [`tally`] |

pub mod faults;
pub mod owner;
pub mod tally;

use super::testbed::Testbed;
use farthing_kit::faults::Draws;
use owner::{ALBUM, Owner, PRINT};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};
use tally::{Counted, Tally};

/// How large the album is (bytes).
const ALBUM_BYTES: usize = 3 * 1024 * 1024 / 2;

/// How large the print is (bytes).
const PRINT_BYTES: usize = 40 * 1024;

/// What everybody has in their account, beside the usual: enough for more purchases than a day has seconds.
const FUNDS: u64 = 100_000_000;

/// How often what was counted so far is shown.
const SHOWN_EVERY: Duration = Duration::from_secs(1);

/// How long, how many, and from which seed.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// How long faults and purchases go on.
    pub lasts: Duration,
    /// How many wallets there are.
    pub wallets: u64,
    /// What all is drawn from: what is done, and what befalls whom. (How processes get in each other's way is not.)
    pub seed: u64,
}

/// A soak that found something: where everything lies, for whoever looks into it.
#[derive(Debug)]
pub struct Disagreement {
    /// The directory of the testbed, which was kept.
    pub dir: PathBuf,
    /// What was found.
    pub what: String,
    /// What was counted until then.
    pub counted: Counted,
}

/// Runs a soak on `program`, which is the wallet and every node; `show` is told how it goes.
///
/// # Errors
/// When something must not be, with everything kept.
pub fn run(
    program: &Path,
    plan: Plan,
    mut show: impl FnMut(Duration, &Counted),
) -> Result<Counted, Box<Disagreement>> {
    let testbed = Testbed::new(program.to_str().expect("a path in UTF-8"));
    let tally = Tally::default();
    let outcome = catch_unwind(AssertUnwindSafe(|| soak(&testbed, plan, &tally, &mut show)));
    let counted = tally.counted();
    match outcome {
        Ok(()) => Ok(counted),
        Err(panic) => Err(Box::new(Disagreement {
            what: what_it_says(panic.as_ref()),
            dir: testbed.keep(),
            counted,
        })),
    }
}

/// What a panic says.
fn what_it_says(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "something that must not be; it is said above".to_owned())
}

fn soak(testbed: &Testbed, plan: Plan, tally: &Tally, show: &mut impl FnMut(Duration, &Counted)) {
    testbed.sell(ALBUM, &vec![7; ALBUM_BYTES]);
    testbed.sell_sealed(PRINT, &vec![9; PRINT_BYTES]);
    let mut draws = Draws(plan.seed);
    let mut owners: Vec<Owner<'_>> = (0..plan.wallets)
        .map(|number| {
            let customer = testbed.newcomer(&format!("wallet-{number}"));
            testbed.pay_in(&customer.account, FUNDS);
            Owner::new(testbed, tally, customer, draws.draw())
        })
        .collect();
    let over = AtomicBool::new(false);
    let lines: Vec<_> = owners.iter().map(Owner::lines).collect();
    let begun = Instant::now();
    thread::scope(|scope| {
        let (over, seed) = (&over, draws.draw());
        let faults = scope.spawn(move || faults::happen(testbed, &lines, tally, seed, over));
        let living: Vec<_> = owners
            .iter_mut()
            .map(|owner| scope.spawn(move || owner.lives(over)))
            .collect();
        while begun.elapsed() < plan.lasts
            && !faults.is_finished()
            && !living.iter().any(|one| one.is_finished())
        {
            thread::sleep(SHOWN_EVERY);
            show(begun.elapsed(), &tally.counted());
        }
        over.store(true, Ordering::SeqCst);
        for part in living.into_iter().chain([faults]) {
            if let Err(panic) = part.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
    // Nothing is faulted any more: everyone carries on, and everything ends.
    owners.iter_mut().for_each(Owner::comes_home);
    let customers: Vec<_> = owners.iter().map(Owner::customer).collect();
    testbed.check(&customers);
    customers.iter().for_each(|customer| tally.ended(customer));
    show(begun.elapsed(), &tally.counted());
}
