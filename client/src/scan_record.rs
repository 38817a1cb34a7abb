//! The scan record: how far a restore from the words must look.
//!
//! A restore looks for one number after the other. After a gap, so many missing numbers in a row, it takes the end
//! for reached. But numbers go missing while a wallet lives: numbers of exchanges that the bank refuses, and of
//! orders that come to nothing. So before a gap gets that long, the wallet reserves its numbers in a record that the
//! bank keeps for its account. A restore also writes there which numbers it has asked for.

use crate::{
    accounts::{account_key, account_keys},
    counters::{bridged_reads, mark_bridged, next_number},
    error::WalletError,
    rows::{BRIDGED, Counter, SCAN_RECORD_TIMES},
    wallet::Wallet,
};
use farthing_coin::{PublicKey, RecoveryRecordId, SecretKey, Signed};
use farthing_node::{card::Card, network::Lane};
use farthing_protocol::{
    api::Question,
    limits::RESTORE_GAP,
    refusal::{AccountFault, Refusal},
    restore::{KeptMemo, Memo, MemoRequest, ScanRecord},
    seal::{open_record, seal_record},
};
use farthing_store::{Reads, StoreError, Transaction};

/// How many numbers after the next one are reserved at a time.
const RESERVED_AHEAD: u64 = 64;

/// The longest gap that a wallet allows (numbers). It is shorter than the gap that ends a restore, because several
/// tasks may take a number at once.
pub(crate) const GAP_MAX: u64 = RESTORE_GAP - 36;

/// The gap at which numbers are reserved if the bank learns this wallet's account anyway.
pub(crate) const GAP_EARLY: u64 = GAP_MAX / 2;

/// The age at which the record is written again, when the wallet next withdraws or carries on (ms): 90 days.
///
/// A bank forgets recovery records, but none before it is more than a year old. A record of this age then names the numbers
/// of all that it may have forgotten, so that a restore does not take them for the end.
const AGE_MAX_MS: u64 = 90 * 24 * 60 * 60 * 1000;

/// How often the record is written again when copies of this wallet write it at the same time.
const TRIES_MAX: usize = 16;

/// Reserves numbers if taking `count` more of `counter` would leave a gap of more than `gap`.
///
/// # Errors
/// When the bank refuses, or does not answer. Then the caller must not take the numbers.
pub(crate) async fn bridge_gap(
    wallet: &Wallet,
    bank: &Card,
    counter: Counter,
    count: u64,
    gap: u64,
) -> Result<(), WalletError> {
    if current_gap(wallet, &bank.identity, counter)?.saturating_add(count) <= gap {
        return Ok(());
    }
    reserve_numbers(wallet, bank, counter, count).await
}

/// Reserves the next number of `counter`, unless the scan record has it already. A restore then never stops before it.
///
/// # Errors
/// When the bank refuses, or does not answer. Then the caller must not take the number.
pub(crate) async fn reserve_next(wallet: &Wallet, bank: &Card, counter: Counter) -> Result<(), WalletError> {
    let bridged = BRIDGED.peek(&wallet.rows(), &(bank.identity, counter as u8))?;
    if bridged.unwrap_or(0) > next_number(&wallet.rows(), &bank.identity, counter)? {
        return Ok(());
    }
    reserve_numbers(wallet, bank, counter, 1).await
}

/// Reserves the next numbers of all counters, and `count` more of `counter`.
async fn reserve_numbers(
    wallet: &Wallet,
    bank: &Card,
    counter: Counter,
    count: u64,
) -> Result<(), WalletError> {
    let mut asked = ScanRecord::default();
    let lists = [
        (Counter::Withdrawals, &mut asked.withdrawals),
        (Counter::Exchanges, &mut asked.exchanges),
        (Counter::Orders, &mut asked.orders),
        (Counter::Reserves, &mut asked.reserves),
    ];
    for (each, ranges) in lists {
        let taken = if each == counter { count } else { 0 };
        let next = next_number(&wallet.rows(), &bank.identity, each)?.saturating_add(taken);
        if next > 0 {
            ranges.push((0, next.saturating_add(RESERVED_AHEAD)));
        }
    }
    extend_scan_record(wallet, bank, &asked).await
}

/// Reserves numbers early, in a conversation in which the bank learns this wallet's account anyway.
pub(crate) async fn bridge_gaps_early(wallet: &Wallet, bank: &Card) -> Result<(), WalletError> {
    for counter in [Counter::Exchanges, Counter::Orders] {
        bridge_gap(wallet, bank, counter, 0, GAP_EARLY).await?;
    }
    refresh(wallet, bank).await?;
    // A wallet that has had reserves needs the next number soon, perhaps for a gift that no name must stand beside.
    match next_number(&wallet.rows(), &bank.identity, Counter::Reserves)? {
        0 => Ok(()),
        _ => reserve_next(wallet, bank, Counter::Reserves).await,
    }
}

/// Reserves numbers if the record is older than [`AGE_MAX_MS`].
async fn refresh(wallet: &Wallet, bank: &Card) -> Result<(), WalletError> {
    let (identity, now_ms) = (bank.identity, wallet.now_ms());
    let Some(written_ms) = SCAN_RECORD_TIMES.peek(&wallet.rows(), &identity)? else {
        let begin = move |tx: &mut Transaction<'_>| SCAN_RECORD_TIMES.put(tx, &identity, &now_ms);
        return wallet.transact(Reads::none(), begin).await;
    };
    // A time that is far ahead was a wrong clock's.
    if now_ms.abs_diff(written_ms) < AGE_MAX_MS {
        return Ok(());
    }
    match reserve_numbers(wallet, bank, Counter::Orders, 0).await {
        // Nothing at this bank can be restored from the words.
        Err(WalletError::NoAccount { .. }) => Ok(()),
        outcome => outcome,
    }
}

