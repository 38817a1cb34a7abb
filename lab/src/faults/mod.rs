//! `farthing-lab faults`: every message and every durable write of a purchase, a payment and a refund, under every kind of
//! fault, on real processes over real QUIC. It writes an HTML page with the results.
//!
//! | what | file |
//! |---|---|
//! | places and cells, with the faults in `matrix/fault` | [`matrix`] |
//! | the processes, and the lines between them | [`stage`] |
//! | causes one fault at its exact moment | [`director`], which records its events in [`record`] |
//! | the commands of a customer | [`errand`] |
//! | whether everything is settled at the bank | [`settling`] |
//! | the audit after each run | [`audit`] |
//! | runs many cells at the same time | [`mod@run`] |
//! | the steps of a run | [`story`] |
//! | the page | [`page`] |

pub mod audit;
pub mod director;
pub mod errand;
pub mod matrix;
pub mod page;
pub mod record;
pub mod run;
pub mod settling;
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
use run::{CellResult, Ended, MatrixObserver, MatrixOptions, Results, tally};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

/// The default path of the page.
const OUT_DEFAULT: &str = "farthing-faults.html";

/// The number of concurrent purchases for each processor. They mostly wait.
const JOBS_PER_PROCESSOR: usize = 4;

/// The options of `farthing-lab faults`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct FaultsOptions {
    /// Write the page to FILE.
    #[arg(long, value_name = "FILE", default_value = OUT_DEFAULT)]
    pub out: PathBuf,
    /// Overwrite FILE if it exists.
    #[arg(long)]
    pub force: bool,
    /// Run only cells with all of these WORDS in their names, such as "escrow bank: hold". Repeat the option for more
    /// cells.
    #[arg(long, value_name = "WORDS")]
    pub only: Vec<String>,
    /// Run N purchases at the same time, each with its own nodes, 2 to 64 [default: 4 for each processor].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=64))]
    pub jobs: Option<u16>,
    /// Keep the stores of bank, escrow and merchant in this PostgreSQL database, in new schemas: postgres://USER@HOST/NAME.
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
    /// The seed of the losses on lossy lines [default: a random one, which is printed].
    #[arg(long)]
    pub seed: Option<u64>,
    /// Keep all files in this new directory: nodes, their logs, the wallets of violated cells.
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

/// Runs the matrix, writes the page, and prints the result. All processes that it started are stopped when it returns.
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

/// Runs the matrix. Returns the names of the violated cells.
async fn in_theatres(options: &FaultsOptions, dir: &Path, reader: Reader) -> Result<Vec<String>, RunError> {
    // Checked before the run, which takes minutes.
    let existing = Existing::by_force(options.force);
    check_output(&options.out, existing)?;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let seed = options.seed.unwrap_or_else(fresh_seed);
    let plan = MatrixOptions {
        program: std::env::current_exe().map_err(RunError::io("this program"))?,
        dir: dir.to_path_buf(),
        jobs: options.jobs.map_or(JOBS_PER_PROCESSOR * processors, usize::from),
        seed,
        only: options.only.clone(),
        store: options.store.clone(),
    };
    let results = run::run(plan, Arc::new(Bar::new())).await?;
    let page = page::page(&results, &page::RunInfo::here(seed));
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
    let is_violated = |ended: &&Ended| matches!(ended.outcome, CellResult::Violated(_));
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
            "violated": matches!(ended.outcome, CellResult::Violated(_)),
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

/// A progress bar on standard error. It draws nothing if that is not a terminal.
struct Bar(ProgressBar);

impl Bar {
    fn new() -> Bar {
        let bar = ProgressBar::new_spinner();
        bar.set_message("a bank, an escrow and a merchant, without faults");
        bar.enable_steady_tick(std::time::Duration::from_millis(200));
        Bar(bar)
    }
}

impl MatrixObserver for Bar {
    fn begin(&self, cells: usize) {
        let style = ProgressStyle::with_template("{bar:32} {pos}/{len} cells  {elapsed}  {wide_msg}");
        self.0.set_length(cells as u64);
        self.0
            .set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    }

    fn ended(&self, ended: &Ended) {
        self.0.inc(1);
        self.0.set_message(name(ended));
        if matches!(ended.outcome, CellResult::Violated(_)) {
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
