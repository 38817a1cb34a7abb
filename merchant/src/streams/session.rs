//! One open stream: its keys, the encrypted ticks that are not paid for, and its highest voucher.

use crate::rows::{SaleState, StreamPapers};
use crate::streams::source::{ChunkedFile, LiveFeed, NextRecord};
use farthing_coin::{SecretKey, Signed};
use farthing_protocol::{
    documents::Terms,
    goods::{GoodsKey, TAG_BYTES},
    ids::PurchaseId,
    limits::{GOODS_PIECE_BYTES, RAISES_MAX, TICKS_PER_REPLY_MAX},
    money::Amount,
    refusal::{Later, PurchaseFault, Refusal},
    stream::{
        Batch, Raised, Voucher, chain::KeyChain, chain::encrypt_tick, check_voucher, pay_until_ms, price_of,
    },
};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// How long a customer waits before they ask for a key again that the merchant keeps back until the escrow has a voucher (ms).
pub const KEPT_BACK_MS: u64 = 200;

/// How many vouchers of one stream the escrow is shown at most. It stores twice as many.
pub const RAISES_WANTED: u64 = RAISES_MAX as u64 / 2;

/// Where a session's data comes from.
#[derive(Debug)]
pub enum Source {
    /// A file.
    File(ChunkedFile),
    /// Live records, from this place on.
    Live(Arc<LiveFeed>, u64),
    /// There is no further data.
    Over,
}

/// One open stream.
#[derive(Debug)]
pub struct Session {
    terms: Terms,
    /// The digest of the terms.
    purchase: PurchaseId,
    chain: KeyChain,
    source: Source,
    papers: StreamPapers,
    /// The encrypted ticks after the ones that are paid for.
    unpaid: VecDeque<Vec<u8>>,
    unpaid_bytes: usize,
    /// When it was last used (ms since 1970).
    used_ms: u64,
    /// Whether the sale is stored.
    is_stored: bool,
    /// The permit for its request that waits for a live record.
    waiting: Arc<Semaphore>,
    /// Whether its customer has been given ticks, or told that there are none, after all that they have paid for was taken.
    has_answered: bool,
    /// Whether the merchant ends it. Then no voucher is taken and no key given.
    is_closing: bool,
}

impl Session {
    /// A stream of which no tick was sent.
    pub fn new(terms: Terms, chain: KeyChain, source: Source, now_ms: u64) -> Self {
        Self {
            purchase: terms.purchase_id(),
            terms,
            chain,
            source,
            papers: StreamPapers::default(),
            unpaid: VecDeque::new(),
            unpaid_bytes: 0,
            used_ms: now_ms,
            is_stored: false,
            waiting: Arc::new(Semaphore::new(1)),
            has_answered: false,
            is_closing: false,
        }
    }

    /// The terms.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Notes that the customer uses it, and that its sale is stored in this state. What an earlier run of the node has begun
    /// to close goes on to close.
    ///
    /// # Errors
    /// When the stored voucher is no payment for ticks of this stream.
    pub fn begin(&mut self, state: &SaleState, now_ms: u64) -> Result<(), Refusal> {
        self.is_stored = true;
        self.used_ms = now_ms;
        let Some(StreamPapers { voucher, raised }) = state.closing() else {
            return Ok(());
        };
        self.close();
        if let Some(raised) = raised {
            self.keep_raised(raised.clone());
        }
        voucher.as_ref().map_or(Ok(()), |voucher| self.keep(voucher))
    }

    /// Notes that the customer uses it.
    pub fn touch(&mut self, now_ms: u64) {
        self.used_ms = now_ms;
    }

    /// When it was last used (ms since 1970).
    pub fn used_ms(&self) -> u64 {
        self.used_ms
    }

    /// The permit for the request that waits for a live record. A customer has one, so that none fills the node with them.
    pub fn waiting(&self) -> Arc<Semaphore> {
        Arc::clone(&self.waiting)
    }

    /// The highest voucher, and the escrow's highest promise.
    pub fn papers(&self) -> &StreamPapers {
        &self.papers
    }

    /// How many ticks are paid for.
    pub fn paid(&self) -> u32 {
        let voucher = self.papers.voucher.as_ref();
        voucher.map_or(0, |voucher| voucher.body.ticks)
    }

    /// How many ticks the escrow has promised to commit.
    fn promised(&self) -> u32 {
        let raised = self.papers.raised.as_ref();
        raised.map_or(0, |raised| raised.body.ticks)
    }

