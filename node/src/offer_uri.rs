//! The URI of an item that a merchant sells: `farthing:offer?merchant=..&item=..&price=..&title=..`
//!
//! | part | content |
//! |---|---|
//! | `merchant` | the first 16 bytes of the merchant's identity key, in lower-case hex |
//! | `item` | the item's id, in lower-case hex |
//! | `price` | the price with two decimals, when the link was made. A wallet pays no more |
//! | `title` | optional: the title, percent-encoded, or as much of it as [`TEXT_MAX_BYTES`] have room for |
//!
//! The parts come in this order. A text has one encoding only, and everything else is refused. Nobody vouches for the
//! title: the merchant signs its offer when a wallet asks for it.
//!
//! ```
//! use farthing_node::offer_uri::OfferUri;
//!
//! let item = "5a".repeat(32);
//! let text = format!("farthing:offer?merchant=000102030405060708090a0b0c0d0e0f&item={item}&price=4.50&title=A%20song");
//! let uri: OfferUri = text.parse()?;
//! assert_eq!(uri.title, "A song");
//! assert_eq!(uri.to_string(), text);
//! # Ok::<(), farthing_node::uri::UriError>(())
//! ```

use crate::uri::{self, KeyPrefix, Parts, TEXT_MAX_BYTES, Uri, UriError, write_encoded};
use farthing_coin::PublicKey;
use farthing_protocol::{ids::ItemId, money::Amount};
use std::{fmt, str::FromStr};

/// What every such URI begins with.
pub const PREFIX: &str = "farthing:offer?";

/// The longest URI (bytes): every byte of the title is percent-encoded.
pub const URI_MAX_BYTES: usize = PREFIX.len() + 9 + 32 + 6 + 64 + 7 + 21 + 7 + 3 * TEXT_MAX_BYTES;

/// An item of a merchant, for a wallet to buy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferUri {
    /// The merchant.
    pub merchant: KeyPrefix,
    /// The item.
    pub item: ItemId,
    /// The price when the link was made.
    pub price: Amount,
    /// The title, or its beginning. Empty without one.
    pub title: String,
}

impl OfferUri {
    /// An item of this merchant. A title that is too long is cut, and its control characters are left out.
    #[must_use]
    pub fn new(merchant: &PublicKey, item: ItemId, price: Amount, title: &str) -> OfferUri {
        let mut kept = String::new();
        for c in title.chars().filter(|c| !c.is_control()) {
            if kept.len().saturating_add(c.len_utf8()) > TEXT_MAX_BYTES {
                break;
            }
            kept.push(c);
        }
        OfferUri {
            merchant: KeyPrefix::of(merchant),
            item,
            price,
            title: kept,
        }
    }
}

impl fmt::Display for OfferUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (merchant, item) = (self.merchant, hex::encode(self.item.0));
        write!(f, "{PREFIX}merchant={merchant}&item={item}&price={}", self.price)?;
        if !self.title.is_empty() {
            f.write_str("&title=")?;
            write_encoded(&self.title, f)?;
        }
        Ok(())
    }
}

impl Uri for OfferUri {
    const NAME: &'static str = "offer";
    const PREFIX: &'static str = PREFIX;
    const MAX_BYTES: usize = URI_MAX_BYTES;

    fn read_parts(parts: &mut Parts<'_>) -> Result<OfferUri, UriError> {
        Ok(OfferUri {
            merchant: KeyPrefix::from_bytes(parts.bytes("merchant")?),
            item: ItemId(parts.bytes("item")?),
            price: parts.amount("price")?.ok_or(parts.damaged("price"))?,
            title: parts.text("title", "title")?,
        })
    }
}

impl FromStr for OfferUri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<OfferUri, UriError> {
        uri::read(text)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;
    use proptest::prelude::*;

    fn made(price: u64, title: &str) -> OfferUri {
        OfferUri::new(&PublicKey([0xab; 32]), ItemId([0x5a; 32]), Amount(price), title)
    }

    #[test]
    fn an_offer_has_one_form() {
        let text = format!(
            "{PREFIX}merchant={}&item={}&price=4.50&title=A%20song",
            "ab".repeat(16),
            "5a".repeat(32)
        );
        assert_eq!(made(450, "A song").to_string(), text);
        assert_eq!(text.parse(), Ok(made(450, "A song")));
        for (from, to, says) in [
            ("&price=4.50", "", "price"),
            ("&price=4.50", "&price=4.5", "end"),
            ("&price=4.50", "&amount=4.50", "price"),
            ("&title=", "&name=", "end"),
            ("%20", " ", "end"),
            ("%20", "%0A", "control"),
            ("%20", "%2", "title"),
            ("merchant=ab", "merchant=AB", "end"),
            ("item=5a", "item=5", "item"),
            ("offer?", "pay?", "begin"),
        ] {
            let other = text.replacen(from, to, 1);
            let refused = other.parse::<OfferUri>().unwrap_err().to_string();
            assert!(refused.contains(says), "{other}: {refused}");
        }
    }

    #[test]
    fn a_long_title_is_cut_and_the_longest_offer_has_the_greatest_length() {
        let title = "\u{e9}".repeat(TEXT_MAX_BYTES);
        let longest = made(u64::MAX, &title).to_string();
        assert_eq!(longest.len(), URI_MAX_BYTES);
        assert!(longest.parse::<OfferUri>().is_ok());
        let longer = format!("{longest}a");
        assert!(matches!(
            longer.parse::<OfferUri>(),
            Err(UriError::TooLong { .. })
        ));
        assert_eq!(made(1, "a\nb").title, "ab");
    }

    proptest! {
        #[test]
        fn every_offer_is_read_as_it_was_written(price in any::<u64>(), title in "\\PC{0,60}") {
            let made = made(price, &title);
            prop_assert_eq!(made.to_string().parse::<OfferUri>().unwrap(), made);
        }

        #[test]
        fn no_text_panics_and_what_is_read_is_canonical(text in "(farthing:offer\\?merchant=[0-9a-f]{32}&item=[0-9a-f]{64})?(&price=[0-9]{1,3}.[0-9]{2})?[&=a-z0-9.%]{0,40}") {
            if let Ok(uri) = text.parse::<OfferUri>() {
                prop_assert_eq!(uri.to_string(), text);
            }
        }
    }
}
