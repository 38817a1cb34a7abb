//! Payments by deposit: coins are paid to the wallet's own account, or to the reserve of another person.
//!
//! | what | file |
//! |---|---|
//! | choose coins, and store the payment | this one |
//! | the next write and the next request: pure | `step` |
//! | the writes, each one transaction | `record` |
//! | the runtime: write, send, step again | `run` |
//!
//! A deposit that was sent may have been carried out, whatever the bank says without a signature. So the wallet sends the
//! same bytes again, and never pays the same thing with other coins meanwhile. It gives a payment up only by an exchange
//! of its coins.

mod record;
mod run;
mod step;

use crate::{
    coins::{coin_reads, have_status, set_status},
    counters::{number_reads, take_numbers},
    error::WalletError,
    purchase::{Purpose, choose},
    rows::{CoinRow, CoinStatus, Counter, DEPOSITS, DepositRow, DepositState, NO_BANK, all},
    wallet::Wallet,
};
use farthing_coin::{Coin, PublicKey};
use farthing_node::card::Card;
use farthing_protocol::{
    deposit::{Deposit, DepositFrom},
    deposited::{DepositOutput, Payee, text_digest},
    money::Amount,
    restore::Origin,
};
use farthing_store::Reads;

/// How often coins are chosen for one payment, if other tasks take the chosen ones.
const CHOICES_MAX: usize = 16;

/// The result of [`Wallet::redeem`] and [`Wallet::pay`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paid {
    /// Number of the payment.
    pub number: u64,
    /// Whether it was under way before.
    pub is_carried_on: bool,
}

/// A payment to one payee.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order<'o> {
    /// Whom to credit.
    pub(crate) to: Payee,
    /// The amount.
    pub(crate) amount: Amount,
    /// What it is for. The bank sees only its digest.
    pub(crate) text: &'o str,
}

impl Wallet {
    /// Pays coins into the wallet's own account. A payment of the same amount that is under way is carried on instead,
    /// unless `again` asks for another.
    ///
    /// # Errors
    /// When the wallet has too few coins there, or the bank has no account of this wallet. When the bank refuses, or does
    /// not answer; [`resume`](Wallet::resume) then carries on.
    pub async fn redeem(&self, bank: &Card, amount: Amount, again: bool) -> Result<Paid, WalletError> {
        let order = Order {
            to: Payee::Account(self.account(&bank.identity)?),
            amount,
            text: "",
        };
        if !again && let Some(number) = self.payment_that(bank, &order, |row| row.state.is_open())? {
            return self.carry_on(number).await;
        }
        // Coins that were shown beside an account would name their owner when they are spent.
        self.account_balance(bank).await?;
        self.pay_new(bank, &order).await
    }

    /// Carries a payment on that is under way.
    ///
    /// # Errors
    /// When there is none. When the bank refuses, or does not answer; [`resume`](Wallet::resume) then carries on.
    pub async fn drive_payment(&self, number: u64) -> Result<(), WalletError> {
        run::drive(self, number).await
    }

    /// All payments by deposit, by number.
    ///
    /// # Errors
    /// When the store fails.
    pub fn payments(&self) -> Result<Vec<(u64, DepositRow)>, WalletError> {
        Ok(all(&self.rows(), &DEPOSITS)?)
    }

    /// A payment by its number.
    ///
    /// # Errors
    /// [`WalletError::NoPayment`] when there is none. When the store fails.
    pub fn payment(&self, number: u64) -> Result<DepositRow, WalletError> {
        let row = DEPOSITS.peek(&self.rows(), &number)?;
        row.ok_or(WalletError::NoPayment(number))
    }

