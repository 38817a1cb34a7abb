//! Watches a wallet, and acts at a chosen moment of its work.
//!
//! A wallet tells its observer each request before it sends it, and each reply before it acts on it. So an action here
//! is certain to happen in between, and no step depends on timing.

use farthing_client::observer::{Observer, WalletEvent};
use farthing_protocol::api::Question;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The most stored events. A demonstration's wallet has some hundreds.
const EVENTS_MAX: usize = 10_000;

/// A moment of a wallet's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// It is about to send this request.
    Asked(Question),
    /// It has received the reply to this request.
    Answered(Question),
    /// The reply did not come in time.
    Unanswered(Question),
    /// The request was refused.
    Refused(Question),
}

impl Moment {
    fn of(event: &WalletEvent) -> Option<Moment> {
        match event {
            WalletEvent::Asked { question, .. } => Some(Moment::Asked(*question)),
            WalletEvent::Answered { question, .. } => Some(Moment::Answered(*question)),
            WalletEvent::Unanswered { question, .. } => Some(Moment::Unanswered(*question)),
            WalletEvent::Refused { question, .. } => Some(Moment::Refused(*question)),
            _ => None,
        }
    }
}

type Action = Box<dyn FnOnce() + Send>;

/// The observer of a wallet.
#[derive(Default)]
pub struct Script {
    planned: Mutex<Vec<(Moment, Action)>>,
    seen: Mutex<Vec<Moment>>,
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Script").finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Script {
    /// Runs `action` once, when `moment` comes next.
    pub fn once(&self, moment: Moment, action: impl FnOnce() + Send + 'static) {
        lock(&self.planned).push((moment, Box::new(action)));
    }

    /// The number of times that `moment` came since the last [`forget`](Script::forget).
    pub fn count(&self, moment: Moment) -> usize {
        lock(&self.seen).iter().filter(|seen| **seen == moment).count()
    }

    /// Forgets all past events and planned actions: a new step begins.
    pub fn forget(&self) {
        lock(&self.planned).clear();
        lock(&self.seen).clear();
    }
}

impl Observer for Script {
    fn on_event(&self, event: &WalletEvent) {
        let Some(moment) = Moment::of(event) else { return };
        let mut seen = lock(&self.seen);
        if seen.len() < EVENTS_MAX {
            seen.push(moment);
        }
        drop(seen);
        let action = {
            let mut planned = lock(&self.planned);
            planned
                .iter()
                .position(|(when, _)| *when == moment)
                .map(|index| planned.remove(index).1)
        };
        if let Some(action) = action {
            action();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    fn asked(question: Question) -> WalletEvent {
        WalletEvent::Asked {
            party: "escrow `fair`".into(),
            question,
        }
    }

    #[test]
    fn an_action_is_done_once_and_at_its_moment() {
        let script = Script::default();
        let done = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&done);
        script.once(Moment::Asked(Question::Hold), move || {
            counted.fetch_add(1, Ordering::SeqCst);
        });
        script.on_event(&asked(Question::Offer));
        assert_eq!(done.load(Ordering::SeqCst), 0);
        script.on_event(&asked(Question::Hold));
        script.on_event(&asked(Question::Hold));
        assert_eq!(done.load(Ordering::SeqCst), 1);
        assert_eq!(script.count(Moment::Asked(Question::Hold)), 2);
        script.forget();
        assert_eq!(script.count(Moment::Asked(Question::Hold)), 0);
    }
}
