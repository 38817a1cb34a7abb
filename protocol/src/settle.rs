//! Settlement: the bank applies an escrow's signed decisions. Anyone may bring them.
//!
//! ```text
//! escrow, merchant or wallet             bank
//!   SettleRequest   -------------------->   for each: spends the coins, credits the account with the price and the
//!                                           purchase key's reserve with the change; or releases the coins
//!                   <--------------------   for each: Signed<Settled>, always the same, or a refusal
//! ```
//!
//! Nobody waits for the settlements of an escrow or a merchant, so these bring many in one request. The decisions are
//! independent: each one has a write of its own, or is refused alone. Only a signature that is not the escrow's refuses
//! all of them.

use crate::{
    bounded,
    coins::CoinState,
    decide::check_purchase_key,
    decision::SignedDecision,
    documents::{Abort, Commit, PurchaseKeyUse, Settled, SettledAs, Terms},
    ids::PurchaseId,
    limits::SETTLE_MAX,
    money::Amount,
    refusal::{ContractFault, PurchaseFault, Refusal, RequestFault},
    request::check_recipient,
    request::{check_bound, check_matching},
    stream::{StreamCommit, Voucher},
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
    /// Its decisions: 1 to [`SETTLE_MAX`].
    #[serde(deserialize_with = "bounded::list::<_, _, SETTLE_MAX>")]
    pub decisions: Vec<SignedDecision>,
}

/// The answers to decisions, in their order: the bank's statement that it has applied the decision, or a refusal.
///
/// If each answer would be [`Later`](crate::refusal::Later), the whole request is refused instead.
pub type Answers = bounded::List<Result<Signed<Settled>, Refusal>, SETTLE_MAX>;

/// From the wallet to the bank: asks for the decision on a purchase. So a customer gets the goods also if the escrow is
/// gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectRequest {
    /// The purchase.
    pub purchase: PurchaseId,
    /// Its escrow.
    pub escrow: PublicKey,
    /// The signature of the purchase key.
    pub signature: Signature,
}

/// What the bank knows of a purchase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Collected {
    /// Its coins are held, or nothing is known of it.
    Open,
    /// It was committed. The goods key is inside, sealed to the purchase key.
    Committed(Signed<Commit>),
    /// It was aborted.
    Aborted(Signed<Abort>),
    /// It is a stream, committed for the ticks of a voucher. Their key is inside, sealed to the purchase key.
    Streamed(Box<StreamCommit>),
}

// ---- the bank ---------------------------------------------------------------------------------------------

/// A purchase as the bank keeps it, under its id and its escrow. The row goes when its coins' epoch is closed.
///
/// The escrow is part of the row's key. So no other escrow than the one in the terms can end the purchase, not even
/// before its hold arrives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum BankPurchase {
    /// The coins are held.
    Held {
        /// The terms that the coins are held for.
        terms: Terms,
        /// The coins, by key id and coin key.
        coins: Vec<(KeyId, PublicKey)>,
    },
    /// The coins are spent, and account and reserve are credited.
    Committed {
        /// The terms of the purchase.
        terms: Terms,
        /// The escrow's decision.
        commit: Signed<Commit>,
    },
    /// The coins are released.
    Aborted {
        /// The terms. Absent if an earlier program wrote the row for an abort that arrived before its hold.
        terms: Option<Terms>,
        /// The escrow's decision.
        abort: Signed<Abort>,
    },
    /// A stream: the coins are spent, the account is credited with what a voucher pays, and the reserve with the rest.
    Streamed {
        /// The terms of the purchase.
        terms: Terms,
        /// The escrow's decision, with the voucher.
        stream: StreamCommit,
    },
    /// An abort arrived before the hold. The bank refuses the hold.
    NotHeld {
        /// The escrow's decision.
        abort: Signed<Abort>,
        /// When it arrived (ms since 1970), as no terms say how old the purchase is.
        at_ms: u64,
    },
}

impl BankPurchase {
    /// The held coins. A settlement loads their rows.
    pub fn held_coins(&self) -> &[(KeyId, PublicKey)] {
        match self {
            BankPurchase::Held { coins, .. } => coins,
            BankPurchase::Committed { .. }
            | BankPurchase::Streamed { .. }
            | BankPurchase::Aborted { .. }
            | BankPurchase::NotHeld { .. } => &[],
        }
    }

    /// Whether this same decision ended the purchase.
    fn was_ended_by(&self, decision: &SignedDecision) -> bool {
        match (self, decision) {
            (BankPurchase::Committed { commit, .. }, SignedDecision::Commit(brought)) => commit == brought,
            (
                BankPurchase::Aborted { abort, .. } | BankPurchase::NotHeld { abort, .. },
                SignedDecision::Abort(brought),
            ) => abort == brought,
            (BankPurchase::Streamed { stream, .. }, SignedDecision::Stream(brought)) => *stream == **brought,
            _ => false,
        }
    }

