//! The checks can fail: every planted defect is found in a copy of the workspace. The same checks find nothing if
//! nothing is planted.
//!
//! | what | file |
//! |---|---|
//! | the checks, in their order | [`checks`] |
//! | requests of strangers | [`strangers`] |
//! | deposits, reserves and refunds | [`payments`] |
//! | false documents and goods | [`papers`] |
//! | what a store finds on its disk | [`disks`] |
//! | a bank that runs from an older copy | [`copies`] |
//! | banks' lists of keys | [`lists`] |
//! | the heads of journals | [`heads`] |
//! | two copies of a running bank | [`clones`] |
//! | purchases that are long past | [`past`] |
//! | what programs print, and what they do with files | [`homes`] |
//! | links between named and anonymous messages | [`links`] |
//! | streams | [`streams`] |
//! | what a merchant forgets | [`sales`] |
//! | postage | [`postage`] |
//! | the table in docs/TESTING.md, and that no product links a switch | [`table`] |

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

mod checks;
mod clones;
mod copies;
mod denials;
mod disks;
mod heads;
mod homes;
mod links;
mod lists;
mod papers;
mod past;
mod payments;
mod postage;
mod sales;
mod strangers;
mod streams;
mod table;

use checks::{CHECKS, Running};
use farthing_planted::{is_any_planted, patch::Patch, plant};
use farthing_simulation::local;
use std::{
    any::Any,
    collections::BTreeMap,
    panic::{set_hook, take_hook},
    path::Path,
    sync::Mutex,
    time::{Duration, Instant},
};

/// Time limit of a schedule, in the time of its world: many times longer than any deadline is ahead.
const SCHEDULE_MAX: Duration = Duration::from_secs(4 * 24 * 3600);

/// Number of defects that are searched for at once.
const THREADS: usize = 2;

/// How a defect was found.
struct Found {
    check: &'static str,
    schedules: usize,
    why: String,
}

/// All mistakes of this run.
fn patches() -> Vec<Patch> {
    Patch::read_all(root()).expect("the patches")
}

/// The workspace.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Runs the checks one after the other until a schedule fails. `Err` has the number of checks that passed.
fn look_for(mistake: Option<&str>) -> Result<Found, usize> {
    let _planted = mistake.map(plant);
    let mut schedules = 0;
    for check in CHECKS {
        for number in 0.. {
            let Some(running) = (check.schedule)(number) else {
                break;
            };
            schedules += 1;
            if let Err(why) = outcome(running) {
                return Ok(Found {
                    check: check.name,
                    schedules,
                    why,
                });
            }
        }
    }
    Err(schedules)
}

/// Runs one schedule in a runtime of its own, which ends with its world. `Err` has the failure.
fn outcome(running: Running) -> Result<(), String> {
    local(async {
        let bounded = async {
            let ended = tokio::time::timeout(SCHEDULE_MAX, running).await;
            assert!(ended.is_ok(), "progress: it does not end");
        };
        let ended = tokio::task::spawn_local(bounded).await;
        ended.map_err(|failed| said(failed.into_panic().as_ref()))
    })
}

/// The first line of a failure, cut for a table.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    let first = text.unwrap_or("a panic").lines().next().unwrap_or_default();
    let said = first.trim_start_matches("assertion `left == right` failed: ");
    said.replace('|', "/").chars().take(100).collect()
}

/// Hides the panics of planted defects. Their text is read from the result.
fn silence_planted_panics() {
    let loud = take_hook();
    set_hook(Box::new(move |panic| {
        if !is_any_planted() {
            loud(panic);
        }
    }));
}

/// Prints which check finds each of `mistakes`.
///
/// # Panics
/// When one is not found.
fn find(mistakes: Vec<Patch>) {
    silence_planted_panics();
    let began = Instant::now();
    let left = Mutex::new(mistakes.into_iter());
    let found = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let Some(mistake) = left.lock().unwrap().next() else {
                        return;
                    };
                    let outcome = look_for(Some(&mistake.name));
                    let outcome = outcome.map(|found| table::row(&mistake, &found));
                    found.lock().unwrap().insert(mistake.name, outcome);
                }
            });
        }
    });
    println!("{}", table::HEAD);
    let mut survivors = Vec::new();
    for (name, outcome) in found.into_inner().unwrap() {
        match outcome {
            Ok(row) => println!("{row}"),
            Err(passed) => survivors.push(format!("{name} after {passed} schedules")),
        }
    }
    println!("in {:.0} s", began.elapsed().as_secs_f64());
    assert!(
        survivors.is_empty(),
        "no check finds {survivors:?}: write the check that does (tests/tests/planted/checks.rs has them), or see \
         whether the patch still makes the mistake that it says"
    );
}

/// The patches that `FARTHING_PLANTED` names, or all. They are built into this copy of the workspace.
#[test]
#[ignore = "run in the copy that `cargo run -p farthing-planted` makes"]
fn every_patch_is_found() {
    let asked = std::env::var("FARTHING_PLANTED").unwrap_or_default();
    let asked: Vec<&str> = asked.split_whitespace().collect();
    let is_asked = |mistake: &Patch| asked.is_empty() || asked.contains(&mistake.name.as_str());
    find(patches().into_iter().filter(is_asked).collect());
}

#[test]
fn nothing_is_found_where_nothing_is_planted() {
    match look_for(None) {
        Err(passed) => println!("{passed} schedules pass where nothing is planted"),
        Ok(found) => panic!(
            "{}, after {} schedules: {}",
            found.check, found.schedules, found.why
        ),
    }
}
