//! What can be typed.

use super::exit::Exit;
use clap::{Args, Parser, Subcommand};
use farthing_node::card::{Card, RoleName};
use farthing_protocol::money::Amount;
use std::path::PathBuf;

/// A wallet for anonymous, atomic electronic cash.
///
/// Coins are withdrawn from an account at a bank and spent without anybody being able to tell which withdrawal they
/// came from. A purchase ends with the goods and the merchant paid, or with the coins back, whatever message is
/// lost and whichever machine dies.
#[derive(Debug, Parser)]
#[command(
    name = "farthing",
    version,
    propagate_version = true,
    after_help = "`farthing --help` shows examples and exit codes.",
    after_long_help = long_help()
)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) options: Options,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub(super) struct Options {
    /// The wallet's directory [default: ~/.farthing].
    #[arg(long, global = true, value_name = "DIR", env = "FARTHING_WALLET")]
    pub(super) wallet: Option<PathBuf>,
    /// Print one JSON value instead of text; an error is {"error": ..., "code": ...}.
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// How long a party may be silent before the command leaves the rest to `farthing resume` [default: 60].
    #[arg(long, global = true, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(super) patience: Option<u64>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a wallet; prints the 24 words from which it can be restored.
    Init,
    /// The banks, escrows and merchants that the wallet knows, by their cards.
    #[command(subcommand)]
    Network(NetworkCommand),
    /// Show the key that names the wallet's account at a bank, and the account's balance.
    Account {
        /// Which bank, if several are known.
        #[arg(long, value_name = "NAME")]
        bank: Option<String>,
        /// Print the key alone, and ask nobody.
        #[arg(long)]
        key: bool,
    },
    /// Withdraw coins from the wallet's account.
    Withdraw {
        /// How much, such as 20.00.
        amount: Amount,
        /// Which bank, if several are known.
        #[arg(long, value_name = "NAME")]
        bank: Option<String>,
    },
    /// Show what the wallet has. Asks nobody.
    Balance,
    /// List the coins. With --json every public field of each, with which any program can verify it.
    Coins {
        /// List spent and exchanged coins too.
        #[arg(long)]
        all: bool,
    },
    /// List what a merchant sells.
    Catalog {
        /// Which merchant, if several are known.
        merchant: Option<String>,
    },
    /// Buy an item: its goods in FILE and the merchant paid, or the coins back.
    #[command(after_long_help = "Examples:\n  \
        farthing buy studio \"Evening postcard\" -o postcard.txt\n  \
        farthing buy studio 3fa9 -o postcard.txt --escrow fair --at-most 2.50\n\n\
        The goods are fetched encrypted before anything is paid. If the command is interrupted, or a party stays \
        silent, `farthing resume` carries on and `farthing cancel` asks for the coins back.")]
    Buy(Buy),
    /// List the purchases.
    Purchases,
    /// Carry on everything that is under way, after a crash or when a party was silent.
    Resume {
        /// Only this purchase, by its number or the beginning of its id. Of a purchase of the past that a restore has
        /// found, `on-demand` in the list, it fetches the goods again.
        purchase: Option<String>,
    },
    /// Ask for the coins of a purchase back. It may turn out to be paid already; then the goods are there.
    #[command(
        after_long_help = "The escrow decides. If it gives no answer, the bank exchanges the coins for fresh ones, \
        unless it holds them for this purchase: the purchase is then `recovered` in the list. If the bank does hold them, \
        the purchase stays `cancelling`, and `farthing resume` asks the escrow again."
    )]
    Cancel {
        /// The purchase's number, or the beginning of its id.
        purchase: String,
    },
    /// What proves a purchase to anyone.
    #[command(subcommand)]
    Receipt(ReceiptCommand),
    /// Exchange the coins of aborted purchases, and coins whose keys end soon, for fresh ones.
    Exchange {
        /// Exchange every coin that can be spent, so that nothing links the wallet's coins to where they came from.
        #[arg(long)]
        all: bool,
    },
    /// Build a wallet again from its 24 words: its coins, and its purchases up to their goods.
    #[command(after_long_help = "Examples:\n  \
        farthing --wallet new restore --card BANK-CARD --card ESCROW-CARD     asks for the words\n  \
        farthing --wallet new restore --phrase-file words.txt --card BANK-CARD --card ESCROW-CARD\n\n\
        Purchases that were under way are carried on, which takes the cards of their escrows; the merchant's card is \
        in the wallet's own notes. Purchases of the past are listed as on-demand: `farthing resume PURCHASE` fetches \
        their goods again, one by one, so that nobody joins them. What the lost machine had sent may come through for \
        a day yet: `farthing resume` looks for it. If a bank knows no account of a wallet of protocol version 1, \
        repeat it with --shared-account and that bank's name. A restore can be repeated until it is complete. Do not go on using \
        the old wallet: two wallets of the same words would spend the same coins.")]
    Restore(Restore),
}

