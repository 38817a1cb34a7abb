//! A wallet from its phrase alone: its coins, and its purchases.

use crate::{
    buckets::{Fetched, PAGES_MAX},
    coins::{coin_row, put_coin},
    error::WalletError,
    late::has_come,
    mint::{add_coins, new_rows},
    record_index::RecordIndex,
    rows::{
        COUNTERS, CoinRow, CoinStatus, Counter, Delivery, NO_BANK, PURCHASES, PurchaseRow, RESTORED,
        RestoredRow,
    },
    wallet::{Wallet, take_numbers},
    watch::Event,
};
use farthing_coin::{KeyBook, PublicKey, Signed};
use farthing_node::{card::Card, network::Lane};
use farthing_planted::{Defect, is_planted};
use farthing_protocol::{
    documents::Issued,
    issue::{MintFault, finish},
    limits::{DEADLINE_HORIZON_MS, RESTORE_GAP},
    purchase::{Plan, Purchase},
    restore::{Asked, BucketRecord, CoinUsed, Note, Origin, Shelf, WithdrawalsRequest},
    seal::open_note,
    wire,
};
use farthing_store::{StoreError, Transaction};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// The longest note's text that is decoded (bytes).
const NOTE_TEXT_MAX_BYTES: usize = 4096;

/// How many numbers in a row a restore tries while the bank's list of withdrawals has records left over.
const WITHDRAWAL_GAP: u64 = 100_000;

/// How many numbers at a time are noted as asked for.
pub(crate) const ASKED_AHEAD: u64 = 64;

/// What a restore has found.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Restored {
    /// Withdrawals.
    pub withdrawals: u64,
    /// Exchanges.
    pub exchanges: u64,
    /// Purchases.
    pub purchases: u64,
    /// Coins, used ones included.
    pub coins: u64,
}

impl Wallet {
    /// Finds coins and purchases again from the seed alone, at one bank. Purchases under way are left for
    /// [`resume`](Wallet::resume), and so is what comes through later; their goods go to `goods_dir`. When it has ended
    /// once, repeating it looks for what has come through.
    ///
    /// # Errors
    /// When the bank does not answer. It can be repeated.
    pub async fn restore(&self, bank: &Card, goods_dir: &Path) -> Result<Restored, WalletError> {
        match RESTORED.peek(&self.store.view(), &bank.identity)? {
            Some(row) => self.look_at(bank, &row).await?,
            None => self.restore_first(bank, goods_dir).await?,
        }
        self.restored_from(&bank.identity)
    }

    async fn restore_first(&self, bank: &Card, goods_dir: &Path) -> Result<(), WalletError> {
        let began_ms = self.now_ms();
        let keys = self.fetch_keys(bank).await?;
        let mut asked = self.scan_record(bank).await?;
        self.restore_withdrawals(bank, &keys, &mut asked).await?;
        self.restore_exchanges(bank, &keys, &mut asked).await?;
        let mut fetched = Fetched::default();
        let mut notes = self.find_notes(bank, &mut fetched, &mut asked).await?;
        self.find_used_coins(bank, &mut fetched, |_| true).await?;
        self.look_beyond(bank, &keys, &mut notes, &mut asked).await?;
        let mut index = self.record_index(&bank.identity)?;
        for note in notes {
            self.restore_purchase(&mut index, note, goods_dir, None).await?;
        }
        // Before any new number is used: the next restore must know which numbers this one has burnt.
        self.extend_scan_record(bank, &asked).await?;
        let identity = bank.identity;
        let row = RestoredRow {
            withdrawals: Asked::end(&asked.withdrawals),
            exchanges: Asked::end(&asked.exchanges),
            orders: Asked::end(&asked.orders),
            began_ms,
            goods_dir: goods_dir.to_path_buf(),
            // Whatever was sent before this is under way until its deadline at the latest.
            late_until_ms: Some(began_ms.saturating_add(DEADLINE_HORIZON_MS)),
            has_come: false,
        };
        self.transact(move |tx| RESTORED.put(tx, &identity, &row)).await
    }

