//! What the matrix is made of: the places of a purchase where something can go wrong, and what can.
//!
//! Places are not listed here. They are what a run without faults was seen to pass, so a message or a write that is
//! added to the system is in the matrix with the next run.

mod fault;

pub use fault::Fault;

use farthing_kit::points::{Message, Party, Point};
use farthing_node::card::RoleName;
use farthing_protocol::api::Question;
use farthing_store::probe::{AFTER_OPEN, BEFORE_APPEND};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
};

/// A way that a purchase can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Route {
    /// Coins are withdrawn, and goods are bought with them.
    Bought,
    /// The customer asks for her coins back before the merchant was handed the hold.
    Cancelled,
    /// The merchant's receipt is lost, so the wallet asks the escrow how it ended.
    ReceiptLost,
    /// The escrow's answer to that is lost as well, so the wallet asks the bank.
    BothLost,
    /// Goods are bought on a sealed offer.
    Sealed,
}

impl Route {
    /// Every route.
    pub const ALL: [Route; 5] = [
        Route::Bought,
        Route::Cancelled,
        Route::ReceiptLost,
        Route::BothLost,
        Route::Sealed,
    ];

    /// What it is called.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Route::Bought => "A purchase",
            Route::Cancelled => "A cancelled purchase",
            Route::ReceiptLost => "A purchase whose receipt is lost",
            Route::BothLost => "A purchase whose receipt is lost, and the escrow’s word too",
            Route::Sealed => "A purchase on a sealed offer",
        }
    }

    /// What happens on it before its own places begin.
    #[must_use]
    pub const fn about(self) -> &'static str {
        match self {
            Route::Bought => {
                "Coins are withdrawn, goods are fetched, coins are held, the key is released, and the merchant is paid."
            }
            Route::Cancelled => {
                "The wallet is killed when coins are held and the merchant was not yet told; the customer cancels."
            }
            Route::ReceiptLost => {
                "Everything that the merchant says after the release is lost; the wallet asks the escrow."
            }
            Route::BothLost => "The escrow’s answer to that is lost as well; the wallet asks the bank.",
            Route::Sealed => {
                "The key is in the offer, sealed to the escrow, which commits as soon as the coins are held."
            }
        }
    }
}

/// What happens at a place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum What {
    /// A question is asked, and answered.
    Message {
        /// By whom.
        asker: Party,
        /// Whom, and what.
        message: Message,
    },
    /// Something is made durable.
    Write {
        /// By whom.
        party: Party,
        /// The last that happened to them before: the message that they write because of.
        after: Option<Point>,
    },
}

/// A place where something can go wrong: what happens there, for which time (from 0) on the route.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// On which route.
    pub route: Route,
    /// What happens.
    pub what: What,
    /// How often it has happened before on the route.
    pub nth: usize,
}

/// What people call a party.
#[must_use]
pub fn called(party: Party) -> &'static str {
    match party {
        Party::Wallet => "customer",
        Party::Node(role) => role.as_str(),
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.what {
            What::Message { asker, message } => {
                write!(f, "{} → {}: {}", called(*asker), message.server, message.question)?;
            }
            What::Write { party, after } => {
                write!(f, "{} writes{}", called(*party), why_written(after.as_ref()))?;
            }
        }
        match self.nth {
            0 => Ok(()),
            again => write!(f, " ({})", again + 1),
        }
    }
}

/// What a write comes after.
fn why_written(after: Option<&Point>) -> String {
    match after {
        Some(Point::Asked(message)) => format!(", asked “{}”", message.question),
        Some(Point::BeforeAnswering(message)) => format!(", having answered “{}”", message.question),
        Some(Point::Answered(message)) => format!(" the {}’s “{}”", message.server, message.question),
        Some(Point::Unanswered(message)) => {
            format!(
                ", hearing nothing of “{}” from the {}",
                message.question, message.server
            )
        }
        Some(Point::BeforeAsking(message)) => {
            format!(", asking the {} “{}”", message.server, message.question)
        }
        Some(Point::Store(_)) | None => " at its start".into(),
    }
}

/// One fault at one place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// Where.
    pub place: Place,
    /// What.
    pub fault: Fault,
}

impl Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} / {} / {}",
            self.place.route.title(),
            self.place,
            self.fault.name()
        )
    }
}

