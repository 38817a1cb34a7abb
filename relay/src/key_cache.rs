//! The encryption keys of the servers. All wallets get the same copy, so that no server can give a wallet a key of its
//! own.

use farthing_coin::{PublicKey, Signed};
use farthing_protocol::oblivious::{EncryptionKey, MS_PER_DAY};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// How long a key is told before its server is asked for a newer one, if its day is not over (ms).
const ASK_AGAIN_AFTER_MS: u64 = 60 * 60 * 1000;

/// How long the relay waits before it asks for a newer key because a server has called the cached key old, or the key's
/// day is over (ms). If it asked more often, a server could soon give each wallet a key of another day.
const ASK_AGAIN_FIRST_MS: u64 = 60_000;

struct Cached {
    key: Signed<EncryptionKey>,
    asked_ms: u64,
    is_old: bool,
}

/// The cached keys: at most one for each pinned card.
#[derive(Default)]
pub(crate) struct KeyCache(Mutex<BTreeMap<PublicKey, Cached>>);

impl KeyCache {
    /// The cached key of `target`, unless it is time to ask for a newer one.
    pub(crate) fn fresh(&self, target: &PublicKey, now_ms: u64) -> Option<Signed<EncryptionKey>> {
        let cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let cached = cached.get(target)?;
        // After a clock was set back, the age is unknown.
        let age_ms = now_ms.checked_sub(cached.asked_ms)?;
        let is_over = now_ms / MS_PER_DAY > u64::from(cached.key.body.day);
        let wait_ms = match cached.is_old || is_over {
            true => ASK_AGAIN_FIRST_MS,
            false => ASK_AGAIN_AFTER_MS,
        };
        (age_ms < wait_ms).then(|| cached.key.clone())
    }

    /// Keeps the key that `target` has told at `now_ms`. A key of an earlier day does not replace a later one. Returns the
    /// key for wallets, or `None` if the target has told another key for the same day.
    pub(crate) fn keep(&self, key: Signed<EncryptionKey>, now_ms: u64) -> Option<Signed<EncryptionKey>> {
        let mut cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = match cached.remove(&key.body.target) {
            Some(before) if before.key.body.day > key.body.day => before.key,
            Some(before) if before.key.body.day == key.body.day && before.key.body.key != key.body.key => {
                cached.insert(key.body.target, before);
                return None;
            }
            _ => key,
        };
        let entry = Cached {
            key: kept.clone(),
            asked_ms: now_ms,
            is_old: false,
        };
        cached.insert(kept.body.target, entry);
        Some(kept)
    }

    /// Notes that `target` has called a key old.
    pub(crate) fn is_old(&self, target: &PublicKey) {
        let mut cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cached) = cached.get_mut(target) {
            cached.is_old = true;
        }
    }

    /// Forgets the keys of servers that are not pinned any more.
    pub(crate) fn retain(&self, is_pinned: impl Fn(&PublicKey) -> bool) {
        let mut cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cached.retain(|target, _| is_pinned(target));
    }
}
