//! The rows of a meter.

use crate::{
    address::PostalCode,
    documents::{IndiciumBytes, MeterCertificate, Refill, RefillSource, Registers},
};
use farthing_coin::{PublicKey, Signed};
use farthing_store::Table;
use serde::{Deserialize, Serialize};

/// Prints that the meter can repeat: the newest ones.
pub const JOBS_KEPT: u64 = 10_000;

/// The state of a meter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeterState {
    /// The number of changes so far. The device counts them too.
    pub writes: u64,
    /// The postal code where its mail is posted.
    pub from: PostalCode,
    /// Its certificate, once it has one.
    pub certificate: Option<Signed<MeterCertificate>>,
    /// Its registers.
    pub registers: Registers,
}

impl MeterState {
    /// The state of a new meter.
    #[must_use]
    pub fn new(from: PostalCode) -> MeterState {
        MeterState {
            writes: 1,
            from,
            certificate: None,
            registers: Registers::default(),
        }
    }

    /// The same state as the next change leaves it, one change later.
    #[must_use]
    pub fn next(&self) -> MeterState {
        MeterState {
            writes: self.writes.saturating_add(1),
            ..self.clone()
        }
    }
}

/// A print, by its job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrintRow {
    /// The bytes of the indicium.
    pub indicium: IndiciumBytes,
}

/// The key of a refill's row.
#[must_use]
pub fn refill_key(source: &RefillSource) -> (u8, [u8; 32], u64) {
    match source {
        RefillSource::Deposit(deposit) => (0, deposit.0, 0),
        RefillSource::Settlement {
            meter: PublicKey(key),
            number,
        } => (1, *key, *number),
    }
}

/// The state.
pub const STATE: Table<(), MeterState> = Table::new(1, "state");

/// The secret key of the meter, which only the sealed store has.
pub const SECRET: Table<(), [u8; 32]> = Table::new(2, "secret");

/// The refills that were applied, by their source.
pub const REFILLS: Table<(u8, [u8; 32], u64), Signed<Refill>> = Table::new(3, "refills");

/// The newest prints, by job.
pub const JOBS: Table<[u8; 32], PrintRow> = Table::new(4, "jobs");

/// Their jobs, by sequence number.
pub const JOB_AT: Table<u64, [u8; 32]> = Table::new(5, "jobs by sequence number");
