//! What each party does.

use super::{
    Defect, Stream,
    types::{Coins, Decision, Message, Phase, State, Step, WINDOW},
};
use crate::facts::Party;

impl Stream {
    pub(super) fn cheats_as(&self, party: Party) -> bool {
        self.scenario.cheats.has(party)
    }

    // ---- the wallet -------------------------------------------------------------------------------------

    pub(super) fn customer(&self, state: &mut State, message: Message) {
        let right = !state.merchant.wrong_seal;
        let wallet = &mut state.wallet;
        match message {
            Message::Opened => {
                if matches!(wallet.phase, Phase::Opening | Phase::Cancelling) {
                    wallet.phase = match wallet.gave_up {
                        true => Phase::Stopping,
                        false => Phase::Streaming,
                    };
                }
            }
            Message::Refused if wallet.phase == Phase::Opening => wallet.phase = Phase::Cancelling,
            Message::Tick(tick) => {
                let takes = wallet.phase == Phase::Streaming || self.cheats_as(Party::Customer);
                if takes && tick == wallet.held.saturating_add(1) {
                    wallet.held = tick;
                }
            }
            Message::Key(ticks) => wallet.key = wallet.key.max(ticks),
            // A key that does not hash to the offer's is none.
            Message::Raised(_, ticks) if right => wallet.key = wallet.key.max(ticks),
            // A wrong key and an abort without its cause convict the escrow. What the bank applies counts.
            Message::Told(_, Decision::Commit(_, false) | Decision::Abort(false)) => {}
            Message::Told(_, decision) | Message::Collected(decision) => {
                let is_final = matches!(message, Message::Collected(Decision::Commit(..)));
                if is_final || !matches!(wallet.phase, Phase::Start | Phase::Decided(_)) {
                    wallet.phase = Phase::Decided(decision);
                }
                if let Decision::Commit(ticks, true) = decision {
                    wallet.key = wallet.key.max(ticks);
                }
            }
            Message::Leak if self.cheats_as(Party::Customer) => wallet.key = self.ticks,
            _ => {}
        }
    }

    fn wallet_steps(&self, state: &State, steps: &mut Vec<Step>) {
        let wallet = &state.wallet;
        let lacks_key = wallet.signed > wallet.key;
        match wallet.phase {
            Phase::Start => steps.push(Step::Open),
            Phase::Opening => steps.extend([Step::AskEscrow, Step::AskBank, Step::GiveUp]),
            Phase::Cancelling => steps.extend([Step::AskEscrow, Step::AskBank]),
            Phase::Streaming => {
                steps.push(Step::Watch);
                if self.may_sign(state) > wallet.signed {
                    steps.push(Step::Sign);
                }
                if wallet.signed > 0 {
                    steps.push(Step::Ask);
                }
                if lacks_key {
                    steps.push(Step::Raise);
                }
                steps.extend([Step::AskOutcome, Step::AskBank, Step::Stop]);
            }
            Phase::Stopping => {
                if lacks_key {
                    steps.push(Step::Raise);
                }
                steps.extend([Step::AskStop, Step::AskOutcome, Step::AskBank]);
            }
            // The bank answers with what it has applied.
            Phase::Decided(Decision::Abort(_)) if matches!(state.bank.coins, Coins::Held | Coins::Spent) => {
                steps.push(Step::BringAbort);
            }
            Phase::Decided(_) => {}
        }
    }

    /// The ticks that the next voucher pays for.
    fn may_sign(&self, state: &State) -> u8 {
        let ahead = u8::from(self.has(Defect::VoucherBeforeTick));
        self.ticks.min(state.wallet.held.saturating_add(ahead))
    }

    // ---- the merchant -----------------------------------------------------------------------------------

    pub(super) fn merchant(&self, state: &mut State, message: Message, out: &mut Vec<Message>) {
        let merchant = &mut state.merchant;
        match message {
            Message::Watch if merchant.knows.is_none() => {
                merchant.sells = true;
                self.serve(state, out);
            }
            // It has given no ciphertexts beyond the window, so a voucher for them is refused.
            Message::Voucher(ticks)
                if merchant.serves() && ticks <= merchant.voucher.saturating_add(WINDOW) =>
            {
                merchant.voucher = merchant.voucher.max(ticks);
                self.serve(state, out);
            }
            Message::Raised(_, ticks) if merchant.serves() => {
                merchant.raised = merchant.raised.max(ticks);
                self.serve(state, out);
            }
            Message::Stop if merchant.sells && merchant.knows.is_none() => {
                merchant.closing = true;
                out.push(Message::Close(merchant.voucher));
            }
            // A receipt with a wrong key is refused: it convicts the escrow.
            Message::Told(_, Decision::Commit(_, false) | Decision::Abort(false)) => {}
            Message::Told(_, decision) => {
                merchant.knows.get_or_insert(decision);
            }
            _ => {}
        }
    }

