//! The cost of single operations on this machine now. Work cannot cost less than the sum of its operations.

use crate::bars;
use anyhow::{Context, Result};
use async_trait::async_trait;
use curve25519_dalek::{
    constants::RISTRETTO_BASEPOINT_TABLE, ristretto::RistrettoPoint, scalar::Scalar,
    traits::VartimeMultiscalarMul,
};
use farthing_coin::{
    Batch, Blinders, BootId, ClientRandomness, Coin, Commitment, Denomination, DenominationSecret, KeyId,
    MasterSecret, Nonces, PublicKey, RequestId, SecretKey, Seed, Signature, Statement, StatementDigest,
    Transcript, TranscriptExt, blind, recover,
};
use farthing_node::table::{Align, table};
use farthing_node::{
    card::{Card, RoleName},
    network::{Lane, Network, Service},
    process::stop_pair,
    quic::{QuicNetwork, QuicServer},
    transport::{ServerIdentity, ServerLimits},
    usage::Usage,
};
use farthing_protocol::oblivious::{DecryptionKeys, seal_request};
use farthing_store::{
    disk::{Disk, FileDisk},
    entropy::{Entropy, SystemEntropy},
};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::{
    hint::black_box,
    net::Ipv4Addr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// How long each operation is measured.
const TIME: Duration = Duration::from_millis(300);

/// The size of a batch (coins, signatures) that is large enough to show the cost of one more.
const BATCH: usize = 64;

/// The bytes of one measured sync: about one transaction of a bank.
const SYNC_BYTES: usize = 4096;

/// A message of typical length.
const MESSAGE_BYTES: usize = 2048;

/// The time of the encryption key in the measurement of requests through a relay (ms since 1970).
const OBLIVIOUS_DAY_MS: u64 = 1_800_000_000_000;

/// The file whose syncs are timed.
const SYNC_FILE: &str = "floor";

/// The statement that is signed in the measurement.
const CONTEXT: &str = "farthing load";

/// The median cost of single operations (us), on one core unless stated otherwise.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Floor {
    /// A scalar multiplication of a point.
    pub(crate) multiplication_us: f64,
    /// A scalar multiplication of the base point, from a table.
    pub(crate) base_multiplication_us: f64,
    /// One more point in a multiplication of 192 points, as 64 coins need.
    pub(crate) multiscalar_point_us: f64,
    /// Decompressing a point from its 32 bytes.
    pub(crate) decompression_us: f64,
    /// Computing a challenge hash.
    pub(crate) transcript_us: f64,
    /// SHA-256 of a KiB.
    pub(crate) sha256_kib_us: f64,
    /// Making a signature.
    pub(crate) sign_us: f64,
    /// Verifying one signature alone.
    pub(crate) verify_us: f64,
    /// Verifying a coin and its authorization, in a batch of two.
    pub(crate) coin_of_2_us: f64,
    /// The same in a batch of 64.
    pub(crate) coin_of_64_us: f64,
    /// The bank's part of issuing a coin: first message and response.
    pub(crate) issue_us: f64,
    /// The wallet's part: it derives the blinders, blinds, and recovers the coin from the response.
    pub(crate) blind_us: f64,
    /// A server's part of a request through a relay: it opens the request and encrypts the reply, 2 KiB each.
    pub(crate) oblivious_server_us: f64,
    /// The wallet's part: it encrypts the request and opens the reply.
    pub(crate) oblivious_client_us: f64,
    /// Making 4 KiB durable on the disk of the load's directory. This is waiting, not work.
    pub(crate) sync_us: f64,
    /// The longest of one hundred syncs.
    pub(crate) sync_p99_us: f64,
    /// Time until a connection over the loopback device is open.
    pub(crate) handshake_us: f64,
    /// Work for a connection, both ends together.
    pub(crate) handshake_cpu_us: f64,
    /// Time of a request and its reply, 2 KiB each, on an open connection.
    pub(crate) round_trip_us: f64,
    /// Work for a request and its reply, both ends together.
    pub(crate) round_trip_cpu_us: f64,
    /// The same work with 64 requests under way on the connection, which share packets.
    pub(crate) round_trip_of_64_cpu_us: f64,
}

