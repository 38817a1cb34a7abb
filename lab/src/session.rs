//! One run of a command: its runtime, its directory, and its exit code.

use farthing_kit::{error::RunError, scratch::Scratch};
use farthing_node::{process::stop_signal, terminal};
use std::{path::Path, process::ExitCode};
use tokio::runtime::{Builder, Runtime};

/// Creates the runtime.
///
/// # Errors
/// When the operating system has no threads.
pub(crate) fn runtime() -> Result<Runtime, RunError> {
    let runtime = Builder::new_multi_thread().enable_all().build();
    runtime.map_err(RunError::io("cannot start the runtime"))
}

/// Does `work` in a temporary directory, or in `keep`.
///
/// # Errors
/// The errors of `work`, and [`RunError::Stopped`] after a stop signal.
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

/// Prints the error, with the last lines of a node's log if the node has failed. Returns the exit code.
pub(crate) fn fail(error: &RunError) -> ExitCode {
    terminal::print_note(&format!("error: {error}"));
    ExitCode::from(error.exit_code())
}
