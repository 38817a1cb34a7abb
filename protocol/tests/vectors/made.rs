//! Makes the vectors of version 2: what version 2 adds to the story of version 1, with the same parties.
//!
//! `cargo run -p farthing-protocol --example protocol_vectors` writes them.

use crate::relay;
use crate::reserves;
use crate::streams;
use crate::support::{bank_seed, decode, key, public, signature, wallet_seed};
use farthing_coin::{
    Coin, Document, KeyId, PublicKey, SecretKey, Seed, SharedPoint, Signed, Statement, StatementDigest,
};
use farthing_protocol::{
    api::{
        BankRequest, EscrowRequest, ForwardRequest, MerchantRequest, RelayKeyRequest, RelayRequest,
        TargetKeyRequest, TargetRequest, encode_reply,
    },
    decide::{AuthorizedCoin, CancelRequest, OverdueRequest},
    decision::{Outcome, SignedDecision},
    denial::{CoinDenial, Denial, DenialCause, RequestKind, SpendProof},
    documents::{
        Abort, AbortReason, CoinUse, Contract, EarlierUse, FreeReceipt, Hold, HoldWithCauses, Issued, Offer,
        Overdue, PurchaseKeyUse, SaleLimit, Terms,
    },
    free::TakeRequest,
    goods::GoodsKey,
    history::WithHead,
    ids::{EncapsulatedKey, NodeSecret, ObliviousKey},
    money::Amount,
    oblivious::{EncryptionKey, SealedReply, SealedRequest},
    offered_key::OfferedKey,
    purchase::{Order, OrderParts, Plan},
    refusal::{
        CoinFault, CoinsFault, ContractFault, GoodsFault, Later, PurchaseFault, Refusal, RelayFault,
        RequestFault,
    },
    reserve_sums::{ReserveFault, ReserveSums},
    restore::{KeptMemo, Memo, MemoRequest},
    seal::{commit_goods_key, derive_ephemeral},
    wire,
};
use farthing_vectors::{Field, file};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

/// The name and the text of each file.
pub(crate) fn files() -> Vec<(&'static str, String)> {
    let text = |sections: Value| {
        let mut text = serde_json::to_string_pretty(&sections).expect("JSON");
        text.push('\n');
        text
    };
    let story = Story::read();
    let mut statements = contracts(&story);
    statements.extend(sealed_key_proofs(&story));
    statements.extend(deposit_uses(&story));
    vec![
        (
            "documents",
            text(json!({ "documents": documents(&story), "statements": statements })),
        ),
        ("keys", text(json!({ "shared_points": shared_points(&story) }))),
        (
            "reserves",
            text(reserves::digests(&story.signers(&story.escrow.public()))),
        ),
        ("streams", text(story.streams())),
        ("wire_escrow", text(json!({ "frames": escrow_frames(&story) }))),
        ("wire_refusals", text(json!({ "frames": refusals(&story) }))),
        ("wallet", text(json!({ "accounts": accounts() }))),
        ("wire_bank", text(json!({ "frames": bank_frames(&story) }))),
        ("issue", text(json!({ "nonces": nonces() }))),
        ("wire_relay", text(relay_frames(&story))),
        (
            "wire_merchant",
            text(json!({ "frames": merchant_frames(&story) })),
        ),
        (
            "relay",
            text(json!({
                "padding": relay::padding(),
                "requests": relay::requests(story.merchant.public()),
                "replies": relay::replies(story.merchant.public()),
            })),
        ),
    ]
}

/// The keys of the story of version 1.
struct Story {
    bank: SecretKey,
    escrow: SecretKey,
    merchant: SecretKey,
    account: SecretKey,
}

/// A purchase of the story, and the secret of its purchase key.
struct Purchase {
    name: &'static str,
    terms: Terms,
    secret: SecretKey,
}

impl Story {
    fn read() -> Self {
        let file = file("v1", "parties");
        let parties = Field(&file);
        let identity = |party| key(parties.get(party).get("identity_secret"));
        Story {
            bank: identity("bank"),
            escrow: identity("escrow"),
            merchant: identity("merchant"),
            account: wallet_seed().bank_account_key(&identity("bank").public()),
        }
    }

