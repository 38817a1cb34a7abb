//! Every request that a stranger can send: somebody without an account, a coin or the card of a server.
//!
//! Each kind comes in two forms. [`Depth::First`] fails at the server's first cheap check. [`Depth::Deepest`] passes as many
//! checks as a stranger can pass, so it costs the server the most. The keys are the stranger's own, so signatures are
//! right wherever the server does not know the signer beforehand. The coins are forged.

#![allow(
    clippy::expect_used,
    reason = "a panic is how a test fails, and a hostile client ends"
)]

use crate::by_hand::{Bought, ByHand, Purse, Questions, lane_of};
use farthing_coin::{
    Challenge, ClientRandomness, Coin, Document, EncodedPoint, EncodedScalar, KeyId, PublicKey, RequestId,
    SUITE, SecretKey, Signature, Signed,
};
use farthing_node::{card::RoleName, network::Lane};
use farthing_protocol::{
    api::{AskBank, AskEscrow, Call, KeysRequest},
    decide::{OutcomeRequest, OverdueRequest},
    decision::SignedDecision,
    deposited::Payee,
    documents::{Abort, AbortReason, BankHold, CoinUse, Hold, Offer, Overdue, PurchaseKeyUse},
    exchange::{Authorized, ExchangeBegin, ExchangeFinish, authorize},
    free::TakeRequest,
    goods::GoodsKey,
    history::{WithHead, WitnessRequest},
    ids::{ItemId, PurchaseId, RecordId, SessionDigest, WitnessNonce},
    limits::{COINS_PER_REQUEST_MAX, DEPOSIT_OUTPUTS_MAX, SETTLE_MAX},
    money::Amount,
    offer::{CatalogRequest, OfferRequest, PieceRequest},
    refund::RefundRequest,
    reserve::{FromReserve, ReserveRequest},
    restore::{AccountRequest, BucketRequest, Memo, MemoRequest, Prefix, Shelf, WithdrawalsRequest},
    seal::SEALED_RECORD_BYTES,
    sealed::SalesRequest,
    settle::{CollectRequest, SettleRequest},
    stream::{
        Close, CloseRequest, OpenRequest, Opened, RaiseRequest, StopRequest, TicksRequest, Voucher,
        WatchRequest,
    },
    withdraw::{WithdrawBegin, WithdrawFinish},
};

/// How far a request gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// To the first check that has no curve arithmetic and reads no row. Kinds without one are answered.
    First,
    /// As far as a stranger gets.
    Deepest,
}

/// A kind of request that a stranger can send.
#[derive(Clone, Copy)]
pub struct Kind {
    /// Its name: the server, and what is asked.
    pub name: &'static str,
    /// The server.
    pub role: RoleName,
    /// What the first form fails at.
    pub first: &'static str,
    /// What the deepest form ends with.
    pub deepest: &'static str,
    make: fn(&Stranger, Depth) -> Made,
}

/// A lane, and the bytes of a request.
pub type Made = (Lane, Vec<u8>);

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Kind {
    /// The kind with this name.
    pub fn named(name: &str) -> Option<&'static Kind> {
        KINDS.iter().find(|kind| kind.name == name)
    }

    /// A request of this kind, and its lane.
    ///
    /// # Panics
    /// When it does not encode, which is a bug.
    pub fn request(&self, stranger: &Stranger, depth: Depth) -> Made {
        (self.make)(stranger, depth)
    }
}

macro_rules! kinds {
    ($($name:literal, $role:ident, $make:ident, $first:literal, $deepest:literal;)*) => {
        /// All kinds, in the order of each server's requests.
        pub static KINDS: &[Kind] = &[
            $(Kind { name: $name, role: RoleName::$role, first: $first, deepest: $deepest, make: $make },)*
        ];
    };
}

