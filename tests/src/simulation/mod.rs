//! One world, one seed: bank, escrow, merchant and wallets in one process, in virtual time.
//!
//! | what | file |
//! |---|---|
//! | messages, and what becomes of them | [`network`] |
//! | the parties, their disks, crashes and restarts | [`world`] |
//! | the invariants | [`check`] |

pub mod check;
pub mod network;
pub mod world;