/// Keeps count of the places that a run passes.
#[derive(Debug, Default)]
pub struct Tracker {
    counts: BTreeMap<What, usize>,
    after: BTreeMap<Party, Point>,
    /// Who was told last what it asks by itself, and may write that down.
    is_told: BTreeSet<Party>,
}

/// The questions that nodes ask by themselves every now and then: by which bank and escrow compare their journals, and by
/// which a merchant learns of sales on sealed offers. Nobody else asks them.
const BY_THEMSELVES: [Question; 2] = [Question::Witness, Question::Sales];

impl Tracker {
    /// The place that `party` enters at `point`, if it enters one.
    pub fn enters(&mut self, party: Party, point: &Point) -> Option<(What, usize)> {
        // What nodes keep up to date by themselves belongs to no purchase.
        if is_upkeep(party, point) {
            if matches!(point, Point::Answered(message) if is_asked_by_itself(message)) {
                self.is_told.insert(party);
            }
            return None;
        }
        let is_told = self.is_told.remove(&party);
        let what = match point {
            // It remembers how far the other's journal has come, or which sales there were.
            Point::Store(name) if name == BEFORE_APPEND && is_told => return None,
            Point::BeforeAsking(message) => Some(What::Message {
                asker: party,
                message: message.clone(),
            }),
            Point::Store(name) if name == BEFORE_APPEND => Some(self.write_of(party)),
            _ => None,
        };
        if !matches!(point, Point::Store(name) if name != AFTER_OPEN) {
            self.after.insert(party, point.clone());
        }
        let what = what?;
        let count = self.counts.entry(what.clone()).or_default();
        *count += 1;
        Some((what, *count - 1))
    }

    fn write_of(&self, party: Party) -> What {
        What::Write {
            party,
            after: self.after.get(&party).cloned(),
        }
    }

    /// The write that `party` would do next, if it is to do one before anything else happens to it.
    #[must_use]
    pub fn next_write(&self, party: Party) -> (What, usize) {
        let what = self.write_of(party);
        let nth = self.counts.get(&what).copied().unwrap_or_default();
        (what, nth)
    }

    /// From now on everything happens for the first time.
    pub fn begin_again(&mut self) {
        self.counts.clear();
    }
}

/// Whether a node asks this for itself: the list of keys, which it keeps and asks for again every now and then, what its
/// peers remember of its journal, and what was sold on sealed offers.
fn is_upkeep(party: Party, point: &Point) -> bool {
    match point {
        Point::BeforeAsking(message) | Point::Answered(message) | Point::Unanswered(message) => {
            let is_list_of_keys = message.server == RoleName::Bank && message.asks(Question::Keys);
            is_asked_by_itself(message) || (party != Party::Wallet && is_list_of_keys)
        }
        Point::Asked(message) | Point::BeforeAnswering(message) => is_asked_by_itself(message),
        Point::Store(_) => false,
    }
}

fn is_asked_by_itself(message: &Message) -> bool {
    BY_THEMSELVES.iter().any(|question| message.asks(*question))
}

/// The places of all routes, in the order in which they were passed. What a later route has in common with an earlier
/// one is not repeated, unless coins come back on it, where the same message is about other coins.
#[must_use]
pub fn places(passed: &[(Route, Vec<(What, usize)>)]) -> Vec<Place> {
    let mut known: BTreeSet<(What, usize)> = BTreeSet::new();
    let mut places = Vec::new();
    for (route, of_route) in passed {
        for (what, nth) in of_route {
            let new = known.insert((what.clone(), *nth));
            if new || *route == Route::Cancelled {
                places.push(Place {
                    route: *route,
                    what: what.clone(),
                    nth: *nth,
                });
            }
        }
    }
    places
}

/// Every fault at every place.
#[must_use]
pub fn cells(places: &[Place]) -> Vec<Cell> {
    let faults = |place: &Place| match place.what {
        What::Message { .. } => Fault::ON_MESSAGES.as_slice(),
        What::Write { .. } => Fault::ON_WRITES.as_slice(),
    };
    let each = |place: &Place| {
        let place = place.clone();
        faults(&place)
            .iter()
            .map(move |fault| Cell {
                place: place.clone(),
                fault: *fault,
            })
            .collect::<Vec<_>>()
    };
    places.iter().flat_map(each).collect()
}

#[cfg(test)]
mod tests;
