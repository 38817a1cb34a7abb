//! `ticks`: how many ticks a second streams carry, how long one takes, and what it costs.
//!
//! The nodes are the real programs in separate processes, and the customers use the real wallet over QUIC. The clock runs from
//! the first open stream to the last tick of the last one. Each customer has an address of its own, as most have.

#![allow(clippy::disallowed_methods, reason = "it prints what it has measured itself")]

#[path = "load/everyone.rs"]
mod everyone;
mod measured;

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, value_parser};
use everyone::Everyone;
use farthing_client::{
    purchase::{Begun, Seen, TickSink, WatchLimits},
    wallet::{Env, Wallet},
};
use farthing_coin::Seed;
use farthing_kit::{
    market::{Layout, Market, WalletRoute},
    nodes::Node,
    scratch::Scratch,
};
use farthing_node::{network_file::NetworkFile, operator::status::Status, usage::Usage};
use farthing_protocol::{
    limits::{TICK_MAX_BYTES, TICKS_PER_REPLY_MAX},
    money::Amount,
    stream::chain::TICKS_MAX,
};
use farthing_store::entropy::{Entropy, SystemEntropy};
use measured::{percentile_ms, run};
use serde_json::{Value, json};
use std::{
    fs, io,
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// The price of one tick: a tenth of the smallest unit.
const PRICE_PER_TICK: &str = "0.001";

/// The ticks for one unit.
const TICKS_PER_UNIT: u32 = 10;

/// The most streams at once.
const STREAMS_MAX: u64 = 1024;

/// Measures the ticks of streams.
#[derive(Debug, Parser)]
#[command(
    name = "ticks",
    after_long_help = "Examples:\n  \
        ticks --streams 64 --window 64              many streams\n  \
        ticks --streams 1 --window 1 --ticks 150    each tick is paid for on its own; a merchant lets an address ask 200\n  \
        \u{20}                                           times at once, and then 250 times a second\n  \
        ticks --streams 16 --window 64 --relay      through a relay"
)]
struct Args {
    /// How many streams run at once, each with a customer of its own.
    #[arg(long, default_value_t = 64, value_parser = value_parser!(u64).range(1..=STREAMS_MAX))]
    streams: u64,
    /// How many ticks one voucher pays for.
    #[arg(long, default_value_t = TICKS_PER_REPLY_MAX as u16,
        value_parser = value_parser!(u16).range(1..=TICKS_PER_REPLY_MAX as i64))]
    window: u16,
    /// How many ticks each stream has: a multiple of 10.
    #[arg(long, default_value_t = 8000, value_parser = value_parser!(u32).range(1..=i64::from(TICKS_MAX)))]
    ticks: u32,
    /// How long a record is (bytes).
    #[arg(long, default_value_t = 100, value_parser = value_parser!(u32).range(1..=TICK_MAX_BYTES as i64))]
    record: u32,
    /// The customers use a relay.
    #[arg(long)]
    relay: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    run(measure)
}

/// The customer of one stream. It has the time from each tick to the next.
struct Customer {
    /// When the last tick was opened.
    last: Instant,
    between: Vec<Duration>,
    began: Option<Instant>,
}

impl TickSink for Customer {
    fn begin(&mut self, _: Begun) -> io::Result<()> {
        self.began = Some(Instant::now());
        self.last = Instant::now();
        Ok(())
    }

    fn record(&mut self, _: u32, _: Amount, _: &[u8]) -> io::Result<()> {
        let now = Instant::now();
        self.between.push(now.duration_since(self.last));
        self.last = now;
        Ok(())
    }
}

/// What one customer has seen.
struct Watched {
    seen: Seen,
    began: Instant,
    ended: Instant,
    between: Vec<Duration>,
}

async fn measure(args: &Args) -> Result<()> {
    ensure!(
        args.ticks.is_multiple_of(TICKS_PER_UNIT),
        "ten ticks cost one unit; give --ticks a multiple of {TICKS_PER_UNIT}"
    );
    let dir = Scratch::new("farthing-ticks", None)?;
    let program = std::env::current_exe().context("this program cannot be found")?;
    let layout = Layout {
        route: match args.relay {
            true => WalletRoute::Relayed,
            false => WalletRoute::Direct,
        },
        ..Layout::default()
    };
    let market = Market::make(&program, dir.path(), layout).await?;
    market.start().await?;
    market.open_account(&market.merchant_account, "merchant").await?;
    let item = put_up(&market, dir.path(), args).await?;
    let mut wallets = Vec::new();
    for number in 0..args.streams {
        wallets.push(customer(&market, &dir.path().join(format!("customer-{number}")), args).await?);
    }
    let before = Costs::take(&market).await?;
    let watched = watch_all(&market, &item, args, wallets).await?;
    let after = Costs::take(&market).await?;
    let books = market.books().await?;
    market.kill().await?;
    ensure!(
        books.problems.is_empty(),
        "the books do not agree: {:?}",
        books.problems
    );
    print(args, &watched, &before, &after);
    Ok(())
}

