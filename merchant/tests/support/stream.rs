//! Streams: the escrow's part, and a customer who watches.

use super::bank::secret_key;
use super::{ITEM, MerchantFixture, TestEscrow};
use farthing_coin::{SecretKey, Signed};
use farthing_merchant::admin::AdminRequest;
use farthing_merchant::rows::{Item, StreamItem, StreamSource};
use farthing_merchant::streams::source::digest_chunks;
use farthing_node::admin::AdminHandler;
use farthing_protocol::{
    api::encode_reply,
    decision::Decision,
    documents::{AbortReason, BankHold, Contract, PurchaseId},
    goods::{GoodsSummary, encrypted_len},
    ids::{EncryptedDigest, EphemeralId, GoodsDigest, NodeSecret},
    money::Amount,
    purchase::Order,
    refusal::{PurchaseFault, Refusal},
    seal::derive_ephemeral,
    stream::{
        Batch, CloseRequest, KnownStream, Opened, RaiseRequest, StopRequest, TicksRequest, Voucher,
        WatchRequest, chain, chain::KnownKeys, check_batch, open_stream, verify_close, verify_raise,
    },
};
use farthing_store::clock::Clock;
use std::fs;
use std::path::PathBuf;

/// The ticks of a test's stream. Its price is [`PRICE`].
pub const TICKS: u32 = 8;

/// 3 for each tick.
pub const PRICE: Amount = Amount(24);

/// The size of a chunk of a test's file (bytes).
pub const CHUNK_BYTES: u32 = 100;

fn ephemeral(purchase: &PurchaseId) -> SecretKey {
    derive_ephemeral(&NodeSecret::from_bytes([5; 32]), &EphemeralId::from(*purchase))
}

impl TestEscrow {
    /// Opens a stream whose coins are held.
    pub fn open(&self, contract: &Contract, bank_hold: Signed<BankHold>) -> Signed<Opened> {
        let held = contract
            .clone()
            .verified_stream()
            .unwrap()
            .held(bank_hold)
            .unwrap();
        let open = open_stream(held, &self.identity, ephemeral).unwrap().unwrap();
        let row = open.respond(None, None, self.clock.now_ms()).unwrap().unwrap();
        let opened = Signed::sign(row.opened.clone(), &self.identity);
        self.streams.lock().unwrap().insert(open.purchase(), row);
        opened
    }

    /// The ticks of the highest voucher that this escrow was shown.
    pub fn raised(&self, purchase: &PurchaseId) -> u32 {
        let streams = self.streams.lock().unwrap();
        let voucher = streams[purchase].voucher.as_ref();
        voucher.map_or(0, |voucher| voucher.body.ticks)
    }

    /// Aborts a stream without a cause, whatever it has promised.
    pub fn abort(&self, contract: &Contract) {
        let (terms, reason) = (contract.terms.clone(), AbortReason::Cancelled);
        let decision = Decision::Aborted { terms, reason };
        let mut state = self.state.lock().unwrap();
        state.0.insert(contract.terms.purchase_id(), decision);
    }

    pub(super) fn raise(&self, request: &RaiseRequest) -> Result<Vec<u8>, Refusal> {
        let state = self.state.lock().unwrap();
        if let Some(refusal) = &state.1 {
            return Err(refusal.clone());
        }
        let purchase = request.voucher.body.purchase;
        let mut streams = self.streams.lock().unwrap();
        let known = KnownStream::of(streams.get(&purchase), state.0.get(&purchase));
        let known = known.ok_or(PurchaseFault::Unknown(purchase))?;
        assert!(!request.wants_key, "the merchant has the key");
        let raise = verify_raise(&request.voucher, known, false)?;
        let reply = raise.reply(known, false, &self.identity);
        if let KnownStream::Open(open) = known
            && let Some(row) = raise.respond(open)?
        {
            streams.insert(purchase, row);
        }
        Ok(encode_reply(&Ok(reply)))
    }

    pub(super) fn close(&self, request: &CloseRequest) -> Result<Vec<u8>, Refusal> {
        let mut state = self.state.lock().unwrap();
        if let Some(refusal) = &state.1 {
            return Err(refusal.clone());
        }
        let purchase = request.close.body.purchase;
        let streams = self.streams.lock().unwrap();
        let open = streams.get(&purchase).ok_or(PurchaseFault::Unknown(purchase))?;
        let verified = verify_close(request, open, &self.identity.public())?;
        let prepared = verified.prepare(open, ephemeral)?;
        let decided = prepared.respond(state.0.get(&purchase).cloned(), Some(open))?;
        state.0.insert(purchase, decided.decision().clone());
        Ok(encode_reply(&Ok(decided.decision().outcome(&self.identity))))
    }
}

/// A customer who watches one stream, and keeps what they have opened of it.
pub struct Watcher {
    pub order: Order,
    pub key: SecretKey,
    pub opened: Signed<Opened>,
    known: KnownKeys,
    /// The encrypted ticks that are not opened.
    held: Vec<Vec<u8>>,
    /// The records that are opened.
    pub records: Vec<Vec<u8>>,
}

impl Watcher {
    pub fn purchase(&self) -> PurchaseId {
        self.order.purchase()
    }

    pub fn watch(&self) -> WatchRequest {
        WatchRequest {
            contract: self.order.contract.clone(),
            opened: self.opened.clone(),
        }
    }

    pub fn voucher(&self, ticks: u32) -> Signed<Voucher> {
        self.order.voucher(ticks, &self.key)
    }

