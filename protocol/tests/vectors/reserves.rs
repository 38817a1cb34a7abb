//! Reserves, deposits and refunds: their documents, digests and messages. Made with the story's parties, and checked by the
//! documented equations.

use crate::made::{document, reply, request};
use crate::support::{bank_seed, decode, derived, public};
use farthing_coin::{
    ClientRandomness, Coin, KeyId, PublicKey, RequestId, SecretKey, Seed, Signed, TextSalt, Transcript,
    TranscriptExt,
};
use farthing_protocol::{
    api::{BankRequest, EscrowRequest},
    deposit::{Deposit, DepositFrom},
    deposited::{DepositOutput, Deposited, Payee, text_digest},
    ids::{DepositId, DepositSource, IssueSource, PurchaseId, SessionDigest, TextDigest},
    money::Amount,
    refund::{RefundRequest, Refunded},
    reserve::{CreditSource, FromReserve, ReserveBalance, ReserveRequest, reserve_source},
    reserve_sums::ReserveSums,
    withdraw::{WithdrawBegin, WithdrawFinish},
};
use farthing_vectors::{Claims, Field, file};
use serde_json::{Value, json};

/// The time of the story's statements: 2026-01-01, 00:00 UTC (ms since 1970).
const AT_MS: u64 = 1_767_225_600_000;

/// The parties of the story who sign here.
pub(crate) struct Signers<'a> {
    pub(crate) bank: &'a SecretKey,
    pub(crate) account: &'a SecretKey,
    pub(crate) escrow: &'a PublicKey,
    pub(crate) purchase: PurchaseId,
}

impl Signers<'_> {
    fn reserve(&self) -> SecretKey {
        bank_seed().reserve_key(0)
    }

    fn ask(&self) -> ReserveRequest {
        ReserveRequest {
            bank: self.bank.public(),
            reserve: self.reserve().public(),
        }
    }

    fn balance(&self) -> ReserveBalance {
        ReserveBalance {
            bank: self.bank.public(),
            reserve: self.reserve().public(),
            sums: ReserveSums {
                credited: Amount(9),
                debited: Amount(4),
            },
            at_ms: AT_MS,
        }
    }

    fn begin(&self) -> FromReserve<WithdrawBegin> {
        FromReserve(WithdrawBegin {
            bank: self.bank.public(),
            account: self.reserve().public(),
            request_id: bank_seed().exchange_id(1),
            outputs: outputs(),
            client_randomness: ClientRandomness([5; 32]),
        })
    }

    fn finish(&self) -> FromReserve<WithdrawFinish> {
        let file = file("v1", "wire_bank");
        let is_it = |case: &&Field<'_>| {
            (case.get("message").text(), case.get("direction").text()) == ("WithdrawFinish", "request")
        };
        let frames = Field(&file).get("frames").items();
        let bytes = frames.iter().find(is_it).expect("a finish").get("bytes");
        let Ok(BankRequest::WithdrawFinish(finish)) = decode(bytes) else {
            panic!("a finish")
        };
        FromReserve(WithdrawFinish {
            account: self.reserve().public(),
            request_id: bank_seed().exchange_id(1),
            session: SessionDigest([6; 32]),
            ..finish.body
        })
    }

    fn outputs(&self) -> Vec<DepositOutput> {
        let output = |to, amount| DepositOutput {
            to,
            amount: Amount(amount),
        };
        vec![
            output(Payee::Account(self.account.public()), 3),
            output(Payee::Reserve(self.reserve().public()), 2),
        ]
    }

    /// A deposit of the coins of the story's first purchase, and one of a reserve.
    fn deposits(&self) -> [(&'static str, Deposit); 2] {
        let deposit = |from| Deposit {
            bank: self.bank.public(),
            from,
            outputs: self.outputs(),
            text: text_digest(&bank_seed().text_salt(0), "for Amélie"),
        };
        let reserve = self.reserve().public();
        [
            ("coins", deposit(DepositFrom::Coins(coins()))),
            ("reserve", deposit(DepositFrom::Reserve(reserve))),
        ]
    }

    fn deposited(&self, deposit: &Deposit) -> Deposited {
        Deposited {
            bank: deposit.bank,
            source: deposit.from.source(),
            outputs: deposit.outputs.clone(),
            text: deposit.text,
            at_ms: AT_MS,
        }
    }

    fn refund(&self) -> RefundRequest {
        RefundRequest {
            bank: self.bank.public(),
            account: self.account.public(),
            purchase: self.purchase,
            escrow: *self.escrow,
            total: Amount(2),
        }
    }

    fn refunded(&self) -> Refunded {
        Refunded {
            bank: self.bank.public(),
            purchase: self.purchase,
            reserve: bank_seed().purchase_key(0).public(),
            total: Amount(2),
        }
    }

    /// What the bank has credited for a coin of the first deposit.
    pub(crate) fn first_deposited(&self) -> Signed<Deposited> {
        let [(_, first), _] = self.deposits();
        Signed::sign(self.deposited(&first), self.bank)
    }
}

