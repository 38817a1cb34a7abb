//! The counters of a running node since its start. No counter is about one customer or one purchase.

use super::administer::OperatorError;
use super::report::Report;
use super::requests::NodeRequest;
use super::state::NodeState;
use crate::admin::admin_call;
use crate::history::status::HistoryStatus;
use crate::transport::ServerCounts;
use crate::usage::Usage;
use farthing_store::StoreCounts;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The counters of a running node since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The time since the start (ms).
    pub up_ms: u64,
    /// The counters of the store, if the node has one.
    #[serde(default)]
    pub store: Option<StoreCounts>,
    /// The counters of requests.
    pub network: ServerCounts,
    /// The CPU time and memory of the process.
    pub process: Usage,
    /// Whether it may decide, if its role has a history.
    #[serde(default)]
    pub history: Option<HistoryStatus>,
    /// The room in its list of keys, if its role has one.
    #[serde(default)]
    pub keys: Option<KeyListStatus>,
    /// What it is doing now.
    #[serde(default)]
    pub state: NodeState,
    /// Whether it drains: it begins nothing new.
    #[serde(default)]
    pub draining: bool,
}

/// The exit code of `status` for a bank that appends no epochs: its list of keys is full, or it doubts its clock.
pub const EXIT_KEYS_FULL: u8 = 5;

/// The room in a bank's list of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyListStatus {
    /// The number of epochs in the list.
    pub epochs: usize,
    /// The number of epochs that fit.
    pub epochs_max: usize,
    /// When the last epoch stops issuing coins (ms since 1970).
    pub issues_until_ms: u64,
    /// Whether the calendar asks for more epochs than fit.
    pub full: bool,
    /// Why the bank does not believe its clock, if it does not. It then appends no epochs.
    #[serde(default)]
    pub doubt: Option<ClockDoubt>,
}

/// Why a bank does not believe its clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClockDoubt {
    /// The clock is far ahead of the epochs on the list.
    Ahead,
    /// The clock is before the first epoch on the list.
    Behind,
}

impl ClockDoubt {
    /// What the operator must do.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Ahead => {
                "the clock is far ahead of the list of keys, so no epoch is appended: set the clock right or, if it is right, \
                 start the bank once with `serve --accept-clock` (OPERATIONS.md, Keys)"
            }
            Self::Behind => {
                "the clock is before the first epoch of the list of keys, so no coins are issued: set the clock right or, if \
                 it is right and was wrong at `init`, make a new bank (OPERATIONS.md, Keys)"
            }
        }
    }
}

impl KeyListStatus {
    /// The text for the operator.
    pub fn text(&self) -> String {
        let Self {
            epochs,
            epochs_max,
            issues_until_ms,
            full,
            doubt,
        } = self;
        if let Some(doubt) = doubt {
            return format!("THE CLOCK IS DOUBTED: {}", doubt.advice());
        }
        let ends = issues_until_ms / 1000;
        match full {
            false => format!("{epochs} of at most {epochs_max} epochs are on the list of keys"),
            true => format!(
                "THE LIST OF KEYS IS FULL at {epochs} epochs: after {ends} (s since 1970) no \
                 coins are issued. Coins are taken until their dates end, and accounts are paid out (OPERATIONS.md, Keys)"
            ),
        }
    }

    /// The exit code of `status`.
    pub fn exit(&self) -> u8 {
        match self.full || self.doubt.is_some() {
            true => EXIT_KEYS_FULL,
            false => 0,
        }
    }
}

impl Status {
    /// The status of the node that runs in `dir`.
    ///
    /// # Errors
    /// When no node runs there, or it does not answer.
    pub async fn of(dir: &Path) -> Result<Status, OperatorError> {
        let request = serde_json::to_value(NodeRequest::Status)?;
        match admin_call(dir, &request).await? {
            Some(answer) => Ok(serde_json::from_value(answer)?),
            None => Err(OperatorError::refused(format!(
                "no node runs in {}; there is nothing to count",
                dir.display()
            ))),
        }
    }

    fn text(&self) -> String {
        let Status {
            up_ms,
            store,
            network,
            process,
            history,
            keys,
            state,
            draining,
        } = self;
        let standing = history
            .map(|history| format!("\n{}", history.text()))
            .unwrap_or_default();
        let keys = keys.map(|keys| format!("\n{}", keys.text())).unwrap_or_default();
        let draining = match draining {
            true => "\nit drains, and begins nothing new; `drain --status` says what is left",
            false => "",
        };
        let mib = |bytes: u64| bytes / (1024 * 1024);
        let journal = store.map(|store| {
            let unverified = match store.unverified {
                0 => String::new(),
                records => format!(", {records} of them still to be verified"),
            };
            let archived = match store.archived {
                0 => String::new(),
                records => format!(", {records} of them archived"),
            };
            let unreachable = match store.unreachable {
                true => "THE DATABASE DOES NOT ANSWER; transactions are refused until it does, and the log says why\n",
                false => "",
            };
            format!(
                "{unreachable}{} records in the journal, {} MiB{archived}{unverified}; {} transactions since the start\n",
                store.records,
                mib(store.journal_bytes),
                store.transactions
            )
        });
        let journal = journal.unwrap_or_default();
        let complaints = match state.complaints {
            0 => String::new(),
            some => format!("\n{some} things go wrong again and again; the log says which"),
        };
        format!(
            "up {} s, {:.1} s of CPU, at most {} MiB of memory\n{journal}\
             {} connections, {} requests since the start, {} of them refused as it was busy\n\
             {} connections and {} requests are under way, {} MiB are free on the disk{complaints}{standing}{keys}{draining}",
            up_ms / 1000,
            process.cpu_us as f64 / 1e6,
            mib(process.memory_peak_bytes),
            network.connections,
            network.requests,
            network.busy,
            state.load.connections.now,
            state.load.requests.now,
            mib(state.disk.free_bytes),
        )
    }
}

/// The status of the node in `dir`, for its operator.
pub(super) async fn show(dir: &Path) -> Result<Report, OperatorError> {
    let status = Status::of(dir).await?;
    let mut report = Report::new(status.text(), serde_json::to_value(status)?);
    let undecided = status.history.map_or(0, |history| history.exit());
    report.exit = match undecided {
        0 => status.keys.map_or(0, |keys| keys.exit()),
        undecided => undecided,
    };
    Ok(report)
}
