//! Watches a stream: signs vouchers for the ticks that it holds, and opens them with the keys that it gets for these.
//!
//! A voucher is for ticks that the merchant has signed and that are on disk, encrypted ([`held`](super::held)). If the key
//! does not come, the wallet shows the voucher to the escrow, which has all keys, and pays this merchant no more.

use super::{
    exhibits::add_exhibit,
    held::{Held, HeldFile, Place},
    record::{Write, apply, reads},
    state::State,
};
use crate::{
    error::{Unanswered, WalletError},
    peer_client::PeerClient,
    rows::Exhibit,
    wallet::Wallet,
};
use farthing_coin::{SecretKey, Signed};
use farthing_protocol::{
    evidence::ShownTick,
    goods::GoodsKey,
    limits::TICKS_PER_REPLY_MAX,
    money::Amount,
    purchase::Order,
    stream::{
        Batch, RaiseRequest, Ticks, TicksRequest, Voucher, WatchRequest, chain::KnownKeys,
        chain::decrypt_tick, check_batch, check_voucher, pay_until_ms, price_of, ticks_for,
    },
};
use std::{io, time::Duration};
use tokio::time::sleep;

/// The longest time that a merchant is asked to wait for a record (ms).
const WAIT_MAX_MS: u16 = 2000;

/// The pause after an answer without ticks.
const PAUSE: Duration = Duration::from_millis(50);

/// The default for [`WatchLimits::window`].
pub const WINDOW_DEFAULT: u16 = 16;

/// What a customer wants of a stream.
#[derive(Debug, Clone, Copy)]
pub struct WatchLimits {
    /// The most that it may cost. `None` for all ticks of the offer.
    pub at_most: Option<Amount>,
    /// The most ticks.
    pub ticks: Option<u32>,
    /// The most ticks that are paid with one voucher: 1 to [`TICKS_PER_REPLY_MAX`].
    pub window: u16,
}

/// A stream whose records follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// The number of the purchase.
    pub number: u64,
    /// Whether its records are lines of live data. Otherwise they are the pieces of a file.
    pub is_live: bool,
    /// The [`place`](TickSink::place) of the first record, if the stream goes on.
    pub place: Option<Place>,
    /// Whether the records after this place may be in the output already, as a process has died. They come again.
    pub repeats: bool,
}

/// Takes the records of a stream.
pub trait TickSink: Send {
    /// The records of a stream follow.
    ///
    /// # Errors
    /// When they cannot be written. Then nothing more is paid.
    fn begin(&mut self, _begun: Begun) -> io::Result<()> {
        Ok(())
    }

    /// Takes the next record. `cost` is what all records up to it cost.
    ///
    /// # Errors
    /// When it cannot be written. Then the stream ends, and nothing more is paid.
    fn record(&mut self, tick: u32, cost: Amount, record: &[u8]) -> io::Result<()>;

    /// Makes all records durable, and returns the place of the next one. `None` if the output is no file.
    ///
    /// # Errors
    /// When they cannot be written. Then the stream ends, and nothing more is paid.
    fn place(&mut self) -> io::Result<Option<Place>> {
        Ok(None)
    }

    /// Whether the customer has seen enough.
    fn wants_stop(&self) -> bool {
        false
    }
}

/// Why a stream has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchEnd {
    /// The purchase has ended before. Only records that were paid for then were taken.
    EndedBefore,
    /// There are no further records, or all ticks of the offer are paid for.
    AllSeen,
    /// The customer wanted no more.
    Stopped,
    /// The time for payments is over.
    TimeOver,
    /// The merchant kept a key back, sent something else than signed ticks, refused, or was silent. The reason.
    Merchant(String),
    /// A tick did not open with its key. The documents convict the merchant.
    DoesNotOpen(u32),
    /// The records could not be written.
    Output(String),
}

/// What a watcher of an open stream uses of its run.
pub(crate) struct Watched<'r, 'w> {
    /// The wallet.
    pub(crate) wallet: &'w Wallet,
    /// The merchant, on the connection on which the purchase began.
    pub(crate) merchant: &'r mut PeerClient<'w>,
    /// The escrow.
    pub(crate) escrow: &'r mut PeerClient<'w>,
    /// The state of the purchase.
    pub(crate) state: &'r mut State,
}

