//! `farthing-lab faults`: every message and every durable write of a purchase, against every kind of fault, on real
//! processes over real QUIC; and a page to look at.
//!
//! | what | file |
//! |---|---|
//! | places, cells; and what can go wrong in `matrix/fault` | [`matrix`] |
//! | the processes, and the lines between them | [`stage`] |
//! | has one fault happen at its exact moment | [`director`], and what it writes down in [`record`] |
//! | what a customer does, with the commands of the wallet | [`errand`] |
//! | what must hold after each run | [`audit`] |
//! | many cells at once | [`mod@run`] |
//! | a run told step by step | [`story`] |
//! | the page | [`page`] |

pub mod audit;
pub mod director;
pub mod errand;
pub mod matrix;
pub mod page;
pub mod record;
pub mod run;
pub mod stage;
pub mod story;

use crate::{demo::report::Reader, session};
use farthing_kit::error::{EXIT_BROKEN, RunError};
use farthing_node::{
    home::files::{Existing, Mode, check_output, write_output},
    terminal,
};
use farthing_store::entropy::{Entropy, SystemEntropy};
use indicatif::{ProgressBar, ProgressStyle};
use run::{Ended, Outcome, Plan, Progress, Results, tally};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

/// Where the page goes unless it is said otherwise.
const OUT_DEFAULT: &str = "farthing-faults.html";

/// How many purchases run at once for each processor: they mostly wait.
const JOBS_PER_PROCESSOR: usize = 4;

/// What `farthing-lab faults` takes.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct FaultsOptions {
    /// Write the page to FILE.
    #[arg(long, value_name = "FILE", default_value = OUT_DEFAULT)]
    pub out: PathBuf,
    /// Overwrite FILE if it exists.
    #[arg(long)]
    pub force: bool,
    /// Run only cells with all of these WORDS in their names, such as "escrow bank: hold"; repeat it for more cells.
    #[arg(long, value_name = "WORDS")]
    pub only: Vec<String>,
    /// How many purchases run at once, each with nodes of its own; two at least [default: 4 for each processor].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=64))]
    pub jobs: Option<u16>,
    /// What the losses on lossy lines are drawn from [default: a fresh one, which is said].
    #[arg(long)]
    pub seed: Option<u64>,
    /// Keep everything in this new directory: nodes, their logs, the wallets of violated cells.
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

/// Runs the matrix, writes the page, and says how it went. Everything that it started is stopped when it returns.
pub fn run(options: &FaultsOptions, reader: Reader) -> ExitCode {
    let runtime = match session::runtime() {
        Ok(runtime) => runtime,
        Err(error) => return session::fail(&error),
    };
    let work = async |dir: &Path| in_theatres(options, dir, reader).await;
    match runtime.block_on(session::in_a_directory(
        "farthing-faults",
        options.keep.as_deref(),
        work,
    )) {
        Ok(violated) if violated.is_empty() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(EXIT_BROKEN),
        Err(error) => session::fail(&error),
    }
}

/// Returns the names of the cells that are violated.
async fn in_theatres(options: &FaultsOptions, dir: &Path, reader: Reader) -> Result<Vec<String>, RunError> {
    // Before the work of minutes.
    let existing = Existing::by_force(options.force);
    check_output(&options.out, existing)?;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let seed = options.seed.unwrap_or_else(fresh_seed);
    let plan = Plan {
        program: std::env::current_exe().map_err(RunError::io("this program"))?,
        dir: dir.to_path_buf(),
        jobs: options.jobs.map_or(JOBS_PER_PROCESSOR * processors, usize::from),
        seed,
        only: options.only.clone(),
    };
    let results = run::run(plan, Arc::new(Bar::new())).await?;
    let page = page::page(&results, &page::Surroundings::here(seed));
    write_output(&options.out, page.as_bytes(), Mode::Public, existing)?;
    let violated: Vec<String> = violated(&results).map(name).collect();
    match reader {
        Reader::Person => terminal::print_text(&text(&results, seed, &options.out)),
        Reader::Program => terminal::print_json(&json(&results, seed, &options.out)),
    }
    Ok(violated)
}

fn fresh_seed() -> u64 {
    let mut random = [0; 4];
    SystemEntropy.fill(&mut random);
    u32::from_le_bytes(random).into()
}

fn violated(results: &Results) -> impl Iterator<Item = &Ended> {
    let is_violated = |ended: &&Ended| matches!(ended.outcome, Outcome::Violated(_));
    results.cells.iter().filter(is_violated)
}

fn name(ended: &Ended) -> String {
    ended.cell.as_ref().map(ToString::to_string).unwrap_or_default()
}

fn text(results: &Results, seed: u64, out: &Path) -> String {
    let counts: Vec<String> = tally(results)
        .into_iter()
        .map(|(what, count)| format!("{count} {what}"))
        .collect();
    let mut lines = vec![format!(
        "{} cells in {:.0} s, seed {seed}: {}",
        results.cells.len(),
        results.took.as_secs_f32(),
        counts.join(", ")
    )];
    for cell in violated(results) {
        lines.push(format!("VIOLATED  {}: {}", name(cell), cell.outcome.words()));
    }
    lines.push(format!("The page is {}; open it in a browser.", out.display()));
    lines.join("\n")
}

fn json(results: &Results, seed: u64, out: &Path) -> Value {
    let cell = |ended: &Ended| {
        json!({
            "name": name(ended),
            "outcome": ended.outcome.words(),
            "violated": matches!(ended.outcome, Outcome::Violated(_)),
            "milliseconds": u64::try_from(ended.took.as_millis()).unwrap_or(u64::MAX),
            "checks": ended.checks,
        })
    };
    json!({
        "ok": violated(results).next().is_none(),
        "cells": results.cells.iter().map(cell).collect::<Vec<_>>(),
        "seconds": results.took.as_secs(),
        "seed": seed,
        "page": out,
    })
}

/// A bar on standard error, which draws nothing where that is not a terminal.
struct Bar(ProgressBar);

impl Bar {
    fn new() -> Bar {
        let bar = ProgressBar::new_spinner();
        bar.set_message("a bank, an escrow and a merchant, without faults");
        bar.enable_steady_tick(std::time::Duration::from_millis(200));
        Bar(bar)
    }
}

impl Progress for Bar {
    fn begin(&self, cells: usize) {
        let style = ProgressStyle::with_template("{bar:32} {pos}/{len} cells  {elapsed}  {wide_msg}");
        self.0.set_length(cells as u64);
        self.0
            .set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    }

    fn ended(&self, ended: &Ended) {
        self.0.inc(1);
        self.0.set_message(name(ended));
        if matches!(ended.outcome, Outcome::Violated(_)) {
            let line = format!("VIOLATED  {}: {}", name(ended), ended.outcome.words());
            self.0.suspend(|| terminal::print_note(&line));
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
