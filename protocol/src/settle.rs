//! Settlement: the bank obeys an escrow's signed decisions, from whoever carries them.
//!
//! ```text
//! escrow, merchant or wallet             bank
//!   SettleRequest   -------------------->   of each: spends the coins and credits the account, or releases the coins
//!                   <--------------------   of each: Signed<Settled>, now and for ever, or why not
//! ```
//!
//! Nobody waits for an escrow's or a merchant's settlements, so they bring many in one request. None of them depends on
//! another: each is a write of its own, or refused by itself.

use crate::{
    bounded,
    coins::CoinState,
    decide::check_purchase_key,
    decision::SignedDecision,
    documents::{Abort, Commit, PurchaseKeyUse, Settled, Terms},
    ids::PurchaseId,
    limits::SETTLE_MAX,
    money::Amount,
    refusal::{ContractFault, PurchaseFault, Refusal, RequestFault},
    request::check_recipient,
    request::{check_bound, check_matching},
};
use farthing_coin::{Batch, Document, KeyId, PublicKey, Signature, Signed};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};

// ---- messages ---------------------------------------------------------------------------------------------

/// Decisions of one escrow, brought to the bank.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettleRequest {
    /// The escrow that signed them.
    pub escrow: PublicKey,
    /// What it decided: 1 to [`SETTLE_MAX`].
    #[serde(deserialize_with = "bounded::list::<_, _, SETTLE_MAX>")]
    pub decisions: Vec<SignedDecision>,
}

/// Of each decision that was brought, in their order: the bank's word that it is obeyed, or why it is not.
///
/// Where [`Later`](crate::refusal::Later) is all that there is to say, the whole request is refused with it instead.
pub type Answers = bounded::List<Result<Signed<Settled>, Refusal>, SETTLE_MAX>;

/// From the wallet to the bank: what is known of this purchase? So a dead escrow costs nobody the goods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectRequest {
    /// The purchase.
    pub purchase: PurchaseId,
    /// Its escrow.
    pub escrow: PublicKey,
    /// By the purchase key.
    pub signature: Signature,
}

/// What the bank knows of a purchase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Collected {
    /// Its coins are held, or nothing is known of it.
    Open,
    /// It was committed; the goods key is inside, sealed to the purchase key.
    Committed(Signed<Commit>),
    /// It was aborted.
    Aborted(Signed<Abort>),
}

// ---- the bank ---------------------------------------------------------------------------------------------

/// A purchase as the bank keeps it, by its id and its escrow. The row stays for ever.
///
/// It is kept by the escrow as well, so that nobody but the escrow that the terms name can end it, not even
/// before its hold arrives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum BankPurchase {
    /// The coins are held.
    Held {
        /// For these terms.
        terms: Terms,
        /// Which.
        coins: Vec<(KeyId, PublicKey)>,
    },
    /// The coins are spent and the account is credited.
    Committed {
        /// On these terms.
        terms: Terms,
        /// By this decision.
        commit: Signed<Commit>,
    },
    /// The coins, if there were any, are released. An abort that arrived before its hold has no terms, and
    /// leaves this behind to refuse it.
    Aborted {
        /// The terms, where a hold was made.
        terms: Option<Terms>,
        /// By this decision.
        abort: Signed<Abort>,
    },
}

impl BankPurchase {
    /// The coins whose rows a settlement loads.
    pub fn held_coins(&self) -> &[(KeyId, PublicKey)] {
        match self {
            BankPurchase::Held { coins, .. } => coins,
            BankPurchase::Committed { .. } | BankPurchase::Aborted { .. } => &[],
        }
    }

    /// Whether it was this very decision that ended it.
    fn was_ended_by(&self, decision: &SignedDecision) -> bool {
        match (self, decision) {
            (BankPurchase::Committed { commit, .. }, SignedDecision::Commit(brought)) => commit == brought,
            (BankPurchase::Aborted { abort, .. }, SignedDecision::Abort(brought)) => abort == brought,
            _ => false,
        }
    }

    /// The terms, where they are known.
    pub fn terms(&self) -> Option<&Terms> {
        match self {
            BankPurchase::Held { terms, .. } | BankPurchase::Committed { terms, .. } => Some(terms),
            BankPurchase::Aborted { terms, .. } => terms.as_ref(),
        }
    }
}

/// A decision for this bank, signed by the escrow that it was brought as. Only [`verify_settle`] makes one.
#[derive(Debug)]
pub struct VerifiedDecision {
    escrow: PublicKey,
    decision: SignedDecision,
    /// Whether it is an abort whose cause was checked, against the terms in the row. A purchase id is the digest of its
    /// terms, so that no others can be meant.
    has_cause: bool,
}

