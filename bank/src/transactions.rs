//! The bank's transactions. Each reads the rows that a verified request names, calls the protocol's decision, and writes
//! its result: all rows, or none.
//!
//! A transaction uses no clock, no socket and no signing key. Time is an argument, and the service signs the result after
//! it is durable. A transaction may run again over other rows. Some transactions also change the open sessions. Only
//! their first run does.

use crate::balances::{account_reads, credit_reads, credit_reserve, move_account};
use crate::keys::Keys;
use crate::movement::MovementKind;
use crate::policy::Policy;
use crate::rows::{
    ACCOUNTS, COINS, CONTRADICTIONS, EXCHANGED, HELD_BEFORE_CAUSES, HOLDS, PURCHASES, RECOVERY_RECORDS,
    RECOVERY_RECORDS_PER_ID_MAX, RecoveryRecordRow, SCAN_RECORD_VERSIONS, SCAN_RECORDS, TOTALS, WITHDRAWN,
    coin_reads, coin_states, count_issued, count_reads, exchanged_reads, move_coins, purchase_key,
    put_exchanged,
};
use farthing_coin::{KeyId, PublicKey};
use farthing_node::call::TxError;
use farthing_protocol::{
    claim::SessionClaim,
    coins::CoinState,
    decision::SignedDecision,
    documents::{BankHold, Issued, Settled},
    exchange::{VerifiedExchangeBegin, VerifiedExchangeFinish},
    hold::{HoldDecision, VerifiedBankHold},
    issue::{Begun, PreparedSession, SessionRequest, Sessions},
    money::Amount,
    refusal::{AccountFault, RequestFault},
    reserve::CreditSource,
    restore::{KeptMemo, VerifiedAccount, VerifiedMemo},
    settle::{CollectRequest, Collected, SettleDecision, VerifiedDecision, respond_collect},
    withdraw::{Funds, VerifiedWithdrawBegin, VerifiedWithdrawFinish},
};
use farthing_store::{Reads, RowKey, StoreError, Transaction, View};
use std::sync::{Arc, Mutex, PoisonError};

/// The result of a finish of an issuance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Issuing {
    /// The coins were issued, now or for an earlier copy of the same request.
    Issued(Issued),
    /// The request id was finished earlier with this other content.
    Otherwise(Issued),
}

impl Issuing {
    /// The result of a request whose id was finished with `stored`.
    pub(crate) fn repeated(stored: Issued, is_same: impl FnOnce(&Issued) -> bool) -> Self {
        match is_same(&stored) {
            true => Self::Issued(stored),
            false => Self::Otherwise(stored),
        }
    }
}

/// The rows that [`balance`] reads.
pub fn balance_reads(request: &VerifiedAccount) -> [RowKey; 1] {
    [ACCOUNTS.key(&request.account())]
}

/// Returns the balance of an account.
///
/// # Errors
/// When the account is unknown.
pub fn balance(tx: &mut Transaction<'_>, request: &VerifiedAccount) -> Result<Amount, TxError> {
    let account = request.account();
    let row = ACCOUNTS.get(tx, &account)?;
    Ok(row.ok_or(AccountFault::Unknown(account))?.balance)
}

/// Returns the account if `request` would replace its scan record with a newer one.
///
/// # Errors
/// When the store fails.
pub fn scan_record_to_write(view: &View, request: &VerifiedMemo) -> Result<Option<PublicKey>, StoreError> {
    let account = request.account();
    let known = ACCOUNTS.peek(view, &account)?.is_some();
    let kept = KeptMemo {
        version: SCAN_RECORD_VERSIONS.peek(view, &account)?.unwrap_or(0),
        memo: SCAN_RECORDS.peek(view, &account)?,
    };
    Ok((known && request.respond(&kept).is_some()).then_some(account))
}

/// The rows that [`scan_record`] reads.
pub fn scan_record_reads(request: &VerifiedMemo) -> [RowKey; 3] {
    let account = request.account();
    [
        ACCOUNTS.key(&account),
        SCAN_RECORD_VERSIONS.key(&account),
        SCAN_RECORDS.key(&account),
    ]
}

