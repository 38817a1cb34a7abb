//! A sorting station: scans, reports and purges.

use super::{
    rows::{ENTRIES, HIGHEST, LISTED, SECOND, SEEN, SEEN_BY_DAY, STATION, SeenRow, StationRow},
    rules::{Face, Fault, Rows, StationSettings, check_face, decide},
};
use crate::{
    day::{Day, VALID_DAYS},
    documents::{IndiciumBytes, MeterList, REPORT_MAX, StationReport},
    forget::forget,
    indicium::{VerifiedIndicium, decode, verify},
};
use farthing_coin::{PublicKey, SecretKey, Signed};
use farthing_store::{Reads, Store, StoreError, Transaction};
use std::{ops::Bound, sync::Arc};

/// Rows of one read or one transaction.
const PAGE: usize = 500;

/// A station.
pub struct Station {
    store: Store,
    key: SecretKey,
    office: PublicKey,
    settings: Arc<StationSettings>,
}

impl std::fmt::Debug for Station {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Station")
            .field("station", &self.key.public())
            .finish_non_exhaustive()
    }
}

/// Why a station fails. A letter that is not accepted is a [`Fault`] and no failure.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StationError {
    /// The list of meters.
    #[error("the signature under the list is not that of the office {0}")]
    OtherOffice(PublicKey),
    /// The list is older.
    #[error(
        "this list has the number {got}, and the station has {own} already; ask the office for a new one"
    )]
    OlderList {
        /// The number of the list.
        got: u64,
        /// The number of the station's list.
        own: u64,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The counts of a station.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct StationCounts {
    /// Entries so far.
    pub entries: u64,
    /// Entries that the office has.
    pub received: u64,
    /// The number of the meter list.
    pub list: u64,
}

/// An indicium that is verified and whose face is checked, with its bytes.
type Checked = (VerifiedIndicium, IndiciumBytes);

impl Station {
    /// The station over this store.
    #[must_use]
    pub fn new(store: Store, key: SecretKey, office: PublicKey, settings: StationSettings) -> Station {
        Station {
            store,
            key,
            office,
            settings: Arc::new(settings),
        }
    }

    /// Its public key.
    #[must_use]
    pub fn id(&self) -> PublicKey {
        self.key.public()
    }

    /// Closes the store.
    ///
    /// # Errors
    /// When the store fails.
    pub fn close(self) -> Result<(), StoreError> {
        self.store.close()
    }

    fn row(&self) -> Result<StationRow, StoreError> {
        Ok(STATION.peek(&self.store.view(), &())?.unwrap_or_default())
    }

    /// The counts.
    ///
    /// # Errors
    /// When the store fails.
    pub fn counts(&self) -> Result<StationCounts, StationError> {
        let row = self.row()?;
        Ok(StationCounts {
            entries: row.entries,
            received: row.received,
            list: row.list,
        })
    }

    /// Takes the office's list of meters.
    ///
    /// # Errors
    /// [`StationError`].
    pub fn learn(&self, list: &Signed<MeterList>) -> Result<(), StationError> {
        let body = &list.body;
        let is_of_office = body.office == self.office && list.verify(&self.office).is_ok();
        if !is_of_office {
            return Err(StationError::OtherOffice(self.office));
        }
        let own = self.row()?;
        if body.number < own.list {
            return Err(StationError::OlderList {
                got: body.number,
                own: own.list,
            });
        }
        for page in body.meters.chunks(PAGE) {
            let page = page.to_vec();
            self.store.transact_blocking(Reads::none(), move |tx| {
                page.iter()
                    .try_for_each(|listed| LISTED.put(tx, &listed.meter, listed))
            })?;
        }
        let received = body
            .received
            .iter()
            .find(|received| received.station == self.id());
        let (number, received) = (body.number, received.map_or(0, |received| received.up_to));
        self.store.transact_blocking([STATION.key(&())], move |tx| {
            let row = STATION.get(tx, &())?.unwrap_or_default();
            let next = StationRow {
                list: number,
                received: row.received.max(received),
                // A store that was put back from a copy: its next entries have numbers that the office does not know.
                entries: row.entries.max(received),
                ..row
            };
            STATION.put(tx, &(), &next)
        })?;
        self.forget_entries()
    }

    /// Forgets the entries that the office has.
    fn forget_entries(&self) -> Result<(), StationError> {
        let received = self.row()?.received;
        let delete = |tx: &mut Transaction<'_>, number: &u64| ENTRIES.delete(tx, number);
        forget(&self.store, &ENTRIES, |number| *number <= received, delete)?;
        Ok(())
    }

    /// Scans one letter. The indicium is accepted once, and the acceptance is durable before this returns.
    ///
    /// # Errors
    /// When the store fails.
    pub fn scan(&self, bytes: &[u8], face: &Face, now_ms: u64) -> Result<Result<(), Fault>, StationError> {
        let mut scanned = self.scan_all(&[(bytes.to_vec(), face.clone())], now_ms)?;
        Ok(scanned.pop().unwrap_or(Ok(())))
    }

    /// Scans many letters, in one durable write for each few hundred of them.
    ///
    /// # Errors
    /// When the store fails.
    pub fn scan_all(
        &self,
        letters: &[(Vec<u8>, Face)],
        now_ms: u64,
    ) -> Result<Vec<Result<(), Fault>>, StationError> {
        let mut results = Vec::with_capacity(letters.len());
        for page in letters.chunks(PAGE / 2) {
            let checked: Vec<Result<Checked, Fault>> =
                page.iter().map(|(bytes, face)| self.check(bytes, face)).collect();
            results.extend(self.accept(checked, now_ms)?);
        }
        Ok(results)
    }

    /// Verifies one letter without a row.
    fn check(&self, bytes: &[u8], face: &Face) -> Result<Checked, Fault> {
        let indicium = verify(decode(bytes)?).map_err(|_| Fault::Forged)?;
        check_face(&indicium, face, &self.settings)?;
        Ok((indicium, IndiciumBytes(bytes.to_vec())))
    }

    fn accept(
        &self,
        letters: Vec<Result<Checked, Fault>>,
        now_ms: u64,
    ) -> Result<Vec<Result<(), Fault>>, StoreError> {
        let keys = letters.iter().flatten().flat_map(|(indicium, _)| {
            let body = indicium.body();
            [
                LISTED.key(&body.meter),
                SEEN.key(&(body.meter, body.sequence)),
                HIGHEST.key(&body.meter),
                SECOND.key(&(body.day.0, indicium.digest())),
            ]
        });
        let reads = Reads::from(keys.collect::<Vec<_>>()).and([STATION.key(&())]);
        let settings = Arc::clone(&self.settings);
        self.store.transact_blocking(reads, move |tx| {
            let accept = |letter: &Result<Checked, Fault>| match letter {
                Err(fault) => Ok(Err(fault.clone())),
                Ok(checked) => accept_one(tx, checked, &settings, now_ms),
            };
            letters.iter().map(accept).collect()
        })
    }

    /// The report of what the office does not have. `None` if it has all. The same entries are reported until the office
    /// confirms them in its list.
    ///
    /// # Errors
    /// When the store fails.
    pub fn report(&self) -> Result<Option<Signed<StationReport>>, StationError> {
        let (view, row) = (self.store.view(), self.row()?);
        let mut indicia = Vec::new();
        let mut after = row.received;
        while indicia.len() < REPORT_MAX {
            let page = ENTRIES.scan(
                &view,
                Bound::Excluded(&after),
                PAGE.min(REPORT_MAX - indicia.len()),
            )?;
            let Some((last, _)) = page.last() else {
                break;
            };
            after = *last;
            indicia.extend(page.into_iter().map(|(_, bytes)| bytes));
        }
        if indicia.is_empty() {
            return Ok(None);
        }
        let report = StationReport {
            station: self.id(),
            first: row.received.saturating_add(1),
            indicia,
        };
        Ok(Some(Signed::sign(report, &self.key)))
    }

    /// Forgets accepted indicia that have expired, by the date on them. Returns how many.
    ///
    /// # Errors
    /// When the store fails.
    pub fn purge(&self, today: Day) -> Result<u64, StationError> {
        let before = Day(today.0.saturating_sub(VALID_DAYS));
        // First, so that no indicium is accepted again after it was forgotten, whatever the clock says later.
        self.store.transact_blocking([STATION.key(&())], move |tx| {
            let row = STATION.get(tx, &())?.unwrap_or_default();
            let purged_before = row.purged_before.max(before);
            STATION.put(tx, &(), &StationRow { purged_before, ..row })
        })?;
        let before = self.row()?.purged_before;
        forget(
            &self.store,
            &SECOND,
            |key| Day(key.0) < before,
            |tx, key| SECOND.delete(tx, key),
        )?;
        let purged = forget(
            &self.store,
            &SEEN_BY_DAY,
            |key| Day(key.0) < before,
            |tx, key| {
                SEEN_BY_DAY.delete(tx, key)?;
                SEEN.delete(tx, &(key.1, key.2))
            },
        )?;
        Ok(purged)
    }
}

/// Accepts one indicium over its rows, or says why not.
fn accept_one(
    tx: &mut Transaction<'_>,
    (indicium, bytes): &Checked,
    settings: &StationSettings,
    now_ms: u64,
) -> Result<Result<(), Fault>, StoreError> {
    let body = indicium.body();
    let key = (body.meter, body.sequence);
    let rows = Rows {
        station: STATION.get(tx, &())?.unwrap_or_default(),
        listed: LISTED.get(tx, &body.meter)?,
        seen: SEEN.get(tx, &key)?,
        highest: HIGHEST.get(tx, &body.meter)?,
    };
    match decide(indicium, &rows, settings, Day::of_ms(now_ms)) {
        Ok(highest) => {
            let digest = indicium.digest();
            SEEN.put(
                tx,
                &key,
                &SeenRow {
                    digest,
                    at_ms: now_ms,
                },
            )?;
            SEEN_BY_DAY.put(tx, &(body.day.0, key.0, key.1), &())?;
            HIGHEST.put(tx, &body.meter, &highest)?;
            enter(tx, &rows.station, bytes)?;
            Ok(Ok(()))
        }
        // What convicts a copied meter goes to the office, once, although the letter is not accepted.
        Err(fault @ (Fault::NumberReused { .. } | Fault::Registers { .. })) => {
            let second = (body.day.0, indicium.digest());
            if SECOND.get(tx, &second)?.is_none() {
                SECOND.put(tx, &second, &())?;
                enter(tx, &rows.station, bytes)?;
            }
            Ok(Err(fault))
        }
        Err(fault) => Ok(Err(fault)),
    }
}

/// Appends an entry for the office.
fn enter(tx: &mut Transaction<'_>, station: &StationRow, bytes: &IndiciumBytes) -> Result<(), StoreError> {
    let entries = station.entries.saturating_add(1);
    ENTRIES.put(tx, &entries, bytes)?;
    STATION.put(tx, &(), &StationRow { entries, ..*station })
}
