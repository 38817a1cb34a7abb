//! What the network does by itself, drawn from a seed: how long each message takes, and what it meets.

use super::{dice::Dice, fault::Fault, party::Party};
use std::time::Duration;

/// How long a message takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delays {
    /// Its request, to arrive.
    pub request: Duration,
    /// Its server, at least, to act.
    pub service: Duration,
    /// Its reply, to arrive.
    pub reply: Duration,
}

/// The kinds of faults that the weather brings, by how often.
const FAULTS: [(Fault, u64); 14] = [
    (Fault::LoseRequest, 20),
    (Fault::LoseReply, 20),
    (Fault::DelayRequest, 8),
    (Fault::DelayReply, 8),
    (Fault::Repeat, 12),
    (Fault::RepeatLate, 6),
    (Fault::Partition, 3),
    (Fault::KillBefore, 3),
    (Fault::CrashAfter, 3),
    (Fault::CrashReplied, 3),
    (Fault::TornWrite, 3),
    (Fault::DiskFull, 4),
    (Fault::SenderDiesBefore, 3),
    (Fault::SenderDiesAfter, 3),
];

/// The weather.
#[derive(Debug)]
pub struct Weather {
    dice: Dice,
    /// How many of a thousand messages meet a fault.
    faults_per_mille: u64,
    /// The longest that a message takes one way (ms): what is sent later often arrives first.
    slow_ms: u64,
}

impl Weather {
    /// Weather in which so many of a thousand messages meet a fault, and each takes up to `slow_ms` one way.
    pub fn new(seed: u64, faults_per_mille: u64, slow_ms: u64) -> Self {
        Self {
            dice: Dice::new(seed),
            faults_per_mille,
            slow_ms: slow_ms.max(1),
        }
    }

    /// What the next message meets. What a stranger sends always arrives.
    pub fn meet(&mut self, from: Party) -> (Option<Fault>, Delays) {
        let ms = |most| Duration::from_millis(1 + self.dice.below(most));
        let delays = Delays {
            request: ms(self.slow_ms),
            service: ms(2),
            reply: ms(self.slow_ms),
        };
        let meets = self.dice.below(1000) < self.faults_per_mille && from != Party::Stranger;
        (meets.then(|| self.dice.weighed(&FAULTS)), delays)
    }
}
