//! Streams: the chain of keys, encrypted ticks, documents and messages. Made with the story's parties, and checked by the
//! documented equations.

use crate::made::{document, reply, request};
use crate::reserves;
use crate::support::bank_seed;
use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit, Nonce};
use farthing_coin::{SecretKey, Signed};
use farthing_protocol::{
    api::{BankRequest, EscrowRequest, MerchantRequest},
    decision::{Decision, Outcome, SignedDecision},
    documents::{Abort, AbortReason, BankHold, Offer, PurchaseKeyUse, SaleLimit, Terms},
    goods::GoodsKey,
    ids::{EphemeralId, NodeSecret, PurchaseId, SealingContext},
    money::Amount,
    offered_key::OfferedKey,
    purchase::{Order, OrderParts, Plan},
    seal::{derive_ephemeral, seal_goods_key},
    settle::{Collected, SettleRequest},
    stream::{
        Batch, Close, CloseRequest, OpenRequest, Opened, RaiseReply, RaiseRequest, Raised, StreamCommit,
        Ticks, TicksRequest, WatchRequest, chain,
    },
};
use farthing_vectors::{Claims, Field};
use serde_bytes::ByteBuf;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The ticks of the story's stream.
const TICKS: u32 = 300;

/// What its first 7 ticks cost is rounded up.
const PRICE: Amount = Amount(1000);

/// The number of the stream's order. It follows those of the story.
const ORDER: u64 = 10;

/// The parties of the story who sign here.
pub(crate) struct Parties<'a> {
    pub(crate) bank: &'a SecretKey,
    pub(crate) escrow: &'a SecretKey,
    pub(crate) merchant: &'a SecretKey,
    /// A sealed offer of the story, and the ephemeral secret of its key.
    pub(crate) offer: &'a Offer,
    pub(crate) ephemeral: &'a SecretKey,
}

/// A stream of the story: 7 of its ticks are paid for.
struct Stream<'a> {
    parties: &'a Parties<'a>,
    order: Order,
    key: SecretKey,
}

fn last_key() -> GoodsKey {
    GoodsKey::from_bytes([41; 32])
}

fn key_of(tick: u32) -> GoodsKey {
    chain::key_at(&last_key(), TICKS, tick)
}

impl Parties<'_> {
    /// The offer, sold by ticks.
    fn offer(&self) -> Offer {
        let mut offer = self.offer.clone();
        offer.price = PRICE;
        offer.sales = SaleLimit::Once;
        offer.key_commitment = chain::commitment(&last_key(), TICKS);
        let (escrow, context) = (self.escrow.public(), offer.sealing_context());
        let sealed = OfferedKey::seal(self.ephemeral, &escrow, &context, &last_key()).expect("a good key");
        offer.sealed_key = Some(OfferedKey {
            ticks: Some(TICKS),
            ..sealed
        });
        offer
    }

    fn stream(&self) -> Stream<'_> {
        let (offer, coins) = (self.offer(), reserves::coins());
        let deadline_ms = offer.expires_ms;
        let key = bank_seed().purchase_key(ORDER);
        let order = Order::new(OrderParts {
            counter: ORDER,
            plan: &Plan {
                bank: offer.banks[0].bank,
                escrow: offer.escrows[0],
                offer: Signed::sign(offer, self.merchant),
            },
            coin_keys: &reserves::coin_keys(&coins),
            coins,
            purchase_key: &key,
            note_id: bank_seed().recovery_record_id(ORDER),
            note: Vec::new(),
            deadline_ms,
        });
        Stream {
            parties: self,
            order: order.expect("an offer of the story"),
            key,
        }
    }
}

impl Stream<'_> {
    fn terms(&self) -> &Terms {
        &self.order.contract.terms
    }

    fn purchase(&self) -> PurchaseId {
        self.order.purchase()
    }

    fn opened(&self) -> Opened {
        let bank_hold = Signed::sign(BankHold::of(self.terms()), self.parties.bank);
        Opened { bank_hold }
    }

    fn raised(&self) -> Raised {
        Raised {
            purchase: self.purchase(),
            ticks: 7,
        }
    }

    fn close(&self) -> Close {
        Close {
            purchase: self.purchase(),
            escrow: self.parties.escrow.public(),
        }
    }

    fn batch(&self) -> Batch {
        let encrypted = (8..=9).map(|tick| {
            let record = format!("record {tick}").into_bytes();
            ByteBuf::from(chain::encrypt_tick(&key_of(tick), &self.purchase(), tick, record))
        });
        Batch::sign(self.purchase(), 8, encrypted.collect(), self.parties.merchant)
    }

    /// The abort of a stream without a paid tick.
    fn closed(&self) -> Abort {
        Abort {
            purchase: self.purchase(),
            bank: self.terms().bank,
            reason: AbortReason::Closed(Box::new(Signed::sign(self.close(), self.parties.merchant))),
        }
    }

    fn committed(&self) -> StreamCommit {
        let purchase = self.purchase();
        let ephemeral = derive_ephemeral(&NodeSecret::from_bytes([9; 32]), &EphemeralId::from(purchase));
        let context = SealingContext::from(purchase);
        let sealed_key = seal_goods_key(&ephemeral, &self.key.public(), &context, &key_of(7));
        let decision = Decision::Streamed {
            terms: self.terms().clone(),
            voucher: self.order.voucher(7, &self.key),
            key: key_of(7),
            sealed_key: sealed_key.expect("a good key"),
        };
        let SignedDecision::Stream(stream) = decision.for_bank(self.parties.escrow) else {
            panic!("a stream is committed with its voucher")
        };
        *stream
    }
}

