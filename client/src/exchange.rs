//! Exchanges, driven until the fresh coins are in the wallet: for change, for renewal, after an abort.

use crate::{
    coins::set_status,
    error::WalletError,
    evidence::CoinWord,
    mint::{Asked, Word, add_coins, new_rows, no_word, note_finish, refused, silent},
    recover::status_again,
    rows::{COINS, CoinRow, CoinStatus, Counter, EXCHANGES, ExchangeRow, REFUSED_EXCHANGES, input_set},
    scan_record::{GAP_MAX, note_bridged},
    talk::{Pause, Talk},
    wallet::{Wallet, take_numbers},
};
use farthing_coin::{Coin, Document, KeyBook, KeyId, PublicKey, Signed};
use farthing_node::{
    card::{Card, RoleName},
    network::Lane,
};
use farthing_planted::{Defect, is_planted};
use farthing_protocol::{
    denial::{Denial, RequestKind},
    documents::Issued,
    exchange::{Exchange, ExchangeAsk},
    issue::IssueState,
    limits::COINS_PER_REQUEST_MAX,
    money::{Amount, assortment, change, fewest},
    refusal::Refusal,
    restore::Origin,
};
use farthing_store::{StoreError, Transaction};
use std::collections::BTreeMap;

/// How many numbers in a row are tried for one exchange.
const NUMBERS_MAX: usize = 32;

/// An exchange's bank and number.
type At = (PublicKey, u64);

impl Wallet {
    /// Exchanges `inputs`, which all have the same status, for fresh coins of `values`, worth the same. A number that a
    /// copy of this wallet has used for other coins is used up; then the next one is tried.
    ///
    /// # Errors
    /// When the bank refuses, or does not answer; then `resume` carries on.
    async fn exchange_coins(
        &self,
        bank: &Card,
        inputs: Vec<CoinRow>,
        values: &[u64],
    ) -> Result<(), WalletError> {
        self.check_restored(&bank.identity)?;
        let keys = self.keys(bank).await?;
        let outputs = self.issuing(&keys, values)?;
        for _ in 0..NUMBERS_MAX {
            self.bridge_gap(bank, Counter::Exchanges, 1, GAP_MAX).await?;
            let Some(at) = self.plan_exchange(bank, inputs.clone(), outputs.clone()).await? else {
                // Another matter was quicker to take a coin; whoever wanted this looks again.
                return Ok(());
            };
            self.drive_exchange(at, &mut self.talk(bank, Lane::Anonymous))
                .await?;
            let ended = EXCHANGES.peek(&self.store.view(), &at)?;
            if ended.is_none_or(|row| row.exchange.state == IssueState::Done) {
                return Ok(());
            }
        }
        Err(WalletError::Silent {
            party: bank.title(),
            question: "exchange",
            why: "copies of this wallet have used the next numbers of its exchanges".into(),
        })
    }

    /// Writes an exchange down before anything of it is asked for; `None` if the coins are not what they were any more.
    ///
    /// Coins whose exchange was refused keep its number, and only they: the bank has seen its id beside them. A new
    /// number for each attempt would leave a gap that a restore takes for the end.
    async fn plan_exchange(
        &self,
        bank: &Card,
        inputs: Vec<CoinRow>,
        outputs: Vec<KeyId>,
    ) -> Result<Option<At>, WalletError> {
        let Some(before) = inputs.first().map(|row| row.status) else {
            return Ok(None);
        };
        let coins: Vec<Coin> = inputs.iter().map(|row| row.coin).collect();
        let origins: Vec<Origin> = inputs.iter().map(|row| row.origin).collect();
        let (bank_key, seed) = (bank.identity, self.seed_for(&bank.identity));
        self.transact(move |tx| {
            for row in &inputs {
                let now = COINS.get(tx, &(row.coin.key_id, row.coin.public))?;
                if now.is_none_or(|now| now.status != before) {
                    return Ok(None);
                }
            }
            let (number, row) = match take_refused(tx, &bank_key, &coins)? {
                Some((number, refused)) => (number, ExchangeRow { before, ..refused }),
                None => {
                    let number = take_numbers(tx, &bank_key, Counter::Exchanges, 1)?;
                    let exchange = Exchange {
                        bank: bank_key,
                        request_id: seed.exchange_id(number),
                        inputs: coins.clone(),
                        outputs: Vec::new(),
                        state: IssueState::Beginning,
                    };
                    let row = ExchangeRow {
                        exchange,
                        origins,
                        before,
                    };
                    (number, row)
                }
            };
            set_status(tx, &coins, |_| CoinStatus::InExchange(number))?;
            let row = ExchangeRow {
                exchange: Exchange {
                    outputs,
                    state: IssueState::Beginning,
                    ..row.exchange
                },
                ..row
            };
            EXCHANGES.put(tx, &(bank_key, number), &row)?;
            Ok(Some((bank_key, number)))
        })
        .await
    }

