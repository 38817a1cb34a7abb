//! What a wallet tells whoever watches it work: the command line, the demo, a test.

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WalletEvent {
    /// A question was asked of a party.
    Asked {
        /// Which party, as its card names it.
        party: String,
        /// What for, in a word or two.
        question: &'static str,
    },
    /// A question got no reply; it is asked again.
    Unanswered {
        /// Which party.
        party: String,
        /// What for.
        question: &'static str,
        /// Why.
        why: String,
    },
    /// A question was answered.
    Answered {
        /// Which party.
        party: String,
        /// What for.
        question: &'static str,
    },
    /// A question was refused.
    Refused {
        /// Which party.
        party: String,
        /// What for.
        question: &'static str,
        /// Why.
        why: String,
    },
    /// A purchase is in another state.
    Purchase {
        /// Its number.
        number: u64,
        /// One word.
        status: &'static str,
    },
    /// So much of the encrypted goods is here.
    Goods {
        /// Here (bytes).
        done_bytes: u64,
        /// All of it (bytes).
        total_bytes: u64,
    },
    /// So many coins have come.
    Coins {
        /// Here.
        done: u64,
        /// All that were asked for.
        total: u64,
    },
    /// So many records of a restore were looked at.
    Restored {
        /// What is looked for.
        what: &'static str,
        /// So many were found.
        found: u64,
    },
}

/// Whoever watches a wallet work.
pub trait Observer: Send + Sync {
    /// Is told of an event, in order.
    fn on_event(&self, event: &WalletEvent);
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn on_event(&self, _event: &WalletEvent) {}
}