/// Measures all operations, with the file for syncs in `dir`.
pub(crate) async fn measure(dir: &Path) -> Result<Floor> {
    let bar = bars::busy("measuring what single operations cost here");
    let curve = tokio::task::spawn_blocking(Curve::measure).await??;
    let oblivious = tokio::task::spawn_blocking(Oblivious::measure).await??;
    let path = dir.join(SYNC_FILE);
    let (sync_us, sync_p99_us) = tokio::task::spawn_blocking(move || syncs(&path)).await??;
    let network = network().await?;
    bar.finish_and_clear();
    Ok(Floor {
        multiplication_us: curve.multiplication,
        base_multiplication_us: curve.base,
        multiscalar_point_us: curve.multiscalar_point,
        decompression_us: curve.decompression,
        transcript_us: curve.transcript,
        sha256_kib_us: curve.sha256,
        sign_us: curve.sign,
        verify_us: curve.verify,
        coin_of_2_us: curve.coin_of_2,
        coin_of_64_us: curve.coin_of_64,
        issue_us: curve.issue,
        blind_us: curve.blind,
        oblivious_server_us: oblivious.server_us,
        oblivious_client_us: oblivious.client_us,
        sync_us,
        sync_p99_us,
        handshake_us: network.handshake.0,
        handshake_cpu_us: network.handshake.1,
        round_trip_us: network.round_trip.0,
        round_trip_cpu_us: network.round_trip.1,
        round_trip_of_64_cpu_us: network.round_trips_cpu,
    })
}

impl Floor {
    /// The table for people.
    pub(crate) fn text(&self) -> String {
        let line = |what: &str, us: f64| [what.to_owned(), format!("{us:.1}")];
        let rows = [
            line("a point by a scalar", self.multiplication_us),
            line("the base point by a scalar", self.base_multiplication_us),
            line(
                "a point of a large multiscalar multiplication",
                self.multiscalar_point_us,
            ),
            line("a point from its bytes", self.decompression_us),
            line("a challenge hash", self.transcript_us),
            line("SHA-256 of a KiB", self.sha256_kib_us),
            line("sign", self.sign_us),
            line("verify one signature", self.verify_us),
            line("verify a coin with its authorization, of 2", self.coin_of_2_us),
            line("verify a coin with its authorization, of 64", self.coin_of_64_us),
            line("issue a coin (bank)", self.issue_us),
            line("blind and recover a coin (wallet)", self.blind_us),
            line(
                "a request through a relay, opened and answered",
                self.oblivious_server_us,
            ),
            line(
                "a request through a relay, encrypted, and its reply opened",
                self.oblivious_client_us,
            ),
            line("a sync of 4 KiB", self.sync_us),
            line("a sync of 4 KiB, p99", self.sync_p99_us),
            line("a handshake", self.handshake_us),
            line("a handshake, CPU of both ends", self.handshake_cpu_us),
            line("a round trip", self.round_trip_us),
            line("a round trip, CPU of both ends", self.round_trip_cpu_us),
            line(
                "a round trip of 64 at once, CPU of both ends",
                self.round_trip_of_64_cpu_us,
            ),
        ];
        table([("OPERATION", Align::Left), ("US", Align::Right)], &rows)
    }
}

/// The median time of an operation (us).
fn median<T>(mut run: impl FnMut() -> T) -> f64 {
    let end = Instant::now() + TIME;
    let mut times = Vec::new();
    while Instant::now() < end || times.is_empty() {
        let began = Instant::now();
        black_box(run());
        times.push(began.elapsed());
    }
    percentile(times, 50)
}

fn percentile(mut times: Vec<Duration>, percent: usize) -> f64 {
    times.sort_unstable();
    let at = times.len().saturating_mul(percent) / 100;
    let time = times.get(at.min(times.len().saturating_sub(1)));
    time.copied().unwrap_or_default().as_secs_f64() * 1e6
}

// ---- the curve ----------------------------------------------------------------------------------------------------

struct Curve {
    multiplication: f64,
    base: f64,
    multiscalar_point: f64,
    decompression: f64,
    transcript: f64,
    sha256: f64,
    sign: f64,
    verify: f64,
    coin_of_2: f64,
    coin_of_64: f64,
    issue: f64,
    blind: f64,
}

/// A coin whose holder has signed something.
struct Spend {
    coin: Coin,
    statement: Statement,
    authorization: Signature,
}