/// What `buy` takes.
#[derive(Debug, Args)]
pub(super) struct Buy {
    /// The merchant's name.
    pub(super) merchant: String,
    /// The item's title, or the beginning of its id, as `farthing catalog` shows them; with its whole id, as
    /// `farthing catalog --json` has it, the merchant is asked one question fewer.
    pub(super) item: String,
    /// Buy it only if it costs no more, such as 2.50.
    #[arg(long, value_name = "AMOUNT")]
    pub(super) at_most: Option<Amount>,
    /// Where to write the goods.
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: PathBuf,
    /// Which escrow decides, if several are known.
    #[arg(long, value_name = "NAME")]
    pub(super) escrow: Option<String>,
    /// Whose coins pay, if several banks are known.
    #[arg(long, value_name = "NAME")]
    pub(super) bank: Option<String>,
    /// Overwrite FILE if it exists.
    #[arg(long)]
    pub(super) force: bool,
}

/// What `restore` takes.
#[derive(Debug, Args)]
pub(super) struct Restore {
    /// The card of a bank or an escrow that the wallet has dealt with; repeat it for each.
    #[arg(long = "card", value_name = "CARD")]
    pub(super) cards: Vec<Card>,
    /// A bank at which the wallet's account has the key that a wallet of protocol version 1 had at every bank; repeat it for
    /// each. Without it no bank sees that key, as it would tell banks that their customer is the same.
    #[arg(long = "shared-account", value_name = "BANK")]
    pub(super) shared_accounts: Vec<String>,
    /// A file with the 24 words; without it they are read from standard input.
    #[arg(long, value_name = "FILE")]
    pub(super) phrase_file: Option<PathBuf>,
    /// Where goods of purchases go [default: `restored` in the wallet's directory].
    #[arg(long, value_name = "DIR")]
    pub(super) goods_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum NetworkCommand {
    /// Pin a card: whoever has its keys is trusted to be who it names.
    Add {
        /// The card, one line, as its owner printed it.
        card: Card,
    },
    /// List the pinned cards.
    List,
    /// Remove a pinned card.
    Remove {
        /// bank, escrow or merchant.
        role: RoleName,
        /// Its name.
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum ReceiptCommand {
    /// Print the documents of a purchase as JSON: the contract, signed by both sides, and the escrow's receipt.
    Show {
        /// The purchase's number, or the beginning of its id.
        purchase: String,
        /// Write them to FILE, which only its owner can read.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Overwrite FILE if it exists.
        #[arg(long, requires = "output")]
        force: bool,
    },
    /// Print what proves that a bank denies coins that it has issued: the coins, its keys, and what it showed.
    Denied {
        /// Write it to FILE, which only its owner can read.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Overwrite FILE if it exists.
        #[arg(long, requires = "output")]
        force: bool,
    },
    /// Judge from documents, and the encrypted goods, who broke his word. Needs no wallet and asks nobody.
    #[command(after_long_help = "Examples:\n  \
        farthing receipt show 0 -o receipt.json\n  \
        farthing receipt verify receipt.json ~/.farthing/goods/NAME.sealed\n\n\
        Takes what a merchant or a bank has exported as well, and lays the documents of all files side by side. \
        Exit codes: 0 delivered as described, 4 the merchant broke the contract, 5 the escrow did, 7 the bank broke its \
        word, 6 the documents prove nothing.")]
    Verify {
        /// Documents, as `receipt show`, a merchant or a bank wrote them, and encrypted goods, in any order.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

fn long_help() -> String {
    format!(
        "Examples:\n  \
         farthing init                                    make a wallet\n  \
         farthing network add CARD                        know a bank, an escrow, a merchant by its card\n  \
         farthing account                                 the key to give to the bank, and the balance\n  \
         farthing withdraw 20.00                          coins into the wallet\n  \
         farthing catalog studio                          what a merchant sells\n  \
         farthing buy studio \"Evening postcard\" -o p.txt  goods, or the coins back\n  \
         farthing resume                                  carry on whatever was interrupted\n  \
         \n\
         Logs go to standard error when FARTHING_LOG asks for them, such as FARTHING_LOG=debug.\n\n{}",
        Exit::table()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("farthing").chain(line.split_whitespace()))
    }

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_may_stand_on_either_side_of_the_command() {
        for line in [
            "--json --wallet w --patience 5 withdraw 20.5",
            "withdraw 20.5 --json --wallet w --patience 5",
        ] {
            let cli = parse(line).unwrap();
            assert!(cli.options.json);
            assert_eq!(cli.options.wallet, Some("w".into()));
            assert_eq!(cli.options.patience, Some(5));
            assert!(matches!(
                cli.command,
                Command::Withdraw {
                    amount: Amount(2050),
                    bank: None
                }
            ));
        }
    }

    #[test]
    fn mistakes_say_what_is_expected() {
        for (line, says) in [
            ("withdraw 1,00", "write it like 20, 20.5 or 20.00"),
            ("network add something", "this is not a card"),
            ("network remove banker x", "roles are bank, escrow and merchant"),
            ("--patience 0 balance", "1..=86400"),
            ("buy studio postcard", "--output"),
            ("pay", "unrecognized"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
            assert_eq!(error.exit_code(), i32::from(Exit::Usage.code()), "{line}");
        }
    }

    #[test]
    fn the_help_documents_every_exit_code_and_stays_within_a_terminal() {
        let help = Cli::command().render_long_help().to_string();
        for exit in Exit::ALL {
            assert!(help.contains(exit.meaning()), "{exit:?}");
        }
        for line in long_help().lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }
}
