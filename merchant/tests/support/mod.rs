//! A merchant with a shelf on disk, an escrow and a bank in memory, and the parts of a wallet that buy.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used, clippy::panic)]

#[path = "../../../escrow/tests/support/bank.rs"]
pub mod bank;
pub mod stream;

use async_trait::async_trait;
use bank::{START_MS, TestBank, Wire, card, secret_key};
use farthing_coin::{Coin, RecoveryRecordId, SecretKey, Signed};
use farthing_merchant::merchant::{Merchant, MerchantParts, Settings};
use farthing_merchant::rows::{Item, RESERVATION_ENDS, RESERVATIONS, SALES, STOCKS};
use farthing_merchant::secret::MerchantSecret;
use farthing_merchant::shelf::GoodsShelf;
use farthing_merchant::stock::{self, Passed};
use farthing_merchant::transactions;
use farthing_merchant::webhook_secret::WebhookSecret;
use farthing_node::admin::AdminHandler;
use farthing_node::card::{Card, RoleName};
use farthing_node::network::{Lane, Service};
use farthing_protocol::{
    api::{Call, EscrowRequest, MerchantRequest, encode_reply},
    decide::{ReleaseRequest, verify_release},
    decision::{Decision, Outcome},
    documents::{BankHold, Hold, Offer, PurchaseId},
    goods::GoodsSummary,
    ids::{EphemeralId, ItemId, NodeSecret},
    money::Amount,
    offer::{DeliverRequest, OfferRequest, PieceRequest},
    purchase::{Order, OrderParts, Plan},
    refusal::Refusal,
    seal::{SEALED_RECORD_BYTES, derive_ephemeral},
    sealed::{SalesPage, SalesRequest, SealedSale, open_release, verify_sales},
    stream::OpenStream,
};
use farthing_store::clock::{Clock, ManualClock};
use farthing_store::disk::MemoryDisk;
use farthing_store::entropy::{Entropy, SeededEntropy};
use farthing_store::{Head, Store, StoreOptions};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

pub const HOUR_MS: u64 = 3_600_000;
pub const ITEM: ItemId = ItemId([42; 32]);

/// An escrow that commits every release, unless a test sets a refusal.
pub struct TestEscrow {
    pub identity: SecretKey,
    clock: Arc<ManualClock>,
    state: Mutex<(BTreeMap<PurchaseId, Decision>, Option<Refusal>, usize)>,
    /// The streams that are open.
    streams: Mutex<BTreeMap<PurchaseId, OpenStream>>,
    /// The sales of sealed offers that this escrow committed.
    pub sold: Mutex<Vec<SealedSale>>,
}

/// The number of sales in one reply of this escrow.
const SALES_AT_ONCE: usize = 2;

impl TestEscrow {
    pub fn refuse(&self, refusal: Option<Refusal>) {
        self.state.lock().unwrap().1 = refusal;
    }

    /// The number of release requests that this escrow received.
    pub fn asked(&self) -> usize {
        self.state.lock().unwrap().2
    }

    fn sales(&self, request: &Signed<SalesRequest>) -> Result<Vec<u8>, Refusal> {
        let request = verify_sales(request, &self.identity.public())?;
        let sold = self.sold.lock().unwrap();
        let mut behind = sold.iter().skip(request.known as usize).cloned();
        let sales = behind.by_ref().take(SALES_AT_ONCE).collect();
        let more = behind.next().is_some();
        Ok(encode_reply(&Ok(SalesPage { sales, more })))
    }

    fn release(&self, request: ReleaseRequest) -> Result<Vec<u8>, Refusal> {
        let mut state = self.state.lock().unwrap();
        state.2 += 1;
        if let Some(refusal) = &state.1 {
            return Err(refusal.clone());
        }
        let verified = verify_release(request, &self.identity.public(), |purchase| {
            derive_ephemeral(&NodeSecret::from_bytes([5; 32]), &EphemeralId::from(*purchase))
        })?;
        let purchase = verified.purchase();
        let existing = state.0.get(&purchase).cloned();
        let decided = verified.respond(existing, None, self.clock.now_ms())?;
        state.0.insert(purchase, decided.decision().clone());
        let Outcome::Committed(committed) = decided.decision().outcome(&self.identity) else {
            panic!("it was released")
        };
        Ok(encode_reply(&Ok(*committed)))
    }
}