    /// The terms, if they are known.
    pub fn terms(&self) -> Option<&Terms> {
        match self {
            BankPurchase::Held { terms, .. }
            | BankPurchase::Committed { terms, .. }
            | BankPurchase::Streamed { terms, .. } => Some(terms),
            BankPurchase::Aborted { terms, .. } => terms.as_ref(),
            BankPurchase::NotHeld { .. } => None,
        }
    }
}

/// A decision for this bank, signed by the escrow that the request names. Only [`verify_settle`] makes one.
#[derive(Debug)]
pub struct VerifiedDecision {
    escrow: PublicKey,
    decision: SignedDecision,
    /// Whether the decision is an abort with a cause that fits the terms in the row. The purchase id is the digest of
    /// the terms, so there are no other terms.
    has_cause: bool,
    /// Whether the decision is a stream's, with a voucher that the purchase key of the terms in the row has signed.
    has_voucher: bool,
}

/// Verifies decisions, with all signatures in one batch.
///
/// `stored` loads the row of a purchase, or says why the bank accepts no decision on it. A decision that is in the row
/// has been verified before.
///
/// # Errors
/// When there is no decision, or there are too many, or one is not signed by the escrow. For a single decision: the error of
/// `stored`, or when it is for another bank.
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
        let mut has_voucher = false;
        if !row.as_ref().is_some_and(|row| row.was_ended_by(&decision)) {
            match &decision {
                SignedDecision::Commit(commit) => add(&mut batch, index, &escrow, commit),
                SignedDecision::Abort(abort) => add(&mut batch, index, &escrow, abort),
                SignedDecision::Stream(stream) => {
                    add(&mut batch, index, &escrow, &stream.commit);
                    // Without terms there is no key to check the voucher against, and the commit is refused.
                    if let Some(terms) = row.as_ref().and_then(BankPurchase::terms) {
                        add(&mut batch, index, &terms.purchase_key, &stream.voucher);
                        has_voucher = true;
                    }
                }
            }
        }
        Ok(VerifiedDecision {
            escrow,
            decision,
            has_cause,
            has_voucher,
        })
    };
    let verified = decisions.into_iter().enumerate().map(&mut verify).collect();
    batch
        .verify(rng)
        .map_err(|culprit| ContractFault::Decision(format!("the escrow's signature: {}", culprit.what)))?;
    Ok(verified)
}

fn add<D: Document>(batch: &mut Batch, index: usize, signer: &PublicKey, signed: &Signed<D>) {
    batch.signature(index, signer, &signed.body.statement(signer), &signed.signature);
}

/// The rows that a settlement writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// The row of the purchase.
    pub purchase: BankPurchase,
    /// The new states of the held coins, in their order.
    pub states: Vec<CoinState>,
    /// The account to credit, and the amount.
    pub credit: Option<(PublicKey, Amount)>,
    /// The reserve to credit with the change, and the amount. Absent when the coins are worth exactly the price.
    pub change: Option<(PublicKey, Amount)>,
}

/// The bank's response to a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettleDecision {
    /// The decision was applied before. The bank repeats this answer.
    Before(Settled),
    /// The decision is new. The bank writes the rows, then answers.
    Now(Box<Settlement>, Settled),
    /// The bank has applied this opposite decision of the same escrow before. No row changes, and both decisions together
    /// convict the escrow.
    Opposed(SignedDecision),
}

impl VerifiedDecision {
    /// The purchase and the escrow: the key of the bank's row.
    pub fn row_key(&self) -> (PurchaseId, PublicKey) {
        (self.decision.purchase(), self.escrow)
    }

    /// The decision.
    pub fn decision(&self) -> &SignedDecision {
        &self.decision
    }

