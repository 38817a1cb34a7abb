//! `farthing-lab atomicity`: the definitions of `farthing_model`, decided for every system, as a table and a page.
//!
//! | what | file |
//! |---|---|
//! | checks all rows, several at a time | [`mod@run`] |
//! | the table for a terminal, and JSON | [`report`] |
//! | the page | [`page`] |

pub mod page;
pub mod report;
pub mod run;

use crate::{demo::report::Reader, session};
use farthing_kit::error::{EXIT_BROKEN, RunError};
use farthing_model::catalog::Entry;
use farthing_node::{
    home::files::{Existing, Mode, check_output, write_output},
    terminal,
};
use run::{Results, check_all};
use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

/// The default path of the page.
const OUT_DEFAULT: &str = "farthing-atomicity.html";

/// The default of `--bound`.
pub const BOUND_DEFAULT: usize = 20_000_000;

/// The default of `--explore`.
const EXPLORER_DEFAULT: &str = "127.0.0.1:3000";

/// The options of `farthing-lab atomicity`.
#[derive(Debug, Clone, clap::Args)]
pub struct AtomicityOptions {
    /// Write the page to FILE.
    #[arg(long, value_name = "FILE", default_value = OUT_DEFAULT)]
    pub out: PathBuf,
    /// Overwrite FILE if it exists.
    #[arg(long)]
    pub force: bool,
    /// Check only this system, by its name or by its ID in the table. Repeat the option for more.
    #[arg(long, value_name = "NAME")]
    pub system: Vec<String>,
    /// End a row after about N generated states, repeated ones included. The table says which rows are not complete.
    #[arg(long, value_name = "N", default_value_t = BOUND_DEFAULT)]
    pub bound: usize,
    /// Check N rows at the same time [default: one for each processor].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: Option<u16>,
    /// Show the states of one system in a browser, with the explorer of the checker, at ADDRESS of this machine. Needs
    /// --system.
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = EXPLORER_DEFAULT, requires = "system")]
    #[arg(value_parser = own_address)]
    pub explore: Option<SocketAddr>,
    /// The scenario to explore, such as "merchant cheats".
    #[arg(long, value_name = "NAME", default_value = "failures", requires = "explore")]
    pub scenario: String,
}

/// Checks the systems, writes the page, and prints the table.
pub fn run(options: &AtomicityOptions, reader: Reader) -> ExitCode {
    match check_and_write(options, reader) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_BROKEN),
        Err(error) => session::fail(&error),
    }
}

/// Whether everything is as `docs/ATOMICITY.md` says.
fn check_and_write(options: &AtomicityOptions, reader: Reader) -> Result<bool, RunError> {
    let entries = chosen(&options.system)?;
    if let Some(address) = options.explore {
        return explore(&entries, &options.scenario, address);
    }
    let existing = Existing::by_force(options.force);
    check_output(&options.out, existing)?;
    let jobs = options.jobs.map(usize::from);
    let jobs = jobs.or_else(|| std::thread::available_parallelism().map(usize::from).ok());
    let whole = options.system.is_empty();
    let results: Results = check_all(entries, whole, options.bound, jobs.unwrap_or(1));
    let page = page::page(&results, &crate::page::Machine::here());
    write_output(&options.out, page.as_bytes(), Mode::Public, existing)?;
    match reader {
        Reader::Person => terminal::print_text(&report::text(&results, &options.out)),
        Reader::Program => terminal::print_json(&report::json(&results, &options.out)),
    }
    Ok(results.surprises().is_empty())
}

/// An address that only this machine reaches: the explorer asks nobody for a password.
fn own_address(text: &str) -> Result<SocketAddr, String> {
    match text.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => Ok(address),
        _ => Err(format!(
            "choose an address and port of this machine alone, such as {EXPLORER_DEFAULT}"
        )),
    }
}

/// The models, and the functions that the programs run.
fn all_rows() -> impl Iterator<Item = Entry> {
    let models = farthing_model::catalog::catalog();
    models.into_iter().chain(farthing_shipped::catalog::catalog())
}

fn chosen(names: &[String]) -> Result<Vec<Entry>, RunError> {
    let is = |entry: &Entry, name: &String| entry.id == *name || entry.system.eq_ignore_ascii_case(name);
    let entries: Vec<Entry> = all_rows().collect();
    if let Some(name) = names
        .iter()
        .find(|name| !entries.iter().any(|entry| is(entry, name)))
    {
        return Err(unknown("system", name, entries.iter().map(|entry| entry.id)));
    }
    let wanted = |entry: &Entry| names.is_empty() || names.iter().any(|name| is(entry, name));
    Ok(entries.into_iter().filter(wanted).collect())
}

fn explore(entries: &[Entry], scenario: &str, address: SocketAddr) -> Result<bool, RunError> {
    let Some(entry) = entries.iter().find(|entry| entry.scenario.name == scenario) else {
        let all = entries.iter().map(|entry| entry.scenario.name);
        return Err(unknown("scenario", scenario, all));
    };
    terminal::print_note(&format!(
        "{}, {scenario}: open http://{address} in a browser; Ctrl-C ends it",
        entry.system
    ));
    entry.explore(address);
    Ok(true)
}

fn unknown<'n>(what: &'static str, name: &str, all: impl Iterator<Item = &'n str>) -> RunError {
    let mut all: Vec<String> = all.map(str::to_owned).collect();
    all.dedup();
    RunError::Unknown {
        what,
        name: name.to_owned(),
        all,
    }
}

#[cfg(test)]
mod tests {
    use super::own_address;

    #[test]
    fn the_explorer_serves_this_machine_alone() {
        assert!(own_address("127.0.0.1:3000").is_ok() && own_address("[::1]:3000").is_ok());
        for refused in ["0.0.0.0:3000", "192.0.2.1:3000", "127.0.0.1", "localhost:3000"] {
            assert!(own_address(refused).is_err(), "{refused}");
        }
    }
}
