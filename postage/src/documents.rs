//! The documents of a postal authority, its meters and its stations. They are exchanged as JSON files.

use crate::{address::PostalCode, day::Day, indicium::INDICIUM_MAX_BYTES};
use farthing_coin::{Document, PublicKey, Transcript, TranscriptExt, bounded, bytes32};
use farthing_protocol::{ids::DepositId, money::Amount};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// The most meters of one office.
pub const METERS_MAX: usize = 100_000;

/// The most stations of one office.
pub const STATIONS_MAX: usize = 10_000;

/// The most indicia in one report of a station.
pub const REPORT_MAX: usize = 20_000;

/// The longest file with one of these documents (bytes).
pub const FILE_MAX_BYTES: u64 = 32 * 1024 * 1024;

/// The first word of a payment's text.
const REFILL_WORD: &str = "postage ";

/// The text that a payment for a refill has: it binds the deposit to the meter.
#[must_use]
pub fn refill_text(meter: &PublicKey) -> String {
    format!("{REFILL_WORD}{meter}")
}

/// The meter in the text of a payment for a refill.
#[must_use]
pub fn meter_in(text: &str) -> Option<PublicKey> {
    text.strip_prefix(REFILL_WORD)?.parse().ok()
}

/// The registers of a meter. What was refilled is always what was printed and what is left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registers {
    /// The number of the last print. 0 before the first.
    pub sequence: u64,
    /// All that was ever printed.
    pub ascending: Amount,
    /// What is left.
    pub descending: Amount,
}

impl Registers {
    /// All that was ever refilled. `None` if it does not fit in an amount: no meter has such registers.
    #[must_use]
    pub fn refilled(&self) -> Option<Amount> {
        self.ascending.checked_add(self.descending)
    }

    fn describe(&self, t: &mut Transcript) {
        t.u64(b"sequence", self.sequence);
        t.u64(b"ascending", self.ascending.0);
        t.u64(b"descending", self.descending.0);
    }
}

/// A meter asks to be certified. Signed by the meter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeterRequest {
    /// The meter's public key.
    pub meter: PublicKey,
    /// The postal code where its mail is posted.
    pub from: PostalCode,
}

impl Document for MeterRequest {
    const LABEL: &'static str = "farthing postage meter request";

    fn describe(&self, t: &mut Transcript) {
        t.bytes(b"meter", &self.meter.0);
        t.bytes(b"from", self.from.as_str().as_bytes());
    }
}

/// The office certifies a meter, and promises a refill for each deposit. Signed by the office.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeterCertificate {
    /// The office.
    pub office: PublicKey,
    /// The bank at which refills are paid.
    pub bank: PublicKey,
    /// The office's account there.
    pub account: PublicKey,
    /// The meter.
    pub meter: PublicKey,
    /// The postal code where its mail is posted.
    pub from: PostalCode,
    /// When it was certified.
    pub day: Day,
}

impl Document for MeterCertificate {
    const LABEL: &'static str = "farthing postage meter certificate";

    fn describe(&self, t: &mut Transcript) {
        t.bytes(b"office", &self.office.0);
        t.bytes(b"bank", &self.bank.0);
        t.bytes(b"account", &self.account.0);
        t.bytes(b"meter", &self.meter.0);
        t.bytes(b"from", self.from.as_str().as_bytes());
        t.u32(b"day", self.day.0);
    }
}

/// What a refill is given for. It is the refill's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RefillSource {
    /// A deposit on the office's account.
    Deposit(DepositId),
    /// The rest of a meter that was settled.
    Settlement {
        /// The meter.
        meter: PublicKey,
        /// The number of its settlement. The first is 1.
        number: u64,
    },
}

/// The office raises a meter's descending register. Signed by the office.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refill {
    /// The office.
    pub office: PublicKey,
    /// The meter.
    pub meter: PublicKey,
    /// What it is given for.
    pub source: RefillSource,
    /// The amount.
    pub amount: Amount,
    /// All that was ever refilled, with this refill.
    pub total: Amount,
    /// The highest sequence number of the meter that the office has seen. A meter behind it was rolled back.
    pub seen: u64,
}

impl Document for Refill {
    const LABEL: &'static str = "farthing postage refill";

    fn describe(&self, t: &mut Transcript) {
        t.bytes(b"office", &self.office.0);
        t.bytes(b"meter", &self.meter.0);
        match &self.source {
            RefillSource::Deposit(deposit) => t.bytes(b"deposit", &deposit.0),
            RefillSource::Settlement { meter, number } => {
                t.bytes(b"settled meter", &meter.0);
                t.u64(b"settlement", *number);
            }
        }
        t.u64(b"amount", self.amount.0);
        t.u64(b"total", self.total.0);
        t.u64(b"seen", self.seen);
    }
}

bytes32! {
    /// What an office draws to ask a meter for its registers as they are now. All zeros if nobody has asked.
    AuditChallenge
}

