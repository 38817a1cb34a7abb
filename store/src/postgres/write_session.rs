//! The connection over which the active process reads and writes its batches.

use crate::index::{Head, Row, Writes};
use crate::postgres::error::DatabaseError;
use crate::postgres::pool::{Question, ReadSession};
use crate::postgres::session::{Connector, Parameters, QueryError, Session};
use crate::postgres::tables;
use farthing_protocol::ids::RecordHash;
use tokio_postgres::Statement;

/// The random id of a process that has taken a store over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProcessId(pub(crate) [u8; 16]);

/// What the database says when a connection begins to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    /// The number of the connection. Only batches with this number are taken from now on.
    attempt: i64,
    /// The last batch.
    pub(crate) head: Head,
    /// Length of all batches (bytes).
    pub(crate) bytes: u64,
}

impl Found {
    fn of(row: &tokio_postgres::Row) -> Result<Self, QueryError> {
        let hash: &[u8] = row.try_get(2)?;
        let damaged = || QueryError {
            why: "the row `head` is damaged".to_owned(),
        };
        let hash = hash.try_into().map_err(|_| damaged())?;
        let number = |at| -> Result<u64, QueryError> {
            let number: i64 = row.try_get(at)?;
            u64::try_from(number).map_err(|_| damaged())
        };
        Ok(Self {
            attempt: row.try_get(0)?,
            head: Head {
                sequence: number(1)?,
                hash: RecordHash(hash),
            },
            bytes: number(3)?,
        })
    }
}

/// A connection that may write, as long as no other process or connection has taken the store over.
pub(crate) struct WriteSession {
    read: ReadSession,
    process: ProcessId,
    attempt: i64,
    append: Statement,
    is_mine: Statement,
}

impl WriteSession {
    /// Takes the store over from whatever process had it.
    ///
    /// # Errors
    /// [`DatabaseError`] says why it cannot be used.
    pub(crate) async fn take_over(
        connector: &Connector,
        process: ProcessId,
    ) -> Result<(Self, Found), DatabaseError> {
        let begun = Self::begin(connector, process, tables::TAKE_OVER).await?;
        begun.ok_or_else(|| connector.unreachable("the row `head` is missing"))
    }

    /// Begins to write over a new connection. `None` if another process has taken the store over.
    ///
    /// # Errors
    /// [`DatabaseError`] says why it cannot be used.
    pub(crate) async fn resume(
        connector: &Connector,
        process: ProcessId,
    ) -> Result<Option<(Self, Found)>, DatabaseError> {
        Self::begin(connector, process, tables::RESUME).await
    }

    async fn begin(
        connector: &Connector,
        process: ProcessId,
        statement: &str,
    ) -> Result<Option<(Self, Found)>, DatabaseError> {
        let session = connector.connect().await?;
        let begun = Self::begin_over(session, process, statement).await;
        begun.map_err(|error| connector.unreachable(error.why))
    }

    async fn begin_over(
        session: Session,
        process: ProcessId,
        statement: &str,
    ) -> Result<Option<(Self, Found)>, QueryError> {
        let statement = session.prepare(statement).await?;
        let append = session.prepare(tables::APPEND).await?;
        let is_mine = session.prepare(tables::IS_MINE).await?;
        let read = ReadSession::new(session).await?;
        let rows = confirmed(read.session(), &statement, &[&process.0.as_slice()]).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let found = Found::of(row)?;
        let session = Self {
            read,
            process,
            attempt: found.attempt,
            append,
            is_mine,
        };
        Ok(Some((session, found)))
    }

    /// Whether the connection has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.read.session().has_ended()
    }

    /// The rows at `keys` that exist.
    ///
    /// # Errors
    /// When the connection is lost.
    pub(crate) async fn read(&self, keys: Vec<Vec<u8>>) -> Result<Vec<Row>, QueryError> {
        self.read.ask(&Question::Rows(keys)).await
    }

    /// Whether no other process or connection has taken the store over until now.
    ///
    /// # Errors
    /// When the connection is lost.
    pub(crate) async fn is_mine(&self) -> Result<bool, QueryError> {
        let session = self.read.session();
        let rows = session
            .rows(&self.is_mine, &[&self.process.0.as_slice(), &self.attempt])
            .await?;
        let is_mine = rows.first().map(|row| row.try_get::<_, bool>(0)).transpose()?;
        Ok(is_mine.unwrap_or(false))
    }

    /// Appends a batch of `bytes`, which leads from the head `from` to `to`. `false` if the database has another head, or
    /// another process or connection has taken the store over. Then nothing is changed.
    ///
    /// # Errors
    /// When it is unknown whether the batch is durable.
    pub(crate) async fn append(
        &self,
        writes: &Writes,
        bytes: u64,
        from: &Head,
        to: &Head,
    ) -> Result<bool, QueryError> {
        let (mut keys, mut values, mut removed) = (Vec::new(), Vec::new(), Vec::new());
        for (key, value) in writes {
            match value {
                Some(value) => {
                    keys.push(key.as_slice());
                    values.push(value.as_slice());
                }
                None => removed.push(key.as_slice()),
            }
        }
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let rows = confirmed(
            self.read.session(),
            &self.append,
            &[
                &self.process.0.as_slice(),
                &self.attempt,
                &number(to.sequence),
                &to.hash.0.as_slice(),
                &number(bytes),
                &number(from.sequence),
                &from.hash.0.as_slice(),
                &keys,
                &values,
                &removed,
            ],
        )
        .await?;
        let moved = rows.first().map(|row| row.try_get::<_, bool>(0)).transpose()?;
        Ok(moved.unwrap_or(false))
    }
}

/// Runs a statement that writes. A warning with its answer is an error: the server gives one when it has stopped to wait for
/// its synchronous standby.
async fn confirmed(
    session: &Session,
    statement: &Statement,
    parameters: Parameters<'_>,
) -> Result<Vec<tokio_postgres::Row>, QueryError> {
    session.take_warning();
    let rows = session.rows(statement, parameters).await?;
    match session.take_warning() {
        false => Ok(rows),
        true => Err(QueryError {
            why: "the database warned instead of confirming a write".to_owned(),
        }),
    }
}