impl Curve {
    fn measure() -> Result<Curve> {
        let (secret, denomination) = denomination()?;
        let entropy: &dyn Entropy = &SystemEntropy;
        let mut rng = entropy.rng();
        let scalars: Vec<Scalar> = (0..3 * BATCH).map(|_| Scalar::random(&mut rng)).collect();
        let points: Vec<RistrettoPoint> = scalars.iter().map(|s| RISTRETTO_BASEPOINT_TABLE * s).collect();
        let (scalar, point) = scalars.first().zip(points.first()).context("no points")?;
        let bytes = point.compress();
        let kib = vec![7; 1024];
        let key = SecretKey::generate(&mut rng);
        let statement = statement(&denomination);
        let signature = key.sign(&statement);
        let public = key.public();
        let seed = Seed::generate(&mut rng);
        let derived =
            |key_id: &KeyId, first: &Commitment| seed.blinders(&RequestId([3; 32]), 0, key_id, first);
        let first =
            |rng: &mut _| Nonces::generate(rng, &BootId([1; 32]), b"session", &ClientRandomness([2; 32]));
        let (nonces, commitment) = first(&mut rng);
        let id = denomination.id();
        let blinded = || blind(&denomination, &public, &commitment, &derived(&id, &commitment));
        let challenge = blinded()?;
        let response = nonces.respond(&secret, &challenge)?;
        let spends = (0..BATCH)
            .map(|_| spend(&secret, &denomination))
            .collect::<Result<Vec<_>>>()?;
        let each_of = |count: usize| {
            let spends = spends.get(..count).unwrap_or_default();
            median(|| batch(spends, &denomination)) / count as f64
        };
        Ok(Curve {
            multiplication: median(|| point * scalar),
            base: median(|| RISTRETTO_BASEPOINT_TABLE * scalar),
            multiscalar_point: median(|| RistrettoPoint::vartime_multiscalar_mul(&scalars, &points))
                / points.len() as f64,
            decompression: median(|| bytes.decompress()),
            transcript: median(|| {
                let mut transcript = Transcript::start(b"floor");
                transcript.bytes(b"point", &bytes.0);
                transcript.scalar(b"challenge")
            }),
            sha256: median(|| Sha256::digest(&kib)),
            sign: median(|| key.sign(&statement)),
            verify: median(|| public.verify(&statement, &signature)),
            coin_of_2: each_of(2),
            coin_of_64: each_of(BATCH),
            issue: median(|| first(&mut rng).0.respond(&secret, &challenge)),
            blind: median(|| {
                let coin = recover(&denomination, &public, &challenge, &response, derived);
                (blinded(), coin)
            }),
        })
    }
}

fn denomination() -> Result<(DenominationSecret, Denomination)> {
    let secret = DenominationSecret::derive(&MasterSecret::from_bytes([7; 32]), 64, 1);
    let bank = SecretKey::from_wide(&[9; 64])?;
    let denomination = Denomination {
        bank: bank.public(),
        currency: "FTH".to_owned(),
        value: 64,
        epoch: 1,
        issue_from_ms: 1,
        issue_until_ms: 2,
        spend_until_ms: 3,
        redeem_until_ms: 4,
        public: secret.public(),
    };
    Ok((secret, denomination))
}

fn statement(denomination: &Denomination) -> Statement {
    Statement {
        context: CONTEXT,
        key_id: denomination.id(),
        digest: StatementDigest([5; 32]),
    }
}

fn spend(secret: &DenominationSecret, denomination: &Denomination) -> Result<Spend> {
    let entropy: &dyn Entropy = &SystemEntropy;
    let mut rng = entropy.rng();
    let key = SecretKey::generate(&mut rng);
    let blinders = Blinders::generate(&mut rng);
    let (nonces, commitment) =
        Nonces::generate(&mut rng, &BootId([1; 32]), b"session", &ClientRandomness([2; 32]));
    let challenge = blind(denomination, &key.public(), &commitment, &blinders)?;
    let response = nonces.respond(secret, &challenge)?;
    let statement = statement(denomination);
    Ok(Spend {
        coin: recover(denomination, &key.public(), &challenge, &response, |_, _| {
            blinders
        })?,
        authorization: key.sign(&statement),
        statement,
    })
}

fn batch(spends: &[Spend], denomination: &Denomination) -> bool {
    let mut batch = Batch::new();
    for (index, spend) in spends.iter().enumerate() {
        batch.coin_with_authorization(
            index,
            &spend.coin,
            denomination,
            &spend.statement,
            &spend.authorization,
        );
    }
    let entropy: &dyn Entropy = &SystemEntropy;
    batch.verify(&mut entropy.rng()).is_ok()
}

// ---- oblivious requests --------------------------------------------------------------------------------------------

/// The encryption of one request through a relay and of its reply (us).
struct Oblivious {
    server_us: f64,
    client_us: f64,
}

