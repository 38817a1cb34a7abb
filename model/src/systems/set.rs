//! SET, as STT, SEPP and iKP became it: the customer signs, and the merchant forwards what it cannot read.
//!
//! **Follows** Tygar (1996) and the messages of SET 1.0 (1997), book 3: purchase request with the dual signature,
//! authorization request, authorization response, purchase response. The bank compares the customer's price with the
//! merchant's, and charges an order once by its transaction id.
//!
//! **Leaves out** certificates, the initial request, and capture apart from authorization. As for SSL, the goods are here
//! to see what the payment promises about them.

use super::{purse_and_till, two_and_a};
use crate::{
    facts::{Facts, Party, Sale},
    frame::{Protocol, Scenario},
};

/// The system in a scenario.
#[derive(Debug, Clone)]
pub struct Set(pub Scenario);

/// The parties.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct State {
    ordered: bool,
    has_goods: bool,
    has_order: bool,
    approved: bool,
    shipped: bool,
    charged: i8,
}

/// Messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Message {
    /// Order and price, signed; the card is encrypted for the bank.
    Purchase,
    /// The merchant forwards the encrypted part, with its price.
    Authorize(i8),
    /// The bank has charged it.
    Approved,
    /// The goods.
    Goods,
}

/// Steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The customer orders.
    Order,
    /// The merchant asks for authorization, or asks again.
    Authorize,
    /// The merchant names a higher price.
    AuthorizeMore,
    /// The merchant sends the goods.
    Ship,
}

impl Protocol for Set {
    type State = State;
    type Message = Message;
    type Step = Step;

    fn scenario(&self) -> Scenario {
        self.0
    }

    fn name(&self, party: Party) -> Option<&'static str> {
        two_and_a(party, "bank (gateway)")
    }

    fn message(&self, message: Message) -> (Party, Party, &'static str) {
        match message {
            Message::Purchase => (
                Party::Customer,
                Party::Merchant,
                "signed order, card for the bank",
            ),
            Message::Authorize(1) => (Party::Merchant, Party::Bank, "authorize 1"),
            Message::Authorize(_) => (Party::Merchant, Party::Bank, "authorize 2"),
            Message::Approved => (Party::Bank, Party::Merchant, "approved"),
            Message::Goods => (Party::Merchant, Party::Customer, "goods"),
        }
    }

    fn receive(&self, state: &mut State, message: Message, out: &mut Vec<Message>) {
        match message {
            Message::Purchase => {
                state.has_order = true;
                out.push(Message::Authorize(1));
            }
            // The customer has signed the price 1.
            Message::Authorize(1) => {
                state.charged = 1;
                out.push(Message::Approved);
            }
            Message::Authorize(_) => {}
            Message::Approved => state.approved = true,
            Message::Goods => state.has_goods = true,
        }
    }

    fn steps(&self, state: &State) -> Vec<Step> {
        let mut steps = self.recover(state);
        if state.has_order && self.0.cheats.has(Party::Merchant) {
            steps.push(Step::AuthorizeMore);
        }
        steps
    }

    fn step(&self, step: Step) -> (Party, &'static str) {
        match step {
            Step::Order => (Party::Customer, "signs the order"),
            Step::Authorize => (Party::Merchant, "asks the bank"),
            Step::AuthorizeMore => (Party::Merchant, "names a higher price"),
            Step::Ship => (Party::Merchant, "sends the goods"),
        }
    }

    fn take(&self, state: &mut State, step: Step, out: &mut Vec<Message>) {
        match step {
            Step::Order => {
                state.ordered = true;
                out.push(Message::Purchase);
            }
            Step::Authorize => out.push(Message::Authorize(1)),
            Step::AuthorizeMore => out.push(Message::Authorize(2)),
            Step::Ship => {
                state.shipped = true;
                out.push(Message::Goods);
            }
        }
    }

    fn recover(&self, state: &State) -> Vec<Step> {
        let mut steps = Vec::new();
        if !state.ordered {
            steps.push(Step::Order);
        }
        if state.has_order && !state.approved {
            steps.push(Step::Authorize);
        }
        if state.approved && !state.shipped {
            steps.push(Step::Ship);
        }
        steps
    }

    fn facts(&self, state: &State) -> Facts {
        Facts {
            money: purse_and_till(1 - state.charged, state.charged),
            agreed: i8::from(state.ordered),
            sales: vec![Sale::direct(
                state.charged > 0,
                state.charged > 0,
                state.has_goods,
            )],
            exposed: (state.charged > 0).then_some("the bank has the card of every purchase"),
            ..Facts::default()
        }
    }
}
