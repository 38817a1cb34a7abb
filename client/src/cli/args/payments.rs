//! The commands for payments by deposit, gifts, links, and what banks owe.

use crate::{gift_uri::GiftUri, link::Link, pay_uri::PayUri};
use clap::{Args, Subcommand};
use farthing_protocol::money::Amount;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum PaymentCommand {
    /// Pay coins into your account at the bank.
    #[command(
        after_long_help = "The bank learns that you had coins of this amount. It does not learn from which withdrawal they \
        came, or what you bought. A different amount and a later time than those of a withdrawal tell it less."
    )]
    Redeem {
        /// Amount, for example 20.00.
        amount: Amount,
        /// Name of the bank, if the wallet knows several.
        #[arg(long, value_name = "NAME")]
        bank: Option<String>,
        /// Begin another payment, even if one of the same amount is under way. Without it, that one is carried on.
        #[arg(long)]
        again: bool,
    },
    /// Print a request for a payment to you, which another wallet pays with `farthing send`.
    #[command(after_long_help = "Examples:\n  \
        farthing request 5.00 --for \"two coffees\"\n  \
        farthing request 5.00 --qr             the same request as a picture\n\n\
        The payer needs the card of the same bank. You may be offline when they pay. The bank keeps the money for you under \
        a key that nobody can connect with you. Make a new request for each payment.")]
    Request {
        /// Amount, for example 5.00. Without it, the payer chooses.
        amount: Option<Amount>,
        /// What it is for. The payer sees it, and the bank does not.
        #[arg(
            long = "for",
            value_name = "TEXT",
            default_value = "",
            hide_default_value = true
        )]
        text: String,
        /// Name of the bank, if the wallet knows several.
        #[arg(long, value_name = "NAME")]
        bank: Option<String>,
        /// Draw it as a QR code too.
        #[arg(long, conflicts_with = "json")]
        qr: bool,
    },
    /// Pay a request of another wallet. You get a receipt that the bank has signed.
    #[command(
        after_long_help = "If the command is interrupted, the same command or `farthing resume` carries the payment on. It \
        is never paid twice. `farthing give-up` takes back what the bank does not confirm."
    )]
    Send {
        /// The request, as `farthing request` printed it. Put it in quotes.
        #[arg(value_name = "URI")]
        uri: PayUri,
        /// Amount, if the request has none.
        #[arg(long, value_name = "AMOUNT")]
        amount: Option<Amount>,
        /// Pay once more, even if the same request was paid.
        #[arg(long)]
        again: bool,
    },
    /// Pay into the account of a charity, anonymously. You alone can prove later that it was you.
    #[command(after_long_help = "Examples:\n  \
        farthing donate 'farthing:pay?bank=...' 10.00 --for \"Erika Mustermann\"\n  \
        farthing receipt payment 3 -o donation.json       the document for the tax office\n\n\
        The bank and the charity learn the amount and the time, and not who gave. The bank signs a digest of your name \
        with a secret salt, so the name cannot be changed later, and nobody finds it. Whoever gets the document learns \
        both. An amount that nobody else gives, soon after you have withdrawn the same, is a hint to you.\n\n\
        Write the document at once, and keep it: a wallet that is restored from its words does not have it.\n\n\
        If the command is interrupted, the same command or `farthing resume` carries the donation on. It is never made \
        twice. `farthing give-up` takes back what the bank does not confirm.")]
    Donate {
        /// The link of the charity's account, as `farthing account --uri` printed it. Put it in quotes.
        #[arg(value_name = "CHARITY")]
        charity: PayUri,
        /// Amount, for example 10.00.
        amount: Amount,
        /// Your name, as the tax office knows it. Without it, the document names nobody.
        #[arg(
            long = "for",
            value_name = "NAME",
            default_value = "",
            hide_default_value = true
        )]
        donor: String,
        /// Name of the bank at which the charity must have its account.
        #[arg(long, value_name = "NAME")]
        bank: Option<String>,
        /// Donate once more, even if the same account was paid before.
        #[arg(long)]
        again: bool,
    },
    /// Give an amount as a link: whoever opens it first has the money, and you can take it back until then.
    #[command(after_long_help = "Examples:\n  \
        farthing gift 5.00 --for \"Happy birthday\"     prints the link, and the command that takes it back\n  \
        farthing gift 5.00 --qr                        draws it, too\n\n\
        The money waits at the bank under a key that names nobody. The recipient needs a wallet that knows the bank \
        (`farthing accept`). If the command is interrupted, type it again or `farthing resume`: the gift is carried on. \
        `farthing payments` prints the links of all gifts. After a restore, `farthing receive` takes back what nobody has \
        accepted.")]
    Gift {
        /// Amount, for example 5.00.
        amount: Amount,
        /// Words for the recipient. The bank does not see them.
        #[arg(
            long = "for",
            value_name = "TEXT",
            default_value = "",
            hide_default_value = true
        )]
        text: String,
        /// Name of the bank whose coins pay, if the wallet knows several.
        #[arg(long, value_name = "NAME")]
        bank: Option<String>,
        /// Draw the link as a QR code too.
        #[arg(long, conflicts_with = "json")]
        qr: bool,
        /// Give once more, even if the same gift is under way.
        #[arg(long)]
        again: bool,
    },
    /// Accept a gift: its money becomes coins of this wallet.
    #[command(
        after_long_help = "Exit code 1 with `nothing is in this gift` means that somebody was faster, or that the giver \
        has taken it back."
    )]
    Accept {
        /// The link, as `farthing gift` printed it. Put it in quotes.
        #[arg(value_name = "URI")]
        uri: GiftUri,
    },
    /// Take a gift back that nobody has accepted.
    TakeBack {
        /// Number of its payment, as `farthing payments` lists it.
        payment: u64,
    },
    /// Say what a link does, and do it if you agree: pay, accept a gift, buy, or pin a card.
    #[command(after_long_help = "Examples:\n  \
        farthing open 'farthing:pay?bank=...'                     pays a request, or into an account\n  \
        farthing open 'farthing:gift?bank=...'                    accepts a gift\n  \
        farthing open 'farthing:offer?merchant=...' -o song.txt   buys an item, for at most the price in the link\n  \
        farthing open farthing-card:bank:...                      pins a card, if you confirm it at a terminal")]
    Open(Open),
    /// List the payments that were sent and requested, and their states.
    Payments,
    /// Receive what the bank owes you, as fresh coins: what others have paid for your requests, or the change and the refunds of
    /// a purchase.
    #[command(after_long_help = "Examples:\n  \
        farthing receive                   what was paid for your requests\n  \
        farthing receive --purchase 3      what the bank owes for purchase 3\n  \
        farthing receive --into-account    the way out of a bank that closes\n\n\
        Requests that were paid in full and received are not asked for again. The bank learns that somebody takes the money of \
        a request, over a connection of its own. If you have several, they are asked one after another, and their times may \
        join them. With --into-account it learns that it was you. With \
        --purchase, too, it learns that you made this purchase.")]
    Receive(Receive),
    /// Give up a payment that the bank does not confirm: its coins are exchanged for fresh ones.
    ///
    /// If the bank has carried the payment out, it stays, and you get its receipt.
    GiveUp {
        /// Number of the payment, as `farthing payments` shows it.
        payment: u64,
    },
}