/// How many numbers in a row, up to the next one, a restore may find empty.
fn current_gap(wallet: &Wallet, bank: &PublicKey, counter: Counter) -> Result<u64, WalletError> {
    let bridged = BRIDGED.peek(&wallet.rows(), &(*bank, counter as u8))?;
    Ok(next_number(&wallet.rows(), bank, counter)?.saturating_sub(bridged.unwrap_or(0)))
}

/// The scan record that the bank keeps, merged from every account that this wallet may have there.
///
/// # Errors
/// [`WalletError::NoAccount`] when the wallet has no account there. When the bank does not answer.
pub(crate) async fn scan_record(wallet: &Wallet, bank: &Card) -> Result<ScanRecord, WalletError> {
    let mut record = None;
    for key in account_keys(wallet, &bank.identity)? {
        if let Some(kept) = ask_scan_record(wallet, bank, &key, 0, None).await? {
            let more = open_memo(wallet, bank, &key, &kept);
            record.get_or_insert_with(ScanRecord::default).merge(&more);
        }
    }
    record.ok_or_else(|| WalletError::NoAccount {
        bank: bank.name.clone(),
    })
}

/// Adds to the scan record, and returns when the bank has stored it. What copies of this wallet have added stays in
/// it.
///
/// # Errors
/// When the bank refuses, or does not answer.
pub(crate) async fn extend_scan_record(
    wallet: &Wallet,
    bank: &Card,
    asked: &ScanRecord,
) -> Result<(), WalletError> {
    let key = account_key(wallet, &bank.identity)?;
    // A restore may have found an account that is not the one in use, so the record may be missing here.
    let mut kept = ask_scan_record(wallet, bank, &key, 0, None)
        .await?
        .unwrap_or_default();
    for _ in 0..TRIES_MAX {
        let mut record = open_memo(wallet, bank, &key, &kept);
        record.merge(asked);
        let version = kept.version.saturating_add(1);
        let memo = seal_memo(wallet, bank, &key, &record)?;
        let wanted = KeptMemo {
            version,
            memo: Some(memo.clone()),
        };
        kept = ask_scan_record(wallet, bank, &key, version, Some(memo))
            .await?
            .ok_or_else(|| WalletError::NoAccount {
                bank: bank.name.clone(),
            })?;
        if kept == wanted {
            let (bank, now_ms) = (bank.identity, wallet.now_ms());
            let reads = COUNTED.map(|counter| bridged_reads(&bank, counter));
            let mark = move |tx: &mut Transaction<'_>| {
                SCAN_RECORD_TIMES.put(tx, &bank, &now_ms)?;
                mark_record(tx, &bank, &record)
            };
            return wallet.transact(reads, mark).await;
        }
    }
    Err(WalletError::Silent {
        party: bank.title(),
        question: Question::Memo,
        why: "copies of this wallet write its scan record at the same time".into(),
    })
}

/// Reads or replaces the scan record of one account; `None` if the bank knows no such account.
async fn ask_scan_record(
    wallet: &Wallet,
    bank: &Card,
    key: &SecretKey,
    version: u64,
    memo: Option<Memo>,
) -> Result<Option<KeptMemo>, WalletError> {
    let request = MemoRequest {
        bank: bank.identity,
        account: key.public(),
        version,
        memo,
    };
    let signed = Signed::sign(request, key);
    match wallet.peer_client(bank, Lane::Identified).ask(&signed).await? {
        Ok(kept) => Ok(Some(kept)),
        Err(Refusal::Account(AccountFault::Unknown(_))) => Ok(None),
        Err(refusal) => Err(WalletError::Refused {
            party: bank.title(),
            question: Question::Memo,
            refusal: Box::new(refusal),
        }),
    }
}

fn seal_memo(
    wallet: &Wallet,
    bank: &Card,
    key: &SecretKey,
    record: &ScanRecord,
) -> Result<Memo, WalletError> {
    let text = record.to_bytes().ok();
    let note_key = wallet.seed_for(&bank.identity).recovery_record_key(u64::MAX);
    let sealed = text.and_then(|text| seal_record(&note_key, &RecoveryRecordId(key.public().0), &text).ok());
    sealed
        .map(Memo)
        .ok_or(WalletError::Inconsistent("the scan record is too long"))
}

/// The content of a scan record. One that does not open counts as empty.
fn open_memo(wallet: &Wallet, bank: &Card, key: &SecretKey, kept: &KeptMemo) -> ScanRecord {
    let note_key = wallet.seed_for(&bank.identity).recovery_record_key(u64::MAX);
    let sealed = kept.memo.as_ref();
    sealed
        .and_then(|memo| open_record(&note_key, &RecoveryRecordId(key.public().0), &memo.0).ok())
        .and_then(|text| ScanRecord::from_bytes(&text).ok())
        .unwrap_or_default()
}

/// The counters whose numbers a restore scans.
const COUNTED: [Counter; 4] = [
    Counter::Withdrawals,
    Counter::Exchanges,
    Counter::Orders,
    Counter::Reserves,
];

/// Stores how far the record that the bank keeps reaches.
fn mark_record(tx: &mut Transaction<'_>, bank: &PublicKey, record: &ScanRecord) -> Result<(), StoreError> {
    let ranges = [
        &record.withdrawals,
        &record.exchanges,
        &record.orders,
        &record.reserves,
    ];
    for (counter, ranges) in COUNTED.into_iter().zip(ranges) {
        mark_bridged(tx, bank, counter, ScanRecord::end(ranges))?;
    }
    Ok(())
}
