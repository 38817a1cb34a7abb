//! The bank in its directory, and as a running node.

use crate::admin::Command;
use crate::bank::{Bank, BankParts};
use crate::keys::{BankSettings, KeysError, Master, check_clock};
use crate::migrate::migrate;
use crate::policy::{Policy, PolicyError};
use async_trait::async_trait;
pub use farthing_node::operator::STORE_DIR;
use farthing_node::{
    admin::AdminHandler,
    books::Books,
    card::RoleName,
    drain::{DRAIN_FILE, Drain, UnderWay},
    history::History,
    home::{Home, HomeError},
    network::{Lane, Service},
    operator::{self, OperatorError, status::KeyListStatus},
    peers::Peers,
    probe::ProcessProbe,
    process::StopToken,
    quic::QuicNetwork,
    serve::{Role, ServeError, serve},
    serve_args::ServeArgs,
    store::{make_store, open_stopped, open_store},
};
use farthing_store::{
    DatabaseUrl, Store, StoreError,
    clock::{Clock, SystemClock},
    entropy::SystemEntropy,
};
use serde_json::Value;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

/// An error that keeps a bank from running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BankError {
    /// Its directory.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// Its keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// Its policy of reports.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// Its store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its endpoint.
    #[error(transparent)]
    Serve(#[from] ServeError),
}

impl From<BankError> for OperatorError {
    fn from(error: BankError) -> Self {
        match error {
            BankError::Home(error) => error.into(),
            BankError::Store(error) => error.into(),
            other => OperatorError::Role(Box::new(other)),
        }
    }
}

/// A bank with its directory.
#[derive(Debug)]
pub struct BankNode {
    bank: Bank,
    home: Home<BankSettings>,
    probe: ProcessProbe,
}

/// Creates a bank in the directory `dir`, which must not exist or be empty. Its store is in `store`, or in the directory.
///
/// # Errors
/// When the directory or the store cannot be made, the clock cannot be right, or the list of keys could not
/// grow for ten years. No file is overwritten.
pub fn create(
    dir: &Path,
    name: &str,
    listen: SocketAddr,
    settings: BankSettings,
    store: Option<DatabaseUrl>,
) -> Result<Home<BankSettings>, BankError> {
    settings.check_life()?;
    check_clock(SystemClock.now_ms())?;
    let entropy: &dyn farthing_store::entropy::Entropy = &SystemEntropy;
    let new = Home::create(dir, RoleName::Bank, name, listen, settings, &mut entropy.rng())?;
    Master::generate(&mut entropy.rng()).create(dir)?;
    let new = new.with_store(store);
    make_store(&new, migrate)?;
    Ok(new.complete()?)
}

impl BankNode {
    /// Opens the bank in `dir`. No other process may have its store open.
    ///
    /// # Errors
    /// When its directory, its keys or its store cannot be used.
    pub async fn open(dir: &Path) -> Result<BankNode, BankError> {
        Self::open_by(dir, ServeArgs::default(), |home, _| open_stopped(home, migrate)).await
    }

    /// As [`open`](BankNode::open), to serve with the settings of one run. If its store is in a database, it waits as a standby
    /// while another process has it.
    ///
    /// # Errors
    /// As [`open`](BankNode::open).
    pub async fn open_with(dir: &Path, args: ServeArgs) -> Result<BankNode, BankError> {
        Self::open_by(dir, args, |home, probe| open_store(home, probe, migrate)).await
    }