    /// What the wallet has of a bank's, as a restore finds it.
    fn restored_from(&self, bank: &PublicKey) -> Result<Restored, WalletError> {
        let (withdrawals, exchanges) = self.issued_numbers(bank)?;
        Ok(Restored {
            withdrawals: withdrawals.len() as u64,
            exchanges: exchanges.len() as u64,
            purchases: self.order_numbers(bank)?.len() as u64,
            coins: self.coins()?.iter().filter(|row| row.bank == *bank).count() as u64,
        })
    }

    /// The numbers of the withdrawals and of the exchanges of which the wallet has the coins.
    pub(crate) fn issued_numbers(
        &self,
        bank: &PublicKey,
    ) -> Result<(BTreeSet<u64>, BTreeSet<u64>), WalletError> {
        let rows = self.coins()?;
        let origins = || rows.iter().filter(|row| row.bank == *bank).map(|row| row.origin);
        let withdrawals = origins().filter_map(|origin| origin.withdrawal()).collect();
        let exchanges = origins().filter_map(|origin| origin.exchange()).collect();
        Ok((withdrawals, exchanges))
    }

    /// The numbers of the orders that the wallet knows.
    pub(crate) fn order_numbers(&self, bank: &PublicKey) -> Result<BTreeSet<u64>, WalletError> {
        let purchases = self.purchases()?;
        let orders = purchases.iter().filter_map(|(_, row)| row.purchase.order());
        let here = orders.filter(|order| order.contract.terms.bank == *bank);
        Ok(here.map(|order| order.counter).collect())
    }

    async fn restore_withdrawals(
        &self,
        bank: &Card,
        keys: &KeyBook,
        asked: &mut Asked,
    ) -> Result<(), WalletError> {
        let mut records = self.withdrawal_records(bank).await?;
        let seed = self.seed_for(&bank.identity);
        let mut search = Search::new(&asked.withdrawals);
        let mut found = 0;
        loop {
            // The bank's whole list is here, so numbers are cheap to try: on until every record has its own.
            let gap = if records.is_empty() {
                RESTORE_GAP
            } else {
                WITHDRAWAL_GAP
            };
            let Some(number) = search.next(gap) else { break };
            if let Some(record) = records.remove(&seed.withdraw_id(number)) {
                self.restore_withdrawal(bank, keys, number, &record).await?;
                found += 1;
                search.found();
            }
        }
        self.watch().see(&Event::Restored {
            what: "withdrawals",
            found,
        });
        self.burn(
            &bank.identity,
            Counter::Withdrawals,
            &search,
            &mut asked.withdrawals,
        )
        .await
    }

    /// What the bank has issued to the wallet's accounts, by request id.
    pub(crate) async fn withdrawal_records(
        &self,
        bank: &Card,
    ) -> Result<BTreeMap<[u8; 32], Signed<Issued>>, WalletError> {
        let mut records = BTreeMap::new();
        for key in self.account_keys(&bank.identity)? {
            let mut talk = self.talk(bank, Lane::Identified);
            let mut after = None;
            for _ in 0..PAGES_MAX {
                let request = WithdrawalsRequest {
                    bank: bank.identity,
                    account: key.public(),
                    after,
                };
                let page = talk.must(&Signed::sign(request, &key)).await?;
                after = page.records.last().map(|record| record.body.request_id);
                records.extend(
                    page.records
                        .into_iter()
                        .map(|record| (record.body.request_id, record)),
                );
                if !page.more || after.is_none() {
                    break;
                }
            }
        }
        Ok(records)
    }

    /// Adds the coins of a withdrawal.
    pub(crate) async fn restore_withdrawal(
        &self,
        bank: &Card,
        keys: &KeyBook,
        number: u64,
        record: &Signed<Issued>,
    ) -> Result<(), WalletError> {
        let request_id = self.seed_for(&bank.identity).withdraw_id(number);
        let accounts = self.account_keys(&bank.identity)?;
        let mut sources = accounts.iter().map(|key| key.public().0);
        let source = sources
            .find(|account| *account == record.body.source)
            .ok_or(MintFault::Mismatch("source"))?;
        let origin = |slot| Origin::withdrawn(number as u32, slot);
        self.restore_coins(bank, keys, &request_id, record, &source, origin)
            .await
    }