/// A meter states its registers. Signed by the meter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeterAudit {
    /// The meter.
    pub meter: PublicKey,
    /// Its registers.
    pub registers: Registers,
    /// The office's question. It shows that the audit was made after the question.
    pub challenge: AuditChallenge,
}

impl Document for MeterAudit {
    const LABEL: &'static str = "farthing postage meter audit";

    fn describe(&self, t: &mut Transcript) {
        t.bytes(b"meter", &self.meter.0);
        self.registers.describe(t);
        t.bytes(b"challenge", &self.challenge.0);
    }
}

/// Why a meter was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevocationReason {
    /// It has signed two indicia with one sequence number.
    Copied,
    /// It has stated registers that are older than those that the office has seen.
    RolledBack,
    /// Its owner or the office gave it up: it is locked, lost or broken.
    GivenUp,
}

impl RevocationReason {
    /// In words.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            RevocationReason::Copied => "it has signed two indicia with one sequence number",
            RevocationReason::RolledBack => "its registers are older than those that the office has seen",
            RevocationReason::GivenUp => "it was given up",
        }
    }

    fn code(self) -> u8 {
        match self {
            RevocationReason::Copied => 1,
            RevocationReason::RolledBack => 2,
            RevocationReason::GivenUp => 3,
        }
    }
}

/// A revocation of a meter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// Indicia with this date and later ones are refused.
    pub from: Day,
    /// Why.
    pub reason: RevocationReason,
    /// When the office revoked it.
    pub day: Day,
}

/// A meter in the office's list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedMeter {
    /// The meter.
    pub meter: PublicKey,
    /// The postal code where its mail is posted.
    pub from: PostalCode,
    /// Its revocation, if there is one.
    pub revoked: Option<Revocation>,
}

/// How much of a station's reports the office has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// The station.
    pub station: PublicKey,
    /// All its entries up to this number.
    pub up_to: u64,
}

/// All certified meters, with the revoked ones, and the reports that the office has. Signed by the office, for its stations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeterList {
    /// The office.
    pub office: PublicKey,
    /// The number of the list. A later list has a higher number.
    pub number: u64,
    /// The meters, in the order of their keys.
    #[serde(deserialize_with = "bounded::list::<_, _, METERS_MAX>")]
    pub meters: Vec<ListedMeter>,
    /// The reports, in the order of the stations' keys.
    #[serde(deserialize_with = "bounded::list::<_, _, STATIONS_MAX>")]
    pub received: Vec<Received>,
}

impl Document for MeterList {
    const LABEL: &'static str = "farthing postage meter list";

    fn describe(&self, t: &mut Transcript) {
        t.bytes(b"office", &self.office.0);
        t.u64(b"number", self.number);
        t.count(b"meters", self.meters.len());
        for listed in &self.meters {
            t.bytes(b"meter", &listed.meter.0);
            t.bytes(b"from", listed.from.as_str().as_bytes());
            match &listed.revoked {
                None => t.u8(b"revoked", 0),
                Some(revoked) => {
                    t.u8(b"revoked", revoked.reason.code());
                    t.u32(b"revoked from", revoked.from.0);
                    t.u32(b"revoked on", revoked.day.0);
                }
            }
        }
        t.count(b"received", self.received.len());
        for received in &self.received {
            t.bytes(b"station", &received.station.0);
            t.u64(b"up to", received.up_to);
        }
    }
}

/// The bytes of an indicium, hex in JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndiciumBytes(pub Vec<u8>);

impl Serialize for IndiciumBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match serializer.is_human_readable() {
            true => hex::serde::serialize(&self.0, serializer),
            false => serializer.serialize_bytes(&self.0),
        }
    }
}

impl<'de> Deserialize<'de> for IndiciumBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return bounded::bytes::<_, INDICIUM_MAX_BYTES>(deserializer).map(Self);
        }
        let bytes: Vec<u8> = hex::serde::deserialize(deserializer)?;
        match bytes.len() <= INDICIUM_MAX_BYTES {
            true => Ok(Self(bytes)),
            false => Err(D::Error::custom("an indicium is too long")),
        }
    }
}

/// The indicia that a station has seen, for the office. Signed by the station.
///
/// Each indicium is signed by its meter. So two of them with one sequence number convict the meter without the station's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StationReport {
    /// The station.
    pub station: PublicKey,
    /// The number of the first entry. The first of all is 1.
    pub first: u64,
    /// The indicia, each one entry.
    #[serde(deserialize_with = "bounded::list::<_, _, REPORT_MAX>")]
    pub indicia: Vec<IndiciumBytes>,
}

impl StationReport {
    /// The number of the last entry.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.first
            .saturating_add(self.indicia.len() as u64)
            .saturating_sub(1)
    }
}

impl Document for StationReport {
    const LABEL: &'static str = "farthing postage station report";

    fn describe(&self, t: &mut Transcript) {
        t.bytes(b"station", &self.station.0);
        t.u64(b"first", self.first);
        t.count(b"indicia", self.indicia.len());
        for indicium in &self.indicia {
            t.bytes(b"indicium", &indicium.0);
        }
    }
}
