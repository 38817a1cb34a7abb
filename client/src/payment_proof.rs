//! What proves a payment by deposit, as the payer exports it.

use crate::{error::WalletError, rows::DepositState, wallet::Wallet};
pub use farthing_protocol::payment_proof::{PaymentProof, ProofFault};

impl Wallet {
    /// What proves a payment by deposit.
    ///
    /// # Errors
    /// [`WalletError::NoPaymentProof`] when the bank has not confirmed it. When there is no such payment, or the store fails.
    pub fn payment_proof(&self, number: u64) -> Result<PaymentProof, WalletError> {
        let row = self.payment(number)?;
        let salt = self.seed_for(&row.deposit.bank).text_salt(number);
        match row.state {
            DepositState::Done(deposited) => Ok(PaymentProof {
                deposits: vec![*deposited],
                text: row.text,
                salt: hex::encode(salt.as_bytes()),
            }),
            state => Err(WalletError::NoPaymentProof {
                number,
                status: state.word(),
            }),
        }
    }
}
