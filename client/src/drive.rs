//! One purchase being driven to its end, whoever is silent.

use crate::{
    buy::Standing,
    coins::set_status,
    error::{Unanswered, WalletError},
    evidence::CoinWord,
    goods::are_small,
    rows::{CoinRow, CoinStatus, Delivery, EXHIBITS_MAX, Exhibit, PurchaseRow, SMALL_GOODS},
    talk::{Pause, Talk},
    wallet::Wallet,
    watch::Event,
};
use farthing_coin::{Coin, Signed};
use farthing_node::card::Card;
use farthing_protocol::{
    api::Call,
    api::SettleOne,
    bounded::cut,
    decision::{Outcome, SignedDecision},
    denial::{RequestKind, is_denied},
    documents::{Abort, Hold, Offer},
    goods::GoodsKey,
    limits::{DEADLINE_LEAST_MS, REASON_MAX_BYTES},
    offer::DeliverRequest,
    purchase::{Ask, Plan, Proof, Purchase, PurchaseError},
    refusal::{ContractFault, PurchaseFault, Refusal},
    settle::Collected,
};

/// One purchase, with a conversation with each of its parties.
///
/// What can be asked again, and is then answered likewise for ever, is written down with the next step that cannot: the
/// hold with the receipt, and the receipt with the goods. When nobody answers, what is known is written down first.
pub(crate) struct Drive<'w> {
    wallet: &'w Wallet,
    at: Standing,
    merchant: Talk<'w>,
    escrow: Talk<'w>,
    bank_talk: Talk<'w>,
    bank: Card,
    /// Whether the bank said, when it was asked last, that it knows of no decision.
    is_open_at_bank: bool,
}

