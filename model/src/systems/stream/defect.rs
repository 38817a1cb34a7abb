//! Mistakes in streams, and the words of messages and steps.

use super::types::{Decision, Message, Step};
use crate::{facts::Party, frame::Scenario};

/// A mistake in the protocol of streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Defect {
    /// The escrow aborts an open stream on a cancel.
    StreamCancelled,
    /// The escrow commits the voucher that it was shown last, and forgets the one that it has stored.
    RaisedForgotten,
    /// The escrow aborts on a close without a voucher, although one was raised.
    CloseForgetsRaised,
    /// The escrow gives the key for a voucher, and does not store it.
    RaiseNotStored,
    /// The escrow acknowledges a voucher before it is durable.
    RaisedBeforeWritten,
    /// The escrow stores the last voucher, and not the highest.
    LowerVoucherStored,
    /// The escrow still gives keys for vouchers when the stream is decided.
    RaisedAfterEnd,
    /// The escrow opens a stream with a key that does not hash to the offer's.
    ChainUnchecked,
    /// The merchant gives the key of a tick before it has its voucher.
    KeyBeforeVoucher,
    /// The wallet signs a voucher for a tick whose ciphertext it does not hold.
    VoucherBeforeTick,
    /// The wallet signs a voucher before the ciphertexts are written down.
    TickNotWritten,
    /// The bank credits the price of all ticks.
    WholePriceCredited,
    /// The bank credits the ticks that are paid, and nobody with the rest.
    ChangeForgotten,
    /// The bank takes a commit without a voucher of the purchase key.
    VoucherUnchecked,
}

impl Defect {
    /// All of them.
    pub const ALL: [Defect; 14] = [
        Defect::StreamCancelled,
        Defect::RaisedForgotten,
        Defect::CloseForgetsRaised,
        Defect::RaiseNotStored,
        Defect::RaisedBeforeWritten,
        Defect::LowerVoucherStored,
        Defect::RaisedAfterEnd,
        Defect::ChainUnchecked,
        Defect::KeyBeforeVoucher,
        Defect::VoucherBeforeTick,
        Defect::TickNotWritten,
        Defect::WholePriceCredited,
        Defect::ChangeForgotten,
        Defect::VoucherUnchecked,
    ];

    /// A scenario in which the mistake breaks a property that holds there without it.
    #[must_use]
    pub const fn shown_in(self) -> Scenario {
        match self {
            Defect::ChainUnchecked => Scenario::cheating("merchant cheats", Party::Merchant),
            Defect::VoucherUnchecked => Scenario::cheating("escrow cheats", Party::Third),
            _ => Scenario::FAILURES,
        }
    }
}

/// The words for a number of ticks, from the first on.
fn of(ticks: u8, words: [&'static str; 3]) -> &'static str {
    let [one, two, three] = words;
    match ticks {
        1 => one,
        2 => two,
        _ => three,
    }
}

fn voucher_words(ticks: u8) -> &'static str {
    of(
        ticks,
        ["voucher for 1 tick", "voucher for 2 ticks", "voucher for 3 ticks"],
    )
}

fn key_words(ticks: u8) -> &'static str {
    of(ticks, ["key of 1 tick", "key of 2 ticks", "key of 3 ticks"])
}