/// Verifies decisions, their signatures in one batch. `stored` loads the row of a purchase, or says why no decision is
/// taken on it. A decision that the row was written by has been verified before.
///
/// # Errors
/// When there is no decision, or there are too many. Of a single one: when `stored` says so, or it is for another bank or
/// not signed by the escrow.
pub fn verify_settle(
    request: SettleRequest,
    self_id: &PublicKey,
    stored: impl Fn(&PurchaseId) -> Result<Option<BankPurchase>, Refusal>,
    rng: &mut impl CryptoRng,
) -> Result<Vec<Result<VerifiedDecision, Refusal>>, Refusal> {
    let SettleRequest { escrow, decisions } = request;
    check_bound("decisions", decisions.len(), SETTLE_MAX)?;
    let mut batch = Batch::new();
    let mut verify = |(index, decision): (usize, SignedDecision)| {
        let row = stored(&decision.purchase())?;
        check_recipient(&decision.bank(), self_id)?;
        let has_cause = match (&row, &decision) {
            (Some(BankPurchase::Held { terms, .. }), SignedDecision::Abort(abort)) => {
                abort.body.reason.check(terms).is_ok()
            }
            _ => false,
        };
        if !row.is_some_and(|row| row.was_ended_by(&decision)) {
            match &decision {
                SignedDecision::Commit(commit) => add(&mut batch, index, &escrow, commit),
                SignedDecision::Abort(abort) => add(&mut batch, index, &escrow, abort),
            }
        }
        Ok(VerifiedDecision {
            escrow,
            decision,
            has_cause,
        })
    };
    let mut verified: Vec<_> = decisions.into_iter().enumerate().map(&mut verify).collect();
    if let Err(culprits) = batch.verify(rng) {
        for culprit in culprits {
            let fault = ContractFault::Decision(format!("the escrow's signature: {}", culprit.what));
            if let Some(verdict) = verified.get_mut(culprit.index) {
                *verdict = Err(fault.into());
            }
        }
    }
    Ok(verified)
}

fn add<D: Document>(batch: &mut Batch, index: usize, signer: &PublicKey, signed: &Signed<D>) {
    batch.signature(index, signer, &signed.body.statement(signer), &signed.signature);
}

/// What a settlement writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// The purchase's row.
    pub purchase: BankPurchase,
    /// The new states of the coins that were held, in their order.
    pub states: Vec<CoinState>,
    /// The account to credit, and how much.
    pub credit: Option<(PublicKey, Amount)>,
}

/// What a bank does about a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettleDecision {
    /// It was obeyed before: this answer.
    Before(Settled),
    /// These writes, then this answer.
    Now(Box<Settlement>, Settled),
    /// The same escrow's opposite decision was obeyed before: this one. Nothing changes, and both together convict
    /// the escrow.
    Opposed(SignedDecision),
}

impl VerifiedDecision {
    /// The purchase and the escrow, by which the bank loads the row.
    pub fn row_key(&self) -> (PurchaseId, PublicKey) {
        (self.decision.purchase(), self.escrow)
    }

    /// The decision.
    pub fn decision(&self) -> &SignedDecision {
        &self.decision
    }

    /// Obeys. `states` are those of the row's held coins, in their order; `needs_cause` says whether the coins were held
    /// under version 2, so that an abort has to show its cause.
    ///
    /// An abort that comes before its hold is obeyed without one: there are no terms to check it against, and it
    /// releases nothing. All it does is to have a late hold refused, which its escrow could as well not have asked for.
    ///
    /// # Errors
    /// When a commit's purchase is unknown, the decision does not fit the terms, or an abort has no cause.
    pub fn respond(
        &self,
        purchase: Option<BankPurchase>,
        states: &[CoinState],
        needs_cause: bool,
    ) -> Result<SettleDecision, Refusal> {
        match &self.decision {
            SignedDecision::Commit(commit) => respond_commit(commit, purchase, states),
            SignedDecision::Abort(abort) => {
                if let Some(BankPurchase::Held { terms, .. }) = &purchase
                    && needs_cause
                    && !self.has_cause
                {
                    let verdict = abort.body.reason.check(terms);
                    verdict.map_err(|fault| ContractFault::Cause(fault.to_string()))?;
                }
                let settled = Settled::aborted(abort.body.purchase, self.escrow);
                respond_abort(abort, settled, purchase, states)
            }
        }
    }
}

fn respond_commit(
    commit: &Signed<Commit>,
    purchase: Option<BankPurchase>,
    states: &[CoinState],
) -> Result<SettleDecision, Refusal> {
    let id = commit.body.purchase;
    match purchase {
        None => Err(PurchaseFault::Unknown(id).into()),
        Some(BankPurchase::Aborted { abort, .. }) => {
            Ok(SettleDecision::Opposed(SignedDecision::Abort(abort)))
        }
        // The answer says what the terms say, so a commit that says otherwise gets none.
        Some(BankPurchase::Committed { terms, .. }) => {
            check_commit(&commit.body, &terms)?;
            Ok(SettleDecision::Before(Settled::committed(&terms)))
        }
        Some(BankPurchase::Held { terms, .. }) => {
            check_commit(&commit.body, &terms)?;
            let settled = Settled::committed(&terms);
            let settlement = Settlement {
                states: transition(states, |state| state.spent_by(&id))?,
                credit: Some((terms.account, terms.price)),
                purchase: BankPurchase::Committed {
                    terms,
                    commit: commit.clone(),
                },
            };
            Ok(SettleDecision::Now(Box::new(settlement), settled))
        }
    }
}

