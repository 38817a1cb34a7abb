//! The key lists of the banks that a node works with: fetched, verified, and kept.

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
use crate::key_lists::KeyListTables;
use crate::peers::Peers;
use farthing_store::Store;

/// A bank is asked for its list at most this often (ms), whatever strangers send.
pub const KEYS_REFETCH_MS: u64 = 3_000;

/// A list that could not be fetched is not asked for again for so long (ms): whoever wants it meanwhile is told the same.
pub const KEYS_FAILED_MS: u64 = 2_000;

/// The most requests that wait for one bank's list; more are told to come back.
pub const KEYS_WAITING_MAX: usize = 64;

/// The key lists of the pinned banks, in memory and in the node's store. A list that does not continue the one before it is
/// refused, after a restart too, so that a bank cannot take keys back or change them.
pub struct BankKeys {
    peers: Arc<Peers>,
    store: Store,
    tables: KeyListTables,
    banks: Mutex<BTreeMap<PublicKey, Arc<Bank>>>,
}

impl std::fmt::Debug for BankKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BankKeys").finish_non_exhaustive()
    }
}

/// What is known of one bank's list. The lock around the last attempt makes many callers ask but once.
#[derive(Debug)]
struct Bank {
    book: Mutex<Option<Arc<KeyBook>>>,
    last: tokio::sync::Mutex<Option<Attempt>>,
    waiting: Semaphore,
}

/// How the bank was last asked.
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
    /// Whether what came of it still holds for whoever asks now.
    fn holds(&self) -> bool {
        let for_ms = match self.outcome {
            Ok(()) => KEYS_REFETCH_MS,
            Err(_) => KEYS_FAILED_MS,
        };
        self.ended.elapsed() < Duration::from_millis(for_ms)
    }
}

impl BankKeys {
    /// The lists that are kept in these tables of the node's store.
    pub fn new(peers: Arc<Peers>, store: Store, tables: KeyListTables) -> Self {
        Self {
            peers,
            store,
            tables,
            banks: Mutex::default(),
        }
    }

    /// The list of `bank`, fetched if none is known yet.
    ///
    /// # Errors
    /// When the bank is not pinned here, has not answered, or its list is refused.
    pub async fn book(&self, bank: &PublicKey) -> Result<Arc<KeyBook>, Refusal> {
        match self.known(bank, &*self.bank(bank)?)? {
            Some(book) => Ok(book),
            None => self.refresh(bank).await,
        }
    }

    /// The list of `bank` as it is now; the known one, if it was asked for within [`KEYS_REFETCH_MS`]. Whoever waits for an
    /// attempt shares what comes of it, and a failure is remembered for [`KEYS_FAILED_MS`].
    ///
    /// # Errors
    /// As [`BankKeys::book`], and [`Later::Busy`] when [`KEYS_WAITING_MAX`] wait already.
    pub async fn refresh(&self, bank: &PublicKey) -> Result<Arc<KeyBook>, Refusal> {
        let known = self.bank(bank)?;
        let _place = known.waiting.try_acquire().map_err(|_full| Later::Busy {
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

    /// Asks the bank. A list that is new is durable before anything rests on it.
    async fn fetch(&self, bank: &PublicKey, known: &Bank) -> Result<Arc<KeyBook>, Refusal> {
        let link = self.peers.link(RoleName::Bank, bank)?;
        let signed = ask(&*link, KeysRequest, REPLY_TIMEOUT).await.map_err(silent)?;
        let book = KeyBook::new(signed, bank).map_err(|error| refused(&error.to_string()))?;
        let older = self.known(bank, known)?;
        if older.as_ref().is_some_and(|older| !book.extends(older)) {
            return Err(refused(
                "it does not continue the list that the bank showed before",
            ));
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

    /// The list that is known: in memory, or from an earlier run in the store.
    fn known(&self, bank: &PublicKey, known: &Bank) -> Result<Option<Arc<KeyBook>>, Refusal> {
        if let Some(book) = known.book() {
            return Ok(Some(book));
        }
        let stored = self.tables.load(&self.store.view(), bank);
        let Some(signed) = stored.map_err(|e| unavailable(&e))? else {
            return Ok(None);
        };
        let book = Arc::new(KeyBook::new(signed, bank).map_err(|error| refused(&error.to_string()))?);
        known.set_book(&book);
        Ok(Some(book))
    }

    /// What is kept of a bank; only pinned ones get a place.
    fn bank(&self, bank: &PublicKey) -> Result<Arc<Bank>, Refusal> {
        self.peers.link(RoleName::Bank, bank)?;
        let mut banks = self.banks.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(banks.entry(*bank).or_default()))
    }
}

fn silent(error: CallError) -> Refusal {
    tracing::warn!(%error, "a bank's list of keys could not be fetched");
    match error {
        CallError::Refused(refusal @ Refusal::Later(_)) => refusal,
        _ => Later::PeerSilent("bank".into()).into(),
    }
}

fn refused(why: &str) -> Refusal {
    tracing::error!(
        why,
        "a bank's list of keys is refused; ask the bank's operator, and sell nothing until then"
    );
    Later::Unavailable("its bank's list of keys is refused".into()).into()
}
