//! The cost of each operation of a coin, and of a batch compared with its floor.
//!
//! The floor is the work that no verifier of this scheme can avoid. For n coins with authorizations it is 3n decompressions
//! (R', P, S), one multiscalar multiplication of 3n points with scalars of the same widths, and 2n transcript hashes. The
//! bench measures floor and batch in turns, so a busy machine slows both.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a panic is how a bench fails"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::VartimeMultiscalarMul;
use farthing_coin::{
    Batch, BootId, ClientRandomness, Commitment, Denomination, DenominationSecret, EncodedPoint, KeyId,
    Nonces, RequestId, SecretKey, Seed, Transcript, TranscriptExt, blind, recover,
};
use support::{Spend, TestRng, denomination, spend, verify_singly};

/// The sizes of the measured batches (coins).
const SIZES: [usize; 5] = [1, 16, 64, 256, 1024];
/// The batch size with requirements (coins).
const REQUIRED_SIZE: usize = 64;
/// The highest allowed cost of this batch, as a multiple of the floor.
const MAX_OF_FLOOR: f64 = 1.25;
/// The highest allowed cost of this batch, as a multiple of single verifications.
const MAX_OF_SINGLE: f64 = 0.5;
/// Duration of the measurement of each size.
const TIME_PER_SIZE: Duration = Duration::from_secs(8);
/// Duration of the measurement of each single operation.
const TIME_PER_OPERATION: Duration = Duration::from_secs(1);

/// The medians of one size, in microseconds per coin.
struct Row {
    coins: usize,
    batch: f64,
    floor: f64,
    singly: f64,
    of_floor: f64,
    of_single: f64,
}

fn main() -> ExitCode {
    let (secret, denomination) = denomination(64, 1);
    let mut rng = TestRng::new("bench", 0);
    measure_operations(&mut rng, &secret, &denomination);

    let spends: Vec<Spend> = (0..SIZES[SIZES.len() - 1])
        .map(|_| spend(&mut rng, &secret, &denomination, [5; 32]))
        .collect();
    println!("\ncoins with their authorizations, microseconds per coin");
    println!("  coins   batch   floor  one by one   batch/floor  batch/one-by-one");
    let mut met = true;
    for size in SIZES {
        let row = measure_size(&mut rng, &spends[..size], &denomination);
        println!(
            "{:>7} {:>7.1} {:>7.1} {:>11.1} {:>13.3} {:>17.3}",
            row.coins, row.batch, row.floor, row.singly, row.of_floor, row.of_single
        );
        if row.coins == REQUIRED_SIZE {
            met = row.of_floor <= MAX_OF_FLOOR && row.of_single <= MAX_OF_SINGLE;
        }
    }
    let verdict = if met { "met" } else { "NOT MET" };
    println!(
        "required for {REQUIRED_SIZE} coins: at most {MAX_OF_FLOOR} of the floor and {MAX_OF_SINGLE} of one by one: \
         {verdict}"
    );
    if met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn measure_operations(rng: &mut TestRng, secret: &DenominationSecret, denomination: &Denomination) {
    println!("single operations, microseconds");
    let key = SecretKey::generate(rng);
    let seed = Seed::generate(rng);
    let derived = |key_id: &KeyId, first: &Commitment| seed.blinders(&RequestId([3; 32]), 0, key_id, first);
    let m = key.public();

    let first =
        operation(|| Nonces::generate(rng, &BootId([1; 32]), b"session", &ClientRandomness([2; 32])).1);
    println!("  bank, first message  {first:>7.1}");
    let (nonces, commitment) =
        Nonces::generate(rng, &BootId([1; 32]), b"session", &ClientRandomness([2; 32]));
    let id = denomination.id();
    let blinding =
        operation(|| blind(denomination, &m, &commitment, &derived(&id, &commitment)).expect("good"));
    println!("  wallet, blind        {blinding:>7.1}");
    let challenge = blind(denomination, &m, &commitment, &derived(&id, &commitment)).expect("good");
    // An answer consumes the nonces, so the measurement includes drawing them.
    let issuing = operation(|| {
        let (nonces, _) = Nonces::generate(rng, &BootId([1; 32]), b"session", &ClientRandomness([2; 32]));
        nonces.respond(secret, &challenge).expect("good")
    });
    println!("  bank, both messages  {issuing:>7.1}");
    let response = nonces.respond(secret, &challenge).expect("good");
    let recovered = || recover(denomination, &m, &challenge, &response, derived).expect("good");
    println!("  wallet, recover      {:>7.1}", operation(recovered));
    let coin = recovered();
    println!(
        "  verify one coin      {:>7.1}",
        operation(|| coin.verify(denomination).expect("good"))
    );
    let statement = support::statement(&coin.key_id, [5; 32]);
    println!(
        "  sign                 {:>7.1}",
        operation(|| key.sign(&statement))
    );
    let signature = key.sign(&statement);
    println!(
        "  verify one signature {:>7.1}",
        operation(|| m.verify(&statement, &signature).expect("good"))
    );
}

/// The median time of an operation in microseconds.
fn operation<T>(mut run: impl FnMut() -> T) -> f64 {
    let mut times = Vec::new();
    let end = Instant::now() + TIME_PER_OPERATION;
    while Instant::now() < end {
        times.push(micros(|| {
            black_box(run());
        }));
    }
    median(times)
}

/// Measures batch, floor and single verifications in turns. The ratios are medians of the ratios of neighbours.
fn measure_size(rng: &mut TestRng, spends: &[Spend], denomination: &Denomination) -> Row {
    let floor = Floor::new(spends);
    let (mut batches, mut floors, mut singles) = (Vec::new(), Vec::new(), Vec::new());
    let end = Instant::now() + TIME_PER_SIZE;
    while Instant::now() < end || batches.len() < 5 {
        batches.push(micros(|| verify_batch(rng, spends, denomination)));
        floors.push(micros(|| floor.run()));
        singles.push(micros(|| {
            assert!(spends.iter().all(|spend| verify_singly(spend, denomination)));
        }));
    }
    let ratios = |below: &[f64]| {
        median(
            batches
                .iter()
                .zip(below)
                .map(|(batch, below)| batch / below)
                .collect(),
        )
    };
    let (of_floor, of_single) = (ratios(&floors), ratios(&singles));
    let coins = spends.len();
    let per_coin = |times| median(times) / coins as f64;
    Row {
        coins,
        of_floor,
        of_single,
        batch: per_coin(batches),
        floor: per_coin(floors),
        singly: per_coin(singles),
    }
}

fn verify_batch(rng: &mut TestRng, spends: &[Spend], denomination: &Denomination) {
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
    batch.verify(rng).expect("all are good");
}

/// The inputs of the floor: real points, real bytes, and scalars with the widths of the batch.
struct Floor<'a> {
    spends: &'a [Spend],
    head: Transcript,
    scalars: Vec<Scalar>,
}

