//! The rows of a station.

use crate::{
    day::Day,
    documents::{IndiciumBytes, ListedMeter},
};
use farthing_coin::{PublicKey, StatementDigest};
use farthing_protocol::money::Amount;
use farthing_store::Table;
use serde::{Deserialize, Serialize};

/// The state of a station.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StationRow {
    /// The number of the last entry for the office.
    pub entries: u64,
    /// The office has all entries up to this number.
    pub received: u64,
    /// Indicia before this day were forgotten, so none of them is accepted, whatever the clock says.
    pub purged_before: Day,
    /// The number of the meter list.
    pub list: u64,
}

/// An accepted indicium.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenRow {
    /// The digest of its fields.
    pub digest: StatementDigest,
    /// When it was accepted (ms since 1970).
    pub at_ms: u64,
}

/// The accepted indicium of a meter with the highest sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HighestRow {
    /// Its sequence number.
    pub sequence: u64,
    /// The ascending register in it.
    pub ascending: Amount,
}

/// The state.
pub const STATION: Table<(), StationRow> = Table::new(1, "station");

/// The meters in the office's list.
pub const LISTED: Table<PublicKey, ListedMeter> = Table::new(2, "listed meters");

/// The accepted indicia, by meter and sequence number.
pub const SEEN: Table<(PublicKey, u64), SeenRow> = Table::new(3, "seen");

/// The same by date, for the purge.
pub const SEEN_BY_DAY: Table<(u32, PublicKey, u64), ()> = Table::new(4, "seen by day");

/// The highest sequence number of each meter.
pub const HIGHEST: Table<PublicKey, HighestRow> = Table::new(5, "highest");

/// Entries for the office that it has not confirmed, by number.
pub const ENTRIES: Table<u64, IndiciumBytes> = Table::new(6, "entries");

/// Second indicia under one sequence number that are among the entries, by date and the digest of their fields.
pub const SECOND: Table<(u32, StatementDigest), ()> = Table::new(7, "second indicia");
