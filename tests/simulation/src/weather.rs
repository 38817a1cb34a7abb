//! Random behaviour of the network, from a seed: the time and the fault of each message.

use super::{dice::Dice, fault::Fault, party::Party};
use std::time::Duration;

/// The times of a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delays {
    /// Time of the request on its way.
    pub request: Duration,
    /// Least time of the server for it.
    pub service: Duration,
    /// Time of the reply on its way.
    pub reply: Duration,
}

/// The faults of the weather, with their weights.
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
    /// Messages with a fault, in a thousand.
    faults_per_mille: u64,
    /// Longest time of a message one way (ms). A later message often arrives first.
    slow_ms: u64,
}

impl Weather {
    /// Weather with this rate of faults (in a thousand messages), and with times of up to `slow_ms` one way.
    pub fn new(seed: u64, faults_per_mille: u64, slow_ms: u64) -> Self {
        Self {
            dice: Dice::new(seed),
            faults_per_mille,
            slow_ms: slow_ms.max(1),
        }
    }

    /// The times and the fault of the next message. A stranger's message always arrives.
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
