//! The commands and options of `farthing`.

mod payments;

pub(super) use payments::{Open, PaymentCommand, Receive};

use super::exit::Exit;
use crate::purchase::WINDOW_DEFAULT;
use clap::{Args, Parser, Subcommand, builder::FalseyValueParser};
use farthing_coin::PublicKey;
use farthing_node::{
    card::{Card, RoleName, parse_name},
    carrier::Carrier,
    date,
    tcp::SocksProxy,
};
use farthing_protocol::{limits::TICKS_PER_REPLY_MAX, money::Amount};
use std::path::PathBuf;

/// A wallet for anonymous, atomic electronic cash.
///
/// You withdraw coins from your account at a bank, and spend them at merchants. Nobody can tell which withdrawal a
/// coin came from. Every purchase ends in one of two ways: you have the goods and the merchant is paid, or you have
/// your coins back. This holds even if messages are lost and machines crash.
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

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub(super) struct Options {
    /// Directory of the wallet [default: ~/.farthing].
    #[arg(long, global = true, value_name = "DIR", env = "FARTHING_WALLET")]
    pub(super) wallet: Option<PathBuf>,
    /// Print one JSON value instead of text; an error is {"error": ..., "code": ...}.
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// How long to wait for a silent party before the command stops; `farthing resume` then carries on [default: 60].
    #[arg(long, global = true, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(super) patience: Option<u64>,
    /// How long to wait for another command that has the wallet open; 0 refuses at once.
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub(super) wait: u64,
    /// The relay that carries anonymous requests [default: the relay that was added first].
    #[arg(long, global = true, value_name = "NAME", env = "FARTHING_RELAY", conflicts_with = "direct", value_parser = parse_name)]
    pub(super) relay: Option<String>,
    /// Use no relay. Merchants, escrows and banks then see the network address of this machine.
    #[arg(long, global = true)]
    pub(super) direct: bool,
    /// Reach all parties over TCP, for networks without UDP.
    #[arg(long, global = true, env = "FARTHING_TCP", value_parser = FalseyValueParser::new())]
    pub(super) tcp: bool,
    /// Reach all parties over TCP through this SOCKS5 proxy, for example Tor: socks5://[USER:PASSWORD@]HOST:PORT.
    ///
    /// The proxy resolves the host names of parties, and nothing goes past it. Without USER and PASSWORD, each connection
    /// has random ones, so that Tor gives each a circuit of its own.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "FARTHING_PROXY",
        hide_env_values = true
    )]
    pub(super) proxy: Option<SocksProxy>,
    /// File with the wallet's password. FARTHING_PASSWORD may have it too. Otherwise a terminal asks for it.
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) password_file: Option<PathBuf>,
    /// The name of the command as it was typed. [`run`](super::run) sets it.
    #[arg(skip)]
    pub(super) typed: String,
}

