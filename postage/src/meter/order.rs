//! What a meter is asked to print, and what it gives.

use crate::{
    address::{Address, PostalCode},
    class::MailClass,
    day::Day,
    indicium::SignedIndicium,
};
use farthing_coin::bytes32;
use farthing_protocol::money::Amount;

bytes32! {
    /// Names one print. The requester draws it and writes it down before it asks, so that it can ask again.
    JobId
}

/// What is to be printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrintOrder {
    /// The id of the print. The same id always gets the same bytes.
    pub job: JobId,
    /// The meter's sequence number when the id was drawn. It tells an old id from a new one.
    pub after: u64,
    /// The mail class.
    pub class: MailClass,
    /// The date of mailing.
    pub day: Day,
    /// The postage.
    pub value: Amount,
    /// The delivery address.
    pub to: Address,
    /// Its postal code.
    pub code: PostalCode,
}

/// A print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Printed {
    /// The indicium.
    pub indicium: SignedIndicium,
    /// Whether it had been printed before under this id.
    pub is_repeated: bool,
}
