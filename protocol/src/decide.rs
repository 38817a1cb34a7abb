//! Decide, the second phase of a purchase: the escrow writes one decision, which is final.
//!
//! ```text
//! merchant                   escrow                      wallet
//!   ReleaseRequest -------->   writes `committed` with the key, unless decided
//!                  <--------  Signed<Receipt>, Signed<Commit>; or a refusal with Signed<Abort>
//!                              writes `aborted`, unless decided  <-------- CancelRequest
//!                             Outcome                            -------->
//! ```
//!
//! The write of `committed` is the commit point of the whole purchase. Whoever comes later, with whatever
//! request, gets what was written first.

use crate::{
    cause::check_overdue,
    contract::{HeldContract, check_own_hold, keeps_offer},
    decision::{Decided, Decision, Outcome},
    documents::{AbortReason, Contract, Hold, Offer, Overdue, PurchaseKeyUse, SaleLimit, Terms},
    goods::GoodsKey,
    ids::{PurchaseId, SaleId, SealingContext},
    limits::CURRENCY_MAX_BYTES,
    refusal::{ContractFault, Later, PurchaseFault, Refusal, RequestFault},
    request::check_recipient,
    seal::{SealedKey, seal_goods_key},
};
use farthing_coin::{PublicKey, SecretKey, Signature, Signed, is_currency};
use serde::{Deserialize, Serialize};

// ---- messages ---------------------------------------------------------------------------------------------

/// From the merchant to the escrow: the goods key, for a purchase whose coins are held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseRequest {
    /// What was agreed.
    pub contract: Contract,
    /// That the coins are held.
    pub hold: Signed<Hold>,
    /// The goods key of the offer.
    pub goods_key: GoodsKey,
}

/// From the wallet to the escrow: abort the purchase, unless it is decided. The terms are sent whole, so
/// that an escrow that has never seen the purchase can abort it too, and refuse a hold that arrives late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelRequest {
    /// The purchase's terms.
    pub terms: Terms,
    /// By the purchase key.
    pub signature: Signature,
}

/// From the wallet to the escrow: how has the purchase ended?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeRequest {
    /// The purchase.
    pub purchase: PurchaseId,
    /// By the purchase key.
    pub signature: Signature,
}

/// From the bank to the escrow: a hold is overdue; how has its purchase ended?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverdueRequest {
    /// The purchase's terms.
    pub terms: Terms,
    /// The bank's word that it is overdue, which the abort will show as its cause.
    pub overdue: Signed<Overdue>,
}

// ---- the escrow -------------------------------------------------------------------------------------------

/// What is released once coins are held.
#[derive(Debug)]
pub(crate) enum Release {
    /// The goods key, which keeps what the offer promises.
    GoodsKey(GoodsKey),
    /// The coins, for this reason: the key that is sealed in the offer does not.
    Coins(AbortReason),
}

/// Terms that this escrow has had coins held for, and the goods key that opens their offer's commitment. Only
/// [`verify_release`] and [`open_release`](crate::sealed::open_release) make one.
#[derive(Debug)]
pub struct VerifiedRelease {
    terms: Terms,
    purchase: PurchaseId,
    /// What names the sale, of an offer for one sale only.
    single_sale: Option<(PublicKey, SaleId)>,
    /// The goods key, and how it is sealed to the customer; or why the coins are released instead.
    keys: Result<(GoodsKey, SealedKey), AbortReason>,
    /// The contract whose hold the merchant has not seen.
    unseen: Option<HeldContract>,
}

/// Verifies a release, and seals the goods key to the customer with `ephemeral`, which is derived from the
/// escrow's secret and the purchase, so that it comes out the same each time. The one signature that it takes is the
/// escrow's own under the hold: `check_own_hold` says why. The contract's signatures go no further than this.
///
/// # Errors
/// Names the first thing at fault.
pub fn verify_release(
    request: ReleaseRequest,
    self_id: &PublicKey,
    ephemeral: impl FnOnce(&PurchaseId) -> SecretKey,
) -> Result<VerifiedRelease, Refusal> {
    let ReleaseRequest {
        contract: Contract { terms, offer, .. },
        hold,
        goods_key,
    } = request;
    let offer = offer.body;
    check_recipient(&terms.escrow, self_id)?;
    check_own_hold(&terms, &offer, &hold)?;
    if !keeps_offer(&offer, &goods_key) {
        return Err(ContractFault::WrongGoodsKey.into());
    }
    VerifiedRelease::new(terms, &offer, Release::GoodsKey(goods_key), ephemeral)
}

