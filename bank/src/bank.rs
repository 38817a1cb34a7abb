//! The bank in memory, and its start.

use crate::keys::{BankSettings, Keys, KeysError, Master};
use crate::rows::{HEADS, KeyRoot};
use farthing_coin::{BootId, PublicKey, SecretKey};
use farthing_node::{
    card::{Card, RoleName},
    complaints::Complaints,
    history::{History, HistoryParts},
    network::Network,
    operator::status::KeyListStatus,
    peers::Peers,
};
use farthing_protocol::{
    allowance::Allowances,
    documents::PurchaseId,
    issue::Sessions,
    limits::{MEMO_EVERY_MS, MEMOS_AT_ONCE_MAX},
};
use farthing_store::{Store, clock::Clock, entropy::Entropy};
use std::sync::{
    Arc, Mutex, PoisonError, RwLock,
    atomic::{AtomicBool, Ordering},
};

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
    /// How often each account may replace its scan record.
    pub(crate) scan_record_allowances: Mutex<Allowances<PublicKey>>,
    /// The hold after which the next round of overdue holds begins.
    pub(crate) overdue_after: Mutex<Option<(u64, PurchaseId, PublicKey)>>,
    /// What its background work has found wrong.
    pub(crate) complaints: Complaints,
    keys: RwLock<Arc<Keys>>,
    /// Whether the log has reported that the list of keys is full.
    full: AtomicBool,
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
        let keys = Keys::open(&parts.store, &root, &parts.master, &identity, now_ms).await?;
        let full = is_full(&keys, now_ms);
        Ok(Bank {
            self_id,
            identity,
            store: parts.store,
            clock: parts.clock,
            entropy,
            peers,
            history,
            sessions: Arc::new(Mutex::new(Sessions::new(BootId(boot_id)))),
            scan_record_allowances: Mutex::new(Allowances::new(MEMOS_AT_ONCE_MAX, MEMO_EVERY_MS)),
            overdue_after: Mutex::default(),
            complaints: Complaints::default(),
            keys: RwLock::new(Arc::new(keys)),
            full: AtomicBool::new(full),
            root,
            master: parts.master,
        })
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

    /// Appends the keys that the calendar asks for. One caller at a time.
    ///
    /// # Errors
    /// When the keys cannot be made or stored. The bank continues with its present keys.
    pub async fn extend_keys(&self) -> Result<(), KeysError> {
        let now_ms = self.clock.now_ms();
        let keys = self.keys();
        if !keys.wants_more(now_ms) {
            let told = self.full.load(Ordering::Relaxed);
            if told != keys.status(now_ms).full {
                self.full.store(is_full(&keys, now_ms), Ordering::Relaxed);
            }
            return Ok(());
        }
        let keys = Keys::open(&self.store, &self.root, &self.master, &self.identity, now_ms).await?;
        tracing::info!(
            epochs = keys.book().list().epochs.len(),
            "new keys were appended to the list of keys"
        );
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        Ok(())
    }
}

/// Whether the list of keys is full. A full list is reported in the log.
fn is_full(keys: &Keys, now_ms: u64) -> bool {
    let list = keys.status(now_ms);
    if list.full {
        tracing::error!(
            epochs = list.epochs,
            issues_until_ms = list.issues_until_ms,
            "the list of keys is full, or the clock is years ahead: no coins are issued once its last epoch has ended \
             (OPERATIONS.md, Keys)"
        );
    }
    list.full
}
