//! Counts the requests of the wallets.

use farthing_client::observer::{Observer, WalletEvent};
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the requests of the wallets.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) questions: AtomicU64,
    pub(crate) unanswered: AtomicU64,
    pub(crate) refused: AtomicU64,
}

impl Observer for Asked {
    fn on_event(&self, event: &WalletEvent) {
        let counter = match event {
            WalletEvent::Asked { .. } => &self.questions,
            WalletEvent::Unanswered { .. } => &self.unanswered,
            WalletEvent::Refused { .. } => &self.refused,
            _ => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
