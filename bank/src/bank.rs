//! The bank in memory, and its start.

use crate::keys::{BankSettings, Keys, KeysError, Master, Trust};
use crate::policy::Policy;
use crate::rows::{HEADS, HOLDS, KeyRoot, PURGE, Purge};
use farthing_coin::{BootId, PublicKey, SecretKey};
use farthing_node::{
    card::{Card, RoleName},
    complaints::Complaints,
    drain::{Drain, UnderWay},
    history::{History, HistoryParts},
    network::Network,
    operator::status::{ClockDoubt, KeyListStatus},
    peers::Peers,
};
use farthing_protocol::{
    allowance::{Allowances, OwnerAllowances},
    documents::PurchaseId,
    issue::Sessions,
    limits::{MEMO_EVERY_MS, MEMOS_AT_ONCE_MAX},
};
use farthing_store::{Store, StoreError, clock::Clock, entropy::Entropy, limits::SCAN_MAX_ROWS};
use std::ops::Bound;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// The parts of a [`Bank`].
pub struct BankParts {
    /// The key that signs its documents.
    pub identity: SecretKey,
    /// The secret from which its issuing keys derive.
    pub master: Master,
    /// Its settings.
    pub settings: BankSettings,
    /// Its store.
    pub store: Store,
    /// Its clock. The bank refuses by it, but decides no purchase by it.
    pub clock: Arc<dyn Clock>,
    /// Its randomness.
    pub entropy: Arc<dyn Entropy>,
    /// The network to its escrows.
    pub network: Arc<dyn Network>,
    /// The pinned cards.
    pub cards: Vec<Card>,
}

impl std::fmt::Debug for BankParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BankParts")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// A bank.
pub struct Bank {
    pub(crate) identity: Arc<SecretKey>,
    pub(crate) self_id: PublicKey,
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) history: Arc<History>,
    /// The open sessions. Only transactions open and answer them, in order. Only admission is checked outside.
    pub(crate) sessions: Arc<Mutex<Sessions>>,
    /// How many requests of each kind the owner of each account or reserve may send.
    pub(crate) owner_allowances: OwnerAllowances,
    /// How often each account may replace its scan record.
    pub(crate) scan_record_allowances: Mutex<Allowances<PublicKey>>,
    /// The hold after which the next round of overdue holds begins.
    pub(crate) overdue_after: Mutex<Option<(u64, PurchaseId, PublicKey)>>,
    /// How far it has forgotten what is of closed epochs. Rounds that find nothing are only here.
    pub(crate) purge: Mutex<Purge>,
    /// Until when the coins that it has forgotten were taken (ms since 1970).
    pub(crate) closed_until_ms: AtomicU64,
    /// What its background work has found wrong.
    pub(crate) complaints: Complaints,
    /// Whether it begins nothing new.
    pub(crate) drain: Drain,
    /// Which movements at the accounts' edge are reported.
    pub(crate) policy: Arc<Policy>,
    keys: RwLock<Arc<Keys>>,
    /// What the log has reported: whether the list of keys is full, and why the clock is doubted.
    told: Mutex<(bool, Option<ClockDoubt>)>,
    root: KeyRoot,
    master: Master,
}

impl std::fmt::Debug for Bank {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bank")
            .field("self_id", &self.self_id)
            .finish_non_exhaustive()
    }
}

impl Bank {
    /// Opens the bank, and appends the keys that the calendar asks for.
    ///
    /// # Errors
    /// When its keys cannot be opened.
    pub async fn open(parts: BankParts) -> Result<Bank, KeysError> {
        let self_id = parts.identity.public();
        let root = KeyRoot {
            bank: self_id,
            currency: parts.settings.currency,
            calendar: parts.settings.calendar,
            values: parts.settings.values,
        };
        let now_ms = parts.clock.now_ms();
        let entropy = Arc::clone(&parts.entropy);
        let mut boot_id = [0; 32];
        entropy.fill(&mut boot_id);
        let identity = Arc::new(parts.identity);
        let peers = Arc::new(Peers::new(parts.network, parts.cards));
        let history = History::new(HistoryParts {
            key: Arc::clone(&identity),
            store: parts.store.clone(),
            heads: HEADS,
            peers: Arc::clone(&peers),
            witnesses: RoleName::Escrow,
            entropy: parts.entropy,
        });
        // After the history has read the head: keys follow from the calendar, so losing their record forgets nothing.
        let trust = Trust::Doubting;
        let keys = Keys::open(&parts.store, &root, &parts.master, &identity, now_ms, trust).await?;
        let closed = PURGE.peek(&parts.store.view(), &())?.unwrap_or_default();
        let bank = Bank {
            self_id,
            identity,
            store: parts.store,
            clock: parts.clock,
            entropy,
            peers,
            history,
            sessions: Arc::new(Mutex::new(Sessions::new(BootId(boot_id)))),
            owner_allowances: OwnerAllowances::default(),
            scan_record_allowances: Mutex::new(Allowances::new(MEMOS_AT_ONCE_MAX, MEMO_EVERY_MS)),
            overdue_after: Mutex::default(),
            purge: Mutex::new(closed),
            closed_until_ms: AtomicU64::new(keys.taken_until_ms(closed.before_ms)),
            complaints: Complaints::default(),
            policy: Arc::default(),
            drain: Drain::default(),
            keys: RwLock::new(Arc::new(keys)),
            told: Mutex::default(),
            root,
            master: parts.master,
        };
        bank.tell(now_ms);
        Ok(bank)
    }