    async fn restore_exchanges(
        &self,
        bank: &Card,
        keys: &KeyBook,
        asked: &mut Asked,
    ) -> Result<(), WalletError> {
        let mut fetched = Fetched::default();
        let mut search = Search::new(&asked.exchanges);
        let mut found = 0;
        while let Some(number) = search.next(RESTORE_GAP) {
            self.ask_for(&bank.identity, Counter::Exchanges, number).await?;
            if self.restore_exchange(bank, keys, &mut fetched, number).await? {
                found += 1;
                search.found();
            }
        }
        self.watch().see(&Event::Restored {
            what: "exchanges",
            found,
        });
        self.burn(&bank.identity, Counter::Exchanges, &search, &mut asked.exchanges)
            .await
    }

    /// Adds the coins of the exchange of this number; says whether there is one.
    pub(crate) async fn restore_exchange(
        &self,
        bank: &Card,
        keys: &KeyBook,
        fetched: &mut Fetched,
        number: u64,
    ) -> Result<bool, WalletError> {
        let request_id = self.seed_for(&bank.identity).exchange_id(number);
        let bucket = self.bucket(bank, fetched, Shelf::Exchanges, &request_id).await?;
        let record = bucket.iter().find_map(|record| match record {
            BucketRecord::Exchange(issued) if issued.body.request_id == request_id => Some(issued.clone()),
            _ => None,
        });
        let Some(record) = record else {
            return Ok(false);
        };
        let source = record.body.source;
        let origin = |slot| Origin::exchanged(number as u32, slot);
        self.restore_coins(bank, keys, &request_id, &record, &source, origin)
            .await?;
        Ok(true)
    }

    async fn restore_coins(
        &self,
        bank: &Card,
        keys: &KeyBook,
        request_id: &[u8; 32],
        record: &Signed<Issued>,
        source: &[u8; 32],
        origin: impl Fn(u8) -> Origin,
    ) -> Result<(), WalletError> {
        let seed = self.seed_for(&bank.identity);
        let coins = finish(request_id, record, &bank.identity, source, keys, &seed)?;
        let rows = new_rows(&coins, keys, origin)?;
        let bank = bank.identity;
        self.transact(move |tx| {
            has_come(tx, &bank)?;
            add_coins(tx, &rows)
        })
        .await
    }

    /// Notes that numbers up to `number` and some beyond it were asked for, before they are: whatever was asked
    /// for is never used again, found or not, even if this restore is cut off.
    pub(crate) async fn ask_for(
        &self,
        bank: &PublicKey,
        counter: Counter,
        number: u64,
    ) -> Result<(), WalletError> {
        if number.is_multiple_of(ASKED_AHEAD) {
            self.skip_to(bank, counter, number.saturating_add(ASKED_AHEAD))
                .await?;
        }
        Ok(())
    }

    /// Goes on behind all that a search has asked for, and adds what it has asked for in vain to `asked`.
    async fn burn(
        &self,
        bank: &PublicKey,
        counter: Counter,
        search: &Search,
        asked: &mut Vec<(u64, u64)>,
    ) -> Result<(), WalletError> {
        let burnt = search.burnt();
        asked.push(burnt);
        self.skip_to(bank, counter, burnt.1).await
    }

    pub(crate) async fn skip_to(
        &self,
        bank: &PublicKey,
        counter: Counter,
        number: u64,
    ) -> Result<(), WalletError> {
        if is_planted(Defect::BurntNumbersReused) {
            return Ok(());
        }
        let key = (*bank, counter as u8);
        self.transact(move |tx| {
            let next = COUNTERS.get(tx, &key)?.unwrap_or(0);
            COUNTERS.put(tx, &key, &next.max(number))
        })
        .await
    }

    /// Marks the coins that the bank has seen used, of those of which `is_meant` says so.
    pub(crate) async fn find_used_coins(
        &self,
        bank: &Card,
        fetched: &mut Fetched,
        is_meant: impl Fn(&Origin) -> bool,
    ) -> Result<(), WalletError> {
        let mut found = 0;
        for row in self.coins()? {
            let open = matches!(row.status, CoinStatus::Available | CoinStatus::FoundUsed(_));
            if row.bank != bank.identity || !open || !is_meant(&row.origin) {
                continue;
            }
            let public = row.coin.public;
            let bucket = self
                .bucket(bank, fetched, Shelf::Coins(row.coin.key_id), &public.0)
                .await?;
            let used = bucket.iter().find_map(|record| match record {
                BucketRecord::Coin { coin, used } if *coin == public => Some(*used),
                _ => None,
            });
            let Some(used) = used else { continue };
            found += 1;
            self.transact(move |tx| move_coin(tx, row, CoinStatus::FoundUsed(used)))
                .await?;
        }
        self.watch().see(&Event::Restored {
            what: "used coins",
            found,
        });
        Ok(())
    }

