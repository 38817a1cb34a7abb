//! Selection of the coins that pay the price of a purchase or the amount of a deposit. A purchase may be paid with coins that
//! are worth more, and the bank owes the change. A deposit is paid exactly, after exchanges for change if needed.

use crate::{
    coins::Validity,
    error::WalletError,
    issuance::{consolidate, make_change, unchanged},
    keys::current_keys,
    observer::WalletEvent,
    rows::{CoinRow, CoinStatus},
    wallet::Wallet,
};
use farthing_coin::{Denomination, KeyBook, PublicKey};
use farthing_node::card::Card;
use farthing_protocol::{
    limits::{COINS_PER_REQUEST_MAX, DEADLINE_HORIZON_MS, SETTLEMENT_MARGIN_MS},
    money::{Amount, Selection, most_payable, select, select_above},
    purchase::Plan,
};
use farthing_store::StoreError;

/// How often coins are exchanged for one purchase before the wallet gives up, besides once for each coin. Each
/// exchange of small coins leaves fewer of them, so it needs far less.
const EXCHANGES_MAX: usize = 4;

/// How far ahead a deadline is at most, by this machine's clock (ms). It decides nothing: if the clock is wrong, the
/// escrow refuses the hold, and the wallet cancels.
const DEADLINE_AHEAD_MS: u64 = DEADLINE_HORIZON_MS / 2;

/// What coins may be worth more than any price. It is as much as the price itself for larger prices: a dead escrow freezes at
/// most twice the price.
const OVERPAID_MAX: Amount = Amount(100);

/// What coins are chosen for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose<'p> {
    /// The purchase of this plan.
    Purchase(&'p Plan),
    /// A deposit of this amount. It takes every coin that the bank still exchanges.
    Deposit(Amount),
}

impl Purpose<'_> {
    fn amount(self) -> Amount {
        match self {
            Purpose::Purchase(plan) => plan.offer.body.price,
            Purpose::Deposit(amount) => amount,
        }
    }

    /// What the coins may be worth more. Only a purchase gives change.
    fn overpaid_max(self) -> Amount {
        match self {
            Purpose::Purchase(plan) => plan.offer.body.price.max(OVERPAID_MAX),
            Purpose::Deposit(_) => Amount(0),
        }
    }
}

/// The next step towards coins that pay a price. It names coins by their place in a list.
#[derive(Debug, PartialEq, Eq)]
enum Selected {
    /// These coins pay. The bank owes what they are worth above the price.
    Paying(Vec<usize>),
    /// The coins would pay, but are too many. The small ones among them are exchanged for a few large ones.
    TooMany {
        /// How many would pay.
        coins: usize,
        /// The small ones, as many as one exchange takes.
        small: Vec<usize>,
    },
    /// Each of these coins is exchanged for change.
    ChangeNeeded(Vec<usize>),
    /// This amount is missing.
    Short(Amount),
}

/// The deadline of a plan's contract.
pub(crate) fn deadline_ms(plan: &Plan, now_ms: u64) -> u64 {
    plan.offer
        .body
        .expires_ms
        .min(now_ms.saturating_add(DEADLINE_AHEAD_MS))
}

/// The coins of `bank` that are available and that the bank still takes. Some may have to be exchanged first.
///
/// # Errors
/// When the store fails.
pub(crate) fn purse(
    wallet: &Wallet,
    bank: &PublicKey,
    keys: &KeyBook,
    now_ms: u64,
) -> Result<Vec<CoinRow>, StoreError> {
    let is_lost = |row: &CoinRow| Validity::of(keys.get(&row.coin.key_id), now_ms) == Validity::Lost;
    wallet.coins_that(|row| row.status == CoinStatus::Available && row.bank == *bank && !is_lost(row))
}

