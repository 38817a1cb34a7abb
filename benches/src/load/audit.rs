//! The audit after a run: the books of bank, escrow and merchant against the wallets, to the unit.

use crate::{target::Target, wallets::Wallets, work::Work};
use anyhow::{Result, bail};
use farthing_kit::books::{Books, decisions};
use farthing_node::card::RoleName;
use farthing_protocol::{money::Amount, purchase::Purchase};
use serde::Serialize;

/// The books of bank and escrow before the run's first customer.
pub(crate) struct AllBooks {
    bank: Books,
    decisions: usize,
}

impl AllBooks {
    /// The books as they are now.
    pub(crate) async fn of(target: &Target) -> Result<AllBooks> {
        let decisions = decisions(&target.escrow).await?;
        if let Some((purchase, _)) = decisions.iter().find(|(_, decided)| !decided.settled) {
            bail!("the escrow's decision on purchase {purchase} is not settled at the bank");
        }
        Ok(AllBooks {
            bank: Books::of(&target.bank).await?,
            decisions: decisions.len(),
        })
    }
}

/// The sums that were counted. They agree.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct LoadAudit {
    /// Deposits of the customers at the cash desk (smallest units, like all sums here).
    paid_in: u64,
    /// The rest in their accounts.
    in_accounts: u64,
    /// The worth of their coins.
    in_coins: u64,
    /// The sum that they spent, which the merchant was credited.
    spent: u64,
    /// The number of their purchases.
    purchases: usize,
}

/// The sums according to the wallets.
#[derive(Default)]
struct WalletSums {
    coins: u64,
    spent: u64,
    purchases: usize,
    accounts: u64,
}

impl LoadAudit {
    /// Counts all sums. An error if two of them disagree.
    pub(crate) async fn take(
        target: &Target,
        work: &Work,
        wallets: &Wallets,
        before: &AllBooks,
    ) -> Result<LoadAudit> {
        let after = AllBooks::of(target).await?;
        if !after.bank.problems.is_empty() {
            bail!(
                "the bank's books do not balance: {}",
                after.bank.problems.join("; ")
            );
        }
        let sums = count(wallets, &after)?;
        let grown = |of: fn(&Books) -> Amount| of(&after.bank).0.saturating_sub(of(&before.bank).0);
        let paid_in = work.funds().0.saturating_mul(wallets.all().len() as u64);
        let merchant = |books: &AllBooks| books.bank.balance(&target.merchant_account).0;
        let sold = merchant(&after).saturating_sub(merchant(before));
        let checks = [
            (
                "paid in for the customers, by the cash desk",
                grown(|b| b.paid_in),
                paid_in,
            ),
            (
                "coins that are out = coins in the wallets",
                grown(|b| b.outstanding),
                sums.coins,
            ),
            (
                "credited to the merchant = spent by the wallets",
                sold,
                sums.spent,
            ),
            ("held coins = none", grown(|b| b.held), 0),
            (
                "decisions of the escrow = purchases of the wallets",
                after.decisions.saturating_sub(before.decisions) as u64,
                sums.purchases as u64,
            ),
            (
                "paid in = in accounts + in coins + spent",
                paid_in,
                sums.accounts
                    .saturating_add(sums.coins)
                    .saturating_add(sums.spent),
            ),
        ];
        for (what, left, right) in checks {
            if left != right {
                bail!("the audit does not agree: {what}: {left} is not {right}");
            }
        }
        Ok(LoadAudit {
            paid_in,
            in_accounts: sums.accounts,
            in_coins: sums.coins,
            spent: sums.spent,
            purchases: sums.purchases,
        })
    }
}

fn count(wallets: &Wallets, after: &AllBooks) -> Result<WalletSums> {
    let mut sum = WalletSums::default();
    for wallet in wallets.all() {
        for balance in wallet.balances()? {
            sum.coins = sum.coins.saturating_add(balance.total().0);
        }
        let bank = wallet.party(RoleName::Bank, None)?;
        let account = after.bank.balance(&wallet.account(&bank.identity)?.to_string());
        sum.accounts = sum.accounts.saturating_add(account.0);
        for (number, row) in wallet.purchases()? {
            if !matches!(row.purchase, Purchase::Committed(..)) {
                bail!(
                    "purchase {number} of a wallet has ended as `{}`",
                    row.purchase.status()
                );
            }
            sum.spent = sum.spent.saturating_add(row.purchase.offer().body.price.0);
            sum.purchases += 1;
        }
    }
    Ok(sum)
}
