//! The bank's answers. Each request is verified before its transaction, and its reply signed after it.

use crate::bank::Bank;
use crate::rows::{ISSUING_STOPPED, PURCHASES, purchase_key};
use crate::transactions::{self, Issuing, Opening, Prepared, Settling};
use crate::{keys::Keys, reserves, restore};
use async_trait::async_trait;
use farthing_coin::{Document, PublicKey, Signed};
use farthing_node::{
    call::{TxError, check_lane, refused, unavailable},
    card::RoleName,
    network::{Lane, Service},
};
use farthing_protocol::{
    api::{AskBank, BankRequest, Question, encode_reply},
    denial::RequestKind,
    deposit::{Deposit, verify_deposit},
    deposited::Deposited,
    documents::{BankHold, Issued, PurchaseId, Settled},
    exchange::{self, Authorized, ExchangeBegin, ExchangeFinish},
    history::WithHead,
    hold::{BankHoldRequest, verify_bank_hold},
    issue::{Admission, Begun, PreparedSession, SessionRequest, Sessions},
    money::Amount,
    refund::{RefundRequest, Refunded, verify_refund},
    refusal::{IssueFault, PurchaseFault, Refusal},
    reserve::{FromReserve, ReserveBalance, ReserveRequest, verify_reserve},
    restore::{
        AccountRequest, BucketPage, BucketRequest, KeptMemo, MemoRequest, WithdrawalsPage,
        WithdrawalsRequest, verify_account, verify_memo, verify_withdrawals,
    },
    settle::{
        self, Answers, BankPurchase, CollectRequest, Collected, SettleRequest, VerifiedDecision,
        verify_settle,
    },
    withdraw::{self, WithdrawBegin, WithdrawFinish, other_content},
};
use farthing_store::{Reads, Transaction};
use std::sync::{Arc, Mutex, PoisonError};

#[async_trait]
impl Service for Bank {
    async fn call(&self, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        let admitted = BankRequest::decode(&request).and_then(|r| check_lane(lane, r.caller()).map(|()| r));
        match admitted {
            Ok(request) => self.answer(request).await,
            Err(refusal) => encode_reply::<()>(&Err(refusal)),
        }
    }
}

impl Bank {
    /// Answers `request`. The reply is encoded.
    ///
    /// A bank that drains begins no withdrawal and holds no coins. An exchange begins no purchase, and coins would end
    /// without it, so it goes on. So does a deposit, with which customers take their money out of coins.
    async fn answer(&self, request: BankRequest) -> Vec<u8> {
        match request {
            BankRequest::Keys(_) => encode_reply(&Ok(self.keys().book().signed())),
            BankRequest::Account(request) => encode_reply(&self.balance(request).await),
            BankRequest::WithdrawBegin(request) => encode_reply(&self.withdraw_begin(request).await),
            BankRequest::WithdrawFinish(request) => encode_reply(&self.withdraw_finish(request).await),
            BankRequest::Withdrawals(request) => encode_reply(&self.withdrawals(request)),
            BankRequest::Memo(request) => encode_reply(&self.memo(request).await),
            BankRequest::ExchangeBegin(request) => encode_reply(&self.exchange_begin(request).await),
            BankRequest::ExchangeFinish(request) => encode_reply(&self.exchange_finish(request).await),
            BankRequest::Hold(request) => encode_reply(&self.hold(request).await),
            BankRequest::Settle(request) => encode_reply(&self.settle(request).await),
            BankRequest::Collect(request) => encode_reply(&self.collect(request).await),
            BankRequest::Bucket(request) => encode_reply(&self.bucket(&request)),
            BankRequest::Push(request) => encode_reply(&self.push(request).await),
            BankRequest::Witness(AskBank(request)) => encode_reply(&self.history.testify(request)),
            BankRequest::Reserve(request) => encode_reply(&self.reserve(request).await),
            BankRequest::ReserveBegin(request) => encode_reply(&self.reserve_begin(request).await),
            BankRequest::ReserveFinish(request) => encode_reply(&self.reserve_finish(request).await),
            BankRequest::Deposit(request) => encode_reply(&self.deposit(request).await),
            BankRequest::Refund(request) => encode_reply(&self.refund(request).await),
        }
    }

    /// Takes one of the requests of this kind that the owner of an account or a reserve may send now.
    fn allow(&self, owner: &PublicKey, question: Question) -> Result<(), Refusal> {
        let now_ms = self.clock.now_ms();
        Ok(self.owner_allowances.take(owner, question, now_ms)?)
    }

