//! The links on which a wallet can act.

use crate::{gift_uri, gift_uri::GiftUri, pay_uri::PayUri};
use std::str::FromStr;

/// A link on which the wallet can act.
#[derive(Debug, Clone)]
pub enum Link {
    /// A request for a payment, or an account.
    Pay(PayUri),
    /// A gift.
    Gift(GiftUri),
}

impl FromStr for Link {
    type Err = String;

    fn from_str(text: &str) -> Result<Link, String> {
        match text.starts_with(gift_uri::PREFIX) {
            true => text.parse().map(Link::Gift).map_err(|why| format!("{why}")),
            false => text.parse().map(Link::Pay).map_err(|why| format!("{why}")),
        }
    }
}
