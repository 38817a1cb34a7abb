//! The work that a customer repeats, with the real wallet.

use crate::{
    args::{Args, Kind, Mode},
    asked::Asked,
    prepared::{Customers, EXCHANGES_EACH},
    target::{Target, random_word},
};
use anyhow::{Context, Result, bail};
use farthing_client::{
    purchase::Parties,
    rows::{CoinStatus, Delivery},
    wallet::Wallet,
};
use farthing_protocol::{
    limits::GOODS_WITH_OFFER_MAX_BYTES,
    money::{Amount, assortment},
};
use std::{fs, sync::Arc};

/// The purchases of one customer: a purse holds some tens of coins, not thousands.
const PURCHASES_EACH: u64 = 30;

/// The number of withdrawals from one account.
const WITHDRAWALS_EACH: u64 = 1_000_000;

/// The exchanged coins: two of the smallest value, for two of the smallest value.
const EXCHANGED: Amount = Amount(2);

/// The default number of coins of a withdrawal.
const COINS_PER_WITHDRAWAL: u64 = 16;

/// The kind of work.
pub(crate) struct Work {
    pub(crate) kind: Kind,
    customers: Customers,
    asked: Arc<Asked>,
    parties: Parties,
    item: String,
    /// The deposit for each customer at the cash desk.
    funds: Amount,
    /// The sum of a customer's withdrawal: before the measurement, or each time if that is the work.
    withdraws: Amount,
}

impl Work {
    /// The work that `args` names.
    pub(crate) fn new(args: &Args, target: &Target, asked: Arc<Asked>) -> Result<Work> {
        let top = target.values.last().copied().unwrap_or(1);
        let (coins, funds, withdraws) = match args.mode {
            Mode::Purchase | Mode::Sealed => {
                let coins = target.price.0 / top;
                // The wallet keeps one coin's worth in change.
                let purse =
                    Amount(top.saturating_mul(coins.saturating_mul(PURCHASES_EACH).saturating_add(1)));
                (coins, purse, purse)
            }
            Mode::Withdraw => {
                let coins = args.coins.unwrap_or(COINS_PER_WITHDRAWAL);
                let each = amount_of(coins, &target.values)?;
                (coins, Amount(each.0.saturating_mul(WITHDRAWALS_EACH)), each)
            }
            Mode::Exchange if args.prepared => {
                let purse = amount_of(EXCHANGED.0.saturating_mul(EXCHANGES_EACH), &target.values)?;
                (EXCHANGED.0, purse, purse)
            }
            Mode::Exchange => (EXCHANGED.0, EXCHANGED, EXCHANGED),
        };
        Ok(Work {
            kind: Kind {
                mode: args.mode,
                coins,
                is_relayed: target.relay.is_some(),
                is_prepared: args.prepared,
            },
            customers: Customers::default(),
            asked,
            parties: target.parties(),
            item: target.item.clone(),
            funds,
            withdraws,
        })
    }

    /// The number of times that one customer can do the work.
    pub(crate) fn times_each(&self) -> u64 {
        match self.kind.mode {
            Mode::Purchase | Mode::Sealed => PURCHASES_EACH,
            Mode::Withdraw => WITHDRAWALS_EACH,
            Mode::Exchange if self.kind.is_prepared => EXCHANGES_EACH,
            Mode::Exchange => u64::MAX,
        }
    }

    /// The deposit for each customer at the cash desk.
    pub(crate) fn funds(&self) -> Amount {
        self.funds
    }

    /// Gives a new customer the coins or the balance that the work needs.
    pub(crate) async fn prepare(&self, target: &Target, wallet: &Wallet) -> Result<()> {
        let account = wallet.account(&self.parties.bank.identity)?.to_string();
        target.fund(&account, self.funds).await?;
        if self.kind.mode != Mode::Withdraw {
            wallet.withdraw(&self.parties.bank, self.withdraws).await?;
        }
        Ok(())
    }

    /// Computes what new customers can compute before the run, if requested. Returns the client's CPU time for one unit of
    /// work (us).
    pub(crate) async fn compute_ahead(
        &self,
        target: &Target,
        wallets: &[Arc<Wallet>],
    ) -> Result<Option<f64>> {
        match self.kind.is_prepared {
            true => Ok(Some(self.customers.prepare(target, wallets).await?)),
            false => Ok(None),
        }
    }

    /// Does the work once, from beginning to end.
    pub(crate) async fn once(&self, wallet: &Wallet) -> Result<()> {
        match self.kind.mode {
            Mode::Purchase | Mode::Sealed => self.buy(wallet).await,
            Mode::Withdraw => Ok(wallet.withdraw(&self.parties.bank, self.withdraws).await?),
            Mode::Exchange if self.kind.is_prepared => self.customers.exchange(wallet, &self.asked).await,
            Mode::Exchange => self.exchange(wallet).await,
        }
    }

    async fn buy(&self, wallet: &Wallet) -> Result<()> {
        let output = wallet.dir().join(format!("bought-{}", random_word()));
        let number = wallet.buy(&self.parties, self.item.as_str(), &output).await?;
        let row = wallet.purchase(number)?;
        if row.delivery != Delivery::Delivered {
            bail!(
                "a purchase has ended as `{}`, without goods",
                row.purchase.status()
            );
        }
        // The purchase is finished. Small goods stay until the end, as a customer does not remove new goods. Large
        // goods would fill the disk.
        if !row.output.is_file() {
            bail!("the goods are not where they should be");
        }
        if row.purchase.offer().body.encrypted_bytes > GOODS_WITH_OFFER_MAX_BYTES {
            fs::remove_file(&row.output)?;
            fs::remove_file(wallet.goods_file(number)?)?;
        }
        Ok(())
    }

    async fn exchange(&self, wallet: &Wallet) -> Result<()> {
        let rows = wallet.present_coins()?;
        let available = rows.into_iter().filter(|row| row.status == CoinStatus::Available);
        let worth = wallet.exchange(available.collect()).await?;
        if worth != EXCHANGED {
            bail!("{worth} was exchanged, and not {EXCHANGED}");
        }
        Ok(())
    }
}

/// The smallest amount for which a wallet asks this many coins.
fn amount_of(coins: u64, values: &[u64]) -> Result<Amount> {
    let top = values.last().copied().unwrap_or(1);
    let candidates = (1..=top).chain((2..=coins).map(|times| times.saturating_mul(top)));
    let fits = |amount: &u64| {
        let coins_of = assortment(Amount(*amount), values);
        coins_of.is_some_and(|values| values.len() as u64 == coins)
    };
    let found = candidates.into_iter().find(fits);
    Ok(Amount(found.with_context(|| {
        format!("no wallet withdraws {coins} coins of this bank at once")
    })?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    #[test]
    fn every_number_of_coins_is_that_of_some_amount() {
        let values: Vec<u64> = (0..16).map(|power| 1 << power).collect();
        for coins in 1..=64 {
            let amount = amount_of(coins, &values).unwrap();
            assert_eq!(assortment(amount, &values).unwrap().len() as u64, coins);
        }
    }
}
