//! The measured engines, by name.

mod fjall;
mod redb;

use farthing_protocol::ids::RecordHash;
use farthing_store::{Engine, Head, IndexError, SledEngine};
use std::sync::Arc;

/// All names.
pub(crate) const NAMES: [&str; 3] = ["sled", "fjall", "redb"];

/// The engine of this name.
pub(crate) fn named(name: &str) -> Option<Arc<dyn Engine>> {
    match name {
        "sled" => Some(Arc::new(SledEngine)),
        "fjall" => Some(Arc::new(fjall::FjallEngine)),
        "redb" => Some(Arc::new(redb::RedbEngine)),
        _ => None,
    }
}

/// The key of an index's head, which is stored beside the rows. No row has this key.
const APPLIED_KEY: [u8; 1] = [0];

fn failed(error: impl std::fmt::Display) -> IndexError {
    IndexError(error.to_string())
}

fn closed() -> IndexError {
    IndexError("the index is closed".into())
}

fn head_bytes(head: Head) -> Vec<u8> {
    [head.sequence.to_be_bytes().as_slice(), &head.hash.0].concat()
}

fn read_head(bytes: &[u8]) -> Result<Head, IndexError> {
    let head = bytes.split_first_chunk::<8>().and_then(|(sequence, hash)| {
        Some(Head {
            sequence: u64::from_be_bytes(*sequence),
            hash: RecordHash(hash.try_into().ok()?),
        })
    });
    head.ok_or_else(|| IndexError("its stored head is damaged".into()))
}
