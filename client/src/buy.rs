//! Buying: an offer, its goods, a contract, and one outcome.

use crate::{
    error::{Unanswered, WalletError},
    rows::{COINS, CoinRow, CoinStatus, Counter, Delivery, PURCHASES, PurchaseRow},
    talk::{Pause, Talk},
    wallet::{Wallet, set_status, take_numbers},
    watch::Event,
};
use farthing_coin::{Coin, PublicKey, Signed};
use farthing_node::{
    card::{Card, RoleName},
    network::Lane,
};
use farthing_protocol::{
    decide::SignedDecision,
    documents::{Abort, EarlierUse, Offer},
    evidence::Evidence,
    money::{Amount, Selection, select},
    offer::{CatalogItem, CatalogRequest, DeliverRequest, OfferRequest},
    purchase::{Ask, OfferFault, Order, OrderParts, Plan, Proof, Purchase, check_offer},
    refusal::{PurchaseFault, Refusal},
    restore::{Note, Origin},
    seal::seal_note,
    settle::SettleRequest,
    wire,
};
use std::path::{Path, PathBuf};

/// The most pages of a catalogue that are read.
const CATALOG_PAGES_MAX: usize = 1000;

/// How often change is made for one purchase before the wallet gives up; once is enough.
const CHANGE_ROUNDS_MAX: usize = 3;

/// Who takes part in a purchase.
#[derive(Debug, Clone)]
pub struct Parties {
    /// Who sells.
    pub merchant: Card,
    /// Who decides.
    pub escrow: Card,
    /// Whose coins pay.
    pub bank: Card,
}

impl Wallet {
    /// Everything that the merchant sells.
    ///
    /// # Errors
    /// When the merchant does not answer.
    pub async fn catalog(&self, merchant: &Card) -> Result<Vec<CatalogItem>, WalletError> {
        self.catalog_through(&mut self.talk(merchant, Lane::Anonymous))
            .await
    }

    async fn catalog_through(&self, talk: &mut Talk<'_>) -> Result<Vec<CatalogItem>, WalletError> {
        let mut items: Vec<CatalogItem> = Vec::new();
        for _ in 0..CATALOG_PAGES_MAX {
            let after = items.last().map(|item| item.item_id);
            let page = talk.must("catalogue", &CatalogRequest { after }).await?;
            let more = page.more && !page.items.is_empty();
            items.extend(page.items);
            if !more {
                break;
            }
        }
        Ok(items)
    }

    /// Buys `item` (its id, the beginning of it, or its whole title) and writes the goods to `output`.
    /// Returns the purchase's number.
    ///
    /// # Errors
    /// When a party refuses or does not answer; then the purchase is where `purchases` shows it, and
    /// `resume` or `cancel` ends it.
    pub async fn buy(&self, parties: &Parties, item: &str, output: &Path) -> Result<u64, WalletError> {
        let number = self.begin_purchase(parties, item, output).await?;
        self.drive_purchase(number).await?;
        Ok(number)
    }

    /// Gets an offer and writes the purchase down. Nothing is at stake yet; [`drive_purchase`] does the rest.
    ///
    /// [`drive_purchase`]: Wallet::drive_purchase
    ///
    /// # Errors
    /// When the merchant does not answer, has no such item, or his offer is not acceptable.
    pub async fn begin_purchase(
        &self,
        parties: &Parties,
        item: &str,
        output: &Path,
    ) -> Result<u64, WalletError> {
        let mut talk = self.talk(&parties.merchant, Lane::Anonymous);
        let item_id = match_item(&self.catalog_through(&mut talk).await?, item)?;
        let (bank, escrow) = (parties.bank.identity, parties.escrow.identity);
        let request = OfferRequest {
            item_id,
            bank,
            escrow,
        };
        let offer = talk.must("offer", &request).await?;
        self.check_offer(parties, &offer).await?;
        let number = self
            .transact(|tx| take_numbers(tx, Counter::Purchases, 1))
            .await?;
        let row = PurchaseRow {
            purchase: Purchase::Fetching(Plan {
                counter: number,
                bank,
                escrow,
                offer,
            }),
            merchant: parties.merchant.clone(),
            output: absolute(output)?,
            delivery: Delivery::Pending,
            refusal: None,
            begun_ms: self.now_ms(),
            origins: Vec::new(),
        };
        self.transact(move |tx| PURCHASES.put(tx, &number, &row)).await?;
        Ok(number)
    }

