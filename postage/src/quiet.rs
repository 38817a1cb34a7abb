//! Panics of a library become `None`, and print nothing.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// True while this thread runs a function whose panics are expected.
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Runs a function. `None` if it panics.
///
/// The function must leave nothing behind that a panic could break. The first call adds a panic hook to the
/// program, which passes on every panic except those.
pub(crate) fn catch<T>(function: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |information| {
            if !EXPECTED.get() {
                previous(information);
            }
        }));
    });
    EXPECTED.set(true);
    let result = panic::catch_unwind(AssertUnwindSafe(function));
    EXPECTED.set(false);
    result.ok()
}

#[cfg(test)]
mod tests {
    use super::catch;

    #[test]
    fn a_panic_is_none_and_the_next_call_works() {
        assert_eq!(catch(|| -> u8 { panic!("expected") }), None);
        assert_eq!(catch(|| 1), Some(1));
    }
}
