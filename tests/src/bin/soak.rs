//! A soak: many wallets buy while processes are killed and restarted every second and packets are lost. At the end
//! everything is repaired, and every unit is counted.
//!
//! ```text
//! cargo run --release -p farthing-tests --bin soak -- --minutes 10
//! ```

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how what is around a test fails"
)]
#![allow(clippy::disallowed_methods, reason = "it prints what it has counted itself")]

use clap::Parser;
use farthing_kit::program;
use farthing_tests::processes::{
    seed::fresh_seed,
    soak::{self, SoakOptions, tally::Counted},
};
use serde_json::json;
use std::{
    env,
    ffi::OsString,
    io::{IsTerminal, Write},
    process::ExitCode,
    time::Duration,
};

/// Time between two lines of output without a terminal (s).
const LINE_EVERY_S: u64 = 30;

/// Many wallets buy while processes are killed. At the end every unit is counted.
#[derive(Debug, Parser)]
#[command(name = "soak")]
struct Options {
    /// Duration of faults and purchases (minutes).
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    minutes: f64,
    /// Number of wallets.
    #[arg(long, value_name = "W", default_value_t = 8)]
    wallets: u64,
    /// The seed. Without it, a fresh one is chosen and printed.
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Print the counts as one JSON value.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let args: Vec<OsString> = env::args_os().collect();
    if let Some(exit) = program::run(&args) {
        return exit;
    }
    let options = Options::parse();
    let plan = SoakOptions {
        lasts: Duration::from_secs_f64(options.minutes.max(0.0) * 60.0),
        wallets: options.wallets.max(1),
        seed: options.seed.unwrap_or_else(fresh_seed),
    };
    eprintln!(
        "{} wallets for {} minutes, by seed {}; `--seed {}` draws the same again",
        plan.wallets, options.minutes, plan.seed, plan.seed
    );
    let program = env::current_exe().expect("this program");
    let mut last = None;
    let outcome = soak::run(&program, plan, |since, counted| {
        show(since, plan.lasts, counted, &mut last);
    });
    eprintln!();
    let (counted, found) = match &outcome {
        Ok(counted) => (counted, None),
        Err(disagreement) => (&disagreement.counted, Some(disagreement)),
    };
    print(
        plan,
        counted,
        found.map(|found| found.what.as_str()),
        options.json,
    );
    match found {
        None => {
            eprintln!("every purchase has ended, and the audit agrees to the unit");
            ExitCode::SUCCESS
        }
        Some(found) => {
            eprintln!(
                "FOUND: {}\n\nEverything is kept in {} (a directory and a log each; `farthing-bank verify \
                 DIR`, `farthing --wallet DIR purchases` show more).\nRepeat it with: cargo run --release -p \
                 farthing-tests --bin soak -- --minutes {} --wallets {} --seed {}",
                found.what,
                found.dir.display(),
                options.minutes,
                plan.wallets,
                plan.seed
            );
            ExitCode::FAILURE
        }
    }
}

/// Prints one line of progress. On a terminal it replaces the last one.
fn show(since: Duration, lasts: Duration, counted: &Counted, last: &mut Option<u64>) {
    let terminal = std::io::stderr().is_terminal();
    let step = since.as_secs() / LINE_EVERY_S;
    if !terminal && last.replace(step) == Some(step) {
        return;
    }
    let kills: u64 = counted
        .happened
        .iter()
        .filter(|(what, _)| what.starts_with("kills"))
        .map(|(_, many)| many)
        .sum();
    let line = format!(
        "{:>5} of {} s  {} purchases begun, {} done at once  {} kills, {} frozen, {} cuts  {} restored",
        since.as_secs(),
        lasts.as_secs(),
        counted.of("purchases begun"),
        counted.of("purchases done at once"),
        kills,
        counted.of("nodes frozen"),
        counted.of("lines cut in one direction"),
        counted.of("wallets restored from their words"),
    );
    if terminal {
        eprint!("\r{line}\x1b[K");
    } else {
        eprintln!("{line}");
    }
    let _gone = std::io::stderr().flush();
}

fn print(plan: SoakOptions, counted: &Counted, found: Option<&str>, as_json: bool) {
    if as_json {
        let mut value = counted.json();
        value["seed"] = json!(plan.seed);
        value["wallets"] = json!(plan.wallets);
        value["seconds"] = json!(plan.lasts.as_secs());
        value["found"] = json!(found);
        println!("{value}");
        return;
    }
    for (what, many) in &counted.happened {
        println!("{many:>10}  {what}");
    }
    for (says, many) in &counted.refusals {
        println!("{many:>10}  refused: {says}");
    }
}
