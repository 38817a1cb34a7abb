//! Random choices from a seed.

use farthing_store::entropy::{Entropy, SeededEntropy};

/// A random generator. Equal seeds give equal results.
#[derive(Debug)]
pub struct Dice(SeededEntropy);

impl Dice {
    /// Dice of this seed.
    pub fn new(seed: u64) -> Self {
        Self(SeededEntropy::new(seed))
    }

    /// Any number.
    pub fn any(&self) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A number below `bound`; 0 if there is none.
    pub fn below(&self, bound: u64) -> u64 {
        self.any().checked_rem(bound).unwrap_or(0)
    }

    /// Returns `true` in `times` of a hundred cases.
    pub fn percent(&self, times: u64) -> bool {
        self.below(100) < times
    }

    /// One of these items.
    pub fn one_of<T: Copy>(&self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// One of these items, by weight.
    pub fn weighed<T: Copy>(&self, choices: &[(T, u64)]) -> T {
        let mut left = self.below(choices.iter().map(|(_, weight)| weight).sum());
        for (choice, weight) in choices {
            match left.checked_sub(*weight) {
                Some(rest) => left = rest,
                None => return *choice,
            }
        }
        unreachable!("the weights are summed up above")
    }
}
