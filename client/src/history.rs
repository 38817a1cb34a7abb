//! Everything that a wallet has done: withdrawals, exchanges, purchases, payments, and what it has received.

use crate::{
    error::WalletError,
    rows::{
        CoinStatus, DepositRow, EXCHANGE_TIMES, EXCHANGES, ExchangeRow, PurchaseRow, RESERVE_WITHDRAWALS,
        ReserveWithdrawalRow, WITHDRAWAL_TIMES, WITHDRAWALS, WITHDRAWN_AMOUNTS, all,
    },
    wallet::Wallet,
};
use farthing_coin::PublicKey;
use farthing_protocol::{issue::IssueState, money::Amount};
use std::collections::BTreeMap;

/// One entry of a wallet's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// When it was begun (ms since 1970). `None` if an older version or a restore wrote it.
    pub begun_ms: Option<u64>,
    /// What was done.
    pub matter: HistoryMatter,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HistoryMatter {
    /// A withdrawal, in one request or several.
    Withdrawal(IssuanceEntry),
    /// An exchange of coins for fresh ones.
    Exchange {
        /// Bank, amount and progress.
        issued: IssuanceEntry,
        /// Number of the purchase that returned the coins, if one did.
        of_purchase: Option<u64>,
    },
    /// A withdrawal from a reserve: change and refunds of a purchase, or a payment that was requested.
    Received {
        /// Bank, amount and progress.
        issued: IssuanceEntry,
        /// Number of the purchase, unless a request was paid.
        of_purchase: Option<u64>,
    },
    /// The purchase with this number.
    Purchase(u64, Box<PurchaseRow>),
    /// The payment by deposit with this number.
    Payment(u64, Box<DepositRow>),
}

/// Coins that a bank has issued, or was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuanceEntry {
    /// The bank.
    pub bank: PublicKey,
    /// The bank's currency, if the wallet has its list of keys.
    pub currency: Option<String>,
    /// Number of the first request.
    pub number: u64,
    /// What the coins are worth.
    pub amount: Amount,
    /// How far it is.
    pub progress: IssuanceProgress,
}

/// How far an issuance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum IssuanceProgress {
    /// The coins are in the wallet.
    Done,
    /// The bank has refused. Nothing was debited, and no coin was taken.
    Refused,
    /// A request is not answered yet.
    UnderWay,
}

impl IssuanceProgress {
    fn of(state: &IssueState) -> IssuanceProgress {
        match state {
            IssueState::Beginning | IssueState::Finishing { .. } => IssuanceProgress::UnderWay,
            IssueState::Done => IssuanceProgress::Done,
            IssueState::Refused { .. } => IssuanceProgress::Refused,
        }
    }

    /// Its name for people and scripts, one word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            IssuanceProgress::Done => "done",
            IssuanceProgress::Refused => "refused",
            IssuanceProgress::UnderWay => "under-way",
        }
    }
}

impl Wallet {
    /// Everything that the wallet has done, the oldest first. Entries without a date come before all others.
    ///
    /// # Errors
    /// When the store fails, or a bank's list of keys is damaged.
    pub fn history(&self) -> Result<Vec<HistoryEntry>, WalletError> {
        let mut entries = withdrawals(self)?;
        for ((bank, number), row) in all(&self.rows(), &EXCHANGES)? {
            entries.push(exchange(self, bank, number, &row)?);
        }
        let purchases = self.purchases()?;
        for (at, row) in all(&self.rows(), &RESERVE_WITHDRAWALS)? {
            entries.push(received(self, at, &row, &purchases)?);
        }
        entries.extend(purchases.into_iter().map(|(number, row)| HistoryEntry {
            begun_ms: Some(row.begun_ms),
            matter: HistoryMatter::Purchase(number, Box::new(row)),
        }));
        entries.extend(self.payments()?.into_iter().map(|(number, row)| HistoryEntry {
            begun_ms: Some(row.begun_ms),
            matter: HistoryMatter::Payment(number, Box::new(row)),
        }));
        entries.sort_by_key(|entry| entry.begun_ms);
        Ok(entries)
    }

    fn issued(
        &self,
        (bank, number): (PublicKey, u64),
        amount: Amount,
        progress: IssuanceProgress,
    ) -> Result<IssuanceEntry, WalletError> {
        let keys = self.known_keys(&bank)?;
        Ok(IssuanceEntry {
            bank,
            currency: keys.map(|keys| keys.list().currency.clone()),
            number,
            amount,
            progress,
        })
    }
}

/// The withdrawals. Requests of one amount that were planned at one time are one withdrawal, or one entry for each
/// progress: a part may be refused.
fn withdrawals(wallet: &Wallet) -> Result<Vec<HistoryEntry>, WalletError> {
    let entry = |begun_ms, issued| HistoryEntry {
        begun_ms,
        matter: HistoryMatter::Withdrawal(issued),
    };
    let mut planned: BTreeMap<(PublicKey, u64, Option<Amount>, IssuanceProgress), IssuanceEntry> =
        BTreeMap::new();
    let mut entries = Vec::new();
    for (at, row) in all(&wallet.rows(), &WITHDRAWALS)? {
        let asked = WITHDRAWN_AMOUNTS.peek(&wallet.rows(), &at)?;
        let progress = IssuanceProgress::of(&row.state);
        let issued = wallet.issued(at, wallet.worth(&row.bank, &row.outputs)?, progress)?;
        let Some(begun_ms) = WITHDRAWAL_TIMES.peek(&wallet.rows(), &at)? else {
            entries.push(entry(None, issued));
            continue;
        };
        let amount = issued.amount.0;
        planned
            .entry((row.bank, begun_ms, asked, progress))
            .and_modify(|first| first.amount.0 = first.amount.0.saturating_add(amount))
            .or_insert(issued);
    }
    let planned = planned.into_iter();
    entries.extend(planned.map(|((_, begun_ms, ..), issued)| entry(Some(begun_ms), issued)));
    Ok(entries)
}

fn exchange(
    wallet: &Wallet,
    bank: PublicKey,
    number: u64,
    row: &ExchangeRow,
) -> Result<HistoryEntry, WalletError> {
    let amount = wallet.worth(&bank, &row.exchange.outputs)?;
    let progress = IssuanceProgress::of(&row.exchange.state);
    Ok(HistoryEntry {
        begun_ms: EXCHANGE_TIMES.peek(&wallet.rows(), &(bank, number))?,
        matter: HistoryMatter::Exchange {
            issued: wallet.issued((bank, number), amount, progress)?,
            of_purchase: match row.before {
                CoinStatus::InPurchase(purchase) | CoinStatus::Released(purchase) => Some(purchase),
                _ => None,
            },
        },
    })
}

fn received(
    wallet: &Wallet,
    at: (PublicKey, u64),
    row: &ReserveWithdrawalRow,
    purchases: &[(u64, PurchaseRow)],
) -> Result<HistoryEntry, WalletError> {
    let withdrawal = &row.withdrawal.0;
    let amount = wallet.worth(&at.0, &withdrawal.outputs)?;
    let mut purchases = purchases.iter();
    let its = purchases.find(|(_, purchase)| purchase.is_paid_at(&at.0, &row.origin));
    Ok(HistoryEntry {
        begun_ms: Some(row.begun_ms),
        matter: HistoryMatter::Received {
            issued: wallet.issued(at, amount, IssuanceProgress::of(&withdrawal.state))?,
            of_purchase: its.map(|(number, _)| *number),
        },
    })
}