    async fn open_by(
        dir: &Path,
        args: ServeArgs,
        open: impl FnOnce(&Home<BankSettings>, &ProcessProbe) -> Result<Store, StoreError>,
    ) -> Result<BankNode, BankError> {
        let home: Home<BankSettings> = args.over(Home::open(dir, RoleName::Bank)?);
        let master = Master::read(dir)?;
        let policy = Policy::read(dir, &home.config().settings.currency)?;
        let network = home.network()?;
        let probe = ProcessProbe::from_environment(RoleName::Bank.as_str());
        let store = open(&home, &probe)?;
        let identity = farthing_coin::SecretKey::from_bytes(&home.identity().to_bytes())
            .map_err(|e| damaged_identity(dir, &e))?;
        let parts = BankParts {
            identity,
            master,
            settings: home.config().settings.clone(),
            store,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            network: probe.around_network(Arc::new(QuicNetwork::new())),
            cards: network.cards().to_vec(),
        };
        let mut bank = Bank::open(parts).await?;
        bank.set_policy(policy);
        let bank = bank.with_drain(read_drain(dir)?);
        Ok(BankNode { bank, home, probe })
    }

    /// The bank.
    pub fn bank(&self) -> &Bank {
        &self.bank
    }

    /// Closes the store after all transactions under way.
    ///
    /// # Errors
    /// An error of the disk. Acknowledged transactions are durable in any case.
    pub fn close(self) -> Result<(), StoreError> {
        self.bank.store.clone().close()
    }
}

fn read_drain(dir: &Path) -> Result<Drain, HomeError> {
    Drain::of(dir).map_err(|source| HomeError::Io {
        path: dir.join(DRAIN_FILE),
        source,
    })
}

fn damaged_identity(dir: &Path, why: &farthing_coin::SignatureError) -> HomeError {
    let path: PathBuf = dir.join(farthing_node::home::IDENTITY_KEY_FILE);
    HomeError::Damaged {
        path,
        reason: why.to_string(),
    }
}

/// Runs the bank in `dir` until the process is told to stop. Prints a line on standard output once it answers. With
/// `accept_clock`, the operator says that the clock is right. `args` go before the configuration.
///
/// # Errors
/// When it cannot be opened, or cannot listen.
pub async fn run_node(
    dir: &Path,
    accept_clock: bool,
    args: ServeArgs,
    as_json: bool,
) -> Result<(), BankError> {
    let node = Arc::new(BankNode::open_with(dir, args).await?);
    if accept_clock {
        node.bank.accept_clock().await?;
    }
    let store: Store = node.bank.store.clone();
    let role = Arc::clone(&node);
    let ready = |address| operator::lifecycle::ready(&node.home, &node.bank.peers, address, as_json);
    serve(&node.home, role, Some(store), &node.probe, ready).await?;
    Ok(())
}

#[async_trait]
impl Service for BankNode {
    async fn call(&self, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        self.bank.call(lane, request).await
    }
}

#[async_trait]
impl AdminHandler for BankNode {
    async fn admin(&self, request: Value) -> Result<Value, String> {
        let command: Command = serde_json::from_value(request).map_err(|e| {
            format!("the bank does not understand the command: {e}; is it of another version?")
        })?;
        self.bank.administer(command).await
    }
}

#[async_trait]
impl Role for BankNode {
    const NAME: RoleName = RoleName::Bank;

    fn peers(&self) -> &Peers {
        &self.bank.peers
    }

    fn history(&self) -> Option<Arc<History>> {
        Some(Arc::clone(&self.bank.history))
    }

    fn key_list(&self) -> Option<KeyListStatus> {
        Some(self.bank.key_list())
    }

    fn complaints(&self) -> usize {
        self.bank.complaints.open()
    }

    async fn books(&self) -> Result<Option<Books>, String> {
        self.bank.sums().await.map(Some)
    }

    fn lacks(&self) -> Vec<&'static str> {
        let has_escrow = !self.bank.peers.cards(RoleName::Escrow).is_empty();
        let lack = (!has_escrow).then_some("no escrow's card is pinned");
        lack.into_iter().collect()
    }

    fn drain(&self) -> Option<&Drain> {
        Some(self.bank.drain())
    }

    fn under_way(&self) -> Result<UnderWay, StoreError> {
        self.bank.under_way()
    }

    async fn background(self: Arc<Self>, stop: StopToken) {
        self.bank.background(stop).await;
    }
}