    async fn balance(&self, request: Signed<AccountRequest>) -> Result<Amount, Refusal> {
        let owner = request.body.account;
        let request = verify_account(request, &self.self_id)?;
        self.allow(&owner, Question::Account)?;
        self.history.standing()?;
        let reads = transactions::balance_reads(&request);
        let balance = self
            .history
            .decide(reads, move |tx| transactions::balance(tx, &request));
        balance.await
    }

    async fn memo(&self, request: Signed<MemoRequest>) -> Result<KeptMemo, Refusal> {
        let owner = request.body.account;
        let request = verify_memo(request, &self.self_id)?;
        self.allow(&owner, Question::Memo)?;
        self.history.standing()?;
        let replaced = transactions::scan_record_to_write(&self.store.view(), &request);
        if let Some(account) = replaced.map_err(|e| unavailable(&e))? {
            let mut memos = self
                .scan_record_allowances
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            memos.take(account, self.clock.now_ms())?;
        }
        let reads = transactions::scan_record_reads(&request);
        let memo = self
            .history
            .decide(reads, move |tx| transactions::scan_record(tx, &request));
        memo.await
    }

    /// A bank that is behind answers nothing here: its pages lack withdrawals, and the wallet would use their numbers twice.
    fn withdrawals(&self, request: Signed<WithdrawalsRequest>) -> Result<WithdrawalsPage, Refusal> {
        let owner = request.body.account;
        let request = verify_withdrawals(request, &self.self_id)?;
        self.allow(&owner, Question::Withdrawals)?;
        self.history.standing()?;
        restore::withdrawals(&self.store.view(), &request, &self.identity)
    }

    fn bucket(&self, request: &BucketRequest) -> Result<BucketPage, Refusal> {
        self.history.standing()?;
        restore::bucket(&self.store.view(), request, &self.identity)
    }

    async fn withdraw_begin(&self, request: Signed<WithdrawBegin>) -> Result<Begun, Refusal> {
        let owner = request.body.account;
        let request = withdraw::verify_begin(request, &self.self_id)?;
        self.allow(&owner, Question::WithdrawBegin)?;
        self.history.standing()?;
        let denying = self.denying(RequestKind::WithdrawBegin, request.digest(), Vec::new());
        let (view, now_ms) = (self.store.view(), denying.at_ms);
        let ready = transactions::withdraw_ready(&view, &request, &self.keys(), now_ms);
        if let Some(issued) = ready.map_err(|error| self.denied(refused(error), &denying))? {
            return Err(other_content(self.sign(issued)));
        }
        let prepared = self.prepare(request.session(), now_ms, || self.may_issue())?;
        let reads = transactions::withdraw_begin_reads(&request);
        let opening = self.issue(reads, move |tx, sessions, keys| {
            transactions::withdraw_begin(tx, &request, &prepared, sessions, keys, now_ms)
        });
        self.begun(opening.await.map_err(|refusal| self.denied(refusal, &denying))?)
    }

    /// Whether coins may be withdrawn from accounts. Exchanges and reserves give coins for what was coins before, and go on.
    fn may_issue(&self) -> Result<(), Refusal> {
        self.drain.check()?;
        let stopped = ISSUING_STOPPED.peek(&self.store.view(), &());
        match stopped.map_err(|e| unavailable(&e))? {
            Some(_) => Err(IssueFault::Stopped.into()),
            None => Ok(()),
        }
    }

    /// Makes the nonces of a session that may be opened, if `may_begin` allows a new one. In the store's
    /// writer thread all other requests would wait for it.
    fn prepare(
        &self,
        request: SessionRequest,
        now_ms: u64,
        may_begin: impl FnOnce() -> Result<(), Refusal>,
    ) -> Result<Prepared, Refusal> {
        let admission = {
            let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
            sessions.admit(&request, now_ms)?
        };
        let fresh = match admission {
            Admission::Open => None,
            Admission::Fresh(ticket) => {
                may_begin()?;
                let nonces = &mut self.entropy.rng();
                Some(PreparedSession::new(request.clone(), &ticket, nonces))
            }
        };
        Ok(Prepared::new(request, fresh))
    }

    fn begun(&self, opening: Opening) -> Result<Begun, Refusal> {
        match opening {
            Opening::Begun(begun) => Ok(begun),
            Opening::Finished(issued) => Err(other_content(self.sign(issued))),
        }
    }

