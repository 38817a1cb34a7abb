//! Where a simulated target keeps its encryption keys: outside its disk, so outside its backups.

use farthing_node::oblivious::KeyPlace;
use std::{
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};
use zeroize::Zeroizing;

/// A place in memory. It outlasts processes and power failures.
#[derive(Default)]
pub struct MemoryKeyPlace(Mutex<Option<Zeroizing<Vec<u8>>>>);

impl MemoryKeyPlace {
    fn bytes(&self) -> MutexGuard<'_, Option<Zeroizing<Vec<u8>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over the keys of another place.
    pub fn copy_from(&self, other: &Self) {
        let bytes = other.bytes().clone();
        *self.bytes() = bytes;
    }

    /// Loses the keys.
    pub fn lose(&self) {
        *self.bytes() = None;
    }
}

impl KeyPlace for MemoryKeyPlace {
    fn load(&self) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        Ok(self.bytes().clone())
    }

    fn save(&self, bytes: &[u8]) -> io::Result<()> {
        *self.bytes() = Some(Zeroizing::new(bytes.to_vec()));
        Ok(())
    }

    fn name(&self) -> String {
        "the keys in memory".to_owned()
    }
}
