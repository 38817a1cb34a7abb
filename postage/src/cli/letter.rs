//! A letter as the user names it.

use crate::{
    address::{Address, PostalCode},
    class::MailClass,
    day::Day,
    page::Format,
};
use anyhow::{Result, bail};
use farthing_protocol::money::Amount;

/// What separates the lines of an address in an argument and in a CSV file, beside line breaks.
const LINE_SEPARATOR: &str = " / ";

/// A letter that is to be printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Letter {
    /// The lines of the recipient's address, as they are printed.
    pub(super) to: Vec<String>,
    /// The address in its compared form.
    pub(super) address: Address,
    /// The recipient's postal code.
    pub(super) code: PostalCode,
    /// The mail class.
    pub(super) class: MailClass,
    /// The postage.
    pub(super) value: Amount,
}

/// What all letters of a run have in common.
pub(super) struct Mailing {
    /// The lines of the sender's address.
    pub(super) from: Vec<String>,
    /// The date.
    pub(super) day: Day,
    /// The sheet.
    pub(super) sheet: Format,
}

/// The lines of an address: line breaks or ` / ` separate them.
pub(super) fn lines(text: &str) -> Vec<String> {
    let parts = text.lines().flat_map(|line| line.split(LINE_SEPARATOR));
    parts
        .map(|line| line.trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect()
}

impl Letter {
    /// Checks an address, and fills what is not said.
    pub(super) fn new(
        to: &str,
        code: Option<PostalCode>,
        class: MailClass,
        value: Option<Amount>,
    ) -> Result<Letter> {
        let to = lines(to);
        let address = Address::new(&to)?;
        let code = match code {
            Some(code) => code,
            None => PostalCode::in_lines(&to)?,
        };
        if !address.has(&code) {
            bail!(crate::address::AddressError::Absent(code));
        }
        let tariff = class.tariff();
        let value = value.unwrap_or(tariff);
        if value < tariff {
            bail!("{value} is below the tariff of {class} mail, {tariff}");
        }
        Ok(Letter {
            to,
            address,
            code,
            class,
            value,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_separated_by_breaks_and_spaced_slashes() {
        assert_eq!(lines("A / B\nFlat 3/1 / C /"), ["A", "B", "Flat 3/1", "C /"]);
        let letter = Letter::new("A / Street 1 / 51147 Köln", None, MailClass::First, None).unwrap();
        assert_eq!((letter.code.as_str(), letter.value), ("51147", Amount(110)));
        let wrong = Letter::new("A / 51147 Köln", "51148".parse().ok(), MailClass::First, None);
        assert!(wrong.unwrap_err().to_string().contains("51148"));
        assert!(Letter::new("A / 51147", None, MailClass::Parcel, Some(Amount(449))).is_err());
    }
}
