//! How a program that measures begins, and how it sums up times.

use anyhow::Result;
use clap::Parser;
use farthing_kit::program;
use std::{ffi::OsString, io::Write, process::ExitCode, time::Duration};

/// Runs the program of a node or a wallet if the arguments name one, otherwise `measure` with the arguments that it reads.
pub(crate) fn run<A: Parser>(measure: impl AsyncFnOnce(&A) -> Result<()>) -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    if let Some(exit) = program::run(&args) {
        return exit;
    }
    let args = A::parse_from(args);
    let measured = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(measure(&args)));
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _gone = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A percentile of times (ms): 50 for the median.
pub(crate) fn percentile_ms(times: &[Duration], percent: usize) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let place = sorted.len().saturating_sub(1) * percent / 100;
    sorted.get(place).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
}
