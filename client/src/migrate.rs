//! The step that brings the rows of an older version up to date: see [`Migration`].

use farthing_node::{
    card::Card,
    store::{Migration, StoreError},
};

/// Brings the rows of version 1 to version 2: there is nothing to convert. `cards` are those that the wallet has pinned.
///
/// # Errors
/// As [`Migration::transact`].
pub(crate) fn migrate(_migration: &Migration<'_>, _cards: &[Card]) -> Result<(), StoreError> {
    Ok(())
}
