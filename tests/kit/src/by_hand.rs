//! A customer that makes every message by hand, over the simulation's network or over QUIC.
//!
//! A wallet sends only correct requests. Tests need others: repeated, changed, or on another lane.

#![allow(clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod payments;

use farthing_coin::{Coin, KeyBook, KeyId, PublicKey, RequestId, SecretKey, Seed, Signed};
use farthing_node::{
    card::{Card, RoleName},
    network::{Lane, Network},
};
use farthing_protocol::{
    api::{BankRequest, Call, Caller, EscrowRequest, KeysRequest, MerchantRequest},
    decide::{AuthorizedCoin, CancelRequest, ReleaseRequest},
    documents::{CoinUse, Hold, Issued, Offer},
    exchange::{Authorized, Exchange, ExchangeBegin, ExchangeFinish},
    goods::GoodsKey,
    history::WithHead,
    hold::{BankHoldRequest, HoldRequest},
    ids::ItemId,
    issuance::{Issuance, IssuanceAsk},
    issue::IssueState,
    offer::{CatalogRequest, DeliverRequest, OfferRequest},
    purchase::{Order, OrderParts, Plan},
    refusal::Refusal,
    seal::seal_record,
    sealed::PayRequest,
    withdraw::{WithdrawBegin, WithdrawFinish, Withdrawal},
};
use farthing_store::clock::Clock;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// How long a reply may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The requests of one server.
pub trait Questions {
    /// The role that answers them.
    const ROLE: RoleName;
    /// The lanes on which this request is allowed.
    fn caller(&self) -> Caller;
}

impl Questions for BankRequest {
    const ROLE: RoleName = RoleName::Bank;
    fn caller(&self) -> Caller {
        BankRequest::caller(self)
    }
}

impl Questions for EscrowRequest {
    const ROLE: RoleName = RoleName::Escrow;
    fn caller(&self) -> Caller {
        EscrowRequest::caller(self)
    }
}

impl Questions for MerchantRequest {
    const ROLE: RoleName = RoleName::Merchant;
    fn caller(&self) -> Caller {
        MerchantRequest::caller(self)
    }
}

/// The lane of such a caller's requests.
pub fn lane_of(caller: Caller) -> Lane {
    match caller {
        Caller::Identified => Lane::Identified,
        Caller::Peer => Lane::Peer,
        Caller::Relay => Lane::Relayed,
        Caller::Anonymous | Caller::Anyone => Lane::Anonymous,
    }
}

/// A reply: its bytes and its content.
pub type Replied<R> = (Vec<u8>, Result<R, Refusal>);

/// Coins and their keys.
#[derive(Debug)]
pub struct Purse {
    /// The coins.
    pub coins: Vec<Coin>,
    /// Their secret keys, in the same order.
    pub keys: Vec<SecretKey>,
}

impl Purse {
    /// The coins of both purses.
    pub fn and(&self, other: &Purse) -> Purse {
        let copy = |key: &SecretKey| SecretKey::from_bytes(&key.to_bytes()).expect("it is a key");
        Purse {
            coins: self.coins.iter().chain(&other.coins).copied().collect(),
            keys: self.keys.iter().chain(&other.keys).map(copy).collect(),
        }
    }
}

/// An order, and the key that it was signed with.
#[derive(Debug)]
pub struct Bought {
    /// The order.
    pub order: Order,
    /// The purchase key.
    pub purchase_key: SecretKey,
}

impl Bought {
    /// The request to the escrow to hold its coins.
    pub fn hold(&self) -> HoldRequest {
        HoldRequest {
            contract: self.order.contract.clone(),
            payment: self.order.payment.clone(),
        }
    }

    /// The request to the escrow to hold its coins and commit.
    pub fn pay(&self) -> PayRequest {
        PayRequest(self.hold())
    }

    /// The escrow's request to the bank for it.
    pub fn bank_hold(&self) -> WithHead<BankHoldRequest> {
        WithHead::without(BankHoldRequest {
            terms: self.order.contract.terms.clone(),
            payment: self.order.payment.clone(),
        })
    }

    /// The request to the merchant to deliver.
    pub fn deliver(&self, hold: &Signed<Hold>) -> DeliverRequest {
        DeliverRequest {
            contract: self.order.contract.clone(),
            hold: hold.clone(),
        }
    }

    /// The merchant's request to the escrow.
    pub fn release(&self, hold: &Signed<Hold>, goods_key: &GoodsKey) -> ReleaseRequest {
        ReleaseRequest {
            contract: self.order.contract.clone(),
            hold: hold.clone(),
            goods_key: goods_key.clone(),
        }
    }

    /// The request to the escrow to abort.
    pub fn cancel(&self) -> CancelRequest {
        self.order.cancel_request(&self.purchase_key)
    }

    /// The same, showing the first coin of `purse`.
    pub fn cancel_with(&self, purse: &Purse) -> CancelRequest {
        let digest = self.order.purchase().digest();
        let shown = purse.coins.first().zip(purse.keys.first());
        CancelRequest {
            coin: shown.map(|(coin, key)| AuthorizedCoin {
                coin: *coin,
                authorization: key.sign(&CoinUse::Hold.statement(&coin.key_id, &digest)),
            }),
            ..self.cancel()
        }
    }
}