/// Replaces the scan record of an account if the one in `request` is newer. Returns the stored one.
///
/// # Errors
/// When the account is unknown, or the store fails.
pub fn scan_record(tx: &mut Transaction<'_>, request: &VerifiedMemo) -> Result<KeptMemo, TxError> {
    let account = request.account();
    if ACCOUNTS.get(tx, &account)?.is_none() {
        return Err(AccountFault::Unknown(account).into());
    }
    let kept = KeptMemo {
        version: SCAN_RECORD_VERSIONS.get(tx, &account)?.unwrap_or(0),
        memo: SCAN_RECORDS.get(tx, &account)?,
    };
    let Some(newer) = request.respond(&kept) else {
        return Ok(kept);
    };
    if let Some(memo) = &newer.memo {
        SCAN_RECORDS.put(tx, &account, memo)?;
        SCAN_RECORD_VERSIONS.put(tx, &account, &newer.version)?;
    }
    Ok(newer)
}

/// The result of a begin of an issuance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// The first message of the session.
    Begun(Begun),
    /// The request was finished earlier, and these coins were issued.
    Finished(Issued),
}

/// A session that is prepared before its transaction, or a request whose session is open.
#[derive(Debug)]
pub struct Prepared {
    request: SessionRequest,
    /// The new nonces, until the session is open.
    fresh: Mutex<Option<PreparedSession>>,
}

impl Prepared {
    /// Pairs `request` with its new nonces, if it has no open session.
    pub fn new(request: SessionRequest, fresh: Option<PreparedSession>) -> Self {
        let fresh = Mutex::new(fresh);
        Self { request, fresh }
    }

    /// Opens the session, or repeats the first message of an open one.
    pub(crate) fn open(&self, sessions: &mut Sessions, now_ms: u64) -> Result<Begun, TxError> {
        let fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner).take();
        match fresh {
            Some(session) => Ok(sessions.open(session, now_ms)),
            None => Ok(sessions.repeat(&self.request, now_ms)?),
        }
    }
}

/// Checks, before nonces are made, whether a session may be opened. Returns what the request has been issued, if it was
/// finished.
///
/// It reads durable rows outside a transaction. A request that cannot be paid then costs the writer thread nothing.
///
/// # Errors
/// When the account is unknown or holds too little, or an output is not being issued.
pub fn withdraw_ready(
    view: &View,
    request: &VerifiedWithdrawBegin,
    keys: &Keys,
    now_ms: u64,
) -> Result<Option<Issued>, TxError> {
    let account = request.account();
    if let Some(stored) = WITHDRAWN.peek(view, &(account, request.request_id()))? {
        return Ok(Some(stored));
    }
    let balance = ACCOUNTS.peek(view, &account)?.map(|row| row.balance);
    request.check(Funds::Account(balance), keys.book(), now_ms)?;
    Ok(None)
}

/// The rows that [`withdraw_begin`] reads.
pub fn withdraw_begin_reads(request: &VerifiedWithdrawBegin) -> [RowKey; 2] {
    let account = request.account();
    [
        WITHDRAWN.key(&(account, request.request_id())),
        ACCOUNTS.key(&account),
    ]
}

/// Opens a session for a withdrawal with prepared nonces. It writes nothing. It is a transaction to keep the order.
///
/// A finished request gets what was issued for it, even if the balance no longer covers it.
///
/// # Errors
/// When the account is unknown or holds too little, or an output is not being issued.
pub fn withdraw_begin(
    tx: &mut Transaction<'_>,
    request: &VerifiedWithdrawBegin,
    prepared: &Prepared,
    sessions: &mut Sessions,
    keys: &Keys,
    now_ms: u64,
) -> Result<Opening, TxError> {
    let account = request.account();
    if let Some(stored) = WITHDRAWN.get(tx, &(account, request.request_id()))? {
        return Ok(Opening::Finished(stored));
    }
    let balance = ACCOUNTS.get(tx, &account)?.map(|row| row.balance);
    request.check(Funds::Account(balance), keys.book(), now_ms)?;
    Ok(Opening::Begun(prepared.open(sessions, now_ms)?))
}

/// The rows that [`withdraw_finish`] reads.
pub fn withdraw_finish_reads(request: &VerifiedWithdrawFinish) -> Reads {
    let account = request.account();
    Reads::from([WITHDRAWN.key(&(account, request.request_id()))])
        .and(account_reads(&account, MovementKind::Withdrawal))
        .and(count_reads(request.outputs()))
}