/// The coins of the story's first purchase.
pub(crate) fn coins() -> Vec<Coin> {
    let file = file("v1", "wire_escrow");
    let is_it =
        |case: &&Field<'_>| (case.get("message").text(), case.get("direction").text()) == ("Hold", "request");
    let frames = Field(&file).get("frames").items();
    let bytes = frames.iter().find(is_it).expect("a hold").get("bytes");
    let Ok(EscrowRequest::Hold(hold)) = decode(bytes) else {
        panic!("a hold")
    };
    hold.payment.coins
}

/// The keys of the coins, found among the secrets of the story's withdrawals and exchanges.
pub(crate) fn coin_keys(coins: &[Coin]) -> Vec<SecretKey> {
    let seed = bank_seed();
    let find = |coin: &Coin| {
        let ids = (0..4).flat_map(|number| [seed.withdraw_id(number), seed.exchange_id(number)]);
        let mut keys = ids.flat_map(|id| (0..4).map(move |slot| (id, slot)));
        let mine = |(id, slot): &(RequestId, u32)| seed.coin_key(id, *slot).public() == coin.public;
        let (id, slot) = keys.find(mine).expect("a coin of the story");
        seed.coin_key(&id, slot)
    };
    coins.iter().map(find).collect()
}

fn outputs() -> Vec<KeyId> {
    coins().iter().map(|coin| coin.key_id).collect()
}

pub(crate) fn documents(by: &Signers<'_>) -> Vec<Value> {
    let reserve = by.reserve();
    let [(_, coins), (_, of_reserve)] = by.deposits();
    vec![
        document("reserve", by.ask(), &reserve),
        document("reserve", by.balance(), by.bank),
        document("reserve", by.begin(), &reserve),
        document("reserve", by.finish(), &reserve),
        document("reserve", of_reserve.clone(), &reserve),
        document("coins", by.deposited(&coins), by.bank),
        document("reserve", by.deposited(&of_reserve), by.bank),
        document("two steps", by.refund(), by.account),
        document("two steps", by.refunded(), by.bank),
    ]
}

pub(crate) fn frames(by: &Signers<'_>) -> Vec<Value> {
    let reserve = by.reserve();
    let [(_, coins), (_, of_reserve)] = by.deposits();
    let DepositFrom::Coins(paid) = &coins.from else {
        panic!("coins pay")
    };
    let keys = coin_keys(paid);
    vec![
        request("reserve", &BankRequest::Reserve(Signed::sign(by.ask(), &reserve))),
        reply("Reserve", 14, "reserve", &Signed::sign(by.balance(), by.bank)),
        request(
            "reserve",
            &BankRequest::ReserveBegin(Signed::sign(by.begin(), &reserve)),
        ),
        request(
            "reserve",
            &BankRequest::ReserveFinish(Signed::sign(by.finish(), &reserve)),
        ),
        request("coins", &BankRequest::Deposit(coins.clone().authorized(&keys))),
        request(
            "reserve",
            &BankRequest::Deposit(of_reserve.authorized(std::slice::from_ref(&reserve))),
        ),
        reply("Deposit", 17, "coins", &by.first_deposited()),
        request(
            "two steps",
            &BankRequest::Refund(Signed::sign(by.refund(), by.account)),
        ),
        reply("Refund", 18, "two steps", &Signed::sign(by.refunded(), by.bank)),
    ]
}

