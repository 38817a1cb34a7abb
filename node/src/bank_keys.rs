//! The key lists of the banks that a node works with. They are fetched, verified and stored.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use farthing_coin::{KeyBook, PublicKey};
use farthing_protocol::{
    api::KeysRequest,
    limits::REPLY_TIMEOUT,
    refusal::{Later, Refusal},
};
use tokio::{sync::Semaphore, time::Instant};

use crate::call::{CallError, ask, unavailable};
use crate::card::RoleName;
use crate::complaints::Complaints;
use crate::key_lists::KeyListTables;
use crate::peers::Peers;
use farthing_store::Store;

/// The shortest time between two requests for a bank's list (ms). Other parties' messages cannot cause more requests.
pub const KEYS_REFETCH_MS: u64 = 3_000;

/// How long a failure to fetch a list is remembered (ms). Callers get the same error during this time.
pub const KEYS_FAILED_MS: u64 = 2_000;

/// The maximum number of callers that wait for one bank's list. Further callers are refused as [`Later::Busy`].
pub const KEYS_WAITING_MAX: usize = 64;

/// The topics of the complaints about a bank.
const TOPIC_SILENT: &str = "silent";
const TOPIC_REFUSED: &str = "refused";

/// The key lists of the pinned banks, in memory and in the node's store.
///
/// A list that does not continue the previous one is refused, also after a restart. So a bank cannot remove or change
/// keys.
pub struct BankKeys {
    peers: Arc<Peers>,
    store: Store,
    tables: KeyListTables,
    banks: Mutex<BTreeMap<PublicKey, Arc<Bank>>>,
    complaints: Complaints,
}

impl std::fmt::Debug for BankKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BankKeys").finish_non_exhaustive()
    }
}

/// The state of one bank's list. The lock around the last attempt lets concurrent callers share one request.
#[derive(Debug)]
struct Bank {
    book: Mutex<Option<Arc<KeyBook>>>,
    last: tokio::sync::Mutex<Option<Attempt>>,
    waiting: Semaphore,
}

/// The last attempt to fetch the list.
#[derive(Debug)]
struct Attempt {
    ended: Instant,
    outcome: Result<(), Refusal>,
}

impl Default for Bank {
    fn default() -> Self {
        Self {
            book: Mutex::default(),
            last: tokio::sync::Mutex::default(),
            waiting: Semaphore::new(KEYS_WAITING_MAX),
        }
    }
}

impl Bank {
    fn book(&self) -> Option<Arc<KeyBook>> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_book(&self, book: &Arc<KeyBook>) {
        *self.book.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(book));
    }
}

impl Attempt {
    /// Whether its outcome is still valid for a new caller.
    fn holds(&self) -> bool {
        let for_ms = match self.outcome {
            Ok(()) => KEYS_REFETCH_MS,
            Err(_) => KEYS_FAILED_MS,
        };
        self.ended.elapsed() < Duration::from_millis(for_ms)
    }
}

impl BankKeys {
    /// Keeps the lists in these tables of the node's store.
    pub fn new(peers: Arc<Peers>, store: Store, tables: KeyListTables) -> Self {
        Self {
            peers,
            store,
            tables,
            banks: Mutex::default(),
            complaints: Complaints::default(),
        }
    }

    /// Whether the list of any bank is in memory.
    pub fn has_any(&self) -> bool {
        let banks = self.banks.lock().unwrap_or_else(PoisonError::into_inner);
        banks.values().any(|bank| bank.book().is_some())
    }

    /// How many things have not ended that went wrong with banks' lists.
    pub fn complaints(&self) -> usize {
        self.complaints.open()
    }

    /// Returns the list of `bank` as it was last fetched. Nobody is asked, and the bank's card may have been removed since.
    ///
    /// # Errors
    /// When the store cannot be read, or the stored list is damaged.
    pub fn kept(&self, bank: &PublicKey) -> Result<Option<Arc<KeyBook>>, Refusal> {
        let lock = || self.banks.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lock().get(bank).cloned();
        if let Some(known) = known {
            return self.known(bank, &known);
        }
        // Only a bank with a stored list gets a place in memory, so strangers who name others fill nothing.
        let list = self.tables.load(&self.store.view(), bank);
        if list.map_err(|e| unavailable(&e))?.is_none() {
            return Ok(None);
        }
        let known = Arc::clone(lock().entry(*bank).or_default());
        self.known(bank, &known)
    }