    /// Applies the decision.
    ///
    /// `states` are the states of the row's held coins, in their order, and `worth` is what these coins are worth
    /// together. `needs_cause` says whether the coins were held
    /// under version 2, so that an abort has to show its cause. `now_ms` dates an abort that arrives before its hold.
    ///
    /// An abort that arrives before its hold needs no cause. There are no terms to check the cause against, and the abort
    /// releases no coins. Its only effect is that the bank refuses a late hold. The escrow could have refused to ask for
    /// that hold anyway.
    ///
    /// # Errors
    /// When the purchase of a commit is unknown, the decision does not fit the terms, or an abort has no cause.
    pub fn respond(
        &self,
        purchase: Option<BankPurchase>,
        states: &[CoinState],
        worth: Amount,
        needs_cause: bool,
        now_ms: u64,
    ) -> Result<SettleDecision, Refusal> {
        match &self.decision {
            SignedDecision::Commit(commit) => respond_commit(commit, None, purchase, states, worth),
            SignedDecision::Stream(stream) => {
                // The hold may have come after the verification.
                if let Some(BankPurchase::Held { terms, .. }) = &purchase
                    && !self.has_voucher
                {
                    let signed = stream.voucher.verify(&terms.purchase_key);
                    signed
                        .map_err(|why| ContractFault::Decision(format!("the voucher's signature: {why}")))?;
                }
                respond_commit(&stream.commit, Some(&stream.voucher), purchase, states, worth)
            }
            SignedDecision::Abort(abort) => {
                if let Some(BankPurchase::Held { terms, .. }) = &purchase
                    && needs_cause
                    && !self.has_cause
                {
                    let verdict = abort.body.reason.check(terms);
                    verdict.map_err(|fault| ContractFault::Cause(fault.to_string()))?;
                }
                respond_abort(abort, self.escrow, purchase, states, now_ms)
            }
        }
    }
}

fn respond_commit(
    commit: &Signed<Commit>,
    voucher: Option<&Signed<Voucher>>,
    purchase: Option<BankPurchase>,
    states: &[CoinState],
    worth: Amount,
) -> Result<SettleDecision, Refusal> {
    let id = commit.body.purchase;
    let voucher_body = voucher.map(|voucher| &voucher.body);
    let settled = |terms: &Terms| Settled::committed(terms, commit.body.amount);
    match purchase {
        None => Err(PurchaseFault::Unknown(id).into()),
        Some(BankPurchase::Aborted { abort, .. } | BankPurchase::NotHeld { abort, .. }) => {
            Ok(SettleDecision::Opposed(SignedDecision::Abort(abort)))
        }
        // The answer repeats the terms, so a commit that differs from them is refused.
        Some(BankPurchase::Committed {
            terms,
            commit: earlier,
        }) => {
            check_commit(&commit.body, &terms, voucher_body)?;
            if commit.body.amount != earlier.body.amount {
                return Ok(SettleDecision::Opposed(SignedDecision::Commit(earlier)));
            }
            Ok(SettleDecision::Before(settled(&terms)))
        }
        Some(BankPurchase::Streamed { terms, stream }) => {
            check_commit(&commit.body, &terms, voucher_body)?;
            if commit.body.amount != stream.commit.body.amount {
                return Ok(SettleDecision::Opposed(SignedDecision::Stream(Box::new(stream))));
            }
            Ok(SettleDecision::Before(settled(&terms)))
        }
        Some(BankPurchase::Held { terms, .. }) => {
            check_commit(&commit.body, &terms, voucher_body)?;
            let settled = settled(&terms);
            let amount = commit.body.amount;
            let settlement = Settlement {
                states: transition(states, |state| state.spent_by(&id))?,
                credit: Some((terms.account, amount)),
                change: terms
                    .change(worth, amount)
                    .map(|change| (terms.purchase_key, change)),
                purchase: match voucher {
                    None => BankPurchase::Committed {
                        terms,
                        commit: commit.clone(),
                    },
                    Some(voucher) => BankPurchase::Streamed {
                        terms,
                        stream: StreamCommit {
                            commit: commit.clone(),
                            voucher: voucher.clone(),
                        },
                    },
                },
            };
            Ok(SettleDecision::Now(Box::new(settlement), settled))
        }
    }
}

