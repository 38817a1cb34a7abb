//! Checks of a [`Denial`] alone: whether it proves that a coin was used up, or that the bank was right to deny it.

use crate::{
    denial::{CoinDenial, Denial, DenialCause, RequestKind, SpendProof},
    deposited::Deposited,
    documents::{EarlierUse, Issued, Terms},
    exchange::finish_digest,
    limits::SETTLEMENT_MARGIN_MS,
    settle::spends,
};
use farthing_coin::{Denomination, KeyBook, KeyId, PublicKey, Signed, StatementDigest};

impl SpendProof {
    /// Whether `used` is the coin's authorization for this purchase at `bank`, and its escrow has committed it.
    pub fn proves(&self, used: &EarlierUse, bank: &PublicKey) -> bool {
        let (purchase, commit) = (self.terms.purchase_id(), &self.commit.body);
        purchase == used.purchase()
            && self.terms.bank == *bank
            && (commit.purchase, commit.bank) == (purchase, *bank)
            && spends(commit, &self.terms)
            && self.commit.verify(&self.terms.escrow).is_ok()
    }
}

/// Whether the bank of `keys` gave `issued` for the exchange that `used` authorizes.
///
/// The record must be signed, and its responses must answer the challenges and first messages of that same request. Then
/// the holder has the new coins, or can make them from `issued`.
pub fn proves_exchange(issued: &Signed<Issued>, used: &EarlierUse, keys: &KeyBook) -> bool {
    let bank = &keys.list().bank;
    issued.verify(bank).is_ok()
        && finish_digest(bank, &issued.body, |id| keys.get(id)).is_ok_and(|digest| digest == used.digest)
}

/// Whether `bank` has carried out the deposit that `used` authorizes.
pub fn proves_deposit(deposited: &Signed<Deposited>, used: &EarlierUse, bank: &PublicKey) -> bool {
    let body = &deposited.body;
    body.bank == *bank
        && StatementDigest::from(body.deposit_id()) == used.digest
        && deposited.verify(bank).is_ok()
}

impl CoinDenial {
    /// The use that used the coin up, if the denial proves it with what was given for the coin.
    pub fn final_use(&self, key_id: &KeyId, coin: &PublicKey, keys: &KeyBook) -> Option<EarlierUse> {
        let used = self.authorized_use(key_id, coin)?;
        let is_final = match self {
            CoinDenial::Spent { proof, .. } => proof
                .as_ref()
                .is_some_and(|proof| proof.proves(&used, &keys.list().bank)),
            CoinDenial::Exchanged { issued, .. } => {
                let issued = issued.as_ref();
                issued.is_some_and(|issued| proves_exchange(issued, &used, keys))
            }
            CoinDenial::Deposited { deposited, .. } => {
                let deposited = deposited.as_ref();
                deposited.is_some_and(|deposited| proves_deposit(deposited, &used, &keys.list().bank))
            }
            _ => false,
        };
        is_final.then_some(used)
    }
}

impl Denial {
    /// Whether the denial itself shows that the bank was right to deny a coin of the denomination `key`.
    ///
    /// `terms` are all terms that the caller knows.
    pub fn is_right<'t>(
        &self,
        key: &Denomination,
        keys: &KeyBook,
        mut terms: impl Iterator<Item = &'t Terms>,
    ) -> bool {
        let DenialCause::Coin { key_id, coin, what } = &self.cause else {
            return false;
        };
        let is_hold = self.kind == RequestKind::Hold;
        match what {
            CoinDenial::Held(_) => what.authorized_use(key_id, coin).is_some(),
            // The wallet then puts the coin to an exchange. There the bank has to show what it gave for the coin.
            CoinDenial::Spent { .. } | CoinDenial::Exchanged { .. } | CoinDenial::Deposited { .. }
                if is_hold =>
            {
                what.authorized_use(key_id, coin).is_some()
            }
            CoinDenial::Spent { .. } | CoinDenial::Exchanged { .. } | CoinDenial::Deposited { .. } => {
                what.final_use(key_id, coin, keys).is_some()
            }
            CoinDenial::Expired { .. } if is_hold => self.at_ms >= key.spend_until_ms,
            CoinDenial::Expired { .. } => self.at_ms >= key.redeem_until_ms,
            CoinDenial::EndsTooSoon => {
                let known = terms.find(|terms| terms.purchase_id().0 == self.request.0);
                let ends_too_soon = |terms: &Terms| {
                    terms.deadline_ms.saturating_add(SETTLEMENT_MARGIN_MS) > key.spend_until_ms
                };
                is_hold && known.is_none_or(ends_too_soon)
            }
        }
    }
}
