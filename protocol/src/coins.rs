//! Coins in a request, verified in one batch with their authorizations.

use crate::{
    documents::{CoinUse, EarlierUse},
    ids::PurchaseId,
    limits::COINS_PER_REQUEST_MAX,
    money::Amount,
    refusal::{CoinFault, CoinsFault, IssueFault, Refusal, RequestFault},
    request::{check_bound, check_matching},
};
use farthing_coin::{Batch, BatchErrorKind, Coin, KeyBook, KeyId, PublicKey, Signature, StatementDigest};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Coins of one bank. Each is valid, authorized for one use by its key, and in the list once.
///
/// Only [`verify`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedCoins {
    coins: Vec<VerifiedCoin>,
    total: Amount,
}

/// One coin of a [`VerifiedCoins`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedCoin {
    /// The coin.
    pub coin: Coin,
    /// The signature of its key for this use.
    pub authorization: Signature,
    /// Its value (smallest units).
    pub value: u64,
    /// The end of the time in which it can be held for a purchase (ms since 1970).
    pub spend_until_ms: u64,
    /// The end of the time in which it can be exchanged (ms since 1970).
    pub redeem_until_ms: u64,
}

impl VerifiedCoin {
    /// The key of the coin's row at the bank: key id and coin key. The bytes of the coin's signature are not part of it.
    pub fn row_key(&self) -> (KeyId, PublicKey) {
        (self.coin.key_id, self.coin.public)
    }
}

impl VerifiedCoins {
    /// The coins, in the request's order.
    pub fn coins(&self) -> &[VerifiedCoin] {
        &self.coins
    }

    /// The row keys of the coins, in the request's order.
    pub fn row_keys(&self) -> Vec<(KeyId, PublicKey)> {
        self.coins.iter().map(VerifiedCoin::row_key).collect()
    }

    /// The worth of all coins together.
    pub fn total(&self) -> Amount {
        self.total
    }
}

/// Verifies `coins` under the bank's keys, and that each is authorized for `operation` on `digest`.
///
/// One multiscalar multiplication checks everything, with weights from `rng` (see [`farthing_coin::Batch`]). Dates are
/// not checked, as a repeated request must get its stored reply.
///
/// # Errors
/// Names the first faulty coin and what is wrong with it.
pub fn verify(
    coins: &[Coin],
    authorizations: &[Signature],
    operation: CoinUse,
    digest: &StatementDigest,
    keys: &KeyBook,
    rng: &mut impl CryptoRng,
) -> Result<VerifiedCoins, Refusal> {
    check_length("coins", coins.len())?;
    check_matching("authorizations", authorizations.len(), coins.len())?;
    let fault = |index, what| Refusal::from(CoinsFault { index, what });
    let mut seen = BTreeSet::new();
    let mut verified = Vec::with_capacity(coins.len());
    let mut batch = Batch::new();
    for (index, (coin, authorization)) in coins.iter().zip(authorizations).enumerate() {
        let denomination = keys
            .get(&coin.key_id)
            .ok_or_else(|| fault(index, CoinFault::UnknownKey))?;
        if !seen.insert((coin.key_id, coin.public)) {
            return Err(fault(index, CoinFault::Twice));
        }
        let statement = operation.statement(&coin.key_id, digest);
        batch.coin_with_authorization(index, coin, denomination, &statement, authorization);
        verified.push(VerifiedCoin {
            coin: *coin,
            authorization: *authorization,
            value: denomination.value,
            spend_until_ms: denomination.spend_until_ms,
            redeem_until_ms: denomination.redeem_until_ms,
        });
    }
    batch.verify(rng).map_err(|culprit| match culprit.what {
        BatchErrorKind::Coin(error) => fault(culprit.index, CoinFault::Invalid(error.to_string())),
        BatchErrorKind::Signature(error) => fault(culprit.index, CoinFault::Authorization(error.to_string())),
    })?;
    let total = Amount::sum(verified.iter().map(|c| c.value)).ok_or(IssueFault::Overflow)?;
    Ok(VerifiedCoins {
        coins: verified,
        total,
    })
}

/// Checks the length of a list that has one entry for each coin.
pub(crate) fn check_length(what: &str, got: usize) -> Result<(), RequestFault> {
    check_bound(what, got, COINS_PER_REQUEST_MAX)
}

/// The state of a coin at the bank. Each state except `Unseen` has the signature of the coin's key for the use.
///
/// `unseen -> held -> spent`, or after an abort `held -> released`. A released coin can be held or exchanged again:
/// `unseen or released -> exchanged or deposited`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CoinState {
    /// Never shown to the bank. There is no row.
    Unseen,
    /// Held for a purchase.
    Held(EarlierUse),
    /// Spent in a purchase that was committed.
    Spent(EarlierUse),
    /// Released by a purchase that was aborted.
    Released(EarlierUse),
    /// Taken in for fresh coins.
    Exchanged(EarlierUse),
    /// Paid to accounts or reserves.
    Deposited(EarlierUse),
}

impl CoinState {
    /// The fault if the coin is used, so that it cannot be held, exchanged or deposited.
    pub fn taken(&self) -> Option<CoinFault> {
        match self {
            CoinState::Unseen | CoinState::Released(_) => None,
            CoinState::Held(earlier) => Some(CoinFault::AlreadyHeld(*earlier)),
            CoinState::Spent(earlier) => Some(CoinFault::AlreadySpent(*earlier)),
            CoinState::Exchanged(earlier) => Some(CoinFault::AlreadyExchanged(*earlier)),
            CoinState::Deposited(earlier) => Some(CoinFault::AlreadyDeposited(*earlier)),
        }
    }

    /// The state after the commit of `purchase`. `None` if `purchase` does not hold the coin.
    pub fn spent_by(&self, purchase: &PurchaseId) -> Option<CoinState> {
        match self {
            CoinState::Held(held) if held.digest == purchase.digest() => Some(CoinState::Spent(*held)),
            _ => None,
        }
    }

    /// The state after the abort of `purchase`. `None` if `purchase` does not hold the coin.
    pub fn released_by(&self, purchase: &PurchaseId) -> Option<CoinState> {
        match self {
            CoinState::Held(held) if held.digest == purchase.digest() => Some(CoinState::Released(*held)),
            _ => None,
        }
    }
}
