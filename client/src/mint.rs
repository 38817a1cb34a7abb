//! New coins: withdrawals and exchanges, driven until the coins are in the wallet.

use crate::{
    error::WalletError,
    rows::{COINS, CoinRow, CoinStatus, Counter, EXCHANGES, ExchangeRow, FIRST_MESSAGES, WITHDRAWALS},
    talk::Talk,
    wallet::{Wallet, set_status, take_numbers},
    watch::Event,
};
use farthing_coin::{Coin, KeyBook, KeyId};
use farthing_node::{
    card::{Card, RoleName},
    network::Lane,
    store::{StoreError, Transaction},
};
use farthing_protocol::{
    exchange::{Exchange, ExchangeAsk, ExchangeState},
    issue::{Begun, MintFault, session_digest},
    limits::COINS_PER_REQUEST_MAX,
    money::{Amount, assortment, change},
    refusal::{CoinsFault, IssueFault, Refusal},
    restore::Origin,
    withdraw::{WithdrawAsk, Withdrawal, WithdrawalState},
};

impl Wallet {
    // ---- withdrawals ------------------------------------------------------------------------------------------

    /// Withdraws `amount` from the wallet's account: an assortment of coins, in as many requests as it takes.
    ///
    /// # Errors
    /// When the bank refuses, or does not answer; then `resume` carries on.
    pub async fn withdraw(&self, bank: &Card, amount: Amount) -> Result<(), WalletError> {
        let mut talk = self.talk(bank, Lane::Identified);
        let keys = self.keys(bank, &mut talk).await?;
        let values = assortment(amount, keys.values()).ok_or(WalletError::NoCoins(amount))?;
        let outputs = self.issuing(&keys, &values)?;
        let numbers = self.plan_withdrawals(bank, outputs).await?;
        let total = values.len() as u64;
        let mut done = 0;
        for number in numbers {
            done += self.drive_withdrawal(number, &mut talk).await?;
            self.watch().see(&Event::Coins { done, total });
        }
        Ok(())
    }

    /// The keys that issue coins of `values` now.
    fn issuing(&self, keys: &KeyBook, values: &[u64]) -> Result<Vec<KeyId>, WalletError> {
        let now_ms = self.now_ms();
        let issuing = |value: &u64| keys.issuing(*value, now_ms).map(|d| d.id());
        let ids = values
            .iter()
            .map(|value| issuing(value).ok_or(WalletError::NotIssued(Amount(*value))));
        ids.collect()
    }

    /// Writes down everything that will be asked for, before any of it is.
    async fn plan_withdrawals(&self, bank: &Card, outputs: Vec<KeyId>) -> Result<Vec<u64>, WalletError> {
        let requests: Vec<Vec<KeyId>> = outputs
            .chunks(COINS_PER_REQUEST_MAX)
            .map(<[KeyId]>::to_vec)
            .collect();
        let count = requests.len() as u64;
        let first = self
            .transact(move |tx| take_numbers(tx, Counter::Withdrawals, count))
            .await?;
        let bank = bank.identity;
        let account = self.account();
        let planned: Vec<(u64, Withdrawal)> = (first..)
            .zip(requests)
            .map(|(number, outputs)| {
                let request_id = self.seed.withdraw_id(number);
                let state = WithdrawalState::Beginning;
                (
                    number,
                    Withdrawal {
                        bank,
                        account,
                        request_id,
                        outputs,
                        state,
                    },
                )
            })
            .collect();
        let numbers = planned.iter().map(|(number, _)| *number).collect();
        self.transact(move |tx| {
            planned
                .iter()
                .try_for_each(|(number, withdrawal)| WITHDRAWALS.put(tx, number, withdrawal))
        })
        .await?;
        Ok(numbers)
    }

    /// Carries a withdrawal on until it has ended; returns how many coins it has.
    pub(crate) async fn drive_withdrawal(
        &self,
        number: u64,
        talk: &mut Talk<'_>,
    ) -> Result<u64, WalletError> {
        let account_key = self.account_key();
        loop {
            let withdrawal = WITHDRAWALS
                .peek(&self.store.view(), &number)?
                .ok_or(WalletError::Inconsistent("a withdrawal is missing"))?;
            let bank = self.party_by_key(RoleName::Bank, &withdrawal.bank)?;
            let refusal = match withdrawal.ask(&account_key, &self.seed) {
                WithdrawAsk::Nothing => return Ok(withdrawal.outputs.len() as u64),
                WithdrawAsk::Begin(begin) => match talk.ask("withdraw, begin", &begin).await? {
                    Ok(begun) => {
                        let keys = self.keys_of(&bank, &withdrawal.outputs, talk).await?;
                        let next = withdrawal.on_begun(&begun, &keys, &self.seed)?;
                        let id = withdrawal.request_id;
                        self.met(id, begun, move |tx| WITHDRAWALS.put(tx, &number, &next))
                            .await?;
                        continue;
                    }
                    Err(refusal) => refusal,
                },
                WithdrawAsk::Finish(finish) => match talk.ask("withdraw, finish", &finish).await? {
                    Ok(issued) => {
                        let keys = self.keys_of(&bank, &issued.body.outputs, talk).await?;
                        self.withdrawn(number, withdrawal.on_issued(&issued, &keys, &self.seed)?, &keys)
                            .await?;
                        continue;
                    }
                    Err(refusal) => refusal,
                },
            };
            self.withdrawal_refused(number, withdrawal, refusal, &bank, talk)
                .await?;
        }
    }

