//! The target's side of oblivious requests: a service that opens what a relay brings, and encrypts the reply.
//!
//! The role inside sees an anonymous request. It cannot see which relay brought it, and the relay cannot see what it is.

mod key_file;

pub use key_file::{KeyFile, KeyFileError, KeyPlace};

use crate::call::check_lane;
use crate::network::{Lane, Service};
use async_trait::async_trait;
use farthing_coin::{SecretKey, Signed};
use farthing_protocol::{
    api::{TargetRequest, encode_reply},
    oblivious::{DecryptionKeys, EncryptionKey, SealedReply, SealedRequest},
    refusal::{Later, Refusal},
};
use farthing_store::{clock::Clock, entropy::Entropy};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::Mutex;

/// What an [`ObliviousService`] needs beside the service inside.
pub struct ObliviousParts {
    /// The key that signs the encryption keys.
    pub identity: SecretKey,
    /// Where the secret keys are kept between two starts.
    pub place: Arc<dyn KeyPlace>,
    /// The clock. It decides when the key of the next day is drawn.
    pub clock: Arc<dyn Clock>,
    /// The source of keys and nonces.
    pub entropy: Arc<dyn Entropy>,
}

/// A service that also answers requests from relays.
pub struct ObliviousService {
    inner: Arc<dyn Service>,
    parts: ObliviousParts,
    keys: RwLock<DecryptionKeys>,
    /// Held while the key of the next day is drawn and stored.
    rotating: Mutex<()>,
}

impl ObliviousService {
    /// Adds requests from relays to `inner`.
    ///
    /// # Errors
    /// When the keys cannot be read or stored.
    pub fn new(inner: Arc<dyn Service>, parts: ObliviousParts) -> Result<Self, KeyFileError> {
        let target = parts.identity.public();
        let keys = key_file::load_or_draw(target, &*parts.place, &*parts.clock, &*parts.entropy)?;
        Ok(Self {
            inner,
            parts,
            keys: RwLock::new(keys),
            rotating: Mutex::default(),
        })
    }

    async fn dispatch(&self, lane: Lane, request: &[u8], reserved: bool) -> Result<Vec<u8>, Refusal> {
        let request = TargetRequest::decode(request)?;
        check_lane(lane, request.caller())?;
        Ok(match request {
            TargetRequest::Key(_) => encode_reply(&self.key().await),
            TargetRequest::Forward(request) => encode_reply(&self.forward(&request, reserved).await),
        })
    }

    /// The key of today, signed. If it is the first question of a day, the key is drawn and stored before it is told.
    async fn key(&self) -> Result<Signed<EncryptionKey>, Refusal> {
        let _rotating = self.rotating.lock().await;
        let mut keys = self.keys.read().unwrap_or_else(PoisonError::into_inner).clone();
        if keys.rotate(self.parts.clock.now_ms(), &mut self.parts.entropy.rng()) {
            let (place, stored) = (Arc::clone(&self.parts.place), keys.to_stored());
            let saved = tokio::task::spawn_blocking(move || key_file::save(&*place, &stored)).await;
            let unsaved = match saved {
                Ok(saved) => saved.err().map(|error| error.to_string()),
                Err(failed) => Some(failed.to_string()),
            };
            if let Some(error) = unsaved {
                tracing::error!(%error, "the encryption key of the day cannot be stored");
                return Err(Later::Unavailable("it cannot store its encryption key".into()).into());
            }
            *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys.clone();
        }
        Ok(keys.signed(&self.parts.identity))
    }

    async fn forward(&self, request: &SealedRequest, reserved: bool) -> Result<SealedReply, Refusal> {
        let (content, sealer) = {
            let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
            keys.open(request)?
        };
        let reply = match reserved && !self.inner.is_reserved(Lane::Anonymous, &content) {
            true => encode_reply::<()>(&Err(Later::Busy {
                retry_after_ms: crate::call::RETRY_AFTER_MS,
            }
            .into())),
            false => self.inner.call(Lane::Anonymous, content.to_vec()).await,
        };
        sealer
            .seal(&reply, &mut self.parts.entropy.rng())
            .map_err(|error| {
                tracing::error!(%error, "a reply cannot be encrypted for a relay");
                Later::Unavailable("its reply is too long for a relay".into()).into()
            })
    }
}

#[async_trait]
impl Service for ObliviousService {
    async fn call(&self, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        match lane {
            Lane::Relayed => {
                let reply = self.dispatch(lane, &request, false).await;
                reply.unwrap_or_else(|refusal| encode_reply::<()>(&Err(refusal)))
            }
            _ => self.inner.call(lane, request).await,
        }
    }

    async fn call_reserved(&self, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        match lane {
            Lane::Relayed => {
                let reply = self.dispatch(lane, &request, true).await;
                reply.unwrap_or_else(|refusal| encode_reply::<()>(&Err(refusal)))
            }
            _ => self.inner.call_reserved(lane, request).await,
        }
    }

    /// Whether an encrypted request may use a reserved slot is known only after it was opened. So every short one from a
    /// relay may, and [`call_reserved`](Service::call_reserved) refuses those that end no purchase.
    fn is_reserved(&self, lane: Lane, request: &[u8]) -> bool {
        lane == Lane::Relayed || self.inner.is_reserved(lane, request)
    }
}

impl std::fmt::Debug for ObliviousService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObliviousService").finish_non_exhaustive()
    }
}
