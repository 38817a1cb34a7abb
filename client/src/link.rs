//! The links on which a wallet can act.

use crate::{gift_uri, gift_uri::GiftUri, pay_uri, pay_uri::PayUri};
use farthing_node::{card, card::Card, offer_uri, offer_uri::OfferUri};
use std::{fmt::Display, str::FromStr};

/// A link on which the wallet can act.
#[derive(Debug, Clone)]
pub enum Link {
    /// A request for a payment, or an account.
    Pay(PayUri),
    /// A gift.
    Gift(GiftUri),
    /// An item that a merchant sells.
    Offer(OfferUri),
    /// The card of a node.
    Card(Box<Card>),
}

impl FromStr for Link {
    type Err = String;

    fn from_str(text: &str) -> Result<Link, String> {
        let begins = |prefix: &str| text.starts_with(prefix);
        if begins(gift_uri::PREFIX) {
            text.parse().map(Link::Gift).map_err(says)
        } else if begins(offer_uri::PREFIX) {
            text.parse().map(Link::Offer).map_err(says)
        } else if begins(card::PREFIX) {
            text.parse().map(Box::new).map(Link::Card).map_err(says)
        } else if begins(pay_uri::PREFIX) {
            text.parse().map(Link::Pay).map_err(says)
        } else {
            Err(format!(
                "this is no link for a wallet: it begins with none of `{}`, `{}`, `{}` and `{}:`; copy it again",
                pay_uri::PREFIX,
                gift_uri::PREFIX,
                offer_uri::PREFIX,
                card::PREFIX
            ))
        }
    }
}

fn says(why: impl Display) -> String {
    why.to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    #[test]
    fn a_link_is_known_by_its_beginning() {
        let (key, hex) = ("ab".repeat(16), "5a".repeat(32));
        let offer = format!("farthing:offer?merchant={key}&item={hex}&price=4.50");
        assert!(matches!(offer.parse(), Ok(Link::Offer(_))));
        // The error is that of the kind that it begins as.
        for (text, says) in [
            ("farthing:offer?", "offer is damaged"),
            ("farthing:gift?", "gift is damaged"),
            ("farthing:pay?", "payment is damaged"),
            ("farthing-card:", "not a card"),
            ("https://example.com", "no link for a wallet"),
        ] {
            let refused = text.parse::<Link>().unwrap_err();
            assert!(refused.contains(says), "{text}: {refused}");
        }
    }
}
