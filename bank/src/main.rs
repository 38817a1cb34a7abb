//! The program `farthing-bank`.

use std::process::ExitCode;

fn main() -> ExitCode {
    farthing_bank::cli::run(std::env::args_os())
}