    /// The merchant gives the key of the ticks that are paid, or raises their voucher first, and gives the next
    /// ciphertexts.
    fn serve(&self, state: &State, out: &mut Vec<Message>) {
        let merchant = &state.merchant;
        if !merchant.serves() {
            return;
        }
        let unraised = merchant.voucher.saturating_sub(merchant.raised);
        if unraised > self.unraised_max {
            out.push(Message::Raise(Party::Merchant, merchant.voucher));
        } else if merchant.voucher > 0 {
            out.push(Message::Key(merchant.voucher));
        }
        let next = merchant.voucher.saturating_add(1);
        if self.has(Defect::KeyBeforeVoucher) {
            out.push(Message::Key(next.min(self.ticks)));
        }
        let last = self.ticks.min(merchant.voucher.saturating_add(WINDOW));
        out.extend((next..=last).map(Message::Tick));
    }

    // ---- the bank ---------------------------------------------------------------------------------------

    pub(super) fn bank(&self, state: &mut State, message: Message, out: &mut Vec<Message>) {
        let bank = &mut state.bank;
        match message {
            Message::BankHold => {
                let holds = bank.applied.is_none() && matches!(bank.coins, Coins::Free | Coins::Held);
                if holds {
                    bank.coins = Coins::Held;
                }
                out.push(match holds {
                    true => Message::BankHeld,
                    false => Message::BankRefuses,
                });
            }
            Message::Bring(by, decision) => {
                self.settle(state, decision);
                let applied = state.bank.applied.filter(|_| by == Party::Customer);
                out.extend(applied.map(Message::Collected));
            }
            Message::Collect => out.extend(bank.applied.map(Message::Collected)),
            Message::Elsewhere if bank.coins == Coins::Free => bank.coins = Coins::Elsewhere,
            _ => {}
        }
    }

    /// The bank applies the first decision. The contrary one is kept as evidence.
    fn settle(&self, state: &mut State, decision: Decision) {
        let bank = &mut state.bank;
        if bank.applied.is_some() {
            return;
        }
        match (decision, bank.coins) {
            (Decision::Commit(ticks, _), Coins::Held) => {
                bank.coins = Coins::Spent;
                bank.credited = match self.has(Defect::WholePriceCredited) {
                    true => self.ticks,
                    false => ticks,
                };
                if !self.has(Defect::ChangeForgotten) {
                    bank.change = self.ticks.saturating_sub(bank.credited);
                }
            }
            (Decision::Commit(..), _) => return,
            // The bank releases held coins only with a cause.
            (Decision::Abort(false), Coins::Held) => return,
            (Decision::Abort(true), Coins::Held) => bank.coins = Coins::Released,
            (Decision::Abort(_), _) => {}
        }
        bank.applied = Some(decision);
    }

    // ---- the escrow -------------------------------------------------------------------------------------

    pub(super) fn escrow(&self, state: &mut State, message: Message, out: &mut Vec<Message>) {
        self.remember(state, message);
        let customer = |decision| Message::Told(Party::Customer, decision);
        let merchant = |decision| Message::Told(Party::Merchant, decision);
        let escrow = &state.escrow;
        match message {
            Message::Open => out.push(match escrow.decided {
                Some(decision) => customer(decision),
                None if escrow.is_open => Message::Opened,
                None if state.late => Message::Refused,
                None => Message::BankHold,
            }),
            Message::BankHeld => {
                let refuses = state.merchant.wrong_seal && !self.has(Defect::ChainUnchecked);
                if refuses {
                    self.decide(state, Decision::Abort(true), customer, out);
                } else if escrow.decided.is_none() {
                    state.escrow.is_open = true;
                    out.push(Message::Opened);
                }
            }
            Message::BankRefuses => out.push(Message::Refused),
            Message::Cancel if self.is_live(state) && !self.has(Defect::StreamCancelled) => {
                out.push(Message::Opened);
            }
            Message::Cancel => self.decide(state, Decision::Abort(true), customer, out),
            Message::Raise(by, ticks) => self.raise(state, by, ticks, out),
            Message::Close(ticks) if escrow.is_open => {
                let forgets = self.has(Defect::CloseForgetsRaised) && ticks == 0;
                let decision = if forgets {
                    Decision::Abort(true)
                } else {
                    self.ending(state, ticks)
                };
                self.decide(state, decision, merchant, out);
            }
            Message::Outcome => out.extend(escrow.decided.map(customer)),
            Message::Sales => out.extend(escrow.decided.map(merchant)),
            Message::Overdue if state.late => {
                let told = |decision| Message::Bring(Party::Third, decision);
                self.decide(state, self.ending(state, 0), told, out);
            }
            _ => {}
        }
    }

