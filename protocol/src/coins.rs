//! Coins in a request, verified with their holders' authorizations in one batch.

use crate::{
    documents::{CoinUse, EarlierUse},
    ids::PurchaseId,
    limits::COINS_PER_REQUEST_MAX,
    money::Amount,
    refusal::{CoinFault, CoinsFault, IssueFault, Refusal, RequestFault},
    request::{check_bound, check_matching},
};
use farthing_coin::{Batch, Coin, CulpritKind, KeyBook, KeyId, PublicKey, Signature, StatementDigest};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Coins of one bank, each valid, each authorized for one use by its holder, none twice.
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
    /// Its holder's signature for the use at hand.
    pub authorization: Signature,
    /// Its value in the smallest unit.
    pub value: u64,
    /// When its key's coins can no longer be held for a purchase (ms since 1970).
    pub spend_until_ms: u64,
    /// When its key's coins can no longer be exchanged (ms since 1970).
    pub redeem_until_ms: u64,
}

impl VerifiedCoin {
    /// What a bank knows the coin by: never the bytes of its signature.
    pub fn row_key(&self) -> (KeyId, PublicKey) {
        (self.coin.key_id, self.coin.public)
    }
}

impl VerifiedCoins {
    /// The coins, in the request's order.
    pub fn coins(&self) -> &[VerifiedCoin] {
        &self.coins
    }

    /// What the bank knows each by, in the request's order.
    pub fn row_keys(&self) -> Vec<(KeyId, PublicKey)> {
        self.coins.iter().map(VerifiedCoin::row_key).collect()
    }

    /// What they are worth together.
    pub fn total(&self) -> Amount {
        self.total
    }
}

/// Verifies `coins` under the bank's keys, and that each is authorized for `operation` on `digest`.
///
/// One multiscalar multiplication checks all of it, with weights from `rng` (see
/// [`farthing_coin::Batch`]). Dates are not looked at: a repeated request must get its stored reply.
///
/// # Errors
/// Names the first coin at fault and what is wrong with it.
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
    if let Err(culprits) = batch.verify(rng) {
        return Err(culprits.into_iter().next().map_or(
            Refusal::Request(RequestFault::Malformed("the batch of coins is refused".into())),
            |culprit| match culprit.what {
                CulpritKind::Coin(error) => fault(culprit.index, CoinFault::Invalid(error.to_string())),
                CulpritKind::Signature(error) => {
                    fault(culprit.index, CoinFault::Authorization(error.to_string()))
                }
            },
        ));
    }
    let total = Amount::sum(verified.iter().map(|c| c.value)).ok_or(IssueFault::Overflow)?;
    Ok(VerifiedCoins {
        coins: verified,
        total,
    })
}

/// Refuses an empty or over-long list of what goes with coins.
pub(crate) fn check_length(what: &str, got: usize) -> Result<(), RequestFault> {
    check_bound(what, got, COINS_PER_REQUEST_MAX)
}

/// What a bank knows of a coin. Each but the first carries its holder's own signature for what was done.
///
/// `unseen -> held -> spent`, or on an abort `held -> released`, which can be held or exchanged again;
/// `unseen or released -> exchanged`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CoinState {
    /// Never shown to the bank: there is no row.
    Unseen,
    /// Held for a purchase.
    Held(EarlierUse),
    /// Spent in a purchase that was committed.
    Spent(EarlierUse),
    /// Released by a purchase that was aborted.
    Released(EarlierUse),
    /// Taken in for fresh coins.
    Exchanged(EarlierUse),
}

impl CoinState {
    /// Why the coin cannot be held or exchanged, if it cannot.
    pub fn taken(&self) -> Option<CoinFault> {
        match self {
            CoinState::Unseen | CoinState::Released(_) => None,
            CoinState::Held(earlier) => Some(CoinFault::AlreadyHeld(*earlier)),
            CoinState::Spent(earlier) => Some(CoinFault::AlreadySpent(*earlier)),
            CoinState::Exchanged(earlier) => Some(CoinFault::AlreadyExchanged(*earlier)),
        }
    }

    /// The state after the purchase that holds the coin was committed, if it is `purchase` that holds it.
    pub fn spent_by(&self, purchase: &PurchaseId) -> Option<CoinState> {
        match self {
            CoinState::Held(held) if held.digest == purchase.digest() => Some(CoinState::Spent(*held)),
            _ => None,
        }
    }

    /// The state after the purchase that holds the coin was aborted, if it is `purchase` that holds it.
    pub fn released_by(&self, purchase: &PurchaseId) -> Option<CoinState> {
        match self {
            CoinState::Held(held) if held.digest == purchase.digest() => Some(CoinState::Released(*held)),
            _ => None,
        }
    }
}