pub(super) fn message_words(message: Message) -> (Party, Party, &'static str) {
    use Party::{Bank, Customer, Merchant, Third};
    match message {
        Message::Open => (Customer, Third, "open"),
        Message::BankHold => (Third, Bank, "hold"),
        Message::BankHeld => (Bank, Third, "held"),
        Message::BankRefuses => (Bank, Third, "refused"),
        Message::Opened => (Third, Customer, "opened"),
        Message::Refused => (Third, Customer, "refused"),
        Message::Cancel => (Customer, Third, "cancel"),
        Message::Watch => (Customer, Merchant, "opened: ticks?"),
        Message::Tick(1) => (Merchant, Customer, "tick 1, encrypted"),
        Message::Tick(2) => (Merchant, Customer, "tick 2, encrypted"),
        Message::Tick(_) => (Merchant, Customer, "tick 3, encrypted"),
        Message::Voucher(ticks) => (Customer, Merchant, voucher_words(ticks)),
        Message::Key(ticks) => (Merchant, Customer, key_words(ticks)),
        Message::Stop => (Customer, Merchant, "stop"),
        Message::Raise(by, ticks) => (by, Third, voucher_words(ticks)),
        Message::Raised(to, ticks) => (
            Third,
            to,
            of(
                ticks,
                ["raised to 1, key", "raised to 2, key", "raised to 3, key"],
            ),
        ),
        Message::Close(0) => (Merchant, Third, "close, without a voucher"),
        Message::Close(ticks) => (
            Merchant,
            Third,
            of(ticks, ["close at 1 tick", "close at 2 ticks", "close at 3 ticks"]),
        ),
        Message::Sales => (Merchant, Third, "sealed sales?"),
        Message::Outcome => (Customer, Third, "outcome?"),
        Message::Told(to, decision) => (Third, to, decision_words(decision)),
        Message::Bring(by, decision) => (by, Bank, decision_words(decision)),
        Message::Collect => (Customer, Bank, "collect?"),
        Message::Collected(decision) => (Bank, Customer, decision_words(decision)),
        Message::Overdue => (Bank, Third, "overdue"),
        Message::Elsewhere => (Customer, Bank, "the coins, for something else"),
        Message::Leak => (Third, Customer, "the key of all ticks, past the protocol"),
    }
}

fn decision_words(decision: Decision) -> &'static str {
    match decision {
        Decision::Commit(ticks, true) => of(
            ticks,
            [
                "committed, 1 tick, key",
                "committed, 2 ticks, key",
                "committed, 3 ticks, key",
            ],
        ),
        Decision::Commit(_, false) => "committed, a wrong key",
        Decision::Abort(true) => "aborted, with cause",
        Decision::Abort(false) => "aborted, without cause",
    }
}

pub(super) fn step_words(step: Step) -> (Party, &'static str) {
    use Party::{Bank, Customer, Merchant, Third};
    match step {
        Step::Open => (Customer, "writes the order down, and opens the stream"),
        Step::AskEscrow => (Customer, "asks the escrow"),
        Step::AskBank => (Customer, "asks the bank for the decision"),
        Step::GiveUp => (Customer, "cancels"),
        Step::Watch => (Customer, "asks the merchant for ticks"),
        Step::Sign => (Customer, "signs a voucher"),
        Step::Ask => (Customer, "shows the voucher again"),
        Step::Raise => (Customer, "shows the voucher to the escrow"),
        Step::Stop => (Customer, "stops the stream"),
        Step::AskStop => (Customer, "asks the merchant to close"),
        Step::AskOutcome => (Customer, "asks for the outcome"),
        Step::BringAbort => (Customer, "brings the abort to the bank"),
        Step::RaiseSale => (Merchant, "shows the voucher to the escrow"),
        Step::Close => (Merchant, "closes the stream"),
        Step::AskSales => (Merchant, "asks the escrow for its sales"),
        Step::Claim => (Merchant, "brings the commit to the bank"),
        Step::Push => (Third, "brings its decision to the bank"),
        Step::Pass => (Bank, "the deadline passes"),
        Step::Chase => (Bank, "asks about the overdue hold"),
        Step::CancelLate => (Customer, "cheats: cancels, whatever the state"),
        Step::SpendElsewhere => (Customer, "cheats: uses the coins beside the stream"),
        Step::SignAhead(_) => (
            Customer,
            "cheats: signs a voucher for ticks without their ciphertexts",
        ),
        Step::RaiseAhead(_) => (Customer, "cheats: raises such a voucher"),
        Step::SellOther => (Merchant, "cheats: sells other ticks than described"),
        Step::SealWrong => (Merchant, "cheats: seals a wrong key"),
        Step::GiveAll => (Merchant, "cheats: gives the key of all ticks away"),
        Step::CloseLow => (Merchant, "cheats: closes without its voucher"),
        Step::Decide(Decision::Commit(_, true)) => (Third, "cheats: signs a commit"),
        Step::Decide(Decision::Commit(_, false)) => (Third, "cheats: signs a commit with a wrong key"),
        Step::Decide(Decision::Abort(true)) => (Third, "cheats: signs an abort"),
        Step::Decide(Decision::Abort(false)) => (Third, "cheats: signs an abort without a cause"),
        Step::Leak => (Third, "cheats: gives the key of all ticks away"),
        Step::TakeCoins => (Bank, "cheats: takes the coins"),
    }
}
