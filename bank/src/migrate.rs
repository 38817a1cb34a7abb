//! The step that brings the rows of an older version up to date: see [`Migration`].

use crate::rows::{HELD_BEFORE_CAUSES, HOLDS};
use farthing_node::store::{Migration, StoreError};

/// Brings the rows of version 1 to version 2: what is held now may be aborted by its escrow's word alone.
///
/// # Errors
/// As [`Migration::transact`].
pub fn migrate(migration: &Migration<'_>) -> Result<(), StoreError> {
    migration.each_row(&HOLDS, |tx, (_, purchase, escrow), ()| {
        HELD_BEFORE_CAUSES.put(tx, &(*purchase, *escrow), &())
    })
}
