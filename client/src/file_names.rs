//! Names in a wallet's directory that several modules need.

/// The file that holds the seed phrase.
pub const SEED_FILE: &str = "seed.phrase";

/// The directory of the wallet's store.
pub(crate) const STORE_DIR: &str = "store";
