//! The sessions that read outside transactions: a fixed number, which are opened when they are needed. So no library for
//! pools is needed.

use crate::index::{Row, scan_start};
use crate::limits::{DATABASE_OUTAGE_WAIT, DATABASE_READ_SESSIONS, DATABASE_RETRY_PAUSE, KEY_MAX_BYTES};
use crate::postgres::error::DatabaseError;
use crate::postgres::session::{Connector, QueryError, Session};
use crate::postgres::tables;
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::Semaphore;
use tokio_postgres::Statement;

/// A question to the durable state.
#[derive(Debug, Clone)]
pub(crate) enum Question {
    /// The rows at these keys.
    Rows(Vec<Vec<u8>>),
    /// At most `limit` rows from `from` on and before `end`.
    Scan {
        /// The first key.
        from: Vec<u8>,
        /// The key after the last one.
        end: Vec<u8>,
        /// How many rows.
        limit: i64,
    },
    /// The hash of the chain at a number, as the value of a row.
    Hash(i64),
}

impl Question {
    /// The rows in key order whose keys begin with `prefix`, from `from` on.
    pub(crate) fn scan(prefix: &[u8], from: Bound<&[u8]>, limit: usize) -> Self {
        let from = match scan_start(prefix, from) {
            Bound::Included(key) => key.to_vec(),
            // The next key in the order of the bytes.
            Bound::Excluded(key) => [key, &[0]].concat(),
            Bound::Unbounded => Vec::new(),
        };
        Self::Scan {
            from,
            end: end_of(prefix),
            limit: i64::try_from(limit).unwrap_or(i64::MAX),
        }
    }
}

/// The first key after all keys that begin with `prefix`.
fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return end;
        }
    }
    // Longer than every key, and nothing but the highest byte.
    vec![u8::MAX; KEY_MAX_BYTES + 1]
}

/// A session with the statements of all questions.
pub(crate) struct ReadSession {
    session: Session,
    rows: Statement,
    scan: Statement,
    hash: Statement,
}

impl ReadSession {
    /// Prepares the statements.
    ///
    /// # Errors
    /// When the connection is lost.
    pub(crate) async fn new(session: Session) -> Result<Self, QueryError> {
        Ok(Self {
            rows: session.prepare(tables::READ).await?,
            scan: session.prepare(tables::SCAN).await?,
            hash: session.prepare(tables::HASH).await?,
            session,
        })
    }

    /// The connection.
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// The answer to a question: keys with values.
    ///
    /// # Errors
    /// When the connection is lost, or the database refuses.
    pub(crate) async fn ask(&self, question: &Question) -> Result<Vec<Row>, QueryError> {
        let session = &self.session;
        let rows = match question {
            Question::Rows(keys) => session.rows(&self.rows, &[keys]).await?,
            Question::Scan { from, end, limit } => session.rows(&self.scan, &[from, end, limit]).await?,
            Question::Hash(sequence) => {
                let rows = session.rows(&self.hash, &[sequence]).await?;
                let hash = |row: &tokio_postgres::Row| Ok((Vec::new(), row.try_get(0)?));
                return rows.iter().map(hash).collect();
            }
        };
        let pair = |row: &tokio_postgres::Row| Ok((row.try_get(0)?, row.try_get(1)?));
        rows.iter().map(pair).collect()
    }
}

/// The sessions.
pub(crate) struct Pool {
    connector: Arc<Connector>,
    free: Mutex<Vec<ReadSession>>,
    permits: Semaphore,
}

impl Pool {
    /// Has no session yet.
    pub(crate) fn new(connector: Arc<Connector>) -> Self {
        Self {
            connector,
            free: Mutex::default(),
            permits: Semaphore::new(DATABASE_READ_SESSIONS),
        }
    }

    /// The answer to a question. A lost connection is opened again, for at most [`DATABASE_OUTAGE_WAIT`].
    ///
    /// # Errors
    /// [`DatabaseError::Unreachable`] when this was too short, and what else is wrong with the database.
    pub(crate) async fn ask(&self, question: &Question) -> Result<Vec<Row>, DatabaseError> {
        let begin = Instant::now();
        loop {
            let why = match self.ask_once(question).await {
                Ok(answer) => return Ok(answer),
                Err(DatabaseError::Unreachable { why, .. }) => why,
                Err(error) => return Err(error),
            };
            if begin.elapsed() >= DATABASE_OUTAGE_WAIT {
                return Err(self.connector.unreachable(why));
            }
            tokio::time::sleep(DATABASE_RETRY_PAUSE).await;
        }
    }

    async fn ask_once(&self, question: &Question) -> Result<Vec<Row>, DatabaseError> {
        let lost = |error: QueryError| self.connector.unreachable(error.why);
        let _permit = self.permits.acquire().await;
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let session = match free.filter(|free| !free.session.has_ended()) {
            Some(session) => session,
            None => ReadSession::new(self.connector.connect().await?)
                .await
                .map_err(lost)?,
        };
        // A session whose question failed is dropped: its answer could still come.
        let answer = session.ask(question).await.map_err(lost)?;
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.push(session);
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_after_all_its_keys() {
        assert_eq!(end_of(&[1, 2]), [1, 3]);
        assert_eq!(end_of(&[1, 255]), [2]);
        let end = end_of(&[255, 255]);
        assert!(end > vec![255; KEY_MAX_BYTES]);
        assert!(end_of(&[]) > vec![255; KEY_MAX_BYTES]);
    }
}