kinds! {
    "bank-keys", Bank, bank_keys, "none", "answered: the list of keys";
    "bank-account", Bank, bank_account, "another bank", "no such account";
    "bank-withdraw-begin", Bank, bank_withdraw_begin, "another bank", "no such account";
    "bank-withdraw-finish", Bank, bank_withdraw_finish, "another bank", "no session";
    "bank-withdrawals", Bank, bank_withdrawals, "another bank", "answered: no withdrawals";
    "bank-exchange-begin", Bank, bank_exchange_begin, "another bank", "64 forged coins";
    "bank-exchange-finish", Bank, bank_exchange_finish, "another bank", "64 forged coins";
    "bank-hold", Bank, bank_hold, "another escrow", "64 forged coins";
    "bank-settle", Bank, bank_settle, "another escrow", "64 forged decisions";
    "bank-collect", Bank, bank_collect, "none", "no such purchase";
    "bank-bucket", Bank, bank_bucket, "none", "answered: a page";
    "bank-memo", Bank, bank_memo, "another bank", "no such account";
    "bank-push", Bank, bank_push, "another escrow", "64 forged decisions";
    "bank-witness", Bank, bank_witness, "another bank", "not a peer";
    "bank-reserve", Bank, bank_reserve, "another bank", "answered: nothing there";
    "bank-reserve-begin", Bank, bank_reserve_begin, "another bank", "nothing there";
    "bank-reserve-finish", Bank, bank_reserve_finish, "another bank", "no session";
    "bank-deposit", Bank, bank_deposit, "another bank", "64 forged coins";
    "bank-refund", Bank, bank_refund, "another bank", "no such purchase";
    "escrow-hold", Escrow, escrow_hold, "another escrow", "64 forged coins";
    "escrow-release", Escrow, escrow_release, "another escrow", "a forged hold";
    "escrow-cancel", Escrow, escrow_cancel, "another escrow", "a forged coin";
    "escrow-outcome", Escrow, escrow_outcome, "none", "answered: undecided";
    "escrow-overdue", Escrow, escrow_overdue, "another escrow", "a forged statement";
    "escrow-witness", Escrow, escrow_witness, "another escrow", "not a peer";
    "escrow-pay", Escrow, escrow_pay, "another escrow", "64 forged coins";
    "escrow-sales", Escrow, escrow_sales, "another escrow", "answered: no sales";
    "escrow-open", Escrow, escrow_open, "another escrow", "64 forged coins, if there is a stream";
    "escrow-raise", Escrow, escrow_raise, "none", "no such stream";
    "escrow-close", Escrow, escrow_close, "none", "no such stream";
    "merchant-catalogue", Merchant, merchant_catalogue, "none", "answered: a page";
    "merchant-offer", Merchant, merchant_offer, "no such item", "answered: an offer with small goods";
    "merchant-goods", Merchant, merchant_goods, "no such item", "answered: a piece";
    "merchant-deliver", Merchant, merchant_deliver, "another escrow", "a forged hold";
    "merchant-take", Merchant, merchant_take, "a price", "answered, if something is free: its goods key";
    "merchant-watch", Merchant, merchant_watch, "another merchant", "a forged hold, if there is a stream";
    "merchant-ticks", Merchant, merchant_ticks, "none", "no such stream";
    "merchant-stop", Merchant, merchant_stop, "none", "no such stream";
}

/// Somebody whom no server knows.
pub struct Stranger {
    hand: ByHand,
    key: SecretKey,
    /// Issuing keys of the bank, one for each coin.
    outputs: Vec<KeyId>,
    /// 64 forged coins.
    purse: Purse,
    /// A released, a sealed and a free offer of the merchant, and one of a stream. Without one of a kind it is another offer.
    released: Signed<Offer>,
    sealed: Signed<Offer>,
    free: Signed<Offer>,
    stream: Signed<Offer>,
}

impl std::fmt::Debug for Stranger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stranger").finish_non_exhaustive()
    }
}

