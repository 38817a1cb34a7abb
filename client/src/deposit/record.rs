//! The writes of a payment's steps, each one transaction.

use crate::{
    coin_finding::{CoinFinding, end_paid},
    coins::{coin_reads, set_status},
    recovery::return_coins,
    rows::{DEPOSITS, DepositRow, DepositState},
};
use farthing_coin::Coin;
use farthing_store::{Reads, StoreError, Transaction};

/// The write of a step.
#[derive(Debug, Clone)]
pub(crate) enum Write {
    /// The bank has carried the payment out.
    Done(DepositRow),
    /// The bank has denied it. The coins return, except a coin of which the bank has shown more.
    Refused {
        /// The payment after the write.
        row: DepositRow,
        /// What the denial says of a coin.
        finding: Option<CoinFinding>,
        /// Time of the denial (ms since 1970).
        now_ms: u64,
    },
}

impl Write {
    /// The rows that [`apply`](Write::apply) reads.
    pub(crate) fn reads(&self, number: u64) -> Reads {
        match self {
            Write::Done(row) => coin_reads(row.deposit.coins()).into(),
            Write::Refused { row, finding, .. } => {
                let finding = finding.as_ref().map(|finding| finding.reads(&row.deposit.bank));
                Reads::from(coin_reads(row.deposit.coins()))
                    .and([DEPOSITS.key(&number)])
                    .and(finding.into_iter().flatten())
            }
        }
    }

    /// Applies the write. A denial changes nothing if the payment has ended in the meantime.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) fn apply(&self, tx: &mut Transaction<'_>, number: u64) -> Result<(), StoreError> {
        match self {
            Write::Done(row) => end_paid(tx, number, row),
            Write::Refused { row, finding, now_ms } => {
                let now = DEPOSITS.get(tx, &number)?;
                if now.is_none_or(|now| now.state != DepositState::Sending) {
                    return Ok(());
                }
                let coins = row.deposit.coins();
                return_coins(tx, coins, number)?;
                if let Some(finding) = finding
                    && let Some((used, status)) = finding.take_effect(tx, &row.deposit.bank, *now_ms)?
                {
                    let used = coins.iter().filter(|coin| coin.public == used).copied();
                    set_status(tx, &used.collect::<Vec<Coin>>(), |_| status)?;
                }
                DEPOSITS.put(tx, &number, row)
            }
        }
    }
}
