//! Changes of balances, of accounts and of reserves. Each one is a part of a transaction that moves money, and updates
//! the sums with it.

use crate::ledger::{Posting, move_balance, posting_reads};
use crate::movement::MovementKind;
use crate::policy::Policy;
use crate::rows::{
    ACCOUNTS, RESERVE_CREDITS, RESERVE_DEBITS, RESERVES, RESERVES_TOTAL, ReserveDebit, TOTALS,
};
use farthing_coin::{PublicKey, StatementDigest};
use farthing_node::call::TxError;
use farthing_protocol::{
    money::Amount,
    refusal::{AccountFault, ContractFault},
    reserve::CreditSource,
    reserve_sums::ReserveSums,
};
use farthing_store::{RowKey, StoreError, Transaction};

/// The rows that [`move_account`] reads.
pub(crate) fn account_reads(account: &PublicKey, kind: MovementKind) -> Vec<RowKey> {
    let rows = [ACCOUNTS.key(account), TOTALS.key(&())];
    rows.into_iter().chain(posting_reads(account, kind)).collect()
}

/// Credits or debits an account, as the kind of the movement says, and writes the report that `policy` asks for.
///
/// # Errors
/// When the account is unknown, holds too little, or cannot take that much.
pub(crate) fn move_account(
    tx: &mut Transaction<'_>,
    owner: PublicKey,
    kind: MovementKind,
    amount: Amount,
    policy: &Policy,
    now_ms: u64,
) -> Result<(), TxError> {
    let account = ACCOUNTS.get(tx, &owner)?.ok_or(AccountFault::Unknown(owner))?;
    let before = account.balance;
    let Some(balance) = kind.balance_after(before, amount) else {
        let (balance, asked) = (before, amount);
        return Err(match kind.is_debit() {
            true => AccountFault::Balance { balance, asked }.into(),
            false => ContractFault::Decision("the account cannot take that much".into()).into(),
        });
    };
    let posting = Posting {
        account: owner,
        kind,
        amount,
        balance,
        at_ms: now_ms,
        reference: None,
    };
    move_balance(tx, policy, account, posting)?;
    let mut totals = TOTALS.get(tx, &())?.unwrap_or_default();
    let accounts = kind.balance_after(totals.accounts, amount);
    totals.accounts = accounts.ok_or_else(|| damaged(totals.accounts, amount, TOTALS.name()))?;
    Ok(TOTALS.put(tx, &(), &totals)?)
}

/// The rows that [`credit_reserve`] reads.
pub(crate) fn credit_reads(reserve: &PublicKey, source: &CreditSource) -> [RowKey; 3] {
    [
        RESERVES.key(reserve),
        RESERVE_CREDITS.key(&(*reserve, source.id())),
        RESERVES_TOTAL.key(&()),
    ]
}

/// Credits a reserve, once for each source.
///
/// # Errors
/// When the reserve cannot take that much.
pub(crate) fn credit_reserve(
    tx: &mut Transaction<'_>,
    reserve: &PublicKey,
    source: &CreditSource,
    amount: Amount,
) -> Result<(), TxError> {
    let credit = (*reserve, source.id());
    if RESERVE_CREDITS.get(tx, &credit)?.is_some() {
        return Ok(());
    }
    let overflow = || ContractFault::Decision("the reserve cannot take that much".into());
    let sums = RESERVES.get(tx, reserve)?.unwrap_or_default();
    RESERVES.put(tx, reserve, &sums.after_credit(amount).ok_or_else(overflow)?)?;
    RESERVE_CREDITS.put(tx, &credit, &amount)?;
    let total = RESERVES_TOTAL.get(tx, &())?.unwrap_or_default();
    let total = total.checked_add(amount).ok_or_else(overflow)?;
    Ok(RESERVES_TOTAL.put(tx, &(), &total)?)
}

/// The rows that [`debit_reserve`] reads.
pub(crate) fn debit_reads(reserve: &PublicKey) -> [RowKey; 2] {
    [RESERVES.key(reserve), RESERVES_TOTAL.key(&())]
}

/// Debits a reserve, and stores the request of its owner. `sums` are its sums after the debit.
///
/// # Errors
/// When the store refuses.
pub(crate) fn debit_reserve(
    tx: &mut Transaction<'_>,
    reserve: &PublicKey,
    sums: &ReserveSums,
    request: StatementDigest,
    debit: &ReserveDebit,
) -> Result<(), TxError> {
    RESERVES.put(tx, reserve, sums)?;
    RESERVE_DEBITS.put(tx, &(*reserve, request), debit)?;
    let total = RESERVES_TOTAL.get(tx, &())?.unwrap_or_default();
    let left = total.checked_sub(debit.amount);
    let left = left.ok_or_else(|| damaged(total, debit.amount, RESERVES_TOTAL.name()))?;
    Ok(RESERVES_TOTAL.put(tx, &(), &left)?)
}

/// The error of a sum of the bank that a movement of `amount` does not fit. It only occurs if the sums are damaged.
fn damaged(sum: Amount, amount: Amount, table: &'static str) -> StoreError {
    StoreError::Row {
        table,
        why: format!("it has {sum}, and {amount} should be moved; run `farthing-bank audit`"),
    }
}
