//! What each request of a stranger costs its server, measured alone and printed as a table.

use crate::{
    args::Args,
    attacker,
    crowd::{ADDRESSES, PATIENCE, source},
    strangers,
    subject::Subject,
    target::{self, Target},
    wallets::Wallets,
};
use anyhow::{Context, Result};
use farthing_kit::{
    market::Offers,
    nodes::Node,
    stranger::{Depth, KINDS},
};
use farthing_node::{
    link::Link,
    network::{Channel, Lane},
    network_file::NetworkFile,
    operator::status::Status,
    quic::QuicNetwork,
};
use farthing_protocol::money::Amount;
use serde::Serialize;
use std::{io::Write, path::Path, sync::Arc, time::Duration};
use tokio::{task::JoinSet, time::Instant};

/// The requests under way from each address: as many as a server works on at once.
const UNDER_WAY: usize = 4;

/// The number of different requests of a kind.
const DIFFERENT: usize = 16;

/// The stream that is for sale: the price of a tick, and its bytes.
const PRICE_PER_TICK: &str = "0.01";
const CHUNK_BYTES: usize = 1024;

/// What one request of a subject costs its server.
#[derive(Debug, Serialize)]
struct Cost {
    kind: &'static str,
    deepest: bool,
    ends: &'static str,
    /// Processor time of the whole process, with transport (us).
    cpu_us: f64,
    /// Syncs of the journal.
    syncs: f64,
    /// Growth of the journal (bytes).
    journal_bytes: f64,
    /// The length of a request (bytes).
    request_bytes: usize,
    /// The length of a reply (bytes).
    reply_bytes: f64,
    /// The growth of the most memory that the process ever had, while 16 were under way (bytes).
    memory_peak_growth_bytes: u64,
    /// How many were answered a second.
    per_second: f64,
}

/// Starts nodes, measures every subject, and prints the table, or a line of JSON for each.
///
/// # Errors
/// When a node does not start or answer.
pub(crate) async fn run(args: &Args, dir: &Path) -> Result<()> {
    let target = Arc::new(Target::of(args, dir).await?);
    for (title, price, offers) in [
        ("sealed", target.price, Offers::Sealed),
        ("free", Amount(0), Offers::Plain),
    ] {
        let file = dir.join("goods.bin");
        target
            .sell(
                &file,
                &format!("{title} {}", target::random_word()),
                price,
                offers,
            )
            .await?;
    }
    let file = dir.join("goods.bin");
    let title = format!("stream {}", target::random_word());
    target
        .sell_by_tick(&file, &title, PRICE_PER_TICK, CHUNK_BYTES)
        .await?;
    let wallets = Wallets::new(&target, dir)?;
    let cards = NetworkFile::load(wallets.dir())?;
    let mut costs = Vec::new();
    let subjects = subjects(&cards).await?;
    let bar = indicatif::ProgressBar::new(subjects.len() as u64);
    for subject in subjects {
        let cost = measured(&target, subject, Duration::from_secs(args.seconds)).await?;
        if args.json {
            writeln!(std::io::stdout(), "{}", serde_json::to_string(&cost)?)?;
        }
        costs.push(cost);
        bar.inc(1);
    }
    bar.finish_and_clear();
    target.end().await?;
    if !args.json {
        table(&costs)?;
    }
    Ok(())
}

/// All requests of strangers: to the servers, and then to relays and as a relay.
async fn subjects(cards: &NetworkFile) -> Result<Vec<Subject>> {
    let stranger = strangers::stranger_of(cards, 0).await?;
    let mut subjects = Vec::new();
    for kind in KINDS {
        for (depth, ends) in [(Depth::First, kind.first), (Depth::Deepest, kind.deepest)] {
            if depth == Depth::First && kind.first == NONE {
                continue;
            }
            let made = (0..DIFFERENT).map(|_| kind.request(&stranger, depth));
            let (lanes, requests): (Vec<Lane>, Vec<_>) = made.unzip();
            subjects.push(Subject {
                kind: kind.name,
                depth,
                ends,
                server: kind.role,
                dialled: cards.only_one(kind.role)?.clone(),
                lane: lanes.first().copied().context("there is a request")?,
                requests,
            });
        }
    }
    subjects.extend(attacker::relayed(cards).await?);
    Ok(subjects)
}

