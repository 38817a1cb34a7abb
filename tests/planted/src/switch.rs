//! The switch, one for each thread.

use super::Defect;
use std::cell::Cell;

/// Stands in every program that the switches are built into, so that anybody can look whether it has them.
#[used]
pub static MARKER: &str = "this program has planted defects built in";

thread_local! {
    static ON: Cell<Option<Defect>> = const { Cell::new(None) };
}

/// Whether `defect` is switched on, on this thread.
pub fn is_planted(defect: Defect) -> bool {
    ON.get() == Some(defect)
}

/// Switches `defect` on for this thread, alone, until what is returned is dropped.
#[must_use = "it is switched off again when this is dropped"]
pub fn plant(defect: Defect) -> Planted {
    ON.set(Some(defect));
    Planted(())
}

/// Keeps a defect switched on.
#[derive(Debug)]
pub struct Planted(());

impl Drop for Planted {
    fn drop(&mut self) {
        ON.set(None);
    }
}
