//! Contracts: the agreement of customer and merchant. Each party that gets a contract checks it once.

use crate::{
    documents::{BankHold, Contract, Hold, Offer, PurchaseKeyUse, Terms, coins_digest, promises_causes},
    goods::GoodsKey,
    ids::PurchaseId,
    limits::{DEADLINE_HORIZON_MS, DEADLINE_LEAST_MS},
    refusal::ContractFault,
    seal::{opens, unwrap},
    stream::{Opened, chain},
};
use farthing_coin::{Document, SecretKey, SignatureError, Signed};

/// A contract within its bounds, signed by merchant and customer, with terms that fit its offer.
///
/// Only [`Contract::verified`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedContract {
    contract: Contract,
    purchase: PurchaseId,
    wants_causes: bool,
}

impl Contract {
    /// Checks everything about the contract that does not depend on time. A contract on a free item is none for an escrow.
    ///
    /// # Errors
    /// Names the first part that is wrong.
    pub fn verified(self) -> Result<VerifiedContract, ContractFault> {
        check_paid(&self.offer.body)?;
        check_sold_whole(&self.offer.body)?;
        self.verified_at_any_price()
    }

    /// As [`verified`](Contract::verified), for a stream.
    ///
    /// # Errors
    /// Names the first part that is wrong.
    pub fn verified_stream(self) -> Result<VerifiedContract, ContractFault> {
        check_paid(&self.offer.body)?;
        if self.offer.body.ticks().is_none() {
            return Err(ContractFault::DoesNotFit(
                "offer, which is not sold by ticks".into(),
            ));
        }
        self.verified_at_any_price()
    }

    /// As [`verified`](Contract::verified), for a free item: its contract has no coins.
    ///
    /// # Errors
    /// Names the first part that is wrong.
    pub fn verified_free(self) -> Result<VerifiedContract, ContractFault> {
        if !self.offer.body.is_free() {
            return Err(ContractFault::OfferBounds("price".into()));
        }
        if self.terms.coins_digest != coins_digest(&[]) {
            return Err(ContractFault::DoesNotFit("list of coins".into()));
        }
        self.verified_at_any_price()
    }

    fn verified_at_any_price(self) -> Result<VerifiedContract, ContractFault> {
        let Contract { terms, offer, .. } = &self;
        check_bounds(&offer.body)?;
        offer
            .verify(&offer.body.merchant)
            .map_err(|e| ContractFault::OfferForged(e.to_string()))?;
        check_terms_fit(terms, &offer.body)?;
        let purchase = terms.purchase_id();
        let wants_causes = match self.is_agreed(PurchaseKeyUse::Agree) {
            Ok(()) => true,
            Err(why) => match self.is_agreed(PurchaseKeyUse::AgreeV1) {
                Ok(()) => false,
                Err(_) => return Err(ContractFault::Forged(why.to_string())),
            },
        };
        Ok(VerifiedContract {
            purchase,
            wants_causes,
            contract: self,
        })
    }

    /// Whether the customer signed it as a contract whose escrow has to show the cause of an abort. A contract of
    /// version 1 is not one.
    pub fn wants_causes(&self) -> bool {
        self.is_agreed(PurchaseKeyUse::Agree).is_ok()
    }

    fn is_agreed(&self, key_use: PurchaseKeyUse) -> Result<(), SignatureError> {
        let key = &self.terms.purchase_key;
        key.verify(
            &key_use.statement(key, &self.terms.purchase_id()),
            &self.signature,
        )
    }
}

/// A contract with the bank's statement that the coins are held. Only [`VerifiedContract::held`] makes one.
#[derive(Debug)]
pub struct HeldContract {
    contract: VerifiedContract,
    bank_hold: Signed<BankHold>,
}

