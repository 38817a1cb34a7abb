//! A soak: many wallets buy, cancel, exchange and are restored, while processes are killed and restarted every second
//! and every line loses, repeats, reorders and delays. At the end everything heals and is counted to the unit.
//!
//! | what | file |
//! |---|---|
//! | the faults of nodes and lines | [`faults`] |
//! | the owner of one wallet, who runs random commands | [`owner`] |
//! | the counts | [`tally`] |

pub mod faults;
pub mod owner;
pub mod tally;

use super::testbed::Testbed;
use farthing_kit::faults::Draws;
use owner::{ALBUM, PRINT, WalletOwner};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};
use tally::{Counted, Tally};

/// Size of the album (bytes).
const ALBUM_BYTES: usize = 3 * 1024 * 1024 / 2;

/// Size of the print (bytes).
const PRINT_BYTES: usize = 40 * 1024;

/// Additional balance of each account (units): enough for more purchases than a day has seconds.
const FUNDS: u64 = 100_000_000;

/// Interval at which the counts are shown.
const SHOWN_EVERY: Duration = Duration::from_secs(1);

/// The options of a soak.
#[derive(Debug, Clone, Copy)]
pub struct SoakOptions {
    /// Duration of faults and purchases.
    pub lasts: Duration,
    /// Number of wallets.
    pub wallets: u64,
    /// The seed of all commands and faults. It does not determine how the processes interleave.
    pub seed: u64,
}

/// A failed soak, with its files.
#[derive(Debug)]
pub struct Disagreement {
    /// The directory of the testbed, which was kept.
    pub dir: PathBuf,
    /// The error.
    pub what: String,
    /// The counts up to the failure.
    pub counted: Counted,
}

/// Runs a soak. `program` is the wallet and every node. `show` gets the elapsed time and the counts.
///
/// # Errors
/// When a promise is broken. All files are kept.
pub fn run(
    program: &Path,
    options: SoakOptions,
    mut show: impl FnMut(Duration, &Counted),
) -> Result<Counted, Box<Disagreement>> {
    let testbed = Testbed::new(program.to_str().expect("a path in UTF-8"));
    let tally = Tally::default();
    let outcome = catch_unwind(AssertUnwindSafe(|| soak(&testbed, options, &tally, &mut show)));
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

/// The text of a panic.
fn what_it_says(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "a panic without a text; see the output above".to_owned())
}

fn soak(testbed: &Testbed, options: SoakOptions, tally: &Tally, show: &mut impl FnMut(Duration, &Counted)) {
    testbed.sell(ALBUM, &vec![7; ALBUM_BYTES]);
    testbed.sell_sealed(PRINT, &vec![9; PRINT_BYTES]);
    let mut draws = Draws(options.seed);
    let mut owners: Vec<WalletOwner<'_>> = (0..options.wallets)
        .map(|number| {
            let customer = testbed.newcomer(&format!("wallet-{number}"));
            testbed.pay_in(&customer.account, FUNDS);
            WalletOwner::new(testbed, tally, customer, draws.draw())
        })
        .collect();
    let over = AtomicBool::new(false);
    let lines: Vec<_> = owners.iter().map(WalletOwner::lines).collect();
    let begun = Instant::now();
    thread::scope(|scope| {
        let (over, seed) = (&over, draws.draw());
        let faults = scope.spawn(move || faults::happen(testbed, &lines, tally, seed, over));
        let living: Vec<_> = owners
            .iter_mut()
            .map(|owner| scope.spawn(move || owner.lives(over)))
            .collect();
        while begun.elapsed() < options.lasts
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
    // All faults are repaired. Each owner resumes until everything has ended.
    owners.iter_mut().for_each(WalletOwner::comes_home);
    let customers: Vec<_> = owners.iter().map(WalletOwner::customer).collect();
    testbed.check(&customers);
    customers.iter().for_each(|customer| tally.ended(customer));
    show(begun.elapsed(), &tally.counted());
}
