//! Farthing's payment: a coin is deposited for another person, who need not be there.
//!
//! **Follows** `docs/PROTOCOL.md`: deposit, deposited, and the exchange by which a payment is given up. The wallet writes
//! the payment down before it sends it, and always sends the same bytes. The bank writes the coin's use, the credit and
//! the answer together. A denial of the coin's exchange shows the deposit, and is an answer too.
//!
//! **Leaves out** several coins, the reserve as a payer, requests, and key epochs. An exchange is one message here;
//! `withdrawal` has its steps.

use crate::{
    facts::{Facts, Holding, Party},
    frame::{Protocol, Scenario},
    property::Property,
};

/// A mistake. `tests/planted/patches` has the same one in the code, by the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Defect {
    /// The wallet makes a payment that is under way again, with other coins.
    PaidWithOtherCoins,
}

impl Defect {
    /// All of them.
    pub const ALL: [Defect; 1] = [Defect::PaidWithOtherCoins];
}

/// The system in a scenario, maybe with a planted defect.
#[derive(Debug, Clone)]
pub struct Payment {
    /// The scenario.
    pub scenario: Scenario,
    /// A mistake in the protocol.
    pub defect: Option<Defect>,
}

/// What a coin was used for, as the bank has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
enum Use {
    #[default]
    Unseen,
    Deposited,
    Exchanged,
}

/// The parties. The wallet has two coins, and pays with the first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct State {
    begun: bool,
    giving_up: bool,
    paid: bool,
    has_fresh: bool,
    first: Use,
    second: Use,
    /// What the bank has credited to the payee.
    credited: i8,
}

/// Messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Message {
    /// The payment with the first coin.
    Deposit,
    /// The same payment with the second coin.
    DepositOther,
    /// The bank has carried the payment out.
    Deposited,
    /// The bank denies the payment: its coin was exchanged.
    PaymentDenied,
    /// The wallet gives the first coin for a fresh one.
    Exchange,
    /// The fresh coin.
    Issued,
    /// The bank denies the exchange: it shows that it has carried the payment out.
    ExchangeDenied,
}

/// Steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The wallet pays, or sends the same again.
    Pay,
    /// The wallet pays the same with its other coin.
    PayAgain,
    /// The customer gives the payment up, or the wallet carries that on.
    GiveUp,
    /// A bank that cheats takes the coin, and credits nobody.
    Keep,
}

impl Payment {
    fn is_open(state: &State) -> bool {
        state.begun && !state.paid && !state.has_fresh
    }
}

impl Protocol for Payment {
    type State = State;
    type Message = Message;
    type Step = Step;

    fn scenario(&self) -> Scenario {
        self.scenario
    }

    fn name(&self, party: Party) -> Option<&'static str> {
        match party {
            Party::Customer => Some("wallet"),
            Party::Merchant => Some("payee"),
            Party::Bank => Some("bank"),
            Party::Third => None,
        }
    }

    fn message(&self, message: Message) -> (Party, Party, &'static str) {
        let (wallet, bank) = (Party::Customer, Party::Bank);
        match message {
            Message::Deposit => (wallet, bank, "deposit"),
            Message::DepositOther => (wallet, bank, "deposit, with another coin"),
            Message::Deposited => (bank, wallet, "deposited"),
            Message::PaymentDenied => (bank, wallet, "denied: the coin was exchanged"),
            Message::Exchange => (wallet, bank, "exchange"),
            Message::Issued => (bank, wallet, "issued: a fresh coin"),
            Message::ExchangeDenied => (bank, wallet, "denied: the coin was deposited, and for whom"),
        }
    }

    fn receive(&self, state: &mut State, message: Message, out: &mut Vec<Message>) {
        match message {
            Message::Deposit => out.push(match state.first {
                Use::Unseen => {
                    state.first = Use::Deposited;
                    state.credited += 1;
                    Message::Deposited
                }
                Use::Deposited if state.credited > 0 => Message::Deposited,
                // A bank that has kept the coin has nothing to show.
                Use::Deposited => return,
                Use::Exchanged => Message::PaymentDenied,
            }),
            Message::DepositOther if state.second == Use::Unseen => {
                state.second = Use::Deposited;
                state.credited += 1;
                out.push(Message::Deposited);
            }
            Message::DepositOther => out.push(Message::Deposited),
            Message::Exchange => out.push(match state.first {
                Use::Deposited if state.credited > 0 => Message::ExchangeDenied,
                Use::Deposited => return,
                Use::Unseen | Use::Exchanged => {
                    state.first = Use::Exchanged;
                    Message::Issued
                }
            }),
            Message::Issued => state.has_fresh = true,
            Message::Deposited | Message::ExchangeDenied => state.paid = true,
            // The exchange is under way, and its answer ends the payment.
            Message::PaymentDenied => {}
        }
    }

    fn steps(&self, state: &State) -> Vec<Step> {
        let mut steps = self.recover(state);
        if Payment::is_open(state) {
            steps.push(Step::GiveUp);
            if self.defect == Some(Defect::PaidWithOtherCoins) {
                steps.push(Step::PayAgain);
            }
        }
        if self.scenario.cheats.has(Party::Customer) {
            steps.extend([Step::Pay, Step::PayAgain, Step::GiveUp]);
        }
        if self.scenario.cheats.has(Party::Bank) && state.first == Use::Unseen {
            steps.push(Step::Keep);
        }
        steps
    }

    fn step(&self, step: Step) -> (Party, &'static str) {
        match step {
            Step::Pay => (Party::Customer, "pays"),
            Step::PayAgain => (Party::Customer, "pays the same with another coin"),
            Step::GiveUp => (Party::Customer, "gives the payment up: exchanges its coin"),
            Step::Keep => (Party::Bank, "cheats: takes the coin, and credits nobody"),
        }
    }

    fn take(&self, state: &mut State, step: Step, out: &mut Vec<Message>) {
        match step {
            Step::Pay => {
                state.begun = true;
                out.push(Message::Deposit);
            }
            Step::PayAgain => out.push(Message::DepositOther),
            Step::GiveUp => {
                state.giving_up = true;
                out.push(Message::Exchange);
            }
            Step::Keep => state.first = Use::Deposited,
        }
    }

    fn recover(&self, state: &State) -> Vec<Step> {
        match (state.paid || state.has_fresh, state.giving_up) {
            (true, _) => Vec::new(),
            (false, true) => vec![Step::GiveUp],
            (false, false) => vec![Step::Pay],
        }
    }

    fn facts(&self, state: &State) -> Facts {
        let first = match state.first {
            Use::Unseen => 1,
            Use::Deposited => 0,
            Use::Exchanged => i8::from(state.has_fresh),
        };
        let money = [
            (Party::Customer, 2, first + i8::from(state.second == Use::Unseen)),
            (Party::Merchant, 0, state.credited),
        ];
        Facts {
            money: money
                .map(|(of, before, now)| Holding { of, before, now })
                .to_vec(),
            // A payment that was given up is not made.
            agreed: i8::from(!state.has_fresh),
            open: match Payment::is_open(state) {
                true => vec![(Party::Customer, "the wallet waits for the bank’s answer")],
                false => Vec::new(),
            },
            ..Facts::default()
        }
    }

    fn not_applicable(&self, property: Property) -> Option<&'static str> {
        match property {
            Property::Goods | Property::Evidence | Property::Certified => Some("a payment has no goods"),
            Property::Anonymity => Some("a payment names its payee, and the payee may be the payer"),
            _ => None,
        }
    }
}