/// Debits the account, answers the challenges, and writes the report that `policy` asks for. A finished request gets the
/// same answer again.
///
/// The transaction takes the session, in the order of all finishes. So "the session is gone" means that nothing was
/// debited.
///
/// # Errors
/// When the session is gone, the account is unknown or holds too little, or an output is not being issued.
pub fn withdraw_finish(
    tx: &mut Transaction<'_>,
    request: &VerifiedWithdrawFinish,
    sessions: &mut Sessions,
    claim: &mut SessionClaim,
    keys: &Keys,
    policy: &Policy,
    now_ms: u64,
) -> Result<Issuing, TxError> {
    let (owner, id) = (request.account(), (request.account(), request.request_id()));
    if let Some(stored) = WITHDRAWN.get(tx, &id)? {
        return Ok(Issuing::repeated(stored, |stored| request.is_repeat_of(stored)));
    }
    let balance = ACCOUNTS.get(tx, &owner)?.map(|row| row.balance);
    let debit = request.respond(
        Funds::Account(balance),
        sessions,
        claim,
        keys.book(),
        |id| keys.secret(id),
        now_ms,
    )?;
    move_account(tx, owner, MovementKind::Withdrawal, debit.total, policy, now_ms)?;
    WITHDRAWN.put(tx, &id, &debit.issued)?;
    count_issued(tx, &debit.issued)?;
    Ok(Issuing::Issued(debit.issued))
}

/// As [`withdraw_ready`], for an exchange.
///
/// # Errors
/// When a coin cannot be exchanged, an output is not being issued, or the sums differ.
pub fn exchange_ready(
    view: &View,
    request: &VerifiedExchangeBegin,
    keys: &Keys,
    now_ms: u64,
) -> Result<Option<Issued>, TxError> {
    if let Some(stored) = EXCHANGED.peek(view, &request.request_id())? {
        return Ok(Some(stored));
    }
    let states = request.coins().row_keys();
    let states = states
        .iter()
        .map(|coin| Ok(COINS.peek(view, coin)?.unwrap_or(CoinState::Unseen)));
    let states: Vec<CoinState> = states.collect::<Result<_, StoreError>>()?;
    request.check(&states, keys.book(), now_ms)?;
    Ok(None)
}

/// The rows that [`exchange_begin`] reads.
pub fn exchange_begin_reads(request: &VerifiedExchangeBegin) -> Reads {
    let coins = request.coins().row_keys();
    Reads::from([EXCHANGED.key(&request.request_id())]).and(coins.iter().map(|coin| COINS.key(coin)))
}

/// Opens a session for an exchange with prepared nonces. It writes nothing. It is a transaction to keep the order.
///
/// A finished request gets what was issued for it. Its coins are exchanged, so the check would refuse it. A wallet that
/// was rolled back could then never reach the `finish` that tells it.
///
/// # Errors
/// When a coin cannot be exchanged, an output is not being issued, or the sums differ.
pub fn exchange_begin(
    tx: &mut Transaction<'_>,
    request: &VerifiedExchangeBegin,
    prepared: &Prepared,
    sessions: &mut Sessions,
    keys: &Keys,
    now_ms: u64,
) -> Result<Opening, TxError> {
    if let Some(stored) = EXCHANGED.get(tx, &request.request_id())? {
        return Ok(Opening::Finished(stored));
    }
    let states = coin_states(tx, &request.coins().row_keys())?;
    request.check(&states, keys.book(), now_ms)?;
    Ok(Opening::Begun(prepared.open(sessions, now_ms)?))
}

/// The rows that [`exchange_finish`] reads.
pub fn exchange_finish_reads(request: &VerifiedExchangeFinish) -> Reads {
    Reads::from(exchanged_reads(request.request_id(), request.outputs()))
        .and(coin_reads(&request.coins().row_keys()))
}

