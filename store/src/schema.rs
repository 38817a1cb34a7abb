//! The format version of journals and rows: `migration` says what it stands for.

/// The version that this program writes. Version 1 is what had no version row: up to commit 1aef5c3.
pub const SCHEMA_VERSION: u32 = 2;