impl<'a> Floor<'a> {
    fn new(spends: &'a [Spend]) -> Self {
        let mut transcript = Transcript::start(b"floor");
        let mut scalars = Vec::new();
        for _ in spends {
            // R' and S carry weights of 128 bits, P a weight times a challenge.
            for _ in 0..2 {
                let mut weight = [0; 16];
                transcript.challenge_bytes(b"weight", &mut weight);
                scalars.push(Scalar::from(u128::from_le_bytes(weight)));
            }
            scalars.push(transcript.scalar(b"scalar"));
        }
        Self {
            spends,
            head: Transcript::start(b"floor"),
            scalars,
        }
    }

    fn run(&self) {
        let mut points = Vec::with_capacity(self.scalars.len());
        for spend in self.spends {
            for bytes in [
                spend.coin.r,
                spend.authorization.commitment,
                EncodedPoint(spend.coin.public.0),
            ] {
                points.push(CompressedRistretto(bytes.0).decompress().expect("a point"));
            }
            let mut coin = self.head.clone();
            coin.bytes(b"m", &spend.coin.public.0);
            coin.bytes(b"R", &spend.coin.r.0);
            black_box(coin.scalar(b"c"));
            let mut signature = self.head.clone();
            signature.bytes(b"P", &spend.coin.public.0);
            signature.bytes(b"key id", &spend.coin.key_id.0);
            signature.bytes(b"S", &spend.authorization.commitment.0);
            signature.bytes(b"digest", &spend.statement.digest.0);
            black_box(signature.scalar(b"e"));
        }
        black_box(RistrettoPoint::vartime_multiscalar_mul(&self.scalars, &points));
    }
}

fn micros(run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    start.elapsed().as_secs_f64() * 1e6
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