fn respond_abort(
    abort: &Signed<Abort>,
    settled: Settled,
    purchase: Option<BankPurchase>,
    states: &[CoinState],
) -> Result<SettleDecision, Refusal> {
    let (terms, states) = match purchase {
        Some(BankPurchase::Aborted { .. }) => return Ok(SettleDecision::Before(settled)),
        Some(BankPurchase::Committed { commit, .. }) => {
            return Ok(SettleDecision::Opposed(SignedDecision::Commit(commit)));
        }
        Some(BankPurchase::Held { terms, .. }) => {
            let states = transition(states, |state| state.released_by(&abort.body.purchase))?;
            (Some(terms), states)
        }
        None => (None, Vec::new()),
    };
    let settlement = Settlement {
        purchase: BankPurchase::Aborted {
            terms,
            abort: abort.clone(),
        },
        states,
        credit: None,
    };
    Ok(SettleDecision::Now(Box::new(settlement), settled))
}

fn transition(
    states: &[CoinState],
    step: impl Fn(&CoinState) -> Option<CoinState>,
) -> Result<Vec<CoinState>, ContractFault> {
    let all: Option<Vec<CoinState>> = states.iter().map(step).collect();
    all.ok_or_else(|| ContractFault::Decision("a coin of the purchase is not held for it".into()))
}

/// Checks that a commit pays what the terms say.
pub(crate) fn check_commit(commit: &Commit, terms: &Terms) -> Result<(), ContractFault> {
    let checks = [
        (commit.coins_digest == terms.coins_digest, "coins"),
        (commit.account == terms.account, "account"),
        (commit.amount == terms.price, "amount"),
    ];
    match checks.into_iter().find(|(holds, _)| !holds) {
        Some((_, field)) => Err(ContractFault::Decision(format!(
            "its {field} differs from the terms'"
        ))),
        None => Ok(()),
    }
}

/// The reply to a request: each decision's own answer. Where none can be answered now, the request is refused as a whole,
/// so that whoever brought it asks again as for anything else.
///
/// # Errors
/// That refusal.
pub fn reply(answers: Answers) -> Result<Answers, Refusal> {
    let is_later = |answer: &_| matches!(answer, Err(Refusal::Later(_)));
    match answers.first() {
        Some(Err(later)) if answers.iter().all(is_later) => Err(later.clone()),
        _ => Ok(answers),
    }
}

/// Answers a customer's question for what the bank knows.
///
/// # Errors
/// When the question is not signed by the purchase key of a purchase that is known.
pub fn respond_collect(
    request: &CollectRequest,
    purchase: Option<&BankPurchase>,
) -> Result<Collected, Refusal> {
    let Some(purchase) = purchase else {
        return Ok(Collected::Open);
    };
    // An abort that came before its hold has left no terms, and so no key to check the question against. Whoever asks
    // gets it all the same, which is harmless: it names the purchase, which the asker has named, the bank and a
    // reason with its cause, and the bank obeys it already.
    if let Some(terms) = purchase.terms() {
        check_purchase_key(terms, PurchaseKeyUse::Collect, &request.signature)?;
    }
    Ok(match purchase {
        BankPurchase::Held { .. } => Collected::Open,
        BankPurchase::Committed { commit, .. } => Collected::Committed(commit.clone()),
        BankPurchase::Aborted { abort, .. } => Collected::Aborted(abort.clone()),
    })
}

// ---- who brings decisions ---------------------------------------------------------------------------------

/// What `bank` has said of decisions, where `expected` is what it says if it obeys them. An answer that does not fit
/// counts as a refusal.
///
/// # Errors
/// When there are not as many answers.
pub fn on_settled(answers: Answers, expected: &[Settled], bank: &PublicKey) -> Result<Answers, RequestFault> {
    check_matching("answers", answers.len(), expected.len())?;
    let check = |(answer, expected): (Result<Signed<Settled>, Refusal>, &Settled)| {
        let settled = answer?;
        if settled.body != *expected {
            return Err(ContractFault::DoesNotFit("settlement".into()).into());
        }
        let verdict = settled.verify(bank);
        verdict.map_err(|e| ContractFault::Decision(format!("the bank's signature: {e}")))?;
        Ok(settled)
    };
    Ok(answers.into_iter().zip(expected).map(check).collect())
}
