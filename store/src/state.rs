//! The file `state`: how the last process that had the store open left it.

use crate::checkpoints::Position;
use crate::disk::{Disk, read_file, replace_file};
use crate::error::StoreError;
use crate::index::Head;
use crate::limits::STATE_MAX_BYTES;
use farthing_protocol::ids::RecordHash;
use std::path::Path;

/// The file's name in the directory.
pub(crate) const STATE_NAME: &str = "state";
const TITLE: &str = "farthing store 1";
/// Stands for the boot id where the system has none. It equals no boot id.
const UNKNOWN: &str = "unknown";

/// How a process left the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// The process has the store open, or died.
    Open,
    /// The process closed the store and its index.
    Closed,
    /// The index failed on a read or a write.
    IndexFailed,
}

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) left: Left,
    boot: String,
    /// The journal's durable head at that time.
    pub(crate) head: Head,
    /// Checkpoints before the head, from the head back. Empty unless the store was closed.
    pub(crate) checkpoints: Vec<Position>,
}

impl State {
    pub(crate) fn new(left: Left, disk: &dyn Disk, head: Head) -> Self {
        Self {
            left,
            boot: disk.boot_id().unwrap_or_else(|| UNKNOWN.into()),
            head,
            checkpoints: Vec::new(),
        }
    }

    /// The state of a closed store, with its checkpoints.
    pub(crate) fn closed(disk: &dyn Disk, head: Head, checkpoints: Vec<Position>) -> Self {
        Self {
            checkpoints,
            ..Self::new(Left::Closed, disk, head)
        }
    }

    /// Whether the machine has run without a restart since this was written.
    pub(crate) fn same_boot(&self, disk: &dyn Disk) -> bool {
        disk.boot_id().is_some_and(|now| now == self.boot)
    }

    /// The state in `dir`. `None` when the file is absent or damaged: then the index is rebuilt.
    pub(crate) fn read(disk: &dyn Disk, dir: &Path) -> Option<Self> {
        let bytes = read_file(disk, &dir.join(STATE_NAME), STATE_MAX_BYTES).ok()??;
        Self::parse(&String::from_utf8(bytes).ok()?)
    }

    pub(crate) fn write(&self, disk: &dyn Disk, dir: &Path) -> Result<(), StoreError> {
        let path = dir.join(STATE_NAME);
        replace_file(disk, &path, self.text().as_bytes())
            .map_err(StoreError::disk(format!("write {}", path.display())))
    }

    fn text(&self) -> String {
        let left = match self.left {
            Left::Open => "open",
            Left::Closed => "closed",
            Left::IndexFailed => "index-failed",
        };
        let hash = hex::encode(self.head.hash);
        let mut lines = format!("{TITLE}\n{left}\n{}\n{}\n{hash}\n", self.boot, self.head.sequence);
        for Position { offset, head } in &self.checkpoints {
            lines += &format!("{offset} {} {}\n", head.sequence, hex::encode(head.hash));
        }
        let crc = crc32fast::hash(lines.as_bytes());
        format!("{lines}{crc:08x}\n")
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next()? != TITLE {
            return None;
        }
        let left = match lines.next()? {
            "open" => Left::Open,
            "closed" => Left::Closed,
            "index-failed" => Left::IndexFailed,
            _ => return None,
        };
        let boot = lines.next()?.to_owned();
        let head = head(lines.next()?, lines.next()?)?;
        // The last line is no checkpoint: it is the checksum.
        let checkpoints = lines.map_while(position).collect();
        let state = Self {
            left,
            boot,
            head,
            checkpoints,
        };
        (state.text() == text).then_some(state)
    }
}

fn head(sequence: &str, hash: &str) -> Option<Head> {
    let sequence = sequence.parse().ok()?;
    let mut bytes = [0; 32];
    hex::decode_to_slice(hash, &mut bytes).ok()?;
    Some(Head {
        sequence,
        hash: RecordHash(bytes),
    })
}

fn position(line: &str) -> Option<Position> {
    let mut words = line.split(' ');
    let offset = words.next()?.parse().ok()?;
    let head = head(words.next()?, words.next()?)?;
    Some(Position { offset, head })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::MemoryDisk;
    use farthing_protocol::ids::RecordHash;

    #[test]
    fn a_state_reads_back_and_a_changed_byte_is_found() {
        let disk = MemoryDisk::new();
        let dir = Path::new("/d");
        let head = |sequence| Head {
            sequence,
            hash: RecordHash([9; 32]),
        };
        let checkpoints = [(50_000, 700), (20_000, 256)].map(|(offset, sequence)| Position {
            offset,
            head: head(sequence),
        });
        let state = State::closed(&disk, head(777), checkpoints.to_vec());
        state.write(&disk, dir).unwrap();
        assert_eq!(State::read(&disk, dir), Some(state.clone()));
        assert!(state.same_boot(&disk));
        let path = dir.join(STATE_NAME);
        for offset in 0..disk.bytes(&path).unwrap().len() as u64 {
            disk.flip(&path, offset, 1);
            assert_eq!(State::read(&disk, dir), None, "byte {offset}");
            disk.flip(&path, offset, 1);
        }
        let longest = vec![
            Position {
                offset: u64::MAX,
                head: head(u64::MAX)
            };
            64
        ];
        let state = State::closed(&disk, head(u64::MAX), longest);
        state.write(&disk, dir).unwrap();
        assert_eq!(State::read(&disk, dir), Some(state.clone()));
        disk.crash(1);
        assert!(!state.same_boot(&disk));
    }
}