#[async_trait]
impl Service for TestEscrow {
    async fn call(&self, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        assert_eq!(lane, Lane::Peer, "servers speak to each other on the peers' lane");
        let reply = match EscrowRequest::decode(&request).unwrap() {
            EscrowRequest::Release(request) => self.release(request),
            EscrowRequest::Sales(request) => self.sales(&request),
            EscrowRequest::Raise(request) => self.raise(&request),
            EscrowRequest::Close(request) => self.close(&request),
            other => panic!("no merchant asks {}", other.question()),
        };
        reply.unwrap_or_else(|refusal| encode_reply::<()>(&Err(refusal)))
    }
}

pub struct MerchantFixture {
    pub merchant: Arc<Merchant>,
    pub escrow: Arc<TestEscrow>,
    pub bank: Arc<TestBank>,
    pub wire: Wire,
    pub disk: MemoryDisk,
    pub home: TempDir,
    pub clock: Arc<ManualClock>,
    pub store: Store,
    starts: u64,
    counter: u64,
}

pub fn parts(
    world_wire: &Wire,
    home: &Path,
    store: &Store,
    clock: &Arc<ManualClock>,
    starts: u64,
) -> MerchantParts {
    MerchantParts {
        key: secret_key(3),
        secret: MerchantSecret::load(home).unwrap(),
        settings: Settings::new("FTH".into()),
        store: store.clone(),
        shelf: GoodsShelf::open(home).unwrap(),
        network: Arc::new(world_wire.clone()),
        cards: Vec::new(),
        clock: clock.clone(),
        entropy: Arc::new(SeededEntropy::new(300 + starts)),
    }
}

impl MerchantFixture {
    pub fn new() -> MerchantFixture {
        let home = tempfile::tempdir().unwrap();
        MerchantSecret::generate(&SeededEntropy::new(4))
            .save(home.path())
            .unwrap();
        let clock = Arc::new(ManualClock::new(START_MS));
        let (bank, wire, disk) = (TestBank::new(1), Wire::default(), MemoryDisk::new());
        let escrow = Arc::new(TestEscrow {
            identity: secret_key(2),
            clock: clock.clone(),
            state: Mutex::default(),
            streams: Mutex::default(),
            sold: Mutex::default(),
        });
        wire.attach(bank.key(), bank.clone());
        wire.attach(escrow.identity.public(), escrow.clone());
        let (merchant, store) = MerchantFixture::open(&wire, &home, &disk, &clock, &bank, &escrow, 0);
        MerchantFixture {
            merchant,
            escrow,
            bank,
            wire,
            disk,
            home,
            clock,
            store,
            starts: 0,
            counter: 0,
        }
    }

    fn open(
        wire: &Wire,
        home: &TempDir,
        disk: &MemoryDisk,
        clock: &Arc<ManualClock>,
        bank: &TestBank,
        escrow: &TestEscrow,
        starts: u64,
    ) -> (Arc<Merchant>, Store) {
        let options = StoreOptions::simulated(disk.clone(), starts);
        let (store, _) = Store::open(Path::new("/merchant"), options).unwrap();
        let mut parts = parts(wire, home.path(), &store, clock, starts);
        parts.cards = MerchantFixture::cards(bank, escrow);
        (Arc::new(Merchant::new(parts)), store)
    }

    fn cards(bank: &TestBank, escrow: &TestEscrow) -> Vec<Card> {
        vec![
            card(RoleName::Bank, "central", &bank.key()),
            card(RoleName::Escrow, "fair", &escrow.identity.public()),
        ]
    }

    /// Replaces the merchant by one with these settings.
    pub fn set(&mut self, settings: Settings) {
        let mut parts = parts(&self.wire, self.home.path(), &self.store, &self.clock, 1);
        parts.cards = MerchantFixture::cards(&self.bank, &self.escrow);
        parts.settings = settings;
        self.merchant = Arc::new(Merchant::new(parts));
    }

    /// Replaces the merchant by one with this clock that posts its events to `url`.
    pub async fn post_events_to(&mut self, url: &str, clock: Arc<dyn Clock>) {
        WebhookSecret::draw(self.home.path(), &SeededEntropy::new(6)).unwrap();
        let mut parts = parts(&self.wire, self.home.path(), &self.store, &self.clock, 1);
        parts.cards = MerchantFixture::cards(&self.bank, &self.escrow);
        parts.clock = clock;
        self.merchant = Arc::new(Merchant::new(parts).with_webhook(self.home.path().to_owned()));
        let set = json!({ "do": "webhook-set", "url": url });
        self.merchant.admin(set).await.unwrap();
    }

