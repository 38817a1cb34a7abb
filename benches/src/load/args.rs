//! The command-line arguments.

use anyhow::{Result, bail};
use clap::{
    Parser, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
    value_parser,
};
use farthing_kit::stranger;
use serde::{Serialize, Serializer};
use std::path::PathBuf;

/// The most customers at work at once.
const UNDER_WAY_MAX: u64 = 4096;

/// The most coins spent before the run.
const SPENT_MAX: u64 = 1_000_000_000;

/// The most rounds of a comparison.
const ROUNDS_MAX: u64 = 1000;

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
        load --nodes DIR                            load the running nodes DIR/bank, DIR/escrow and DIR/merchant\n  \
        load --mode sealed --relay                  customers buy through a relay, whose CPU counts as a server's\n  \
        load --mode exchange --prepared             with all that can be computed before done before the clock starts\n  \
        load --hostile relay-client --under-way 1,8 quiet, and then beside hostile clients of the relay\n  \
        load --hostile escrow-hold --under-way 1    beside clients that send an escrow forged coins\n  \
        load --costs --seconds 2                    what each request of a stranger costs its server\n  \
        load --old ../older --under-way 1,64        beside the load program of an older checkout, in turn\n\n\
        How to read the table: `a second` is the rate while all were under way; the latency is of whole \
        purchases as a customer sees them, goods opened and durable; CPU, syncs, bytes and requests are per purchase \
        (withdrawal, exchange), including background settlement. `client` is this program with all its \
        wallets, which shares the machine with the nodes. The floor at the end is for the run's own mode: what it \
        needs with `--relay` or `--prepared`.\n\n\
        How to compare two commits: build the older one in a checkout of its own with `cargo build --release -p \
        benches --bin load`, and name the checkout with `--old`. On a machine with other work, read the ratios of CPU \
        rather than those of rate and latency.\n\n\
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
    /// The customers buy or exchange through a relay. Each keeps one connection to it. Withdrawals name an account, so they
    /// never use a relay.
    #[arg(long)]
    pub(crate) relay: bool,
    /// The customers are not wallets. Coins, requests and signatures that do not depend on the bank's first message are made
    /// before the clock starts, and counted apart. Nothing is stored. Only for exchanges: all of a purchase depends on
    /// the merchant's first message, its offer.
    #[arg(long)]
    pub(crate) prepared: bool,
    /// Measure each run twice: quiet, and then with 64 hostile clients on this machine, at the lowest priority. As
    /// `relay-client`, they send through the customers' relay, and `--relay` is implied. As `relay`, they send to bank, escrow
    /// and merchant as a hostile relay does. Every other kind is a request to one server, made as costly as somebody without
    /// an account or a coin can make it.
    #[arg(long, value_parser = Attack::parser(), value_name = "KIND", conflicts_with_all = ["old", "plot", "prepared"])]
    pub(crate) hostile: Option<Attack>,
    /// Measure what each request of a stranger costs its server, and print a table. Nobody else is there. Each request comes
    /// in two forms: it fails at the first cheap check, or gets as far as a stranger can get.
    #[arg(long, conflicts_with_all = ["hostile", "old", "plot", "prepared", "nodes", "spent"])]
    pub(crate) costs: bool,
    /// Compare with the load program in this older checkout (DIR/target/release/load), in alternating rounds with the same
    /// arguments. An older program that does not know `--relay` or `--prepared` runs without.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["nodes", "spent", "plot"])]
    pub(crate) old: Option<PathBuf>,
    /// How many rounds `--old` takes. Each round runs both programs once. The figures are medians of all rounds.
    #[arg(long, value_name = "N", requires = "old", default_value_t = 3,
          value_parser = value_parser!(u64).range(1..=ROUNDS_MAX))]
    pub(crate) rounds: u64,
    /// Print one line of JSON for each run instead of the table.
    #[arg(long)]
    pub(crate) json: bool,
    /// Draw rate and latency against the number under way into this SVG file.
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
}

/// The kind of a run: all that decides which operations one unit of work needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) mode: Mode,
    /// Coins of one purchase, withdrawal or exchange.
    pub(crate) coins: u64,
    /// Anonymous requests go through a relay.
    pub(crate) is_relayed: bool,
    /// What does not depend on the bank's first message is computed before the run, and nothing is stored.
    pub(crate) is_prepared: bool,
}

impl Kind {
    /// What the customers do, for people.
    pub(crate) fn text(&self) -> String {
        let relayed = if self.is_relayed { ", through a relay" } else { "" };
        let prepared = if self.is_prepared { ", prepared" } else { "" };
        format!("{}s of {} coins{relayed}{prepared}", self.mode.noun(), self.coins)
    }
}

impl Args {
    /// Whether the customers use a relay.
    pub(crate) fn is_relayed(&self) -> bool {
        self.relay || self.costs || self.hostile == Some(Attack::RelayClient)
    }

    /// Checks arguments that depend on the mode.
    ///
    /// # Errors
    /// Says which argument does not fit the mode, and what to give instead.
    pub(crate) fn check(&self) -> Result<()> {
        if self.hostile == Some(Attack::RelayClient) && self.mode == Mode::Withdraw {
            bail!("withdrawals never use a relay; give --hostile relay-client with another mode");
        }
        if self.relay && self.mode == Mode::Withdraw {
            bail!("withdrawals never use a relay; give --relay with another mode, or leave it out");
        }
        if self.prepared && self.mode != Mode::Exchange {
            bail!("only exchanges can be prepared; add --mode exchange, or leave --prepared out");
        }
        Ok(())
    }
}

/// How hostile clients attack.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Attack {
    /// As clients of the relay.
    RelayClient,
    /// As a relay, at the servers.
    Relay,
    /// As strangers who send one server one kind of request, as deep as a stranger gets.
    Stranger(&'static stranger::Kind),
}

impl Attack {
    /// The attacks by relay clients and relays.
    const RELAYED: [Attack; 2] = [Attack::RelayClient, Attack::Relay];

    /// The name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Attack::RelayClient => "relay-client",
            Attack::Relay => "relay",
            Attack::Stranger(kind) => kind.name,
        }
    }

    /// All attacks.
    fn all() -> impl Iterator<Item = Attack> {
        Attack::RELAYED
            .into_iter()
            .chain(stranger::KINDS.iter().map(Attack::Stranger))
    }

    /// The attack with this name.
    pub(crate) fn named(name: &str) -> Option<Attack> {
        Attack::all().find(|attack| attack.name() == name)
    }

    /// Reads the name, and lists all names in an error.
    fn parser() -> impl TypedValueParser<Value = Attack> {
        PossibleValuesParser::new(Attack::all().map(Attack::name))
            .try_map(|name| Attack::named(&name).ok_or("there is no such attack"))
    }
}

impl Serialize for Attack {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
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
    fn a_flag_that_does_not_fit_the_mode_is_refused_with_what_to_give_instead() {
        let check = |arguments: &[&str]| {
            let args = Args::try_parse_from(["load"].iter().chain(arguments)).map_err(anyhow::Error::from);
            args.and_then(|args| args.check())
                .err()
                .map_or_else(String::new, |error| error.to_string())
        };
        assert!(check(&["--prepared"]).contains("--mode exchange"));
        assert!(check(&["--mode", "withdraw", "--relay"]).contains("another mode"));
        assert_eq!(check(&["--mode", "exchange", "--prepared", "--relay"]), "");
        assert!(check(&["--rounds", "2"]).contains("--old"));
    }

    #[test]
    fn the_command_line_definition_is_valid() {
        Args::command().debug_assert();
    }
}
