//! The disk, passed in: the few operations that the journal needs.
//!
//! [`FileDisk`] is the real one. [`MemoryDisk`] is a simulated one that knows which bytes were synced, and
//! keeps those and an arbitrary part of the others when it is told to crash.

mod file;
mod memory;
mod traits;

pub use file::FileDisk;
pub use memory::{MemoryDisk, SECTOR_BYTES};
pub use traits::{CHUNK_BYTES, DirectoryLock, Disk, DiskFile, read_file, read_or_zero, replace_file};
