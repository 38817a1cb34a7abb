//! Restore: a wallet that is rebuilt from its seed alone finds its coins and its purchases again.
//!
//! The wallet asks for withdrawals by account, as the bank knows the account anyway. It fetches everything else in
//! buckets: without identity, over one connection for each bucket. It picks its own records from a bucket itself. So the
//! bank does not learn which record the wallet wants, and cannot link the customer's past purchases.
//!
//! | shelf | records | what a wallet finds in it |
//! |---|---|---|
//! | exchanges | stored replies, by request id | coins that came from exchanges |
//! | notes | recovery records, by their id | open and past purchases |
//! | coins | states of all coins that the bank has seen, by coin key | which recovered coins are used |

use crate::{
    bounded,
    documents::{Issued, Offer},
    ids::RecordId,
    limits::{BUCKET_BITS_MAX, BUCKET_CROWD, RESTORE_PAGE_MAX},
    refusal::{Refusal, RequestFault},
    request::{check_account, check_matching, check_recipient},
    seal::{RECORD_TEXT_MAX_BYTES, SEALED_RECORD_BYTES},
    wire::{self, WireError},
};
use farthing_coin::{
    Document, KeyId, PublicKey, RecoveryRecordId, RequestId, Signed, Transcript, TranscriptExt,
};
use serde::{Deserialize, Serialize};

// ---- messages ---------------------------------------------------------------------------------------------

/// Asks for an account's balance. Signed by the account's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRequest {
    /// The recipient.
    pub bank: PublicKey,
    /// The account.
    pub account: PublicKey,
}

impl Document for AccountRequest {
    const LABEL: &'static str = "farthing account";

    fn describe(&self, t: &mut Transcript) {
        t.bytes(b"bank", &self.bank.0);
        t.bytes(b"account", &self.account.0);
    }
}

/// Asks for a page of an account's finished withdrawals. Signed by the account's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithdrawalsRequest {
    /// The recipient.
    pub bank: PublicKey,
    /// The account.
    pub account: PublicKey,
    /// The last request id of the previous page. Absent for the first page.
    pub after: Option<RequestId>,
}

impl Document for WithdrawalsRequest {
    const LABEL: &'static str = "farthing withdrawals";

    fn describe(&self, t: &mut Transcript) {
        t.bytes(b"bank", &self.bank.0);
        t.bytes(b"account", &self.account.0);
        t.u8(b"first page", self.after.is_none().into());
        t.bytes(b"after", &self.after.map_or([0; 32], |id| id.0));
    }
}

/// A page of finished withdrawals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithdrawalsPage {
    /// The records, in the order of their request ids: at most [`RESTORE_PAGE_MAX`].
    #[serde(deserialize_with = "bounded::list::<_, _, RESTORE_PAGE_MAX>")]
    pub records: Vec<Signed<Issued>>,
    /// Whether more records follow.
    pub more: bool,
}

/// Reads or replaces the one memo that the bank keeps for an account: the wallet's sealed [`ScanRecord`]. Signed by the
/// account's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoRequest {
    /// The recipient.
    pub bank: PublicKey,
    /// The account.
    pub account: PublicKey,
    /// The version of the memo. 0 to read.
    ///
    /// The bank keeps the highest version. So a late or repeated request does not replace a newer memo.
    pub version: u64,
    /// The new memo, sealed like a recovery record. Absent to read.
    pub memo: Option<Memo>,
}

impl Document for MemoRequest {
    const LABEL: &'static str = "farthing memo 2";

    fn describe(&self, t: &mut Transcript) {
        t.bytes(b"bank", &self.bank.0);
        t.bytes(b"account", &self.account.0);
        t.u64(b"version", self.version);
        t.u8(b"replaced", self.memo.is_some().into());
        t.bytes(b"memo", self.memo.as_ref().map_or(&[], |memo| memo.0.as_slice()));
    }
}

/// A sealed memo. It always has [`SEALED_RECORD_BYTES`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memo(
    #[serde(
        serialize_with = "serde_bytes::serialize",
        deserialize_with = "bounded::bytes::<_, SEALED_RECORD_BYTES>"
    )]
    pub Vec<u8>,
);

/// The memo that a bank keeps for an account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptMemo {
    /// Its version. 0 if there is no memo, or if it was stored before memos had versions.
    pub version: u64,
    /// The memo, if there is one.
    pub memo: Option<Memo>,
}

