//! One connection to the database of a store, whose settings were checked.

use crate::limits::{
    DATABASE_CONNECT_TIMEOUT, DATABASE_KEEPALIVE, DATABASE_LOCK_TIMEOUT, DATABASE_REPLY_TIMEOUT,
};
use crate::postgres::database::Database;
use crate::postgres::error::DatabaseError;
use crate::postgres::tables;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::future::poll_fn;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::AbortHandle;
use tokio_postgres::error::Severity;
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, NoTls, Row, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

/// The oldest server that works, as it numbers itself.
const SERVER_VERSION_MIN: i32 = 150_000;

/// How many probes a silent connection gets before it is given up.
const KEEPALIVE_PROBES: u32 = 3;

/// Why a statement brought no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QueryError {
    /// In words, without rows.
    pub(crate) why: String,
}

impl From<tokio_postgres::Error> for QueryError {
    fn from(error: tokio_postgres::Error) -> Self {
        // The details of the database may have rows.
        let why = match error.as_db_error() {
            Some(refused) => refused.message().to_owned(),
            None => chain(&error),
        };
        Self { why }
    }
}

/// An error and its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Connects to the database of a store.
pub(crate) struct Connector {
    pub(crate) database: Database,
    config: Config,
    tls: Option<MakeRustlsConnect>,
}

impl Connector {
    /// Reads the certificates, if there are any.
    ///
    /// # Errors
    /// [`DatabaseError::Secret`] when they cannot be read.
    pub(crate) fn new(database: &Database) -> Result<Self, DatabaseError> {
        let mut config = database.url.config();
        if let Some(password) = &database.password {
            config.password(password.as_slice());
        }
        let ms = |time: Duration| time.as_millis();
        let settings = [
            format!("search_path={}", database.url.schema()),
            format!("statement_timeout={}", ms(DATABASE_REPLY_TIMEOUT)),
            format!("lock_timeout={}", ms(DATABASE_LOCK_TIMEOUT)),
            format!(
                "idle_in_transaction_session_timeout={}",
                ms(DATABASE_REPLY_TIMEOUT)
            ),
            "idle_session_timeout=0".to_owned(),
            "client_min_messages=warning".to_owned(),
            "default_transaction_isolation=read\\ committed".to_owned(),
            // Every statement has one plan, by the primary keys, however old the statistics of a growing table are.
            "jit=off".to_owned(),
            "enable_seqscan=off".to_owned(),
            "plan_cache_mode=force_generic_plan".to_owned(),
            // So that the server finds out that this process or its machine is gone, and frees the lock.
            format!("tcp_keepalives_idle={}", DATABASE_KEEPALIVE.as_secs()),
            format!("tcp_keepalives_interval={}", DATABASE_KEEPALIVE.as_secs()),
            format!("tcp_keepalives_count={KEEPALIVE_PROBES}"),
        ];
        let own = settings.iter().map(|setting| format!(" -c {setting}"));
        let given = config.get_options().unwrap_or_default().to_owned();
        config
            .options(own.fold(given, |all, one| all + &one))
            .application_name(&database.name)
            .connect_timeout(DATABASE_CONNECT_TIMEOUT)
            .tcp_user_timeout(DATABASE_REPLY_TIMEOUT)
            .keepalives_idle(DATABASE_KEEPALIVE)
            .keepalives_interval(DATABASE_KEEPALIVE)
            .keepalives_retries(KEEPALIVE_PROBES);
        let tls = database.url.root_certificates().map(tls).transpose()?;
        if tls.is_some() {
            config.ssl_mode(tokio_postgres::config::SslMode::Require);
        }
        Ok(Self {
            database: database.clone(),
            config,
            tls,
        })
    }

    /// The URL, for errors.
    pub(crate) fn name(&self) -> String {
        self.database.url.to_string()
    }

