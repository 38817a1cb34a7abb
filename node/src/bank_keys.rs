//! The key lists of the banks that a node works with, fetched and verified.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use farthing_coin::{KeyBook, PublicKey};
use farthing_protocol::{
    api::KeysRequest,
    limits::REPLY_TIMEOUT,
    refusal::{Later, Refusal},
};
use tokio::time::Instant;

use crate::call::{CallError, ask};
use crate::card::RoleName;
use crate::peers::Peers;

/// A bank is asked for its list at most this often (ms), whatever strangers send.
pub const KEYS_REFETCH_MS: u64 = 3_000;

/// The key lists of the pinned banks, in memory. A list that does not continue the one before it is refused, so
/// that a bank cannot take keys back or change them.
#[derive(Debug)]
pub struct BankKeys {
    peers: Arc<Peers>,
    banks: Mutex<BTreeMap<PublicKey, Arc<Bank>>>,
}

/// What is known of one bank's list. The lock around the last question makes many callers ask but once.
#[derive(Debug, Default)]
struct Bank {
    book: Mutex<Option<Arc<KeyBook>>>,
    asked: tokio::sync::Mutex<Option<Instant>>,
}

impl Bank {
    fn book(&self) -> Option<Arc<KeyBook>> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl BankKeys {
    /// Knows no list yet.
    pub fn new(peers: Arc<Peers>) -> Self {
        Self {
            peers,
            banks: Mutex::default(),
        }
    }

    /// The list of `bank`, fetched if it is not known yet.
    ///
    /// # Errors
    /// When the bank is not pinned here, has not answered, or its list is refused.
    pub async fn book(&self, bank: &PublicKey) -> Result<Arc<KeyBook>, Refusal> {
        match self.bank(bank)?.book() {
            Some(book) => Ok(book),
            None => self.refresh(bank).await,
        }
    }

    /// The list of `bank` as it is now; the known one, if it was asked for within [`KEYS_REFETCH_MS`].
    ///
    /// # Errors
    /// As [`BankKeys::book`].
    pub async fn refresh(&self, bank: &PublicKey) -> Result<Arc<KeyBook>, Refusal> {
        let known = self.bank(bank)?;
        let mut asked = known.asked.lock().await;
        let lately = asked.is_some_and(|at| at.elapsed() < Duration::from_millis(KEYS_REFETCH_MS));
        if lately && let Some(book) = known.book() {
            return Ok(book);
        }
        let link = self.peers.link(RoleName::Bank, bank)?;
        let signed = ask(&*link, KeysRequest, REPLY_TIMEOUT).await.map_err(silent)?;
        *asked = Some(Instant::now());
        let book = KeyBook::new(signed, bank).map_err(|error| refused(&error.to_string()))?;
        if known.book().is_some_and(|older| !book.extends(&older)) {
            return Err(refused(
                "it does not continue the list that the bank showed before",
            ));
        }
        let book = Arc::new(book);
        *known.book.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&book));
        Ok(book)
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
