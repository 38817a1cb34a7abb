//! `farthing-relay`: see `farthing-relay --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    farthing_relay::run(std::env::args_os())
}
