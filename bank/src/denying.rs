//! Denying: a refusal that is final is signed, with what was given for a coin that is used up.

use crate::bank::Bank;
use crate::rows::{EXCHANGED, FINISHED, PURCHASES};
use farthing_coin::{KeyId, PublicKey, Signed, StatementDigest};
use farthing_node::call::unavailable;
use farthing_protocol::{
    denial::{CoinDenial, Denial, DenialCause, RequestKind, SpendProof},
    documents::{Issued, PurchaseId},
    refusal::Refusal,
    settle::BankPurchase,
};
use farthing_store::StoreError;
use std::ops::Bound;

/// The most escrows of one purchase id that are looked through for the one that its terms name.
const ESCROWS_MAX: usize = 1024;

/// A verified request, should it be denied.
pub(crate) struct Denying {
    kind: RequestKind,
    request: StatementDigest,
    coins: Vec<(KeyId, PublicKey)>,
    /// The time that the request is decided by.
    pub(crate) at_ms: u64,
}

impl Bank {
    /// What a denial of this request says, whose signatures have been verified.
    pub(crate) fn denying(
        &self,
        kind: RequestKind,
        request: StatementDigest,
        coins: Vec<(KeyId, PublicKey)>,
    ) -> Denying {
        let at_ms = self.clock.now_ms();
        Denying {
            kind,
            request,
            coins,
            at_ms,
        }
    }

    /// The refusal of a request, signed if it is final. What it rests on is durable.
    pub(crate) fn denied(&self, refusal: Refusal, denying: &Denying) -> Refusal {
        let Some(cause) = DenialCause::of(&refusal, &denying.coins) else {
            return refusal;
        };
        let cause = match (denying.kind, cause) {
            (RequestKind::Hold, cause @ DenialCause::Coin { .. }) => cause,
            (RequestKind::Hold, _) => return refusal,
            (_, cause) => match self.with_proof(cause) {
                Ok(Some(cause)) => cause,
                // Without proof a denial would convict the bank that signed it.
                Ok(None) => {
                    tracing::error!(%refusal, "there is no record of what was given for a coin; audit the bank");
                    return refusal;
                }
                Err(error) => return unavailable(&error),
            },
        };
        let denial = Denial {
            bank: self.self_id,
            kind: denying.kind,
            request: denying.request,
            cause,
            at_ms: denying.at_ms,
        };
        Refusal::Denied(Box::new(self.sign(denial)))
    }

    /// Adds what was given for a coin that is used up; `None` if there is no record of it.
    fn with_proof(&self, cause: DenialCause) -> Result<Option<DenialCause>, StoreError> {
        let DenialCause::Coin { key_id, coin, what } = cause else {
            return Ok(Some(cause));
        };
        let what = match what {
            CoinDenial::Spent { used, .. } => {
                let proof = self.spend_proof(&PurchaseId(used.digest.0))?;
                proof.map(|proof| CoinDenial::Spent {
                    used,
                    proof: Some(Box::new(proof)),
                })
            }
            CoinDenial::Exchanged { used, .. } => {
                let issued = self.issued_for(&used.digest)?;
                issued.map(|issued| CoinDenial::Exchanged {
                    used,
                    issued: Some(Box::new(issued)),
                })
            }
            other => Some(other),
        };
        Ok(what.map(|what| DenialCause::Coin { key_id, coin, what }))
    }

    /// What was given for the coins of the exchange whose finish has this digest.
    pub(crate) fn issued_for(&self, finish: &StatementDigest) -> Result<Option<Signed<Issued>>, StoreError> {
        let view = self.store.view();
        let Some(id) = FINISHED.peek(&view, finish)? else {
            return Ok(None);
        };
        Ok(EXCHANGED.peek(&view, &id)?.map(|issued| self.sign(issued)))
    }

    /// The terms and the commit of a purchase that coins have paid for.
    pub(crate) fn spend_proof(&self, purchase: &PurchaseId) -> Result<Option<SpendProof>, StoreError> {
        let rows = PURCHASES.scan_bytes(&self.store.view(), &purchase.0, Bound::Unbounded, ESCROWS_MAX)?;
        Ok(rows.into_iter().find_map(|(_, row)| match row {
            BankPurchase::Committed { terms, commit } => Some(SpendProof { terms, commit }),
            BankPurchase::Held { .. } | BankPurchase::Aborted { .. } => None,
        }))
    }
}
