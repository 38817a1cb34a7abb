//! What ticks cost, and until when they are paid.

use crate::{documents::Terms, limits::STREAM_CLOSING_MS, money::Amount};

/// The price of the first `ticks` of a stream that has `of` ticks for `price` in all. It is rounded up to the unit.
///
/// More ticks than there are cost no more than all of them.
#[must_use]
pub fn price_of(ticks: u32, of: u32, price: Amount) -> Amount {
    let ticks = u128::from(ticks.min(of));
    let share = (u128::from(price.0) * ticks).div_ceil(u128::from(of.max(1)));
    // It is at most the price.
    Amount(u64::try_from(share).unwrap_or(price.0).min(price.0))
}

/// How many of the first ticks cost at most `amount`.
#[must_use]
pub fn ticks_for(amount: Amount, of: u32, price: Amount) -> u32 {
    let ticks = (u128::from(amount.0) * u128::from(of)).checked_div(u128::from(price.0));
    ticks
        .and_then(|ticks| u32::try_from(ticks).ok())
        .unwrap_or(of)
        .min(of)
}

/// When the payment of ticks ends (ms since 1970): nobody signs a voucher or gives a key from then on.
///
/// The rest of the time until the deadline is for vouchers that the escrow does not have yet.
#[must_use]
pub fn pay_until_ms(terms: &Terms) -> u64 {
    terms.deadline_ms.saturating_sub(STREAM_CLOSING_MS)
}

#[cfg(test)]
mod tests {
    use super::{price_of, ticks_for};
    use crate::money::Amount;

    #[test]
    fn prices_are_rounded_up_and_never_pass_the_whole() {
        assert_eq!(price_of(0, 1000, Amount(1)), Amount(0));
        assert_eq!(price_of(1, 1000, Amount(1)), Amount(1));
        assert_eq!(price_of(1000, 1000, Amount(1)), Amount(1));
        assert_eq!(price_of(1, 3, Amount(100)), Amount(34));
        assert_eq!(price_of(2, 3, Amount(100)), Amount(67));
        assert_eq!(price_of(3, 3, Amount(100)), Amount(100));
        assert_eq!(price_of(4, 3, Amount(100)), Amount(100));
        for (amount, ticks) in [
            (0, 0),
            (33, 0),
            (34, 1),
            (66, 1),
            (67, 2),
            (99, 2),
            (100, 3),
            (900, 3),
        ] {
            assert_eq!(ticks_for(Amount(amount), 3, Amount(100)), ticks, "{amount}");
        }
        assert_eq!(ticks_for(Amount(1), 1000, Amount(1)), 1000);
        assert_eq!(price_of(65536, 65536, Amount(u64::MAX)), Amount(u64::MAX));
    }
}
