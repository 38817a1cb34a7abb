//! The program `farthing`: see `farthing --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    farthing_client::cli::run(std::env::args_os())
}
