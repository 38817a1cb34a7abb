//! The switch, one for each thread.

use std::cell::RefCell;

thread_local! {
    static ON: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Whether the mistake `name` is switched on, on this thread.
pub fn is_planted(name: &str) -> bool {
    ON.with_borrow(|on| on.as_deref() == Some(name))
}

/// Whether any mistake is switched on, on this thread.
pub fn is_any_planted() -> bool {
    ON.with_borrow(Option::is_some)
}

/// Switches on the mistake `name` for this thread only, until the returned value is dropped.
#[must_use = "it is switched off again when this is dropped"]
pub fn plant(name: &str) -> Planted {
    ON.set(Some(name.to_owned()));
    Planted(())
}

/// Keeps a mistake switched on.
#[derive(Debug)]
pub struct Planted(());

impl Drop for Planted {
    fn drop(&mut self) {
        ON.set(None);
    }
}
