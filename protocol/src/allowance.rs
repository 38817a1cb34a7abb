//! Rate limits of accounts by the node's clock: a burst, and then one use after each refill time.

use crate::{
    api::Question,
    limits::{OWNER_REQUEST_EVERY_MS, OWNER_REQUESTS_AT_ONCE_MAX},
    refusal::Later,
};
use farthing_coin::PublicKey;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// The number of entries from which full allowances are dropped.
const TIDY_FROM: usize = 1024;

/// The allowances of all accounts. They are in memory only, so a restart fills each of them.
#[derive(Debug)]
pub struct Allowances<K> {
    burst: u64,
    refill_ms: u64,
    used: BTreeMap<K, Used>,
}

/// The requests of each kind that each owner of an account or a reserve may send: [`OWNER_REQUESTS_AT_ONCE_MAX`], and one
/// more after each [`OWNER_REQUEST_EVERY_MS`].
#[derive(Debug)]
pub struct OwnerAllowances(Mutex<Allowances<(PublicKey, Question)>>);

impl Default for OwnerAllowances {
    fn default() -> Self {
        let allowances = Allowances::new(OWNER_REQUESTS_AT_ONCE_MAX, OWNER_REQUEST_EVERY_MS);
        Self(Mutex::new(allowances))
    }
}

impl OwnerAllowances {
    /// Takes a request of the owner of this key. Take it after the signature is verified, so that nobody uses up the requests
    /// of others.
    ///
    /// # Errors
    /// [`Later::Busy`] when none is left. It says when the next one comes back.
    pub fn take(&self, owner: &PublicKey, question: Question, now_ms: u64) -> Result<(), Later> {
        let mut allowances = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        allowances.take((*owner, question), now_ms)
    }
}

/// How many uses were taken at a time. One has come back in each `refill_ms` since then.
#[derive(Debug, Clone, Copy)]
struct Used {
    count: u64,
    at_ms: u64,
}

impl<K: Ord + Copy> Allowances<K> {
    /// Allows `burst` uses at once, and one more after each `refill_ms`.
    pub const fn new(burst: u64, refill_ms: u64) -> Self {
        Self {
            burst,
            refill_ms,
            used: BTreeMap::new(),
        }
    }

    /// Takes one use from the allowance of `key`.
    ///
    /// # Errors
    /// [`Later::Busy`] when none is left. It says when the next one comes back.
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
            // If the clock was set back, the wait starts again at the new time.
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
    /// The uses that have not come back by `now_ms`. A clock that was set back changes their number in no way.
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
    fn a_full_burst_is_allowed_and_then_one_after_each_refill_time() {
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
        // The whole burst is back, and no more.
        for _ in 0..3 {
            allowances.take("a", 9_000).unwrap();
        }
        assert_eq!(allowances.take("a", 9_000), busy(100));
    }

    #[test]
    fn a_clock_that_is_set_back_refills_nothing() {
        let mut allowances = Allowances::new(1, 100);
        allowances.take("a", 9_000).unwrap();
        assert!(allowances.take("a", 1_000).is_err());
        allowances.take("a", 1_100).unwrap();
    }

    #[test]
    fn full_allowances_are_dropped() {
        let mut allowances = Allowances::new(1, 100);
        for key in 0..5_000_u64 {
            allowances.take(key, key).unwrap();
        }
        assert!(allowances.used.len() <= super::TIDY_FROM + 1);
    }
}
