//! The format version of journals and rows. `migration` explains it.

/// The version that this program writes. Stores of version 1 have no version row. Version 1 ended with commit 1aef5c3.
pub const SCHEMA_VERSION: u32 = 2;
