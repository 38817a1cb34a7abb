//! Purchase: the wallet's states, from an accepted offer to the goods or to the returned coins.
//!
//! ```text
//!   Fetching -> Holding -> Held -> Committed
//!                  \         \  /
//!                   \------ Cancelling -> Aborted
//!                                 \
//!                                  \---> Recovered
//! ```
//!
//! On a free item no coins are put to the purchase, and the merchant alone is asked: `Fetching -> Taking -> Committed`.
//!
//! A stream is open between the two: `Holding -> Streaming -> Committed`. It ends as `Aborted` if no tick was paid for.
//!
//! On a sealed offer the escrow holds and decides in one request: `Holding` goes to `Committed` or `Aborted`.
//!
//! The wallet stores an order before it sends it. After a crash it sends the same request again, and gets the same hold
//! and the same receipt. Only a decision that the escrow signed moves a purchase to `Committed` or `Aborted`. A refusal
//! or silence never does. If the escrow gives no decision, only a document that the bank signed moves a purchase to
//! `Recovered`: it shows that a coin of the purchase went into an exchange.

use crate::{
    cause::CauseFault,
    contract::{check_hold, check_opened},
    decide::{AuthorizedCoin, CancelRequest, OutcomeRequest},
    decision::Outcome,
    documents::{
        Abort, CoinUse, Commit, Contract, FreeReceipt, Hold, Offer, PurchaseKeyUse, Receipt, Terms,
        coins_digest, recovery_record_digest,
    },
    exchange::authorize,
    free::TakeRequest,
    goods::{GOODS_MAX_BYTES, GoodsKey, encrypted_len},
    hold::{HoldRequest, Payment},
    ids::{ItemId, OfferDigest, PurchaseId, RecoveryRecordDigest, SealingContext},
    money::Amount,
    offer::{CatalogItem, DeliverRequest},
    refusal::ContractFault,
    seal::{SealError, SealedKey, open_goods_key, open_with_point, opens},
    sealed::PayRequest,
    settle::{CollectRequest, Collected},
    stream::{OpenRequest, Opened, StopRequest, StreamCommit, Voucher, chain, check_voucher, price_of},
};
use farthing_coin::{
    Coin, Document, KeyBook, PublicKey, RecoveryRecordId, SecretKey, Seed, SharedPoint, SignatureError,
    Signed,
};
use serde::{Deserialize, Serialize};

/// An offer that the customer has decided to buy, with bank and escrow. No coins are put to it yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The bank whose coins pay.
    pub bank: PublicKey,
    /// The escrow that decides.
    pub escrow: PublicKey,
    /// The merchant's offer.
    pub offer: Signed<Offer>,
}

/// A purchase that coins were put to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The number from which the purchase key and the key of the recovery record derive.
    pub counter: u64,
    /// The contract, signed by both sides.
    pub contract: Contract,
    /// The coins, their authorizations and the recovery record.
    pub payment: Payment,
}

/// The wallet's proof that its purchase was committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Proof {
    /// The escrow's receipt.
    Receipt(Box<Signed<Receipt>>),
    /// The escrow's commit, from the bank, and the goods key that was sealed in it.
    Commit(Box<Signed<Commit>>, GoodsKey),
    /// The merchant's receipt for a free item.
    Free(Box<Signed<FreeReceipt>>),
    /// The escrow's commit of a stream with the voucher, and the key of the voucher's last tick.
    Stream(Box<StreamCommit>, GoodsKey),
}

impl Proof {
    /// The goods key.
    pub fn goods_key(&self) -> &GoodsKey {
        match self {
            Proof::Receipt(receipt) => &receipt.body.goods_key,
            Proof::Commit(_, key) | Proof::Stream(_, key) => key,
            Proof::Free(receipt) => &receipt.body.goods_key,
        }
    }
}

/// A purchase as the wallet keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purchase {
    /// The wallet fetches the encrypted goods. It has sent no coins.
    Fetching(Plan),
    /// The wallet may have asked for the hold.
    Holding(Order),
    /// The coins are held. The merchant may have released the key.
    Held(Order, Signed<Hold>),
    /// The customer wants the coins back. The purchase may end as committed or as aborted.
    Cancelling(Order),
    /// The merchant is paid, and the wallet has the goods key.
    Committed(Order, Proof),
    /// The coins are released.
    Aborted(Order, Signed<Abort>),
    /// The customer stopped before the wallet sent any coins.
    Dropped(Plan),
    /// The purchase was cancelled without a decision of the escrow. The bank held no coins, and gave fresh coins for the
    /// coins of the purchase. It refuses a later hold.
    Recovered(Order),
    /// The wallet may have asked the merchant for the key of a free item.
    Taking(Order),
    /// The stream is open. The merchant may have vouchers.
    Streaming(Order, Signed<Opened>),
}