    /// Checks an offer; when merchant and wallet see different lists of the bank's keys, the wallet looks
    /// again before it says so.
    async fn check_offer(&self, parties: &Parties, offer: &Signed<Offer>) -> Result<(), WalletError> {
        let Parties {
            merchant,
            escrow,
            bank,
        } = parties;
        let mut talk = self.talk(bank, Lane::Anonymous);
        let keys = self.keys(bank, &mut talk).await?;
        let check = |keys| check_offer(offer, &merchant.identity, &bank.identity, &escrow.identity, keys);
        match check(&keys) {
            Err(OfferFault::OtherKeys) => Ok(check(&self.fetch_keys(bank, &mut talk).await?)?),
            other => Ok(other?),
        }
    }

    // ---- driving ----------------------------------------------------------------------------------------------

    /// A purchase by its number.
    ///
    /// # Errors
    /// When there is none.
    pub fn purchase(&self, number: u64) -> Result<PurchaseRow, WalletError> {
        PURCHASES
            .peek(&self.store.view(), &number)?
            .ok_or_else(|| WalletError::NoPurchase(number.to_string()))
    }

    /// Carries a purchase on until it has ended: with the goods, or with fresh coins.
    ///
    /// # Errors
    /// When a party does not answer within the wallet's patience; the purchase then stands where it stood.
    pub async fn drive_purchase(&self, number: u64) -> Result<(), WalletError> {
        // One connection a party for this purchase, none of them shared with anything else.
        let row = self.purchase(number)?;
        let (bank, escrow) = match (&row.purchase, row.purchase.order()) {
            (_, Some(order)) => (order.contract.terms.bank, order.contract.terms.escrow),
            (Purchase::Fetching(plan) | Purchase::Dropped(plan), _) => (plan.bank, plan.escrow),
            _ => return Err(WalletError::Inconsistent("a purchase has neither plan nor order")),
        };
        let bank = self.party_by_key(RoleName::Bank, &bank)?;
        let escrow = self.party_by_key(RoleName::Escrow, &escrow)?;
        let mut drive = Drive {
            wallet: self,
            number,
            merchant: self.talk(&row.merchant, Lane::Anonymous),
            escrow: self.talk(&escrow, Lane::Anonymous),
            bank_talk: self.talk(&bank, Lane::Anonymous),
            bank,
        };
        drive.run().await
    }

    /// Asks for a purchase's coins back, and carries that on until it has ended. It may turn out to be
    /// committed; then the goods are there.
    ///
    /// # Errors
    /// When the purchase has ended as committed, or a party does not answer.
    pub async fn cancel(&self, number: u64) -> Result<(), WalletError> {
        let row = self.purchase(number)?;
        let purchase = row.purchase.clone().on_cancel()?;
        self.save_purchase(number, PurchaseRow { purchase, ..row })
            .await?;
        self.drive_purchase(number).await
    }

    pub(crate) async fn save_purchase(&self, number: u64, row: PurchaseRow) -> Result<(), WalletError> {
        let status = row.purchase.status();
        self.transact(move |tx| {
            match &row.purchase {
                Purchase::Committed(order, _) => {
                    set_status(tx, &order.payment.coins, |coin| {
                        settle(coin, number, CoinStatus::Spent(number))
                    })?;
                }
                Purchase::Aborted(order, _) => {
                    set_status(tx, &order.payment.coins, |coin| {
                        settle(coin, number, CoinStatus::Released(number))
                    })?;
                }
                _ => {}
            }
            PURCHASES.put(tx, &number, &row)
        })
        .await?;
        self.watch().see(&Event::Purchase { number, status });
        Ok(())
    }

