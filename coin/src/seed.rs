//! The wallet's secrets. All derive from one seed, which is written as 24 words.
//!
//! Each derivation is one transcript: its label, the seed, and the fields on which the secret depends. A restored wallet
//! derives all secrets again. A wallet that was rolled back to an old state derives the same request ids. So it gets the
//! bank's stored replies instead of paying twice.

use bip39::{Language, Mnemonic};
use rand_core::CryptoRng;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::blind::Blinders;
use crate::ids::{KeyId, RecoveryRecordId, RequestId};
use crate::issue::{ClientRandomness, Commitment};
use crate::secret::secret32;
use crate::sign::{PublicKey, SecretKey};
use crate::transcript::{Transcript, TranscriptExt, label, start_secret};

/// Words in a phrase: 256 bits of seed and 8 bits of checksum, at 11 bits a word.
const PHRASE_WORDS: usize = 24;

secret32! {
    /// Encrypts one recovery record or scan record of a wallet, and nothing else.
    RecoveryRecordKey
}

secret32! {
    /// The salt of the text of a payment. Whoever has it can check the text against its digest.
    TextSalt
}

/// 32 uniform bytes from which a wallet's secrets are derived. It is wiped when it is dropped.
///
/// ```
/// use farthing_coin::Seed;
///
/// let seed = Seed::from_bytes(&[7; 32]);
/// let words = seed.to_phrase();
/// let restored = Seed::from_phrase(&words)?;
/// assert_eq!(restored.withdraw_id(0), seed.withdraw_id(0));
/// assert_eq!(restored.purchase_key(3).public(), seed.purchase_key(3).public());
/// # Ok::<(), farthing_coin::PhraseError>(())
/// ```
#[derive(ZeroizeOnDrop)]
pub struct Seed([u8; 32]);

/// Why a phrase was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PhraseError {
    /// The phrase has too few or too many words.
    #[error("got {got} words and expected 24; check that none is missing or written twice")]
    WordCount {
        /// Number of words.
        got: usize,
    },
    /// A word is not in the list of BIP-39. The error does not contain the word, as it is a secret.
    #[error("word {position} of 24 is not in the BIP-39 English list; check its spelling")]
    UnknownWord {
        /// Position of the word, from 1.
        position: usize,
    },
    /// All words are known, but the checksum is wrong: a word is wrong, or two words changed places.
    #[error("the checksum of the 24 words does not fit; check for a wrong word or two that changed places")]
    Checksum,
}

