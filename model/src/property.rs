//! The definitions. Each is a function of a quiet state's [`Facts`] and of the parties that follow the protocol.
//! It returns why the property does not hold.
//!
//! `docs/ATOMICITY.md` has the same definitions in words. The claims of a party that has stopped, or that cheats, count
//! for nothing: only honest parties can lose something.

use crate::facts::{Facts, Paper, Parties, Party, Verdict};
use std::collections::BTreeSet;

/// A property of a system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Property {
    /// [`money`].
    Money,
    /// [`consent`].
    Consent,
    /// [`goods`].
    Goods,
    /// [`evidence`].
    Evidence,
    /// [`certified`].
    Certified,
    /// [`anonymity`].
    Anonymity,
    /// [`progress`].
    Progress,
}

impl Property {
    /// All properties, in the order of the table.
    pub const ALL: [Property; 7] = [
        Property::Money,
        Property::Consent,
        Property::Goods,
        Property::Evidence,
        Property::Certified,
        Property::Anonymity,
        Property::Progress,
    ];

    /// The name, which is also its name for the checker.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Property::Money => "money atomicity",
            Property::Consent => "consent",
            Property::Goods => "goods atomicity",
            Property::Evidence => "evidence",
            Property::Certified => "certified delivery",
            Property::Anonymity => "anonymity",
            Property::Progress => "progress",
        }
    }

    /// The definition in one sentence.
    #[must_use]
    pub const fn definition(self) -> &'static str {
        match self {
            Property::Money => {
                "In every quiet state no money was made, and no honest party has lost money that another party has not \
                 received."
            }
            Property::Consent => {
                "In every quiet state no honest customer has lost more than they agreed to pay, and no other honest \
                 party has lost anything."
            }
            Property::Goods => {
                "Money atomicity. And in every quiet state an honest customer whose money is gone can read the goods, \
                 and an honest merchant was paid for the goods that a customer can read."
            }
            Property::Evidence => {
                "In every quiet state a judge finds from the papers of each honest side what was delivered for the \
                 money, whatever papers the other side shows or hides."
            }
            Property::Certified => "Goods atomicity and evidence.",
            Property::Anonymity => {
                "No step that an honest customer takes, in a recovery or otherwise, shows who they are to whoever sees \
                 the payment, or joins two of their actions."
            }
            Property::Progress => {
                "From every state, if faults cease, the honest parties come to a quiet state in which none of them \
                 waits for anything. What is decided waits for no deadline, and what nobody gives up is not refused."
            }
        }
    }

    pub(crate) const fn bit(self) -> u8 {
        match self {
            Property::Money => 1,
            Property::Consent => 2,
            Property::Goods => 4,
            Property::Evidence => 8,
            Property::Certified => 16,
            Property::Anonymity => 32,
            Property::Progress => 64,
        }
    }

    /// Why the property does not hold in a quiet state, if it does not. `judge` reads papers.
    #[must_use]
    pub fn broken(self, facts: &Facts, honest: Parties, judge: Judge<'_>) -> Option<String> {
        match self {
            Property::Money => money(facts, honest),
            Property::Consent => consent(facts, honest),
            Property::Goods => goods(facts, honest),
            Property::Evidence => evidence(facts, honest, judge),
            Property::Certified => certified(facts, honest, judge),
            Property::Anonymity => anonymity(facts, honest),
            Property::Progress => progress(facts, honest),
        }
    }
}

/// Reads the papers that both sides show.
pub type Judge<'j> = &'j dyn Fn(&BTreeSet<Paper>) -> Verdict;

/// Money atomicity.
#[must_use]
pub fn money(facts: &Facts, honest: Parties) -> Option<String> {
    let sum: i8 = facts.money.iter().map(|holding| holding.gained()).sum();
    if sum > 0 {
        return Some(format!("{sum} was made from nothing"));
    }
    let loser = facts.money.iter().find(|it| it.gained() < 0 && honest.has(it.of));
    match loser {
        Some(_) if sum < 0 => Some(format!("{} is lost: nobody can use it", -sum)),
        _ => None,
    }
}