    /// The error for a database that does not answer.
    pub(crate) fn unreachable(&self, why: impl Into<String>) -> DatabaseError {
        DatabaseError::Unreachable {
            database: self.name(),
            why: why.into(),
        }
    }

    /// Connects to the store of this node, and checks the server, its settings and the owner.
    ///
    /// # Errors
    /// [`DatabaseError`] says what is wrong.
    pub(crate) async fn connect(&self) -> Result<Session, DatabaseError> {
        self.within_time(async {
            let session = self.connect_to_any().await?;
            self.check_owner(&session).await?;
            Ok(session)
        })
        .await
    }

    /// Connects, and checks the server and its settings. The store may not be there yet.
    ///
    /// # Errors
    /// [`DatabaseError`] says what is wrong.
    pub(crate) async fn connect_to_any(&self) -> Result<Session, DatabaseError> {
        self.within_time(async {
            let session = match &self.tls {
                Some(tls) => drive(self.config.connect(tls.clone()).await),
                None => drive(self.config.connect(NoTls).await),
            };
            let session = session.map_err(|error| self.unreachable(error.why))?;
            self.check_server(&session).await?;
            Ok(session)
        })
        .await
    }

    async fn within_time(
        &self,
        work: impl Future<Output = Result<Session, DatabaseError>>,
    ) -> Result<Session, DatabaseError> {
        let worked = tokio::time::timeout(DATABASE_CONNECT_TIMEOUT, work).await;
        worked.unwrap_or_else(|_| Err(self.unreachable("no answer in time")))
    }

    async fn check_server(&self, session: &Session) -> Result<(), DatabaseError> {
        let row = session.row(tables::SETTINGS, &[]).await;
        let row = row.map_err(|error| self.unreachable(error.why))?;
        let version: i32 = self.field(&row, 0)?;
        if version < SERVER_VERSION_MIN {
            return Err(DatabaseError::OldServer {
                database: self.name(),
                found: version / 10_000,
                wanted: SERVER_VERSION_MIN / 10_000,
            });
        }
        if self.field(&row, 1)? {
            return Err(DatabaseError::Replica {
                database: self.name(),
            });
        }
        // `local` and `off` acknowledge before the synchronous standby, and `remote_write` before it is on its disk.
        let wanted: [(&str, &str, &[&str]); 3] = [
            ("fsync", "on", &["on"]),
            ("full_page_writes", "on", &["on"]),
            (
                "synchronous_commit",
                "on` or `remote_apply",
                &["on", "remote_apply"],
            ),
        ];
        for (at, (setting, text, allowed)) in (2..).zip(wanted) {
            let found: String = self.field(&row, at)?;
            if !allowed.contains(&found.as_str()) {
                return Err(DatabaseError::NotDurable {
                    database: self.name(),
                    setting,
                    found,
                    wanted: text,
                });
            }
        }
        Ok(())
    }

    async fn check_owner(&self, session: &Session) -> Result<(), DatabaseError> {
        let failed = |error: QueryError| self.unreachable(error.why);
        if !self.has_store(session).await? {
            return Err(DatabaseError::Absent {
                database: self.name(),
            });
        }
        let row = session.row(tables::OWNER, &[]).await.map_err(failed)?;
        let format: i32 = self.field(&row, 0)?;
        if format != tables::FORMAT {
            return Err(DatabaseError::OtherFormat {
                database: self.name(),
                found: format,
                known: tables::FORMAT,
            });
        }
        let owner: &[u8] = self.field(&row, 1)?;
        if owner != self.database.owner.0 {
            return Err(DatabaseError::OtherNode {
                database: self.name(),
                found: hex::encode(owner),
            });
        }
        Ok(())
    }

    /// Whether the schema has a store, of any node.
    pub(crate) async fn has_store(&self, session: &Session) -> Result<bool, DatabaseError> {
        let row = session.row(tables::HAS_HEAD, &[]).await;
        let row = row.map_err(|error| self.unreachable(error.why))?;
        self.field(&row, 0)
    }