/// The sections of the file.
pub(crate) fn sections(parties: &Parties<'_>) -> Value {
    let stream = parties.stream();
    let stop = PurchaseKeyUse::Stop.statement(&stream.key.public(), &stream.purchase());
    let mut stopped = crate::made::signed(&stream.key, &stop);
    stopped.insert("context".into(), json!(stop.context));
    stopped.insert("name".into(), json!("stream"));
    stopped.insert("key_id".into(), json!(hex::encode(stop.key_id)));
    json!({
        "chains": chains(),
        "ticks": ticks(&stream.purchase()),
        "documents": documents(&stream),
        "statements": [stopped],
        "escrow": escrow_frames(&stream),
        "merchant": merchant_frames(&stream),
        "bank": bank_frames(&stream),
    })
}

fn chains() -> Vec<Value> {
    let chain = |ticks: u32| {
        let keys = [1, 2, 255, 256, 257, ticks].into_iter();
        let keys = keys.filter(|tick| *tick <= ticks).map(|tick| {
            let key = chain::key_at(&last_key(), ticks, tick);
            json!({ "tick": tick, "key": hex::encode(key.as_bytes()) })
        });
        json!({
            "name": format!("{ticks} ticks"),
            "ticks": ticks,
            "goods_key": hex::encode(last_key().as_bytes()),
            "key_commitment": hex::encode(chain::commitment(&last_key(), ticks)),
            "keys": keys.collect::<Vec<_>>(),
        })
    };
    [1, 2, TICKS].map(chain).to_vec()
}

fn ticks(purchase: &PurchaseId) -> Vec<Value> {
    let tick = |(index, record): (u32, &[u8])| {
        let encrypted = chain::encrypt_tick(&key_of(index), purchase, index, record.to_vec());
        json!({
            "name": format!("tick {index}"),
            "purchase_id": hex::encode(purchase),
            "index": index,
            "key": hex::encode(key_of(index).as_bytes()),
            "record": hex::encode(record),
            "tick": hex::encode(encrypted),
        })
    };
    let all: [(u32, &[u8]); 3] = [(1, b""), (7, b"a record"), (TICKS, &[5; 100])];
    all.map(tick).to_vec()
}

fn documents(stream: &Stream<'_>) -> Vec<Value> {
    let Parties { escrow, merchant, .. } = stream.parties;
    let voucher = |ticks| stream.order.voucher(ticks, &stream.key).body;
    vec![
        document("stream", stream.order.contract.offer.body.clone(), merchant),
        document("stream", stream.opened(), escrow),
        document("7 ticks", voucher(7), &stream.key),
        document("every tick", voucher(TICKS), &stream.key),
        document("7 ticks", stream.raised(), escrow),
        document("ticks 8 and 9", stream.batch().signed.body, merchant),
        document("stream", stream.close(), merchant),
        document("Closed", stream.closed(), escrow),
        document("7 ticks", stream.committed().commit.body, escrow),
    ]
}

fn escrow_frames(stream: &Stream<'_>) -> Vec<Value> {
    let escrow = stream.parties.escrow;
    let streaming = Outcome::Streaming(Signed::sign(stream.opened(), escrow));
    let streamed = Outcome::Streamed(Box::new(stream.committed()));
    let aborted = Outcome::Aborted(Signed::sign(stream.closed(), escrow));
    let voucher = stream.order.voucher(7, &stream.key);
    let raise = |wants_key| RaiseRequest {
        voucher: voucher.clone(),
        wants_key,
    };
    let raised = |key| RaiseReply {
        raised: Signed::sign(stream.raised(), escrow),
        key,
    };
    let close = |voucher| CloseRequest {
        close: Signed::sign(stream.close(), stream.parties.merchant),
        voucher,
    };
    vec![
        request(
            "stream",
            &EscrowRequest::Open(OpenRequest(stream.order.hold_request())),
        ),
        reply("Open", 8, "stream", &streaming),
        reply("Cancel", 2, "an open stream", &streaming),
        request("by the customer", &EscrowRequest::Raise(raise(true))),
        request("by the merchant", &EscrowRequest::Raise(raise(false))),
        reply("Raise", 9, "to the customer", &raised(Some(key_of(7)))),
        reply("Raise", 9, "to the merchant", &raised(None)),
        request("7 ticks", &EscrowRequest::Close(close(Some(voucher.clone())))),
        request("without a voucher", &EscrowRequest::Close(close(None))),
        reply("Close", 10, "7 ticks", &streamed),
        reply("Close", 10, "without a voucher", &aborted),
    ]
}

