//! Anonymous e-cash: the blind signature, coin keys, signed documents and wallet secrets of Farthing.
//!
//! The scheme is Snowblind (Crites, Komlo, Maller, Tessaro, Zhu, CRYPTO 2023; IACR eprint 2023/1228) for one
//! signer, with f(c, y) = c + y^5, on ristretto255 (RFC 9496). Merlin transcripts make every hash.
//! `docs/CRYPTOGRAPHY.md` specifies every byte for a second implementation.
//!
//! The crate is pure: it uses no clock, file, socket or operating-system randomness. Randomness is an argument. Types that
//! travel hold plain bytes. A function that uses the bytes checks them, and its error names the field. The decoded values
//! stay inside the crate.
//!
//! # One run
//!
//! The bank issues a coin that it does not see. The README of the crate explains each step.
//!
//! ```
//! use farthing_coin::{BootId, Denomination, DenominationSecret, MasterSecret, Nonces, SecretKey, Seed, blind, recover};
//! # use getrandom::SysRng;
//! # use rand_core::UnwrapErr;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let mut rng = UnwrapErr(SysRng);
//! let secret = DenominationSecret::derive(&MasterSecret::from_bytes([7; 32]), 64, 3);
//! let denomination = Denomination {
//!     bank: SecretKey::generate(&mut rng).public(),
//!     currency: "FTH".into(),
//!     value: 64,
//!     epoch: 3,
//!     issue_from_ms: 3_000,
//!     issue_until_ms: 4_000,
//!     spend_until_ms: 6_000,
//!     redeem_until_ms: 8_000,
//!     public: secret.public(),
//! };
//! let wallet = Seed::generate(&mut rng);
//! let (request, key_id) = (wallet.withdraw_id(0), denomination.id());
//! let key = wallet.coin_key(&request, 0).public();
//!
//! let randomness = wallet.client_randomness(&request);
//! let (nonces, commitment) = Nonces::generate(&mut rng, &BootId([1; 32]), b"session", &randomness);
//! let blinders = wallet.blinders(&request, 0, &key_id, &commitment);
//! let challenge = blind(&denomination, &key, &commitment, &blinders)?;
//! let response = nonces.respond(&secret, &challenge)?;
//! let coin = recover(&denomination, &key, &challenge, &response, |id, first| {
//!     wallet.blinders(&request, 0, id, first)
//! })?;
//! coin.verify(&denomination)?;
//! # Ok(())
//! # }
//! ```
//!
//! # Modules
//!
//! The modules, in the order of a coin's life:
//!
//! | module | holds |
//! |---|---|
//! | [`transcript`](TranscriptExt) | every hash and its domain separators |
//! | [`sign`](Signature) | Schnorr signatures in commitment form |
//! | [`dleq`](SharedPoint) | a Diffie-Hellman point with its proof |
//! | [`document`](Document) | documents, and their signed form |
//! | [`denomination`](Denomination) | one key of the bank, with one value and one epoch |
//! | [`keylist`](KeyBook) | all keys of a bank, append-only, on a calendar |
//! | [`issue`](Nonces) | the bank's two moves |
//! | [`blind`](blind()) | the wallet's two moves |
//! | [`blindness`](joining_blinders) | the proof that nobody can link a coin to its session |
//! | [`coin`](Coin) | the coin and its verification |
//! | [`batch`](Batch) | coins and signatures, verified in one multiplication |
//! | [`seed`](Seed) | the wallet's secrets, all from 24 words |
//! | [`ids`](KeyId) | the ids and digests of coins, requests and signatures |
//! | [`hex_bytes`] | bytes as hex in JSON and text |
//! | [`secret`] | secrets of 32 bytes |
//! | [`bounded`] | bounds of lists and texts in decoders |

#![cfg_attr(doctest, doc = include_str!("../README.md"))]

mod batch;
mod blind;
mod blindness;
pub mod bounded;
mod coin;
mod denomination;
mod dleq;
mod document;
mod encoding;
mod generators;
pub mod hex_bytes;
mod ids;
mod issue;
mod keylist;
pub mod secret;
mod seed;
mod sign;
mod suite;
mod transcript;

pub use batch::{Batch, BatchError, BatchErrorKind};
pub use blind::{BlindError, Blinders, answered_commitment, blind, recover};
pub use blindness::joining_blinders;
pub use coin::{Coin, CoinError};
pub use denomination::{Denomination, DenominationSecret, MasterSecret};
pub use dleq::SharedPoint;
pub use document::{Document, Signed};
pub use encoding::{EncodedPoint, EncodedScalar};
pub use generators::{generator_g, generator_h};
pub use hex_bytes::ParseHexError;
pub use ids::{KeyId, KeyListDigest, RecoveryRecordId, RequestId, StatementDigest};
pub use issue::{BootId, Challenge, ClientRandomness, Commitment, IssueError, Nonces, Response};
pub use keylist::{
    Calendar, EpochKeys, KeyBook, KeyList, KeyListError, MAX_CURRENCY_BYTES, MAX_EPOCHS, MAX_VALUES,
    is_currency,
};
pub use seed::{PhraseError, RecoveryRecordKey, Seed, TextSalt};
pub use sign::{PublicKey, SecretKey, SharedSecret, Signature, SignatureError, Statement};
pub use suite::SUITE;
pub use transcript::{Transcript, TranscriptExt};