fn respond_abort(
    abort: &Signed<Abort>,
    escrow: PublicKey,
    purchase: Option<BankPurchase>,
    states: &[CoinState],
    now_ms: u64,
) -> Result<SettleDecision, Refusal> {
    let id = abort.body.purchase;
    let (aborted, not_held) = (Settled::aborted(id, escrow), Settled::not_held(id, escrow));
    let (purchase, states, settled) = match purchase {
        Some(BankPurchase::Aborted { .. }) => return Ok(SettleDecision::Before(aborted)),
        Some(BankPurchase::NotHeld { .. }) => return Ok(SettleDecision::Before(not_held)),
        Some(BankPurchase::Committed { commit, .. }) => {
            return Ok(SettleDecision::Opposed(SignedDecision::Commit(commit)));
        }
        Some(BankPurchase::Streamed { stream, .. }) => {
            return Ok(SettleDecision::Opposed(SignedDecision::Stream(Box::new(stream))));
        }
        Some(BankPurchase::Held { terms, .. }) => {
            let states = transition(states, |state| state.released_by(&id))?;
            let (terms, abort) = (Some(terms), abort.clone());
            (BankPurchase::Aborted { terms, abort }, states, aborted)
        }
        None => {
            let abort = abort.clone();
            (
                BankPurchase::NotHeld { abort, at_ms: now_ms },
                Vec::new(),
                not_held,
            )
        }
    };
    let settlement = Settlement {
        purchase,
        states,
        credit: None,
        change: None,
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

/// Checks that a commit pays as the terms say: the price, or what a `voucher` of the purchase says. The signature under the
/// voucher is checked elsewhere.
pub(crate) fn check_commit(
    commit: &Commit,
    terms: &Terms,
    voucher: Option<&Voucher>,
) -> Result<(), ContractFault> {
    let amount = match voucher {
        None => terms.price,
        Some(voucher) => voucher.amount,
    };
    let of_purchase = voucher.is_none_or(|voucher| voucher.purchase == commit.purchase);
    let checks = [
        (commit.coins_digest == terms.coins_digest, "coins"),
        (commit.account == terms.account, "account"),
        (of_purchase, "voucher"),
        (commit.amount == amount && amount <= terms.price, "amount"),
    ];
    match checks.into_iter().find(|(holds, _)| !holds) {
        Some((_, field)) => Err(ContractFault::Decision(format!(
            "its {field} differs from the terms'"
        ))),
        None => Ok(()),
    }
}

/// Whether a commit spends the coins of these terms. The amount of a stream is less than the price.
pub(crate) fn spends(commit: &Commit, terms: &Terms) -> bool {
    commit.amount <= terms.price
        && (commit.coins_digest, commit.account) == (terms.coins_digest, terms.account)
}

/// Makes the reply to a request from the answers to its decisions.
///
/// If no decision can be answered now, the whole request is refused. So the sender repeats it like any other request.
///
/// # Errors
/// The refusal of the whole request.
pub fn reply(answers: Answers) -> Result<Answers, Refusal> {
    let is_later = |answer: &_| matches!(answer, Err(Refusal::Later(_)));
    match answers.first() {
        Some(Err(later)) if answers.iter().all(is_later) => Err(later.clone()),
        _ => Ok(answers),
    }
}

/// Answers a customer's question for the decision on a purchase.
///
/// # Errors
/// When the terms of the purchase are known, and its purchase key did not sign the question.
pub fn respond_collect(
    request: &CollectRequest,
    purchase: Option<&BankPurchase>,
) -> Result<Collected, Refusal> {
    let Some(purchase) = purchase else {
        return Ok(Collected::Open);
    };
    // After an abort that arrived before its hold there are no terms, so there is no key to check the question against.
    // Anyone who asks gets the abort. This is harmless: the abort has the purchase id, which the asker knows, the bank,
    // and a reason with its cause. The bank has applied it already.
    if let Some(terms) = purchase.terms() {
        check_purchase_key(terms, PurchaseKeyUse::Collect, &request.signature)?;
    }
    Ok(match purchase {
        BankPurchase::Held { .. } => Collected::Open,
        BankPurchase::Committed { commit, .. } => Collected::Committed(commit.clone()),
        BankPurchase::Aborted { abort, .. } | BankPurchase::NotHeld { abort, .. } => {
            Collected::Aborted(abort.clone())
        }
        BankPurchase::Streamed { stream, .. } => Collected::Streamed(Box::new(stream.clone())),
    })
}

// ---- who brings decisions ---------------------------------------------------------------------------------

/// Checks the answers of `bank` to decisions. `expected` are the statements of a bank that has applied them.
///
/// An answer that does not fit becomes a refusal. A bank that holds no coins for an abort says so instead.
///
/// # Errors
/// When the number of answers is not the number of decisions.
pub fn on_settled(answers: Answers, expected: &[Settled], bank: &PublicKey) -> Result<Answers, RequestFault> {
    check_matching("answers", answers.len(), expected.len())?;
    let check = |(answer, expected): (Result<Signed<Settled>, Refusal>, &Settled)| {
        let settled = answer?;
        let Settled {
            purchase,
            escrow,
            outcome,
        } = *expected;
        let is_not_held =
            outcome == SettledAs::Aborted && settled.body == Settled::not_held(purchase, escrow);
        if settled.body != *expected && !is_not_held {
            return Err(ContractFault::DoesNotFit("settlement".into()).into());
        }
        let verdict = settled.verify(bank);
        verdict.map_err(|e| ContractFault::Decision(format!("the bank's signature: {e}")))?;
        Ok(settled)
    };
    Ok(answers.into_iter().zip(expected).map(check).collect())
}