    async fn withdraw_finish(&self, request: Signed<WithdrawFinish>) -> Result<Signed<Issued>, Refusal> {
        let owner = request.body.account;
        let request = withdraw::verify_finish(request, &self.self_id)?;
        self.allow(&owner, Question::WithdrawFinish)?;
        let denying = self.denying(RequestKind::WithdrawFinish, request.digest(), Vec::new());
        let (reads, now_ms) = (transactions::withdraw_finish_reads(&request), denying.at_ms);
        let (claim, policy) = (Mutex::default(), Arc::clone(&self.policy));
        let issuing = self.issue(reads, move |tx, sessions, keys| {
            let claim = &mut *claim.lock().unwrap_or_else(PoisonError::into_inner);
            transactions::withdraw_finish(tx, &request, sessions, claim, keys, &policy, now_ms)
        });
        self.issued(issuing.await.map_err(|refusal| self.denied(refusal, &denying))?)
    }

    async fn exchange_begin(&self, request: Authorized<ExchangeBegin>) -> Result<Begun, Refusal> {
        self.check_clock()?;
        let keys = self.keys();
        let request = exchange::verify_begin(request, &self.self_id, keys.book(), &mut self.entropy.rng())?;
        let coins = request.coins().row_keys();
        let denying = self.denying(RequestKind::ExchangeBegin, request.digest(), coins);
        let (view, now_ms) = (self.store.view(), denying.at_ms);
        let ready = transactions::exchange_ready(&view, &request, &keys, now_ms).map_err(refused);
        if let Ok(Some(issued)) = ready {
            return Err(other_content(self.sign(issued)));
        }
        // A refusal could rest on a forgotten record.
        self.history.standing()?;
        ready.map_err(|refusal| self.denied(refusal, &denying))?;
        let prepared = self.prepare(request.session(), now_ms, || Ok(()))?;
        let reads = transactions::exchange_begin_reads(&request);
        let opening = self.issue(reads, move |tx, sessions, keys| {
            transactions::exchange_begin(tx, &request, &prepared, sessions, keys, now_ms)
        });
        self.begun(opening.await.map_err(|refusal| self.denied(refusal, &denying))?)
    }

    async fn exchange_finish(&self, request: Authorized<ExchangeFinish>) -> Result<Signed<Issued>, Refusal> {
        self.check_clock()?;
        let keys = self.keys();
        let request = exchange::verify_finish(request, &self.self_id, keys.book(), &mut self.entropy.rng())?;
        let coins = request.coins().row_keys();
        let denying = self.denying(RequestKind::ExchangeFinish, request.digest(), coins);
        let (reads, now_ms) = (transactions::exchange_finish_reads(&request), denying.at_ms);
        let claim = Mutex::default();
        let issuing = self.issue(reads, move |tx, sessions, keys| {
            let claim = &mut *claim.lock().unwrap_or_else(PoisonError::into_inner);
            transactions::exchange_finish(tx, &request, sessions, claim, keys, now_ms)
        });
        self.issued(issuing.await.map_err(|refusal| self.denied(refusal, &denying))?)
    }

    async fn reserve(&self, request: Signed<ReserveRequest>) -> Result<Signed<ReserveBalance>, Refusal> {
        let owner = request.body.reserve;
        let request = verify_reserve(request, &self.self_id)?;
        self.allow(&owner, Question::Reserve)?;
        // Sums that lack a forgotten credit would convict this bank.
        self.history.standing()?;
        let now_ms = self.clock.now_ms();
        let reads = reserves::sums_reads(&request);
        let balance = self.history.decide(reads, move |tx| {
            let sums = reserves::sums(tx, &request)?;
            Ok(request.respond(sums, now_ms))
        });
        Ok(self.sign(balance.await?))
    }

    async fn reserve_begin(&self, request: Signed<FromReserve<WithdrawBegin>>) -> Result<Begun, Refusal> {
        let owner = request.body.0.account;
        let request = withdraw::verify_reserve_begin(request, &self.self_id)?;
        self.allow(&owner, Question::ReserveBegin)?;
        let denying = self.denying(RequestKind::ReserveBegin, request.digest(), Vec::new());
        let (view, now_ms) = (self.store.view(), denying.at_ms);
        let ready = reserves::withdraw_ready(&view, &request, &self.keys(), now_ms).map_err(refused);
        if let Ok(Some(issued)) = ready {
            return Err(other_content(self.sign(issued)));
        }
        // A refusal could rest on a forgotten record.
        self.history.standing()?;
        ready.map_err(|refusal| self.denied(refusal, &denying))?;
        // What is in a reserve came from coins. Nobody has to name a purchase for it, also when the bank closes.
        let prepared = self.prepare(request.session(), now_ms, || Ok(self.drain.check()?))?;
        let reads = reserves::withdraw_begin_reads(&request);
        let opening = self.issue(reads, move |tx, sessions, keys| {
            reserves::withdraw_begin(tx, &request, &prepared, sessions, keys, now_ms)
        });
        self.begun(opening.await.map_err(|refusal| self.denied(refusal, &denying))?)
    }

