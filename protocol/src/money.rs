//! Amounts, their text form, and how they are divided into coins.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, str::FromStr};

/// Smallest units in one unit of the currency. Amounts are written with two decimals.
const UNITS: u64 = 100;

/// An amount of money in the currency's smallest unit.
///
/// ```
/// use farthing_protocol::money::Amount;
///
/// let price: Amount = "7.25".parse()?;
/// assert_eq!(price, Amount(725));
/// assert_eq!(price.checked_sub(Amount(25)).map(|rest| rest.to_string()), Some("7.00".into()));
/// # Ok::<(), farthing_protocol::money::AmountError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Amount(pub u64);

impl Amount {
    /// The sum, or `None` when it does not fit.
    pub fn checked_add(self, other: Amount) -> Option<Amount> {
        self.0.checked_add(other.0).map(Amount)
    }

    /// The difference, or `None` when `other` is the larger.
    pub fn checked_sub(self, other: Amount) -> Option<Amount> {
        self.0.checked_sub(other.0).map(Amount)
    }

    /// The sum of `values`, or `None` when it does not fit.
    pub fn sum(values: impl IntoIterator<Item = u64>) -> Option<Amount> {
        values.into_iter().try_fold(0u64, u64::checked_add).map(Amount)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{:02}", self.0 / UNITS, self.0 % UNITS))
    }
}

/// Why a text is not an amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an amount: write it like 20, 20.5 or 20.00")]
pub struct AmountError(String);

impl FromStr for Amount {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        let refuse = || AmountError(text.to_string());
        let (whole, cents) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(cents) || cents.len() > 2 {
            return Err(refuse());
        }
        let whole: u64 = whole.parse().map_err(|_| refuse())?;
        let scale = if cents.len() == 1 { 10 } else { 1 };
        let cents: u64 = cents.parse().map_err(|_| refuse())?;
        whole
            .checked_mul(UNITS)
            .and_then(|w| w.checked_add(cents * scale))
            .map(Amount)
            .ok_or_else(refuse)
    }
}

/// Encodes an amount as people write it, `20.00`. A field uses it with `#[serde(with = "amount_text")]`.
pub mod amount_text {
    use super::Amount;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes `amount` with two decimals.
    ///
    /// # Errors
    /// The serializer's error.
    pub fn serialize<S: Serializer>(amount: &Amount, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(amount)
    }

    /// Reads a text such as `20`, `20.5` or `20.00`.
    ///
    /// # Errors
    /// When the text is not an amount.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Amount, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// Divides `amount` into the fewest coins of the given values (ascending powers of two), largest first.
///
/// Returns `None` when the values do not add up to the amount: for an odd amount without the value 1.
pub fn fewest(amount: Amount, values: &[u64]) -> Option<Vec<u64>> {
    let mut left = amount.0;
    let mut coins = Vec::new();
    for &value in values.iter().rev().filter(|v| **v > 0) {
        while left >= value {
            left -= value;
            coins.push(value);
        }
    }
    (left == 0).then_some(coins)
}

/// The highest amount up to `price` that at most `most` coins of the given values (ascending powers of two) add up to.
/// It is `price` itself if and only if these coins can pay it.
pub fn most_payable(price: Amount, values: &[u64], most: usize) -> Amount {
    let mut left = price.0;
    let mut coins = u64::try_from(most).unwrap_or(u64::MAX);
    for &value in values.iter().rev().filter(|v| **v > 0) {
        let taken = (left / value).min(coins);
        coins -= taken;
        left -= taken * value;
    }
    Amount(price.0 - left)
}

/// Divides `amount` into an assortment, largest first.
///
/// Up to half of the amount goes into one coin of each value, from the smallest up, and the rest into the fewest coins.
/// With an assortment a wallet can pay most prices exactly, and need not exchange just before a payment. The bank could
/// link an exchange and a payment by their time.
pub fn assortment(amount: Amount, values: &[u64]) -> Option<Vec<u64>> {
    let mut small = Vec::new();
    let mut used = 0u64;
    for &value in values {
        match used.checked_add(value) {
            Some(sum) if sum <= amount.0 / 2 => used = sum,
            _ => break,
        }
        small.push(value);
    }
    let mut coins = fewest(Amount(amount.0.checked_sub(used)?), values)?;
    coins.extend(small);
    coins.sort_unstable_by(|a, b| b.cmp(a));
    Some(coins)
}

/// Divides the value of one coin so that every price up to it can be paid exactly: half, a quarter, and so on down to
/// two ones. The result depends only on the coin, so the exchange does not show the price.
pub fn change(value: u64, values: &[u64]) -> Vec<u64> {
    let mut coins: Vec<u64> = values.iter().rev().copied().filter(|v| *v < value).collect();
    let covered = coins.iter().sum::<u64>();
    coins.extend(fewest(Amount(value.saturating_sub(covered)), values).unwrap_or_default());
    coins
}

/// How to pay a price from a list of coins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection<T> {
    /// These coins add up to the price exactly.
    Exact(Vec<T>),
    /// The coins are worth enough, but no selection is exact. Exchange these coins first.
    ChangeNeeded(Vec<T>),
    /// The coins are worth less than the price, by this amount.
    Short(Amount),
}