impl Options {
    /// What carries the connections.
    pub(super) fn carrier(&self) -> Carrier {
        match &self.proxy {
            Some(proxy) => Carrier::TcpThrough(proxy.clone()),
            None if self.tcp => Carrier::Tcp,
            None => Carrier::Quic,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a wallet, and print the 24 words that restore it.
    ///
    /// The password comes from --password-file, from FARTHING_PASSWORD, or from a terminal. A program that gives none gets
    /// a wallet without a password.
    Init {
        /// Do not ask for a password. Anyone who can read the directory can then take the money.
        #[arg(long, conflicts_with = "password_file")]
        no_password: bool,
    },
    /// Set, change or remove the wallet's password.
    #[command(after_long_help = "Examples:\n  \
        farthing password                                       asks for the old password, if there is one, and for a new one\n  \
        farthing password --password-file OLD --new-password-file NEW\n  \
        farthing password --remove\n\n\
        A wallet without a password is written again when it gets one, and then all its files are replaced together. If \
        this is interrupted, the next command completes it or takes it back. Old bytes may stay in free blocks of the \
        disk and in backups. For a thief of the disk to find nothing, restore the 24 words into a new wallet with a \
        password, and destroy the old disk.\n\n\
        A change of the password does not change the key that it opens: whoever has an older copy of the directory and \
        its password can open the wallet.")]
    Password {
        /// File with the new password. Without it, a terminal asks for it.
        #[arg(long, value_name = "FILE", conflicts_with = "remove")]
        new_password_file: Option<PathBuf>,
        /// Remove the password. Anyone who can read the directory can then take the money.
        #[arg(long)]
        remove: bool,
    },
    /// Add, list and remove the cards of banks, escrows and merchants.
    #[command(subcommand)]
    Network(NetworkCommand),
    /// Show the key of your account at a bank, and the account's balance.
    #[command(after_long_help = "Examples:\n  \
        farthing account\n  \
        farthing account --uri --name \"Red Cross\" --qr     a link for a poster: `farthing donate LINK 10.00`\n  \
        farthing account --uri --of KEY --name \"Studio\"    the same for another account, for example a merchant's")]
    Account {
        /// Name of the bank, if the wallet knows several.
        #[arg(long, value_name = "NAME")]
        bank: Option<String>,
        /// Print only the key, without asking the bank.
        #[arg(long)]
        key: bool,
        #[command(flatten)]
        link: AccountLink,
    },
    /// Withdraw coins from your account into the wallet.
    Withdraw {
        /// Amount, for example 20.00.
        amount: Amount,
        /// Name of the bank, if the wallet knows several.
        #[arg(long, value_name = "NAME")]
        bank: Option<String>,
        /// Begin another withdrawal, even if one is under way. Without it, the same amount carries that one on.
        #[arg(long)]
        again: bool,
    },
    /// Show the money in the wallet. Works offline.
    Balance,
    /// List the coins in the wallet. With --json, every public field of each coin, so that any program can verify it.
    Coins {
        /// Also list spent and exchanged coins.
        #[arg(long)]
        all: bool,
    },
    /// List what a merchant sells.
    Catalog {
        /// Name of the merchant, if the wallet knows several.
        merchant: Option<String>,
    },
    /// Buy an item: you get the goods in FILE, or keep your coins.
    #[command(after_long_help = "Examples:\n  \
        farthing buy studio \"Evening postcard\" -o postcard.txt\n  \
        farthing buy studio 3fa9 -o postcard.txt --escrow fair --at-most 2.50\n\n\
        The goods are fetched encrypted before you pay. If the command is interrupted, or a party stays \
        silent, no money is lost: `farthing resume` carries on, and `farthing cancel` asks for the coins back.")]
    Buy(Buy),
    /// Watch a stream: pay for its records one by one, and get each of them or keep the money for it.
    #[command(after_long_help = "Examples:\n  \
        farthing watch studio \"Prices\" --most 2.00              records go to standard output as they arrive\n  \
        farthing watch studio \"Film\" --ticks 100 -o film.mp4    the first 100 pieces of a large file\n  \
        farthing watch --on 7                                   goes on with the stream of purchase 7\n\n\
        The whole price of the stream is held at first. What you have not seen is not paid for, and comes back when the \
        stream ends. Ctrl-c ends it. If the command dies, or a party stays silent, `farthing resume` ends the stream, and \
        `--on` goes on with it. Either way you get what is paid for: with the same -o FILE each record once, on standard \
        output those of the last payment again.")]
    Watch(Watch),
    /// List the purchases and their states.
    Purchases,
    /// List all withdrawals, exchanges and purchases with their dates, the oldest first. Works offline.
    #[command(
        after_long_help = "A date is when the matter was begun. A wallet that was restored knows no dates of \
        earlier withdrawals and exchanges. These come first."
    )]
    History {
        /// Print comma-separated values for a spreadsheet.
        #[arg(long, conflicts_with = "json")]
        csv: bool,
    },
    /// Carry on everything that is under way, after a crash or a silent party.
    #[command(after_long_help = "Examples:\n  \
        farthing resume                    carry on everything\n  \
        farthing resume 3                  carry on purchase 3, or write its file again if it is gone\n  \
        farthing resume 3 -o other.txt     the same, into another file")]
    Resume {
        /// Only this purchase: its number, or the first characters of its id. For a past purchase that a restore has
        /// found (`on-demand` in the list), it fetches the goods again. If the file of delivered goods is gone, it is
        /// written again.
        purchase: Option<String>,
        #[command(flatten)]
        output: OtherOutput,
    },
    /// Ask for the coins of a purchase back. If it is already paid, you get the goods.
    #[command(
        after_long_help = "The escrow decides. If it does not answer, the bank exchanges the coins for fresh ones, \
        and the purchase is `recovered` in the list. If the bank holds the coins for this purchase, it cannot do that: \
        the purchase stays `cancelling`, and `farthing resume` asks the escrow again."
    )]
    Cancel {
        /// Number of the purchase, or the first characters of its id.
        purchase: String,
        #[command(flatten)]
        output: OtherOutput,
    },
    /// Print or verify the documents that prove a purchase.
    #[command(subcommand)]
    Receipt(ReceiptCommand),
    #[command(flatten)]
    Payment(PaymentCommand),
    /// Exchange coins of aborted purchases, and coins whose keys end soon, for fresh ones.
    Exchange {
        /// Exchange every spendable coin, so that nothing links the coins to where they came from.
        #[arg(long)]
        all: bool,
    },
    /// Write the cards and names of the wallet's parties to a file that completes a restore.
    #[command(
        after_long_help = "The 24 words bring coins and purchases back, but not the cards of banks and escrows. \
        `farthing restore --import FILE` takes them from this file. It has no secret, no coin and no purchase, but it \
        tells whom you deal with. Write it again after `farthing network add`."
    )]
    Export {
        /// File for the cards. Only you can read it.
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
        /// Overwrite FILE if it exists.
        #[arg(long)]
        force: bool,
    },
    /// Look after the wallet until it is stopped: finish what is under way, exchange coins before they expire, and exchange
    /// many small coins for fewer ones.
    #[command(after_long_help = "Examples:\n  \
        farthing run             in a terminal or as a service, until ctrl-c or SIGTERM\n  \
        farthing run --once      look once, for example every hour with cron\n\n\
        The exchanges are made at random times, so that the bank cannot link them to your withdrawals and purchases. \
        A look draws the times, and a later look makes the exchanges. So `--once` must be repeated. Each job is one \
        line, or one JSON value on a line with --json. Other commands work beside it: the wallet is open only during \
        a look.")]
    Run {
        /// Look once, do what is due, and end.
        #[arg(long)]
        once: bool,
    },
    /// Build a wallet again from its 24 words: its coins, its purchases and their goods.
    #[command(after_long_help = "Examples:\n  \
        farthing --wallet new restore --import cards.json --goods-dir goods     asks for the words\n  \
        farthing --wallet new restore --phrase-file words.txt --import cards.json --goods-dir goods\n  \
        farthing --wallet new restore --card BANK-CARD --card ESCROW-CARD --goods-dir goods   without it\n\n\
        Purchases that were under way are carried on. This needs the cards of their escrows; the merchant's card is \
        in the recovery record of each purchase. At the end the parties are listed whose cards are lacking. Past \
        purchases are listed as on-demand: `farthing resume PURCHASE` fetches the goods of one, so that nobody links \
        your purchases. A request that the lost machine sent may come through for one more day: `farthing resume` scans \
        for it. If a bank knows no account of a wallet of protocol version 1, repeat the restore with --shared-account \
        and that bank's name. A restore can be repeated until it is complete. Do not use the old wallet any more: two \
        wallets with the same words would spend the same coins.")]
    Restore(Restore),
}

