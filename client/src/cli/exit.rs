//! Exit codes.

use crate::error::WalletError;
use farthing_protocol::purchase::PurchaseError;
use farthing_store::StoreError;
use std::{fmt::Write, process::ExitCode};

/// The exit code of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Refused, or failed.
    Failed = 1,
    /// The command line is not understood.
    Usage = 2,
    /// Damaged data, or a bank that broke the protocol.
    Broken = 3,
    /// The merchant broke the contract, and the documents prove it.
    MerchantBroke = 4,
    /// The escrow broke the contract, and the documents prove it.
    EscrowBroke = 5,
    /// The documents prove nothing.
    ProvesNothing = 6,
    /// The bank broke the protocol, and the documents prove it.
    BankBroke = 7,
    /// A server signed two encryption keys for one day, and the documents prove it.
    ServerBroke = 8,
    /// A payment is in the register already.
    Registered = 9,
    /// Not finished, because a party is silent.
    NotFinished = 10,
    /// A purchase was aborted against the customer's wish.
    Aborted = 11,
    /// The password is wrong or missing.
    Password = 12,
    /// Interrupted with ctrl-c.
    Interrupted = 130,
}

impl Exit {
    /// All exit codes.
    pub const ALL: [Exit; 14] = [
        Exit::Done,
        Exit::Failed,
        Exit::Usage,
        Exit::Broken,
        Exit::MerchantBroke,
        Exit::EscrowBroke,
        Exit::ProvesNothing,
        Exit::BankBroke,
        Exit::ServerBroke,
        Exit::Registered,
        Exit::NotFinished,
        Exit::Aborted,
        Exit::Password,
        Exit::Interrupted,
    ];

    /// The exit code.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Its meaning, as the help prints it.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Exit::Done => "done; for `receipt verify`: delivered as described, or paid",
            Exit::Failed => "refused or failed; nothing is lost",
            Exit::Usage => "the command line is not understood",
            Exit::Broken => {
                "damaged data, or a bank that broke the protocol; do not use the wallet until you know which"
            }
            Exit::MerchantBroke => "the merchant broke the contract, and the documents prove it",
            Exit::EscrowBroke => "the escrow broke the contract, and the documents prove it",
            Exit::ProvesNothing => "the documents prove nothing (`receipt verify`)",
            Exit::BankBroke => "the bank broke its word, and the documents prove it",
            Exit::ServerBroke => "a server signed two encryption keys for one day (`receipt keys`)",
            Exit::Registered => "a payment is in the register already (`receipt verify --register`)",
            Exit::NotFinished => {
                "not finished, a party is silent; nothing is lost, `farthing resume` carries on"
            }
            Exit::Aborted => "a purchase was aborted, though you did not cancel it; the coins are back",
            Exit::Password => "the password is wrong or missing; nothing was changed",
            Exit::Interrupted => "interrupted with ctrl-c; nothing is lost, `farthing resume` carries on",
        }
    }

    /// The table of all exit codes for the help.
    #[must_use]
    pub fn table() -> String {
        let mut table = String::from("Exit codes:\n");
        for exit in Exit::ALL {
            // Writing to a string cannot fail.
            let _written = writeln!(table, "  {:>3}  {}", exit.code(), exit.meaning());
        }
        table
    }

    /// The exit code for an error.
    #[must_use]
    pub fn of(error: &anyhow::Error) -> Exit {
        error
            .downcast_ref::<WalletError>()
            .map_or(Exit::Failed, Exit::of_wallet)
    }

    /// The exit code for an error.
    #[must_use]
    pub fn of_wallet(error: &WalletError) -> Exit {
        match error {
            WalletError::Silent { .. } => Exit::NotFinished,
            WalletError::Locked(_) | WalletError::WrongPassword => Exit::Password,
            WalletError::NotAsDescribed(_) => Exit::MerchantBroke,
            WalletError::CoinDenied { .. } => Exit::BankBroke,
            WalletError::TwoKeys { .. } => Exit::ServerBroke,
            WalletError::Purchase(
                PurchaseError::BothOutcomes | PurchaseError::WrongGoodsKey | PurchaseError::PaidAfterRecovery,
            ) => Exit::EscrowBroke,
            WalletError::Inconsistent(_)
            | WalletError::KeyListChanged(_)
            | WalletError::Mint(_)
            | WalletError::Store(StoreError::Damaged { .. }) => Exit::Broken,
            _ => Exit::Failed,
        }
    }
}

impl Exit {
    /// The exit code of a command that continues after errors. A failure takes precedence over a silent party.
    #[must_use]
    pub fn of_all(failed: &[WalletError]) -> Exit {
        Exit::of_parts(failed.iter().map(Exit::of_wallet))
    }

    /// The exit code of a command with these parts. A failure takes precedence over a silent party.
    #[must_use]
    pub fn of_parts(parts: impl IntoIterator<Item = Exit>) -> Exit {
        let mut parts = parts.into_iter().filter(|exit| *exit != Exit::Done);
        let Some(first) = parts.next() else {
            return Exit::Done;
        };
        let failure = |exit: &Exit| *exit != Exit::NotFinished;
        std::iter::once(first).chain(parts).find(failure).unwrap_or(first)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;
    use farthing_protocol::api::Question;

    #[test]
    fn codes_are_distinct_and_documented() {
        let mut codes: Vec<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
        codes.dedup();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 130]);
        for code in codes {
            assert!(Exit::table().contains(&format!("  {code:>3}  ")), "{code}");
        }
    }

    #[test]
    fn an_error_keeps_its_code_under_a_context() {
        let silent = WalletError::Silent {
            party: "bank `central`".into(),
            question: Question::Withdraw,
            why: "no answer".into(),
        };
        let error = Err::<(), _>(silent)
            .context("the restore is not complete")
            .unwrap_err();
        assert_eq!(Exit::of(&error), Exit::NotFinished);
        assert_eq!(Exit::of(&anyhow::anyhow!("anything")), Exit::Failed);
        let both = WalletError::Purchase(PurchaseError::BothOutcomes);
        assert_eq!(Exit::of(&both.into()), Exit::EscrowBroke);
        assert_eq!(
            Exit::of(&WalletError::NotAsDescribed(3).into()),
            Exit::MerchantBroke
        );
        assert_eq!(Exit::of(&WalletError::WrongGoods.into()), Exit::Failed);
    }

    #[test]
    fn a_failure_takes_precedence_over_a_silent_party() {
        let silent = || WalletError::Silent {
            party: "bank `central`".into(),
            question: Question::Exchange,
            why: "no answer".into(),
        };
        assert_eq!(Exit::of_all(&[]), Exit::Done);
        assert_eq!(Exit::of_all(&[silent()]), Exit::NotFinished);
        assert_eq!(Exit::of_all(&[silent(), WalletError::WrongGoods]), Exit::Failed);
        assert_eq!(
            Exit::of_all(&[WalletError::NotAsDescribed(1), WalletError::WrongGoods]),
            Exit::MerchantBroke
        );
    }
}
