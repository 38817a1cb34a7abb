//! What a soak counts.

use crate::processes::buyer::Buyer;
use farthing_kit::relay::{Relay, Way};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};

/// What was counted so far.
#[derive(Debug, Clone, Default)]
pub struct Counted {
    /// How often each thing happened, by its name.
    pub happened: BTreeMap<&'static str, u64>,
    /// What commands said that could not do what they were asked, and how often.
    pub refusals: BTreeMap<String, u64>,
}

impl Counted {
    /// How often it happened.
    pub fn of(&self, what: &str) -> u64 {
        self.happened.get(what).copied().unwrap_or(0)
    }

    /// All of it, for programs.
    pub fn json(&self) -> Value {
        json!({ "counted": self.happened, "refusals": self.refusals })
    }
}

/// Counts, for everyone at once.
#[derive(Debug, Default)]
pub struct Tally(Mutex<Counted>);

impl Tally {
    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().expect("nobody panics while counting")
    }

    /// One more of them.
    pub fn count(&self, what: &'static str) {
        self.add(what, 1);
    }

    fn add(&self, what: &'static str, many: u64) {
        *self.lock().happened.entry(what).or_default() += many;
    }

    /// What a command said that could not do what it was asked. What differs between two of a kind is left out.
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

    /// What was counted so far.
    pub fn counted(&self) -> Counted {
        self.lock().clone()
    }

    /// Counts what has become of a customer's purchases.
    pub fn ended(&self, customer: &Buyer) {
        for purchase in customer.purchases() {
            self.count(match purchase["status"].as_str() {
                Some("committed") => "purchases with goods and paid",
                Some("aborted" | "recovered") => "purchases with the coins back",
                _ => "purchases dropped before anything was at stake",
            });
        }
    }

    /// Counts what has become of the datagrams on a line.
    pub fn line(&self, line: &Relay) {
        for counts in Way::ALL.map(|way| line.counts(way)) {
            self.add("datagrams passed", counts.passed);
            self.add("datagrams lost", counts.dropped);
            self.add("datagrams repeated", counts.repeated);
            self.add("datagrams delayed", counts.delayed);
        }
    }
}
