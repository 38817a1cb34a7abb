//! The bank: what it holds in memory, and how it is opened.

use crate::keys::{BankSettings, Keys, KeysError, Master};
use crate::rows::{HEADS, KeyRoot};
use farthing_coin::{BootId, PublicKey, SecretKey};
use farthing_node::{
    card::{Card, RoleName},
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

/// What a bank is made of.
pub struct BankParts {
    /// The key that signs its documents.
    pub identity: SecretKey,
    /// The secret that its issuing keys are derived from.
    pub master: Master,
    /// What it was made with.
    pub settings: BankSettings,
    /// Its rows.
    pub store: Store,
    /// Its clock. It refuses by it, but decides nothing.
    pub clock: Arc<dyn Clock>,
    /// Its randomness.
    pub entropy: Arc<dyn Entropy>,
    /// How it reaches escrows.
    pub network: Arc<dyn Network>,
    /// Whom it works with.
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
    /// Opened and answered inside transactions alone, so that whatever is said of a session comes in order. Only who may
    /// have nonces is asked outside of them.
    pub(crate) sessions: Arc<Mutex<Sessions>>,
    /// How often each account may replace its memo.
    pub(crate) scan_record_allowances: Mutex<Allowances<PublicKey>>,
    /// Where the next round of overdue holds goes on.
    pub(crate) overdue_after: Mutex<Option<(u64, PurchaseId, PublicKey)>>,
    keys: RwLock<Arc<Keys>>,
    /// The log says that the list of keys is full.
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
    /// When its keys cannot be used.
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
        // Behind the head that is told: keys follow from the calendar, and are nothing that could be forgotten.
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

    /// What its escrows remember of it, and it of them.
    pub fn history(&self) -> &Arc<History> {
        &self.history
    }

    /// The bank's keys as they are now.
    pub fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// How much room the list of keys has.
    pub fn key_list(&self) -> KeyListStatus {
        self.keys().status(self.clock.now_ms())
    }

    /// Works with the escrows among `cards` from now on.
    pub fn set_cards(&self, cards: &[Card]) {
        self.peers.set_cards(cards.to_vec());
    }

    /// Appends the keys that the calendar asks for, if any are missing. One caller at a time.
    ///
    /// # Errors
    /// When they cannot be made or stored; the bank goes on with those that it has.
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
            "the list of keys was extended"
        );
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        Ok(())
    }
}

/// Whether the list of keys is full; says so in the log if it is.
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
