//! The step that brings the rows of an older version up to date: see [`Migration`].

use farthing_store::{Migration, StoreError};

/// Brings the rows of version 1 to version 2: there is nothing to convert.
///
/// # Errors
/// As [`Migration::transact`].
pub fn migrate(_migration: &Migration<'_>) -> Result<(), StoreError> {
    Ok(())
}