/// Chooses coins that are worth exactly `price` from `purse` (coin and value).
///
/// Values are powers of two, so each value divides the next one. So the function finds an exact selection, if there is
/// one, by taking the largest coin that fits. If there is no exact selection, the smallest coin that did not fit needs
/// change.
pub fn select<T: Clone + Ord>(purse: &[(T, u64)], price: Amount) -> Selection<T> {
    let mut by_value: BTreeMap<std::cmp::Reverse<u64>, Vec<T>> = BTreeMap::new();
    for (coin, value) in purse {
        by_value
            .entry(std::cmp::Reverse(*value))
            .or_default()
            .push(coin.clone());
    }
    let total = purse
        .iter()
        .fold(0u64, |sum, (_, value)| sum.saturating_add(*value));
    if total < price.0 {
        return Selection::Short(Amount(price.0 - total));
    }
    let mut left = price.0;
    let mut chosen = Vec::new();
    let mut smallest_passed = None;
    for (std::cmp::Reverse(value), coins) in by_value {
        for coin in coins {
            if value <= left {
                left -= value;
                chosen.push(coin);
            } else {
                smallest_passed = Some(coin);
            }
        }
    }
    match (left, smallest_passed) {
        (0, _) => Selection::Exact(chosen),
        (_, Some(coin)) => Selection::ChangeNeeded(vec![coin]),
        (_, None) => Selection::Short(Amount(left)),
    }
}

