//! `load`: measures the rate that a bank, an escrow and a merchant sustain on this machine, and its cost.
//!
//! The nodes are the real programs in separate processes. The customers use the real wallet. Everything is durable.
//!
//! | what | file |
//! |---|---|
//! | the command-line arguments | [`args`] |
//! | the nodes | [`target`] |
//! | coins spent before, in the bank's store | [`spent`] |
//! | the wallets, prepared before anything is measured | [`wallets`] |
//! | the work that a customer repeats | [`work`] |
//! | exchanges that are computed as far as possible before the run | [`prepared`] |
//! | one run with a number of customers for a time | [`run`] |
//! | the resources that nodes and client used | [`counts`] |
//! | hostile clients beside the customers, and what they do | [`hostile`], [`attacker`], [`strangers`], [`crowd`] |
//! | what each request of a stranger costs | [`costs`], [`subject`] |
//! | alternating rounds with an older program | [`compare`] |
//! | the audit of all sums after a run | [`audit`] |
//! | the cost of single operations on this machine | [`floor`] |
//! | the lower bound of one purchase at that cost | [`least`] |
//! | progress, tables and plots | [`bars`], [`report`], [`plot`] |

#![allow(clippy::disallowed_methods, reason = "it prints what it has counted itself")]

mod args;
mod asked;
mod attacker;
mod audit;
mod bars;
mod compare;
mod costs;
mod counts;
mod crowd;
mod everyone;
mod floor;
mod hostile;
mod least;
mod plot;
mod prepared;
mod report;
mod run;
mod spent;
mod strangers;
mod subject;
mod target;
mod wallets;
mod work;

use anyhow::{Context, Result};
use args::Args;
use clap::Parser;
use farthing_kit::{program, scratch::Scratch};
use hostile::Hostile;
use std::{ffi::OsString, io::Write, process::ExitCode, sync::Arc, time::Duration};
use target::Target;
use wallets::Wallets;
use work::Work;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    if let Some(exit) = program::run(&args).or_else(|| attacker::run(&args)) {
        return exit;
    }
    let args = Args::parse_from(args);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = load(&args) => outcome,
            // Leaving the other branch ends the nodes.
            stopped = farthing_node::process::stop_signal() => stopped
                .context("cannot listen for ctrl-c")
                .and(Err(anyhow::anyhow!("stopped; nothing is left running"))),
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    let _gone = writeln!(std::io::stderr(), "error: {error:#}");
    ExitCode::FAILURE
}

async fn load(args: &Args) -> Result<()> {
    args.check()?;
    if let Some(old) = &args.old {
        return compare::run(args, old).await;
    }
    let dir = Scratch::new("farthing-load", args.dir.as_deref())?;
    if args.costs {
        return costs::run(args, dir.path()).await;
    }
    let floor = floor::measure(dir.path()).await?;
    let target = Arc::new(Target::of(args, dir.path()).await?);
    let mut wallets = Wallets::new(&target, dir.path())?;
    let work = Arc::new(Work::new(args, &target, Arc::clone(wallets.asked()))?);
    let before = audit::AllBooks::of(&target).await?;
    let mut results = Vec::new();
    let plan = match args.hostile {
        Some(kind) => Some(Hostile::new(kind, wallets.dir())?),
        None => None,
    };
    for under_way in &args.under_way {
        // The latency of the quiet run, for the attacked one.
        let mut quiet = None;
        for hostile in std::iter::once(None).chain(plan.as_ref().map(Some)) {
            let run = run::Run {
                target: &target,
                work: &work,
                under_way: *under_way,
                time: Duration::from_secs(args.seconds),
                hostile,
                quiet,
            };
            let result = run.measure(&mut wallets, &before).await?;
            if args.json {
                report::line(&result, &floor)?;
            }
            quiet = Some(result.latency);
            results.push(result);
        }
    }
    target.end().await?;
    if !args.json {
        report::table(&results, &floor);
    }
    if let Some(path) = &args.plot {
        std::fs::write(path, plot::svg(&results)).with_context(|| path.display().to_string())?;
    }
    Ok(())
}
