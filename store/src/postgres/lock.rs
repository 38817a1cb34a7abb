//! The lock of the active process. It tells standbys when they are needed. Whether a process may write is not decided here,
//! but by the compare-and-set of every batch.

use crate::limits::{STANDBY_NOTE_INTERVAL, STANDBY_PAUSE};
use crate::postgres::database::WhileInUse;
use crate::postgres::error::DatabaseError;
use crate::postgres::session::{Connector, QueryError, Session};
use crate::postgres::tables;
use crate::postgres::url::DatabaseUrl;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Instant;

/// The lock, on a connection of its own. The server frees it when the connection ends.
pub(crate) struct Lock {
    connector: Arc<Connector>,
    number: i64,
    session: Session,
}

impl Lock {
    /// Takes the lock, or waits for it.
    ///
    /// # Errors
    /// [`DatabaseError::InUse`], and why the database cannot be used.
    pub(crate) async fn take(connector: Arc<Connector>, in_use: &WhileInUse) -> Result<Self, DatabaseError> {
        let number = number(&connector.database.url);
        let mut waiting = None;
        let mut told: Option<Instant> = None;
        loop {
            let tried = try_take(&connector, waiting.take(), number).await;
            match (tried, in_use) {
                (Ok(Tried::Taken(session)), _) => {
                    return Ok(Self {
                        connector,
                        number,
                        session,
                    });
                }
                (Ok(Tried::HeldBy(by, _)), WhileInUse::Refuse) => {
                    let database = connector.name();
                    return Err(DatabaseError::InUse { database, by });
                }
                (Ok(Tried::HeldBy(by, session)), WhileInUse::Wait(tell)) => {
                    if told.is_none_or(|told| told.elapsed() >= STANDBY_NOTE_INTERVAL) {
                        tell(&by);
                        told = Some(Instant::now());
                    }
                    waiting = Some(session);
                }
                // A standby stays one while the database is away for a moment.
                (Err(DatabaseError::Unreachable { why, .. }), _) if told.is_some() => {
                    tracing::warn!(why, "the standby cannot reach the database, and tries again");
                }
                (Err(error), _) => return Err(error),
            }
            tokio::time::sleep(STANDBY_PAUSE).await;
        }
    }

    /// Whether its connection has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.session.has_ended()
    }

    /// Takes the lock again if its connection has ended.
    ///
    /// # Errors
    /// Why it cannot be taken now.
    pub(crate) async fn keep(&mut self) -> Result<(), QueryError> {
        if !self.has_ended() {
            return Ok(());
        }
        let why = match try_take(&self.connector, None, self.number).await {
            Ok(Tried::Taken(session)) => {
                self.session = session;
                return Ok(());
            }
            Ok(Tried::HeldBy(by, _)) => format!("{by} has the lock of the store"),
            Err(error) => error.to_string(),
        };
        Err(QueryError { why })
    }

    /// Gives the lock back.
    pub(crate) async fn free(self) {
        // The end of the connection frees it too.
        drop(self.session.row(tables::UNLOCK, &[&self.number]).await);
    }
}

enum Tried {
    Taken(Session),
    HeldBy(String, Session),
}

/// Tries once, over `session` if it has not ended.
async fn try_take(
    connector: &Connector,
    session: Option<Session>,
    number: i64,
) -> Result<Tried, DatabaseError> {
    let session = match session.filter(|session| !session.has_ended()) {
        Some(session) => session,
        None => connector.connect().await?,
    };
    let failed = |error: QueryError| connector.unreachable(error.why);
    let row = session.row(tables::TRY_LOCK, &[&number]).await.map_err(failed)?;
    if row.try_get(0).unwrap_or(false) {
        return Ok(Tried::Taken(session));
    }
    // The holder may be gone by now, or be hidden from this user.
    let holder = session.row(tables::HOLDER, &[&number]).await.ok();
    let holder = holder.and_then(|row| row.try_get::<_, String>(0).ok());
    let holder = holder.unwrap_or_else(|| "another process".to_owned());
    Ok(Tried::HeldBy(holder, session))
}

/// The number of the lock. Locks are numbered in each database, so the schema decides.
fn number(url: &DatabaseUrl) -> i64 {
    let digest = Sha256::new()
        .chain_update(b"farthing store lock")
        .chain_update(url.schema())
        .finalize();
    let first = digest.first_chunk().copied();
    i64::from_be_bytes(first.unwrap_or_default())
}
