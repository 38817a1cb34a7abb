//! What each party does.

use super::{Coin, Decision, Defect, Farthing, Message, Offer, Phase, State, Step};
use crate::facts::Party;

/// The most denied exchanges of a coin.
const SESSIONS_MAX: u8 = 2;

impl Farthing {
    fn sealed(&self) -> bool {
        self.offer == Offer::Sealed
    }

    // ---- the wallet -------------------------------------------------------------------------------------

    pub(super) fn customer(&self, state: &mut State, message: Message, _out: &mut Vec<Message>) {
        let wallet = &mut state.wallet;
        if wallet.forgotten {
            return;
        }
        match message {
            Message::Held if wallet.phase == Phase::Holding => wallet.phase = Phase::Held,
            Message::Refused if wallet.phase == Phase::Holding => wallet.phase = Phase::Cancelling,
            Message::Receipt(true) => self.told(state, Decision::Commit(true)),
            // A wrong key and an abort without its cause convict the escrow. What the bank applies counts.
            Message::ToCustomer(Decision::Commit(false) | Decision::Abort(false)) => {}
            Message::ToCustomer(decision) => self.told(state, decision),
            Message::Collected(decision @ Decision::Commit(_)) => {
                wallet.phase = Phase::Decided(decision);
            }
            Message::Collected(decision) => self.told(state, decision),
            Message::DeniedSpent(key) => {
                wallet.phase = Phase::Decided(Decision::Commit(key));
                wallet.exchanging = false;
            }
            Message::DeniedHeld(_) if self.has(Defect::DenialTakenForRecovery) => {
                wallet.phase = Phase::Recovered
            }
            Message::DeniedHeld(next) if next > wallet.session => {
                wallet.exchanging = false;
                wallet.session = next;
            }
            Message::SessionGone(open) => wallet.session = wallet.session.max(open),
            Message::Exchanged(second) => {
                wallet.exchanging = false;
                match second {
                    true => wallet.fresh_twice = true,
                    false => wallet.fresh = true,
                }
                if !matches!(wallet.phase, Phase::Decided(_)) {
                    wallet.phase = Phase::Recovered;
                }
            }
            Message::Leak => wallet.leaked = self.scenario.cheats.has(Party::Customer),
            _ => {}
        }
    }

    /// The wallet gets a decision. The first that it takes ends the purchase.
    fn told(&self, state: &mut State, decision: Decision) {
        let wallet = &mut state.wallet;
        if matches!(wallet.phase, Phase::Holding | Phase::Held | Phase::Cancelling) {
            wallet.phase = Phase::Decided(decision);
        }
        if self.has(Defect::ReleasedCoinsReused) && wallet.phase == Phase::Decided(Decision::Abort(true)) {
            wallet.reused = true;
        }
    }

    fn wallet_steps(&self, state: &State, steps: &mut Vec<Step>) {
        let wallet = &state.wallet;
        if wallet.forgotten {
            return;
        }
        match wallet.phase {
            Phase::Start => steps.push(Step::Buy),
            Phase::Holding => steps.extend([Step::AskEscrow, Step::AskBank, Step::GiveUp]),
            Phase::Held => {
                steps.extend([Step::AskMerchant, Step::AskOutcome, Step::AskBank, Step::GiveUp]);
            }
            Phase::Cancelling => steps.extend([Step::AskEscrow, Step::AskBank, Step::Exchange]),
            Phase::Decided(Decision::Abort(_)) if !wallet.fresh && !wallet.reused => {
                steps.extend([Step::BringAbort, Step::Exchange]);
            }
            Phase::Decided(_) if wallet.exchanging => steps.push(Step::Exchange),
            Phase::Decided(_) | Phase::Recovered => {}
        }
    }

    // ---- the merchant -----------------------------------------------------------------------------------

