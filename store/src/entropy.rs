//! Randomness, as a trait. Programs use the operating system's randomness, simulations use a seed.

use rand_core::{Infallible, TryCryptoRng, TryRng};
use sha2::{Digest, Sha256};
use std::sync::Mutex;

/// A source of random bytes, for secret and public values.
pub trait Entropy: Send + Sync {
    /// Fills `out` with random bytes.
    fn fill(&self, out: &mut [u8]);
}

impl<'a> dyn Entropy + 'a {
    /// This source as a generator for the cryptography.
    pub fn rng(&self) -> EntropyRng<'_> {
        EntropyRng(self)
    }
}

/// An [`Entropy`] as a `rand_core::CryptoRng`.
pub struct EntropyRng<'a>(pub &'a dyn Entropy);

impl TryRng for EntropyRng<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(out);
        Ok(())
    }
}

impl TryCryptoRng for EntropyRng<'_> {}

/// The operating system's randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, out: &mut [u8]) {
        if let Err(error) = getrandom::fill(out) {
            // A key or a nonce that is not random loses money. No caller could do more than stop, and an error could be
            // ignored. So the program stops here.
            tracing::error!(%error, "the operating system gave no randomness");
            std::process::abort();
        }
    }
}

/// Randomness from a seed, only for simulations and tests. Anyone who knows the seed knows all bytes.
#[derive(Debug)]
pub struct SeededEntropy {
    seed: u64,
    blocks: Mutex<u64>,
}

impl SeededEntropy {
    /// The same bytes in the same order for the same seed.
    pub const fn new(seed: u64) -> Self {
        Self {
            seed,
            blocks: Mutex::new(0),
        }
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, out: &mut [u8]) {
        let mut blocks = self
            .blocks
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        for part in out.chunks_mut(32) {
            let block = Sha256::new()
                .chain_update(b"farthing seeded entropy")
                .chain_update(self.seed.to_le_bytes())
                .chain_update(blocks.to_le_bytes())
                .finalize();
            *blocks = blocks.wrapping_add(1);
            for (to, from) in part.iter_mut().zip(block) {
                *to = from;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::CryptoRng;

    fn takes_a_generator(rng: &mut impl CryptoRng) -> u64 {
        rng.next_u64()
    }

    #[test]
    fn a_seed_gives_the_same_bytes_and_another_seed_gives_other_bytes() {
        let draw = |seed| {
            let entropy: &dyn Entropy = &SeededEntropy::new(seed);
            (
                takes_a_generator(&mut entropy.rng()),
                takes_a_generator(&mut entropy.rng()),
            )
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert_ne!(draw(1).0, draw(1).1);
    }

    #[test]
    fn the_system_fills_every_byte() {
        let mut seen = [0u8; 64];
        for _ in 0..8 {
            let mut bytes = [0u8; 64];
            SystemEntropy.fill(&mut bytes);
            seen.iter_mut().zip(bytes).for_each(|(s, b)| *s |= b);
        }
        assert!(seen.iter().all(|b| *b != 0));
    }
}
