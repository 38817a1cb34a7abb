//! One purchase being driven to its end, whoever is silent.

use crate::{
    coins::set_status,
    error::{Unanswered, WalletError},
    evidence::CoinWord,
    rows::{CoinRow, CoinStatus, Delivery, EXHIBITS_MAX, Exhibit, PurchaseRow},
    talk::{Pause, Talk},
    wallet::Wallet,
};
use farthing_coin::{Coin, PublicKey, Signed};
use farthing_node::card::Card;
use farthing_protocol::{
    api::Call,
    decide::{Outcome, SignedDecision},
    documents::{Abort, Hold},
    goods::GoodsKey,
    limits::DEADLINE_LEAST_MS,
    offer::DeliverRequest,
    purchase::{Ask, Order, Plan, Purchase, PurchaseError},
    refusal::{ContractFault, PurchaseFault, Refusal},
    settle::{Collected, SettleRequest},
};

/// One purchase, with a conversation with each of its parties.
pub(crate) struct Drive<'w> {
    pub(crate) wallet: &'w Wallet,
    pub(crate) number: u64,
    pub(crate) merchant: Talk<'w>,
    pub(crate) escrow: Talk<'w>,
    pub(crate) bank_talk: Talk<'w>,
    pub(crate) bank: Card,
}