/// The place in a stream that is watched.
pub(crate) struct Watch {
    order: Order,
    purchase_key: SecretKey,
    /// How many ticks the offer has.
    offered: u32,
    limits: WatchLimits,
    keys: KnownKeys,
    file: HeldFile,
    /// The last voucher, and the ticks that wait for its key.
    held: Option<Held>,
    /// How many ticks came before the first one that is watched here.
    skipped: u32,
    /// How many records the output has taken.
    shown: u32,
    /// Whether it has refused one.
    has_failed: bool,
}

impl Watch {
    /// The place in a stream, as it was left on this machine.
    ///
    /// # Errors
    /// When the file of held ticks cannot be read.
    pub(crate) fn new(
        wallet: &Wallet,
        order: &Order,
        offered: u32,
        purchase_key: SecretKey,
        limits: WatchLimits,
    ) -> Result<Watch, WalletError> {
        let (file, held) = HeldFile::open(wallet, &order.purchase())?;
        Ok(Watch {
            purchase_key,
            offered,
            limits,
            keys: KnownKeys::none(&order.contract.offer.body.key_commitment),
            skipped: held.as_ref().map_or(0, Held::seen),
            file,
            held,
            shown: 0,
            has_failed: false,
            order: order.clone(),
        })
    }

    /// How many records the output has taken.
    pub(crate) fn shown(&self) -> u32 {
        self.shown
    }

    /// The last voucher.
    pub(crate) fn voucher(&self) -> Option<&Signed<Voucher>> {
        self.held.as_ref().map(|held| &held.voucher)
    }

    /// The ticks that the last voucher pays for.
    fn paid(&self) -> u32 {
        self.voucher().map_or(0, |voucher| voucher.body.ticks)
    }

