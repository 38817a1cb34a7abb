//! Whether an indicium is accepted. Pure.

use super::rows::{HighestRow, SeenRow, StationRow};
use crate::{
    address::{Address, PostalCode},
    day::Day,
    documents::{ListedMeter, Revocation},
    indicium::{DecodeError, VerifiedIndicium},
};
use farthing_protocol::money::Amount;
use serde::{Deserialize, Serialize};

/// How far the sequence numbers of one meter may be apart at one station, if the settings do not say.
pub const WINDOW_DEFAULT: u64 = 100_000;

/// The settings of a station.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StationSettings {
    /// The beginnings of the postal codes that it delivers. Empty: all.
    pub area: Vec<PostalCode>,
    /// How far a sequence number may be from the highest one of its meter here.
    pub window: u64,
}

/// What is read on the letter beside the indicium.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Face {
    /// The delivery address.
    pub address: Option<Address>,
    /// The value, if it was read.
    pub value: Option<Amount>,
}

/// Why an indicium is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The bytes are no indicium.
    #[error("this is no indicium: {0}")]
    Unreadable(#[from] DecodeError),
    /// The signature is not the meter's.
    #[error("forged: the meter has not signed this")]
    Forged,
    /// No such meter is in the office's list.
    #[error("unknown meter")]
    UnknownMeter,
    /// The meter is certified for another place.
    #[error("the meter is certified for the postal code {0}, and this names another sender")]
    OtherSender(PostalCode),
    /// The meter is revoked.
    #[error("revoked meter, from {}: {}", .0.from, .0.reason.text())]
    Revoked(Revocation),
    /// Nobody has read the address.
    #[error(
        "the delivery address was not read, so it cannot be compared; name it with --address or --address-file"
    )]
    AddressNotRead,
    /// The address on the letter is another one.
    #[error("altered address: the postage was printed for another one")]
    AlteredAddress,
    /// The value on the letter is another one.
    #[error("altered value: {shown} is printed, and the meter has signed {signed}")]
    AlteredValue {
        /// The value on the letter.
        shown: Amount,
        /// The value in the indicium.
        signed: Amount,
    },
    /// The value is too low.
    #[error("{value} is below the tariff of its class, {tariff}")]
    Underpaid {
        /// The value.
        value: Amount,
        /// The least value.
        tariff: Amount,
    },
    /// The letter is for another station.
    #[error("wrong station: this one does not deliver to {0}")]
    WrongStation(PostalCode),
    /// The date is too far ahead.
    #[error("its date, {0}, is later than tomorrow")]
    Future(Day),
    /// The date is too old.
    #[error("expired: its date is {0}")]
    Expired(Day),
    /// It was accepted before.
    #[error("duplicate: it was accepted on {}", farthing_node::date::text(*.first_ms))]
    Duplicate {
        /// When it was accepted first (ms since 1970).
        first_ms: u64,
    },
    /// Another indicium has this sequence number.
    #[error("another letter of this meter has the same number; it was accepted on {}", farthing_node::date::text(*.first_ms))]
    NumberReused {
        /// When the other one was accepted (ms since 1970).
        first_ms: u64,
    },
    /// The sequence number is too far from the others.
    #[error("sequence gap: its number is {sequence}, and the highest one here is {highest}")]
    Gap {
        /// Its number.
        sequence: u64,
        /// The highest number.
        highest: u64,
    },
    /// The registers contradict an accepted letter.
    #[error(
        "its registers contradict those of letter {highest}, which was accepted: the meter was copied or rolled back"
    )]
    Registers {
        /// The sequence number of the other letter.
        highest: u64,
    },
}