    async fn withdrawal_refused(
        &self,
        number: u64,
        withdrawal: Withdrawal,
        refusal: Refusal,
        bank: &Card,
        talk: &mut Talk<'_>,
    ) -> Result<(), WalletError> {
        let next = match &refusal {
            Refusal::Issue(IssueFault::SessionGone) => withdrawal.on_session_gone(),
            Refusal::Issue(IssueFault::OtherContent(issued)) => {
                let keys = self.keys_of(bank, &issued.body.outputs, talk).await?;
                return self
                    .withdrawn(number, withdrawal.on_issued(issued, &keys, &self.seed)?, &keys)
                    .await;
            }
            Refusal::Issue(IssueFault::NotIssuing(_)) => {
                let keys = self.fetch_keys(bank, talk).await?;
                let outputs = self.renewed(&keys, &withdrawal.outputs)?;
                Withdrawal {
                    outputs,
                    ..withdrawal.on_session_gone()
                }
            }
            _ => withdrawal.on_refused(&refusal),
        };
        let refused = matches!(next.state, WithdrawalState::Refused { .. });
        self.transact(move |tx| WITHDRAWALS.put(tx, &number, &next))
            .await?;
        if refused {
            return Err(WalletError::Refused {
                party: talk.party(),
                question: "withdraw",
                refusal: Box::new(refusal),
            });
        }
        Ok(())
    }

    /// The same values under the keys that issue now.
    fn renewed(&self, keys: &KeyBook, outputs: &[KeyId]) -> Result<Vec<KeyId>, WalletError> {
        let values: Option<Vec<u64>> = outputs.iter().map(|id| keys.get(id).map(|d| d.value)).collect();
        let values = values.ok_or(WalletError::Inconsistent(
            "a planned coin's key is not in the list of keys",
        ))?;
        self.issuing(keys, &values)
    }

    async fn withdrawn(
        &self,
        number: u64,
        (withdrawal, coins): (Withdrawal, Vec<Coin>),
        keys: &KeyBook,
    ) -> Result<(), WalletError> {
        let rows = new_rows(&coins, keys, |slot| Origin::withdrawn(number as u32, slot))?;
        self.transact(move |tx| {
            add_coins(tx, &rows)?;
            WITHDRAWALS.put(tx, &number, &withdrawal)
        })
        .await
    }

    // ---- exchanges --------------------------------------------------------------------------------------------

    /// Exchanges `inputs` for fresh coins of `values`, which are worth the same.
    ///
    /// # Errors
    /// When the bank refuses, or does not answer; then `resume` carries on.
    pub(crate) async fn exchange_coins(
        &self,
        bank: &Card,
        inputs: Vec<CoinRow>,
        values: &[u64],
    ) -> Result<(), WalletError> {
        let mut talk = self.talk(bank, Lane::Anonymous);
        let keys = self.keys(bank, &mut talk).await?;
        let outputs = self.issuing(&keys, values)?;
        let coins: Vec<Coin> = inputs.iter().map(|row| row.coin).collect();
        let origins = inputs.iter().map(|row| row.origin).collect();
        let number = self
            .transact(|tx| take_numbers(tx, Counter::Exchanges, 1))
            .await?;
        let request_id = self.seed.exchange_id(number);
        let state = ExchangeState::Beginning;
        let exchange = Exchange {
            bank: bank.identity,
            request_id,
            inputs: coins.clone(),
            outputs,
            state,
        };
        self.transact(move |tx| {
            set_status(tx, &coins, |_| CoinStatus::InExchange(number))?;
            EXCHANGES.put(tx, &number, &ExchangeRow { exchange, origins })
        })
        .await?;
        self.drive_exchange(number, &mut talk).await
    }