impl HeldContract {
    /// Signs the escrow's hold, with the bank's hold inside.
    ///
    /// An escrow signs a hold only after it has verified contract and bank hold. So at the release its own signature is
    /// enough for it: see `check_own_hold`.
    pub fn hold(&self, key: &SecretKey) -> Signed<Hold> {
        sign_hold(self.bank_hold.clone(), self.contract.wants_causes, key)
    }

    /// The contract.
    pub fn contract(&self) -> &Contract {
        &self.contract.contract
    }

    /// The bank's statement that it holds the coins.
    pub fn bank_hold(&self) -> &Signed<BankHold> {
        &self.bank_hold
    }
}

/// No coins are held for a free item.
fn check_paid(offer: &Offer) -> Result<(), ContractFault> {
    match offer.is_free() {
        true => Err(ContractFault::OfferBounds("price".into())),
        false => Ok(()),
    }
}

/// The goods key of a stream is never released whole.
fn check_sold_whole(offer: &Offer) -> Result<(), ContractFault> {
    match offer.ticks() {
        Some(_) => Err(ContractFault::DoesNotFit("offer, which is sold by ticks".into())),
        None => Ok(()),
    }
}

fn check_bounds(offer: &Offer) -> Result<(), ContractFault> {
    offer
        .check_bounds()
        .map_err(|field| ContractFault::OfferBounds(field.into()))
}

fn check_terms_fit(terms: &Terms, offer: &Offer) -> Result<(), ContractFault> {
    let accepted = offer.banks.iter().find(|accepted| accepted.bank == terms.bank);
    let checks = [
        (terms.private_digest.0 == offer.digest().0, "private part"),
        (terms.price == offer.price, "price"),
        (terms.currency == offer.currency, "currency"),
        (terms.merchant == offer.merchant, "merchant"),
        (offer.escrows.contains(&terms.escrow), "escrow"),
        (accepted.is_some(), "bank"),
        (accepted.is_some_and(|a| a.account == terms.account), "account"),
        (terms.deadline_ms <= offer.expires_ms, "deadline"),
    ];
    match checks.into_iter().find(|(holds, _)| !holds) {
        Some((_, field)) => Err(ContractFault::DoesNotFit(field.into())),
        None => Ok(()),
    }
}

impl VerifiedContract {
    /// The contract.
    pub fn contract(&self) -> &Contract {
        &self.contract
    }

    /// The terms.
    pub fn terms(&self) -> &Terms {
        &self.contract.terms
    }

    /// The purchase id.
    pub fn purchase(&self) -> PurchaseId {
        self.purchase
    }

    /// Whether the escrow has to show the cause of an abort.
    pub fn wants_causes(&self) -> bool {
        self.wants_causes
    }

    /// Adds the bank's statement that it holds the coins.
    ///
    /// # Errors
    /// Says what in the statement does not fit.
    pub fn held(self, bank_hold: Signed<BankHold>) -> Result<HeldContract, ContractFault> {
        check_bank_hold(self.terms(), &bank_hold)?;
        Ok(HeldContract {
            contract: self,
            bank_hold,
        })
    }
}

/// Signs the escrow's hold around a verified `bank_hold`. `with_causes` adds the promise to show causes.
pub fn sign_hold(bank_hold: Signed<BankHold>, with_causes: bool, key: &SecretKey) -> Signed<Hold> {
    let hold = Hold { bank_hold };
    match with_causes {
        true => hold.sign_with_causes(key),
        false => Signed::sign(hold, key),
    }
}

/// Checks that `hold` is signed by escrow and bank of this contract, and is for this contract.
///
/// If the contract wants causes, the hold has to promise them.
///
/// # Errors
/// Says what does not fit.
pub fn check_hold(contract: &Contract, hold: &Signed<Hold>) -> Result<(), ContractFault> {
    let terms = &contract.terms;
    if verify_escrow(terms, hold)? == Promise::Nothing && contract.wants_causes() {
        return Err(ContractFault::Hold(
            "the escrow does not promise to show the cause of an abort".into(),
        ));
    }
    check_bank_hold(terms, &hold.body.bank_hold)
}