impl Stranger {
    /// A stranger who asks the nodes of `hand` for what they tell everybody.
    ///
    /// # Panics
    /// When a node does not answer, or the merchant has nothing for sale.
    pub async fn new(hand: ByHand) -> Stranger {
        let outputs = hand.outputs(&[1; COINS_PER_REQUEST_MAX]).await;
        let coins = outputs.iter().zip(0..);
        let (coins, keys) = coins.map(|(key_id, slot)| forged(&hand, *key_id, slot)).unzip();
        let mut offers = Vec::new();
        for item in hand.items().await {
            offers.push(hand.offer_of(item).await);
        }
        let any = offers.first().expect("something is for sale");
        let one = |fits: fn(&Offer) -> bool| {
            offers
                .iter()
                .find(|offer| fits(&offer.body))
                .unwrap_or(any)
                .clone()
        };
        Stranger {
            key: hand.seed.account_key(),
            outputs,
            purse: Purse { coins, keys },
            released: one(|offer| offer.sealed_key.is_none() && !offer.is_free()),
            sealed: one(|offer| offer.sealed_key.is_some() && offer.ticks().is_none()),
            free: one(Offer::is_free),
            stream: one(|offer| offer.ticks().is_some()),
            hand,
        }
    }

    /// The customer that makes the messages.
    pub fn hand(&self) -> &ByHand {
        &self.hand
    }

    /// The identity of the node of this role, or a key of nobody where the first check looks for it.
    fn recipient(&self, role: RoleName, depth: Depth) -> PublicKey {
        match depth {
            Depth::First => self.key.public(),
            Depth::Deepest => self.hand.key(role),
        }
    }

    fn bank(&self, depth: Depth) -> PublicKey {
        self.recipient(RoleName::Bank, depth)
    }

    fn escrow(&self, depth: Depth) -> PublicKey {
        self.recipient(RoleName::Escrow, depth)
    }

    fn request_id(&self) -> RequestId {
        self.hand.seed.withdraw_id(self.hand.next())
    }

    /// A fresh order that the forged coins pay.
    fn order(&self, offer: &Signed<Offer>, depth: Depth) -> Bought {
        let mut bought = self.hand.order_of(offer.clone(), &self.purse);
        bought.order.contract.terms.escrow = self.escrow(depth);
        bought
    }

    fn withdraw_begin(&self, depth: Depth) -> WithdrawBegin {
        WithdrawBegin {
            bank: self.bank(depth),
            account: self.key.public(),
            request_id: self.request_id(),
            outputs: self.outputs.clone(),
            client_randomness: ClientRandomness([7; 32]),
        }
    }

    fn withdraw_finish(&self, depth: Depth) -> WithdrawFinish {
        WithdrawFinish {
            bank: self.bank(depth),
            account: self.key.public(),
            request_id: self.request_id(),
            outputs: self.outputs.clone(),
            session: SessionDigest([7; 32]),
            challenges: self.challenges(),
        }
    }

    fn challenges(&self) -> Vec<Challenge> {
        self.outputs.iter().map(|_| Challenge(scalar(2).0)).collect()
    }

    fn decisions(&self, depth: Depth) -> SettleRequest {
        let abort = Abort {
            purchase: PurchaseId(self.request_id().0),
            bank: self.hand.key(RoleName::Bank),
            reason: AbortReason::Cancelled,
        };
        SettleRequest {
            escrow: self.escrow(depth),
            decisions: vec![SignedDecision::Abort(Signed::sign(abort, &self.key)); SETTLE_MAX],
        }
    }

    fn witness(&self, role: RoleName, depth: Depth) -> Signed<WitnessRequest> {
        let asks = WitnessRequest {
            asker: self.key.public(),
            witness: self.recipient(role, depth),
            nonce: WitnessNonce(self.request_id().0),
            remembered: None,
        };
        Signed::sign(asks, &self.key)
    }

    fn authorized<T: Document>(&self, operation: CoinUse, body: T) -> Authorized<T> {
        let (coins, keys) = (&self.purse.coins, &self.purse.keys);
        let authorizations = authorize(coins, keys, operation, &body.digest());
        Authorized { body, authorizations }
    }