    pub(super) fn merchant(&self, state: &mut State, message: Message, out: &mut Vec<Message>) {
        let merchant = &mut state.merchant;
        match message {
            Message::Deliver => match merchant.knows {
                Some(Decision::Commit(key)) => out.push(Message::Receipt(key)),
                Some(Decision::Abort(_)) => {}
                None => {
                    merchant.releasing = !self.has(Defect::SaleLeftOpen);
                    out.push(Message::Release(true));
                }
            },
            // A receipt with a wrong key is refused: it convicts the escrow.
            Message::ToMerchant(Decision::Commit(false)) => {}
            Message::ToMerchant(decision) => {
                let knows = *merchant.knows.get_or_insert(decision);
                if let (Decision::Commit(key), false) = (knows, self.sealed()) {
                    out.push(Message::Receipt(key));
                }
            }
            _ => {}
        }
    }

    // ---- the bank ---------------------------------------------------------------------------------------

    pub(super) fn bank(&self, state: &mut State, message: Message, out: &mut Vec<Message>) {
        match message {
            Message::BankHold => self.hold(state, out),
            Message::Settle(decision) => self.settle(state, decision, true, out),
            Message::Claim(decision) | Message::Return(decision) => self.settle(state, decision, false, out),
            // If it knows of no decision, its answer changes nothing.
            Message::Collect => out.extend(state.bank.applied.map(Message::Collected)),
            Message::Exchange(session) => self.exchange(state, session, out),
            _ => {}
        }
    }

    fn hold(&self, state: &mut State, out: &mut Vec<Message>) {
        let bank = &mut state.bank;
        let aborted = matches!(bank.applied, Some(Decision::Abort(_)));
        let ended = bank.applied.is_some() && !(aborted && self.has(Defect::HoldAfterAbort));
        let repeated = bank.coin == Coin::Held && !self.has(Defect::HoldNotRepeated);
        let free = bank.coin == Coin::Free || self.has(Defect::CoinStateUnchecked);
        if ended || !(free || repeated) {
            out.push(Message::BankRefuses);
            return;
        }
        if bank.coin == Coin::Exchanged {
            // The coin has been paid out once already.
            bank.kept -= 1;
        }
        bank.coin = Coin::Held;
        out.push(Message::BankHeld);
    }

    fn settle(&self, state: &mut State, decision: Decision, by_escrow: bool, out: &mut Vec<Message>) {
        let bank = &mut state.bank;
        // The escrow's own acknowledgement changes nothing here: it pushes again without harm.
        let answer = |applied: Decision| (!by_escrow).then_some(Message::Collected(applied));
        if let Some(applied) = bank.applied {
            if self.has(Defect::CreditedTwice) && applied == decision && bank.credited == 1 {
                bank.credited = 2;
            }
            // The contrary decision is kept as evidence. The first one stays.
            out.extend(answer(applied));
            return;
        }
        match (decision, bank.coin) {
            (Decision::Commit(_), Coin::Held) => {
                bank.coin = Coin::Spent;
                bank.credited += 1;
            }
            (Decision::Commit(_), _) => return,
            // The bank releases a held coin only with a cause.
            (Decision::Abort(false), Coin::Held) => return,
            (Decision::Abort(true), Coin::Held) if !self.has(Defect::ReleasedStillHeld) => {
                bank.coin = Coin::Released;
            }
            (Decision::Abort(_), _) => {}
        }
        bank.applied = Some(decision);
        out.extend(answer(decision));
    }

    fn exchange(&self, state: &mut State, session: u8, out: &mut Vec<Message>) {
        let bank = &mut state.bank;
        if session < bank.session && matches!(bank.coin, Coin::Free | Coin::Released | Coin::Held) {
            out.push(Message::SessionGone(bank.session));
            return;
        }
        out.push(match bank.coin {
            Coin::Free | Coin::Released => {
                bank.coin = Coin::Exchanged;
                bank.exchanges = 1;
                Message::Exchanged(false)
            }
            Coin::Exchanged if self.has(Defect::ExchangeNotRepeated) && bank.exchanges == 1 => {
                bank.exchanges = 2;
                Message::Exchanged(true)
            }
            Coin::Exchanged => Message::Exchanged(false),
            // Beyond the bound it is as if the request were lost.
            Coin::Held if bank.session == SESSIONS_MAX => return,
            Coin::Held => {
                bank.session += 1;
                Message::DeniedHeld(bank.session)
            }
            Coin::Spent => match bank.applied {
                Some(Decision::Commit(key)) => Message::DeniedSpent(key),
                // A bank that has taken the coin has no commit to show.
                _ => return,
            },
        });
    }

