//! Chaum's offline cash with identification of double spenders.
//!
//! **Follows** steps 3 to 7 of the description in Tygar (1996), after Chaum, Fiat and Naor (1988): 3 the customer spends
//! a token and binds the merchant's identity in; 4 the merchant checks that it has not seen it; 5 goods are sent; 6 the
//! merchant deposits later; 7 the bank checks that the token is new, and one that was spent twice names the customer.
//!
//! **Leaves out** the withdrawal and the blinding (steps 1 and 2): the run begins with a good token. The token's value is
//! the price. The customer does not send a token again, as no step of the description does.

use crate::{
    facts::{Facts, Holding, Party, Sale},
    frame::{Protocol, Scenario},
};

/// The system in a scenario.
#[derive(Debug, Clone)]
pub struct Chaum(pub Scenario);

/// The parties.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct State {
    /// The customer has sent the token.
    spent: bool,
    has_goods: bool,
    /// The merchant has the token.
    accepted: bool,
    shipped: bool,
    /// The bank has credited the merchant.
    deposited: bool,
    /// The bank has credited the customer, who has returned the token under their own name.
    returned: bool,
    /// The bank has the token twice, so it knows who spent it, and charges them.
    charged: bool,
}

/// Messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Message {
    /// Step 3.
    Token,
    /// Step 5.
    Goods,
    /// Step 6.
    Deposit,
    /// The customer returns a token whose fate they do not know.
    Return,
}

/// Steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The customer spends the token.
    Spend,
    /// The customer waits for goods no longer, and returns the token to the bank.
    GiveBack,
    /// The merchant sends the goods.
    Ship,
    /// The merchant deposits.
    Deposit,
}

impl Protocol for Chaum {
    type State = State;
    type Message = Message;
    type Step = Step;

    fn scenario(&self) -> Scenario {
        self.0
    }

    fn name(&self, party: Party) -> Option<&'static str> {
        super::two_and_a(party, "bank")
    }

    fn message(&self, message: Message) -> (Party, Party, &'static str) {
        match message {
            Message::Token => (Party::Customer, Party::Merchant, "token, for this merchant"),
            Message::Goods => (Party::Merchant, Party::Customer, "goods"),
            Message::Deposit => (Party::Merchant, Party::Bank, "deposit the token"),
            Message::Return => (Party::Customer, Party::Bank, "token back, to my account"),
        }
    }

    fn receive(&self, state: &mut State, message: Message, _out: &mut Vec<Message>) {
        match message {
            Message::Token => state.accepted = true,
            Message::Goods => state.has_goods = true,
            Message::Deposit => {
                state.deposited = true;
                state.charged |= state.returned;
            }
            Message::Return => {
                state.returned = true;
                state.charged |= state.deposited;
            }
        }
    }

    fn steps(&self, state: &State) -> Vec<Step> {
        let lies = self.0.cheats.has(Party::Customer);
        let takes = self.0.cheats.has(Party::Merchant);
        let mut steps = self.recover(state);
        if state.spent && (!state.has_goods || lies) {
            steps.push(Step::GiveBack);
        }
        if state.accepted && takes {
            steps.push(Step::Deposit);
        }
        steps
    }

    fn step(&self, step: Step) -> (Party, &'static str) {
        match step {
            Step::Spend => (Party::Customer, "spends the token"),
            Step::GiveBack => (Party::Customer, "has no goods, and returns the token"),
            Step::Ship => (Party::Merchant, "sends the goods"),
            Step::Deposit => (Party::Merchant, "deposits"),
        }
    }

    fn take(&self, state: &mut State, step: Step, out: &mut Vec<Message>) {
        match step {
            Step::Spend => {
                state.spent = true;
                out.push(Message::Token);
            }
            Step::GiveBack => out.push(Message::Return),
            Step::Ship => {
                state.shipped = true;
                out.push(Message::Goods);
            }
            Step::Deposit => out.push(Message::Deposit),
        }
    }

    fn recover(&self, state: &State) -> Vec<Step> {
        let mut steps = Vec::new();
        if !state.spent {
            steps.push(Step::Spend);
        }
        if state.accepted && !state.shipped {
            steps.push(Step::Ship);
        }
        if state.shipped {
            steps.push(Step::Deposit);
        }
        steps
    }

    fn facts(&self, state: &State) -> Facts {
        let kept = !state.spent || (state.returned && !state.charged);
        Facts {
            money: vec![
                Holding {
                    of: Party::Customer,
                    before: 1,
                    now: i8::from(kept),
                },
                Holding {
                    of: Party::Merchant,
                    before: 0,
                    now: i8::from(state.deposited),
                },
            ],
            agreed: 1,
            sales: vec![Sale::direct(!kept, state.deposited, state.has_goods)],
            exposed: match (state.charged, state.returned) {
                (true, _) => Some(
                    "the bank has the token twice: it knows the customer, and takes them for a double spender",
                ),
                (false, true) => {
                    Some("the customer returns the token under their own name, so the bank knows whose it is")
                }
                (false, false) => None,
            },
            open: match state.spent && !state.has_goods && !state.returned {
                true => vec![(
                    Party::Customer,
                    "the customer does not know whether the token was spent",
                )],
                false => Vec::new(),
            },
            ..Facts::default()
        }
    }
}
