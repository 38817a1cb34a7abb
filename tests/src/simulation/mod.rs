//! One world, one seed: bank, escrows, merchants and wallets in one process, in virtual time.
//!
//! | what | file |
//! |---|---|
//! | who takes part, and their clocks | [`party`] |
//! | a machine: its disk, its process, and where that dies | [`machine`] |
//! | messages, and what becomes of them | [`network`]; the kinds of faults in [`fault`], at random in [`weather`] |
//! | the servers | [`server`]; who they are and what they sell in [`foundation`] |
//! | customers | [`customer`]; what they do in [`shopping`] |
//! | all of them together | [`world`] |
//! | what happens to particular people | [`stories`] |
//! | the invariants | [`check`]; what must be true of all messages in [`messages`] |
//! | peers that cheat | [`cheats`] |
//! | what happened, for people | [`trace`] |

pub mod cheats;
pub mod check;
pub mod customer;
pub mod dice;
pub mod fault;
pub mod foundation;
pub mod machine;
pub mod messages;
pub mod network;
pub mod party;
pub mod server;
pub mod shopping;
pub mod stories;
pub mod trace;
pub mod weather;
pub mod world;
