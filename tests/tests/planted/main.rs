//! The checkers can fail: every planted defect is found in a copy of the workspace, and the same checks find nothing where nothing is planted.
//!
//! | what | file |
//! |---|---|
//! | the checks, in their order | [`checks`] |
//! | what a stranger asks | [`strangers`] |
//! | what a wallet and a judge are shown that is not what it says | [`papers`] |
//! | what a store finds on its disk | [`disks`] |
//! | a bank that runs from an older copy | [`copies`] |
//! | banks' lists of keys | [`lists`] |
//! | the heads of journals | [`heads`] |
//! | two copies of a running bank | [`clones`] |
//! | what programs print, and what they do with files | [`homes`] |
//! | what joins a name to what is said without one | [`links`] |
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
mod strangers;
mod table;

use checks::{CHECKS, Running};
use farthing_planted::{is_any_planted, patch::Patch, plant};
use farthing_tests::simulation::local;
use std::{
    any::Any,
    collections::BTreeMap,
    panic::{set_hook, take_hook},
    path::Path,
    sync::Mutex,
    time::{Duration, Instant},
};

/// How long a schedule may take, in the time of its world: longer than any deadline is ahead, many times over.
const SCHEDULE_MAX: Duration = Duration::from_secs(4 * 24 * 3600);

/// How many defects are looked for at once.
const THREADS: usize = 2;

/// How a defect was found.
struct Found {
    check: &'static str,
    schedules: usize,
    why: String,
}

/// Every mistake that is looked for.
fn patches() -> Vec<Patch> {
    Patch::read_all(root()).expect("the patches")
}

/// The workspace.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Runs the checks one after the other until a schedule fails; `Err` has the number of those that passed.
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

/// Runs one schedule, in a runtime of its own, so that all of its world goes with it. `Err` says what it failed with.
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

/// What a schedule failed with: its first line, and no more of it than a table takes.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    let first = text.unwrap_or("a panic").lines().next().unwrap_or_default();
    let said = first.trim_start_matches("assertion `left == right` failed: ");
    said.replace('|', "/").chars().take(100).collect()
}

/// Lets a planted defect fail in silence: it is looked at what with.
fn silence_planted_panics() {
    let loud = take_hook();
    set_hook(Box::new(move |panic| {
        if !is_any_planted() {
            loud(panic);
        }
    }));
}

/// Prints by what each of `mistakes` is found.
///
/// # Panics
/// When one of them is not.
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

/// Those of the patches that `FARTHING_PLANTED` names, or all: in a copy of the workspace that has them built in.
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