    // ---- the escrow -------------------------------------------------------------------------------------

    pub(super) fn escrow(&self, state: &mut State, message: Message, out: &mut Vec<Message>) {
        match message {
            Message::Hold => match (state.escrow.decided, self.sealed()) {
                (Some(decision), true) => out.push(Message::ToCustomer(decision)),
                (Some(_), false) => out.push(Message::Refused),
                (None, _) if state.late => out.push(Message::Refused),
                (None, _) => out.push(Message::BankHold),
            },
            Message::BankHeld if self.sealed() => {
                let right = !state.merchant.wrong_seal || self.has(Defect::SealedKeyUnchecked);
                state.escrow.has_key = self.scenario.cheats.has(Party::Third);
                let decision = match right {
                    true => Decision::Commit(!state.merchant.wrong_seal),
                    false => Decision::Abort(true),
                };
                self.decide(state, decision, Message::ToCustomer, out);
            }
            Message::BankHeld => out.push(Message::Held),
            Message::BankRefuses if self.sealed() && self.has(Defect::RefusalTakenForHold) => {
                self.decide(state, Decision::Commit(true), Message::ToCustomer, out);
            }
            Message::BankRefuses => out.push(Message::Refused),
            Message::Release(key) => self.release(state, key, out),
            Message::Cancel => {
                state.escrow.has_cause = self.scenario.cheats.has(Party::Third);
                if self.has(Defect::CancelAfterCommit) {
                    state.escrow.decided = None;
                }
                self.decide(state, Decision::Abort(true), Message::ToCustomer, out);
            }
            Message::Outcome => out.extend(state.escrow.decided.map(Message::ToCustomer)),
            Message::Overdue if state.late => {
                state.escrow.has_cause = self.scenario.cheats.has(Party::Third);
                self.decide(state, Decision::Abort(true), Message::Settle, out);
            }
            Message::Sales => {
                let listed = !self.has(Defect::SealedSaleUnlisted);
                out.extend(state.escrow.decided.filter(|_| listed).map(Message::ToMerchant));
            }
            _ => {}
        }
    }

    fn release(&self, state: &mut State, key: bool, out: &mut Vec<Message>) {
        if !key && !self.has(Defect::GoodsKeyUnchecked) {
            return;
        }
        state.escrow.has_key |= key && self.scenario.cheats.has(Party::Third);
        let aborted = matches!(state.escrow.decided, Some(Decision::Abort(_)));
        if aborted && self.has(Defect::CommitAfterAbort) {
            state.escrow.decided = None;
        }
        let decision = if state.late {
            Decision::Abort(true)
        } else {
            Decision::Commit(key)
        };
        if state.late && state.escrow.decided.is_none() {
            // Too late: refused. The bank asks about the hold.
            return;
        }
        self.decide(state, decision, Message::ToMerchant, out);
    }

    /// Decides, unless it is decided, and answers with the decision.
    fn decide(
        &self,
        state: &mut State,
        decision: Decision,
        answer: impl Fn(Decision) -> Message,
        out: &mut Vec<Message>,
    ) {
        let escrow = &mut state.escrow;
        let decided = *escrow.decided.get_or_insert(decision);
        out.push(answer(decided));
        out.push(Message::Settle(decided));
    }

    // ---- steps ------------------------------------------------------------------------------------------

    pub(super) fn honest_steps(&self, state: &State) -> Vec<Step> {
        let mut steps = Vec::new();
        self.wallet_steps(state, &mut steps);
        let (merchant, bank) = (&state.merchant, &state.bank);
        let committed = matches!(merchant.knows, Some(Decision::Commit(_)));
        if merchant.knows.is_none()
            && (merchant.releasing || (self.sealed() && state.wallet.phase != Phase::Start))
        {
            steps.push(Step::AskAgain);
        }
        if committed && bank.applied.is_none() {
            steps.push(Step::Claim);
        }
        let is_noted = !self.has(Defect::OutboxNotWritten);
        if state.escrow.decided.is_some() && state.bank.applied.is_none() && is_noted {
            steps.push(Step::Push);
        }
        if bank.coin == Coin::Held && !self.has(Defect::OverdueNotChased) {
            steps.push(if state.late { Step::Chase } else { Step::Pass });
        }
        steps
    }

