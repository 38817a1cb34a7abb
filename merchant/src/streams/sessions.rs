//! All open streams and live sources of a running node. They are in memory only.

use crate::streams::{session::Session, source::LiveFeed};
use farthing_coin::{Transcript, TranscriptExt};
use farthing_protocol::{
    ids::{ItemId, PurchaseId, SaleId},
    limits::TICK_MAX_BYTES,
    refusal::Later,
};
use farthing_store::entropy::Entropy;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::sync::Notify;

/// The most open streams in memory. Each keeps at most half a mebibyte of encrypted ticks. Further customers wait.
pub const SESSIONS_MAX: usize = 4096;

/// How long a customer waits before they ask again when the node has no room for a further stream (ms).
pub const FULL_MS: u64 = 5_000;

/// The most live items that are fed at once.
pub const FEEDS_MAX: usize = 64;

/// The bytes of a sale id that are random. The others show in which run of the node the offer was made.
const DRAWN_BYTES: usize = 16;

/// An open stream, for one request at a time.
pub type SharedSession = Arc<tokio::sync::Mutex<Session>>;

/// All open streams and live sources.
#[derive(Debug)]
pub struct Streams {
    open: Mutex<BTreeMap<PurchaseId, SharedSession>>,
    feeds: Mutex<BTreeMap<ItemId, Arc<LiveFeed>>>,
    /// A secret of this run of the node.
    run: OnceLock<[u8; 32]>,
    /// When the node has started (ms since 1970).
    pub(crate) started_ms: u64,
    /// Wakes the loop that shows vouchers to escrows.
    pub(crate) raise_asked: Notify,
    /// Wakes the requests that wait for an escrow.
    pub(crate) acknowledged: Notify,
    /// Wakes the loop that ends streams.
    pub(crate) close_asked: Notify,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Streams {
    /// No stream is open.
    pub fn new(started_ms: u64) -> Self {
        Self {
            open: Mutex::default(),
            feeds: Mutex::default(),
            run: OnceLock::new(),
            started_ms,
            raise_asked: Notify::new(),
            acknowledged: Notify::new(),
            close_asked: Notify::new(),
        }
    }

    /// The open stream of a purchase.
    pub fn get(&self, purchase: &PurchaseId) -> Option<SharedSession> {
        locked(&self.open).get(purchase).cloned()
    }

    /// All open streams.
    pub fn all(&self) -> Vec<SharedSession> {
        locked(&self.open).values().cloned().collect()
    }

    /// Adds an open stream, unless the purchase has one. Returns the one that it has then.
    ///
    /// # Errors
    /// [`Later::Busy`] if there are too many.
    pub fn add(&self, session: Session) -> Result<SharedSession, Later> {
        let purchase = session.purchase();
        let mut open = locked(&self.open);
        if let Some(known) = open.get(&purchase) {
            return Ok(Arc::clone(known));
        }
        if open.len() >= SESSIONS_MAX {
            let retry_after_ms = FULL_MS;
            return Err(Later::Busy { retry_after_ms });
        }
        let session = Arc::new(tokio::sync::Mutex::new(session));
        open.insert(purchase, Arc::clone(&session));
        Ok(session)
    }

    /// Forgets a stream that is decided.
    pub fn forget(&self, purchase: &PurchaseId) {
        locked(&self.open).remove(purchase);
    }

    /// The source of a live item, if it is fed.
    pub fn feed(&self, item_id: &ItemId) -> Option<Arc<LiveFeed>> {
        locked(&self.feeds).get(item_id).cloned()
    }

    /// Adds records to a live item. No records begin it.
    ///
    /// # Errors
    /// A message for the operator.
    pub fn feed_records(&self, item_id: ItemId, records: Vec<Vec<u8>>) -> Result<(), String> {
        if let Some(long) = records.iter().find(|record| record.len() > TICK_MAX_BYTES) {
            return Err(format!(
                "a record has {} bytes, and at most {TICK_MAX_BYTES} are allowed; send it in parts",
                long.len()
            ));
        }
        let mut feeds = locked(&self.feeds);
        if !feeds.contains_key(&item_id) && feeds.len() >= FEEDS_MAX {
            return Err(format!(
                "{FEEDS_MAX} live streams are fed already; end one of them first"
            ));
        }
        let feed = Arc::clone(feeds.entry(item_id).or_default());
        drop(feeds);
        feed.feed(records);
        Ok(())
    }

    /// The data of a live item has ended.
    pub fn end_feed(&self, item_id: &ItemId) {
        if let Some(feed) = locked(&self.feeds).remove(item_id) {
            feed.end();
        }
        self.close_asked.notify_one();
    }

    /// The id of a sale of a live item, which only this run of the node recognises.
    pub fn live_sale(&self, entropy: &dyn Entropy) -> SaleId {
        let run = self.run.get_or_init(|| {
            let mut run = [0; 32];
            entropy.fill(&mut run);
            run
        });
        let mut drawn = [0; DRAWN_BYTES];
        entropy.fill(&mut drawn);
        sale_of_run(run, &drawn)
    }

    /// Whether the offer with this sale id, on a live item, was made by this run of the node.
    ///
    /// Only then it is certain that no record was encrypted for it before, even if the store is an older copy.
    pub fn is_of_this_run(&self, sale_id: &SaleId) -> bool {
        let drawn = sale_id.0.first_chunk::<DRAWN_BYTES>();
        match (self.run.get(), drawn) {
            (Some(run), Some(drawn)) => sale_of_run(run, drawn) == *sale_id,
            _ => false,
        }
    }
}

fn sale_of_run(run: &[u8; 32], drawn: &[u8; DRAWN_BYTES]) -> SaleId {
    let mut transcript = Transcript::start(b"live sale");
    transcript.bytes(b"run", run);
    transcript.bytes(b"drawn", drawn);
    let mut id = [0; 32];
    transcript.challenge_bytes(b"tag", &mut id);
    if let Some(first) = id.first_chunk_mut::<DRAWN_BYTES>() {
        *first = *drawn;
    }
    SaleId(id)
}
