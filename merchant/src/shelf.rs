//! The encrypted goods: one file for each item. For a stream from a file, the digests of the file's chunks.
//!
//! A file is written under a temporary name, synced, and renamed. Only then its row is written. The writer holds a lock on
//! the file until the row is written, so the cleanup never removes a new file.

use farthing_node::home::files;
use farthing_protocol::goods::{ContentKey, Encryptor, GoodsError, GoodsSummary, SALT_BYTES};
use farthing_protocol::ids::{ItemId, TickDigest};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The directory of the encrypted goods, in the merchant's directory.
pub const GOODS_DIR: &str = "goods";

/// The ending of the name of encrypted goods.
const SEALED: &str = "sealed";

/// The ending of the name during the encryption.
const PART: &str = "part";

/// The ending of the name of the digests of a stream's chunks.
const CHUNKS: &str = "chunks";

/// The length of a digest of a chunk (bytes).
const CHUNK_DIGEST_BYTES: usize = 32;

/// Bytes that are read and encrypted at once.
const STRETCH_BYTES: usize = 1024 * 1024;

/// The directory of the encrypted goods.
#[derive(Debug, Clone)]
pub struct GoodsShelf {
    dir: PathBuf,
}

/// Digests of chunks that were added to the shelf. The cleanup keeps them while this value exists.
#[derive(Debug)]
pub struct ShelvedChunks {
    _lock: File,
}

/// Goods that were added to the shelf. The cleanup keeps them while this value exists.
#[derive(Debug)]
pub struct Shelved {
    /// Sizes and digests.
    pub summary: GoodsSummary,
    _lock: File,
}

impl GoodsShelf {
    /// Opens the shelf in a merchant's directory. Creates it if it is missing.
    ///
    /// # Errors
    /// The error of the operating system.
    pub fn open(home: &Path) -> io::Result<Self> {
        let dir = home.join(GOODS_DIR);
        fs::create_dir_all(&dir)?;
        files::sync_dir(home)?;
        Ok(Self { dir })
    }

    fn path(&self, item_id: &ItemId, ending: &str) -> PathBuf {
        self.dir.join(format!("{}.{ending}", hex::encode(item_id)))
    }

    /// Encrypts `goods` under `key` and durably adds them to the shelf. `item_id` and `key` must be fresh.
    ///
    /// `progress` gets the number of encrypted bytes.
    ///
    /// # Errors
    /// The error of the operating system. An incomplete file is removed.
    pub fn add(
        &self,
        item_id: &ItemId,
        key: &ContentKey,
        salt: [u8; SALT_BYTES],
        goods: &mut impl Read,
        progress: impl FnMut(u64),
    ) -> io::Result<Shelved> {
        let (summary, lock) =
            self.write_new(item_id, SEALED, |file| encrypt(key, salt, goods, file, progress))?;
        Ok(Shelved { summary, _lock: lock })
    }

    /// Durably adds the digests of a stream's chunks. `item_id` must be fresh.
    ///
    /// # Errors
    /// The error of the operating system. An incomplete file is removed.
    pub fn add_chunks(&self, item_id: &ItemId, digests: &[TickDigest]) -> io::Result<ShelvedChunks> {
        let bytes: Vec<u8> = digests.iter().flat_map(|digest| digest.0).collect();
        let ((), lock) = self.write_new(item_id, CHUNKS, |file| file.write_all(&bytes))?;
        Ok(ShelvedChunks { _lock: lock })
    }

