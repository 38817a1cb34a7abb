//! What the servers of a node share: the service and the bounds of all that a client can cause.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use farthing_protocol::api::decode_refusal;
use farthing_protocol::refusal::Refusal;
use farthing_protocol::wire::{FRAME_MAX_BYTES, VARIANT_BYTES};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::code::{BUSY, Code};
use super::counts::ServerCounters;
use super::limits::{
    FAULT_PAUSE_MS, HANDSHAKE_PACE_MS, HANDSHAKE_TURN_TIMEOUT_MS, REQUEST_PACE_MS, REQUESTS_MAX_BYTES,
    RESERVED_REQUEST_MAX_BYTES, RESERVED_TIMEOUT_MS, ServerLimits, TURN_TIMEOUT_MS,
};
use super::load::{ServerLoad, Taken};
use super::timer::slowest;
use crate::network::{Caller, ClientNumber, Lane, Service};
use crate::shares::{Origin, Share, Shares};

/// The maximum number of bytes in one read from a stream.
pub(crate) const CHUNK_MAX_BYTES: usize = 64 * 1024;

/// A client on one connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client {
    of: Origin,
    lane: Lane,
    /// Whether it brings the requests of many customers.
    is_server: bool,
}

/// The service of a node with its bounds. The servers of a node share it, so a bound holds for all of them together.
pub struct Gate {
    service: Arc<dyn Service>,
    pub(crate) limits: ServerLimits,
    pub(crate) counters: Arc<ServerCounters>,
    /// The permits for bounded resources.
    connections: Arc<Semaphore>,
    pub(crate) handshakes: Arc<Semaphore>,
    requests: Arc<Semaphore>,
    reserved: Arc<Semaphore>,
    request_bytes: Arc<Semaphore>,
    connection_shares: Arc<Shares>,
    request_shares: Arc<Shares>,
    customer_turns: Arc<Shares>,
    /// The shares of the requests of the last [`REQUEST_PACE_MS`].
    customer_rates: Arc<Shares>,
    server_turns: Arc<Shares>,
    handshake_turns: Arc<Shares>,
    /// The shares of the handshakes that are under way or wait.
    handshake_shares: Arc<Shares>,
    /// The key of the clients' numbers, drawn for this process.
    numbering: RandomState,
}

/// A permit for a bounded resource, with the client's share of it. A reserved slot needs no share.
pub(crate) struct Permit {
    _permit: OwnedSemaphorePermit,
    _share: Option<Share>,
}

