//! `farthing`, built with the tests: the wallet, and with `role bank` and the like every node.

use std::process::ExitCode;

fn main() -> ExitCode {
    farthing_client::cli::run(std::env::args_os())
}
