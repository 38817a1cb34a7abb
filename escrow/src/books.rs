//! The escrow's books as sums for its metrics, counted from its rows.

use crate::escrow::Escrow;
use crate::rows::{ACKNOWLEDGED, DECISIONS, FORGOTTEN, OUTBOX};
use farthing_node::books::{Books, Figure, each_row};
use farthing_protocol::decision::Decision;
use farthing_store::{StoreError, View};

/// The most rows that are in memory at once.
const PAGE_MAX: usize = 512;

impl Escrow {
    /// The numbers of decisions, and how many of them wait for their bank.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) async fn sums(&self) -> Result<Books, String> {
        let view = self.store.view();
        let counted = tokio::task::spawn_blocking(move || count(&view)).await;
        let counted = counted.map_err(|error| error.to_string())?;
        counted.map_err(|error| error.to_string())
    }
}

fn count(view: &View) -> Result<Books, StoreError> {
    // Those that were forgotten are counted too. Their banks have acknowledged them.
    let forgotten = FORGOTTEN.peek(view, &())?.unwrap_or_default();
    let (mut committed, mut aborted, mut waiting) = (forgotten.committed, forgotten.aborted, 0u64);
    let mut acknowledged = committed.saturating_add(aborted);
    each_row(&DECISIONS, view, PAGE_MAX, |_, decision| match decision {
        Decision::Committed { .. } | Decision::Streamed { .. } => committed = committed.saturating_add(1),
        Decision::Aborted { .. } => aborted = aborted.saturating_add(1),
    })?;
    each_row(&OUTBOX, view, PAGE_MAX, |_, ()| {
        waiting = waiting.saturating_add(1)
    })?;
    each_row(&ACKNOWLEDGED, view, PAGE_MAX, |_, _| {
        acknowledged = acknowledged.saturating_add(1)
    })?;
    Ok(Books {
        currency: None,
        acts: committed.saturating_add(aborted),
        figures: vec![
            Figure::count("committed", "committed", committed),
            Figure::count("aborted", "aborted", aborted),
            Figure::count("settled", "settled with a bank", acknowledged),
            Figure::count("waiting", "waiting for a bank", waiting),
        ],
    })
}
