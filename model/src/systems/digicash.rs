//! Anonymous cash as DigiCash had it: every coin is checked online.
//!
//! **Follows** Tygar (1996) and the public descriptions of ecash (DigiCash, 1994 to 1998): the customer sends coins to the
//! merchant; the merchant deposits them at once; the bank checks that they are new, credits the merchant and says so; the
//! merchant sends the goods. A customer in doubt may cancel: they deposit the coins into their own account.
//!
//! **Leaves out** withdrawal, change, and the order before the payment. The customer does not send a payment again: a
//! merchant could not tell it from a second one.

use super::{purse_and_till, two_and_a};
use crate::{
    facts::{Facts, Party, Sale},
    frame::{Protocol, Scenario},
};

/// The system in a scenario.
#[derive(Debug, Clone)]
pub struct DigiCash(pub Scenario);

/// Who has brought the coin to the bank first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Depositor {
    /// The merchant was credited.
    Merchant,
    /// The customer was credited.
    Customer,
}

/// The parties.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct State {
    spent: bool,
    has_goods: bool,
    /// The customer has shown the coin with their account.
    cancelled: bool,
    /// In the merchant's memory only.
    accepted: bool,
    /// The merchant knows that the coin was good.
    credited: bool,
    shipped: bool,
    bank: Option<Depositor>,
}

/// Messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Message {
    /// The coin.
    Pay,
    /// The merchant deposits it.
    Deposit,
    /// The bank has credited the merchant.
    Good,
    /// The goods.
    Goods,
    /// The customer deposits the coin.
    Cancel,
}

/// Steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The customer pays.
    Pay,
    /// The customer deposits the coin into their own account.
    Cancel,
    /// The merchant deposits the coin, or asks again.
    Deposit,
    /// The merchant sends the goods.
    Ship,
}

impl Protocol for DigiCash {
    type State = State;
    type Message = Message;
    type Step = Step;

    fn scenario(&self) -> Scenario {
        self.0
    }

    fn name(&self, party: Party) -> Option<&'static str> {
        two_and_a(party, "bank")
    }

    fn message(&self, message: Message) -> (Party, Party, &'static str) {
        match message {
            Message::Pay => (Party::Customer, Party::Merchant, "coin"),
            Message::Deposit => (Party::Merchant, Party::Bank, "deposit the coin"),
            Message::Good => (Party::Bank, Party::Merchant, "it is new, credited"),
            Message::Goods => (Party::Merchant, Party::Customer, "goods"),
            Message::Cancel => (Party::Customer, Party::Bank, "coin, to my account"),
        }
    }

    fn receive(&self, state: &mut State, message: Message, out: &mut Vec<Message>) {
        match message {
            Message::Pay => {
                state.accepted = true;
                out.push(Message::Deposit);
            }
            Message::Deposit => {
                if *state.bank.get_or_insert(Depositor::Merchant) == Depositor::Merchant {
                    out.push(Message::Good);
                }
            }
            Message::Good => state.credited = true,
            Message::Goods => state.has_goods = true,
            Message::Cancel => {
                state.cancelled = true;
                state.bank.get_or_insert(Depositor::Customer);
            }
        }
    }

    fn steps(&self, state: &State) -> Vec<Step> {
        let mut steps = self.recover(state);
        let lies = self.0.cheats.has(Party::Customer);
        if state.spent && (!state.has_goods || lies) {
            steps.push(Step::Cancel);
        }
        steps
    }

    fn step(&self, step: Step) -> (Party, &'static str) {
        match step {
            Step::Pay => (Party::Customer, "pays"),
            Step::Cancel => (Party::Customer, "cancels: deposits the coin"),
            Step::Deposit => (Party::Merchant, "deposits the coin"),
            Step::Ship => (Party::Merchant, "sends the goods"),
        }
    }

    fn take(&self, state: &mut State, step: Step, out: &mut Vec<Message>) {
        match step {
            Step::Pay => {
                state.spent = true;
                out.push(Message::Pay);
            }
            Step::Cancel => out.push(Message::Cancel),
            Step::Deposit => out.push(Message::Deposit),
            Step::Ship => {
                state.shipped = true;
                out.push(Message::Goods);
            }
        }
    }

    fn crash(&self, state: &mut State, party: Party) {
        if party == Party::Merchant {
            state.accepted = false;
        }
    }

    fn recover(&self, state: &State) -> Vec<Step> {
        let mut steps = Vec::new();
        if !state.spent {
            steps.push(Step::Pay);
        }
        if state.accepted && !state.credited {
            steps.push(Step::Deposit);
        }
        if state.credited && !state.shipped {
            steps.push(Step::Ship);
        }
        steps
    }

    fn facts(&self, state: &State) -> Facts {
        let kept = !state.spent || state.bank == Some(Depositor::Customer);
        let paid = state.bank == Some(Depositor::Merchant);
        let in_doubt = state.spent && !state.has_goods && !state.cancelled;
        Facts {
            money: purse_and_till(kept.into(), paid.into()),
            agreed: 1,
            sales: vec![Sale::direct(!kept, paid, state.has_goods)],
            exposed: state.cancelled.then_some(
                "the customer shows the coin with their account, and the merchant may have shown it too",
            ),
            open: in_doubt
                .then_some((
                    Party::Customer,
                    "the customer does not know whether the coin was spent",
                ))
                .into_iter()
                .collect(),
            ..Facts::default()
        }
    }
}
