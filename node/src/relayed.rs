//! The wallet's side of oblivious requests: a network that sends anonymous requests through a relay.
//!
//! All anonymous requests share one connection to the relay. Each is encrypted to its server. Other requests use the
//! network below. There is no way around the relay: if it does not answer, the request has no answer.
//!
//! Only what the server has encrypted counts as an answer. Whatever the relay itself says is silence.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use farthing_coin::{PublicKey, Signed};
use farthing_protocol::{
    api::{Call, ForwardRequest, RelayKeyRequest},
    oblivious::{EncryptionKey, ReplyOpener, SealError, SealedReply, seal_request},
    refusal::{Later, Refusal, RelayFault},
};
use farthing_store::{clock::Clock, entropy::Entropy};
use tokio::time::Instant;

use crate::call::{CallError, ask};
use crate::card::Card;
use crate::link::Link;
use crate::network::{Channel, Lane, Network, NetworkError};
use crate::transport::RATE_LEAST_BYTES;
use crate::transport::timer::HANDSHAKE_BYTES;

/// Remembers the encryption keys that a wallet was told, so that two keys of one day are noticed.
#[async_trait]
pub trait KeyWitness: Send + Sync {
    /// Remembers `key`, whose signature is valid. Returns `false` if it has seen another key of this server for this day.
    /// Both keys are then kept as evidence.
    ///
    /// # Errors
    /// What failed, if the key cannot be remembered.
    async fn remember(&self, key: &Signed<EncryptionKey>) -> Result<bool, String>;
}

/// A network that sends anonymous requests through one relay.
pub struct RelayedNetwork {
    direct: Arc<dyn Network>,
    line: Arc<RelayLine>,
}

/// The connection to the relay, and the keys that the relay has told.
struct RelayLine {
    link: Link,
    witness: Arc<dyn KeyWitness>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    /// At most one for each pinned card.
    keys: Mutex<BTreeMap<PublicKey, EncryptionKey>>,
}

impl RelayedNetwork {
    /// Sends anonymous requests over `direct` to the relay of `card`.
    #[must_use]
    pub fn new(
        direct: Arc<dyn Network>,
        card: Card,
        witness: Arc<dyn KeyWitness>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let line = RelayLine {
            link: Link::new(Arc::clone(&direct), card, Lane::Anonymous),
            witness,
            clock,
            entropy,
            keys: Mutex::default(),
        };
        Self {
            direct,
            line: Arc::new(line),
        }
    }
}

impl std::fmt::Debug for RelayedNetwork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RelayedNetwork")
            .field("relay", self.line.link.card())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Network for RelayedNetwork {
    /// An anonymous channel is ready when the server's key is known. It may fail later if the relay becomes silent.
    async fn connect(&self, card: &Card, lane: Lane) -> Result<Arc<dyn Channel>, NetworkError> {
        if lane != Lane::Anonymous {
            return self.direct.connect(card, lane).await;
        }
        self.line.key(card, CONNECT_TIMEOUT).await?;
        Ok(Arc::new(RelayedChannel {
            line: Arc::clone(&self.line),
            target: card.clone(),
        }))
    }
}

/// How far the day of an encryption key may be from the wallet's clock (days). So a key that a server has lost long ago
/// is of no use, and no server has many keys to tell wallets apart by.
pub const KEY_DAYS_MAX: u32 = 3;

/// How long the connection to the relay and the question for a key may take: the time of a handshake on the slowest line.
const CONNECT_TIMEOUT: Duration =
    Duration::from_millis(crate::transport::CONNECT_TIMEOUT_MS + HANDSHAKE_BYTES * 1_000 / RATE_LEAST_BYTES);

impl RelayLine {
    /// The encryption key of a server, as the relay has told it once.
    async fn key(&self, target: &Card, timeout: Duration) -> Result<EncryptionKey, NetworkError> {
        if let Some(key) = self.known(&target.identity) {
            return Ok(key);
        }
        let asked = ask(
            &self.link,
            RelayKeyRequest {
                target: target.identity,
            },
            timeout,
        )
        .await;
        let signed = asked.map_err(|error| self.not_brought(target, error))?;
        if signed.body.target != target.identity || signed.verify(&target.identity).is_err() {
            return Err(self.silent(target, "its encryption key is not signed by the server"));
        }
        if !signed.body.is_of(self.clock.now_ms(), KEY_DAYS_MAX) {
            return Err(self.silent(
                target,
                "its encryption key is of another time; is the clock of this machine right?",
            ));
        }
        match self.witness.remember(&signed).await {
            Ok(true) => {}
            Ok(false) => {
                return Err(NetworkError::TwoKeys { peer: target.title() });
            }
            Err(reason) => return Err(NetworkError::Local { reason }),
        }
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.insert(target.identity, signed.body.clone());
        Ok(signed.body)
    }

    fn known(&self, target: &PublicKey) -> Option<EncryptionKey> {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |key: &&EncryptionKey| key.is_of(self.clock.now_ms(), KEY_DAYS_MAX);
        keys.get(target).filter(is_recent).cloned()
    }

