//! Oblivious requests: the relay knows who asks but not what, the target knows what is asked but not who asks.
//!
//! This is the idea of Oblivious HTTP (RFC 9458) with the requests of this protocol. A wallet encrypts each anonymous
//! request to its target, with HPKE (RFC 9180). It sends the ciphertext to a relay, which forwards it. The reply comes
//! back encrypted under a key that only wallet and target can derive.
//!
//! | what | file |
//! |---|---|
//! | the target's key as a signed document | `document` |
//! | the target's secret keys, one a day | `key` |
//! | a request, from wallet to target | `request` |
//! | its reply, from target to wallet | `reply` |
//! | the few sizes that requests and replies have | `padding` |
//! | the algorithms, and what can fail | `suite` |
//!
//! # One run
//!
//! ```
//! use farthing_coin::SecretKey;
//! use farthing_protocol::oblivious::{DecryptionKeys, seal_request};
//! # use getrandom::SysRng;
//! # use rand_core::UnwrapErr;
//! # let mut rng = UnwrapErr(SysRng);
//! // The target draws the key of the day, and signs it. The relay hands it to every wallet.
//! let identity = SecretKey::generate(&mut rng);
//! let keys = DecryptionKeys::new(identity.public(), 1_800_000_000_000, &mut rng);
//! let signed = keys.signed(&identity);
//! assert!(signed.verify(&identity.public()).is_ok());
//!
//! // The wallet encrypts a request, and the target opens it and encrypts the reply.
//! let (request, reply_key) = seal_request(&signed.body, b"what does it cost?", &mut rng)?;
//! let (opened, sealer) = keys.open(&request)?;
//! assert_eq!(*opened, b"what does it cost?");
//! let reply = sealer.seal(b"two coins", &mut rng)?;
//! assert_eq!(*reply_key.open(&reply)?, b"two coins");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod document;
mod key;
mod padding;
mod reply;
mod request;
mod suite;

pub use document::{EncryptionKey, MS_PER_DAY, TwoKeys};
pub use key::{DecryptionKeys, StoredKeys};
pub use padding::{SIZE_CLASSES, padded_bytes};
pub use reply::{REPLY_CHUNK_BYTES, ReplyOpener, ReplySealer, SEALED_REPLY_MAX_BYTES, SealedReply};
pub use request::{SealedRequest, seal_request};
pub use suite::SealError;

#[cfg(test)]
mod tests;
