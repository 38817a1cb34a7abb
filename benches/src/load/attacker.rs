//! What a hostile process does: its clients send requests with bad habits, from several addresses, as fast as they can.
//!
//! The process is this program with the hidden words `attack KIND DIR`. `DIR` has the network file with the cards of the
//! nodes. It says [`READY`] when all clients have started, attacks until its standard input closes, and then prints its
//! [`Attacked`] as JSON.

use crate::{
    args::Attack,
    crowd::{Attacked, CLIENTS, Counts, PATIENCE, UNDER_WAY_PER_CLIENT, source},
    strangers,
    subject::Subject,
};
use anyhow::{Context, Result};
use farthing_coin::{EncodedPoint, EncodedScalar, PublicKey, Signature};
use farthing_kit::stranger::Depth;
use farthing_node::{
    call::{CallError, ask},
    card::{Card, RoleName},
    link::Link,
    network::{Acted, Channel, Lane, Network, NetworkError},
    network_file::NetworkFile,
    quic::QuicNetwork,
};
use farthing_protocol::{
    api::{Call, ForwardRequest, KeysRequest, RelayKeyRequest, TargetKeyRequest},
    decide::OutcomeRequest,
    ids::{EncapsulatedKey, PurchaseId},
    limits::REQUEST_MAX_BYTES,
    oblivious::{EncryptionKey, SIZE_CLASSES, SealedRequest, seal_request},
    offer::CatalogRequest,
};
use farthing_store::entropy::{Entropy, SystemEntropy};
use std::{
    ffi::OsString,
    io::{Read, Write},
    net::IpAddr,
    path::Path,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// The hidden word that makes this program an attacker.
pub(crate) const ATTACK_COMMAND: &str = "attack";

/// What an attacker prints when it attacks.
pub(crate) const READY: &str = "attacking";

/// When a client that gives up its requests does so.
const GIVEN_UP_AFTER: Duration = Duration::from_micros(500);

/// Such a client keeps one request in this many.
const KEPT_EVERY: u64 = 64;

/// The length of a frame that does not decode (bytes).
const GARBLED_BYTES: usize = 300;

/// How long the clients send before the attack counts as begun. Most of them connect in this time.
const WARM_UP: Duration = Duration::from_secs(1);

/// What a client does again and again.
#[derive(Clone, Copy)]
enum Habit {
    /// Repeats one valid request, byte for byte.
    Replay,
    /// Sends fresh valid requests.
    Fresh,
    /// Sends noise of the largest size that a request has, which no server can open.
    LargeNoise,
    /// Sends noise of the smallest size.
    SmallNoise,
    /// Asks for encryption keys. Over a relay it also names servers that the relay does not know.
    Keys,
    /// Sends frames that do not decode.
    Garbled,
    /// Opens a new connection for each request.
    Reconnect,
    /// Gives up each request soon after it was sent.
    GiveUp,
}

const HABITS: [Habit; 8] = [
    Habit::Replay,
    Habit::Fresh,
    Habit::LargeNoise,
    Habit::SmallNoise,
    Habit::Keys,
    Habit::Garbled,
    Habit::Reconnect,
    Habit::GiveUp,
];

/// Attacks if `args` (after the executable's own name) say so. `None` if they do not.
pub(crate) fn run(args: &[OsString]) -> Option<ExitCode> {
    let [_, command, kind, dir] = args else {
        return None;
    };
    if command != ATTACK_COMMAND {
        return None;
    }
    let outcome = Attack::named(&kind.to_string_lossy())
        .context("there is no such attack")
        .and_then(|kind| attack(kind, Path::new(dir)));
    Some(match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _gone = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    })
}

fn attack(kind: Attack, dir: &Path) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let cards = NetworkFile::load(dir)?;
    let counts = Arc::new(Counts::default());
    runtime.block_on(async {
        match kind {
            Attack::Stranger(kind) => strangers::start(kind, &cards, &counts).await,
            Attack::RelayClient => start(Way::RelayClient, &cards, &counts).await,
            Attack::Relay => start(Way::Relay, &cards, &counts).await,
        }
    })?;
    std::thread::sleep(WARM_UP);
    let began = Instant::now();
    let before = counts.now();
    writeln!(std::io::stdout(), "{READY}")?;
    let mut sink = [0; 64];
    while matches!(std::io::stdin().read(&mut sink), Ok(1..)) {}
    let mut since = counts.now();
    for (now, before) in since.iter_mut().zip(before) {
        *now -= before;
    }
    let [requests, answered, refused, busy, unanswered] = since;
    let attacked = Attacked {
        seconds: began.elapsed().as_secs_f64(),
        requests,
        answered,
        refused,
        busy,
        unanswered,
    };
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&attacked)?)?;
    runtime.shutdown_background();
    Ok(())
}

