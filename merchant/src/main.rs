//! `farthing-merchant`: see `farthing-merchant --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    farthing_merchant::run(std::env::args_os())
}
