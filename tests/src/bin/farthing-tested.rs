//! `farthing-lab`, built with the tests. With `role bank`, `role customer` and so on, it is every program.

use std::process::ExitCode;

fn main() -> ExitCode {
    farthing_lab::cli::run(std::env::args_os())
}
