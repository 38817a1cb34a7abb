//! One executable that contains every program, so that one build makes all of them and none is out of date.
//!
//! The hidden words `role bank`, `role customer` and so on select the program. Its arguments follow.

use farthing_node::{card::RoleName, terminal};
use std::{
    ffi::{OsStr, OsString},
    io::Read,
    process::ExitCode,
};

/// The hidden subcommand that selects a program.
pub const ROLE_COMMAND: &str = "role";

/// The name of the wallet's command line after [`ROLE_COMMAND`].
pub const CUSTOMER: &str = "customer";

/// The name of `farthing-postage` after [`ROLE_COMMAND`]. It is no node: it listens nowhere.
pub const POSTAGE: &str = "postage";

/// Makes a node end when its standard input closes. So it ends with its parent, even if the parent was killed.
pub const TIED: &str = "FARTHING_ENDS_WITH_STDIN";

/// The exit code for invalid arguments.
const EXIT_USAGE: u8 = 2;

/// The exit code of a node whose standard input closed.
const ENDED_WITH_STDIN: i32 = 0;

/// Runs the program that `args` name (after the executable's own name): `role bank ARGS...`, `role customer ARGS...`.
/// `None` if they name no program: the executable then runs its own command line.
pub fn run(args: &[OsString]) -> Option<ExitCode> {
    let [_, command, rest @ ..] = args else {
        return None;
    };
    if command != ROLE_COMMAND {
        return None;
    }
    let (role, rest) = rest
        .split_first()
        .map_or((OsStr::new(""), rest), |(role, rest)| (role, rest));
    let role = role.to_string_lossy();
    if role == CUSTOMER {
        return Some(farthing_client::cli::run(named("farthing", rest)));
    }
    if role == POSTAGE {
        return Some(farthing_postage::cli::run(named("farthing-postage", rest)));
    }
    Some(match role.parse::<RoleName>() {
        Ok(role) => run_node(role, rest),
        Err(error) => {
            terminal::print_error(&error.to_string());
            ExitCode::from(EXIT_USAGE)
        }
    })
}

fn run_node(role: RoleName, args: &[OsString]) -> ExitCode {
    if std::env::var_os(TIED).is_some() {
        std::thread::spawn(end_with_stdin);
    }
    let args = named(&format!("farthing-{role}"), args);
    match role {
        RoleName::Bank => farthing_bank::cli::run(args),
        RoleName::Escrow => farthing_escrow::cli::run(args),
        RoleName::Merchant => farthing_merchant::cli::run(args),
        RoleName::Relay => farthing_relay::cli::run(args),
    }
}

fn named(program: &str, args: &[OsString]) -> Vec<OsString> {
    std::iter::once(program.into())
        .chain(args.iter().cloned())
        .collect()
}

/// Ends the process as soon as its standard input closes. Work in progress is lost as in a crash, which every node
/// survives.
fn end_with_stdin() {
    let mut sink = [0; 64];
    while matches!(std::io::stdin().read(&mut sink), Ok(1..)) {}
    std::process::exit(ENDED_WITH_STDIN);
}
