//! Contracts: what customer and merchant have agreed to, checked once, by whoever meets one.

use crate::{
    documents::{Contract, Hold, PurchaseId, PurchaseKeyUse, Terms},
    limits::{DEADLINE_HORIZON_MS, DEADLINE_LEAST_MS},
    refusal::ContractFault,
};
use farthing_coin::{Document, Signed};
use farthing_planted::{Defect, is_planted};

/// A contract within its bounds, signed by merchant and customer, whose terms fit its offer.
/// Only [`Contract::verified`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedContract {
    contract: Contract,
    purchase: PurchaseId,
}

impl Contract {
    /// Checks everything about the contract that does not depend on time.
    ///
    /// # Errors
    /// Names the first thing at fault.
    pub fn verified(self) -> Result<VerifiedContract, ContractFault> {
        let Contract {
            terms,
            offer,
            signature,
        } = &self;
        offer
            .body
            .check_bounds()
            .map_err(|field| ContractFault::OfferBounds(field.into()))?;
        offer
            .verify(&offer.body.merchant)
            .map_err(|e| ContractFault::OfferForged(e.to_string()))?;
        fits(terms, offer)?;
        let purchase = terms.purchase_id();
        let agreed = PurchaseKeyUse::Agree.statement(&terms.purchase_key, &purchase);
        terms
            .purchase_key
            .verify(&agreed, signature)
            .map_err(|e| ContractFault::Forged(e.to_string()))?;
        Ok(VerifiedContract {
            purchase,
            contract: self,
        })
    }
}

/// A contract whose coins are held. Only [`VerifiedContract::held`] makes one.
#[derive(Debug)]
pub struct HeldContract {
    pub(crate) contract: VerifiedContract,
    hold: Signed<Hold>,
}

impl HeldContract {
    /// That its coins are held.
    pub fn hold(&self) -> &Signed<Hold> {
        &self.hold
    }
}

fn fits(terms: &Terms, offer: &Signed<crate::documents::Offer>) -> Result<(), ContractFault> {
    let body = &offer.body;
    let accepted = body.banks.iter().find(|accepted| accepted.bank == terms.bank);
    let checks = [
        (terms.private_digest == body.digest(), "private part"),
        (terms.price == body.price, "price"),
        (terms.currency == body.currency, "currency"),
        (terms.merchant == body.merchant, "merchant"),
        (body.escrows.contains(&terms.escrow), "escrow"),
        (accepted.is_some(), "bank"),
        (accepted.is_some_and(|a| a.account == terms.account), "account"),
        (terms.deadline_ms <= body.expires_ms, "deadline"),
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

    /// Its terms.
    pub fn terms(&self) -> &Terms {
        &self.contract.terms
    }

    /// Its purchase.
    pub fn purchase(&self) -> PurchaseId {
        self.purchase
    }

    /// The contract with its hold.
    ///
    /// # Errors
    /// As [`check_hold`](VerifiedContract::check_hold).
    pub fn held(self, hold: Signed<Hold>) -> Result<HeldContract, ContractFault> {
        if !is_planted(Defect::RefusalTakenForHold) {
            self.check_hold(&hold)?;
        }
        Ok(HeldContract { contract: self, hold })
    }

    /// Checks that `hold` is the one that this contract's escrow and bank give for it.
    ///
    /// # Errors
    /// Says what does not fit.
    pub fn check_hold(&self, hold: &Signed<Hold>) -> Result<(), ContractFault> {
        let refuse = |why: String| ContractFault::Hold(why);
        let terms = self.terms();
        hold.verify(&terms.escrow)
            .map_err(|e| refuse(format!("the escrow's signature: {e}")))?;
        let bank_hold = &hold.body.bank_hold;
        bank_hold
            .verify(&terms.bank)
            .map_err(|e| refuse(format!("the bank's signature: {e}")))?;
        let checks = [
            (
                bank_hold.body.purchase == self.purchase,
                "it is for another purchase",
            ),
            (bank_hold.body.escrow == terms.escrow, "it is for another escrow"),
            (
                bank_hold.body.coins_digest == terms.coins_digest,
                "it is for other coins",
            ),
            (bank_hold.body.total == terms.price, "it is for another amount"),
        ];
        match checks.into_iter().find(|(holds, _)| !holds) {
            Some((_, why)) => Err(refuse(why.into())),
            None => Ok(()),
        }
    }
}

/// Checks that a new purchase's deadline is neither too near nor beyond the horizon.
///
/// # Errors
/// Says which.
pub fn check_deadline(terms: &Terms, now_ms: u64) -> Result<(), ContractFault> {
    if terms.deadline_ms < now_ms.saturating_add(DEADLINE_LEAST_MS) {
        return Err(ContractFault::DeadlineTooSoon);
    }
    if terms.deadline_ms > now_ms.saturating_add(DEADLINE_HORIZON_MS) {
        return Err(ContractFault::DeadlineTooFar);
    }
    Ok(())
}
