//! The switch, one for each thread.

use std::cell::RefCell;

/// Stands in every program that the switches are built into, so that anybody can look whether it has them.
#[used]
pub static MARKER: &str = "this program has planted defects built in";

thread_local! {
    static ON: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Whether the mistake `name` is switched on, on this thread.
pub fn is_planted(name: impl AsRef<str>) -> bool {
    ON.with_borrow(|on| on.as_deref() == Some(name.as_ref()))
}

/// Whether any is.
pub fn is_any_planted() -> bool {
    ON.with_borrow(Option::is_some)
}

/// Switches the mistake `name` on for this thread, alone, until what is returned is dropped.
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
