//! The names of the files in a node's directory.

/// The file of the key that signs documents.
pub const IDENTITY_KEY_FILE: &str = "identity.key";
/// The file of the TLS certificate.
pub const TLS_CERTIFICATE_FILE: &str = "tls.cert";
/// The file of the TLS certificate's key.
pub const TLS_KEY_FILE: &str = "tls.key";
/// The file of the keys to which wallets encrypt requests that a relay carries.
pub const ENCRYPTION_KEYS_FILE: &str = "encryption.keys";
/// The file of the configuration.
pub const CONFIG_FILE: &str = "config.toml";
/// The directory of the store.
pub const STORE_DIR: &str = "store";
/// The file of the configuration until [`CONFIG_FILE`] took its place.
pub const OLD_CONFIG_FILE: &str = "config.json";
/// The directory that a file system makes at the root of a volume. It belongs to no node.
pub(crate) const LOST_AND_FOUND: &str = "lost+found";