    /// What proves to anyone how a purchase went.
    ///
    /// # Errors
    /// When it was not committed, or the escrow's receipt is not here.
    pub fn evidence(&self, number: u64) -> Result<Evidence, WalletError> {
        let row = self.purchase(number)?;
        match row.purchase {
            Purchase::Committed(order, Proof::Receipt(receipt)) => Ok(Evidence {
                contract: order.contract,
                receipt: *receipt,
            }),
            other => Err(WalletError::NoReceipt {
                number,
                status: other.status(),
            }),
        }
    }

    // ---- orders -----------------------------------------------------------------------------------------------

    /// Coins worth exactly `price`; change is made where it takes that.
    async fn choose_coins(&self, bank: &PublicKey, price: Amount) -> Result<Vec<CoinRow>, WalletError> {
        for _ in 0..CHANGE_ROUNDS_MAX {
            let rows: Vec<CoinRow> = self
                .coins()?
                .into_iter()
                .filter(|row| spendable(row, bank))
                .collect();
            let purse: Vec<(usize, u64)> = rows.iter().map(|row| row.value).enumerate().collect();
            match select(&purse, price) {
                Selection::Exact(chosen) => {
                    return Ok(chosen
                        .into_iter()
                        .filter_map(|index| rows.get(index).cloned())
                        .collect());
                }
                Selection::ChangeNeeded(coins) => {
                    for row in coins.into_iter().filter_map(|index| rows.get(index).cloned()) {
                        self.make_change(row).await?;
                    }
                }
                Selection::Short(short) => {
                    let available = self.balance()?.available;
                    return Err(WalletError::Short {
                        short,
                        available,
                        price,
                    });
                }
            }
        }
        Err(WalletError::NoCoins(price))
    }

    /// Puts coins to a plan: a signed contract, authorized coins, and a note to the wallet itself.
    async fn place_order(&self, number: u64, row: PurchaseRow, plan: &Plan) -> Result<(), WalletError> {
        let chosen = self.choose_coins(&plan.bank, plan.offer.body.price).await?;
        let origins: Vec<Origin> = chosen.iter().map(|row| row.origin).collect();
        let coins: Vec<Coin> = chosen.iter().map(|row| row.coin).collect();
        // The merchant's own date, not one by this machine's clock: nothing is decided by the customer's.
        let deadline_ms = plan.offer.body.expires_ms;
        let note = Note {
            bank: plan.bank,
            escrow: plan.escrow,
            offer: plan.offer.clone(),
            deadline_ms,
            coins: origins.clone(),
            merchant_card: row.merchant.to_string(),
        };
        let order = self.order(plan, &note, coins.clone(), None)?;
        let row = PurchaseRow {
            purchase: Purchase::Holding(order),
            origins,
            ..row
        };
        let taken = self
            .transact(move |tx| {
                for coin in &coins {
                    let key = (coin.key_id, coin.public);
                    let available = COINS
                        .get(tx, &key)?
                        .is_some_and(|row| row.status == CoinStatus::Available);
                    if !available {
                        return Ok(false);
                    }
                }
                set_status(tx, &coins, |_| CoinStatus::InPurchase(number))?;
                PURCHASES.put(tx, &number, &row)?;
                Ok(true)
            })
            .await?;
        if taken {
            self.watch().see(&Event::Purchase {
                number,
                status: "holding",
            });
        }
        // Where another purchase was quicker, the next turn chooses other coins.
        Ok(())
    }

