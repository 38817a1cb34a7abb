//! The URI of a payment, to a reserve or to an account.
//!
//! - A request for one payment: `farthing:pay?bank=..&to=..&amount=..&for=..`
//! - An account, for example of a charity: `farthing:pay?bank=..&account=..&amount=..&name=..`
//!
//! | part | content |
//! |---|---|
//! | `bank` | the first 16 bytes of the bank's identity key, in lower-case hex |
//! | `to`, or `account` | the key of the reserve, or of the account, in lower-case hex |
//! | `amount` | optional: the amount with two decimals |
//! | `for`, or `name` | optional: what the payment is for, or the name of the account's owner, percent-encoded |
//!
//! The parts come in this order. A text has one encoding only, and everything else is refused. Nobody vouches for the name.
//!
//! ```
//! use farthing_node::pay_uri::PayUri;
//!
//! let text = "farthing:pay?bank=000102030405060708090a0b0c0d0e0f\
//!     &to=e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76&amount=5.00&for=two%20coffees";
//! let uri: PayUri = text.parse()?;
//! assert_eq!(uri.text, "two coffees");
//! assert_eq!(uri.to_string(), text);
//! # Ok::<(), farthing_node::uri::UriError>(())
//! ```

use crate::uri::{
    self, KeyPrefix, Parts, TEXT_MAX_BYTES, Uri, UriError, bytes_of, check_text, write_encoded,
};
use farthing_coin::PublicKey;
use farthing_protocol::{deposited::Payee, money::Amount};
use std::{fmt, str::FromStr};

/// What every such URI begins with.
pub const PREFIX: &str = "farthing:pay?";

/// The longest URI (bytes): of an account, and every byte of the name is percent-encoded.
pub const URI_MAX_BYTES: usize = PREFIX.len() + 5 + 32 + 9 + 64 + 8 + 21 + 6 + 3 * TEXT_MAX_BYTES;

/// A request for a payment, or an account that can be paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayUri {
    /// The bank at which the payee wants the money.
    pub bank: KeyPrefix,
    /// The reserve or the account to credit.
    pub to: Payee,
    /// The amount. Without it the payer chooses.
    pub amount: Option<Amount>,
    /// What the payment is for, if it goes to a reserve. The name of the owner, if it goes to an account. Empty without one.
    pub text: String,
}

impl PayUri {
    /// A request for a payment to this payee.
    ///
    /// # Errors
    /// When the text is too long or has control characters.
    pub fn new(bank: PublicKey, to: Payee, amount: Option<Amount>, text: &str) -> Result<PayUri, UriError> {
        check_text(text)?;
        Ok(PayUri {
            bank: KeyPrefix::of(&bank),
            to,
            amount,
            text: text.to_owned(),
        })
    }
}

impl fmt::Display for PayUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (payee, key, words) = match self.to {
            Payee::Reserve(key) => ("to", key, "for"),
            Payee::Account(key) => ("account", key, "name"),
        };
        write!(f, "{PREFIX}bank={}&{payee}={}", self.bank, hex::encode(key.0))?;
        if let Some(amount) = self.amount {
            write!(f, "&amount={amount}")?;
        }
        if !self.text.is_empty() {
            write!(f, "&{words}=")?;
            write_encoded(&self.text, f)?;
        }
        Ok(())
    }
}

impl Uri for PayUri {
    const NAME: &'static str = "request for a payment";
    const PREFIX: &'static str = PREFIX;
    const MAX_BYTES: usize = URI_MAX_BYTES;

    fn read_parts(parts: &mut Parts<'_>) -> Result<PayUri, UriError> {
        let bank = KeyPrefix::from_bytes(parts.bytes("bank")?);
        let account = parts.next("account");
        let key = bytes_of(account.or_else(|| parts.next("to")));
        let key = PublicKey(key.ok_or(parts.damaged("payee"))?);
        let (to, words) = match account {
            Some(_) => (Payee::Account(key), "name"),
            None => (Payee::Reserve(key), "for"),
        };
        let amount = parts.amount("amount")?;
        let text = parts.text(words, "text")?;
        if !key.is_valid() {
            return Err(UriError::NoKey(Self::NAME));
        }
        Ok(PayUri {
            bank,
            to,
            amount,
            text,
        })
    }
}

impl FromStr for PayUri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<PayUri, UriError> {
        uri::read(text)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;
    use proptest::prelude::*;

    /// The base point of the group.
    const KEY: &str = "e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76";

    fn key() -> PublicKey {
        PublicKey(hex::decode(KEY).unwrap().try_into().unwrap())
    }

    fn uri(rest: &str) -> String {
        format!("{PREFIX}bank={}&to={KEY}{rest}", "ab".repeat(16))
    }

