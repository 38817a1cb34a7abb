//! A GNU Taler payment, with the refresh of a coin whose payment came to nothing.
//!
//! **Follows** the public description of GNU Taler (Dold, *The GNU Taler System*, 2019, and the exchange's API): the wallet
//! signs a deposit permission with the coin's key for one contract and sends it to the merchant; the merchant deposits it;
//! the exchange marks the coin and confirms, and gives the same answer to the same deposit; the merchant then serves the
//! goods. A wallet whose payment does not succeed refreshes the coin: melt, then reveal. If the coin was deposited, the
//! exchange refuses the melt and shows the deposit. The wallet pays again with the same permission.
//!
//! **Leaves out** withdrawal, change, refunds by the merchant, the cut-and-choose of the refresh, wire transfers and the
//! auditor. Fees are zero.

use super::{purse_and_till, two_and_a};
use crate::{
    facts::{Facts, Paper, Party, Sale},
    frame::{Protocol, Scenario},
};
use std::collections::BTreeSet;

/// The system in a scenario.
#[derive(Debug, Clone)]
pub struct Taler(pub Scenario);

/// What the exchange knows of the coin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Coin {
    /// Nothing.
    #[default]
    Fresh,
    /// It was deposited for the contract.
    Deposited,
    /// It was melted.
    Melted,
}

/// The parties.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct State {
    paid: bool,
    has_goods: bool,
    /// The wallet refreshes.
    refreshing: bool,
    melted: bool,
    has_fresh: bool,
    /// The wallet has the exchange's word that the coin was deposited.
    has_proof: bool,
    accepted: bool,
    confirmed: bool,
    conflict: bool,
    coin: Coin,
}

/// Messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Message {
    /// The deposit permission.
    Pay,
    /// The merchant deposits it.
    Deposit,
    /// The exchange confirms.
    Confirmed,
    /// The exchange refuses a deposit of a melted coin.
    Conflict,
    /// The goods.
    Goods,
    /// The wallet melts the coin.
    Melt,
    /// The coin is melted.
    Melted,
    /// The coin was deposited.
    WasDeposited,
    /// The wallet reveals.
    Reveal,
    /// Blind signatures of a fresh coin.
    Fresh,
}

/// Steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The wallet pays, or pays again with the same permission.
    Pay,
    /// The wallet begins to refresh, or asks again.
    Melt,
    /// The wallet reveals, or reveals again.
    Reveal,
    /// The merchant deposits, or asks again.
    Deposit,
}

impl Protocol for Taler {
    type State = State;
    type Message = Message;
    type Step = Step;

    fn scenario(&self) -> Scenario {
        self.0
    }

    fn name(&self, party: Party) -> Option<&'static str> {
        two_and_a(party, "exchange")
    }

    fn message(&self, message: Message) -> (Party, Party, &'static str) {
        match message {
            Message::Pay => (Party::Customer, Party::Merchant, "deposit permission"),
            Message::Deposit => (Party::Merchant, Party::Bank, "deposit"),
            Message::Confirmed => (Party::Bank, Party::Merchant, "confirmed"),
            Message::Conflict => (Party::Bank, Party::Merchant, "the coin is melted"),
            Message::Goods => (Party::Merchant, Party::Customer, "confirmation, goods"),
            Message::Melt => (Party::Customer, Party::Bank, "melt"),
            Message::Melted => (Party::Bank, Party::Customer, "melted"),
            Message::WasDeposited => (Party::Bank, Party::Customer, "the coin was deposited: proof"),
            Message::Reveal => (Party::Customer, Party::Bank, "reveal"),
            Message::Fresh => (Party::Bank, Party::Customer, "blind signatures"),
        }
    }

    fn receive(&self, state: &mut State, message: Message, out: &mut Vec<Message>) {
        match message {
            Message::Pay if state.confirmed => self.serve(out),
            Message::Pay => {
                state.accepted = true;
                out.push(Message::Deposit);
            }
            Message::Deposit => {
                if state.coin == Coin::Fresh {
                    state.coin = Coin::Deposited;
                }
                out.push(match state.coin {
                    Coin::Melted => Message::Conflict,
                    _ => Message::Confirmed,
                });
            }
            Message::Confirmed => {
                state.confirmed = true;
                self.serve(out);
            }
            Message::Conflict => state.conflict = true,
            Message::Goods => (state.has_goods, state.has_proof) = (true, true),
            Message::Melt => {
                if state.coin == Coin::Fresh {
                    state.coin = Coin::Melted;
                }
                out.push(match state.coin {
                    Coin::Deposited => Message::WasDeposited,
                    _ => Message::Melted,
                });
            }
            Message::Melted => state.melted = true,
            Message::WasDeposited => state.has_proof = true,
            Message::Reveal if state.coin == Coin::Melted => out.push(Message::Fresh),
            Message::Reveal => {}
            Message::Fresh => state.has_fresh = true,
        }
    }

    fn steps(&self, state: &State) -> Vec<Step> {
        let mut steps = self.recover(state);
        if self.0.cheats.has(Party::Customer) {
            steps.push(Step::Melt);
        }
        steps
    }

    fn step(&self, step: Step) -> (Party, &'static str) {
        match step {
            Step::Pay => (Party::Customer, "pays with this permission"),
            Step::Melt => (Party::Customer, "refreshes the coin"),
            Step::Reveal => (Party::Customer, "reveals"),
            Step::Deposit => (Party::Merchant, "deposits"),
        }
    }

    fn take(&self, state: &mut State, step: Step, out: &mut Vec<Message>) {
        match step {
            Step::Pay => {
                state.paid = true;
                out.push(Message::Pay);
            }
            Step::Melt => {
                state.refreshing = true;
                out.push(Message::Melt);
            }
            Step::Reveal => out.push(Message::Reveal),
            Step::Deposit => out.push(Message::Deposit),
        }
    }

    fn recover(&self, state: &State) -> Vec<Step> {
        let mut steps = Vec::new();
        if !state.has_goods && !state.melted && (!state.refreshing || state.has_proof) {
            steps.push(Step::Pay);
        }
        if state.paid && !state.has_goods && !state.has_proof && !state.melted {
            steps.push(Step::Melt);
        }
        if state.melted && !state.has_fresh {
            steps.push(Step::Reveal);
        }
        if state.accepted && !state.confirmed && !state.conflict {
            steps.push(Step::Deposit);
        }
        steps
    }

    fn facts(&self, state: &State) -> Facts {
        let given = state.coin == Coin::Deposited;
        let kept = state.coin == Coin::Fresh || state.has_fresh;
        let contract = || BTreeSet::from([Paper::Contract]);
        let paid = |proof: bool| proof.then_some(Paper::Paid);
        Facts {
            money: purse_and_till(kept.into(), given.into()),
            agreed: 1,
            sales: vec![Sale::direct(given, given, state.has_goods)],
            customer_papers: contract().into_iter().chain(paid(state.has_proof)).collect(),
            merchant_papers: contract().into_iter().chain(paid(state.confirmed)).collect(),
            exposed: None,
            open: match state.paid && !state.has_goods && !state.has_fresh && !state.has_proof {
                true => vec![(
                    Party::Customer,
                    "the wallet does not know whether the coin was deposited",
                )],
                false => Vec::new(),
            },
        }
    }
}

impl Taler {
    fn serve(&self, out: &mut Vec<Message>) {
        // A merchant that cheats keeps the goods.
        if !self.0.cheats.has(Party::Merchant) {
            out.push(Message::Goods);
        }
    }
}
