//! `farthing-postage`: see `farthing-postage --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    farthing_postage::cli::run(std::env::args_os())
}
