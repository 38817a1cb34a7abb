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
//! # Ok::<(), farthing_node::pay_uri::PayUriError>(())
//! ```

pub use crate::uri::TEXT_MAX_BYTES;
use crate::uri::{KeyPrefix, Parts, bytes_of, decoded, is_fitting, write_encoded};
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

/// Why a text is not a request for a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayUriError {
    /// It is too long.
    #[error("this is not a request for a payment: it is longer than {URI_MAX_BYTES} bytes; copy it again")]
    TooLong,
    /// It begins otherwise.
    #[error("this is not a request for a payment: it does not begin with `{PREFIX}`; copy it again")]
    Prefix,
    /// A part is missing, unknown, repeated, out of order, or not in its only form.
    #[error(
        "this request for a payment is damaged: its {0} is not in its place or not in its form; copy it again"
    )]
    Part(&'static str),
    /// The key of the payee is not a key.
    #[error("this request for a payment is damaged: nobody can have the key to which it wants the money")]
    NoKey,
    /// The text is too long, or has control characters.
    #[error("the text has more than {TEXT_MAX_BYTES} bytes or control characters; shorten it")]
    Text,
}

impl PayUri {
    /// A request for a payment to this payee.
    ///
    /// # Errors
    /// When the text is too long or has control characters.
    pub fn new(
        bank: PublicKey,
        to: Payee,
        amount: Option<Amount>,
        text: &str,
    ) -> Result<PayUri, PayUriError> {
        check_text(text)?;
        Ok(PayUri {
            bank: KeyPrefix::of(&bank),
            to,
            amount,
            text: text.to_owned(),
        })
    }
}

/// Checks the length and the characters of a text or a name.
///
/// # Errors
/// When it is too long or has control characters.
pub fn check_text(text: &str) -> Result<(), PayUriError> {
    match is_fitting(text) {
        true => Ok(()),
        false => Err(PayUriError::Text),
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

impl FromStr for PayUri {
    type Err = PayUriError;

    fn from_str(text: &str) -> Result<PayUri, PayUriError> {
        if text.len() > URI_MAX_BYTES {
            return Err(PayUriError::TooLong);
        }
        let mut parts = Parts::of(text.strip_prefix(PREFIX).ok_or(PayUriError::Prefix)?);
        let bank = bytes_of(parts.next("bank")).ok_or(PayUriError::Part("bank"))?;
        let account = parts.next("account");
        let key = bytes_of(account.or_else(|| parts.next("to")));
        let key = PublicKey(key.ok_or(PayUriError::Part("payee"))?);
        let (to, words) = match account {
            Some(_) => (Payee::Account(key), "name"),
            None => (Payee::Reserve(key), "for"),
        };
        let amount = match parts.next("amount") {
            Some(amount) => Some(amount.parse().map_err(|_| PayUriError::Part("amount"))?),
            None => None,
        };
        let uri = PayUri {
            bank: KeyPrefix::from_bytes(bank),
            to,
            amount,
            text: match parts.next(words) {
                Some(text) => decoded(text).ok_or(PayUriError::Part("text"))?,
                None => String::new(),
            },
        };
        check_text(&uri.text)?;
        // Every other writing of the same request is refused, and so is everything after it.
        if uri.to_string() != text {
            return Err(PayUriError::Part("end"));
        }
        match key.is_valid() {
            true => Ok(uri),
            false => Err(PayUriError::NoKey),
        }
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
        assert_eq!(upper.parse::<PayUri>(), Err(PayUriError::Part("end")));
        assert_eq!("http:pay?".parse::<PayUri>(), Err(PayUriError::Prefix));
        let no_payee = format!("{PREFIX}bank={}", "ab".repeat(16));
        assert_eq!(no_payee.parse::<PayUri>(), Err(PayUriError::Part("payee")));
        let no_key = uri("").replace(KEY, &"ff".repeat(32));
        assert_eq!(no_key.parse::<PayUri>(), Err(PayUriError::NoKey));
        assert_eq!(
            uri(&"&".repeat(URI_MAX_BYTES)).parse::<PayUri>(),
            Err(PayUriError::TooLong)
        );
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
            assert_eq!(other.parse::<PayUri>(), Err(PayUriError::Part("end")), "{other}");
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
        assert_eq!(
            PayUri::new(key(), reserve(), None, &longer),
            Err(PayUriError::Text)
        );
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
