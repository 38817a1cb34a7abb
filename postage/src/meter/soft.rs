//! A meter in software: a sealed store, and a device beside it.
//!
//! Each change is one transaction. It is durable, and the device has counted it, before its result leaves.

use super::{
    device::{Device, LockReason, disagreement, is_tampering},
    interface::{Meter, MeterError},
    order::{PrintOrder, Printed},
    rows::{JOB_AT, JOBS, JOBS_KEPT, MeterState, PrintRow, REFILLS, SECRET, STATE, refill_key},
    rules::{self, PrintRefusal, RefillRefusal},
    sealing::MeterCipher,
};
use crate::{
    address::PostalCode,
    documents::{
        AuditChallenge, IndiciumBytes, MeterAudit, MeterCertificate, MeterRequest, Refill, Registers,
    },
    indicium::{SignedIndicium, decode, encode},
};
use farthing_coin::{PublicKey, SecretKey, Signed};
use farthing_store::{FirstStage, Reads, Store, StoreError, StoreOptions, entropy::Entropy};
use std::{path::Path, sync::Arc};
use zeroize::Zeroizing;

/// A meter in software.
pub struct SoftMeter {
    store: Store,
    device: Arc<dyn Device>,
    key: Arc<SecretKey>,
}

impl std::fmt::Debug for SoftMeter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SoftMeter")
            .field("meter", &self.key.public())
            .finish_non_exhaustive()
    }
}

/// What a row of the state must be: it is written before anything else.
fn absent() -> StoreError {
    StoreError::Refused("the meter's store has no state; it was not made to its end".into())
}

impl SoftMeter {
    /// Makes a meter with a fresh key in `dir`, whose mail is posted at `from`. The device is new too.
    ///
    /// # Errors
    /// When the store or the device fails.
    pub fn create(
        dir: &Path,
        options: StoreOptions,
        device: Arc<dyn Device>,
        from: PostalCode,
        entropy: Arc<dyn Entropy>,
    ) -> Result<SoftMeter, MeterError> {
        let key = SecretKey::generate(&mut entropy.rng());
        let (store, _) = Store::open(dir, sealed(options, device.as_ref(), entropy))?;
        let secret = key.to_bytes();
        let state = MeterState::new(from);
        let writes = state.writes;
        store.transact_blocking(Reads::none(), move |tx| {
            SECRET.put(tx, &(), &secret)?;
            STATE.put(tx, &(), &state)
        })?;
        device.advance(writes)?;
        let key = Arc::new(key);
        Ok(SoftMeter { store, device, key })
    }

    /// Opens the meter in `dir`. A meter whose state was changed, or put back from an older copy, is locked for good.
    ///
    /// # Errors
    /// [`MeterError::Locked`]. When the store or the device fails.
    pub fn open(
        dir: &Path,
        options: StoreOptions,
        device: Arc<dyn Device>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<SoftMeter, MeterError> {
        if let Some(why) = device.locked() {
            return Err(MeterError::Locked(why));
        }
        let opened = Store::open_existing(dir, sealed(options, device.as_ref(), entropy))
            .and_then(|(store, _)| read(store));
        let (store, key, state) = match opened {
            Err(error) if is_tampering(&error) => return Err(lock(device.as_ref(), LockReason::Tampered)),
            opened => opened?,
        };
        if let Some(why) = disagreement(device.writes(), &state) {
            return Err(lock(device.as_ref(), why));
        }
        // A change that is durable and was not counted, because the process died between the two.
        device.advance(state.writes)?;
        let key = Arc::new(key);
        Ok(SoftMeter { store, device, key })
    }

    /// The meter's public key, which is its id.
    #[must_use]
    pub fn id(&self) -> PublicKey {
        self.key.public()
    }

    /// The state.
    ///
    /// # Errors
    /// When the store fails.
    pub fn state(&self) -> Result<MeterState, MeterError> {
        Ok(STATE.peek(&self.store.view(), &())?.ok_or_else(absent)?)
    }

    /// Closes the store.
    ///
    /// # Errors
    /// When the store fails. All changes are durable anyway.
    pub fn close(self) -> Result<(), MeterError> {
        Ok(self.store.close()?)
    }
}

/// The options of a store that is sealed with the device's key.
fn sealed(options: StoreOptions, device: &dyn Device, entropy: Arc<dyn Entropy>) -> StoreOptions {
    StoreOptions {
        cipher: Some(Arc::new(MeterCipher::new(device.sealing_key(), entropy))),
        ..options
    }
}

fn lock(device: &dyn Device, why: LockReason) -> MeterError {
    match device.lock(why) {
        Ok(()) => MeterError::Locked(why),
        Err(error) => MeterError::Device(error),
    }
}

fn read(store: Store) -> Result<(Store, SecretKey, MeterState), StoreError> {
    let view = store.view();
    let secret = Zeroizing::new(SECRET.peek(&view, &())?.ok_or_else(absent)?);
    let key = SecretKey::from_bytes(&secret).map_err(|error| StoreError::Row {
        table: "secret",
        why: error.to_string(),
    })?;
    let state = STATE.peek(&view, &())?.ok_or_else(absent)?;
    Ok((store, key, state))
}

impl Meter for SoftMeter {
    fn request(&self) -> Result<Signed<MeterRequest>, MeterError> {
        let request = MeterRequest {
            meter: self.id(),
            from: self.state()?.from,
        };
        Ok(Signed::sign(request, &self.key))
    }

