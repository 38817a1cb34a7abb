//! The bank's evidence: that an escrow signed both outcomes of a purchase, how the bank settled a purchase, what a coin was
//! used for, and the credits and debits of a reserve.

use crate::bank::Bank;
use crate::rows::{COINS, CONTRADICTIONS, PURCHASES, RESERVE_DEBITS, RESERVES};
use farthing_coin::{PublicKey, Signed};
use farthing_protocol::{
    coins::CoinState,
    decision::SignedDecision,
    documents::{PurchaseId, Settled},
    evidence::{PAPERS_MAX, Papers, ShownDebit, ShownUse},
    reserve::ReserveBalance,
    settle::BankPurchase,
};
use farthing_store::{StoreError, limits::SCAN_MAX_ROWS};
use serde::{Deserialize, Serialize};
use std::ops::Bound;

/// The subject of the requested evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum About {
    /// The purchases whose escrow has signed both outcomes.
    Contradictions,
    /// One purchase.
    Purchase {
        /// The purchase id.
        id: PurchaseId,
    },
    /// One coin.
    Coin {
        /// The coin's key.
        key: PublicKey,
    },
    /// One reserve.
    Reserve {
        /// The reserve.
        key: PublicKey,
    },
}

impl Bank {
    /// Returns the papers about `about`. They are at most [`PAPERS_MAX`], the number that is judged together.
    ///
    /// # Errors
    /// A message for the operator.
    pub fn evidence(&self, about: &About) -> Result<Vec<Papers>, String> {
        let found = match about {
            About::Contradictions => self.contradictions(),
            About::Purchase { id } => self.settlements(id),
            About::Coin { key } => self.uses(key),
            About::Reserve { key } => self.reserve_papers(key),
        };
        found.map_err(|e| e.to_string())
    }

    fn contradictions(&self) -> Result<Vec<Papers>, StoreError> {
        let rows = CONTRADICTIONS.scan(&self.store.view(), Bound::Unbounded, PAPERS_MAX)?;
        self.papers_of(rows.iter().map(|(row, _)| row))
    }

    /// The papers of a purchase, for each escrow that has decided it.
    fn settlements(&self, purchase: &PurchaseId) -> Result<Vec<Papers>, StoreError> {
        let rows = PURCHASES.scan_bytes(&self.store.view(), &purchase.0, Bound::Unbounded, PAPERS_MAX)?;
        self.papers_of(rows.iter().map(|(row, _)| row))
    }

    /// The papers of ended purchases. Those of the last purchase are left out if they do not all fit.
    fn papers_of<'a>(
        &self,
        rows: impl Iterator<Item = &'a (PurchaseId, PublicKey)>,
    ) -> Result<Vec<Papers>, StoreError> {
        let mut all = Vec::new();
        for row in rows {
            let papers = self.papers(row)?;
            if all.len().saturating_add(papers.len()) > PAPERS_MAX {
                break;
            }
            all.extend(papers);
        }
        Ok(all)
    }

    /// The papers of an ended purchase, signed again. A second commit, which contradicts the applied one, has papers of its
    /// own.
    fn papers(&self, row: &(PurchaseId, PublicKey)) -> Result<Vec<Papers>, StoreError> {
        let view = self.store.view();
        let (decision, terms, settled) = match PURCHASES.peek(&view, row)? {
            None | Some(BankPurchase::Held { .. }) => return Ok(Vec::new()),
            Some(BankPurchase::Committed { terms, commit }) => {
                let settled = Settled::committed(&terms, commit.body.amount);
                (SignedDecision::Commit(commit), Some(terms), settled)
            }
            Some(BankPurchase::Aborted { terms, abort }) => {
                let settled = Settled::aborted(row.0, row.1);
                (SignedDecision::Abort(abort), terms, settled)
            }
            Some(BankPurchase::NotHeld { abort, .. }) => {
                let settled = Settled::not_held(row.0, row.1);
                (SignedDecision::Abort(abort), None, settled)
            }
            Some(BankPurchase::Streamed { terms, stream }) => {
                let settled = Settled::committed(&terms, stream.commit.body.amount);
                (SignedDecision::Stream(Box::new(stream)), Some(terms), settled)
            }
        };
        let of = |decision| Papers::decided(row.1, terms.clone(), decision);
        let applied = Papers {
            settled: Some(Signed::sign(settled, &self.identity)),
            ..of(decision)
        };
        Ok(match CONTRADICTIONS.peek(&view, row)?.map(of) {
            None => vec![applied],
            Some(other) if other.commit.is_some() && applied.commit.is_some() => vec![applied, other],
            Some(other) => vec![Papers {
                commit: applied.commit.or(other.commit),
                voucher: applied.voucher.or(other.voucher),
                abort: applied.abort.or(other.abort),
                ..applied
            }],
        })
    }

    /// The sums of a reserve, and each of its debits with the signature of its owner and what was given for it.
    fn reserve_papers(&self, reserve: &PublicKey) -> Result<Vec<Papers>, StoreError> {
        let view = self.store.view();
        let balance = ReserveBalance {
            bank: self.self_id,
            reserve: *reserve,
            sums: RESERVES.peek(&view, reserve)?.unwrap_or_default(),
            at_ms: self.clock.now_ms(),
        };
        let rows = RESERVE_DEBITS.scan_under(&view, reserve, Bound::Unbounded, SCAN_MAX_ROWS)?;
        let debits = rows.into_iter().map(|((_, request), debit)| {
            Ok(ShownDebit {
                reserve: *reserve,
                signature: debit.signature,
                issued: self.issued_for(&request)?,
                deposited: self.deposited(&request)?,
            })
        });
        Ok(vec![Papers {
            keys: Some(self.keys().book().signed().clone()),
            balances: vec![self.sign(balance)],
            debits: debits.collect::<Result<_, StoreError>>()?,
            ..Papers::default()
        }])
    }

    /// The use of a coin: what was issued or credited for it, with the list of keys, or the decision on the purchase that it
    /// paid for.
    fn uses(&self, coin: &PublicKey) -> Result<Vec<Papers>, StoreError> {
        let (view, keys) = (self.store.view(), self.keys());
        let mut papers = Vec::new();
        for (key_id, _) in keys.book().denominations() {
            let used = match COINS.peek(&view, &(*key_id, *coin))? {
                Some(
                    CoinState::Held(used)
                    | CoinState::Spent(used)
                    | CoinState::Exchanged(used)
                    | CoinState::Deposited(used),
                ) => used,
                Some(CoinState::Released(_) | CoinState::Unseen) | None => continue,
            };
            papers.push(Papers {
                // The issued coins may have keys that an accuser's older list lacks.
                keys: Some(keys.book().signed().clone()),
                uses: vec![ShownUse {
                    key_id: *key_id,
                    coin: *coin,
                    used,
                    issued: self.issued_for(&used.digest)?,
                    deposited: self.deposited(&used.digest)?,
                }],
                ..Papers::default()
            });
            papers.extend(self.settlements(&used.purchase())?);
        }
        papers.truncate(PAPERS_MAX);
        Ok(papers)
    }
}