impl std::fmt::Debug for ByHand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ByHand").finish_non_exhaustive()
    }
}

/// A customer.
pub struct ByHand {
    network: Arc<dyn Network>,
    clock: Arc<dyn Clock>,
    cards: [Card; 3],
    /// The seed of all secrets.
    pub seed: Seed,
    counter: AtomicU64,
}

impl ByHand {
    /// A customer of these nodes.
    pub fn new(network: Arc<dyn Network>, clock: Arc<dyn Clock>, cards: [Card; 3], seed: Seed) -> ByHand {
        ByHand {
            network,
            clock,
            cards,
            seed,
            counter: AtomicU64::new(0),
        }
    }

    /// The card of the node of this role.
    pub fn card(&self, role: RoleName) -> &Card {
        let found = self.cards.iter().find(|card| card.role == role);
        found.expect("a card of each")
    }

    /// The identity of the node of this role.
    pub fn key(&self, role: RoleName) -> PublicKey {
        self.card(role).identity
    }

    /// The key of the customer's account.
    pub fn account(&self) -> PublicKey {
        self.seed.account_key().public()
    }

    /// The next number from which secrets derive.
    pub fn next(&self) -> u64 {
        self.counter.fetch_add(1, Ordering::SeqCst)
    }

    // ---- asking -----------------------------------------------------------------------------------------------

    /// Sends bytes on a connection of their own, and returns the bytes of the reply.
    pub async fn send(&self, to: RoleName, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        let channel = self.network.connect(self.card(to), lane).await;
        let channel = channel.expect("the node is there");
        channel.call(request, PATIENCE).await.expect("the node replies")
    }

    /// Sends a request on its own lane.
    pub async fn ask_raw<C: Call>(&self, call: C) -> Replied<C::Reply>
    where
        C::Server: Questions,
    {
        let question = C::Server::from(call);
        let lane = lane_of(question.caller());
        let request = farthing_protocol::wire::encode(&question).expect("a question is not too long");
        let reply = self.send(C::Server::ROLE, lane, request).await;
        let says = C::decode_reply(&reply).expect("a reply is one");
        (reply, says)
    }

    /// Sends a request, and returns its reply or a refusal.
    pub async fn ask<C: Call>(&self, call: C) -> Result<C::Reply, Refusal>
    where
        C::Server: Questions,
    {
        self.ask_raw(call).await.1
    }

    // ---- coins ------------------------------------------------------------------------------------------------

    /// The bank's keys.
    pub async fn keys(&self) -> KeyBook {
        let signed = self.ask(KeysRequest).await.expect("the list of keys");
        KeyBook::new(signed, &self.key(RoleName::Bank)).expect("a good list")
    }

    /// The issuing keys of these values.
    pub async fn outputs(&self, values: &[u64]) -> Vec<KeyId> {
        let (keys, now_ms) = (self.keys().await, self.clock.now_ms());
        let issuing = |value: &u64| keys.issuing(*value, now_ms).expect("a key that issues").id();
        values.iter().map(issuing).collect()
    }

    /// A withdrawal of which nothing was sent yet.
    pub async fn withdrawal(&self, values: &[u64]) -> Withdrawal {
        Withdrawal {
            bank: self.key(RoleName::Bank),
            account: self.account(),
            request_id: self.seed.withdraw_id(self.next()),
            outputs: self.outputs(values).await,
            state: IssueState::Beginning,
        }
    }

    /// The request that begins it.
    pub fn withdraw_begin(&self, withdrawal: &Withdrawal) -> Signed<WithdrawBegin> {
        match withdrawal.ask(&self.seed.account_key(), &self.seed) {
            IssuanceAsk::Begin(begin) => begin,
            _ => panic!("it is not beginning"),
        }
    }

    /// The withdrawal with its session open.
    pub async fn withdrawal_begun(&self, withdrawal: &Withdrawal) -> Withdrawal {
        let begun = self
            .ask(self.withdraw_begin(withdrawal))
            .await
            .expect("a session");
        let keys = self.keys().await;
        withdrawal
            .on_begun(&begun, &keys, &self.seed)
            .expect("a good session")
    }

    /// The request that finishes it.
    pub fn withdraw_finish(&self, withdrawal: &Withdrawal) -> Signed<WithdrawFinish> {
        match withdrawal.ask(&self.seed.account_key(), &self.seed) {
            IssuanceAsk::Finish(finish) => finish,
            _ => panic!("it is not finishing"),
        }
    }

    /// The coins of a withdrawal.
    pub async fn withdrawn(&self, withdrawal: &Withdrawal, issued: &Signed<Issued>) -> Purse {
        let keys = self.keys().await;
        let (done, coins) = withdrawal
            .on_issued(issued, &keys, &self.seed)
            .expect("good coins");
        self.purse(&done.request_id.0, coins)
    }