    /// Kills the merchant and starts it again.
    pub fn restart(&mut self) {
        self.starts += 1;
        self.disk.kill();
        (self.merchant, self.store) = MerchantFixture::open(
            &self.wire,
            &self.home,
            &self.disk,
            &self.clock,
            &self.bank,
            &self.escrow,
            self.starts,
        );
    }

    pub fn head(&self) -> Head {
        self.store.head()
    }

    pub fn shelf(&self) -> GoodsShelf {
        GoodsShelf::open(self.home.path()).unwrap()
    }

    /// Puts goods up for sale, as the command line does.
    pub async fn add(&self, item_id: ItemId, goods: &[u8]) -> GoodsSummary {
        self.put_up(item_id, goods, false).await
    }

    /// Puts goods up for sale, with sealed offers if `sealed`.
    pub async fn put_up(&self, item_id: ItemId, goods: &[u8], sealed: bool) -> GoodsSummary {
        self.put_up_for(Amount(24), item_id, goods, sealed).await
    }

    /// Puts goods up for sale at a price.
    pub async fn put_up_for(
        &self,
        price: Amount,
        item_id: ItemId,
        goods: &[u8],
        sealed: bool,
    ) -> GoodsSummary {
        let secret = MerchantSecret::load(self.home.path()).unwrap();
        let key = secret.content_key(&item_id);
        let shelved = self
            .shelf()
            .add(&item_id, &key, [1; 32], &mut &goods[..], |_| {})
            .unwrap();
        let item = Item {
            title: "a picture".into(),
            description: "of a farthing".into(),
            media_type: "image/png".into(),
            price,
            currency: "FTH".into(),
            summary: shelved.summary,
            file_name: "farthing.png".into(),
            sealed,
        };
        self.store
            .transact(transactions::add_item_reads(&item_id), move |tx| {
                transactions::add_item(tx, &item_id, &item)
            })
            .await
            .unwrap();
        shelved.summary
    }

    /// Puts goods up for sale, of which only `left` are sold.
    pub async fn put_up_counted(&self, sealed: bool, left: u64) {
        let item = self.put_up(ITEM, b"goods", sealed).await;
        assert!(item.size_bytes > 0);
        self.store
            .transact([], move |tx| stock::open_stock(tx, &ITEM, Some(left)))
            .await
            .unwrap();
    }

    /// How many are left and reserved. The reservations are counted.
    pub fn stock(&self) -> (u64, u64) {
        let view = self.store.view();
        let stock = STOCKS.peek(&view, &ITEM).unwrap().unwrap();
        let reservations = RESERVATIONS.scan(&view, Bound::Unbounded, 1_000).unwrap();
        let ends = RESERVATION_ENDS.scan(&view, Bound::Unbounded, 1_000).unwrap();
        assert_eq!(reservations.len() as u64, stock.reserved, "a reservation leaked");
        assert_eq!(ends.len(), reservations.len(), "an end leaked");
        (stock.left.unwrap(), stock.reserved)
    }

    /// Lets time pass until the offers that are out have expired, and ends their reservations.
    pub async fn let_expire(&self, by_ms: u64) {
        let now_ms = self.clock.advance(by_ms);
        self.merchant.expire(Passed::Time { now_ms }).await.unwrap();
    }

    /// The number of sales that an escrow has committed.
    pub fn sales_made(&self) -> usize {
        let sales = SALES.scan(&self.store.view(), Bound::Unbounded, 1_000).unwrap();
        sales
            .iter()
            .filter(|(_, sale)| sale.state.committed().is_some())
            .count()
    }

    /// What the operator sees of the first sales.
    pub async fn listed_sales(&self) -> Vec<Value> {
        let ask = json!({ "do": "sales", "after": null });
        let page = self.merchant.admin(ask).await.unwrap();
        page["lines"].as_array().unwrap().clone()
    }

    /// All events after this number.
    pub async fn events(&self, after: u64) -> Vec<Value> {
        let ask = json!({ "do": "events", "after": after });
        let page = self.merchant.admin(ask).await.unwrap();
        assert_eq!(page["more"], false);
        page["events"].as_array().unwrap().clone()
    }

