//! The places of the matrix, and their names.

use super::*;

fn message(server: RoleName, question: &str) -> Message {
    Message {
        server,
        question: question.into(),
    }
}

fn before_append() -> Point {
    Point::Store(BEFORE_APPEND.into())
}

#[test]
fn a_write_is_named_by_the_message_before_it_and_counted() {
    let bank = Party::Node(RoleName::Bank);
    let asked = Point::Asked(message(RoleName::Bank, "hold"));
    let mut tracker = Tracker::default();
    assert_eq!(tracker.enters(bank, &asked), None);
    let next = tracker.next_write(bank);
    let first = tracker.enters(bank, &before_append()).unwrap();
    assert_eq!(first, next);
    let (what, again) = tracker.enters(bank, &before_append()).unwrap();
    assert_eq!((&what, first.1, again), (&first.0, 0, 1));
    let place = Place {
        route: Route::Bought,
        what,
        nth: again,
    };
    assert_eq!(place.to_string(), "bank writes, asked “hold” (2)");
}

#[test]
fn a_nodes_upkeep_is_no_place() {
    let mut tracker = Tracker::default();
    let keys = Point::BeforeAsking(message(RoleName::Bank, "list of keys"));
    assert_eq!(tracker.enters(Party::Node(RoleName::Merchant), &keys), None);
    assert!(tracker.enters(Party::Wallet, &keys).is_some());

    let (bank, witness) = (Party::Node(RoleName::Bank), message(RoleName::Escrow, "witness"));
    assert_eq!(tracker.enters(bank, &Point::BeforeAsking(witness.clone())), None);
    assert_eq!(tracker.enters(bank, &Point::Answered(witness.clone())), None);
    assert_eq!(tracker.enters(bank, &before_append()), None);
    let written = tracker.enters(bank, &before_append());
    assert!(written.is_some(), "one write belongs to one answer");
    let asked = Point::Asked(message(RoleName::Bank, "hold"));
    assert_eq!(tracker.enters(bank, &Point::Answered(witness)), None);
    assert_eq!(tracker.enters(bank, &asked), None);
    assert!(tracker.enters(bank, &before_append()).is_some());
}

#[test]
fn a_place_is_repeated_only_on_a_route_on_which_other_money_moves() {
    let settle = What::Message {
        asker: Party::Node(RoleName::Escrow),
        message: message(RoleName::Bank, "settle"),
    };
    let passed = Route::ALL.map(|route| (route, vec![(settle.clone(), 0)]));
    let places = places(&passed);
    let routes: Vec<Route> = places.iter().map(|place| place.route).collect();
    assert_eq!(
        routes,
        [Route::Bought, Route::Cancelled, Route::Sent, Route::Refunded]
    );
    assert_eq!(cells(&places).len(), 4 * Fault::ON_MESSAGES.len());
}
