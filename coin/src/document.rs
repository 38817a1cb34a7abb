//! Documents: their fields, which are signed one by one, and their signed form.

use serde::{Deserialize, Serialize};

use crate::ids::{KeyId, StatementDigest};
use crate::sign::{PublicKey, SecretKey, Signature, SignatureError, Statement};
use crate::transcript::{Transcript, TranscriptExt, label};

/// Something that is signed.
///
/// The digest starts with the protocol, the suite and the document's label. The signature covers the signer's key. So no
/// document can be taken for one of another kind or of another signer.
pub trait Document {
    /// The kind of document. No two kinds share a label.
    const LABEL: &'static str;

    /// Writes every field, in the documented order. A field that is not written is not signed.
    fn describe(&self, transcript: &mut Transcript);

    /// The digest of label and fields.
    fn digest(&self) -> StatementDigest {
        let mut transcript = Transcript::start(label::DOCUMENT);
        transcript.bytes(b"kind", Self::LABEL.as_bytes());
        self.describe(&mut transcript);
        StatementDigest(transcript.digest32(b"digest"))
    }

    /// The statement that `signer` makes by signing this document.
    fn statement(&self, signer: &PublicKey) -> Statement {
        Statement {
            context: Self::LABEL,
            key_id: KeyId(signer.0),
            digest: self.digest(),
        }
    }
}

/// A document with a signature that is not verified yet.
///
/// ```
/// use farthing_coin::{Document, SecretKey, Signed, Transcript, TranscriptExt};
///
/// struct Greeting(u64);
///
/// impl Document for Greeting {
///     const LABEL: &'static str = "example greeting";
///
///     fn describe(&self, transcript: &mut Transcript) {
///         transcript.u64(b"number", self.0);
///     }
/// }
///
/// let key = SecretKey::from_wide(&[7; 64])?;
/// let mut signed = Signed::sign(Greeting(1), &key);
/// assert!(signed.verify(&key.public()).is_ok());
/// signed.body = Greeting(2);
/// assert!(signed.verify(&key.public()).is_err());
/// # Ok::<(), farthing_coin::SignatureError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed<D> {
    /// The document.
    pub body: D,
    /// The signature over it.
    pub signature: Signature,
}

impl<D: Document> Signed<D> {
    /// Signs `body`. The same body and key always give the same bytes.
    pub fn sign(body: D, key: &SecretKey) -> Self {
        let signature = key.sign(&body.statement(&key.public()));
        Self { body, signature }
    }

    /// Verifies that `signer` signed this document.
    ///
    /// # Errors
    /// The malformed field, or [`SignatureError::Forged`].
    pub fn verify(&self, signer: &PublicKey) -> Result<(), SignatureError> {
        signer.verify(&self.body.statement(signer), &self.signature)
    }
}
