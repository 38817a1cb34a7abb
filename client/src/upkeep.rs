//! Upkeep: exchanges that no purchase waits for. Coins that expire soon are renewed, and many small coins become fewer.
//! So change is seldom made just before a payment, and nothing expires in a wallet that is used.
//!
//! | what | file |
//! |---|---|
//! | what the coins of a bank need, and when: pure | `plan` |
//!
//! A look at the wallet draws a random time for each new need and stores it. A later look makes the exchange once this
//! time has come. So the bank cannot link the exchange by its time to the withdrawal or the purchase before it, and a
//! restart draws no new times.

mod plan;

pub use self::plan::Task;
pub(crate) use self::plan::look_again_after_ms;
use self::plan::{Held, Need, due_ms, latest_ms, needs};
use crate::{
    coins::Validity,
    error::WalletError,
    issuance::unchanged,
    rows::{CoinRow, CoinStatus, UPKEEP},
    wallet::Wallet,
};
use farthing_coin::{KeyBook, PublicKey};
use farthing_node::card::RoleName;
use farthing_protocol::money::Amount;
use farthing_store::{Reads, StoreError};

/// What a look at a wallet has found.
#[derive(Debug, Default)]
pub struct Upkeep {
    /// The exchanges that are due.
    pub due: Vec<Due>,
    /// When the next exchange is due (ms since 1970).
    pub next_ms: Option<u64>,
}

/// An exchange that is due.
#[derive(Debug, Clone)]
pub struct Due {
    /// The bank.
    pub bank: PublicKey,
    /// The kind.
    pub task: Task,
    /// The coins: as many as one exchange takes, or fewer.
    coins: Vec<CoinRow>,
}

/// The time of an exchange that is stored or removed, by bank and [`Task::number`].
type Planned = ((PublicKey, u8), Option<u64>);

impl Wallet {
    /// Looks at the coins, and draws times for the exchanges that they need. Asks nobody, and is quick.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn look_after(&self) -> Result<Upkeep, WalletError> {
        let mut found = Upkeep::default();
        let mut writes = Vec::new();
        let coins = self.present_coins()?;
        for bank in self.network_file()?.cards() {
            if bank.role != RoleName::Bank || self.check_restored(&bank.identity).is_err() {
                continue;
            }
            let Some(keys) = self.stored_keys(bank)? else {
                continue;
            };
            let of_bank = coins.iter().filter(|row| row.bank == bank.identity);
            let (rows, held) = in_no_request(of_bank, &keys, self.now_ms());
            let needs = needs(&held, keys.values());
            self.plan(&bank.identity, &rows, &needs, &mut found, &mut writes)?;
        }
        if !writes.is_empty() {
            self.transact(Reads::none(), move |tx| {
                for (at, due_ms) in &writes {
                    match due_ms {
                        Some(due_ms) => UPKEEP.put(tx, at, due_ms)?,
                        None => UPKEEP.delete(tx, at)?,
                    }
                }
                Ok(())
            })
            .await?;
        }
        Ok(found)
    }

    /// Adds what a bank's coins need to what was found.
    fn plan(
        &self,
        bank: &PublicKey,
        rows: &[CoinRow],
        needs: &[Need],
        found: &mut Upkeep,
        writes: &mut Vec<Planned>,
    ) -> Result<(), StoreError> {
        let now_ms = self.now_ms();
        for task in Task::ALL {
            let at = (*bank, task.number());
            let planned_ms = UPKEEP.peek(&self.rows(), &at)?;
            let Some(need) = needs.iter().find(|need| need.task == task) else {
                if planned_ms.is_some() {
                    writes.push((at, None));
                }
                continue;
            };
            // A time that is too late was drawn for other coins, or while the clock was wrong.
            let planned_ms = planned_ms.filter(|due_ms| *due_ms <= latest_ms(need, now_ms));
            let at_ms = planned_ms.unwrap_or_else(|| due_ms(need, now_ms, self.random()));
            if planned_ms.is_none() {
                writes.push((at, Some(at_ms)));
            }
            if planned_ms.is_some() && at_ms <= now_ms {
                let coins = need.coins.iter().filter_map(|place| rows.get(*place));
                found.due.push(Due {
                    bank: *bank,
                    task,
                    coins: coins.cloned().collect(),
                });
            } else {
                found.next_ms = Some(found.next_ms.map_or(at_ms, |next_ms| next_ms.min(at_ms)));
            }
        }
        Ok(())
    }

    /// Makes an exchange that is due, unless its coins have been used in the meantime. The next one of its kind waits
    /// for a new random time, no matter how this one ends. Returns the exchanged amount and the errors.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn keep_up(&self, due: &Due) -> Result<(Amount, Vec<WalletError>), WalletError> {
        let at = (due.bank, due.task.number());
        self.transact(Reads::none(), move |tx| UPKEEP.delete(tx, &at))
            .await?;
        let coins = unchanged(&self.rows(), &due.coins)?;
        if coins.len() < due.coins.len() {
            // A rest of the coins would tell which of them a purchase has taken.
            return Ok((Amount(0), Vec::new()));
        }
        self.exchange_despite_refusals(coins).await
    }

    /// A random number.
    pub(crate) fn random(&self) -> u64 {
        let mut bytes = [0; 8];
        self.env.entropy.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}

/// The coins among `rows`, which are of one bank, that are in no request and that the bank still takes.
fn in_no_request<'r>(
    rows: impl Iterator<Item = &'r CoinRow>,
    keys: &KeyBook,
    now_ms: u64,
) -> (Vec<CoinRow>, Vec<Held>) {
    let held = rows
        .filter(|row| row.status == CoinStatus::Available)
        .filter_map(|row| {
            let key = keys.get(&row.coin.key_id);
            let (ends, until_ms) = match Validity::of(key, now_ms) {
                Validity::Lost => return None,
                Validity::Spendable => (false, u64::MAX),
                // A fresh coin may be under the same key.
                Validity::Ending(until_ms) => (key.is_some_and(|key| key.issue_until_ms <= now_ms), until_ms),
                Validity::Expired(until_ms) => (true, until_ms),
            };
            let value = row.value;
            Some((
                row.clone(),
                Held {
                    value,
                    ends,
                    until_ms,
                },
            ))
        });
    held.unzip()
}
