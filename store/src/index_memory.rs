//! An index in memory.

use crate::index::{Engine, Head, Index, IndexError, Row, Writes, scan_start};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

/// Indexes in memory, for simulations and tests.
#[derive(Debug, Clone, Copy, Default)]
pub struct MemoryEngine;

impl Engine for MemoryEngine {
    fn is_durable(&self) -> bool {
        false
    }

    fn open(&self, _path: &Path, _cache_bytes: u64) -> Result<Arc<dyn Index>, IndexError> {
        Ok(Arc::new(MemoryIndex::new()))
    }
}

/// An index in memory, for simulations and tests. It is empty at every start.
#[derive(Default)]
pub struct MemoryIndex(RwLock<(Rows, Option<Head>)>);

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

impl MemoryIndex {
    /// An empty index.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Index for MemoryIndex {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Ok(inner.0.get(key).cloned())
    }

    fn apply(&self, writes: &Writes, at: Head) -> Result<(), IndexError> {
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in writes {
            match value {
                Some(value) => inner.0.insert(key.clone(), value.clone()),
                None => inner.0.remove(key),
            };
        }
        inner.1 = Some(at);
        Ok(())
    }

    fn applied(&self) -> Result<Option<Head>, IndexError> {
        Ok(self.0.read().unwrap_or_else(PoisonError::into_inner).1)
    }

    fn scan(&self, prefix: &[u8], from: Bound<&[u8]>, limit: usize) -> Result<Vec<Row>, IndexError> {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let rows = inner
            .0
            .range::<[u8], _>((scan_start(prefix, from), Bound::Unbounded));
        Ok(rows
            .take_while(|(key, _)| key.starts_with(prefix))
            .take(limit)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }

    fn close(&self) -> Result<(), IndexError> {
        Ok(())
    }
}