/// A set of records that a bank gives out in buckets. Each record has an id of 32 bytes that looks random, and a bucket
/// is all records whose ids have the same prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Shelf {
    /// Stored replies to exchanges, by request id.
    Exchanges,
    /// Recovery records, by their id.
    Notes,
    /// States of coins of one denomination key, by coin key.
    Coins(KeyId),
}

/// Asks for a page of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketRequest {
    /// The shelf.
    pub shelf: Shelf,
    /// The prefix of the bucket.
    pub prefix: Prefix,
    /// The id of the last record of the previous page. Absent for the first page.
    pub after: Option<RecordId>,
}

/// The first bits of an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Prefix {
    bits: u8,
    value: u16,
}

impl Prefix {
    /// The first `bits` of `id`. More than [`BUCKET_BITS_MAX`] are cut.
    pub fn of(id: &RecordId, bits: u8) -> Prefix {
        let [first, second, ..] = id.0;
        let bits = bits.min(BUCKET_BITS_MAX);
        Prefix {
            bits,
            value: u16::from_be_bytes([first, second]) & Self::mask(bits),
        }
    }

    fn mask(bits: u8) -> u16 {
        u16::MAX
            .checked_shl(u32::from(BUCKET_BITS_MAX.saturating_sub(bits)))
            .unwrap_or(0)
    }

    /// Checks a prefix that came over the wire.
    ///
    /// # Errors
    /// When it has more than [`BUCKET_BITS_MAX`] bits.
    pub fn check(&self) -> Result<(), Refusal> {
        if self.bits > BUCKET_BITS_MAX {
            return Err(RequestFault::BucketTooNarrow {
                got: self.bits,
                most: BUCKET_BITS_MAX,
            }
            .into());
        }
        Ok(())
    }

    /// Whether `id` lies in the bucket.
    pub fn holds(&self, id: &RecordId) -> bool {
        Prefix::of(id, self.bits).value == self.value
    }

    /// The smallest id that can lie in the bucket.
    pub fn first(&self) -> RecordId {
        let mut id = [0; 32];
        let [first, second, ..] = &mut id;
        [*first, *second] = (self.value & Self::mask(self.bits)).to_be_bytes();
        RecordId(id)
    }

    /// The length of a prefix with which a bucket holds about [`BUCKET_CROWD`] of a shelf's `records` (bits).
    pub fn bits_for(records: u64) -> u8 {
        let buckets = records / BUCKET_CROWD;
        (buckets.checked_ilog2().unwrap_or(0) as u8).min(BUCKET_BITS_MAX)
    }
}

/// A page of a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketPage {
    /// The records, in the order of their ids: at most [`RESTORE_PAGE_MAX`].
    #[serde(deserialize_with = "bounded::list::<_, _, RESTORE_PAGE_MAX>")]
    pub records: Vec<BucketRecord>,
    /// The id after which the next page begins, if more records follow.
    pub more_after: Option<RecordId>,
    /// The approximate number of records on the whole shelf. With it a wallet chooses the length of its prefixes.
    pub shelf_records: u64,
}

/// One record of a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum BucketRecord {
    /// A stored reply to an exchange.
    Exchange(Signed<Issued>),
    /// A recovery record.
    Note {
        /// Its id.
        note_id: RecoveryRecordId,
        /// The encrypted record.
        #[serde(
            serialize_with = "serde_bytes::serialize",
            deserialize_with = "bounded::bytes::<_, SEALED_RECORD_BYTES>"
        )]
        note: Vec<u8>,
    },
    /// A coin that the bank has seen.
    Coin {
        /// The coin key.
        coin: PublicKey,
        /// Its state.
        used: CoinUsed,
    },
}

/// The state of a coin, as a bucket shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CoinUsed {
    /// Held for a purchase.
    Held,
    /// Spent.
    Spent,
    /// Released by an abort.
    Released,
    /// Exchanged.
    Exchanged,
    /// Deposited.
    Deposited,
}

// ---- the wallet -------------------------------------------------------------------------------------------

/// The origin of a coin. The coin's secrets derive from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Origin {
    /// The number of the withdrawal or exchange.
    pub counter: u32,
    /// The place of the coin in the request.
    pub slot: u8,
    /// 1 for an exchange, 0 for a withdrawal. A byte keeps the recovery record short.
    exchanged: u8,
}

