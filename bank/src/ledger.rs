//! The ledger: every movement of money on an account, with its date and the balance after it. With a policy, it also
//! writes the reports that the policy asks for.
//!
//! The rows are written in the transaction that moves the money. So each movement has one row and at most one report, and
//! a crash loses neither. They are about the accounts' edge alone: cash in, cash out, withdrawals, and money that a sale
//! brings to an account. They name no coin, no request and no purchase.

use crate::policy::{Level, Policy};
use crate::rows::{ACCOUNTS, Account, LEDGER, LEDGER_ENDS, REPORT_SUMS, REPORTS};
use farthing_coin::PublicKey;
use farthing_protocol::money::Amount;
use farthing_store::{RowKey, StoreError, Transaction};
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
        }
    }

    /// The place of its sum among the rows of an account.
    fn number(self) -> u8 {
        match self {
            Self::Before => 0,
            Self::CashIn => 1,
            Self::CashOut => 2,
            Self::Withdrawal => 3,
            Self::Deposit => 4,
        }
    }

    /// The balance after a movement of `amount`. `None` if no balance can be so.
    pub fn balance_after(self, balance: Amount, amount: Amount) -> Option<Amount> {
        match self {
            Self::Before => Some(balance),
            Self::CashIn | Self::Deposit => balance.checked_add(amount),
            Self::CashOut | Self::Withdrawal => balance.checked_sub(amount),
        }
    }

    /// The balance before a movement of `amount`, to the nearest balance that can be.
    fn balance_before(self, after: Amount, amount: Amount) -> Amount {
        match self {
            Self::Before => after,
            Self::CashIn | Self::Deposit => Amount(after.0.saturating_sub(amount.0)),
            Self::CashOut | Self::Withdrawal => Amount(after.0.saturating_add(amount.0)),
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

/// A movement that is being made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posting {
    /// The account.
    pub account: PublicKey,
    /// The kind.
    pub kind: MovementKind,
    /// The amount.
    pub amount: Amount,
    /// The balance after it.
    pub balance: Amount,
    /// The time (ms since 1970).
    pub at_ms: u64,
    /// The operator's name for a movement of the cash desk.
    pub reference: Option<String>,
}

/// A report that the policy asks for: about one movement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportRow {
    /// Whether it is to be reported, or only kept.
    pub level: Level,
    /// The kind of the movement.
    pub kind: MovementKind,
    /// Its amount.
    pub amount: Amount,
    /// The sum of the account's movements of this kind in the period, this one included.
    pub sum: Amount,
    /// The limit that the sum exceeds.
    pub limit: Amount,
}

/// Begins the ledger of an account that is being opened.
///
/// # Errors
/// When the store refuses.
pub fn begin(tx: &mut Transaction<'_>, account: &PublicKey) -> Result<(), StoreError> {
    let end = LedgerEnd {
        next: 0,
        balance: Amount(0),
    };
    LEDGER_ENDS.put(tx, account, &end)
}

/// The rows that [`post`] reads.
pub fn posting_reads(account: &PublicKey, kind: MovementKind) -> [RowKey; 2] {
    [
        LEDGER_ENDS.key(account),
        REPORT_SUMS.key(&(*account, kind.number())),
    ]
}

/// Writes the movement into the ledger, and the report that `policy` asks for.
///
/// # Errors
/// When the store refuses.
pub fn post(tx: &mut Transaction<'_>, policy: &Policy, posting: Posting) -> Result<(), StoreError> {
    let Posting {
        account,
        kind,
        amount,
        balance,
        at_ms,
        reference,
    } = posting;
    let number = match LEDGER_ENDS.get(tx, &account)? {
        Some(end) => end.next,
        // The account is older than the ledger.
        None => {
            let before = LedgerRow {
                kind: MovementKind::Before,
                amount: Amount(0),
                balance: kind.balance_before(balance, amount),
                at_ms,
                reference: None,
            };
            LEDGER.put(tx, &(account, 0), &before)?;
            1
        }
    };
    let row = LedgerRow {
        kind,
        amount,
        balance,
        at_ms,
        reference,
    };
    LEDGER.put(tx, &(account, number), &row)?;
    let end = LedgerEnd {
        next: number.saturating_add(1),
        balance,
    };
    LEDGER_ENDS.put(tx, &account, &end)?;
    let Some(limits) = policy.limits(kind) else {
        return Ok(());
    };
    let sums_key = (account, kind.number());
    let mut sums = REPORT_SUMS.get(tx, &sums_key)?.unwrap_or_default();
    let sum = sums.add(at_ms, policy.period_ms(), amount);
    REPORT_SUMS.put(tx, &sums_key, &sums)?;
    let Some((level, limit)) = limits.exceeded(sum) else {
        return Ok(());
    };
    let report = ReportRow {
        level,
        kind,
        amount,
        sum,
        limit,
    };
    REPORTS.put(tx, &(at_ms, account, number), &report)
}

/// Sets the balance of an account and writes the movement that changed it.
///
/// # Errors
/// When the store refuses.
pub fn move_balance(
    tx: &mut Transaction<'_>,
    policy: &Policy,
    account: Account,
    posting: Posting,
) -> Result<(), StoreError> {
    let balance = posting.balance;
    ACCOUNTS.put(tx, &posting.account, &Account { balance, ..account })?;
    post(tx, policy, posting)
}