    /// Withdraws coins of these values.
    pub async fn withdraw(&self, values: &[u64]) -> Purse {
        let withdrawal = self.withdrawal(values).await;
        let withdrawal = self.withdrawal_begun(&withdrawal).await;
        let issued = self
            .ask(self.withdraw_finish(&withdrawal))
            .await
            .expect("coins are issued");
        self.withdrawn(&withdrawal, &issued).await
    }

    fn purse(&self, request_id: &[u8; 32], coins: Vec<Coin>) -> Purse {
        let keys = (0..coins.len() as u32)
            .map(|slot| self.seed.coin_key(&RequestId(*request_id), slot))
            .collect();
        Purse { coins, keys }
    }

    /// An exchange of all of `purse` of which nothing was sent yet.
    pub async fn exchange(&self, purse: &Purse, values: &[u64]) -> Exchange {
        Exchange {
            bank: self.key(RoleName::Bank),
            request_id: self.seed.exchange_id(self.next()),
            inputs: purse.coins.clone(),
            outputs: self.outputs(values).await,
            state: IssueState::Beginning,
        }
    }

    /// The request that begins it.
    pub fn exchange_begin(&self, exchange: &Exchange, purse: &Purse) -> Authorized<ExchangeBegin> {
        match exchange.ask(&purse.keys, &self.seed) {
            IssuanceAsk::Begin(begin) => begin,
            _ => panic!("it is not beginning"),
        }
    }

    /// The exchange with its session open.
    pub async fn exchange_begun(&self, exchange: &Exchange, purse: &Purse) -> Exchange {
        let begun = self
            .ask(self.exchange_begin(exchange, purse))
            .await
            .expect("a session");
        let keys = self.keys().await;
        exchange
            .on_begun(&begun, &keys, &self.seed)
            .expect("a good session")
    }

    /// The request that finishes it.
    pub fn exchange_finish(&self, exchange: &Exchange, purse: &Purse) -> Authorized<ExchangeFinish> {
        match exchange.ask(&purse.keys, &self.seed) {
            IssuanceAsk::Finish(finish) => finish,
            _ => panic!("it is not finishing"),
        }
    }

    /// Exchanges all of `purse` for coins of these values.
    pub async fn exchanged(&self, purse: &Purse, values: &[u64]) -> Purse {
        let exchange = self.exchange(purse, values).await;
        let exchange = self.exchange_begun(&exchange, purse).await;
        let issued = self
            .ask(self.exchange_finish(&exchange, purse))
            .await
            .expect("coins are issued");
        let keys = self.keys().await;
        let (done, coins) = exchange
            .on_issued(&issued, &keys, &self.seed)
            .expect("good coins");
        self.purse(&done.request_id.0, coins)
    }

    // ---- purchases --------------------------------------------------------------------------------------------

    /// The items on the first page of the catalogue.
    pub async fn items(&self) -> Vec<ItemId> {
        let catalog = self.ask(CatalogRequest { after: None }).await;
        let items = catalog.expect("a catalogue").items;
        items.into_iter().map(|item| item.item_id).collect()
    }

    /// An offer for the first item of the catalogue.
    pub async fn offer(&self) -> Signed<Offer> {
        let items = self.items().await;
        self.offer_of(*items.first().expect("something is for sale"))
            .await
    }

    /// An offer for this item.
    pub async fn offer_of(&self, item_id: ItemId) -> Signed<Offer> {
        let request = OfferRequest {
            item_id,
            bank: self.key(RoleName::Bank),
            escrow: self.key(RoleName::Escrow),
        };
        self.ask(request).await.expect("an offer").offer
    }

    /// An order on a fresh offer that pays with all of `purse`.
    pub async fn order(&self, purse: &Purse) -> Bought {
        self.order_of(self.offer().await, purse)
    }

    /// An order on `offer` that pays with all of `purse`.
    pub fn order_of(&self, offer: Signed<Offer>, purse: &Purse) -> Bought {
        let deadline_ms = offer.body.expires_ms;
        self.order_until(offer, purse, deadline_ms)
    }

    /// An order on `offer` that pays with all of `purse`, and is decided before `deadline_ms`.
    pub fn order_until(&self, offer: Signed<Offer>, purse: &Purse, deadline_ms: u64) -> Bought {
        let counter = self.next();
        let (note_id, note_key) = (
            self.seed.recovery_record_id(counter),
            self.seed.recovery_record_key(counter),
        );
        let plan = Plan {
            bank: self.key(RoleName::Bank),
            escrow: self.key(RoleName::Escrow),
            offer,
        };
        let purchase_key = self.seed.purchase_key(counter);
        let order = Order::new(OrderParts {
            counter,
            plan: &plan,
            coins: purse.coins.clone(),
            coin_keys: &purse.keys,
            purchase_key: &purchase_key,
            note_id,
            note: seal_record(&note_key, &note_id, b"a note").expect("a short note"),
            deadline_ms,
        });
        Bought {
            order: order.expect("the bank is accepted"),
            purchase_key,
        }
    }

    /// Asks the escrow to hold the order's coins.
    pub async fn held(&self, bought: &Bought) -> Signed<Hold> {
        self.ask(bought.hold()).await.expect("a hold")
    }
}
