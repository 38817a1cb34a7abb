//! The transactions on reserves: withdrawals from them, deposits, and refunds.

use crate::balances::{
    account_reads, credit_reads, credit_reserve, debit_reads, debit_reserve, move_account,
};
use crate::keys::Keys;
use crate::movement::MovementKind;
use crate::policy::Policy;
use crate::rows::{
    ACCOUNTS, DEPOSITS, EXCHANGED, PURCHASES, REFUNDS, RESERVES, ReserveDebit, coin_reads, coin_states,
    exchanged_reads, move_coins, purchase_key, put_exchanged,
};
use crate::transactions::{Issuing, Opening, Prepared};
use farthing_node::call::TxError;
use farthing_protocol::{
    claim::SessionClaim,
    deposit::VerifiedDeposit,
    deposited::{Deposited, Payee},
    documents::Issued,
    issue::Sessions,
    refund::{RefundDecision, Refunded, VerifiedRefund},
    reserve::{CreditSource, VerifiedReserve},
    reserve_sums::ReserveSums,
    withdraw::{Funds, VerifiedWithdrawBegin, VerifiedWithdrawFinish},
};
use farthing_store::{Reads, RowKey, Transaction, View};

/// The rows that [`sums`] reads.
pub fn sums_reads(request: &VerifiedReserve) -> [RowKey; 1] {
    [RESERVES.key(&request.reserve())]
}

/// Returns the sums of a reserve. A reserve that was never credited has none.
///
/// # Errors
/// When the store fails.
pub fn sums(tx: &mut Transaction<'_>, request: &VerifiedReserve) -> Result<ReserveSums, TxError> {
    Ok(RESERVES.get(tx, &request.reserve())?.unwrap_or_default())
}

/// As [`withdraw_ready`](crate::transactions::withdraw_ready), for a reserve.
///
/// # Errors
/// When the reserve holds too little, or an output is not being issued.
pub fn withdraw_ready(
    view: &View,
    request: &VerifiedWithdrawBegin,
    keys: &Keys,
    now_ms: u64,
) -> Result<Option<Issued>, TxError> {
    if let Some(stored) = EXCHANGED.peek(view, &request.request_id())? {
        return Ok(Some(stored));
    }
    let sums = RESERVES.peek(view, &request.account())?.unwrap_or_default();
    request.check(Funds::Reserve(sums), keys.book(), now_ms)?;
    Ok(None)
}

/// The rows that [`withdraw_begin`] reads.
pub fn withdraw_begin_reads(request: &VerifiedWithdrawBegin) -> [RowKey; 2] {
    [
        EXCHANGED.key(&request.request_id()),
        RESERVES.key(&request.account()),
    ]
}

/// Opens a session for a withdrawal from a reserve with prepared nonces. It writes nothing. It is a transaction to keep the
/// order.
///
/// # Errors
/// When the reserve holds too little, or an output is not being issued.
pub fn withdraw_begin(
    tx: &mut Transaction<'_>,
    request: &VerifiedWithdrawBegin,
    prepared: &Prepared,
    sessions: &mut Sessions,
    keys: &Keys,
    now_ms: u64,
) -> Result<Opening, TxError> {
    if let Some(stored) = EXCHANGED.get(tx, &request.request_id())? {
        return Ok(Opening::Finished(stored));
    }
    let sums = RESERVES.get(tx, &request.account())?.unwrap_or_default();
    request.check(Funds::Reserve(sums), keys.book(), now_ms)?;
    Ok(Opening::Begun(prepared.open(sessions, now_ms)?))
}

/// The rows that [`withdraw_finish`] reads.
pub fn withdraw_finish_reads(request: &VerifiedWithdrawFinish) -> Reads {
    Reads::from(exchanged_reads(request.request_id(), request.outputs())).and(debit_reads(&request.account()))
}

/// Debits the reserve and answers the challenges. A finished request gets the same answer again.
///
/// The record is on the shelf of the exchanges, and a restore finds it there.
///
/// # Errors
/// When the session is gone, the reserve holds too little, or an output is not being issued.
pub fn withdraw_finish(
    tx: &mut Transaction<'_>,
    request: &VerifiedWithdrawFinish,
    sessions: &mut Sessions,
    claim: &mut SessionClaim,
    keys: &Keys,
    now_ms: u64,
) -> Result<Issuing, TxError> {
    let (reserve, id) = (request.account(), request.request_id());
    if let Some(stored) = EXCHANGED.get(tx, &id)? {
        return Ok(Issuing::repeated(stored, |stored| request.is_repeat_of(stored)));
    }
    let sums = RESERVES.get(tx, &reserve)?.unwrap_or_default();
    let debit = request.respond(
        Funds::Reserve(sums),
        sessions,
        claim,
        keys.book(),
        |id| keys.secret(id),
        now_ms,
    )?;
    if let Funds::Reserve(left) = &debit.funds {
        let row = ReserveDebit {
            amount: debit.total,
            signature: request.signature(),
        };
        debit_reserve(tx, &reserve, left, request.digest(), &row)?;
    }
    put_exchanged(tx, request.digest(), &debit.issued)?;
    Ok(Issuing::Issued(debit.issued))
}