    fn purchase(&self, name: &'static str, order: u64) -> Purchase {
        let file = file("v1", "digests");
        let all = Field(&file).get("terms").items();
        let is_it = |case: &&Field<'_>| case.get("name").text() == format!("story, {name}");
        let case = all.iter().find(is_it).expect("terms of the story");
        let terms: Terms = decode(case.get("encoded")).expect("terms");
        let secret = bank_seed().purchase_key(order);
        assert_eq!(secret.public(), terms.purchase_key, "{name}");
        Purchase { name, terms, secret }
    }

    /// The bank's statement that the purchase of `terms` is overdue.
    fn overdue(&self, terms: &Terms, late_ms: u64) -> Signed<Overdue> {
        let overdue = Overdue {
            purchase: terms.purchase_id(),
            escrow: terms.escrow,
            deadline_ms: terms.deadline_ms,
            at_ms: terms.deadline_ms + late_ms,
        };
        Signed::sign(overdue, &self.bank)
    }

    /// The sealed offers of the story, with a proof: each with the right goods key, and with a wrong one.
    fn sealed_offers(&self) -> Vec<SealedOffer> {
        let file = file("v1", "keys");
        let mut all = Vec::new();
        for case in Field(&file).get("sealed_in_offers").items() {
            for (which, goods_key) in [
                ("the goods key", case.get("goods_key").array()),
                ("another key", [66; 32]),
            ] {
                let mut offer: Offer = decode(case.get("offer")).expect("an offer");
                let ephemeral = derive_ephemeral(
                    &NodeSecret::from_bytes(case.get("merchant_secret").array()),
                    &offer.sale_id.into(),
                );
                let key = GoodsKey::from_bytes(goods_key);
                let sealed =
                    OfferedKey::seal(&ephemeral, &self.escrow.public(), &offer.sealing_context(), &key);
                offer.sealed_key = Some(sealed.expect("a good key"));
                all.push(SealedOffer {
                    name: format!("{}, {which}", case.get("name").text()),
                    offer,
                    ephemeral,
                });
            }
        }
        all
    }

    /// A memo of the story's wallet, as version 1 sealed it.
    fn memo(&self) -> Memo {
        let file = file("v1", "keys");
        Memo(Field(&file).get("memos").items()[1].get("note").bytes())
    }

    /// The wallet's requests for its memo.
    fn memos(&self) -> Vec<(&'static str, MemoRequest)> {
        let request = |version, memo| MemoRequest {
            bank: self.bank.public(),
            account: self.account.public(),
            version,
            memo,
        };
        vec![
            ("read", request(0, None)),
            ("replaced, version 1", request(1, Some(self.memo()))),
            ("replaced, the last version", request(u64::MAX, Some(self.memo()))),
        ]
    }

    /// Who signs what is about reserves. `escrow` is the story's.
    fn signers<'a>(&'a self, escrow: &'a PublicKey) -> reserves::Signers<'a> {
        reserves::Signers {
            bank: &self.bank,
            account: &self.account,
            escrow,
            purchase: self.purchase("two steps", 0).terms.purchase_id(),
        }
    }

    /// A stream, on the first sealed offer.
    fn streams(&self) -> Value {
        let sealed = self.sealed_offers().remove(0);
        streams::sections(&streams::Parties {
            bank: &self.bank,
            escrow: &self.escrow,
            merchant: &self.merchant,
            offer: &sealed.offer,
            ephemeral: &sealed.ephemeral,
        })
    }

    /// A contract on a free item, and the merchant's receipt.
    fn free(&self) -> (Contract, FreeReceipt) {
        let file = file("v1", "keys");
        let case = Field(&file).get("sealed_in_offers").items()[0];
        let goods_key = GoodsKey::from_bytes(case.get("goods_key").array());
        let mut offer: Offer = decode(case.get("offer")).expect("an offer");
        offer.price = Amount(0);
        offer.sales = SaleLimit::Unlimited;
        offer.sealed_key = None;
        offer.key_commitment = commit_goods_key(&goods_key);
        let (deadline_ms, counter) = (offer.expires_ms, 9);
        let order = Order::new(OrderParts {
            counter,
            plan: &Plan {
                bank: offer.banks[0].bank,
                escrow: offer.escrows[0],
                offer: Signed::sign(offer, &self.merchant),
            },
            coins: Vec::new(),
            coin_keys: &[],
            purchase_key: &bank_seed().purchase_key(counter),
            note_id: bank_seed().recovery_record_id(counter),
            note: Vec::new(),
            deadline_ms,
        });
        let order = order.expect("an offer of the story");
        let purchase = order.purchase();
        (order.contract, FreeReceipt { purchase, goods_key })
    }