    /// The notes of this wallet's orders. They are looked for before the coins are: what a note says of coins that were
    /// found unused after it would be two answers of the bank's from two times.
    async fn find_notes(
        &self,
        bank: &Card,
        fetched: &mut Fetched,
        asked: &mut Asked,
    ) -> Result<Vec<FoundNote>, WalletError> {
        let mut search = Search::new(&asked.orders);
        let mut found = Vec::new();
        while let Some(counter) = search.next(RESTORE_GAP) {
            self.ask_for(&bank.identity, Counter::Orders, counter).await?;
            let notes = self.notes(bank, fetched, counter).await?;
            if !notes.is_empty() {
                found.extend(notes);
                search.found();
            }
        }
        self.watch().see(&Event::Restored {
            what: "purchases",
            found: found.len() as u64,
        });
        self.burn(&bank.identity, Counter::Orders, &search, &mut asked.orders)
            .await?;
        Ok(found)
    }

    /// The notes of the order of this counter. Copies of a wallet leave several under one id; and anybody can leave one
    /// that does not open.
    pub(crate) async fn notes(
        &self,
        bank: &Card,
        fetched: &mut Fetched,
        counter: u64,
    ) -> Result<Vec<FoundNote>, WalletError> {
        let seed = self.seed_for(&bank.identity);
        let (note_id, key) = (seed.note_id(counter), seed.note_key(counter));
        let bucket = self.bucket(bank, fetched, Shelf::Notes, &note_id).await?;
        let opened = |record: &BucketRecord| {
            let sealed = match record {
                BucketRecord::Note { note_id: id, note } if *id == note_id => note,
                _ => return None,
            };
            let text = open_note(&key, &note_id, sealed).ok()?;
            let note: Note = wire::decode(&text, NOTE_TEXT_MAX_BYTES).ok()?;
            let merchant: Card = note.merchant_card.parse().ok()?;
            Some(FoundNote {
                counter,
                sealed: sealed.clone(),
                note,
                merchant,
            })
        };
        Ok(bucket.iter().filter_map(opened).collect())
    }

    /// Builds the order again from the wallet's note, as if its hold had just been asked for: asking again gets the same
    /// answer, or how it ended. A restore that began at `late_for_ms` has not found it.
    pub(crate) async fn restore_purchase(
        &self,
        index: &mut RecordIndex,
        found: FoundNote,
        goods_dir: &Path,
        late_for_ms: Option<u64>,
    ) -> Result<(), WalletError> {
        // Purchases that others add meanwhile may be this one.
        while !self
            .try_restore_purchase(index, found.clone(), goods_dir, late_for_ms)
            .await?
        {}
        Ok(())
    }

