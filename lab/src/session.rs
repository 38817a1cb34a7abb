//! One run of a command: its runtime, a directory of its own, and how the program ends.

use farthing_kit::{error::DemoError, scratch};
use farthing_node::{process::stop_signal, terminal};
use std::{path::Path, process::ExitCode};
use tokio::runtime::{Builder, Runtime};

/// What the command runs on.
///
/// # Errors
/// When the operating system gives no threads.
pub(crate) fn runtime() -> Result<Runtime, DemoError> {
    let runtime = Builder::new_multi_thread().enable_all().build();
    runtime.map_err(DemoError::io("cannot start the runtime"))
}

/// Does `work` in a directory that goes when it is done, or in `keep`.
///
/// # Errors
/// Those of `work`, and [`DemoError::Stopped`] if the program was asked to stop. What went wrong in the work matters more
/// than what is left on the disk.
pub(crate) async fn in_a_directory<T>(
    name: &str,
    keep: Option<&Path>,
    work: impl AsyncFnOnce(&Path) -> Result<T, DemoError>,
) -> Result<T, DemoError> {
    let dir = scratch::make(name, keep)?;
    let outcome = tokio::select! {
        outcome = work(&dir) => outcome,
        // Dropping the other branch kills the nodes.
        stopped = stop_signal() => {
            stopped.map_err(DemoError::io("signals"))?;
            Err(DemoError::Stopped)
        }
    };
    if keep.is_some() {
        return outcome;
    }
    let removed = scratch::remove(&dir).await;
    outcome.and_then(|done| removed.map(|()| done))
}

/// Says what went wrong, with the last lines of a node's log where that is why, and how the program ends.
pub(crate) fn fail(error: &DemoError) -> ExitCode {
    terminal::print_note(&format!("error: {error}"));
    ExitCode::from(error.exit_code())
}