/// The first check of a kind that has none.
const NONE: &str = "none";

async fn measured(target: &Target, subject: Subject, time: Duration) -> Result<Cost> {
    let nodes = target.nodes().into_iter().chain(&target.relay);
    let node: &Node = nodes
        .into_iter()
        .find(|node| node.card().role == subject.server)
        .context("there is no such node")?;
    let request_bytes = subject.requests.first().map_or(0, Vec::len);
    let requests = Arc::new(subject.requests);
    let before = Status::of(node.dir()).await?;
    let began = Instant::now();
    let mut clients = JoinSet::new();
    for address in 0..ADDRESSES {
        let network = Arc::new(QuicNetwork::new().from_source(source(address)?));
        let link = Arc::new(Link::new(network, subject.dialled.clone(), subject.lane));
        for first in 0..UNDER_WAY {
            let (link, requests) = (Arc::clone(&link), Arc::clone(&requests));
            clients.spawn(async move {
                let mut replies = Vec::new();
                for request in requests.iter().cycle().skip(first) {
                    if began.elapsed() >= time {
                        break;
                    }
                    // Without a reply the request was turned away as one too many.
                    let reply = link.call(request.clone(), PATIENCE).await;
                    replies.extend(reply.ok().map(|reply| reply.len()));
                }
                replies
            });
        }
    }
    let mut replies = Vec::new();
    while let Some(ended) = clients.join_next().await {
        replies.extend(ended.context("a client failed on a bug")?);
    }
    let seconds = began.elapsed().as_secs_f64();
    let after = Status::of(node.dir()).await?;
    let count = after
        .network
        .requests
        .saturating_sub(before.network.requests)
        .max(1) as f64;
    let each = |of: fn(&Status) -> u64| of(&after).saturating_sub(of(&before)) as f64 / count;
    Ok(Cost {
        kind: subject.kind,
        deepest: subject.depth == Depth::Deepest,
        ends: subject.ends,
        cpu_us: each(|s| s.process.cpu_us),
        syncs: each(|s| s.store.unwrap_or_default().records),
        journal_bytes: each(|s| s.store.unwrap_or_default().journal_bytes),
        request_bytes,
        reply_bytes: replies.iter().sum::<usize>() as f64 / replies.len().max(1) as f64,
        memory_peak_growth_bytes: after
            .process
            .memory_peak_bytes
            .saturating_sub(before.process.memory_peak_bytes),
        per_second: count / seconds,
    })
}

/// Prints a Markdown table with a line for each kind.
fn table(costs: &[Cost]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "| request | first check | CPU us | then | CPU us | syncs | stored B | request B | reply B | memory KiB |\n\
         |---|---|---:|---|---:|---:|---:|---:|---:|---:|"
    )?;
    for deepest in costs.iter().filter(|cost| cost.deepest) {
        let first = costs
            .iter()
            .find(|cost| !cost.deepest && cost.kind == deepest.kind);
        writeln!(
            out,
            "| {} | {} | {} | {} | {:.0} | {:.2} | {:.0} | {} | {:.0} | {} |",
            deepest.kind,
            first.map_or(NONE, |first| first.ends),
            first.map_or(String::new(), |first| format!("{:.0}", first.cpu_us)),
            deepest.ends,
            deepest.cpu_us,
            deepest.syncs,
            deepest.journal_bytes,
            deepest.request_bytes,
            deepest.reply_bytes,
            deepest.memory_peak_growth_bytes / 1024,
        )?;
    }
    Ok(())
}
