//! Decide, the second phase of a purchase: the escrow writes one final decision.
//!
//! ```text
//! merchant                   escrow                      wallet
//!   ReleaseRequest -------->   writes `committed` with the key, unless it is decided
//!                  <--------  Signed<Receipt>, Signed<Commit>; or a refusal with Signed<Abort>
//!                              writes `aborted`, unless it is decided  <-- CancelRequest, with a coin
//!                             Outcome                            -------->
//! ```
//!
//! The write of `committed` is the commit point of the whole purchase. Every later request, of any kind, gets the
//! decision that was written first.

use crate::{
    cause::check_overdue,
    coins,
    contract::{HeldContract, check_own_hold, keeps_offer},
    decision::{Decided, Decision, Outcome},
    documents::{AbortReason, CoinUse, Contract, Hold, Offer, Overdue, PurchaseKeyUse, SaleLimit, Terms},
    goods::GoodsKey,
    ids::{PurchaseId, SaleId, SealingContext},
    limits::{CANCEL_HORIZON_MS, CANCELS_PER_COIN_MAX, CURRENCY_MAX_BYTES},
    refusal::{CoinFault, CoinsFault, ContractFault, Later, PurchaseFault, Refusal, RequestFault},
    request::check_recipient,
    seal::{SealedKey, seal_goods_key},
};
use farthing_coin::{Coin, KeyBook, KeyId, PublicKey, SecretKey, Signature, Signed, is_currency};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};

// ---- messages ---------------------------------------------------------------------------------------------

/// From the merchant to the escrow: the goods key for a purchase whose coins are held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseRequest {
    /// The contract.
    pub contract: Contract,
    /// The hold of its coins.
    pub hold: Signed<Hold>,
    /// The goods key of the offer.
    pub goods_key: GoodsKey,
}

/// From the wallet to the escrow: abort the purchase, unless it is decided.
///
/// The request has the whole terms. So an escrow that does not know the purchase can also abort it, and refuse a late
/// hold. The abort is a row, so it takes a coin: terms that nobody pays for cost the escrow nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelRequest {
    /// The terms of the purchase.
    pub terms: Terms,
    /// The signature of the purchase key.
    pub signature: Signature,
    /// A coin that pays for the purchase. A decided purchase needs none.
    pub coin: Option<AuthorizedCoin>,
}

/// A coin with the authorization that a hold of it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizedCoin {
    /// The coin.
    pub coin: Coin,
    /// The signature of its key over the purchase id.
    pub authorization: Signature,
}

/// From the wallet to the escrow: asks how the purchase has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeRequest {
    /// The purchase.
    pub purchase: PurchaseId,
    /// The signature of the purchase key.
    pub signature: Signature,
}

/// From the bank to the escrow: says that a hold is overdue, and asks how its purchase has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverdueRequest {
    /// The terms of the purchase.
    pub terms: Terms,
    /// The bank's statement that the purchase is overdue. An abort shows it as its cause.
    pub overdue: Signed<Overdue>,
}

// ---- the escrow -------------------------------------------------------------------------------------------

/// What the escrow releases after the coins are held.
#[derive(Debug)]
pub(crate) enum Release {
    /// The goods key. It keeps what the offer promises.
    GoodsKey(GoodsKey),
    /// The coins, for this reason, as the key that is sealed in the offer does not keep what the offer promises.
    Coins(AbortReason),
}

/// Terms whose coins are held at the request of this escrow, with the goods key that opens the offer's commitment.
///
/// Only [`verify_release`] and [`open_release`](crate::sealed::open_release) make one.
#[derive(Debug)]
pub struct VerifiedRelease {
    terms: Terms,
    purchase: PurchaseId,
    /// Merchant and sale id, if the offer can be bought once.
    single_sale: Option<(PublicKey, SaleId)>,
    /// The goods key, in clear and sealed to the customer. Otherwise the reason why the coins are released.
    keys: Result<(GoodsKey, SealedKey), AbortReason>,
    /// The held contract, if the merchant has not seen the hold.
    unseen: Option<HeldContract>,
}

