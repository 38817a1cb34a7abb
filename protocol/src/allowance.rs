//! How often each account may do something, by the bank's clock: so many times at once, and then once in a while.

use crate::refusal::Later;
use std::collections::BTreeMap;

/// From how many entries on those that say nothing any more are dropped.
const TIDY_FROM: usize = 1024;

/// What has been used of each account's allowance. It lives in memory: a restart gives everybody all of it again.
#[derive(Debug)]
pub struct Allowances<K> {
    burst: u64,
    refill_ms: u64,
    used: BTreeMap<K, Used>,
}

/// How many were used at a time, of which one has come back each `refill_ms` since.
#[derive(Debug, Clone, Copy)]
struct Used {
    count: u64,
    at_ms: u64,
}

impl<K: Ord + Copy> Allowances<K> {
    /// `burst` times at once, and one more each `refill_ms`.
    pub const fn new(burst: u64, refill_ms: u64) -> Self {
        Self {
            burst,
            refill_ms,
            used: BTreeMap::new(),
        }
    }

    /// Uses one of `key`'s.
    ///
    /// # Errors
    /// [`Later::Busy`] when none is left; it says when the next one comes back.
    pub fn take(&mut self, key: K, now_ms: u64) -> Result<(), Later> {
        if self.used.len() >= TIDY_FROM {
            let refill_ms = self.refill_ms;
            self.used.retain(|_, used| used.now(refill_ms, now_ms).count > 0);
        }
        let none = Used {
            count: 0,
            at_ms: now_ms,
        };
        let used = self.used.get(&key).unwrap_or(&none).now(self.refill_ms, now_ms);
        if used.count >= self.burst {
            // Where the clock was set back, the wait begins anew from what it says now.
            self.used.insert(key, used);
            let age_ms = now_ms.saturating_sub(used.at_ms);
            return Err(Later::Busy {
                retry_after_ms: self.refill_ms.saturating_sub(age_ms),
            });
        }
        let more = Used {
            count: used.count.saturating_add(1),
            ..used
        };
        self.used.insert(key, more);
        Ok(())
    }
}

impl Used {
    /// What is left of it by now. A clock that was set back gives nothing back, and takes nothing.
    fn now(self, refill_ms: u64, now_ms: u64) -> Used {
        let Some(age_ms) = now_ms.checked_sub(self.at_ms) else {
            return Used {
                at_ms: now_ms,
                ..self
            };
        };
        let back = age_ms.checked_div(refill_ms).unwrap_or_default();
        if back >= self.count {
            return Used {
                count: 0,
                at_ms: now_ms,
            };
        }
        Used {
            count: self.count.saturating_sub(back),
            at_ms: self.at_ms.saturating_add(back.saturating_mul(refill_ms)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::Allowances;
    use crate::refusal::Later;

    #[test]
    fn so_many_at_once_and_then_one_in_a_while() {
        let mut allowances = Allowances::new(3, 100);
        for _ in 0..3 {
            allowances.take("a", 1_000).unwrap();
        }
        let busy = |retry_after_ms| Err(Later::Busy { retry_after_ms });
        assert_eq!(allowances.take("a", 1_000), busy(100));
        assert_eq!(allowances.take("a", 1_070), busy(30));
        allowances.take("b", 1_070).unwrap();
        allowances.take("a", 1_100).unwrap();
        assert_eq!(allowances.take("a", 1_130), busy(70));
        // All of it is back, and no more than that.
        for _ in 0..3 {
            allowances.take("a", 9_000).unwrap();
        }
        assert_eq!(allowances.take("a", 9_000), busy(100));
    }

    #[test]
    fn a_clock_that_was_set_back_gives_nothing_back() {
        let mut allowances = Allowances::new(1, 100);
        allowances.take("a", 9_000).unwrap();
        assert!(allowances.take("a", 1_000).is_err());
        allowances.take("a", 1_100).unwrap();
    }

    #[test]
    fn what_is_back_is_forgotten() {
        let mut allowances = Allowances::new(1, 100);
        for key in 0..5_000_u64 {
            allowances.take(key, key).unwrap();
        }
        assert!(allowances.used.len() <= super::TIDY_FROM + 1);
    }
}