/// The digests that are not documents, and the secrets of a wallet.
pub(crate) fn digests(by: &Signers<'_>) -> Value {
    let seed = bank_seed();
    let secrets = [0, 1, u64::MAX].map(|counter| {
        json!({
            "counter": counter,
            "bank_seed": hex::encode(*seed.to_bytes()),
            "reserve_secret": hex::encode(*seed.reserve_key(counter).to_bytes()),
            "reserve": hex::encode(seed.reserve_key(counter).public().0),
            "text_salt": hex::encode(seed.text_salt(counter).as_bytes()),
        })
    });
    let reserve = by.reserve().public();
    let sources = [0, 1].map(|number| {
        let id = seed.exchange_id(number);
        json!({
            "reserve": hex::encode(reserve.0),
            "request_id": hex::encode(id.0),
            "source": hex::encode(reserve_source(&reserve, &id)),
        })
    });
    let paid = by.deposits().map(|(name, deposit)| {
        let from = match &deposit.from {
            DepositFrom::Coins(coins) => farthing_protocol::documents::coins_digest(coins).0,
            DepositFrom::Reserve(reserve) => reserve.0,
        };
        json!({
            "name": name,
            "from": hex::encode(from),
            "source": hex::encode(deposit.from.source()),
            "deposit_id": hex::encode(deposit.id()),
        })
    });
    let texts = ["", "for Amélie"].map(|text| {
        json!({
            "salt": hex::encode(seed.text_salt(0).as_bytes()),
            "text": text,
            "digest": hex::encode(text_digest(&seed.text_salt(0), text)),
        })
    });
    let deposit = by.deposits()[0].1.id();
    let credits = [
        ("deposit", CreditSource::Deposit(deposit), deposit.0, None),
        (
            "change of",
            CreditSource::Change(by.purchase),
            by.purchase.0,
            None,
        ),
        (
            "refund of",
            CreditSource::Refund(by.purchase, Amount(2)),
            by.purchase.0,
            Some(2),
        ),
    ];
    let credits = credits.map(|(kind, source, id, total)| {
        json!({ "kind": kind, "of": hex::encode(id), "total": total, "id": hex::encode(source.id()) })
    });
    json!({ "secrets": secrets, "sources": sources, "paid": paid, "texts": texts, "credits": credits })
}

pub(crate) fn check_secret(case: Field<'_>, claims: &mut Claims) {
    let seed = Seed::from_bytes(&case.get("bank_seed").array());
    let counter = case.get("counter").u64();
    let key = seed.reserve_key(counter);
    claims.bytes("reserve_secret", *key.to_bytes(), case);
    claims.bytes("reserve", key.public().0, case);
    claims.bytes("text_salt", seed.text_salt(counter).as_bytes(), case);
    let of = |label: &'static [u8]| {
        let mut t = Transcript::start(label);
        t.bytes(b"seed", &case.get("bank_seed").bytes());
        t.u64(b"counter", counter);
        t
    };
    let documented = of(b"wallet reserve key").nonzero_scalar(b"key");
    claims.bytes("reserve_secret", documented.to_bytes(), case);
    let documented = of(b"wallet text salt").digest32(b"salt");
    claims.bytes("text_salt", documented, case);
}

pub(crate) fn check_source(case: Field<'_>, claims: &mut Claims) {
    let (reserve, id) = (
        public(case.get("reserve")),
        RequestId(case.get("request_id").array()),
    );
    claims.bytes("source", reserve_source(&reserve, &id), case);
    let fields: [(&[u8], &[u8]); 2] = [(b"reserve", &reserve.0), (b"request", &id.0)];
    let documented = derived(b"farthing reserve source", &fields, b"digest");
    claims.bytes("source", IssueSource(documented), case);
}

pub(crate) fn check_paid(case: Field<'_>, claims: &mut Claims) {
    let from = case.get("from").bytes();
    let label: &[u8] = if case.get("name").text() == "coins" {
        b"coins"
    } else {
        b"reserve"
    };
    let documented = derived(b"farthing deposit source", &[(label, &from)], b"digest");
    claims.bytes("source", DepositSource(documented), case);
}

pub(crate) fn check_text(case: Field<'_>, claims: &mut Claims) {
    let (salt, text) = (
        TextSalt::from_bytes(case.get("salt").array()),
        case.get("text").text(),
    );
    claims.bytes("digest", text_digest(&salt, text), case);
    let fields: [(&[u8], &[u8]); 2] = [(b"salt", salt.as_bytes()), (b"text", text.as_bytes())];
    let documented = derived(b"farthing text", &fields, b"digest");
    claims.bytes("digest", TextDigest(documented), case);
}