/// No theft: nobody honest pays more than they agreed to.
#[must_use]
pub fn consent(facts: &Facts, honest: Parties) -> Option<String> {
    let taken = |party: Party, may: i8| {
        let gained: i8 = facts
            .money
            .iter()
            .filter(|it| it.of == party)
            .map(|it| it.gained())
            .sum();
        (honest.has(party) && gained.saturating_add(may) < 0).then_some((party, -gained, may))
    };
    let others = [Party::Merchant, Party::Bank, Party::Third];
    let taken =
        taken(Party::Customer, facts.agreed).or_else(|| others.into_iter().find_map(|it| taken(it, 0)));
    taken.map(|(party, lost, may)| {
        let who = format!("{party:?}").to_lowercase();
        format!("the {who} has lost {lost}, and agreed to {may}")
    })
}

/// Goods atomicity.
#[must_use]
pub fn goods(facts: &Facts, honest: Parties) -> Option<String> {
    let broken = money(facts, honest);
    broken.or_else(|| {
        facts.sales.iter().find_map(|sale| {
            if honest.has(Party::Customer) && sale.given && sale.readable.is_none() {
                return Some("the customer’s money is gone, and they cannot read the goods".to_owned());
            }
            let unpaid = honest.has(Party::Merchant) && !sale.received && sale.readable.is_some();
            unpaid.then(|| "the customer has the goods, and the merchant was not paid".to_owned())
        })
    })
}

/// What a judge should find: the truth of a sale.
fn truth(given: bool, readable: Option<crate::facts::Good>) -> Verdict {
    match (given, readable) {
        (true, Some(good)) => Verdict::Delivered(good),
        (true, None) => Verdict::NotDelivered,
        (false, _) => Verdict::NoSale,
    }
}

/// The judge finds the truth from the papers of each honest side.
#[must_use]
pub fn evidence(facts: &Facts, honest: Parties, judge: Judge<'_>) -> Option<String> {
    let sale = facts.sales.first()?;
    let sides = [
        (Party::Customer, &facts.customer_papers, &facts.merchant_papers),
        (Party::Merchant, &facts.merchant_papers, &facts.customer_papers),
    ];
    for (side, own, other) in sides {
        if !honest.has(side) {
            continue;
        }
        let moved = match side {
            Party::Merchant => sale.received,
            _ => sale.given,
        };
        let delivered = if side == Party::Merchant {
            sale.offered
        } else {
            sale.readable
        };
        let truth = truth(moved, delivered);
        for shown in subsets(other) {
            let papers: BTreeSet<Paper> = own.union(&shown).copied().collect();
            let verdict = judge(&papers);
            let no_accusation = !moved && verdict == Verdict::Undecided;
            if verdict != truth && !no_accusation {
                let who = if side == Party::Merchant {
                    "merchant"
                } else {
                    "customer"
                };
                return Some(format!(
                    "the {who} is honest, the truth is {truth:?}, and the judge says {verdict:?} from {papers:?}"
                ));
            }
        }
    }
    None
}

/// Every subset. There are at most five papers.
fn subsets(papers: &BTreeSet<Paper>) -> Vec<BTreeSet<Paper>> {
    papers.iter().fold(vec![BTreeSet::new()], |mut all, paper| {
        let with: Vec<BTreeSet<Paper>> = all
            .iter()
            .map(|set| set.iter().copied().chain([*paper]).collect())
            .collect();
        all.extend(with);
        all
    })
}

/// Certified delivery.
#[must_use]
pub fn certified(facts: &Facts, honest: Parties, judge: Judge<'_>) -> Option<String> {
    goods(facts, honest).or_else(|| evidence(facts, honest, judge))
}

/// Anonymity under failure.
#[must_use]
pub fn anonymity(facts: &Facts, honest: Parties) -> Option<String> {
    facts
        .exposed
        .filter(|_| honest.has(Party::Customer))
        .map(str::to_owned)
}

/// Progress, in a quiet state. Whether a quiet state is reached is found by the healing itself.
#[must_use]
pub fn progress(facts: &Facts, honest: Parties) -> Option<String> {
    let waits = facts.open.iter().find(|(party, _)| honest.has(*party));
    waits.map(|(_, words)| (*words).to_owned())
}