impl Origin {
    /// The origin of a coin from a withdrawal.
    pub fn withdrawn(counter: u32, slot: u8) -> Origin {
        Origin {
            counter,
            slot,
            exchanged: 0,
        }
    }

    /// The origin of a coin from an exchange.
    pub fn exchanged(counter: u32, slot: u8) -> Origin {
        Origin {
            counter,
            slot,
            exchanged: 1,
        }
    }

    /// The number of the withdrawal, if the coin came from one.
    pub fn withdrawal(&self) -> Option<u64> {
        (self.exchanged == 0).then_some(self.counter.into())
    }

    /// The number of the exchange, if the coin came from one.
    pub fn exchange(&self) -> Option<u64> {
        (self.exchanged != 0).then_some(self.counter.into())
    }

    /// The request id from which the coin's secrets derive.
    pub fn request_id(&self, seed: &farthing_coin::Seed) -> RequestId {
        match self.exchanged {
            0 => seed.withdraw_id(self.counter.into()),
            _ => seed.exchange_id(self.counter.into()),
        }
    }
}

/// The scan record in a wallet's memo: the numbers that do not count as part of a gap.
///
/// A restore has asked for these numbers without effect, or the wallet has reserved them. A range has its first number
/// and its exclusive end.
///
/// A restore looks at every number below the end of a range, also between the ranges. So two ranges of one counter can
/// become one range with all numbers between them, without a loss. This bounds the record for any number of restores: it
/// has four lists of at most one range, and at most [`ScanRecord::BYTES_MAX`] bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanRecord {
    /// Numbers of withdrawals.
    pub withdrawals: Vec<(u64, u64)>,
    /// Numbers of exchanges.
    pub exchanges: Vec<(u64, u64)>,
    /// Numbers of orders.
    pub orders: Vec<(u64, u64)>,
    /// Numbers of reserves.
    pub reserves: Vec<(u64, u64)>,
}

/// A [`ScanRecord`] of a wallet that has no reserve, and of all wallets before there were reserves.
#[derive(Serialize, Deserialize)]
struct WithoutReserves {
    withdrawals: Vec<(u64, u64)>,
    exchanges: Vec<(u64, u64)>,
    orders: Vec<(u64, u64)>,
}

impl ScanRecord {
    /// The longest encoding of a merged record (bytes): each list has its length and one range.
    pub const BYTES_MAX: usize = 4 * (8 + 16);

    /// The encoding. Without a reserve it has three lists, so that older programs read it too.
    ///
    /// # Errors
    /// As [`wire::encode`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, WireError> {
        if !self.reserves.is_empty() {
            return wire::encode(self);
        }
        wire::encode(&WithoutReserves {
            withdrawals: self.withdrawals.clone(),
            exchanges: self.exchanges.clone(),
            orders: self.orders.clone(),
        })
    }

    /// Decodes a record, with or without the list of reserves.
    ///
    /// # Errors
    /// When the bytes are neither.
    pub fn from_bytes(bytes: &[u8]) -> Result<ScanRecord, WireError> {
        let older = |_| {
            let older: WithoutReserves = wire::decode(bytes, RECORD_TEXT_MAX_BYTES)?;
            Ok(ScanRecord {
                withdrawals: older.withdrawals,
                exchanges: older.exchanges,
                orders: older.orders,
                reserves: Vec::new(),
            })
        };
        wire::decode(bytes, RECORD_TEXT_MAX_BYTES).or_else(older)
    }

    /// Adds the ranges of `other`, and merges the ranges of each counter.
    pub fn merge(&mut self, other: &ScanRecord) {
        merge_ranges(&mut self.withdrawals, &other.withdrawals);
        merge_ranges(&mut self.exchanges, &other.exchanges);
        merge_ranges(&mut self.orders, &other.orders);
        merge_ranges(&mut self.reserves, &other.reserves);
    }

    /// Exclusive upper bound of the numbers in `ranges`.
    pub fn end(ranges: &[(u64, u64)]) -> u64 {
        ranges.iter().map(|(_, end)| *end).max().unwrap_or(0)
    }
}