pub(crate) fn check_credit(case: Field<'_>, claims: &mut Claims) {
    let of = case.get("of").array();
    let (source, label): (CreditSource, &[u8]) = match case.get("kind").text() {
        "deposit" => (CreditSource::Deposit(DepositId(of)), b"deposit"),
        "change of" => (CreditSource::Change(PurchaseId(of)), b"change of"),
        _ => {
            let total = Amount(case.get("total").u64());
            (CreditSource::Refund(PurchaseId(of), total), b"refund of")
        }
    };
    claims.bytes("id", source.id(), case);
    let mut t = Transcript::start(b"farthing credit");
    t.bytes(label, &of);
    if let CreditSource::Refund(_, total) = source {
        t.u64(b"total", total.0);
    }
    claims.bytes("id", t.digest32(b"id"), case);
}

/// Writes a document of this flow, field by field. Returns whether there is one of this kind.
pub(crate) fn describe(t: &mut Transcript, kind: &str, body: Field<'_>) -> bool {
    let bytes = |t: &mut Transcript, names: &[(&'static [u8], &str)]| {
        for (label, name) in names {
            t.bytes(label, &body.get(name).bytes());
        }
    };
    let list = |t: &mut Transcript, many: &'static [u8], one: &'static [u8], name: &str| {
        let items = body.get(name).items();
        t.u64(many, items.len() as u64);
        items.iter().for_each(|item| t.bytes(one, &item.bytes()));
    };
    let account: [(&[u8], &str); 3] = [
        (b"bank", "bank"),
        (b"account", "account"),
        (b"request", "request_id"),
    ];
    match kind {
        "farthing reserve" => bytes(t, &[(b"bank", "bank"), (b"reserve", "reserve")]),
        "farthing reserve balance" => {
            bytes(t, &[(b"bank", "bank"), (b"reserve", "reserve")]);
            t.u64(b"credited", body.get("sums").get("credited").u64());
            t.u64(b"debited", body.get("sums").get("debited").u64());
            t.u64(b"at", body.get("at").u64());
        }
        "farthing reserve withdraw begin" => {
            bytes(t, &account);
            list(t, b"outputs", b"output", "outputs");
            bytes(t, &[(b"client randomness", "client_randomness")]);
        }
        "farthing reserve withdraw finish" => {
            bytes(t, &account);
            list(t, b"outputs", b"output", "outputs");
            bytes(t, &[(b"session", "session")]);
            list(t, b"challenges", b"challenge", "challenges");
        }
        "farthing deposit" | "farthing deposited" => describe_deposit(t, kind, body),
        "farthing refund" => {
            bytes(
                t,
                &[
                    (b"bank", "bank"),
                    (b"account", "account"),
                    (b"purchase", "purchase_id"),
                    (b"escrow", "escrow"),
                ],
            );
            t.u64(b"total", body.get("total").u64());
        }
        "farthing refunded" => {
            bytes(
                t,
                &[
                    (b"bank", "bank"),
                    (b"purchase", "purchase_id"),
                    (b"reserve", "reserve"),
                ],
            );
            t.u64(b"total", body.get("total").u64());
        }
        _ => return false,
    }
    true
}

fn describe_deposit(t: &mut Transcript, kind: &str, body: Field<'_>) {
    t.bytes(b"bank", &body.get("bank").bytes());
    match body.find("from").and_then(|from| from.find("Reserve")) {
        Some(reserve) => {
            let source = derived(
                b"farthing deposit source",
                &[(b"reserve", &reserve.bytes())],
                b"digest",
            );
            t.bytes(b"source", &source);
        }
        None => t.bytes(b"source", &body.get("source").bytes()),
    }
    let outputs = body.get("outputs").items();
    t.u64(b"outputs", outputs.len() as u64);
    for output in outputs {
        let to = output.get("to");
        match (to.find("Account"), to.find("Reserve")) {
            (Some(key), _) => t.bytes(b"account", &key.bytes()),
            (None, key) => t.bytes(b"reserve", &key.expect("a payee").bytes()),
        }
        t.u64(b"amount", output.get("amount").u64());
    }
    t.bytes(b"text", &body.get("text").bytes());
    if kind == "farthing deposited" {
        t.u64(b"at", body.get("at").u64());
    }
}
