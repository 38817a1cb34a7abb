//! Runs a node: opens its store, and answers on its endpoint and its administration socket until it is stopped.

use crate::admin::{AdminError, AdminHandler, AdminServer};
use crate::books::Books;
use crate::card::RoleName;
use crate::counted::{Counted, ReplyCounters};
use crate::drain::{Drain, UnderWay};
use crate::history::History;
use crate::home::Home;
use crate::monitor::listen::Listen;
use crate::monitor::source::Monitored;
use crate::monitor::{ListenError, MonitorServer};
use crate::network::Service;
use crate::oblivious::{KeyFile, KeyFileError, ObliviousParts, ObliviousService};
use crate::operator::status::{KeyListStatus, Status};
use crate::operator::{handler::NodeHandler, state::StateSources};
use crate::peers::{PeerCount, Peers};
use crate::probe::ProcessProbe;
use crate::process::{StopToken, stop_pair, stop_signal};
use crate::server::Server;
use crate::transport::{REQUESTS_PER_ADDRESS_MAX, ServerError, ServerLimits};
use async_trait::async_trait;
use farthing_coin::{SecretKey, SignatureError};
use farthing_protocol::limits::REQUEST_MAX_BYTES;
use farthing_store::{Store, StoreError};
use farthing_store::{clock::SystemClock, entropy::SystemEntropy};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// The role of a node: its service, its operator's commands and its background work.
#[async_trait]
pub trait Role: Service + AdminHandler + 'static {
    /// The name of the role.
    const NAME: RoleName;

    /// The maximum number of requests under way from one address.
    const REQUESTS_PER_ADDRESS_MAX: usize = REQUESTS_PER_ADDRESS_MAX;

    /// The servers that it works with. A changed network file replaces their cards.
    fn peers(&self) -> &Peers;

    /// The history of its journal, if its peers are its witnesses.
    fn history(&self) -> Option<Arc<History>> {
        None
    }

    /// The room in its key list, if it has one.
    fn key_list(&self) -> Option<KeyListStatus> {
        None
    }

    /// How many servers of a role are pinned, and how many of them are reached.
    fn reached(&self, of: RoleName) -> PeerCount {
        self.peers().reached(of)
    }

    /// How many things its background work finds wrong again and again.
    fn complaints(&self) -> usize {
        0
    }

    /// The books, as sums for the metrics. `None` if it has none. It may take long.
    ///
    /// # Errors
    /// When they cannot be read.
    async fn books(&self) -> Result<Option<Books>, String> {
        Ok(None)
    }

    /// What it lacks to serve, in words, beyond what the status says: a peer's card, or keys.
    fn lacks(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// Whether it drains, if it can.
    fn drain(&self) -> Option<&Drain> {
        None
    }

    /// What it has still to finish.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn under_way(&self) -> Result<UnderWay, StoreError> {
        Ok(UnderWay::default())
    }

    /// The background work until `stop`: settlement, overdue holds, new keys.
    async fn background(self: Arc<Self>, stop: StopToken);
}

/// The error of a node that could not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The endpoint.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The keys to which wallets encrypt requests that a relay carries.
    #[error(transparent)]
    Keys(#[from] KeyFileError),
    /// The identity key.
    #[error(transparent)]
    Identity(#[from] SignatureError),
    /// The operator's socket.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The HTTP port of the metrics.
    #[error(transparent)]
    Metrics(#[from] ListenError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operating system.
    #[error("cannot listen for signals: {0}")]
    Signal(std::io::Error),
}

/// The service of a node: its role, which also answers what a relay brings. A relay answers only wallets. Work in the
/// background goes on until `stop`.
fn service<C, R: Role>(
    home: &Home<C>,
    role: &Arc<R>,
    probe: &ProcessProbe,
    counters: &Arc<ReplyCounters>,
    stop: StopToken,
) -> Result<Arc<dyn Service>, ServeError> {
    let service = Arc::new(Counted {
        service: probe.around_service(role.clone(), R::NAME),
        counters: Arc::clone(counters),
    });
    if R::NAME == RoleName::Relay {
        return Ok(service);
    }
    let peers = Arc::clone(role);
    let parts = ObliviousParts {
        is_known_server: Arc::new(move |address| peers.peers().has_server_at(address)),
        identity: SecretKey::from_bytes(&home.identity().to_bytes())?,
        place: Arc::new(KeyFile::of(home.dir())),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
    };
    let service = Arc::new(ObliviousService::new(service, parts)?);
    tokio::spawn(Arc::clone(&service).keep_current(stop));
    Ok(service)
}

/// Runs the `role` of the node in `home` until the process gets a stop signal. Then requests under way finish, and the
/// store is closed, if the role has one.
///
/// `ready` gets the address when requests are answered.
///
/// # Errors
/// When the address or the administration socket cannot be used, or the store does not close.
pub async fn serve<C, R: Role>(
    home: &Home<C>,
    role: Arc<R>,
    store: Option<Store>,
    probe: &ProcessProbe,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), ServeError> {
    let (stopper, stop) = stop_pair();
    let config = home.config();
    let metrics = Listen::choose(config.metrics, config.metrics_open)?;
    let replies = Arc::default();
    let service = service(home, &role, probe, &replies, stop.clone())?;
    let limits = ServerLimits {
        requests_per_address_max: R::REQUESTS_PER_ADDRESS_MAX,
        // A longer request would not be decoded.
        request_max_bytes: REQUEST_MAX_BYTES,
        ..ServerLimits::default()
    };
    let server = Server::bind(home.config().listen, home.tls(), service, limits)?;
    let admin = AdminServer::bind(home.dir()).await?;
    let monitor = match metrics {
        Some(listen) => Some(MonitorServer::bind(listen).await?),
        None => None,
    };
    let handler = Arc::new(NodeHandler {
        dir: home.dir().to_owned(),
        role: role.clone(),
        store: store.clone(),
        server: server.counters(),
        history: role.history(),
        peers: R::peers,
        key_list: R::key_list,
        reached: R::reached,
        complaints: R::complaints,
        sources: StateSources {
            gate: Some(server.gate()),
            replies,
        },
        drain: R::drain,
        under_way: R::under_way,
        since: Instant::now(),
    });
    let address = server.local_addr();
    let endpoint = tokio::spawn(server.run(stop.clone()));
    let monitor = monitor.map(|monitor| tokio::spawn(monitor.run(handler.clone(), stop.clone())));
    let operator = tokio::spawn(admin.run(handler, stop.clone()));
    let background = tokio::spawn(role.background(stop));
    ready(address);
    stop_signal().await.map_err(ServeError::Signal)?;
    stopper.stop();
    for task in [endpoint, operator, background].into_iter().chain(monitor) {
        if let Err(error) = task.await {
            tracing::error!(%error, "a part of the node has failed");
        }
    }
    if let Some(store) = store {
        store.close()?;
    }
    Ok(())
}

#[async_trait]
impl<R: Role> Monitored for NodeHandler<R> {
    fn role(&self) -> RoleName {
        R::NAME
    }

    fn status(&self) -> Status {
        NodeHandler::status(self)
    }

    async fn books(&self) -> Result<Option<Books>, String> {
        self.role.books().await
    }

    fn stopped(&self) -> Option<String> {
        self.store.as_ref().and_then(Store::stopped)
    }

    fn lacks(&self) -> Vec<&'static str> {
        self.role.lacks()
    }
}