/// Merges all ranges that are not empty into one.
fn merge_ranges(ranges: &mut Vec<(u64, u64)>, more: &[(u64, u64)]) {
    let all = ranges.iter().chain(more).filter(|(from, end)| from < end);
    let merged = all
        .copied()
        .reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)));
    *ranges = merged.into_iter().collect();
}

/// A recovery record: the data from which a restored wallet builds the same order again, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryRecord {
    /// The bank whose coins pay.
    pub bank: PublicKey,
    /// The escrow that decides.
    pub escrow: PublicKey,
    /// The offer.
    pub offer: Signed<Offer>,
    /// The deadline (ms since 1970).
    pub deadline_ms: u64,
    /// The coins, in their order.
    pub coins: Vec<Origin>,
    /// The merchant's card as text. The wallet fetches the goods again from this merchant.
    pub merchant_card: String,
}

// ---- the bank ---------------------------------------------------------------------------------------------

/// A question for a balance, signed by the account's key. Only [`verify_account`] makes one.
#[derive(Debug)]
pub struct VerifiedAccount(AccountRequest);

/// A question for withdrawals, signed by the account's key. Only [`verify_withdrawals`] makes one.
#[derive(Debug)]
pub struct VerifiedWithdrawals(WithdrawalsRequest);

/// Verifies a question for a balance.
///
/// # Errors
/// When it is for another bank, or the account's key did not sign it.
pub fn verify_account(
    request: Signed<AccountRequest>,
    self_id: &PublicKey,
) -> Result<VerifiedAccount, Refusal> {
    check_recipient(&request.body.bank, self_id)?;
    check_account(&request, &request.body.account)?;
    Ok(VerifiedAccount(request.body))
}

/// A request to read or replace a memo, signed by the account's key. Only [`verify_memo`] makes one.
#[derive(Debug)]
pub struct VerifiedMemo(MemoRequest);

/// Verifies a request to read or replace a memo.
///
/// # Errors
/// When it is for another bank, the memo has a wrong length, or the account's key did not sign it.
pub fn verify_memo(request: Signed<MemoRequest>, self_id: &PublicKey) -> Result<VerifiedMemo, Refusal> {
    check_recipient(&request.body.bank, self_id)?;
    if let Some(memo) = &request.body.memo {
        check_matching("bytes of the memo", memo.0.len(), SEALED_RECORD_BYTES)?;
    }
    check_account(&request, &request.body.account)?;
    Ok(VerifiedMemo(request.body))
}

impl VerifiedMemo {
    /// The account.
    pub fn account(&self) -> PublicKey {
        self.0.account
    }

    /// The memo to store in place of `kept`. `None` if `kept` stays. Only a higher version replaces it.
    pub fn respond(&self, kept: &KeptMemo) -> Option<KeptMemo> {
        let MemoRequest { version, memo, .. } = &self.0;
        let is_newer = *version > kept.version;
        let newer = || KeptMemo {
            version: *version,
            memo: memo.clone(),
        };
        (memo.is_some() && is_newer).then(newer)
    }
}

/// Verifies a question for withdrawals.
///
/// # Errors
/// When it is for another bank, or the account's key did not sign it.
pub fn verify_withdrawals(
    request: Signed<WithdrawalsRequest>,
    self_id: &PublicKey,
) -> Result<VerifiedWithdrawals, Refusal> {
    check_recipient(&request.body.bank, self_id)?;
    check_account(&request, &request.body.account)?;
    Ok(VerifiedWithdrawals(request.body))
}

impl VerifiedAccount {
    /// The account.
    pub fn account(&self) -> PublicKey {
        self.0.account
    }
}

impl VerifiedWithdrawals {
    /// The account.
    pub fn account(&self) -> PublicKey {
        self.0.account
    }