    async fn reserve_finish(
        &self,
        request: Signed<FromReserve<WithdrawFinish>>,
    ) -> Result<Signed<Issued>, Refusal> {
        let owner = request.body.0.account;
        let request = withdraw::verify_reserve_finish(request, &self.self_id)?;
        self.allow(&owner, Question::ReserveFinish)?;
        let denying = self.denying(RequestKind::ReserveFinish, request.digest(), Vec::new());
        let (reads, now_ms) = (reserves::withdraw_finish_reads(&request), denying.at_ms);
        let claim = Mutex::default();
        let issuing = self.issue(reads, move |tx, sessions, keys| {
            let claim = &mut *claim.lock().unwrap_or_else(PoisonError::into_inner);
            reserves::withdraw_finish(tx, &request, sessions, claim, keys, now_ms)
        });
        self.issued(issuing.await.map_err(|refusal| self.denied(refusal, &denying))?)
    }

    async fn deposit(&self, request: Authorized<Deposit>) -> Result<Signed<Deposited>, Refusal> {
        self.check_clock()?;
        let keys = self.keys();
        let request = verify_deposit(request, &self.self_id, keys.book(), &mut self.entropy.rng())?;
        let denying = self.denying(RequestKind::Deposit, request.id().into(), request.coins());
        let (policy, now_ms) = (Arc::clone(&self.policy), denying.at_ms);
        let reads = reserves::deposit_reads(&request);
        let deposited = self
            .history
            .decide(reads, move |tx| reserves::deposit(tx, &request, &policy, now_ms));
        let deposited = deposited
            .await
            .map_err(|refusal| self.denied(refusal, &denying))?;
        Ok(self.sign(deposited))
    }

    async fn refund(&self, request: Signed<RefundRequest>) -> Result<Signed<Refunded>, Refusal> {
        let owner = request.body.account;
        let request = verify_refund(request, &self.self_id)?;
        self.allow(&owner, Question::Refund)?;
        let (policy, now_ms) = (Arc::clone(&self.policy), self.clock.now_ms());
        let reads = reserves::refund_reads(&request);
        let refunded = self
            .history
            .decide(reads, move |tx| reserves::refund(tx, &request, &policy, now_ms));
        Ok(self.sign(refunded.await?))
    }

    /// Holds coins, and stores in the same write the journal head that the escrow sent.
    async fn hold(&self, request: WithHead<BankHoldRequest>) -> Result<WithHead<Signed<BankHold>>, Refusal> {
        let WithHead { body: request, head } = request;
        let escrow = request.terms.escrow;
        // The cheapest check comes first. It refuses purchases at escrows that the bank does not know.
        self.peers.link(RoleName::Escrow, &escrow)?;
        self.check_clock()?;
        let keys = self.keys();
        let request = verify_bank_hold(request, &self.self_id, keys.book(), &mut self.entropy.rng())?;
        if let Err(draining) = self.drain.check()
            && self.row(&request.purchase(), &escrow)?.is_none()
        {
            return Err(draining.into());
        }
        self.history.hear(&escrow, head.as_ref())?;
        let denying = self.denying(
            RequestKind::Hold,
            request.purchase().digest(),
            request.coins().row_keys(),
        );
        let (history, now_ms) = (Arc::clone(&self.history), denying.at_ms);
        let reads = transactions::hold_reads(&request).and([history.remembers(&escrow)]);
        let hold = self.history.decide(reads, move |tx| {
            let hold = transactions::hold(tx, &request, now_ms)?;
            history.remember(tx, &escrow)?;
            Ok(hold)
        });
        let hold = hold.await.map_err(|refusal| self.denied(refusal, &denying))?;
        Ok(self.history.answer(&escrow, head.as_ref(), self.sign(hold)))
    }

    /// Applies decisions. Any client may send them.
    ///
    /// Each decision is one transaction, so a refused one does not stop the others. All transactions begin before the
    /// first is awaited, so they share a sync.
    ///
    /// # Errors
    /// When the list is too long, or a signature in it is bad. For a single decision: when its escrow is unknown, or it does
    /// not fit the purchase. If the escrow signed the opposite earlier, the refusal has that decision.
    pub async fn settle(&self, request: SettleRequest) -> Result<Answers, Refusal> {
        let escrow = request.escrow;
        let stored = |purchase: &PurchaseId| self.stored(purchase, &escrow);
        let decisions = verify_settle(request, &self.self_id, stored, &mut self.entropy.rng())?;
        let settling: Vec<_> = decisions
            .into_iter()
            .map(|decision| decision.map(|decision| self.apply(decision)))
            .collect();
        let mut answers = Vec::with_capacity(settling.len());
        for settling in settling {
            answers.push(match settling {
                Ok(settling) => settling
                    .await
                    .and_then(|settling| self.settled(settling, &escrow)),
                Err(refusal) => Err(refusal),
            });
        }
        settle::reply(answers.into())
    }

