//! Waiting for something, within a bound.

use farthing_kit::{nodes::Node, process::ProcessError};
use std::{
    fmt::Display,
    io::Write,
    sync::LazyLock,
    thread,
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;

/// How long anything may take that must happen. A wallet itself has 60 s of patience, and machines that test are busy.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The pause between two looks.
const LOOK_PAUSE: Duration = Duration::from_millis(5);

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));

/// What runs all relays, and whatever else does not block.
pub fn runtime() -> &'static Runtime {
    &RUNTIME
}

/// Waits for what would not block.
pub trait Wait<T> {
    /// Waits until it is done, which it must be without an error.
    fn wait(self) -> T;
}

impl<T, E: Display, F: Future<Output = Result<T, E>>> Wait<T> for F {
    #[track_caller]
    fn wait(self) -> T {
        match runtime().block_on(self) {
            Ok(done) => done,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Looks until `look` finds something.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "after {PATIENCE:?} still not: {what}");
        thread::sleep(LOOK_PAUSE);
    }
}

/// Waits until a node's log has `what`.
pub fn until_log_says(node: &Node, what: &str) {
    until(&format!("the log of the {} says `{what}`", node.role()), || {
        node.log().contains(what).then_some(())
    });
}

/// Starts a node, which ends at once: its exit code, and its log.
pub fn does_not_start(node: &Node) -> (Option<i32>, String) {
    match runtime().block_on(node.start()) {
        Err(ProcessError::NotReady { code, .. }) => (code, node.log()),
        other => panic!("the {} starts: {other:?}", node.role()),
    }
}

/// Says something on standard error that is shown even where tests that pass are silent.
pub fn tell(text: &str) {
    let _gone = writeln!(std::io::stderr(), "{text}");
}
