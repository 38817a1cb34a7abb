//! What an observer counts in a quiet state. Each system's model fills [`Facts`], and [`property`](crate::property)
//! defines every property on them alone.

use std::collections::BTreeSet;

/// A party of a system. What it is called there is [`Protocol::name`](crate::frame::Protocol::name).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Party {
    /// Whoever pays.
    Customer,
    /// Whoever is paid.
    Merchant,
    /// Whoever keeps the money: a bank, a mint, a card network.
    Bank,
    /// A third party that decides or carries.
    Third,
}

impl Party {
    /// All parties, in the order of a diagram.
    pub const ALL: [Party; 4] = [Party::Customer, Party::Merchant, Party::Bank, Party::Third];
}

/// A set of parties.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Parties(u8);

impl Parties {
    /// No party.
    pub const NONE: Parties = Parties(0);

    const fn bit(party: Party) -> u8 {
        match party {
            Party::Customer => 1,
            Party::Merchant => 2,
            Party::Bank => 4,
            Party::Third => 8,
        }
    }

    /// The set with one more party.
    #[must_use]
    pub const fn with(self, party: Party) -> Parties {
        Parties(self.0 | Parties::bit(party))
    }

    /// Whether the set has a party.
    #[must_use]
    pub const fn has(self, party: Party) -> bool {
        self.0 & Parties::bit(party) != 0
    }
}

/// Goods that a customer can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Good {
    /// The goods of the description.
    AsDescribed,
    /// Anything else.
    Other,
}

/// A paper that a party can show to a judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Paper {
    /// The terms with the digest of the encrypted goods, signed by both sides.
    Contract,
    /// The encrypted goods, with their content. Their digest is in the contract, so nobody can show others.
    Encrypted(Good),
    /// A receipt of whoever decides, with a key for the encrypted goods. `true`: the key opens them.
    Receipt(bool),
    /// An abort of whoever decides.
    Abort,
    /// Whoever keeps the money confirms a payment. It says nothing about goods.
    Paid,
}

/// What a judge says of a purchase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was paid, and this was delivered.
    Delivered(Good),
    /// It was paid, and nothing readable was delivered.
    NotDelivered,
    /// Nothing was sold.
    NoSale,
    /// The papers decide nothing.
    Undecided,
}

/// The money of one party.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holding {
    /// The party.
    pub of: Party,
    /// What it had at the start.
    pub before: i8,
    /// What it has and can use. Money that is held for a purchase counts as its owner's.
    pub now: i8,
}

impl Holding {
    /// The money that it has gained, or lost if negative.
    #[must_use]
    pub const fn gained(&self) -> i8 {
        self.now.saturating_sub(self.before)
    }
}

/// One delivery of goods or a service, and the money for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sale {
    /// Whether the customer's money for it is gone.
    pub given: bool,
    /// Whether the merchant has the money for it.
    pub received: bool,
    /// What the customer can read of it.
    pub readable: Option<Good>,
    /// What the customer would read if they asked for the key. It is at least `readable`.
    pub offered: Option<Good>,
}

impl Sale {
    /// A sale of the goods as described, without a published key: what is not in the customer's hands is not offered.
    #[must_use]
    pub fn direct(given: bool, received: bool, has_goods: bool) -> Sale {
        let readable = has_goods.then_some(Good::AsDescribed);
        Sale {
            given,
            received,
            readable,
            offered: readable,
        }
    }
}

/// What an observer counts in a quiet state.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// All money.
    pub money: Vec<Holding>,
    /// The most that the customer has agreed to pay.
    pub agreed: i8,
    /// Sales. A system without goods has none.
    pub sales: Vec<Sale>,
    /// The customer's papers.
    pub customer_papers: BTreeSet<Paper>,
    /// The merchant's papers.
    pub merchant_papers: BTreeSet<Paper>,
    /// How somebody has learned the customer's identity, or has joined two of the customer's actions.
    pub exposed: Option<&'static str>,
    /// What a party waits for without an end: the party, and the words.
    pub open: Vec<(Party, &'static str)>,
}