    /// What the escrow has not acknowledged of a payment for `ticks`.
    fn unraised_of(&self, ticks: u32) -> Amount {
        let price = |ticks| price_of(ticks, self.chain.ticks(), self.terms.price);
        price(ticks)
            .checked_sub(price(self.promised()))
            .unwrap_or_default()
    }

    /// What the escrow has not acknowledged of what is paid.
    pub fn unraised(&self) -> Amount {
        self.unraised_of(self.paid())
    }

    /// What may be unacknowledged before the escrow is shown a voucher: the setting `above`, or more for a dear stream, as an
    /// escrow stores a limited number of vouchers.
    fn bound(&self, above: Amount) -> Amount {
        above.max(Amount(self.terms.price.0.div_ceil(RAISES_WANTED)))
    }

    /// The voucher that the escrow does not have, if it pays for more that the escrow has not acknowledged than the setting
    /// `above` allows.
    pub fn due_to_raise(&self, above: Amount) -> Option<&Signed<Voucher>> {
        self.to_raise().filter(|_| self.unraised() > self.bound(above))
    }

    /// The voucher that the escrow does not have, if there is one.
    pub fn to_raise(&self) -> Option<&Signed<Voucher>> {
        let voucher = self.papers.voucher.as_ref();
        voucher.filter(|_| self.unraised() > Amount(0))
    }

    /// Keeps the escrow's promise.
    pub fn keep_raised(&mut self, raised: Signed<Raised>) {
        if raised.body.ticks > self.promised() {
            self.papers.raised = Some(raised);
        }
    }

    /// Ends it: from now on no voucher is taken, and no key is given.
    pub fn close(&mut self) {
        self.is_closing = true;
    }

    /// Whether it ends.
    pub fn is_closing(&self) -> bool {
        self.is_closing
    }

    /// The source gives nothing more.
    pub fn end_source(&mut self) {
        self.source = Source::Over;
    }

    /// Whether no tick follows.
    pub fn is_ended(&self) -> bool {
        matches!(self.source, Source::Over) || self.next() > self.chain.ticks()
    }

    /// Whether no tick follows, and the customer has paid for all.
    pub fn is_done(&self) -> bool {
        self.is_ended() && self.unpaid.is_empty()
    }

    /// Notes that the customer has an answer after all that they have paid for was taken.
    pub fn answered(&mut self) {
        self.has_answered = true;
    }

    /// Whether nothing more is to come of its customer: nobody pays any more, or they have paid for all. A customer who comes
    /// back after a restart brings a voucher first.
    pub fn is_over(&self, now_ms: u64) -> bool {
        self.has_answered && (self.is_done() || now_ms >= pay_until_ms(&self.terms))
    }

    /// Refuses whatever a stream does no longer give.
    ///
    /// # Errors
    /// When the sale is not stored yet, the merchant ends the stream, or ticks are not paid any more.
    pub fn check_open(&self, now_ms: u64) -> Result<(), Refusal> {
        let purchase = self.purchase;
        if !self.is_stored {
            return Err(PurchaseFault::Unknown(purchase).into());
        }
        if now_ms >= pay_until_ms(&self.terms) {
            return Err(PurchaseFault::DeadlinePassed(purchase).into());
        }
        match self.is_closing {
            true => Err(kept_back()),
            false => Ok(()),
        }
    }

    /// Takes a voucher, and returns the key of its last tick.
    ///
    /// # Errors
    /// When the voucher is no payment for ticks of this stream. [`Later::Busy`] while the escrow has not acknowledged twice
    /// the amount `above`, or more for a dear stream. The voucher is kept then.
    pub fn pay(
        &mut self,
        voucher: &Signed<Voucher>,
        above: Amount,
        now_ms: u64,
    ) -> Result<Option<GoodsKey>, Refusal> {
        self.check_open(now_ms)?;
        self.keep(voucher)?;
        let ticks = voucher.body.ticks;
        let open = self.unraised_of(ticks);
        if open > Amount(0) && open.0 >= self.bound(above).0.saturating_mul(2) {
            return Err(kept_back());
        }
        Ok(self.chain.key(ticks))
    }

    /// Keeps a voucher, if it is the highest one. The ticks up to it are dropped.
    ///
    /// # Errors
    /// When it is no payment for ticks of this stream.
    pub fn keep(&mut self, voucher: &Signed<Voucher>) -> Result<(), Refusal> {
        check_voucher(voucher, &self.terms, self.chain.ticks())?;
        let (ticks, paid) = (voucher.body.ticks, self.paid());
        for _ in paid..ticks {
            match self.unpaid.pop_front() {
                Some(tick) => self.unpaid_bytes = self.unpaid_bytes.saturating_sub(tick.len()),
                None => break,
            }
        }
        if ticks > paid {
            self.papers.voucher = Some(voucher.clone());
        }
        Ok(())
    }

