//! What the coins of a bank need, and when. Pure: the time and the randomness are arguments.

use farthing_protocol::{
    limits::COINS_PER_REQUEST_MAX,
    money::{Amount, assortment},
};
use std::cmp::Reverse;

/// The most coins of one bank that are never consolidated.
pub(crate) const FEW_COINS: usize = 32;

/// The shortest time from the moment at which a need is seen to its exchange (ms), if the coins last that long.
pub(crate) const DELAY_LEAST_MS: u64 = 60_000;

/// The longest time from the moment at which it is seen that coins expire soon to their exchange (ms).
pub(crate) const RENEW_DELAY_MAX_MS: u64 = 24 * 60 * 60 * 1000;

/// The longest time from the moment at which it is seen that there are many small coins to their exchange (ms).
pub(crate) const CONSOLIDATE_DELAY_MAX_MS: u64 = 6 * 60 * 60 * 1000;

/// The shortest time between two looks of `farthing run` at a wallet in which nothing is due (ms).
pub(crate) const LOOK_LEAST_MS: u64 = 5 * 60 * 1000;

/// The longest time between two looks of `farthing run` at a wallet (ms).
pub(crate) const LOOK_MAX_MS: u64 = 15 * 60 * 1000;

/// An exchange that upkeep makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Task {
    /// Coins that expire soon, or have expired, become fresh ones.
    Renew,
    /// Many small coins become fewer.
    Consolidate,
}

impl Task {
    /// All tasks.
    pub(crate) const ALL: [Task; 2] = [Task::Renew, Task::Consolidate];

    /// The number under which the store has its time.
    pub(crate) fn number(self) -> u8 {
        match self {
            Task::Renew => 0,
            Task::Consolidate => 1,
        }
    }
}

/// A coin that is in no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    /// Its value.
    pub(crate) value: u64,
    /// Whether it expires soon or has expired, and a fresh coin lasts longer.
    pub(crate) ends: bool,
    /// The next time at which it loses something (ms since 1970): it cannot be spent, or not even be exchanged.
    pub(crate) until_ms: u64,
}

/// An exchange that the coins of a bank need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Need {
    /// The kind.
    pub(crate) task: Task,
    /// The places of the coins, at most as many as one exchange takes.
    pub(crate) coins: Vec<usize>,
    /// The time at which the first of the coins loses something (ms since 1970).
    until_ms: u64,
}

/// What `coins` of one bank need. `values` are the values that the bank issues.
///
/// - Coins that expire soon are renewed, the first to expire first.
/// - If the others are many, the smallest ones are exchanged for an assortment of their worth. Many are more than
///   [`FEW_COINS`], and more than twice as many as in an assortment of all their worth. So the wallet keeps coins of
///   each value, and most prices need no change.
pub(crate) fn needs(coins: &[Held], values: &[u64]) -> Vec<Need> {
    let places = |ends: bool| -> Vec<usize> {
        let coins = coins.iter().enumerate();
        coins
            .filter(|(_, coin)| coin.ends == ends)
            .map(|(place, _)| place)
            .collect()
    };
    let coin = |place: &usize| coins.get(*place).copied();
    let mut ending = places(true);
    ending.sort_by_key(|place| coin(place).map(|coin| (coin.until_ms, Reverse(coin.value))));
    let mut small = places(false);
    let worth = |places: &[usize]| Amount(places.iter().filter_map(coin).map(|coin| coin.value).sum());
    let spread = |places: &[usize]| assortment(worth(places), values).map_or(usize::MAX, |coins| coins.len());
    let many = FEW_COINS.max(spread(&small).saturating_mul(2));
    let are_many = small.len() > many;
    small.sort_by_key(|place| coin(place).map(|coin| coin.value));
    small.truncate(COINS_PER_REQUEST_MAX);
    let becomes_less = are_many && spread(&small) < small.len();
    ending.truncate(COINS_PER_REQUEST_MAX);
    let need = |task, coins: Vec<usize>| {
        let until_ms = coins.iter().filter_map(coin).map(|coin| coin.until_ms).min()?;
        Some(Need {
            task,
            coins,
            until_ms,
        })
    };
    let consolidated = if becomes_less { small } else { Vec::new() };
    [need(Task::Renew, ending), need(Task::Consolidate, consolidated)]
        .into_iter()
        .flatten()
        .collect()
}

/// When a need that is seen at `now_ms` is met: at a random time, so that nobody can link the exchange by its time to
/// the withdrawal or the purchase after which it was needed.
pub(crate) fn due_ms(need: &Need, now_ms: u64, random: u64) -> u64 {
    let latest_ms = latest_ms(need, now_ms);
    let first_ms = now_ms.saturating_add(DELAY_LEAST_MS).min(latest_ms);
    let span_ms = (latest_ms - first_ms).saturating_add(1);
    first_ms.saturating_add(random % span_ms)
}

/// The latest time for a need that is seen at `now_ms`. Coins are renewed in the first half of the time that they have
/// left.
pub(crate) fn latest_ms(need: &Need, now_ms: u64) -> u64 {
    let most_ms = match need.task {
        Task::Renew => RENEW_DELAY_MAX_MS.min(need.until_ms.saturating_sub(now_ms) / 2),
        Task::Consolidate => CONSOLIDATE_DELAY_MAX_MS,
    };
    now_ms.saturating_add(most_ms)
}

