//! The state that the writer shares with the readers.

use crate::counts::{StoreCounts, Work};
use crate::error::StoreError;
use crate::index::{Head, Row};
use crate::limits::DATABASE_OUTAGE_WAIT;
use crate::postgres::error::DatabaseError;
use crate::postgres::flight::Flight;
use crate::postgres::pool::{Pool, Question};
use crate::postgres::runtime::{Driver, blocking};
use crate::read_backend::ReadBackend;
use farthing_protocol::ids::RecordHash;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The durable rows, the head and the counters.
pub(crate) struct Rows {
    pub(crate) driver: Driver,
    pub(crate) flight: Flight,
    pool: Arc<Pool>,
    /// The URL, for errors.
    name: String,
    head: Mutex<Head>,
    /// Length of all batches (bytes).
    bytes: AtomicU64,
    pub(crate) work: Work,
    unreachable: AtomicBool,
    halted: OnceLock<StoreError>,
}

impl Rows {
    /// The store at `head`.
    pub(crate) fn new(driver: Driver, pool: Pool, name: String, head: Head, bytes: u64) -> Self {
        Self {
            driver,
            flight: Flight::default(),
            pool: Arc::new(pool),
            name,
            head: Mutex::new(head),
            bytes: AtomicU64::new(bytes),
            work: Work::default(),
            unreachable: AtomicBool::new(false),
            halted: OnceLock::new(),
        }
    }

    /// Sets the head, which is durable.
    pub(crate) fn advance(&self, head: Head, bytes: u64) {
        *self.head.lock().unwrap_or_else(PoisonError::into_inner) = head;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Records whether the writer waits for the database.
    pub(crate) fn set_unreachable(&self, unreachable: bool) {
        self.unreachable.store(unreachable, Ordering::Relaxed);
    }

    /// Records why the writer has halted. The first reason stays.
    pub(crate) fn halted(&self, why: &StoreError) {
        self.halted.get_or_init(|| why.clone());
    }

    /// The answer to a question, once all that it may have seen is durable. It blocks.
    fn ask(&self, question: Question) -> Result<Vec<Row>, StoreError> {
        let pool = Arc::clone(&self.pool);
        blocking(|| {
            let answer = self.driver.wait(async move { pool.ask(&question).await });
            let answer = answer.unwrap_or_else(|| Err(self.failed("a thread of the store has failed")))?;
            match (self.flight.wait(DATABASE_OUTAGE_WAIT), self.halted.get()) {
                (true, _) => Ok(answer),
                (false, Some(why)) => Err(why.clone()),
                (false, None) => Err(StoreError::Database(DatabaseError::Unreachable {
                    database: self.name.clone(),
                    why: "the outcome of its last write is not known yet".to_owned(),
                })),
            }
        })
    }

    fn failed(&self, why: &str) -> DatabaseError {
        DatabaseError::Failed {
            database: self.name.clone(),
            doing: "answer",
            why: why.to_owned(),
        }
    }
}

impl ReadBackend for Rows {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let rows = self.ask(Question::Rows(vec![key.to_vec()]))?;
        Ok(rows.into_iter().next().map(|(_, value)| value))
    }

    fn scan(&self, prefix: &[u8], from: Bound<&[u8]>, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.ask(Question::scan(prefix, from, limit))
    }

    fn head(&self) -> Head {
        *self.head.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hash_at(&self, sequence: u64) -> Result<RecordHash, StoreError> {
        let number = i64::try_from(sequence).unwrap_or(i64::MAX);
        let rows = self.ask(Question::Hash(number))?;
        let hash = rows.first().and_then(|(_, hash)| hash.as_slice().try_into().ok());
        let missing = || self.failed(&format!("its chain has no hash {sequence}"));
        Ok(RecordHash(hash.ok_or_else(missing)?))
    }

    fn counts(&self) -> StoreCounts {
        StoreCounts {
            records: self.head().sequence,
            journal_bytes: self.bytes.load(Ordering::Relaxed),
            unreachable: self.unreachable.load(Ordering::Relaxed),
            ..self.work.counts()
        }
    }

    fn stopped(&self) -> Option<String> {
        self.halted.get().map(ToString::to_string)
    }
}
