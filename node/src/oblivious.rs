//! The target's side of oblivious requests: a service that opens what a relay brings, and encrypts the reply.
//!
//! The role inside sees an anonymous request. It cannot see which relay brought it, and the relay cannot see what it is.

mod key_file;

pub use key_file::{KeyFile, KeyFileError, KeyPlace};

use crate::call::{RETRY_AFTER_MS, check_lane};
use crate::complaints::Complaints;
use crate::network::{Lane, Service};
use crate::process::StopToken;
use async_trait::async_trait;
use farthing_coin::{SecretKey, Signed};
use farthing_protocol::{
    api::{TargetRequest, encode_reply},
    oblivious::{DecryptionKeys, EncryptionKey, SealedReply, SealedRequest},
    refusal::{Later, Refusal},
};
use farthing_store::{clock::Clock, entropy::Entropy};
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;
use tokio::sync::Mutex;

/// How often a node without requests looks whether a new day has begun (ms).
const LOOK_EVERY_MS: u64 = 60 * 60 * 1000;

/// The topic of the complaint about the file of keys.
const TOPIC_UNSTORED: &str = "unstored";

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
    /// Whether the operator has pinned a server at an address.
    pub is_known_server: Arc<dyn Fn(IpAddr) -> bool + Send + Sync>,
}

/// A service that also answers requests from relays.
pub struct ObliviousService {
    inner: Arc<dyn Service>,
    parts: ObliviousParts,
    keys: RwLock<DecryptionKeys>,
    /// Held while the key of the next day is drawn and stored.
    rotating: Mutex<()>,
    complaints: Complaints,
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
            complaints: Complaints::default(),
        })
    }

    /// The encoded reply to a request from a relay.
    async fn relayed(&self, request: &[u8], reserved: bool) -> Vec<u8> {
        let reply = self.dispatch(request, reserved).await;
        reply.unwrap_or_else(|refusal| encode_reply::<()>(&Err(refusal)))
    }

    async fn dispatch(&self, request: &[u8], reserved: bool) -> Result<Vec<u8>, Refusal> {
        let request = TargetRequest::decode(request)?;
        check_lane(Lane::Relayed, request.caller())?;
        Ok(match request {
            // The reserved places are for requests that end a purchase.
            TargetRequest::Key(_) if reserved => encode_reply::<()>(&Err(busy())),
            TargetRequest::Key(_) => encode_reply(&self.key().await),
            TargetRequest::Forward(request) => encode_reply(&self.forward(&request, reserved).await),
        })
    }

    /// Looks at the clock every hour until `stop`, so that old keys go even if nobody asks anything.
    pub async fn keep_current(self: Arc<Self>, stop: StopToken) {
        let every = Duration::from_millis(LOOK_EVERY_MS);
        while tokio::time::timeout(every, stop.stopped()).await.is_err() {
            // An error was logged. The next request or look tries again.
            let _later = self.rotate().await;
        }
    }

    /// Draws the key of today if the day has begun, and stores it before anything is done with it. The key of the day
    /// before yesterday is then gone.
    async fn rotate(&self) -> Result<(), Refusal> {
        let now_ms = self.parts.clock.now_ms();
        if !self.current().is_due(now_ms) {
            return Ok(());
        }
        let _rotating = self.rotating.lock().await;
        let mut keys = self.current().clone();
        if keys.rotate(now_ms, &mut self.parts.entropy.rng()) {
            let (place, stored) = (Arc::clone(&self.parts.place), keys.to_stored());
            let saved = tokio::task::spawn_blocking(move || key_file::save(&*place, &stored)).await;
            let unsaved = match saved {
                Ok(saved) => saved.err().map(|error| error.to_string()),
                Err(failed) => Some(failed.to_string()),
            };
            if let Some(error) = unsaved {
                self.complaints.tell(TOPIC_UNSTORED, &"", |times| {
                    tracing::error!(%error, times, "the encryption key of the day cannot be stored");
                });
                return Err(Later::Unavailable("it cannot store its encryption key".into()).into());
            }
            *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        }
        Ok(())
    }

    fn current(&self) -> RwLockReadGuard<'_, DecryptionKeys> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key of today, signed.
    async fn key(&self) -> Result<Signed<EncryptionKey>, Refusal> {
        self.rotate().await?;
        Ok(self.current().signed(&self.parts.identity))
    }

    async fn forward(&self, request: &SealedRequest, reserved: bool) -> Result<SealedReply, Refusal> {
        self.rotate().await?;
        let (content, sealer) = self.current().open(request)?;
        let reply = match reserved && !self.inner.is_reserved(Lane::Anonymous, &content) {
            true => encode_reply::<()>(&Err(busy())),
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

fn busy() -> Refusal {
    Later::Busy {
        retry_after_ms: RETRY_AFTER_MS,
    }
    .into()
}

#[async_trait]
impl Service for ObliviousService {
    async fn call(&self, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        match lane {
            Lane::Relayed => self.relayed(&request, false).await,
            _ => self.inner.call(lane, request).await,
        }
    }

    async fn call_reserved(&self, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        match lane {
            Lane::Relayed => self.relayed(&request, true).await,
            _ => self.inner.call_reserved(lane, request).await,
        }
    }

    /// Whether an encrypted request may use a reserved slot is known only after it was opened. So every short one from a
    /// relay may, and [`call_reserved`](Service::call_reserved) refuses those that end no purchase.
    fn is_reserved(&self, lane: Lane, request: &[u8]) -> bool {
        lane == Lane::Relayed || self.inner.is_reserved(lane, request)
    }

    fn is_known_server(&self, address: IpAddr) -> bool {
        (self.parts.is_known_server)(address)
    }
}

impl std::fmt::Debug for ObliviousService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObliviousService").finish_non_exhaustive()
    }
}
