//! Postage indicia of a secure coprocessor.
//!
//! **Follows** Tygar (1996) and Tygar, Yee and Heintze, *Cryptographic Postage Indicia* (1996): a device holds a balance;
//! printing takes it down and signs sender, receiver, date and sequence number; the one sorting station of the address
//! refuses a sequence number that it has seen, and indicia that are older than six months; it purges those numbers then.
//!
//! **Leaves out** the filling of the device, and other addresses (an indicium for one address is worth nothing at
//! another). The *goods* are the carrying of one letter.

use crate::{
    facts::{Facts, Holding, Party, Sale},
    frame::{Protocol, Scenario},
};

/// The system in a scenario.
#[derive(Debug, Clone)]
pub struct Postage(pub Scenario);

/// The parties.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct State {
    /// The device has taken its balance down.
    printed: bool,
    /// The paper with the indicium.
    has_letter: bool,
    /// The station knows the sequence number.
    seen: bool,
    /// Six months have passed.
    expired: bool,
    carried: i8,
}

/// Messages: letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Message {
    /// The letter with the indicium.
    Letter,
    /// Another letter with a copy of the same indicium.
    Copy,
}

/// Steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The device prints.
    Print,
    /// The customer posts the letter.
    Post,
    /// The customer posts a copy.
    PostCopy,
    /// Six months pass, and the station purges.
    Purge,
}

impl Protocol for Postage {
    type State = State;
    type Message = Message;
    type Step = Step;

    fn scenario(&self) -> Scenario {
        self.0
    }

    fn name(&self, party: Party) -> Option<&'static str> {
        match party {
            Party::Customer => Some("sender, device"),
            Party::Merchant => Some("sorting station"),
            Party::Bank | Party::Third => None,
        }
    }

    fn message(&self, message: Message) -> (Party, Party, &'static str) {
        match message {
            Message::Letter => (Party::Customer, Party::Merchant, "letter, indicium 1"),
            Message::Copy => (Party::Customer, Party::Merchant, "another letter, indicium 1"),
        }
    }

    fn receive(&self, state: &mut State, _message: Message, _out: &mut Vec<Message>) {
        if !state.seen && !state.expired {
            state.seen = true;
            state.carried += 1;
        }
    }

    fn steps(&self, state: &State) -> Vec<Step> {
        let mut steps = self.recover(state);
        if state.has_letter && self.0.cheats.has(Party::Customer) {
            steps.push(Step::PostCopy);
        }
        steps.push(Step::Purge);
        steps
    }

    fn step(&self, step: Step) -> (Party, &'static str) {
        match step {
            Step::Print => (Party::Customer, "prints: balance down, indicium signed"),
            Step::Post => (Party::Customer, "posts the letter"),
            Step::PostCopy => (Party::Customer, "posts a copy"),
            Step::Purge => (Party::Merchant, "six months later: purges"),
        }
    }

    fn take(&self, state: &mut State, step: Step, out: &mut Vec<Message>) {
        match step {
            Step::Print => (state.printed, state.has_letter) = (true, true),
            Step::Post => {
                state.has_letter = false;
                out.push(Message::Letter);
            }
            Step::PostCopy => out.push(Message::Copy),
            Step::Purge => (state.expired, state.seen) = (true, false),
        }
    }

    fn crash(&self, state: &mut State, party: Party) {
        // The printer jams: the paper is lost, and the balance is down.
        if party == Party::Customer {
            state.has_letter = false;
        }
    }

    fn recover(&self, state: &State) -> Vec<Step> {
        match (state.printed, state.has_letter) {
            (false, _) => vec![Step::Print],
            (true, true) => vec![Step::Post],
            (true, false) => Vec::new(),
        }
    }

    fn facts(&self, state: &State) -> Facts {
        let paid = i8::from(state.printed);
        let sale = |carried: bool, paid: bool| Sale::direct(paid, paid, carried);
        let mut sales = vec![sale(state.carried > 0, state.printed)];
        if state.carried > 1 {
            sales.push(sale(true, false));
        }
        Facts {
            money: vec![
                Holding {
                    of: Party::Customer,
                    before: 1,
                    now: 1 - paid,
                },
                Holding {
                    of: Party::Merchant,
                    before: 0,
                    now: paid,
                },
            ],
            agreed: 1,
            sales,
            exposed: (state.carried > 0).then_some("the indicium names the sender’s device"),
            ..Facts::default()
        }
    }
}