/// Checks that a payment of `price` can be made of coins of these values at all.
///
/// # Errors
/// [`WalletError::NotPayable`].
pub(crate) fn check_payable(price: Amount, values: &[u64]) -> Result<(), WalletError> {
    let highest = most_payable(price, values, COINS_PER_REQUEST_MAX);
    let largest = Amount(values.last().copied().unwrap_or(0));
    match highest == price {
        true => Ok(()),
        false => Err(WalletError::NotPayable {
            price,
            largest,
            highest,
        }),
    }
}

/// Chooses coins that pay an amount: exactly if there are any, otherwise with the least change. If the change would be too
/// much, exchanges a coin for change first, and small coins for large ones if there are too many. If the coins are too few, exchanges that were interrupted are carried on, and coins whose keys
/// end before settlement are exchanged. Without a purse, the coins are read from the store.
///
/// Each exchange is an ordinary one, carried on by [`resume`](Wallet::resume). So the choice may be interrupted at any
/// point, and begins again with the coins that there are then.
///
/// # Errors
/// When the wallet has too little money, or an exchange fails.
pub(crate) async fn choose(
    wallet: &Wallet,
    purpose: Purpose<'_>,
    bank: &Card,
    mut purse_at_hand: Option<Vec<CoinRow>>,
) -> Result<Vec<CoinRow>, WalletError> {
    let price = purpose.amount();
    let mut exchanges_left = None;
    let (mut is_told, mut is_carried_on) = (false, false);
    loop {
        let keys = current_keys(wallet, bank).await?;
        check_payable(price, keys.values())?;
        let rows = match purse_at_hand.take() {
            Some(rows) => rows,
            None => purse(wallet, &bank.identity, &keys, wallet.now_ms())?,
        };
        let left: &mut usize = exchanges_left.get_or_insert(rows.len().saturating_add(EXCHANGES_MAX));
        *left = left.checked_sub(1).ok_or(WalletError::NoCoins(price))?;
        let available = Amount(rows.iter().fold(0, |sum, row| sum.saturating_add(row.value)));
        let (ending, fit) = match purpose {
            Purpose::Purchase(plan) => (
                ending(&rows, &keys, plan, wallet.now_ms()),
                spendable(rows, &keys, plan, wallet.now_ms()),
            ),
            Purpose::Deposit(_) => (Vec::new(), rows),
        };
        let values: Vec<u64> = fit.iter().map(|row| row.value).collect();
        let take = |chosen: Vec<usize>| -> Vec<CoinRow> {
            let rows = chosen.into_iter().filter_map(|index| fit.get(index));
            rows.cloned().collect()
        };
        match selected(&values, price, purpose.overpaid_max()) {
            Selected::Paying(chosen) => return Ok(take(chosen)),
            Selected::TooMany { coins, small } => {
                if !std::mem::replace(&mut is_told, true) {
                    wallet.observer().on_event(&WalletEvent::Consolidates { coins });
                }
                let small = take(small);
                let outcome = consolidate(wallet, small.clone()).await;
                must_choose_again(wallet, &small, outcome)?;
            }
            Selected::ChangeNeeded(coins) => {
                for row in take(coins) {
                    let outcome = make_change(wallet, row.clone()).await;
                    if must_choose_again(wallet, &[row], outcome)? {
                        break;
                    }
                }
            }
            Selected::Short(_) if !std::mem::replace(&mut is_carried_on, true) => {
                carry_on_interrupted(wallet, &bank.identity).await?;
            }
            Selected::Short(_) if available >= price && !ending.is_empty() => {
                let outcome = wallet.exchange(ending.clone()).await;
                must_choose_again(wallet, &ending, outcome.map(|_| ()))?;
            }
            Selected::Short(short) if available >= price => return Err(WalletError::NewKeys(short)),
            Selected::Short(short) => {
                return Err(WalletError::Short {
                    short,
                    available,
                    price,
                });
            }
        }
    }
}