    /// Exchanges everything that can be spent, or what aborted purchases have released: one request for each
    /// purchase, since one request joins its coins.
    ///
    /// # Errors
    /// When the bank refuses, or does not answer; then `resume` carries on.
    pub async fn exchange_released(&self) -> Result<Amount, WalletError> {
        let mut by_purchase: std::collections::BTreeMap<u64, Vec<CoinRow>> =
            std::collections::BTreeMap::new();
        for row in self.coins()? {
            if let CoinStatus::Released(purchase) = row.status {
                by_purchase.entry(purchase).or_default().push(row);
            }
        }
        let mut total = Amount(0);
        for (_, rows) in by_purchase {
            total = Amount(total.0.saturating_add(self.refresh(rows).await?.0));
        }
        Ok(total)
    }

    /// Exchanges coins of one bank for a fresh assortment of the same worth.
    ///
    /// # Errors
    /// As [`exchange_released`](Wallet::exchange_released).
    pub async fn refresh(&self, rows: Vec<CoinRow>) -> Result<Amount, WalletError> {
        let Some(first) = rows.first() else {
            return Ok(Amount(0));
        };
        let bank = self.party_by_key(RoleName::Bank, &first.bank)?;
        let worth = Amount(rows.iter().map(|row| row.value).sum());
        let mut talk = self.talk(&bank, Lane::Anonymous);
        let keys = self.keys(&bank, &mut talk).await?;
        drop(talk);
        let values = assortment(worth, keys.values()).ok_or(WalletError::NoCoins(worth))?;
        self.exchange_coins(&bank, rows, &values).await?;
        Ok(worth)
    }

    /// Exchanges one coin for change, cut so that every price up to its value can be paid.
    pub(crate) async fn make_change(&self, row: CoinRow) -> Result<(), WalletError> {
        let bank = self.party_by_key(RoleName::Bank, &row.bank)?;
        let mut talk = self.talk(&bank, Lane::Anonymous);
        let keys = self.keys(&bank, &mut talk).await?;
        drop(talk);
        let values = change(row.value, keys.values());
        self.exchange_coins(&bank, vec![row], &values).await
    }

    /// Carries an exchange on until it has ended.
    pub(crate) async fn drive_exchange(&self, number: u64, talk: &mut Talk<'_>) -> Result<(), WalletError> {
        loop {
            let row = EXCHANGES
                .peek(&self.store.view(), &number)?
                .ok_or(WalletError::Inconsistent("an exchange is missing"))?;
            let exchange = row.exchange.clone();
            let bank = self.party_by_key(RoleName::Bank, &exchange.bank)?;
            let keep = |exchange: Exchange| ExchangeRow {
                exchange,
                origins: row.origins.clone(),
            };
            let refusal = match exchange.ask(&self.coin_keys(&row.origins), &self.seed) {
                ExchangeAsk::Nothing => return Ok(()),
                ExchangeAsk::Begin(begin) => match talk.ask("exchange, begin", &begin).await? {
                    Ok(begun) => {
                        let keys = self.keys_of(&bank, &exchange.outputs, talk).await?;
                        let next = keep(exchange.on_begun(&begun, &keys, &self.seed)?);
                        let id = exchange.request_id;
                        self.met(id, begun, move |tx| EXCHANGES.put(tx, &number, &next))
                            .await?;
                        continue;
                    }
                    Err(refusal) => refusal,
                },
                ExchangeAsk::Finish(finish) => match talk.ask("exchange, finish", &finish).await? {
                    Ok(issued) => {
                        let keys = self.keys_of(&bank, &issued.body.outputs, talk).await?;
                        let (exchange, coins) = exchange.on_issued(&issued, &keys, &self.seed)?;
                        self.exchanged(number, keep(exchange), coins, &keys).await?;
                        continue;
                    }
                    Err(refusal) => refusal,
                },
            };
            self.exchange_refused(number, row, refusal, &bank, talk).await?;
        }
    }

