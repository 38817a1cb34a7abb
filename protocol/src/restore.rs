//! Restore: a wallet rebuilt from its seed alone finds its coins and its purchases again.
//!
//! Withdrawals are asked for by account, which the bank knows anyway. Everything else is fetched by prefix
//! buckets, without identity, one connection each, and filtered at home, so that the bank does not learn
//! which record was meant and her past spends are not joined into one profile.
//!
//! | bucket | of | finds |
//! |---|---|---|
//! | exchanges | stored replies, by request id | coins that came from exchanges |
//! | notes | the wallet's notes to itself, by note id | purchases under way and past |
//! | coins | the state of every coin shown, by coin key | which recovered coins are used |

use crate::{
    bounded,
    documents::{Issued, Offer},
    ids::RecordId,
    limits::{BUCKET_BITS_MAX, BUCKET_CROWD, RESTORE_PAGE_MAX},
    refusal::{Refusal, RequestFault},
    request::{check_account, check_matching, check_recipient},
    seal::NOTE_BYTES,
};
use farthing_coin::{
    Document, KeyId, PublicKey, RecoveryRecordId, RequestId, Signed, Transcript, TranscriptExt,
};
use serde::{Deserialize, Serialize};

// ---- messages ---------------------------------------------------------------------------------------------

/// Asks for an account's balance. Signed by the account's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRequest {
    /// The bank that this is for.
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
    /// The bank that this is for.
    pub bank: PublicKey,
    /// The account.
    pub account: PublicKey,
    /// The last request id of the page before, if this is not the first.
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
    /// At most [`RESTORE_PAGE_MAX`], by request id.
    #[serde(deserialize_with = "bounded::list::<_, _, RESTORE_PAGE_MAX>")]
    pub records: Vec<Signed<Issued>>,
    /// Whether there are more behind the last.
    pub more: bool,
}

/// Reads, or replaces, the one memo that the bank keeps for an account: the wallet's scan record ([`ScanRecord`]). Signed by
/// the account's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoRequest {
    /// The bank that this is for.
    pub bank: PublicKey,
    /// The account.
    pub account: PublicKey,
    /// Which version of the memo this is: the bank keeps the highest, so that a request that arrives late or once more
    /// replaces no newer one. 0 to read what there is.
    pub version: u64,
    /// What to keep from now on, sealed like a note; nothing to read what there is.
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

/// A memo: always [`NOTE_BYTES`] long, whatever it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memo(
    #[serde(
        serialize_with = "serde_bytes::serialize",
        deserialize_with = "bounded::bytes::<_, NOTE_BYTES>"
    )]
    pub Vec<u8>,
);

/// What a bank keeps for an account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptMemo {
    /// Its version; 0 if there is none, or if it was kept before memos had versions.
    pub version: u64,
    /// The memo.
    pub memo: Option<Memo>,
}

/// A set of records, in buckets by a prefix of 32 bytes that look random.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Shelf {
    /// Stored replies to exchanges, by request id.
    Exchanges,
    /// Notes, by note id.
    Notes,
    /// States of coins of one denomination key, by coin key.
    Coins(KeyId),
}

/// Asks for a page of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketRequest {
    /// Of which records.
    pub shelf: Shelf,
    /// The bucket.
    pub prefix: Prefix,
    /// The last record of the page before, if this is not the first.
    pub after: Option<RecordId>,
}

/// The first bits of an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Prefix {
    bits: u8,
    value: u16,
}

impl Prefix {
    /// The first `bits` (at most [`BUCKET_BITS_MAX`]) of `id`.
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
    /// When it is longer than a bank answers for.
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

    /// The bits for a shelf of `records`, so that a bucket holds about [`BUCKET_CROWD`] of them.
    pub fn bits_for(records: u64) -> u8 {
        let buckets = records / BUCKET_CROWD;
        (buckets.checked_ilog2().unwrap_or(0) as u8).min(BUCKET_BITS_MAX)
    }
}

