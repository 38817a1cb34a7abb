//! Complaints: what goes wrong again and again is one line of the log when it begins, then a count.
//!
//! A loop that asks a silent peer every two seconds would otherwise fill the log, and hide what is new in it. The text of an
//! error is no part of a complaint, because it may differ each time.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a complaint is only counted before the log repeats it, with the count: an hour.
pub const REMIND_AFTER: Duration = Duration::from_secs(60 * 60);

/// How long nothing may be wrong before a complaint has ended by itself: ten minutes. Every loop tries again earlier.
pub const FORGET_AFTER: Duration = Duration::from_secs(10 * 60);

/// The maximum number of complaints at one time. The log has no line for further ones until one has ended.
pub const COMPLAINTS_MAX: usize = 1024;

/// What is wrong at present. A complaint has a topic, and what it is about: a peer or a purchase.
#[derive(Debug, Default)]
pub struct Complaints {
    open: Mutex<BTreeMap<(&'static str, String), Complaint>>,
}

/// A complaint that has not ended.
#[derive(Debug)]
struct Complaint {
    told: Instant,
    last: Instant,
    times: u64,
}

impl Complaints {
    /// Counts a complaint. Returns how many times it was counted, if the log needs a line: at its beginning, and then every
    /// [`REMIND_AFTER`].
    fn raise(&self, topic: &'static str, about: &impl ToString) -> Option<u64> {
        let now = Instant::now();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, complaint| now.saturating_duration_since(complaint.last) < FORGET_AFTER);
        let key = (topic, about.to_string());
        if let Some(complaint) = open.get_mut(&key) {
            complaint.last = now;
            complaint.times = complaint.times.saturating_add(1);
            let is_due = now.saturating_duration_since(complaint.told) >= REMIND_AFTER;
            return is_due.then(|| {
                complaint.told = now;
                complaint.times
            });
        }
        if open.len() >= COMPLAINTS_MAX {
            return None;
        }
        let complaint = Complaint {
            told: now,
            last: now,
            times: 1,
        };
        open.insert(key, complaint);
        Some(1)
    }

    /// How many complaints have not ended.
    pub fn open(&self) -> usize {
        let now = Instant::now();
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let is_open = |complaint: &&Complaint| now.saturating_duration_since(complaint.last) < FORGET_AFTER;
        open.values().filter(is_open).count()
    }

    /// Counts a complaint, and calls `tell` with the count if the log needs a line.
    pub fn tell(&self, topic: &'static str, about: &impl ToString, tell: impl FnOnce(u64)) {
        if let Some(times) = self.raise(topic, about) {
            tell(times);
        }
    }

    /// Ends a complaint. Returns how many times it was counted, or `None` if there was none.
    pub fn clear(&self, topic: &'static str, about: &impl ToString) -> Option<u64> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // Mostly nothing is wrong, and then nothing is allocated.
        if open.is_empty() {
            return None;
        }
        let ended = open.remove(&(topic, about.to_string()))?;
        (ended.last.elapsed() < FORGET_AFTER).then_some(ended.times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_complaint_is_told_when_it_begins_and_then_every_hour() {
        let complaints = Complaints::default();
        let mut told = Vec::new();
        for _ in 0..2 * 1800 + 1 {
            told.extend(complaints.raise("silent", &"fair"));
            tokio::time::advance(Duration::from_secs(2)).await;
        }
        assert_eq!(told, [1, 1801, 3601]);
        // Another topic, and the same topic about another peer.
        assert_eq!(complaints.raise("refused", &"fair"), Some(1));
        assert_eq!(complaints.raise("silent", &"other"), Some(1));
        assert_eq!(complaints.clear("silent", &"fair"), Some(3601));
        assert_eq!(complaints.clear("silent", &"fair"), None);
        assert_eq!(complaints.raise("silent", &"fair"), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_complaint_that_nobody_raises_any_more_has_ended() {
        let complaints = Complaints::default();
        assert_eq!(complaints.raise("silent", &"fair"), Some(1));
        tokio::time::advance(FORGET_AFTER).await;
        assert_eq!(complaints.clear("silent", &"fair"), None);
        assert_eq!(complaints.raise("silent", &"fair"), Some(1));
        assert_eq!(complaints.open(), 1);
        tokio::time::advance(FORGET_AFTER).await;
        assert_eq!(complaints.open(), 0);
        assert_eq!(complaints.raise("silent", &"fair"), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn complaints_are_bounded() {
        let complaints = Complaints::default();
        for number in 0..COMPLAINTS_MAX {
            assert_eq!(complaints.raise("refused", &number), Some(1));
        }
        assert_eq!(complaints.raise("refused", &COMPLAINTS_MAX), None);
        assert_eq!(complaints.clear("refused", &7), Some(1));
        assert_eq!(complaints.raise("refused", &COMPLAINTS_MAX), Some(1));
    }
}
