//! Messages that do nothing any more.
//!
//! Most numbers of a stream only grow, so a message with a lower one is over. A question is over at once: whoever still
//! waits for its answer may ask again at any time.

use super::{
    Defect, Stream,
    defect::message_words,
    types::{Coins, Decision, Message, Phase, State},
};
use crate::facts::Party;

impl Stream {
    /// Whether a message will never change a party again, and brings none that is not there without it.
    pub(super) fn has_done(&self, state: &State, message: Message) -> bool {
        match message_words(message).1 {
            Party::Customer => self.customer_has(state, message),
            Party::Merchant => self.merchant_has(state, message),
            Party::Bank => Stream::bank_has(state, message),
            Party::Third => self.escrow_has(state, message),
        }
    }

    fn customer_has(&self, state: &State, message: Message) -> bool {
        let wallet = &state.wallet;
        let is_decided = matches!(wallet.phase, Phase::Decided(_));
        match message {
            Message::Opened => !matches!(wallet.phase, Phase::Opening | Phase::Cancelling),
            Message::Refused => wallet.phase != Phase::Opening,
            Message::Tick(tick) => {
                let takes_none = is_decided || wallet.phase == Phase::Stopping;
                let is_kept = tick <= wallet.held && !self.has(Defect::TickNotWritten);
                is_kept || (takes_none && !self.cheats_as(Party::Customer))
            }
            Message::Key(ticks) => ticks <= wallet.key,
            Message::Raised(_, ticks) => ticks <= wallet.key || state.merchant.wrong_seal,
            Message::Told(_, Decision::Commit(_, false) | Decision::Abort(false)) => true,
            Message::Told(_, Decision::Commit(ticks, true)) => is_decided && ticks <= wallet.key,
            Message::Told(_, Decision::Abort(true)) => is_decided,
            Message::Collected(decision) => match decision {
                Decision::Commit(..) => wallet.phase == Phase::Decided(decision),
                Decision::Abort(_) => is_decided,
            },
            Message::Leak => wallet.key == self.ticks || !self.cheats_as(Party::Customer),
            _ => false,
        }
    }

    /// What the merchant gives follows from its state, and was given when that last changed.
    fn merchant_has(&self, state: &State, message: Message) -> bool {
        let merchant = &state.merchant;
        let is_ending = merchant.closing || merchant.knows.is_some();
        match message {
            Message::Watch => merchant.sells || is_ending,
            Message::Voucher(ticks) => is_ending || ticks <= merchant.voucher,
            Message::Raised(_, ticks) => is_ending || ticks <= merchant.raised,
            Message::Stop => is_ending,
            Message::Told(_, Decision::Commit(_, false) | Decision::Abort(false)) => true,
            Message::Told(..) => merchant.knows.is_some(),
            _ => false,
        }
    }

    fn bank_has(state: &State, message: Message) -> bool {
        let bank = &state.bank;
        match message {
            Message::BankHold => bank.coins != Coins::Free && state.wallet.phase != Phase::Opening,
            Message::Bring(..) => bank.applied.is_some(),
            Message::Elsewhere => bank.coins != Coins::Free,
            Message::Collect => true,
            _ => false,
        }
    }

    fn escrow_has(&self, state: &State, message: Message) -> bool {
        let (escrow, merchant) = (&state.escrow, &state.merchant);
        let is_decided = escrow.decided.is_some();
        // An escrow that cheats learns from messages that an honest one has no use for.
        let learns = |bit: bool| self.cheats_as(Party::Third) && !bit;
        // An escrow that cheats decides by what it signs, and takes all else for something to learn from.
        let ends = is_decided || self.cheats_as(Party::Third);
        let shown = |ticks: u8| ticks <= escrow.shown;
        match message {
            Message::Open => is_decided || escrow.is_open,
            Message::BankHeld => {
                (is_decided || escrow.is_open) && !(merchant.wrong_seal && learns(escrow.has_cause))
            }
            Message::Cancel => {
                let is_late = escrow.is_open && !self.has(Defect::StreamCancelled);
                (is_decided || is_late) && !learns(escrow.has_cause)
            }
            Message::Overdue | Message::Close(0) => ends && !learns(escrow.has_cause),
            Message::Close(ticks) => ends && !learns(shown(ticks)),
            Message::Raise(by, ticks) => {
                let answered = match by {
                    Party::Merchant => {
                        merchant.closing || merchant.knows.is_some() || escrow.stored <= merchant.raised
                    }
                    _ => escrow.stored <= state.wallet.key,
                };
                let falls = self.has(Defect::RaisedBeforeWritten) || self.has(Defect::LowerVoucherStored);
                let stored = ticks <= escrow.stored && answered && !falls;
                let still_answers = self.has(Defect::RaisedAfterEnd);
                ((is_decided && !still_answers) || stored) && !learns(shown(ticks))
            }
            Message::BankRefuses | Message::Outcome | Message::Sales => true,
            _ => false,
        }
    }
}