/// The way of requests that are encrypted to a server.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// As a client of the relay.
    RelayClient,
    /// As a relay.
    Relay,
}

/// Starts all clients.
async fn start(way: Way, cards: &NetworkFile, counts: &Arc<Counts>) -> Result<()> {
    let mut victims = Vec::new();
    for role in RoleName::PARTIES {
        victims.push(Victim::of(way, cards, role).await?);
    }
    for (number, victim) in (0..CLIENTS / HABITS.len()).zip(victims.iter().cycle()) {
        let source = source(number)?;
        for habit in HABITS {
            let client = Arc::new(Client::new(habit, victim.clone(), source)?);
            for _ in 0..UNDER_WAY_PER_CLIENT {
                tokio::spawn(Arc::clone(&client).send_for_ever(Arc::clone(counts)));
            }
        }
    }
    Ok(())
}

/// A server, and how a client reaches it.
#[derive(Clone)]
struct Victim {
    way: Way,
    /// The relay, or the server itself.
    dialled: Card,
    lane: Lane,
    role: RoleName,
    key: EncryptionKey,
}

impl Victim {
    async fn of(way: Way, cards: &NetworkFile, role: RoleName) -> Result<Victim> {
        let server = cards.only_one(role)?;
        let network = QuicNetwork::new();
        let (dialled, lane, key) = match way {
            Way::RelayClient => {
                let relay = cards.only_one(RoleName::Relay)?;
                let channel = network.connect(relay, Lane::Anonymous).await?;
                let request = RelayKeyRequest {
                    target: server.identity,
                };
                (relay, Lane::Anonymous, ask(&*channel, request, PATIENCE).await?)
            }
            Way::Relay => {
                let channel = network.connect(server, Lane::Relayed).await?;
                (
                    server,
                    Lane::Relayed,
                    ask(&*channel, TargetKeyRequest, PATIENCE).await?,
                )
            }
        };
        Ok(Victim {
            way,
            dialled: dialled.clone(),
            lane,
            role,
            key: key.body,
        })
    }

    /// A frame that brings `request` to the server `target`. Only a relay looks at the target.
    fn frame(&self, target: PublicKey, request: SealedRequest) -> Result<Vec<u8>> {
        Ok(match self.way {
            Way::RelayClient => ForwardRequest { target, request }.encode()?,
            Way::Relay => request.encode()?,
        })
    }

    /// A valid request: the catalogue, the keys, or the outcome of a purchase that does not exist.
    fn valid(&self) -> Result<Vec<u8>> {
        let content = match self.role {
            RoleName::Bank => KeysRequest.encode()?,
            RoleName::Escrow => OutcomeRequest {
                purchase: PurchaseId(random()),
                signature: Signature {
                    commitment: EncodedPoint(random()),
                    response: EncodedScalar(random()),
                },
            }
            .encode()?,
            RoleName::Merchant | RoleName::Relay => CatalogRequest { after: None }.encode()?,
        };
        let entropy: &dyn Entropy = &SystemEntropy;
        let (request, _) = seal_request(&self.key, &content, &mut entropy.rng())?;
        self.frame(self.key.target, request)
    }

    /// A request that no server can open, with this body.
    fn noise(&self, target: PublicKey, body: &[u8]) -> Result<Vec<u8>> {
        let request = SealedRequest {
            day: self.key.day,
            encapsulated: EncapsulatedKey(random()),
            body: body.to_vec(),
        };
        self.frame(target, request)
    }

    /// The next question for a key, after `count` others. Each second one over a relay is about an unknown server.
    fn key_question(&self, count: u64) -> Result<Vec<u8>> {
        let target = match count % 2 {
            0 => self.key.target,
            _ => PublicKey(random()),
        };
        match (self.way, count % 4) {
            (Way::Relay, _) => Ok(TargetKeyRequest.encode()?),
            (Way::RelayClient, 3) => self.noise(target, &[]),
            (Way::RelayClient, _) => Ok(RelayKeyRequest { target }.encode()?),
        }
    }
}

