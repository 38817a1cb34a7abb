//! Movements of money on an account, as the ledger has them.

use farthing_protocol::money::Amount;
use serde::{Deserialize, Serialize};

/// The kind of a movement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MovementKind {
    /// No movement: the balance of an account that is older than the ledger. Its earlier movements are not in it.
    Before,
    /// Paid in at the cash desk.
    CashIn,
    /// Paid out at the cash desk.
    CashOut,
    /// Coins were withdrawn.
    Withdrawal,
    /// A sale was credited.
    Deposit,
    /// Coins, or the money of a reserve, were paid to the account.
    Coins,
    /// A part of a sale was refunded.
    Refund,
}

impl MovementKind {
    /// The kind in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::CashIn => "cash in",
            Self::CashOut => "cash out",
            Self::Withdrawal => "withdrawal",
            Self::Deposit => "deposit",
            Self::Coins => "coins",
            Self::Refund => "refund",
        }
    }

    /// The place of its sum among the rows of an account.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Before => 0,
            Self::CashIn => 1,
            Self::CashOut => 2,
            Self::Withdrawal => 3,
            Self::Deposit => 4,
            Self::Coins => 5,
            Self::Refund => 6,
        }
    }

    /// Whether it takes money from the account.
    pub(crate) fn is_debit(self) -> bool {
        match self {
            Self::Before | Self::CashIn | Self::Deposit | Self::Coins => false,
            Self::CashOut | Self::Withdrawal | Self::Refund => true,
        }
    }

    /// The balance after a movement of `amount`. `None` if no balance can be so.
    pub fn balance_after(self, balance: Amount, amount: Amount) -> Option<Amount> {
        match (self, self.is_debit()) {
            (Self::Before, _) => Some(balance),
            (_, false) => balance.checked_add(amount),
            (_, true) => balance.checked_sub(amount),
        }
    }

    /// The balance before a movement of `amount`, to the nearest balance that can be.
    pub(crate) fn balance_before(self, after: Amount, amount: Amount) -> Amount {
        match (self, self.is_debit()) {
            (Self::Before, _) => after,
            (_, false) => Amount(after.0.saturating_sub(amount.0)),
            (_, true) => Amount(after.0.saturating_add(amount.0)),
        }
    }
}

/// A movement in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerRow {
    /// Its kind.
    pub kind: MovementKind,
    /// The amount. 0 for [`MovementKind::Before`].
    pub amount: Amount,
    /// The balance after it.
    pub balance: Amount,
    /// The time (ms since 1970).
    pub at_ms: u64,
    /// The operator's name for a movement of the cash desk.
    pub reference: Option<String>,
}

/// The end of an account's ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEnd {
    /// The number of the next movement.
    pub next: u64,
    /// The balance after the last one.
    pub balance: Amount,
}
