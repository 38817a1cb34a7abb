//! A Cashu swap: a wallet gives tokens to the mint for fresh ones.
//!
//! **Follows** the Cashu specifications: NUT-03 (the wallet sends inputs and blinded outputs; the mint marks the inputs as
//! spent and answers with blind signatures), NUT-07 (an input that is spent is refused), and NUT-19 (the mint keeps its
//! reply and repeats it for the same request, as long as its `ttl` says).
//!
//! **Leaves out** the key sets, fees, and NUT-09, by which a wallet can fetch signatures of outputs that it still knows.
//! A mint with NUT-09 acts in this model as one whose replies are kept for good.

use crate::{
    facts::{Facts, Holding, Party},
    frame::{Protocol, Scenario},
    property::Property,
};

/// How long the mint keeps its replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cache {
    /// Not at all.
    None,
    /// Until its `ttl` has passed.
    Expires,
    /// For good.
    Kept,
}

/// The system in a scenario.
#[derive(Debug, Clone)]
pub struct Cashu(pub Scenario, pub Cache);

/// The parties.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct State {
    has_fresh: bool,
    /// The mint has said that the inputs are spent.
    refused: bool,
    spent: bool,
    expired: bool,
}

/// Messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Message {
    /// Inputs and blinded outputs.
    Swap,
    /// Blind signatures.
    Signatures,
    /// The refusal.
    AlreadySpent,
}

/// Steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The wallet sends its swap, or sends it again.
    Swap,
    /// The time of the mint's reply passes.
    Expire,
    /// A mint that cheats takes the inputs.
    Take,
}

impl Protocol for Cashu {
    type State = State;
    type Message = Message;
    type Step = Step;

    fn scenario(&self) -> Scenario {
        self.0
    }

    fn name(&self, party: Party) -> Option<&'static str> {
        match party {
            Party::Customer => Some("wallet"),
            Party::Bank => Some("mint"),
            Party::Merchant | Party::Third => None,
        }
    }

    fn message(&self, message: Message) -> (Party, Party, &'static str) {
        match message {
            Message::Swap => (Party::Customer, Party::Bank, "inputs, blinded outputs"),
            Message::Signatures => (Party::Bank, Party::Customer, "blind signatures"),
            Message::AlreadySpent => (Party::Bank, Party::Customer, "inputs already spent"),
        }
    }

    fn receive(&self, state: &mut State, message: Message, out: &mut Vec<Message>) {
        match message {
            Message::Swap => {
                let repeats = self.1 != Cache::None && !state.expired;
                out.push(match state.spent && !repeats {
                    true => Message::AlreadySpent,
                    false => Message::Signatures,
                });
                state.spent = true;
            }
            Message::Signatures => state.has_fresh = true,
            Message::AlreadySpent => state.refused = true,
        }
    }

    fn steps(&self, state: &State) -> Vec<Step> {
        let mut steps = self.recover(state);
        if self.1 == Cache::Expires && state.spent {
            steps.push(Step::Expire);
        }
        if self.0.cheats.has(Party::Bank) {
            steps.push(Step::Take);
        }
        steps
    }

    fn step(&self, step: Step) -> (Party, &'static str) {
        match step {
            Step::Swap => (Party::Customer, "asks for a swap"),
            Step::Expire => (Party::Bank, "forgets its reply, as its time has passed"),
            Step::Take => (Party::Bank, "says that the inputs are spent"),
        }
    }

    fn take(&self, state: &mut State, step: Step, out: &mut Vec<Message>) {
        match step {
            Step::Swap => out.push(Message::Swap),
            Step::Expire => state.expired = true,
            Step::Take => {
                (state.spent, state.expired) = (true, true);
                out.push(Message::AlreadySpent);
            }
        }
    }

    fn recover(&self, state: &State) -> Vec<Step> {
        match state.has_fresh || state.refused {
            true => Vec::new(),
            false => vec![Step::Swap],
        }
    }

    fn facts(&self, state: &State) -> Facts {
        let has = state.has_fresh || !(state.spent || state.refused);
        let money = Holding {
            of: Party::Customer,
            before: 1,
            now: has.into(),
        };
        Facts {
            money: vec![money],
            open: match has && !state.has_fresh {
                true => vec![(Party::Customer, "the wallet waits for its tokens")],
                false => Vec::new(),
            },
            ..Facts::default()
        }
    }

    fn not_applicable(&self, property: Property) -> Option<&'static str> {
        match property {
            Property::Goods | Property::Evidence | Property::Certified => Some("a swap has no goods"),
            _ => None,
        }
    }
}
