//! Events that a wallet reports while it works, for the command line, the demo or a test.

use farthing_protocol::api::Question;

/// An event of a wallet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WalletEvent {
    /// A party was asked something.
    Asked {
        /// The party, as its card names it.
        party: String,
        /// Name of the request, one or two words.
        question: Question,
    },
    /// A request got no reply. It is sent again.
    Unanswered {
        /// The party.
        party: String,
        /// Name of the request.
        question: Question,
        /// The reason.
        why: String,
    },
    /// A request was answered.
    Answered {
        /// The party.
        party: String,
        /// Name of the request.
        question: Question,
    },
    /// A request was refused.
    Refused {
        /// The party.
        party: String,
        /// Name of the request.
        question: Question,
        /// The reason.
        why: String,
    },
    /// A purchase has changed its state.
    Purchase {
        /// Number of the purchase.
        number: u64,
        /// The new status, one word.
        status: &'static str,
    },
    /// Progress of a download of encrypted goods.
    Goods {
        /// Fetched so far (bytes).
        done_bytes: u64,
        /// Total (bytes).
        total_bytes: u64,
    },
    /// A price would take too many coins. Small coins are exchanged for large ones first.
    Consolidates {
        /// How many coins it would take.
        coins: usize,
    },
    /// Progress of a withdrawal.
    Coins {
        /// Coins issued so far.
        done: u64,
        /// Coins in total.
        total: u64,
    },
    /// Progress of a restore.
    Restored {
        /// What was searched for.
        what: &'static str,
        /// How many were found.
        found: u64,
    },
}

/// Receives a wallet's events.
///
/// ```
/// use farthing_client::observer::{Observer, WalletEvent};
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// /// Counts the requests of a wallet.
/// #[derive(Default)]
/// struct Requests(AtomicU64);
///
/// impl Observer for Requests {
///     fn on_event(&self, event: &WalletEvent) {
///         if let WalletEvent::Asked { .. } = event {
///             self.0.fetch_add(1, Ordering::Relaxed);
///         }
///     }
/// }
/// ```
pub trait Observer: Send + Sync {
    /// Receives an event. Events come in order.
    fn on_event(&self, event: &WalletEvent);
}

/// An observer that ignores all events.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn on_event(&self, _event: &WalletEvent) {}
}
