//! What `farthing-bank` is told on its command line.

use clap::{Args, Parser, Subcommand};
use farthing_coin::PublicKey;
use farthing_node::operator::{Directory, NodeCommand};
use farthing_protocol::money::Amount;
use std::{net::SocketAddr, path::PathBuf};

/// Where a bank listens unless it is told otherwise.
pub(crate) const LISTEN_DEFAULT: &str = "127.0.0.1:7001";

/// The bank of Farthing: it keeps accounts, issues coins that it cannot recognize, and knows which are spent.
#[derive(Debug, Parser)]
#[command(
    name = "farthing-bank",
    version,
    after_help = "Examples:\n  \
        farthing-bank init mint                         make a bank; prints its card for others to pin\n  \
        farthing-bank network add mint CARD             work with the escrow of this card\n  \
        farthing-bank serve mint                        answer until it is stopped with ctrl-c\n  \
        farthing-bank account open mint KEY --name amy  KEY is what a wallet or a merchant shows as its account\n  \
        farthing-bank account credit mint KEY 20.00     she has paid 20.00 in\n  \
        farthing-bank holds mint                        which purchases have coins held\n  \
        farthing-bank audit mint                        do accounts and coins add up to what was paid in?\n\n\
        Commands go to the running bank, and open its directory themselves when it is stopped.\n\
        A credit or payout whose reply was lost is repeated with the same --reference; it then moves money once.\n\n\
        Exit codes: 0 done, 1 refused or failed, 2 the command line is not understood, 3 the books do not balance, 5 the list of keys is full (`status`)."
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
    /// Make a bank in a new directory; its card is the last line.
    Init(Init),
    /// Answer requests until stopped.
    Serve(Directory),
    #[command(flatten)]
    Node(NodeCommand),
    /// Accounts, and money in and out.
    #[command(subcommand)]
    Account(AccountCommand),
    /// List the open holds: purchases whose coins are held until their escrow decides.
    Holds(Directory),
    /// List the keys that coins are issued under.
    Keys(Directory),
    /// Count the books twice, by sums and by rows, and see whether they balance.
    Audit(Directory),
    /// Print the documents that convict escrows of having signed both outcomes, or those about a purchase or a coin, for
    /// `farthing receipt verify`.
    Evidence {
        /// The bank's directory.
        dir: PathBuf,
        /// About this purchase, by its id.
        #[arg(long, value_name = "ID")]
        purchase: Option<String>,
        /// About the coin of this key.
        #[arg(long, value_name = "KEY", conflicts_with = "purchase")]
        coin: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The directory: it must not exist or be empty.
    pub(crate) dir: PathBuf,
    /// What people call it.
    #[arg(long, default_value = "central")]
    pub(crate) name: String,
    /// Where it listens; with port 0 a free one is chosen and kept.
    #[arg(long, default_value = LISTEN_DEFAULT)]
    pub(crate) listen: SocketAddr,
    /// The currency's name: 1 to 12 printable characters.
    #[arg(long, default_value = "FTH")]
    pub(crate) currency: String,
    /// How many values coins have: 0.01, 0.02, 0.04 and so on.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=40))]
    pub(crate) values: u32,
    /// For how long one set of keys issues coins; long enough that the list of keys has room for ten years. After that they can be spent for four times as long, and then exchanged for as long again.
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub(crate) epoch_days: u32,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Open an account; opening it again changes nothing.
    Open {
        /// The bank's directory.
        dir: PathBuf,
        /// The key that owns the account, 64 hexadecimal digits.
        key: PublicKey,
        /// What to call it.
        #[arg(long)]
        name: Option<String>,
    },
    /// Money was paid in: add it to an account.
    Credit(Movement),
    /// Money is paid out: take it from an account.
    Payout(Movement),
    /// List all accounts.
    List(Directory),
}

#[derive(Debug, Args)]
pub(crate) struct Movement {
    /// The bank's directory.
    pub(crate) dir: PathBuf,
    /// The account, 64 hexadecimal digits.
    pub(crate) key: PublicKey,
    /// How much, such as 20 or 20.00.
    pub(crate) amount: Amount,
    /// Your name for this one movement: repeating the command with it moves money once. Random if not given.
    #[arg(long)]
    pub(crate) reference: Option<String>,
}
