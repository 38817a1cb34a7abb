//! The fault matrix: the places of a purchase, and the faults that can happen there.
//!
//! No list of places exists in the code. A run without faults shows them. So a new message or write is in the matrix
//! with the next run.

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

/// A course that a purchase can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Route {
    /// Coins are withdrawn, and goods are bought.
    Bought,
    /// The customer cancels before the merchant has the hold.
    Cancelled,
    /// The merchant's receipt is lost, so the wallet asks the escrow for the outcome.
    ReceiptLost,
    /// The escrow's answer to this question is lost too, so the wallet asks the bank.
    BothLost,
    /// Goods are bought on a sealed offer.
    Sealed,
    /// Goods are bought at a price that no coins of the customer are worth.
    Changed,
    /// A stream is watched in part.
    Streamed,
    /// Coins are paid back into the customer's account.
    Redeemed,
    /// Coins are paid to another person, who is not there.
    Sent,
    /// The merchant gives the price of a purchase back.
    Refunded,
}

impl Route {
    /// Every route.
    pub const ALL: [Route; 10] = [
        Route::Bought,
        Route::Cancelled,
        Route::ReceiptLost,
        Route::BothLost,
        Route::Sealed,
        Route::Changed,
        Route::Streamed,
        Route::Redeemed,
        Route::Sent,
        Route::Refunded,
    ];

    /// The name of the route.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Route::Bought => "A purchase",
            Route::Cancelled => "A cancelled purchase",
            Route::ReceiptLost => "A purchase whose receipt is lost",
            Route::BothLost => "A purchase whose receipt is lost, and the escrow’s word too",
            Route::Sealed => "A purchase on a sealed offer",
            Route::Changed => "A purchase with change",
            Route::Streamed => "A stream, watched in part",
            Route::Redeemed => "Coins paid back into the account",
            Route::Sent => "A payment to another person",
            Route::Refunded => "A refund of a purchase",
        }
    }

    /// A description of the route.
    #[must_use]
    pub const fn about(self) -> &'static str {
        match self {
            Route::Bought => {
                "Coins are withdrawn, goods are fetched, coins are held, the key is released, and the merchant is paid."
            }
            Route::Cancelled => {
                "The wallet is killed when coins are held and the merchant does not have the hold; the customer cancels."
            }
            Route::ReceiptLost => {
                "All answers of the merchant after the release are lost; the wallet asks the escrow."
            }
            Route::BothLost => "The merchant’s and the escrow’s answers are lost; the wallet asks the bank.",
            Route::Sealed => {
                "The key is in the offer, sealed to the escrow, which commits as soon as the coins are held."
            }
            Route::Changed => {
                "The coins are worth more than the price; the wallet withdraws the change from the purchase’s reserve."
            }
            Route::Streamed => {
                "The whole price is held; the customer pays for two of four pieces, one by one, and ends the stream."
            }
            Route::Redeemed => {
                "Coins are withdrawn, and the customer pays some of them back into the account."
            }
            Route::Sent => "The payee has requested the payment, and collects it at the end.",
            Route::Refunded => {
                "The merchant’s operator types the refund when the bank has credited the sale; nobody knows the customer."
            }
        }
    }

    /// Whether other money moves on it than on the routes before it, with the same messages.
    const fn moves_other_money(self) -> bool {
        matches!(self, Route::Cancelled | Route::Sent | Route::Refunded)
    }
}

/// The kind of a place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum What {
    /// A question is asked, and answered.
    Message {
        /// The party that asks.
        asker: Party,
        /// The server and the question.
        message: Message,
    },
    /// Something is made durable.
    Write {
        /// The party that writes.
        party: Party,
        /// The party's previous point: the message that causes the write.
        after: Option<Point>,
    },
}

/// A place of a route where a fault can happen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The route.
    pub route: Route,
    /// The kind of the place.
    pub what: What,
    /// How often the same has happened before on the route.
    pub nth: usize,
}

/// The name of a party.
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

/// The cause of a write, in words.
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
    /// The place.
    pub place: Place,
    /// The fault.
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

/// Counts the places that a run passes.
#[derive(Debug, Default)]
pub struct Tracker {
    counts: BTreeMap<What, usize>,
    after: BTreeMap<Party, Point>,
    /// The parties whose last answer was to an upkeep question, and whose next write stores it.
    is_told: BTreeSet<Party>,
}

/// The questions that nodes ask regularly: bank and escrow compare their journals, and a merchant learns of sales on
/// sealed offers. Only nodes ask them.
const UPKEEP: [Question; 2] = [Question::Witness, Question::Sales];

impl Tracker {
    /// The place that `party` enters at `point`, if any.
    pub fn enters(&mut self, party: Party, point: &Point) -> Option<(What, usize)> {
        // A node's upkeep belongs to no purchase.
        if is_upkeep(party, point) {
            if matches!(point, Point::Answered(message) if is_asked_by_itself(message)) {
                self.is_told.insert(party);
            }
            return None;
        }
        let is_told = self.is_told.remove(&party);
        let what = match point {
            // The node stores the head of the other journal, or the sales.
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

    /// The write of `party`, if its next point is a write.
    #[must_use]
    pub fn next_write(&self, party: Party) -> (What, usize) {
        let what = self.write_of(party);
        let nth = self.counts.get(&what).copied().unwrap_or_default();
        (what, nth)
    }

    /// Resets the counts.
    pub fn begin_again(&mut self) {
        self.counts.clear();
    }
}

/// Whether a point belongs to a node's upkeep: to its regular questions for key lists, for its peers' memory of its
/// journal, and for sales on sealed offers.
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
    UPKEEP.iter().any(|question| message.asks(*question))
}

/// The places of all routes, in the order in which they were passed.
///
/// A place that an earlier route has too is not repeated. Exceptions: where coins come back, where another person is paid,
/// and at a refund, the same message or write is about other money.
#[must_use]
pub fn places(passed: &[(Route, Vec<(What, usize)>)]) -> Vec<Place> {
    let mut known: BTreeSet<(What, usize)> = BTreeSet::new();
    let mut places = Vec::new();
    for (route, of_route) in passed {
        for (what, nth) in of_route {
            let new = known.insert((what.clone(), *nth));
            if new || route.moves_other_money() {
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
