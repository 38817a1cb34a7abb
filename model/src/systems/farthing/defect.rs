//! Mistakes in the protocol, named as in `tests/planted`, and the words of messages and steps.

use super::types::{Decision, Message, Offer, Step};
use crate::{facts::Party, frame::Scenario};

/// A mistake. `tests/planted/patches` has the same one in the code, by the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Defect {
    /// The bank credits the merchant again when it is shown a commit again.
    CreditedTwice,
    /// The bank applies an abort and leaves its coins held.
    ReleasedStillHeld,
    /// The bank does not look whether an exchange was finished before.
    ExchangeNotRepeated,
    /// The bank holds coins without looking whether they are taken.
    CoinStateUnchecked,
    /// The bank holds coins for a purchase that was aborted before its hold arrived.
    HoldAfterAbort,
    /// The bank applies a decision without checking the escrow's signature.
    DecisionUnsigned,
    /// The bank never asks how overdue holds ended.
    OverdueNotChased,
    /// The bank refuses a hold that is asked for again.
    HoldNotRepeated,
    /// The escrow decides, and does not note that the bank is to be told.
    OutboxNotWritten,
    /// The escrow aborts on a cancel that comes after the commit.
    CancelAfterCommit,
    /// The escrow commits on a release that comes after the abort.
    CommitAfterAbort,
    /// The escrow commits with a goods key that does not open the offer's commitment.
    GoodsKeyUnchecked,
    /// The escrow commits with whatever it finds in a sealed key.
    SealedKeyUnchecked,
    /// The escrow commits on a sealed offer whatever the bank says of the coins.
    RefusalTakenForHold,
    /// The escrow commits on a sealed offer, and does not note that the merchant is to be told.
    SealedSaleUnlisted,
    /// The merchant begins to release a sale, and does not note that it is open.
    SaleLeftOpen,
    /// The wallet sends an order before it is written down.
    SentBeforeWritten,
    /// The wallet pays with the coins of an aborted purchase, without exchanging them.
    ReleasedCoinsReused,
    /// The wallet ends a cancelled purchase as recovered when the bank denies the exchange of its coins.
    DenialTakenForRecovery,
    /// The wallet pays without checking the digest of the encrypted goods.
    GoodsUnchecked,
}

impl Defect {
    /// All of them.
    pub const ALL: [Defect; 20] = [
        Defect::CreditedTwice,
        Defect::ReleasedStillHeld,
        Defect::ExchangeNotRepeated,
        Defect::CoinStateUnchecked,
        Defect::HoldAfterAbort,
        Defect::DecisionUnsigned,
        Defect::OverdueNotChased,
        Defect::HoldNotRepeated,
        Defect::OutboxNotWritten,
        Defect::CancelAfterCommit,
        Defect::CommitAfterAbort,
        Defect::GoodsKeyUnchecked,
        Defect::SealedKeyUnchecked,
        Defect::RefusalTakenForHold,
        Defect::SealedSaleUnlisted,
        Defect::SaleLeftOpen,
        Defect::SentBeforeWritten,
        Defect::ReleasedCoinsReused,
        Defect::DenialTakenForRecovery,
        Defect::GoodsUnchecked,
    ];

    /// An offer and a scenario in which the mistake shows. Without it no property is broken there.
    #[must_use]
    pub const fn shown_in(self) -> (Offer, Scenario) {
        let customer = Scenario::cheating("customer cheats", Party::Customer);
        let merchant = Scenario::cheating("merchant cheats", Party::Merchant);
        match self {
            Defect::SealedKeyUnchecked => (Offer::Sealed, merchant),
            Defect::RefusalTakenForHold | Defect::SealedSaleUnlisted => (Offer::Sealed, Scenario::FAILURES),
            Defect::GoodsKeyUnchecked | Defect::GoodsUnchecked => (Offer::Released, merchant),
            Defect::DecisionUnsigned => (Offer::Released, customer),
            _ => (Offer::Released, Scenario::FAILURES),
        }
    }

    /// The name of its patch.
    #[must_use]
    pub fn name(self) -> String {
        format!("{self:?}")
    }
}

