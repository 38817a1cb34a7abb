//! The writer. It makes each batch of transactions durable in one record, and then sends the answers.

use crate::background::Background;
use crate::batch::Batch;
use crate::disk::{DirectoryLock, Disk};
use crate::error::StoreError;
use crate::index::Writes;
use crate::job::Job;
use crate::journal::Journal;
use crate::probe::{self, Probe};
use crate::record::encode_writes;
use crate::shared::Shared;
use crate::snapshots::Snapshots;
use crate::state::{Left, State};
use crate::write_backend::WriteBackend;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// The only writer of a store, without a thread. An inline store calls it directly, so a simulator can use it.
pub(crate) struct Committer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) journal: Journal,
    pub(crate) probe: Arc<dyn Probe>,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
    /// Whether it runs every transaction twice, and refuses one whose second run differs.
    pub(crate) runs_twice: bool,
    /// The first failure after which the content of the disk is unknown.
    pub(crate) halted: Option<StoreError>,
    pub(crate) snapshots: Snapshots,
    /// Verifies the records that the start has skipped, if any.
    pub(crate) background: Option<Background>,
    /// The last field, because the lock must be released last.
    pub(crate) _lock: Box<dyn DirectoryLock>,
}

impl Committer {
    /// Runs `jobs` in order, and makes their writes durable in one record, or in several if one is too small. Each job sees
    /// the writes of earlier jobs. Every job has its result before this returns.
    pub(crate) fn commit(&mut self, jobs: Vec<Job>) {
        let mut batch = Batch::default();
        self.check_shared_failures();
        for job in jobs {
            if let Some(why) = &self.halted {
                job.finish(Err(why.clone()));
                continue;
            }
            let index = Arc::clone(&self.shared.index);
            if let Err(why) = batch.run(job, &|key| index.get(key), self.runs_twice) {
                self.halt_for_index(&why);
            }
            if batch.is_full() || self.halted.is_some() {
                self.finish(std::mem::take(&mut batch));
            }
        }
        self.finish(batch);
        self.probe.reached(probe::AFTER_REPLY);
    }

    /// Halts if a reader outside transactions has found the index or the journal broken.
    fn check_shared_failures(&mut self) {
        if let Some(why) = self.shared.index_failure().map(str::to_owned) {
            self.halt_for_index(&why);
        }
        if let Some(why) = self.shared.reader.broken() {
            self.halted.get_or_insert_with(|| why.clone());
        }
    }

    /// Makes a batch durable and sends the results.
    fn finish(&mut self, batch: Batch) {
        let durable = match &self.halted {
            Some(why) => Err(why.clone()),
            None if batch.writes().is_empty() => Ok(()),
            None => self.write(batch.writes()),
        };
        self.shared.work.count(batch.len());
        batch.finish(&durable);
    }

    fn write(&mut self, writes: &Writes) -> Result<(), StoreError> {
        let payload = encode_writes(writes);
        let began = Instant::now();
        let head = match self.journal.append(&payload, self.probe.as_ref()) {
            Ok(head) => {
                self.shared.work.count_sync(began.elapsed());
                head
            }
            Err(full @ StoreError::Full { .. }) => {
                tracing::error!(error = %full, "a batch was refused");
                return Err(full);
            }
            Err(error) => return Err(self.halt(error)),
        };
        self.probe.reached(probe::AFTER_SYNC);
        if let Err(error) = self.shared.index.apply(writes, head) {
            // The record is durable, and the next start replays it. This process cannot read it back, so it must not decide
            // anything.
            return Err(self.halt_for_index(&error.to_string()));
        }
        self.shared.advance(head, self.journal.bytes());
        if self.journal.take_ended() {
            self.snapshots
                .after_file(&self.shared, &self.disk, &self.dir, &self.probe);
        }
        self.probe.reached(probe::AFTER_INDEX);
        Ok(())
    }

    /// Halts, and records that the next start must not trust the index.
    fn halt_for_index(&mut self, why: &str) -> StoreError {
        if self.halted.is_none() {
            let state = State::new(Left::IndexFailed, self.disk.as_ref(), self.journal.head());
            if let Err(error) = state.write(self.disk.as_ref(), &self.dir) {
                tracing::error!(%error, "could not record that the index failed; remove its folder by hand");
            }
        }
        self.halt(StoreError::halted(format!(
            "the index failed ({why}); the next start rebuilds it"
        )))
    }