    fn abort(&self, terms: &Terms, reason: AbortReason) -> Abort {
        Abort {
            purchase: terms.purchase_id(),
            bank: terms.bank,
            reason,
        }
    }
}

/// An offer with a sealed key, and its ephemeral secret.
struct SealedOffer {
    name: String,
    offer: Offer,
    ephemeral: SecretKey,
}

impl Story {
    fn show_key(&self, offer: &Offer) -> SharedPoint {
        let sealed = offer.sealed_key.expect("a sealed key").sealed;
        let shown = self
            .escrow
            .show_shared_point(&sealed.ephemeral, &offer.sealing_context().0);
        shown.expect("a good key")
    }
}

impl Purchase {
    fn cancel(&self) -> AbortReason {
        let statement = PurchaseKeyUse::Cancel.statement(&self.secret.public(), &self.terms.purchase_id());
        AbortReason::CancelledBy(self.secret.sign(&statement))
    }
}

fn documents(story: &Story) -> Vec<Value> {
    let purchases = [story.purchase("two steps", 0), story.purchase("cancelled", 2)];
    let mut all = Vec::new();
    for Purchase { name, terms, .. } in &purchases {
        for (late_ms, when) in [(0, "at the deadline"), (86_400_000, "a day later")] {
            let overdue = story.overdue(terms, late_ms);
            all.push(document(&format!("{name}, {when}"), overdue.body, &story.bank));
            let reason = AbortReason::Overdue(Box::new(story.overdue(terms, late_ms)));
            let abort = story.abort(terms, reason);
            all.push(document(
                &format!("{name}, Overdue, {when}"),
                abort,
                &story.escrow,
            ));
        }
    }
    for purchase in &purchases {
        let abort = story.abort(&purchase.terms, purchase.cancel());
        all.push(document(
            &format!("{}, CancelledBy", purchase.name),
            abort,
            &story.escrow,
        ));
    }
    for name in ["two steps", "sealed", "cancelled"] {
        all.push(hold_with_causes(story, name));
    }
    for (name, memo) in story.memos() {
        all.push(document(name, memo, &story.account));
    }
    for (name, denial) in denials(story) {
        all.push(document(name, denial, &story.bank));
    }
    for (name, day) in [("day 20454", 20_454), ("day 20455", 20_455)] {
        let key = encryption_key(&story.merchant, day);
        all.push(document(name, key, &story.merchant));
    }
    all.push(document("free", story.free().1, &story.merchant));
    all.extend(reserves::documents(&story.signers(&story.escrow.public())));
    let sealed = story.purchase("sealed", 1).terms;
    for SealedOffer { name, offer, .. } in story.sealed_offers() {
        let shown = story.show_key(&offer);
        let abort = story.abort(&sealed, AbortReason::WrongKey(Box::new(shown)));
        all.push(document(&format!("WrongKey, {name}"), abort, &story.escrow));
        all.push(document(&name, offer, &story.merchant));
    }
    all
}

/// A key of the merchant's for requests through a relay.
fn encryption_key(target: &SecretKey, day: u32) -> EncryptionKey {
    let cases = relay::requests(target.public());
    let mut of_day = cases.iter().filter(|case| case["day"] == day);
    EncryptionKey {
        target: target.public(),
        day,
        key: ObliviousKey(Field(of_day.next().expect("a case")).get("key").array()),
    }
}