    async fn try_restore_purchase(
        &self,
        index: &mut RecordIndex,
        found: FoundNote,
        goods_dir: &Path,
        late_for_ms: Option<u64>,
    ) -> Result<bool, WalletError> {
        let FoundNote {
            counter,
            sealed,
            note,
            merchant,
        } = found;
        let Some(rows) = self.rows_of(index, &note.coins)? else {
            // Nothing can be built from it; whatever else there is to find is not kept from it.
            tracing::warn!(number = counter, "a note speaks of coins that were not found");
            return Ok(true);
        };
        let plan = Plan {
            bank: note.bank,
            escrow: note.escrow,
            offer: note.offer.clone(),
        };
        let coins = rows.iter().map(|row| row.coin).collect();
        let order = self.order(counter, &plan, &note, coins, Some(sealed))?;
        let purchase = order.purchase();
        let number = self.next_number()?;
        if self.knows_purchase(index, &purchase)? {
            return Ok(true);
        }
        // What a bank has refused with since, it has shown to be this very purchase.
        let uses: Vec<Option<CoinUsed>> = rows
            .iter()
            .map(|row| match row.status {
                CoinStatus::FoundUsed(used) => Some(used),
                CoinStatus::HeldElsewhere(used) if used.digest == purchase.0 => Some(CoinUsed::Held),
                CoinStatus::UsedElsewhere(used) if used.digest == purchase.0 => Some(CoinUsed::Spent),
                _ => None,
            })
            .collect();
        let is = |any: &[CoinUsed]| uses.iter().flatten().any(|used| any.contains(used));
        let under_way = is(&[CoinUsed::Held, CoinUsed::Released]) && !is(&[CoinUsed::Spent]);
        // One of the past is left until it is asked for.
        let was_under_way = late_for_ms.is_some_and(|restored_ms| note.deadline_ms >= restored_ms);
        let begun_ms = self.now_ms();
        let goods_dir = goods_dir.to_path_buf();
        self.transact(move |tx| {
            if take_numbers(tx, &NO_BANK, Counter::Purchases, 1)? != number {
                return Ok(false);
            }
            let output = Wallet::restored_output(&goods_dir, number, &note.offer.body.title);
            for (row, used) in rows.into_iter().zip(uses) {
                let available = row.status == CoinStatus::Available;
                let status = match used {
                    // Coins that went on to an exchange are not this purchase's any more.
                    Some(CoinUsed::Exchanged) => continue,
                    Some(_) if under_way => CoinStatus::InPurchase(number),
                    None if under_way && available => CoinStatus::InPurchase(number),
                    Some(CoinUsed::Spent) => CoinStatus::Spent(number),
                    _ => continue,
                };
                move_coin(tx, row, status)?;
            }
            let row = PurchaseRow {
                purchase: Purchase::Holding(order),
                merchant,
                output,
                delivery: if under_way || was_under_way {
                    Delivery::Pending
                } else {
                    Delivery::OnDemand
                },
                refusal: None,
                begun_ms,
                origins: note.coins,
                exhibits: Vec::new(),
            };
            PURCHASES.put(tx, &number, &row)?;
            Ok(true)
        })
        .await
    }
}

/// A note of an order that was found.
#[derive(Clone)]
pub(crate) struct FoundNote {
    pub(crate) counter: u64,
    sealed: Vec<u8>,
    pub(crate) note: Note,
    merchant: Card,
}

/// Gives a coin another status, unless it has one already that `row` does not know of.
fn move_coin(tx: &mut Transaction<'_>, row: CoinRow, status: CoinStatus) -> Result<(), StoreError> {
    let key = (row.coin.key_id, row.coin.public);
    if coin_row(tx, &key)?.is_some_and(|now| now.status == row.status) {
        put_coin(tx, &CoinRow { status, ..row })?;
    }
    Ok(())
}

/// A search through numbers, which ends after a gap. Those that earlier restores have burnt are looked at as well, as
/// something may have come under them since, but are no part of a gap.
struct Search {
    burnt: Vec<(u64, u64)>,
    next: u64,
    behind_last: u64,
    misses: u64,
}

impl Search {
    fn new(burnt: &[(u64, u64)]) -> Self {
        Search {
            burnt: burnt.to_vec(),
            next: 0,
            behind_last: 0,
            misses: 0,
        }
    }

    /// The next number to look for, unless `gap` were missing in a row.
    fn next(&mut self, gap: u64) -> Option<u64> {
        if self.misses >= gap {
            return None;
        }
        let number = self.next;
        self.next = number.saturating_add(1);
        if self
            .burnt
            .iter()
            .any(|(from, end)| (*from..*end).contains(&number))
        {
            // Whatever was used after that restore begins behind it.
            self.found();
        } else {
            self.misses = self.misses.saturating_add(1);
        }
        Some(number)
    }

    /// There was something under the number.
    fn found(&mut self) {
        self.behind_last = self.next;
        self.misses = 0;
    }

    /// The numbers at the end that were asked for in vain, and those that were noted as asked ahead of them.
    fn burnt(&self) -> (u64, u64) {
        let end = self.next.saturating_add(ASKED_AHEAD);
        (self.behind_last, end)
    }
}