    /// The last request id of the previous page.
    pub fn after(&self) -> Option<RequestId> {
        self.0.after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_holds_the_ids_that_begin_with_it() {
        let mut id = [0xff; 32];
        for bits in 0..=BUCKET_BITS_MAX {
            let prefix = Prefix::of(&RecordId(id), bits);
            assert!(prefix.holds(&RecordId(id)));
            assert!(prefix.holds(&prefix.first()));
            assert_eq!(prefix.holds(&RecordId([0; 32])), bits == 0, "{bits}");
        }
        id[0] = 0b1010_0000;
        assert_eq!(Prefix::of(&RecordId(id), 3).first().0[0], 0b1010_0000);
        assert!(!Prefix::of(&RecordId(id), 3).holds(&RecordId([0; 32])));
        assert!(Prefix { bits: 17, value: 0 }.check().is_err());
    }

    #[test]
    fn a_scan_record_stays_small_and_loses_no_number_in_many_restores() {
        let mut record = ScanRecord::default();
        let mut all = Vec::new();
        for restore in 0..500u64 {
            // The wallet uses a few numbers after each restore, so no range touches the one before.
            let range = |step: u64| (restore * step + 1, restore * step + step - 1);
            let more = ScanRecord {
                withdrawals: vec![range(101)],
                exchanges: vec![range(164), range(7)],
                orders: vec![(9, 9), range(300)],
                reserves: vec![range(65)],
            };
            record.merge(&more);
            all.push(more);
            let bytes = record.to_bytes().unwrap();
            assert_eq!(ScanRecord::from_bytes(&bytes).unwrap(), record);
            assert!(
                bytes.len() <= ScanRecord::BYTES_MAX,
                "{} after {restore}",
                bytes.len()
            );
        }
        let holds = |ranges: &[(u64, u64)], (from, end): (u64, u64)| {
            from >= end || ranges.iter().any(|range| range.0 <= from && end <= range.1)
        };
        for more in &all {
            let each = [
                (&record.withdrawals, &more.withdrawals),
                (&record.exchanges, &more.exchanges),
                (&record.orders, &more.orders),
                (&record.reserves, &more.reserves),
            ];
            for (merged, ranges) in each {
                assert!(ranges.iter().all(|range| holds(merged, *range)));
            }
        }
        assert_eq!(ScanRecord::end(&record.orders), 499 * 300 + 299);
        const { assert!(ScanRecord::BYTES_MAX <= crate::seal::RECORD_TEXT_MAX_BYTES) };
    }

    #[test]
    fn a_scan_record_without_reserves_is_as_before() {
        let record = ScanRecord {
            withdrawals: vec![(0, 3)],
            orders: vec![(2, 70)],
            ..ScanRecord::default()
        };
        let older = (&record.withdrawals, &record.exchanges, &record.orders);
        let bytes = record.to_bytes().unwrap();
        assert_eq!(bytes, wire::encode(&older).unwrap());
        assert_eq!(ScanRecord::from_bytes(&bytes).unwrap(), record);
        let with_reserves = ScanRecord {
            reserves: vec![(0, 65)],
            ..record
        };
        let longer = with_reserves.to_bytes().unwrap();
        assert_eq!(ScanRecord::from_bytes(&longer).unwrap(), with_reserves);
        for cut in 0..longer.len() {
            let part = ScanRecord::from_bytes(&longer[..cut]);
            assert_eq!(part.is_ok(), cut == bytes.len(), "{cut}");
        }
    }

    #[test]
    fn only_a_higher_version_replaces_a_memo() {
        let request = |version, memo| {
            let account = PublicKey([1; 32]);
            VerifiedMemo(MemoRequest {
                bank: account,
                account,
                version,
                memo,
            })
        };
        let (one, other) = (Memo(vec![1]), Memo(vec![2]));
        // This memo was stored before memos had versions.
        let kept = KeptMemo {
            version: 0,
            memo: Some(one.clone()),
        };
        assert_eq!(request(0, Some(other.clone())).respond(&kept), None);
        assert_eq!(request(7, None).respond(&kept), None);
        let newer = request(1, Some(other.clone())).respond(&kept).unwrap();
        assert_eq!((newer.version, newer.memo.as_ref()), (1, Some(&other)));
        for version in [0, 1] {
            assert_eq!(request(version, Some(one.clone())).respond(&newer), None);
        }
        assert!(request(u64::MAX, Some(one)).respond(&newer).is_some());
    }

    #[test]
    fn a_prefix_is_short_enough_for_a_crowded_bucket() {
        assert_eq!(Prefix::bits_for(0), 0);
        assert_eq!(Prefix::bits_for(BUCKET_CROWD), 0);
        assert_eq!(Prefix::bits_for(2 * BUCKET_CROWD), 1);
        assert_eq!(Prefix::bits_for(u64::MAX), BUCKET_BITS_MAX);
    }
}