/// Carries on the exchanges at a bank that were interrupted: missing coins may be in one.
///
/// # Errors
/// When the bank does not answer. The coins then stay in the exchange. When the store fails.
pub(crate) async fn carry_on_interrupted(wallet: &Wallet, bank: &PublicKey) -> Result<(), WalletError> {
    let (_, failed) = wallet.carry_on_exchanges(Some(bank)).await?;
    failed
        .into_iter()
        .find(WalletError::is_silence)
        .map_or(Ok(()), Err)
}

/// Whether an exchange was refused because a coin is used elsewhere. Coins are then chosen again without it.
fn must_choose_again(
    wallet: &Wallet,
    coins: &[CoinRow],
    outcome: Result<(), WalletError>,
) -> Result<bool, WalletError> {
    match outcome {
        Err(WalletError::Refused { .. }) if unchanged(&wallet.rows(), coins)?.len() < coins.len() => Ok(true),
        outcome => outcome.map(|()| false),
    }
}

/// The next step towards coins that pay a price, from coins of these values.
///
/// If a payment of the price is possible at all ([`check_payable`]) and the coins are worth enough, the steps end with
/// coins that pay:
///
/// - If at most `overpaid_max` is enough, no exchange is made.
/// - After change for one coin, some coins are worth exactly the price.
/// - If more than [`COINS_PER_REQUEST_MAX`] coins pay, two of the smallest ones have the same value, below the largest
///   one. So an exchange of the smallest ones for the fewest coins of the same worth leaves fewer coins that pay.
fn selected(values: &[u64], price: Amount, overpaid_max: Amount) -> Selected {
    let purse: Vec<(usize, u64)> = values.iter().copied().enumerate().collect();
    if let Some(paying) = select_above(&purse, price, overpaid_max, COINS_PER_REQUEST_MAX) {
        return Selected::Paying(paying);
    }
    match select(&purse, price) {
        Selection::Exact(chosen) => {
            let coins = chosen.len();
            // The largest come first, so the last ones are the smallest.
            let small = chosen.get(coins - COINS_PER_REQUEST_MAX..).unwrap_or_default();
            Selected::TooMany {
                coins,
                small: small.to_vec(),
            }
        }
        Selection::ChangeNeeded(coins) => Selected::ChangeNeeded(coins),
        Selection::Short(short) => Selected::Short(short),
    }
}

/// The coins whose keys end before the plan is settled, and that fresh ones can replace.
fn ending(purse: &[CoinRow], keys: &KeyBook, plan: &Plan, now_ms: u64) -> Vec<CoinRow> {
    let settled_ms = settled_ms(plan, now_ms);
    let ends = |d: &Denomination| d.spend_until_ms <= settled_ms && d.issue_until_ms <= now_ms;
    let ends = |row: &&CoinRow| keys.get(&row.coin.key_id).is_some_and(ends);
    purse.iter().filter(ends).cloned().collect()
}

/// When a plan's purchase is settled at the latest.
fn settled_ms(plan: &Plan, now_ms: u64) -> u64 {
    deadline_ms(plan, now_ms).saturating_add(SETTLEMENT_MARGIN_MS)
}

