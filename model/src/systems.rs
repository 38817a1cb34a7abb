//! The systems, each with its messages and the public description that it follows.

pub mod cashu;
pub mod chaum;
pub mod digicash;
pub mod farthing;
pub mod first_virtual;
pub mod metered;
pub mod netbill;
pub mod payment;
pub mod postage;
pub mod set;
pub mod ssl;
pub mod stream;
pub mod taler;
pub mod withdrawal;

use crate::facts::{Holding, Party};

/// Customer, merchant, and a bank by this name.
pub(crate) fn two_and_a(party: Party, bank: &'static str) -> Option<&'static str> {
    match party {
        Party::Customer => Some("customer"),
        Party::Merchant => Some("merchant"),
        Party::Bank => Some(bank),
        Party::Third => None,
    }
}

/// The money of a customer who had 1, and of a merchant who had nothing.
pub(crate) fn purse_and_till(customer: i8, merchant: i8) -> Vec<Holding> {
    vec![
        Holding {
            of: Party::Customer,
            before: 1,
            now: customer,
        },
        Holding {
            of: Party::Merchant,
            before: 0,
            now: merchant,
        },
    ]
}
