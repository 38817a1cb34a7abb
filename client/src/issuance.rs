//! New coins: withdrawals from an account or a reserve, and exchanges. All are issuances and share everything except
//! planning.
//!
//! | what | file |
//! |---|---|
//! | planning a withdrawal | `withdraw`; from a reserve, `reserve` |
//! | planning an exchange | `exchange` |
//! | a final refusal | `denied` |
//! | the row of each | `row` |
//! | the next writes and the next request: pure | `step` |
//! | the writes, each one transaction | `record` |
//! | the runtime: write, send, step again | `run` |

mod denied;
mod exchange;
mod record;
mod reserve;
mod row;
mod run;
mod step;
mod withdraw;

pub(crate) use exchange::{consolidate, make_change, unchanged};
pub(crate) use record::{add_coins, new_rows};
pub(crate) use reserve::withdraw_from_reserve;
pub(crate) use row::At;
pub(crate) use run::resume;
