//! One executable that is every program, so that one build makes all there is and nothing stale can run.
//!
//! It is called with the hidden words `role bank`, `role customer` and the like, and the arguments of that program.

use farthing_node::{card::RoleName, terminal};
use std::{
    ffi::{OsStr, OsString},
    io::Read,
    process::ExitCode,
};

/// The hidden subcommand under which an executable is another program.
pub const ROLE_COMMAND: &str = "role";

/// What follows [`ROLE_COMMAND`] for the wallet's command line.
pub const CUSTOMER: &str = "customer";

/// Set for a node that is to end when its standard input does: so it ends with whoever started it, even if that was
/// killed and could clean nothing up.
pub const TIED: &str = "FARTHING_ENDS_WITH_STDIN";

/// The exit code of a command line that is not understood.
const EXIT_USAGE: u8 = 2;

/// The exit code of a node that ended with its standard input.
const ENDED_WITH_STDIN: i32 = 0;

/// Runs the program that `args` name (the executable's own name first): `role bank ARGS...`, `role customer ARGS...`.
/// `None` if they name none: then the executable is itself.
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
    }
}

fn named(program: &str, args: &[OsString]) -> Vec<OsString> {
    std::iter::once(program.into())
        .chain(args.iter().cloned())
        .collect()
}

/// Ends the process as soon as its standard input does. What it was doing is lost as in a crash, which every node
/// is made to survive.
fn end_with_stdin() {
    let mut sink = [0; 64];
    while matches!(std::io::stdin().read(&mut sink), Ok(1..)) {}
    std::process::exit(ENDED_WITH_STDIN);
}
