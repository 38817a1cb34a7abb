//! The command `drain`.

use super::administer::{OperatorError, PAUSE, STORE_DIR, TRIES};
use super::report::Report;
use super::requests::NodeRequest;
use crate::admin::admin_call;
use crate::date;
use crate::drain::{Drain, UnderWay};
use crate::home::Home;
use crate::store;
use clap::Args;
use farthing_store::clock::{Clock, SystemClock};
use farthing_store::disk::{Disk, FileDisk};
use farthing_store::{StoreError, StoreOptions, WhileInUse};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::io;
use std::path::{Path, PathBuf};

/// The arguments of `drain`.
#[derive(Debug, Clone, Args)]
pub struct DrainArgs {
    /// The node's directory.
    pub dir: PathBuf,
    /// Begin new work again.
    #[arg(long, conflicts_with = "status")]
    pub off: bool,
    /// Only show whether the node drains, and what is left.
    #[arg(long)]
    pub status: bool,
}

/// The reply of a running node to `drain`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainStatus {
    /// When the draining began (ms since 1970). `None` if the node does not drain.
    pub since_ms: Option<u64>,
    /// What is under way.
    pub under_way: UnderWay,
    /// Whether nothing that began before is left.
    pub done: bool,
}

/// Executes `drain` in a running node, or in the directory of a stopped one.
pub(super) async fn drain<C>(home: &Home<C>, args: &DrainArgs) -> Result<Report, OperatorError> {
    let DrainArgs { dir, off, status } = args;
    let on = match (off, status) {
        (true, _) => Some(false),
        (false, true) => None,
        (false, false) => Some(true),
    };
    let request = serde_json::to_value(NodeRequest::Drain { on })?;
    let mut in_use = None;
    for _ in 0..TRIES {
        if let Some(reply) = admin_call(dir, &request).await? {
            return running(serde_json::from_value(reply)?);
        }
        // A node that starts or stops holds the store. It reads the file after it has opened the store.
        match hold_store(home) {
            Ok(_held) => return stopped(dir, on),
            Err(OperatorError::Store(error)) if error.is_in_use() => in_use = Some(error),
            Err(error) => return Err(error),
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(OperatorError::in_use(dir, in_use))
}

/// Keeps every process from opening the store of a node, until the result is dropped.
fn hold_store<C>(home: &Home<C>) -> Result<Box<dyn Send>, OperatorError> {
    if home.config().store.is_some() {
        return Ok(Box::new(store::open(
            home,
            StoreOptions::default(),
            WhileInUse::Refuse,
        )?));
    }
    let dir = home.dir().join(STORE_DIR);
    match FileDisk.lock(&dir) {
        Ok(lock) => Ok(Box::new(lock)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(StoreError::InUse { dir }.into()),
        Err(source) => Err(OperatorError::File { path: dir, source }),
    }
}

fn running(status: DrainStatus) -> Result<Report, OperatorError> {
    let DrainStatus {
        since_ms,
        under_way,
        done,
    } = &status;
    let mut lines = vec![match since_ms {
        Some(since_ms) => format!(
            "the node drains since {}: it begins nothing new",
            date::text(*since_ms)
        ),
        None => "the node does not drain: it takes new work".to_owned(),
    }];
    for work in under_way.open.iter().filter(|work| work.count > 0) {
        let more = if work.more { " or more" } else { "" };
        lines.push(format!("{}{more} {}", work.count, work.what));
    }
    if let Some(until_ms) = under_way.until_ms.filter(|_| !done && since_ms.is_some()) {
        lines.push(format!(
            "until {}, customers may still come with work that began before",
            date::text(until_ms)
        ));
    }
    if *done && since_ms.is_some() {
        lines.push("nothing that began before is left".to_owned());
    }
    Ok(Report::new(lines.join("\n"), serde_json::to_value(&status)?))
}

fn stopped(dir: &Path, on: Option<bool>) -> Result<Report, OperatorError> {
    let failed = |source| OperatorError::File {
        path: dir.join(crate::drain::DRAIN_FILE),
        source,
    };
    let drain = Drain::of(dir).map_err(failed)?;
    if let Some(on) = on {
        drain.set(on, SystemClock.now_ms()).map_err(failed)?;
    }
    let since_ms = drain.since_ms();
    let text = match since_ms {
        Some(_) => "the node is stopped, and drains when it starts; `drain --status` then says what is left",
        None => "the node is stopped, and takes new work when it starts",
    };
    Ok(Report::new(text, json!({ "since_ms": since_ms })))
}
