//! The delivery: whether the goods are as the merchant described them, judged from the encrypted goods.

use super::papers::Papers;
use crate::{
    documents::Contract,
    goods::{Decryptor, GoodsError, GoodsKey, RunningDigest},
    purchase::{PurchaseError, check_commit, check_free_receipt, check_receipt, check_shown_commit},
    refusal::ContractFault,
    seal::unwrap,
};

/// The verdict on a delivery: what the documents and the goods prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The goods were delivered as described.
    Delivered,
    /// The escrow signed a goods key that does not open the offer's commitment.
    EscrowBrokeContract,
    /// The key opens the commitment, but the goods differ from the offer.
    MerchantBrokeContract(Breach),
}

/// How the goods differ from the offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breach {
    /// The merchant signed a goods key for a free item that does not open the offer's commitment.
    GoodsKey,
    /// The goods key does not unwrap the content key.
    ContentKey,
    /// The encrypted goods do not decrypt.
    Undecryptable,
    /// The goods have another size.
    Size,
    /// The goods have another digest.
    Digest,
}

/// Why there is no verdict.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoVerdict {
    /// A document is missing.
    #[error("there is no {0}")]
    Missing(&'static str),
    /// The contract is invalid.
    #[error("the contract proves nothing: {0}")]
    Contract(ContractFault),
    /// The receipt, or the commit in its place, is not signed by the escrow for this contract.
    #[error("the receipt proves nothing: {0}")]
    Receipt(PurchaseError),
    /// The file is not the encrypted goods of this contract.
    #[error(
        "the file is not the encrypted goods of this contract: its SHA-256 is {got}, the offer says {expected}"
    )]
    OtherFile {
        /// SHA-256 of the file (hex).
        got: String,
        /// The digest in the offer (hex).
        expected: String,
    },
}

/// Judges the delivery of one purchase. It takes the encrypted goods piece by piece.
#[derive(Debug)]
pub struct Judge {
    contract: Contract,
    digest: RunningDigest,
    opening: Result<Decryptor, Verdict>,
}

impl Judge {
    /// Checks the documents, and starts with the goods.
    ///
    /// # Errors
    /// When the documents prove nothing.
    pub fn new(papers: &Papers) -> Result<Judge, NoVerdict> {
        let contract = papers.contract.clone().ok_or(NoVerdict::Missing("contract"))?;
        let verified = match contract.offer.body.is_free() {
            true => contract.verified_free(),
            false => contract.verified(),
        };
        let contract = verified.map_err(NoVerdict::Contract)?.contract().clone();
        let opening = match goods_key(papers, &contract)? {
            Ok(goods_key) => {
                let offer = &contract.offer.body;
                unwrap(&goods_key, &offer.sale_id, &offer.wrapped_key)
                    .map(|key| Decryptor::new(&key))
                    .map_err(|_| Verdict::MerchantBrokeContract(Breach::ContentKey))
            }
            Err(PurchaseError::WrongGoodsKey | PurchaseError::Sealed(_)) => Err(Verdict::EscrowBrokeContract),
            Err(PurchaseError::WrongGoodsKeyOfMerchant) => {
                Err(Verdict::MerchantBrokeContract(Breach::GoodsKey))
            }
            Err(other) => return Err(NoVerdict::Receipt(other)),
        };
        Ok(Judge {
            contract,
            digest: RunningDigest::new(),
            opening,
        })
    }

    /// Takes the next piece of the encrypted goods, and appends the decrypted goods to `goods`.
    pub fn update(&mut self, encrypted: &[u8], goods: &mut Vec<u8>) {
        self.digest.update(encrypted);
        if let Ok(decryptor) = &mut self.opening
            && decryptor.update(encrypted, goods).is_err()
        {
            self.opening = Err(Verdict::MerchantBrokeContract(Breach::Undecryptable));
        }
    }

    /// Ends the goods and gives the verdict.
    ///
    /// # Errors
    /// When the file is not the encrypted goods of the contract.
    pub fn verdict(self, goods: &mut Vec<u8>) -> Result<Verdict, NoVerdict> {
        let offer = &self.contract.offer.body;
        let got = self.digest.finish();
        if got != offer.encrypted_digest {
            return Err(NoVerdict::OtherFile {
                got: got.to_string(),
                expected: offer.encrypted_digest.to_string(),
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

/// The goods key that was signed: by the merchant of a free item, else by the escrow, in the receipt or sealed in the commit
/// for the bank.
fn goods_key(papers: &Papers, contract: &Contract) -> Result<Result<GoodsKey, PurchaseError>, NoVerdict> {
    if contract.offer.body.is_free() {
        let receipt = papers
            .free_receipt
            .as_ref()
            .ok_or(NoVerdict::Missing("receipt of the merchant"))?;
        return Ok(check_free_receipt(receipt, contract).map(|()| receipt.body.goods_key.clone()));
    }
    if let Some(receipt) = &papers.receipt {
        return Ok(check_receipt(receipt, contract).map(|()| receipt.body.goods_key.clone()));
    }
    let commit = papers.commit.as_ref().ok_or(NoVerdict::Missing("receipt"))?;
    if let Some(shown) = &papers.purchase_point {
        return match check_shown_commit(commit, contract, shown) {
            Err(PurchaseError::PointNotProven) => Err(NoVerdict::Missing(
                "receipt, and no point of the purchase key that opens the commit",
            )),
            opened => Ok(opened),
        };
    }
    let secret = papers.purchase_secret.as_ref().and_then(|secret| secret.key());
    // Without the purchase key, nobody can check the key in a commit.
    let secret = secret
        .filter(|secret| secret.public() == contract.terms.purchase_key)
        .ok_or(NoVerdict::Missing(
            "receipt, and no purchase key that opens the commit",
        ))?;
    Ok(check_commit(commit, contract, &secret))
}