/// Takes the coins and answers the challenges. A finished request gets the same answer again.
///
/// # Errors
/// When the session is gone, a coin cannot be exchanged, an output is not being issued, or the sums differ.
pub fn exchange_finish(
    tx: &mut Transaction<'_>,
    request: &VerifiedExchangeFinish,
    sessions: &mut Sessions,
    claim: &mut SessionClaim,
    keys: &Keys,
    now_ms: u64,
) -> Result<Issuing, TxError> {
    let id = request.request_id();
    if let Some(stored) = EXCHANGED.get(tx, &id)? {
        return Ok(Issuing::repeated(stored, |stored| request.is_repeat_of(stored)));
    }
    let coins = request.coins().row_keys();
    let states = coin_states(tx, &coins)?;
    let exchange = request.respond(
        &states,
        sessions,
        claim,
        keys.book(),
        |id| keys.secret(id),
        now_ms,
    )?;
    move_coins(tx, &coins, &states, &exchange.states)?;
    put_exchanged(tx, request.digest(), &exchange.issued)?;
    Ok(Issuing::Issued(exchange.issued))
}

/// The rows that [`hold`] reads.
pub fn hold_reads(request: &VerifiedBankHold) -> Reads {
    let terms = request.terms();
    let (note_id, _) = request.recovery_record();
    let rows = [
        PURCHASES.key(&purchase_key(&request.purchase(), &terms.escrow)),
        ACCOUNTS.key(&terms.account),
        TOTALS.key(&()),
    ];
    Reads::from(rows)
        .and(coin_reads(&request.coins().row_keys()))
        .and((0..RECOVERY_RECORDS_PER_ID_MAX).map(|place| RECOVERY_RECORDS.key(&(*note_id, place))))
}

/// Holds the coins of a purchase, all or none, and stores the recovery record.
///
/// # Errors
/// When the purchase has ended, a coin is used, a date does not fit, or the account is unknown.
pub fn hold(tx: &mut Transaction<'_>, request: &VerifiedBankHold, now_ms: u64) -> Result<BankHold, TxError> {
    let terms = request.terms();
    let row = purchase_key(&request.purchase(), &terms.escrow);
    let purchase = PURCHASES.get(tx, &row)?;
    let coins = request.coins().row_keys();
    let states = coin_states(tx, &coins)?;
    let account_known = ACCOUNTS.get(tx, &terms.account)?.is_some();
    match request.respond(purchase.as_ref(), &states, account_known, now_ms)? {
        HoldDecision::Repeated(hold) => Ok(hold),
        HoldDecision::New {
            purchase,
            states: held,
            hold,
        } => {
            store_recovery_record(tx, request)?;
            move_coins(tx, &coins, &states, &held)?;
            PURCHASES.put(tx, &row, &purchase)?;
            HOLDS.put(tx, &(terms.deadline_ms, row.0, row.1), &())?;
            Ok(hold)
        }
    }
}

/// Stores the recovery record after the earlier ones under the same id.
fn store_recovery_record(tx: &mut Transaction<'_>, request: &VerifiedBankHold) -> Result<(), TxError> {
    let (note_id, bytes) = request.recovery_record();
    for place in 0..RECOVERY_RECORDS_PER_ID_MAX {
        if RECOVERY_RECORDS.get(tx, &(*note_id, place))?.is_none() {
            let note = RecoveryRecordRow {
                purchase: request.purchase(),
                bytes: bytes.to_vec(),
            };
            RECOVERY_RECORDS.put(tx, &(*note_id, place), &note)?;
            let mut totals = TOTALS.get(tx, &())?.unwrap_or_default();
            totals.recovery_records = totals.recovery_records.saturating_add(1);
            TOTALS.put(tx, &(), &totals)?;
            return Ok(());
        }
    }
    Err(RequestFault::ListLength {
        what: "notes under one id".into(),
        got: usize::from(RECOVERY_RECORDS_PER_ID_MAX).saturating_add(1),
        most: RECOVERY_RECORDS_PER_ID_MAX.into(),
    }
    .into())
}

/// The result of a decision that was sent to the bank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settling {
    /// The decision is applied.
    Settled(Settled),
    /// The escrow signed this opposite decision earlier. It stays applied.
    Opposed(SignedDecision),
}

/// What coins are worth together.
fn worth(coins: &[(KeyId, PublicKey)], keys: &Keys) -> Amount {
    let values = coins.iter().filter_map(|(key_id, _)| keys.book().get(key_id));
    Amount(values.fold(0, |sum, key| sum.saturating_add(key.value)))
}

