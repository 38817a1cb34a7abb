//! The escrow as a node: its key, its store, and its banks.

use crate::rows::{HEADS, KEY_LISTS, LATEST_MS, OUTBOX};
use crate::time::Timekeeper;
use crate::transactions;
use farthing_coin::{PublicKey, SecretKey};
use farthing_node::bank_keys::BankKeys;
use farthing_node::call::{decide, unavailable};
use farthing_node::card::{Card, RoleName};
use farthing_node::complaints::Complaints;
use farthing_node::drain::{Drain, UnderWay};
use farthing_node::history::{History, HistoryParts};
use farthing_node::network::Network;
use farthing_node::peers::Peers;
use farthing_protocol::limits::DEADLINE_HORIZON_MS;
use farthing_protocol::{
    allowance::OwnerAllowances,
    documents::PurchaseId,
    ids::{EphemeralId, NodeSecret},
    refusal::Refusal,
    seal::derive_ephemeral,
};
use farthing_store::clock::Clock;
use farthing_store::entropy::Entropy;
use farthing_store::{Store, StoreError, limits::SCAN_MAX_ROWS};
use std::ops::Bound;
use std::sync::Arc;
use tokio::sync::Notify;

/// The parts of an [`Escrow`].
pub struct EscrowParts {
    /// The key that signs its documents.
    pub key: SecretKey,
    /// The store of its decisions.
    pub store: Store,
    /// The network to its banks.
    pub network: Arc<dyn Network>,
    /// The pinned cards.
    pub cards: Vec<Card>,
    /// Its clock.
    pub clock: Arc<dyn Clock>,
    /// Its randomness, for weights of signature batches, nonces of witness questions, and its run.
    pub entropy: Arc<dyn Entropy>,
}

/// An escrow.
pub struct Escrow {
    pub(crate) key: Arc<SecretKey>,
    pub(crate) store: Store,
    pub(crate) peers: Arc<Peers>,
    pub(crate) history: Arc<History>,
    pub(crate) keys: BankKeys,
    pub(crate) time: Timekeeper,
    pub(crate) entropy: Arc<dyn Entropy>,
    /// How many questions for sales each merchant may send.
    pub(crate) owner_allowances: OwnerAllowances,
    /// Whether it begins nothing new.
    pub(crate) drain: Drain,
    /// What its settlement has found wrong.
    pub(crate) complaints: Arc<Complaints>,
    /// Wakes the settlement loop after a commit.
    pub(crate) committed: Notify,
    /// Wakes the settlement loop after an abort.
    pub(crate) aborted: Notify,
}

impl std::fmt::Debug for Escrow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Escrow")
            .field("identity", &self.self_id())
            .finish_non_exhaustive()
    }
}

impl Escrow {
    /// Creates an escrow. It decides nothing before one of its banks has told what it remembers.
    pub fn new(parts: EscrowParts) -> Self {
        let peers = Arc::new(Peers::new(parts.network, parts.cards));
        let key = Arc::new(parts.key);
        let history = History::new(HistoryParts {
            key: Arc::clone(&key),
            store: parts.store.clone(),
            heads: HEADS,
            peers: Arc::clone(&peers),
            witnesses: RoleName::Bank,
            entropy: Arc::clone(&parts.entropy),
        });
        Self {
            key,
            history,
            keys: BankKeys::new(Arc::clone(&peers), parts.store.clone(), KEY_LISTS),
            store: parts.store,
            peers,
            time: Timekeeper::new(parts.clock),
            entropy: parts.entropy,
            owner_allowances: OwnerAllowances::default(),
            drain: Drain::default(),
            complaints: Arc::default(),
            committed: Notify::new(),
            aborted: Notify::new(),
        }
    }

    /// The escrow, draining as `drain` says.
    #[must_use]
    pub fn with_drain(self, drain: Drain) -> Self {
        Self { drain, ..self }
    }

    /// Whether it drains.
    pub fn drain(&self) -> &Drain {
        &self.drain
    }

    /// What the escrow has still to finish. It stores nothing for a hold, so purchases may come until their deadlines.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn under_way(&self) -> Result<UnderWay, StoreError> {
        let waiting = OUTBOX.scan(&self.store.view(), Bound::Unbounded, SCAN_MAX_ROWS)?;
        let since_ms = self.drain.since_ms();
        let under_way = UnderWay {
            until_ms: since_ms.map(|since_ms| since_ms.saturating_add(DEADLINE_HORIZON_MS)),
            ..UnderWay::default()
        };
        Ok(under_way.and("decisions wait for their bank", &waiting, SCAN_MAX_ROWS))
    }

    /// The store of its decisions.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The identity key.
    pub fn self_id(&self) -> PublicKey {
        self.key.public()
    }

    /// The key lists of its banks.
    pub fn bank_keys(&self) -> &BankKeys {
        &self.keys
    }

    /// The history: what the escrow and its banks remember of each other.
    pub fn history(&self) -> &Arc<History> {
        &self.history
    }

    /// The ephemeral key that seals the goods key of a purchase to its customer. It is always the same for one purchase.
    pub(crate) fn ephemeral(&self, purchase: &PurchaseId) -> SecretKey {
        derive_ephemeral(
            &NodeSecret::from_bytes(*self.key.to_bytes()),
            &EphemeralId::from(*purchase),
        )
    }

    /// The escrow's time (ms since 1970): the later of the clock and the journal's time.
    ///
    /// # Errors
    /// When one of the two must be wrong, or the store fails.
    pub(crate) fn now_ms(&self) -> Result<u64, Refusal> {
        let latest = LATEST_MS.peek(&self.store.view(), &());
        let latest_ms = latest.map_err(|e| unavailable(&e))?.unwrap_or_default();
        Ok(self.time.watch(latest_ms)?)
    }

    /// Sets the journal's time back to the clock, if it is later. The operator has said that the clock is right.
    ///
    /// Returns the journal's time before. Decisions stay as they are.
    ///
    /// # Errors
    /// When the clock has leapt since the start, or the store fails.
    pub async fn accept_clock(&self) -> Result<Option<u64>, Refusal> {
        let clock_ms = self.time.clock_ms()?;
        decide(&self.store, transactions::accept_clock_reads(), move |tx| {
            Ok(transactions::accept_clock(tx, clock_ms)?)
        })
        .await
    }
}