    /// The order of a plan and a note. A restored wallet passes the note as the bank has it.
    pub(crate) fn order(
        &self,
        plan: &Plan,
        note: &Note,
        coins: Vec<Coin>,
        sealed_note: Option<Vec<u8>>,
    ) -> Result<Order, WalletError> {
        let counter = plan.counter;
        let note_id = self.seed.note_id(counter);
        let sealed = match sealed_note {
            Some(sealed) => sealed,
            None => {
                let text =
                    wire::encode(note).map_err(|_| WalletError::Inconsistent("a note does not encode"))?;
                seal_note(&self.seed.note_key(counter), &note_id, &text)
                    .map_err(|_| WalletError::Inconsistent("a note is too long"))?
            }
        };
        Ok(Order::new(OrderParts {
            plan,
            coins,
            coin_keys: &self.coin_keys(&note.coins),
            purchase_key: &self.seed.purchase_key(counter),
            note_id,
            note: sealed,
            deadline_ms: note.deadline_ms,
        })?)
    }
}

/// One purchase being driven.
struct Drive<'w> {
    wallet: &'w Wallet,
    number: u64,
    merchant: Talk<'w>,
    escrow: Talk<'w>,
    bank_talk: Talk<'w>,
    bank: Card,
}

impl Drive<'_> {
    async fn run(&mut self) -> Result<(), WalletError> {
        let mut pause = Pause::new(self.wallet.around.patience);
        let mut before = None;
        loop {
            let row = self.wallet.purchase(self.number)?;
            let status = row.purchase.status();
            if before.replace(status) != Some(status) {
                pause = Pause::new(self.wallet.around.patience);
            }
            let key = self.wallet.seed.purchase_key(self.number);
            let silent = match row.purchase.ask(&key) {
                Ask::Goods(plan) => self.goods(row, &plan).await?,
                Ask::Hold(request) => {
                    let reply = self.escrow.once("hold", *request).await;
                    match reply {
                        Ok(hold) => self.step(row, |purchase| purchase.on_hold(hold)).await?,
                        Err(unanswered) => self.unheld(row, unanswered).await?,
                    }
                }
                Ask::Deliver(request) => self.deliver(row, *request).await?,
                Ask::Cancel(request) => match self.escrow.once("cancel", *request).await {
                    Ok(outcome) => self.step(row, |purchase| purchase.on_outcome(outcome)).await?,
                    Err(Unanswered::Again(why)) => self.ask_bank(row, why).await?,
                    Err(Unanswered::Refused(closed)) if is_closed(&closed) => {
                        self.ask_bank(row, closed.to_string()).await?
                    }
                    Err(unanswered) => return Err(self.failed("cancel", unanswered)),
                },
                Ask::Nothing => return self.finish(row).await,
            };
            if let Some((party, question, why)) = silent
                && !pause.wait().await
            {
                return Err(WalletError::Silent { party, question, why });
            }
        }
    }

    /// Takes a step and writes it down.
    async fn step(
        &mut self,
        row: PurchaseRow,
        step: impl FnOnce(Purchase) -> Result<Purchase, farthing_protocol::purchase::PurchaseError>,
    ) -> Result<Option<Silence>, WalletError> {
        let before = row.purchase.status();
        let purchase = step(row.purchase.clone())?;
        if purchase.status() != before {
            self.wallet
                .save_purchase(self.number, PurchaseRow { purchase, ..row })
                .await?;
        }
        Ok(None)
    }

    async fn goods(&mut self, row: PurchaseRow, plan: &Plan) -> Result<Option<Silence>, WalletError> {
        self.wallet
            .fetch_goods(&plan.offer.body, &mut self.merchant)
            .await?;
        self.wallet.place_order(self.number, row, plan).await?;
        Ok(None)
    }

    /// The escrow gave no hold.
    async fn unheld(
        &mut self,
        row: PurchaseRow,
        unanswered: Unanswered,
    ) -> Result<Option<Silence>, WalletError> {
        match unanswered {
            Unanswered::Again(why) => Ok(Some((self.escrow.party(), "hold", why))),
            Unanswered::Final(error) => Err(error),
            Unanswered::Refused(refusal) => self.refused(row, refusal).await,
        }
    }

    /// A refusal ends nothing: the wallet asks for the outcome, or for an abort, which the escrow signs.
    async fn refused(&mut self, row: PurchaseRow, refusal: Refusal) -> Result<Option<Silence>, WalletError> {
        let decided = matches!(
            refusal,
            Refusal::Purchase(
                PurchaseFault::Committed(_) | PurchaseFault::Aborted(_) | PurchaseFault::Closed(_)
            )
        );
        if decided {
            return self.ask_outcome(row, "the purchase has ended".into()).await;
        }
        let coins = row
            .purchase
            .order()
            .map(|order| order.payment.coins.clone())
            .unwrap_or_default();
        let used = self.wallet.proven_use(&coins, &refusal);
        if let Some((coin, earlier)) = used {
            self.mark_used(&coins, coin, earlier).await?;
        }
        let row = PurchaseRow {
            refusal: Some(refusal.to_string()),
            ..row
        };
        self.step(row, Purchase::on_cancel).await
    }

    async fn mark_used(
        &self,
        coins: &[Coin],
        coin: PublicKey,
        earlier: EarlierUse,
    ) -> Result<(), WalletError> {
        let coins: Vec<Coin> = coins.iter().filter(|c| c.public == coin).copied().collect();
        self.wallet
            .transact(move |tx| set_status(tx, &coins, |_| CoinStatus::UsedElsewhere(earlier)))
            .await
    }

    /// Hands the hold to the merchant; when he is silent, asks the escrow how it has ended.
    async fn deliver(
        &mut self,
        row: PurchaseRow,
        request: DeliverRequest,
    ) -> Result<Option<Silence>, WalletError> {
        match self.merchant.once("deliver", request).await {
            Ok(receipt) => self.step(row, |purchase| purchase.on_receipt(receipt)).await,
            Err(Unanswered::Again(why)) => self.ask_outcome(row, why).await,
            Err(Unanswered::Refused(refusal)) => self.refused(row, refusal).await,
            Err(Unanswered::Final(error)) => {
                // The merchant's fault, or an impostor's: the escrow still knows how it has ended.
                self.ask_outcome(row, error.to_string()).await
            }
        }
    }

    async fn ask_outcome(&mut self, row: PurchaseRow, why: String) -> Result<Option<Silence>, WalletError> {
        let Some(order) = row.purchase.order() else {
            return Ok(None);
        };
        let request = order.outcome_request(&self.wallet.seed.purchase_key(self.number));
        let before = row.purchase.status();
        match self.escrow.once("outcome", request).await {
            Ok(outcome) => {
                self.step(row, |purchase| purchase.on_outcome(outcome)).await?;
                let stays = self.wallet.purchase(self.number)?.purchase.status() == before;
                Ok(stays.then(|| (self.merchant.party(), "deliver", why)))
            }
            Err(Unanswered::Again(why)) => self.ask_bank(row, why).await,
            Err(Unanswered::Refused(closed)) if is_closed(&closed) => {
                self.ask_bank(row, closed.to_string()).await
            }
            Err(unanswered) => Err(self.failed("outcome", unanswered)),
        }
    }

    /// The escrow is silent: the bank may have been told how it ended.
    async fn ask_bank(&mut self, row: PurchaseRow, why: String) -> Result<Option<Silence>, WalletError> {
        let Some(order) = row.purchase.order() else {
            return Ok(None);
        };
        let key = self.wallet.seed.purchase_key(self.number);
        let silent = Some((self.escrow.party(), "outcome", why));
        let before = row.purchase.status();
        match self.bank_talk.once("collect", order.collect_request(&key)).await {
            Ok(collected) => {
                self.step(row, |purchase| purchase.on_collected(collected, &key))
                    .await?;
                let stays = self.wallet.purchase(self.number)?.purchase.status() == before;
                Ok(if stays { silent } else { None })
            }
            Err(Unanswered::Final(error)) => Err(error),
            Err(_) => Ok(silent),
        }
    }

    fn failed(&self, question: &'static str, unanswered: Unanswered) -> WalletError {
        let party = self.escrow.party();
        match unanswered {
            Unanswered::Final(error) => error,
            Unanswered::Again(why) => WalletError::Silent { party, question, why },
            Unanswered::Refused(refusal) => WalletError::Refused {
                party,
                question,
                refusal: Box::new(refusal),
            },
        }
    }

    /// The purchase has ended: the goods are opened, or the coins are exchanged for fresh ones.
    async fn finish(&mut self, row: PurchaseRow) -> Result<(), WalletError> {
        match &row.purchase {
            Purchase::Committed(order, proof) if row.delivery == Delivery::Pending => {
                let offer = &order.contract.offer.body;
                self.wallet.fetch_goods(offer, &mut self.merchant).await?;
                let as_described = self.wallet.open_goods(offer, proof.goods_key(), &row.output)?;
                let delivery = if as_described {
                    Delivery::Delivered
                } else {
                    Delivery::NotAsDescribed
                };
                self.wallet
                    .save_purchase(self.number, PurchaseRow { delivery, ..row })
                    .await?;
                if as_described {
                    Ok(())
                } else {
                    Err(WalletError::NotAsDescribed(self.number))
                }
            }
            Purchase::Aborted(_, abort) => self.recover_coins(abort.clone()).await,
            _ => Ok(()),
        }
    }

    /// Shows the abort to the bank, in case the escrow has not yet, and exchanges the released coins, so
    /// that nothing links them to the next purchase.
    async fn recover_coins(&mut self, abort: Signed<Abort>) -> Result<(), WalletError> {
        let number = self.number;
        let released: Vec<CoinRow> = self
            .wallet
            .coins()?
            .into_iter()
            .filter(|row| row.status == CoinStatus::Released(number))
            .collect();
        if released.is_empty() {
            return Ok(());
        }
        let row = self.wallet.purchase(number)?;
        let order = row
            .purchase
            .order()
            .ok_or(WalletError::Inconsistent("an aborted purchase has no order"))?;
        let escrow = order.contract.terms.escrow;
        let settle = SettleRequest {
            escrow,
            decision: SignedDecision::Abort(abort),
        };
        let settled = self.bank_talk.must("abort", &settle).await?;
        settled
            .verify(&self.bank.identity)
            .map_err(|why| WalletError::Garbled {
                party: self.bank.title(),
                why: format!("its acknowledgement of the abort: {why}"),
            })?;
        self.wallet.refresh(released).await.map(drop)
    }
}