/// The rows that [`settle`] reads: the purchase, then the rows that it names. Those of the reserve only if there is change.
pub fn settle_reads(decision: &VerifiedDecision, keys: Arc<Keys>) -> Reads {
    let (purchase, escrow) = decision.row_key();
    let row = purchase_key(&purchase, &escrow);
    let rows = [
        PURCHASES.key(&row),
        HELD_BEFORE_CAUSES.key(&row),
        CONTRADICTIONS.key(&row),
    ];
    let amount = decision.decision().amount();
    Reads::from(rows).then(move |rows| {
        let Some(stored) = rows.get(&PURCHASES, &row)? else {
            return Ok(Vec::new());
        };
        let worth = worth(stored.held_coins(), &keys);
        let credited = stored.terms().into_iter().flat_map(|terms| {
            let account = account_reads(&terms.account, MovementKind::Deposit);
            let change = amount.and_then(|amount| terms.change(worth, amount));
            let reserve = change.map(|_| credit_reads(&terms.purchase_key, &CreditSource::Change(purchase)));
            account.into_iter().chain(reserve.into_iter().flatten())
        });
        Ok(coin_reads(stored.held_coins()).chain(credited).collect())
    })
}

/// Applies a decision: spends the coins, credits the account and the reserve for the change, or releases the coins. A
/// credit of an account gets the report that `policy` asks for. Of two opposite decisions it applies the first and stores both.
///
/// # Errors
/// When a commit's purchase is unknown, the decision does not fit it, or an abort of held coins has no cause.
pub fn settle(
    tx: &mut Transaction<'_>,
    decision: &VerifiedDecision,
    keys: &Keys,
    policy: &Policy,
    now_ms: u64,
) -> Result<Settling, TxError> {
    let (purchase, escrow) = decision.row_key();
    let row = purchase_key(&purchase, &escrow);
    let stored = PURCHASES.get(tx, &row)?;
    let coins = stored
        .as_ref()
        .map(|p| p.held_coins().to_vec())
        .unwrap_or_default();
    let deadline_ms = stored.as_ref().and_then(|p| p.terms()).map(|t| t.deadline_ms);
    let states = coin_states(tx, &coins)?;
    let is_legacy = HELD_BEFORE_CAUSES.get(tx, &row)?.is_some();
    match decision.respond(stored, &states, worth(&coins, keys), !is_legacy, now_ms)? {
        SettleDecision::Before(settled) => Ok(Settling::Settled(settled)),
        SettleDecision::Opposed(earlier) => {
            if CONTRADICTIONS.get(tx, &row)?.is_none() {
                CONTRADICTIONS.put(tx, &row, decision.decision())?;
            }
            Ok(Settling::Opposed(earlier))
        }
        SettleDecision::Now(settlement, settled) => {
            move_coins(tx, &coins, &states, &settlement.states)?;
            PURCHASES.put(tx, &row, &settlement.purchase)?;
            if let Some(deadline_ms) = deadline_ms {
                HOLDS.delete(tx, &(deadline_ms, row.0, row.1))?;
            }
            if is_legacy {
                HELD_BEFORE_CAUSES.delete(tx, &row)?;
            }
            if let Some((account, amount)) = settlement.credit {
                move_account(tx, account, MovementKind::Deposit, amount, policy, now_ms)?;
            }
            if let Some((reserve, amount)) = settlement.change {
                credit_reserve(tx, &reserve, &CreditSource::Change(purchase), amount)?;
            }
            Ok(Settling::Settled(settled))
        }
    }
}

/// The rows that [`collect`] reads.
pub fn collect_reads(request: &CollectRequest) -> [RowKey; 1] {
    [PURCHASES.key(&purchase_key(&request.purchase, &request.escrow))]
}

/// Returns what the bank knows of a purchase, for its customer.
///
/// # Errors
/// When the purchase key has not signed the question.
pub fn collect(tx: &mut Transaction<'_>, request: &CollectRequest) -> Result<Collected, TxError> {
    let row = purchase_key(&request.purchase, &request.escrow);
    let purchase = PURCHASES.get(tx, &row)?;
    Ok(respond_collect(request, purchase.as_ref())?)
}