/// A page of a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketPage {
    /// At most [`RESTORE_PAGE_MAX`], by id.
    #[serde(deserialize_with = "bounded::list::<_, _, RESTORE_PAGE_MAX>")]
    pub records: Vec<BucketRecord>,
    /// The id to ask behind, where there are more.
    pub more_after: Option<RecordId>,
    /// About how many records the whole shelf has, so that a wallet can choose how wide a bucket to ask for.
    pub shelf_records: u64,
}

/// One record of a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum BucketRecord {
    /// A stored reply to an exchange.
    Exchange(Signed<Issued>),
    /// A note.
    Note {
        /// Its id.
        note_id: RecoveryRecordId,
        /// The note, encrypted.
        #[serde(
            serialize_with = "serde_bytes::serialize",
            deserialize_with = "bounded::bytes::<_, NOTE_BYTES>"
        )]
        note: Vec<u8>,
    },
    /// A coin that was shown to the bank.
    Coin {
        /// Its key.
        coin: PublicKey,
        /// What became of it.
        used: CoinUsed,
    },
}

/// What became of a coin.
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
}

// ---- the wallet -------------------------------------------------------------------------------------------

/// Where a coin came from: what its secrets are derived from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Origin {
    /// Of the withdrawal or exchange.
    pub counter: u32,
    /// Its place in the request.
    pub slot: u8,
    /// Whether it came from an exchange (1) or a withdrawal (0); a number keeps the note short.
    exchanged: u8,
}

impl Origin {
    /// From a withdrawal.
    pub fn withdrawn(counter: u32, slot: u8) -> Origin {
        Origin {
            counter,
            slot,
            exchanged: 0,
        }
    }

    /// From an exchange.
    pub fn exchanged(counter: u32, slot: u8) -> Origin {
        Origin {
            counter,
            slot,
            exchanged: 1,
        }
    }

    /// The number of the withdrawal that it came from, if it came from one.
    pub fn withdrawal(&self) -> Option<u64> {
        (self.exchanged == 0).then_some(self.counter.into())
    }

    /// The number of the exchange that it came from, if it came from one.
    pub fn exchange(&self) -> Option<u64> {
        (self.exchanged != 0).then_some(self.counter.into())
    }

    /// The request id that the coin's secrets are derived from.
    pub fn request_id(&self, seed: &farthing_coin::Seed) -> RequestId {
        match self.exchanged {
            0 => seed.withdraw_id(self.counter.into()),
            _ => seed.exchange_id(self.counter.into()),
        }
    }
}

/// The scan record, which a wallet's memo holds: the numbers that are no part of a gap, each range from its first number
/// to the one after its last. Restores have asked for them without effect, or the wallet has reserved them.
///
/// A restore looks at every number below the end of a range anyway, in ranges and between them. So two ranges of one
/// counter become one with all that lies between, and nothing is lost by it. That bounds the record: three lists of at
/// most one range, [`ScanRecord::BYTES_MAX`] bytes, whatever number of restores the wallet lives through.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanRecord {
    /// Of withdrawals.
    pub withdrawals: Vec<(u64, u64)>,
    /// Of exchanges.
    pub exchanges: Vec<(u64, u64)>,
    /// Of orders.
    pub orders: Vec<(u64, u64)>,
}

impl ScanRecord {
    /// The longest encoding of a merged record (bytes): of each list its length, and one range.
    pub const BYTES_MAX: usize = 3 * (8 + 16);

    /// Adds the ranges of `other`, and merges those of each counter.
    pub fn merge(&mut self, other: &ScanRecord) {
        merge_ranges(&mut self.withdrawals, &other.withdrawals);
        merge_ranges(&mut self.exchanges, &other.exchanges);
        merge_ranges(&mut self.orders, &other.orders);
    }

    /// Exclusive upper bound of the numbers in `ranges`.
    pub fn end(ranges: &[(u64, u64)]) -> u64 {
        ranges.iter().map(|(_, end)| *end).max().unwrap_or(0)
    }
}