/// Offers a stream of random records, and returns the item's id.
async fn put_up(market: &Market, dir: &Path, args: &Args) -> Result<String> {
    let file = dir.join("records");
    let mut bytes = vec![0; usize::try_from(u64::from(args.ticks) * u64::from(args.record))?];
    SystemEntropy.fill(&mut bytes);
    fs::write(&file, bytes)?;
    let chunk = usize::try_from(args.record)?;
    Ok(market.sell_by_tick(&file, "ticks", PRICE_PER_TICK, chunk).await?)
}

/// A customer with an account and coins.
async fn customer(market: &Market, dir: &Path, args: &Args) -> Result<Wallet> {
    // The whole price of the stream is held.
    let withdrawn = Amount(u64::from(args.ticks / TICKS_PER_UNIT).saturating_mul(2));
    let entropy: &dyn Entropy = &SystemEntropy;
    Wallet::create(dir, &Seed::generate(&mut entropy.rng()))?;
    let mut file = NetworkFile::load(dir)?;
    for node in market.nodes().into_iter().chain(&market.relay) {
        file.add(node.card().clone())?;
    }
    let env = Env {
        network: Arc::new(Everyone),
        ..Env::system()
    };
    let wallet = Wallet::open(dir, env)?;
    let bank = market.parties().bank;
    let account = wallet.account(&bank.identity)?.to_string();
    market.open_account(&account, "customer").await?;
    market.pay_in(&account, withdrawn).await?;
    wallet.withdraw(&bank, withdrawn).await?;
    Ok(wallet)
}

/// Watches one stream with each wallet, all at once.
async fn watch_all(market: &Market, item: &str, args: &Args, wallets: Vec<Wallet>) -> Result<Vec<Watched>> {
    let mut watching = JoinSet::new();
    for wallet in wallets {
        let (parties, item) = (market.parties(), item.to_owned());
        let limits = WatchLimits {
            at_most: None,
            ticks: None,
            window: args.window,
        };
        watching.spawn(async move {
            let mut customer = Customer {
                last: Instant::now(),
                between: Vec::new(),
                began: None,
            };
            let seen = wallet
                .watch(&parties, item.as_str(), limits, &mut customer)
                .await?;
            let began = customer.began.context("the stream was never open")?;
            wallet.receive_change(seen.number).await?;
            wallet.close()?;
            anyhow::Ok(Watched {
                seen,
                began,
                ended: customer.last,
                between: customer.between,
            })
        });
    }
    let mut watched = Vec::new();
    while let Some(done) = watching.join_next().await {
        let one = done.context("a customer failed on a bug")??;
        if one.seen.ticks != args.ticks {
            bail!(
                "a customer has seen {} ticks of {}: {:?}",
                one.seen.ticks,
                args.ticks,
                one.seen.end
            );
        }
        watched.push(one);
    }
    Ok(watched)
}

/// The CPU time of each process so far (us).
struct Costs {
    parties: Vec<(&'static str, u64)>,
}

impl Costs {
    async fn take(market: &Market) -> Result<Costs> {
        let mut parties = Vec::new();
        let nodes: Vec<&Node> = market.nodes().into_iter().chain(&market.relay).collect();
        for node in nodes {
            let used = Status::of(node.dir()).await?.process.cpu_us;
            parties.push((node.card().role.as_str(), used));
        }
        parties.push(("customers", Usage::of_this_process().cpu_us));
        Ok(Costs { parties })
    }
}

fn print(args: &Args, watched: &[Watched], before: &Costs, after: &Costs) {
    let ticks: u64 = watched.iter().map(|one| u64::from(one.seen.ticks)).sum();
    let began = watched.iter().map(|one| one.began).min();
    let ended = watched.iter().map(|one| one.ended).max();
    let time = began.zip(ended).map(|(began, ended)| ended.duration_since(began));
    let seconds = time.unwrap_or_default().as_secs_f64();
    let between: Vec<Duration> = watched
        .iter()
        .flat_map(|one| one.between.iter().copied())
        .collect();
    let [p50, p90, p99] = [50, 90, 99].map(|percent| percentile_ms(&between, percent));
    let each: Vec<(&str, f64)> = after
        .parties
        .iter()
        .zip(&before.parties)
        .map(|((name, after), (_, before))| (*name, after.saturating_sub(*before) as f64 / ticks as f64))
        .collect();
    let per_second = ticks as f64 / seconds;
    if args.json {
        let each: serde_json::Map<String, Value> = each
            .iter()
            .map(|(name, us)| ((*name).to_owned(), json!(us)))
            .collect();
        println!(
            "{}",
            json!({
                "streams": args.streams, "window": args.window, "ticks": ticks, "record_bytes": args.record,
                "relay": args.relay, "seconds": seconds, "per_second": per_second,
                "tick_ms": { "p50": p50, "p90": p90, "p99": p99 },
                "cpu_us": each,
            })
        );
        return;
    }
    println!(
        "{} streams of {} ticks of {} bytes, {} for a voucher: {per_second:.0} ticks a second",
        args.streams, args.ticks, args.record, args.window
    );
    println!("from one tick to the next, ms: p50 {p50:.3}, p90 {p90:.3}, p99 {p99:.3}");
    let each: Vec<String> = each.iter().map(|(name, us)| format!("{name} {us:.1}")).collect();
    println!(
        "CPU for each tick, opening and ending included, us: {}",
        each.join(", ")
    );
}