    /// Returns the list of `bank`. If no list is known, it is fetched.
    ///
    /// # Errors
    /// When the bank is not pinned, does not answer, or its list is refused.
    pub async fn book(&self, bank: &PublicKey) -> Result<Arc<KeyBook>, Refusal> {
        match self.known(bank, &*self.bank(bank)?)? {
            Some(book) => Ok(book),
            None => self.refresh(bank).await,
        }
    }

    /// Fetches the list of `bank`. If it was fetched within [`KEYS_REFETCH_MS`], the known list is returned.
    ///
    /// Callers that wait for the same attempt share its outcome. A failure is remembered for [`KEYS_FAILED_MS`].
    ///
    /// # Errors
    /// As [`BankKeys::book`], and [`Later::Busy`] when [`KEYS_WAITING_MAX`] callers already wait.
    pub async fn refresh(&self, bank: &PublicKey) -> Result<Arc<KeyBook>, Refusal> {
        let known = self.bank(bank)?;
        let _permit = known.waiting.try_acquire().map_err(|_full| Later::Busy {
            retry_after_ms: KEYS_FAILED_MS,
        })?;
        let mut last = known.last.lock().await;
        if let Some(attempt) = last.as_ref().filter(|attempt| attempt.holds()) {
            attempt.outcome.clone()?;
            if let Some(book) = known.book() {
                return Ok(book);
            }
        }
        let fetched = self.fetch(bank, &known).await;
        *last = Some(Attempt {
            ended: Instant::now(),
            outcome: fetched.as_ref().map(|_| ()).map_err(Clone::clone),
        });
        fetched
    }

    /// Fetches the list from the bank. A new list is durable before it is used.
    async fn fetch(&self, bank: &PublicKey, known: &Bank) -> Result<Arc<KeyBook>, Refusal> {
        let link = self.peers.link(RoleName::Bank, bank)?;
        let signed = ask(&*link, KeysRequest, REPLY_TIMEOUT).await;
        let signed = signed.map_err(|error| self.silent(bank, error))?;
        if let Some(times) = self.complaints.clear(TOPIC_SILENT, bank) {
            tracing::info!(%bank, times, "a bank's list of keys is fetched again");
        }
        let book = KeyBook::new(signed, bank).map_err(|error| self.refused(bank, &error.to_string()))?;
        let older = self.known(bank, known)?;
        if older.as_ref().is_some_and(|older| !book.extends(older)) {
            return Err(self.refused(bank, "it does not continue the list that the bank showed before"));
        }
        if let Some(older) = older.filter(|older| older.digest() == book.digest()) {
            return Ok(older);
        }
        let (tables, signed) = (self.tables, book.signed().clone());
        let reads = [tables.save_reads(bank)];
        let kept = self.store.transact(reads, move |tx| tables.save(tx, &signed));
        kept.await.map_err(|e| unavailable(&e))?;
        let book = Arc::new(book);
        known.set_book(&book);
        Ok(book)
    }

    /// Returns the known list: from memory, or from the store after a restart.
    fn known(&self, bank: &PublicKey, known: &Bank) -> Result<Option<Arc<KeyBook>>, Refusal> {
        if let Some(book) = known.book() {
            return Ok(Some(book));
        }
        let stored = self.tables.load(&self.store.view(), bank);
        let Some(signed) = stored.map_err(|e| unavailable(&e))? else {
            return Ok(None);
        };
        let book =
            Arc::new(KeyBook::new(signed, bank).map_err(|error| self.refused(bank, &error.to_string()))?);
        known.set_book(&book);
        Ok(Some(book))
    }

    /// Returns the state of a bank's list. Only pinned banks have one.
    fn bank(&self, bank: &PublicKey) -> Result<Arc<Bank>, Refusal> {
        self.peers.link(RoleName::Bank, bank)?;
        let mut banks = self.banks.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(banks.entry(*bank).or_default()))
    }

    fn silent(&self, bank: &PublicKey, error: CallError) -> Refusal {
        self.complaints.tell(TOPIC_SILENT, bank, |times| {
            tracing::warn!(%bank, %error, times, "a bank's list of keys could not be fetched; it is asked again");
        });
        match error {
            CallError::Refused(refusal @ Refusal::Later(_)) => refusal,
            _ => Later::PeerSilent("bank".into()).into(),
        }
    }

    fn refused(&self, bank: &PublicKey, why: &str) -> Refusal {
        self.complaints.tell(TOPIC_REFUSED, bank, |times| {
            tracing::error!(
                %bank,
                why,
                times,
                "a bank's list of keys is refused; ask the bank's operator, and sell nothing until then"
            );
        });
        Later::Unavailable("its bank's list of keys is refused".into()).into()
    }
}
