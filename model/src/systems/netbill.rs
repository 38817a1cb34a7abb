//! NetBill.
//!
//! **Follows** the eight steps in Tygar (1996), after Cox, Tygar and Sirbu, *NetBill Security and Transaction Protocol*
//! (1995): price request, offer, acceptance, goods encrypted with K, the customer's signed order (price, checksum of the
//! encrypted goods, time-out), the merchant countersigns and adds K, the server moves the money and signs a receipt with K,
//! the merchant forwards it. Either side asks the server for the receipt at any time.
//!
//! **Leaves out** the tickets and pseudonyms of the identity service, credentials and discounts, and what the accounts hold.
//! A merchant that cheats sells other goods than described, or adds a key that opens nothing.

use crate::{
    facts::{Facts, Good, Paper, Party, Sale, Verdict},
    frame::{Protocol, Scenario},
    systems::purse_and_till,
};
use std::collections::BTreeSet;

/// The system in a scenario.
#[derive(Debug, Clone)]
pub struct NetBill(pub Scenario);

/// What the server has written for an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entry {
    /// The money is moved, and this is the key. `true`: it opens the goods.
    Paid(bool),
    /// The order's time-out has passed.
    Expired,
}

/// The parties.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct State {
    requested: bool,
    offered: bool,
    accepted: bool,
    encrypted: Option<Good>,
    ordered: bool,
    customer_knows: Option<Entry>,
    /// What the merchant has encrypted.
    selling: Option<Good>,
    has_order: bool,
    merchant_knows: Option<Entry>,
    late: bool,
    entry: Option<Entry>,
    stolen: bool,
}

/// Messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Message {
    /// Step 1.
    Request,
    /// Step 2.
    Offer,
    /// Step 3.
    Accept,
    /// Step 4.
    Encrypted(Good),
    /// Step 5.
    Order,
    /// Step 6, with K.
    Endorsed(bool),
    /// Step 7, and the answer to a merchant that asks.
    ToMerchant(Entry),
    /// Step 8.
    Forward(Entry),
    /// The customer asks the server.
    Ask,
    /// The server answers.
    ToCustomer(Entry),
}

/// Steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The customer sends the next message, or sends it again.
    Next,
    /// The customer asks the server.
    Ask,
    /// The merchant sends the order to the server, or asks again.
    Endorse,
    /// The order's time-out passes.
    Pass,
    /// The merchant chooses other goods than described.
    SellOther,
    /// The merchant adds a key that opens nothing.
    EndorseWrong,
    /// The server moves money without an order.
    Steal,
}

impl Protocol for NetBill {
    type State = State;
    type Message = Message;
    type Step = Step;

    fn scenario(&self) -> Scenario {
        self.0
    }

