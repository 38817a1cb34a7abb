//! The resources that each node and the client used: read before and after a run, divided by the work done.

use crate::{target::Target, wallets::Wallets};
use anyhow::Result;
use farthing_node::{operator::status::Status, usage::Usage};
use farthing_store::StoreCounts;
use serde::Serialize;
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// Background work has ended when no node ran a transaction or verified more of its journal for this time. The
/// merchant's pause between its questions about sealed offers is added.
const QUIET: Duration = Duration::from_millis(700);

/// The most time that background work may take to end.
const QUIET_PATIENCE: Duration = Duration::from_secs(600);

/// The pause between two checks.
const LOOK: Duration = Duration::from_millis(50);

/// The name of the party that is this program with all its customers. All others are servers.
const CLIENT: &str = "client";

/// The work of nodes and client since their start.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    parties: Vec<(&'static str, Counts)>,
    unanswered: u64,
    refused: u64,
}

/// The work of one party.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    store: StoreCounts,
    usage: Usage,
    requests: u64,
    busy: u64,
    connections: u64,
    frame_bytes: u64,
}

impl From<Status> for Counts {
    fn from(status: Status) -> Self {
        let Status {
            store,
            network,
            process,
            ..
        } = status;
        Counts {
            store: store.unwrap_or_default(),
            usage: process,
            requests: network.requests,
            busy: network.busy,
            connections: network.connections,
            frame_bytes: network.request_bytes.saturating_add(network.reply_bytes),
        }
    }
}

impl Snapshot {
    /// Reads the counters now.
    pub(crate) async fn take(target: &Target, wallets: &Wallets) -> Result<Snapshot> {
        let asked = wallets.asked();
        let now = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let client = Counts {
            store: wallets.store().counts(),
            usage: Usage::of_this_process(),
            requests: now(&asked.questions),
            ..Counts::default()
        };
        let mut parties = Vec::new();
        for node in target.nodes().into_iter().chain(&target.relay) {
            parties.push((node.card().role.as_str(), Status::of(node.dir()).await?.into()));
        }
        parties.push((CLIENT, client));
        Ok(Snapshot {
            parties,
            unanswered: now(&asked.unanswered),
            refused: now(&asked.refused),
        })
    }
}

async fn statuses(target: &Target) -> Result<[Status; 3]> {
    let [bank, escrow, merchant] = target.nodes();
    Ok([
        Status::of(bank.dir()).await?,
        Status::of(escrow.dir()).await?,
        Status::of(merchant.dir()).await?,
    ])
}

/// Waits until all background work has ended, and returns how long that took.
pub(crate) async fn quiet(target: &Target) -> Result<Duration> {
    let began = Instant::now();
    let (mut last, mut since) = (None, began);
    loop {
        let now = statuses(target)
            .await?
            .map(|status| status.store.unwrap_or_default())
            .map(|store| (store.transactions, store.unverified));
        if last.replace(now) != Some(now) {
            since = Instant::now();
        } else if since.elapsed() > QUIET.saturating_add(target.asks_every) {
            return Ok(since.duration_since(began));
        }
        if began.elapsed() > QUIET_PATIENCE {
            anyhow::bail!("the nodes do not come to rest: something is settled again and again");
        }
        sleep(LOOK).await;
    }
}

/// The resources that one party used for one purchase, withdrawal or exchange.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Cost {
    /// Processor time (us).
    pub(crate) cpu_us: f64,
    /// Syncs of the journal, one record each.
    pub(crate) syncs: f64,
    /// Transactions. Many of them share a sync.
    pub(crate) transactions: f64,
    /// Growth of the journal (bytes).
    pub(crate) journal_bytes: f64,
    /// Bytes that the operating system wrote to the disk for it, with index and file system.
    pub(crate) written_bytes: f64,
    /// Requests that a node answered, or that the client sent. Each has one reply.
    pub(crate) requests: f64,
    /// Handshakes that a node answered.
    pub(crate) connections: Option<f64>,
    /// Requests and replies of a node together (bytes).
    pub(crate) frame_bytes: Option<f64>,
    /// The most memory that the party had so far (bytes, total).
    pub(crate) memory_peak_bytes: u64,
}

/// The use of all parties.
#[derive(Debug, Clone)]
pub(crate) struct Costs {
    /// Each party with its name: the servers, and then the client.
    pub(crate) parties: Vec<(&'static str, Cost)>,
    /// Requests that were repeated (total).
    pub(crate) unanswered: u64,
    /// Requests that were refused (total).
    pub(crate) refused: u64,
    /// Requests that nodes refused at once because they were busy (total).
    pub(crate) busy: u64,
}

impl Costs {
    /// The use per unit of `done` units between two moments.
    pub(crate) fn between(before: &Snapshot, after: &Snapshot, done: u64) -> Costs {
        let both = before.parties.iter().zip(&after.parties);
        let parties =
            both.map(|((name, before), (_, after))| (*name, cost(before, after, done, *name != CLIENT)));
        let busy = |snapshot: &Snapshot| {
            let parties = snapshot.parties.iter();
            parties.map(|(_, counts)| counts.busy).sum::<u64>()
        };
        Costs {
            parties: parties.collect(),
            unanswered: after.unanswered.saturating_sub(before.unanswered),
            refused: after.refused.saturating_sub(before.refused),
            busy: busy(after).saturating_sub(busy(before)),
        }
    }

    /// Processor time of all servers together, the relay included (us).
    pub(crate) fn server_cpu_us(&self) -> f64 {
        let servers = self.parties.iter().filter(|(name, _)| *name != CLIENT);
        servers.map(|(_, cost)| cost.cpu_us).sum()
    }

    /// Processor time of the client (us).
    pub(crate) fn client_cpu_us(&self) -> f64 {
        let client = self.parties.iter().filter(|(name, _)| *name == CLIENT);
        client.map(|(_, cost)| cost.cpu_us).sum()
    }
}

fn cost(before: &Counts, after: &Counts, done: u64, of_node: bool) -> Cost {
    let each = |of: fn(&Counts) -> u64| of(after).saturating_sub(of(before)) as f64 / done.max(1) as f64;
    Cost {
        cpu_us: each(|c| c.usage.cpu_us),
        syncs: each(|c| c.store.records),
        transactions: each(|c| c.store.transactions),
        journal_bytes: each(|c| c.store.journal_bytes),
        written_bytes: each(|c| c.usage.written_bytes),
        requests: each(|c| c.requests),
        connections: Some(each(|c| c.connections)).filter(|_| of_node),
        frame_bytes: Some(each(|c| c.frame_bytes)).filter(|_| of_node),
        memory_peak_bytes: after.usage.memory_peak_bytes,
    }
}
