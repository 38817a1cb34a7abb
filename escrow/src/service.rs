//! What an escrow answers.

use crate::escrow::Escrow;
use crate::rows::DECISIONS;
use crate::transactions::{self, BankKnown, Push};
use async_trait::async_trait;
use farthing_coin::{KeyBook, PublicKey, Signed};
use farthing_node::call::{CallError, Undone, ask, check_lane, unavailable};
use farthing_node::card::RoleName;
use farthing_node::network::{Lane, Service};
use farthing_node::store::Transaction;
use farthing_protocol::{
    api::{AskEscrow, EscrowRequest, encode_reply},
    decide::{
        CancelRequest, Committed, Decision, Outcome, OutcomeRequest, OverdueRequest, ReleaseRequest,
        SignedDecision, respond_outcome, verify_cancel, verify_overdue, verify_release,
    },
    documents::Hold,
    history::WithHead,
    hold::{AgreedHold, HoldRequest, verify_hold_contract},
    limits::REPLY_TIMEOUT,
    refusal::{Later, PurchaseFault, Refusal},
};
use serde::Serialize;
use std::sync::Arc;

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
            EscrowRequest::Overdue(request) => reply(self.bank_asks(request).await),
            EscrowRequest::Witness(AskEscrow(request)) => reply(self.history.testify(request)),
        })
    }

    /// Has the bank hold the coins, and vouches for it once the bank has shown that it has forgotten nothing. Nothing of
    /// it is kept here, but how far the bank's journal has come with it is remembered by the decision. A purchase that
    /// is decided is refused as such before dates and keys are looked at.
    ///
    /// # Errors
    /// The first thing at fault, the bank's own refusal, or that the bank is silent.
    pub async fn hold(&self, request: HoldRequest) -> Result<Signed<Hold>, Refusal> {
        let agreed = verify_hold_contract(request, &self.here())?;
        let contract = agreed.contract().clone();
        let decided = DECISIONS.peek(&self.store.view(), &contract.purchase().0);
        agreed.check_open(decided.map_err(|e| unavailable(&e))?.as_ref())?;
        self.history.standing()?;
        let now_ms = self.now_ms()?;
        let bank = contract.terms().bank;
        let mut book = self.keys.book(&bank).await?;
        if has_unknown_key(&agreed, &book) {
            book = self.keys.refresh(&bank).await?;
        }
        let verified = agreed.verify(&book, now_ms, &mut self.entropy.rng())?;
        let link = self.peers.link(RoleName::Bank, &bank)?;
        let asked = self.history.with_head(&bank, verified.for_bank());
        let answer = ask(&*link, asked, REPLY_TIMEOUT).await.map_err(bank_failed)?;
        self.history.rely_on(&bank, answer.head.as_ref()).await?;
        let bank_hold = answer.body;
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
        let bank = request.contract.terms.bank;
        let known = self.bank_known(&bank);
        let verified = verify_release(request, &self.here(), |purchase| self.ephemeral(purchase))?;
        let purchase = verified.purchase();
        let clock = self.time.clock_ms();
        let decision = self
            .write_decision(bank, move |tx| transactions::release(tx, verified, known, clock))
            .await?;
        self.outbox_grew.notify_one();
        match decision.outcome(&self.key) {
            Outcome::Committed(committed) => Ok(*committed),
            Outcome::Aborted(_) | Outcome::Undecided => Err(PurchaseFault::Aborted(purchase).into()),
        }
    }

    /// Aborts, unless it is decided, and says how it ended: for any terms that the customer has signed.
    ///
    /// # Errors
    /// When it is for another escrow, or not signed by the purchase key.
    pub async fn cancel(&self, request: CancelRequest) -> Result<Outcome, Refusal> {
        let verified = verify_cancel(request, &self.here())?;
        let bank = verified.terms().bank;
        // A bank that cannot be reached from here may still obey whoever brings it the abort.
        let push = match self.bank_known(&bank) {
            Ok(()) => Push::Yes,
            Err(_) => Push::No,
        };
        let decision = self
            .write_decision(bank, move |tx| transactions::cancel(tx, verified, push))
            .await?;
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
        if decision.is_none() {
            // It may have been decided in what was forgotten.
            self.history.standing()?;
        }
        respond_outcome(request, decision.as_ref(), &self.key)
    }

    /// How a purchase has ended whose hold a bank finds overdue; aborts it once its deadline has passed.
    ///
    /// # Errors
    /// When it is not this escrow's, or not yet due.
    pub async fn overdue(&self, request: OverdueRequest) -> Result<SignedDecision, Refusal> {
        let verified = verify_overdue(request, &self.here())?;
        let bank = verified.terms().bank;
        let known = self.bank_known(&bank);
        let clock = self.time.clock_ms();
        let decision = self
            .write_decision(bank, move |tx| transactions::overdue(tx, verified, known, clock))
            .await?;
        self.outbox_grew.notify_one();
        Ok(decision.for_bank(&self.key))
    }

    /// As [`overdue`](Escrow::overdue), with how far the two journals have come.
    async fn bank_asks(
        &self,
        request: WithHead<OverdueRequest>,
    ) -> Result<WithHead<SignedDecision>, Refusal> {
        let bank = request.body.terms.bank;
        self.history.hear(&bank, request.head.as_ref())?;
        let decision = self.overdue(request.body).await?;
        Ok(self.history.with_head(&bank, decision))
    }

    /// Decides, and remembers in the same write how far the bank's journal had come with what the decision rests on:
    /// the bank cannot forget it unseen.
    async fn write_decision(
        &self,
        bank: PublicKey,
        transaction: impl FnOnce(&mut Transaction<'_>) -> Result<Decision, Undone> + Send + 'static,
    ) -> Result<Decision, Refusal> {
        let history = Arc::clone(&self.history);
        let deciding = self.history.decide(move |tx| {
            let decision = transaction(tx)?;
            history.remember(tx, &bank)?;
            Ok(decision)
        });
        deciding.await
    }

    /// Whether the escrow has the card of `bank`. Without it, it decides nothing but cancels: nobody could be asked to
    /// hold the coins, and nobody told of the decision.
    fn bank_known(&self, bank: &PublicKey) -> BankKnown {
        self.peers.link(RoleName::Bank, bank).map(|_| ())
    }
}

fn reply<R: Serialize>(outcome: Result<R, Refusal>) -> Vec<u8> {
    encode_reply(&outcome)
}

fn has_unknown_key(agreed: &AgreedHold, book: &KeyBook) -> bool {
    let mut coins = agreed.coins().iter();
    coins.any(|coin| book.get(&coin.key_id).is_none())
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