/// The coins that can pay for a plan. They last until settlement, and the merchant knows their keys too: a key that
/// only this wallet was shown would mark its coins.
fn spendable(purse: Vec<CoinRow>, keys: &KeyBook, plan: &Plan, now_ms: u64) -> Vec<CoinRow> {
    let mut accepted = plan.offer.body.banks.iter();
    let accepted = accepted.find(|accepted| accepted.bank == plan.bank);
    let seen = accepted.and_then(|accepted| keys.last_epoch_of(&accepted.key_list_digest));
    let settled_ms = settled_ms(plan, now_ms);
    let fits = |d: &Denomination| Some(d.epoch) <= seen && d.spend_until_ms > settled_ms;
    let fits = |row: &CoinRow| keys.get(&row.coin.key_id).is_some_and(fits);
    purse.into_iter().filter(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use farthing_protocol::money::{change, fewest};
    use proptest::prelude::*;

    /// The values of a bank's coins: the first powers of two.
    fn series(count: u32) -> Vec<u64> {
        (0..count).map(|exponent| 1 << exponent).collect()
    }

    /// Takes the steps to a payment. Returns how many exchanges it took.
    fn pays(mut coins: Vec<u64>, price: Amount, overpaid_max: Amount, values: &[u64]) -> usize {
        let most = coins.len() + EXCHANGES_MAX;
        for exchanges in 0..most {
            let (inputs, outputs) = match selected(&coins, price, overpaid_max) {
                Selected::Paying(chosen) => {
                    assert!(chosen.len() <= COINS_PER_REQUEST_MAX);
                    let worth = chosen.iter().map(|index| coins[*index]).sum::<u64>();
                    assert!((price.0..=price.0 + overpaid_max.0).contains(&worth));
                    return exchanges;
                }
                Selected::TooMany { small, .. } => {
                    let worth = small.iter().map(|index| coins[*index]).sum();
                    (small, fewest(Amount(worth), values).unwrap())
                }
                Selected::ChangeNeeded(large) => {
                    let outputs = large.iter().flat_map(|index| change(coins[*index], values));
                    (large.clone(), outputs.collect())
                }
                Selected::Short(short) => panic!("{short} is missing"),
            };
            assert!(inputs.len() <= COINS_PER_REQUEST_MAX && outputs.len() <= COINS_PER_REQUEST_MAX);
            let mut index = 0;
            coins.retain(|_| {
                index += 1;
                !inputs.contains(&(index - 1))
            });
            coins.extend(outputs);
        }
        panic!("no payment after {most} exchanges");
    }

    proptest! {
        #[test]
        fn a_wallet_that_is_worth_a_payable_price_pays_it(
            count in 1u32..20,
            exponents in prop::collection::vec(0u32..20, 1..600),
            part in 0.0..=1.0f64,
            overpaid_max in prop_oneof![Just(0u64), 0u64..100_000],
        ) {
            let values = series(count);
            let coins: Vec<u64> = exponents.iter().map(|exponent| 1 << (exponent % count)).collect();
            let wanted = (coins.iter().sum::<u64>() as f64 * part) as u64;
            let price = most_payable(Amount(wanted.max(1)), &values, COINS_PER_REQUEST_MAX);
            pays(coins, price, Amount(overpaid_max), &values);
        }
    }

    #[test]
    fn three_hundred_coins_of_one_cent_pay_in_few_exchanges() {
        let pays = |coins, price| pays(coins, Amount(price), Amount(0), &series(16));
        assert_eq!(pays(vec![1; 300], 280), 4);
        assert_eq!(pays(vec![1; 300], 64), 0);
    }

    #[test]
    fn no_exchange_is_made_where_the_change_is_within_its_bound() {
        let pays = |coins, price: u64| pays(coins, Amount(price), Amount(price.max(100)), &series(16));
        assert_eq!(pays(vec![64], 3), 0);
        assert_eq!(pays(vec![512, 1, 1], 300), 0);
        // The coins that fit are too many, and a larger one is not.
        let many = [vec![1; 300], vec![512]].concat();
        assert_eq!(pays(many, 280), 0);
        // 1.25 of change for 0.03 would be too much.
        assert_eq!(pays(vec![128], 3), 1);
    }

    #[test]
    fn a_price_that_takes_too_many_coins_is_refused_with_the_highest_one() {
        let values = series(16);
        assert!(check_payable(Amount(64 << 15), &values).is_ok());
        let refused = check_payable(Amount(2_500_000), &values).unwrap_err().to_string();
        for says in [
            "25000.00",
            "at most 64 coins",
            "327.68",
            "20971.52",
            "nothing was paid",
        ] {
            assert!(refused.contains(says), "{refused}");
        }
        assert!(check_payable(Amount(3), &[2, 4]).is_err());
    }
}
