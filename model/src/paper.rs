//! What Tygar (1996) says of its systems, and where the checker finds something else.

use crate::property::Property;

/// What the paper says of a property of a system, if it speaks of both.
#[must_use]
pub fn says(id: &str, property: Property) -> Option<&'static str> {
    let [money, goods, certified] = match id {
        "chaum" | "digicash" => ["no", "no", "no"],
        "first-virtual" => ["yes", "no: goods without paying", "no"],
        "ssl" | "set" => ["as far as cards are", "not addressed", "no"],
        "netbill" => ["yes", "yes", "yes"],
        "postage" => ["yes, without a central server", "–", "–"],
        _ => return None,
    };
    match property {
        Property::Money => Some(money),
        Property::Goods => Some(goods),
        Property::Certified => Some(certified),
        _ => None,
    }
}

/// Why the checker finds something else than the paper, or decides what the paper leaves open.
#[must_use]
pub fn differs(id: &str, property: Property) -> Option<&'static str> {
    match (id, property) {
        ("ssl" | "set", Property::Goods) => Some(
            "The paper leaves goods out, as the systems do. With goods in the model, the message with them is lost after \
             the charge, and nothing in the system brings it again.",
        ),
        ("postage", Property::Goods) => Some(
            "The paper does not ask. If carrying a letter is the goods, a paper that jams in the printer was paid for and \
             is never carried: the balance goes down first, and nothing prints it again.",
        ),
        ("postage", Property::Certified) => Some(
            "The paper does not ask. It fails with goods atomicity, and no paper proves that a letter was carried.",
        ),
        _ => None,
    }
}
