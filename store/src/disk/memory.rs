//! A simulated disk in memory. It knows which bytes were synced.

use super::traits::{DirectoryLock, Disk, DiskFile};
use crate::entropy::{Entropy, SeededEntropy};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Size of a sector, which a device writes whole or not at all (bytes).
pub const SECTOR_BYTES: u64 = 512;

/// A simulated disk. Clones share it.
///
/// A write is in the cache until its file is synced. A name is in the cache until its folder is synced.
/// [`MemoryDisk::crash`] keeps everything that was synced. Of each other write it keeps a prefix to the byte, or a subset of
/// its sectors. A seed chooses which.
#[derive(Clone, Default)]
pub struct MemoryDisk(Arc<Mutex<State>>);

type FileId = u64;

#[derive(Default)]
struct State {
    /// Number of crashes and restores.
    boot: u64,
    /// Number of crashes, restores and kills. An older handle is dead.
    life: u64,
    next: FileId,
    files: BTreeMap<FileId, Contents>,
    /// The names as a running program sees them.
    names: BTreeMap<PathBuf, FileId>,
    /// The names on the platter.
    durable_names: BTreeMap<PathBuf, FileId>,
    locks: BTreeSet<PathBuf>,
    capacity: Option<u64>,
    syncs: u64,
    fail_sync_after: Option<u64>,
    fail_write_after: Option<u64>,
}

#[derive(Default, Clone)]
struct Contents {
    now: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

impl Contents {
    /// These bytes, all durable.
    fn synced(bytes: &[u8]) -> Self {
        Self {
            now: bytes.to_vec(),
            durable: bytes.to_vec(),
            pending: Vec::new(),
        }
    }
}

#[derive(Clone)]
enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    Resize(u64),
}

impl Change {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => {
                let from = usize::try_from(*offset).unwrap_or(usize::MAX);
                let end = from.saturating_add(bytes.len());
                if to.len() < end {
                    to.resize(end, 0);
                }
                if let Some(target) = to.get_mut(from..end) {
                    target.copy_from_slice(bytes);
                }
            }
            Self::Resize(len) => to.resize(usize::try_from(*len).unwrap_or(usize::MAX), 0),
        }
    }

    /// The parts of this change that a crash keeps.
    fn torn(&self, dice: &Dice) -> Vec<Self> {
        let Self::Write { offset, bytes } = self else {
            return if dice.below(2) == 0 {
                vec![]
            } else {
                vec![self.clone()]
            };
        };
        if dice.below(2) == 0 {
            let kept = dice.below(bytes.len() as u64 + 1);
            let bytes = bytes
                .get(..usize::try_from(kept).unwrap_or(0))
                .unwrap_or_default();
            return vec![Self::Write {
                offset: *offset,
                bytes: bytes.to_vec(),
            }];
        }
        let mut kept = Vec::new();
        let mut at = *offset;
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let room = SECTOR_BYTES.saturating_sub(at % SECTOR_BYTES);
            let cut = usize::try_from(room).unwrap_or(0).min(rest.len());
            let (sector, after) = rest.split_at(cut);
            if dice.below(2) == 0 {
                kept.push(Self::Write {
                    offset: at,
                    bytes: sector.to_vec(),
                });
            }
            at = at.saturating_add(cut as u64);
            rest = after;
        }
        kept
    }
}

struct Dice(SeededEntropy);

impl Dice {
    fn below(&self, bound: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes).checked_rem(bound).unwrap_or(0)
    }
}

impl MemoryDisk {
    /// An empty disk without a bound.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another disk with the same files, as a running program sees them. All are durable. No process has it open.
    pub fn copy(&self) -> Self {
        let state = self.state();
        state.copy(&state.names, |contents| &contents.now)
    }

    /// Another disk with only the synced bytes and names. No process has it open.
    pub fn synced(&self) -> Self {
        let state = self.state();
        state.copy(&state.durable_names, |contents| &contents.durable)
    }

