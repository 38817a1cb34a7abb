//! One run of a command: its runtime, a directory of its own, and how the program ends.

use farthing_kit::{error::RunError, scratch::Scratch};
use farthing_node::{process::stop_signal, terminal};
use std::{path::Path, process::ExitCode};
use tokio::runtime::{Builder, Runtime};

/// What the command runs on.
///
/// # Errors
/// When the operating system gives no threads.
pub(crate) fn runtime() -> Result<Runtime, RunError> {
    let runtime = Builder::new_multi_thread().enable_all().build();
    runtime.map_err(RunError::io("cannot start the runtime"))
}

/// Does `work` in a directory that goes when it is done, or in `keep`.
///
/// # Errors
/// Those of `work`, and [`RunError::Stopped`] if the program was asked to stop.
pub(crate) async fn in_a_directory<T>(
    name: &str,
    keep: Option<&Path>,
    work: impl AsyncFnOnce(&Path) -> Result<T, RunError>,
) -> Result<T, RunError> {
    let dir = Scratch::new(name, keep)?;
    tokio::select! {
        outcome = work(dir.path()) => outcome,
        // Dropping the other branch kills the nodes.
        stopped = stop_signal() => {
            stopped.map_err(RunError::io("signals"))?;
            Err(RunError::Stopped)
        }
    }
}

/// Says what went wrong, with the last lines of a node's log where that is why, and how the program ends.
pub(crate) fn fail(error: &RunError) -> ExitCode {
    terminal::print_note(&format!("error: {error}"));
    ExitCode::from(error.exit_code())
}
