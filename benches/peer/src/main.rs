//! Load on `cdk-mintd`, in the form of Farthing's own load program, so that `load --old benches/peer` runs both in turn.
//!
//! A swap takes two proofs in and signs two blinded messages, as an exchange of two coins does. Everything that does not
//! depend on the mint's answer is made before the clock starts: proofs, blinded messages, and the bytes of each request. An
//! answer is read and counted, and nothing of it is verified, unblinded or stored.

mod load;
mod mint;

use anyhow::Result;
use clap::{Parser, ValueEnum, value_parser};
use mint::Mint;
use serde_json::json;
use std::path::PathBuf;

/// The most swaps a second that are prepared for.
const SWAPS_PER_SECOND_MAX: u64 = 1500;

/// Measures how many swaps a second a mint carries.
#[derive(Debug, Parser)]
#[command(name = "load", version)]
struct Args {
    /// What the customers do. A mint has nothing like the other modes.
    #[arg(long, value_enum, default_value_t = Mode::Exchange)]
    mode: Mode,
    /// How many swaps are under way at once; one run for each number.
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "1,64",
          value_parser = value_parser!(u64).range(1..=4096))]
    under_way: Vec<u64>,
    /// How long each run is measured, from when as many were completed as are under way.
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// The worker threads of the mint. With as many as the machine has processors it is slower.
    #[arg(long, default_value_t = 32)]
    workers: usize,
    /// The mint's program.
    #[arg(long, value_name = "FILE", default_value = "cdk-mintd")]
    mintd: PathBuf,
    /// Keep the mint in this directory, which must be new or empty [default: a temporary one].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Accepted, as everything is always prepared.
    #[arg(long)]
    prepared: bool,
    /// Accepted, as the lines are always JSON.
    #[arg(long)]
    json: bool,
    /// Accepted. A swap has no goods.
    #[arg(long, value_name = "BYTES")]
    goods: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Two coins for two fresh ones.
    Exchange,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let temporary = tempfile::tempdir()?;
    let dir = args.dir.clone().unwrap_or_else(|| temporary.path().to_path_buf());
    std::fs::create_dir_all(&dir)?;
    let mint = Mint::start(&args.mintd, &dir, args.workers).await?;
    for under_way in &args.under_way {
        eprintln!("preparing the swaps of a run with {under_way} under way");
        let swaps = mint
            .prepare(args.seconds * SWAPS_PER_SECOND_MAX + under_way)
            .await?;
        let run = load::run(&mint, swaps, *under_way, args.seconds).await?;
        println!(
            "{}",
            json!({
                "mode": args.mode.to_possible_value().map(|mode| mode.get_name().to_owned()),
                "under_way": under_way,
                "coins": 2,
                "seconds": run.seconds,
                "done": run.done,
                "per_second": run.per_second,
                "latency_ms": { "p50": run.percentile(50), "p90": run.percentile(90), "p99": run.percentile(99), "max": run.percentile(100) },
                "server_cpu_us": run.server_cpu_us,
                "each": { "client": { "cpu_us": run.client_cpu_us } },
                "failures": run.failures,
            })
        );
    }
    mint.stop().await
}
