//! The requests to an office. Each is one transaction, and is answered after it is durable. A repeated request gets the same
//! answer.

use super::{
    audit::{Books, count},
    rows::{CONFLICTS, LIST, METERS, MeterRow, REFILLS, RefillRow, STATIONS, USES, USES_BY_DAY, UseRow},
    rules::{self, OfficeRefusal},
};
use crate::{
    day::Day,
    documents::{
        AuditChallenge, IndiciumBytes, ListedMeter, MeterAudit, MeterCertificate, MeterList, MeterRequest,
        Received, Refill, RefillSource, RevocationReason, StationReport, meter_in,
    },
    forget::forget,
    indicium::{VerifiedIndicium, decode, verify},
    judge::paid_refill,
    meter::rows::refill_key,
};
use farthing_coin::{PublicKey, SecretKey, Signed};
use farthing_protocol::payment_proof::PaymentProof;
use farthing_store::{Reads, Store, StoreError, Table, Transaction, View};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

/// Indicia of a report in one transaction.
const CHUNK: usize = 200;

/// Rows of one read.
const PAGE: usize = 500;

/// Where an office is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfficeAccount {
    /// The bank.
    pub bank: PublicKey,
    /// The account there.
    pub account: PublicKey,
}

/// An office.
pub struct Office {
    store: Store,
    key: SecretKey,
    account: OfficeAccount,
}

impl std::fmt::Debug for Office {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Office")
            .field("office", &self.key.public())
            .finish_non_exhaustive()
    }
}

/// Why a request to an office failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OfficeError {
    /// It was refused, and nothing is changed.
    #[error(transparent)]
    Refused(#[from] OfficeRefusal),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a report has brought.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Taken {
    /// Indicia that were new.
    pub new: u64,
    /// Indicia that the office had.
    pub known: u64,
    /// Entries that are no indicium of a meter of this office.
    pub bad: u64,
    /// Indicia that are so old that the office has forgotten their time. They are not counted.
    pub late: u64,
    /// The meters that were found to be copied, by a second indicium under one sequence number.
    pub copied: BTreeSet<PublicKey>,
    /// Whether entries before the report are missing. The station repeats them until the office has them.
    pub is_early: bool,
}

/// A meter and a sequence number, and the two indicia under it.
pub type Conflict = ((PublicKey, u64), [IndiciumBytes; 2]);

/// Gives the list of meters a new number.
fn raise_list(tx: &mut Transaction<'_>) -> Result<(), StoreError> {
    let number = LIST.get(tx, &())?.unwrap_or_default();
    LIST.put(tx, &(), &number.saturating_add(1))
}

