//! The relay: what it answers to wallets.

use crate::key_cache::KeyCache;
use crate::pool::{Pool, REQUESTS_PER_ADDRESS_MAX};
use async_trait::async_trait;
use farthing_coin::{PublicKey, Signed};
use farthing_node::admin::AdminHandler;
use farthing_node::call::{CallError, RETRY_AFTER_MS, ask, check_lane};
use farthing_node::card::{Card, RoleName};
use farthing_node::complaints::Complaints;
use farthing_node::network::{Caller, Channel, Lane, Network, NetworkError, Service};
use farthing_node::peers::{PeerCount, Peers};
use farthing_node::process::StopToken;
use farthing_node::serve::Role;
use farthing_protocol::{
    api::{Call, ForwardRequest, RelayRequest, TargetKeyRequest, encode_reply},
    limits::REPLY_TIMEOUT,
    oblivious::{EncryptionKey, SealedReply, SealedRequest},
    refusal::{Later, Refusal, RelayFault},
};
use farthing_store::{clock::Clock, entropy::Entropy};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::{Instant, timeout_at};

/// How far the day of a server's key may be from the relay's clock (days): tomorrow's is the key of a server that has lost
/// today's.
const KEY_DAYS_MAX: u32 = 1;

/// What a relay needs from its environment.
pub struct RelayParts {
    /// The network over which it reaches the servers.
    pub network: Arc<dyn Network>,
    /// The pinned servers. It forwards to no others.
    pub cards: Vec<Card>,
    /// The clock. It decides when a server is asked for the key of the next day.
    pub clock: Arc<dyn Clock>,
    /// Chooses the connection for each request.
    pub entropy: Arc<dyn Entropy>,
}

/// A relay. It keeps connections and public keys in memory, and nothing else.
pub struct Relay {
    network: Arc<dyn Network>,
    peers: Peers,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    pools: Mutex<BTreeMap<PublicKey, Arc<Pool>>>,
    keys: KeyCache,
    complaints: Complaints,
}

impl Relay {
    /// A relay for the servers of the pinned cards. Nothing is sent before the first request.
    #[must_use]
    pub fn new(parts: RelayParts) -> Self {
        Self {
            peers: Peers::new(Arc::clone(&parts.network), parts.cards),
            network: parts.network,
            clock: parts.clock,
            entropy: parts.entropy,
            pools: Mutex::default(),
            keys: KeyCache::default(),
            complaints: Complaints::default(),
        }
    }

    /// The pinned servers.
    #[must_use]
    pub fn peers(&self) -> &Peers {
        &self.peers
    }

    async fn dispatch(&self, caller: Caller, lane: Lane, request: &[u8]) -> Result<Vec<u8>, Refusal> {
        let request = RelayRequest::decode(request)?;
        check_lane(lane, request.caller())?;
        match request {
            RelayRequest::Key(request) => Ok(encode_reply(&self.key(&request.target).await)),
            RelayRequest::Forward(ForwardRequest { target, request }) => {
                self.forward(caller, &target, request).await
            }
        }
    }

    /// The connections to a pinned server.
    fn pool(&self, target: &PublicKey) -> Result<Arc<Pool>, Refusal> {
        let card = RoleName::PARTIES
            .into_iter()
            .find_map(|role| self.peers.card(role, target));
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(card) = card else {
            // The card may have been removed: its connections close.
            pools.remove(target);
            return Err(RelayFault::UnknownTarget.into());
        };
        if let Some(pool) = pools.get(target)
            && *pool.card() == card
        {
            return Ok(Arc::clone(pool));
        }
        // The cards were changed: the connections of removed ones close.
        let is_pinned = |key: &PublicKey| {
            RoleName::PARTIES
                .into_iter()
                .any(|role| self.peers.card(role, key).is_some())
        };
        pools.retain(|key, _| is_pinned(key));
        self.keys.retain(is_pinned);
        let pool = Arc::new(Pool::new(&self.network, card));
        pools.insert(*target, Arc::clone(&pool));
        Ok(pool)
    }