    /// Exchanges what aborted purchases have released, one purchase after the other, since one request joins
    /// its coins. One that cannot be exchanged keeps no other from it. Returns what was exchanged, and what went wrong.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn exchange_released(&self) -> Result<(Amount, Vec<WalletError>), WalletError> {
        let mut by_purchase: BTreeMap<u64, u64> = BTreeMap::new();
        for row in self.present_coins()? {
            if let CoinStatus::Released(purchase) = row.status {
                let worth = by_purchase.entry(purchase).or_default();
                *worth = worth.saturating_add(row.value);
            }
        }
        let (mut total, mut failed) = (Amount(0), Vec::new());
        for (purchase, worth) in by_purchase {
            // The purchase knows its abort, which the bank may not have heard of yet.
            match self.drive_purchase(purchase).await {
                Ok(()) => total = Amount(total.0.saturating_add(worth)),
                Err(error) => failed.push(error),
            }
        }
        Ok((total, failed))
    }

    /// As [`refresh`](Wallet::refresh), where a coin that the bank refuses keeps no other from it: what is refused
    /// together is tried again without that coin. Returns what was exchanged, and what went wrong.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn refresh_others(
        &self,
        rows: Vec<CoinRow>,
    ) -> Result<(Amount, Vec<WalletError>), WalletError> {
        let (mut total, mut failed) = (Amount(0), Vec::new());
        for part in rows.chunks(COINS_PER_REQUEST_MAX) {
            let mut left = part.to_vec();
            while !left.is_empty() {
                let error = match self.refresh(left.clone()).await {
                    Ok(worth) => {
                        total = Amount(total.0.saturating_add(worth.0));
                        break;
                    }
                    Err(error) => error,
                };
                let denied = match &error {
                    WalletError::CoinDenied { coin, .. } => Some(*coin),
                    WalletError::Refused { .. } => None,
                    // Nobody answers: the coins of this part are under way, and the others had better stay.
                    _ => {
                        failed.push(error);
                        return Ok((total, failed));
                    }
                };
                failed.push(error);
                let before = left.len();
                left = self.unchanged(&left)?;
                left.retain(|row| Some(row.coin.public) != denied);
                let is_one_less = left.len() < before;
                if !is_one_less || is_planted(Defect::OneHeldCoinStopsAll) {
                    break;
                }
            }
        }
        Ok((total, failed))
    }

    /// Those of `rows` that are in the store as they are here.
    pub(crate) fn unchanged(&self, rows: &[CoinRow]) -> Result<Vec<CoinRow>, WalletError> {
        let view = self.store.view();
        let mut left = Vec::with_capacity(rows.len());
        for row in rows {
            let now = COINS.peek(&view, &(row.coin.key_id, row.coin.public))?;
            left.extend(now.filter(|now| now == row));
        }
        Ok(left)
    }

    /// Exchanges coins of one bank and one status for a fresh assortment of the same worth, in as many requests
    /// as it takes. Returns their worth.
    ///
    /// # Errors
    /// As [`exchange_released`](Wallet::exchange_released).
    pub async fn refresh(&self, rows: Vec<CoinRow>) -> Result<Amount, WalletError> {
        let Some(first) = rows.first() else {
            return Ok(Amount(0));
        };
        let bank = self.party_by_key(RoleName::Bank, &first.bank)?;
        let keys = self.keys(&bank).await?;
        let mut total = Amount(0);
        for part in rows.chunks(COINS_PER_REQUEST_MAX) {
            let worth = Amount(part.iter().fold(0, |sum, row| sum.saturating_add(row.value)));
            let values = assortment(worth, keys.values())
                .filter(|values| values.len() <= COINS_PER_REQUEST_MAX)
                .or_else(|| fewest(worth, keys.values()))
                .ok_or(WalletError::NoCoins(worth))?;
            self.exchange_coins(&bank, part.to_vec(), &values).await?;
            total = Amount(total.0.saturating_add(worth.0));
        }
        Ok(total)
    }

    /// Exchanges one coin for change, cut so that every price up to its value can be paid.
    pub(crate) async fn make_change(&self, row: CoinRow) -> Result<(), WalletError> {
        let bank = self.party_by_key(RoleName::Bank, &row.bank)?;
        let values = change(row.value, self.keys(&bank).await?.values());
        self.exchange_coins(&bank, vec![row], &values).await
    }

    /// Exchanges many small coins for few large ones.
    pub(crate) async fn consolidate(&self, rows: Vec<CoinRow>) -> Result<(), WalletError> {
        let Some(first) = rows.first() else { return Ok(()) };
        let bank = self.party_by_key(RoleName::Bank, &first.bank)?;
        let worth = Amount(rows.iter().fold(0, |sum, row| sum.saturating_add(row.value)));
        let values = fewest(worth, self.keys(&bank).await?.values()).ok_or(WalletError::NoCoins(worth))?;
        self.exchange_coins(&bank, rows, &values).await
    }

    /// Carries an exchange on until it has ended.
    pub(crate) async fn drive_exchange(&self, at: At, talk: &mut Talk<'_>) -> Result<(), WalletError> {
        let mut pause = Pause::new(self.around.patience);
        let seed = self.seed_for(&at.0);
        loop {
            let row = EXCHANGES
                .peek(&self.store.view(), &at)?
                .ok_or(WalletError::Inconsistent("an exchange is missing"))?;
            let exchange = row.exchange.clone();
            let bank = self.party_by_key(RoleName::Bank, &exchange.bank)?;
            let id = exchange.request_id;
            let asked = |kind, digest, is_at_stake| Asked {
                kind,
                digest,
                is_at_stake,
            };
            let (refusal, asked) = match exchange.ask(&self.coin_keys(&at.0, &row.origins), &seed) {
                ExchangeAsk::Nothing => return Ok(()),
                ExchangeAsk::Begin(begin) => {
                    let digest = begin.body.digest();
                    match talk.ask(&begin).await? {
                        Ok(begun) => {
                            let keys = self.keys_of(&bank, &exchange.outputs).await?;
                            let next = exchange.on_begun(&begun, &keys, &seed)?;
                            let next = ExchangeRow {
                                exchange: next,
                                ..row
                            };
                            let save = move |tx: &mut Transaction<'_>| {
                                note_finish(tx, at, id, next.exchange.finish_digest())?;
                                EXCHANGES.put(tx, &at, &next)
                            };
                            self.met(id, &exchange.outputs, begun, save).await?;
                            continue;
                        }
                        Err(refusal) => {
                            let is_at_stake = self.has_sent_finish(&id)?;
                            (refusal, asked(RequestKind::ExchangeBegin, digest, is_at_stake))
                        }
                    }
                }
                ExchangeAsk::Finish(finish) => {
                    let digest = finish.body.digest();
                    match talk.ask(&finish).await? {
                        Ok(issued) => {
                            let keys = self.keys_of(&bank, &issued.body.outputs).await?;
                            let ended = exchange.on_issued(&issued, &keys, &seed)?;
                            self.exchanged(at, row, ended, &keys).await?;
                            continue;
                        }
                        Err(refusal) => (refusal, asked(RequestKind::ExchangeFinish, digest, true)),
                    }
                }
            };
            self.exchange_refused(at, row, &refusal, asked, &bank, talk)
                .await?;
            if !pause.wait().await {
                return Err(silent(talk, "exchange", &refusal));
            }
        }
    }

    /// What a refusal comes to: an error, unless the exchange can be carried on at once.
    async fn exchange_refused(
        &self,
        at: At,
        row: ExchangeRow,
        refusal: &Refusal,
        asked: Asked,
        bank: &Card,
        talk: &Talk<'_>,
    ) -> Result<(), WalletError> {
        let exchange = &row.exchange;
        let word = asked.word(refusal, &bank.identity);
        let next = match word {
            Word::BeginAgain => exchange.on_session_gone(),
            Word::Finished(issued) => {
                let keys = self.keys_of(bank, &issued.body.outputs).await?;
                let ended = exchange.on_other_content(issued, &keys, &self.seed_for(&at.0))?;
                return self.exchanged(at, row, ended, &keys).await;
            }
            Word::NotIssuing => {
                let outputs = self.renewed(bank, &exchange.outputs).await?;
                Exchange {
                    outputs,
                    ..exchange.on_session_gone()
                }
            }
            Word::Denied(denial) => return self.exchange_denied(at, row, refusal, denial, bank, talk).await,
            Word::Refused => {
                self.give_up_exchange(at, row, refusal, None).await?;
                return Err(refused(talk, "exchange", refusal.clone()));
            }
            Word::Nothing => return Err(no_word(talk, "exchange", refusal)),
        };
        self.transact(move |tx| {
            // One that an older version has sent was not written down.
            note_finish(tx, at, row.exchange.request_id, row.exchange.finish_digest())?;
            let exchange = next;
            EXCHANGES.put(tx, &at, &ExchangeRow { exchange, ..row })
        })
        .await
    }

    /// The bank denies the exchange for good. A coin that went into an exchange of this wallet's own is good all the same:
    /// the denial shows what was given for it.
    async fn exchange_denied(
        &self,
        at: At,
        row: ExchangeRow,
        refusal: &Refusal,
        denial: &Signed<Denial>,
        bank: &Card,
        talk: &Talk<'_>,
    ) -> Result<(), WalletError> {
        let released = match row.before {
            CoinStatus::Released(number) => Some(number),
            _ => None,
        };
        let word = self
            .coin_word(&row.exchange.inputs, denial, bank, released)
            .await?;
        if let Some(CoinWord::Exchanged(coin, number, issued)) = word {
            let given_up = row.exchange.on_refused(refusal);
            return self
                .take_exchanged(at, row, given_up, (coin, number), &issued, bank)
                .await;
        }
        let denied = match &word {
            Some(CoinWord::Denied(coin, _)) => Some(coin.public),
            _ => None,
        };
        self.give_up_exchange(at, row, refusal, word).await?;
        Err(match denied {
            Some(coin) => WalletError::CoinDenied {
                bank: bank.title(),
                coin,
                refusal: Box::new(refusal.clone()),
            },
            None => refused(talk, "exchange", refusal.clone()),
        })
    }

    /// Ends an exchange as refused: its coins are what they were, but one of which the bank has said more.
    async fn give_up_exchange(
        &self,
        at: At,
        row: ExchangeRow,
        refusal: &Refusal,
        word: Option<CoinWord>,
    ) -> Result<(), WalletError> {
        let next = ExchangeRow {
            exchange: row.exchange.on_refused(refusal),
            ..row
        };
        let now_ms = self.now_ms();
        self.transact_for(next.before, move |tx| {
            let used = match word {
                Some(word) => word.take_effect(tx, &at.0, now_ms)?,
                None => None,
            };
            let again = status_again(tx, next.before)?;
            set_status(tx, &next.exchange.inputs, |row| match used {
                Some((coin, status)) if coin == row.coin.public => status,
                _ => again,
            })?;
            REFUSED_EXCHANGES.put(tx, &(at.0, input_set(&next.exchange.inputs)), &at.1)?;
            EXCHANGES.put(tx, &at, &next)
        })
        .await
    }

    /// A coin of this exchange went into exchange `number` of this wallet's own, whatever the bank said of that then: what
    /// was given for it is taken, and that exchange is done.
    async fn take_exchanged(
        &self,
        at: At,
        row: ExchangeRow,
        given_up: Exchange,
        (coin, number): (Coin, u64),
        issued: &Signed<Issued>,
        bank: &Card,
    ) -> Result<(), WalletError> {
        let keys = self.keys_of(bank, &issued.body.outputs).await?;
        let of = (at.0, number);
        let earlier = if of == at {
            row.clone()
        } else {
            let earlier = EXCHANGES.peek(&self.store.view(), &of)?;
            earlier.ok_or(WalletError::Inconsistent("an exchange is missing"))?
        };
        let (exchange, coins) = earlier
            .exchange
            .on_other_content(issued, &keys, &self.seed_for(&at.0))?;
        let rows = new_rows(&coins, &keys, |slot| Origin::exchanged(number as u32, slot))?;
        self.transact_for(row.before, move |tx| {
            let again = status_again(tx, row.before)?;
            set_status(tx, &row.exchange.inputs, |_| again)?;
            EXCHANGES.put(
                tx,
                &at,
                &ExchangeRow {
                    exchange: given_up,
                    ..row
                },
            )?;
            add_coins(tx, &rows)?;
            if exchange.state == IssueState::Done {
                set_status(tx, &exchange.inputs, |row| match row.status {
                    // What another matter has put it to finds out by itself.
                    status @ CoinStatus::InPurchase(_) => status,
                    status @ CoinStatus::InExchange(other) if other != number => status,
                    _ => CoinStatus::Exchanged(number),
                })?;
                EXCHANGES.put(tx, &of, &ExchangeRow { exchange, ..earlier })?;
            }
            set_status(tx, &[coin], |_| CoinStatus::Exchanged(number))
        })
        .await
    }

    async fn exchanged(
        &self,
        at: At,
        row: ExchangeRow,
        (exchange, coins): (Exchange, Vec<Coin>),
        keys: &KeyBook,
    ) -> Result<(), WalletError> {
        let rows = new_rows(&coins, keys, |slot| Origin::exchanged(at.1 as u32, slot))?;
        let row = ExchangeRow { exchange, ..row };
        self.transact_for(row.before, move |tx| {
            let status = match row.exchange.state {
                IssueState::Done => CoinStatus::Exchanged(at.1),
                // A copy of this wallet used the number for other coins: these are what they were.
                _ => status_again(tx, row.before)?,
            };
            set_status(tx, &row.exchange.inputs, |_| status)?;
            add_coins(tx, &rows)?;
            note_bridged(tx, &at.0, Counter::Exchanges, at.1.saturating_add(1))?;
            EXCHANGES.put(tx, &at, &row)
        })
        .await
    }
}

/// The refused exchange of exactly these coins, and its number, to be planned again.
fn take_refused(
    tx: &mut Transaction<'_>,
    bank: &PublicKey,
    coins: &[Coin],
) -> Result<Option<(u64, ExchangeRow)>, StoreError> {
    if is_planted(Defect::RefusedNumberDropped) {
        return Ok(None);
    }
    let key = (*bank, input_set(coins));
    let Some(number) = REFUSED_EXCHANGES.get(tx, &key)? else {
        return Ok(None);
    };
    REFUSED_EXCHANGES.delete(tx, &key)?;
    let row = EXCHANGES.get(tx, &(*bank, number))?;
    let refused = row.filter(|row| matches!(row.exchange.state, IssueState::Refused { .. }));
    Ok(refused.map(|row| (number, row)))
}
