//! An escrow in memory with a test bank, and the parts of a wallet and a merchant that its tests need.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used, clippy::panic)]

pub mod bank;
pub mod stream;

use bank::{START_MS, TestBank, Wire, card, secret_key};
use farthing_coin::{Coin, Document, PublicKey, RecoveryRecordId, SecretKey, Signature, Signed};
use farthing_escrow::escrow::{Escrow, EscrowParts};
use farthing_escrow::rows::LATEST_MS;
use farthing_node::card::{Card, RoleName};
use farthing_node::network::{Lane, Service};
use farthing_protocol::{
    api::{Call, Caller, EscrowRequest},
    decide::{AuthorizedCoin, CancelRequest, OutcomeRequest, OverdueRequest, ReleaseRequest},
    documents::{AcceptedBank, CoinUse, Hold, Offer, Overdue, PurchaseId, PurchaseKeyUse, SaleLimit, Terms},
    goods::{ContentKey, GoodsKey},
    history::WithHead,
    hold::HoldRequest,
    ids::{EncryptedDigest, GoodsDigest, ItemId, SaleId},
    money::Amount,
    purchase::{Order, OrderParts, Plan},
    refusal::Refusal,
    seal::{SEALED_RECORD_BYTES, commit_goods_key, wrap},
};
use farthing_store::clock::{Clock, ManualClock};
use farthing_store::disk::MemoryDisk;
use farthing_store::entropy::SeededEntropy;
use farthing_store::{Head, Store, StoreOptions};
use std::path::Path;
use std::sync::Arc;

pub const HOUR_MS: u64 = 3_600_000;

pub struct EscrowFixture {
    pub escrow: Arc<Escrow>,
    pub bank: Arc<TestBank>,
    pub merchant: SecretKey,
    pub wire: Wire,
    pub disk: MemoryDisk,
    pub clock: Arc<ManualClock>,
    pub store: Store,
    starts: u64,
    counter: u64,
}

fn open(
    cards: Vec<Card>,
    wire: &Wire,
    disk: &MemoryDisk,
    clock: &Arc<ManualClock>,
    starts: u64,
) -> (Arc<Escrow>, Store) {
    let (store, _) = Store::open(
        Path::new("/escrow"),
        StoreOptions::simulated(disk.clone(), starts),
    )
    .unwrap();
    let escrow = Escrow::new(EscrowParts {
        key: secret_key(2),
        store: store.clone(),
        network: Arc::new(wire.clone()),
        cards,
        clock: clock.clone(),
        entropy: Arc::new(SeededEntropy::new(50 + starts)),
    });
    (Arc::new(escrow), store)
}

fn card_of(bank: &TestBank) -> Card {
    card(RoleName::Bank, "central", &bank.key())
}

impl EscrowFixture {
    pub fn new() -> EscrowFixture {
        let (bank, wire, disk) = (TestBank::new(1), Wire::default(), MemoryDisk::new());
        wire.attach(bank.key(), bank.clone());
        let clock = Arc::new(ManualClock::new(START_MS));
        let (escrow, store) = open(vec![card_of(&bank)], &wire, &disk, &clock, 0);
        EscrowFixture {
            escrow,
            bank,
            merchant: secret_key(3),
            wire,
            disk,
            clock,
            store,
            starts: 0,
            counter: 0,
        }
    }

    /// Kills the escrow and starts it again.
    pub fn restart(&mut self) {
        self.starts += 1;
        self.disk.kill();
        self.start(vec![card_of(&self.bank)]);
    }

    /// Kills the escrow and starts it again without the bank's card, which its operator has removed.
    pub fn restart_without_card(&mut self) {
        self.starts += 1;
        self.disk.kill();
        self.start(Vec::new());
    }

    fn start(&mut self, cards: Vec<Card>) {
        (self.escrow, self.store) = open(cards, &self.wire, &self.disk, &self.clock, self.starts);
    }

    /// Asks the bank for the head that it remembers. A running escrow does this on its own.
    pub async fn witnessed(&self) {
        if self.escrow.history().standing().is_err() {
            self.escrow.history().ask_all().await;
            // A running escrow also fetches the bank's keys.
            drop(self.escrow.bank_keys().book(&self.bank.key()).await);
        }
    }

    pub fn head(&self) -> Head {
        self.store.head()
    }

    /// The latest time in the journal.
    pub fn latest_ms(&self) -> Option<u64> {
        LATEST_MS.peek(&self.store.view(), &()).unwrap()
    }

    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// Sends a request on its lane. Returns the reply's bytes and the decoded reply.
    pub async fn ask_raw<C: Call<Server = EscrowRequest>>(
        &self,
        call: C,
    ) -> (Vec<u8>, Result<C::Reply, Refusal>) {
        self.witnessed().await;
        let request = call.encode().unwrap();
        let lane = match EscrowRequest::decode(&request).map(|request| request.caller()) {
            Ok(Caller::Identified) => Lane::Identified,
            Ok(Caller::Peer) => Lane::Peer,
            // A request that does not decode is refused on every lane.
            Ok(Caller::Relay) => Lane::Relayed,
            Ok(Caller::Anonymous | Caller::Anyone) | Err(_) => Lane::Anonymous,
        };
        let bytes = self.escrow.call(lane, request).await;
        let reply = C::decode_reply(&bytes).unwrap();
        (bytes, reply)
    }

    pub async fn ask<C: Call<Server = EscrowRequest>>(&self, call: C) -> Result<C::Reply, Refusal> {
        self.ask_raw(call).await.1
    }