    fn halt(&mut self, why: StoreError) -> StoreError {
        tracing::error!(error = %why, "the store stops accepting");
        self.shared.halted(&why);
        self.halted.get_or_insert(why).clone()
    }

    /// Closes the index and records a clean stop. Then it releases the directory's lock.
    pub(crate) fn close(mut self) -> Result<(), StoreError> {
        // If the verification has found damage by now, this is no clean stop.
        drop(self.background.take());
        self.snapshots.stop();
        self.check_shared_failures();
        if let Some(why) = self.halted {
            return Err(why);
        }
        self.shared
            .index
            .close()
            .map_err(|error| StoreError::Index(error.to_string()))?;
        let head = self.journal.head();
        let checkpoints = self.shared.reader.checkpoints.sparse(head);
        State::closed(self.disk.as_ref(), head, checkpoints).write(self.disk.as_ref(), &self.dir)
    }
}

impl WriteBackend for Committer {
    fn commit(&mut self, jobs: Vec<Job>) {
        Committer::commit(self, jobs);
    }

    fn close(self: Box<Self>) -> Result<(), StoreError> {
        Committer::close(*self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::MemoryDisk;
    use crate::index::{Head, Index, IndexError};
    use crate::key::RowKey;
    use crate::namespace::Namespace;
    use crate::options::StoreOptions;
    use crate::{IndexFound, Row, Transaction, View, recovery};
    use std::ops::Bound;
    use std::path::Path;
    use std::sync::mpsc::channel;

    /// An index that fails on reads, or on writes.
    struct Failing {
        reads: bool,
    }

    impl Index for Failing {
        fn get(&self, _key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
            if self.reads {
                Err(IndexError("bad page".into()))
            } else {
                Ok(None)
            }
        }
        fn apply(&self, _writes: &Writes, _at: Head) -> Result<(), IndexError> {
            if self.reads {
                Ok(())
            } else {
                Err(IndexError("bad page".into()))
            }
        }
        fn applied(&self) -> Result<Option<Head>, IndexError> {
            Ok(None)
        }
        fn scan(&self, _: &[u8], _: Bound<&[u8]>, _: usize) -> Result<Vec<Row>, IndexError> {
            Ok(Vec::new())
        }
        fn close(&self) -> Result<(), IndexError> {
            Ok(())
        }
    }

    fn run(committer: &mut Committer) -> Result<bool, StoreError> {
        let (tell, told) = channel();
        let read_and_write = |tx: &mut Transaction<'_>| {
            // No closure should swallow the failure of a read. Its write must still not be stored.
            let there = tx.get(&[1]).unwrap_or(None).is_some();
            tx.put(&[1], vec![1])?;
            Ok(there)
        };
        let reply = move |result| tell.send(result).unwrap();
        let reads = [RowKey::new(1, &())];
        committer.commit(vec![Job::new(reads, read_and_write, reply)]);
        told.recv().unwrap()
    }

    #[test]
    fn a_failing_index_halts_the_store_and_the_next_start_rebuilds_it() {
        for (reads, seen_by_view) in [(true, false), (false, false), (true, true)] {
            let disk = MemoryDisk::new();
            let options = StoreOptions::simulated(disk.clone(), 1);
            let dir = Path::new("/store");
            let (mut committer, _) = recovery::open(dir, &options).unwrap();
            let reader = committer.shared.reader.clone();
            let index = Arc::new(Failing { reads });
            committer.shared = Arc::new(Shared::new(index, reader, committer.shared.head(), 0));
            if seen_by_view {
                let failed = View::new(committer.shared.clone(), Namespace::default()).get(&[1]);
                assert!(matches!(failed, Err(StoreError::Index(_))));
            }
            let halted = run(&mut committer).unwrap_err();
            assert!(matches!(halted, StoreError::Halted { .. }), "{halted}");
            assert_eq!(run(&mut committer), Err(halted.clone()));
            assert!(committer.shared.stopped().is_some());
            let durable = committer.journal.head().sequence;
            assert_eq!(
                durable,
                u64::from(!reads),
                "the journal has the record only if the failure came after the sync"
            );
            assert_eq!(committer.close(), Err(halted));
            let state = State::read(&disk, dir).unwrap();
            assert_eq!(state.left, Left::IndexFailed);
            let (_, report) = recovery::open(dir, &options).unwrap();
            assert_ne!(report.index, IndexFound::Kept);
        }
    }
}