    pub async fn ask<C: Call<Server = MerchantRequest>>(&self, call: C) -> Result<C::Reply, Refusal> {
        let bytes = self.merchant.call(Lane::Anonymous, call.encode().unwrap()).await;
        C::decode_reply(&bytes).unwrap()
    }

    /// Sends a request that must be refused, and checks that nothing was written.
    pub async fn refused<C: Call<Server = MerchantRequest>>(&self, call: C) -> Refusal {
        let head = self.head();
        let Err(refusal) = self.ask(call).await else {
            panic!("expected a refusal")
        };
        assert_eq!(self.head(), head, "a refusal was written: {refusal}");
        refusal
    }

    pub fn offer_request(&self) -> OfferRequest {
        OfferRequest {
            item_id: ITEM,
            bank: self.bank.key(),
            escrow: self.escrow.identity.public(),
        }
    }

    pub async fn offer(&self) -> Signed<Offer> {
        self.ask(self.offer_request()).await.unwrap().offer
    }

    /// The encrypted goods of an offer, fetched piece by piece.
    pub async fn fetch(&self, offer: &Offer) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let piece = self
                .ask(PieceRequest {
                    item_id: offer.item_id,
                    encrypted_digest: offer.encrypted_digest,
                    offset: all.len() as u64,
                })
                .await
                .unwrap();
            if piece.bytes.is_empty() {
                return all;
            }
            all.extend(piece.bytes);
        }
    }

    /// An order on `offer`, with its coins held.
    pub fn held(&mut self, offer: Signed<Offer>) -> DeliverRequest {
        let order = self.order(offer, &[16, 8]);
        DeliverRequest {
            hold: self.hold(&order),
            contract: order.contract,
        }
    }

    /// An order on `offer`, with coins of these values.
    pub fn order(&mut self, offer: Signed<Offer>, values: &[u64]) -> Order {
        self.order_until(offer, values, self.clock.now_ms() + HOUR_MS / 2)
    }

    /// An order on `offer`, with coins of these values and this deadline.
    pub fn order_until(&mut self, offer: Signed<Offer>, values: &[u64], deadline_ms: u64) -> Order {
        self.counter += 1;
        let (coins, keys): (Vec<Coin>, Vec<SecretKey>) =
            values.iter().map(|value| self.bank.mint(*value)).unzip();
        let plan = Plan {
            bank: offer.body.banks[0].bank,
            escrow: offer.body.escrows[0],
            offer,
        };
        Order::new(OrderParts {
            counter: self.counter,
            plan: &plan,
            coins,
            coin_keys: &keys,
            purchase_key: &self.purchase_key(),
            note_id: RecoveryRecordId([9; 32]),
            note: vec![0; SEALED_RECORD_BYTES],
            deadline_ms,
        })
        .unwrap()
    }

    /// The purchase key of the last order.
    pub fn purchase_key(&self) -> SecretKey {
        secret_key(100 + self.counter)
    }

    /// A sale of a sealed offer that the escrow committed without the merchant.
    pub fn sold(&mut self, offer: Signed<Offer>) -> SealedSale {
        let DeliverRequest { contract, hold } = self.held(offer);
        let held = contract
            .clone()
            .verified()
            .unwrap()
            .held(hold.body.bank_hold.clone())
            .unwrap();
        let ephemeral = |purchase: &PurchaseId| {
            derive_ephemeral(&NodeSecret::from_bytes([5; 32]), &EphemeralId::from(*purchase))
        };
        let release = open_release(held, &self.escrow.identity, ephemeral).unwrap();
        let decided = release.respond(None, None, self.clock.now_ms()).unwrap();
        let Outcome::Committed(committed) = decided.decision().outcome(&self.escrow.identity) else {
            panic!("the sealed key is right")
        };
        let sale = SealedSale {
            contract,
            hold,
            committed: *committed,
        };
        self.escrow.sold.lock().unwrap().push(sale.clone());
        sale
    }

    /// The hold of an order's coins.
    pub fn hold(&self, order: &Order) -> Signed<Hold> {
        let terms = &order.contract.terms;
        let bank_hold = BankHold {
            purchase: order.purchase(),
            escrow: terms.escrow,
            coins_digest: terms.coins_digest,
            total: terms.price,
        };
        let bank_hold = Signed::sign(bank_hold, &self.bank.identity);
        Hold { bank_hold }.sign_with_causes(&self.escrow.identity)
    }

    pub fn rng_bytes(&self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        SeededEntropy::new(8).fill(&mut bytes);
        bytes
    }
}