/// How long `farthing run` waits before it looks at the wallet again (ms), if the next exchange is due at `next_ms`.
pub(crate) fn look_again_after_ms(next_ms: Option<u64>, now_ms: u64, random: u64) -> u64 {
    let wait_ms = LOOK_LEAST_MS + random % (LOOK_MAX_MS - LOOK_LEAST_MS + 1);
    match next_ms {
        Some(next_ms) => wait_ms.min(next_ms.saturating_sub(now_ms).max(1_000)),
        None => wait_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const VALUES: [u64; 16] = [
        1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768,
    ];

    fn held(value: u64) -> Held {
        Held {
            value,
            ends: false,
            until_ms: 1_000_000,
        }
    }

    fn tasks(coins: &[Held]) -> Vec<(Task, usize)> {
        let needs = needs(coins, &VALUES).into_iter();
        needs.map(|need| (need.task, need.coins.len())).collect()
    }

    /// Consolidates until nothing is needed. Returns the values of the coins, and how many exchanges it took.
    fn consolidated(mut values: Vec<u64>) -> (Vec<u64>, usize) {
        for exchanges in 0.. {
            let coins: Vec<Held> = values.iter().copied().map(held).collect();
            let Some(need) = needs(&coins, &VALUES).pop() else {
                return (values, exchanges);
            };
            assert!(need.coins.len() <= COINS_PER_REQUEST_MAX);
            let worth = need.coins.iter().map(|place| values[*place]).sum();
            let fresh = assortment(Amount(worth), &VALUES).unwrap();
            assert!(fresh.len() < need.coins.len(), "each exchange leaves fewer coins");
            let kept = values
                .iter()
                .enumerate()
                .filter(|(place, _)| !need.coins.contains(place));
            values = kept.map(|(_, value)| *value).chain(fresh).collect();
        }
        unreachable!()
    }

    proptest! {
        #[test]
        fn consolidation_ends_with_few_coins_of_the_same_worth(
            exponents in prop::collection::vec(0u32..16, 0..500),
        ) {
            let before: Vec<u64> = exponents.iter().map(|exponent| 1 << exponent).collect();
            let worth: u64 = before.iter().sum();
            let (after, _) = consolidated(before);
            prop_assert_eq!(after.iter().sum::<u64>(), worth);
            let spread = assortment(Amount(worth), &VALUES).unwrap().len();
            prop_assert!(after.len() <= FEW_COINS.max(2 * spread));
        }

        #[test]
        fn every_exchange_is_at_a_random_time_before_the_coins_lose_anything(
            now_ms in 0..u64::MAX / 2, left_ms in 2..u64::MAX / 4, random: u64,
        ) {
            let coins = [Held { value: 1, ends: true, until_ms: now_ms + left_ms }];
            let need = needs(&coins, &VALUES).remove(0);
            let due_ms = due_ms(&need, now_ms, random);
            prop_assert!(due_ms > now_ms && due_ms <= now_ms + left_ms / 2);
            prop_assert!(due_ms <= now_ms + RENEW_DELAY_MAX_MS);
        }
    }

    #[test]
    fn a_wallet_in_use_needs_nothing() {
        assert_eq!(tasks(&[]), []);
        let fresh = assortment(Amount(123_456), &VALUES).unwrap();
        let fresh: Vec<Held> = fresh.into_iter().map(held).collect();
        assert_eq!(tasks(&fresh), []);
        assert_eq!(tasks(&vec![held(1); FEW_COINS]), []);
    }

    #[test]
    fn coins_that_expire_are_renewed_and_the_others_are_not() {
        let mut coins = vec![held(1); 5];
        coins[2].ends = true;
        coins[4].ends = true;
        coins[4].until_ms = 7;
        let needs = needs(&coins, &VALUES);
        assert_eq!(needs.len(), 1);
        assert_eq!(
            (needs[0].task, needs[0].coins.as_slice()),
            (Task::Renew, [4, 2].as_slice())
        );
        assert_eq!(due_ms(&needs[0], 7, 3), 7, "nothing is left to wait for");
        for coin in &mut coins {
            coin.ends = true;
        }
        assert_eq!(tasks(&coins), [(Task::Renew, 5)]);
    }

    #[test]
    fn three_hundred_coins_of_one_cent_become_a_spread_of_values() {
        let coins = vec![1; 300];
        let held: Vec<Held> = coins.iter().copied().map(held).collect();
        assert_eq!(tasks(&held), [(Task::Consolidate, COINS_PER_REQUEST_MAX)]);
        let (after, exchanges) = consolidated(coins);
        assert!(
            after.len() <= FEW_COINS && exchanges <= 6,
            "{after:?}, {exchanges}"
        );
        for value in [1, 2, 4, 8] {
            assert!(after.contains(&value), "{after:?}");
        }
    }

    #[test]
    fn a_consolidation_waits_between_its_bounds() {
        let need = needs(&vec![held(1); 300], &VALUES).remove(0);
        assert_eq!(due_ms(&need, 5, 0), 5 + DELAY_LEAST_MS);
        let span_ms = CONSOLIDATE_DELAY_MAX_MS - DELAY_LEAST_MS;
        assert_eq!(due_ms(&need, 5, span_ms), 5 + CONSOLIDATE_DELAY_MAX_MS);
        assert_eq!(due_ms(&need, 5, span_ms + 1), 5 + DELAY_LEAST_MS);
    }

    #[test]
    fn the_next_look_is_when_something_is_due_or_after_some_minutes() {
        assert_eq!(look_again_after_ms(None, 0, 0), LOOK_LEAST_MS);
        assert_eq!(
            look_again_after_ms(None, 0, LOOK_MAX_MS - LOOK_LEAST_MS),
            LOOK_MAX_MS
        );
        assert_eq!(look_again_after_ms(Some(70_000), 10_000, 5), 60_000);
        assert_eq!(look_again_after_ms(Some(u64::MAX), 0, 1), LOOK_LEAST_MS + 1);
        assert_eq!(look_again_after_ms(Some(3), 10_000, 5), 1_000);
    }
}
