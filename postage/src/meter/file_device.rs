//! A device as a file. It stands for the memory of a secure coprocessor, and has none of its protection.

use super::device::{Device, KEY_BYTES, LockReason};
use farthing_node::home::files::{self, Mode};
use farthing_store::entropy::Entropy;
use serde::{Deserialize, Serialize};
use std::{
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};
use zeroize::{Zeroize, Zeroizing};

/// The longest device file that is read (bytes).
const FILE_MAX_BYTES: u64 = 4096;

/// The content of the file.
#[derive(Serialize, Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct Content {
    #[serde(with = "farthing_coin::hex_bytes")]
    sealing_key: [u8; KEY_BYTES],
    writes: u64,
    locked: Option<LockReason>,
}

impl Drop for Content {
    fn drop(&mut self) {
        self.sealing_key.zeroize();
    }
}

/// A device as a file.
pub struct FileDevice {
    path: PathBuf,
    content: Mutex<Content>,
}

impl std::fmt::Debug for FileDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileDevice")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl FileDevice {
    /// Makes a new device with a fresh key.
    ///
    /// # Errors
    /// When the file exists, and the errors of the operating system.
    pub fn create(path: &Path, entropy: &dyn Entropy) -> io::Result<FileDevice> {
        let mut content = Content {
            sealing_key: [0; KEY_BYTES],
            writes: 0,
            locked: None,
        };
        entropy.fill(&mut content.sealing_key);
        files::create(path, &text(&content)?, Mode::Secret)?;
        Ok(FileDevice {
            path: path.to_owned(),
            content: Mutex::new(content),
        })
    }

    /// Opens a device.
    ///
    /// # Errors
    /// When the file is no device, and the errors of the operating system.
    pub fn open(path: &Path) -> io::Result<FileDevice> {
        let bytes = Zeroizing::new(files::read_bounded(path, FILE_MAX_BYTES)?);
        let content = serde_json::from_slice(&bytes).map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidData, format!("this is no device: {error}"))
        })?;
        Ok(FileDevice {
            path: path.to_owned(),
            content: Mutex::new(content),
        })
    }

    fn read<T>(&self, read: impl FnOnce(&Content) -> T) -> T {
        read(&self.content.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the file durably, and then the copy in memory.
    fn change(&self, change: impl FnOnce(&mut Content)) -> io::Result<()> {
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = content.clone();
        change(&mut next);
        files::replace(&self.path, &text(&next)?, Mode::Secret)?;
        *content = next;
        Ok(())
    }
}

fn text(content: &Content) -> io::Result<Zeroizing<Vec<u8>>> {
    Ok(Zeroizing::new(serde_json::to_vec(content)?))
}

impl Device for FileDevice {
    fn sealing_key(&self) -> Zeroizing<[u8; KEY_BYTES]> {
        self.read(|content| Zeroizing::new(content.sealing_key))
    }

    fn writes(&self) -> u64 {
        self.read(|content| content.writes)
    }

    fn locked(&self) -> Option<LockReason> {
        self.read(|content| content.locked)
    }

    fn advance(&self, writes: u64) -> io::Result<()> {
        if writes <= self.writes() {
            return Ok(());
        }
        self.change(|content| content.writes = writes)
    }

    fn lock(&self, why: LockReason) -> io::Result<()> {
        self.change(|content| content.locked = content.locked.or(Some(why)))
    }
}