/// Who was silent, to which question, and what the network said: `None` where the purchase has got on.
type Turn = Result<Option<(String, &'static str, String)>, WalletError>;

impl<'w> Drive<'w> {
    /// A drive of a purchase from where it stands.
    pub(crate) fn new(
        wallet: &'w Wallet,
        at: Standing,
        bank: Card,
        [merchant, escrow, bank_talk]: [Talk<'w>; 3],
    ) -> Self {
        Drive {
            wallet,
            at,
            merchant,
            escrow,
            bank_talk,
            bank,
            is_open_at_bank: false,
        }
    }

    /// Takes turns until the purchase has ended, or nobody has moved it within the wallet's patience.
    pub(crate) async fn run(&mut self) -> Result<(), WalletError> {
        let outcome = self.turns().await;
        // Whatever went wrong, the next attempt begins from what is known. What was never written down is only to be
        // carried on where somebody was silent.
        let is_silence = outcome.as_ref().is_err_and(WalletError::is_silence);
        if self.at.stored.is_some() || is_silence {
            self.save().await?;
        }
        match outcome {
            Err(undecided) if self.is_open_at_bank => self.recover(undecided).await,
            outcome => outcome,
        }
    }

    /// How the purchase stands.
    pub(crate) fn into_standing(self) -> Standing {
        self.at
    }

    async fn turns(&mut self) -> Result<(), WalletError> {
        let mut pause = Pause::new(self.wallet.around.patience);
        let mut before = None;
        let seed = self.wallet.seed_for(&self.bank.identity);
        loop {
            let status = self.at.row.purchase.status();
            if before.replace(status) != Some(status) {
                pause = Pause::new(self.wallet.around.patience);
            }
            let turn = match self.at.row.purchase.ask(&seed) {
                Ask::Goods(plan) => self.order(&plan).await?,
                Ask::Hold(request) => match self.escrow.once(*request).await {
                    Ok(hold) => self.hold(hold).await?,
                    Err(Unanswered::Refused(refusal)) => self.refused(refusal).await?,
                    Err(Unanswered::Final(WalletError::Garbled { why, .. })) => self.give_up(why).await?,
                    Err(unanswered) => self.ask_bank("hold", unanswered).await?,
                },
                Ask::Pay(request) => match self.escrow.once(*request).await {
                    Ok(outcome) => self.decided("pay", outcome).await?,
                    Err(Unanswered::Refused(refusal)) => self.refused(refusal).await?,
                    Err(Unanswered::Final(WalletError::Garbled { why, .. })) => self.give_up(why).await?,
                    Err(unanswered) => self.ask_bank("pay", unanswered).await?,
                },
                Ask::Deliver(request) => self.deliver(*request).await?,
                Ask::Cancel(request) => match self.escrow.once(*request).await {
                    Ok(outcome) => self.decided("cancel", outcome).await?,
                    Err(unanswered) => self.ask_bank("cancel", unanswered).await?,
                },
                Ask::Nothing => return self.finish().await,
            };
            if let Some((party, question, why)) = turn {
                self.save().await?;
                if !pause.wait().await {
                    return Err(WalletError::Silent { party, question, why });
                }
                self.reload()?;
            }
        }
    }

    // ---- steps ------------------------------------------------------------------------------------------------

    /// Takes a step, without writing it down.
    fn step(&mut self, purchase: Purchase) -> Turn {
        let before = std::mem::replace(&mut self.at.row.purchase, purchase).status();
        let status = self.at.row.purchase.status();
        if status != before {
            let number = self.at.number;
            self.wallet.watch().see(&Event::Purchase { number, status });
        }
        Ok(None)
    }

    /// Writes down where the purchase stands. Where another part of this program was quicker, its word stands.
    async fn save(&mut self) -> Result<(), WalletError> {
        let Some(stored) = &self.at.stored else {
            return self.wallet.write_begun(&mut self.at).await;
        };
        if self.at.row == *stored {
            return Ok(());
        }
        let (number, before, row) = (self.at.number, stored.purchase.clone(), self.at.row.clone());
        if self.wallet.save_purchase(number, before, row).await? {
            self.at.stored = Some(self.at.row.clone());
            return Ok(());
        }
        let unsaved = self.at.row.purchase.clone();
        self.reload()?;
        self.keep_paid(unsaved).await
    }

    /// Takes what the store has; where it has nothing of this purchase yet, the number that is free now.
    fn reload(&mut self) -> Result<(), WalletError> {
        if self.at.stored.is_none() {
            self.at.number = self.wallet.next_number()?;
            return Ok(());
        }
        self.at.row = self.wallet.purchase(self.at.number)?;
        self.at.stored = Some(self.at.row.clone());
        Ok(())
    }

    /// Fetches the goods and puts coins to the purchase.
    async fn order(&mut self, plan: &Plan) -> Turn {
        if self.wallet.now_ms().saturating_add(DEADLINE_LEAST_MS) >= plan.offer.body.expires_ms {
            // Nothing is at stake yet, and no coin is shown to anyone for an offer that nobody would take.
            return self
                .give_up("the offer has expired; buy again for a new one".into())
                .await;
        }
        self.have_goods(&plan.offer.body).await?;
        let at = Standing {
            purse: self.at.purse.take(),
            ..self.at.clone()
        };
        // The order is what the escrow is asked with; while it is made durable, the escrow is reached.
        let ordering = self.wallet.place_order(at, plan, &self.bank);
        let (ordered, ()) = tokio::join!(ordering, self.escrow.prepare());
        match ordered? {
            Some(row) => {
                self.at.stored = Some(row.clone());
                self.at.row = row;
            }
            None => self.reload()?,
        }
        Ok(None)
    }

    /// The escrow answered with a hold. One that does not fit the contract is no better than a refusal.
    async fn hold(&mut self, hold: Signed<Hold>) -> Turn {
        match self.at.row.purchase.clone().on_hold(hold) {
            Ok(purchase) => self.step(purchase),
            Err(why) => self.give_up(why.to_string()).await,
        }
    }

    /// Asks for the coins back, and notes why: after a refusal, or an answer that is none. The escrow decides.
    async fn give_up(&mut self, why: String) -> Turn {
        let purchase = self.at.row.purchase.clone().on_cancel()?;
        self.at.row.refusal = Some(cut(&why, REASON_MAX_BYTES).to_owned());
        self.step(purchase)?;
        self.save().await?;
        Ok(None)
    }

    /// A refusal ends nothing: the wallet asks for the outcome, or for an abort, which the escrow signs.
    async fn refused(&mut self, refusal: Refusal) -> Turn {
        use PurchaseFault::{Aborted, AbortedBy, Closed, Committed};
        if matches!(
            refusal,
            Refusal::Purchase(Committed(_) | Aborted(_) | AbortedBy(_) | Closed(_))
        ) {
            return self.ask_outcome("the purchase has ended".into()).await;
        }
        if let (Some(order), Refusal::Denied(denial)) = (self.at.row.purchase.order(), &refusal) {
            let (coins, purchase) = (&order.payment.coins, order.purchase().0);
            if is_denied(denial, &self.bank.identity, RequestKind::Hold, &purchase)
                && let Some(word) = self.wallet.hold_word(coins, denial, &purchase)?
            {
                self.mark_used(coins.clone(), word).await?;
            }
        }
        self.give_up(refusal.to_string()).await
    }

    async fn mark_used(&self, mut coins: Vec<Coin>, word: CoinWord) -> Result<(), WalletError> {
        let (bank, now_ms) = (self.bank.identity, self.wallet.now_ms());
        self.wallet
            .transact(move |tx| {
                let Some((coin, status)) = word.take_effect(tx, &bank, now_ms)? else {
                    return Ok(());
                };
                coins.retain(|each| each.public == coin);
                // A coin that is used up or in an exchange finds out by that.
                set_status(tx, &coins, |row| match row.status {
                    now @ CoinStatus::InExchange(_) => now,
                    now if now.is_past() => now,
                    _ => status,
                })
            })
            .await
    }

    /// Hands the hold to the merchant; when he is silent, or gives no good receipt, asks the escrow how it
    /// has ended.
    async fn deliver(&mut self, request: DeliverRequest) -> Turn {
        match self.merchant.once(request).await {
            Ok(receipt) => {
                let good = self.at.row.purchase.clone().on_receipt(receipt.clone());
                match good {
                    Err(why @ PurchaseError::WrongGoodsKey) => {
                        self.exhibit(Exhibit::Receipt(Box::new(receipt))).await?;
                        self.ask_bank("deliver", Unanswered::Final(why.into())).await
                    }
                    Err(why) => self.ask_outcome(format!("its receipt is refused: {why}")).await,
                    Ok(purchase) => self.step(purchase),
                }
            }
            Err(Unanswered::Refused(refusal)) => self.refused(refusal).await,
            Err(Unanswered::Again(why)) => self.ask_outcome(why).await,
            Err(Unanswered::Final(WalletError::Garbled { why, .. })) => self.give_up(why).await,
            Err(Unanswered::Final(error)) => self.ask_outcome(error.to_string()).await,
        }
    }

    async fn ask_outcome(&mut self, why: String) -> Turn {
        let Some(order) = self.at.row.purchase.order() else {
            return Ok(None);
        };
        let request = order.outcome_request(
            &self
                .wallet
                .seed_for(&self.bank.identity)
                .purchase_key(order.counter),
        );
        match self.escrow.once(request).await {
            Ok(Outcome::Undecided) => Ok(Some((self.merchant.party(), "deliver", why))),
            Ok(outcome) => self.decided("outcome", outcome).await,
            Err(unanswered) => self.ask_bank("outcome", unanswered).await,
        }
    }

    /// The escrow answered with a decision, or that there is none.
    async fn decided(&mut self, question: &'static str, outcome: Outcome) -> Turn {
        let exhibit = match &outcome {
            Outcome::Undecided => {
                let why = "it has not decided".to_string();
                return self.ask_bank(question, Unanswered::Again(why)).await;
            }
            Outcome::Committed(committed) => Exhibit::Receipt(Box::new(committed.receipt.clone())),
            Outcome::Aborted(abort) => Exhibit::Abort(abort.clone()),
        };
        match self.at.row.purchase.clone().on_outcome(outcome) {
            // The bank may have been told better: what it obeys is what counts.
            Err(convicting) if convicts(&convicting) => {
                self.exhibit_hold(&convicting);
                self.exhibit(exhibit).await?;
                self.ask_bank(question, Unanswered::Final(convicting.into()))
                    .await
            }
            Err(why) => self.ask_bank(question, Unanswered::Again(why.to_string())).await,
            Ok(purchase) => self.step(purchase),
        }
    }

    /// Keeps what the bank has of the escrow's.
    async fn exhibit_collected(&mut self, collected: Collected) -> Result<(), WalletError> {
        match collected {
            Collected::Committed(commit) => self.exhibit(Exhibit::Commit(Box::new(commit))).await,
            Collected::Aborted(abort) => self.exhibit(Exhibit::Abort(abort)).await,
            Collected::Open => Ok(()),
        }
    }

    /// Writes down a document that convicts.
    async fn exhibit(&mut self, exhibit: Exhibit) -> Result<(), WalletError> {
        add_exhibit(&mut self.at.row, exhibit);
        self.save().await
    }

    /// Adds what an abort without a cause convicts together with: the hold, in which the escrow has promised to show one.
    fn exhibit_hold(&mut self, why: &PurchaseError) {
        if let (PurchaseError::WithoutCause(_), Purchase::Held(_, hold)) = (why, &self.at.row.purchase) {
            let hold = Exhibit::Hold(Box::new(hold.clone()));
            add_exhibit(&mut self.at.row, hold);
        }
    }

    /// The escrow gave no decision, for whatever reason: the bank may have been told how it ended.
    async fn ask_bank(&mut self, question: &'static str, unanswered: Unanswered) -> Turn {
        let Some(order) = self.at.row.purchase.order() else {
            return Ok(None);
        };
        let key = self
            .wallet
            .seed_for(&self.bank.identity)
            .purchase_key(order.counter);
        let collected = self.bank_talk.once(order.collect_request(&key)).await;
        self.is_open_at_bank = matches!(collected, Ok(Collected::Open));
        if let Ok(collected) = collected {
            match self.at.row.purchase.clone().on_collected(collected.clone(), &key) {
                Ok(purchase) if purchase != self.at.row.purchase => return self.step(purchase),
                Err(convicting) if convicts(&convicting) => {
                    self.exhibit_collected(collected).await?;
                    return Err(convicting.into());
                }
                _ => {}
            }
        }
        let party = self.escrow.party();
        match unanswered {
            Unanswered::Again(why) => Ok(Some((party, question, why))),
            Unanswered::Refused(refusal) => Err(WalletError::Refused {
                party,
                question,
                refusal: Box::new(refusal),
            }),
            Unanswered::Final(error) => Err(error),
        }
    }

    // ---- the end ----------------------------------------------------------------------------------------------

    /// The escrow has given no decision within the wallet's patience, and the bank knows of none: where the customer wants
    /// the coins back, they are put to an exchange.
    async fn recover(&mut self, undecided: WalletError) -> Result<(), WalletError> {
        if !matches!(self.at.row.purchase, Purchase::Cancelling(_)) {
            return Err(undecided);
        }
        let outcome = self.wallet.recover(self.at.number).await;
        self.reload()?;
        let is_conviction = matches!(&undecided, WalletError::Purchase(why) if convicts(why));
        match outcome {
            _ if is_conviction => Err(undecided),
            Ok(()) if matches!(self.at.row.purchase, Purchase::Recovered(_)) => Ok(()),
            // The bank is silent too, or holds the coins for this purchase: the escrow has to decide.
            Ok(()) | Err(WalletError::Silent { .. } | WalletError::Refused { .. }) => Err(undecided),
            Err(error) => Err(error),
        }
    }

    /// Keeps the escrow's word that it was paid with coins that the bank has exchanged.
    ///
    /// # Errors
    /// Where there is such a word, as it convicts.
    async fn keep_paid(&mut self, unsaved: Purchase) -> Result<(), WalletError> {
        let (Purchase::Recovered(_), Purchase::Committed(_, proof)) = (&self.at.row.purchase, unsaved) else {
            return Ok(());
        };
        let mut row = self.at.row.clone();
        add_exhibit(
            &mut row,
            match proof {
                Proof::Receipt(receipt) => Exhibit::Receipt(receipt),
                Proof::Commit(commit, _) => Exhibit::Commit(commit),
            },
        );
        let (number, before) = (self.at.number, row.purchase.clone());
        self.wallet.save_purchase(number, before, row).await?;
        self.reload()?;
        Err(PurchaseError::PaidAfterRecovery.into())
    }

    /// The purchase has ended: the goods are opened, or the coins are exchanged for fresh ones.
    async fn finish(&mut self) -> Result<(), WalletError> {
        if let Purchase::Aborted(_, abort) = &self.at.row.purchase {
            let abort = abort.clone();
            self.save().await?;
            self.recover_coins(abort).await?;
        }
        match &self.at.row.purchase {
            Purchase::Committed(order, proof) => {
                let (offer, goods_key) = (order.contract.offer.body.clone(), proof.goods_key().clone());
                self.open_goods(&offer, &goods_key).await
            }
            _ => Ok(()),
        }
    }

    /// Decrypts what was paid for, unless that was done before.
    async fn open_goods(&mut self, offer: &Offer, goods_key: &GoodsKey) -> Result<(), WalletError> {
        if !matches!(self.at.row.delivery, Delivery::Pending | Delivery::OnDemand) {
            return Ok(());
        }
        if !are_small(offer) {
            // It may take long.
            self.save().await?;
        }
        self.have_goods(offer).await?;
        let (output, begun_ms) = (&self.at.row.output, self.at.row.begun_ms);
        let place = self
            .wallet
            .open_goods(offer, self.at.goods.as_ref(), goods_key, output, begun_ms)?;
        match place {
            Some(place) => {
                self.at.row.delivery = Delivery::Delivered;
                self.at.row.output = place;
                self.save().await
            }
            None if self.wallet.discard_damaged(offer)? => Err(WalletError::WrongGoods),
            None => {
                self.at.row.delivery = Delivery::NotAsDescribed;
                self.save().await?;
                Err(WalletError::NotAsDescribed(self.at.number))
            }
        }
    }

    /// Has the encrypted goods here: as they came with the offer or were kept with the purchase, or else fetched.
    async fn have_goods(&mut self, offer: &Offer) -> Result<(), WalletError> {
        if self.at.goods.is_none() {
            self.at.goods = SMALL_GOODS.peek(&self.wallet.store.view(), &self.at.number)?;
        }
        if self.at.goods.is_none() {
            self.at.goods = self.wallet.fetch_goods(offer, &mut self.merchant).await?;
            if let Some(goods) = self.at.goods.clone() {
                let number = self.at.number;
                let keeping = self
                    .wallet
                    .transact(move |tx| SMALL_GOODS.put(tx, &number, &goods));
                keeping.await?;
            }
        }
        Ok(())
    }

    /// Shows the abort to the bank, in case the escrow has not yet, and exchanges the released coins, so
    /// that nothing links them to the next purchase.
    async fn recover_coins(&mut self, abort: Signed<Abort>) -> Result<(), WalletError> {
        self.wallet.carry_on_recovery(self.at.number).await?;
        let mut left = self.released()?.len();
        while left > 0 {
            self.settle_abort(abort.clone()).await?;
            let outcome = self.wallet.refresh(self.released()?).await;
            if !matches!(outcome, Ok(_) | Err(WalletError::Refused { .. })) {
                // The coins may be in an exchange that has not come to its end: `resume` carries it on.
                return outcome.map(drop);
            }
            let still = self.released()?.len();
            // A coin that turned out to be used elsewhere is out; the others are tried again without it.
            if still >= left {
                return outcome.map(drop);
            }
            left = still;
        }
        Ok(())
    }

    fn released(&self) -> Result<Vec<CoinRow>, WalletError> {
        let mine = |row: &CoinRow| {
            row.status == CoinStatus::Released(self.at.number) && !self.wallet.is_past_redeem(row)
        };
        Ok(self.wallet.present_coins()?.into_iter().filter(mine).collect())
    }

    async fn settle_abort(&mut self, abort: Signed<Abort>) -> Result<(), WalletError> {
        let order = self
            .at
            .row
            .purchase
            .order()
            .ok_or(WalletError::Inconsistent("an aborted purchase has no order"))?;
        let escrow = order.contract.terms.escrow;
        let settle = SettleOne {
            escrow,
            decision: SignedDecision::Abort(abort),
        };
        match self.bank_talk.ask(&settle).await? {
            Ok(settled) => settled
                .verify(&self.bank.identity)
                .map_err(|why| WalletError::Garbled {
                    party: self.bank.title(),
                    why: format!("its acknowledgement of the abort: {why}"),
                }),
            // A bank that does not work with the escrow has never held anything for it.
            Err(Refusal::Contract(ContractFault::UnknownParty { .. })) => Ok(()),
            Err(Refusal::Purchase(PurchaseFault::DecidedOtherwise(decision))) => {
                self.paid_after_all(*decision).await
            }
            Err(refusal) => Err(WalletError::Refused {
                party: self.bank.title(),
                question: SettleOne::QUESTION,
                refusal: Box::new(refusal),
            }),
        }
    }

    /// The escrow signed an abort, and before it a commit, which the bank obeys: the goods are paid for, and the key is
    /// in the commit. The abort is kept, as both convict the escrow.
    async fn paid_after_all(&mut self, decision: SignedDecision) -> Result<(), WalletError> {
        let (Purchase::Aborted(order, abort), SignedDecision::Commit(commit)) =
            (&self.at.row.purchase, decision)
        else {
            return Err(WalletError::Garbled {
                party: self.bank.title(),
                why: "it shows an abort as the opposite of one".into(),
            });
        };
        let seed = self.wallet.seed_for(&self.bank.identity);
        let key = seed.purchase_key(order.counter);
        let abort = Exhibit::Abort(abort.clone());
        let collected = Collected::Committed(commit);
        match self.at.row.purchase.clone().on_collected(collected.clone(), &key) {
            Ok(purchase) => {
                self.step(purchase)?;
                self.exhibit(abort).await
            }
            Err(why) => {
                if convicts(&why) {
                    self.exhibit_collected(collected).await?;
                }
                Err(why.into())
            }
        }
    }
}

fn add_exhibit(row: &mut PurchaseRow, exhibit: Exhibit) {
    let exhibits = &mut row.exhibits;
    if exhibits.len() < EXHIBITS_MAX && !exhibits.contains(&exhibit) {
        exhibits.push(exhibit);
    }
}

/// Whether an error of the wallet's proves that the escrow broke its word.
fn convicts(error: &PurchaseError) -> bool {
    matches!(
        error,
        PurchaseError::WrongGoodsKey
            | PurchaseError::WithoutCause(_)
            | PurchaseError::BothOutcomes
            | PurchaseError::PaidAfterRecovery
            | PurchaseError::Sealed(_)
    )
}
