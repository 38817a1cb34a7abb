//! New coins: withdrawals and exchanges. Both are issuances and share everything except planning.
//!
//! | what | file |
//! |---|---|
//! | planning a withdrawal | `withdraw` |
//! | planning an exchange | `exchange`; a denied one, `denied` |
//! | the row of either | `row` |
//! | the next writes and the next request: pure | `step` |
//! | the writes, each one transaction | `record` |
//! | the runtime: write, send, step again | `run` |

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
