//! Running a node: its store is opened, its endpoint and its operator's socket answer, until it is stopped.

use crate::admin::{AdminError, AdminHandler, AdminServer};
use crate::card::RoleName;
use crate::history::History;
use crate::network::Service;
use crate::operator::status::{KeyListStatus, WithStatus};
use crate::probe::ProcessProbe;
use crate::process::{StopToken, stop_pair, stop_signal};
use crate::quic::{QuicServer, ServerError, ServerIdentity, ServerLimits};
use async_trait::async_trait;
use farthing_store::{Migration, OpenReport, Store, StoreError, StoreOptions};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// What a program of Farthing does when it runs as a node.
#[async_trait]
pub trait Role: Service + AdminHandler + 'static {
    /// What it is.
    const NAME: RoleName;

    /// Its journal's history, if its peers remember how far it has come.
    fn history(&self) -> Option<Arc<History>> {
        None
    }

    /// How much room its list of keys has, if it has one.
    fn key_list(&self) -> Option<KeyListStatus> {
        None
    }

    /// What it does besides answering, until it is stopped: settlement, overdue holds, new keys.
    async fn background(self: Arc<Self>, stop: StopToken);
}

/// Why a node did not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The endpoint.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The operator's socket.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operating system.
    #[error("cannot listen for signals: {0}")]
    Signal(std::io::Error),
}

/// Opens a node's store, brings its rows up to date with `migrate`, and says in the log what had to be mended.
///
/// # Errors
/// When another process has it open, the journal is damaged, or a newer program has used it.
pub fn open_store(
    dir: &Path,
    options: StoreOptions,
    migrate: impl FnOnce(&Migration<'_>) -> Result<(), StoreError>,
) -> Result<Store, StoreError> {
    let (store, report): (Store, OpenReport) = Store::open(dir, options)?;
    let head = store.head();
    tracing::info!(
        records = head.sequence,
        verified = report.verified,
        rebuilt = report.rebuilt(),
        "the store is open"
    );
    store.migrate(migrate)?;
    Ok(store)
}

/// Runs `role` until the process is told to stop; then lets what is under way finish and closes the store.
/// `ready` is told the address once requests are answered.
///
/// # Errors
/// When the address or the operator's socket cannot be had, or the store does not close.
pub async fn serve<R: Role>(
    dir: &Path,
    listen: SocketAddr,
    tls: &ServerIdentity,
    role: Arc<R>,
    store: Store,
    probe: &ProcessProbe,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), ServeError> {
    let (stopper, stop) = stop_pair();
    let service = probe.around_service(role.clone(), R::NAME);
    let server = QuicServer::bind(listen, tls, service, ServerLimits::default())?;
    let admin = AdminServer::bind(dir).await?;
    let handler: Arc<dyn AdminHandler> = Arc::new(WithStatus {
        role: role.clone(),
        store: store.clone(),
        server: server.counters(),
        history: role.history(),
        key_list: R::key_list,
        since: Instant::now(),
    });
    let address = server.local_addr();
    let endpoint = tokio::spawn(server.run(stop.clone()));
    let operator = tokio::spawn(admin.run(handler, stop.clone()));
    let background = tokio::spawn(role.background(stop));
    ready(address);
    stop_signal().await.map_err(ServeError::Signal)?;
    stopper.stop();
    for task in [endpoint, operator, background] {
        if let Err(error) = task.await {
            tracing::error!(%error, "a part of the node ended badly");
        }
    }
    store.close()?;
    Ok(())
}
