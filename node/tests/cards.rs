//! Every independent vector of a card; see `vectors/README.md`.

#![allow(clippy::expect_used, reason = "a panic is how a test fails")]

use farthing_node::card::Card;
use farthing_vectors::{Check, Claims, Field, check_all};

const CHECKS: &[Check] = &[
    ("parties", "bank", party),
    ("parties", "escrow", party),
    ("parties", "merchant", party),
    ("negatives_protocol", "cards", card),
];

#[test]
fn every_card_agrees() {
    assert_eq!(check_all("v1", "node", CHECKS), 47);
}

fn party(case: Field<'_>, claims: &mut Claims) {
    let card: Card = case.get("card").text().parse().expect("a card");
    claims.equal("text", card.to_string(), case.get("card").text().to_owned());
    claims.bytes("identity", card.identity.0, case);
}

fn card(case: Field<'_>, claims: &mut Claims) {
    let text = case.get("card").text();
    let card = text.parse::<Card>();
    claims.equal(
        "good",
        card.is_ok(),
        case.get("good").0.as_bool().expect("a bool"),
    );
    if let Ok(card) = card {
        claims.equal("text", card.to_string(), text.to_owned());
    }
}
