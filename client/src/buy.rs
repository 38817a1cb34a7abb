//! Buying: an offer, its goods, a contract, and one outcome.

use crate::{
    catalog::find_item,
    coins::set_status,
    drive::Drive,
    error::WalletError,
    goods::came_with,
    rows::{
        COINS, COUNTERS, CoinRow, CoinStatus, Counter, Delivery, NO_BANK, PURCHASES, PurchaseRow,
        SMALL_GOODS, SmallGoods,
    },
    scan_record::{GAP_MAX, note_bridged},
    talk::Talk,
    wallet::{Wallet, card_of, take_numbers},
    watch::Event,
};
use farthing_coin::{Coin, Denomination, KeyBook, PublicKey, Signed};
use farthing_node::{
    card::{Card, RoleName},
    network::Lane,
};
use farthing_planted::{Defect, is_planted};
use farthing_protocol::{
    documents::Offer,
    limits::{COINS_PER_REQUEST_MAX, DEADLINE_HORIZON_MS, SETTLEMENT_MARGIN_MS},
    money::{Amount, Selection, select},
    offer::OfferRequest,
    purchase::{OfferFault, Order, OrderParts, Plan, Purchase, check_asked, check_listed, check_offer},
    restore::{Note, Origin},
    seal::seal_note,
    wire,
};
use farthing_store::{StoreError, Transaction};
use std::path::{Path, PathBuf};

/// How often coins are exchanged for one purchase before the wallet gives up: once for change, and once
/// where the change itself has too many coins, is enough.
const EXCHANGES_MAX: usize = 4;

/// How far ahead a deadline lies at most, by this machine's clock (ms). It decides nothing: where the clock is
/// wrong the escrow refuses the hold, and the wallet cancels.
const DEADLINE_AHEAD_MS: u64 = DEADLINE_HORIZON_MS / 2;

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

/// What is to be bought.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The item: its id, the beginning of it, or its whole title. Whoever gives the whole id has seen the catalogue, and
    /// the merchant is asked for the offer at once; anything else is looked up in his catalogue first.
    pub item: &'a str,
    /// The most that it may cost, if not whatever the merchant asks.
    pub at_most: Option<Amount>,
}

impl<'a> From<&'a str> for Wanted<'a> {
    fn from(item: &'a str) -> Self {
        Wanted { item, at_most: None }
    }
}

/// How a purchase stands, and what the wallet has at hand for it.
#[derive(Clone)]
pub(crate) struct Standing {
    /// Its number; where it is not written down yet, the one that is free.
    pub(crate) number: u64,
    /// As the store has it; `None` before it is written down.
    pub(crate) stored: Option<PurchaseRow>,
    /// As far as it has come.
    pub(crate) row: PurchaseRow,
    /// Its encrypted goods, if they are small and here.
    pub(crate) goods: Option<SmallGoods>,
    /// The coins to choose from, as they were a moment ago.
    pub(crate) purse: Option<Vec<CoinRow>>,
}

