//! A bank in memory, and the parts of a wallet, a merchant and an escrow that its tests need.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used, clippy::panic)]

pub mod payments;
mod wire;

use farthing_bank::{
    admin::{Cash, Command},
    bank::{Bank, BankParts},
    keys::{BankSettings, Master},
};
use farthing_coin::{
    Calendar, Coin, KeyBook, KeyId, PublicKey, RequestId, SecretKey, Seed, Signature, Signed, StatementDigest,
};
use farthing_node::fingerprint::Fingerprint;
use farthing_node::{
    card::{Card, RoleName},
    network::{Lane, Service},
};
use farthing_protocol::{
    api::{Call, SettleOne},
    decision::SignedDecision,
    denial::{CoinDenial, Denial, DenialCause, RequestKind, is_denied},
    documents::{Abort, AbortReason, AcceptedBank, Commit, Issued, Offer, PurchaseKeyUse, SaleLimit},
    exchange::Exchange,
    goods::GoodsKey,
    history::WithHead,
    hold::BankHoldRequest,
    ids::{
        EncryptedDigest, EphemeralId, GoodsDigest, ItemId, KeyCiphertext, NodeSecret, SaleId, SealingContext,
    },
    issuance::{Issuance, IssuanceAsk},
    issue::IssueState,
    money::{Amount, AmountError},
    purchase::{Order, OrderParts, Plan},
    refusal::Refusal,
    seal::{WrappedKey, commit_goods_key, derive_ephemeral, seal_goods_key, seal_record},
    withdraw::Withdrawal,
};
use farthing_store::{
    Head, Store, StoreOptions,
    clock::ManualClock,
    disk::MemoryDisk,
    entropy::{Entropy, SeededEntropy},
};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

pub use wire::Wire;

pub const EPOCH_MS: u64 = 30 * 24 * 3_600_000;
/// One tenth into epoch 100.
pub const START_MS: u64 = 100 * EPOCH_MS + EPOCH_MS / 10;
pub const VALUES: [u64; 8] = [1, 2, 4, 8, 16, 32, 64, 128];

pub struct BankFixture {
    pub bank: Bank,
    pub disk: MemoryDisk,
    pub clock: Arc<ManualClock>,
    pub wire: Wire,
    pub escrow: SecretKey,
    pub merchant: SecretKey,
    pub seed: Seed,
    pub account: SecretKey,
    /// Randomness of the running bank.
    pub entropy: Arc<CountedEntropy>,
    starts: u64,
    counter: u64,
}

fn rng(seed: u64) -> SeededEntropy {
    SeededEntropy::new(seed)
}

pub fn secret_key(seed: u64) -> SecretKey {
    let entropy: &dyn Entropy = &rng(seed);
    SecretKey::generate(&mut entropy.rng())
}

pub fn card(role: RoleName, key: &PublicKey) -> Card {
    Card {
        role,
        name: "fair".into(),
        address: "127.0.0.1:7002".parse().unwrap(),
        fingerprint: Fingerprint([7; 32]),
        identity: *key,
        fields: Default::default(),
    }
}

/// Randomness that counts its reads. Each nonce takes one read.
pub struct CountedEntropy {
    entropy: SeededEntropy,
    fills: AtomicU64,
}

impl CountedEntropy {
    fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            entropy: rng(seed),
            fills: AtomicU64::new(0),
        })
    }

    pub fn fills(&self) -> u64 {
        self.fills.load(Ordering::SeqCst)
    }
}

impl Entropy for CountedEntropy {
    fn fill(&self, out: &mut [u8]) {
        self.fills.fetch_add(1, Ordering::SeqCst);
        self.entropy.fill(out);
    }
}

async fn open(
    disk: &MemoryDisk,
    clock: &Arc<ManualClock>,
    wire: &Wire,
    cards: Vec<Card>,
    starts: u64,
    counted: &Arc<CountedEntropy>,
) -> Bank {
    let (store, _) = Store::open(Path::new("/bank"), StoreOptions::simulated(disk.clone(), starts)).unwrap();
    let entropy: &dyn Entropy = &rng(77);
    let bank = Bank::open(BankParts {
        identity: secret_key(1),
        master: Master::generate(&mut entropy.rng()),
        settings: settings(),
        store,
        clock: clock.clone(),
        entropy: counted.clone(),
        network: Arc::new(wire.clone()),
        cards,
    })
    .await
    .unwrap();
    // A running bank does this on its own.
    bank.history().ask_all().await;
    bank
}

pub fn settings() -> BankSettings {
    BankSettings {
        currency: "FTH".into(),
        calendar: Calendar {
            epoch_ms: EPOCH_MS,
            spend_epochs: 2,
            redeem_epochs: 1,
        },
        values: VALUES.to_vec(),
    }
}