/// The messages of a relay: what wallets ask it, and what it asks a server.
fn relay_frames(story: &Story) -> Value {
    let target = story.merchant.public();
    let key = Signed::sign(encryption_key(&story.merchant, 20_454), &story.merchant);
    let (asked, answered) = (relay::requests(target), relay::replies(target));
    let (asked, answered) = (Field(&asked[0]), Field(&answered[0]));
    let sealed = SealedRequest {
        day: asked.get("day").u32(),
        encapsulated: EncapsulatedKey(asked.get("encapsulated").array()),
        body: asked.get("body").bytes(),
    };
    let replies = || {
        [
            reply("Key", 0, "day 20454", &key),
            reply(
                "Forward",
                1,
                "empty",
                &SealedReply(answered.get("sealed").bytes()),
            ),
        ]
    };
    let forward = ForwardRequest {
        target,
        request: sealed.clone(),
    };
    let to_relay = [
        request("merchant", &RelayRequest::Key(RelayKeyRequest { target })),
        request("empty", &RelayRequest::Forward(forward)),
    ];
    let to_target = [
        request("merchant", &TargetRequest::Key(TargetKeyRequest)),
        request("empty", &TargetRequest::Forward(sealed)),
    ];
    let (relay, target) = ([to_relay, replies()].concat(), [to_target, replies()].concat());
    json!({ "relay": relay, "target": target })
}

/// The proofs that the maker of a sealed key knows its secret.
fn sealed_key_proofs(story: &Story) -> Vec<Value> {
    let proof = |it: SealedOffer| {
        let statement = Statement {
            context: "farthing sealed key",
            key_id: KeyId(it.ephemeral.public().0),
            digest: StatementDigest(it.offer.sealing_context().0),
        };
        let mut case = signed(&it.ephemeral, &statement);
        case.insert("context".into(), json!(statement.context));
        case.insert("name".into(), json!(it.name));
        case.insert("key_id".into(), json!(hex::encode(statement.key_id)));
        Value::Object(case)
    };
    story.sealed_offers().into_iter().map(proof).collect()
}

/// The coins' signatures under a deposit.
fn deposit_uses(story: &Story) -> Vec<Value> {
    let escrow = story.escrow.public();
    let digest = StatementDigest(story.signers(&escrow).first_deposited().body.deposit_id().0);
    let coins = reserves::coins();
    let keys = reserves::coin_keys(&coins);
    let used = |((number, coin), key): ((usize, &Coin), &SecretKey)| {
        let statement = CoinUse::Deposit.statement(&coin.key_id, &digest);
        let mut case = signed(key, &statement);
        case.insert("context".into(), json!(statement.context));
        case.insert("name".into(), json!(format!("coin {number}")));
        case.insert("key_id".into(), json!(hex::encode(statement.key_id)));
        Value::Object(case)
    };
    coins.iter().enumerate().zip(&keys).map(used).collect()
}

/// The points that the escrow shows for the keys that are sealed to it.
fn shared_points(story: &Story) -> Vec<Value> {
    let point = |SealedOffer {
                     name,
                     offer,
                     ephemeral,
                 }| {
        let shown = story.show_key(&offer);
        let shared = story.escrow.diffie_hellman(&ephemeral.public());
        json!({
            "name": name,
            "secret": hex::encode(*story.escrow.to_bytes()),
            "public": hex::encode(story.escrow.public().0),
            "other_secret": hex::encode(*ephemeral.to_bytes()),
            "other": hex::encode(ephemeral.public().0),
            "context": hex::encode(offer.sealing_context()),
            "shown": said(&shown),
            "shared": hex::encode(*shared.expect("a good key").as_bytes()),
        })
    };
    story.sealed_offers().into_iter().map(point).collect()
}

/// The first messages for the story's withdrawal 0 and exchange 0, and for requests that differ in one input.
fn nonces() -> Vec<Value> {
    let (bank, digests) = (file("v1", "wire_bank"), file("v1", "digests"));
    let frames = Field(&bank).get("frames").items();
    let is_begin = |frame: &&Field<'_>| frame.get("message").text() == "WithdrawBegin";
    let withdrawal = frames
        .iter()
        .find(is_begin)
        .expect("a withdrawal")
        .get("value")
        .get("body");
    let exchange = Field(&digests).get("exchanges").items()[0];
    let fresh =
        |slots: usize| -> Vec<String> { (1..=slots).map(|slot| hex::encode([slot as u8; 64])).collect() };
    let of = |name: &str, turn: u64, account: Value, begin: Field<'_>, inputs: Value| {
        let outputs = begin.get("outputs");
        let mut case = json!({
            "name": name,
            "boot_id": hex::encode([7; 32]),
            "turn": turn,
            "account": account,
            "request_id": begin.get("request_id").0,
            "outputs": outputs.0,
            "inputs": inputs,
            "client_randomness": begin.get("client_randomness").0,
            "fresh": fresh(outputs.items().len()),
        });
        let commitments = crate::nonces::begun(Field(&case)).commitments;
        let commitments = commitments
            .iter()
            .map(|c| json!({ "A": hex::encode(c.a), "B": hex::encode(c.b) }));
        case["commitments"] = commitments.collect();
        case
    };
    let account = withdrawal.get("account").0;
    let inputs = exchange.get("inputs").0;
    vec![
        of("withdrawal", 0, account.clone(), withdrawal, json!([])),
        of("withdrawal, next turn", 1, account.clone(), withdrawal, json!([])),
        of(
            "withdrawal, another account",
            0,
            withdrawal.get("bank").0.clone(),
            withdrawal,
            json!([]),
        ),
        of("exchange", 0, Value::Null, exchange, inputs.clone()),
        of("exchange, without inputs", 0, Value::Null, exchange, json!([])),
    ]
}