impl Wallet {
    /// Buys what is wanted and writes the goods to `output`. Returns the purchase's number.
    ///
    /// # Errors
    /// When a party refuses or does not answer; then the purchase is where `purchases` shows it, and
    /// `resume` or `cancel` ends it. One that fails before anything is at stake is dropped: a later `resume` must not
    /// buy what the customer was told that she did not get.
    pub async fn buy<'a>(
        &self,
        parties: &Parties,
        wanted: impl Into<Wanted<'a>>,
        output: &Path,
    ) -> Result<u64, WalletError> {
        let mut merchant = self.talk(&parties.merchant, Lane::Anonymous);
        let mut at = self
            .accept_offer(&mut merchant, parties, wanted.into(), output)
            .await?;
        // With the goods here, the first thing that is worth writing down is which coins pay.
        if at.goods.is_none() {
            self.write_begun(&mut at).await?;
        }
        let mut drive = self.drive_from(at, Some(merchant))?;
        let driven = drive.run().await;
        let Standing { number, stored, .. } = drive.into_standing();
        let Err(error) = driven else {
            return Ok(number);
        };
        let is_fetching = |row: PurchaseRow| matches!(row.purchase, Purchase::Fetching(_));
        if stored.is_some_and(is_fetching) && !error.is_silence() {
            self.cancel(number).await?;
        }
        Err(error)
    }

    /// Gets an offer and writes the purchase down. Nothing is at stake yet; [`drive_purchase`] does the rest.
    ///
    /// [`drive_purchase`]: Wallet::drive_purchase
    ///
    /// # Errors
    /// When the merchant does not answer, has no such item, or his offer is not acceptable.
    pub async fn begin_purchase<'a>(
        &self,
        parties: &Parties,
        wanted: impl Into<Wanted<'a>>,
        output: &Path,
    ) -> Result<u64, WalletError> {
        let mut talk = self.talk(&parties.merchant, Lane::Anonymous);
        let mut at = self
            .accept_offer(&mut talk, parties, wanted.into(), output)
            .await?;
        self.write_begun(&mut at).await?;
        Ok(at.number)
    }

    /// Gets an offer and checks it. Nothing is written down.
    async fn accept_offer(
        &self,
        talk: &mut Talk<'_>,
        parties: &Parties,
        wanted: Wanted<'_>,
        output: &Path,
    ) -> Result<Standing, WalletError> {
        self.check_restored(&parties.bank.identity)?;
        let (item_id, listed) = match whole_id(wanted.item) {
            Some(item_id) => (item_id, None),
            None => {
                let listed = find_item(talk, wanted.item).await?;
                (listed.item_id, Some(listed))
            }
        };
        let (bank, escrow) = (parties.bank.identity, parties.escrow.identity);
        let request = OfferRequest {
            item_id,
            bank,
            escrow,
        };
        let offered = talk.must(&request).await?;
        let offer = offered.offer.clone();
        check_asked(&offer.body, &item_id, wanted.at_most)?;
        if let Some(listed) = listed {
            check_listed(&offer.body, &listed)?;
        }
        self.check_offer(parties, &offer).await?;
        let purse = Some(self.check_funds(&bank, offer.body.price)?);
        let goods = came_with(offered)?;
        let row = PurchaseRow {
            purchase: Purchase::Fetching(Plan { bank, escrow, offer }),
            merchant: parties.merchant.clone(),
            output: std::path::absolute(output).map_err(WalletError::io(output))?,
            delivery: Delivery::Pending,
            refusal: None,
            begun_ms: self.now_ms(),
            origins: Vec::new(),
            exhibits: Vec::new(),
        };
        Ok(Standing {
            number: self.next_number()?,
            stored: None,
            row,
            goods,
            purse,
        })
    }

    /// The next purchase's number.
    pub(crate) fn next_number(&self) -> Result<u64, WalletError> {
        let taken = COUNTERS.peek(&self.store.view(), &(NO_BANK, Counter::Purchases as u8))?;
        Ok(taken.unwrap_or(0))
    }

    /// Writes a purchase down for the first time, with the number that is free then.
    pub(crate) async fn write_begun(&self, at: &mut Standing) -> Result<(), WalletError> {
        let (row, goods) = (at.row.clone(), at.goods.clone());
        at.number = self
            .transact(move |tx| {
                let number = take_numbers(tx, &NO_BANK, Counter::Purchases, 1)?;
                if let Some(goods) = goods {
                    SMALL_GOODS.put(tx, &number, &goods)?;
                }
                PURCHASES.put(tx, &number, &row)?;
                Ok(number)
            })
            .await?;
        at.stored = Some(at.row.clone());
        Ok(())
    }

    /// The coins of `bank` that can be spent. Refuses before anything is fetched what they could not pay for anyway.
    fn check_funds(&self, bank: &PublicKey, price: Amount) -> Result<Vec<CoinRow>, WalletError> {
        let purse = self.purse(bank)?;
        let values = purse.iter().map(|row| row.value);
        let available = Amount(values.fold(0, u64::saturating_add));
        match price.checked_sub(available) {
            Some(short) if short > Amount(0) => Err(WalletError::Short {
                short,
                available,
                price,
            }),
            _ => Ok(purse),
        }
    }

    /// The coins of `bank` that can be spent.
    fn purse(&self, bank: &PublicKey) -> Result<Vec<CoinRow>, WalletError> {
        let mine = |row: &CoinRow| row.status == CoinStatus::Available && row.bank == *bank;
        Ok(self.present_coins()?.into_iter().filter(mine).collect())
    }

    /// Checks an offer; when merchant and wallet see different lists of the bank's keys, the wallet looks
    /// again before it says so.
    async fn check_offer(&self, parties: &Parties, offer: &Signed<Offer>) -> Result<(), WalletError> {
        let Parties {
            merchant,
            escrow,
            bank,
        } = parties;
        let check =
            |keys: &KeyBook| check_offer(offer, &merchant.identity, &bank.identity, &escrow.identity, keys);
        match check(self.keys(bank).await?.as_ref()) {
            Err(OfferFault::OtherKeys) => Ok(check(self.fetch_keys(bank).await?.as_ref())?),
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
        let row = self.purchase(number)?;
        let at = Standing {
            number,
            stored: Some(row.clone()),
            row,
            goods: None,
            purse: None,
        };
        self.drive_from(at, None)?.run().await
    }

    /// A drive of a purchase, with the merchant over the connection that it began on, if there still is one.
    fn drive_from<'w>(&'w self, at: Standing, merchant: Option<Talk<'w>>) -> Result<Drive<'w>, WalletError> {
        let row = &at.row;
        let (bank, escrow) = match (&row.purchase, row.purchase.order()) {
            (_, Some(order)) => (order.contract.terms.bank, order.contract.terms.escrow),
            (Purchase::Fetching(plan) | Purchase::Dropped(plan), _) => (plan.bank, plan.escrow),
            _ => return Err(WalletError::Inconsistent("a purchase has neither plan nor order")),
        };
        let pinned = self.network_file()?;
        let bank = card_of(&pinned, RoleName::Bank, &bank)?;
        let escrow = card_of(&pinned, RoleName::Escrow, &escrow)?;
        // One connection a party for this purchase, none of them shared with anything else.
        let merchant = merchant.unwrap_or_else(|| {
            // The pinned card first: it may know the merchant's new address.
            let card = card_of(&pinned, RoleName::Merchant, &row.merchant.identity);
            self.talk(&card.unwrap_or_else(|_| row.merchant.clone()), Lane::Anonymous)
        });
        let escrow = self.talk(&escrow, Lane::Anonymous);
        let bank_talk = self.talk(&bank, Lane::Anonymous);
        Ok(Drive::new(self, at, bank, [merchant, escrow, bank_talk]))
    }

    /// Asks for a purchase's coins back, and carries that on until it has ended. It may turn out to be
    /// committed; then the goods are there.
    ///
    /// # Errors
    /// When the purchase has ended as committed, or a party does not answer.
    pub async fn cancel(&self, number: u64) -> Result<(), WalletError> {
        loop {
            let row = self.purchase(number)?;
            let before = row.purchase.clone();
            let purchase = row.purchase.clone().on_cancel()?;
            let status = purchase.status();
            if self
                .save_purchase(number, before, PurchaseRow { purchase, ..row })
                .await?
            {
                self.watch().see(&Event::Purchase { number, status });
                return self.drive_purchase(number).await;
            }
        }
    }

    /// Writes a purchase down, with its coins' new status, if it still stands as `before`; `false` if another
    /// part of this program was quicker.
    pub(crate) async fn save_purchase(
        &self,
        number: u64,
        before: Purchase,
        row: PurchaseRow,
    ) -> Result<bool, WalletError> {
        self.transact(move |tx| {
            if PURCHASES
                .get(tx, &number)?
                .is_none_or(|now| now.purchase != before)
            {
                return Ok(false);
            }
            if let Purchase::Held(order, _) | Purchase::Committed(order, _) = &row.purchase {
                // The bank has the note that came with the coins.
                let bank = order.contract.terms.bank;
                note_bridged(tx, &bank, Counter::Orders, order.counter.saturating_add(1))?;
            }
            match &row.purchase {
                Purchase::Committed(order, _) => {
                    let spent = CoinStatus::Spent(number);
                    set_status(tx, &order.payment.coins, |coin| ended(coin, number, spent))?;
                }
                Purchase::Aborted(order, _) => {
                    let unlinked = is_planted(Defect::ReleasedCoinsReused).then_some(CoinStatus::Available);
                    let released = unlinked.unwrap_or(CoinStatus::Released(number));
                    set_status(tx, &order.payment.coins, |coin| ended(coin, number, released))?;
                }
                _ => {}
            }
            PURCHASES.put(tx, &number, &row)?;
            Ok(true)
        })
        .await
    }

    // ---- orders -----------------------------------------------------------------------------------------------

    /// Coins of the purse worth exactly the plan's price; some are exchanged where it takes that, and where no purse is
    /// given it is taken from the store.
    async fn choose_coins(
        &self,
        plan: &Plan,
        bank: &Card,
        mut purse: Option<Vec<CoinRow>>,
    ) -> Result<Vec<CoinRow>, WalletError> {
        let price = plan.offer.body.price;
        let mut exchanges = 0;
        while exchanges < EXCHANGES_MAX {
            let keys = self.keys(bank).await?;
            let rows = match purse.take() {
                Some(rows) => rows,
                None => self.purse(&plan.bank)?,
            };
            let rows = self.spendable(rows, &keys, plan);
            let purse: Vec<(usize, u64)> = rows.iter().map(|row| row.value).enumerate().collect();
            let take = |chosen: Vec<usize>| -> Vec<CoinRow> {
                chosen
                    .into_iter()
                    .filter_map(|index| rows.get(index).cloned())
                    .collect()
            };
            match select(&purse, price) {
                Selection::Exact(chosen) if chosen.len() <= COINS_PER_REQUEST_MAX => return Ok(take(chosen)),
                Selection::Exact(chosen) => {
                    // Largest first: the last ones are the small coins that make it too many.
                    let small = chosen.len().saturating_sub(COINS_PER_REQUEST_MAX);
                    let small = take(chosen.into_iter().skip(small).collect());
                    match self.consolidate(small.clone()).await {
                        // One of them turned out to be used elsewhere: chosen anew without it.
                        Err(WalletError::Refused { .. }) if self.unchanged(&small)?.len() < small.len() => {
                            continue;
                        }
                        other => other?,
                    }
                }
                Selection::ChangeNeeded(coins) => {
                    let mut is_used = false;
                    for row in take(coins) {
                        match self.make_change(row.clone()).await {
                            Err(WalletError::Refused { .. }) if self.unchanged(&[row])?.is_empty() => {
                                is_used = true;
                                break;
                            }
                            other => other?,
                        }
                    }
                    if is_used {
                        continue;
                    }
                }
                Selection::Short(short) => {
                    let available = self.balance()?.available;
                    if available >= price {
                        return Err(WalletError::NewKeys(short));
                    }
                    return Err(WalletError::Short {
                        short,
                        available,
                        price,
                    });
                }
            }
            exchanges = exchanges.saturating_add(1);
        }
        Err(WalletError::NoCoins(price))
    }

    /// The coins that can pay for a plan: in time for settlement, and made with keys that the merchant has seen
    /// too, for a key that was shown to this wallet alone would mark its coins.
    fn spendable(&self, purse: Vec<CoinRow>, keys: &KeyBook, plan: &Plan) -> Vec<CoinRow> {
        let accepted = plan
            .offer
            .body
            .banks
            .iter()
            .find(|accepted| accepted.bank == plan.bank);
        let seen = accepted.and_then(|accepted| keys.last_epoch_of(&accepted.key_list_digest));
        let settled_ms = self.deadline_ms(plan).saturating_add(SETTLEMENT_MARGIN_MS);
        let fits = |d: &Denomination| Some(d.epoch) <= seen && d.spend_until_ms > settled_ms;
        let fits = |row: &CoinRow| keys.get(&row.coin.key_id).is_some_and(fits);
        purse.into_iter().filter(fits).collect()
    }

    fn deadline_ms(&self, plan: &Plan) -> u64 {
        plan.offer
            .body
            .expires_ms
            .min(self.now_ms().saturating_add(DEADLINE_AHEAD_MS))
    }

    /// Puts coins to a plan: a signed contract, authorized coins, and a note to the wallet itself; and keeps the goods
    /// with it, if they are small. `None` where another matter was quicker to take a coin or a number, and the next
    /// turn chooses anew.
    pub(crate) async fn place_order(
        &self,
        at: Standing,
        plan: &Plan,
        bank: &Card,
    ) -> Result<Option<PurchaseRow>, WalletError> {
        let Standing {
            number,
            stored,
            row,
            goods,
            purse,
        } = at;
        self.bridge_gap(bank, Counter::Orders, 1, GAP_MAX).await?;
        let chosen = self.choose_coins(plan, bank, purse).await?;
        let origins: Vec<Origin> = chosen.iter().map(|row| row.origin).collect();
        let coins: Vec<Coin> = chosen.iter().map(|row| row.coin).collect();
        let note = Note {
            bank: plan.bank,
            escrow: plan.escrow,
            offer: plan.offer.clone(),
            deadline_ms: self.deadline_ms(plan),
            coins: origins.clone(),
            merchant_card: row.merchant.to_string(),
        };
        let counter = COUNTERS
            .peek(&self.store.view(), &(plan.bank, Counter::Orders as u8))?
            .unwrap_or(0);
        let order = self.order(counter, plan, &note, coins.clone(), None)?;
        if is_planted(Defect::SentBeforeWritten) {
            let escrow = self.party_by_key(RoleName::Escrow, &plan.escrow)?;
            let _held = self
                .talk(&escrow, Lane::Anonymous)
                .once(order.hold_request())
                .await;
        }
        let (before, bank) = (stored.map(|row| row.purchase), plan.bank);
        let ordered = PurchaseRow {
            purchase: Purchase::Holding(order),
            origins,
            ..row
        };
        let placing = ordered.clone();
        let next = |tx: &mut Transaction<'_>, bank: &PublicKey, counter: Counter| {
            Ok::<u64, StoreError>(COUNTERS.get(tx, &(*bank, counter as u8))?.unwrap_or(0))
        };
        let placed = self
            .transact(move |tx| {
                if PURCHASES.get(tx, &number)?.map(|now| now.purchase) != before {
                    return Ok(false);
                }
                for coin in &coins {
                    let now = COINS.get(tx, &(coin.key_id, coin.public))?;
                    if now.is_none_or(|row| row.status != CoinStatus::Available) {
                        return Ok(false);
                    }
                }
                if next(tx, &bank, Counter::Orders)? != counter {
                    return Ok(false);
                }
                if before.is_none() {
                    if next(tx, &NO_BANK, Counter::Purchases)? != number {
                        return Ok(false);
                    }
                    take_numbers(tx, &NO_BANK, Counter::Purchases, 1)?;
                }
                take_numbers(tx, &bank, Counter::Orders, 1)?;
                set_status(tx, &coins, |_| CoinStatus::InPurchase(number))?;
                if let Some(goods) = goods {
                    SMALL_GOODS.put(tx, &number, &goods)?;
                }
                PURCHASES.put(tx, &number, &placing)?;
                Ok(true)
            })
            .await?;
        if !placed {
            return Ok(None);
        }
        let status = "holding";
        self.watch().see(&Event::Purchase { number, status });
        Ok(Some(ordered))
    }

    /// The order of a plan and a note. A restored wallet passes the note as the bank has it.
    pub(crate) fn order(
        &self,
        counter: u64,
        plan: &Plan,
        note: &Note,
        coins: Vec<Coin>,
        sealed_note: Option<Vec<u8>>,
    ) -> Result<Order, WalletError> {
        let seed = self.seed_for(&plan.bank);
        let note_id = seed.note_id(counter);
        let sealed = match sealed_note {
            Some(sealed) => sealed,
            None => {
                let text =
                    wire::encode(note).map_err(|_| WalletError::Inconsistent("a note does not encode"))?;
                seal_note(&seed.note_key(counter), &note_id, &text)
                    .map_err(|_| WalletError::Inconsistent("a note is too long"))?
            }
        };
        Ok(Order::new(OrderParts {
            counter,
            plan,
            coins,
            coin_keys: &self.coin_keys(&plan.bank, &note.coins),
            purchase_key: &seed.purchase_key(counter),
            note_id,
            note: sealed,
            deadline_ms: note.deadline_ms,
        })?)
    }

    /// Where the goods of a restored purchase go.
    pub(crate) fn restored_output(goods_dir: &Path, number: u64, title: &str) -> PathBuf {
        let plain = |c: char| if c.is_alphanumeric() || c == '.' { c } else { '-' };
        goods_dir.join(format!(
            "{number}-{}",
            title.chars().map(plain).collect::<String>()
        ))
    }
}

/// A coin of an ended purchase; one that turned out to be used elsewhere stays that.
fn ended(row: &CoinRow, number: u64, status: CoinStatus) -> CoinStatus {
    match row.status {
        // Released ones turn out to be spent when the bank has obeyed the commit of an escrow that signed an abort, too.
        CoinStatus::InPurchase(other) | CoinStatus::Released(other) if other == number => status,
        other => other,
    }
}

/// The id that is written out in full, as `farthing catalog --json` has it.
fn whole_id(item: &str) -> Option<[u8; 32]> {
    let mut item_id = [0; 32];
    hex::decode_to_slice(item, &mut item_id).ok()?;
    Some(item_id)
}
