//! The escrow's answers to requests.

use crate::escrow::Escrow;
use crate::rows::{CLOSED_BEFORE, DECISIONS, SEALED_SALES, SealedSaleRow};
use crate::transactions::{self, BankKnown, Push};
use async_trait::async_trait;
use farthing_coin::{KeyBook, PublicKey, Signed};
use farthing_node::call::{CallError, TxError, ask, check_lane, unavailable};
use farthing_node::card::RoleName;
use farthing_node::network::{Lane, Service};
use farthing_protocol::{
    api::{AskEscrow, EscrowRequest, Question, encode_reply},
    contract::{HeldContract, sign_hold},
    decide::{
        CancelRequest, OutcomeRequest, OverdueRequest, ReleaseRequest, VerifiedRelease, check_purchase_key,
        respond_outcome, verify_cancel, verify_overdue, verify_release,
    },
    decision::{Committed, Decision, Outcome, SignedDecision},
    documents::{Hold, PurchaseId, PurchaseKeyUse},
    history::WithHead,
    hold::{AgreedHold, HoldRequest, verify_hold_contract},
    limits::{REPLY_TIMEOUT, SALES_PAGE_MAX},
    refusal::{Later, PurchaseFault, Refusal},
    sealed::{PayRequest, SalesPage, SalesRequest, SealedSale, check_sealed, open_release, verify_sales},
    stream::PreparedEnding,
};
use farthing_store::{Reads, Transaction};
use serde::Serialize;
use std::ops::Bound;
use std::sync::Arc;

/// The topics of the complaints about holds. A line for each hold would date purchases in the log.
const TOPIC_HOLD_SILENT: &str = "hold silent";
const TOPIC_HOLD_ANSWER: &str = "hold answer";

#[async_trait]
impl Service for Escrow {
    async fn call(&self, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        self.dispatch(lane, &request)
            .await
            .unwrap_or_else(|refusal| encode_reply::<()>(&Err(refusal)))
    }

