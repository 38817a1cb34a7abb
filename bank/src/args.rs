//! The arguments of `farthing-bank`.

use clap::{Args, Parser, Subcommand};
use farthing_coin::PublicKey;
use farthing_node::address::Addresses;
use farthing_node::date;
use farthing_node::operator::{Directory, NodeCommand};
use farthing_node::serve_args::ServeArgs;
use farthing_protocol::money::Amount;
use std::{net::SocketAddr, path::PathBuf};

/// The default address of a bank.
pub(crate) const LISTEN_DEFAULT: &str = "127.0.0.1:7001";

/// The bank of Farthing. It keeps accounts, issues coins that it cannot recognize, and records which coins are spent.
#[derive(Debug, Parser)]
#[command(
    name = "farthing-bank",
    version,
    after_help = "Examples:\n  \
        farthing-bank init mint                         make a bank; prints its card for others to pin\n  \
        farthing-bank network add mint CARD             work with the escrow of this card\n  \
        farthing-bank serve mint                        answer until it is stopped with ctrl-c\n  \
        farthing-bank account open mint KEY --name amy  KEY is what a wallet or a merchant shows as its account\n  \
        farthing-bank account credit mint KEY 20.00     credit 20.00 that the customer has paid in\n  \
        farthing-bank holds mint                        which purchases have coins held\n  \
        farthing-bank audit mint                        do accounts and coins add up to what was paid in?\n  \
        farthing-bank statement mint                    what moved on the accounts, and when\n\n\
        Start with `init`, exchange cards with an escrow (`network add` on both sides), then `serve`.\n\
        Commands go to the running bank. If it is stopped, they open its directory.\n\
        If the reply to a credit or payout is lost, repeat it with the same --reference: it moves the money once.\n\n\
        Exit codes: 0 done, 1 refused or failed, 2 the command line is not understood, 3 the books do not balance, 4 the node may not decide (`status`), 5 the list of keys is full, or the clock is doubted (`status`)."
)]
pub(crate) struct Cli {
    /// Print one JSON value instead of text.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a bank in a new directory. The last line is its card, for others to pin.
    Init(Init),
    /// Answer requests, until stopped with ctrl-c.
    Serve {
        /// The bank's directory.
        dir: PathBuf,
        /// Append all epochs up to the clock's date. Use it once, for a bank that doubts its clock, if the clock is right.
        #[arg(long)]
        accept_clock: bool,
        #[command(flatten)]
        args: ServeArgs,
    },
    #[command(flatten)]
    Node(NodeCommand),
    /// Open, list, credit and debit accounts.
    #[command(subcommand)]
    Account(AccountCommand),
    /// Let nobody withdraw coins any more: the first step to close a bank. Coins and reserves can be paid into accounts.
    ///
    /// Exchanges go on, and what waits in reserves becomes coins: the coins of an aborted purchase need an exchange before they
    /// can be redeemed, and nobody has to name a purchase for its change.
    StopIssuing {
        /// The bank's directory.
        dir: PathBuf,
        /// Issue again.
        #[arg(long)]
        off: bool,
    },
    /// List the open holds: purchases whose coins are held until their escrow decides.
    Holds(Directory),
    /// List the keys under which coins are issued. With --json it has all that the key ids and the digest cover.
    Keys(Directory),
    /// Count the books twice, by sums and by rows, and report whether they balance.
    Audit {
        /// The bank's directory.
        dir: PathBuf,
        /// Audit only the movements of accounts since this date. It says nothing about coins.
        #[arg(long, value_name = "DATE", value_parser = date::parse)]
        since: Option<u64>,
    },
    /// List the movements of accounts, by account and date.
    Statement {
        /// The bank's directory.
        dir: PathBuf,
        /// Only this account, by its key.
        #[arg(long, value_name = "KEY")]
        account: Option<PublicKey>,
        #[command(flatten)]
        dates: Dates,
    },
    /// List the reports that `reporting.toml` asks for, by date.
    Reports {
        /// The bank's directory.
        dir: PathBuf,
        #[command(flatten)]
        dates: Dates,
    },
    /// Print evidence for `farthing receipt verify`: against escrows that signed both outcomes, or about a purchase, a coin
    /// or a reserve.
    Evidence {
        /// The bank's directory.
        dir: PathBuf,
        /// About this purchase, by its id.
        #[arg(long, value_name = "ID")]
        purchase: Option<String>,
        /// About the coin of this key.
        #[arg(long, value_name = "KEY", conflicts_with = "purchase")]
        coin: Option<String>,
        /// About the reserve of this key.
        #[arg(long, value_name = "KEY", conflicts_with_all = ["purchase", "coin"])]
        reserve: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Dates {
    /// Only from this date on: 2026-11-29 (UTC), or 2026-11-29T14:05:09Z.
    #[arg(long, value_name = "DATE", value_parser = date::parse)]
    pub(crate) since: Option<u64>,
    /// Only before this date.
    #[arg(long, value_name = "DATE", value_parser = date::parse)]
    pub(crate) until: Option<u64>,
    /// Print comma-separated values, for spreadsheets.
    #[arg(long, conflicts_with = "json")]
    pub(crate) csv: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The directory. It must not exist or be empty.
    pub(crate) dir: PathBuf,
    /// The name of the bank. It is in its card.
    #[arg(long, default_value = "central")]
    pub(crate) name: String,
    /// The address where it listens. With port 0 it chooses a free port and keeps it.
    #[arg(long, default_value = LISTEN_DEFAULT)]
    pub(crate) listen: SocketAddr,
    /// Addresses where others reach it, if they differ: HOST:PORT, several with commas between them.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) advertise: Option<Addresses>,
    /// Keep the store in this PostgreSQL database instead of the directory: postgres://USER@HOST/DATABASE?schema=NAME. The
    /// password comes from PGPASSWORD, or the file that FARTHING_STORE_PASSWORD_FILE names.
    #[arg(long, value_name = "URL")]
    pub(crate) store: Option<String>,
    /// The name of the currency: 1 to 12 printable ASCII characters.
    #[arg(long, default_value = "FTH")]
    pub(crate) currency: String,
    /// The number of coin values: 0.01, 0.02, 0.04 and so on.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=40))]
    pub(crate) values: u32,
    /// How long one set of keys issues coins (days). After that its coins can be spent for four times as long, and then exchanged for four times as long. The list of keys must have room for ten years.
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub(crate) epoch_days: u32,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Open an account. Opening it again changes nothing.
    Open {
        /// The bank's directory.
        dir: PathBuf,
        /// The key that owns the account, 64 hexadecimal digits.
        key: PublicKey,
        /// Your name for the account.
        #[arg(long)]
        name: Option<String>,
    },
    /// Add money that was paid in to an account.
    Credit(MovementArgs),
    /// Take money that is paid out from an account.
    Payout(MovementArgs),
    /// List all accounts.
    List(Directory),
}

#[derive(Debug, Args)]
pub(crate) struct MovementArgs {
    /// The bank's directory.
    pub(crate) dir: PathBuf,
    /// The account, 64 hexadecimal digits.
    pub(crate) key: PublicKey,
    /// The amount, such as 20 or 20.00.
    pub(crate) amount: Amount,
    /// Your name for this movement. Repeating the command with it moves the money once. Random by default.
    #[arg(long)]
    pub(crate) reference: Option<String>,
}