/// The hold of a purchase of the story, with the promise to show causes.
fn hold_with_causes(story: &Story, name: &str) -> Value {
    let file = file("v1", "documents");
    let all = Field(&file).get("documents").items();
    let is_it =
        |case: &&Field<'_>| (case.get("kind").text(), case.get("name").text()) == ("farthing hold", name);
    let case = all.iter().find(is_it).expect("a hold");
    let hold: Hold = decode(case.get("encoded")).expect("a hold");
    let mut made = signed(
        &story.escrow,
        &HoldWithCauses(&hold).statement(&story.escrow.public()),
    );
    made.insert("kind".into(), json!(HoldWithCauses::LABEL));
    for field in ["name", "body", "encoded"] {
        made.insert(field.into(), case.get(field).0.clone());
    }
    Value::Object(made)
}

/// The customer's signatures under contracts whose escrow has to show causes.
fn contracts(story: &Story) -> Vec<Value> {
    let purchases = [("two steps", 0), ("sealed", 1), ("cancelled", 2)];
    let contract = |(name, order)| {
        let Purchase { terms, secret, .. } = story.purchase(name, order);
        let statement = PurchaseKeyUse::Agree.statement(&secret.public(), &terms.purchase_id());
        let mut case = signed(&secret, &statement);
        case.insert("context".into(), json!(statement.context));
        case.insert("name".into(), json!(name));
        case.insert("key_id".into(), json!(hex::encode(statement.key_id)));
        Value::Object(case)
    };
    purchases.into_iter().map(contract).collect()
}

fn merchant_frames(story: &Story) -> Vec<Value> {
    let (contract, receipt) = story.free();
    vec![
        request("free", &MerchantRequest::Take(TakeRequest(contract))),
        reply("Take", 4, "free", &Signed::sign(receipt, &story.merchant)),
    ]
}

fn escrow_frames(story: &Story) -> Vec<Value> {
    let cancelled = story.purchase("cancelled", 2);
    let terms = cancelled.terms.clone();
    let overdue = story.overdue(&terms, 0);
    let question = OverdueRequest {
        terms: terms.clone(),
        overdue: overdue.clone(),
    };
    let late = story.abort(&terms, AbortReason::Overdue(Box::new(overdue)));
    let late = SignedDecision::Abort(Signed::sign(late, &story.escrow));
    let abort = story.abort(&terms, cancelled.cancel());
    let ended = Outcome::Aborted(Signed::sign(abort, &story.escrow));
    let asked = EscrowRequest::Overdue(WithHead::without(question));
    let coin = reserves::coins()[0];
    let statement = CoinUse::Hold.statement(&coin.key_id, &terms.purchase_id().digest());
    let AbortReason::CancelledBy(signature) = cancelled.cancel() else {
        panic!("the customer cancels")
    };
    let cancel = EscrowRequest::Cancel(CancelRequest {
        terms: terms.clone(),
        signature,
        coin: Some(AuthorizedCoin {
            coin,
            authorization: reserves::coin_keys(&[coin])[0].sign(&statement),
        }),
    });
    vec![
        request("cancelled", &asked),
        request("cancelled, with a coin", &cancel),
        reply("Overdue", 4, "cancelled", &WithHead::without(late)),
        reply("Cancel", 2, "cancelled", &ended),
        reply("Outcome", 3, "cancelled", &ended),
    ]
}