/// Who was silent, to which question, and what the network said: `None` where the purchase has got on.
type Turn = Result<Option<(String, &'static str, String)>, WalletError>;

impl Drive<'_> {
    /// Takes turns until the purchase has ended, or nobody has moved it within the wallet's patience.
    pub(crate) async fn run(mut self) -> Result<(), WalletError> {
        let mut pause = Pause::new(self.wallet.around.patience);
        let mut before = None;
        let seed = self.wallet.seed_for(&self.bank.identity);
        loop {
            let row = self.wallet.purchase(self.number)?;
            let status = row.purchase.status();
            if before.replace(status) != Some(status) {
                pause = Pause::new(self.wallet.around.patience);
            }
            let turn = match row.purchase.ask(&seed) {
                Ask::Goods(plan) => self.goods(row, &plan).await?,
                Ask::Hold(request) => match self.escrow.once(*request).await {
                    Ok(hold) => self.hold(row, hold).await?,
                    Err(Unanswered::Refused(refusal)) => self.refused(row, refusal).await?,
                    Err(unanswered) => self.ask_bank(row, "hold", unanswered).await?,
                },
                Ask::Pay(request) => match self.escrow.once(*request).await {
                    Ok(outcome) => self.decided(row, "pay", outcome).await?,
                    Err(Unanswered::Refused(refusal)) => self.refused(row, refusal).await?,
                    Err(unanswered) => self.ask_bank(row, "pay", unanswered).await?,
                },
                Ask::Deliver(request) => self.deliver(row, *request).await?,
                Ask::Cancel(request) => match self.escrow.once(*request).await {
                    Ok(outcome) => self.decided(row, "cancel", outcome).await?,
                    Err(unanswered) => self.ask_bank(row, "cancel", unanswered).await?,
                },
                Ask::Nothing => return self.finish(row).await,
            };
            if let Some((party, question, why)) = turn
                && !pause.wait().await
            {
                return Err(WalletError::Silent { party, question, why });
            }
        }
    }

    /// Writes a step down.
    async fn advance(&mut self, row: PurchaseRow, purchase: Purchase) -> Turn {
        let before = row.purchase.clone();
        if purchase != before {
            self.wallet
                .save_purchase(self.number, &before, PurchaseRow { purchase, ..row })
                .await?;
        }
        Ok(None)
    }

    async fn goods(&mut self, row: PurchaseRow, plan: &Plan) -> Turn {
        if self.wallet.now_ms().saturating_add(DEADLINE_LEAST_MS) >= plan.offer.body.expires_ms {
            // Nothing is at stake yet, and no coin is shown to anyone for an offer that nobody would take.
            return self
                .give_up(row, "the offer has expired; buy again for a new one".into())
                .await;
        }
        self.wallet
            .fetch_goods(&plan.offer.body, &mut self.merchant)
            .await?;
        // The order is what the escrow is asked with; while it is made durable, the escrow is reached.
        let ordering = self.wallet.place_order(self.number, row, plan);
        let (ordered, ()) = tokio::join!(ordering, self.escrow.prepare());
        ordered?;
        Ok(None)
    }

    /// The escrow answered with a hold. One that does not fit the contract is no better than a refusal.
    async fn hold(&mut self, row: PurchaseRow, hold: Signed<Hold>) -> Turn {
        match row.purchase.clone().on_hold(hold) {
            Ok(purchase) => self.advance(row, purchase).await,
            Err(why) => self.give_up(row, why.to_string()).await,
        }
    }

    /// Asks for the coins back, and notes why.
    async fn give_up(&mut self, row: PurchaseRow, why: String) -> Turn {
        let before = row.purchase.clone();
        let purchase = row.purchase.clone().on_cancel()?;
        let row = PurchaseRow {
            purchase,
            refusal: Some(why),
            ..row
        };
        self.wallet.save_purchase(self.number, &before, row).await?;
        Ok(None)
    }

    /// A refusal ends nothing: the wallet asks for the outcome, or for an abort, which the escrow signs.
    async fn refused(&mut self, row: PurchaseRow, refusal: Refusal) -> Turn {
        use PurchaseFault::{Aborted, Closed, Committed};
        if matches!(refusal, Refusal::Purchase(Committed(_) | Aborted(_) | Closed(_))) {
            return self.ask_outcome(row, "the purchase has ended".into()).await;
        }
        if let Some(order) = row.purchase.order() {
            let coins = &order.payment.coins;
            // What the escrow passes on convicts nobody, so that a false proof is only not believed.
            let word = self.wallet.coin_word(coins, &refusal, &order.purchase().0)?;
            if let Some(CoinWord::Used(coin, status)) = word {
                self.mark_used(coins, coin, status).await?;
            }
        }
        self.give_up(row, refusal.to_string()).await
    }

    async fn mark_used(
        &self,
        coins: &[Coin],
        coin: PublicKey,
        status: CoinStatus,
    ) -> Result<(), WalletError> {
        let coins: Vec<Coin> = coins.iter().filter(|c| c.public == coin).copied().collect();
        self.wallet
            .transact(move |tx| set_status(tx, &coins, |_| status))
            .await
    }

    /// Hands the hold to the merchant; when he is silent, or gives no good receipt, asks the escrow how it
    /// has ended.
    async fn deliver(&mut self, row: PurchaseRow, request: DeliverRequest) -> Turn {
        match self.merchant.once(request).await {
            Ok(receipt) => {
                let good = row.purchase.clone().on_receipt(receipt.clone());
                match good {
                    Err(why @ PurchaseError::WrongGoodsKey) => {
                        self.exhibit(row, Exhibit::Receipt(Box::new(receipt))).await?;
                        let row = self.wallet.purchase(self.number)?;
                        self.ask_bank(row, "deliver", Unanswered::Final(why.into())).await
                    }
                    Err(why) => {
                        self.ask_outcome(row, format!("its receipt is refused: {why}"))
                            .await
                    }
                    Ok(purchase) => self.advance(row, purchase).await,
                }
            }
            Err(Unanswered::Refused(refusal)) => self.refused(row, refusal).await,
            Err(Unanswered::Again(why)) => self.ask_outcome(row, why).await,
            Err(Unanswered::Final(error)) => self.ask_outcome(row, error.to_string()).await,
        }
    }

    async fn ask_outcome(&mut self, row: PurchaseRow, why: String) -> Turn {
        let Some(order) = row.purchase.order() else {
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
            Ok(outcome) => self.decided(row, "outcome", outcome).await,
            Err(unanswered) => self.ask_bank(row, "outcome", unanswered).await,
        }
    }

    /// The escrow answered with a decision, or that there is none.
    async fn decided(&mut self, row: PurchaseRow, question: &'static str, outcome: Outcome) -> Turn {
        let exhibit = match &outcome {
            Outcome::Undecided => {
                let why = "it has not decided".to_string();
                return self.ask_bank(row, question, Unanswered::Again(why)).await;
            }
            Outcome::Committed(committed) => Exhibit::Receipt(Box::new(committed.receipt.clone())),
            Outcome::Aborted(abort) => Exhibit::Abort(abort.clone()),
        };
        match row.purchase.clone().on_outcome(outcome) {
            // The bank may have been told better: what it obeys is what counts.
            Err(convicting) if convicts(&convicting) => {
                self.exhibit(row, exhibit).await?;
                let row = self.wallet.purchase(self.number)?;
                self.ask_bank(row, question, Unanswered::Final(convicting.into()))
                    .await
            }
            Err(why) => {
                self.ask_bank(row, question, Unanswered::Again(why.to_string()))
                    .await
            }
            Ok(purchase) => self.advance(row, purchase).await,
        }
    }

    /// Keeps what the bank has of the escrow's.
    async fn exhibit_collected(&self, row: PurchaseRow, collected: Collected) -> Result<(), WalletError> {
        match collected {
            Collected::Committed(commit) => self.exhibit(row, Exhibit::Commit(Box::new(commit))).await,
            Collected::Aborted(abort) => self.exhibit(row, Exhibit::Abort(abort)).await,
            Collected::Open => Ok(()),
        }
    }

    async fn exhibit(&self, row: PurchaseRow, exhibit: Exhibit) -> Result<(), WalletError> {
        let purchase = row.purchase.clone();
        self.keep(row, exhibit, purchase).await
    }

    /// Writes a step down, with a document that convicts.
    async fn keep(
        &self,
        mut row: PurchaseRow,
        exhibit: Exhibit,
        purchase: Purchase,
    ) -> Result<(), WalletError> {
        let before = std::mem::replace(&mut row.purchase, purchase);
        let known = row.exhibits.len();
        if known < EXHIBITS_MAX && !row.exhibits.contains(&exhibit) {
            row.exhibits.push(exhibit);
        }
        if row.purchase == before && row.exhibits.len() == known {
            return Ok(());
        }
        self.wallet
            .save_purchase(self.number, &before, row)
            .await
            .map(drop)
    }

    /// The escrow gave no decision, for whatever reason: the bank may have been told how it ended.
    async fn ask_bank(&mut self, row: PurchaseRow, question: &'static str, unanswered: Unanswered) -> Turn {
        let Some(order) = row.purchase.order() else {
            return Ok(None);
        };
        let key = self
            .wallet
            .seed_for(&self.bank.identity)
            .purchase_key(order.counter);
        let before = row.purchase.clone();
        if let Ok(collected) = self.bank_talk.once(order.collect_request(&key)).await {
            match row.purchase.clone().on_collected(collected.clone(), &key) {
                Ok(purchase) if purchase != before => {
                    let row = PurchaseRow { purchase, ..row };
                    self.wallet.save_purchase(self.number, &before, row).await?;
                    return Ok(None);
                }
                Err(convicting) if convicts(&convicting) => {
                    self.exhibit_collected(row, collected).await?;
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

    /// The purchase has ended: the goods are opened, or the coins are exchanged for fresh ones.
    async fn finish(&mut self, row: PurchaseRow) -> Result<(), WalletError> {
        let row = match &row.purchase {
            Purchase::Aborted(_, abort) => {
                self.recover_coins(abort.clone()).await?;
                self.wallet.purchase(self.number)?
            }
            _ => row,
        };
        match &row.purchase {
            Purchase::Committed(order, proof) => {
                let (order, goods_key) = (order.clone(), proof.goods_key().clone());
                self.open_goods(row, &order, &goods_key).await
            }
            _ => Ok(()),
        }
    }

    /// Decrypts what was paid for, unless that was done before.
    async fn open_goods(
        &mut self,
        row: PurchaseRow,
        order: &Order,
        goods_key: &GoodsKey,
    ) -> Result<(), WalletError> {
        if !matches!(row.delivery, Delivery::Pending | Delivery::OnDemand) {
            return Ok(());
        }
        let offer = &order.contract.offer.body;
        self.wallet.fetch_goods(offer, &mut self.merchant).await?;
        let place = self
            .wallet
            .open_goods(offer, goods_key, &row.output, row.begun_ms)?;
        if place.is_none() && self.wallet.discard_damaged(offer)? {
            return Err(WalletError::WrongGoods);
        }
        let as_described = place.is_some();
        let delivery = if as_described {
            Delivery::Delivered
        } else {
            Delivery::NotAsDescribed
        };
        let output = place.unwrap_or_else(|| row.output.clone());
        let before = row.purchase.clone();
        let row = PurchaseRow {
            delivery,
            output,
            ..row
        };
        self.wallet.save_purchase(self.number, &before, row).await?;
        if as_described {
            Ok(())
        } else {
            Err(WalletError::NotAsDescribed(self.number))
        }
    }

    /// Shows the abort to the bank, in case the escrow has not yet, and exchanges the released coins, so
    /// that nothing links them to the next purchase.
    async fn recover_coins(&mut self, abort: Signed<Abort>) -> Result<(), WalletError> {
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
        let mine = |row: &CoinRow| row.status == CoinStatus::Released(self.number);
        Ok(self.wallet.present_coins()?.into_iter().filter(mine).collect())
    }

    async fn settle_abort(&mut self, abort: Signed<Abort>) -> Result<(), WalletError> {
        let row = self.wallet.purchase(self.number)?;
        let order = row
            .purchase
            .order()
            .ok_or(WalletError::Inconsistent("an aborted purchase has no order"))?;
        let escrow = order.contract.terms.escrow;
        let settle = SettleRequest {
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
                self.paid_after_all(row, *decision).await
            }
            Err(refusal) => Err(WalletError::Refused {
                party: self.bank.title(),
                question: SettleRequest::QUESTION,
                refusal: Box::new(refusal),
            }),
        }
    }

    /// The escrow signed an abort, and before it a commit, which the bank obeys: the goods are paid for, and the key is
    /// in the commit. The abort is kept, as both convict the escrow.
    async fn paid_after_all(
        &mut self,
        row: PurchaseRow,
        decision: SignedDecision,
    ) -> Result<(), WalletError> {
        let (Purchase::Aborted(order, abort), SignedDecision::Commit(commit)) = (&row.purchase, decision)
        else {
            return Err(WalletError::Garbled {
                party: self.bank.title(),
                why: "it shows an abort as the opposite of one".into(),
            });
        };
        let seed = self.wallet.seed_for(&self.bank.identity);
        let key = seed.purchase_key(order.counter);
        let collected = Collected::Committed(commit);
        match row.purchase.clone().on_collected(collected.clone(), &key) {
            Ok(purchase) => {
                let abort = Exhibit::Abort(abort.clone());
                self.keep(row, abort, purchase).await
            }
            Err(why) => {
                if convicts(&why) {
                    self.exhibit_collected(row, collected).await?;
                }
                Err(why.into())
            }
        }
    }
}

/// Whether an error of the wallet's proves that the escrow broke its word.
fn convicts(error: &PurchaseError) -> bool {
    matches!(
        error,
        PurchaseError::WrongGoodsKey | PurchaseError::BothOutcomes | PurchaseError::Sealed(_)
    )
}