    /// Gives a payment up by an exchange of its coins. If the bank has carried it out, it is done instead. Returns its state
    /// afterwards.
    ///
    /// # Errors
    /// When there is no such payment. When the bank does not answer; [`resume`](Wallet::resume) then carries the exchange
    /// on.
    pub async fn give_up_payment(&self, number: u64) -> Result<DepositState, WalletError> {
        let is_in = |row: &CoinRow| row.status == CoinStatus::InDeposit(number);
        loop {
            let state = self.payment(number)?.state;
            if state != DepositState::Sending {
                return Ok(state);
            }
            let coins = self.coins_that(is_in)?;
            let left = coins.len();
            let exchanged = match left {
                // Another task is exchanging them.
                0 => self.carry_on_exchanges(None).await.map(drop),
                _ => self.exchange(coins).await.map(drop),
            };
            let state = self.payment(number)?.state;
            if state != DepositState::Sending {
                return Ok(state);
            }
            exchanged?;
            if left == self.coins_that(is_in)?.len() {
                return Ok(state);
            }
        }
    }

    pub(crate) async fn carry_on(&self, number: u64) -> Result<Paid, WalletError> {
        run::drive(self, number).await?;
        Ok(Paid {
            number,
            is_carried_on: true,
        })
    }

    /// The first payment at this bank with the same payee, amount and text, whose row `is_meant`.
    pub(crate) fn payment_that(
        &self,
        bank: &Card,
        order: &Order<'_>,
        is_meant: impl Fn(&DepositRow) -> bool,
    ) -> Result<Option<u64>, WalletError> {
        let outputs = [order.output()];
        let is_it = |row: &DepositRow| {
            let deposit = &row.deposit;
            deposit.bank == bank.identity && deposit.outputs == outputs && row.text == order.text
        };
        let mut payments = self.payments()?.into_iter();
        let found = payments.find(|(_, row)| is_it(row) && is_meant(row));
        Ok(found.map(|(number, _)| number))
    }

    /// Chooses coins, stores a payment, and drives it.
    pub(crate) async fn pay_new(&self, bank: &Card, order: &Order<'_>) -> Result<Paid, WalletError> {
        self.check_restored(&bank.identity)?;
        if order.amount == Amount(0) {
            return Err(WalletError::NothingToPay);
        }
        for _ in 0..CHOICES_MAX {
            let coins = choose(self, Purpose::Deposit(order.amount), bank, None).await?;
            if let Some(number) = plan(self, bank.identity, order, coins).await? {
                run::drive(self, number).await?;
                return Ok(Paid {
                    number,
                    is_carried_on: false,
                });
            }
        }
        Err(WalletError::NoCoins(order.amount))
    }
}

impl Order<'_> {
    fn output(&self) -> DepositOutput {
        DepositOutput {
            to: self.to,
            amount: self.amount,
        }
    }
}

/// Stores a payment before anything is sent; `None` if another task has taken a coin.
async fn plan(
    wallet: &Wallet,
    bank: PublicKey,
    order: &Order<'_>,
    rows: Vec<CoinRow>,
) -> Result<Option<u64>, WalletError> {
    let coins: Vec<Coin> = rows.iter().map(|row| row.coin).collect();
    let origins: Vec<Origin> = rows.iter().map(|row| row.origin).collect();
    let (seed, now_ms) = (wallet.seed_for(&bank), wallet.now_ms());
    let (output, text) = (order.output(), order.text.to_owned());
    let reads = Reads::from(coin_reads(&coins)).and([number_reads(&NO_BANK, Counter::Deposits)]);
    wallet
        .transact(reads, move |tx| {
            if !have_status(tx, &coins, CoinStatus::Available)? {
                return Ok(None);
            }
            let number = take_numbers(tx, &NO_BANK, Counter::Deposits, 1)?;
            set_status(tx, &coins, |_| CoinStatus::InDeposit(number))?;
            let deposit = Deposit {
                bank,
                from: DepositFrom::Coins(coins.clone()),
                outputs: vec![output],
                text: text_digest(&seed.text_salt(number), &text),
            };
            let row = DepositRow {
                deposit,
                origins: origins.clone(),
                text: text.clone(),
                begun_ms: now_ms,
                state: DepositState::Sending,
            };
            DEPOSITS.put(tx, &number, &row)?;
            Ok(Some(number))
        })
        .await
}
