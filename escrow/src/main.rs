//! `farthing-escrow`: see `farthing-escrow --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    farthing_escrow::run(std::env::args_os())
}
