//! Farthing's withdrawal: an account is debited, and coins are issued for it.
//!
//! **Follows** `docs/PROTOCOL.md`: begin, nonces, finish, issued. The wallet writes its request id down before it begins.
//! The bank's nonces are in memory only. Debit and issued coins are one write, which answers the same finish again.
//!
//! **Leaves out** the blind signature, several outputs, key epochs, and the recovery record. An exchange at the bank has
//! the same steps, with coins in the place of the account; `farthing` has it as one message.

use crate::{
    facts::{Facts, Holding, Party},
    frame::{Protocol, Scenario},
    property::Property,
};

/// A mistake. `tests/planted/patches` has the same one in the code, by the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Defect {
    /// The bank does not look whether a withdrawal was finished before.
    DebitedTwice,
    /// The wallet gives a withdrawal up when the bank is silent.
    SilenceTakenForRefusal,
    /// The wallet takes a bank's refusal that is not signed for its last word.
    UnsignedRefusalFinal,
}

impl Defect {
    /// All of them.
    pub const ALL: [Defect; 3] = [
        Defect::DebitedTwice,
        Defect::SilenceTakenForRefusal,
        Defect::UnsignedRefusalFinal,
    ];
}

/// The system in a scenario, maybe with a planted defect.
#[derive(Debug, Clone)]
pub struct Withdrawal {
    /// The scenario.
    pub scenario: Scenario,
    /// A mistake in the protocol.
    pub defect: Option<Defect>,
}

/// The parties.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct State {
    begun: bool,
    has_nonces: bool,
    has_coin: bool,
    given_up: bool,
    /// In the bank's memory only.
    session: bool,
    debited: i8,
}

/// Messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Message {
    /// The wallet begins.
    Begin,
    /// The bank's first message.
    Nonces,
    /// The wallet's challenges.
    Finish,
    /// The answers: a coin.
    Issued,
    /// The session is gone. It is not signed.
    Gone,
}

/// Steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The wallet begins, or begins again.
    Begin,
    /// The wallet finishes, or asks again.
    Finish,
    /// The wallet waits no longer.
    GiveUp,
    /// A bank that cheats debits, and issues nothing.
    Keep,
}

impl Protocol for Withdrawal {
    type State = State;
    type Message = Message;
    type Step = Step;

    fn scenario(&self) -> Scenario {
        self.scenario
    }

    fn name(&self, party: Party) -> Option<&'static str> {
        match party {
            Party::Customer => Some("wallet"),
            Party::Bank => Some("bank"),
            Party::Merchant | Party::Third => None,
        }
    }

    fn message(&self, message: Message) -> (Party, Party, &'static str) {
        match message {
            Message::Begin => (Party::Customer, Party::Bank, "begin"),
            Message::Nonces => (Party::Bank, Party::Customer, "nonces"),
            Message::Finish => (Party::Customer, Party::Bank, "finish: challenges"),
            Message::Issued => (Party::Bank, Party::Customer, "issued: answers"),
            Message::Gone => (Party::Bank, Party::Customer, "no such session (not signed)"),
        }
    }

    fn receive(&self, state: &mut State, message: Message, out: &mut Vec<Message>) {
        let twice = self.defect == Some(Defect::DebitedTwice);
        match message {
            Message::Begin if state.debited > 0 && !twice => out.push(Message::Issued),
            Message::Begin => {
                state.session = true;
                out.push(Message::Nonces);
            }
            Message::Nonces => state.has_nonces = true,
            Message::Finish if state.debited > 0 && !twice => out.push(Message::Issued),
            Message::Finish if state.session => {
                state.session = false;
                // Two debits are enough to show the mistake.
                state.debited = (state.debited + 1).min(2);
                out.push(Message::Issued);
            }
            Message::Finish => out.push(Message::Gone),
            Message::Issued => state.has_coin |= !state.given_up,
            Message::Gone if self.defect == Some(Defect::UnsignedRefusalFinal) => {
                state.given_up = !state.has_coin
            }
            Message::Gone => state.has_nonces = false,
        }
    }

    fn steps(&self, state: &State) -> Vec<Step> {
        let mut steps = self.recover(state);
        let silence = self.defect == Some(Defect::SilenceTakenForRefusal);
        if silence && state.begun && !state.has_coin {
            steps.push(Step::GiveUp);
        }
        if self.scenario.cheats.has(Party::Bank) && state.debited == 0 {
            steps.push(Step::Keep);
        }
        steps
    }

    fn step(&self, step: Step) -> (Party, &'static str) {
        match step {
            Step::Begin => (Party::Customer, "begins"),
            Step::Finish => (Party::Customer, "finishes"),
            Step::GiveUp => (Party::Customer, "gives up, as the bank is silent"),
            Step::Keep => (Party::Bank, "cheats: debits, and issues nothing"),
        }
    }

    fn take(&self, state: &mut State, step: Step, out: &mut Vec<Message>) {
        match step {
            Step::Begin => {
                state.begun = true;
                out.push(Message::Begin);
            }
            Step::Finish => out.push(Message::Finish),
            Step::GiveUp => state.given_up = true,
            Step::Keep => state.debited = 2,
        }
    }

    fn crash(&self, state: &mut State, party: Party) {
        match party {
            Party::Bank => state.session = false,
            // The request id is on disk; the nonces are not.
            _ => state.has_nonces = false,
        }
    }

    fn recover(&self, state: &State) -> Vec<Step> {
        match (state.has_coin || state.given_up, state.has_nonces) {
            (true, _) => Vec::new(),
            (false, true) => vec![Step::Finish],
            (false, false) => vec![Step::Begin],
        }
    }

    fn facts(&self, state: &State) -> Facts {
        let customer = Holding {
            of: Party::Customer,
            before: 1,
            now: 1 - state.debited + i8::from(state.has_coin),
        };
        Facts {
            money: vec![customer],
            open: match state.begun && !state.has_coin && !state.given_up {
                true => vec![(Party::Customer, "the wallet waits for its coin")],
                false => Vec::new(),
            },
            ..Facts::default()
        }
    }

    fn not_applicable(&self, property: Property) -> Option<&'static str> {
        match property {
            Property::Goods | Property::Evidence | Property::Certified => Some("a withdrawal has no goods"),
            Property::Anonymity => Some("a withdrawal names its account"),
            _ => None,
        }
    }
}
