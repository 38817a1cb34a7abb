//! The ledger: every movement of money on an account, with its date and the balance after it. With a policy, it also
//! writes the reports that the policy asks for.
//!
//! The rows are written in the transaction that moves the money. So each movement has one row and at most one report, and
//! a crash loses neither. They are about the accounts' edge alone: cash in, cash out, withdrawals, and money that a sale
//! brings to an account. They name no coin, no request and no purchase.

use crate::movement::{LedgerEnd, LedgerRow, MovementKind};
use crate::policy::{Policy, ReportRow};
use crate::rows::{ACCOUNTS, Account, LEDGER, LEDGER_ENDS, REPORT_SUMS, REPORTS};
use farthing_coin::PublicKey;
use farthing_protocol::money::Amount;
use farthing_store::{RowKey, StoreError, Transaction};

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
