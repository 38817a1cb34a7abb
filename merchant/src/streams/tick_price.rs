//! The price of one tick. It may be a fraction of the smallest amount, such as 0.001.

use farthing_protocol::{money::Amount, stream::chain::TICKS_MAX};
use std::{fmt, str::FromStr};

/// The most decimals of a price.
const DECIMALS_MAX: usize = 9;

/// The smallest amounts in one unit of the currency.
const UNITS: u128 = 100;

/// The price of one tick: a decimal number of units of the currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TickPrice {
    /// The price in the smallest amount, times `scale`.
    scaled: u128,
    /// A power of ten.
    scale: u128,
    /// As it was typed.
    text: String,
}

/// Why a price per tick cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TickPriceError {
    /// It is not a number.
    #[error("`{0}` is not a price: write it like 0.05 or 0.001, with at most {DECIMALS_MAX} decimals")]
    NotANumber(String),
    /// All ticks together do not cost a whole amount.
    #[error(
        "{ticks} ticks at {price} do not cost a whole amount, and the smallest amount is 0.01; {fits} ticks do: give --ticks \
         {fits}"
    )]
    NextTicks {
        /// The number of ticks.
        ticks: u32,
        /// The price of each.
        price: String,
        /// The next number of ticks that fits.
        fits: u32,
    },
    /// No number of ticks fits.
    #[error(
        "no stream of up to {TICKS_MAX} ticks at {0} costs a whole amount, and the smallest amount is 0.01; give a price with \
         fewer decimals"
    )]
    NoTicks(String),
    /// It is more than an amount can be.
    #[error("{ticks} ticks at {price} cost more than an amount can be; give fewer ticks or a lower price")]
    TooHigh {
        /// The number of ticks.
        ticks: u32,
        /// The price of each.
        price: String,
    },
}

impl fmt::Display for TickPrice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for TickPrice {
    type Err = TickPriceError;

    fn from_str(text: &str) -> Result<Self, TickPriceError> {
        let refuse = || TickPriceError::NotANumber(text.to_owned());
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(decimals) || decimals.len() > DECIMALS_MAX || whole.len() > 15 {
            return Err(refuse());
        }
        let number: u128 = format!("{whole}{decimals}").parse().map_err(|_| refuse())?;
        Ok(Self {
            scaled: number.saturating_mul(UNITS),
            scale: decimals
                .bytes()
                .fold(1, |scale: u128, _| scale.saturating_mul(10)),
            text: text.to_owned(),
        })
    }
}

impl TickPrice {
    /// The price of `ticks` ticks.
    ///
    /// # Errors
    /// When it is no whole amount. The error names the next number of ticks that fits.
    pub fn of(&self, ticks: u32) -> Result<Amount, TickPriceError> {
        let all = self.scaled.saturating_mul(ticks.into());
        if all.is_multiple_of(self.scale) {
            let amount = u64::try_from(all.checked_div(self.scale).unwrap_or_default());
            return amount.map(Amount).map_err(|_| TickPriceError::TooHigh {
                ticks,
                price: self.text.clone(),
            });
        }
        Err(match self.next_ticks(ticks) {
            Some(fits) => TickPriceError::NextTicks {
                ticks,
                price: self.text.clone(),
                fits,
            },
            None => TickPriceError::NoTicks(self.text.clone()),
        })
    }

    /// The least number of ticks from `ticks` on that costs a whole amount. `None` if there is none.
    pub fn next_ticks(&self, ticks: u32) -> Option<u32> {
        let step = self.scale.checked_div(common_divisor(self.scaled, self.scale))?;
        let next = u128::from(ticks).div_ceil(step).max(1).saturating_mul(step);
        u32::try_from(next).ok().filter(|next| *next <= TICKS_MAX)
    }
}

fn common_divisor(mut a: u128, mut b: u128) -> u128 {
    while let Some(rest) = a.checked_rem(b) {
        (a, b) = (b, rest);
    }
    a.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(text: &str) -> TickPrice {
        text.parse().unwrap()
    }

    #[test]
    fn ticks_cost_a_whole_amount_or_the_next_number_that_does_is_named() {
        assert_eq!(price("0.001").of(1000), Ok(Amount(100)));
        assert_eq!(price("0.05").of(3), Ok(Amount(15)));
        assert_eq!(price("2").of(7), Ok(Amount(1400)));
        assert_eq!(price("0").of(7), Ok(Amount(0)));
        let fits = |text: &str, ticks| match price(text).of(ticks) {
            Err(TickPriceError::NextTicks { fits, .. }) => fits,
            other => panic!("{other:?}"),
        };
        assert_eq!(fits("0.001", 1001), 1010);
        assert_eq!(fits("0.0025", 7), 8);
        assert_eq!(fits("0.0001", 1), 100);
        assert_eq!(price("0.0000001").next_ticks(1), None);
        let none = TickPriceError::NoTicks("0.0000001".into());
        assert_eq!(price("0.0000001").of(1), Err(none));
        assert!(matches!(
            price("999999999999999").of(65_536),
            Err(TickPriceError::TooHigh { .. })
        ));
    }

    #[test]
    fn only_decimal_numbers_are_prices() {
        for text in ["", ".", "1.", ".5", "-1", "1e3", "0.0000000001", "1 000", "1,5"] {
            let refused = text.parse::<TickPrice>();
            assert_eq!(refused, Err(TickPriceError::NotANumber(text.into())), "{text}");
        }
    }
}
