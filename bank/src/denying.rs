//! Denials: final refusals, signed. They show what was given for a used coin.

use crate::bank::Bank;
use crate::rows::{DEPOSITS, EXCHANGED, FINISHED, PURCHASES};
use farthing_coin::{KeyId, PublicKey, Signed, StatementDigest};
use farthing_node::call::unavailable;
use farthing_protocol::{
    denial::{CoinDenial, Denial, DenialCause, RequestKind, SpendProof},
    deposited::Deposited,
    documents::{Issued, PurchaseId},
    ids::DepositId,
    refusal::Refusal,
    settle::BankPurchase,
};
use farthing_store::StoreError;
use std::ops::Bound;

/// The most escrows of one purchase id that are searched for the paid purchase.
const ESCROWS_MAX: usize = 1024;

/// The content of a denial of one verified request.
pub(crate) struct Denying {
    kind: RequestKind,
    request: StatementDigest,
    coins: Vec<(KeyId, PublicKey)>,
    /// The time at which the request is decided.
    pub(crate) at_ms: u64,
}

impl Bank {
    /// The content of a denial of this request. Its signatures are verified.
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

    /// Signs the refusal if it is final. The rows under it are durable.
    pub(crate) fn denied(&self, refusal: Refusal, denying: &Denying) -> Refusal {
        let Some(cause) = DenialCause::of(&refusal, &denying.coins) else {
            return refusal;
        };
        let cause = match (denying.kind, cause) {
            (RequestKind::Hold, cause @ DenialCause::Coin { .. }) => cause,
            (RequestKind::Hold, _) => return refusal,
            (_, cause) => match self.with_proof(cause) {
                Ok(Some(cause)) => cause,
                // A denial without proof would convict this bank.
                Ok(None) => {
                    tracing::error!(%refusal, "the store has no record of what was given for a coin; the refusal is sent unsigned; run `farthing-bank audit`");
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

    /// Adds what was given for a used coin. `None` if the store has no record of it.
    fn with_proof(&self, cause: DenialCause) -> Result<Option<DenialCause>, StoreError> {
        let DenialCause::Coin { key_id, coin, what } = cause else {
            return Ok(Some(cause));
        };
        let what = match what {
            CoinDenial::Spent { used, .. } => {
                let proof = self.spend_proof(&used.purchase())?;
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
            CoinDenial::Deposited { used, .. } => {
                let deposited = self.deposited(&used.digest)?;
                deposited.map(|deposited| CoinDenial::Deposited {
                    used,
                    deposited: Some(Box::new(deposited)),
                })
            }
            other => Some(other),
        };
        Ok(what.map(|what| DenialCause::Coin { key_id, coin, what }))
    }

    /// What was issued for the coins of the exchange whose finish has this digest.
    pub(crate) fn issued_for(&self, finish: &StatementDigest) -> Result<Option<Signed<Issued>>, StoreError> {
        let view = self.store.view();
        let Some(id) = FINISHED.peek(&view, finish)? else {
            return Ok(None);
        };
        Ok(EXCHANGED.peek(&view, &id)?.map(|issued| self.sign(issued)))
    }

    /// The record of the deposit whose request has this digest.
    pub(crate) fn deposited(
        &self,
        request: &StatementDigest,
    ) -> Result<Option<Signed<Deposited>>, StoreError> {
        let deposited = DEPOSITS.peek(&self.store.view(), &DepositId(request.0))?;
        Ok(deposited.map(|deposited| self.sign(deposited)))
    }

    /// The terms and the commit of a paid purchase.
    pub(crate) fn spend_proof(&self, purchase: &PurchaseId) -> Result<Option<SpendProof>, StoreError> {
        let rows = PURCHASES.scan_bytes(&self.store.view(), &purchase.0, Bound::Unbounded, ESCROWS_MAX)?;
        Ok(rows.into_iter().find_map(|(_, row)| match row {
            BankPurchase::Committed { terms, commit } => Some(SpendProof { terms, commit }),
            BankPurchase::Streamed { terms, stream } => Some(SpendProof {
                terms,
                commit: stream.commit,
            }),
            BankPurchase::Held { .. } | BankPurchase::Aborted { .. } | BankPurchase::NotHeld { .. } => None,
        }))
    }
}