/// Verifies a release, and seals the goods key to the customer with `ephemeral`.
///
/// `ephemeral` derives a key from the escrow's secret and the purchase, so the result is always the same. The function
/// verifies one signature: the escrow's own under the hold. `check_own_hold` says why that is enough. It drops the
/// contract's signatures.
///
/// # Errors
/// Names the first part that is wrong.
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
    /// Seals the goods key to the customer, or keeps the reason to release the coins.
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

    /// Adds the contract that the merchant has to be told of, as the merchant took no part.
    pub(crate) fn with_unseen(self, unseen: HeldContract) -> Self {
        let unseen = Some(unseen);
        Self { unseen, ..self }
    }

    /// The terms of the purchase.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// The contract that the merchant has to be told of, if the merchant took no part.
    pub fn unseen(&self) -> Option<&HeldContract> {
        self.unseen.as_ref()
    }

    /// The purchase. The escrow loads its row.
    pub fn purchase(&self) -> PurchaseId {
        self.purchase
    }

    /// Merchant and sale id, if the offer can be bought once. The escrow loads the row of this sale.
    pub fn single_sale(&self) -> Option<(PublicKey, SaleId)> {
        self.single_sale
    }

    /// Decides the purchase, unless it was decided before: commit, or abort without a goods key.
    ///
    /// `sold_to` is the purchase for which an offer with a single sale was committed.
    ///
    /// # Errors
    /// When the deadline has passed, or another purchase has the single sale.
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
pub struct SignedCancel(CancelRequest);

/// A cancel that the purchase key signed, with a coin that is valid. Only [`SignedCancel::paid`] makes one.
#[derive(Debug)]
pub struct VerifiedCancel {
    terms: Terms,
    signature: Signature,
    coin: (KeyId, PublicKey),
}

/// Verifies a cancel.
///
/// It does not check the rest of the terms. The customer may have put coins to any terms that they signed, and only an abort
/// gives the coins back with certainty.
///
/// # Errors
/// When it is for another escrow, is not signed by the purchase key, or has no valid currency.
pub fn verify_cancel(request: CancelRequest, self_id: &PublicKey) -> Result<SignedCancel, Refusal> {
    let CancelRequest { terms, signature, .. } = &request;
    check_recipient(&terms.escrow, self_id)?;
    check_bounds(terms)?;
    check_purchase_key(terms, PurchaseKeyUse::Cancel, signature)?;
    Ok(SignedCancel(request))
}

/// Checks the currency: the one field of the terms without a fixed size.
///
/// It is for terms that arrive without an offer, as they are stored and shown to an operator. The terms of a contract
/// are checked with its offer. The terms of a hold are checked at the bank, against the bank's currency.
fn check_bounds(terms: &Terms) -> Result<(), RequestFault> {
    if is_currency(&terms.currency) {
        return Ok(());
    }
    let what =
        format!("the terms name no currency: expected 1 to {CURRENCY_MAX_BYTES} printable ASCII characters");
    Err(RequestFault::Malformed(what))
}

