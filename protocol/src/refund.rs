//! Refund: a merchant gives a part of the price back to a customer whom nobody knows.
//!
//! ```text
//! merchant                                bank
//!   Signed<RefundRequest>  ------------->   debits the account and credits the purchase key's reserve in one write
//!                          <-------------   Signed<Refunded>
//! ```
//!
//! The merchant names the total that it has refunded of a purchase, and not the increase. So a request that is repeated
//! refunds nothing more.

use crate::{
    documents::Terms,
    ids::PurchaseId,
    money::Amount,
    refusal::{AccountFault, PurchaseFault, Refusal},
    request::{check_account, check_recipient},
    settle::BankPurchase,
};
use farthing_coin::{Document, PublicKey, Signed, Transcript, TranscriptExt};
use serde::{Deserialize, Serialize};

// ---- messages ---------------------------------------------------------------------------------------------

/// Asks the bank to refund. Signed by the key of the account that the purchase has credited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundRequest {
    /// The recipient.
    pub bank: PublicKey,
    /// The account.
    pub account: PublicKey,
    /// The purchase.
    pub purchase: PurchaseId,
    /// Its escrow.
    pub escrow: PublicKey,
    /// What has been refunded of the purchase in all, after this refund. At most the price.
    pub total: Amount,
}

impl Document for RefundRequest {
    const LABEL: &'static str = "farthing refund";

    fn describe(&self, t: &mut Transcript) {
        t.bytes(b"bank", &self.bank.0);
        t.bytes(b"account", &self.account.0);
        t.bytes(b"purchase", &self.purchase.0);
        t.bytes(b"escrow", &self.escrow.0);
        t.u64(b"total", self.total.0);
    }
}

/// The bank's statement that at least this much of a purchase has been refunded. Signed by the bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refunded {
    /// The bank.
    pub bank: PublicKey,
    /// The purchase.
    pub purchase: PurchaseId,
    /// The reserve that was credited: the purchase key.
    pub reserve: PublicKey,
    /// The total of the request.
    pub total: Amount,
}

impl Document for Refunded {
    const LABEL: &'static str = "farthing refunded";

    fn describe(&self, t: &mut Transcript) {
        t.bytes(b"bank", &self.bank.0);
        t.bytes(b"purchase", &self.purchase.0);
        t.bytes(b"reserve", &self.reserve.0);
        t.u64(b"total", self.total.0);
    }
}

// ---- the bank ---------------------------------------------------------------------------------------------

/// A request for a refund, signed by its account's key. Only [`verify_refund`] makes one.
#[derive(Debug)]
pub struct VerifiedRefund(RefundRequest);

/// Verifies a request for a refund.
///
/// # Errors
/// When it is for another bank, or its account's key did not sign it.
pub fn verify_refund(request: Signed<RefundRequest>, self_id: &PublicKey) -> Result<VerifiedRefund, Refusal> {
    check_recipient(&request.body.bank, self_id)?;
    check_account(&request, &request.body.account)?;
    Ok(VerifiedRefund(request.body))
}

/// The bank's decision on a refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundDecision {
    /// This much was refunded before. The bank repeats its answer.
    Before(Refunded),
    /// The refund is new. The bank writes the rows, then answers.
    Now {
        /// The amount that moves from the account to the reserve.
        increase: Amount,
        /// The answer, which the bank signs.
        refunded: Refunded,
    },
}

impl VerifiedRefund {
    /// The purchase and its escrow: the key of the bank's row.
    pub fn row_key(&self) -> (PurchaseId, PublicKey) {
        (self.0.purchase, self.0.escrow)
    }

    /// The account.
    pub fn account(&self) -> PublicKey {
        self.0.account
    }

    /// The total of the request.
    pub fn total(&self) -> Amount {
        self.0.total
    }

    /// Decides. `before` is what was refunded of the purchase, `balance` that of the account, if there is one.
    ///
    /// # Errors
    /// When the purchase is not known as committed, it has credited another account, its price is less than the total, or
    /// the account holds too little.
    pub fn respond(
        &self,
        purchase: Option<&BankPurchase>,
        before: Amount,
        balance: Option<Amount>,
    ) -> Result<RefundDecision, Refusal> {
        let RefundRequest {
            account,
            purchase: id,
            total,
            ..
        } = self.0;
        let (terms, price) = match purchase {
            Some(BankPurchase::Committed { terms, .. }) if terms.account == account => (terms, terms.price),
            Some(BankPurchase::Streamed { terms, stream }) if terms.account == account => {
                (terms, stream.commit.body.amount)
            }
            Some(BankPurchase::Aborted { .. } | BankPurchase::NotHeld { .. }) => {
                return Err(PurchaseFault::Aborted(id).into());
            }
            Some(_) | None => return Err(PurchaseFault::Unknown(id).into()),
        };
        let refunded = self.refunded(terms);
        if total <= before {
            return Ok(RefundDecision::Before(refunded));
        }
        if total > price {
            return Err(PurchaseFault::RefundTooHigh { price, asked: total }.into());
        }
        let increase = Amount(total.0.saturating_sub(before.0));
        let held = balance.ok_or(AccountFault::Unknown(account))?;
        if increase > held {
            let (balance, asked) = (held, increase);
            return Err(AccountFault::Balance { balance, asked }.into());
        }
        Ok(RefundDecision::Now { increase, refunded })
    }

    fn refunded(&self, terms: &Terms) -> Refunded {
        Refunded {
            bank: self.0.bank,
            purchase: self.0.purchase,
            reserve: terms.purchase_key,
            total: self.0.total,
        }
    }
}
