//! A wallet from its phrase alone: its coins, and its purchases.

use crate::{
    buckets::{Fetched, PAGES_MAX},
    coins::{coin_row, put_coin},
    error::WalletError,
    mint::{add_coins, new_rows},
    rows::{
        COUNTERS, CoinRow, CoinStatus, Counter, Delivery, NO_BANK, PURCHASES, PurchaseRow, RESTORED,
        RestoredRow,
    },
    wallet::{Wallet, take_numbers},
    watch::Event,
};
use farthing_coin::{KeyBook, PublicKey, Signed};
use farthing_node::{
    card::Card,
    network::Lane,
    store::{StoreError, Transaction},
};
use farthing_planted::{Defect, is_planted};
use farthing_protocol::{
    documents::Issued,
    issue::finish,
    limits::{DEADLINE_HORIZON_MS, RESTORE_GAP},
    purchase::{Plan, Purchase},
    refusal::{AccountFault, Refusal},
    restore::{Asked, BucketRecord, CoinUsed, Memo, MemoRequest, Note, Origin, Shelf, WithdrawalsRequest},
    seal::{open_note, seal_note},
    wire,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// The longest note's text that is decoded (bytes).
const NOTE_TEXT_MAX_BYTES: usize = 4096;

/// How many numbers in a row a restore tries while the bank's list of withdrawals has records left over.
const WITHDRAWAL_GAP: u64 = 100_000;

/// How many numbers at a time are noted as asked for.
const ASKED_AHEAD: u64 = 64;

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
    /// [`resume`](Wallet::resume), and so is what comes through later; their goods go to `goods_dir`.
    ///
    /// # Errors
    /// When the bank does not answer. It can be repeated.
    pub async fn restore(&self, bank: &Card, goods_dir: &Path) -> Result<Restored, WalletError> {
        let keys = self.fetch_keys(bank).await?;
        let mut asked = self.memo(bank, None).await?;
        // Whatever was sent before this is under way until its deadline at the latest.
        let late_until_ms = self.now_ms().saturating_add(DEADLINE_HORIZON_MS);
        let (withdrawals, behind) = self.restore_withdrawals(bank, &keys).await?;
        self.skip_to(&bank.identity, Counter::Withdrawals, behind).await?;
        let exchanges = self.restore_exchanges(bank, &keys, &mut asked).await?;
        let mut fetched = Fetched::default();
        let notes = self.find_notes(bank, &mut fetched, &mut asked).await?;
        let restored_purchases = notes.len() as u64;
        self.find_used_coins(bank, &mut fetched).await?;
        for note in notes {
            self.restore_purchase(&bank.identity, note, goods_dir, Seen::ByRestore)
                .await?;
        }
        // Before any new number is used: the next restore must know which numbers this one has burnt.
        self.memo(bank, Some(&asked)).await?;
        let identity = bank.identity;
        let behind = |ranges: &[(u64, u64)]| ranges.iter().map(|(_, end)| *end).max().unwrap_or(0);
        let row = RestoredRow {
            exchanges: behind(&asked.exchanges),
            orders: behind(&asked.orders),
            goods_dir: goods_dir.to_path_buf(),
            late_until_ms: Some(late_until_ms),
        };
        self.transact(move |tx| RESTORED.put(tx, &identity, &row)).await?;
        Ok(Restored {
            withdrawals,
            exchanges,
            purchases: restored_purchases,
            coins: self.coins()?.len() as u64,
        })
    }

    /// Reads, or replaces, the memo that the bank keeps for this account: which numbers restores have burnt.
    /// The bank learns from it that the account was restored, which the list of withdrawals tells it anyway.
    async fn memo(&self, bank: &Card, asked: Option<&Asked>) -> Result<Asked, WalletError> {
        let account = self.account();
        let key = self.seed_for(&bank.identity).note_key(u64::MAX);
        let seal = |asked: &Asked| {
            let text = wire::encode(asked).ok()?;
            seal_note(&key, &account.0, &text).ok().map(Memo)
        };
        let memo = match asked {
            Some(asked) => Some(seal(asked).ok_or(WalletError::Inconsistent(
                "this wallet was restored too many times",
            ))?),
            None => None,
        };
        let request = MemoRequest {
            bank: bank.identity,
            account,
            memo,
        };
        let signed = Signed::sign(request, &self.account_key());
        let kept = match self.talk(bank, Lane::Identified).ask(&signed).await? {
            Ok(kept) => kept,
            // An account that was never opened has no memo, and nothing to restore but what came without it.
            Err(Refusal::Account(AccountFault::Unknown(_))) => None,
            Err(refusal) => {
                let refusal = Box::new(refusal);
                return Err(WalletError::Refused {
                    party: bank.title(),
                    question: "memo",
                    refusal,
                });
            }
        };
        let opened = kept.and_then(|memo| open_note(&key, &account.0, &memo.0).ok());
        Ok(opened
            .and_then(|text| wire::decode(&text, NOTE_TEXT_MAX_BYTES).ok())
            .unwrap_or_default())
    }

    /// Adds the coins of all withdrawals that the wallet does not have yet; returns how many withdrawals there were, and
    /// the number behind all that were tried.
    pub(crate) async fn restore_withdrawals(
        &self,
        bank: &Card,
        keys: &KeyBook,
    ) -> Result<(u64, u64), WalletError> {
        let mut talk = self.talk(bank, Lane::Identified);
        let mut records: BTreeMap<[u8; 32], Signed<Issued>> = BTreeMap::new();
        let mut after = None;
        for _ in 0..PAGES_MAX {
            let request = WithdrawalsRequest {
                bank: bank.identity,
                account: self.account(),
                after,
            };
            let page = talk.must(&Signed::sign(request, &self.account_key())).await?;
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
        let mine = self.coins()?.into_iter().filter(|row| row.bank == bank.identity);
        let known: BTreeSet<u64> = mine.filter_map(|row| row.origin.withdrawal()).collect();
        let seed = self.seed_for(&bank.identity);
        let mut found = 0;
        let mut number = 0;
        let mut misses = 0;
        // The bank's whole list is here, so numbers are cheap to try: on until every record has its own.
        while misses < RESTORE_GAP || (!records.is_empty() && misses < WITHDRAWAL_GAP) {
            let request_id = seed.withdraw_id(number);
            match records.remove(&request_id) {
                Some(record) => {
                    if !known.contains(&number) {
                        let source = self.account().0;
                        let origin = |slot| Origin::withdrawn(number as u32, slot);
                        self.restore_coins(bank, keys, &request_id, &record, &source, origin)
                            .await?;
                    }
                    found += 1;
                    misses = 0;
                }
                None => misses += 1,
            }
            number += 1;
        }
        self.watch().see(&Event::Restored {
            what: "withdrawals",
            found,
        });
        Ok((found, number))
    }

    async fn restore_exchanges(
        &self,
        bank: &Card,
        keys: &KeyBook,
        asked: &mut Asked,
    ) -> Result<u64, WalletError> {
        let mut fetched = Fetched::default();
        let mut search = Search::new(&asked.exchanges);
        let mut found = 0;
        while let Some(number) = search.next() {
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
        let burnt = search.burnt();
        self.skip_to(&bank.identity, Counter::Exchanges, burnt.1).await?;
        asked.exchanges.push(burnt);
        Ok(found)
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
        self.transact(move |tx| add_coins(tx, &rows)).await
    }

    /// Notes that numbers up to `number` and some beyond it were asked for, before they are: whatever was asked
    /// for is never used again, found or not, even if this restore is cut off.
    async fn ask_for(&self, bank: &PublicKey, counter: Counter, number: u64) -> Result<(), WalletError> {
        if number.is_multiple_of(ASKED_AHEAD) {
            self.skip_to(bank, counter, number.saturating_add(ASKED_AHEAD))
                .await?;
        }
        Ok(())
    }

    async fn skip_to(&self, bank: &PublicKey, counter: Counter, number: u64) -> Result<(), WalletError> {
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

    /// Marks the coins that the bank has seen used.
    pub(crate) async fn find_used_coins(
        &self,
        bank: &Card,
        fetched: &mut Fetched,
    ) -> Result<(), WalletError> {
        let mut found = 0;
        for row in self.coins()? {
            let open = matches!(row.status, CoinStatus::Available | CoinStatus::FoundUsed(_));
            if row.bank != bank.identity || !open {
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
        while let Some(counter) = search.next() {
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
        let burnt = search.burnt();
        self.skip_to(&bank.identity, Counter::Orders, burnt.1).await?;
        asked.orders.push(burnt);
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
            let BucketRecord::Note {
                note_id: id,
                note: sealed,
            } = record
            else {
                return None;
            };
            let text = open_note(&key, &note_id, sealed)
                .ok()
                .filter(|_| *id == note_id)?;
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
    /// answer, or how it ended.
    pub(crate) async fn restore_purchase(
        &self,
        bank: &PublicKey,
        found: FoundNote,
        goods_dir: &Path,
        seen: Seen,
    ) -> Result<(), WalletError> {
        let FoundNote {
            counter,
            sealed,
            note,
            merchant,
        } = found;
        let Some(rows) = self.rows_of(bank, &note.coins)? else {
            // Nothing can be built from it; whatever else there is to find is not kept from it.
            tracing::warn!(number = counter, "a note speaks of coins that were not found");
            return Ok(());
        };
        let plan = Plan {
            bank: note.bank,
            escrow: note.escrow,
            offer: note.offer.clone(),
        };
        let coins = rows.iter().map(|row| row.coin).collect();
        let order = self.order(counter, &plan, &note, coins, Some(sealed))?;
        let purchase = order.purchase();
        let known = |row: &PurchaseRow| {
            row.purchase
                .order()
                .is_some_and(|order| order.purchase() == purchase)
        };
        if self.purchases()?.iter().any(|(_, row)| known(row)) {
            return Ok(());
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
        let begun_ms = self.now_ms();
        let goods_dir = goods_dir.to_path_buf();
        self.transact(move |tx| {
            let number = take_numbers(tx, &NO_BANK, Counter::Purchases, 1)?;
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
                // One of the past is left until it is asked for.
                delivery: if under_way || seen == Seen::Late {
                    Delivery::Pending
                } else {
                    Delivery::OnDemand
                },
                refusal: None,
                begun_ms,
                origins: note.coins,
                exhibits: Vec::new(),
            };
            PURCHASES.put(tx, &number, &row)
        })
        .await
    }

    fn rows_of(&self, bank: &PublicKey, origins: &[Origin]) -> Result<Option<Vec<CoinRow>>, WalletError> {
        let rows = self.coins()?.into_iter().filter(|row| row.bank == *bank);
        let by_origin: BTreeMap<Origin, CoinRow> = rows.map(|row| (row.origin, row)).collect();
        Ok(origins
            .iter()
            .map(|origin| by_origin.get(origin).cloned())
            .collect())
    }
}

/// When a purchase came to light.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// While all that there was before was looked for.
    ByRestore,
    /// Later: it was under way while the restore looked.
    Late,
}

/// A note of an order that was found.
pub(crate) struct FoundNote {
    pub(crate) counter: u64,
    sealed: Vec<u8>,
    note: Note,
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

    /// The next number to look for.
    fn next(&mut self) -> Option<u64> {
        if self.misses >= RESTORE_GAP {
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