    fn apply(&self, decision: VerifiedDecision) -> impl Future<Output = Result<Settling, Refusal>> + Send {
        let history = Arc::clone(&self.history);
        let (policy, now_ms) = (Arc::clone(&self.policy), self.clock.now_ms());
        let keys = self.keys();
        let escrow = decision.row_key().1;
        let reads =
            transactions::settle_reads(&decision, Arc::clone(&keys)).and([history.remembers(&escrow)]);
        self.history.decide(reads, move |tx| {
            let settling = transactions::settle(tx, &decision, &keys, &policy, now_ms)?;
            history.remember(tx, &escrow)?;
            Ok(settling)
        })
    }

    fn settled(&self, settling: Settling, escrow: &PublicKey) -> Result<Signed<Settled>, Refusal> {
        match settling {
            Settling::Settled(settled) => Ok(self.sign(settled)),
            Settling::Opposed(earlier) => {
                tracing::error!(
                    purchase = %earlier.purchase(), %escrow,
                    "an escrow has signed both outcomes of a purchase; the first one stays applied; `farthing-bank evidence` exports the proof"
                );
                Err(PurchaseFault::DecidedOtherwise(Box::new(earlier)).into())
            }
        }
    }

    /// Applies decisions that their escrow sends, and stores its journal head in the same writes. The bank then detects an
    /// escrow that has forgotten them.
    async fn push(&self, request: WithHead<SettleRequest>) -> Result<WithHead<Answers>, Refusal> {
        let WithHead { body: request, head } = request;
        let escrow = request.escrow;
        self.history.hear(&escrow, head.as_ref())?;
        let answers = self.settle(request).await?;
        Ok(self.history.answer(&escrow, head.as_ref(), answers))
    }

    /// Returns the row of a purchase that `escrow` has decided.
    ///
    /// Decisions of an escrow without a pinned card are refused for unknown purchases: it could fill the store. For stored
    /// purchases they are accepted. Removing a card then leaves no coin held forever.
    fn stored(&self, purchase: &PurchaseId, escrow: &PublicKey) -> Result<Option<BankPurchase>, Refusal> {
        match self.row(purchase, escrow)? {
            Some(row) => Ok(Some(row)),
            None => self.peers.link(RoleName::Escrow, escrow).map(|_| None),
        }
    }

    fn row(&self, purchase: &PurchaseId, escrow: &PublicKey) -> Result<Option<BankPurchase>, Refusal> {
        let row = PURCHASES.peek(&self.store.view(), &purchase_key(purchase, escrow));
        row.map_err(|e| unavailable(&e))
    }

    async fn collect(&self, request: CollectRequest) -> Result<Collected, Refusal> {
        let reads = transactions::collect_reads(&request);
        let collected = self
            .history
            .decide(reads, move |tx| transactions::collect(tx, &request));
        match collected.await? {
            // A forgotten record may have settled the purchase.
            Collected::Open => self
                .history
                .standing()
                .map(|()| Collected::Open)
                .map_err(Into::into),
            ended => Ok(ended),
        }
    }

    /// Runs a transaction that uses the open sessions.
    async fn issue<T: Send + 'static>(
        &self,
        reads: impl Into<Reads>,
        transaction: impl Fn(&mut Transaction<'_>, &mut Sessions, &Keys) -> Result<T, TxError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (sessions, keys) = (self.sessions.clone(), self.keys());
        let issuing = self.history.decide(reads, move |tx| {
            let mut sessions = sessions.lock().unwrap_or_else(PoisonError::into_inner);
            transaction(tx, &mut sessions, &keys)
        });
        issuing.await
    }

    fn issued(&self, issuing: Issuing) -> Result<Signed<Issued>, Refusal> {
        match issuing {
            Issuing::Issued(issued) => Ok(self.sign(issued)),
            Issuing::Otherwise(stored) => Err(other_content(self.sign(stored))),
        }
    }

    /// Signs a document whose content is durable. The same document always gets the same signature.
    pub(crate) fn sign<D: Document>(&self, document: D) -> Signed<D> {
        Signed::sign(document, &self.identity)
    }
}
