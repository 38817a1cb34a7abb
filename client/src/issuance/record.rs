//! The writes of an issuance's steps, each one transaction.

use super::row::{At, IssuanceRow};
use crate::{
    coin_finding::CoinFinding,
    coins::{coin_reads, coin_row, put_coin, set_status},
    counters::{bridged_reads, mark_bridged},
    error::WalletError,
    recovery::{end_given_up, end_recovered, given_up_reads, recovered_reads},
    rows::{
        CoinRow, CoinStatus, DEPOSITS, EXCHANGES, ExchangeRow, FIRST_MESSAGES, PURCHASES, REFUSED_EXCHANGES,
        SENT_FINISHES, SentFinish, input_set,
    },
};
use farthing_coin::{Coin, Commitment, KeyBook, PublicKey, RequestId, StatementDigest};
use farthing_protocol::{
    ids::SessionDigest,
    issuance::Issuance,
    issue::{IssueState, session_digest},
    restore::Origin,
};
use farthing_store::{Reads, StoreError, Transaction};

/// The write of a step of an issuance.
#[derive(Clone)]
pub(crate) enum Write<R> {
    /// The bank opened a session. None of its first messages was seen under another request, slot or key.
    Begun {
        /// The first messages.
        commitments: Vec<Commitment>,
        /// The issuance after the write.
        next: R,
    },
    /// The issuance changes its state, without new coins.
    Moved {
        /// The digest of the finish that was sent. A finish sent by an older version was not recorded.
        asked: Option<StatementDigest>,
        /// The issuance after the write.
        next: R,
    },
    /// The issuance has ended, with new coins.
    Issued {
        /// The coins.
        coins: Vec<CoinRow>,
        /// The issuance after the write.
        next: R,
    },
    /// The exchange was refused. Its coins return to their earlier status, except a coin of which the bank has shown
    /// more.
    Denied(Box<Denied>, R),
}

/// The coins of a refused exchange.
#[derive(Clone)]
pub(crate) enum Denied {
    /// They return to their earlier status, except a coin of which the bank has shown more. The same coins keep the
    /// exchange's number.
    Kept {
        /// The coins.
        inputs: Vec<Coin>,
        /// What the denial says of a coin.
        finding: Option<CoinFinding>,
        /// Time of the denial (ms since 1970).
        now_ms: u64,
    },
    /// A coin went into another exchange of this wallet, or into this one under an earlier finish. What was issued
    /// for it is taken.
    ExchangedBefore {
        /// The coin.
        coin: Coin,
        /// The number of the exchange that it went into.
        number: u64,
        /// That exchange, ended.
        earlier: Box<ExchangeRow>,
        /// The coins that were issued for it.
        coins: Vec<CoinRow>,
    },
}

/// The result of a write.
pub(crate) enum Written {
    /// Written. If a purchase ended with it, its number.
    Done(Option<u64>),
    /// Nothing was written: the bank repeats a first message that it sent for another coin.
    Repeated,
}

impl<R: IssuanceRow> Write<R> {
    /// The issuance after the write.
    pub(crate) fn next(&self) -> &R {
        match self {
            Write::Begun { next, .. }
            | Write::Moved { next, .. }
            | Write::Issued { next, .. }
            | Write::Denied(_, next) => next,
        }
    }

    /// The rows that [`apply`](Write::apply) reads.
    pub(crate) fn reads(&self, (bank, _): &At) -> Reads {
        let reads = match self {
            Write::Begun { commitments, .. } => {
                let met = commitments
                    .iter()
                    .map(|first| FIRST_MESSAGES.key(&message_digest(first)));
                return met.into();
            }
            Write::Moved { .. } => return Reads::none(),
            Write::Issued { coins, next } => Reads::from(next.settle_reads())
                .and(coin_reads(coins.iter().map(|row| &row.coin)))
                .and([bridged_reads(bank, R::COUNTER)]),
            Write::Denied(denied, next) => denied.reads(bank).and(next.settle_reads()),
        };
        match (self.next().purchase(), self.next().payment()) {
            (Some(number), _) => reads
                .and([PURCHASES.key(&number)])
                .then(move |first| recovered_reads(first, number)),
            (None, Some(number)) => reads
                .and([DEPOSITS.key(&number)])
                .then(move |first| given_up_reads(first, number)),
            (None, None) => reads,
        }
    }

