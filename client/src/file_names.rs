//! Names in a wallet's directory that several modules need.

/// The file that holds the seed phrase.
pub const SEED_FILE: &str = "seed.phrase";

/// The directory of the wallet's store.
pub(crate) const STORE_DIR: &str = "store";

/// The directory of the new files while a password is set or removed.
pub(crate) const RESEALING_DIR: &str = "resealing";

/// The directory for the goods of restored purchases, unless the customer names another.
pub(crate) const RESTORED_DIR: &str = "restored";