impl VerifiedRelease {
    /// With the goods key, if there is a right one.
    pub(crate) fn new(
        terms: Terms,
        offer: &Offer,
        release: Release,
        ephemeral: impl FnOnce(&PurchaseId) -> SecretKey,
    ) -> Result<Self, Refusal> {
        let purchase = terms.purchase_id();
        let seal = |goods_key: GoodsKey| {
            seal_goods_key(
                &ephemeral(&purchase),
                &terms.purchase_key,
                &SealingContext::from(purchase),
                &goods_key,
            )
            .map(|sealed_key| (goods_key, sealed_key))
            .map_err(|_| ContractFault::DoesNotFit("purchase key".into()))
        };
        Ok(Self {
            keys: match release {
                Release::GoodsKey(goods_key) => Ok(seal(goods_key)?),
                Release::Coins(reason) => Err(reason),
            },
            single_sale: (offer.sales == SaleLimit::Once).then_some((offer.merchant, offer.sale_id)),
            unseen: None,
            purchase,
            terms,
        })
    }

    /// The merchant has no part in it, and is to be told of `unseen`.
    pub(crate) fn tell_of(self, unseen: HeldContract) -> Self {
        let unseen = Some(unseen);
        Self { unseen, ..self }
    }

    /// Its terms.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// What the merchant is to be told of, where the merchant has no part in it.
    pub fn unseen(&self) -> Option<&HeldContract> {
        self.unseen.as_ref()
    }

    /// The purchase, whose row the escrow loads.
    pub fn purchase(&self) -> PurchaseId {
        self.purchase
    }

    /// What names the sale, whose row the escrow loads when the offer is for one sale only.
    pub fn single_sale(&self) -> Option<(PublicKey, SaleId)> {
        self.single_sale
    }

    /// Decides: committed, or aborted where there is no goods key; unless it was decided before. `sold_to` is the
    /// purchase that a single sale's offer was committed for.
    ///
    /// # Errors
    /// When the deadline has passed, or the offer is sold.
    pub fn respond(
        &self,
        existing: Option<Decision>,
        sold_to: Option<PurchaseId>,
        now_ms: u64,
    ) -> Result<Decided, PurchaseFault> {
        let purchase = self.purchase();
        if let Some(decision) = existing {
            return Ok(Decided::Before(decision));
        }
        if now_ms >= self.terms.deadline_ms {
            return Err(PurchaseFault::DeadlinePassed(purchase));
        }
        if sold_to.is_some_and(|other| other != purchase) {
            return Err(PurchaseFault::Sold);
        }
        let terms = self.terms.clone();
        Ok(Decided::Now(match &self.keys {
            Ok((goods_key, sealed_key)) => Decision::Committed {
                terms,
                goods_key: goods_key.clone(),
                sealed_key: *sealed_key,
            },
            Err(reason) => Decision::Aborted {
                terms,
                reason: reason.clone(),
            },
        }))
    }
}

/// A cancel that the purchase key signed. Only [`verify_cancel`] makes one.
#[derive(Debug)]
pub struct VerifiedCancel(CancelRequest);

/// Verifies a cancel. Neither the deadline nor any other content of the terms matters: coins may have been put to
/// whatever terms the customer has signed, and only an abort gives them back to her for certain.
///
/// # Errors
/// When it is for another escrow, not signed by the purchase key, or its currency is not one.
pub fn verify_cancel(request: CancelRequest, self_id: &PublicKey) -> Result<VerifiedCancel, Refusal> {
    let CancelRequest { terms, signature } = &request;
    check_recipient(&terms.escrow, self_id)?;
    check_bounds(terms)?;
    check_purchase_key(terms, PurchaseKeyUse::Cancel, signature)?;
    Ok(VerifiedCancel(request))
}