    fn forget(&self, target: &PublicKey) {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.remove(target);
    }

    /// The error for what the relay said or did.
    fn not_brought(&self, target: &Card, error: CallError) -> NetworkError {
        match error {
            // Nothing was sent: this wallet did not find the relay that its card describes.
            CallError::Network(
                error @ (NetworkError::Unreachable { .. }
                | NetworkError::WrongCertificate { .. }
                | NetworkError::Impostor { .. }
                | NetworkError::WrongProtocol { .. }
                | NetworkError::Local { .. }),
            ) => error,
            CallError::Network(NetworkError::Busy { retry_after_ms, .. })
            | CallError::Refused(Refusal::Later(Later::Busy { retry_after_ms })) => {
                NetworkError::NotBrought {
                    relay: self.link.card().title(),
                    peer: target.title(),
                    reason: "one of them is busy".to_owned(),
                    retry_after_ms: Some(retry_after_ms),
                }
            }
            other => self.silent(target, &other.to_string()),
        }
    }

    /// The error for what happened after a request may have been sent. Nothing is known of the server then.
    fn sent(&self, target: &Card, error: CallError) -> NetworkError {
        if let CallError::Network(error @ NetworkError::TwoKeys { .. }) = error {
            return error;
        }
        match self.not_brought(target, error) {
            error @ NetworkError::NotBrought { .. } => error,
            error => self.silent(target, &error.to_string()),
        }
    }

    fn silent(&self, target: &Card, reason: &str) -> NetworkError {
        NetworkError::NotBrought {
            relay: self.link.card().title(),
            peer: target.title(),
            reason: reason.to_owned(),
            retry_after_ms: None,
        }
    }

    /// The error for a request that could not be encrypted. Nothing was sent.
    fn not_sealed(&self, target: &Card, error: SealError) -> NetworkError {
        match error {
            // The server has signed this key. The relay may have a better one later.
            SealError::Key => {
                self.forget(&target.identity);
                NetworkError::BadKey { peer: target.title() }
            }
            error => NetworkError::Local {
                reason: error.to_string(),
            },
        }
    }

    /// Sends one request to `target`, under `key`. `None` if the target does not have the key any more.
    async fn forward(
        &self,
        target: &Card,
        key: &EncryptionKey,
        request: &[u8],
        timeout: Duration,
        reply: &mut Vec<u8>,
    ) -> Result<Option<()>, NetworkError> {
        let sealed = seal_request(key, request, &mut self.entropy.rng());
        let (request, opener) = sealed.map_err(|error| self.not_sealed(target, error))?;
        let call = ForwardRequest {
            target: target.identity,
            request,
        };
        let encoded = call.encode().map_err(|error| NetworkError::Local {
            reason: error.to_string(),
        })?;
        let mut brought = Vec::new();
        if let Err(error) = self.link.call_into(encoded, timeout, &mut brought).await {
            *reply = opened_beginning(&opener, &brought);
            return Err(self.sent(target, error.into()));
        }
        match ForwardRequest::decode_reply(&brought) {
            Ok(Ok(sealed)) => match opener.open(&sealed) {
                Ok(opened) => {
                    *reply = opened.to_vec();
                    Ok(Some(()))
                }
                Err(error) => Err(self.silent(target, &error.to_string())),
            },
            Ok(Err(Refusal::Relay(RelayFault::OldKey))) => Ok(None),
            Ok(Err(refusal)) => Err(self.sent(target, refusal.into())),
            Err(garbled) => Err(self.sent(target, garbled.into())),
        }
    }
}

/// What has arrived of an encrypted reply.
fn opened_beginning(opener: &ReplyOpener, brought: &[u8]) -> Vec<u8> {
    let begin = SealedReply::beginning(brought);
    begin.map_or_else(Vec::new, |begin| opener.open_beginning(begin).to_vec())
}

/// A channel to one server through the relay.
struct RelayedChannel {
    line: Arc<RelayLine>,
    target: Card,
}

#[async_trait]
impl Channel for RelayedChannel {
    async fn call_into(
        &self,
        request: Vec<u8>,
        timeout: Duration,
        reply: &mut Vec<u8>,
    ) -> Result<(), NetworkError> {
        let (line, target) = (&self.line, &self.target);
        let until = Instant::now() + timeout;
        // The last of several questions has only the time that the ones before have left.
        let left = || until.saturating_duration_since(Instant::now());
        let key = line.key(target, timeout).await?;
        if line
            .forward(target, &key, &request, timeout, reply)
            .await?
            .is_some()
        {
            return Ok(());
        }
        line.forget(&target.identity);
        let newer = line.key(target, left()).await;
        let newer = newer.map_err(|error| line.sent(target, error.into()))?;
        // A relay can say at any time that a key is old. With the same key, it is asked once more, not for ever.
        let again = line.forward(target, &newer, &request, left(), reply).await;
        match again.map_err(|error| line.sent(target, error.into()))? {
            Some(()) => Ok(()),
            None => {
                line.forget(&target.identity);
                Err(line.silent(target, "the relay has no newer encryption key of the server"))
            }
        }
    }
}