    /// An escrow that cheats keeps each voucher that it was shown, and each cause.
    fn remember(&self, state: &mut State, message: Message) {
        if !self.cheats_as(Party::Third) {
            return;
        }
        let escrow = &mut state.escrow;
        match message {
            Message::Cancel | Message::Overdue | Message::Close(0) => escrow.has_cause = true,
            Message::BankHeld if state.merchant.wrong_seal => escrow.has_cause = true,
            Message::Raise(_, ticks) | Message::Close(ticks) => escrow.shown = escrow.shown.max(ticks),
            _ => {}
        }
    }

    fn is_live(&self, state: &State) -> bool {
        state.escrow.is_open && state.escrow.decided.is_none()
    }

    /// The escrow writes the highest voucher down, acknowledges it, and gives its key.
    fn raise(&self, state: &mut State, by: Party, ticks: u8, out: &mut Vec<Message>) {
        let is_live = self.is_live(state);
        let escrow = &mut state.escrow;
        if is_live {
            escrow.stored = match () {
                () if self.has(Defect::RaiseNotStored) => escrow.stored,
                () if self.has(Defect::LowerVoucherStored) => ticks,
                () => escrow.stored.max(ticks),
            };
        }
        if is_live || (escrow.is_open && self.has(Defect::RaisedAfterEnd)) {
            out.push(Message::Raised(by, escrow.stored.max(ticks)));
        } else {
            out.extend(escrow.decided.map(|decision| Message::Told(by, decision)));
        }
    }

    /// How a stream ends that is closed with the voucher for these ticks.
    fn ending(&self, state: &State, shown: u8) -> Decision {
        let ticks = match self.has(Defect::RaisedForgotten) {
            true => shown,
            false => shown.max(state.escrow.stored),
        };
        match ticks {
            0 => Decision::Abort(true),
            _ => Decision::Commit(ticks, !state.merchant.wrong_seal),
        }
    }

    /// Decides, unless it is decided, and answers with the decision. An escrow that cheats signs what it likes instead,
    /// also this ([`Step::Decide`]).
    fn decide(
        &self,
        state: &mut State,
        decision: Decision,
        answer: impl Fn(Decision) -> Message,
        out: &mut Vec<Message>,
    ) {
        if self.cheats_as(Party::Third) {
            return;
        }
        let decided = *state.escrow.decided.get_or_insert(decision);
        out.push(answer(decided));
        out.push(Message::Bring(Party::Third, decided));
    }

    // ---- steps ------------------------------------------------------------------------------------------

    pub(super) fn honest_steps(&self, state: &State) -> Vec<Step> {
        let mut steps = Vec::new();
        self.wallet_steps(state, &mut steps);
        let (merchant, bank) = (&state.merchant, &state.bank);
        if merchant.knows.is_none() && merchant.sells {
            if merchant.voucher > merchant.raised && !merchant.closing {
                steps.push(Step::RaiseSale);
            }
            if merchant.closing || merchant.voucher == self.ticks {
                steps.push(Step::Close);
            }
        }
        if merchant.knows.is_none() && state.wallet.phase != Phase::Start {
            steps.push(Step::AskSales);
        }
        if bank.applied.is_none() {
            let committed = matches!(merchant.knows, Some(Decision::Commit(..)));
            steps.extend(committed.then_some(Step::Claim));
            steps.extend(state.escrow.decided.map(|_| Step::Push));
        }
        if bank.coins == Coins::Held {
            steps.push(if state.late { Step::Chase } else { Step::Pass });
        }
        steps
    }

    /// The data of a live stream end at any time.
    pub(super) fn data_end(&self, state: &State) -> bool {
        let merchant = &state.merchant;
        merchant.serves() && merchant.voucher < self.ticks
    }

