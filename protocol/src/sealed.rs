//! Sealed offers: the goods key is in the offer, sealed to the escrow. The escrow holds and decides in one step, without
//! the merchant. The merchant asks the escrow later for the sales.
//!
//! ```text
//! wallet                     escrow                      bank
//!   PayRequest    --------->   verifies contract and coins
//!                              BankHoldRequest --------->  holds in one write
//!                              <-----------------------  Signed<BankHold>
//!                              opens the sealed key; writes `committed`, or `aborted` if the key is wrong
//!                 <---------  Outcome
//!
//! merchant                   escrow
//!   SalesRequest  --------->
//!                 <---------  SalesPage
//! ```
//!
//! The escrow opens the key only after the coins are held. So nobody causes a decision without putting coins to it.

use crate::{
    bounded,
    contract::{HeldContract, VerifiedContract, keeps_offer},
    decide::{Release, VerifiedRelease},
    decision::Committed,
    documents::{AbortReason, Contract, Hold, Offer},
    hold::HoldRequest,
    ids::PurchaseId,
    limits::SALES_PAGE_MAX,
    refusal::{ContractFault, Refusal, RequestFault},
    request::check_recipient,
    seal::{SealError, open_goods_key, open_with_point},
};
use farthing_coin::{Document, PublicKey, SecretKey, SharedPoint, Signed, Transcript, TranscriptExt};
use serde::{Deserialize, Serialize};

// ---- messages ---------------------------------------------------------------------------------------------

/// From the wallet to the escrow: hold the coins, and commit. The answer says how the purchase has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayRequest(pub HoldRequest);

/// From a merchant to the escrow: asks what it has committed on the merchant's sealed offers. Signed by the merchant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SalesRequest {
    /// The escrow.
    pub escrow: PublicKey,
    /// The merchant.
    pub merchant: PublicKey,
    /// How many sales the merchant knows, in the order in which they were committed.
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

/// The sales that follow the ones that the merchant knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SalesPage {
    /// The sales, in the order in which they were committed: at most [`SALES_PAGE_MAX`].
    #[serde(deserialize_with = "bounded::list::<_, _, SALES_PAGE_MAX>")]
    pub sales: Vec<SealedSale>,
    /// Whether more sales follow.
    pub more: bool,
}

/// A sale that the escrow has committed without the merchant. It has the documents of a sale in two steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedSale {
    /// The contract.
    pub contract: Contract,
    /// The hold of its coins.
    pub hold: Signed<Hold>,
    /// The escrow's decision.
    pub committed: Committed,
}

// ---- the escrow -------------------------------------------------------------------------------------------

/// Checks that the contract's offer has a sealed key with a valid proof.
///
/// An offer without a sealed key is bought in two steps, and the merchant releases its key. Without the proof this escrow
/// could show a point that opens another merchant's key.
///
/// # Errors
/// When the sealed key or its proof is missing, or the proof is invalid.
pub fn check_sealed(contract: &VerifiedContract) -> Result<(), ContractFault> {
    let offer = &contract.contract().offer.body;
    let Some(offered) = &offer.sealed_key else {
        return Err(ContractFault::DoesNotFit("sealed key, which it lacks".into()));
    };
    offered
        .check_proof(&offer.sealing_context())
        .map_err(|_| ContractFault::DoesNotFit("sealed key, whose secret nobody has proven to know".into()))
}

/// Opens the goods key of a sealed offer with the escrow's own `key`, and seals it to the customer with `ephemeral`. The
/// coins are held.
///
/// A key that does not open, or does not keep what the offer promises, is the merchant's fault. Then the coins are
/// released, and the abort shows the point with which anyone can check what was sealed.
///
/// # Errors
/// When the customer's purchase key is invalid, or [`check_sealed`] would refuse the contract.
pub fn open_release(
    held: HeldContract,
    key: &SecretKey,
    ephemeral: impl FnOnce(&PurchaseId) -> SecretKey,
) -> Result<VerifiedRelease, Refusal> {
    let Contract { terms, offer, .. } = held.contract();
    let offer = &offer.body;
    let context = offer.sealing_context();
    let no_key = || ContractFault::DoesNotFit("sealed key".into());
    let sealed = &offer.sealed_key.as_ref().ok_or_else(no_key)?.sealed;
    let opened = open_goods_key(key, &context, sealed).ok();
    let right = opened.filter(|goods_key| keeps_offer(offer, goods_key));
    let release = match right {
        Some(goods_key) => Release::GoodsKey(goods_key),
        None => {
            let shown = key.show_shared_point(&sealed.ephemeral, &context.0);
            let shown = shown.map_err(|_| no_key())?;
            Release::Coins(AbortReason::WrongKey(Box::new(shown)))
        }
    };
    let release = VerifiedRelease::new(terms.clone(), offer, release, ephemeral)?;
    Ok(release.with_unseen(held))
}

/// Whether the point that `escrow` has shown proves that the key sealed in `offer` does not keep what the offer promises.
///
/// A point without a valid proof shows nothing. Neither does a point of a sealed key without a valid proof of its maker.
pub fn shows_wrong_key(shown: &SharedPoint, escrow: &PublicKey, offer: &Offer) -> bool {
    let context = offer.sealing_context();
    let Some(offered) = offer.sealed_key.filter(|it| it.check_proof(&context).is_ok()) else {
        return false;
    };
    match open_with_point(shown, escrow, &context, &offered.sealed) {
        Ok(goods_key) => !keeps_offer(offer, &goods_key),
        Err(error) => matches!(error, SealError::DoesNotOpen(_)),
    }
}

/// Verifies a merchant's question for sales.
///
/// # Errors
/// When it is for another escrow, or the merchant did not sign it.
pub fn verify_sales(request: &Signed<SalesRequest>, self_id: &PublicKey) -> Result<SalesRequest, Refusal> {
    let body = request.body;
    check_recipient(&body.escrow, self_id)?;
    request
        .verify(&body.merchant)
        .map_err(|why| RequestFault::Signature {
            whose: "merchant's".into(),
            why: why.to_string(),
        })?;
    Ok(body)
}