    fn name(&self, party: Party) -> Option<&'static str> {
        super::two_and_a(party, "NetBill server")
    }

    fn message(&self, message: Message) -> (Party, Party, &'static str) {
        match message {
            Message::Request => (Party::Customer, Party::Merchant, "1 price?"),
            Message::Offer => (Party::Merchant, Party::Customer, "2 price"),
            Message::Accept => (Party::Customer, Party::Merchant, "3 accepted"),
            Message::Encrypted(Good::AsDescribed) => (Party::Merchant, Party::Customer, "4 goods, encrypted"),
            Message::Encrypted(Good::Other) => (Party::Merchant, Party::Customer, "4 other goods, encrypted"),
            Message::Order => (Party::Customer, Party::Merchant, "5 signed order, checksum"),
            Message::Endorsed(true) => (Party::Merchant, Party::Bank, "6 order and K, countersigned"),
            Message::Endorsed(false) => (Party::Merchant, Party::Bank, "6 order and a wrong K"),
            Message::ToMerchant(Entry::Paid(_)) => (Party::Bank, Party::Merchant, "7 receipt with K"),
            Message::ToMerchant(Entry::Expired) => (Party::Bank, Party::Merchant, "7 expired"),
            Message::Forward(Entry::Paid(_)) => (Party::Merchant, Party::Customer, "8 receipt with K"),
            Message::Forward(Entry::Expired) => (Party::Merchant, Party::Customer, "8 expired"),
            Message::Ask => (Party::Customer, Party::Bank, "how did it end?"),
            Message::ToCustomer(Entry::Paid(_)) => (Party::Bank, Party::Customer, "receipt with K"),
            Message::ToCustomer(Entry::Expired) => (Party::Bank, Party::Customer, "expired, nothing moved"),
        }
    }

    fn receive(&self, state: &mut State, message: Message, out: &mut Vec<Message>) {
        match message {
            Message::Request => out.push(Message::Offer),
            Message::Offer => state.offered = true,
            Message::Accept => out.push(Message::Encrypted(
                *state.selling.get_or_insert(Good::AsDescribed),
            )),
            Message::Encrypted(good) => state.encrypted = Some(good),
            Message::Order => {
                state.has_order = true;
                match state.merchant_knows {
                    Some(entry) => out.push(Message::Forward(entry)),
                    None => out.push(Message::Endorsed(true)),
                }
            }
            Message::Endorsed(key) => {
                let new = if state.late {
                    Entry::Expired
                } else {
                    Entry::Paid(key)
                };
                out.push(Message::ToMerchant(*state.entry.get_or_insert(new)));
            }
            Message::ToMerchant(entry) => {
                state.merchant_knows = Some(entry);
                out.push(Message::Forward(entry));
            }
            Message::Ask => {
                if state.late {
                    state.entry.get_or_insert(Entry::Expired);
                }
                out.extend(state.entry.map(Message::ToCustomer));
            }
            Message::Forward(entry) | Message::ToCustomer(entry) => state.customer_knows = Some(entry),
        }
    }

    fn steps(&self, state: &State) -> Vec<Step> {
        let mut steps = self.recover(state);
        if state.ordered && !state.late {
            steps.push(Step::Pass);
        }
        if self.0.cheats.has(Party::Merchant) && state.selling.is_none() {
            steps.push(Step::SellOther);
        }
        if self.0.cheats.has(Party::Merchant) && state.has_order {
            steps.push(Step::EndorseWrong);
        }
        if self.0.cheats.has(Party::Bank) && !state.stolen {
            steps.push(Step::Steal);
        }
        steps
    }

    fn step(&self, step: Step) -> (Party, &'static str) {
        match step {
            Step::Next => (Party::Customer, "continues"),
            Step::Ask => (Party::Customer, "asks the server"),
            Step::Endorse => (Party::Merchant, "sends the order to the server"),
            Step::Pass => (Party::Bank, "the order’s time-out passes"),
            Step::SellOther => (Party::Merchant, "encrypts other goods"),
            Step::EndorseWrong => (Party::Merchant, "adds a wrong K"),
            Step::Steal => (Party::Bank, "moves money without an order"),
        }
    }

    fn take(&self, state: &mut State, step: Step, out: &mut Vec<Message>) {
        match step {
            Step::Next => out.push(match (state.offered, state.encrypted) {
                (false, _) => {
                    state.requested = true;
                    Message::Request
                }
                (true, None) => {
                    state.accepted = true;
                    Message::Accept
                }
                (true, Some(_)) => {
                    state.ordered = true;
                    Message::Order
                }
            }),
            Step::Ask => out.push(Message::Ask),
            Step::Endorse => out.push(Message::Endorsed(true)),
            Step::Pass => state.late = true,
            Step::SellOther => state.selling = Some(Good::Other),
            Step::EndorseWrong => out.push(Message::Endorsed(false)),
            Step::Steal => state.stolen = true,
        }
    }

    fn recover(&self, state: &State) -> Vec<Step> {
        let mut steps = Vec::new();
        if state.customer_knows.is_none() {
            steps.push(Step::Next);
        }
        if state.ordered && state.customer_knows.is_none() {
            steps.push(Step::Ask);
        }
        if state.has_order && state.merchant_knows.is_none() {
            steps.push(Step::Endorse);
        }
        if state.ordered && state.customer_knows.is_none() && !state.late {
            steps.push(Step::Pass);
        }
        steps
    }

    fn facts(&self, state: &State) -> Facts {
        let key = match state.entry {
            Some(Entry::Paid(key)) => Some(key),
            _ => None,
        };
        let paid = i8::from(key.is_some()) + i8::from(state.stolen);
        let known = |entry: Option<Entry>| match entry {
            Some(Entry::Paid(key)) => Some(Paper::Receipt(key)),
            _ => None,
        };
        // A key that opens nothing makes other goods of any.
        let content = |good: Good| if key == Some(false) { Good::Other } else { good };
        let readable = match state.customer_knows {
            Some(Entry::Paid(_)) => state.encrypted.map(content),
            _ => None,
        };
        let offered = key.and(state.encrypted).map(content);
        let papers = |receipt: Option<Paper>, good: Option<Good>| -> BTreeSet<Paper> {
            let goods = good.map(Paper::Encrypted);
            receipt.into_iter().chain(goods).collect()
        };
        Facts {
            money: purse_and_till(1 - paid, paid),
            agreed: i8::from(state.ordered),
            sales: vec![Sale {
                given: key.is_some(),
                received: key.is_some(),
                readable,
                offered: offered.or(readable),
            }],
            customer_papers: papers(known(state.customer_knows), state.encrypted),
            merchant_papers: papers(known(state.merchant_knows), state.selling),
            exposed: state
                .entry
                .is_some()
                .then_some("the server has the account of every purchase"),
            open: match state.ordered && state.customer_knows.is_none() {
                true => vec![(Party::Customer, "the customer does not know how the order ended")],
                false => Vec::new(),
            },
        }
    }

    fn judge(&self, papers: &BTreeSet<Paper>) -> Verdict {
        let shown = |good: Good| papers.contains(&Paper::Encrypted(good)).then_some(good);
        let goods = shown(Good::AsDescribed).or_else(|| shown(Good::Other));
        match (
            papers.contains(&Paper::Receipt(true)),
            papers.contains(&Paper::Receipt(false)),
            goods,
        ) {
            (true, _, Some(good)) => Verdict::Delivered(good),
            (false, true, Some(_)) => Verdict::Delivered(Good::Other),
            _ => Verdict::Undecided,
        }
    }
}