    async fn exchange_refused(
        &self,
        number: u64,
        row: ExchangeRow,
        refusal: Refusal,
        bank: &Card,
        talk: &mut Talk<'_>,
    ) -> Result<(), WalletError> {
        let exchange = &row.exchange;
        let next = match &refusal {
            Refusal::Issue(IssueFault::SessionGone) => exchange.on_session_gone(),
            Refusal::Issue(IssueFault::OtherContent(issued)) => {
                let keys = self.keys_of(bank, &issued.body.outputs, talk).await?;
                let (exchange, coins) = exchange.on_issued(issued, &keys, &self.seed)?;
                return self
                    .exchanged(number, ExchangeRow { exchange, ..row }, coins, &keys)
                    .await;
            }
            Refusal::Issue(IssueFault::NotIssuing(_)) => {
                let keys = self.fetch_keys(bank, talk).await?;
                let outputs = self.renewed(&keys, &exchange.outputs)?;
                Exchange {
                    outputs,
                    ..exchange.on_session_gone()
                }
            }
            _ => exchange.on_refused(&refusal),
        };
        let refused = matches!(next.state, ExchangeState::Refused { .. });
        let used = self.proven_use(&exchange.inputs, &refusal);
        let inputs = exchange.inputs.clone();
        let next = ExchangeRow {
            exchange: next,
            ..row
        };
        self.transact(move |tx| {
            if refused {
                set_status(tx, &inputs, |row| match used {
                    Some((coin, earlier)) if coin == row.coin.public => CoinStatus::UsedElsewhere(earlier),
                    _ => CoinStatus::Available,
                })?;
            }
            EXCHANGES.put(tx, &number, &next)
        })
        .await?;
        if refused {
            return Err(WalletError::Refused {
                party: talk.party(),
                question: "exchange",
                refusal: Box::new(refusal),
            });
        }
        Ok(())
    }

    /// The coin that a refusal proves to have been used before, by the coin's own signature.
    pub(crate) fn proven_use(
        &self,
        coins: &[Coin],
        refusal: &Refusal,
    ) -> Option<(farthing_coin::PublicKey, farthing_protocol::documents::EarlierUse)> {
        let Refusal::Coins(CoinsFault { index, what }) = refusal else {
            return None;
        };
        let coin = coins.get(*index)?;
        let earlier = what.earlier_use()?;
        earlier.verify(coin).ok()?;
        Some((coin.public, *earlier))
    }

    async fn exchanged(
        &self,
        number: u64,
        row: ExchangeRow,
        coins: Vec<Coin>,
        keys: &KeyBook,
    ) -> Result<(), WalletError> {
        let rows = new_rows(&coins, keys, |slot| Origin::exchanged(number as u32, slot))?;
        self.transact(move |tx| {
            set_status(tx, &row.exchange.inputs, |_| CoinStatus::Exchanged(number))?;
            add_coins(tx, &rows)?;
            EXCHANGES.put(tx, &number, &row)
        })
        .await
    }

    // ---- both -------------------------------------------------------------------------------------------------

    /// The list of keys that holds these, fetched again if the wallet's is older.
    async fn keys_of(&self, bank: &Card, ids: &[KeyId], talk: &mut Talk<'_>) -> Result<KeyBook, WalletError> {
        match self.stored_keys(bank)? {
            Some(keys) if ids.iter().all(|id| keys.get(id).is_some()) => Ok(keys),
            _ => self.fetch_keys(bank, talk).await,
        }
    }

    /// Writes down the bank's first messages, with what goes with them. One that was met before under another
    /// request or slot is refused.
    async fn met(
        &self,
        request_id: [u8; 32],
        begun: Begun,
        then: impl FnOnce(&mut Transaction<'_>) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), WalletError> {
        let fresh = self
            .transact(move |tx| {
                for (slot, commitment) in (0u32..).zip(&begun.commitments) {
                    let digest = session_digest(std::slice::from_ref(commitment));
                    let here = (request_id, slot);
                    match FIRST_MESSAGES.get(tx, &digest)? {
                        Some(met) if met != here => return Ok(false),
                        Some(_) => {}
                        None => FIRST_MESSAGES.put(tx, &digest, &here)?,
                    }
                }
                then(tx)?;
                Ok(true)
            })
            .await?;
        if fresh {
            Ok(())
        } else {
            Err(MintFault::RepeatedCommitment.into())
        }
    }
}

/// Rows for new coins.
pub(crate) fn new_rows(
    coins: &[Coin],
    keys: &KeyBook,
    origin: impl Fn(u8) -> Origin,
) -> Result<Vec<CoinRow>, WalletError> {
    let rows = (0u8..).zip(coins).map(|(slot, coin)| {
        let denomination = keys
            .get(&coin.key_id)
            .ok_or(WalletError::Inconsistent("a new coin's key is unknown"))?;
        Ok(CoinRow {
            coin: *coin,
            bank: denomination.bank,
            value: denomination.value,
            origin: origin(slot),
            status: CoinStatus::Available,
        })
    });
    rows.collect()
}

/// Adds coins that are not in the wallet yet; one that is keeps its status.
pub(crate) fn add_coins(tx: &mut Transaction<'_>, rows: &[CoinRow]) -> Result<(), StoreError> {
    for row in rows {
        let key = (row.coin.key_id, row.coin.public);
        if COINS.get(tx, &key)?.is_none() {
            COINS.put(tx, &key, row)?;
        }
    }
    Ok(())
}
