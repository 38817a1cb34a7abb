//! A card number over SSL.
//!
//! **Follows** Tygar (1996): the channel hides the number from strangers; the merchant gets it, and charges it at the card
//! network, which knows each charge by the merchant's reference.
//!
//! **Leaves out** the channel itself (it is taken for good), charges that are taken back, and a customer who sends the form
//! twice. The paper speaks of the payment only. The goods are here, to see what the payment promises about them: nothing.

use super::{purse_and_till, two_and_a};
use crate::{
    facts::{Facts, Party, Sale},
    frame::{Protocol, Scenario},
};

/// The system in a scenario.
#[derive(Debug, Clone)]
pub struct Ssl(pub Scenario);

/// The parties.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct State {
    ordered: bool,
    has_goods: bool,
    has_number: bool,
    approved: bool,
    shipped: bool,
    /// References that the network has charged.
    charged: [bool; 2],
}

/// Messages. A charge has the merchant's reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Message {
    /// The order with the card number.
    Card,
    /// A charge.
    Charge(bool),
    /// The network has charged it.
    Approved,
    /// The goods.
    Goods,
}

/// Steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The customer orders.
    Order,
    /// The merchant charges, or asks again.
    Charge,
    /// The merchant sends the goods.
    Ship,
    /// The merchant charges the number once more.
    ChargeMore,
}

impl Protocol for Ssl {
    type State = State;
    type Message = Message;
    type Step = Step;

    fn scenario(&self) -> Scenario {
        self.0
    }

    fn name(&self, party: Party) -> Option<&'static str> {
        two_and_a(party, "card network")
    }

    fn message(&self, message: Message) -> (Party, Party, &'static str) {
        match message {
            Message::Card => (Party::Customer, Party::Merchant, "order, card number"),
            Message::Charge(false) => (Party::Merchant, Party::Bank, "charge 1"),
            Message::Charge(true) => (Party::Merchant, Party::Bank, "charge another 1"),
            Message::Approved => (Party::Bank, Party::Merchant, "approved"),
            Message::Goods => (Party::Merchant, Party::Customer, "goods"),
        }
    }

    fn receive(&self, state: &mut State, message: Message, out: &mut Vec<Message>) {
        match message {
            Message::Card => {
                state.has_number = true;
                out.push(Message::Charge(false));
            }
            Message::Charge(false) => {
                state.charged = [true, state.charged[1]];
                out.push(Message::Approved);
            }
            Message::Charge(true) => state.charged = [state.charged[0], true],
            Message::Approved => state.approved = true,
            Message::Goods => state.has_goods = true,
        }
    }

    fn steps(&self, state: &State) -> Vec<Step> {
        let mut steps = self.recover(state);
        if state.has_number && self.0.cheats.has(Party::Merchant) {
            steps.push(Step::ChargeMore);
        }
        steps
    }

    fn step(&self, step: Step) -> (Party, &'static str) {
        match step {
            Step::Order => (Party::Customer, "orders"),
            Step::Charge => (Party::Merchant, "charges the card"),
            Step::Ship => (Party::Merchant, "sends the goods"),
            Step::ChargeMore => (Party::Merchant, "charges the card once more"),
        }
    }

    fn take(&self, state: &mut State, step: Step, out: &mut Vec<Message>) {
        match step {
            Step::Order => {
                state.ordered = true;
                out.push(Message::Card);
            }
            Step::Charge => out.push(Message::Charge(false)),
            Step::Ship => {
                state.shipped = true;
                out.push(Message::Goods);
            }
            Step::ChargeMore => out.push(Message::Charge(true)),
        }
    }

    fn recover(&self, state: &State) -> Vec<Step> {
        let mut steps = Vec::new();
        if !state.ordered {
            steps.push(Step::Order);
        }
        if state.has_number && !state.approved {
            steps.push(Step::Charge);
        }
        if state.approved && !state.shipped {
            steps.push(Step::Ship);
        }
        steps
    }

    fn facts(&self, state: &State) -> Facts {
        let charges = i8::from(state.charged[0]) + i8::from(state.charged[1]);
        Facts {
            money: purse_and_till(1 - charges, charges),
            agreed: i8::from(state.ordered),
            sales: vec![Sale::direct(charges > 0, charges > 0, state.has_goods)],
            exposed: state.has_number.then_some("the merchant has the card number"),
            ..Facts::default()
        }
    }
}