impl Command {
    /// Whether it moves money. Such a command ends with an exchange that was due before it.
    pub(super) fn moves_money(&self) -> bool {
        matches!(
            self,
            Command::Withdraw { .. }
                | Command::Buy(_)
                | Command::Watch(_)
                | Command::Resume { .. }
                | Command::Cancel { .. }
                | Command::Exchange { .. }
        ) || matches!(self, Command::Payment(payment) if payment.moves_money())
    }

    /// Whether its requests are anonymous, so that they go through a relay.
    pub(super) fn is_anonymous(&self) -> bool {
        match self {
            Command::Buy(_) | Command::Watch(_) | Command::Exchange { .. } | Command::Catalog { .. } => true,
            Command::Payment(payment) => payment.is_anonymous(),
            _ => false,
        }
    }

    /// Whether it changes nothing in the wallet, so that it runs while another command does.
    pub(super) fn only_reads(&self) -> bool {
        use ReceiptCommand::{Denied, Keys, Payment, Show};
        matches!(
            self,
            Command::Account { .. }
                | Command::Balance
                | Command::Coins { .. }
                | Command::Catalog { .. }
                | Command::Export { .. }
                | Command::Network(NetworkCommand::Check)
                | Command::Purchases
                | Command::Payment(PaymentCommand::Payments)
                | Command::History { .. }
                | Command::Receipt(Show { .. } | Payment { .. } | Denied { .. } | Keys { .. })
        )
    }
}

