//! The location of the files, and how to read one.

use serde_json::Value;
use std::path::{Path, PathBuf};

/// The directory of one version's files, for example `v1`.
pub(crate) fn folder(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(version)
}

/// The whole file `name` of a version.
///
/// # Panics
/// If the file does not exist or is not JSON.
#[must_use]
pub fn file(version: &str, name: &str) -> Value {
    let path = folder(version).join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
