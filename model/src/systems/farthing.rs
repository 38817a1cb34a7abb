//! Farthing's purchase, released or on a sealed offer: the abstract protocol.
//!
//! **Follows** `docs/PROTOCOL.md`: hold, deliver, release, receipt; or pay on a sealed offer. Besides: cancel, outcome,
//! collect, the escrow's settlement with the bank, the merchant's repeated release or question for its sealed sales, the
//! overdue question of the bank, and the exchange of coins that come back, with or without the escrow.
//!
//! **Leaves out** the cryptography (a signature is a message that only its signer sends), change and several coins, the
//! fetching of the goods (the encrypted goods are there, and their digest is checked), the expiry of coins, restores,
//! and older copies of journals. `stream` and `payment` have streams and deposits.
//!
//! The bank and the escrow write a row and then answer, in one step here. That no answer leaves before its row is durable
//! is what `docs/TESTING.md` tests; [`Defect::SentBeforeWritten`] breaks it here for the wallet.

mod defect;
mod parties;
mod types;

pub use defect::Defect;
pub use types::{Bank, Coin, Decision, Escrow, Merchant, Message, Offer, Phase, State, Step, Wallet};

use super::purse_and_till;
use crate::{
    facts::{Facts, Good, Holding, Paper, Party, Sale, Verdict},
    frame::{Protocol, Scenario},
};
use std::collections::BTreeSet;

/// The system: a scenario, an offer, and maybe a planted defect.
#[derive(Debug, Clone)]
pub struct Farthing {
    /// The scenario.
    pub scenario: Scenario,
    /// The offer.
    pub offer: Offer,
    /// A mistake in the protocol.
    pub defect: Option<Defect>,
}

impl Protocol for Farthing {
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
        defect::message_words(message, self.offer)
    }

    fn step(&self, step: Step) -> (Party, &'static str) {
        defect::step_words(step)
    }

    fn receive(&self, state: &mut State, message: Message, out: &mut Vec<Message>) {
        match self.message(message).1 {
            Party::Customer => self.customer(state, message, out),
            Party::Merchant => self.merchant(state, message, out),
            Party::Bank => self.bank(state, message, out),
            Party::Third => self.escrow(state, message, out),
        }
    }

    fn steps(&self, state: &State) -> Vec<Step> {
        let mut steps = self.honest_steps(state);
        steps.extend(self.cheats(state));
        steps
    }

    fn take(&self, state: &mut State, step: Step, out: &mut Vec<Message>) {
        self.step_of(state, step, out);
    }

    fn crash(&self, state: &mut State, party: Party) {
        // Everything is written before it is sent. With the defect the wallet has sent its hold before that.
        let forgets = self.has(Defect::SentBeforeWritten) && state.wallet.phase == Phase::Holding;
        if party == Party::Customer && forgets {
            state.wallet.forgotten = true;
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
        self.count(state)
    }

    fn judge(&self, papers: &BTreeSet<Paper>) -> Verdict {
        let shown = |good: Good| papers.contains(&Paper::Encrypted(good)).then_some(good);
        let goods = shown(Good::AsDescribed).or_else(|| shown(Good::Other));
        let receipt = [true, false]
            .into_iter()
            .find(|key| papers.contains(&Paper::Receipt(*key)));
        match (receipt, papers.contains(&Paper::Abort), goods) {
            // Both were signed: this convicts the escrow, and says nothing about the goods.
            (Some(_), true, _) => Verdict::Undecided,
            (Some(true), false, Some(good)) => Verdict::Delivered(good),
            (Some(true), false, None) => Verdict::Undecided,
            // The key in the receipt is not the offer's.
            (Some(false), false, _) => Verdict::NotDelivered,
            (None, true, _) => Verdict::NoSale,
            (None, false, _) => Verdict::Undecided,
        }
    }
}

impl Farthing {
    fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    fn count(&self, state: &State) -> Facts {
        let State {
            wallet,
            merchant,
            bank,
            ..
        } = state;
        let spent = bank.coin == Coin::Spent;
        // A coin is its owner's while they can use it: fresh, never used, or held and not forgotten.
        let at_hand = matches!(bank.coin, Coin::Free | Coin::Held | Coin::Released) && !wallet.forgotten;
        let customer = i8::from(at_hand) + i8::from(wallet.fresh) + i8::from(wallet.fresh_twice);
        let key = match wallet.phase {
            Phase::Decided(Decision::Commit(key)) => key && !wallet.garbage,
            _ => false,
        };
        let good = if merchant.lies {
            Good::Other
        } else {
            Good::AsDescribed
        };
        let readable = (key || wallet.leaked).then_some(good);
        let published = [state.escrow.decided, bank.applied].contains(&Some(Decision::Commit(true)));
        let offered = (published && !wallet.garbage).then_some(good);
        let mut money = purse_and_till(customer, bank.credited);
        money.push(Holding {
            of: Party::Bank,
            before: 0,
            now: bank.kept,
        });
        Facts {
            money,
            agreed: i8::from(wallet.phase != Phase::Start),
            sales: vec![Sale {
                given: spent,
                received: bank.credited > 0,
                readable,
                offered: offered.or(readable),
            }],
            customer_papers: self.papers(
                match wallet.phase {
                    Phase::Decided(decision) => Some(decision),
                    _ => None,
                },
                good,
            ),
            merchant_papers: self.papers(merchant.knows, good),
            exposed: wallet
                .reused
                .then_some("the coin of the aborted purchase pays another one, so the bank joins the two"),
            open: self.waits(state),
        }
    }

    fn papers(&self, decision: Option<Decision>, good: Good) -> BTreeSet<Paper> {
        let decided = decision.map(|decision| match decision {
            Decision::Commit(key) => Paper::Receipt(key),
            Decision::Abort(_) => Paper::Abort,
        });
        [Paper::Contract, Paper::Encrypted(good)]
            .into_iter()
            .chain(decided)
            .collect()
    }

    fn waits(&self, state: &State) -> Vec<(Party, &'static str)> {
        let mut open = Vec::new();
        let wallet = &state.wallet;
        let ended = match wallet.phase {
            Phase::Start | Phase::Recovered => true,
            Phase::Decided(Decision::Commit(_)) => true,
            Phase::Decided(Decision::Abort(_)) => wallet.fresh || wallet.reused,
            Phase::Holding | Phase::Held | Phase::Cancelling => wallet.forgotten,
        };
        if !ended {
            open.push((
                Party::Customer,
                "the purchase has not ended, and its coin is neither paid nor back",
            ));
        }
        let is_aborted = matches!(wallet.phase, Phase::Decided(Decision::Abort(_)));
        if is_aborted && !wallet.gave_up && !state.late && !state.merchant.wrong_seal {
            open.push((
                Party::Customer,
                "the purchase was refused, and nobody had given it up",
            ));
        }
        if state.bank.coin == Coin::Held {
            open.push((Party::Bank, "the coin is held, and no decision comes"));
        }
        if state.merchant.releasing && state.merchant.knows.is_none() {
            open.push((
                Party::Merchant,
                "the merchant has released the key, and knows no outcome",
            ));
        }
        open
    }
}
