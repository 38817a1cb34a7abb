//! The counters of a running node since its start. No counter is about one customer or one purchase.

use super::administer::OperatorError;
use super::report::Report;
use crate::admin::{AdminHandler, admin_call, reply};
use crate::history::{History, status::HistoryStatus};
use crate::quic::{ServerCounters, ServerCounts};
use crate::usage::Usage;
use async_trait::async_trait;
use farthing_store::{Store, StoreCounts};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// The counters of a running node since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The time since the start (ms).
    pub up_ms: u64,
    /// The counters of the store.
    pub store: StoreCounts,
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
}

/// The exit code of `status` for a bank whose list of keys is full.
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
}

impl KeyListStatus {
    /// The text for the operator.
    pub fn text(&self) -> String {
        let Self {
            epochs,
            epochs_max,
            issues_until_ms,
            full,
        } = self;
        let ends = issues_until_ms / 1000;
        match full {
            false => format!("{epochs} of at most {epochs_max} epochs are on the list of keys"),
            true => format!(
                "THE LIST OF KEYS IS FULL at {epochs} epochs, or the clock is years ahead: after {ends} (s since 1970) no \
                 coins are issued. Coins are taken until their dates end, and accounts are paid out (OPERATIONS.md, Keys)"
            ),
        }
    }

    /// The exit code of `status`.
    pub fn exit(&self) -> u8 {
        if self.full { EXIT_KEYS_FULL } else { 0 }
    }
}

/// The request for the status.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
enum StatusRequest {
    Status,
}

impl Status {
    /// The status of the node that runs in `dir`.
    ///
    /// # Errors
    /// When no node runs there, or it does not answer.
    pub async fn of(dir: &Path) -> Result<Status, OperatorError> {
        let request = serde_json::to_value(StatusRequest::Status)?;
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
        } = self;
        let standing = history
            .map(|history| format!("\n{}", history.text()))
            .unwrap_or_default();
        let keys = keys.map(|keys| format!("\n{}", keys.text())).unwrap_or_default();
        let unverified = match store.unverified {
            0 => String::new(),
            records => format!(", {records} of them still to be verified"),
        };
        let mib = |bytes: u64| bytes / (1024 * 1024);
        format!(
            "up {} s, {:.1} s of CPU, at most {} MiB of memory\n\
             {} records in the journal, {} MiB{unverified}; {} transactions since the start\n\
             {} connections, {} requests since the start, {} of them refused as it was busy{standing}{keys}",
            up_ms / 1000,
            process.cpu_us as f64 / 1e6,
            mib(process.memory_peak_bytes),
            store.records,
            mib(store.journal_bytes),
            store.transactions,
            network.connections,
            network.requests,
            network.busy,
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

/// A role's own answers to its operator, and the status of the node that it runs in.
pub(crate) struct WithStatus<R> {
    pub(crate) role: Arc<R>,
    pub(crate) store: Store,
    pub(crate) server: Arc<ServerCounters>,
    pub(crate) history: Option<Arc<History>>,
    pub(crate) key_list: fn(&R) -> Option<KeyListStatus>,
    pub(crate) since: Instant,
}

#[async_trait]
impl<R: AdminHandler> AdminHandler for WithStatus<R> {
    async fn admin(&self, request: Value) -> Result<Value, String> {
        let Ok(StatusRequest::Status) = serde_json::from_value(request.clone()) else {
            return self.role.admin(request).await;
        };
        let status = Status {
            up_ms: u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX),
            store: self.store.counts(),
            network: self.server.counts(),
            process: Usage::of_this_process(),
            history: self.history.as_ref().map(|history| history.status()),
            keys: (self.key_list)(&self.role),
        };
        reply(&status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use farthing_store::disk::MemoryDisk;
    use farthing_store::{Reads, StoreOptions};
    use serde_json::json;

    struct Echo;

    #[async_trait]
    impl AdminHandler for Echo {
        async fn admin(&self, request: Value) -> Result<Value, String> {
            Ok(request)
        }
    }

    #[tokio::test]
    async fn a_status_request_is_answered_and_others_go_to_the_role() {
        let options = StoreOptions::simulated(MemoryDisk::new(), 1);
        let (store, _) = Store::open(Path::new("/store"), options).unwrap();
        for key in [[1], [2]] {
            let put = store.transact(Reads::none(), move |tx| tx.put(&key, vec![7]));
            put.await.unwrap();
        }
        let node = WithStatus {
            role: Arc::new(Echo),
            store,
            server: Arc::default(),
            history: None,
            key_list: |_| None,
            since: Instant::now(),
        };
        let other = json!({ "do": "audit" });
        assert_eq!(node.admin(other.clone()).await.unwrap(), other);
        let status = node.admin(json!({ "do": "status" })).await.unwrap();
        let status: Status = serde_json::from_value(status).unwrap();
        assert_eq!((status.store.records, status.store.transactions), (2, 2));
        assert!(status.store.journal_bytes > 0);
        assert!(status.process.cpu_us > 0);
    }
}
