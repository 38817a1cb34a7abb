//! The disk operations that the journal needs, as a trait.
//!
//! [`FileDisk`] is the real disk. [`MemoryDisk`] is a simulated one. It knows which bytes were synced. In a crash it keeps
//! these bytes and an arbitrary part of the others.

mod file;
mod memory;
mod traits;

pub use file::FileDisk;
pub use memory::{MemoryDisk, SECTOR_BYTES};
pub(crate) use traits::each_piece;
pub use traits::{
    CHUNK_BYTES, DirectoryLock, Disk, DiskFile, LOCK_NAME, read_file, read_or_zero, replace_file,
};