/// The refusals of version 2.
fn refusals(story: &Story) -> Vec<Value> {
    let cancelled = story.purchase("cancelled", 2);
    let abort = Signed::sign(story.abort(&cancelled.terms, cancelled.cancel()), &story.escrow);
    let all: Vec<Refusal> = vec![
        ContractFault::Cause("it shows no cause".into()).into(),
        ContractFault::WithoutCauses.into(),
        PurchaseFault::AbortedBy(Box::new(abort)).into(),
        PurchaseFault::RefundTooHigh {
            price: Amount(5),
            asked: Amount(6),
        }
        .into(),
        RequestFault::Output.into(),
        CoinsFault {
            index: 0,
            what: CoinFault::Missing,
        }
        .into(),
        CoinsFault {
            index: 0,
            what: CoinFault::CancelledTooOften,
        }
        .into(),
    ];
    let denied = denials(story)
        .into_iter()
        .map(|(_, denial)| Signed::sign(denial, &story.bank));
    let denied = denied.map(|denial| Refusal::Denied(Box::new(denial)));
    let relayed = [
        RelayFault::UnknownTarget,
        RelayFault::OldKey,
        RelayFault::DoesNotOpen,
    ];
    let all = all.into_iter().chain(denied).chain(relayed.map(Refusal::from));
    let all = all.chain([GoodsFault::SoldOut.into(), Later::Draining.into()]);
    let refusal = |refusal: Refusal| {
        let reply: Result<(), Refusal> = Err(refusal.clone());
        json!({ "refusal": said(&refusal), "bytes": hex::encode(encode_reply(&reply)) })
    };
    all.into_iter().map(refusal).collect()
}

/// The case of a request.
pub(crate) fn request(name: &str, request: &impl Serialize) -> Value {
    let bytes = wire::encode(request).expect("short");
    let index = u32::from_le_bytes(*bytes.first_chunk().expect("an index"));
    let Value::Object(said) = said(request) else {
        panic!("a request with fields");
    };
    let (message, value) = said.into_iter().next().expect("a variant");
    frame(&message, index, "request", name, value, &bytes)
}

/// The case of a reply without a refusal, to the request of this name and index.
pub(crate) fn reply<R: Serialize>(message: &str, index: u32, name: &str, answer: &R) -> Value {
    let reply: Result<&R, Refusal> = Ok(answer);
    frame(message, index, "reply", name, said(answer), &encode_reply(&reply))
}

fn frame(message: &str, index: u32, direction: &str, name: &str, value: Value, bytes: &[u8]) -> Value {
    json!({
        "message": message,
        "index": index,
        "direction": direction,
        "name": name,
        "value": value,
        "bytes": hex::encode(bytes),
    })
}

/// The account key of each wallet at each bank.
fn accounts() -> Vec<Value> {
    let file = file("v1", "wallet");
    let mut all = Vec::new();
    for wallet in Field(&file).get("wallets").items() {
        let seed = Seed::from_phrase(wallet.get("phrase").text()).expect("a phrase");
        for (place, bank) in wallet.get("banks").items().into_iter().enumerate() {
            let key = seed.bank_account_key(&public(bank.get("bank")));
            all.push(json!({
                "name": format!("{}, bank {place}", wallet.get("name").text()),
                "phrase": wallet.get("phrase").0,
                "bank": bank.get("bank").0,
                "bank_seed": bank.get("bank_seed").0,
                "account_secret": hex::encode(*key.to_bytes()),
                "account": hex::encode(key.public().0),
            }));
        }
    }
    all
}

fn bank_frames(story: &Story) -> Vec<Value> {
    let mut all = Vec::new();
    for (name, memo) in story.memos() {
        all.push(request(
            name,
            &BankRequest::Memo(Signed::sign(memo, &story.account)),
        ));
    }
    let kept = |version, memo| KeptMemo { version, memo };
    all.push(reply("Memo", 11, "none", &kept(0, None)));
    all.push(reply("Memo", 11, "of version 1", &kept(0, Some(story.memo()))));
    all.push(reply("Memo", 11, "version 7", &kept(7, Some(story.memo()))));
    all.extend(reserves::frames(&story.signers(&story.escrow.public())));
    all
}