    fn field<'a, T: tokio_postgres::types::FromSql<'a>>(
        &self,
        row: &'a Row,
        at: usize,
    ) -> Result<T, DatabaseError> {
        row.try_get(at).map_err(|error| DatabaseError::Failed {
            database: self.name(),
            doing: "describe the store",
            why: error.to_string(),
        })
    }
}

/// TLS to a server whose certificate these ones sign.
fn tls(roots: &Path) -> Result<MakeRustlsConnect, DatabaseError> {
    let failed = |why: String| DatabaseError::Secret {
        what: format!("the certificates in {}", roots.display()),
        why,
    };
    let mut store = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(roots).map_err(|error| failed(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| failed(error.to_string()))?;
        store
            .add(certificate)
            .map_err(|error| failed(error.to_string()))?;
    }
    if store.is_empty() {
        return Err(failed("the file has none".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| failed(error.to_string()))?;
    Ok(MakeRustlsConnect::new(
        config.with_root_certificates(store).with_no_client_auth(),
    ))
}

/// What the server has said beside its answers.
#[derive(Default)]
struct Signals {
    /// Whether the connection has ended.
    ended: AtomicBool,
    /// Whether the server has warned.
    warned: AtomicBool,
}

/// A connection. Dropping it closes the connection.
pub(crate) struct Session {
    client: Client,
    signals: Arc<Signals>,
    driver: AbortHandle,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Drives a connection until it ends.
fn drive<S, T>(
    connected: Result<(Client, Connection<S, T>), tokio_postgres::Error>,
) -> Result<Session, QueryError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (client, mut connection) = connected?;
    let signals = Arc::new(Signals::default());
    let told = Arc::clone(&signals);
    let task = tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            // The warning comes before the answer that it is about, so its receiver sees it.
            if let AsyncMessage::Notice(notice) = message
                && !matches!(
                    notice.parsed_severity(),
                    Some(Severity::Notice | Severity::Info | Severity::Log | Severity::Debug)
                )
            {
                tracing::warn!(warning = notice.message(), "the database warns");
                told.warned.store(true, Ordering::SeqCst);
            }
        }
        told.ended.store(true, Ordering::SeqCst);
    });
    Ok(Session {
        client,
        signals,
        driver: task.abort_handle(),
    })
}

/// The parameters of a statement.
pub(crate) type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

impl Session {
    /// Whether the connection has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.signals.ended.load(Ordering::SeqCst)
    }

    /// Whether the server has warned since the last call.
    pub(crate) fn take_warning(&self) -> bool {
        self.signals.warned.swap(false, Ordering::SeqCst)
    }

    /// Prepares a statement for this session.
    pub(crate) async fn prepare(&self, text: &str) -> Result<Statement, QueryError> {
        in_time(self.client.prepare(text)).await
    }

    /// The rows that a statement returns, after the server has ended its transaction.
    pub(crate) async fn rows(
        &self,
        statement: &Statement,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, QueryError> {
        in_time(self.client.query(statement, parameters)).await
    }

    /// The first row that a statement returns, which is used once.
    pub(crate) async fn row(&self, text: &str, parameters: Parameters<'_>) -> Result<Row, QueryError> {
        let rows = in_time(self.client.query(text, parameters)).await?;
        let first = rows.into_iter().next();
        first.ok_or_else(|| QueryError {
            why: "a row is missing".to_owned(),
        })
    }

    /// Runs statements that return nothing, as one transaction.
    pub(crate) async fn run(&self, text: &str) -> Result<(), QueryError> {
        in_time(self.client.batch_execute(text)).await
    }
}

/// A longer silence counts as a lost connection.
async fn in_time<T>(answer: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, QueryError> {
    match tokio::time::timeout(DATABASE_REPLY_TIMEOUT, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(QueryError {
            why: "no answer in time".to_owned(),
        }),
    }
}
