//! The presentation of a run and its result.

use crate::faults::run::{CellResult, Ended};

/// The CSS class, the sign and the words of a result.
pub(super) fn look(outcome: &CellResult) -> (&'static str, &'static str, &'static str) {
    match outcome {
        CellResult::Bought => ("bought", "✓", "bought"),
        CellResult::Retried(_) => ("retried", "↻", "bought after retry"),
        CellResult::CoinsBack(_) => ("back", "↩", "coins back"),
        CellResult::Paid(_) => ("bought", "✓", "paid"),
        CellResult::NotRun(_) => ("not-run", "–", "not run"),
        CellResult::Violated(_) => ("violated", "✗", "violated"),
    }
}

/// The heading of a run, above its steps.
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
