//! What an escrow answers.

use crate::escrow::Escrow;
use crate::rows::DECISIONS;
use crate::transactions;
use async_trait::async_trait;
use farthing_coin::{KeyBook, Signed};
use farthing_node::call::{CallError, ask, check_lane, decide, unavailable};
use farthing_node::card::RoleName;
use farthing_node::network::{Lane, Service};
use farthing_protocol::{
    api::{EscrowRequest, encode_reply},
    decide::{
        CancelRequest, Committed, Decision, Outcome, OutcomeRequest, OverdueRequest, ReleaseRequest,
        SignedDecision, respond_outcome, verify_cancel, verify_release,
    },
    documents::{Hold, Terms},
    hold::{HoldRequest, verify_hold},
    limits::REPLY_TIMEOUT,
    refusal::{Later, PurchaseFault, Refusal, RequestFault},
};
use serde::Serialize;

#[async_trait]
impl Service for Escrow {
    async fn call(&self, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        self.dispatch(lane, &request)
            .await
            .unwrap_or_else(|refusal| encode_reply::<()>(&Err(refusal)))
    }
}

impl Escrow {
    async fn dispatch(&self, lane: Lane, request: &[u8]) -> Result<Vec<u8>, Refusal> {
        let request = EscrowRequest::decode(request)?;
        check_lane(lane, request.caller())?;
        Ok(match request {
            EscrowRequest::Hold(request) => reply(self.hold(request).await),
            EscrowRequest::Release(request) => reply(self.release(request).await),
            EscrowRequest::Cancel(request) => reply(self.cancel(request).await),
            EscrowRequest::Outcome(request) => reply(self.outcome(&request)),
            EscrowRequest::Overdue(request) => reply(self.overdue(request).await),
        })
    }

    /// Has the bank hold the coins, and vouches for it. Nothing of it is kept here.
    ///
    /// # Errors
    /// The first thing at fault, the bank's own refusal, or that the bank is silent.
    pub async fn hold(&self, request: HoldRequest) -> Result<Signed<Hold>, Refusal> {
        let here = self.here();
        let terms = &request.contract.terms;
        // Before the bank is looked up, whose card only the escrow that is meant may have.
        if terms.escrow != here {
            let named = terms.escrow;
            return Err(RequestFault::NotForMe { named, here }.into());
        }
        let now_ms = self.now_ms()?;
        let bank = terms.bank;
        let mut book = self.keys.book(&bank).await?;
        if has_unknown_key(&request, &book) {
            book = self.keys.refresh(&bank).await?;
        }
        let verified = verify_hold(request, &here, &book, now_ms, &mut self.entropy.rng())?;
        let contract = verified.contract().clone();
        let purchase = contract.purchase();
        let decided = DECISIONS.peek(&self.store.view(), &purchase.0);
        match decided.map_err(|e| unavailable(&e))? {
            Some(Decision::Committed { .. }) => return Err(PurchaseFault::Committed(purchase).into()),
            Some(Decision::Aborted { .. }) => return Err(PurchaseFault::Aborted(purchase).into()),
            None => {}
        }
        let link = self.peers.link(RoleName::Bank, &bank)?;
        let bank_hold = ask(&*link, verified.for_bank(), REPLY_TIMEOUT)
            .await
            .map_err(bank_failed)?;
        let hold = Signed::sign(Hold { bank_hold }, &self.key);
        if let Err(error) = contract.check_hold(&hold) {
            tracing::error!(%error, "a bank has answered a hold with a document that does not fit it");
            return Err(Later::Unavailable("its bank's answer does not fit the purchase".into()).into());
        }
        Ok(hold)
    }

    /// Commits: the commit point of the purchase is the write in here.
    ///
    /// # Errors
    /// The first thing at fault, or that the purchase was aborted, is too late, or its offer is sold.
    pub async fn release(&self, request: ReleaseRequest) -> Result<Committed, Refusal> {
        self.check_bank(&request.contract.terms)?;
        let verified = verify_release(request, &self.here(), |purchase| self.ephemeral(purchase))?;
        let purchase = verified.purchase();
        let clock = self.time.now_ms();
        let decision = decide(&self.store, move |tx| transactions::release(tx, verified, clock)).await?;
        self.outbox_grew.notify_one();
        match decision.outcome(&self.key) {
            Outcome::Committed(committed) => Ok(*committed),
            Outcome::Aborted(_) | Outcome::Undecided => Err(PurchaseFault::Aborted(purchase).into()),
        }
    }

    /// Aborts, unless it is decided, and says how it ended.
    ///
    /// # Errors
    /// The first thing at fault.
    pub async fn cancel(&self, request: CancelRequest) -> Result<Outcome, Refusal> {
        self.check_bank(&request.terms)?;
        let clock = self.time.now_ms();
        // A clock that has leapt ahead puts no honest deadline beyond the horizon.
        let horizon_from_ms = clock.clone().unwrap_or(u64::MAX);
        let verified = verify_cancel(request, &self.here(), horizon_from_ms)?;
        let decision = decide(&self.store, move |tx| transactions::cancel(tx, verified, clock)).await?;
        self.outbox_grew.notify_one();
        Ok(decision.outcome(&self.key))
    }

    /// How a purchase has ended.
    ///
    /// # Errors
    /// When the purchase key did not sign the question.
    pub fn outcome(&self, request: &OutcomeRequest) -> Result<Outcome, Refusal> {
        let decision = DECISIONS.peek(&self.store.view(), &request.purchase.0);
        let decision = decision.map_err(|e| unavailable(&e))?;
        respond_outcome(request, decision.as_ref(), &self.key)
    }

    /// How a purchase has ended whose hold a bank finds overdue; aborts it once its deadline has passed.
    ///
    /// # Errors
    /// When it is not this escrow's, or not yet due.
    pub async fn overdue(&self, request: OverdueRequest) -> Result<SignedDecision, Refusal> {
        self.check_bank(&request.terms)?;
        let clock = self.time.now_ms();
        let here = self.here();
        let decision = decide(&self.store, move |tx| {
            transactions::overdue(tx, request, &here, clock)
        })
        .await?;
        self.outbox_grew.notify_one();
        Ok(decision.for_bank(&self.key))
    }

    /// Refuses to decide about a bank that this escrow does not work with: a decision that can never be delivered
    /// would stay for ever. What is decided is repeated all the same.
    fn check_bank(&self, terms: &Terms) -> Result<(), Refusal> {
        let Err(unknown) = self.peers.link(RoleName::Bank, &terms.bank) else {
            return Ok(());
        };
        let decided = DECISIONS.peek(&self.store.view(), &terms.purchase_id().0);
        match decided.map_err(|e| unavailable(&e))? {
            Some(_) => Ok(()),
            None => Err(unknown),
        }
    }
}

fn reply<R: Serialize>(outcome: Result<R, Refusal>) -> Vec<u8> {
    encode_reply(&outcome)
}

fn has_unknown_key(request: &HoldRequest, book: &KeyBook) -> bool {
    request
        .payment
        .coins
        .iter()
        .any(|coin| book.get(&coin.key_id).is_none())
}

/// A bank's refusal is passed on; of anything else nobody knows what the bank did, and the wallet asks again.
fn bank_failed(error: CallError) -> Refusal {
    match error {
        CallError::Refused(refusal) => refusal,
        other => {
            tracing::warn!(error = %other, "a bank did not answer a hold");
            Later::PeerSilent("bank".into()).into()
        }
    }
}
