//! Every hash of the crate: Merlin transcripts, written field by field.

use std::sync::LazyLock;

use curve25519_dalek::scalar::Scalar;
use zeroize::Zeroizing;

use crate::suite::SUITE;

pub use merlin::Transcript;

/// The protocol's name and version, under which every transcript starts.
const PROTOCOL: &[u8] = b"farthing v1";

/// What every transcript starts with, hashed once: to hash it each time would be a third of a short transcript's work.
static BEGUN: LazyLock<Transcript> = LazyLock::new(|| {
    let mut transcript = Transcript::new(PROTOCOL);
    transcript.u8(b"suite", SUITE);
    transcript
});

/// What each transcript of this crate is for. No two uses share a label, so no hash of one use can be mistaken
/// for a hash of another.
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
    pub(crate) const WALLET_RANDOMNESS: &[u8] = b"wallet client randomness";
    pub(crate) const WALLET_GOODS_NAME: &[u8] = b"wallet goods name";
}

/// How fields enter a transcript and challenges leave it.
///
/// Everything that is signed or hashed goes through these methods one field at a time; a serializer's bytes
/// never do. Each field carries its label and length, so that no two different lists of fields hash alike.
/// Integers are little-endian. A list is written as its [`count`](TranscriptExt::count) and then its elements.
pub trait TranscriptExt {
    /// Starts the transcript for one purpose: protocol name and version, suite, then `label`.
    ///
    /// Labels of other crates must not be labels of this one; [`Document`](crate::Document)s need not care.
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
    /// Takes a challenge of 32 bytes: a digest of all that was appended before.
    fn digest32(&mut self, label: &'static [u8]) -> [u8; 32];
    /// Takes a challenge of 64 bytes, reduced modulo the group order: uniform but for 2^-256.
    fn scalar(&mut self, label: &'static [u8]) -> Scalar;
    /// Takes scalar challenges until one is not zero, which is the first but for one in 2^252.
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
        // The challenge may be a secret (a nonce, a blinder), so its wide form is wiped.
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

/// Starts a transcript that secrets will enter, and that is therefore wiped when it is dropped.
pub(crate) fn start_secret(label: &'static [u8]) -> Zeroizing<Transcript> {
    Zeroizing::new(Transcript::start(label))
}
