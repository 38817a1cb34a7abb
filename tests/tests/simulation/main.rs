//! One simulated world, from one seed, in virtual time.
//!
//! | what | file |
//! |---|---|
//! | one purchase in each mode, and every fault at every message and write of it | `schedules` |
//! | a wallet that dies, and comes back in three ways | `deaths` |
//! | random campaigns | `campaigns` |
//! | what happens to particular people | `stories` |

mod campaigns;
mod deaths;
mod schedules;
mod stories;
