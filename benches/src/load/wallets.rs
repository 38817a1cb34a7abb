//! The customers' wallets. Each has its own seed, account and coins. All are in one store and share its syncs.

use crate::{asked::Asked, bars, everyone::Everyone, target::Target, work::Work};
use anyhow::{Context, Result};
use farthing_client::{
    peer_client::RetryPolicy,
    wallet::{Env, Wallet},
};
use farthing_coin::Seed;
use farthing_node::network_file::{NETWORK_FILE, NetworkFile};
use farthing_store::{
    Store, StoreOptions,
    clock::SystemClock,
    entropy::{Entropy, SystemEntropy},
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::task::JoinSet;

/// The number of customers prepared at once: as many as an operator's socket serves.
const PREPARED_AT_ONCE: usize = 16;

/// All customers.
pub(crate) struct Wallets {
    dir: PathBuf,
    cards: PathBuf,
    store: Store,
    asked: Arc<Asked>,
    env: Env,
    /// Every wallet, by number.
    wallets: Vec<Arc<Wallet>>,
}

impl Wallets {
    /// A set without wallets.
    pub(crate) fn new(target: &Target, dir: &Path) -> Result<Self> {
        let dir = dir.join("wallets");
        fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
        let mut cards = NetworkFile::load(&dir)?;
        for node in target.nodes().into_iter().chain(&target.relay) {
            cards.add(node.card().clone())?;
        }
        let (store, _) = Store::open(&dir.join("store"), StoreOptions::default())?;
        let asked = Arc::new(Asked::default());
        let env = Env {
            key: None,
            route: Default::default(),
            network: Arc::new(Everyone),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            observer: asked.clone(),
            retry: RetryPolicy::default(),
            store: StoreOptions::default(),
        };
        Ok(Self {
            cards: dir.join(NETWORK_FILE),
            dir,
            store,
            asked,
            env,
            wallets: Vec::new(),
        })
    }

    /// The number of requests of the wallets.
    pub(crate) fn asked(&self) -> &Arc<Asked> {
        &self.asked
    }

    /// The directory of all wallets, with the network file that each of them has.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The store of all wallets.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// All wallets.
    pub(crate) fn all(&self) -> &[Arc<Wallet>] {
        &self.wallets
    }

    /// Adds new wallets, each with an account and the money that `work` needs.
    pub(crate) async fn prepare(
        &mut self,
        target: &Arc<Target>,
        work: &Arc<Work>,
        count: usize,
    ) -> Result<Vec<Arc<Wallet>>> {
        let bar = bars::preparing(count as u64);
        let mut fresh = Vec::new();
        for number in (self.wallets.len()..).take(count) {
            fresh.push(self.make(number as u64)?);
        }
        let mut preparing = JoinSet::new();
        for wallet in &fresh {
            if preparing.len() >= PREPARED_AT_ONCE {
                prepared(preparing.join_next().await)?;
                bar.inc(1);
            }
            let (target, work, wallet) = (Arc::clone(target), Arc::clone(work), Arc::clone(wallet));
            preparing.spawn(async move { work.prepare(&target, &wallet).await });
        }
        while let Some(done) = preparing.join_next().await {
            prepared(Some(done))?;
            bar.inc(1);
        }
        bar.finish_and_clear();
        self.wallets.extend(fresh.iter().cloned());
        Ok(fresh)
    }

    /// A new wallet that knows the nodes.
    fn make(&self, number: u64) -> Result<Arc<Wallet>> {
        let dir = self.dir.join(format!("{number:06}"));
        let entropy: &dyn Entropy = &SystemEntropy;
        let seed = Seed::generate(&mut entropy.rng());
        Wallet::create(&dir, &seed)?;
        fs::copy(&self.cards, dir.join(NETWORK_FILE)).with_context(|| dir.display().to_string())?;
        let store = self.store.namespace(number);
        Ok(Arc::new(Wallet::open_in(&dir, store, self.env.clone())?))
    }
}

fn prepared(done: Option<Result<Result<()>, tokio::task::JoinError>>) -> Result<()> {
    match done {
        Some(done) => done.context("a customer could not be prepared")?,
        None => Ok(()),
    }
}
