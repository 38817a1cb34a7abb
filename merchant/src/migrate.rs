//! Migration of the rows of an older version: see [`Migration`].

use farthing_store::{Migration, StoreError};

/// Migrates the rows of version 1 to version 2. Nothing is converted.
///
/// # Errors
/// As [`Migration::transact`].
pub fn migrate(_migration: &Migration<'_>) -> Result<(), StoreError> {
    Ok(())
}
