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
    /// At most [`SALES_PAGE_MAX`], in the order in which they were committed.
    #[serde(deserialize_with = "bounded::list::<_, _, SALES_PAGE_MAX>")]
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

/// Refuses a contract whose offer has no sealed key, as its coins are held and the merchant releases its key; and one
/// whose maker has not proven to know the secret of the sealed key, as this escrow would show what opens it.
///
/// # Errors
/// As it says.
pub fn check_sealed(contract: &VerifiedContract) -> Result<(), ContractFault> {
    let offer = &contract.contract().offer.body;
    let Some(offered) = &offer.sealed_key else {
        return Err(ContractFault::DoesNotFit("sealed key, which it lacks".into()));
    };
    offered
        .check_proof(&offer.sealing_context())
        .map_err(|_| ContractFault::DoesNotFit("sealed key, whose secret nobody has proven to know".into()))
}

/// Opens the goods key of a sealed offer, whose coins are held, with the escrow's own `key`, and seals it to the customer
/// with `ephemeral`. A key that does not open, or with which the offer cannot be kept, is the merchant's fault: the release
/// is one of the coins then, with the point by which anyone can see what was sealed.
///
/// # Errors
/// When nothing can be sealed to the customer's purchase key, or the sealed key is none that [`check_sealed`] has seen.
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
    Ok(release.tell_of(held))
}

/// Whether the point that `escrow` has shown proves that the key sealed in `offer` does not keep what the offer promises.
/// A point that is not proven, or is shown of a key whose maker has not proven to know its secret, proves nothing.
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

/// Verifies a merchant's question for his sales.
///
/// # Errors
/// When it is for another escrow, or he did not sign it.
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
