//! The command-line arguments.

use clap::{Parser, ValueEnum, value_parser};
use std::path::PathBuf;

/// The most customers at work at once.
const UNDER_WAY_MAX: u64 = 4096;

/// The most coins spent before the run.
const SPENT_MAX: u64 = 1_000_000_000;

/// The most coins of one purchase or withdrawal.
const COINS_MAX: u64 = farthing_protocol::limits::COINS_PER_REQUEST_MAX as u64;

/// Measures how many purchases, withdrawals or exchanges a second a bank, an escrow and a merchant carry.
///
/// Starts fresh nodes as processes of their own on this machine, prepares wallets with coins, and keeps so many of them
/// at work at once. Everything is the real thing and durable: each reply waits for its sync. Before the runs the cost
/// of single operations on this machine is measured, to hold the figures against; after each run the books are
/// counted, and must agree to the unit.
#[derive(Debug, Parser)]
#[command(
    name = "load",
    after_long_help = "Examples:\n  \
        load                                        purchases of two coins, with 1, 8 and 64 under way\n  \
        load --under-way 64 --seconds 30            one longer run\n  \
        load --mode sealed                          the same on sealed offers\n  \
        load --mode withdraw                        coins issued a second, in withdrawals of 16\n  \
        load --mode exchange --under-way 1,64       two coins for two fresh ones\n  \
        load --json > runs.jsonl --plot load.svg    one line of JSON a run, and a picture\n  \
        load --dir /mnt/disk/load                   on another disk, with the syncs of that disk\n  \
        load --spent 10000000 --under-way 64        the same after ten million spent coins\n  \
        load --nodes DIR                            load the running nodes DIR/bank, DIR/escrow and DIR/merchant\n\n\
        How to read the table: `a second` is the rate while all were under way; the latency is of whole \
        purchases as a customer sees them, goods opened and durable; CPU, syncs, bytes and requests are per purchase \
        (withdrawal, exchange), including background settlement. `client` is this program with all its \
        wallets, which shares the machine with the nodes.\n\n\
        Exit codes: 0 measured and the books agree, 1 failed, 2 invalid arguments."
)]
pub(crate) struct Args {
    /// What the customers do.
    #[arg(long, value_enum, default_value_t = Mode::Purchase)]
    pub(crate) mode: Mode,
    /// How many customers are at work at once; one run for each number.
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "1,8,64",
          value_parser = value_parser!(u64).range(1..=UNDER_WAY_MAX))]
    pub(crate) under_way: Vec<u64>,
    /// How long each run is measured, from when as many were completed as are under way.
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u64).range(1..=3600))]
    pub(crate) seconds: u64,
    /// Coins of a purchase or withdrawal [default: 2 of a purchase, 16 of a withdrawal; an exchange has 2].
    #[arg(long, value_parser = value_parser!(u64).range(1..=COINS_MAX))]
    pub(crate) coins: Option<u64>,
    /// How large the goods are that are bought (bytes).
    #[arg(long, value_name = "BYTES", default_value_t = 1024, value_parser = value_parser!(u64).range(1..=1 << 30))]
    pub(crate) goods: u64,
    /// Keep nodes and wallets in this directory, which must be new or empty [default: a temporary one].
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Load the nodes that run in DIR/bank, DIR/escrow and DIR/merchant, and leave them running.
    #[arg(long, value_name = "DIR")]
    pub(crate) nodes: Option<PathBuf>,
    /// Write N spent coins into the fresh bank's store before it starts, as the bank would have, each with its withdrawal and
    /// all sums. A million takes about 80 s and 1 GB of disk, and each audit of them some 13 s.
    #[arg(long, value_name = "N", conflicts_with = "nodes", value_parser = value_parser!(u64).range(1..=SPENT_MAX))]
    pub(crate) spent: Option<u64>,
    /// Print one line of JSON for each run instead of the table.
    #[arg(long)]
    pub(crate) json: bool,
    /// Draw rate and latency against the number under way into this SVG file.
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
}

/// What the customers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// Buy: from the offer to the opened goods.
    Purchase,
    /// Buy on offers that are sealed, which takes no step of the merchant's.
    Sealed,
    /// Withdraw coins from an account.
    Withdraw,
    /// Exchange two coins for two fresh ones.
    Exchange,
}

impl Mode {
    /// The name of one unit of work.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Mode::Purchase | Mode::Sealed => "purchase",
            Mode::Withdraw => "withdrawal",
            Mode::Exchange => "exchange",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn coins_are_not_written_into_the_store_of_a_bank_that_runs() {
        let refused = Args::try_parse_from(["load", "--nodes", "there", "--spent", "5"]).err();
        assert_eq!(
            refused.map(|error| error.kind()),
            Some(clap::error::ErrorKind::ArgumentConflict)
        );
    }

    #[test]
    fn the_command_line_definition_is_valid() {
        Args::command().debug_assert();
    }
}