    pub fn stop(&self) -> StopRequest {
        self.order.stop_request(&self.key)
    }

    /// A request that pays for `paid` ticks, and waits for nothing.
    pub fn ticks(&self, paid: u32, window: u16) -> TicksRequest {
        TicksRequest {
            purchase: self.purchase(),
            voucher: (paid > 0).then(|| self.voucher(paid)),
            window,
            wait_ms: 0,
        }
    }

    /// Checks a batch as a wallet does, and keeps its ticks.
    pub fn hold(&mut self, batch: Batch, window: u16) {
        check_batch(&batch, &self.order.contract.terms, self.known.ticks(), window).unwrap();
        self.held = batch.ticks.into_iter().map(|tick| tick.into_vec()).collect();
    }

    /// How many ticks are opened or held.
    pub fn reached(&self) -> u32 {
        self.known.ticks() + self.held.len() as u32
    }

    /// Opens the held ticks with the key of tick `ticks`.
    pub fn open(&mut self, ticks: u32, key: &farthing_protocol::goods::GoodsKey) {
        let first = self.known.ticks() + 1;
        let keys = self.known.learn(ticks, key).unwrap();
        let held: Vec<Vec<u8>> = self.held.drain(..keys.len()).collect();
        for ((index, key), tick) in (first..).zip(keys).zip(held) {
            let record = chain::decrypt_tick(&key, &self.order.purchase(), index, tick);
            self.records.push(record.unwrap());
        }
    }
}

impl MerchantFixture {
    /// The customer of a new purchase of `ITEM`. The escrow has opened the stream.
    pub async fn watcher(&mut self) -> Watcher {
        let offer = self.offer().await;
        let deadline_ms = offer.body.expires_ms;
        let order = self.order_until(offer, &[16, 8], deadline_ms);
        let hold = self.hold(&order);
        let opened = self.escrow.open(&order.contract, hold.body.bank_hold);
        Watcher {
            known: KnownKeys::none(&order.contract.offer.body.key_commitment),
            order,
            key: self.purchase_key(),
            opened,
            held: Vec::new(),
            records: Vec::new(),
        }
    }

    /// Pays for what the watcher holds, and takes up to `window` further ticks. Returns whether no tick follows.
    pub async fn step(&self, watcher: &mut Watcher, window: u16) -> bool {
        let paid = watcher.reached();
        let reply = self.ask(watcher.ticks(paid, window)).await.unwrap();
        if let Some(key) = &reply.key {
            watcher.open(paid, key);
        }
        if let Some(batch) = reply.batch {
            watcher.hold(batch, window);
        }
        reply.ended
    }

    async fn add_stream(&self, size_bytes: u64, source: StreamSource) {
        let item = Item {
            title: "a stream".into(),
            description: String::new(),
            media_type: "text/plain".into(),
            price: PRICE,
            currency: "FTH".into(),
            summary: GoodsSummary {
                size_bytes,
                encrypted_bytes: encrypted_len(size_bytes),
                digest: GoodsDigest([0; 32]),
                encrypted_digest: EncryptedDigest([0; 32]),
            },
            file_name: String::new(),
            sealed: false,
        };
        let request = AdminRequest::StreamAdd {
            item_id: ITEM,
            item: Box::new(item),
            stream: StreamItem { ticks: TICKS, source },
        };
        self.operate(request).await.unwrap();
    }

    pub async fn operate(&self, request: AdminRequest) -> Result<serde_json::Value, String> {
        self.merchant.admin(serde_json::to_value(request).unwrap()).await
    }

    /// Puts a file of this many chunks up for sale by the tick.
    pub async fn put_up_file(&self, chunks: u32) -> (PathBuf, Vec<u8>) {
        let data = self.rng_bytes(chunks as usize * CHUNK_BYTES as usize - 7);
        let path = self.home.path().join("film.bin");
        fs::write(&path, &data).unwrap();
        let (digests, size_bytes) = digest_chunks(&mut data.as_slice(), CHUNK_BYTES, |_| {}).unwrap();
        let _held = self.shelf().add_chunks(&ITEM, &digests).unwrap();
        let source = StreamSource::File {
            path: path.to_str().unwrap().into(),
            chunk_bytes: CHUNK_BYTES,
            chunks,
        };
        self.add_stream(size_bytes, source).await;
        (path, data)
    }

    /// Puts live records up for sale by the tick.
    pub async fn put_up_live(&self) {
        self.add_stream(0, StreamSource::Live).await;
        self.feed(&[]).await;
    }

    /// Feeds records to the live stream.
    pub async fn feed(&self, records: &[&str]) {
        let records = records.iter().map(hex::encode).collect();
        let item_id = ITEM;
        self.operate(AdminRequest::StreamFeed { item_id, records })
            .await
            .unwrap();
    }

    /// Ends the data of the live stream.
    pub async fn end_feed(&self) {
        let end = AdminRequest::StreamEnd {
            item_id: ITEM,
            served_until_ms: u64::MAX,
        };
        self.operate(end).await.unwrap();
    }

    /// Cuts the way to the escrow, or mends it.
    pub fn silence_escrow(&self, is_silent: bool) {
        let identity = self.escrow.identity.public();
        match is_silent {
            true => self.wire.detach(&identity),
            false => self.wire.attach(identity, self.escrow.clone()),
        }
    }
}

/// A key of no party.
pub fn stranger() -> SecretKey {
    secret_key(99)
}