    /// Whether ticks wait for the key of the last voucher.
    pub(crate) fn waits_for_key(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.batch.is_some())
    }

    /// How many ticks the customer wants in all.
    fn wanted(&self) -> u32 {
        let price = self.order.contract.offer.body.price;
        let payable = self
            .limits
            .at_most
            .map_or(self.offered, |most| ticks_for(most, self.offered, price));
        let wanted = self
            .limits
            .ticks
            .map_or(self.offered, |ticks| self.skipped.saturating_add(ticks));
        payable.min(wanted)
    }

    /// Pays for ticks and takes them until the stream ends.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn run(
        &mut self,
        request: &WatchRequest,
        run: &mut Watched<'_, '_>,
        sink: &mut dyn TickSink,
    ) -> Result<WatchEnd, WalletError> {
        if let Err(end) = self.tell(request, run).await {
            return Ok(end);
        }
        loop {
            let terms = &self.order.contract.terms;
            if run.wallet.now_ms() >= pay_until_ms(terms) {
                return Ok(WatchEnd::TimeOver);
            }
            let request = self.pay(wait_ms(run));
            let wants_more = request.window > 0;
            let ticks = match run.merchant.ask(&request).await {
                Ok(Ok(ticks)) => ticks,
                Ok(Err(refusal)) => return self.on_withheld(run, sink, refusal.to_string()).await,
                Err(error) => return self.on_withheld(run, sink, error.to_string()).await,
            };
            let Ticks { key, batch, ended } = ticks;
            let paid = self.paid();
            if self.waits_for_key() {
                match self.learn(paid, key.as_ref()) {
                    Some(keys) => {
                        if let Some(end) = self.open(run, sink, keys).await? {
                            return Ok(end);
                        }
                    }
                    None => return self.on_withheld(run, sink, "it kept back a key".into()).await,
                }
            }
            if sink.wants_stop() {
                return Ok(WatchEnd::Stopped);
            }
            match batch {
                Some(batch) if wants_more => {
                    let terms = &self.order.contract.terms;
                    if let Err(fault) = check_batch(&batch, terms, paid, request.window) {
                        return Ok(WatchEnd::Merchant(fault.to_string()));
                    }
                    if let Err(why) = self.hold(batch, sink) {
                        return Ok(WatchEnd::Output(why));
                    }
                }
                _ if ended || paid >= self.offered => return Ok(WatchEnd::AllSeen),
                _ if !wants_more => return Ok(WatchEnd::Stopped),
                _ => sleep(PAUSE).await,
            }
        }
    }

    /// Tells the merchant of the stream, and takes up its last voucher if it is a later one.
    async fn tell(&mut self, request: &WatchRequest, run: &mut Watched<'_, '_>) -> Result<(), WatchEnd> {
        let last = match run.merchant.ask(request).await {
            Ok(Ok(last)) => last,
            Ok(Err(refusal)) => return Err(WatchEnd::Merchant(refusal.to_string())),
            Err(error) => return Err(WatchEnd::Merchant(error.to_string())),
        };
        // A voucher that this wallet did not sign says nothing.
        let own =
            last.filter(|voucher| check_voucher(voucher, &self.order.contract.terms, self.offered).is_ok());
        if let Some(voucher) = own.filter(|voucher| voucher.body.ticks > self.paid()) {
            if self.waits_for_key() {
                // The commit has the key of the ticks that are held here.
                return Err(WatchEnd::Merchant(
                    "another copy of this wallet has paid for more".into(),
                ));
            }
            // It was paid with another copy, which has its ticks.
            self.skipped = voucher.body.ticks;
            self.held = Some(Held {
                voucher,
                batch: None,
                place: None,
            });
        }
        Ok(())
    }

    /// Tells the output that records follow.
    ///
    /// # Errors
    /// When they cannot be written. Nothing has happened to the stream then.
    pub(crate) fn begin(&self, number: u64, sink: &mut dyn TickSink) -> Result<(), WalletError> {
        let begun = sink.begin(Begun {
            number,
            is_live: self.order.contract.offer.body.size_bytes == 0,
            place: self.held.as_ref().and_then(|held| held.place),
            repeats: self.waits_for_key(),
        });
        begun.map_err(|error| WalletError::NoOutput(error.to_string()))
    }

    /// The request for the next ticks, with the voucher for those that are held.
    fn pay(&self, wait_ms: u16) -> TicksRequest {
        let most = TICKS_PER_REPLY_MAX as u32;
        let window = u32::from(self.limits.window).clamp(1, most);
        let left = self.wanted().saturating_sub(self.paid());
        TicksRequest {
            purchase: self.order.purchase(),
            voucher: self.voucher().cloned(),
            window: u16::try_from(window.min(left)).unwrap_or(1),
            wait_ms,
        }
    }

    /// Signs the voucher for ticks that follow the last one, and writes both down.
    ///
    /// # Errors
    /// When the records before them or the ticks cannot be written. The reason.
    fn hold(&mut self, batch: Batch, sink: &mut dyn TickSink) -> Result<(), String> {
        let place = sink.place().map_err(|error| {
            self.has_failed = true;
            error.to_string()
        })?;
        let count = u32::try_from(batch.ticks.len()).unwrap_or(u32::MAX);
        let ticks = self.paid().saturating_add(count);
        let held = Held {
            voucher: self.order.voucher(ticks, &self.purchase_key),
            batch: Some(batch),
            place,
        };
        self.file.write(&held).map_err(|error| error.to_string())?;
        self.held = Some(held);
        Ok(())
    }

    /// Notes that the ticks which were shown here have reached the output. If it has refused them, the file keeps them, and the
    /// result says so.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn note_seen(&mut self, sink: &mut dyn TickSink) -> Result<Option<WatchEnd>, WalletError> {
        if self.shown == 0 || self.has_failed || self.waits_for_key() {
            return Ok(None);
        }
        match (&mut self.held, sink.place()) {
            (Some(held), Ok(place)) => {
                held.place = place;
                self.file.write(held)?;
                Ok(None)
            }
            (None, Ok(_)) => Ok(None),
            (_, Err(error)) => {
                self.has_failed = true;
                Ok(Some(WatchEnd::Output(error.to_string())))
            }
        }
    }

    /// The keys of all ticks up to this one that were not known, with their numbers. `None` if `key` is not the key of tick
    /// `ticks`.
    fn learn(&mut self, ticks: u32, key: Option<&GoodsKey>) -> Option<Vec<(u32, GoodsKey)>> {
        let first = self.keys.ticks().saturating_add(1);
        let keys = self.keys.learn(ticks, key?)?;
        Some((first..).zip(keys).collect())
    }

    /// Opens the ticks that are held, as far as there are keys for them.
    async fn open(
        &mut self,
        run: &mut Watched<'_, '_>,
        sink: &mut dyn TickSink,
        keys: Vec<(u32, GoodsKey)>,
    ) -> Result<Option<WatchEnd>, WalletError> {
        let Some(batch) = self.held.as_mut().and_then(|held| held.batch.take()) else {
            return Ok(None);
        };
        let purchase = self.order.purchase();
        let price = self.order.contract.offer.body.price;
        let first = batch.signed.body.first;
        let keys = keys.into_iter().skip_while(|(tick, _)| *tick < first);
        let mut broken = None;
        for ((tick, key), encrypted) in keys.zip(&batch.ticks) {
            let Some(record) = decrypt_tick(&key, &purchase, tick, encrypted.to_vec()) else {
                if broken.is_none() {
                    let shown = ShownTick {
                        batch: batch.signed.clone(),
                        index: tick,
                        tick: encrypted.to_vec(),
                        key,
                    };
                    keep(run, Exhibit::Tick(Box::new(shown))).await?;
                    broken = Some(WatchEnd::DoesNotOpen(tick));
                }
                continue;
            };
            if let Err(error) = sink.record(tick, price_of(tick, self.offered, price), &record) {
                // The file still has the ticks.
                self.has_failed = true;
                return Ok(Some(WatchEnd::Output(error.to_string())));
            }
            self.shown = self.shown.saturating_add(1);
        }
        Ok(broken)
    }

    /// The merchant has given no key for the voucher. The escrow is shown the voucher, and gives the key.
    async fn on_withheld(
        &mut self,
        run: &mut Watched<'_, '_>,
        sink: &mut dyn TickSink,
        why: String,
    ) -> Result<WatchEnd, WalletError> {
        let Some(voucher) = self.voucher().cloned().filter(|_| self.waits_for_key()) else {
            return Ok(WatchEnd::Merchant(why));
        };
        let paid = voucher.body;
        let request = RaiseRequest {
            voucher,
            wants_key: true,
        };
        let reply = match run.escrow.once(request).await {
            Ok(reply) => reply,
            // The commit has the key, too.
            Err(Unanswered::Again(_) | Unanswered::Refused(_) | Unanswered::Final(_)) => {
                return Ok(WatchEnd::Merchant(why));
            }
        };
        if reply.promises(&paid, &self.order.contract.terms) {
            keep(run, Exhibit::Raised(Box::new(reply.raised))).await?;
        }
        let opened = match self.learn(paid.ticks, reply.key.as_ref()) {
            Some(keys) => self.open(run, sink, keys).await?,
            None => None,
        };
        Ok(opened.unwrap_or(WatchEnd::Merchant(why)))
    }

    /// Opens the ticks that are still held with the key of tick `ticks`, for which the stream was committed. Ticks after it
    /// are not paid for.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn finish(
        &mut self,
        run: &mut Watched<'_, '_>,
        sink: &mut dyn TickSink,
        (ticks, key): (u32, &GoodsKey),
    ) -> Result<Option<WatchEnd>, WalletError> {
        match self.learn(ticks, Some(key)) {
            Some(keys) => self.open(run, sink, keys).await,
            None => Ok(None),
        }
    }
}

/// How long the merchant may wait for a record (ms): less than the time of an attempt.
fn wait_ms(run: &Watched<'_, '_>) -> u16 {
    let half = run.wallet.env.retry.attempt.as_millis() / 2;
    u16::try_from(half).unwrap_or(u16::MAX).min(WAIT_MAX_MS)
}

/// Keeps a document with the purchase.
async fn keep(run: &mut Watched<'_, '_>, exhibit: Exhibit) -> Result<(), WalletError> {
    let before = run.state.row.purchase.clone();
    add_exhibit(&mut run.state.row, exhibit);
    let writes = [Write::Save {
        number: run.state.number,
        before,
        row: run.state.row.clone(),
    }];
    let written = run
        .wallet
        .transact(reads(&writes), move |tx| apply(tx, &writes))
        .await?;
    if written.is_done() {
        run.state.on_written(&written);
    }
    Ok(())
}