impl BankFixture {
    /// A bank that knows one escrow. The merchant has an account, and the customer has an account with 20.00.
    pub async fn new() -> BankFixture {
        let (disk, clock, wire) = (
            MemoryDisk::new(),
            Arc::new(ManualClock::new(START_MS)),
            Wire::new(secret_key(2)),
        );
        let escrow = secret_key(2);
        let cards = vec![card(RoleName::Escrow, &escrow.public())];
        let counted = CountedEntropy::new(1000);
        let bank = open(&disk, &clock, &wire, cards, 0, &counted).await;
        let entropy: &dyn Entropy = &rng(5);
        let seed = Seed::generate(&mut entropy.rng());
        let account = seed.account_key();
        let fixture = BankFixture {
            bank,
            disk,
            clock,
            wire,
            escrow,
            merchant: secret_key(3),
            seed,
            account,
            entropy: counted,
            starts: 0,
            counter: 0,
        };
        fixture.open_account(&fixture.account.public()).await;
        fixture.open_account(&fixture.merchant.public()).await;
        fixture
            .cash(Command::AccountCredit, "20.00", "first")
            .await
            .unwrap();
        fixture
    }

    pub async fn open_account(&self, key: &PublicKey) {
        let open = Command::AccountOpen {
            key: *key,
            name: None,
        };
        self.bank.administer(open).await.unwrap();
    }

    pub async fn cash(
        &self,
        command: fn(Cash) -> Command,
        amount: &str,
        reference: &str,
    ) -> Result<serde_json::Value, String> {
        let cash = Cash {
            key: self.account.public(),
            amount: amount.parse().map_err(|e: AmountError| e.to_string())?,
            reference: reference.into(),
        };
        self.bank.administer(command(cash)).await
    }

    /// Kills the bank and starts it again.
    pub async fn restart(&mut self) {
        self.starts += 1;
        let cards = vec![card(RoleName::Escrow, &self.escrow.public())];
        self.disk.kill();
        self.entropy = CountedEntropy::new(1000 + self.starts);
        let entropy = &self.entropy;
        self.bank = open(&self.disk, &self.clock, &self.wire, cards, self.starts, entropy).await;
    }

    pub fn head(&self) -> Head {
        self.bank.store().head()
    }

    pub fn book(&self) -> KeyBook {
        self.bank.keys().book().clone()
    }

