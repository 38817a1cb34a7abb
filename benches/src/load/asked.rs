//! Counts what wallets ask.

use farthing_client::observer::{Event, Observer};
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts what wallets ask.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) questions: AtomicU64,
    pub(crate) unanswered: AtomicU64,
    pub(crate) refused: AtomicU64,
}

impl Observer for Asked {
    fn on_event(&self, event: &Event) {
        let counter = match event {
            Event::Asked { .. } => &self.questions,
            Event::Unanswered { .. } => &self.unanswered,
            Event::Refused { .. } => &self.refused,
            _ => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