    /// Durably adds a file with what `write` writes. Returns its result, and the file with its lock.
    fn write_new<T>(
        &self,
        item_id: &ItemId,
        ending: &str,
        write: impl FnOnce(&mut File) -> io::Result<T>,
    ) -> io::Result<(T, File)> {
        let part = self.path(item_id, PART);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&part)?;
        file.lock()?;
        let written = write(&mut file).and_then(|written| {
            file.sync_all()?;
            fs::rename(&part, self.path(item_id, ending))?;
            files::sync_dir(&self.dir)?;
            Ok(written)
        });
        match written {
            Ok(written) => Ok((written, file)),
            Err(error) => {
                // A file that cannot be removed now is removed by the next cleanup.
                let _left = fs::remove_file(&part);
                Err(error)
            }
        }
    }

    /// How many digests of chunks an item has.
    ///
    /// # Errors
    /// `NotFound` when they are not on the shelf.
    pub fn chunks(&self, item_id: &ItemId) -> io::Result<u64> {
        Ok(fs::metadata(self.path(item_id, CHUNKS))?.len() / CHUNK_DIGEST_BYTES as u64)
    }

    /// The digests of `count` chunks of a stream, from chunk `first` on: 0 for the first one.
    ///
    /// # Errors
    /// The error of the operating system. `UnexpectedEof` when there are fewer.
    pub fn chunk_digests(&self, item_id: &ItemId, first: u32, count: usize) -> io::Result<Vec<TickDigest>> {
        let mut bytes = vec![0; count.saturating_mul(CHUNK_DIGEST_BYTES)];
        let offset = u64::from(first).saturating_mul(CHUNK_DIGEST_BYTES as u64);
        File::open(self.path(item_id, CHUNKS))?.read_exact_at(&mut bytes, offset)?;
        let (digests, _) = bytes.as_chunks::<CHUNK_DIGEST_BYTES>();
        Ok(digests.iter().map(|digest| TickDigest(*digest)).collect())
    }

    /// The length of an item's encrypted goods (bytes).
    ///
    /// # Errors
    /// `NotFound` when they are not on the shelf.
    pub fn encrypted_bytes(&self, item_id: &ItemId) -> io::Result<u64> {
        Ok(fs::metadata(self.path(item_id, SEALED))?.len())
    }

    /// Reads `length` bytes of an item's encrypted goods from `offset`.
    ///
    /// # Errors
    /// The error of the operating system. `UnexpectedEof` when the goods are shorter.
    pub fn read(&self, item_id: &ItemId, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut piece = vec![0; length];
        File::open(self.path(item_id, SEALED))?.read_exact_at(&mut piece, offset)?;
        Ok(piece)
    }

    /// Removes what the shelf has of an item. A missing file is no error.
    ///
    /// # Errors
    /// The error of the operating system.
    pub fn remove(&self, item_id: &ItemId) -> io::Result<()> {
        for ending in [SEALED, CHUNKS] {
            match fs::remove_file(self.path(item_id, ending)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes the files of interrupted commands: unfinished files, and files without a row by `is_known`. Returns their
    /// number.
    ///
    /// # Errors
    /// The error of the operating system.
    pub fn tidy(&self, is_known: impl Fn(&ItemId) -> bool) -> io::Result<usize> {
        let mut removed = 0;
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            let Some((item_id, ending)) = parse_name(&path) else {
                continue;
            };
            let Ok(file) = File::open(&path) else { continue };
            // A command that adds the file holds the lock. Only under the lock it is certain that no row follows.
            if file.try_lock().is_err() || (ending != PART && is_known(&item_id)) {
                continue;
            }
            fs::remove_file(&path)?;
            removed += 1;
        }
        Ok(removed)
    }
}

/// The item id and the ending in a file's name. `None` for other files.
fn parse_name(path: &Path) -> Option<(ItemId, &str)> {
    let ending = path.extension()?.to_str()?;
    if ![SEALED, CHUNKS, PART].contains(&ending) {
        return None;
    }
    let item_id = path.file_stem()?.to_str()?.parse().ok()?;
    Some((item_id, ending))
}

/// Encrypts `goods` into `file` in parts, so goods may be larger than memory.
fn encrypt(
    key: &ContentKey,
    salt: [u8; SALT_BYTES],
    goods: &mut impl Read,
    file: &mut impl Write,
    mut progress: impl FnMut(u64),
) -> io::Result<GoodsSummary> {
    let too_large = |e: GoodsError| io::Error::new(io::ErrorKind::FileTooLarge, e);
    let mut encryptor = Encryptor::new(key, salt);
    let mut stretch = zeroize::Zeroizing::new(vec![0; STRETCH_BYTES]);
    let mut sealed = Vec::with_capacity(STRETCH_BYTES + STRETCH_BYTES / 16);
    let mut done_bytes = 0u64;
    loop {
        let got = match goods.read(&mut stretch) {
            Ok(got) => got,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        let read = stretch.get(..got).unwrap_or_default();
        if read.is_empty() {
            break;
        }
        encryptor.update(read, &mut sealed).map_err(too_large)?;
        file.write_all(&sealed)?;
        sealed.clear();
        done_bytes = done_bytes.saturating_add(got as u64);
        progress(done_bytes);
    }
    let summary = encryptor.finish(&mut sealed).map_err(too_large)?;
    file.write_all(&sealed)?;
    file.flush()?;
    Ok(summary)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: [u8; 32] = [3; 32];

    fn names(shelf: &GoodsShelf) -> usize {
        fs::read_dir(&shelf.dir).unwrap().count()
    }

    #[test]
    fn goods_are_read_back_and_only_what_nobody_knows_is_tidied_up() {
        let home = tempfile::tempdir().unwrap();
        let shelf = GoodsShelf::open(home.path()).unwrap();
        let goods = vec![7u8; 3 * STRETCH_BYTES + 5];
        let mut seen = 0;
        let key = ContentKey::from_bytes([1; 32]);
        let shelved = shelf
            .add(
                &ItemId(ID),
                &key,
                [2; SALT_BYTES],
                &mut goods.as_slice(),
                |done| seen = done,
            )
            .unwrap();
        assert_eq!(seen, goods.len() as u64);
        assert_eq!(
            shelf.encrypted_bytes(&ItemId(ID)).unwrap(),
            shelved.summary.encrypted_bytes
        );
        assert!(
            shelf
                .read(&ItemId(ID), shelved.summary.encrypted_bytes, 1)
                .is_err()
        );

        assert_eq!(shelf.tidy(|_| false).unwrap(), 0, "it is still being added");
        drop(shelved);
        assert_eq!(shelf.tidy(|id| *id == ItemId(ID)).unwrap(), 0, "its row is there");
        fs::write(shelf.path(&ItemId([4; 32]), PART), b"half").unwrap();
        fs::write(shelf.dir.join("notes.txt"), b"not ours").unwrap();
        assert_eq!(shelf.tidy(|id| *id == ItemId(ID)).unwrap(), 1);
        assert_eq!(names(&shelf), 2);
        assert_eq!(shelf.tidy(|_| false).unwrap(), 1);
        assert_eq!(names(&shelf), 1);
    }

    #[test]
    fn an_add_that_fails_leaves_nothing() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the disk fails"))
            }
        }
        let home = tempfile::tempdir().unwrap();
        let shelf = GoodsShelf::open(home.path()).unwrap();
        let key = ContentKey::from_bytes([1; 32]);
        assert!(
            shelf
                .add(&ItemId(ID), &key, [2; SALT_BYTES], &mut Broken, |_| {})
                .is_err()
        );
        assert_eq!(names(&shelf), 0);
    }
}
