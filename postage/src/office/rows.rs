//! The rows of an office.

use crate::{
    day::Day,
    documents::{AuditChallenge, IndiciumBytes, MeterAudit, MeterCertificate, Refill, Registers, Revocation},
};
use farthing_coin::{PublicKey, Signed, StatementDigest};
use farthing_protocol::{money::Amount, payment_proof::PaymentProof};
use farthing_store::Table;
use serde::{Deserialize, Serialize};

/// What the office knows of a meter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeterRow {
    /// Its certificate.
    pub certificate: MeterCertificate,
    /// The sum of all its refills.
    pub sold: Amount,
    /// The latest registers that it has signed, in an audit or on a letter.
    pub seen: Registers,
    /// The last question to the meter, and what was seen before it.
    pub asked: Option<(AuditChallenge, Registers)>,
    /// The last audit that the office has accepted.
    pub audit: Option<Signed<MeterAudit>>,
    /// The value of its indicia in the stations' reports.
    pub carried: Amount,
    /// Their number.
    pub letters: u64,
    /// Its revocation.
    pub revoked: Option<Revocation>,
    /// Its settlements.
    pub settled: Settled,
}

/// What was reissued of a revoked meter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// The sum of what was reissued to other meters.
    pub moved: Amount,
    /// The number of settlements.
    pub number: u64,
    /// The meter that got the last one.
    pub to: Option<PublicKey>,
}

/// A refill, with what paid for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefillRow {
    /// The refill.
    pub refill: Refill,
    /// The bank's signed statement, with the text. `None` for a settlement.
    pub proof: Option<PaymentProof>,
}

/// An indicium that a station has reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UseRow {
    /// The digest of its fields.
    pub digest: StatementDigest,
    /// Its date.
    pub day: Day,
    /// Its bytes.
    pub indicium: IndiciumBytes,
}

/// The meters.
pub const METERS: Table<PublicKey, MeterRow> = Table::new(1, "meters");

/// The refills, by their source.
pub const REFILLS: Table<(u8, [u8; 32], u64), RefillRow> = Table::new(2, "refills");

/// The reported indicia, by meter and sequence number.
pub const USES: Table<(PublicKey, u64), UseRow> = Table::new(3, "uses");

/// The same by date, for the purge.
pub const USES_BY_DAY: Table<(u32, PublicKey, u64), ()> = Table::new(4, "uses by day");

/// The second indicium under a sequence number, by meter and sequence number. With the first it convicts the meter.
pub const CONFLICTS: Table<(PublicKey, u64), [IndiciumBytes; 2]> = Table::new(5, "conflicts");

/// How much of each station's reports is here.
pub const STATIONS: Table<PublicKey, u64> = Table::new(6, "stations");

/// The number of the meter list. It is raised with each change of what is in the list.
pub const LIST: Table<(), u64> = Table::new(7, "list");
