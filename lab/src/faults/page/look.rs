//! How a run and its outcome look.

use crate::faults::run::{Ended, Outcome};

/// How an outcome looks: its class, its sign, and its word.
pub(super) fn look(outcome: &Outcome) -> (&'static str, &'static str, &'static str) {
    match outcome {
        Outcome::Bought => ("bought", "✓", "bought"),
        Outcome::Retried(_) => ("retried", "↻", "bought after retry"),
        Outcome::CoinsBack(_) => ("back", "↩", "coins back"),
        Outcome::NotRun(_) => ("not-run", "–", "not run"),
        Outcome::Violated(_) => ("violated", "✗", "violated"),
    }
}

/// A run as the page shows it on top of its steps.
pub(super) fn heading(ended: &Ended) -> (String, String, String) {
    match &ended.cell {
        None => (
            ended.route.title().to_owned(),
            "without a fault".to_owned(),
            ended.route.about().to_owned(),
        ),
        Some(cell) => (
            cell.place.to_string(),
            cell.fault.name().to_owned(),
            cell.fault.about().to_owned(),
        ),
    }
}