    /// Simulates a power failure and a restart. Open files and locks are dead. Everything synced is kept, and the part of the
    /// rest that `seed` chooses. Injected faults end.
    pub fn crash(&self, seed: u64) {
        let dice = Dice(SeededEntropy::new(seed));
        let mut state = self.state();
        state.boot = state.boot.wrapping_add(1);
        state.life = state.life.wrapping_add(1);
        state.locks.clear();
        state.fail_sync_after = None;
        state.fail_write_after = None;
        for contents in state.files.values_mut() {
            let mut kept = contents.durable.clone();
            for change in std::mem::take(&mut contents.pending) {
                for part in change.torn(&dice) {
                    part.apply(&mut kept);
                }
            }
            contents.durable.clone_from(&kept);
            contents.now = kept;
        }
        // Names reach the platter together or not at all, as on a journaling file system.
        if dice.below(2) == 0 {
            state.durable_names = state.names.clone();
        } else {
            state.names = state.durable_names.clone();
        }
        let State { files, names, .. } = &mut *state;
        files.retain(|id, _| names.values().any(|named| named == id));
    }

    /// Simulates a kill of the process. Locks and open files are dead, and no byte is lost.
    pub fn kill(&self) {
        let mut state = self.state();
        state.life = state.life.wrapping_add(1);
        state.locks.clear();
    }

    /// Number of successful file syncs.
    pub fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// Lets `more` further file syncs succeed, then fails each.
    pub fn fail_sync_after(&self, more: u64) {
        self.state().fail_sync_after = Some(more);
    }

    /// Lets `more` further writes succeed, then fails each. A preallocation is not a write.
    pub fn fail_write_after(&self, more: u64) {
        self.state().fail_write_after = Some(more);
    }

    /// Sets the total size of all files that fit (bytes). `None` means no bound.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    /// Flips the bits `mask` of one byte of a file, also on the platter. Returns whether the byte exists.
    pub fn flip(&self, path: &Path, offset: u64, mask: u8) -> bool {
        let mut state = self.state();
        let Some(id) = state.names.get(path).copied() else {
            return false;
        };
        let Some(contents) = state.files.get_mut(&id) else {
            return false;
        };
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        if let Some(byte) = contents.durable.get_mut(at) {
            *byte ^= mask;
        }
        match contents.now.get_mut(at) {
            Some(byte) => {
                *byte ^= mask;
                true
            }
            None => false,
        }
    }

    /// Simulates a machine that is set up from `backup`, an earlier [copy](MemoryDisk::copy). The disk has only the files of
    /// the backup. Open files and locks are dead.
    pub fn restore(&self, backup: &MemoryDisk) {
        let State { files, names, .. } = std::mem::take(&mut *backup.copy().state());
        let mut state = self.state();
        let boot = state.boot.wrapping_add(1);
        let life = state.life.wrapping_add(1);
        *state = State {
            boot,
            life,
            // No earlier handle has the id of a new file.
            next: state.next.max(backup.state().next),
            files,
            durable_names: names.clone(),
            names,
            ..State::default()
        };
    }

    /// The bytes of a file as a running program sees them.
    pub fn bytes(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state();
        let id = state.names.get(path)?;
        state.files.get(id).map(|contents| contents.now.clone())
    }

    /// Creates or replaces a file. All its bytes are durable.
    pub fn put(&self, path: &Path, bytes: Vec<u8>) {
        let mut state = self.state();
        let id = state.fresh();
        let contents = Contents {
            now: bytes.clone(),
            durable: bytes,
            pending: Vec::new(),
        };
        state.files.insert(id, contents);
        state.names.insert(path.to_owned(), id);
        state.durable_names.insert(path.to_owned(), id);
    }
}

impl State {
    /// A disk with the files of `names`. `bytes` selects the bytes of each.
    fn copy(&self, names: &BTreeMap<PathBuf, FileId>, bytes: impl Fn(&Contents) -> &Vec<u8>) -> MemoryDisk {
        let files = self.files.iter();
        let copy = State {
            next: self.next,
            files: files
                .map(|(id, contents)| (*id, Contents::synced(bytes(contents))))
                .collect(),
            names: names.clone(),
            durable_names: names.clone(),
            ..State::default()
        };
        MemoryDisk(Arc::new(Mutex::new(copy)))
    }

    fn fresh(&mut self) -> FileId {
        self.next = self.next.wrapping_add(1);
        self.next
    }

    fn used(&self) -> u64 {
        self.files.values().map(|c| c.now.len() as u64).sum()
    }