/// Checks the one field of the terms that has no fixed size, for terms that come without an offer, are kept, and are
/// shown to an operator. The terms of a contract are checked with its offer, those of a hold at the bank against the
/// bank's currency.
fn check_bounds(terms: &Terms) -> Result<(), RequestFault> {
    if is_currency(&terms.currency) {
        return Ok(());
    }
    let what =
        format!("the terms name no currency: expected 1 to {CURRENCY_MAX_BYTES} printable ASCII characters");
    Err(RequestFault::Malformed(what))
}

/// Refuses a request that the purchase key of `terms` did not sign.
pub(crate) fn check_purchase_key(
    terms: &Terms,
    key_use: PurchaseKeyUse,
    signature: &Signature,
) -> Result<(), RequestFault> {
    let statement = key_use.statement(&terms.purchase_key, &terms.purchase_id());
    terms
        .purchase_key
        .verify(&statement, signature)
        .map_err(|why| RequestFault::Signature {
            whose: "purchase key's".into(),
            why: why.to_string(),
        })
}

impl VerifiedCancel {
    /// The terms of the purchase, whose row the escrow loads.
    pub fn terms(&self) -> &Terms {
        &self.0.terms
    }

    /// Decides: aborted, unless it was decided before. The cause is the customer's signature.
    pub fn respond(&self, existing: Option<Decision>) -> Decided {
        let CancelRequest { terms, signature } = self.0.clone();
        match existing {
            Some(decision) => Decided::Before(decision),
            None => Decided::Now(Decision::Aborted {
                terms,
                reason: AbortReason::CancelledBy(signature),
            }),
        }
    }
}

/// Answers a customer's question for the outcome.
///
/// # Errors
/// When the question is not signed by the purchase key of a purchase that is decided.
pub fn respond_outcome(
    request: &OutcomeRequest,
    existing: Option<&Decision>,
    key: &SecretKey,
) -> Result<Outcome, Refusal> {
    let Some(decision) = existing else {
        return Ok(Outcome::Undecided);
    };
    check_purchase_key(decision.terms(), PurchaseKeyUse::Outcome, &request.signature)?;
    Ok(decision.outcome(key))
}

/// A bank's question about an overdue hold at this escrow. Only [`verify_overdue`] makes one.
#[derive(Debug)]
pub struct VerifiedOverdue(OverdueRequest);

/// Verifies the question: it carries the bank's word that the purchase is overdue.
///
/// # Errors
/// When it is for another escrow, its currency is not one, or without a good word of the terms' bank.
pub fn verify_overdue(request: OverdueRequest, self_id: &PublicKey) -> Result<VerifiedOverdue, Refusal> {
    check_recipient(&request.terms.escrow, self_id)?;
    check_bounds(&request.terms)?;
    check_overdue(&request.overdue, &request.terms)
        .map_err(|fault| ContractFault::Cause(fault.to_string()))?;
    Ok(VerifiedOverdue(request))
}

impl VerifiedOverdue {
    /// The terms of the purchase, whose row the escrow loads.
    pub fn terms(&self) -> &Terms {
        &self.0.terms
    }

    /// Decides: an escrow that knows nothing of the purchase aborts it, once the deadline has passed by its own clock.
    /// The cause is the bank's word.
    ///
    /// # Errors
    /// When the purchase is open and the deadline has not passed.
    pub fn respond(&self, existing: Option<Decision>, now_ms: u64) -> Result<Decided, Later> {
        match existing {
            Some(decision) => Ok(Decided::Before(decision)),
            None if now_ms < self.0.terms.deadline_ms => Err(Later::NotYet),
            None => Ok(Decided::Now(Decision::Aborted {
                terms: self.0.terms.clone(),
                reason: AbortReason::Overdue(Box::new(self.0.overdue.clone())),
            })),
        }
    }
}
