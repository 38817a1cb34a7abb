//! Whether an office still owes a refill, from signed documents alone.
//!
//! The certificate of a meter names the office's bank and account. The bank's signed statement says that the account was
//! credited, and its text names the meter. The two together are a debt of the office. A refill with the id of the deposit
//! pays it.

use crate::documents::{MeterCertificate, Refill, RefillSource, refill_text};
use farthing_coin::{PublicKey, Signed};
use farthing_protocol::{
    deposited::{Deposited, Payee},
    ids::DepositId,
    money::Amount,
    payment_proof::{PaymentProof, ProofFault},
};

/// A payment for a refill of one meter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaidRefill {
    /// The deposit, whose id is the refill's.
    pub deposit: DepositId,
    /// What the office's account was credited with.
    pub amount: Amount,
}

/// What the documents prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefillVerdict {
    /// The office has the money, and no refill is shown. It owes one until it shows it.
    Owed(PaidRefill),
    /// The office has signed the refill.
    Kept(PaidRefill),
}

/// Why the documents prove nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JudgeError {
    /// The payment is not proven.
    #[error("the payment is not proven: {0}")]
    Proof(#[from] ProofFault),
    /// The office has not signed the certificate.
    #[error("the office's signature under the certificate is wrong")]
    Certificate,
    /// The money is at another bank.
    #[error("the payment was made at the bank {got}, and the office's account is at {wanted}")]
    OtherBank {
        /// The bank of the payment.
        got: PublicKey,
        /// The bank in the certificate.
        wanted: PublicKey,
    },
    /// The office's account was not credited.
    #[error("the payment does not credit the office's account")]
    NotCredited,
    /// The payment is for something else.
    #[error("the payment was not made for this meter: its text is not `{wanted}`")]
    OtherText {
        /// The text of a payment for this meter.
        wanted: String,
    },
    /// The refill is not the office's, or for another meter, deposit or amount.
    #[error("the refill is not the office's refill for this deposit")]
    OtherRefill,
}

/// Checks that a payment is for a refill of the meter of `terms`.
///
/// # Errors
/// [`JudgeError`] says what the payment is not.
pub fn paid_refill(proof: &PaymentProof, terms: &MeterCertificate) -> Result<PaidRefill, JudgeError> {
    let deposited: &Deposited = proof.verify()?;
    if deposited.bank != terms.bank {
        return Err(JudgeError::OtherBank {
            got: deposited.bank,
            wanted: terms.bank,
        });
    }
    let wanted = refill_text(&terms.meter);
    if proof.text != wanted {
        return Err(JudgeError::OtherText { wanted });
    }
    match deposited.credited(&Payee::Account(terms.account)) {
        Amount(0) => Err(JudgeError::NotCredited),
        amount => Ok(PaidRefill {
            deposit: deposited.deposit_id(),
            amount,
        }),
    }
}

/// Judges whether the office of `certificate` owes a refill. Whether the keys are the bank's and the office's, the caller
/// must know.
///
/// # Errors
/// [`JudgeError`] says why the documents prove nothing.
pub fn judge(
    proof: &PaymentProof,
    certificate: &Signed<MeterCertificate>,
    refill: Option<&Signed<Refill>>,
) -> Result<RefillVerdict, JudgeError> {
    let terms = &certificate.body;
    certificate
        .verify(&terms.office)
        .map_err(|_| JudgeError::Certificate)?;
    let paid = paid_refill(proof, terms)?;
    let Some(refill) = refill else {
        return Ok(RefillVerdict::Owed(paid));
    };
    let body = &refill.body;
    let is_it = body.source == RefillSource::Deposit(paid.deposit)
        && body.meter == terms.meter
        && body.office == terms.office
        && body.amount == paid.amount
        && refill.verify(&terms.office).is_ok();
    match is_it {
        true => Ok(RefillVerdict::Kept(paid)),
        false => Err(JudgeError::OtherRefill),
    }
}