    fn change(&mut self, id: FileId, change: Change) -> io::Result<()> {
        let used = self.used();
        let capacity = self.capacity;
        let contents = self.files.get_mut(&id).ok_or(io::ErrorKind::NotFound)?;
        let wanted = match &change {
            Change::Write { offset, bytes } => offset.saturating_add(bytes.len() as u64),
            Change::Resize(len) => *len,
        };
        let grow = wanted.saturating_sub(contents.now.len() as u64);
        if grow > 0 && capacity.is_some_and(|capacity| used.saturating_add(grow) > capacity) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        change.apply(&mut contents.now);
        contents.pending.push(change);
        Ok(())
    }
}

struct Lock(MemoryDisk, PathBuf, u64);
impl DirectoryLock for Lock {}
impl Drop for Lock {
    fn drop(&mut self) {
        let mut state = self.0.state();
        if state.life == self.2 {
            state.locks.remove(&self.1);
        }
    }
}

impl Disk for MemoryDisk {
    fn share(&self) -> Arc<dyn Disk> {
        Arc::new(self.clone())
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let state = self.state();
        let id = *state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(Handle {
            disk: self.clone(),
            id,
            life: state.life,
        }))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        let id = state.fresh();
        state.files.insert(id, Contents::default());
        state.names.insert(path.to_owned(), id);
        Ok(Box::new(Handle {
            disk: self.clone(),
            id,
            life: state.life,
        }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.state();
        let paths = state.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(paths
            .filter_map(|path| path.file_name())
            .map(|name| name.to_string_lossy().into_owned())
            .collect())
    }

    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let gone = self.state().names.remove(path);
        gone.map(|_| ()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        let id = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), id);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        let State {
            names, durable_names, ..
        } = &mut *state;
        durable_names.retain(|path, _| path.parent() != Some(dir));
        let in_dir = names.iter().filter(|(path, _)| path.parent() == Some(dir));
        durable_names.extend(in_dir.map(|(path, id)| (path.clone(), *id)));
        Ok(())
    }

    fn lock(&self, dir: &Path) -> io::Result<Box<dyn DirectoryLock>> {
        let mut state = self.state();
        if !state.locks.insert(dir.to_owned()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(Lock(self.clone(), dir.to_owned(), state.life)))
    }

    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        let state = self.state();
        Ok(state
            .capacity
            .map_or(u64::MAX, |capacity| capacity.saturating_sub(state.used())))
    }

    fn boot_id(&self) -> Option<String> {
        Some(format!("simulated-boot-{}", self.state().boot))
    }
}

struct Handle {
    disk: MemoryDisk,
    id: FileId,
    life: u64,
}

impl Handle {
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.state();
        if state.life != self.life {
            return Err(io::Error::other("the simulated process has ended"));
        }
        Ok(state)
    }
}

impl DiskFile for Handle {
    fn len(&self) -> io::Result<u64> {
        let state = self.state()?;
        let contents = state.files.get(&self.id).ok_or(io::ErrorKind::NotFound)?;
        Ok(contents.now.len() as u64)
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let state = self.state()?;
        let contents = state.files.get(&self.id).ok_or(io::ErrorKind::NotFound)?;
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = contents.now.get(from..).unwrap_or_default();
        out.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        Ok(rest.len().min(out.len()))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state()?;
        match &mut state.fail_write_after {
            Some(0) => return Err(io::Error::other("a write failed, as the test asked")),
            Some(left) => *left = left.saturating_sub(1),
            None => {}
        }
        state.change(
            self.id,
            Change::Write {
                offset,
                bytes: bytes.to_vec(),
            },
        )
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state()?;
        match &mut state.fail_sync_after {
            Some(0) => return Err(io::Error::other("a sync failed, as the test asked")),
            Some(left) => *left = left.saturating_sub(1),
            None => {}
        }
        state.syncs = state.syncs.wrapping_add(1);
        let contents = state.files.get_mut(&self.id).ok_or(io::ErrorKind::NotFound)?;
        for change in std::mem::take(&mut contents.pending) {
            change.apply(&mut contents.durable);
        }
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.state()?.change(self.id, Change::Resize(len))
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        if self.len()? >= len {
            return Ok(());
        }
        self.state()?.change(self.id, Change::Resize(len))
    }
}
