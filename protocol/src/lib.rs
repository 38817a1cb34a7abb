//! Every flow of Farthing as messages and pure state machines.
//!
//! Nothing here reaches a clock, a socket, a file or the operating system's randomness: time and
//! randomness are arguments. Each flow is one file, read top to bottom: its messages, then the party that
//! begins it, then the party that answers. `docs/PROTOCOL.md` is the specification.
//!
//! | flow | file |
//! |---|---|
//! | an account is debited, its owner gets coins | [`withdraw`] |
//! | coins in, fresh unlinkable coins out | [`exchange`] |
//! | an offer, its goods, and delivery | [`offer`] |
//! | a purchase, as the wallet drives it | [`purchase`] |
//! | phase one: the coins are held | [`hold`] |
//! | phase two: one final decision | [`decide`], the [`decision`] itself, and the [`cause`] of an abort |
//! | both phases in one request, for an offer with a sealed goods key | [`sealed`] |
//! | the bank applies the decision | [`settle`] |
//! | a refusal that is final, signed | [`denial`], and what it [proves](proofs) |
//! | a wallet is rebuilt from its seed alone | [`restore`] |
//! | a judge finds offline who broke the contract | [`evidence`] |
//! | bank and escrow remember how far each other's journal has come | [`history`] |

#![cfg_attr(doctest, doc = include_str!("../README.md"))]

pub mod allowance;
pub mod api;
pub mod bounded;
pub mod cause;
pub mod claim;
pub mod coins;
pub mod contract;
pub mod decide;
pub mod decision;
pub mod denial;
pub mod documents;
pub mod evidence;
pub mod exchange;
pub mod goods;
pub mod history;
pub mod hold;
pub mod ids;
pub mod issuance;
pub mod issue;
pub mod limits;
pub mod money;
pub mod offer;
pub mod offered_key;
pub mod proofs;
pub mod purchase;
pub mod refusal;
mod request;
pub mod restore;
pub mod seal;
pub mod sealed;
pub mod settle;
pub mod wire;
pub mod withdraw;