    /// A signature over something else.
    fn signature(&self) -> Signature {
        let key = self.key.public();
        self.key
            .sign(&PurchaseKeyUse::Cancel.statement(&key, &PurchaseId([7; 32])))
    }

    /// A hold that the stranger has signed in the places of bank and escrow.
    fn forged_hold(&self, bought: &Bought) -> Signed<Hold> {
        let bank_hold = self.forged_bank_hold(bought);
        Signed::sign(Hold { bank_hold }, &self.key)
    }

    fn forged_bank_hold(&self, bought: &Bought) -> Signed<BankHold> {
        let terms = &bought.order.contract.terms;
        let bank_hold = BankHold {
            purchase: terms.purchase_id(),
            escrow: terms.escrow,
            coins_digest: terms.coins_digest,
            total: bought.order.contract.offer.body.price,
        };
        Signed::sign(bank_hold, &self.key)
    }

    /// A voucher for a purchase that nobody knows.
    fn voucher(&self) -> Signed<Voucher> {
        let voucher = Voucher {
            purchase: PurchaseId(self.request_id().0),
            ticks: 1,
            amount: Amount(1),
        };
        Signed::sign(voucher, &self.key)
    }
}

/// A canonical scalar.
fn scalar(value: u8) -> EncodedScalar {
    let mut bytes = [0; 32];
    bytes[0] = value;
    EncodedScalar(bytes)
}

/// A coin that no bank has signed, and its key.
fn forged(hand: &ByHand, key_id: KeyId, slot: u32) -> (Coin, SecretKey) {
    let key = hand.seed.coin_key(&RequestId([9; 32]), slot);
    let coin = Coin {
        suite: SUITE,
        key_id,
        public: key.public(),
        r: EncodedPoint(hand.account().0),
        z: scalar(2),
        y: scalar(3),
    };
    (coin, key)
}

fn made<C: Call>(call: C) -> Made
where
    C::Server: Questions,
{
    let question = C::Server::from(call);
    let bytes = farthing_protocol::wire::encode(&question).expect("a question is not too long");
    (lane_of(question.caller()), bytes)
}

// ---- requests to a bank -----------------------------------------------------------------------------------------------

fn bank_keys(_: &Stranger, _: Depth) -> Made {
    made(KeysRequest)
}

fn bank_account(it: &Stranger, depth: Depth) -> Made {
    let (bank, account) = (it.bank(depth), it.key.public());
    made(Signed::sign(AccountRequest { bank, account }, &it.key))
}

fn bank_withdraw_begin(it: &Stranger, depth: Depth) -> Made {
    made(Signed::sign(it.withdraw_begin(depth), &it.key))
}

fn bank_withdraw_finish(it: &Stranger, depth: Depth) -> Made {
    made(Signed::sign(it.withdraw_finish(depth), &it.key))
}

fn bank_withdrawals(it: &Stranger, depth: Depth) -> Made {
    let asks = WithdrawalsRequest {
        bank: it.bank(depth),
        account: it.key.public(),
        after: None,
    };
    made(Signed::sign(asks, &it.key))
}

fn bank_memo(it: &Stranger, depth: Depth) -> Made {
    let writes = MemoRequest {
        bank: it.bank(depth),
        account: it.key.public(),
        version: 1,
        memo: Some(Memo(vec![7; SEALED_RECORD_BYTES])),
    };
    made(Signed::sign(writes, &it.key))
}

fn bank_exchange_begin(it: &Stranger, depth: Depth) -> Made {
    let body = ExchangeBegin {
        bank: it.bank(depth),
        request_id: it.request_id(),
        inputs: it.purse.coins.clone(),
        outputs: it.outputs.clone(),
        client_randomness: ClientRandomness([7; 32]),
    };
    made(it.authorized(CoinUse::ExchangeBegin, body))
}

