//! The rules of an office: each takes a meter's row and what is asked, and gives the next row. Pure.

use super::rows::{MeterRow, Settled};
use crate::{
    day::{Day, VALID_DAYS},
    documents::{
        AuditChallenge, MeterAudit, MeterCertificate, Refill, RefillSource, Registers, Revocation,
        RevocationReason,
    },
    indicium::VerifiedIndicium,
    judge::JudgeError,
};
use farthing_coin::PublicKey;
use farthing_protocol::money::Amount;

/// Days after a revocation before a meter is settled: its last valid mail has expired, and the stations have reported it.
pub const SETTLEMENT_DAYS: u32 = VALID_DAYS + 14;

/// Days after the date of a reported indicium for which the office remembers it. Reports of older ones are not counted.
pub const REMEMBERED_DAYS: u32 = 2 * VALID_DAYS;

/// Whether an indicium of this day is too old for the office.
#[must_use]
pub fn is_forgotten(day: Day, today: Day) -> bool {
    day.plus(REMEMBERED_DAYS) < today
}

/// Why an office refuses. Nothing is changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OfficeRefusal {
    /// The request for a certificate.
    #[error("the meter's signature under its request is wrong")]
    Request,
    /// The meter was certified for another postal code.
    #[error("this meter is certified for the postal code {0}")]
    OtherCode(String),
    /// There is no such meter.
    #[error("no meter {0} is certified here")]
    UnknownMeter(PublicKey),
    /// The payment.
    #[error(transparent)]
    Payment(#[from] JudgeError),
    /// The text of the payment names no meter.
    #[error("the text of the payment names no meter of this office; nothing can be refilled with it")]
    NoMeter,
    /// A sum does not fit.
    #[error("the sum of this meter's refills would not fit in an amount")]
    Overflow,
    /// The meter's statement.
    #[error("the meter's signature under its audit is wrong")]
    Audit,
    /// The station's signature.
    #[error("the station's signature under its report is wrong")]
    Report,
    /// The meter is not revoked.
    #[error("the meter is not revoked; only a revoked meter is settled")]
    NotRevoked,
    /// It is too early.
    #[error("mail of this meter may still arrive: it can be settled from {0} on")]
    TooEarly(Day),
    /// The other meter cannot get it.
    #[error("the rest must go to another meter that is certified and not revoked")]
    Receiver,
    /// Nothing is left.
    #[error("all postage of this meter was printed, so nothing is left of it")]
    NothingLeft,
}

/// A new meter.
#[must_use]
pub fn certified(certificate: MeterCertificate) -> MeterRow {
    MeterRow {
        certificate,
        sold: Amount(0),
        seen: Registers::default(),
        asked: None,
        audit: None,
        carried: Amount(0),
        letters: 0,
        revoked: None,
        settled: Settled::default(),
    }
}

/// A refill that was not given before. A revoked meter gets it too: the deposit is paid, and its rest is reissued.
///
/// # Errors
/// [`OfficeRefusal::Overflow`].
pub fn sell(
    row: &MeterRow,
    source: RefillSource,
    amount: Amount,
) -> Result<(MeterRow, Refill), OfficeRefusal> {
    let total = row.sold.checked_add(amount).ok_or(OfficeRefusal::Overflow)?;
    let refill = Refill {
        office: row.certificate.office,
        meter: row.certificate.meter,
        source,
        amount,
        total,
        seen: row.seen.sequence,
    };
    let row = MeterRow {
        sold: total,
        ..row.clone()
    };
    Ok((row, refill))
}

/// The row after a revocation. The first reason stays, and the earlier date counts.
#[must_use]
pub fn revoke(row: &MeterRow, reason: RevocationReason, from: Day, today: Day) -> MeterRow {
    let new = Revocation {
        from,
        reason,
        day: today,
    };
    let revoked = match row.revoked {
        None => new,
        Some(earlier) => Revocation {
            from: earlier.from.min(from),
            ..earlier
        },
    };
    MeterRow {
        revoked: Some(revoked),
        ..row.clone()
    }
}