/// Arguments of `receipt verify`.
#[derive(Debug, Args)]
pub(super) struct Verify {
    /// Files of documents from other `receipt` commands, a merchant or a bank, and encrypted goods, in any order.
    #[arg(required = true, value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// Judge as of this day (UTC), on which the claim was brought [default: now]. Charges that a document could clear are heard
    /// for a year after the deadline of the purchase.
    #[arg(long = "at", value_name = "DATE", value_parser = date::parse)]
    pub(super) at_ms: Option<u64>,
    /// Accept each payment once: refuse what is in the file REGISTER, and add what is accepted.
    #[arg(long, value_name = "REGISTER")]
    pub(super) register: Option<PathBuf>,
    /// Take no payment that another bank has signed. Repeat the option for each bank.
    #[arg(long = "bank-key", value_name = "KEY")]
    pub(super) banks: Vec<PublicKey>,
    /// Take no payment into another account. Repeat the option for each account.
    #[arg(long = "account-key", value_name = "KEY")]
    pub(super) accounts: Vec<PublicKey>,
}

/// Options of `account` for a link.
#[derive(Debug, Args)]
pub(super) struct AccountLink {
    /// Print a link with which others pay into the account, without asking the bank.
    #[arg(long, conflicts_with = "key")]
    pub(super) uri: bool,
    /// The owner's name in the link. Nobody vouches for it.
    #[arg(long, value_name = "TEXT", requires = "uri")]
    pub(super) name: Option<String>,
    /// Key of another account, for example of a merchant.
    #[arg(long, value_name = "KEY", requires = "uri")]
    pub(super) of: Option<PublicKey>,
    /// Draw it as a QR code too.
    #[arg(long, requires = "uri", conflicts_with = "json")]
    pub(super) qr: bool,
}

/// Arguments of `buy`.
#[derive(Debug, Args)]
pub(super) struct Buy {
    /// Name of the merchant.
    pub(super) merchant: String,
    /// Title of the item, or the first characters of its id, as `farthing catalog` shows them. With the whole id,
    /// which `farthing catalog --json` prints, the merchant gets one request less.
    pub(super) item: String,
    /// Buy it only if it costs at most this, for example 2.50.
    #[arg(long, value_name = "AMOUNT")]
    pub(super) at_most: Option<Amount>,
    /// File for the goods. If another program puts a file there in the meantime, that file stays, and the goods go
    /// beside it.
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: PathBuf,
    /// Name of the escrow that decides, if the wallet knows several.
    #[arg(long, value_name = "NAME")]
    pub(super) escrow: Option<String>,
    /// Name of the bank whose coins pay, if the wallet knows several.
    #[arg(long, value_name = "NAME")]
    pub(super) bank: Option<String>,
    /// Overwrite FILE if it exists.
    #[arg(long)]
    pub(super) force: bool,
    /// Buy another one, even if a purchase of this item is under way. Without it, that purchase is carried on.
    #[arg(long)]
    pub(super) again: bool,
}

/// Arguments of `watch`.
#[derive(Debug, Args)]
pub(super) struct Watch {
    /// Name of the merchant.
    #[arg(required_unless_present = "on")]
    pub(super) merchant: Option<String>,
    /// Title of the stream, or the first characters of its id, as `farthing catalog` shows them.
    #[arg(required_unless_present = "on")]
    pub(super) item: Option<String>,
    /// Pay at most this in all, for example 2.00.
    #[arg(long, value_name = "AMOUNT")]
    pub(super) most: Option<Amount>,
    /// Watch at most this many records.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) ticks: Option<u32>,
    /// Pay for up to this many records at once. With 1, each record is paid for on its own.
    #[arg(long, value_name = "COUNT", default_value_t = WINDOW_DEFAULT,
        value_parser = clap::value_parser!(u16).range(1..=TICKS_PER_REPLY_MAX as i64))]
    pub(super) window: u16,
    /// File for the records. Without it, they go to standard output.
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Overwrite FILE if it exists.
    #[arg(long, requires = "output")]
    pub(super) force: bool,
    /// Name of the escrow that decides, if the wallet knows several.
    #[arg(long, value_name = "NAME")]
    pub(super) escrow: Option<String>,
    /// Name of the bank whose coins pay, if the wallet knows several.
    #[arg(long, value_name = "NAME")]
    pub(super) bank: Option<String>,
    /// Go on with the stream of this purchase. If it has ended, get the records that are paid for and were not shown.
    #[arg(long, value_name = "PURCHASE", conflicts_with_all = ["merchant", "item", "escrow", "bank"])]
    pub(super) on: Option<String>,
}