    fn damaged(part: &'static str) -> UriError {
        let name = PayUri::NAME;
        UriError::Part { name, part }
    }

    fn reserve() -> Payee {
        Payee::Reserve(key())
    }

    fn account() -> Payee {
        Payee::Account(key())
    }

    #[test]
    fn a_request_has_one_form() {
        let bank = PublicKey([0xab; 32]);
        let made = PayUri::new(bank, reserve(), Some(Amount(500)), "Kaffee & Kuchen für 2").unwrap();
        let text = uri("&amount=5.00&for=Kaffee%20%26%20Kuchen%20f%C3%BCr%202");
        assert_eq!(made.to_string(), text);
        assert_eq!(text.parse(), Ok(made));
        assert_eq!(uri("").parse(), PayUri::new(bank, reserve(), None, ""));
        for (rest, says) in [
            ("&amount=5", "end"),
            ("&amount=05.00", "end"),
            ("&amount=-1", "amount"),
            ("&for=a&amount=5.00", "end"),
            ("&amount=5.00&amount=5.00", "end"),
            ("&for=", "end"),
            ("&for=a b", "end"),
            ("&name=a", "end"),
            ("&account=", "end"),
            ("&for=%6a", "end"),
            ("&for=%c3%bc", "end"),
            ("&for=%C3", "text"),
            ("&for=%C", "text"),
            ("&for=%", "text"),
            ("&for=%+1", "text"),
            ("&for=a%0A", "control"),
            ("&x=1", "end"),
            ("&", "end"),
            ("\n", "damaged"),
        ] {
            let refused = uri(rest).parse::<PayUri>().unwrap_err().to_string();
            assert!(refused.contains(says), "{rest}: {refused}");
        }
        let upper = uri("").replace("ab", "AB");
        assert_eq!(upper.parse::<PayUri>(), Err(damaged("end")));
        assert!(matches!(
            "http:pay?".parse::<PayUri>(),
            Err(UriError::Prefix { .. })
        ));
        let no_payee = format!("{PREFIX}bank={}", "ab".repeat(16));
        assert_eq!(no_payee.parse::<PayUri>(), Err(damaged("payee")));
        let no_key = uri("").replace(KEY, &"ff".repeat(32));
        assert_eq!(no_key.parse::<PayUri>(), Err(UriError::NoKey(PayUri::NAME)));
        let too_long = uri(&"&".repeat(URI_MAX_BYTES)).parse::<PayUri>();
        assert!(matches!(too_long, Err(UriError::TooLong { .. })));
    }

    #[test]
    fn an_account_has_a_name_in_place_of_a_text() {
        let bank = PublicKey([0xab; 32]);
        let made = PayUri::new(bank, account(), None, "Red Cross").unwrap();
        let text = format!("{PREFIX}bank={}&account={KEY}&name=Red%20Cross", "ab".repeat(16));
        assert_eq!(made.to_string(), text);
        assert_eq!(text.parse(), Ok(made));
        // The payee and the label of the text belong together, and there is one payee.
        for other in [
            text.replace("account=", "to="),
            text.replace("name=", "for="),
            text.replace("&name", &format!("&to={KEY}&name")),
            text.replace("&account", &format!("&to={KEY}&account")),
        ] {
            assert_eq!(other.parse::<PayUri>(), Err(damaged("end")), "{other}");
        }
    }

    #[test]
    fn the_longest_request_has_the_greatest_length() {
        let text = "\u{e9}".repeat(TEXT_MAX_BYTES / 2);
        let longest = PayUri::new(key(), account(), Some(Amount(u64::MAX)), &text).unwrap();
        let longest = longest.to_string();
        assert_eq!(longest.len(), URI_MAX_BYTES);
        assert!(longest.parse::<PayUri>().is_ok());
        let longer = format!("{text}x");
        assert_eq!(PayUri::new(key(), reserve(), None, &longer), Err(UriError::Text));
    }

    proptest! {
        #[test]
        fn every_request_is_read_as_it_was_written(
            bank in any::<[u8; 32]>(),
            to in prop::sample::select(vec![reserve(), account()]),
            amount in prop::option::of(any::<u64>()),
            text in "\\PC{0,30}",
        ) {
            let made = PayUri::new(PublicKey(bank), to, amount.map(Amount), &text).unwrap();
            prop_assert_eq!(made.to_string().parse::<PayUri>().unwrap(), made);
        }

        #[test]
        fn no_text_panics_and_what_is_read_is_canonical(text in "(farthing:pay\\?bank=[0-9a-f]{32}&(to|account)=e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76)?(&name=|&for=)?[&=a-z0-9.%]{0,40}") {
            if let Ok(uri) = text.parse::<PayUri>() {
                prop_assert_eq!(uri.to_string(), text);
            }
        }
    }
}