    fn is_reserved(&self, lane: Lane, request: &[u8]) -> bool {
        lane == Lane::Anonymous && EscrowRequest::is_ending(request)
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
            EscrowRequest::Pay(request) => reply(self.pay(request).await),
            EscrowRequest::Sales(request) => reply(self.sales(&request)),
            EscrowRequest::Open(request) => reply(self.open(request).await),
            EscrowRequest::Raise(request) => reply(self.raise(request, lane).await),
            EscrowRequest::Close(request) => reply(self.close(request).await),
        })
    }

    /// Asks the bank to hold the coins, and signs the hold once the bank has proven that it has forgotten nothing.
    ///
    /// The escrow stores nothing for a hold. So while it drains, it cannot tell a repeated hold from a new one, and refuses
    /// both. The customer gets the coins back with a cancel. The decision stores the bank's journal head. A decided
    /// purchase is refused before dates and keys are checked.
    ///
    /// # Errors
    /// The first fault of the request, the bank's refusal, or [`Later::PeerSilent`].
    pub async fn hold(&self, request: HoldRequest) -> Result<Signed<Hold>, Refusal> {
        let agreed = verify_hold_contract(request, &self.self_id())?;
        agreed.check_open(self.decision(&agreed.contract().purchase())?.as_ref())?;
        self.drain.check()?;
        Ok(self.have_held(agreed).await?.hold(&self.key))
    }

    /// Asks the bank to hold the coins.
    pub(crate) async fn have_held(&self, agreed: AgreedHold) -> Result<HeldContract, Refusal> {
        let contract = agreed.contract().clone();
        self.history.standing()?;
        let now_ms = self.now_ms()?;
        // Cheap checks come before the bank's keys, which may need a request to the bank.
        agreed.check_payment(now_ms)?;
        let bank = contract.terms().bank;
        let mut book = self.keys.book(&bank).await?;
        if has_unknown_key(&agreed, &book) {
            book = self.keys.refresh(&bank).await?;
        }
        let verified = agreed.verify(&book, now_ms, &mut self.entropy.rng())?;
        let link = self.peers.link(RoleName::Bank, &bank)?;
        let asked = self.history.with_head(&bank, verified.for_bank());
        let bank_hold = match ask(&*link, asked, REPLY_TIMEOUT).await {
            Ok(answer) => {
                self.history.rely_on(&bank, answer.head.as_ref()).await?;
                answer.body
            }
            Err(error) => return Err(self.bank_failed(&bank, error)),
        };
        self.complaints.clear(TOPIC_HOLD_SILENT, &bank);
        contract.held(bank_hold).map_err(|error| {
            self.complaints.tell(TOPIC_HOLD_ANSWER, &bank, |times| {
                tracing::error!(%error, times, "a bank has answered a hold with a document that does not fit it; the purchase is not held");
            });
            Later::Unavailable("its bank's answer does not fit the purchase".into()).into()
        })
    }

    /// Commits a purchase. Its write is the commit point of the purchase.
    ///
    /// # Errors
    /// The first fault of the request, or that the deadline has passed, or that the single sale was sold. The refusal of an
    /// aborted purchase has the abort with its cause, as the merchant has shown the goods key.
    pub async fn release(&self, request: ReleaseRequest) -> Result<Committed, Refusal> {
        let verified = verify_release(request, &self.self_id(), |purchase| self.ephemeral(purchase))?;
        let purchase = verified.purchase();
        match self.commit(verified).await?.outcome(&self.key) {
            Outcome::Committed(committed) => Ok(*committed),
            Outcome::Aborted(abort) => Err(PurchaseFault::AbortedBy(Box::new(abort)).into()),
            Outcome::Undecided | Outcome::Streaming(_) | Outcome::Streamed(_) => {
                Err(PurchaseFault::Unknown(purchase).into())
            }
        }
    }

    /// Asks the bank to hold the coins for a sealed offer, and commits with the goods key in the offer.
    ///
    /// A decided purchase gets its outcome, so the same request always gets the same answer.
    ///
    /// # Errors
    /// Those of [`hold`](Escrow::hold) and [`release`](Escrow::release), except that an aborted purchase is an outcome.
    pub async fn pay(&self, request: PayRequest) -> Result<Outcome, Refusal> {
        let agreed = verify_hold_contract(request.0, &self.self_id())?;
        check_sealed(agreed.contract())?;
        if let Some(decision) = self.decision(&agreed.contract().purchase())? {
            return Ok(decision.outcome(&self.key));
        }
        self.drain.check()?;
        let held = self.have_held(agreed).await?;
        let verified = open_release(held, &self.key, |purchase| self.ephemeral(purchase))?;
        Ok(self.commit(verified).await?.outcome(&self.key))
    }

    pub(crate) async fn commit(&self, verified: VerifiedRelease) -> Result<Decision, Refusal> {
        let bank = verified.terms().bank;
        let known = self.bank_known(&bank);
        let clock = self.time.clock_ms();
        let reads = transactions::release_reads(&verified);
        self.write_decision(bank, reads, move |tx| {
            transactions::release(tx, &verified, &known, &clock)
        })
        .await
    }

    /// Returns the committed sales of a merchant's sealed offers, after the number that the merchant knows.
    ///
    /// # Errors
    /// When the request is for another escrow, or the merchant did not sign it.
    pub fn sales(&self, request: &Signed<SalesRequest>) -> Result<SalesPage, Refusal> {
        let SalesRequest { merchant, known, .. } = verify_sales(request, &self.self_id())?;
        self.owner_allowances
            .take(&merchant, Question::Sales, self.time.reading_ms())?;
        let from = (merchant, known);
        let rows = SEALED_SALES
            .scan_under(
                &self.store.view(),
                &merchant,
                Bound::Included(&from),
                SALES_PAGE_MAX + 1,
            )
            .map_err(|e| unavailable(&e))?;
        let more = rows.len() > SALES_PAGE_MAX;
        let sales = rows
            .into_iter()
            .take(SALES_PAGE_MAX)
            .map(|(_, row)| self.sealed_sale(row));
        Ok(SalesPage {
            sales: sales.collect::<Result<_, _>>()?,
            more,
        })
    }

    fn sealed_sale(&self, row: SealedSaleRow) -> Result<SealedSale, Refusal> {
        let SealedSaleRow { contract, bank_hold } = row;
        let decision = self.decision(&contract.terms.purchase_id())?;
        // The row was written with its commit, so the commit exists.
        let Some(Outcome::Committed(committed)) = decision.map(|it| it.outcome(&self.key)) else {
            return Err(Later::Unavailable("a sale is listed that was not committed".into()).into());
        };
        Ok(SealedSale {
            hold: sign_hold(bank_hold, contract.wants_causes(), &self.key),
            contract,
            committed: *committed,
        })
    }

    /// Returns the decision of a purchase, if it is decided.
    pub(crate) fn decision(&self, purchase: &PurchaseId) -> Result<Option<Decision>, Refusal> {
        let decision = DECISIONS.peek(&self.store.view(), purchase);
        decision.map_err(|e| unavailable(&e))
    }

    /// Aborts a purchase, unless it is decided, and returns the outcome. It accepts any terms that the customer has signed
    /// and shows a coin for, with a deadline that a hold could have. Nobody is asked for the keys of the coin.
    ///
    /// # Errors
    /// When the request is for another escrow, or the purchase key did not sign it. For an undecided purchase also when it
    /// shows no valid coin, or one that has cancelled too many.
    pub async fn cancel(&self, request: CancelRequest) -> Result<Outcome, Refusal> {
        let signed = verify_cancel(request, &self.self_id())?;
        let bank = signed.terms().bank;
        let purchase = signed.terms().purchase_id();
        if let Some(decision) = self.decision(&purchase)? {
            return Ok(decision.outcome(&self.key));
        }
        if let Some(open) = self.open_stream(&purchase)? {
            return Ok(self.streaming(open));
        }
        // Cancels are carried out at any time of the clock. So one that cannot be right bounds nothing.
        if let Ok(now_ms) = self.now_ms() {
            signed.check_deadline(now_ms)?;
        }
        let book = self.keys.kept(&bank)?;
        let closed_before_ms = self.closed_before(&bank)?;
        let verified = signed.paid(book.as_deref(), closed_before_ms, &mut self.entropy.rng())?;
        // A bank without a pinned card still applies the abort when the customer brings it.
        let push = match self.bank_known(&bank) {
            Ok(()) => Push::Yes,
            Err(_) => Push::No,
        };
        let decision = self
            .write_decision(bank, transactions::cancel_reads(&verified), move |tx| {
                transactions::cancel(tx, &verified, push)
            })
            .await?;
        Ok(decision.outcome(&self.key))
    }

    /// Purchases of this bank with an earlier deadline are not decided any more (ms since 1970).
    fn closed_before(&self, bank: &PublicKey) -> Result<u64, Refusal> {
        let closed = CLOSED_BEFORE.peek(&self.store.view(), bank);
        Ok(closed.map_err(|e| unavailable(&e))?.unwrap_or_default())
    }

    /// Returns the outcome of a purchase.
    ///
    /// # Errors
    /// When the purchase key did not sign the question.
    pub fn outcome(&self, request: &OutcomeRequest) -> Result<Outcome, Refusal> {
        let decision = self.decision(&request.purchase)?;
        if decision.is_none() {
            // A forgotten record may have decided it.
            self.history.standing()?;
            if let Some(open) = self.open_stream(&request.purchase)? {
                check_purchase_key(&open.terms, PurchaseKeyUse::Outcome, &request.signature)?;
                return Ok(self.streaming(open));
            }
        }
        respond_outcome(request, decision.as_ref(), &self.key)
    }

    /// Returns the decision of a purchase whose hold is overdue at its bank. Aborts it if its deadline has passed.
    ///
    /// # Errors
    /// When the purchase is for another escrow, or its deadline has not passed.
    pub async fn overdue(&self, request: OverdueRequest) -> Result<SignedDecision, Refusal> {
        let verified = verify_overdue(request, &self.self_id())?;
        let bank = verified.terms().bank;
        if let Some(open) = self.open_stream(&verified.terms().purchase_id())? {
            let prepared = PreparedEnding::overdue(&open, &verified, |purchase| self.ephemeral(purchase))?;
            return Ok(self.end(prepared).await?.for_bank(&self.key));
        }
        let known = self.bank_known(&bank);
        let clock = self.time.clock_ms();
        let decision = self
            .write_decision(bank, transactions::end_reads(verified.terms()), move |tx| {
                transactions::overdue(tx, &verified, &known, &clock)
            })
            .await?;
        Ok(decision.for_bank(&self.key))
    }

    /// As [`overdue`](Escrow::overdue), with the heads of both journals.
    async fn bank_asks(
        &self,
        request: WithHead<OverdueRequest>,
    ) -> Result<WithHead<SignedDecision>, Refusal> {
        let WithHead { body: request, head } = request;
        let bank = request.terms.bank;
        self.history.hear(&bank, head.as_ref())?;
        let decision = self.overdue(request).await?;
        Ok(self.history.answer(&bank, head.as_ref(), decision))
    }

    /// Decides, and stores in the same write the bank's journal head. The escrow then detects a bank that has forgotten what
    /// the decision rests on.
    pub(crate) async fn write_decision(
        &self,
        bank: PublicKey,
        reads: Reads,
        transaction: impl Fn(&mut Transaction<'_>) -> Result<Decision, TxError> + Send + 'static,
    ) -> Result<Decision, Refusal> {
        let decision = self.write_row(bank, reads, transaction).await?;
        match decision {
            Decision::Committed { .. } | Decision::Streamed { .. } => self.committed.notify_one(),
            Decision::Aborted { .. } => self.aborted.notify_one(),
        }
        Ok(decision)
    }

    /// Writes what rests on a hold, and in the same write the bank's journal head.
    pub(crate) async fn write_row<R: Send + 'static>(
        &self,
        bank: PublicKey,
        reads: Reads,
        transaction: impl Fn(&mut Transaction<'_>) -> Result<R, TxError> + Send + 'static,
    ) -> Result<R, Refusal> {
        let history = Arc::clone(&self.history);
        let reads = reads.and([history.remembers(&bank)]);
        let deciding = self.history.decide(reads, move |tx| {
            let written = transaction(tx)?;
            history.remember(tx, &bank)?;
            Ok(written)
        });
        deciding.await
    }

    /// Whether the escrow has the card of `bank`. Without the card it only decides cancels: it could not ask the bank to
    /// hold coins, or push a decision.
    pub(crate) fn bank_known(&self, bank: &PublicKey) -> BankKnown {
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

impl Escrow {
    /// Passes on a bank's refusal. After any other error it is unknown what the bank did, and the wallet asks again.
    fn bank_failed(&self, bank: &PublicKey, error: CallError) -> Refusal {
        match error {
            CallError::Refused(refusal) => refusal,
            other => {
                self.complaints.tell(TOPIC_HOLD_SILENT, bank, |times| {
                    tracing::warn!(%bank, error = %other, times, "a bank does not answer holds; wallets are told to ask again");
                });
                Later::PeerSilent("bank".into()).into()
            }
        }
    }
}
