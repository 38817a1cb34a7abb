//! The counts of a soak.

use crate::processes::buyer::Buyer;
use farthing_kit::line::{Line, Way};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};

/// The counts so far.
#[derive(Debug, Clone, Default)]
pub struct Counted {
    /// Number of events, by name.
    pub happened: BTreeMap<&'static str, u64>,
    /// Number of refusals, by the message of the command.
    pub refusals: BTreeMap<String, u64>,
}

impl Counted {
    /// Number of events of this name.
    pub fn of(&self, what: &str) -> u64 {
        self.happened.get(what).copied().unwrap_or(0)
    }

    /// The counts as JSON.
    pub fn json(&self) -> Value {
        json!({ "counted": self.happened, "refusals": self.refusals })
    }
}

/// Counters that all threads share.
#[derive(Debug, Default)]
pub struct Tally(Mutex<Counted>);

impl Tally {
    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().expect("nobody panics while counting")
    }

    /// Adds one event.
    pub fn count(&self, what: &'static str) {
        self.add(what, 1);
    }

    fn add(&self, what: &'static str, many: u64) {
        *self.lock().happened.entry(what).or_default() += many;
    }

    /// Counts the refusal of a command. Digits become `#`, so messages of one kind count together.
    pub fn refusal(&self, command: &str, says: &str) {
        let kind: String = says
            .chars()
            .map(|c| if c.is_ascii_digit() { '#' } else { c })
            .collect();
        *self
            .lock()
            .refusals
            .entry(format!("{command}: {kind}"))
            .or_default() += 1;
    }

    /// The counts so far.
    pub fn counted(&self) -> Counted {
        self.lock().clone()
    }

    /// Counts the purchases of a customer by their end.
    pub fn ended(&self, customer: &Buyer) {
        for purchase in customer.purchases() {
            self.count(match purchase["status"].as_str() {
                Some("committed") => "purchases with goods and paid",
                Some("aborted" | "recovered") => "purchases with the coins back",
                _ => "purchases dropped before coins were put to them",
            });
        }
    }

    /// Counts the datagrams of a line by their fate.
    pub fn line(&self, line: &Line) {
        for counts in Way::ALL.map(|way| line.counts(way)) {
            self.add("datagrams passed", counts.passed);
            self.add("datagrams lost", counts.dropped);
            self.add("datagrams repeated", counts.repeated);
            self.add("datagrams delayed", counts.delayed);
        }
    }
}
