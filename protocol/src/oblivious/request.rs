//! A request, encrypted by the wallet and opened by its target.

use super::{
    document::EncryptionKey,
    padding::{pad, unpad},
    reply::{ReplyOpener, ReplySealer},
    suite::{Aead, EXPORT_CONTEXT, Kdf, Kem, REQUEST_LABEL, SealError},
};
use crate::{
    bounded,
    ids::{EncapsulatedKey, ReplySecret},
    limits::REQUEST_MAX_BYTES,
};
use farthing_coin::{Transcript, TranscriptExt};
use hpke::{Deserializable, OpModeR, OpModeS, Serializable, setup_receiver, setup_sender_with_rng};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// A request that only its target can open (RFC 9180, base mode).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedRequest {
    /// The day of the target's key.
    pub day: u32,
    /// The encapsulated key (`enc` in RFC 9180).
    pub encapsulated: EncapsulatedKey,
    /// The encrypted request, padded.
    #[serde(
        serialize_with = "serde_bytes::serialize",
        deserialize_with = "bounded::bytes::<_, REQUEST_MAX_BYTES>"
    )]
    pub body: Vec<u8>,
}

/// The `info` of HPKE: what a request belongs to. The key names its target and its day. A target has one role, and only
/// anonymous requests are oblivious. So the label stands for role and lane.
fn info(key: &EncryptionKey) -> [u8; 32] {
    let mut transcript = Transcript::start(REQUEST_LABEL);
    transcript.bytes(b"target", &key.target.0);
    transcript.u32(b"day", key.day);
    transcript.bytes(b"key", &key.key.0);
    transcript.digest32(b"info")
}

/// Encrypts `request` to the target of `key`. Returns it with the means to open its reply.
///
/// # Errors
/// [`SealError::Key`] and [`SealError::TooLong`].
pub fn seal_request(
    key: &EncryptionKey,
    request: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<(SealedRequest, ReplyOpener), SealError> {
    let target = <Kem as hpke::Kem>::PublicKey::from_bytes(&key.key.0).map_err(|_| SealError::Key)?;
    let sender = setup_sender_with_rng::<Aead, Kdf, Kem>(&OpModeS::Base, &target, &info(key), rng);
    let (encapsulated, mut context) = sender.map_err(|_| SealError::Key)?;
    let body = context.seal(&pad(request)?, b"").map_err(|_| SealError::Key)?;
    let encapsulated = EncapsulatedKey(encapsulated.to_bytes().into());
    let secret = exported(|out| context.export(EXPORT_CONTEXT, out))?;
    let request = SealedRequest {
        day: key.day,
        encapsulated,
        body,
    };
    Ok((request, ReplyOpener::new(secret, encapsulated)))
}

/// Opens a request that was encrypted to `public`, whose secret key is `secret`.
///
/// # Errors
/// [`SealError::DoesNotOpen`].
pub(super) fn open_request(
    secret: &<Kem as hpke::Kem>::PrivateKey,
    public: &EncryptionKey,
    request: &SealedRequest,
) -> Result<(Zeroizing<Vec<u8>>, ReplySealer), SealError> {
    let unopened = |_| SealError::DoesNotOpen;
    let encapsulated =
        <Kem as hpke::Kem>::EncappedKey::from_bytes(&request.encapsulated.0).map_err(unopened)?;
    let receiver = setup_receiver::<Aead, Kdf, Kem>(&OpModeR::Base, secret, &encapsulated, &info(public));
    let mut context = receiver.map_err(unopened)?;
    let plaintext = Zeroizing::new(context.open(&request.body, b"").map_err(unopened)?);
    let content = Zeroizing::new(unpad(&plaintext)?.to_vec());
    let secret = exported(|out| context.export(EXPORT_CONTEXT, out))?;
    Ok((content, ReplySealer::new(secret, request.encapsulated)))
}

/// The secret from which the keys of replies are derived (RFC 9180, section 5.3).
fn exported(export: impl FnOnce(&mut [u8]) -> Result<(), hpke::HpkeError>) -> Result<ReplySecret, SealError> {
    let mut secret = Zeroizing::new([0; 32]);
    export(secret.as_mut()).map_err(|_| SealError::Key)?;
    Ok(ReplySecret::from_bytes(*secret))
}
