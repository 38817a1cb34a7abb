//! Free items: the merchant gives the goods key for a contract without coins. No escrow and no bank takes part.
//!
//! ```text
//! wallet                     merchant
//!   TakeRequest  ---------->   verifies the contract
//!                <----------  Signed<FreeReceipt>
//! ```
//!
//! [`Purchase::on_free_receipt`](crate::purchase::Purchase::on_free_receipt) has the wallet's part.
//!
//! Nothing is at stake, so there is nothing to decide, and the merchant stores nothing: it answers the same request with the
//! same receipt for as long as the offer's goods are served. Contract and receipt together are signed by both sides.

use crate::{
    contract::VerifiedContract,
    documents::{Contract, FreeReceipt, Offer},
    goods::GoodsKey,
    refusal::{GoodsFault, Refusal},
    seal::opens,
};
use farthing_coin::{PublicKey, SecretKey, Signed};
use serde::{Deserialize, Serialize};

// ---- messages ---------------------------------------------------------------------------------------------

/// From the wallet to the merchant: give the goods key for this contract, whose price is 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakeRequest(pub Contract);

// ---- the merchant -----------------------------------------------------------------------------------------

/// A contract on a free item of this merchant. Only [`verify_take`] makes one.
#[derive(Debug)]
pub struct VerifiedTake(VerifiedContract);

/// Verifies at the merchant a contract on one of its free items, whose goods are still served.
///
/// An offer that has expired is honoured: its reply may have been lost, and whoever has the offer could have taken the goods
/// before.
///
/// # Errors
/// Names the first thing at fault.
pub fn verify_take(request: TakeRequest, self_id: &PublicKey, now_ms: u64) -> Result<VerifiedTake, Refusal> {
    let TakeRequest(contract) = request;
    let offer = &contract.offer.body;
    if contract.terms.merchant != *self_id || now_ms >= offer.served_until_ms {
        return Err(GoodsFault::UnknownOffer.into());
    }
    Ok(VerifiedTake(contract.verified_free()?))
}

impl VerifiedTake {
    /// The offer.
    pub fn offer(&self) -> &Offer {
        &self.0.contract().offer.body
    }

    /// Signs the receipt. `goods_key` opens the offer's commitment.
    ///
    /// # Errors
    /// When it does not. Then another merchant's secret made the offer.
    pub fn respond(&self, goods_key: GoodsKey, key: &SecretKey) -> Result<Signed<FreeReceipt>, Refusal> {
        if !opens(&self.offer().key_commitment, &goods_key) {
            return Err(GoodsFault::UnknownOffer.into());
        }
        let receipt = FreeReceipt {
            purchase: self.0.purchase(),
            goods_key,
        };
        Ok(Signed::sign(receipt, key))
    }
}