/// A document of version 1, by its kind and name.
fn of_version_1<D: Document + DeserializeOwned>(name: &str) -> Signed<D> {
    let file = file("v1", "documents");
    let all = Field(&file).get("documents").items();
    let is_it = |case: &&Field<'_>| (case.get("kind").text(), case.get("name").text()) == (D::LABEL, name);
    let case = all.iter().find(is_it).expect("a document");
    Signed {
        body: decode(case.get("encoded")).expect("a document"),
        signature: signature(case.get("signature")),
    }
}

/// A use of a coin from the statements of version 1: key id, coin key and use.
fn used(operation: CoinUse, context: &str, name: &str) -> (KeyId, PublicKey, EarlierUse) {
    let file = file("v1", "documents");
    let all = Field(&file).get("statements").items();
    let is_it = |case: &&Field<'_>| (case.get("context").text(), case.get("name").text()) == (context, name);
    let case = all.iter().find(is_it).expect("a statement");
    let used = EarlierUse {
        operation,
        digest: StatementDigest(case.get("digest").array()),
        authorization: signature(case.get("signature")),
    };
    (
        KeyId(case.get("key_id").array()),
        public(case.get("signer")),
        used,
    )
}

/// The causes of a denial for a coin, each with its name and the kind of request.
fn coin_causes(story: &Story) -> Vec<(&'static str, RequestKind, DenialCause)> {
    let of_coin = |(key_id, coin, used): (KeyId, PublicKey, EarlierUse),
                   what: &dyn Fn(EarlierUse) -> CoinDenial| {
        let what = what(used);
        DenialCause::Coin { key_id, coin, what }
    };
    let held = || used(CoinUse::Hold, "farthing coin hold", "two steps, coin 0");
    let exchanged = || used(CoinUse::Exchange, "farthing coin exchange", "exchange 0");
    let spent = |proof| move |used| CoinDenial::Spent { used, proof };
    let proof = || {
        Box::new(SpendProof {
            terms: story.purchase("two steps", 0).terms,
            commit: of_version_1("two steps"),
        })
    };
    let issued = || Box::new(of_version_1::<Issued>("exchange 0"));
    vec![
        ("held", RequestKind::Hold, of_coin(held(), &CoinDenial::Held)),
        (
            "spent, to an escrow",
            RequestKind::Hold,
            of_coin(held(), &|used| spent(None)(used)),
        ),
        (
            "spent",
            RequestKind::ExchangeBegin,
            of_coin(held(), &|used| spent(Some(proof()))(used)),
        ),
        (
            "exchanged, to an escrow",
            RequestKind::Hold,
            of_coin(exchanged(), &|used| CoinDenial::Exchanged { used, issued: None }),
        ),
        (
            "exchanged",
            RequestKind::ExchangeFinish,
            of_coin(exchanged(), &|used| CoinDenial::Exchanged {
                used,
                issued: Some(issued()),
            }),
        ),
        ("deposited", RequestKind::Deposit, deposited(story)),
        (
            "expired",
            RequestKind::ExchangeBegin,
            of_coin(held(), &|_| CoinDenial::Expired {
                expired_ms: 1_835_136_000_000,
            }),
        ),
        (
            "ends too soon",
            RequestKind::Hold,
            of_coin(held(), &|_| CoinDenial::EndsTooSoon),
        ),
    ]
}

/// The denial of a coin that was deposited before.
fn deposited(story: &Story) -> DenialCause {
    let escrow = story.escrow.public();
    let deposited = story.signers(&escrow).first_deposited();
    let (coin, digest) = (
        reserves::coins()[0],
        StatementDigest(deposited.body.deposit_id().0),
    );
    let key = &reserves::coin_keys(&[coin])[0];
    let used = EarlierUse {
        operation: CoinUse::Deposit,
        digest,
        authorization: key.sign(&CoinUse::Deposit.statement(&coin.key_id, &digest)),
    };
    DenialCause::Coin {
        key_id: coin.key_id,
        coin: coin.public,
        what: CoinDenial::Deposited {
            used,
            deposited: Some(Box::new(deposited)),
        },
    }
}