/// The next request of a purchase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// To the merchant: send the rest of the encrypted goods.
    Goods(Box<Plan>),
    /// To the escrow: hold the coins.
    Hold(Box<HoldRequest>),
    /// To the escrow: hold the coins and commit, as the goods key is in the offer.
    Pay(Box<PayRequest>),
    /// To the merchant: release the key. If the merchant does not answer, the wallet asks the escrow for the outcome.
    Deliver(Box<DeliverRequest>),
    /// To the escrow: abort, unless the purchase is decided.
    Cancel(Box<CancelRequest>),
    /// To the merchant: give the key of a free item.
    Take(Box<TakeRequest>),
    /// To the escrow: hold the coins and open the stream.
    Open(Box<OpenRequest>),
    /// To the merchant: end the stream. If the merchant does not answer, the wallet asks the escrow for the outcome.
    Stop(Box<StopRequest>),
    /// No request: the purchase has ended.
    Nothing,
}

/// Why a wallet does not accept a document. The purchase stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PurchaseError {
    /// A document does not fit the contract.
    #[error(transparent)]
    Contract(#[from] ContractFault),
    /// The signature of a decision is invalid.
    #[error("the escrow's signature is refused: {0}")]
    Signature(SignatureError),
    /// A field of a decision differs from the contract.
    #[error("the escrow's decision has another {0} than the contract")]
    Mismatch(&'static str),
    /// The escrow signed a key that does not open the offer's commitment. It has broken the contract.
    #[error("the escrow signed a goods key that is not the offer's; `receipt verify` proves it")]
    WrongGoodsKey,
    /// The merchant did not sign the receipt for a free item.
    #[error("the merchant's signature under its receipt is refused: {0}")]
    MerchantSignature(SignatureError),
    /// The merchant's receipt for a free item is for another purchase.
    #[error("the merchant's receipt is for another purchase")]
    OtherFreeReceipt,
    /// The merchant signed a key for a free item that does not open its own offer's commitment.
    #[error("the merchant signed a goods key that is not its offer's")]
    WrongGoodsKeyOfMerchant,
    /// The sealed key does not open.
    #[error("the sealed goods key does not open: {0}")]
    Sealed(SealError),
    /// The escrow committed a stream for a voucher that the customer did not sign, or that does not fit the contract.
    #[error("the escrow committed the stream for a voucher that is not this purchase's")]
    Voucher,
    /// The point that was shown in place of the purchase key is not the one of that key.
    #[error("the point that was shown is not the one of the purchase key, so it opens nothing")]
    PointNotProven,
    /// The escrow signed an abort without a valid cause. It has broken its promise.
    #[error("the escrow signed an abort without a cause: {0}; `receipt show` has what proves it")]
    WithoutCause(CauseFault),
    /// The escrow signed both a commit and an abort.
    #[error("the escrow signed both a receipt and an abort for this purchase")]
    BothOutcomes,
    /// The escrow signed a commit with coins that the bank had exchanged.
    #[error(
        "the escrow signed a receipt for this purchase, but the bank has exchanged its coins for fresh coins"
    )]
    PaidAfterRecovery,
    /// The purchase has ended, so it cannot be cancelled.
    #[error("the purchase has ended as {0}")]
    Ended(&'static str),
}

/// The parts of a new order.
#[derive(Debug)]
pub struct OrderParts<'a> {
    /// The number from which the purchase key and the key of the recovery record derive.
    pub counter: u64,
    /// The plan.
    pub plan: &'a Plan,
    /// The coins. They are worth the price, or more.
    pub coins: Vec<Coin>,
    /// The coins' secret keys, in their order.
    pub coin_keys: &'a [SecretKey],
    /// The purchase key.
    pub purchase_key: &'a SecretKey,
    /// The id under which the bank keeps the recovery record.
    pub note_id: RecoveryRecordId,
    /// The sealed recovery record.
    pub note: Vec<u8>,
    /// The time from which the escrow accepts no release (ms since 1970, the escrow's clock).
    pub deadline_ms: u64,
}

impl Order {
    /// Signs a contract for the plan and authorizes the coins for it.
    ///
    /// # Errors
    /// When the offer does not accept the plan's bank.
    pub fn new(parts: OrderParts<'_>) -> Result<Order, ContractFault> {
        let OrderParts {
            counter,
            plan,
            coins,
            coin_keys,
            purchase_key,
            note_id,
            note,
            deadline_ms,
        } = parts;
        let terms = terms(
            plan,
            &coins,
            purchase_key.public(),
            recovery_record_digest(&note_id, &note),
            deadline_ms,
        )?;
        let purchase = terms.purchase_id();
        let signature = purchase_key.sign(&PurchaseKeyUse::Agree.statement(&terms.purchase_key, &purchase));
        let authorizations = authorize(&coins, coin_keys, CoinUse::Hold, &purchase.digest());
        Ok(Order {
            counter,
            contract: Contract {
                terms,
                offer: plan.offer.clone(),
                signature,
            },
            payment: Payment {
                coins,
                authorizations,
                note_id,
                note,
            },
        })
    }

