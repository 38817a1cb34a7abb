//! Making and opening the store in a database.

use crate::entropy::Entropy;
use crate::error::StoreError;
use crate::options::StoreOptions;
use crate::postgres::database::{Database, WhileInUse};
use crate::postgres::error::DatabaseError;
use crate::postgres::lock::Lock;
use crate::postgres::pool::Pool;
use crate::postgres::rows::Rows;
use crate::postgres::runtime::{Driver, blocking};
use crate::postgres::session::{Connector, QueryError, Session};
use crate::postgres::tables;
use crate::postgres::write_session::{ProcessId, WriteSession};
use crate::postgres::writer::Writer;
use crate::record::Format;
use farthing_protocol::ids::RecordHash;
use std::sync::Arc;

/// Makes the empty store of a new node, durably. The schema may be there, but has no store.
///
/// # Errors
/// [`StoreError::Database`] says why there is no store now, or that there was one before.
pub fn create_database_store(database: &Database, entropy: &dyn Entropy) -> Result<(), StoreError> {
    let driver = Driver::start()?;
    let connector = Connector::new(database)?;
    let mut id = [0; 16];
    entropy.fill(&mut id);
    let genesis = Format::new(id).genesis().hash;
    let make = async move {
        let session = connector.connect_to_any().await?;
        if connector.has_store(&session).await? {
            return Err(DatabaseError::Exists {
                database: connector.name(),
            });
        }
        let made = make_tables(&session, &connector.database, genesis).await;
        made.map_err(|error| DatabaseError::Failed {
            database: connector.name(),
            doing: "make the tables of the store",
            why: error.why,
        })
    };
    waited(blocking(|| driver.wait(make)))
}

/// A thread that drives a connection has panicked, if there is no result.
fn waited<T>(result: Option<Result<T, DatabaseError>>) -> Result<T, StoreError> {
    match result {
        Some(result) => Ok(result?),
        None => Err(StoreError::Panicked(
            "a thread of the database has failed".to_owned(),
        )),
    }
}

async fn make_tables(session: &Session, database: &Database, genesis: RecordHash) -> Result<(), QueryError> {
    let schema = database.url.schema();
    let has_schema = session
        .row("SELECT to_regnamespace($1) IS NOT NULL", &[&schema])
        .await?;
    session.run("BEGIN").await?;
    if !has_schema.try_get(0)? {
        // The name of a schema needs no quotes.
        session.run(&format!("CREATE SCHEMA {schema}")).await?;
    }
    session.run(tables::CREATE).await?;
    let owner = database.owner.0.as_slice();
    session
        .row(tables::BEGIN, &[&tables::FORMAT, &owner, &genesis.0.as_slice()])
        .await?;
    session.run("COMMIT").await
}

/// Takes the store over, at once or when it is free.
///
/// # Errors
/// [`StoreError::Database`] says why the store cannot be used.
pub(crate) fn open(
    database: &Database,
    options: &StoreOptions,
    in_use: WhileInUse,
) -> Result<(Writer, Arc<Rows>), StoreError> {
    let driver = Driver::start()?;
    let connector = Arc::new(Connector::new(database)?);
    let mut process = ProcessId([0; 16]);
    options.entropy.fill(&mut process.0);
    let own = Arc::clone(&connector);
    let take = async move {
        let lock = Lock::take(Arc::clone(&own), &in_use).await?;
        let (session, found) = WriteSession::take_over(&own, process).await?;
        Ok((lock, session, found))
    };
    let (lock, session, found) = waited(blocking(|| driver.wait(take)))?;
    let pool = Pool::new(Arc::clone(&connector));
    let rows = Arc::new(Rows::new(driver, pool, connector.name(), found.head, found.bytes));
    let taken = (process, session, found.head);
    let writer = Writer::new(Arc::clone(&rows), connector, lock, taken, options);
    Ok((writer, rows))
}