/// Chooses at most `most` coins from `purse` (coin and value) that are worth at least `price` and at most `bound` more, with
/// the least excess. `None` if there are none.
///
/// Each coin that does not fit is a candidate for the last one, after the larger coins that fit. If each value divides the
/// next one, no other selection has less excess.
pub fn select_above<T: Clone>(
    purse: &[(T, u64)],
    price: Amount,
    bound: Amount,
    most: usize,
) -> Option<Vec<T>> {
    let mut coins: Vec<&(T, u64)> = purse.iter().collect();
    coins.sort_by_key(|(_, value)| std::cmp::Reverse(*value));
    let (mut left, mut fitting) = (price.0, Vec::new());
    let mut best: Option<(u64, usize, &T)> = None;
    for (coin, value) in coins {
        if fitting.len() >= most {
            break;
        }
        match left.checked_sub(*value) {
            Some(rest) => {
                left = rest;
                fitting.push(coin.clone());
                if left == 0 {
                    return Some(fitting);
                }
            }
            None => {
                let excess = value.saturating_sub(left);
                if excess <= bound.0 && best.is_none_or(|(least, ..)| excess < least) {
                    best = Some((excess, fitting.len(), coin));
                }
            }
        }
    }
    best.map(|(_, larger, last)| {
        fitting.truncate(larger);
        fitting.push(last.clone());
        fitting
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: [u64; 12] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048];

    #[test]
    fn amounts_are_read_and_written_with_two_decimals() {
        for (text, units) in [
            ("20.00", 2000),
            ("20", 2000),
            ("20.5", 2050),
            ("0.07", 7),
            ("0", 0),
        ] {
            assert_eq!(text.parse::<Amount>().unwrap(), Amount(units));
        }
        for bad in [
            "",
            ".",
            "1.",
            ".5",
            "1.234",
            "-1",
            "1,00",
            "1e3",
            "99999999999999999999",
            " 1",
        ] {
            assert!(bad.parse::<Amount>().is_err(), "{bad}");
        }
        assert_eq!(Amount(2050).to_string(), "20.50");
    }

    #[test]
    fn the_coins_of_an_amount_add_up_to_it() {
        for amount in 0..5000 {
            for coins in [
                fewest(Amount(amount), &VALUES).unwrap(),
                assortment(Amount(amount), &VALUES).unwrap(),
            ] {
                assert_eq!(coins.iter().sum::<u64>(), amount);
            }
        }
        assert_eq!(fewest(Amount(3), &[2, 4]), None);
    }

    #[test]
    fn the_highest_payable_amount_is_paid_by_the_fewest_coins() {
        let most = 3;
        for price in 0..5000 {
            let payable = most_payable(Amount(price), &VALUES[..8], most);
            let fits = |amount: u64| fewest(Amount(amount), &VALUES[..8]).unwrap().len() <= most;
            let highest = (0..=price).rev().find(|amount| fits(*amount));
            assert_eq!(Some(payable.0), highest, "{price}");
        }
        assert_eq!(most_payable(Amount(7), &[2, 4], 64), Amount(6));
        assert_eq!(most_payable(Amount(u64::MAX), &VALUES, 64), Amount(64 * 2048));
        assert_eq!(most_payable(Amount(5), &[], 64), Amount(0));
    }

    #[test]
    fn an_assortment_of_2000_pays_every_price_up_to_511() {
        let coins = assortment(Amount(2000), &VALUES).unwrap();
        let purse: Vec<_> = coins.iter().copied().enumerate().collect();
        for price in 1..=511 {
            assert!(
                matches!(select(&purse, Amount(price)), Selection::Exact(_)),
                "{price}"
            );
        }
    }

    #[test]
    fn the_change_of_a_coin_pays_every_price_up_to_its_value() {
        for value in VALUES {
            let purse: Vec<_> = change(value, &VALUES).into_iter().enumerate().collect();
            assert_eq!(purse.iter().map(|(_, v)| v).sum::<u64>(), value);
            for price in 1..=value {
                assert!(
                    matches!(select(&purse, Amount(price)), Selection::Exact(_)),
                    "{price} of {value}"
                );
            }
        }
    }

    #[test]
    fn the_selection_above_a_price_has_the_least_excess() {
        let purse: Vec<(usize, u64)> = [8, 4, 4, 2, 16, 32].into_iter().enumerate().collect();
        for most in [1, 2, 3, 6] {
            for price in 1..=66u64 {
                for bound in [0, 7, 66] {
                    let within = |sum: &u64| (price..=price + bound).contains(sum);
                    let sums = (0u32..1 << purse.len()).filter(|mask| mask.count_ones() <= most);
                    let sums = sums.map(|mask| {
                        let chosen = purse.iter().filter(|(i, _)| mask >> i & 1 == 1);
                        chosen.map(|(_, v)| v).sum::<u64>()
                    });
                    let least = sums.filter(within).min();
                    let found = select_above(&purse, Amount(price), Amount(bound), most as usize);
                    let worth = found.map(|coins| coins.iter().map(|i| purse[*i].1).sum());
                    assert_eq!(worth, least, "{price}, at most {bound} more, in {most} coins");
                }
            }
        }
    }

    #[test]
    fn an_exact_selection_is_found_if_one_exists() {
        let purse: Vec<(usize, u64)> = [8, 4, 4, 2, 2, 2, 16].into_iter().enumerate().collect();
        for price in 1..=38u64 {
            let possible = (0u32..1 << purse.len()).any(|mask| {
                purse
                    .iter()
                    .filter(|(i, _)| mask >> i & 1 == 1)
                    .map(|(_, v)| v)
                    .sum::<u64>()
                    == price
            });
            match select(&purse, Amount(price)) {
                Selection::Exact(coins) => {
                    assert_eq!(coins.iter().map(|i| purse[*i].1).sum::<u64>(), price);
                }
                Selection::ChangeNeeded(_) => assert!(!possible, "{price}"),
                Selection::Short(_) => panic!("{price} is not short"),
            }
        }
        assert_eq!(select(&purse, Amount(40)), Selection::Short(Amount(2)));
    }
}
