//! Evidence: who kept the contract, judged offline from signed documents and the encrypted goods alone.

use crate::{
    decide::Committed,
    documents::{Abort, Contract, Receipt},
    goods::{Decryptor, GoodsError},
    purchase::{PurchaseError, check_receipt},
    refusal::ContractFault,
    seal::unwrap,
};
use farthing_coin::{PublicKey, SignatureError, Signed};
use farthing_planted::{Defect, is_planted};
use serde::{Deserialize, Serialize};

/// What a customer or a merchant keeps of a purchase, so that anyone can judge it. It holds no coin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Signed by both sides.
    pub contract: Contract,
    /// Signed by the escrow.
    pub receipt: Signed<Receipt>,
}

/// What the merchant keeps of a sale besides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaleEvidence {
    /// Signed by both sides.
    pub contract: Contract,
    /// Signed by the escrow.
    pub committed: Committed,
}

/// What the documents and the goods prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The goods were delivered as described.
    Delivered,
    /// The escrow signed a receipt with a key that is not the offer's.
    EscrowBrokeContract,
    /// The key opens the commitment, but the goods are not what the offer says.
    MerchantBrokeContract(Breach),
}

/// How the goods differ from what the offer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breach {
    /// The goods key does not unwrap the content key.
    ContentKey,
    /// The encrypted goods do not decrypt.
    Undecryptable,
    /// The goods have another size.
    Size,
    /// The goods have another digest.
    Digest,
}

/// Why nothing can be said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoVerdict {
    /// The contract is not one.
    #[error("the contract proves nothing: {0}")]
    Contract(ContractFault),
    /// The receipt is not the escrow's for this contract.
    #[error("the receipt proves nothing: {0}")]
    Receipt(PurchaseError),
    /// The file is not the encrypted goods of this contract.
    #[error(
        "the file is not the encrypted goods of this contract: its SHA-256 is {got}, the offer says {expected}"
    )]
    OtherFile {
        /// SHA-256 of the file, hex.
        got: String,
        /// What the offer says, hex.
        expected: String,
    },
}

/// A judge of one purchase, who is shown the encrypted goods piece by piece.
#[derive(Debug)]
pub struct Judge {
    contract: Contract,
    digest: crate::goods::RunningDigest,
    opening: Result<Decryptor, Verdict>,
}

impl Judge {
    /// Checks the documents.
    ///
    /// # Errors
    /// When they prove nothing about anybody.
    pub fn new(evidence: Evidence) -> Result<Judge, NoVerdict> {
        let Evidence { contract, receipt } = evidence;
        let contract = contract
            .verified()
            .map_err(NoVerdict::Contract)?
            .contract()
            .clone();
        let opening = match check_receipt(&receipt, &contract) {
            Ok(()) => {
                let offer = &contract.offer.body;
                unwrap(&receipt.body.goods_key, &offer.sale_id, &offer.wrapped_key)
                    .map(|key| Decryptor::new(&key))
                    .map_err(|_| Verdict::MerchantBrokeContract(Breach::ContentKey))
            }
            Err(PurchaseError::WrongGoodsKey) => Err(Verdict::EscrowBrokeContract),
            Err(other) => return Err(NoVerdict::Receipt(other)),
        };
        Ok(Judge {
            contract,
            digest: crate::goods::RunningDigest::new(),
            opening,
        })
    }

    /// Looks at the next piece of the encrypted goods; what it decrypts to is appended to `goods`.
    pub fn update(&mut self, encrypted: &[u8], goods: &mut Vec<u8>) {
        self.digest.update(encrypted);
        if let Ok(decryptor) = &mut self.opening
            && decryptor.update(encrypted, goods).is_err()
        {
            self.opening = Err(Verdict::MerchantBrokeContract(Breach::Undecryptable));
        }
    }

    /// Says what is proven.
    ///
    /// # Errors
    /// When the file was not the encrypted goods of the contract.
    pub fn verdict(self, goods: &mut Vec<u8>) -> Result<Verdict, NoVerdict> {
        let offer = &self.contract.offer.body;
        let got = self.digest.finish();
        if got != offer.encrypted_digest && !is_planted(Defect::JudgeTakesAnyFile) {
            return Err(NoVerdict::OtherFile {
                got: hex::encode(got),
                expected: hex::encode(offer.encrypted_digest),
            });
        }
        let decryptor = match self.opening {
            Ok(decryptor) => decryptor,
            Err(verdict) => return Ok(verdict),
        };
        let opened: Result<_, GoodsError> = decryptor.finish(goods);
        Ok(match opened {
            Err(_) => Verdict::MerchantBrokeContract(Breach::Undecryptable),
            Ok(opened) if opened.size_bytes != offer.size_bytes => {
                Verdict::MerchantBrokeContract(Breach::Size)
            }
            Ok(opened) if opened.digest != offer.goods_digest => {
                Verdict::MerchantBrokeContract(Breach::Digest)
            }
            Ok(_) => Verdict::Delivered,
        })
    }
}

/// Whether a receipt and an abort together convict an escrow of having signed both outcomes.
///
/// # Errors
/// When one of the signatures is not the escrow's.
pub fn signed_both(
    escrow: &PublicKey,
    receipt: &Signed<Receipt>,
    abort: &Signed<Abort>,
) -> Result<bool, SignatureError> {
    receipt.verify(escrow)?;
    abort.verify(escrow)?;
    Ok(receipt.body.purchase == abort.body.purchase)
}