impl Office {
    /// The office over this store.
    #[must_use]
    pub fn new(store: Store, key: SecretKey, account: OfficeAccount) -> Office {
        Office { store, key, account }
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

    /// Certifies a meter. A meter that is certified gets the same certificate again.
    ///
    /// # Errors
    /// [`OfficeError`].
    pub fn certify(
        &self,
        request: &Signed<MeterRequest>,
        today: Day,
    ) -> Result<Signed<MeterCertificate>, OfficeError> {
        let asked = &request.body;
        request.verify(&asked.meter).map_err(|_| OfficeRefusal::Request)?;
        let certificate = MeterCertificate {
            office: self.id(),
            bank: self.account.bank,
            account: self.account.account,
            meter: asked.meter,
            from: asked.from.clone(),
            day: today,
        };
        let reads = [METERS.key(&asked.meter), LIST.key(&())];
        let certificate = self.store.transact_blocking(reads, move |tx| {
            if let Some(row) = METERS.get(tx, &certificate.meter)? {
                return Ok(match row.certificate.from == certificate.from {
                    true => Ok(row.certificate),
                    false => Err(OfficeRefusal::OtherCode(row.certificate.from.to_string())),
                });
            }
            METERS.put(tx, &certificate.meter, &rules::certified(certificate.clone()))?;
            raise_list(tx)?;
            Ok(Ok(certificate.clone()))
        })??;
        Ok(Signed::sign(certificate, &self.key))
    }

    /// Sells a refill for a deposit. A deposit that was shown before gets the same refill again.
    ///
    /// # Errors
    /// [`OfficeError`].
    pub fn refill(&self, proof: &PaymentProof) -> Result<Signed<Refill>, OfficeError> {
        let meter = meter_in(&proof.text).ok_or(OfficeRefusal::NoMeter)?;
        let terms = self.meter(&meter)?.certificate;
        let paid = paid_refill(proof, &terms).map_err(OfficeRefusal::from)?;
        let source = RefillSource::Deposit(paid.deposit);
        let (key, proof) = (refill_key(&source), proof.clone());
        let reads = [METERS.key(&meter), REFILLS.key(&key)];
        let refill = self.store.transact_blocking(reads, move |tx| {
            if let Some(row) = REFILLS.get(tx, &key)? {
                return Ok(Ok(row.refill));
            }
            let Some(row) = METERS.get(tx, &meter)? else {
                return Ok(Err(OfficeRefusal::UnknownMeter(meter)));
            };
            let (row, refill) = match rules::sell(&row, source, paid.amount) {
                Err(refusal) => return Ok(Err(refusal)),
                Ok(sold) => sold,
            };
            METERS.put(tx, &meter, &row)?;
            let stored = RefillRow {
                refill: refill.clone(),
                proof: Some(proof.clone()),
            };
            REFILLS.put(tx, &key, &stored)?;
            Ok(Ok(refill))
        })??;
        Ok(Signed::sign(refill, &self.key))
    }

    /// Draws a question for a meter: its next audit is to answer it. An earlier question counts no more.
    ///
    /// # Errors
    /// [`OfficeError`].
    pub fn ask(&self, meter: &PublicKey, challenge: AuditChallenge) -> Result<(), OfficeError> {
        self.change(meter, move |row| rules::asked(row, challenge))
            .map(drop)
    }

    /// Takes a meter's statement of its registers. Returns the meter afterwards: it is revoked if it answers the last question
    /// with registers that are older than those before the question.
    ///
    /// # Errors
    /// [`OfficeError`].
    pub fn audited(&self, audit: &Signed<MeterAudit>, today: Day) -> Result<MeterRow, OfficeError> {
        let meter = audit.body.meter;
        audit.verify(&meter).map_err(|_| OfficeRefusal::Audit)?;
        let audit = audit.clone();
        self.change(&meter, move |row| {
            let next = rules::audited(row, &audit.body, today);
            let audit = match next.seen == audit.body.registers {
                true => Some(audit.clone()),
                false => next.audit.clone(),
            };
            MeterRow { audit, ..next }
        })
    }

    /// Revokes a meter: stations refuse its indicia that are dated `from` or later.
    ///
    /// # Errors
    /// [`OfficeError`].
    pub fn revoke(&self, meter: &PublicKey, from: Day, today: Day) -> Result<MeterRow, OfficeError> {
        self.change(meter, move |row| {
            rules::revoke(row, RevocationReason::GivenUp, from, today)
        })
    }

    /// Changes the row of a meter. The list gets a new number if the meter's revocation changes.
    fn change(
        &self,
        meter: &PublicKey,
        change: impl Fn(&MeterRow) -> MeterRow + Send + 'static,
    ) -> Result<MeterRow, OfficeError> {
        let meter = *meter;
        let reads = [METERS.key(&meter), LIST.key(&())];
        let row = self.store.transact_blocking(reads, move |tx| {
            let Some(row) = METERS.get(tx, &meter)? else {
                return Ok(Err(OfficeRefusal::UnknownMeter(meter)));
            };
            let next = change(&row);
            if next.revoked != row.revoked {
                raise_list(tx)?;
            }
            METERS.put(tx, &meter, &next)?;
            Ok(Ok(next))
        })??;
        Ok(row)
    }

    /// Reissues what is left of a revoked meter to another one. A settlement that was done is answered again.
    ///
    /// # Errors
    /// [`OfficeError`].
    pub fn settle(
        &self,
        old: &PublicKey,
        new: &PublicKey,
        today: Day,
    ) -> Result<Signed<Refill>, OfficeError> {
        let (old, new) = (*old, *new);
        let reads = Reads::from([METERS.key(&old), METERS.key(&new)]).then(move |rows| {
            let row = rows.get(&METERS, &old)?;
            let number = row.map_or(0, |row| row.settled.number);
            Ok(vec![REFILLS.key(&settlement_key(&old, number))])
        });
        let refill = self.store.transact_blocking(reads, move |tx| {
            let (Some(before), Some(to)) = (METERS.get(tx, &old)?, METERS.get(tx, &new)?) else {
                return Ok(Err(OfficeRefusal::Receiver));
            };
            let rest = match rules::rest(&before, today) {
                // The answer may have been lost.
                Err(OfficeRefusal::NothingLeft) if before.settled.to == Some(new) => {
                    let row = REFILLS.get(tx, &settlement_key(&old, before.settled.number))?;
                    return Ok(row.map(|row| row.refill).ok_or(OfficeRefusal::NothingLeft));
                }
                Err(refusal) => return Ok(Err(refusal)),
                Ok(rest) => rest,
            };
            let (before, to, refill) = match rules::reissue(&before, &to, rest) {
                Err(refusal) => return Ok(Err(refusal)),
                Ok(reissued) => reissued,
            };
            METERS.put(tx, &old, &before)?;
            METERS.put(tx, &new, &to)?;
            let stored = RefillRow {
                refill: refill.clone(),
                proof: None,
            };
            REFILLS.put(tx, &refill_key(&refill.source), &stored)?;
            Ok(Ok(refill))
        })??;
        Ok(Signed::sign(refill, &self.key))
    }

    /// Takes a station's report. Two indicia under one sequence number revoke the meter. A report can be taken again.
    ///
    /// # Errors
    /// [`OfficeError`].
    pub fn report(&self, report: &Signed<StationReport>, today: Day) -> Result<Taken, OfficeError> {
        let body = &report.body;
        report.verify(&body.station).map_err(|_| OfficeRefusal::Report)?;
        let mut taken = Taken::default();
        for chunk in body.indicia.chunks(CHUNK) {
            let mut entries = Vec::new();
            for bytes in chunk {
                match decode(&bytes.0).ok().and_then(|signed| verify(signed).ok()) {
                    Some(indicium) => entries.push((indicium, bytes.clone())),
                    None => taken.bad = taken.bad.saturating_add(1),
                }
            }
            let part = self.take(entries, today)?;
            taken.new = taken.new.saturating_add(part.new);
            taken.known = taken.known.saturating_add(part.known);
            taken.bad = taken.bad.saturating_add(part.bad);
            taken.late = taken.late.saturating_add(part.late);
            taken.copied.extend(part.copied);
        }
        let (station, first, last) = (body.station, body.first, body.last());
        taken.is_early =
            self.store
                .transact_blocking([STATIONS.key(&station), LIST.key(&())], move |tx| {
                    let received = STATIONS.get(tx, &station)?.unwrap_or_default();
                    if first > received.saturating_add(1) {
                        return Ok(true);
                    }
                    if last > received {
                        STATIONS.put(tx, &station, &last)?;
                        raise_list(tx)?;
                    }
                    Ok(false)
                })?;
        Ok(taken)
    }

    fn take(&self, entries: Vec<(VerifiedIndicium, IndiciumBytes)>, today: Day) -> Result<Taken, StoreError> {
        let uses = entries
            .iter()
            .map(|(it, _)| (it.body().meter, it.body().sequence));
        let keys = uses.flat_map(|key| [METERS.key(&key.0), USES.key(&key), CONFLICTS.key(&key)]);
        let reads = Reads::from(keys.collect::<Vec<_>>()).and([LIST.key(&())]);
        self.store.transact_blocking(reads, move |tx| {
            let mut taken = Taken::default();
            for (indicium, bytes) in &entries {
                take_one(tx, indicium, bytes, today, &mut taken)?;
            }
            if !taken.copied.is_empty() {
                raise_list(tx)?;
            }
            Ok(taken)
        })
    }

    /// Forgets reported indicia whose date is so old that no station accepts them any more. Their sums stay.
    ///
    /// # Errors
    /// [`OfficeError`].
    pub fn purge(&self, today: Day) -> Result<u64, OfficeError> {
        let is_old = |key: &(u32, _, _)| rules::is_forgotten(Day(key.0), today);
        let purged = forget(&self.store, &USES_BY_DAY, is_old, |tx, key| {
            USES_BY_DAY.delete(tx, key)?;
            USES.delete(tx, &(key.1, key.2))
        })?;
        Ok(purged)
    }

    /// The list of meters for the stations.
    ///
    /// # Errors
    /// [`OfficeError`].
    pub fn list(&self) -> Result<Signed<MeterList>, OfficeError> {
        let view = self.store.view();
        let listed = |(meter, row): (PublicKey, MeterRow)| ListedMeter {
            meter,
            from: row.certificate.from,
            revoked: row.revoked,
        };
        let received = all(&view, &STATIONS)?.into_iter();
        let list = MeterList {
            office: self.id(),
            number: LIST.peek(&view, &())?.unwrap_or_default(),
            meters: self.meters()?.into_iter().map(listed).collect(),
            received: received
                .map(|(station, up_to)| Received { station, up_to })
                .collect(),
        };
        Ok(Signed::sign(list, &self.key))
    }

    /// All meters.
    ///
    /// # Errors
    /// [`OfficeError`].
    pub fn meters(&self) -> Result<BTreeMap<PublicKey, MeterRow>, OfficeError> {
        Ok(all(&self.store.view(), &METERS)?.into_iter().collect())
    }

    /// One meter.
    ///
    /// # Errors
    /// [`OfficeRefusal::UnknownMeter`].
    pub fn meter(&self, meter: &PublicKey) -> Result<MeterRow, OfficeError> {
        let row = METERS.peek(&self.store.view(), meter)?;
        Ok(row.ok_or(OfficeRefusal::UnknownMeter(*meter))?)
    }

    /// The two indicia under one sequence number that convict each copied meter.
    ///
    /// # Errors
    /// [`OfficeError`].
    pub fn conflicts(&self) -> Result<Vec<Conflict>, OfficeError> {
        Ok(all(&self.store.view(), &CONFLICTS)?)
    }

    /// Counts the books.
    ///
    /// # Errors
    /// [`OfficeError`].
    pub fn audit(&self) -> Result<Books, OfficeError> {
        let refills = all(&self.store.view(), &REFILLS)?.into_iter();
        let refills: Vec<RefillRow> = refills.map(|(_, row)| row).collect();
        Ok(count(&self.meters()?, &refills))
    }
}

fn settlement_key(meter: &PublicKey, number: u64) -> (u8, [u8; 32], u64) {
    refill_key(&RefillSource::Settlement {
        meter: *meter,
        number,
    })
}

/// Takes one indicium of a report.
fn take_one(
    tx: &mut Transaction<'_>,
    indicium: &VerifiedIndicium,
    bytes: &IndiciumBytes,
    today: Day,
    taken: &mut Taken,
) -> Result<(), StoreError> {
    let body = indicium.body();
    let key = (body.meter, body.sequence);
    if rules::is_forgotten(body.day, today) {
        taken.late = taken.late.saturating_add(1);
        return Ok(());
    }
    let Some(row) = METERS.get(tx, &body.meter)? else {
        taken.bad = taken.bad.saturating_add(1);
        return Ok(());
    };
    match USES.get(tx, &key)? {
        Some(earlier) if earlier.digest == indicium.digest() => taken.known = taken.known.saturating_add(1),
        Some(_) if CONFLICTS.get(tx, &key)?.is_some() => taken.known = taken.known.saturating_add(1),
        Some(earlier) => {
            CONFLICTS.put(tx, &key, &[earlier.indicium, bytes.clone()])?;
            let row = rules::revoke(&row, RevocationReason::Copied, Day(0), today);
            METERS.put(tx, &body.meter, &rules::used(&row, indicium, today))?;
            taken.copied.insert(body.meter);
        }
        None => {
            let stored = UseRow {
                digest: indicium.digest(),
                day: body.day,
                indicium: bytes.clone(),
            };
            USES.put(tx, &key, &stored)?;
            USES_BY_DAY.put(tx, &(body.day.0, key.0, key.1), &())?;
            let next = rules::used(&row, indicium, today);
            if next.revoked != row.revoked {
                raise_list(tx)?;
            }
            METERS.put(tx, &body.meter, &next)?;
            taken.new = taken.new.saturating_add(1);
        }
    }
    Ok(())
}

/// All rows of a table, in pieces.
pub(crate) fn all<K: farthing_store::Key, V: Serialize + DeserializeOwned>(
    view: &View,
    table: &Table<K, V>,
) -> Result<Vec<(K, V)>, StoreError> {
    let mut rows = Vec::new();
    loop {
        let from = rows
            .last()
            .map_or(Bound::Unbounded, |(key, _)| Bound::Excluded(key));
        let mut page = table.scan(view, from, PAGE)?;
        if page.is_empty() {
            return Ok(rows);
        }
        rows.append(&mut page);
    }
}
