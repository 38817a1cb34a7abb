//! Every flow of Farthing as messages and pure state machines.
//!
//! Nothing here reaches a clock, a socket, a file or the operating system's randomness: time and
//! randomness are arguments. Each flow is one file, read top to bottom: its messages, then the party that
//! begins it, then the party that answers. `docs/PROTOCOL.md` is the specification.
//!
//! # One run
//!
//! A customer cancels a purchase. The escrow verifies the request and decides from its stored row. It stores the
//! decision durably, and signs it.
//!
//! ```
//! use farthing_coin::{RecoveryRecordId, SecretKey, Signed};
//! use farthing_protocol::{
//!     decide::{OverdueRequest, verify_overdue},
//!     decision::{Decided, Outcome},
//!     documents::{Overdue, Terms, coins_digest, recovery_record_digest},
//!     ids::OfferDigest,
//!     money::Amount,
//! };
//! # use farthing_protocol::refusal::Refusal;
//! # use getrandom::SysRng;
//! # use rand_core::UnwrapErr;
//! # fn main() -> Result<(), Refusal> {
//! # let mut rng = UnwrapErr(SysRng);
//! # let [bank, escrow, merchant, purchase_key] = [(); 4].map(|()| SecretKey::generate(&mut rng));
//! let terms = Terms {
//!     bank: bank.public(),
//!     currency: "FTH".into(),
//!     price: Amount(2000),
//!     account: merchant.public(),
//!     merchant: merchant.public(),
//!     escrow: escrow.public(),
//!     deadline_ms: 1_800_000_000_000,
//!     coins_digest: coins_digest(&[]),
//!     purchase_key: purchase_key.public(),
//!     private_digest: OfferDigest([1; 32]),
//!     note_digest: recovery_record_digest(&RecoveryRecordId([2; 32]), b"sealed"),
//! };
//! // The bank says that the deadline has passed.
//! let now_ms = terms.deadline_ms + 1;
//! let overdue = Overdue {
//!     purchase: terms.purchase_id(),
//!     escrow: terms.escrow,
//!     deadline_ms: terms.deadline_ms,
//!     at_ms: now_ms,
//! };
//! let overdue = Signed::sign(overdue, &bank);
//!
//! let asked = verify_overdue(OverdueRequest { terms, overdue }, &escrow.public())?;
//! let Decided::Now(decision) = asked.respond(None, now_ms)? else {
//!     unreachable!("nothing was decided before")
//! };
//! assert!(matches!(decision.outcome(&escrow), Outcome::Aborted(_)));
//!
//! // A repeated request gets the stored decision.
//! assert!(matches!(asked.respond(Some(decision), now_ms)?, Decided::Before(_)));
//! # Ok(())
//! # }
//! ```
//!
//! # Flows
//!
//! | flow | file |
//! |---|---|
//! | an account is debited, its owner gets coins | [`withdraw`] |
//! | coins in, fresh unlinkable coins out | [`exchange`] |
//! | a balance at the bank that a key alone names | [`reserve`], its [sums](reserve_sums) |
//! | coins are paid to accounts and reserves | [`deposit`], what it [credits](deposited) |
//! | what proves a deposit to others | [`payment_proof`] |
//! | an offer, its goods, and delivery | [`offer`] |
//! | a purchase, as the wallet drives it | [`purchase`] |
//! | phase one: the coins are held | [`hold`] |
//! | phase two: one final decision | [`decide`], the [`decision`] itself, and the [`cause`] of an abort |
//! | both phases in one request, for an offer with a sealed goods key | [`sealed`] |
//! | goods that are paid by the tick, from one hold | [`stream`] |
//! | an item that costs nothing | [`free`] |
//! | the bank applies the decision | [`settle`] |
//! | a merchant gives a part of the price back | [`refund`] |
//! | a refusal that is final, signed | [`denial`], and what it [proves](proofs) |
//! | a wallet is rebuilt from its seed alone | [`restore`] |
//! | a judge finds offline who broke the contract | [`evidence`] |
//! | what is old enough to be forgotten | [`forgetting`] |
//! | a request that a relay carries, encrypted to its server | [`oblivious`] |
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
pub mod deposit;
pub mod deposited;
pub mod documents;
pub mod evidence;
pub mod exchange;
pub mod forgetting;
pub mod free;
pub mod goods;
pub mod history;
pub mod hold;
pub mod ids;
pub mod issuance;
pub mod issue;
pub mod limits;
pub mod money;
pub mod oblivious;
pub mod offer;
pub mod offered_key;
pub mod payment_proof;
pub mod proofs;
pub mod purchase;
pub mod refund;
pub mod refusal;
mod request;
pub mod reserve;
pub mod reserve_sums;
pub mod restore;
pub mod seal;
pub mod sealed;
pub mod settle;
pub mod stream;
pub mod wire;
pub mod withdraw;