impl PaymentCommand {
    /// Whether it moves money.
    pub(super) fn moves_money(&self) -> bool {
        !matches!(self, PaymentCommand::Request { .. } | PaymentCommand::Payments)
    }

    /// Whether its requests are anonymous.
    pub(super) fn is_anonymous(&self) -> bool {
        use PaymentCommand::{GiveUp, Payments, Redeem, Request};
        !matches!(self, Redeem { .. } | Request { .. } | Payments | GiveUp { .. })
    }
}

/// Arguments of `open`.
#[derive(Debug, Args)]
pub(crate) struct Open {
    /// The link. Put it in quotes.
    #[arg(value_name = "LINK")]
    pub(crate) link: Link,
    /// Do it without a question. A card always needs one.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Amount, if the link has none.
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) amount: Option<Amount>,
    /// Your name for the document of a donation, if the link names an account.
    #[arg(long = "for", value_name = "NAME")]
    pub(crate) donor: Option<String>,
    /// File for the goods, if the link sells an item.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Name of the escrow that decides, if the link sells an item and the wallet knows several.
    #[arg(long, value_name = "NAME")]
    pub(crate) escrow: Option<String>,
    /// Name of the bank whose coins pay, if the link sells an item and the wallet knows several.
    #[arg(long, value_name = "NAME")]
    pub(crate) bank: Option<String>,
}

/// Arguments of `receive`.
#[derive(Debug, Args)]
pub(crate) struct Receive {
    /// Receive the change and the refunds of this purchase: its number, or the first characters of its id.
    #[arg(long, value_name = "PURCHASE")]
    pub(crate) purchase: Option<String>,
    /// Put the money into your account at the bank, by name, and not into coins.
    #[arg(long)]
    pub(crate) into_account: bool,
    /// Ask also for requests that were paid in full and received. Somebody may have paid one twice.
    #[arg(long, conflicts_with = "purchase")]
    pub(crate) all: bool,
}