    pub(super) fn cheats(&self, state: &State) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.cheats_as(Party::Customer) {
            steps.extend([Step::CancelLate, Step::SpendElsewhere]);
            steps
                .extend((1..=self.ticks).flat_map(|ticks| [Step::SignAhead(ticks), Step::RaiseAhead(ticks)]));
        }
        if self.cheats_as(Party::Merchant) {
            let unsold = state.wallet.phase == Phase::Start && state.merchant == super::Merchant::default();
            if unsold {
                steps.extend([Step::SellOther, Step::SealWrong]);
            }
            if state.merchant.sells {
                steps.extend([Step::GiveAll, Step::CloseLow]);
            }
        }
        if self.cheats_as(Party::Third) {
            let unchecked = self.has(Defect::VoucherUnchecked);
            let shown = |ticks: &u8| unchecked || *ticks <= state.escrow.shown;
            let commits = (1..=self.ticks).filter(shown).flat_map(|ticks| {
                [
                    Decision::Commit(ticks, !state.merchant.wrong_seal),
                    Decision::Commit(ticks, false),
                ]
            });
            let abort = Decision::Abort(state.escrow.has_cause);
            steps.extend(commits.chain([abort]).map(Step::Decide));
            steps.push(Step::Leak);
        }
        if self.cheats_as(Party::Bank) && state.bank.coins == Coins::Held {
            steps.push(Step::TakeCoins);
        }
        steps
    }

    pub(super) fn step_of(&self, state: &mut State, step: Step, out: &mut Vec<Message>) {
        match step {
            Step::Open | Step::AskEscrow | Step::GiveUp | Step::Sign | Step::Stop => {
                self.wallet_takes(state, step, out);
            }
            Step::AskBank => out.push(Message::Collect),
            Step::Watch => out.push(Message::Watch),
            Step::Ask => out.push(Message::Voucher(state.wallet.signed)),
            Step::Raise => out.push(Message::Raise(Party::Customer, state.wallet.signed)),
            Step::AskStop => out.extend([Message::Watch, Message::Stop]),
            Step::AskOutcome => out.push(Message::Outcome),
            Step::BringAbort => out.push(Message::Bring(Party::Customer, Decision::Abort(true))),
            Step::RaiseSale => out.push(Message::Raise(Party::Merchant, state.merchant.voucher)),
            Step::Close => {
                state.merchant.closing = true;
                out.push(Message::Close(state.merchant.voucher));
            }
            Step::AskSales => out.push(Message::Sales),
            Step::Claim => {
                let knows = state.merchant.knows;
                out.extend(knows.map(|decision| Message::Bring(Party::Merchant, decision)));
            }
            Step::Push => {
                let decided = state.escrow.decided;
                out.extend(decided.map(|decision| Message::Bring(Party::Third, decision)));
            }
            Step::Pass => state.late = true,
            Step::Chase => out.push(Message::Overdue),
            Step::CancelLate => out.push(Message::Cancel),
            Step::SpendElsewhere => out.push(Message::Elsewhere),
            Step::SignAhead(ticks) => out.push(Message::Voucher(ticks)),
            Step::RaiseAhead(ticks) => out.push(Message::Raise(Party::Customer, ticks)),
            Step::SellOther => state.merchant.lies = true,
            Step::SealWrong => state.merchant.wrong_seal = true,
            Step::GiveAll => out.push(Message::Key(self.ticks)),
            Step::CloseLow => out.push(Message::Close(0)),
            Step::Decide(decision) => {
                // Customer and merchant ignore a wrong key and an abort without a cause, so they are not sent any.
                if matches!(decision, Decision::Commit(_, true) | Decision::Abort(true)) {
                    out.extend([Party::Customer, Party::Merchant].map(|to| Message::Told(to, decision)));
                }
                out.push(Message::Bring(Party::Third, decision));
            }
            Step::Leak => out.push(Message::Leak),
            Step::TakeCoins => state.bank.coins = Coins::Taken,
        }
    }

    fn wallet_takes(&self, state: &mut State, step: Step, out: &mut Vec<Message>) {
        let signs = self.may_sign(state);
        let wallet = &mut state.wallet;
        match step {
            Step::Open => {
                wallet.phase = Phase::Opening;
                out.push(Message::Open);
            }
            Step::AskEscrow => out.push(match wallet.phase {
                Phase::Opening => Message::Open,
                _ => Message::Cancel,
            }),
            Step::GiveUp => {
                (wallet.phase, wallet.gave_up) = (Phase::Cancelling, true);
                out.push(Message::Cancel);
            }
            Step::Sign => {
                wallet.signed = signs;
                out.push(Message::Voucher(signs));
            }
            Step::Stop => {
                (wallet.phase, wallet.gave_up) = (Phase::Stopping, true);
                out.extend([Message::Watch, Message::Stop]);
            }
            _ => {}
        }
    }
}
