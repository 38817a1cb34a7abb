//! `farthing-lab`, built with the tests: with `role bank`, `role customer` and the like every program.

use std::process::ExitCode;

fn main() -> ExitCode {
    farthing_lab::cli::run(std::env::args_os())
}