impl Seed {
    /// Draws a seed.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut seed = Self([0; 32]);
        rng.fill_bytes(&mut seed.0);
        seed
    }

    /// Takes a seed from 32 uniform bytes.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(*bytes)
    }

    /// The seed's bytes, for the wallet's own file. The copy is wiped when it is dropped.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0)
    }

    /// The seed as 24 English words. In terms of BIP-39, the seed is the entropy, not the derived 64 bytes.
    pub fn to_phrase(&self) -> Zeroizing<String> {
        // BIP-39 makes a phrase of any 32 bytes. `from_phrase` would refuse an empty phrase.
        let phrase = Mnemonic::from_entropy_in(Language::English, &self.0).map(|words| {
            let mut phrase = String::with_capacity(PHRASE_WORDS * 9);
            for word in words.words() {
                if !phrase.is_empty() {
                    phrase.push(' ');
                }
                phrase.push_str(word);
            }
            phrase
        });
        Zeroizing::new(phrase.unwrap_or_default())
    }

    /// Reads a phrase. Case and spacing do not matter.
    ///
    /// # Errors
    /// What is wrong with the phrase. For an unknown word, also its position.
    pub fn from_phrase(phrase: &str) -> Result<Self, PhraseError> {
        let mut normalized = Zeroizing::new(String::with_capacity(phrase.len()));
        for word in phrase.split_whitespace() {
            if !normalized.is_empty() {
                normalized.push(' ');
            }
            normalized.extend(word.chars().map(|letter| letter.to_ascii_lowercase()));
        }
        let got = normalized.split_whitespace().count();
        if got != PHRASE_WORDS {
            return Err(PhraseError::WordCount { got });
        }
        let words =
            Mnemonic::parse_in_normalized(Language::English, &normalized).map_err(|error| match error {
                bip39::Error::UnknownWord(index) => PhraseError::UnknownWord { position: index + 1 },
                _ => PhraseError::Checksum,
            })?;
        let (entropy, _) = words.to_entropy_array();
        let entropy = Zeroizing::new(entropy);
        let (seed, _) = entropy.split_first_chunk::<32>().ok_or(PhraseError::Checksum)?;
        Ok(Self(*seed))
    }

    fn start(&self, label: &'static [u8]) -> Zeroizing<Transcript> {
        let mut transcript = start_secret(label);
        transcript.bytes(b"seed", &self.0);
        transcript
    }

    fn numbered(&self, label: &'static [u8], counter: u64) -> Zeroizing<Transcript> {
        let mut transcript = self.start(label);
        transcript.u64(b"counter", counter);
        transcript
    }

    fn slotted(&self, label: &'static [u8], request_id: &RequestId, slot: u32) -> Zeroizing<Transcript> {
        let mut transcript = self.start(label);
        transcript.bytes(b"request id", &request_id.0);
        transcript.u32(b"slot", slot);
        transcript
    }

    /// The key of the wallet's account at `bank`. No other bank sees this key.
    pub fn bank_account_key(&self, bank: &PublicKey) -> SecretKey {
        let own = self.for_bank(bank);
        SecretKey::from_nonzero(own.start(label::WALLET_BANK_ACCOUNT).nonzero_scalar(b"key"))
    }

    /// The key of the shared account: one key for all banks, from before [`bank_account_key`](Seed::bank_account_key).
    ///
    /// A wallet keeps this key at banks that know it. Merchants use it too: it is no secret which banks they have.
    pub fn account_key(&self) -> SecretKey {
        SecretKey::from_nonzero(self.start(label::WALLET_ACCOUNT).nonzero_scalar(b"key"))
    }

    /// The seed for all requests to one bank. Each bank has its own counters, so use of one bank makes no gap at another.
    pub fn for_bank(&self, bank: &PublicKey) -> Self {
        let mut transcript = self.start(label::WALLET_BANK);
        transcript.bytes(b"bank", &bank.0);
        Self(transcript.digest32(b"seed"))
    }

    /// The id of withdrawal number `counter`.
    pub fn withdraw_id(&self, counter: u64) -> RequestId {
        RequestId(self.numbered(label::WALLET_WITHDRAW, counter).digest32(b"id"))
    }

    /// The id of exchange number `counter`.
    pub fn exchange_id(&self, counter: u64) -> RequestId {
        RequestId(self.numbered(label::WALLET_EXCHANGE, counter).digest32(b"id"))
    }

    /// The key k of the coin that a request asks for in `slot`.
    pub fn coin_key(&self, request_id: &RequestId, slot: u32) -> SecretKey {
        SecretKey::from_nonzero(
            self.slotted(label::WALLET_COIN, request_id, slot)
                .nonzero_scalar(b"key"),
        )
    }

    /// The blinders for a request's `slot`, for one first message of the bank under one of its keys.
    ///
    /// They depend on the message and on the key, so they are never used twice. Otherwise a bank could repeat a first message
    /// under another key. It would get two equations in the same unknowns, and could tell which session made which coin.
    pub fn blinders(
        &self,
        request_id: &RequestId,
        slot: u32,
        key_id: &KeyId,
        commitment: &Commitment,
    ) -> Blinders {
        let mut transcript = self.slotted(label::WALLET_BLINDERS, request_id, slot);
        transcript.bytes(b"key id", &key_id.0);
        transcript.bytes(b"A", &commitment.a.0);
        transcript.bytes(b"B", &commitment.b.0);
        Blinders::take(&mut *transcript)
    }

    /// The purchase key of purchase number `counter`.
    pub fn purchase_key(&self, counter: u64) -> SecretKey {
        SecretKey::from_nonzero(
            self.numbered(label::WALLET_PURCHASE, counter)
                .nonzero_scalar(b"key"),
        )
    }

    /// The id under which the bank keeps recovery record number `counter`.
    pub fn recovery_record_id(&self, counter: u64) -> RecoveryRecordId {
        RecoveryRecordId(self.numbered(label::WALLET_NOTE_ID, counter).digest32(b"id"))
    }

    /// The key that encrypts recovery record number `counter`. Number `u64::MAX` is the key of the scan record.
    pub fn recovery_record_key(&self, counter: u64) -> RecoveryRecordKey {
        RecoveryRecordKey::from_bytes(self.numbered(label::WALLET_NOTE_KEY, counter).digest32(b"key"))
    }

    /// The key of reserve number `counter`, for what others pay to this wallet.
    pub fn reserve_key(&self, counter: u64) -> SecretKey {
        SecretKey::from_nonzero(
            self.numbered(label::WALLET_RESERVE, counter)
                .nonzero_scalar(b"key"),
        )
    }

    /// The salt of the text of payment number `counter`.
    pub fn text_salt(&self, counter: u64) -> TextSalt {
        TextSalt::from_bytes(self.numbered(label::WALLET_TEXT_SALT, counter).digest32(b"salt"))
    }

    /// The name of the wallet's file with the encrypted goods of this digest.
    ///
    /// The digest is public and tells what was bought. The name tells nothing without the seed.
    pub fn goods_name(&self, encrypted_digest: &[u8]) -> [u8; 16] {
        let mut transcript = self.start(label::WALLET_GOODS_NAME);
        transcript.bytes(b"digest", encrypted_digest);
        let digest: [u8; 32] = transcript.digest32(b"name");
        let mut name = [0; 16];
        name.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        name
    }

    /// The key that seals the wallet's file of held ticks of the stream with this purchase id.
    pub fn held_ticks_key(&self, purchase: &[u8; 32]) -> [u8; 32] {
        let mut transcript = self.start(label::WALLET_HELD_TICKS);
        transcript.bytes(b"purchase", purchase);
        transcript.digest32(b"key")
    }

    /// The wallet's share of the randomness for a request. It tells the bank nothing else.
    pub fn client_randomness(&self, request_id: &RequestId) -> ClientRandomness {
        let mut transcript = self.start(label::WALLET_RANDOMNESS);
        transcript.bytes(b"request id", &request_id.0);
        ClientRandomness(transcript.digest32(b"randomness"))
    }
}

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Seed").finish_non_exhaustive()
    }
}