    /// The purchase id.
    pub fn purchase(&self) -> PurchaseId {
        self.contract.terms.purchase_id()
    }

    /// The plan that the coins were put to.
    pub fn plan(&self) -> Plan {
        Plan {
            bank: self.contract.terms.bank,
            escrow: self.contract.terms.escrow,
            offer: self.contract.offer.clone(),
        }
    }

    /// The request to the escrow to hold the coins.
    pub fn hold_request(&self) -> HoldRequest {
        HoldRequest {
            contract: self.contract.clone(),
            payment: self.payment.clone(),
        }
    }

    /// The request to the escrow for the outcome.
    pub fn outcome_request(&self, purchase_key: &SecretKey) -> OutcomeRequest {
        let purchase = self.purchase();
        let statement = PurchaseKeyUse::Outcome.statement(&purchase_key.public(), &purchase);
        OutcomeRequest {
            purchase,
            signature: purchase_key.sign(&statement),
        }
    }

    /// The request to the bank for the decision.
    pub fn collect_request(&self, purchase_key: &SecretKey) -> CollectRequest {
        let purchase = self.purchase();
        let statement = PurchaseKeyUse::Collect.statement(&purchase_key.public(), &purchase);
        CollectRequest {
            purchase,
            escrow: self.contract.terms.escrow,
            signature: purchase_key.sign(&statement),
        }
    }

    /// The request to the merchant to end the stream, without a voucher.
    pub fn stop_request(&self, purchase_key: &SecretKey) -> StopRequest {
        let purchase = self.purchase();
        let statement = PurchaseKeyUse::Stop.statement(&purchase_key.public(), &purchase);
        StopRequest {
            purchase,
            signature: purchase_key.sign(&statement),
            voucher: None,
        }
    }

    /// The payment for the first `ticks` ticks of the stream.
    pub fn voucher(&self, ticks: u32, purchase_key: &SecretKey) -> Signed<Voucher> {
        let offer = &self.contract.offer.body;
        let voucher = Voucher {
            purchase: self.purchase(),
            ticks,
            amount: price_of(ticks, offer.ticks().unwrap_or_default(), offer.price),
        };
        Signed::sign(voucher, purchase_key)
    }

    /// The request to the escrow to abort. It shows one coin: the escrow has seen it, or was to see it, in the hold.
    pub fn cancel_request(&self, purchase_key: &SecretKey) -> CancelRequest {
        let statement = PurchaseKeyUse::Cancel.statement(&purchase_key.public(), &self.purchase());
        let Payment {
            coins,
            authorizations,
            ..
        } = &self.payment;
        let coin = coins.first().zip(authorizations.first());
        CancelRequest {
            terms: self.contract.terms.clone(),
            signature: purchase_key.sign(&statement),
            coin: coin.map(|(coin, authorization)| AuthorizedCoin {
                coin: *coin,
                authorization: *authorization,
            }),
        }
    }
}

/// The terms of a plan.
fn terms(
    plan: &Plan,
    coins: &[Coin],
    purchase_key: PublicKey,
    note_digest: RecoveryRecordDigest,
    deadline_ms: u64,
) -> Result<Terms, ContractFault> {
    let offer = &plan.offer.body;
    let accepted = offer.banks.iter().find(|accepted| accepted.bank == plan.bank);
    let account = accepted
        .ok_or_else(|| ContractFault::DoesNotFit("bank".into()))?
        .account;
    Ok(Terms {
        bank: plan.bank,
        currency: offer.currency.clone(),
        price: offer.price,
        account,
        merchant: offer.merchant,
        escrow: plan.escrow,
        deadline_ms,
        coins_digest: coins_digest(coins),
        purchase_key,
        private_digest: OfferDigest(offer.digest().0),
        note_digest,
    })
}

/// Checks an offer before the wallet uses it.
///
/// It checks the bounds and the signature, and that the offer accepts the plan's bank and escrow. Merchant and wallet must
/// have the same list of the bank's keys.
///
/// # Errors
/// Names the first part that is wrong.
pub fn check_offer(
    offer: &Signed<Offer>,
    merchant: &PublicKey,
    bank: &PublicKey,
    escrow: &PublicKey,
    keys: &KeyBook,
) -> Result<(), OfferFault> {
    let body = &offer.body;
    body.check_bounds().map_err(OfferFault::Bounds)?;
    offer.verify(merchant).map_err(OfferFault::Forged)?;
    if body.merchant != *merchant {
        return Err(OfferFault::OtherMerchant);
    }
    if body.encrypted_bytes != encrypted_len(body.size_bytes) || body.size_bytes > GOODS_MAX_BYTES {
        return Err(OfferFault::Bounds("size of the encrypted goods"));
    }
    if body.currency != keys.list().currency {
        return Err(OfferFault::Currency(body.currency.clone()));
    }
    if !body.escrows.contains(escrow) {
        return Err(OfferFault::NotAccepted("escrow"));
    }
    if let Some(offered) = &body.sealed_key {
        let proven = offered.check_proof(&body.sealing_context());
        proven.map_err(OfferFault::SealedKeyUnproven)?;
    }
    let accepted = body.banks.iter().find(|accepted| accepted.bank == *bank);
    let accepted = accepted.ok_or(OfferFault::NotAccepted("bank"))?;
    if !keys.knows_digest(&accepted.key_list_digest) {
        return Err(OfferFault::OtherKeys);
    }
    Ok(())
}