impl Fault {
    /// A word for programs.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Fault::Unreadable(_) => "unreadable",
            Fault::Forged => "forged",
            Fault::UnknownMeter => "unknown_meter",
            Fault::OtherSender(_) => "other_sender",
            Fault::Revoked(_) => "revoked_meter",
            Fault::AddressNotRead => "address_not_read",
            Fault::AlteredAddress => "altered_address",
            Fault::AlteredValue { .. } => "altered_value",
            Fault::Underpaid { .. } => "underpaid",
            Fault::WrongStation(_) => "wrong_station",
            Fault::Future(_) => "future",
            Fault::Expired(_) => "expired",
            Fault::Duplicate { .. } => "duplicate",
            Fault::NumberReused { .. } => "number_reused",
            Fault::Gap { .. } => "sequence_gap",
            Fault::Registers { .. } => "registers",
        }
    }
}

/// Checks what needs no row: the letter's face, its place and its value.
///
/// # Errors
/// [`Fault`].
pub fn check_face(indicium: &VerifiedIndicium, face: &Face, settings: &StationSettings) -> Result<(), Fault> {
    let body = indicium.body();
    let address = face.address.as_ref().ok_or(Fault::AddressNotRead)?;
    if address.digest() != body.address || !address.has(&body.to) {
        return Err(Fault::AlteredAddress);
    }
    if let Some(shown) = face.value.filter(|shown| *shown != body.value) {
        return Err(Fault::AlteredValue {
            shown,
            signed: body.value,
        });
    }
    let tariff = body.class.tariff();
    if body.value < tariff {
        let value = body.value;
        return Err(Fault::Underpaid { value, tariff });
    }
    let is_here = |prefix: &PostalCode| body.to.begins_with(prefix);
    match settings.area.is_empty() || settings.area.iter().any(is_here) {
        true => Ok(()),
        false => Err(Fault::WrongStation(body.to.clone())),
    }
}

/// The rows that an indicium is decided over.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    /// The station.
    pub station: StationRow,
    /// The meter in the office's list.
    pub listed: Option<ListedMeter>,
    /// The accepted indicium with this number.
    pub seen: Option<SeenRow>,
    /// The accepted indicium with the highest number.
    pub highest: Option<HighestRow>,
}

/// Decides over an indicium whose face is checked. Returns the meter's highest indicium afterwards.
///
/// # Errors
/// [`Fault`].
pub fn decide(
    indicium: &VerifiedIndicium,
    rows: &Rows,
    settings: &StationSettings,
    today: Day,
) -> Result<HighestRow, Fault> {
    let body = indicium.body();
    let listed = rows.listed.as_ref().ok_or(Fault::UnknownMeter)?;
    if listed.from != body.from {
        return Err(Fault::OtherSender(listed.from.clone()));
    }
    if let Some(revoked) = listed.revoked.filter(|revoked| body.day >= revoked.from) {
        return Err(Fault::Revoked(revoked));
    }
    if body.day > today.plus(1) {
        return Err(Fault::Future(body.day));
    }
    if body.day.valid_until() < today || body.day < rows.station.purged_before {
        return Err(Fault::Expired(body.day));
    }
    if let Some(seen) = rows.seen {
        let first_ms = seen.at_ms;
        return Err(match seen.digest == indicium.digest() {
            true => Fault::Duplicate { first_ms },
            false => Fault::NumberReused { first_ms },
        });
    }
    let own = HighestRow {
        sequence: body.sequence,
        ascending: body.ascending,
    };
    let Some(highest) = rows.highest else {
        return Ok(own);
    };
    let (sequence, last) = (body.sequence, highest.sequence);
    if sequence.abs_diff(last) > settings.window {
        return Err(Fault::Gap {
            sequence,
            highest: last,
        });
    }
    let before = body.ascending.checked_sub(body.value).unwrap_or_default();
    let is_later = sequence > last;
    let is_in_order = match is_later {
        true => before >= highest.ascending,
        false => body.ascending < highest.ascending,
    };
    match (is_in_order, is_later) {
        (false, _) => Err(Fault::Registers { highest: last }),
        (true, true) => Ok(own),
        (true, false) => Ok(highest),
    }
}