/// The row after a question to the meter.
#[must_use]
pub fn asked(row: &MeterRow, challenge: AuditChallenge) -> MeterRow {
    MeterRow {
        asked: Some((challenge, row.seen)),
        ..row.clone()
    }
}

/// The row after an audit whose signature is the meter's.
///
/// A meter is revoked if it answers the last question with registers that are older than what was seen before the question.
/// An older audit that answers no question proves nothing: it may be an old file.
#[must_use]
pub fn audited(row: &MeterRow, audit: &MeterAudit, today: Day) -> MeterRow {
    if follows(&row.seen, &audit.registers) {
        return MeterRow {
            seen: audit.registers,
            ..row.clone()
        };
    }
    match row.asked {
        Some((asked, before)) if asked == audit.challenge && !follows(&before, &audit.registers) => {
            revoke(row, RevocationReason::RolledBack, Day(0), today)
        }
        _ => row.clone(),
    }
}

/// Whether a meter with the registers `before` can have the registers `after` later.
fn follows(before: &Registers, after: &Registers) -> bool {
    let is_same_print = after.sequence == before.sequence;
    let printed = match is_same_print {
        true => after.ascending == before.ascending,
        false => after.ascending > before.ascending,
    };
    after.sequence >= before.sequence && printed && after.refilled() >= before.refilled()
}

/// The row after an indicium that was not reported before. A meter whose registers run back is revoked.
#[must_use]
pub fn used(row: &MeterRow, indicium: &VerifiedIndicium, today: Day) -> MeterRow {
    let body = indicium.body();
    let registers = Registers {
        sequence: body.sequence,
        ascending: body.ascending,
        descending: body.descending,
    };
    let is_later = body.sequence > row.seen.sequence;
    let is_in_order = match is_later {
        true => follows(&row.seen, &registers),
        false => follows(&registers, &row.seen),
    };
    let counted = MeterRow {
        seen: if is_later && is_in_order {
            registers
        } else {
            row.seen
        },
        carried: row.carried.checked_add(body.value).unwrap_or(row.carried),
        letters: row.letters.saturating_add(1),
        ..row.clone()
    };
    match is_in_order {
        true => counted,
        false => revoke(&counted, RevocationReason::RolledBack, Day(0), today),
    }
}

/// What the meter has printed, as far as anybody has seen: what it states, or what was carried if that is more.
#[must_use]
pub fn printed(row: &MeterRow) -> Amount {
    row.seen.ascending.max(row.carried).min(row.sold)
}

/// What can be reissued of a revoked meter.
///
/// # Errors
/// When it is not revoked, too early, or nothing is left.
pub fn rest(row: &MeterRow, today: Day) -> Result<Amount, OfficeRefusal> {
    let revoked = row.revoked.ok_or(OfficeRefusal::NotRevoked)?;
    let from = revoked.day.plus(SETTLEMENT_DAYS);
    if today < from {
        return Err(OfficeRefusal::TooEarly(from));
    }
    let left = row.sold.checked_sub(printed(row));
    match left.and_then(|left| left.checked_sub(row.settled.moved)) {
        None | Some(Amount(0)) => Err(OfficeRefusal::NothingLeft),
        Some(rest) => Ok(rest),
    }
}

/// The rows after `rest` of the meter `old` was reissued to the meter `new`, and the refill.
///
/// # Errors
/// [`OfficeRefusal::Receiver`], [`OfficeRefusal::Overflow`].
pub fn reissue(
    old: &MeterRow,
    new: &MeterRow,
    rest: Amount,
) -> Result<(MeterRow, MeterRow, Refill), OfficeRefusal> {
    if new.revoked.is_some() || new.certificate.meter == old.certificate.meter {
        return Err(OfficeRefusal::Receiver);
    }
    let number = old.settled.number.saturating_add(1);
    let source = RefillSource::Settlement {
        meter: old.certificate.meter,
        number,
    };
    let (new, refill) = sell(new, source, rest)?;
    let moved = old
        .settled
        .moved
        .checked_add(rest)
        .ok_or(OfficeRefusal::Overflow)?;
    let settled = Settled {
        moved,
        number,
        to: Some(new.certificate.meter),
    };
    let old = MeterRow {
        settled,
        ..old.clone()
    };
    Ok((old, new, refill))
}
