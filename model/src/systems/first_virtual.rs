//! First Virtual: goods first, then a question by e-mail.
//!
//! **Follows** Tygar (1996) and First Virtual's own description (Borenstein and others, *Perils and Pitfalls of Practical
//! Cybercommerce*, 1996): the customer sends an account id; the merchant sends the goods freely and reports the sale; the
//! server asks the customer by e-mail; on *yes* it charges the card and pays the merchant, on *no* it does not.
//!
//! **Leaves out** the answer *fraud* (it acts as *no*), the closing of accounts that refuse too often, the 91 days until
//! the merchant is paid, and charges that are taken back.

use super::{purse_and_till, two_and_a};
use crate::{
    facts::{Facts, Party, Sale},
    frame::{Protocol, Scenario},
};

/// The system in a scenario.
#[derive(Debug, Clone)]
pub struct FirstVirtual(pub Scenario);

/// The parties.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct State {
    ordered: bool,
    has_goods: bool,
    /// What the customer answers to the question.
    answer: Option<bool>,
    shipped: bool,
    /// The merchant knows how it ended.
    told: bool,
    reported: bool,
    charged: Option<bool>,
}

/// Messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Message {
    /// The account id and the order.
    Order,
    /// The goods.
    Goods,
    /// The merchant reports the sale.
    Report,
    /// The question by e-mail.
    Ask,
    /// The customer's answer.
    Answer(bool),
    /// The server tells the merchant.
    Result(bool),
}

/// Steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The customer orders.
    Order,
    /// The customer makes up their mind to answer *no*, which the rules allow for any reason.
    MindsNo,
    /// The merchant sends the goods again, or reports again.
    Report,
    /// The server asks again.
    Ask,
}

impl Protocol for FirstVirtual {
    type State = State;
    type Message = Message;
    type Step = Step;

    fn scenario(&self) -> Scenario {
        self.0
    }

    fn name(&self, party: Party) -> Option<&'static str> {
        two_and_a(party, "First Virtual")
    }

    fn message(&self, message: Message) -> (Party, Party, &'static str) {
        match message {
            Message::Order => (Party::Customer, Party::Merchant, "account id, order"),
            Message::Goods => (Party::Merchant, Party::Customer, "goods"),
            Message::Report => (Party::Merchant, Party::Bank, "sale to this account id"),
            Message::Ask => (Party::Bank, Party::Customer, "did you buy it?"),
            Message::Answer(true) => (Party::Customer, Party::Bank, "yes"),
            Message::Answer(false) => (Party::Customer, Party::Bank, "no"),
            Message::Result(true) => (Party::Bank, Party::Merchant, "charged"),
            Message::Result(false) => (Party::Bank, Party::Merchant, "not charged"),
        }
    }

    fn receive(&self, state: &mut State, message: Message, out: &mut Vec<Message>) {
        match message {
            Message::Order => {
                state.shipped = true;
                out.extend([Message::Goods, Message::Report]);
            }
            Message::Goods => state.has_goods = true,
            Message::Report => {
                state.reported = true;
                out.push(match state.charged {
                    Some(charged) => Message::Result(charged),
                    None => Message::Ask,
                });
            }
            // A customer without the goods answers no.
            Message::Ask => {
                let answer = *state.answer.get_or_insert(state.has_goods);
                out.push(Message::Answer(answer));
            }
            Message::Answer(yes) => {
                let charged = *state.charged.get_or_insert(yes);
                out.push(Message::Result(charged));
            }
            Message::Result(_) => state.told = true,
        }
    }

    fn steps(&self, state: &State) -> Vec<Step> {
        let mut steps = self.recover(state);
        if state.answer.is_none() {
            steps.push(Step::MindsNo);
        }
        steps
    }

    fn step(&self, step: Step) -> (Party, &'static str) {
        match step {
            Step::Order => (Party::Customer, "orders"),
            Step::MindsNo => (Party::Customer, "does not want to pay for it"),
            Step::Report => (Party::Merchant, "sends goods and report again"),
            Step::Ask => (Party::Bank, "asks again"),
        }
    }

    fn take(&self, state: &mut State, step: Step, out: &mut Vec<Message>) {
        match step {
            Step::Order => {
                state.ordered = true;
                out.push(Message::Order);
            }
            Step::MindsNo => state.answer = Some(false),
            Step::Report => out.extend([Message::Goods, Message::Report]),
            Step::Ask => out.push(Message::Ask),
        }
    }

    fn recover(&self, state: &State) -> Vec<Step> {
        let mut steps = Vec::new();
        if !state.has_goods && !state.told && state.answer.is_none() {
            steps.push(Step::Order);
        }
        if state.shipped && !state.told {
            steps.push(Step::Report);
        }
        if state.reported && state.charged.is_none() {
            steps.push(Step::Ask);
        }
        steps
    }

    fn facts(&self, state: &State) -> Facts {
        let paid = state.charged == Some(true);
        Facts {
            money: purse_and_till((!paid).into(), paid.into()),
            agreed: i8::from(state.answer == Some(true)),
            sales: vec![Sale::direct(paid, paid, state.has_goods)],
            exposed: state
                .reported
                .then_some("the server has the account of every purchase"),
            ..Facts::default()
        }
    }
}