/// Checks that an offer is for the requested item, and costs no more than the customer is willing to pay.
///
/// # Errors
/// [`OfferFault::OtherItem`] or [`OfferFault::PriceTooHigh`].
pub fn check_asked(offer: &Offer, item_id: &ItemId, at_most: Option<Amount>) -> Result<(), OfferFault> {
    if offer.item_id != *item_id {
        return Err(OfferFault::OtherItem);
    }
    match at_most {
        Some(at_most) if offer.price > at_most => Err(OfferFault::PriceTooHigh {
            price: offer.price,
            at_most,
        }),
        _ => Ok(()),
    }
}

/// Checks that an offer agrees with the catalogue about its item, and costs no more.
///
/// # Errors
/// Names the first field that differs.
pub fn check_listed(offer: &Offer, listed: &CatalogItem) -> Result<(), OfferFault> {
    let differs = first_failed([
        (offer.title == listed.title, "title"),
        (offer.description == listed.description, "description"),
        (offer.media_type == listed.media_type, "media type"),
        (offer.size_bytes == listed.size_bytes, "size"),
        (offer.currency == listed.currency, "currency"),
        (offer.price <= listed.price, "price"),
    ]);
    differs.map_or(Ok(()), |field| Err(OfferFault::NotAsListed(field)))
}