    /// The number of the next tick that is encrypted.
    fn next(&self) -> u32 {
        let unpaid = u32::try_from(self.unpaid.len()).unwrap_or(u32::MAX);
        self.paid().saturating_add(unpaid).saturating_add(1)
    }

    /// How many further ticks a request for `window` ticks wants, and how many bytes they may have.
    fn wanted(&self, window: u16) -> (usize, usize) {
        let left = self.chain.ticks().saturating_add(1).saturating_sub(self.next());
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        let window = usize::from(window).min(TICKS_PER_REPLY_MAX);
        let ticks = window.saturating_sub(self.unpaid.len()).min(left);
        (ticks, GOODS_PIECE_BYTES.saturating_sub(self.unpaid_bytes))
    }

    /// The file to read further ticks from: its first chunk, their number, and their bytes with all tags. `None` if no tick
    /// is wanted, or the data does not come from a file.
    pub fn to_read(&self, window: u16) -> Option<(ChunkedFile, u32, usize, usize)> {
        let Source::File(file) = &self.source else {
            return None;
        };
        let (ticks, bytes) = self.wanted(window);
        (ticks > 0).then(|| (file.clone(), self.next().saturating_sub(1), ticks, bytes))
    }

    /// Encrypts chunks that were read from chunk `first` on. None at the end of the file ends the data.
    pub fn add_chunks(&mut self, first: u32, chunks: Vec<Vec<u8>>) {
        let Source::File(file) = &self.source else { return };
        if first.saturating_add(1) != self.next() {
            return;
        }
        let is_last = first.saturating_add(u32::try_from(chunks.len()).unwrap_or(u32::MAX)) >= file.chunks;
        for chunk in chunks {
            self.encrypt(chunk);
        }
        if is_last {
            self.source = Source::Over;
        }
    }

    /// Encrypts the live records that there are, as far as they are wanted.
    pub fn add_live(&mut self, window: u16) {
        let (mut ticks, mut bytes) = self.wanted(window);
        while let (Source::Live(feed, place), true) = (&self.source, ticks > 0) {
            match feed.next(*place) {
                NextRecord::Record(record, after) => {
                    let Some(rest) = bytes.checked_sub(record.len().saturating_add(TAG_BYTES)) else {
                        return;
                    };
                    let feed = Arc::clone(feed);
                    (ticks, bytes) = (ticks.saturating_sub(1), rest);
                    self.source = Source::Live(feed, after);
                    self.encrypt(record.to_vec());
                }
                NextRecord::Later => return,
                NextRecord::Ended => self.source = Source::Over,
            }
        }
    }

    /// The feed, if the data is live.
    pub fn feed(&self) -> Option<Arc<LiveFeed>> {
        match &self.source {
            Source::Live(feed, _) => Some(Arc::clone(feed)),
            _ => None,
        }
    }

    /// Encrypts the next tick. The key of a tick is used here, and a tick is kept until it is paid for.
    fn encrypt(&mut self, record: Vec<u8>) {
        let index = self.next();
        let Some(key) = self.chain.key(index) else { return };
        let tick = encrypt_tick(&key, &self.purchase, index, record);
        self.unpaid_bytes = self.unpaid_bytes.saturating_add(tick.len());
        self.unpaid.push_back(tick);
    }

    /// The encrypted ticks after the ones that are paid for, at most `window`, signed. `None` if there are none, or the
    /// customer does not stand at `after`.
    pub fn batch(&self, after: u32, window: u16, key: &SecretKey) -> Option<Batch> {
        if after != self.paid() {
            return None;
        }
        let window = usize::from(window).min(TICKS_PER_REPLY_MAX);
        let ticks = self.unpaid.iter().take(window).cloned().map(Into::into);
        let first = self.paid().saturating_add(1);
        let is_some = window > 0 && !self.unpaid.is_empty();
        is_some.then(|| Batch::sign(self.purchase, first, ticks.collect(), key))
    }

    /// How many ticks are encrypted and not paid for.
    pub fn unpaid(&self) -> usize {
        self.unpaid.len()
    }

    /// The purchase.
    pub fn purchase(&self) -> PurchaseId {
        self.purchase
    }
}

/// The refusal of a key for now.
fn kept_back() -> Refusal {
    let retry_after_ms = KEPT_BACK_MS;
    Later::Busy { retry_after_ms }.into()
}