impl Gate {
    /// The gate of a node that answers with `service`.
    #[must_use]
    pub fn new(service: Arc<dyn Service>, limits: ServerLimits) -> Arc<Self> {
        let semaphore = |permits: usize| Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)));
        Arc::new(Self {
            service,
            counters: Arc::default(),
            connections: semaphore(limits.connections_max),
            handshakes: semaphore(limits.handshakes_max),
            requests: semaphore(limits.requests_max),
            reserved: semaphore(limits.reserved_requests_max),
            request_bytes: semaphore(REQUESTS_MAX_BYTES),
            connection_shares: Shares::new(limits.connections_per_address_max),
            request_shares: Shares::new(limits.requests_per_address_max),
            customer_turns: Shares::new(limits.customer_turns_max),
            customer_rates: Shares::new(limits.customer_burst_max),
            server_turns: Shares::new(limits.server_turns_max),
            handshake_turns: Shares::new(limits.handshakes_per_address_max),
            handshake_shares: Shares::new(limits.handshakes_per_address_max.saturating_mul(2)),
            numbering: RandomState::new(),
            limits,
        })
    }

    /// The counters of all requests. They stay readable after the servers have stopped.
    #[must_use]
    pub fn counters(&self) -> Arc<ServerCounters> {
        Arc::clone(&self.counters)
    }

    /// How full the servers are now.
    #[must_use]
    pub fn load(&self) -> ServerLoad {
        let taken = |of: &Semaphore, most: usize| Taken::of(most, of.available_permits());
        ServerLoad {
            connections: taken(&self.connections, self.limits.connections_max),
            handshakes: taken(&self.handshakes, self.limits.handshakes_max),
            requests: taken(&self.requests, self.limits.requests_max),
            reserved: taken(&self.reserved, self.limits.reserved_requests_max),
        }
    }

    /// A permit for a connection of the client `of`, unless there are too many.
    pub(crate) fn connection(&self, of: Origin) -> Option<Permit> {
        permit(&self.connections, &self.connection_shares, of)
    }

    /// Accepts no more requests. From now on each is refused as busy.
    pub(crate) fn close(&self) {
        self.requests.close();
        self.reserved.close();
    }

    /// Whether so many handshakes are under way that a client must prove its address first.
    pub(crate) fn is_crowded(&self) -> bool {
        self.handshakes.available_permits() <= self.limits.handshakes_max / 2
    }

    /// The turn of a handshake of the client `of`. `None` if too many of them wait, or wait for too long.
    /// The next one in its place begins after [`HANDSHAKE_PACE_MS`] at the earliest.
    pub(crate) async fn handshake_turn(&self, of: Origin) -> Option<(Share, Share)> {
        let waiting = self.handshake_shares.take(of)?;
        let most = Duration::from_millis(HANDSHAKE_TURN_TIMEOUT_MS);
        let turn = self.handshake_turns.wait(of, most).await?;
        let next = Instant::now() + Duration::from_millis(HANDSHAKE_PACE_MS);
        Some((turn.until(next), waiting.until(next)))
    }

    /// The client `of` on a new connection of this lane.
    pub(crate) fn client(&self, of: Origin, lane: Lane) -> Client {
        let is_server = match lane {
            Lane::Anonymous | Lane::Identified => false,
            Lane::Relayed | Lane::Peer => self.service.is_known_server(of.address()),
        };
        Client { of, lane, is_server }
    }

    fn turns(&self, client: Client) -> &Arc<Shares> {
        match client.is_server {
            true => &self.server_turns,
            false => &self.customer_turns,
        }
    }

    /// Waits for the turn of `client`. `None` if this takes too long.
    async fn turn(&self, client: Client) -> Option<Share> {
        let most = Duration::from_millis(TURN_TIMEOUT_MS);
        if !client.is_server {
            let rate = self.customer_rates.wait(client.of, most).await?;
            drop(rate.until(Instant::now() + Duration::from_millis(REQUEST_PACE_MS)));
        }
        self.turns(client).wait(client.of, most).await
    }

    /// Takes a turn from `client` for a while, after a request that was of no use. So a client cannot send many of them.
    pub(crate) fn fault(&self, client: Client) {
        let turns = Arc::clone(self.turns(client));
        tokio::spawn(async move {
            let most = Duration::from_millis(TURN_TIMEOUT_MS);
            if let Some(turn) = turns.wait(client.of, most).await {
                drop(turn.until(Instant::now() + Duration::from_millis(FAULT_PAUSE_MS)));
            }
        });
    }

    /// A slot for a request of `client`, of which no byte was read yet, once it is the client's turn.
    pub(crate) async fn slot(&self, client: Client) -> Option<(RequestSlot, Caller)> {
        let of = client.of;
        let turn = self.turn(client).await;
        let slot = match turn {
            Some(_) => RequestSlot::take(self, of),
            None => RequestSlot::reserve(self),
        };
        let number = ClientNumber(self.numbering.hash_one(of));
        Some((slot?, Caller::new(number, turn)))
    }

    /// The reply of the service to `request`, which has this slot. `None` if it is too long to be sent.
    pub(crate) async fn reply(
        &self,
        client: Client,
        request: Vec<u8>,
        slot: &RequestSlot,
        caller: Caller,
    ) -> Option<Vec<u8>> {
        self.counters.request(request.len());
        let reply = match slot {
            RequestSlot::Ordinary(..) => self.service.call_from(caller, client.lane, request).await,
            RequestSlot::Reserved(_) => self.service.call_reserved(client.lane, request).await,
        };
        self.counters.reply(reply.len());
        if is_fault(client.lane, &reply) {
            self.fault(client);
        }
        if reply.len() <= FRAME_MAX_BYTES {
            return Some(reply);
        }
        tracing::error!(
            got_bytes = reply.len(),
            max_bytes = FRAME_MAX_BYTES,
            "a reply is too long to be sent"
        );
        None
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Whether a reply says that its request was of no use, by a fault of the client on this lane.
fn is_fault(lane: Lane, reply: &[u8]) -> bool {
    decode_refusal(reply).is_some_and(|refusal| match refusal {
        // They are no fault of the relay that has brought the request.
        Refusal::Relay(_) => lane != Lane::Relayed,
        refusal => refusal.is_misuse(),
    })
}

/// Takes a permit, and one unit of the client's share.
fn permit(of_all: &Arc<Semaphore>, shares: &Arc<Shares>, of: Origin) -> Option<Permit> {
    let share = shares.take(of)?;
    Some(Permit {
        _permit: of_all.clone().try_acquire_owned().ok()?,
        _share: Some(share),
    })
}

/// A slot for one request under way. Without a slot a request is refused as busy.
pub(crate) enum RequestSlot {
    /// A slot for any request: its permit, and the permit for its bytes in memory.
    Ordinary(Permit, Option<OwnedSemaphorePermit>),
    /// A reserved slot, for a short request that ends a purchase.
    Reserved(Permit),
}

impl RequestSlot {
    /// Takes a slot for a request of the client `of`, of which no byte has arrived yet.
    fn take(gate: &Gate, of: Origin) -> Option<RequestSlot> {
        permit(&gate.requests, &gate.request_shares, of)
            .map(|permit| RequestSlot::Ordinary(permit, None))
            .or_else(|| RequestSlot::reserve(gate))
    }

    fn reserve(gate: &Gate) -> Option<RequestSlot> {
        let reserved = gate.reserved.clone().try_acquire_owned().ok()?;
        Some(RequestSlot::Reserved(Permit {
            _permit: reserved,
            _share: None,
        }))
    }

    /// The time in which the request must arrive, if `bytes` of it have arrived so far. A reserved slot gives no extra
    /// time for slow lines.
    fn timeout(&self, limits: &ServerLimits, bytes: usize) -> Duration {
        match self {
            RequestSlot::Ordinary(..) => limits.stream_timeout + slowest(bytes as u64),
            RequestSlot::Reserved(_) => limits
                .stream_timeout
                .min(Duration::from_millis(RESERVED_TIMEOUT_MS)),
        }
    }

    /// Takes the permit for the last `more` bytes of `request`, which has arrived so far. Without a permit, a request
    /// that ends a purchase moves to a reserved slot.
    fn grow(self, gate: &Gate, lane: Lane, request: &[u8], more: usize) -> Result<RequestSlot, Code> {
        let RequestSlot::Ordinary(permit, bytes) = self else {
            return self.check(gate, lane, request, false);
        };
        let count = u32::try_from(more).map_err(|_| Code::RequestTooLong)?;
        let Ok(added) = gate.request_bytes.clone().try_acquire_many_owned(count) else {
            let reserved = RequestSlot::reserve(gate).ok_or(BUSY)?;
            return reserved.check(gate, lane, request, false);
        };
        let bytes = match bytes {
            Some(mut bytes) => {
                bytes.merge(added);
                bytes
            }
            None => added,
        };
        Ok(RequestSlot::Ordinary(permit, Some(bytes)))
    }

    /// Refuses a request that may not use a reserved slot, as soon as enough of it has arrived. `complete` says whether
    /// all of `request` has arrived.
    fn check(self, gate: &Gate, lane: Lane, request: &[u8], complete: bool) -> Result<RequestSlot, Code> {
        let has_tag = complete || request.len() >= VARIANT_BYTES;
        let is_ordinary = request.len() > RESERVED_REQUEST_MAX_BYTES
            || (has_tag && !gate.service.is_reserved(lane, request));
        match (&self, is_ordinary) {
            (RequestSlot::Reserved(_), true) => Err(BUSY),
            _ => Ok(self),
        }
    }

    /// Returns the permit for the bytes, which are no longer in memory. The request is answered.
    pub(crate) fn without_bytes(self) -> Permit {
        match self {
            RequestSlot::Ordinary(permit, _) | RequestSlot::Reserved(permit) => permit,
        }
    }
}

/// The receiving half of a stream.
pub(crate) trait Chunks {
    /// The next bytes of at most [`CHUNK_MAX_BYTES`], or `None` after the last ones.
    ///
    /// # Errors
    /// When the client has given up the request or is gone.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, Gone>> + Send;
}

/// The client has given up the request or is gone.
pub(crate) struct Gone;

/// Reads a whole request. Returns it with its slot.
///
/// # Errors
/// The code for the refusal, or `None` if the client is gone.
pub(crate) async fn read_request(
    gate: &Gate,
    client: Client,
    receive: &mut impl Chunks,
    mut slot: RequestSlot,
) -> Result<(Vec<u8>, RequestSlot), Option<Code>> {
    let lane = client.lane;
    let mut request = Vec::new();
    let began = Instant::now();
    loop {
        let until = began + slot.timeout(&gate.limits, request.len());
        let read = timeout_at(until, receive.next()).await;
        let Some(chunk) = read.map_err(|_| Some(Code::TooSlow))?.map_err(|Gone| {
            gate.fault(client);
            None
        })?
        else {
            break;
        };
        let more = chunk.len();
        if request.len().saturating_add(more) > gate.limits.request_max_bytes {
            return Err(Some(Code::RequestTooLong));
        }
        request.extend_from_slice(&chunk);
        slot = slot.grow(gate, lane, &request, more).map_err(Some)?;
    }
    let slot = slot.check(gate, lane, &request, true).map_err(Some)?;
    Ok((request, slot))
}

#[cfg(test)]
mod tests {
    use super::*;
    use farthing_protocol::api::encode_reply;
    use farthing_protocol::refusal::{CoinFault, CoinsFault, Later, RelayFault, RequestFault};

    #[test]
    fn a_request_is_at_fault_if_it_is_of_no_use_or_its_sender_made_it_so_that_it_does_not_open() {
        let refused = |refusal: Refusal| encode_reply::<()>(&Err(refusal));
        let malformed = refused(RequestFault::Malformed("trailing bytes".into()).into());
        let coin = |what| refused(CoinsFault { index: 3, what }.into());
        for lane in Lane::ALL {
            assert!(is_fault(lane, &malformed));
            assert!(is_fault(lane, &coin(CoinFault::Invalid("forged".into()))));
            assert!(!is_fault(lane, &coin(CoinFault::UnknownKey)));
            assert!(!is_fault(lane, &refused(Later::PeerSilent("bank".into()).into())));
            assert!(!is_fault(lane, &encode_reply(&Ok(7_u64))));
            assert!(!is_fault(lane, &[]));
        }
        for fault in [
            RelayFault::UnknownTarget,
            RelayFault::OldKey,
            RelayFault::DoesNotOpen,
        ] {
            let reply = refused(fault.into());
            assert!(is_fault(Lane::Anonymous, &reply));
            assert!(!is_fault(Lane::Relayed, &reply), "a relay's client has made it");
        }
    }
}