/// Checks that `opened` is signed by escrow and bank of these terms, and is for these terms.
///
/// # Errors
/// Says what does not fit.
pub fn check_opened(terms: &Terms, opened: &Signed<Opened>) -> Result<(), ContractFault> {
    opened
        .verify(&terms.escrow)
        .map_err(|e| ContractFault::Hold(format!("the escrow's signature: {e}")))?;
    check_bank_hold(terms, &opened.body.bank_hold)
}

/// Checks at the escrow of these terms that it has held coins for these terms and this offer.
///
/// The escrow's own signature under the hold says that it verified the whole contract and the bank hold before. The hold
/// has the purchase id, which is the digest of the terms, and the terms have the digest of the offer. So the hold vouches
/// for terms and offer only. The contract's signatures are not checked here, and must not be stored or shown.
pub(crate) fn check_own_hold(terms: &Terms, offer: &Offer, hold: &Signed<Hold>) -> Result<(), ContractFault> {
    check_bounds(offer)?;
    check_paid(offer)?;
    check_sold_whole(offer)?;
    check_terms_fit(terms, offer)?;
    verify_escrow(terms, hold)?;
    check_hold_fields(&hold.body.bank_hold.body, terms)
}

fn check_bank_hold(terms: &Terms, bank_hold: &Signed<BankHold>) -> Result<(), ContractFault> {
    bank_hold
        .verify(&terms.bank)
        .map_err(|e| ContractFault::Hold(format!("the bank's signature: {e}")))?;
    check_hold_fields(&bank_hold.body, terms)
}

/// What an escrow promises with a hold in addition to accepting a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Promise {
    /// To show the cause of an abort.
    Causes,
    /// Nothing. The hold is of version 1.
    Nothing,
}

fn verify_escrow(terms: &Terms, hold: &Signed<Hold>) -> Result<Promise, ContractFault> {
    if promises_causes(hold, &terms.escrow) {
        return Ok(Promise::Causes);
    }
    hold.verify(&terms.escrow)
        .map(|()| Promise::Nothing)
        .map_err(|e| ContractFault::Hold(format!("the escrow's signature: {e}")))
}

fn check_hold_fields(hold: &BankHold, terms: &Terms) -> Result<(), ContractFault> {
    let checks = [
        (hold.purchase == terms.purchase_id(), "it is for another purchase"),
        (hold.escrow == terms.escrow, "it is for another escrow"),
        (hold.coins_digest == terms.coins_digest, "it is for other coins"),
        (hold.total == terms.price, "it is for another amount"),
    ];
    match checks.into_iter().find(|(holds, _)| !holds) {
        Some((_, why)) => Err(ContractFault::Hold(why.into())),
        None => Ok(()),
    }
}

/// Whether `key` keeps what `offer` promises: it opens the offer's commitment and unwraps the content key. The key of a
/// stream's last tick leads to the commitment.
#[must_use]
pub fn keeps_offer(offer: &Offer, key: &GoodsKey) -> bool {
    if let Some(ticks) = offer.ticks() {
        return chain::fits(&offer.key_commitment, key, ticks);
    }
    opens(&offer.key_commitment, key) && unwrap(key, &offer.sale_id, &offer.wrapped_key).is_ok()
}

/// Checks that the deadline of a new purchase is neither too near nor too far in the future.
///
/// # Errors
/// [`ContractFault::DeadlineTooSoon`] or [`ContractFault::DeadlineTooFar`].
pub fn check_deadline(terms: &Terms, now_ms: u64) -> Result<(), ContractFault> {
    if terms.deadline_ms < now_ms.saturating_add(DEADLINE_LEAST_MS) {
        return Err(ContractFault::DeadlineTooSoon);
    }
    if terms.deadline_ms > now_ms.saturating_add(DEADLINE_HORIZON_MS) {
        return Err(ContractFault::DeadlineTooFar);
    }
    Ok(())
}