fn bank_exchange_finish(it: &Stranger, depth: Depth) -> Made {
    let body = ExchangeFinish {
        bank: it.bank(depth),
        request_id: it.request_id(),
        inputs: it.purse.coins.clone(),
        outputs: it.outputs.clone(),
        session: SessionDigest([7; 32]),
        challenges: it.challenges(),
    };
    made(it.authorized(CoinUse::Exchange, body))
}

fn bank_hold(it: &Stranger, depth: Depth) -> Made {
    made(it.order(&it.released, depth).bank_hold())
}

fn bank_settle(it: &Stranger, depth: Depth) -> Made {
    made(it.decisions(depth))
}

fn bank_push(it: &Stranger, depth: Depth) -> Made {
    made(WithHead::without(it.decisions(depth)))
}

fn bank_collect(it: &Stranger, _: Depth) -> Made {
    made(CollectRequest {
        purchase: PurchaseId(it.request_id().0),
        escrow: it.hand.key(RoleName::Escrow),
        signature: it.signature(),
    })
}

fn bank_bucket(_: &Stranger, _: Depth) -> Made {
    made(BucketRequest {
        shelf: Shelf::Notes,
        prefix: Prefix::of(&RecordId([0; 32]), 0),
        after: None,
    })
}

fn bank_witness(it: &Stranger, depth: Depth) -> Made {
    made(AskBank(it.witness(RoleName::Bank, depth)))
}

fn bank_reserve(it: &Stranger, depth: Depth) -> Made {
    let (bank, reserve) = (it.bank(depth), it.key.public());
    made(Signed::sign(ReserveRequest { bank, reserve }, &it.key))
}

fn bank_reserve_begin(it: &Stranger, depth: Depth) -> Made {
    made(Signed::sign(FromReserve(it.withdraw_begin(depth)), &it.key))
}

fn bank_reserve_finish(it: &Stranger, depth: Depth) -> Made {
    made(Signed::sign(FromReserve(it.withdraw_finish(depth)), &it.key))
}

fn bank_deposit(it: &Stranger, depth: Depth) -> Made {
    let payees = (0..DEPOSIT_OUTPUTS_MAX as u64).map(|counter| {
        let payee = it.hand.seed.purchase_key(counter).public();
        (Payee::Reserve(payee), counter.saturating_add(1))
    });
    let mut deposit = it.hand.deposit_of(&it.purse, &payees.collect::<Vec<_>>());
    deposit.body.bank = it.bank(depth);
    made(deposit)
}

fn bank_refund(it: &Stranger, depth: Depth) -> Made {
    let refund = RefundRequest {
        bank: it.bank(depth),
        account: it.key.public(),
        purchase: PurchaseId(it.request_id().0),
        escrow: it.hand.key(RoleName::Escrow),
        total: Amount(1),
    };
    made(Signed::sign(refund, &it.key))
}

// ---- requests to an escrow --------------------------------------------------------------------------------------------

fn escrow_hold(it: &Stranger, depth: Depth) -> Made {
    made(it.order(&it.released, depth).hold())
}

fn escrow_pay(it: &Stranger, depth: Depth) -> Made {
    made(it.order(&it.sealed, depth).pay())
}

fn escrow_release(it: &Stranger, depth: Depth) -> Made {
    let bought = it.order(&it.released, depth);
    made(bought.release(&it.forged_hold(&bought), &GoodsKey::from_bytes([7; 32])))
}

fn escrow_cancel(it: &Stranger, depth: Depth) -> Made {
    made(it.order(&it.released, depth).cancel())
}

fn escrow_outcome(it: &Stranger, _: Depth) -> Made {
    let bought = it.order(&it.released, Depth::Deepest);
    let (key, purchase) = (bought.purchase_key.public(), bought.order.purchase());
    made(OutcomeRequest {
        purchase,
        signature: bought
            .purchase_key
            .sign(&PurchaseKeyUse::Outcome.statement(&key, &purchase)),
    })
}