/// Checks that the purchase key of `terms` signed a request.
///
/// # Errors
/// When it did not.
pub fn check_purchase_key(
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

impl SignedCancel {
    /// The terms of the purchase. The escrow loads its row.
    pub fn terms(&self) -> &Terms {
        &self.0.terms
    }

    /// Checks that coins may be held for this deadline. Without that bound, an abort could be a row for ever.
    ///
    /// # Errors
    /// When the deadline is more than [`CANCEL_HORIZON_MS`] from now.
    pub fn check_deadline(&self, now_ms: u64) -> Result<(), ContractFault> {
        match self.0.terms.deadline_ms > now_ms.saturating_add(CANCEL_HORIZON_MS) {
            true => Err(ContractFault::DeadlineTooFar),
            false => Ok(()),
        }
    }

    /// Verifies the coin under the bank's keys. `keys` is the list that the escrow has, if it has one. Epochs that began before
    /// `closed_before_ms` are closed.
    ///
    /// The list need not be the newest: an escrow has asked for a hold of no coin whose key it does not know. Other dates are not
    /// checked.
    ///
    /// # Errors
    /// When there is no coin, its key is unknown or of a closed epoch, or it or its authorization is invalid.
    pub fn paid(
        self,
        keys: Option<&KeyBook>,
        closed_before_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<VerifiedCancel, Refusal> {
        let CancelRequest {
            terms,
            signature,
            coin,
        } = self.0;
        let AuthorizedCoin { coin, authorization } = coin.ok_or_else(|| coin_fault(CoinFault::Missing))?;
        let keys = keys.ok_or_else(|| coin_fault(CoinFault::UnknownKey))?;
        let key = keys
            .get(&coin.key_id)
            .ok_or_else(|| coin_fault(CoinFault::UnknownKey))?;
        if key.issue_from_ms < closed_before_ms {
            return Err(coin_fault(CoinFault::Expired {
                expired_ms: key.redeem_until_ms,
            }));
        }
        let digest = terms.purchase_id().digest();
        coins::verify(&[coin], &[authorization], CoinUse::Hold, &digest, keys, rng)?;
        Ok(VerifiedCancel {
            terms,
            signature,
            coin: (coin.key_id, coin.public),
        })
    }
}

/// A fault of the one coin of a cancel.
fn coin_fault(what: CoinFault) -> Refusal {
    CoinsFault { index: 0, what }.into()
}

impl VerifiedCancel {
    /// The terms of the purchase.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// The coin. The escrow loads the number of purchases that it has cancelled.
    pub fn coin(&self) -> &(KeyId, PublicKey) {
        &self.coin
    }

    /// Aborts the purchase, unless it was decided before. The cause is the customer's signature. `cancelled` is the number of
    /// purchases that the coin has cancelled.
    ///
    /// # Errors
    /// When that number is [`CANCELS_PER_COIN_MAX`], and the purchase is undecided.
    pub fn respond(&self, existing: Option<Decision>, cancelled: u64) -> Result<Decided, Refusal> {
        match existing {
            Some(decision) => Ok(Decided::Before(decision)),
            None if cancelled >= CANCELS_PER_COIN_MAX => Err(coin_fault(CoinFault::CancelledTooOften)),
            None => Ok(Decided::Now(Decision::Aborted {
                terms: self.terms.clone(),
                reason: AbortReason::CancelledBy(self.signature),
            })),
        }
    }
}

/// Answers a customer's question for the outcome.
///
/// # Errors
/// When the purchase is decided, and its purchase key did not sign the question.
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

/// A bank's verified question about an overdue hold. Only [`verify_overdue`] makes one.
#[derive(Debug)]
pub struct VerifiedOverdue(OverdueRequest);

/// Verifies a bank's question, which has the bank's statement that the purchase is overdue.
///
/// # Errors
/// When it is for another escrow, has no valid currency, or the statement is not a valid one of the terms' bank.
pub fn verify_overdue(request: OverdueRequest, self_id: &PublicKey) -> Result<VerifiedOverdue, Refusal> {
    check_recipient(&request.terms.escrow, self_id)?;
    check_bounds(&request.terms)?;
    check_overdue(&request.overdue, &request.terms)
        .map_err(|fault| ContractFault::Cause(fault.to_string()))?;
    Ok(VerifiedOverdue(request))
}

impl VerifiedOverdue {
    /// The terms of the purchase. The escrow loads its row.
    pub fn terms(&self) -> &Terms {
        &self.0.terms
    }

    /// The bank's statement.
    pub fn statement(&self) -> &Signed<Overdue> {
        &self.0.overdue
    }

    /// Aborts the purchase, unless it was decided before, if the deadline has passed by the escrow's own clock.
    ///
    /// The cause is the bank's statement.
    ///
    /// # Errors
    /// When the purchase is not decided and the deadline has not passed.
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
