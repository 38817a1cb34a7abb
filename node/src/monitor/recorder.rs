//! The readings of a node: one a minute, kept for a day. Every answer of the port comes from them, so asking more often
//! tells no more.

use super::coarse::{coarse, may_publish};
use super::source::Monitored;
use crate::books::{Books, FIGURES_MAX};
use crate::operator::status::Status;
use crate::process::StopToken;
use farthing_store::clock::Clock;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The time between two readings (ms).
pub const SAMPLE_EVERY_MS: u64 = 60_000;

/// The time of the second reading after the first one (ms). By then a node mostly knows whether it may decide.
pub const SECOND_AFTER_MS: u64 = 10_000;

/// The number of readings that are kept: those of a day.
pub const SAMPLES_MAX: usize = 24 * 60;

/// The least time between two readings of the books (ms).
pub const BOOKS_EVERY_MS: u64 = 5 * 60_000;

/// How many times as long as the last reading of the books took, the next one waits at least. So counting rows takes at most
/// a twentieth of a processor, however many there are.
const BOOKS_PAUSE_TIMES: u32 = 20;

/// One reading.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    /// The time (ms since 1970).
    pub(super) at_ms: u64,
    /// What the port says of the status.
    pub(super) status: Status,
    /// The values of the published books. Empty before the first ones.
    books: Vec<u64>,
}

/// Books that the port may show.
#[derive(Debug, Clone)]
pub(super) struct Published {
    /// When they were read (ms since 1970).
    pub(super) at_ms: u64,
    /// The books.
    pub(super) books: Books,
}

#[derive(Debug, Default)]
struct Recorded {
    samples: VecDeque<Sample>,
    published: Option<Published>,
}

/// Takes the readings of a node, and keeps them.
pub(super) struct Recorder {
    node: Arc<dyn Monitored>,
    clock: Arc<dyn Clock>,
    recorded: Mutex<Recorded>,
}

impl Recorder {
    /// A recorder with its first reading.
    pub(super) fn new(node: Arc<dyn Monitored>, clock: Arc<dyn Clock>) -> Self {
        let recorder = Self {
            node,
            clock,
            recorded: Mutex::default(),
        };
        recorder.sample();
        recorder
    }

    /// Takes readings until `stop`.
    pub(super) async fn run(&self, stop: &StopToken) {
        let sampling = async {
            let mut wait_ms = SECOND_AFTER_MS;
            loop {
                tokio::time::sleep(Duration::from_millis(wait_ms)).await;
                self.sample();
                wait_ms = SAMPLE_EVERY_MS;
            }
        };
        let reading = async {
            loop {
                let began = Instant::now();
                self.read_books().await;
                let pause = began.elapsed().saturating_mul(BOOKS_PAUSE_TIMES);
                tokio::time::sleep(pause.max(Duration::from_millis(BOOKS_EVERY_MS))).await;
            }
        };
        tokio::select! {
            biased;
            () = stop.stopped() => {}
            () = sampling => {}
            () = reading => {}
        }
    }