    /// Sends a request that must be refused, and checks that nothing was written.
    pub async fn refused<C: Call<Server = EscrowRequest>>(&self, call: C) -> Refusal {
        self.witnessed().await;
        let head = self.head();
        let Err(refusal) = self.ask(call).await else {
            panic!("expected a refusal")
        };
        assert_eq!(self.head(), head, "a refusal was written: {refusal}");
        refusal
    }

    pub fn offer(&self, price: u64) -> Offer {
        Offer {
            merchant: self.merchant.public(),
            sale_id: SaleId([1; 32]),
            item_id: ItemId([2; 32]),
            title: "a picture".into(),
            description: String::new(),
            media_type: "image/png".into(),
            size_bytes: 1,
            encrypted_bytes: 1,
            goods_digest: GoodsDigest([3; 32]),
            encrypted_digest: EncryptedDigest([4; 32]),
            wrapped_key: wrap(&goods_key(), &SaleId([1; 32]), &ContentKey::from_bytes([5; 32])).unwrap(),
            key_commitment: commit_goods_key(&goods_key()),
            price: Amount(price),
            currency: "FTH".into(),
            escrows: vec![self.escrow.self_id()],
            banks: vec![AcceptedBank {
                bank: self.bank.key(),
                account: self.merchant.public(),
                key_list_digest: self.bank.book.digest(),
            }],
            expires_ms: self.now_ms() + 48 * HOUR_MS,
            served_until_ms: self.now_ms() + 30 * 24 * HOUR_MS,
            sales: SaleLimit::Once,
            sealed_key: None,
        }
    }

    /// An order of `offer`, paid with coins of these values, with this deadline.
    pub fn order_of(&mut self, offer: Offer, values: &[u64], deadline_ms: u64) -> Bought {
        let minted: Vec<_> = values.iter().map(|value| self.bank.mint(*value)).collect();
        self.order_with(offer, &minted, deadline_ms)
    }

    /// An order of `offer`, paid with these coins, with this deadline.
    pub fn order_with(&mut self, offer: Offer, minted: &[(Coin, SecretKey)], deadline_ms: u64) -> Bought {
        self.counter += 1;
        let bank = offer.banks[0].bank;
        let escrow = offer.escrows[0];
        let purchase_key = secret_key(100 + self.counter);
        let copy = |key: &SecretKey| SecretKey::from_bytes(&key.to_bytes()).unwrap();
        let (coins, keys): (Vec<Coin>, Vec<SecretKey>) =
            minted.iter().map(|(coin, key)| (*coin, copy(key))).unzip();
        let plan = Plan {
            bank,
            escrow,
            offer: Signed::sign(offer, &self.merchant),
        };
        let order = Order::new(OrderParts {
            counter: self.counter,
            plan: &plan,
            coins,
            coin_keys: &keys,
            purchase_key: &purchase_key,
            note_id: RecoveryRecordId([9; 32]),
            note: vec![0; SEALED_RECORD_BYTES],
            deadline_ms,
        })
        .unwrap();
        Bought { order, purchase_key }
    }

    pub fn order(&mut self) -> Bought {
        self.order_of(self.offer(24), &[16, 8], self.now_ms() + HOUR_MS)
    }

    pub async fn held(&self, bought: &Bought) -> Signed<Hold> {
        self.ask(bought.hold()).await.unwrap()
    }

    pub fn release(&self, bought: &Bought, hold: &Signed<Hold>) -> ReleaseRequest {
        ReleaseRequest {
            contract: bought.order.contract.clone(),
            hold: hold.clone(),
            goods_key: goods_key(),
        }
    }

    pub fn overdue(&self, bought: &Bought) -> WithHead<OverdueRequest> {
        let terms = bought.order.contract.terms.clone();
        WithHead::without(OverdueRequest {
            overdue: Signed::sign(overdue(&terms), &self.bank.identity),
            terms,
        })
    }

    /// Verifies a signature of the escrow.
    pub fn signed_here<D: Document>(&self, signed: &Signed<D>) {
        signed.verify(&self.escrow.self_id()).unwrap();
    }
}

/// The overdue statement that a bank signs at the deadline.
pub fn overdue(terms: &Terms) -> Overdue {
    Overdue {
        purchase: terms.purchase_id(),
        escrow: terms.escrow,
        deadline_ms: terms.deadline_ms,
        at_ms: terms.deadline_ms,
    }
}

pub fn goods_key() -> GoodsKey {
    GoodsKey::from_bytes([8; 32])
}

/// An order and the key that signed it.
pub struct Bought {
    pub order: Order,
    pub purchase_key: SecretKey,
}

impl Bought {
    pub fn id(&self) -> PurchaseId {
        self.order.purchase()
    }

    pub fn hold(&self) -> HoldRequest {
        HoldRequest {
            contract: self.order.contract.clone(),
            payment: self.order.payment.clone(),
        }
    }

    fn sign(&self, key_use: PurchaseKeyUse) -> Signature {
        let key: PublicKey = self.purchase_key.public();
        self.purchase_key.sign(&key_use.statement(&key, &self.id()))
    }

    pub fn cancel(&self) -> CancelRequest {
        self.order.cancel_request(&self.purchase_key)
    }

    /// A cancel that shows this coin.
    pub fn cancel_with(&self, (coin, key): &(Coin, SecretKey)) -> CancelRequest {
        let statement = CoinUse::Hold.statement(&coin.key_id, &self.id().digest());
        CancelRequest {
            coin: Some(AuthorizedCoin {
                coin: *coin,
                authorization: key.sign(&statement),
            }),
            ..self.cancel()
        }
    }

    pub fn outcome(&self) -> OutcomeRequest {
        OutcomeRequest {
            purchase: self.id(),
            signature: self.sign(PurchaseKeyUse::Outcome),
        }
    }
}
