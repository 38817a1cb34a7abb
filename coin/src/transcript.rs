//! Merlin transcripts. They make every hash of the crate, field by field.

use std::sync::LazyLock;

use curve25519_dalek::scalar::Scalar;
use zeroize::Zeroizing;

use crate::suite::SUITE;

pub use merlin::Transcript;

/// The protocol's name and version, with which every transcript starts.
const PROTOCOL: &[u8] = b"farthing v1";

/// The common start of every transcript, hashed once. Hashed each time, it would be a third of a short transcript's work.
static BEGUN: LazyLock<Transcript> = LazyLock::new(|| {
    let mut transcript = Transcript::new(PROTOCOL);
    transcript.u8(b"suite", SUITE);
    transcript
});

/// The purpose of each transcript of this crate. No two purposes share a label. So a hash for one purpose is never a hash
/// for another.
pub(crate) mod label {
    pub(crate) const GENERATOR_H: &[u8] = b"generator H";
    pub(crate) const COIN: &[u8] = b"coin";
    pub(crate) const SIGNATURE: &[u8] = b"signature";
    pub(crate) const SIGNATURE_NONCE: &[u8] = b"signature nonce";
    pub(crate) const DIFFIE_HELLMAN: &[u8] = b"diffie-hellman";
    pub(crate) const SHARED_POINT: &[u8] = b"shared point";
    pub(crate) const SHARED_POINT_NONCE: &[u8] = b"shared point nonce";
    pub(crate) const DOCUMENT: &[u8] = b"document";
    pub(crate) const DENOMINATION: &[u8] = b"denomination";
    pub(crate) const DENOMINATION_SECRET: &[u8] = b"denomination secret";
    pub(crate) const KEY_LIST: &[u8] = b"key list";
    pub(crate) const KEY_LIST_EPOCH: &[u8] = b"key list epoch";
    pub(crate) const ISSUING_NONCES: &[u8] = b"issuing nonces";
    pub(crate) const BATCH: &[u8] = b"batch weights";
    pub(crate) const WALLET_ACCOUNT: &[u8] = b"wallet account key";
    pub(crate) const WALLET_BANK_ACCOUNT: &[u8] = b"wallet bank account key";
    pub(crate) const WALLET_BANK: &[u8] = b"wallet bank";
    pub(crate) const WALLET_WITHDRAW: &[u8] = b"wallet withdraw id";
    pub(crate) const WALLET_EXCHANGE: &[u8] = b"wallet exchange id";
    pub(crate) const WALLET_COIN: &[u8] = b"wallet coin key";
    pub(crate) const WALLET_BLINDERS: &[u8] = b"wallet blinders";
    pub(crate) const WALLET_PURCHASE: &[u8] = b"wallet purchase key";
    pub(crate) const WALLET_NOTE_ID: &[u8] = b"wallet note id";
    pub(crate) const WALLET_NOTE_KEY: &[u8] = b"wallet note key";
    pub(crate) const WALLET_RESERVE: &[u8] = b"wallet reserve key";
    pub(crate) const WALLET_TEXT_SALT: &[u8] = b"wallet text salt";
    pub(crate) const WALLET_RANDOMNESS: &[u8] = b"wallet client randomness";
    pub(crate) const WALLET_GOODS_NAME: &[u8] = b"wallet goods name";
    pub(crate) const WALLET_HELD_TICKS: &[u8] = b"wallet held ticks key";
}

/// Methods that append fields to a transcript and take challenges from it.
///
/// Every signed or hashed value enters through these methods, one field at a time. The output of a serializer never does.
/// Each field has its label and length, so two different lists of fields never have the same hash. Integers are
/// little-endian. A list is written as its [`count`](TranscriptExt::count) and then its elements.
pub trait TranscriptExt {
    /// Starts the transcript for one purpose: protocol name and version, suite, then `label`.
    ///
    /// No label of another crate may be a label of this crate. [`Document`](crate::Document)s have their own namespace.
    fn start(label: &'static [u8]) -> Transcript;
    /// Appends a field of any length.
    fn bytes(&mut self, label: &'static [u8], value: &[u8]);
    /// Appends a field of one byte.
    fn u8(&mut self, label: &'static [u8], value: u8);
    /// Appends a field of four bytes.
    fn u32(&mut self, label: &'static [u8], value: u32);
    /// Appends a field of eight bytes.
    fn u64(&mut self, label: &'static [u8], value: u64);
    /// Appends the length of the list that follows, as eight bytes.
    fn count(&mut self, label: &'static [u8], value: usize);
    /// Takes a challenge of 32 bytes: a digest of all fields before it.
    fn digest32(&mut self, label: &'static [u8]) -> [u8; 32];
    /// Takes a challenge of 64 bytes, reduced modulo the group order. It is uniform up to a bias of 2^-256.
    fn scalar(&mut self, label: &'static [u8]) -> Scalar;
    /// Takes scalar challenges until one is not zero. It is the first, except with probability 2^-252.
    fn nonzero_scalar(&mut self, label: &'static [u8]) -> Scalar;
}

impl TranscriptExt for Transcript {
    fn start(label: &'static [u8]) -> Transcript {
        let mut transcript = BEGUN.clone();
        transcript.bytes(b"label", label);
        transcript
    }

    fn bytes(&mut self, label: &'static [u8], value: &[u8]) {
        self.append_message(label, value);
    }

    fn u8(&mut self, label: &'static [u8], value: u8) {
        self.append_message(label, &[value]);
    }

    fn u32(&mut self, label: &'static [u8], value: u32) {
        self.append_message(label, &value.to_le_bytes());
    }

    fn u64(&mut self, label: &'static [u8], value: u64) {
        self.append_message(label, &value.to_le_bytes());
    }

    fn count(&mut self, label: &'static [u8], value: usize) {
        self.u64(label, value as u64);
    }

    fn digest32(&mut self, label: &'static [u8]) -> [u8; 32] {
        let mut digest = [0; 32];
        self.challenge_bytes(label, &mut digest);
        digest
    }

    fn scalar(&mut self, label: &'static [u8]) -> Scalar {
        // Wiped because the challenge may be a secret (a nonce or a blinder).
        let mut wide = Zeroizing::new([0; 64]);
        self.challenge_bytes(label, wide.as_mut());
        Scalar::from_bytes_mod_order_wide(&wide)
    }

    fn nonzero_scalar(&mut self, label: &'static [u8]) -> Scalar {
        loop {
            let scalar = self.scalar(label);
            if scalar != Scalar::ZERO {
                return scalar;
            }
        }
    }
}

/// Starts a transcript for secret fields. It is wiped when it is dropped.
pub(crate) fn start_secret(label: &'static [u8]) -> Zeroizing<Transcript> {
    Zeroizing::new(Transcript::start(label))
}
