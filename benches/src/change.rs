//! `change`: how long a purchase takes for which no coins fit, with an exchange before it and with change after it.
//!
//! The nodes are the real programs in separate processes, the customers use the real wallet, and everything is durable. Each
//! customer withdraws 20.00, which has a coin of 10.24 and no coins worth the price of 10.00. One half of the customers
//! exchanges that coin first, and pays exactly. The other half pays with that coin, and receives the change. They take
//! turns.

#![allow(clippy::disallowed_methods, reason = "it prints what it has measured itself")]

mod measured;

use anyhow::{Context, Result};
use clap::{Parser, value_parser};
use farthing_client::wallet::{Env, Wallet};
use farthing_coin::Seed;
use farthing_kit::{
    market::{Layout, Market, Offers},
    scratch::Scratch,
};
use farthing_node::network_file::NetworkFile;
use farthing_protocol::money::Amount;
use farthing_store::entropy::{Entropy, SystemEntropy};
use measured::{percentile_ms, run};
use serde_json::json;
use std::{
    fs,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

/// What each customer withdraws.
const WITHDRAWN: Amount = Amount(2000);

/// The price. No coins of a fresh withdrawal are worth it.
const PRICE: Amount = Amount(1000);

/// The value of the coin that is exchanged, or that pays.
const COIN: u64 = 1024;

/// The most customers of each kind.
const CUSTOMERS_MAX: u64 = 10_000;

/// Measures a purchase for which no coins fit: with an exchange first, and with change afterwards, in turn.
#[derive(Debug, Parser)]
#[command(name = "change")]
struct Args {
    /// How many customers of each kind buy, one after another.
    #[arg(long, default_value_t = 200, value_parser = value_parser!(u64).range(1..=CUSTOMERS_MAX))]
    customers: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// The times of one kind of purchase, each from the customer's command on.
#[derive(Default)]
struct Times {
    /// Until the goods are opened and durable.
    goods: Vec<Duration>,
    /// Until all money of the customer can be spent.
    money: Vec<Duration>,
}

fn main() -> ExitCode {
    run(measure)
}

async fn measure(args: &Args) -> Result<()> {
    let dir = Scratch::new("farthing-change", None)?;
    let program = std::env::current_exe().context("this program cannot be found")?;
    let market = Market::make(&program, dir.path(), Layout::default()).await?;
    market.start().await?;
    market.open_account(&market.merchant_account, "merchant").await?;
    let file = dir.path().join("goods.bin");
    fs::write(&file, [7; 1024])?;
    let item = market.sell(&file, "goods", PRICE, Offers::Plain).await?;
    let (mut exchanged, mut changed) = (Times::default(), Times::default());
    for number in 0..args.customers {
        let name = format!("exchange-{number}");
        exchange_first(&market, &dir.path().join(name), &item, &mut exchanged).await?;
        let name = format!("change-{number}");
        change_after(&market, &dir.path().join(name), &item, &mut changed).await?;
    }
    let books = market.books().await?;
    market.kill().await?;
    anyhow::ensure!(
        books.problems.is_empty(),
        "the books do not agree: {:?}",
        books.problems
    );
    print(args, &exchanged, &changed);
    Ok(())
}

/// A customer with an account and the coins of one withdrawal.
async fn customer(market: &Market, dir: &Path) -> Result<Wallet> {
    let entropy: &dyn Entropy = &SystemEntropy;
    Wallet::create(dir, &Seed::generate(&mut entropy.rng()))?;
    let mut file = NetworkFile::load(dir)?;
    for card in market.cards() {
        file.add(card.clone())?;
    }
    let wallet = Wallet::open(dir, Env::system())?;
    let bank = market.parties().bank;
    let account = wallet.account(&bank.identity)?.to_string();
    market.open_account(&account, "customer").await?;
    market.pay_in(&account, WITHDRAWN).await?;
    wallet.withdraw(&bank, WITHDRAWN).await?;
    Ok(wallet)
}

/// Exchanges the large coin, as a wallet does that must pay exactly, and buys.
async fn exchange_first(market: &Market, dir: &Path, item: &str, times: &mut Times) -> Result<()> {
    let wallet = customer(market, dir).await?;
    let coins = wallet.present_coins()?.into_iter();
    let large: Vec<_> = coins.filter(|row| row.value == COIN).collect();
    let began = Instant::now();
    wallet.exchange(large).await?;
    let number = wallet.buy(&market.parties(), item, &dir.join("bought")).await?;
    times.goods.push(began.elapsed());
    anyhow::ensure!(
        wallet.change_of_purchase(number)?.amount == Amount(0),
        "the price was not paid exactly"
    );
    Ok(wallet.close()?)
}

/// Buys with the large coin, and receives the change.
async fn change_after(market: &Market, dir: &Path, item: &str, times: &mut Times) -> Result<()> {
    let wallet = customer(market, dir).await?;
    let began = Instant::now();
    let number = wallet.buy(&market.parties(), item, &dir.join("bought")).await?;
    times.goods.push(began.elapsed());
    anyhow::ensure!(
        wallet.change_of_purchase(number)?.due > Amount(0),
        "the price was paid exactly"
    );
    wallet.receive_change(number).await?;
    times.money.push(began.elapsed());
    Ok(wallet.close()?)
}

fn print(args: &Args, exchanged: &Times, changed: &Times) {
    let rows = [
        ("exchange first, goods", &exchanged.goods),
        ("change after, goods", &changed.goods),
        ("change after, change in the wallet", &changed.money),
    ];
    if args.json {
        let rows: Vec<_> = rows
            .iter()
            .map(|(what, times)| {
                json!({ "what": what, "p50_ms": percentile_ms(times, 50), "p99_ms": percentile_ms(times, 99) })
            })
            .collect();
        println!("{}", json!({ "customers": args.customers, "rows": rows }));
        return;
    }
    println!("{:<36} {:>8} {:>8}", "from the command on, ms", "p50", "p99");
    for (what, times) in rows {
        println!(
            "{what:<36} {:>8.1} {:>8.1}",
            percentile_ms(times, 50),
            percentile_ms(times, 99)
        );
    }
}