impl Oblivious {
    fn measure() -> Result<Oblivious> {
        let entropy: &dyn Entropy = &SystemEntropy;
        let mut rng = entropy.rng();
        let identity = SecretKey::generate(&mut rng);
        let keys = DecryptionKeys::new(identity.public(), OBLIVIOUS_DAY_MS, &mut rng);
        let public = keys.signed(&identity).body;
        let message = [7; MESSAGE_BYTES];
        let (request, opener) = seal_request(&public, &message, &mut rng)?;
        let answer = || -> Result<_> {
            let (_, sealer) = keys.open(&request)?;
            Ok(sealer.seal(&message, &mut entropy.rng())?)
        };
        let reply = answer()?;
        let server_us = median(&answer);
        let sealing_us = median(|| seal_request(&public, &message, &mut entropy.rng()));
        let client_us = sealing_us + median(|| opener.open(&reply));
        Ok(Oblivious { server_us, client_us })
    }
}

// ---- the disk -----------------------------------------------------------------------------------------------------

/// The median and the longest of one hundred syncs (us). The file's space is allocated beforehand, as a journal's is.
fn syncs(path: &Path) -> Result<(f64, f64)> {
    let file = FileDisk.create(path)?;
    file.preallocate(64 * 1024 * 1024)?;
    file.sync_data()?;
    let bytes = [7; SYNC_BYTES];
    let mut times = Vec::new();
    let end = Instant::now() + 2 * TIME;
    let mut at = 0;
    while Instant::now() < end || times.len() < 100 {
        let began = Instant::now();
        file.write_at(at, &bytes)?;
        file.sync_data()?;
        times.push(began.elapsed());
        at = at.saturating_add(SYNC_BYTES as u64);
    }
    FileDisk.remove(path)?;
    Ok((percentile(times.clone(), 50), percentile(times, 99)))
}

// ---- the network --------------------------------------------------------------------------------------------------

struct Echo;

#[async_trait]
impl Service for Echo {
    async fn call(&self, _: Lane, request: Vec<u8>) -> Vec<u8> {
        request
    }
}

/// The cost of connections: time, and work of both ends (us).
struct Costs {
    handshake: (f64, f64),
    round_trip: (f64, f64),
    round_trips_cpu: f64,
}

async fn network() -> Result<Costs> {
    let identity = ServerIdentity::generate()?;
    let (stopper, stop) = stop_pair();
    let any = (Ipv4Addr::LOCALHOST, 0).into();
    // All clients have one address here.
    let limits = ServerLimits {
        handshakes_per_address_max: usize::MAX,
        customer_turns_max: usize::MAX,
        customer_burst_max: usize::MAX,
        ..ServerLimits::default()
    };
    let server = QuicServer::bind(any, &identity, Arc::new(Echo), limits)?;
    let entropy: &dyn Entropy = &SystemEntropy;
    let key: PublicKey = SecretKey::generate(&mut entropy.rng()).public();
    let card = Card {
        role: RoleName::Bank,
        name: "floor".into(),
        address: server.local_addr().into(),
        fingerprint: identity.fingerprint(),
        identity: key,
        fields: Default::default(),
    };
    let running = tokio::spawn(server.run(stop));
    let network = QuicNetwork::new();
    let handshake = both(async || {
        network.connect(&card, Lane::Anonymous).await?;
        Ok(())
    })
    .await?;
    let channel = network.connect(&card, Lane::Anonymous).await?;
    let round_trip = both(async || {
        channel
            .call(vec![7; MESSAGE_BYTES], Duration::from_secs(5))
            .await?;
        Ok(())
    })
    .await?;
    let many = both(async || {
        let mut calls = JoinSet::new();
        for _ in 0..BATCH {
            let channel = Arc::clone(&channel);
            calls.spawn(async move { channel.call(vec![7; MESSAGE_BYTES], Duration::from_secs(5)).await });
        }
        while let Some(call) = calls.join_next().await {
            call??;
        }
        Ok(())
    })
    .await?;
    drop(channel);
    stopper.stop();
    running.await?;
    Ok(Costs {
        handshake,
        round_trip,
        round_trips_cpu: many.1 / BATCH as f64,
    })
}

/// The median time of an operation, and this process's average work for one (us).
async fn both(mut run: impl AsyncFnMut() -> Result<()>) -> Result<(f64, f64)> {
    let mut times = Vec::new();
    let before = Usage::of_this_process().cpu_us;
    let end = Instant::now() + 2 * TIME;
    while Instant::now() < end {
        let began = Instant::now();
        run().await?;
        times.push(began.elapsed());
    }
    let worked = Usage::of_this_process().cpu_us.saturating_sub(before);
    let each = worked as f64 / times.len().max(1) as f64;
    Ok((percentile(times, 50), each))
}
