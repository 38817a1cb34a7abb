//! The command line: `farthing-lab`.

use crate::{
    atomicity::{self, AtomicityOptions},
    demo::{self, DemoOptions, report::Reader},
    faults::{self, FaultsOptions},
};
use clap::{Parser, Subcommand};
use farthing_node::operator;
use std::{ffi::OsString, process::ExitCode};

/// Shows the whole of Farthing on this machine: at work, and under every fault.
///
/// Needs no wallet and no other machine. Nodes and customers are real processes that communicate over real QUIC. All
/// files are in a directory that is removed at the end.
#[derive(Debug, Parser)]
#[command(name = "farthing-lab", version, propagate_version = true)]
struct Cli {
    /// Print one JSON value instead of text.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the whole system at work in separate processes, and the effects of lost messages and killed machines.
    #[command(after_long_help = "Examples:\n  \
        farthing-lab demo                                an engraving is sold, and everything goes wrong\n  \
        farthing-lab demo --all                          and people pay each other, give, get refunds, buy postage\n  \
        farthing-lab demo --goods FILE --keep DIR        sell this file, and keep nodes, wallets and logs\n  \
        farthing-lab demo --store postgres://ME@HOST/DB  keep the stores of the nodes in this database\n\n\
        Exit codes: 0 every sum agrees, 1 it could not be run, 3 something is broken, 130 interrupted.")]
    Demo(DemoOptions),
    /// Run a purchase under every fault at every message and every durable write, and write a page that shows it.
    #[command(after_long_help = "Examples:\n  \
        farthing-lab faults                              all of it, into farthing-faults.html\n  \
        farthing-lab faults --only \"escrow bank: hold\"   the faults at one message\n  \
        farthing-lab faults --only killed --json         one kind of fault, for a program\n\n\
        Bank, escrow, merchant and wallet are processes that stand still at every message and write, until the \
        director has cut the line, killed or frozen a process, or let them go on. Then all is mended, the customer \
        carries on with the commands that every customer has, and everything is counted to the unit.\n\n\
        Exit codes: 0 nothing is violated, 1 it could not be run, 3 something is violated, 130 interrupted.")]
    Faults(FaultsOptions),
    /// Decide atomicity for Farthing and the systems before it with a model checker, and write a page that shows it.
    #[command(after_long_help = "Examples:\n  \
        farthing-lab atomicity                                 the whole table, into farthing-atomicity.html\n  \
        farthing-lab atomicity --system netbill                one system\n  \
        farthing-lab atomicity --system digicash --explore     its states in a browser\n\n\
        The checker explores every state of each model, with any number of lost, repeated and late messages and of \
        crashes. docs/ATOMICITY.md has the definitions and says what each model leaves out.\n\n\
        Exit codes: 0 Farthing keeps its promises and every planted defect is found, 1 it could not be run, 3 otherwise.")]
    Atomicity(AtomicityOptions),
}

/// Runs `farthing-lab` with these arguments, the program's name first. With the hidden word `role` it is a node or the
/// wallet.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    if let Some(exit) = farthing_kit::program::run(&args) {
        return exit;
    }
    let cli: Cli = match operator::parse(args) {
        Ok((cli, _)) => cli,
        Err(exit) => return exit,
    };
    let reader = if cli.json { Reader::Program } else { Reader::Person };
    match &cli.command {
        Command::Demo(options) => demo::run(options, reader),
        Command::Faults(options) => faults::run(options, reader),
        Command::Atomicity(options) => atomicity::run(options, reader),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_definition_is_valid() {
        Cli::command().debug_assert();
    }
}
