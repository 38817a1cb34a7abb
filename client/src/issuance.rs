//! New coins: withdrawals and exchanges, which are one issuance.
//!
//! | what | file |
//! |---|---|
//! | a withdrawal is planned | `withdraw` |
//! | an exchange is planned | `exchange`; its coins turn out to be used in `denied` |
//! | the row that either is kept in | `row` |
//! | what is written and asked next: pure | `step` |
//! | the writes, each one transaction | `record` |
//! | the thin runtime: write, ask, step again | `run` |

mod denied;
mod exchange;
mod record;
mod row;
mod run;
mod step;
mod withdraw;

pub(crate) use exchange::{consolidate, make_change, unchanged};
pub(crate) use record::{add_coins, new_rows};
pub(crate) use row::At;
pub(crate) use run::resume;
pub(crate) use step::is_under_way;