    pub fn next(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// The issuing keys of these values.
    pub fn outputs(&self, values: &[u64]) -> Vec<KeyId> {
        let (book, now) = (self.book(), self.now_ms());
        values
            .iter()
            .map(|v| book.issuing(*v, now).unwrap().id())
            .collect()
    }

    pub fn now_ms(&self) -> u64 {
        use farthing_store::clock::Clock;
        self.clock.now_ms()
    }

    /// Sends a request on its lane. Returns the reply's bytes and the decoded reply.
    pub async fn ask_raw<C: Call<Server = farthing_protocol::api::BankRequest> + Clone>(
        &self,
        call: C,
    ) -> (Vec<u8>, Result<C::Reply, Refusal>) {
        use farthing_protocol::api::{BankRequest, Caller};
        let request = call.encode().unwrap();
        let lane = match BankRequest::decode(&request).map(|request| request.caller()) {
            Ok(Caller::Identified) => Lane::Identified,
            Ok(Caller::Peer) => Lane::Peer,
            // A request that does not decode is refused on every lane.
            Ok(Caller::Relay) => Lane::Relayed,
            Ok(Caller::Anonymous | Caller::Anyone) | Err(_) => Lane::Anonymous,
        };
        let bytes = self.bank.call(lane, request).await;
        let reply = C::decode_reply(&bytes).unwrap();
        (bytes, reply)
    }

    pub async fn ask<C: Call<Server = farthing_protocol::api::BankRequest> + Clone>(
        &self,
        call: C,
    ) -> Result<C::Reply, Refusal> {
        self.ask_raw(call).await.1
    }

    /// Sends a request that must be refused, and checks that nothing was written.
    pub async fn refused<C: Call<Server = farthing_protocol::api::BankRequest> + Clone>(
        &self,
        call: C,
    ) -> Refusal {
        let head = self.head();
        let Err(refusal) = self.ask(call).await else {
            panic!("expected a refusal")
        };
        assert_eq!(self.head(), head, "a refusal was written: {refusal}");
        self.audited().await;
        refusal
    }

    /// Sends a request that must be denied, and checks that the bank signed the denial for this request.
    pub async fn denied<C: Call<Server = farthing_protocol::api::BankRequest> + Clone>(
        &self,
        call: C,
        kind: RequestKind,
        request: [u8; 32],
    ) -> Denial {
        let refusal = self.refused(call).await;
        self.denial(&refusal, kind, &request)
    }

    pub fn denial(&self, refusal: &Refusal, kind: RequestKind, request: &[u8; 32]) -> Denial {
        let Refusal::Denied(denial) = refusal else {
            panic!("expected a denial, got: {refusal}")
        };
        assert!(is_denied(
            denial,
            &self.bank.self_id(),
            kind,
            &StatementDigest(*request)
        ));
        assert_eq!(denial.body.at_ms, self.now_ms());
        denial.body.clone()
    }

    /// Checks that the audit finds no problem, and returns the worth of the outstanding coins.
    pub async fn audited(&self) -> Amount {
        let report = self.bank.audit().await.unwrap();
        assert_eq!(report.problems, Vec::<String>::new());
        assert!(report.counted_rows);
        report.outstanding.parse().unwrap()
    }

    pub async fn balance(&self, key: &SecretKey) -> Amount {
        let request = farthing_protocol::restore::AccountRequest {
            bank: self.bank.self_id(),
            account: key.public(),
        };
        self.ask(Signed::sign(request, key)).await.unwrap()
    }

    pub fn withdrawal(&mut self, values: &[u64]) -> Withdrawal {
        let counter = self.next();
        Withdrawal {
            bank: self.bank.self_id(),
            account: self.account.public(),
            request_id: self.seed.withdraw_id(counter),
            outputs: self.outputs(values),
            state: IssueState::Beginning,
        }
    }

    /// Begins the withdrawal: its session is open afterwards.
    pub async fn begun(&self, withdrawal: &Withdrawal) -> Withdrawal {
        let IssuanceAsk::Begin(begin) = withdrawal.ask(&self.account, &self.seed) else {
            panic!("it is not beginning")
        };
        let begun = self.ask(begin).await.unwrap();
        withdrawal.on_begun(&begun, &self.book(), &self.seed).unwrap()
    }

    pub fn finish_of(&self, withdrawal: &Withdrawal) -> Signed<farthing_protocol::withdraw::WithdrawFinish> {
        let IssuanceAsk::Finish(finish) = withdrawal.ask(&self.account, &self.seed) else {
            panic!("it is not finishing")
        };
        finish
    }

    pub fn coins_of(&self, withdrawal: &impl Issuance, issued: &Signed<Issued>) -> Purse {
        let (done, coins) = withdrawal.on_issued(issued, &self.book(), &self.seed).unwrap();
        Purse::new(&self.seed, &done.request_id().0, coins, &self.book())
    }

    /// Withdraws coins of these values.
    pub async fn withdraw(&mut self, values: &[u64]) -> Purse {
        let withdrawal = self.withdrawal(values);
        let withdrawal = self.begun(&withdrawal).await;
        let issued = self.ask(self.finish_of(&withdrawal)).await.unwrap();
        self.coins_of(&withdrawal, &issued)
    }

    pub fn exchange(&mut self, purse: &Purse, values: &[u64]) -> Exchange {
        let counter = self.next();
        Exchange {
            bank: self.bank.self_id(),
            request_id: self.seed.exchange_id(counter),
            inputs: purse.coins.clone(),
            outputs: self.outputs(values),
            state: IssueState::Beginning,
        }
    }

    pub async fn exchange_begun(&self, exchange: &Exchange, purse: &Purse) -> Result<Exchange, Refusal> {
        let IssuanceAsk::Begin(begin) = exchange.ask(&purse.keys, &self.seed) else {
            panic!("it is not beginning")
        };
        let begun = self.ask(begin).await?;
        Ok(exchange.on_begun(&begun, &self.book(), &self.seed).unwrap())
    }

    pub fn exchange_finish(
        &self,
        exchange: &Exchange,
        purse: &Purse,
    ) -> farthing_protocol::exchange::Authorized<farthing_protocol::exchange::ExchangeFinish> {
        let IssuanceAsk::Finish(finish) = exchange.ask(&purse.keys, &self.seed) else {
            panic!("it is not finishing")
        };
        finish
    }

    /// Exchanges all of `purse` for coins of these values.
    pub async fn exchanged(&mut self, purse: &Purse, values: &[u64]) -> Result<Purse, Refusal> {
        let exchange = self.exchange(purse, values);
        let exchange = self.exchange_begun(&exchange, purse).await?;
        let issued = self.ask(self.exchange_finish(&exchange, purse)).await?;
        let (done, coins) = exchange.on_issued(&issued, &self.book(), &self.seed).unwrap();
        Ok(Purse::new(&self.seed, &done.request_id.0, coins, &self.book()))
    }

    pub fn offer(&self, price: u64) -> Signed<Offer> {
        let offer = Offer {
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
            wrapped_key: WrappedKey {
                body: KeyCiphertext([5; 32]),
                tag: [6; 16],
            },
            key_commitment: commit_goods_key(&goods_key()),
            price: Amount(price),
            currency: "FTH".into(),
            escrows: vec![self.escrow.public()],
            banks: vec![AcceptedBank {
                bank: self.bank.self_id(),
                account: self.merchant.public(),
                key_list_digest: self.book().digest(),
            }],
            expires_ms: self.now_ms() + 10 * EPOCH_MS,
            served_until_ms: self.now_ms() + 10 * EPOCH_MS,
            sales: SaleLimit::Unlimited,
            sealed_key: None,
        };
        Signed::sign(offer, &self.merchant)
    }

    /// An order that costs `price`, paid with `purse` and decided by `escrow` within a minute.
    pub fn order_at(&mut self, purse: &Purse, escrow: &PublicKey, price: u64) -> Bought {
        let counter = self.next();
        let (note_id, note_key) = (
            self.seed.recovery_record_id(counter),
            self.seed.recovery_record_key(counter),
        );
        let plan = Plan {
            bank: self.bank.self_id(),
            escrow: *escrow,
            offer: self.offer(price),
        };
        let purchase_key = self.seed.purchase_key(counter);
        let order = Order::new(OrderParts {
            counter,
            plan: &plan,
            coins: purse.coins.clone(),
            coin_keys: &purse.keys,
            purchase_key: &purchase_key,
            note_id,
            note: seal_record(&note_key, &note_id, b"a note").unwrap(),
            deadline_ms: self.now_ms() + 60_000,
        })
        .unwrap();
        Bought { order, purchase_key }
    }

    pub fn order(&mut self, purse: &Purse) -> Bought {
        let escrow = self.escrow.public();
        self.order_at(purse, &escrow, purse.worth())
    }

    pub fn commit(&self, bought: &Bought) -> SettleOne {
        let terms = &bought.order.contract.terms;
        let purchase = terms.purchase_id();
        let ephemeral = derive_ephemeral(&NodeSecret::from_bytes([9; 32]), &EphemeralId::from(purchase));
        let commit = Commit {
            purchase,
            bank: terms.bank,
            coins_digest: terms.coins_digest,
            account: terms.account,
            amount: terms.price,
            sealed_key: seal_goods_key(
                &ephemeral,
                &terms.purchase_key,
                &SealingContext::from(purchase),
                &goods_key(),
            )
            .unwrap(),
        };
        SettleOne {
            escrow: self.escrow.public(),
            decision: SignedDecision::Commit(Signed::sign(commit, &self.escrow)),
        }
    }

    pub fn abort(&self, bought: &Bought) -> SettleOne {
        self.abort_for(bought, AbortReason::CancelledBy(bought.cancel()))
    }

    pub fn abort_for(&self, bought: &Bought, reason: AbortReason) -> SettleOne {
        let terms = &bought.order.contract.terms;
        let abort = Abort {
            purchase: terms.purchase_id(),
            bank: terms.bank,
            reason,
        };
        SettleOne {
            escrow: self.escrow.public(),
            decision: SignedDecision::Abort(Signed::sign(abort, &self.escrow)),
        }
    }
}

/// The denial's statement about a coin.
pub fn denied_coin(denial: &Denial, coin: &Coin) -> CoinDenial {
    match &denial.cause {
        DenialCause::Coin {
            key_id,
            coin: key,
            what,
        } if (*key_id, *key) == (coin.key_id, coin.public) => what.clone(),
        other => panic!("expected a denial of {}, got: {other}", coin.public),
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
    /// The customer's cancel.
    pub fn cancel(&self) -> Signature {
        let purchase = self.order.contract.terms.purchase_id();
        let statement = PurchaseKeyUse::Cancel.statement(&self.purchase_key.public(), &purchase);
        self.purchase_key.sign(&statement)
    }

    pub fn hold(&self) -> WithHead<BankHoldRequest> {
        WithHead::without(BankHoldRequest {
            terms: self.order.contract.terms.clone(),
            payment: self.order.payment.clone(),
        })
    }
}

/// Coins and their keys.
pub struct Purse {
    pub coins: Vec<Coin>,
    pub keys: Vec<SecretKey>,
    worth: u64,
}

impl Purse {
    fn new(seed: &Seed, request_id: &[u8; 32], coins: Vec<Coin>, book: &KeyBook) -> Purse {
        let keys = (0..coins.len() as u32)
            .map(|slot| seed.coin_key(&RequestId(*request_id), slot))
            .collect();
        let worth = coins
            .iter()
            .map(|coin| book.get(&coin.key_id).unwrap().value)
            .sum();
        Purse { coins, keys, worth }
    }

    pub fn worth(&self) -> u64 {
        self.worth
    }
}