    fn certify(&self, certificate: &Signed<MeterCertificate>) -> Result<(), MeterError> {
        let (meter, certificate) = (self.id(), certificate.clone());
        let writes = self.store.transact_blocking([STATE.key(&())], move |tx| {
            let state = STATE.get(tx, &())?.ok_or_else(absent)?;
            match rules::certify(&state, &meter, &certificate) {
                Err(refusal) => Ok(Err(refusal)),
                Ok(None) => Ok(Ok(state.writes)),
                Ok(Some(next)) => STATE.put(tx, &(), &next).map(|()| Ok(next.writes)),
            }
        })??;
        Ok(self.device.advance(writes)?)
    }

    fn refill(&self, refill: &Signed<Refill>) -> Result<Registers, MeterError> {
        let (key, refill) = (refill_key(&refill.body.source), refill.clone());
        let reads = [STATE.key(&()), REFILLS.key(&key)];
        let done = self.store.transact_blocking(reads, move |tx| {
            let state = STATE.get(tx, &())?.ok_or_else(absent)?;
            if REFILLS.get(tx, &key)?.is_some() {
                return Ok(Ok(state));
            }
            let next = match rules::refill(&state, &refill) {
                Err(refusal) => return Ok(Err(refusal)),
                Ok(next) => next,
            };
            REFILLS.put(tx, &key, &refill)?;
            STATE.put(tx, &(), &next)?;
            Ok(Ok(next))
        })?;
        match done {
            Err(RefillRefusal::RolledBack { .. }) => {
                Err(lock(self.device.as_ref(), LockReason::BehindOffice))
            }
            Err(refusal) => Err(refusal.into()),
            Ok(state) => {
                self.device.advance(state.writes)?;
                Ok(state.registers)
            }
        }
    }

    fn print(&self, order: &PrintOrder) -> Result<Printed, MeterError> {
        let (job, key, order) = (order.job.0, Arc::clone(&self.key), order.clone());
        let reads = Reads::from([STATE.key(&()), JOBS.key(&job)]).then(|rows| {
            let forgotten = forgotten(rows)?;
            Ok(forgotten
                .map(|sequence| JOB_AT.key(&sequence))
                .into_iter()
                .collect())
        });
        let (writes, printed) = self.store.transact_blocking(reads, move |tx| {
            let state = STATE.get(tx, &())?.ok_or_else(absent)?;
            if let Some(row) = JOBS.get(tx, &job)? {
                let indicium = stored(&row)?;
                if !rules::is_of(&indicium.body, &order) {
                    return Ok(Err(PrintRefusal::OtherOrder));
                }
                let is_repeated = true;
                return Ok(Ok((
                    state.writes,
                    Printed {
                        indicium,
                        is_repeated,
                    },
                )));
            }
            let (next, indicium) = match rules::print(&state, &order, &key) {
                Err(refusal) => return Ok(Err(refusal)),
                Ok(printed) => printed,
            };
            let sequence = next.registers.sequence;
            if let Some(old) = sequence.checked_sub(JOBS_KEPT).filter(|old| *old > 0) {
                if let Some(old_job) = JOB_AT.get(tx, &old)? {
                    JOBS.delete(tx, &old_job)?;
                }
                JOB_AT.delete(tx, &old)?;
            }
            let row = PrintRow {
                indicium: IndiciumBytes(encode(&indicium)),
            };
            JOBS.put(tx, &job, &row)?;
            JOB_AT.put(tx, &sequence, &job)?;
            STATE.put(tx, &(), &next)?;
            let is_repeated = false;
            Ok(Ok((
                next.writes,
                Printed {
                    indicium,
                    is_repeated,
                },
            )))
        })??;
        self.device.advance(writes)?;
        Ok(printed)
    }

    fn audit(&self, challenge: AuditChallenge) -> Result<Signed<MeterAudit>, MeterError> {
        let audit = MeterAudit {
            meter: self.id(),
            registers: self.state()?.registers,
            challenge,
        };
        Ok(Signed::sign(audit, &self.key))
    }
}

/// The sequence number whose job the next print forgets.
fn forgotten(rows: &mut FirstStage<'_, '_>) -> Result<Option<u64>, StoreError> {
    let state = rows.get(&STATE, &())?.ok_or_else(absent)?;
    let next = state.registers.sequence.saturating_add(1);
    Ok(next.checked_sub(JOBS_KEPT).filter(|old| *old > 0))
}

fn stored(row: &PrintRow) -> Result<SignedIndicium, StoreError> {
    decode(&row.indicium.0).map_err(|error| StoreError::Row {
        table: "jobs",
        why: error.to_string(),
    })
}