    /// The encryption key of a server, the same for every wallet.
    async fn key(&self, target: &PublicKey) -> Result<Signed<EncryptionKey>, Refusal> {
        let pool = self.pool(target)?;
        let now_ms = self.clock.now_ms();
        if let Some(key) = self.keys.fresh(target, now_ms) {
            return Ok(key);
        }
        // One question at a time. Whoever waited takes the answer of the one before.
        let _asking = pool.asking.lock().await;
        if let Some(key) = self.keys.fresh(target, now_ms) {
            return Ok(key);
        }
        let told = ask(pool.any(&*self.entropy), TargetKeyRequest, REPLY_TIMEOUT).await;
        let key = told.map_err(|error| not_answered(pool.card(), error))?;
        if key.body.target != *target || key.verify(target).is_err() {
            return Err(self.wrong_key(
                pool.card(),
                "a server has told an encryption key that it has not signed",
            ));
        }
        if !key.body.is_of(now_ms, KEY_DAYS_MAX) {
            return Err(self.wrong_key(pool.card(), "a server has told an encryption key of another time"));
        }
        self.keys.keep(key, now_ms).ok_or_else(|| {
            self.wrong_key(
                pool.card(),
                "a server has told two encryption keys for one day; wallets get neither",
            )
        })
    }

    /// The refusal when a server has told a key that no wallet gets. Wallets ask again and again, so the log only counts.
    fn wrong_key(&self, card: &Card, what: &'static str) -> Refusal {
        self.complaints.tell(what, &card.title(), |times| {
            tracing::error!(server = %card.title(), times, "{what}");
        });
        Later::PeerSilent(card.role.to_string()).into()
    }

    /// Forwards a request when it is the client's turn, and returns the encoded reply as the server has sent it.
    async fn forward(
        &self,
        caller: Caller,
        target: &PublicKey,
        request: SealedRequest,
    ) -> Result<Vec<u8>, Refusal> {
        let pool = self.pool(target)?;
        let until = Instant::now() + REPLY_TIMEOUT;
        let turn = timeout_at(until, pool.queue.place(caller.give_back())).await;
        let _place = turn.ok().flatten().ok_or(Later::Busy {
            retry_after_ms: RETRY_AFTER_MS,
        })?;
        let left = until.saturating_duration_since(Instant::now());
        let encoded = request.encode().map_err(|_| RelayFault::DoesNotOpen)?;
        let channel = pool.any(&*self.entropy);
        let reply = channel.call(encoded, left).await;
        let reply = reply.map_err(|error| not_answered(pool.card(), error.into()))?;
        // The bytes go on as they are.
        if SealedReply::is_old_key(&reply) {
            self.keys.is_old(target);
        }
        Ok(reply)
    }
}

/// The refusal when a server did not answer. It proves nothing to the wallet.
fn not_answered(card: &Card, error: CallError) -> Refusal {
    match error {
        CallError::Network(NetworkError::Busy { retry_after_ms, .. })
        | CallError::Refused(Refusal::Later(Later::Busy { retry_after_ms })) => {
            Later::Busy { retry_after_ms }.into()
        }
        error => {
            tracing::debug!(server = %card.title(), %error, "a server has not answered");
            Later::PeerSilent(card.role.to_string()).into()
        }
    }
}

#[async_trait]
impl Service for Relay {
    async fn call(&self, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        self.call_from(Caller::any(), lane, request).await
    }

    async fn call_from(&self, caller: Caller, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        self.dispatch(caller, lane, &request)
            .await
            .unwrap_or_else(|refusal| encode_reply::<SealedReply>(&Err(refusal)))
    }
}

#[async_trait]
impl AdminHandler for Relay {
    async fn admin(&self, _: Value) -> Result<Value, String> {
        Err("a relay has no commands of its own; is this program older than the relay that runs?".to_owned())
    }
}

#[async_trait]
impl Role for Relay {
    const NAME: RoleName = RoleName::Relay;
    const REQUESTS_PER_ADDRESS_MAX: usize = REQUESTS_PER_ADDRESS_MAX;

    fn peers(&self) -> &Peers {
        &self.peers
    }

    fn reached(&self, of: RoleName) -> PeerCount {
        let pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let mut count = self.peers.reached(of);
        for pool in pools.values().filter(|pool| pool.card().role == of) {
            count.connected += usize::from(pool.is_connected());
            count.failing += usize::from(pool.is_failing());
        }
        count
    }

    fn complaints(&self) -> usize {
        self.complaints.open()
    }

    fn lacks(&self) -> Vec<&'static str> {
        let mut parties = RoleName::PARTIES.into_iter();
        let has_server = parties.any(|role| !self.peers.cards(role).is_empty());
        (!has_server)
            .then_some("no server's card is pinned")
            .into_iter()
            .collect()
    }

    async fn background(self: Arc<Self>, stop: StopToken) {
        stop.stopped().await;
    }
}