    pub(super) fn cheats(&self, state: &State) -> Vec<Step> {
        let cheats = |party| self.scenario.cheats.has(party);
        let mut steps = Vec::new();
        if cheats(Party::Customer) {
            steps.extend([Step::SpendTwice, Step::GiveUp]);
            if self.has(Defect::DecisionUnsigned) {
                steps.push(Step::ForgeAbort);
            }
        }
        let unsold = state.wallet.phase == Phase::Start && state.merchant == super::Merchant::default();
        if cheats(Party::Merchant) && unsold {
            steps.extend([Step::SellOther, Step::ServeGarbage]);
            if self.sealed() {
                steps.push(Step::SealWrong);
            }
        }
        if cheats(Party::Merchant) && state.merchant.releasing {
            steps.push(Step::ReleaseWrong);
        }
        if cheats(Party::Third) {
            let key = state.escrow.has_key || self.sealed();
            let commit = Decision::Commit(key);
            steps.extend(
                [
                    commit,
                    Decision::Commit(false),
                    Decision::Abort(state.escrow.has_cause),
                ]
                .map(Step::Sign),
            );
            if key {
                steps.push(Step::Leak);
            }
        }
        if cheats(Party::Bank) && state.bank.coin == Coin::Held {
            steps.push(Step::TakeCoin);
        }
        steps
    }

    pub(super) fn step_of(&self, state: &mut State, step: Step, out: &mut Vec<Message>) {
        let wallet = &mut state.wallet;
        match step {
            Step::Buy => {
                wallet.phase = Phase::Holding;
                out.push(Message::Hold);
            }
            Step::AskEscrow => out.push(match wallet.phase {
                Phase::Holding => Message::Hold,
                _ => Message::Cancel,
            }),
            Step::AskMerchant => out.push(Message::Deliver),
            Step::AskOutcome => out.push(Message::Outcome),
            Step::AskBank => out.push(Message::Collect),
            Step::GiveUp => {
                if matches!(wallet.phase, Phase::Holding | Phase::Held) {
                    wallet.phase = Phase::Cancelling;
                    wallet.gave_up = true;
                }
                out.push(Message::Cancel);
            }
            Step::BringAbort => out.push(Message::Return(Decision::Abort(true))),
            Step::Exchange | Step::SpendTwice => {
                wallet.exchanging = !wallet.fresh;
                out.push(Message::Exchange(wallet.session));
            }
            Step::AskAgain => out.push(match self.sealed() {
                true => Message::Sales,
                false => Message::Release(true),
            }),
            Step::Claim => out.extend(state.merchant.knows.map(Message::Claim)),
            Step::Push => out.extend(state.escrow.decided.map(Message::Settle)),
            Step::Pass => state.late = true,
            Step::Chase => out.push(Message::Overdue),
            Step::ForgeAbort => out.push(Message::Return(Decision::Abort(true))),
            Step::SellOther => state.merchant.lies = true,
            // An honest wallet checks the digest before it pays, and does not buy.
            Step::ServeGarbage if self.has(Defect::GoodsUnchecked) => wallet.garbage = true,
            Step::ServeGarbage => {}
            Step::SealWrong => state.merchant.wrong_seal = true,
            Step::ReleaseWrong => out.push(Message::Release(false)),
            Step::Sign(decision) => {
                // Customer and merchant ignore a wrong key and an abort without a cause, so they are not sent any.
                if matches!(decision, Decision::Commit(true) | Decision::Abort(true)) {
                    out.extend([Message::ToCustomer(decision), Message::ToMerchant(decision)]);
                }
                out.push(Message::Settle(decision));
            }
            Step::Leak => out.push(Message::Leak),
            Step::TakeCoin => {
                state.bank.coin = Coin::Spent;
                state.bank.kept += 1;
            }
        }
    }
}