/// Another file for the goods of a purchase.
#[derive(Debug, Args)]
pub(super) struct OtherOutput {
    /// Write the goods of the purchase to FILE, even if they were delivered elsewhere before.
    #[arg(short, long, value_name = "FILE", requires = "purchase")]
    pub(super) output: Option<PathBuf>,
    /// Overwrite FILE if it exists.
    #[arg(long, requires = "output")]
    pub(super) force: bool,
}

/// Arguments of `restore`.
#[derive(Debug, Args)]
pub(super) struct Restore {
    /// Card of a bank or an escrow that you have used. Repeat the option for each.
    #[arg(long = "card", value_name = "CARD")]
    pub(super) cards: Vec<Card>,
    /// File that `farthing export` has written: the cards and names of all parties.
    #[arg(long, value_name = "FILE")]
    pub(super) import: Option<PathBuf>,
    /// Name of a bank at which the wallet used the account key of protocol version 1. Repeat the option for each
    /// bank. Only these banks see that key, because it tells banks that they have the same customer.
    #[arg(long = "shared-account", value_name = "BANK")]
    pub(super) shared_accounts: Vec<String>,
    /// File with the 24 words. The text that `farthing init` printed is fine as it is. Without it, they are read from
    /// standard input.
    #[arg(long, value_name = "FILE")]
    pub(super) phrase_file: Option<PathBuf>,
    /// Do not ask for a password for the new wallet.
    #[arg(long, conflicts_with = "password_file")]
    pub(super) no_password: bool,
    /// Directory for goods of purchases [default: `restored` in the wallet's directory]. With a password it must be named,
    /// because goods lie there in clear.
    #[arg(long, value_name = "DIR")]
    pub(super) goods_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum NetworkCommand {
    /// Add a card. From then on, the wallet trusts the holder of its keys under its name.
    #[command(after_long_help = "Examples:\n  \
        farthing network add CARD               under the name in the card\n  \
        farthing network add CARD --as books    under a name of your own, also for a card that is known\n\n\
        A party is recognised by its key. A card with new addresses of a known party changes only these: it keeps its \
        name here.")]
    Add {
        /// The card: one line, as its owner printed it.
        card: Card,
        /// Name of your own for the party, if another one has the name in the card.
        #[arg(long = "as", value_name = "NAME", value_parser = parse_name)]
        name: Option<String>,
    },
    /// List the cards.
    List,
    /// Show which parties can be reached, and their round trips, directly and through the relay.
    ///
    /// A direct check shows every party the network address of this machine. Nothing else is asked.
    Check,
    /// Remove a card.
    Remove {
        /// Role: bank, escrow, merchant or relay.
        role: RoleName,
        /// Name of the party.
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum ReceiptCommand {
    /// Print the documents of a purchase as JSON: the signed contract, and the escrow's receipt.
    Show {
        /// Number of the purchase, or the first characters of its id.
        purchase: String,
        /// Write them to FILE. Only you can read it.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Overwrite FILE if it exists.
        #[arg(long, requires = "output")]
        force: bool,
    },
    /// Print what proves a payment: the bank's signed statement, and the text with the salt of its digest.
    Payment {
        /// Number of the payment, as `farthing payments` shows it.
        payment: u64,
        /// Write it to FILE. Only you can read it.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Overwrite FILE if it exists.
        #[arg(long, requires = "output")]
        force: bool,
    },
    /// Print the documents that prove that a bank denies coins that it has issued, or change that it owes.
    Denied {
        /// Write them to FILE. Only you can read it.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Overwrite FILE if it exists.
        #[arg(long, requires = "output")]
        force: bool,
    },
    /// Print the documents that prove that a server has signed two encryption keys for one day.
    ///
    /// Requests through a relay are encrypted to these keys. With a key for each wallet a server could tell wallets
    /// apart.
    Keys {
        /// Write them to FILE. Only you can read it.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Overwrite FILE if it exists.
        #[arg(long, requires = "output")]
        force: bool,
    },
    /// Judge from documents and encrypted goods whether the goods were delivered, or who broke the contract; or from the
    /// document of a payment what the bank has signed. Works offline, without a wallet.
    #[command(after_long_help = "Examples:\n  \
        farthing receipt show 0 -o receipt.json\n  \
        farthing receipt verify receipt.json ~/.farthing/goods/NAME.sealed\n  \
        farthing receipt payment 3 -o donation.json\n  \
        farthing receipt verify donation.json\n  \
        farthing receipt verify donation.json --register 2026.register --bank-key KEY --account-key KEY\n\n\
        Files that a merchant or a bank has exported count too: all documents are judged together. \
        Exit codes: 0 delivered as described, paid, or refunded (`--json` says which); 4 the merchant broke the contract, 5 the escrow did, 7 the bank \
        broke its word, 8 a server signed two encryption keys for one day, 6 the documents prove nothing, 9 a payment is \
        in the register already.\n\n\
        A register is a file with the ids of all deposits that were accepted, one on each line. It is made if it is \
        missing. A deposit is accepted once, also if another file shows it. The document does not prove whose its keys \
        are: name those that the bank and the charity publish with --bank-key and --account-key.")]
    Verify(Verify),
}

fn long_help() -> String {
    format!(
        "First steps:\n  \
         farthing init                                    make a wallet; write its 24 words down\n  \
         farthing network add CARD                        add the card of a bank, an escrow, a merchant\n  \
         farthing account --key                           print your key; the bank opens an account for it\n  \
         farthing withdraw 20.00                          move money from the account into the wallet\n  \
         farthing catalog studio                          list what the merchant `studio` sells\n  \
         farthing buy studio \"Evening postcard\" -o p.txt  buy: you get the goods, or keep your coins\n  \
         farthing request 5.00 --for lunch                ask another wallet for money\n  \
         farthing send URI                                pay such a request\n  \
         farthing donate URI 10.00 --for \"Your Name\"      give to a charity, anonymously\n  \
         farthing redeem 20.00                            pay coins into your account\n  \
         farthing run                                     look after the wallet, as a service\n\n\
         If something goes wrong:\n  \
         farthing resume                                  carry on after a crash or a silent party\n  \
         farthing cancel 3                                ask for the coins of purchase 3 back\n  \
         farthing receipt show 3 -o r.json                documents that prove purchase 3 to anyone\n  \
         farthing export -o cards.json                    keep this file with the 24 words\n  \
         farthing --wallet new restore --import cards.json --goods-dir goods   make it again from both\n\n\
         No interruption loses money. Each command stores its steps before it sends anything.\n\n\
         FARTHING_LOG turns logs on, for example FARTHING_LOG=debug. They go to standard error.\n\n{}",
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
    fn the_definition_is_valid() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_are_accepted_before_and_after_the_command() {
        for line in [
            "--json --wallet w --patience 5 withdraw 20.5",
            "withdraw 20.5 --json --wallet w --patience 5",
        ] {
            let cli = parse(line).unwrap();
            assert!(cli.options.json);
            assert_eq!(cli.options.wallet, Some("w".into()));
            assert_eq!(cli.options.patience, Some(5));
            assert_eq!(cli.options.wait, 60);
            assert!(matches!(
                cli.command,
                Command::Withdraw {
                    amount: Amount(2050),
                    bank: None,
                    again: false,
                }
            ));
        }
    }

    #[test]
    fn a_proxy_means_tcp() {
        for (line, carrier) in [
            ("balance", Carrier::Quic),
            ("balance --tcp", Carrier::Tcp),
            (
                "--proxy socks5://[::1]:9050 balance",
                Carrier::TcpThrough("socks5://[::1]:9050".parse().unwrap()),
            ),
            (
                "--tcp --proxy socks5://a:b@tor:9050 balance",
                Carrier::TcpThrough("socks5://a:b@tor:9050".parse().unwrap()),
            ),
        ] {
            assert_eq!(parse(line).unwrap().options.carrier(), carrier, "{line}");
        }
    }

    #[test]
    fn usage_errors_say_what_is_expected() {
        for (line, says) in [
            ("withdraw 1,00", "write it like 20, 20.5 or 20.00"),
            ("network add something", "this is not a card"),
            (
                "network remove banker x",
                "roles are bank, escrow, merchant and relay",
            ),
            ("--patience 0 balance", "1..=86400"),
            ("--wait 90000 balance", "0..=86400"),
            ("--proxy 127.0.0.1:9050 balance", "this is not a proxy"),
            ("buy studio postcard", "--output"),
            ("pay", "unrecognized"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
            assert_eq!(error.exit_code(), i32::from(Exit::Usage.code()), "{line}");
        }
    }

    #[test]
    fn the_help_documents_every_exit_code_and_fits_a_terminal() {
        let help = Cli::command().render_long_help().to_string();
        for exit in Exit::ALL {
            assert!(help.contains(exit.meaning()), "{exit:?}");
        }
        for line in long_help().lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }
}
