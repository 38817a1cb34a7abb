//! The URI of a gift: `farthing:gift?bank=..&key=..&amount=..&for=..`. It is money: whoever has it can take what is in it.
//!
//! | part | content |
//! |---|---|
//! | `bank` | the first 16 bytes of the bank's identity key, in lower-case hex |
//! | `key` | the secret key of the reserve, in lower-case hex |
//! | `amount` | the amount with two decimals, as the giver says it |
//! | `for` | optional: the giver's words, percent-encoded |
//!
//! The parts come in this order, and everything else is refused, as in a [request](crate::pay_uri).

use farthing_coin::{PublicKey, SecretKey};
use farthing_node::uri::{self, KeyPrefix, Parts, TEXT_MAX_BYTES, Uri, UriError, check_text, write_encoded};
use farthing_protocol::money::Amount;
use std::{fmt, str::FromStr};

/// What every such URI begins with.
pub const PREFIX: &str = "farthing:gift?";

/// The longest URI (bytes).
pub const URI_MAX_BYTES: usize = PREFIX.len() + 5 + 32 + 5 + 64 + 8 + 21 + 5 + 3 * TEXT_MAX_BYTES;

farthing_coin::secret32! {
    /// The secret key of a gift's reserve. It is the encoding of a scalar.
    GiftSecret
}

impl GiftSecret {
    /// The key, if the bytes are one.
    #[must_use]
    pub fn key(&self) -> Option<SecretKey> {
        SecretKey::from_bytes(self.as_bytes()).ok()
    }
}

/// A gift as it is handed over. Its text is the money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GiftUri {
    /// The bank that has the money.
    pub bank: KeyPrefix,
    /// The secret key of the reserve.
    pub secret: GiftSecret,
    /// The amount, as the giver says it. The bank knows what is there.
    pub amount: Amount,
    /// The giver's words. Empty without any.
    pub text: String,
}

impl GiftUri {
    /// A gift at this bank, in the reserve of `key`.
    ///
    /// # Errors
    /// When the text is too long or has control characters.
    pub fn new(bank: PublicKey, key: &SecretKey, amount: Amount, text: &str) -> Result<GiftUri, UriError> {
        check_text(text)?;
        Ok(GiftUri {
            bank: KeyPrefix::of(&bank),
            secret: GiftSecret::from_bytes(*key.to_bytes()),
            amount,
            text: text.to_owned(),
        })
    }
}

impl fmt::Display for GiftUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = hex::encode(self.secret.as_bytes());
        write!(f, "{PREFIX}bank={}&key={key}&amount={}", self.bank, self.amount)?;
        if !self.text.is_empty() {
            f.write_str("&for=")?;
            write_encoded(&self.text, f)?;
        }
        Ok(())
    }
}

impl Uri for GiftUri {
    const NAME: &'static str = "gift";
    const PREFIX: &'static str = PREFIX;
    const MAX_BYTES: usize = URI_MAX_BYTES;

    fn read_parts(parts: &mut Parts<'_>) -> Result<GiftUri, UriError> {
        let bank = KeyPrefix::from_bytes(parts.bytes("bank")?);
        let secret = GiftSecret::from_bytes(parts.bytes("key")?);
        if secret.key().is_none() {
            return Err(parts.damaged("key"));
        }
        Ok(GiftUri {
            bank,
            secret,
            amount: parts.amount("amount")?.ok_or(parts.damaged("amount"))?,
            text: parts.text("for", "text")?,
        })
    }
}

impl FromStr for GiftUri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<GiftUri, UriError> {
        uri::read(text)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;
    use proptest::prelude::*;

    fn key() -> SecretKey {
        SecretKey::from_bytes(&[7; 32]).unwrap()
    }

    #[test]
    fn a_gift_has_one_form_and_its_secret_is_not_printed_by_accident() {
        let made = GiftUri::new(PublicKey([0xab; 32]), &key(), Amount(500), "for you").unwrap();
        let text = format!(
            "{PREFIX}bank={}&key={}&amount=5.00&for=for%20you",
            "ab".repeat(16),
            "07".repeat(32)
        );
        assert_eq!(made.to_string(), text);
        assert_eq!(text.parse(), Ok(made.clone()));
        assert!(!format!("{made:?}").contains("0707"));
        for (from, to, says) in [
            ("&amount=5.00", "", "amount"),
            ("&amount=5.00", "&amount=5", "end"),
            ("&for=", "&note=", "end"),
            ("%20", "%0A", "control"),
            ("%20", "%2", "text"),
            ("bank=ab", "bank=AB", "end"),
            ("key=07", "to=07", "key"),
            ("gift?", "pay?", "begin"),
        ] {
            let other = text.replacen(from, to, 1);
            let refused = other.parse::<GiftUri>().unwrap_err().to_string();
            assert!(refused.contains(says), "{other}: {refused}");
        }
        let name = GiftUri::NAME;
        let damaged = UriError::Part { name, part: "key" };
        let no_key = text.replace(&"07".repeat(32), &"ff".repeat(32));
        assert_eq!(no_key.parse::<GiftUri>(), Err(damaged));
        let zero = text.replace(&"07".repeat(32), &"00".repeat(32));
        assert_eq!(zero.parse::<GiftUri>(), Err(damaged));
    }

    #[test]
    fn the_longest_gift_has_the_greatest_length() {
        let text = "\u{e9}".repeat(TEXT_MAX_BYTES / 2);
        let longest = GiftUri::new(PublicKey([1; 32]), &key(), Amount(u64::MAX), &text).unwrap();
        let longest = longest.to_string();
        assert_eq!(longest.len(), URI_MAX_BYTES);
        assert!(longest.parse::<GiftUri>().is_ok());
        let longer = format!("{longest}a");
        assert!(matches!(longer.parse::<GiftUri>(), Err(UriError::TooLong { .. })));
    }

    proptest! {
        #[test]
        fn every_gift_is_read_as_it_was_written(
            bank in any::<[u8; 32]>(),
            amount in any::<u64>(),
            text in "\\PC{0,30}",
        ) {
            let made = GiftUri::new(PublicKey(bank), &key(), Amount(amount), &text).unwrap();
            prop_assert_eq!(made.to_string().parse::<GiftUri>().unwrap(), made);
        }

        #[test]
        fn no_text_panics_and_what_is_read_is_canonical(text in "(farthing:gift\\?bank=[0-9a-f]{32}&key=0[0-9a-f]{63})?(&amount=[0-9]{1,3}.[0-9]{2})?[&=a-z0-9.%]{0,40}") {
            if let Ok(uri) = text.parse::<GiftUri>() {
                prop_assert_eq!(uri.to_string(), text);
            }
        }
    }
}
