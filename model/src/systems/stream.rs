//! Farthing's stream: three ticks, paid one by one from one hold.
//!
//! **Follows** the design: open, ticks (ciphertext, voucher, key), raise by either side, stop, close, the bank's overdue
//! question, and the settlement of as many ticks as were paid. A voucher pays for all ticks from the first on. Whoever ends
//! a stream, the escrow commits the highest voucher that it has stored or is shown.
//!
//! The merchant gives no key while more than [`Stream::unraised_max`] ticks are not acknowledged by the escrow. It keeps
//! vouchers in memory, and closes a stream after a crash.
//!
//! **Leaves out** the cryptography (a voucher is a message that only its signer sends, and the chain of keys is a number),
//! the time after which nobody pays (so nothing here relies on it), the relay, and what comes after: the exchange of
//! released coins and the withdrawal of the change. `farthing` has the exchange.
//!
//! There is one *sale* for what was paid in all, which a judge decides, and one for each tick.

mod defect;
mod network;
mod parties;
mod types;

pub use defect::Defect;
pub use types::{Bank, Coins, Decision, Escrow, Merchant, Message, Phase, State, Step, WINDOW, Wallet};

use crate::{
    facts::{Facts, Good, Holding, Paper, Party, Sale, Verdict},
    frame::{Protocol, Scenario},
    property::Property,
};
use std::collections::BTreeSet;

/// The system in a scenario, maybe with a planted defect.
#[derive(Debug, Clone)]
pub struct Stream {
    /// The scenario.
    pub scenario: Scenario,
    /// The ticks of the stream. Each costs 1.
    pub ticks: u8,
    /// The most paid ticks whose voucher the escrow has not acknowledged, and whose key the merchant gives.
    pub unraised_max: u8,
    /// The ticks that count as paid for beyond those that are. It shows that a merchant loses no more.
    pub forgiven: u8,
    /// A mistake in the protocol.
    pub defect: Option<Defect>,
}

/// Three ticks. Two if the escrow cheats, whose signatures make many states, and one if it does so with another.
const fn ticks(scenario: Scenario) -> u8 {
    let cheats = scenario.cheats;
    let with_another = cheats.has(Party::Customer) || cheats.has(Party::Merchant) || cheats.has(Party::Bank);
    match (cheats.has(Party::Third), with_another) {
        (false, _) => 3,
        (true, false) => 2,
        (true, true) => 1,
    }
}

impl Stream {
    /// The stream of a merchant that raises each voucher before it gives the key.
    #[must_use]
    pub const fn raised_first(scenario: Scenario) -> Stream {
        Stream {
            scenario,
            ticks: ticks(scenario),
            unraised_max: 0,
            forgiven: 0,
            defect: None,
        }
    }

    /// The stream of a merchant that gives the key of one tick before it raises the voucher.
    #[must_use]
    pub const fn raised_later(scenario: Scenario) -> Stream {
        Stream {
            unraised_max: 1,
            ..Stream::raised_first(scenario)
        }
    }

    fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }
}

impl Protocol for Stream {
    type State = State;
    type Message = Message;
    type Step = Step;

    fn scenario(&self) -> Scenario {
        self.scenario
    }

