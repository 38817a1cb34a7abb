//! The rules of a meter: each takes the state and what is asked, and gives the next state. Pure.

use super::{
    order::PrintOrder,
    rows::{JOBS_KEPT, MeterState},
};
use crate::{
    documents::{MeterCertificate, Refill, Registers},
    indicium::{DecodeError, Indicium, SignedIndicium, sign},
};
use farthing_coin::{PublicKey, SecretKey, Signed};
use farthing_protocol::money::Amount;

/// Why a meter takes no certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertifyRefusal {
    /// It is for another meter.
    #[error("the certificate is for another meter, or for another postal code")]
    OtherMeter,
    /// The office has not signed it.
    #[error("the office's signature under the certificate is wrong")]
    Signature,
    /// The meter has a certificate.
    #[error(
        "the meter is certified by another office, or for another account; a meter keeps its first certificate"
    )]
    Certified,
}

/// Why a meter takes no refill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RefillRefusal {
    /// The meter has no certificate.
    #[error("the meter has no certificate yet")]
    Uncertified,
    /// It is for another meter.
    #[error("the refill is for another meter")]
    OtherMeter,
    /// The office has not signed it.
    #[error("the signature under the refill is not that of the meter's office")]
    Signature,
    /// An earlier refill is missing, or the refill does not belong to this state.
    #[error(
        "the refill brings the total to {total}, and the meter has had {refilled}: apply the refills in their order, this one \
         after the earlier ones"
    )]
    Order {
        /// The total after the refill.
        total: Amount,
        /// What was refilled so far.
        refilled: Amount,
    },
    /// The office has seen later prints than this state has.
    #[error("the office has seen print {seen} of this meter, and its state ends with print {sequence}")]
    RolledBack {
        /// What the office has seen.
        seen: u64,
        /// The last print of the state.
        sequence: u64,
    },
}

/// Why a meter does not print.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrintRefusal {
    /// The meter has no certificate.
    #[error("the meter has no certificate yet")]
    Uncertified,
    /// The balance is too small.
    #[error("the meter has {left} left, and this costs {value}; refill it")]
    Balance {
        /// What is left.
        left: Amount,
        /// What is wanted.
        value: Amount,
    },
    /// The value is below the tariff.
    #[error("{value} is below the tariff of this class, {tariff}")]
    Tariff {
        /// What is wanted.
        value: Amount,
        /// The least value.
        tariff: Amount,
    },
    /// The postal code is not in the address.
    #[error("the postal code is not in the address")]
    PostalCode,
    /// The id is so old that the meter may have forgotten its print.
    #[error(
        "this print was begun more than {JOBS_KEPT} prints ago, and the meter does not know any more whether it was carried \
         out; begin a new one"
    )]
    TooOld,
    /// The id belongs to another print.
    #[error("this print was begun with other words; repeat it as it was, or begin a new one")]
    OtherOrder,
    /// A field is out of its bounds.
    #[error("the indicium cannot be made: {0}")]
    Field(#[from] DecodeError),
}

/// The state after a certificate. `None` if the meter has it already.
///
/// # Errors
/// [`CertifyRefusal`].
pub fn certify(
    state: &MeterState,
    meter: &PublicKey,
    certificate: &Signed<MeterCertificate>,
) -> Result<Option<MeterState>, CertifyRefusal> {
    let terms = &certificate.body;
    if terms.meter != *meter || terms.from != state.from {
        return Err(CertifyRefusal::OtherMeter);
    }
    certificate
        .verify(&terms.office)
        .map_err(|_| CertifyRefusal::Signature)?;
    match &state.certificate {
        None => Ok(Some(MeterState {
            certificate: Some(certificate.clone()),
            ..state.next()
        })),
        Some(own) if own == certificate => Ok(None),
        Some(_) => Err(CertifyRefusal::Certified),
    }
}

/// The state after a refill that was not applied before.
///
/// # Errors
/// [`RefillRefusal`]. A meter that was rolled back is locked by its caller.
pub fn refill(state: &MeterState, refill: &Signed<Refill>) -> Result<MeterState, RefillRefusal> {
    let terms = state.certificate.as_ref().ok_or(RefillRefusal::Uncertified)?;
    let body = &refill.body;
    if body.meter != terms.body.meter || body.office != terms.body.office {
        return Err(RefillRefusal::OtherMeter);
    }
    refill
        .verify(&terms.body.office)
        .map_err(|_| RefillRefusal::Signature)?;
    let registers = state.registers;
    if body.seen > registers.sequence {
        return Err(RefillRefusal::RolledBack {
            seen: body.seen,
            sequence: registers.sequence,
        });
    }
    let refilled = registers.refilled().unwrap_or_default();
    let descending = registers.descending.checked_add(body.amount);
    match descending.filter(|_| refilled.checked_add(body.amount) == Some(body.total)) {
        Some(descending) => Ok(MeterState {
            registers: Registers {
                descending,
                ..registers
            },
            ..state.next()
        }),
        None => Err(RefillRefusal::Order {
            total: body.total,
            refilled,
        }),
    }
}

/// The state after a print that was not carried out before, and the indicium.
///
/// # Errors
/// [`PrintRefusal`].
pub fn print(
    state: &MeterState,
    order: &PrintOrder,
    key: &SecretKey,
) -> Result<(MeterState, SignedIndicium), PrintRefusal> {
    let terms = state.certificate.as_ref().ok_or(PrintRefusal::Uncertified)?;
    let registers = state.registers;
    if order.after.saturating_add(JOBS_KEPT) < registers.sequence {
        return Err(PrintRefusal::TooOld);
    }
    let tariff = order.class.tariff();
    if order.value < tariff {
        let value = order.value;
        return Err(PrintRefusal::Tariff { value, tariff });
    }
    if !order.to.has(&order.code) {
        return Err(PrintRefusal::PostalCode);
    }
    let left = registers.descending;
    let short = || PrintRefusal::Balance {
        left,
        value: order.value,
    };
    let registers = Registers {
        sequence: registers.sequence.saturating_add(1),
        ascending: registers.ascending.checked_add(order.value).ok_or_else(short)?,
        descending: left.checked_sub(order.value).ok_or_else(short)?,
    };
    let indicium = Indicium {
        class: order.class,
        day: order.day,
        value: order.value,
        sequence: registers.sequence,
        ascending: registers.ascending,
        descending: registers.descending,
        meter: key.public(),
        address: order.to.digest(),
        from: terms.body.from.clone(),
        to: order.code.clone(),
    };
    let signed = sign(indicium, key)?;
    let state = MeterState {
        registers,
        ..state.next()
    };
    Ok((state, signed))
}

/// Whether an indicium is what this order asks for: a repeated order gets the same bytes, and another one none.
#[must_use]
pub fn is_of(indicium: &Indicium, order: &PrintOrder) -> bool {
    indicium.class == order.class
        && indicium.day == order.day
        && indicium.value == order.value
        && indicium.address == order.to.digest()
        && indicium.to == order.code
}