/// The name of the first check that does not hold.
fn first_failed<const N: usize>(checks: [(bool, &'static str); N]) -> Option<&'static str> {
    let mut failed = checks.into_iter().filter(|(holds, _)| !holds);
    failed.next().map(|(_, name)| name)
}

/// Checks that `offer` can take the place of `expired`, an earlier offer of the same merchant: it is for the same item
/// and the same goods, and costs no more.
///
/// # Errors
/// [`OfferFault::OtherItem`], [`OfferFault::PriceTooHigh`], or [`OfferFault::Changed`] with the first field that differs.
pub fn check_renewed(offer: &Offer, expired: &Offer) -> Result<(), OfferFault> {
    check_asked(offer, &expired.item_id, Some(expired.price))?;
    let differs = first_failed([
        (offer.title == expired.title, "title"),
        (offer.description == expired.description, "description"),
        (offer.media_type == expired.media_type, "media type"),
        (offer.size_bytes == expired.size_bytes, "size"),
        (offer.currency == expired.currency, "currency"),
        (offer.goods_digest == expired.goods_digest, "digest of the goods"),
        (
            offer.encrypted_digest == expired.encrypted_digest,
            "digest of the encrypted goods",
        ),
    ]);
    differs.map_or(Ok(()), |field| Err(OfferFault::Changed(field)))
}

/// Why a wallet does not accept an offer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OfferFault {
    /// A field is out of bounds.
    #[error("the offer's {0} is out of bounds")]
    Bounds(&'static str),
    /// The merchant did not sign it.
    #[error("the offer's signature is refused: {0}")]
    Forged(SignatureError),
    /// It names another merchant.
    #[error("the offer names another merchant")]
    OtherMerchant,
    /// Its currency is not the bank's currency.
    #[error("the offer's price is in {0}, which the bank does not issue")]
    Currency(String),
    /// It does not accept the bank or the escrow.
    #[error("the offer does not accept this {0}")]
    NotAccepted(&'static str),
    /// Its sealed key has no valid proof of its maker. No escrow would open it.
    #[error("the offer's sealed key has no proof that the merchant made it: {0}; nothing was paid")]
    SealedKeyUnproven(SignatureError),
    /// It is for another item than the one asked for.
    #[error("the offer is for another item than the one asked for; nothing was paid")]
    OtherItem,
    /// It costs more than the customer is willing to pay.
    #[error("the offer's price is {price}, and at most {at_most} was to be paid; nothing was paid")]
    PriceTooHigh {
        /// The price in the offer.
        price: Amount,
        /// The greatest price that the customer is willing to pay.
        at_most: Amount,
    },
    /// It differs from the catalogue.
    #[error("the offer's {0} differs from the merchant's catalogue; nothing was paid")]
    NotAsListed(&'static str),
    /// It differs from the expired offer whose place it would take.
    #[error("the new offer's {0} differs from the earlier offer")]
    Changed(&'static str),
    /// Merchant and wallet have different lists of the bank's keys. The bank may be marking the customer's coins.
    #[error(
        "the merchant has another list of the bank's keys than this wallet; fetch the list again; \
         if the lists still differ, do not use this bank, as it may mark your coins with keys of your own"
    )]
    OtherKeys,
}

impl Purchase {
    /// The order, if coins were put to the purchase.
    pub fn order(&self) -> Option<&Order> {
        match self {
            Purchase::Fetching(_) | Purchase::Dropped(_) => None,
            Purchase::Holding(order)
            | Purchase::Held(order, _)
            | Purchase::Cancelling(order)
            | Purchase::Committed(order, _)
            | Purchase::Aborted(order, _)
            | Purchase::Recovered(order)
            | Purchase::Taking(order)
            | Purchase::Streaming(order, _) => Some(order),
        }
    }

    /// The offer.
    pub fn offer(&self) -> &Signed<Offer> {
        match self {
            Purchase::Fetching(plan) | Purchase::Dropped(plan) => &plan.offer,
            Purchase::Holding(order)
            | Purchase::Held(order, _)
            | Purchase::Cancelling(order)
            | Purchase::Committed(order, _)
            | Purchase::Aborted(order, _)
            | Purchase::Recovered(order)
            | Purchase::Taking(order)
            | Purchase::Streaming(order, _) => &order.contract.offer,
        }
    }

    /// What was paid, if the purchase was committed: the price, or what the voucher of a stream says.
    pub fn paid(&self) -> Option<Amount> {
        match self {
            Purchase::Committed(_, Proof::Stream(stream, _)) => Some(stream.commit.body.amount),
            Purchase::Committed(order, _) => Some(order.contract.terms.price),
            _ => None,
        }
    }

    /// The ticks for which a stream was committed. `None` if it is no committed stream.
    pub fn committed_ticks(&self) -> Option<u32> {
        match self {
            Purchase::Committed(_, Proof::Stream(stream, _)) => Some(stream.voucher.body.ticks),
            _ => None,
        }
    }

    /// The state as one word, for people and scripts.
    pub fn status(&self) -> &'static str {
        match self {
            Purchase::Fetching(_) => "fetching",
            Purchase::Holding(_) => "holding",
            Purchase::Held(..) => "held",
            Purchase::Cancelling(_) => "cancelling",
            Purchase::Committed(..) => "committed",
            Purchase::Aborted(..) => "aborted",
            Purchase::Dropped(_) => "dropped",
            Purchase::Recovered(_) => "recovered",
            Purchase::Taking(_) => "taking",
            Purchase::Streaming(..) => "streaming",
        }
    }

    /// The next request. The purchase key derives from `seed`. The same state always gives the same request.
    pub fn ask(&self, seed: &Seed) -> Ask {
        match self {
            Purchase::Fetching(plan) => Ask::Goods(Box::new(plan.clone())),
            Purchase::Holding(order) if order.contract.offer.body.ticks().is_some() => {
                Ask::Open(Box::new(OpenRequest(order.hold_request())))
            }
            Purchase::Holding(order) if order.contract.offer.body.has_proven_key() => {
                Ask::Pay(Box::new(PayRequest(order.hold_request())))
            }
            Purchase::Holding(order) => Ask::Hold(Box::new(order.hold_request())),
            Purchase::Held(order, hold) => Ask::Deliver(Box::new(DeliverRequest {
                contract: order.contract.clone(),
                hold: hold.clone(),
            })),
            Purchase::Cancelling(order) => {
                Ask::Cancel(Box::new(order.cancel_request(&seed.purchase_key(order.counter))))
            }
            Purchase::Taking(order) => Ask::Take(Box::new(TakeRequest(order.contract.clone()))),
            Purchase::Streaming(order, _) => {
                Ask::Stop(Box::new(order.stop_request(&seed.purchase_key(order.counter))))
            }
            Purchase::Committed(..)
            | Purchase::Aborted(..)
            | Purchase::Dropped(_)
            | Purchase::Recovered(_) => Ask::Nothing,
        }
    }

    /// Takes the escrow's hold.
    ///
    /// The contract is not verified again. The wallet signed it itself, on an offer that [`check_offer`] has accepted.
    ///
    /// # Errors
    /// When the hold does not fit the contract.
    pub fn on_hold(self, hold: Signed<Hold>) -> Result<Purchase, PurchaseError> {
        match self {
            Purchase::Holding(order) => {
                check_hold(&order.contract, &hold)?;
                Ok(Purchase::Held(order, hold))
            }
            other => Ok(other),
        }
    }

    /// Takes the receipt from the merchant or the escrow.
    ///
    /// # Errors
    /// When this escrow did not sign it for this contract, or its goods key does not open the offer's commitment.
    pub fn on_receipt(self, receipt: Signed<Receipt>) -> Result<Purchase, PurchaseError> {
        let Some(order) = self.order() else {
            return Ok(self);
        };
        check_receipt(&receipt, &order.contract)?;
        match self {
            Purchase::Holding(order) | Purchase::Held(order, _) | Purchase::Cancelling(order) => {
                Ok(Purchase::Committed(order, Proof::Receipt(Box::new(receipt))))
            }
            Purchase::Aborted(..) => Err(PurchaseError::BothOutcomes),
            Purchase::Recovered(_) => Err(PurchaseError::PaidAfterRecovery),
            other => Ok(other),
        }
    }

    /// Takes the merchant's receipt for a free item.
    ///
    /// # Errors
    /// When the merchant did not sign it for this contract, or its goods key does not open the offer's commitment.
    pub fn on_free_receipt(self, receipt: Signed<FreeReceipt>) -> Result<Purchase, PurchaseError> {
        match self {
            Purchase::Taking(order) => {
                check_free_receipt(&receipt, &order.contract)?;
                Ok(Purchase::Committed(order, Proof::Free(Box::new(receipt))))
            }
            other => Ok(other),
        }
    }

    /// Takes the abort from the escrow.
    ///
    /// # Errors
    /// When this escrow did not sign it for this purchase, or the contract wants a cause and the abort has none.
    pub fn on_abort(self, abort: Signed<Abort>) -> Result<Purchase, PurchaseError> {
        let Some(order) = self.order() else {
            return Ok(self);
        };
        check_abort_cause(&abort, &order.contract)?;
        self.end_aborted(abort)
    }

    /// Takes the abort from the bank that has applied it. The coins are released, so the cause is not checked.
    fn on_applied(self, abort: Signed<Abort>) -> Result<Purchase, PurchaseError> {
        let Some(order) = self.order() else {
            return Ok(self);
        };
        check_abort_signed(&abort, &order.contract.terms)?;
        self.end_aborted(abort)
    }

    fn end_aborted(self, abort: Signed<Abort>) -> Result<Purchase, PurchaseError> {
        match self {
            Purchase::Holding(order)
            | Purchase::Held(order, _)
            | Purchase::Cancelling(order)
            | Purchase::Streaming(order, _) => Ok(Purchase::Aborted(order, abort)),
            Purchase::Committed(..) => Err(PurchaseError::BothOutcomes),
            other => Ok(other),
        }
    }

    /// Takes the escrow's answer to a question for the outcome, or to a cancel.
    ///
    /// # Errors
    /// When its documents do not fit.
    pub fn on_outcome(self, outcome: Outcome, purchase_key: &SecretKey) -> Result<Purchase, PurchaseError> {
        match outcome {
            Outcome::Undecided => Ok(self),
            Outcome::Committed(committed) => self.on_receipt(committed.receipt),
            Outcome::Aborted(abort) => self.on_abort(abort),
            Outcome::Streaming(opened) => self.on_opened(opened),
            Outcome::Streamed(stream) => self.on_streamed(*stream, purchase_key),
        }
    }

    /// Takes the escrow's word that the stream is open. A stream that is open cannot be cancelled.
    ///
    /// # Errors
    /// When escrow or bank did not sign it for this contract.
    pub fn on_opened(self, opened: Signed<Opened>) -> Result<Purchase, PurchaseError> {
        match self {
            Purchase::Holding(order) | Purchase::Cancelling(order) => {
                check_opened(&order.contract.terms, &opened)?;
                Ok(Purchase::Streaming(order, opened))
            }
            other => Ok(other),
        }
    }

    /// Takes the commit of a stream, from the escrow or the bank.
    fn on_streamed(self, stream: StreamCommit, purchase_key: &SecretKey) -> Result<Purchase, PurchaseError> {
        let Some(order) = self.order() else {
            return Ok(self);
        };
        let key = check_stream_commit(&stream, &order.contract, |context, sealed| {
            open_goods_key(purchase_key, context, sealed).map_err(PurchaseError::Sealed)
        })?;
        match self {
            Purchase::Holding(order)
            | Purchase::Cancelling(order)
            | Purchase::Streaming(order, _)
            | Purchase::Aborted(order, _) => {
                Ok(Purchase::Committed(order, Proof::Stream(Box::new(stream), key)))
            }
            Purchase::Recovered(_) => Err(PurchaseError::PaidAfterRecovery),
            other => Ok(other),
        }
    }

    /// Takes the bank's answer to a question for the decision.
    ///
    /// # Errors
    /// When its documents do not fit, or the sealed key does not open.
    pub fn on_collected(
        self,
        collected: Collected,
        purchase_key: &SecretKey,
    ) -> Result<Purchase, PurchaseError> {
        match collected {
            Collected::Open => Ok(self),
            Collected::Aborted(abort) => self.on_applied(abort),
            Collected::Streamed(stream) => self.on_streamed(*stream, purchase_key),
            Collected::Committed(commit) => {
                let Some(order) = self.order() else {
                    return Ok(self);
                };
                let goods_key = check_commit(&commit, &order.contract, purchase_key)?;
                match self {
                    // The bank has not applied the wallet's abort, so no coin comes back, but the goods are paid for.
                    Purchase::Holding(order)
                    | Purchase::Held(order, _)
                    | Purchase::Cancelling(order)
                    | Purchase::Aborted(order, _) => Ok(Purchase::Committed(
                        order,
                        Proof::Commit(Box::new(commit), goods_key),
                    )),
                    Purchase::Recovered(_) => Err(PurchaseError::PaidAfterRecovery),
                    other => Ok(other),
                }
            }
        }
    }

    /// Ends a purchase after the bank has exchanged one of its coins, so that its coins can no longer be held.
    ///
    /// Only a purchase that is being cancelled ends in this way.
    pub fn on_recovered(self) -> Purchase {
        match self {
            Purchase::Cancelling(order) => Purchase::Recovered(order),
            other => other,
        }
    }

    /// Cancels a purchase that its parties may have forgotten, also if it is a stream that nobody ends any more.
    ///
    /// # Errors
    /// As [`on_cancel`](Purchase::on_cancel).
    pub fn on_long_past(self) -> Result<Purchase, PurchaseError> {
        match self {
            Purchase::Streaming(order, _) => Ok(Purchase::Cancelling(order)),
            other => other.on_cancel(),
        }
    }

    /// Cancels the purchase for the customer.
    ///
    /// # Errors
    /// When the purchase has ended as committed. Then the customer has the goods key.
    pub fn on_cancel(self) -> Result<Purchase, PurchaseError> {
        match self {
            Purchase::Fetching(plan) => Ok(Purchase::Dropped(plan)),
            // Nothing was put to it.
            Purchase::Taking(order) => Ok(Purchase::Dropped(order.plan())),
            Purchase::Holding(order) | Purchase::Held(order, _) => Ok(Purchase::Cancelling(order)),
            Purchase::Committed(..) => Err(PurchaseError::Ended("committed")),
            other => Ok(other),
        }
    }
}

/// Checks that `receipt` is the receipt that the contract's escrow signs when it commits.
///
/// # Errors
/// Says what does not fit.
pub fn check_receipt(receipt: &Signed<Receipt>, contract: &Contract) -> Result<(), PurchaseError> {
    let terms = &contract.terms;
    receipt.verify(&terms.escrow).map_err(PurchaseError::Signature)?;
    let body = &receipt.body;
    check_fields(&[
        (body.purchase == terms.purchase_id(), "purchase"),
        (body.bank == terms.bank, "bank"),
        (body.coins_digest == terms.coins_digest, "list of coins"),
        (body.account == terms.account, "account"),
        (body.amount == terms.price, "amount"),
    ])?;
    if !opens(&contract.offer.body.key_commitment, &body.goods_key) {
        return Err(PurchaseError::WrongGoodsKey);
    }
    Ok(())
}

/// Checks that `receipt` is the merchant's receipt for this contract.
///
/// # Errors
/// Says what does not fit. [`PurchaseError::WrongGoodsKeyOfMerchant`] if only the goods key is wrong.
pub fn check_free_receipt(receipt: &Signed<FreeReceipt>, contract: &Contract) -> Result<(), PurchaseError> {
    let terms = &contract.terms;
    receipt
        .verify(&terms.merchant)
        .map_err(PurchaseError::MerchantSignature)?;
    if receipt.body.purchase != terms.purchase_id() {
        return Err(PurchaseError::OtherFreeReceipt);
    }
    if !opens(&contract.offer.body.key_commitment, &receipt.body.goods_key) {
        return Err(PurchaseError::WrongGoodsKeyOfMerchant);
    }
    Ok(())
}

/// Checks that `commit` is the commit that the contract's escrow signs, and opens the goods key in it.
///
/// # Errors
/// Says what does not fit.
pub fn check_commit(
    commit: &Signed<Commit>,
    contract: &Contract,
    purchase_key: &SecretKey,
) -> Result<GoodsKey, PurchaseError> {
    check_commit_with(commit, contract, |context, sealed| {
        open_goods_key(purchase_key, context, sealed).map_err(PurchaseError::Sealed)
    })
}

/// As [`check_commit`], with the point that the customer has shown in place of the purchase key. So the key stays secret:
/// the customer's reserve belongs to it.
///
/// # Errors
/// As [`check_commit`]. [`PurchaseError::PointNotProven`] if the point is not the one of the purchase key.
pub fn check_shown_commit(
    commit: &Signed<Commit>,
    contract: &Contract,
    shown: &SharedPoint,
) -> Result<GoodsKey, PurchaseError> {
    check_commit_with(commit, contract, |context, sealed| {
        open_shown(&contract.terms, shown, context, sealed)
    })
}

/// As [`check_shown_commit`], for a stream.
///
/// # Errors
/// As [`check_shown_commit`] and [`check_stream_commit`].
pub fn check_shown_stream(
    stream: &StreamCommit,
    contract: &Contract,
    shown: &SharedPoint,
) -> Result<GoodsKey, PurchaseError> {
    check_stream_commit(stream, contract, |context, sealed| {
        open_shown(&contract.terms, shown, context, sealed)
    })
}

/// Opens the key in a commit with the point that the customer has shown.
fn open_shown(
    terms: &Terms,
    shown: &SharedPoint,
    context: &SealingContext,
    sealed: &SealedKey,
) -> Result<GoodsKey, PurchaseError> {
    // A bad key is the escrow's fault, and a bad point the accuser's.
    let checked = sealed.ephemeral.check();
    checked.map_err(|why| PurchaseError::Sealed(why.into()))?;
    let opened = open_with_point(shown, &terms.purchase_key, context, sealed);
    opened.map_err(|error| match error {
        SealError::PublicKey(_) => PurchaseError::PointNotProven,
        error => PurchaseError::Sealed(error),
    })
}

/// Checks that `stream` is the commit that the contract's escrow signs for a voucher of the purchase key, and opens the key in
/// it. `open` opens the sealed key.
///
/// # Errors
/// As [`check_commit`]. [`PurchaseError::Voucher`] if the purchase key did not sign the voucher.
pub fn check_stream_commit(
    stream: &StreamCommit,
    contract: &Contract,
    open: impl FnOnce(&SealingContext, &SealedKey) -> Result<GoodsKey, PurchaseError>,
) -> Result<GoodsKey, PurchaseError> {
    let StreamCommit { commit, voucher } = stream;
    let offer = &contract.offer.body;
    let ticks = offer.ticks().ok_or(PurchaseError::Mismatch("kind"))?;
    check_commit_fields(commit, &contract.terms, voucher.body.amount)?;
    check_voucher(voucher, &contract.terms, ticks).map_err(|_| PurchaseError::Voucher)?;
    let context = SealingContext::from(commit.body.purchase);
    let key = open(&context, &commit.body.sealed_key)?;
    match chain::fits(&offer.key_commitment, &key, voucher.body.ticks) {
        true => Ok(key),
        false => Err(PurchaseError::WrongGoodsKey),
    }
}

fn check_commit_fields(commit: &Signed<Commit>, terms: &Terms, amount: Amount) -> Result<(), PurchaseError> {
    commit.verify(&terms.escrow).map_err(PurchaseError::Signature)?;
    let body = &commit.body;
    check_fields(&[
        (body.purchase == terms.purchase_id(), "purchase"),
        (body.bank == terms.bank, "bank"),
        (body.coins_digest == terms.coins_digest, "list of coins"),
        (body.account == terms.account, "account"),
        (body.amount == amount, "amount"),
    ])
}

fn check_commit_with(
    commit: &Signed<Commit>,
    contract: &Contract,
    open: impl FnOnce(&SealingContext, &SealedKey) -> Result<GoodsKey, PurchaseError>,
) -> Result<GoodsKey, PurchaseError> {
    check_commit_fields(commit, &contract.terms, contract.terms.price)?;
    let body = &commit.body;
    let goods_key = open(&SealingContext::from(body.purchase), &body.sealed_key)?;
    if !opens(&contract.offer.body.key_commitment, &goods_key) {
        return Err(PurchaseError::WrongGoodsKey);
    }
    Ok(goods_key)
}

/// Checks that `abort` is an abort that the terms' escrow signs, with a valid cause. An abort of version 1 shows no cause
/// and is accepted.
///
/// # Errors
/// Says what does not fit. [`PurchaseError::WithoutCause`] if everything except the cause is right.
pub fn check_abort(abort: &Signed<Abort>, terms: &Terms) -> Result<(), PurchaseError> {
    check_abort_signed(abort, terms)?;
    match abort.body.reason.check(terms) {
        Ok(()) | Err(CauseFault::NotShown) => Ok(()),
        Err(fault) => Err(PurchaseError::WithoutCause(fault)),
    }
}

/// As [`check_abort`], for a contract. If the contract wants causes, the abort has to show one.
///
/// # Errors
/// As [`check_abort`].
pub fn check_abort_cause(abort: &Signed<Abort>, contract: &Contract) -> Result<(), PurchaseError> {
    check_abort(abort, &contract.terms)?;
    match abort.body.reason.check(&contract.terms) {
        Err(fault) if contract.wants_causes() => Err(PurchaseError::WithoutCause(fault)),
        _ => Ok(()),
    }
}

/// As [`check_abort`], without a check of the cause.
///
/// # Errors
/// Says what does not fit.
pub fn check_abort_signed(abort: &Signed<Abort>, terms: &Terms) -> Result<(), PurchaseError> {
    abort.verify(&terms.escrow).map_err(PurchaseError::Signature)?;
    check_fields(&[
        (abort.body.purchase == terms.purchase_id(), "purchase"),
        (abort.body.bank == terms.bank, "bank"),
    ])
}

fn check_fields(checks: &[(bool, &'static str)]) -> Result<(), PurchaseError> {
    match checks.iter().find(|(holds, _)| !holds) {
        Some((_, field)) => Err(PurchaseError::Mismatch(field)),
        None => Ok(()),
    }
}
