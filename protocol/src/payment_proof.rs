//! What proves a payment by deposit: the bank's signed statement, and the text with the salt of its digest.
//!
//! For a donation the text is the donor's name. For a refill of postage it names the meter. The bank and the payee have only
//! the digest, so the payer alone can show the text.

use crate::deposited::{Deposited, text_digest};
use farthing_coin::{Signed, TextSalt};
use serde::{Deserialize, Serialize};

/// What proves a payment by deposit. As a file it counts among [`Papers`](crate::evidence::Papers) too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentProof {
    /// The bank's statement that it has carried the payment out. One.
    pub deposits: Vec<Signed<Deposited>>,
    /// What the payment was for. For a donation, the donor's name.
    pub text: String,
    /// The salt, in hex. With the text it gives the digest in the statement.
    pub salt: String,
}

/// Why a file does not prove a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofFault {
    /// It has no statement of a bank, or several.
    #[error("it has {0} statements of a bank, and not one")]
    Statements(usize),
    /// The statement credits nobody.
    #[error("the statement names nobody who was paid")]
    NoCredit,
    /// The bank has not signed the statement.
    #[error("the bank's signature under the statement is wrong")]
    Signature,
    /// The salt is not one.
    #[error("the salt is not 64 hexadecimal digits")]
    Salt,
    /// The statement is about another text.
    #[error("the text and its salt are not those of the payment")]
    Text,
}

impl PaymentProof {
    /// Checks the bank's signature, the text and its salt. Returns what the bank has signed. Whether its key is a bank's, the
    /// caller must know.
    ///
    /// # Errors
    /// [`ProofFault`] says what is wrong.
    pub fn verify(&self) -> Result<&Deposited, ProofFault> {
        let [signed] = self.deposits.as_slice() else {
            return Err(ProofFault::Statements(self.deposits.len()));
        };
        let deposited = &signed.body;
        if deposited.outputs.is_empty() {
            return Err(ProofFault::NoCredit);
        }
        let mut salt = [0; 32];
        hex::decode_to_slice(&self.salt, &mut salt).map_err(|_| ProofFault::Salt)?;
        if text_digest(&TextSalt::from_bytes(salt), &self.text) != deposited.text {
            return Err(ProofFault::Text);
        }
        signed
            .verify(&deposited.bank)
            .map_err(|_| ProofFault::Signature)?;
        Ok(deposited)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;
    use crate::{
        deposited::{DepositOutput, Payee},
        ids::DepositSource,
        money::Amount,
    };
    use farthing_coin::{SecretKey, Seed};

    const SALT: [u8; 32] = [9; 32];

    type Change = fn(&mut PaymentProof);

    fn secret(who: u8) -> SecretKey {
        Seed::from_bytes(&[who; 32]).account_key()
    }

    fn proof(name: &str) -> PaymentProof {
        let deposited = Deposited {
            bank: secret(1).public(),
            source: DepositSource([3; 32]),
            outputs: vec![DepositOutput {
                to: Payee::Account(secret(2).public()),
                amount: Amount(1000),
            }],
            text: text_digest(&TextSalt::from_bytes(SALT), name),
            at_ms: 7,
        };
        PaymentProof {
            deposits: vec![Signed::sign(deposited, &secret(1))],
            text: name.into(),
            salt: hex::encode(SALT),
        }
    }

    #[test]
    fn a_proof_is_of_one_name_and_one_deposit() {
        let honest = proof("Erika");
        assert_eq!(honest.verify(), Ok(&honest.deposits[0].body));
        let with = |change: Change| {
            let mut changed = honest.clone();
            change(&mut changed);
            changed.verify().unwrap_err()
        };
        let cases: [(Change, ProofFault); 8] = [
            (|it| it.text = "Max".into(), ProofFault::Text),
            (|it| it.salt = hex::encode([8; 32]), ProofFault::Text),
            (|it| it.salt = "09".into(), ProofFault::Salt),
            (|it| it.deposits[0].body.at_ms = 8, ProofFault::Signature),
            (|it| it.deposits[0].body.outputs.clear(), ProofFault::NoCredit),
            (
                |it| it.deposits[0].body.outputs[0].amount = Amount(2000),
                ProofFault::Signature,
            ),
            (|it| it.deposits.clear(), ProofFault::Statements(0)),
            (
                |it| it.deposits.push(it.deposits[0].clone()),
                ProofFault::Statements(2),
            ),
        ];
        for (change, fault) in cases {
            assert_eq!(with(change), fault);
        }
    }
}
