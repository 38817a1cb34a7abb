//! Dates as operators read and write them, in UTC.

use jiff::{Timestamp, civil, tz::TimeZone};

/// The text of a time (ms since 1970): `2026-11-29 14:05:09 UTC`. A time beyond the calendar is shown as its number.
#[must_use]
pub fn text(at_ms: u64) -> String {
    let time = i64::try_from(at_ms)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok());
    time.map_or_else(
        || format!("{at_ms} ms since 1970"),
        |time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
    )
}

/// Reads a date (`2026-11-29`, its beginning in UTC) or a time (`2026-11-29T14:05:09Z`), as ms since 1970.
///
/// # Errors
/// A message for the operator.
pub fn parse(text: &str) -> Result<u64, String> {
    let day = |text: &str| {
        let date: civil::Date = text.parse().ok()?;
        Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp())
    };
    let time = day(text).filter(|_| text.len() == 10);
    let time = time.or_else(|| text.parse::<Timestamp>().ok());
    time.and_then(|time| u64::try_from(time.as_millisecond()).ok())
        .ok_or_else(|| {
            format!("`{text}` is no date; write it as 2026-11-29, or with a time as 2026-11-29T14:05:09Z")
        })
}

#[cfg(test)]
mod tests {
    use super::{parse, text};

    #[test]
    fn dates_are_read_as_they_are_written() {
        let day = parse("2026-11-29").unwrap();
        assert_eq!(text(day), "2026-11-29 00:00:00 UTC");
        assert_eq!(parse("2026-11-29T00:00:01Z").unwrap(), day + 1000);
        assert_eq!(text(u64::MAX), format!("{} ms since 1970", u64::MAX));
        for wrong in ["", "29.11.2026", "2026-13-01", "1969-12-31", "tomorrow"] {
            assert!(parse(wrong).unwrap_err().contains("is no date"), "{wrong}");
        }
    }
}