/// Makes one range of all that are not empty.
fn merge_ranges(ranges: &mut Vec<(u64, u64)>, more: &[(u64, u64)]) {
    let all = ranges.iter().chain(more).filter(|(from, end)| from < end);
    let merged = all
        .copied()
        .reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)));
    *ranges = merged.into_iter().collect();
}

/// What a wallet's note to itself says: enough to build the order again, byte for byte.
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
    /// The merchant's card as text, from which the goods can be fetched again.
    pub merchant_card: String,
}

// ---- the bank ---------------------------------------------------------------------------------------------

/// A question for a balance that the account's owner signed. Only [`verify_account`] makes one.
#[derive(Debug)]
pub struct VerifiedAccount(AccountRequest);

/// A question for withdrawals that the account's owner signed. Only [`verify_withdrawals`] makes one.
#[derive(Debug)]
pub struct VerifiedWithdrawals(WithdrawalsRequest);

/// Verifies a question for a balance.
///
/// # Errors
/// When it is for another bank or not signed by its account.
pub fn verify_account(
    request: Signed<AccountRequest>,
    self_id: &PublicKey,
) -> Result<VerifiedAccount, Refusal> {
    check_recipient(&request.body.bank, self_id)?;
    check_account(&request, &request.body.account)?;
    Ok(VerifiedAccount(request.body))
}

/// A memo to read or replace, which the account's owner signed. Only [`verify_memo`] makes one.
#[derive(Debug)]
pub struct VerifiedMemo(MemoRequest);

/// Verifies a memo to read or replace.
///
/// # Errors
/// When it is for another bank, of another length than every memo, or not signed by its account.
pub fn verify_memo(request: Signed<MemoRequest>, self_id: &PublicKey) -> Result<VerifiedMemo, Refusal> {
    check_recipient(&request.body.bank, self_id)?;
    if let Some(memo) = &request.body.memo {
        check_matching("bytes of the memo", memo.0.len(), NOTE_BYTES)?;
    }
    check_account(&request, &request.body.account)?;
    Ok(VerifiedMemo(request.body))
}

impl VerifiedMemo {
    /// The account.
    pub fn account(&self) -> PublicKey {
        self.0.account
    }

    /// What is to be kept from now on, where `kept` is what there is: `None` if that stays. Only a higher version
    /// replaces it.
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
/// When it is for another bank or not signed by its account.
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

    /// The last request id of the page before.
    pub fn after(&self) -> Option<RequestId> {
        self.0.after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_hold_what_begins_with_them() {
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
    fn a_scan_record_stays_small_and_loses_no_number_however_many_restores_there_are() {
        let mut record = ScanRecord::default();
        let mut all = Vec::new();
        for restore in 0..500u64 {
            // A little is used after each restore, so that no range touches the one before.
            let range = |step: u64| (restore * step + 1, restore * step + step - 1);
            let more = ScanRecord {
                withdrawals: vec![range(101)],
                exchanges: vec![range(164), range(7)],
                orders: vec![(9, 9), range(300)],
            };
            record.merge(&more);
            all.push(more);
            let bytes = crate::wire::encode(&record).unwrap();
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
            ];
            for (merged, ranges) in each {
                assert!(ranges.iter().all(|range| holds(merged, *range)));
            }
        }
        assert_eq!(ScanRecord::end(&record.orders), 499 * 300 + 299);
        const { assert!(ScanRecord::BYTES_MAX <= crate::seal::NOTE_TEXT_MAX_BYTES) };
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
        // One that was kept before memos had versions.
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
    fn buckets_stay_crowded() {
        assert_eq!(Prefix::bits_for(0), 0);
        assert_eq!(Prefix::bits_for(BUCKET_CROWD), 0);
        assert_eq!(Prefix::bits_for(2 * BUCKET_CROWD), 1);
        assert_eq!(Prefix::bits_for(u64::MAX), BUCKET_BITS_MAX);
    }
}
