//! Every target on random inputs and on mutated valid inputs, from a seed. It needs no nightly compiler.
//!
//! `FUZZ_ROUNDS` sets the number of inputs for a target, `FUZZ_SEED` selects them.

use farthing_fuzz::{TARGETS, Target};
use std::panic::catch_unwind;

/// The number of inputs for each target.
const ROUNDS: u64 = 3_000;

/// The longest random input (bytes).
const RANDOM_MAX_BYTES: u64 = 600;

/// SplitMix64 (Steele, Lea, Flood, 2014) is good enough to choose test inputs.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> usize {
        (self.next() % bound.max(1)) as usize
    }

    fn byte(&mut self) -> u8 {
        // Decoders often fail at lengths, tags and bounds.
        match self.below(4) {
            0 => [0, 1, 2, 0x7f, 0x80, 0xfe, 0xff][self.below(7)],
            _ => self.next() as u8,
        }
    }

    fn bytes(&mut self, most: u64) -> Vec<u8> {
        let count = self.below(most + 1);
        (0..count).map(|_| self.byte()).collect()
    }

    /// One to four small changes.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            // Often near the start, where tags and lengths are.
            let reach = if self.below(3) == 0 { 48 } else { u64::MAX };
            let at = self.below((bytes.len() as u64).min(reach));
            match self.below(7) {
                0 => bytes.truncate(at),
                1 => bytes.splice(at..at, self.bytes(9)).for_each(drop),
                2 => {
                    let end = (at + self.below(40)).min(bytes.len());
                    bytes.drain(at.min(end)..end);
                }
                3 => {
                    let value = [0, 1, u64::MAX, 1 << 31, 1 << 32, 1 << 63, self.next()][self.below(7)];
                    for (byte, new) in bytes.iter_mut().skip(at).zip(value.to_le_bytes()) {
                        *byte = new;
                    }
                }
                4 => {
                    let end = (at + self.below(40)).min(bytes.len());
                    let copy = bytes.get(at..end).unwrap_or_default().to_vec();
                    bytes.splice(at..at, copy).for_each(drop);
                }
                _ => {
                    let new = self.byte();
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte = if self.below(2) == 0 {
                            new
                        } else {
                            *byte ^ (1 << (new & 7))
                        };
                    }
                }
            }
        }
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

fn smoke(target: &Target) {
    let seed = number("FUZZ_SEED", 1);
    let samples = (target.samples)();
    let run = |input: &[u8], what: &str| {
        if catch_unwind(|| (target.body)(input)).is_err() {
            let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
            panic!("{} with seed {seed} panics on {what}: {hex}", target.name);
        }
    };
    run(&[], "nothing");
    for sample in &samples {
        run(sample, "a good input");
    }
    let mut dice = Dice(seed);
    for round in 0..number("FUZZ_ROUNDS", ROUNDS) {
        let input = match samples.get(dice.below(samples.len() as u64 + 1)) {
            None => dice.bytes(RANDOM_MAX_BYTES),
            Some(sample) => {
                let mut sample = sample.clone();
                dice.mutate(&mut sample);
                sample
            }
        };
        run(&input, &format!("input {round}"));
    }
}

#[test]
fn no_input_makes_a_target_panic() {
    // One thread for each target, so that slow targets do not delay the others.
    std::thread::scope(|scope| {
        let all: Vec<_> = TARGETS
            .iter()
            .map(|target| (target.name, scope.spawn(|| smoke(target))))
            .collect();
        let failed: Vec<&str> = all
            .into_iter()
            .filter_map(|(name, thread)| thread.join().is_err().then_some(name))
            .collect();
        assert!(failed.is_empty(), "{failed:?}");
    });
}

#[test]
fn every_target_is_one_of_cargo_fuzz() {
    let manifest = include_str!("../Cargo.toml");
    for target in TARGETS {
        let path = format!("path = \"fuzz_targets/{}.rs\"", target.name);
        assert!(manifest.contains(&path), "{path} is missing in Cargo.toml");
    }
}