    fn recorded(&self) -> MutexGuard<'_, Recorded> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sample(&self) {
        let status = coarse(self.node.status());
        let at_ms = self.clock.now_ms();
        let mut recorded = self.recorded();
        let books = recorded.published.as_ref().map(Published::values);
        if recorded.samples.len() >= SAMPLES_MAX {
            recorded.samples.pop_front();
        }
        recorded.samples.push_back(Sample {
            at_ms,
            status,
            books: books.unwrap_or_default(),
        });
    }

    /// Reads the books, and publishes them if they have enough that is new.
    async fn read_books(&self) {
        let mut books = match self.node.books().await {
            Ok(Some(books)) => books,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(%error, "the books cannot be read for the metrics; they are read again later");
                return;
            }
        };
        books.figures.truncate(FIGURES_MAX);
        let at_ms = self.clock.now_ms();
        let mut recorded = self.recorded();
        let is_due = recorded.published.as_ref().is_none_or(|published| {
            may_publish(&books, &published.books, at_ms.saturating_sub(published.at_ms))
        });
        if is_due {
            recorded.published = Some(Published { at_ms, books });
        }
    }

    /// The newest reading.
    pub(super) fn latest(&self) -> Option<Sample> {
        self.recorded().samples.back().cloned()
    }

    /// The published books.
    pub(super) fn published(&self) -> Option<Published> {
        self.recorded().published.clone()
    }

    /// All readings as JSON: a list for each figure, with the oldest reading first.
    pub(super) fn series(&self) -> Value {
        let recorded = self.recorded();
        let of = |value: fn(&Sample) -> u64| recorded.samples.iter().map(value).collect::<Vec<_>>();
        let store = |value: fn(&farthing_store::StoreCounts) -> u64| {
            let samples = recorded.samples.iter();
            samples
                .map(|sample| sample.status.store.as_ref().map_or(0, value))
                .collect::<Vec<_>>()
        };
        let books: Vec<&[u64]> = recorded
            .samples
            .iter()
            .map(|sample| sample.books.as_slice())
            .collect();
        json!({
            "at_ms": of(|sample| sample.at_ms),
            "connections": of(|sample| sample.status.network.connections),
            "requests": of(|sample| sample.status.network.requests),
            "busy": of(|sample| sample.status.network.busy),
            "refused": of(|sample| sample.status.state.replies.refused),
            "later": of(|sample| sample.status.state.replies.later),
            "faulty": of(|sample| sample.status.state.replies.faulty),
            "requests_now": of(|sample| sample.status.state.load.requests.now as u64),
            "connections_now": of(|sample| sample.status.state.load.connections.now as u64),
            "transactions": store(|store| store.transactions),
            "syncs": store(|store| store.records),
            "sync_us": store(|store| store.sync_us),
            "books": books,
        })
    }
}

impl Published {
    fn values(&self) -> Vec<u64> {
        self.books.figures.iter().map(|figure| figure.value).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::books::Figure;
    use crate::card::RoleName;
    use crate::process::stop_pair;
    use async_trait::async_trait;
    use farthing_store::clock::SystemClock;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// A node with as many acts and requests as the number says.
    struct Busy(AtomicU64);

    #[async_trait]
    impl Monitored for Busy {
        fn role(&self) -> RoleName {
            RoleName::Escrow
        }

        fn status(&self) -> Status {
            let mut status = Status::default();
            status.network.requests = self.0.load(Ordering::Relaxed);
            status
        }

        async fn books(&self) -> Result<Option<Books>, String> {
            let acts = self.0.load(Ordering::Relaxed);
            Ok(Some(Books {
                currency: None,
                acts,
                figures: vec![Figure::count("acts", "acts", acts)],
            }))
        }

        fn stopped(&self) -> Option<String> {
            None
        }

        fn lacks(&self) -> Vec<&'static str> {
            Vec::new()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn readings_of_a_day_are_kept_and_one_act_is_not_seen() {
        let node = Arc::new(Busy(AtomicU64::new(25)));
        let recorder = Arc::new(Recorder::new(node.clone(), Arc::new(SystemClock)));
        let (stopper, stop) = stop_pair();
        let running = Arc::clone(&recorder);
        let run = tokio::spawn(async move { running.run(&stop).await });
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(recorder.latest().unwrap().status.network.requests, 20);
        assert_eq!(recorder.published().unwrap().books.acts, 25);

        node.0.store(34, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(BOOKS_EVERY_MS)).await;
        assert_eq!(
            recorder.published().unwrap().books.acts,
            25,
            "nine acts are not published"
        );
        assert_eq!(recorder.latest().unwrap().status.network.requests, 30);
        node.0.store(35, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(BOOKS_EVERY_MS)).await;
        assert_eq!(recorder.published().unwrap().books.acts, 35);

        tokio::time::sleep(Duration::from_millis(SAMPLE_EVERY_MS * SAMPLES_MAX as u64)).await;
        let series = recorder.series();
        assert_eq!(series["at_ms"].as_array().unwrap().len(), SAMPLES_MAX);
        assert_eq!(series["books"][SAMPLES_MAX - 1][0], 35);
        stopper.stop();
        run.await.unwrap();
    }
}