    fn name(&self, party: Party) -> Option<&'static str> {
        Some(match party {
            Party::Customer => "customer",
            Party::Merchant => "merchant",
            Party::Bank => "bank",
            Party::Third => "escrow",
        })
    }

    fn message(&self, message: Message) -> (Party, Party, &'static str) {
        defect::message_words(message)
    }

    fn step(&self, step: Step) -> (Party, &'static str) {
        defect::step_words(step)
    }

    fn receive(&self, state: &mut State, message: Message, out: &mut Vec<Message>) {
        match self.message(message).1 {
            Party::Customer => self.customer(state, message),
            Party::Merchant => self.merchant(state, message, out),
            Party::Bank => self.bank(state, message, out),
            Party::Third => self.escrow(state, message, out),
        }
    }

    fn steps(&self, state: &State) -> Vec<Step> {
        let mut steps = self.honest_steps(state);
        if self.data_end(state) {
            steps.push(Step::Close);
        }
        steps.extend(self.cheats(state));
        steps
    }

    fn take(&self, state: &mut State, step: Step, out: &mut Vec<Message>) {
        self.step_of(state, step, out);
    }

    fn crash(&self, state: &mut State, party: Party) {
        let State {
            wallet,
            merchant,
            escrow,
            ..
        } = state;
        match party {
            // It restarts with the stream that it has written down, and closes it.
            Party::Merchant if merchant.sells && merchant.knows.is_none() => {
                (merchant.voucher, merchant.raised, merchant.closing) = (0, 0, true);
            }
            Party::Customer if self.has(Defect::TickNotWritten) => wallet.held = wallet.held.min(wallet.key),
            Party::Third if self.has(Defect::RaisedBeforeWritten) && escrow.decided.is_none() => {
                escrow.stored = 0;
            }
            _ => {}
        }
    }

    fn recover(&self, state: &State) -> Vec<Step> {
        // What is decided must not wait for the deadline.
        let is_decided = state.escrow.decided.is_some();
        let mut steps = self.honest_steps(state);
        steps.retain(|step| !(is_decided && *step == Step::Pass));
        steps
    }

    fn facts(&self, state: &State) -> Facts {
        let good = match state.merchant.lies {
            true => Good::Other,
            false => Good::AsDescribed,
        };
        let decided = match state.wallet.phase {
            Phase::Decided(decision) => Some(decision),
            _ => None,
        };
        let mut customer_papers = papers(decided);
        if state.wallet.held > 0 {
            customer_papers.insert(Paper::Encrypted(good));
        }
        let (customer, merchant) = (self.at_hand(state), state.bank.credited);
        let holding = |(of, before, now): (Party, u8, u8)| Holding {
            of,
            before: before.cast_signed(),
            now: now.cast_signed(),
        };
        let all = [
            (Party::Customer, self.ticks, customer),
            (Party::Merchant, 0, merchant),
        ];
        Facts {
            money: all.map(holding).to_vec(),
            agreed: state.wallet.signed.cast_signed(),
            sales: self.sales(state, good),
            customer_papers,
            // It keeps no ciphertext that is paid for.
            merchant_papers: papers(state.merchant.knows),
            exposed: None,
            open: self.waits(state),
        }
    }

    fn judge(&self, papers: &BTreeSet<Paper>) -> Verdict {
        let receipt = [true, false]
            .into_iter()
            .find(|key| papers.contains(&Paper::Receipt(*key)));
        match (receipt, papers.contains(&Paper::Abort)) {
            // Both were signed: this convicts the escrow, and says nothing about the ticks.
            (Some(_), true) => Verdict::Undecided,
            // The voucher says that the customer holds the ciphertexts. So it is for them to show a bad one.
            (Some(true), false) if papers.contains(&Paper::Encrypted(Good::Other)) => {
                Verdict::Delivered(Good::Other)
            }
            (Some(true), false) => Verdict::Delivered(Good::AsDescribed),
            // The key in the receipt is not the offer's.
            (Some(false), false) => Verdict::NotDelivered,
            (None, true) => Verdict::NoSale,
            (None, false) => Verdict::Undecided,
        }
    }

    fn is_over(&self, state: &State, message: Message) -> bool {
        self.has_done(state, message)
    }

    fn not_applicable(&self, property: Property) -> Option<&'static str> {
        match property {
            Property::Anonymity => Some(
                "a stream is one purchase; its released coins are exchanged as those of a sealed purchase",
            ),
            _ => None,
        }
    }
}

impl Stream {
    /// What was paid in all, and each tick.
    fn sales(&self, state: &State, good: Good) -> Vec<Sale> {
        let State {
            wallet, bank, escrow, ..
        } = state;
        let spent = self.ticks.saturating_sub(self.at_hand(state));
        let readable = wallet.key.min(wallet.held);
        let published = [escrow.decided, bank.applied]
            .iter()
            .any(|decision| matches!(decision, Some(Decision::Commit(_, true))));
        let all = (readable >= spent && spent > 0).then_some(good);
        let mut sales = vec![Sale {
            given: spent > 0,
            received: bank.credited > 0,
            readable: all,
            offered: published.then_some(good).or(all),
        }];
        sales.extend((1..=self.ticks).map(|tick| {
            let readable = (readable >= tick).then_some(good);
            Sale {
                given: spent >= tick,
                received: bank.credited.saturating_add(self.forgiven) >= tick,
                readable,
                offered: readable,
            }
        }));
        sales
    }

    /// The customer's money: coins that they can use, or the change.
    fn at_hand(&self, state: &State) -> u8 {
        match state.bank.coins {
            Coins::Free | Coins::Held | Coins::Released | Coins::Elsewhere => self.ticks,
            Coins::Spent => state.bank.change,
            Coins::Taken => 0,
        }
    }

    fn waits(&self, state: &State) -> Vec<(Party, &'static str)> {
        let mut open = Vec::new();
        let State { wallet, merchant, .. } = state;
        let is_early = match wallet.phase {
            Phase::Start => false,
            Phase::Decided(Decision::Commit(ticks, _)) => ticks < self.ticks,
            Phase::Decided(Decision::Abort(_)) => true,
            Phase::Opening | Phase::Cancelling | Phase::Streaming | Phase::Stopping => {
                open.push((
                    Party::Customer,
                    "the stream has not ended, and its coins are neither paid nor back",
                ));
                false
            }
        };
        let may_close = merchant.closing || self.cheats_as(Party::Merchant);
        if is_early && !wallet.gave_up && !may_close && !state.late && !merchant.wrong_seal {
            open.push((
                Party::Customer,
                "the stream ended early, and nobody had given it up",
            ));
        }
        if state.bank.coins == Coins::Held {
            open.push((Party::Bank, "the coins are held, and no decision comes"));
        }
        if merchant.sells && merchant.knows.is_none() {
            open.push((
                Party::Merchant,
                "the merchant has sold ticks, and knows no outcome",
            ));
        }
        open
    }
}

fn papers(decision: Option<Decision>) -> BTreeSet<Paper> {
    let decided = decision.map(|decision| match decision {
        Decision::Commit(_, key) => Paper::Receipt(key),
        Decision::Abort(_) => Paper::Abort,
    });
    [Paper::Contract].into_iter().chain(decided).collect()
}
