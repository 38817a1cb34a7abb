//! Mail classes and what they cost.

use farthing_protocol::money::Amount;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A mail class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailClass {
    /// A letter that is delivered on the next day.
    First,
    /// A letter that may take longer.
    Second,
    /// A postcard.
    Card,
    /// A parcel.
    Parcel,
}

/// Why a text is no mail class.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no mail class: write first, second, card or parcel")]
pub struct ClassError(String);

impl MailClass {
    /// All classes, in the order of their codes.
    pub const ALL: [MailClass; 4] = [
        MailClass::First,
        MailClass::Second,
        MailClass::Card,
        MailClass::Parcel,
    ];

    /// The byte that stands for it in an indicium.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            MailClass::First => 1,
            MailClass::Second => 2,
            MailClass::Card => 3,
            MailClass::Parcel => 4,
        }
    }

    /// The class with this code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<MailClass> {
        Self::ALL.into_iter().find(|class| class.code() == code)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            MailClass::First => "first",
            MailClass::Second => "second",
            MailClass::Card => "card",
            MailClass::Parcel => "parcel",
        }
    }

    /// The least value of an indicium of this class.
    #[must_use]
    pub fn tariff(self) -> Amount {
        match self {
            MailClass::First => Amount(110),
            MailClass::Second => Amount(85),
            MailClass::Card => Amount(70),
            MailClass::Parcel => Amount(450),
        }
    }
}

impl fmt::Display for MailClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for MailClass {
    type Err = ClassError;

    fn from_str(text: &str) -> Result<MailClass, ClassError> {
        let found = Self::ALL.into_iter().find(|class| class.name() == text);
        found.ok_or_else(|| ClassError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_are_read_as_they_are_written() {
        for class in MailClass::ALL {
            assert_eq!(MailClass::from_code(class.code()), Some(class));
            assert_eq!(class.to_string().parse(), Ok(class));
        }
        assert_eq!(MailClass::from_code(0), None);
        assert_eq!(MailClass::from_code(5), None);
        assert!("third".parse::<MailClass>().is_err());
    }
}