fn merchant_frames(stream: &Stream<'_>) -> Vec<Value> {
    let voucher = || Some(stream.order.voucher(7, &stream.key));
    let watch = WatchRequest {
        contract: stream.order.contract.clone(),
        opened: Signed::sign(stream.opened(), stream.parties.escrow),
    };
    let asked = |voucher| TicksRequest {
        purchase: stream.purchase(),
        voucher,
        window: 64,
        wait_ms: 2000,
    };
    let ticks = |key, batch, ended| Ticks { key, batch, ended };
    let stop = stream.order.stop_request(&stream.key);
    vec![
        request("stream", &MerchantRequest::Watch(watch)),
        reply("Watch", 5, "nothing is paid", &None::<()>),
        reply("Watch", 5, "7 ticks", &voucher()),
        request("the first ticks", &MerchantRequest::Ticks(asked(None))),
        request("7 ticks", &MerchantRequest::Ticks(asked(voucher()))),
        reply("Ticks", 6, "none yet", &ticks(None, None, false)),
        reply(
            "Ticks",
            6,
            "ticks 8 and 9",
            &ticks(Some(key_of(7)), Some(stream.batch()), false),
        ),
        reply("Ticks", 6, "the end", &ticks(Some(key_of(7)), None, true)),
        request("stream", &MerchantRequest::Stop(stop)),
        reply(
            "Stop",
            7,
            "stream",
            &Outcome::Streamed(Box::new(stream.committed())),
        ),
    ]
}

fn bank_frames(stream: &Stream<'_>) -> Vec<Value> {
    let committed = || Box::new(stream.committed());
    let settle = SettleRequest {
        escrow: stream.parties.escrow.public(),
        decisions: vec![SignedDecision::Stream(committed())],
    };
    vec![
        request("stream", &BankRequest::Settle(settle)),
        reply("Collect", 9, "stream", &Collected::Streamed(committed())),
    ]
}

/// Claims a chain of keys by SHA-256 alone.
pub(crate) fn check_chain(case: Field<'_>, claims: &mut Claims) {
    let ticks = case.get("ticks").u32();
    let mut keys = vec![case.get("goods_key").bytes()];
    for index in (1..=ticks).rev() {
        let last = keys.last().expect("a key");
        let input = [b"farthing tick chain", &index.to_be_bytes()[..], last].concat();
        keys.push(Sha256::digest(input).to_vec());
    }
    keys.reverse();
    claims.bytes("key_commitment", &keys[0], case);
    for listed in case.get("keys").items() {
        let tick = listed.get("tick").u32();
        claims.bytes("key", &keys[tick as usize], listed);
        let key = GoodsKey::from_bytes(listed.get("key").array());
        let commitment = farthing_protocol::ids::KeyCommitment(case.get("key_commitment").array());
        claims.holds("fits", chain::fits(&commitment, &key, tick));
        claims.holds("fits no other place", !chain::fits(&commitment, &key, tick + 1));
    }
}

/// Claims an encrypted tick by SHA-256 and ChaCha20-Poly1305.
pub(crate) fn check_tick(case: Field<'_>, claims: &mut Claims) {
    let index = case.get("index").u32().to_be_bytes();
    let key = Sha256::digest([b"farthing tick key", &index[..], &case.get("key").bytes()].concat());
    let associated = [case.get("purchase_id").bytes(), index.to_vec()].concat();
    let record = case.get("record").bytes();
    let mut sealed = record.clone();
    let tag = ChaCha20Poly1305::new(&key)
        .encrypt_inout_detached(&Nonce::default(), &associated, sealed.as_mut_slice().into())
        .expect("short");
    sealed.extend_from_slice(&tag);
    claims.bytes("tick", sealed, case);
    let opened = chain::decrypt_tick(
        &GoodsKey::from_bytes(case.get("key").array()),
        &PurchaseId(case.get("purchase_id").array()),
        case.get("index").u32(),
        case.get("tick").bytes(),
    );
    claims.equal("opened", opened, Some(record));
}
