//! The rows of the table of atomicity in which the shipped functions run.

use crate::{
    check::{Exploration, FAILURES},
    model::Bound,
    stage::Flow,
    who::Who,
};
use farthing_model::catalog::{Entry, Planted, Title};

/// The bound of every row: a cancel at any time, and no reply that is awaited in vain.
pub const BOUND: Bound = Bound {
    silences_max: 0,
    separate: false,
    cancels: true,
};

const ROWS: [(Title, Flow); 5] = [
    (
        (
            "Farthing as shipped, released",
            "farthing-shipped-released",
            "A purchase. The services, background rounds and wallet are those of the programs.",
        ),
        Flow::Released(1),
    ),
    (
        (
            "Farthing as shipped, sealed",
            "farthing-shipped-sealed",
            "The same with an offer that has the sealed key.",
        ),
        Flow::Sealed(1),
    ),
    (
        (
            "Farthing as shipped, two for one coin",
            "farthing-shipped-two",
            "Two sealed purchases want the same coin.",
        ),
        Flow::Sealed(2),
    ),
    (
        (
            "Farthing as shipped, withdrawal",
            "farthing-shipped-withdrawal",
            "A withdrawal. The bank loses its open sessions at most twice.",
        ),
        Flow::Withdrawal,
    ),
    (
        (
            "Farthing as shipped, exchange",
            "farthing-shipped-exchange",
            "An exchange of a coin for fresh ones. The bank loses its open sessions at most twice.",
        ),
        Flow::Exchange,
    ),
];

/// The rows, in the order of the table.
#[must_use]
pub fn catalog() -> Vec<Entry> {
    let row = |(title, flow)| {
        let defect = None;
        let bound = BOUND;
        Entry::new(title, FAILURES, Exploration { flow, bound, defect })
    };
    ROWS.into_iter().map(row).collect()
}

/// A party whose messages leave before its writes are durable.
const DEFECTS: [(&str, Flow, Who); 4] = [
    ("bank-answers-first", Flow::Sealed(1), Who::Bank),
    ("escrow-answers-first", Flow::Sealed(1), Who::Escrow),
    ("wallet-pays-first", Flow::Sealed(1), Who::Wallet),
    ("bank-issues-first", Flow::Withdrawal, Who::Bank),
];

/// The planted defects.
#[must_use]
pub fn planted() -> Vec<Planted> {
    let title = (
        "planted defect",
        "planted",
        "The shipped functions, of which one party sends before it writes.",
    );
    let row = |(name, flow, who): (&str, Flow, Who)| {
        let exploration = Exploration {
            flow,
            bound: Bound {
                cancels: false,
                ..BOUND
            },
            defect: Some(who),
        };
        Planted {
            name: name.to_owned(),
            entry: Entry::new(title, FAILURES, exploration),
        }
    };
    DEFECTS.into_iter().map(row).collect()
}
