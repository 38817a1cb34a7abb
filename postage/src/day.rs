//! Calendar days.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The length of a day (ms).
pub const DAY_MS: u64 = 86_400_000;

/// Days for which an indicium is valid after its date: six months.
pub const VALID_DAYS: u32 = 183;

/// A day, as the number of days since 1970-01-01, in UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Day(pub u32);

impl Day {
    /// The day of a time (ms since 1970).
    #[must_use]
    pub fn of_ms(at_ms: u64) -> Day {
        Day(u32::try_from(at_ms / DAY_MS).unwrap_or(u32::MAX))
    }

    /// The beginning of the day (ms since 1970).
    #[must_use]
    pub fn begin_ms(self) -> u64 {
        u64::from(self.0).saturating_mul(DAY_MS)
    }

    /// The day that is `days` later.
    #[must_use]
    pub fn plus(self, days: u32) -> Day {
        Day(self.0.saturating_add(days))
    }

    /// The last day on which an indicium with this date is valid.
    #[must_use]
    pub fn valid_until(self) -> Day {
        self.plus(VALID_DAYS)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = farthing_node::date::text(self.begin_ms());
        f.pad(text.split(' ').next().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_written_as_a_date_and_read_from_a_time() {
        let day = Day::of_ms(farthing_node::date::parse("2026-11-30").unwrap_or_default() + DAY_MS - 1);
        assert_eq!(day.to_string(), "2026-11-30");
        assert_eq!(day.valid_until().to_string(), "2027-06-01");
        assert_eq!(Day::of_ms(day.begin_ms()), day);
    }
}
