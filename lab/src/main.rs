//! `farthing-lab`: see `farthing-lab --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    farthing_lab::cli::run(std::env::args_os())
}
