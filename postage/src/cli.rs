//! The command line of `farthing-postage`.
//!
//! Office, meter and station exchange files. No role listens on a network, and each command opens its directory alone.

mod batch;
mod books;
mod files;
mod job;
mod judge;
mod letter;
mod meter;
mod office;
mod print;
mod render;
mod scan;
mod sort;

use anyhow::Result;
use clap::{Parser, Subcommand};
use farthing_node::operator::{self, Report};
use std::{ffi::OsString, path::PathBuf, process::ExitCode};

/// Postage that is bought with Farthing's coins. The office certifies meters and sells refills, a meter prints postage, and
/// sorting stations accept each indicium once.
#[derive(Debug, Parser)]
#[command(
    name = "farthing-postage",
    version,
    after_help = "Examples:\n  \
        farthing-postage office init post --bank CARD          make an office; prints its account\n  \
        farthing-postage meter init franking --from 10115      make a meter\n  \
        farthing-postage meter request franking -o request     ask for a certificate\n  \
        farthing-postage office certify post request -o certificate\n  \
        farthing-postage meter certify franking certificate\n  \
        farthing-postage meter pay franking 20.00              print how a wallet pays for a refill\n  \
        farthing-postage office refill post paid.json -o refill\n  \
        farthing-postage meter refill franking refill\n  \
        farthing-postage print franking --to 'Erika Mustermann / Heidestr. 17 / 51147 Köln' --class first -o letter.pdf\n  \
        farthing-postage sort scan station letter.pdf          accept it, or say what is wrong\n  \
        farthing-postage audit post                            count all postage, to the unit\n\n\
        Exit codes: 0 done, 1 refused or failed, or a letter was not accepted, 2 the command line is not understood."
)]
struct Cli {
    /// Print one JSON value instead of text.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a postal authority: certify meters, sell refills, revoke, settle.
    #[command(subcommand)]
    Office(office::OfficeCommand),
    /// Run a meter: its certificate, its refills, its registers.
    #[command(subcommand)]
    Meter(meter::MeterCommand),
    /// Run a sorting station: scan letters, report to the office, purge.
    #[command(subcommand)]
    Sort(sort::SortCommand),
    /// Print postage: one letter, or a batch from a CSV file.
    Print(print::PrintArgs),
    /// Count the books of an office: what was printed and what the meters hold is what was sold and deposited.
    ///
    /// It verifies each document of the bank and of the meters again. Meters count with the registers that they signed
    /// last, in an audit or on a letter.
    Audit {
        /// The office's directory.
        dir: PathBuf,
    },
    /// Judge from signed documents whether an office owes a refill. It needs no directory, and anyone can run it.
    Judge(judge::JudgeArgs),
    /// Show the fields of an indicium in pictures, PDF files, or files of its bytes. Nothing is accepted.
    Show {
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

/// Runs `farthing-postage` with these arguments, the program's name first.
pub fn run(args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> ExitCode {
    operator::run(args, |cli: &Cli| cli.json, execute)
}

async fn execute(cli: Cli) -> Result<Report> {
    match cli.command {
        Command::Office(command) => office::execute(command),
        Command::Meter(command) => meter::execute(command),
        Command::Sort(command) => sort::execute(command),
        Command::Print(args) => print::execute(args),
        Command::Audit { dir } => books::execute(&dir),
        Command::Judge(args) => judge::execute(&args),
        Command::Show { files } => scan::show(&files),
    }
}