    /// Sets the policy of reports, before the bank answers anybody.
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = Arc::new(policy);
    }

    /// The bank, draining as `drain` says.
    #[must_use]
    pub fn with_drain(self, drain: Drain) -> Self {
        Self { drain, ..self }
    }

    /// Whether it drains.
    pub fn drain(&self) -> &Drain {
        &self.drain
    }

    /// What the bank has still to finish: the purchases whose coins are held.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn under_way(&self) -> Result<UnderWay, StoreError> {
        let holds = HOLDS.scan(&self.store.view(), Bound::Unbounded, SCAN_MAX_ROWS)?;
        Ok(UnderWay::default().and(
            "purchases have coins held, until their escrow decides",
            &holds,
            SCAN_MAX_ROWS,
        ))
    }

    /// The bank's identity key.
    pub fn self_id(&self) -> PublicKey {
        self.self_id
    }

    /// The bank's store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The history: what the bank and its escrows remember of each other.
    pub fn history(&self) -> &Arc<History> {
        &self.history
    }

    /// The present keys.
    pub fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The room in the list of keys.
    pub fn key_list(&self) -> KeyListStatus {
        self.keys().status(self.clock.now_ms())
    }

    /// Replaces the pinned cards.
    pub fn set_cards(&self, cards: &[Card]) {
        self.peers.set_cards(cards.to_vec());
    }

    /// Appends the keys that the calendar asks for, unless the clock is doubted. One caller at a time.
    ///
    /// # Errors
    /// When the keys cannot be made or stored. The bank continues with its present keys.
    pub async fn extend_keys(&self) -> Result<(), KeysError> {
        let now_ms = self.clock.now_ms();
        self.tell(now_ms);
        match self.keys().wants_more(now_ms) {
            true => self.append_keys(now_ms, Trust::Doubting).await,
            false => Ok(()),
        }
    }

    /// Appends the keys that the calendar asks for: the operator has said that the clock is right. One caller at a time.
    ///
    /// # Errors
    /// As [`extend_keys`](Bank::extend_keys).
    pub async fn accept_clock(&self) -> Result<(), KeysError> {
        let now_ms = self.clock.now_ms();
        self.append_keys(now_ms, Trust::Accepted).await?;
        self.tell(now_ms);
        Ok(())
    }

    async fn append_keys(&self, now_ms: u64, trust: Trust) -> Result<(), KeysError> {
        let (root, master, identity) = (&self.root, &self.master, &self.identity);
        let keys = Keys::open(&self.store, root, master, identity, now_ms, trust).await?;
        tracing::info!(
            epochs = keys.book().list().epochs.len(),
            "new keys were appended to the list of keys"
        );
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        Ok(())
    }

    /// Reports in the log when the list of keys becomes full, when the clock is doubted, and when it is right again.
    fn tell(&self, now_ms: u64) {
        let list = self.keys().status(now_ms);
        let now = (list.full, list.doubt);
        let before = std::mem::replace(
            &mut *self.told.lock().unwrap_or_else(PoisonError::into_inner),
            now,
        );
        if before == now {
            return;
        }
        match (list.doubt, list.full) {
            (Some(doubt), _) => tracing::error!(
                clock_ms = now_ms,
                epochs = list.epochs,
                issues_until_ms = list.issues_until_ms,
                "{}",
                doubt.advice()
            ),
            (None, true) => tracing::error!(
                epochs = list.epochs,
                issues_until_ms = list.issues_until_ms,
                "the list of keys is full: no coins are issued once its last epoch has ended (OPERATIONS.md, Keys)"
            ),
            (None, false) => tracing::info!("the clock is right again; the list of keys follows it"),
        }
    }
}
