//! Sealed offers: the goods key is in the offer, sealed to the escrow, which holds and decides in one step. The merchant
//! has no part in it, and asks the escrow later what he has sold.
//!
//! ```text
//! wallet                     escrow                      bank
//!   PayRequest    --------->   verifies contract, coins
//!                              BankHoldRequest --------->  holds in one write
//!                              <-----------------------  Signed<BankHold>
//!                              opens the sealed key; writes `committed`, or `aborted` if it is a wrong one
//!                 <---------  Outcome
//!
//! merchant                   escrow
//!   SalesRequest  --------->
//!                 <---------  SalesPage
//! ```
//!
//! The key is opened no sooner than the coins are held: whoever has a decision written has put coins to it.

use crate::{
    contract::{HeldContract, VerifiedContract},
    decide::{Committed, VerifiedRelease},
    documents::{Contract, Hold, PurchaseId},
    hold::HoldRequest,
    refusal::{ContractFault, Refusal, RequestFault},
    seal::{open_goods_key, opens},
    withdraw::check_recipient,
};
use farthing_coin::{Document, PublicKey, SecretKey, Signed, Transcript, TranscriptExt};
use farthing_planted::{Defect, is_planted};
use serde::{Deserialize, Serialize};

// ---- messages ---------------------------------------------------------------------------------------------

/// From the wallet to the escrow: hold the coins, and commit. The answer is how the purchase has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayRequest(pub HoldRequest);

/// From a merchant to the escrow: what it has committed of his sealed offers. Signed by the merchant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SalesRequest {
    /// The escrow.
    pub escrow: PublicKey,
    /// The merchant.
    pub merchant: PublicKey,
    /// How many of them he knows, in the order in which they were committed.
    pub known: u64,
}

impl Document for SalesRequest {
    const LABEL: &'static str = "farthing sales";

    fn describe(&self, t: &mut Transcript) {
        t.bytes(b"escrow", &self.escrow.0);
        t.bytes(b"merchant", &self.merchant.0);
        t.u64(b"known", self.known);
    }
}

/// Sales that follow on those that the merchant knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SalesPage {
    /// At most [`SALES_PAGE_MAX`](crate::limits::SALES_PAGE_MAX), in the order in which they were committed.
    pub sales: Vec<SealedSale>,
    /// Whether there are more behind the last.
    pub more: bool,
}

/// A sale that the escrow has committed without the merchant: all that he would have of it if he had had a part in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedSale {
    /// What was agreed.
    pub contract: Contract,
    /// That the coins were held.
    pub hold: Signed<Hold>,
    /// That the escrow has committed.
    pub committed: Committed,
}

// ---- the escrow -------------------------------------------------------------------------------------------

/// Refuses a contract whose offer has no sealed key: its coins are held, and the merchant releases its key.
///
/// # Errors
/// As it says.
pub fn check_sealed(contract: &VerifiedContract) -> Result<(), ContractFault> {
    match contract.contract().offer.body.sealed_key {
        Some(_) => Ok(()),
        None => Err(ContractFault::DoesNotFit("sealed key, which it lacks".into())),
    }
}

/// Opens the goods key of a sealed offer, whose coins are held, with the escrow's own `key`, and seals it to the customer
/// with `ephemeral`. A key that does not open, or is not what the offer commits to, is the merchant's fault: the release
/// is one of the coins then.
///
/// # Errors
/// When nothing can be sealed to the customer's purchase key.
pub fn open_release(
    held: HeldContract,
    key: &SecretKey,
    ephemeral: impl FnOnce(&PurchaseId) -> SecretKey,
) -> Result<VerifiedRelease, Refusal> {
    let Contract { terms, offer, .. } = held.contract();
    let offer = &offer.body;
    let sealed_key = offer.sealed_key.as_ref();
    let opened = sealed_key.and_then(|sealed| open_goods_key(key, &offer.sealing_context(), sealed).ok());
    let right = opened.filter(|goods_key| {
        opens(&offer.key_commitment, goods_key) || is_planted(Defect::SealedKeyUnchecked)
    });
    let release = VerifiedRelease::new(terms.clone(), offer, right, ephemeral)?;
    Ok(release.tell_of(held))
}

/// Verifies a merchant's question for his sales.
///
/// # Errors
/// When it is for another escrow, or he did not sign it.
pub fn verify_sales(request: &Signed<SalesRequest>, here: &PublicKey) -> Result<SalesRequest, Refusal> {
    let body = request.body;
    check_recipient(&body.escrow, here)?;
    request
        .verify(&body.merchant)
        .map_err(|why| RequestFault::Signature {
            whose: "merchant's".into(),
            why: why.to_string(),
        })?;
    Ok(body)
}