/// The rows that [`deposit`] reads.
pub fn deposit_reads(request: &VerifiedDeposit) -> Reads {
    let source = CreditSource::Deposit(request.id());
    let credited = request.outputs().iter().flat_map(|output| match &output.to {
        Payee::Account(account) => account_reads(account, MovementKind::Coins),
        Payee::Reserve(reserve) => credit_reads(reserve, &source).to_vec(),
    });
    let debited = request.reserve().map(|(reserve, _)| debit_reads(&reserve));
    Reads::from([DEPOSITS.key(&request.id())])
        .and(coin_reads(&request.coins()))
        .and(credited)
        .and(debited.into_iter().flatten())
}

/// Spends the coins or debits the reserve, and credits the payees. The same deposit gets the same answer again. A credit
/// of an account gets the report that `policy` asks for.
///
/// # Errors
/// When a coin is used or its time has ended, the reserve holds too little, or an account is unknown.
pub fn deposit(
    tx: &mut Transaction<'_>,
    request: &VerifiedDeposit,
    policy: &Policy,
    now_ms: u64,
) -> Result<Deposited, TxError> {
    let id = request.id();
    if let Some(stored) = DEPOSITS.get(tx, &id)? {
        return Ok(stored);
    }
    let coins = request.coins();
    let states = coin_states(tx, &coins)?;
    let mut accounts = Vec::new();
    for output in request.outputs() {
        if let Payee::Account(account) = &output.to
            && ACCOUNTS.get(tx, account)?.is_some()
        {
            accounts.push(*account);
        }
    }
    let sums = match request.reserve() {
        Some((reserve, _)) => RESERVES.get(tx, &reserve)?.unwrap_or_default(),
        None => ReserveSums::default(),
    };
    let writes = request.respond(&states, sums, |key| accounts.contains(key), now_ms)?;
    move_coins(tx, &coins, &states, &writes.states)?;
    if let Some((left, (reserve, signature))) = writes.sums.zip(request.reserve()) {
        let row = ReserveDebit {
            amount: request.total(),
            signature,
        };
        debit_reserve(tx, &reserve, &left, id.into(), &row)?;
    }
    for output in request.outputs() {
        let (to, amount) = (output.to, output.amount);
        match to {
            Payee::Account(account) => {
                move_account(tx, account, MovementKind::Coins, amount, policy, now_ms)?;
            }
            Payee::Reserve(reserve) => {
                credit_reserve(tx, &reserve, &CreditSource::Deposit(id), amount)?;
            }
        }
    }
    DEPOSITS.put(tx, &id, &writes.deposited)?;
    Ok(writes.deposited)
}

/// The rows that [`refund`] reads: the purchase, then the reserve that it names.
pub fn refund_reads(request: &VerifiedRefund) -> Reads {
    let (purchase, escrow) = request.row_key();
    let row = purchase_key(&purchase, &escrow);
    let source = CreditSource::Refund(purchase, request.total());
    Reads::from([PURCHASES.key(&row), REFUNDS.key(&row)])
        .and(account_reads(&request.account(), MovementKind::Refund))
        .then(move |rows| {
            let stored = rows.get(&PURCHASES, &row)?;
            let terms = stored.as_ref().and_then(|stored| stored.terms());
            let reserve = terms.map(|terms| credit_reads(&terms.purchase_key, &source));
            Ok(reserve.into_iter().flatten().collect())
        })
}

/// Raises what was refunded of a purchase to the total of the request. The debit of the account gets the report that
/// `policy` asks for.
///
/// # Errors
/// When the purchase is not known as committed, it has credited another account, its price is less than the total, or the
/// account holds too little.
pub fn refund(
    tx: &mut Transaction<'_>,
    request: &VerifiedRefund,
    policy: &Policy,
    now_ms: u64,
) -> Result<Refunded, TxError> {
    let (purchase, escrow) = request.row_key();
    let row = purchase_key(&purchase, &escrow);
    let stored = PURCHASES.get(tx, &row)?;
    let before = REFUNDS.get(tx, &row)?.unwrap_or_default();
    let account = request.account();
    let balance = ACCOUNTS.get(tx, &account)?.map(|row| row.balance);
    match request.respond(stored.as_ref(), before, balance)? {
        RefundDecision::Before(refunded) => Ok(refunded),
        RefundDecision::Now { increase, refunded } => {
            move_account(tx, account, MovementKind::Refund, increase, policy, now_ms)?;
            let source = CreditSource::Refund(purchase, refunded.total);
            credit_reserve(tx, &refunded.reserve, &source, increase)?;
            REFUNDS.put(tx, &row, &refunded.total)?;
            Ok(refunded)
        }
    }
}