/// Who was silent, to which question, and what the network said.
type Silence = (String, &'static str, String);

/// Whether the escrow says that the purchase is older than what it keeps, so that the bank knows how it ended.
fn is_closed(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Purchase(PurchaseFault::Closed(_)))
}

fn spendable(row: &CoinRow, bank: &PublicKey) -> bool {
    row.status == CoinStatus::Available && row.bank == *bank
}

/// A coin of an ended purchase; one that turned out to be used elsewhere stays that.
fn settle(row: &CoinRow, number: u64, ended: CoinStatus) -> CoinStatus {
    match row.status {
        CoinStatus::InPurchase(other) if other == number => ended,
        other => other,
    }
}

fn match_item(items: &[CatalogItem], wanted: &str) -> Result<[u8; 32], WalletError> {
    let matches: Vec<&CatalogItem> = items
        .iter()
        .filter(|item| {
            item.title == wanted || (wanted.len() >= 4 && hex::encode(item.item_id).starts_with(wanted))
        })
        .collect();
    match matches.as_slice() {
        [item] => Ok(item.item_id),
        [] => Err(WalletError::NoItem(wanted.into())),
        _ => Err(WalletError::SeveralItems(wanted.into())),
    }
}

fn absolute(path: &Path) -> Result<PathBuf, WalletError> {
    std::path::absolute(path).map_err(WalletError::io(path))
}