    /// Applies the write.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) fn apply(&self, tx: &mut Transaction<'_>, at: At) -> Result<Written, StoreError> {
        let next = self.next();
        let id = next.issuance().request_id();
        if let Write::Begun { commitments, .. } = self
            && !record_first_messages(tx, next.issuance(), commitments)?
        {
            return Ok(Written::Repeated);
        }
        R::TABLE.put(tx, &at, next)?;
        match self {
            Write::Begun { .. } => remember_finish(tx, at, id, next.issuance().finish_digest())?,
            Write::Moved { asked, .. } => remember_finish(tx, at, id, *asked)?,
            Write::Issued { coins, .. } => {
                next.settle(tx, at.1, coins)?;
                add_coins(tx, coins)?;
                mark_bridged(tx, &at.0, R::COUNTER, at.1.saturating_add(1))?;
            }
            Write::Denied(denied, _) => {
                next.settle(tx, at.1, &[])?;
                denied.apply(tx, at)?;
            }
        }
        match self {
            Write::Begun { .. } | Write::Moved { .. } => Ok(Written::Done(None)),
            Write::Issued { .. } | Write::Denied(..) => {
                if let Some(number) = next.payment() {
                    end_given_up(tx, number)?;
                }
                match next.purchase() {
                    Some(number) => Ok(Written::Done(end_recovered(tx, number)?.then_some(number))),
                    None => Ok(Written::Done(None)),
                }
            }
        }
    }
}

impl Denied {
    /// The rows that [`apply`](Denied::apply) reads.
    fn reads(&self, bank: &PublicKey) -> Reads {
        match self {
            Denied::Kept { inputs, finding, .. } => {
                let finding = finding.as_ref().map(|finding| finding.reads(bank));
                Reads::from(coin_reads(inputs)).and(finding.into_iter().flatten())
            }
            Denied::ExchangedBefore {
                coin, earlier, coins, ..
            } => {
                let new = coins.iter().map(|row| &row.coin);
                let all = earlier.exchange.inputs.iter().chain([coin]).chain(new);
                coin_reads(all).into()
            }
        }
    }

    /// Applies the finding, after the coins were settled as the coins of a refused exchange.
    fn apply(&self, tx: &mut Transaction<'_>, at: At) -> Result<(), StoreError> {
        match self {
            Denied::Kept {
                inputs,
                finding,
                now_ms,
            } => {
                if let Some(finding) = finding
                    && let Some((used, status)) = finding.take_effect(tx, &at.0, *now_ms)?
                {
                    let used = inputs.iter().filter(|coin| coin.public == used).copied();
                    set_status(tx, &used.collect::<Vec<Coin>>(), |_| status)?;
                }
                REFUSED_EXCHANGES.put(tx, &(at.0, input_set(inputs)), &at.1)
            }
            Denied::ExchangedBefore {
                coin,
                number,
                earlier,
                coins,
            } => {
                add_coins(tx, coins)?;
                if earlier.exchange.state == IssueState::Done {
                    set_status(tx, &earlier.exchange.inputs, |row| match row.status {
                        // The other task that uses the coin finds out by itself.
                        status @ CoinStatus::InPurchase(_) => status,
                        status @ CoinStatus::InExchange(other) if other != *number => status,
                        _ => CoinStatus::Exchanged(*number),
                    })?;
                    EXCHANGES.put(tx, &(at.0, *number), earlier)?;
                }
                set_status(tx, &[*coin], |_| CoinStatus::Exchanged(*number))
            }
        }
    }
}

/// Stores the bank's first messages; `false` if one was seen before under another request, slot or key.
fn record_first_messages(
    tx: &mut Transaction<'_>,
    issuance: &impl Issuance,
    commitments: &[Commitment],
) -> Result<bool, StoreError> {
    for (slot, (commitment, key_id)) in (0u32..).zip(commitments.iter().zip(issuance.outputs())) {
        let digest = message_digest(commitment);
        let slot_id = (issuance.request_id(), slot, *key_id);
        match FIRST_MESSAGES.get(tx, &digest)? {
            Some(met) if met != slot_id => return Ok(false),
            Some(_) => {}
            None => FIRST_MESSAGES.put(tx, &digest, &slot_id)?,
        }
    }
    Ok(true)
}

/// The digest under which a first message is stored.
fn message_digest(commitment: &Commitment) -> SessionDigest {
    session_digest(std::slice::from_ref(commitment))
}

/// Stores that a finish may have been sent.
fn remember_finish(
    tx: &mut Transaction<'_>,
    (bank, number): At,
    request_id: RequestId,
    digest: Option<StatementDigest>,
) -> Result<(), StoreError> {
    match digest {
        Some(digest) => SENT_FINISHES.put(tx, &(request_id, digest), &SentFinish { bank, number }),
        None => Ok(()),
    }
}

/// Makes the rows of new coins.
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

/// Adds the coins that the wallet does not have yet. Known coins keep their status.
pub(crate) fn add_coins(tx: &mut Transaction<'_>, rows: &[CoinRow]) -> Result<(), StoreError> {
    for row in rows {
        let key = (row.coin.key_id, row.coin.public);
        if coin_row(tx, &key)?.is_none() {
            put_coin(tx, row)?;
        }
    }
    Ok(())
}