pub(super) fn message_words(message: Message, offer: Offer) -> (Party, Party, &'static str) {
    use Party::{Bank, Customer, Merchant, Third};
    let sealed = offer == Offer::Sealed;
    match message {
        Message::Hold if sealed => (Customer, Third, "pay"),
        Message::Hold => (Customer, Third, "hold"),
        Message::BankHold => (Third, Bank, "hold"),
        Message::BankHeld => (Bank, Third, "held"),
        Message::BankRefuses => (Bank, Third, "refused"),
        Message::Held => (Third, Customer, "held"),
        Message::Refused => (Third, Customer, "refused"),
        Message::Deliver => (Customer, Merchant, "deliver"),
        Message::Release(true) => (Merchant, Third, "release: key"),
        Message::Release(false) => (Merchant, Third, "release: a wrong key"),
        Message::ToMerchant(decision) => (Third, Merchant, decision_words(decision)),
        Message::Receipt(_) => (Merchant, Customer, "receipt, key"),
        Message::Sales => (Merchant, Third, "sealed sales?"),
        Message::Cancel => (Customer, Third, "cancel"),
        Message::Outcome => (Customer, Third, "outcome?"),
        Message::ToCustomer(decision) => (Third, Customer, decision_words(decision)),
        Message::Settle(decision) => (Third, Bank, decision_words(decision)),
        Message::Claim(decision) => (Merchant, Bank, decision_words(decision)),
        Message::Return(decision) => (Customer, Bank, decision_words(decision)),
        Message::Collect => (Customer, Bank, "collect?"),
        Message::Collected(decision) => (Bank, Customer, decision_words(decision)),
        Message::Exchange(_) => (Customer, Bank, "exchange the coin"),
        Message::SessionGone(_) => (Bank, Customer, "the session is gone"),
        Message::Exchanged(false) => (Bank, Customer, "fresh coin"),
        Message::Exchanged(true) => (Bank, Customer, "another fresh coin"),
        Message::DeniedHeld(_) => (Bank, Customer, "denied: held"),
        Message::DeniedSpent(_) => (Bank, Customer, "denied: spent, the commit"),
        Message::Overdue => (Bank, Third, "overdue"),
        Message::Leak => (Third, Customer, "the key, past the protocol"),
    }
}

fn decision_words(decision: Decision) -> &'static str {
    match decision {
        Decision::Commit(true) => "committed, key",
        Decision::Commit(false) => "committed, a wrong key",
        Decision::Abort(true) => "aborted, with cause",
        Decision::Abort(false) => "aborted, without cause",
    }
}

pub(super) fn step_words(step: Step) -> (Party, &'static str) {
    use Party::{Bank, Customer, Merchant, Third};
    match step {
        Step::Buy => (Customer, "writes the order down, and buys"),
        Step::AskEscrow => (Customer, "asks the escrow"),
        Step::AskMerchant => (Customer, "asks the merchant for the key"),
        Step::AskOutcome => (Customer, "asks for the outcome"),
        Step::AskBank => (Customer, "asks the bank for the decision"),
        Step::GiveUp => (Customer, "cancels"),
        Step::BringAbort => (Customer, "brings the abort to the bank"),
        Step::Exchange => (Customer, "exchanges the coin"),
        Step::AskAgain => (Merchant, "asks the escrow again"),
        Step::Claim => (Merchant, "brings the commit to the bank"),
        Step::Push => (Third, "brings its decision to the bank"),
        Step::Pass => (Bank, "the deadline passes"),
        Step::Chase => (Bank, "asks about the overdue hold"),
        Step::SpendTwice => (Customer, "cheats: exchanges the coin beside the purchase"),
        Step::ForgeAbort => (Customer, "cheats: forges an abort"),
        Step::SellOther => (Merchant, "cheats: sells other goods than described"),
        Step::ServeGarbage => (Merchant, "cheats: serves garbage for the encrypted goods"),
        Step::SealWrong => (Merchant, "cheats: seals a wrong key"),
        Step::ReleaseWrong => (Merchant, "cheats: releases a wrong key"),
        Step::Sign(Decision::Commit(true)) => (Third, "cheats: signs a commit"),
        Step::Sign(Decision::Commit(false)) => (Third, "cheats: signs a commit with a wrong key"),
        Step::Sign(Decision::Abort(true)) => (Third, "cheats: signs an abort"),
        Step::Sign(Decision::Abort(false)) => (Third, "cheats: signs an abort without a cause"),
        Step::Leak => (Third, "cheats: gives the key away"),
        Step::TakeCoin => (Bank, "cheats: takes the coin"),
    }
}
