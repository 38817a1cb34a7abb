//! Bounded waits.

use farthing_kit::{nodes::Node, process::ProcessError};
use std::{
    fmt::Display,
    io::Write,
    sync::LazyLock,
    thread,
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;

/// Longest time that an expected event may take. The patience of a wallet is 60 s, and test machines are busy.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Pause between two checks.
const LOOK_PAUSE: Duration = Duration::from_millis(5);

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));

/// The runtime of all lines and other asynchronous work.
pub fn runtime() -> &'static Runtime {
    &RUNTIME
}

/// Blocks on a future.
pub trait Wait<T> {
    /// Blocks until the future is done. Panics at an error.
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

/// Calls `look` until it returns a value. Panics after [`PATIENCE`].
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        thread::sleep(LOOK_PAUSE);
    }
}

/// Waits until the log of a node contains `what`.
pub fn until_log_says(node: &Node, what: &str) {
    until(&format!("the log of the {} says `{what}`", node.role()), || {
        node.log().contains(what).then_some(())
    });
}

/// Starts a node that must end at once. Returns its exit code and its log.
pub fn does_not_start(node: &Node) -> (Option<i32>, String) {
    match runtime().block_on(node.start()) {
        Err(ProcessError::NotReady { code, .. }) => (code, node.log()),
        other => panic!("the {} starts: {other:?}", node.role()),
    }
}

/// Writes to standard error. The text is shown even if the test passes.
pub fn tell(text: &str) {
    let _gone = writeln!(std::io::stderr(), "{text}");
}
