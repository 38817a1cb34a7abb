//! Runs a program, from its arguments to its exit code.

use super::report::{Report, failed};
use clap::Parser;
use std::ffi::OsString;
use std::fmt::Display;
use std::process::ExitCode;

/// Runs a program with these arguments, its name first. `execute` gets the parsed arguments. Its report or error is printed
/// as text, or as JSON if `as_json` says so.
pub fn run<C: Parser, E: Display>(
    args: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    as_json: impl FnOnce(&C) -> bool,
    execute: impl AsyncFnOnce(C) -> Result<Report, E>,
) -> ExitCode {
    let cli: C = match super::parse(args) {
        Ok((cli, _)) => cli,
        Err(exit) => return exit,
    };
    let as_json = as_json(&cli);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("cannot start the runtime: {error}"), as_json),
    };
    match runtime.block_on(execute(cli)) {
        Ok(report) => {
            report.print(as_json);
            ExitCode::from(report.exit)
        }
        Err(error) => failed(&format!("{error:#}"), as_json),
    }
}