/// The other causes of a denial.
fn other_causes(story: &Story) -> Vec<(&'static str, RequestKind, DenialCause)> {
    let amounts = (Amount(3), Amount(7));
    let (balance, asked) = amounts;
    let (inputs, outputs) = amounts;
    let key_id = used(CoinUse::Hold, "farthing coin hold", "two steps, coin 0").0;
    let reserve = || {
        DenialCause::Reserve(ReserveFault {
            reserve: bank_seed().reserve_key(0).public(),
            sums: ReserveSums {
                credited: Amount(9),
                debited: Amount(4),
            },
            asked: Amount(7),
        })
    };
    vec![
        (
            "unknown account",
            RequestKind::WithdrawBegin,
            DenialCause::UnknownAccount(story.escrow.public()),
        ),
        (
            "balance",
            RequestKind::WithdrawFinish,
            DenialCause::Balance { balance, asked },
        ),
        (
            "unknown key",
            RequestKind::WithdrawBegin,
            DenialCause::UnknownKey(key_id),
        ),
        (
            "unbalanced",
            RequestKind::ExchangeBegin,
            DenialCause::Unbalanced { inputs, outputs },
        ),
        ("overflow", RequestKind::ExchangeFinish, DenialCause::Overflow),
        ("reserve, begin", RequestKind::ReserveBegin, reserve()),
        ("reserve, finish", RequestKind::ReserveFinish, reserve()),
    ]
}

/// The bank's denials, one for each cause.
fn denials(story: &Story) -> Vec<(&'static str, Denial)> {
    let causes = coin_causes(story).into_iter().chain(other_causes(story));
    let deny = |(name, kind, cause)| {
        let denial = Denial {
            bank: story.bank.public(),
            kind,
            request: StatementDigest([7; 32]),
            cause,
            at_ms: 1_767_225_600_000,
        };
        (name, denial)
    };
    causes.map(deny).collect()
}

/// The case of a document that `secret` signs.
pub(crate) fn document<D: Document + Serialize + Clone>(name: &str, body: D, secret: &SecretKey) -> Value {
    let statement = body.statement(&secret.public());
    let mut case = signed(secret, &statement);
    case.insert("kind".into(), json!(D::LABEL));
    case.insert("name".into(), json!(name));
    case.insert("body".into(), said(&body));
    case.insert(
        "encoded".into(),
        json!(hex::encode(wire::encode(&body).expect("short"))),
    );
    Value::Object(case)
}

/// The fields that every case of a signature has.
pub(crate) fn signed(secret: &SecretKey, statement: &Statement) -> Map<String, Value> {
    let signature = secret.sign(statement);
    let signer: PublicKey = secret.public();
    let (nonce, e) = crate::documents::nonce_and_challenge(secret, statement, &signature);
    let fields = json!({
        "secret": hex::encode(*secret.to_bytes()),
        "signer": hex::encode(signer.0),
        "digest": hex::encode(statement.digest),
        "nonce": hex::encode(nonce.as_bytes()),
        "e": hex::encode(e.as_bytes()),
        "signature": said(&signature),
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// A value in the form of the vectors: bytes in hexadecimal, and fields with the names of the documentation.
fn said(value: &impl Serialize) -> Value {
    hexadecimal(serde_json::to_value(value).expect("JSON"))
}

fn hexadecimal(value: Value) -> Value {
    match value {
        Value::Array(list) => {
            let bytes: Option<Vec<u8>> = (list.iter())
                .map(|number| number.as_u64().and_then(|number| number.try_into().ok()))
                .collect();
            match bytes {
                // Other lists of numbers, for example the values of a key list, are shorter than any key, digest or tag.
                Some(bytes) if bytes.len() >= 16 => json!(hex::encode(bytes)),
                _ => list.into_iter().map(hexadecimal).collect(),
            }
        }
        Value::Object(fields) => {
            let rename = |name: String| match name.as_str() {
                "purchase" => "purchase_id".to_owned(),
                "encrypted_bytes" => "encrypted_size".to_owned(),
                "size_bytes" => "size".to_owned(),
                other => other.strip_suffix("_ms").unwrap_or(other).to_owned(),
            };
            let fields = fields.into_iter();
            Value::Object(
                fields
                    .map(|(name, value)| (rename(name), hexadecimal(value)))
                    .collect(),
            )
        }
        other => other,
    }
}