fn escrow_overdue(it: &Stranger, depth: Depth) -> Made {
    let terms = it.order(&it.released, depth).order.contract.terms;
    let overdue = Overdue {
        purchase: terms.purchase_id(),
        escrow: terms.escrow,
        deadline_ms: terms.deadline_ms,
        at_ms: terms.deadline_ms,
    };
    let overdue = Signed::sign(overdue, &it.key);
    made(WithHead::without(OverdueRequest { terms, overdue }))
}

fn escrow_witness(it: &Stranger, depth: Depth) -> Made {
    made(AskEscrow(it.witness(RoleName::Escrow, depth)))
}

fn escrow_sales(it: &Stranger, depth: Depth) -> Made {
    let asks = SalesRequest {
        escrow: it.escrow(depth),
        merchant: it.key.public(),
        known: 0,
    };
    made(Signed::sign(asks, &it.key))
}

fn escrow_open(it: &Stranger, depth: Depth) -> Made {
    made(OpenRequest(it.order(&it.stream, depth).hold()))
}

fn escrow_raise(it: &Stranger, _: Depth) -> Made {
    made(RaiseRequest {
        voucher: it.voucher(),
        wants_key: true,
    })
}

fn escrow_close(it: &Stranger, depth: Depth) -> Made {
    let voucher = it.voucher();
    let close = Close {
        purchase: voucher.body.purchase,
        escrow: it.escrow(depth),
    };
    made(CloseRequest {
        close: Signed::sign(close, &it.key),
        voucher: Some(voucher),
    })
}

// ---- requests to a merchant -------------------------------------------------------------------------------------------

fn merchant_catalogue(_: &Stranger, _: Depth) -> Made {
    made(CatalogRequest { after: None })
}

fn merchant_offer(it: &Stranger, depth: Depth) -> Made {
    made(OfferRequest {
        item_id: item(it, depth),
        bank: it.hand.key(RoleName::Bank),
        escrow: it.hand.key(RoleName::Escrow),
    })
}

fn merchant_goods(it: &Stranger, depth: Depth) -> Made {
    made(PieceRequest {
        item_id: item(it, depth),
        encrypted_digest: it.released.body.encrypted_digest,
        offset: 0,
    })
}

fn merchant_deliver(it: &Stranger, depth: Depth) -> Made {
    let bought = it.order(&it.released, depth);
    made(bought.deliver(&it.forged_hold(&bought)))
}

fn merchant_take(it: &Stranger, depth: Depth) -> Made {
    let (offer, purse) = match depth {
        Depth::First => (&it.released, &it.purse),
        Depth::Deepest => (
            &it.free,
            &Purse {
                coins: Vec::new(),
                keys: Vec::new(),
            },
        ),
    };
    made(TakeRequest(it.hand.order_of(offer.clone(), purse).order.contract))
}

fn merchant_watch(it: &Stranger, depth: Depth) -> Made {
    let bought = it.order(&it.stream, Depth::Deepest);
    let bank_hold = it.forged_bank_hold(&bought);
    let mut contract = bought.order.contract;
    if depth == Depth::First {
        contract.terms.merchant = it.key.public();
    }
    made(WatchRequest {
        contract,
        opened: Signed::sign(Opened { bank_hold }, &it.key),
    })
}

fn merchant_ticks(it: &Stranger, _: Depth) -> Made {
    let voucher = it.voucher();
    made(TicksRequest {
        purchase: voucher.body.purchase,
        voucher: Some(voucher),
        window: 1,
        wait_ms: 0,
    })
}

fn merchant_stop(it: &Stranger, _: Depth) -> Made {
    made(StopRequest {
        purchase: PurchaseId(it.request_id().0),
        signature: it.signature(),
        voucher: Some(it.voucher()),
    })
}

fn item(it: &Stranger, depth: Depth) -> ItemId {
    match depth {
        Depth::First => ItemId([7; 32]),
        Depth::Deepest => it.released.body.item_id,
    }
}