/// The requests to a relay, and those of a relay, each at both depths.
pub(crate) async fn relayed(cards: &NetworkFile) -> Result<Vec<Subject>> {
    let mut subjects = Vec::new();
    for (way, server, names) in [
        (Way::RelayClient, RoleName::Relay, ["relay-key", "relay-forward"]),
        (Way::Relay, RoleName::Bank, ["target-key", "target-forward"]),
    ] {
        let victim = Victim::of(way, cards, RoleName::Bank).await?;
        let [key, forward] = names;
        let nobody = PublicKey(random());
        let stale = SealedRequest {
            day: 0,
            encapsulated: EncapsulatedKey(random()),
            body: noise(SIZE_CLASSES.into_iter().min().unwrap_or_default()),
        };
        let (unknown, first) = match way {
            Way::RelayClient => (
                Some(RelayKeyRequest { target: nobody }.encode()?),
                "no such server",
            ),
            Way::Relay => (None, "another day"),
        };
        let refused = victim.frame(nobody, stale)?;
        let question = victim.key_question(0)?;
        let all = [
            (key, Depth::First, "no such server", unknown),
            (key, Depth::Deepest, "answered: a key", Some(question)),
            (forward, Depth::First, first, Some(refused)),
            (
                forward,
                Depth::Deepest,
                "answered: the list of keys",
                Some(victim.valid()?),
            ),
        ];
        subjects.extend(all.into_iter().filter_map(|(kind, depth, ends, request)| {
            Some(Subject {
                kind,
                depth,
                ends,
                server,
                dialled: victim.dialled.clone(),
                lane: victim.lane,
                requests: vec![request?],
            })
        }));
    }
    Ok(subjects)
}

fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    SystemEntropy.fill(&mut bytes);
    bytes
}

/// Random bytes.
fn noise(bytes: usize) -> Vec<u8> {
    let mut noise = vec![0; bytes];
    SystemEntropy.fill(&mut noise);
    noise
}

/// One hostile client with a connection of its own.
struct Client {
    habit: Habit,
    victim: Victim,
    network: Arc<QuicNetwork>,
    link: Link,
    /// What each request is made from: a whole frame, or the body of noise.
    material: Vec<u8>,
    count: AtomicU64,
}

impl Client {
    fn new(habit: Habit, victim: Victim, source: IpAddr) -> Result<Client> {
        let network = Arc::new(QuicNetwork::new().from_source(source));
        let link = Link::new(Arc::clone(&network) as _, victim.dialled.clone(), victim.lane);
        let material = match habit {
            Habit::Replay => victim.valid()?,
            Habit::Garbled => noise(GARBLED_BYTES),
            Habit::SmallNoise => noise(SIZE_CLASSES.into_iter().min().unwrap_or_default()),
            Habit::LargeNoise => {
                let sizes = SIZE_CLASSES.into_iter();
                let fits = sizes.filter(|bytes| *bytes < REQUEST_MAX_BYTES).max();
                noise(fits.unwrap_or_default())
            }
            Habit::Fresh | Habit::Keys | Habit::Reconnect | Habit::GiveUp => Vec::new(),
        };
        Ok(Client {
            habit,
            victim,
            network,
            link,
            material,
            count: AtomicU64::new(0),
        })
    }

    fn request(&self) -> Result<Vec<u8>> {
        let target = self.victim.key.target;
        match self.habit {
            Habit::Replay | Habit::Garbled => Ok(self.material.clone()),
            Habit::LargeNoise | Habit::SmallNoise => self.victim.noise(target, &self.material),
            Habit::Keys => self
                .victim
                .key_question(self.count.fetch_add(1, Ordering::Relaxed)),
            Habit::Fresh | Habit::Reconnect | Habit::GiveUp => self.victim.valid(),
        }
    }

    async fn send_for_ever(self: Arc<Self>, counts: Arc<Counts>) {
        loop {
            let Ok(request) = self.request() else { return };
            counts.asked();
            counts.replied(&self.send(request).await);
        }
    }

    /// Sends one request. A client that gives up has no reply.
    async fn send(&self, request: Vec<u8>) -> Result<Vec<u8>, CallError> {
        match self.habit {
            Habit::Reconnect => {
                let (card, lane) = (&self.victim.dialled, self.victim.lane);
                let channel = self.network.connect(card, lane).await?;
                Ok(channel.call(request, PATIENCE).await?)
            }
            Habit::GiveUp => {
                // A call that is not given up connects again, if it has to.
                let is_kept = self
                    .count
                    .fetch_add(1, Ordering::Relaxed)
                    .is_multiple_of(KEPT_EVERY);
                let after = if is_kept { PATIENCE } else { GIVEN_UP_AFTER };
                let call = tokio::time::timeout(after, self.link.call(request, PATIENCE));
                Ok(call.await.unwrap_or_else(|_| Err(self.given_up()))?)
            }
            _ => Ok(self.link.call(request, PATIENCE).await?),
        }
    }

    fn given_up(&self) -> NetworkError {
        NetworkError::Closed {
            peer: self.victim.dialled.title(),
            reason: "given up".to_owned(),
            acted: Acted::Unknown,
        }
    }
}
