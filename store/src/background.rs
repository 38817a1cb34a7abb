//! Work beside the commits, in a thread of its own.
//!
//! One kind is the verification of the records that a quick start has skipped. Only a rebuild, a request for a past hash, and
//! `verify` read these records, and each checks them. So damage there does no harm while the store runs. But the later it is
//! found, the older is the backup that can repair it.

use crate::checkpoints::Position;
use crate::error::StoreError;
use crate::limits::BACKGROUND_PAUSES;
use crate::reader::Reader;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Instant;

/// A thread beside the commits. Dropping this ends it.
pub(crate) struct Background {
    name: &'static str,
    /// `None` only while this is dropped, which tells the thread to stop.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The time of the work, from which its pauses follow.
pub(crate) struct Pauses {
    stopped: Receiver<()>,
    /// Length of a pause, as a multiple of the time of the work before it.
    times: u32,
    begin: Instant,
}

impl Pauses {
    /// Makes a pause. Returns whether the work goes on.
    pub(crate) fn pause(&mut self) -> bool {
        let pause = self.begin.elapsed().saturating_mul(self.times);
        let goes_on = self.stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout);
        self.begin = Instant::now();
        goes_on
    }
}

impl Background {
    /// Runs `work`, whose pauses take `times` as long as the work before them.
    pub(crate) fn start(
        name: &'static str,
        times: u32,
        work: impl FnOnce(Pauses) + Send + 'static,
    ) -> Result<Self, StoreError> {
        let (stop, stopped) = channel();
        let run = move || {
            work(Pauses {
                stopped,
                times,
                begin: Instant::now(),
            });
        };
        let thread = std::thread::Builder::new().name(name.into()).spawn(run);
        let thread = thread.map_err(StoreError::disk(format!("start the thread `{name}`")))?;
        Ok(Self {
            name,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Verifies the records before `to`.
    pub(crate) fn verify(reader: Reader, to: Position) -> Result<Self, StoreError> {
        Self::start("verify", BACKGROUND_PAUSES, move |pauses| {
            verify(&reader, to, pauses);
        })
    }

    /// Whether the work has ended.
    pub(crate) fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        if self
            .thread
            .take()
            .map(JoinHandle::join)
            .is_some_and(|end| end.is_err())
        {
            tracing::error!(thread = self.name, "a thread of the store had panicked");
        }
    }
}

/// How often a verification goes on after an error of the disk.
const DISK_TRIES: u32 = 5;

fn verify(reader: &Reader, to: Position, mut pauses: Pauses) {
    let mut tries = 0..DISK_TRIES;
    loop {
        let begin = reader.begin();
        match reader.verify_before(to, || pauses.pause()) {
            Ok(true) => tracing::info!(records = to.head.sequence, "the rest of the journal is verified"),
            Ok(false) => {}
            // A segment was archived meanwhile, which has verified it. The rest begins later.
            Err(StoreError::Archived { .. }) if reader.begin() != begin => continue,
            // The process may have too many files open.
            Err(StoreError::Disk { .. }) if tries.next().is_some() && pauses.pause() => continue,
            Err(error) => drop(reader.fail(error)),
        }
        return;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::MemoryDisk;
    use crate::error::DamageKind;
    use crate::state::State;
    use crate::{Reads, Store, StoreOptions};
    use farthing_protocol::ids::RecordHash;
    use std::path::Path;

    const RECORDS: u64 = 1000;
    const DIR: &str = "/store";

    /// A closed store whose journal has more than two pieces. All these journals have the same id. Records with the same
    /// number have the same length.
    fn closed(filler: u8) -> (MemoryDisk, Vec<RecordHash>) {
        let disk = MemoryDisk::new();
        let (store, _) = Store::open(Path::new(DIR), StoreOptions::simulated(disk.clone(), 1)).unwrap();
        let mut hashes = vec![store.head().hash];
        for _ in 0..RECORDS {
            store
                .transact_blocking(Reads::none(), move |tx| tx.put(&[1], vec![filler; 2500]))
                .unwrap();
            hashes.push(store.head().hash);
        }
        store.close().unwrap();
        (disk, hashes)
    }

    /// The journal after a quick start, and the position up to which it is not verified yet.
    fn quick(disk: &MemoryDisk) -> (Reader, Position) {
        let dir = Path::new(DIR);
        let reader = Reader::open(disk, dir, &[]).unwrap().unwrap();
        let state = State::read(disk, dir).unwrap();
        let to = state.checkpoints[0];
        let checked = reader.check(to, RECORDS, None, &|_| {}).unwrap();
        assert_eq!(checked.ok().unwrap().head, state.head);
        reader.trust(to, &state.checkpoints);
        (reader, to)
    }

    #[test]
    fn past_hashes_are_right_before_during_and_after_the_verification() {
        let (disk, hashes) = closed(7);
        let (reader, to) = quick(&disk);
        let check = || {
            for (sequence, hash) in (0..).zip(&hashes) {
                assert_eq!(reader.hash_at(sequence).unwrap(), *hash, "{sequence}");
            }
        };
        assert_eq!((reader.unverified(), to.head.sequence), (768, 768));
        check();
        assert!(!reader.verify_before(to, || false).unwrap());
        let left = reader.unverified();
        assert!((1..768).contains(&left), "{left} are left after one piece");
        check();
        let mut pieces = 0;
        let all = reader.verify_before(to, || {
            pieces += 1;
            true
        });
        assert!(all.unwrap() && pieces == 1 && reader.unverified() == 0);
        check();
    }

    #[test]
    fn records_of_another_history_before_the_end_fail_the_verification_and_give_no_hash() {
        let ((ours, _), (theirs, hashes)) = (closed(7), closed(8));
        let journal = Path::new(DIR).join("journal");
        let checkpoint = State::read(&ours, Path::new(DIR)).unwrap().checkpoints[0];
        let (begin, end) = (theirs.bytes(&journal).unwrap(), ours.bytes(&journal).unwrap());
        let at = checkpoint.offset as usize;
        ours.put(&journal, [&begin[..at], &end[at..]].concat());
        let (reader, to) = quick(&ours);
        let chain = StoreError::Damaged {
            path: journal,
            damage: to.damage(DamageKind::Chain),
        };
        assert_eq!(reader.verify_before(to, || true), Err(chain));
        assert!(
            reader.broken().is_none(),
            "only the caller gets the error, and passes it to the store"
        );
        for sequence in [1, 300, 767] {
            let told = quick(&ours).0.hash_at(sequence);
            assert_ne!(told, Ok(hashes[sequence as usize]), "{sequence}");
            assert!(matches!(told, Err(StoreError::Damaged { .. })), "{told:?}");
        }
    }
}
