//! When a snapshot is made, and where.

use crate::background::Background;
use crate::checkpoints::Position;
use crate::disk::Disk;
use crate::index::Index;
use crate::limits::{SNAPSHOT_PART, SNAPSHOT_PAUSES};
use crate::options::{StoreOptions, Threading};
use crate::probe::{self, Probe};
use crate::record::Format;
use crate::shared::Shared;
use crate::snapshot::{self, Source, Unfinished};
use std::path::Path;
use std::sync::Arc;

/// Makes the snapshots of a store. Each begins where a file of the journal begins.
pub(crate) struct Snapshots {
    threading: Threading,
    reserve_bytes: u64,
    /// The thread that makes the last one.
    thread: Option<Background>,
}

/// What a snapshot needs.
struct Task {
    shared: Arc<Shared>,
    disk: Arc<dyn Disk>,
    probe: Arc<dyn Probe>,
    from: Position,
    reserve_bytes: u64,
}

impl Snapshots {
    pub(crate) fn new(options: &StoreOptions) -> Self {
        Self {
            threading: options.threading,
            reserve_bytes: options.reserve_bytes,
            thread: None,
        }
    }

    /// Begins a snapshot after a file of the journal has ended, if one is due and none is under way. The index has every
    /// record of that file. An inline store makes the snapshot at once.
    pub(crate) fn after_file(
        &mut self,
        shared: &Arc<Shared>,
        disk: &Arc<dyn Disk>,
        dir: &Path,
        probe: &Arc<dyn Probe>,
    ) {
        let from = shared.reader.files.active_begin();
        let is_busy = self.thread.as_ref().is_some_and(|thread| !thread.is_finished());
        if is_busy || !is_due(disk.as_ref(), dir, shared.reader.format, from) {
            return;
        }
        let task = Task {
            shared: Arc::clone(shared),
            disk: Arc::clone(disk),
            probe: Arc::clone(probe),
            from,
            reserve_bytes: self.reserve_bytes,
        };
        if self.threading == Threading::Inline {
            return task.run(|| true);
        }
        let started = Background::start("snapshot", SNAPSHOT_PAUSES, move |mut pauses| {
            task.run(|| pauses.pause());
        });
        match started {
            Ok(thread) => self.thread = Some(thread),
            Err(error) => tracing::warn!(%error, "no snapshot is made"),
        }
    }

    /// Ends a snapshot that is under way.
    pub(crate) fn stop(&mut self) {
        drop(self.thread.take());
    }
}

/// Whether the journal since the newest snapshot is long enough for another one.
fn is_due(disk: &dyn Disk, dir: &Path, format: Format, at: Position) -> bool {
    match snapshot::newest(disk, dir, format) {
        None => true,
        Some(newest) => {
            let since = at.offset.saturating_sub(newest.from.offset);
            since >= newest.bytes / SNAPSHOT_PART
        }
    }
}

impl Task {
    fn run(&self, mut goes_on: impl FnMut() -> bool) {
        // A store that has stopped may have an index that lacks rows.
        let goes_on = || goes_on() && self.shared.stopped().is_none();
        let reader = &self.shared.reader;
        let index: &dyn Index = self.shared.index.as_ref();
        let source = Source {
            disk: self.disk.as_ref(),
            dir: reader.files.dir(),
            format: reader.format,
            index,
            from: self.from,
            reserve_bytes: self.reserve_bytes,
        };
        let written = source.write(goes_on, || self.probe.reached(probe::BEFORE_SNAPSHOT));
        let record = self.from.head.sequence;
        match written {
            Ok(brief) => {
                self.shared.set_snapshot(record);
                tracing::info!(record, bytes = brief.bytes, "a snapshot is made");
            }
            Err(Unfinished::Stopped) => {}
            Err(Unfinished::Index(error)) => drop(self.shared.index_failed(&error)),
            Err(Unfinished::Disk(error)) => {
                tracing::warn!(%error, record, "no snapshot is made; the next one is tried after the next file of the journal");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::committer::Committer;
    use crate::disk::MemoryDisk;
    use crate::entropy::{Entropy, SeededEntropy};
    use crate::index::{Row, apply_in_parts};
    use crate::index_memory::MemoryIndex;
    use crate::job::Job;
    use crate::probe::NoProbe;
    use crate::reads::Reads;
    use crate::recovery;
    use std::ops::Bound;

    const DIR: &str = "/store";

    fn all(index: &dyn Index) -> Vec<Row> {
        index.scan(&[], Bound::Unbounded, usize::MAX).unwrap()
    }

    /// Puts or deletes one of `keys` rows, as `seed` says.
    fn write(committer: &mut Committer, seed: u64, keys: u16) {
        let mut dice = [0; 4];
        SeededEntropy::new(seed).fill(&mut dice);
        let [first, second, kind, value] = dice;
        let key = u16::from_le_bytes([first, second]) % keys;
        let key = [&[1], key.to_be_bytes().as_slice()].concat();
        let change = move |tx: &mut crate::Transaction<'_>| match kind % 3 {
            0 => tx.delete(&key),
            _ => tx.put(&key, vec![value; 30]),
        };
        let done = |result: Result<(), _>| result.unwrap();
        committer.commit(vec![Job::new(Reads::none(), change, done)]);
    }

    /// The rows of the newest snapshot with the records after its begin, at each record from its end on.
    fn replayed(committer: &Committer, disk: &MemoryDisk) -> (u64, Vec<Vec<Row>>) {
        let reader = &committer.shared.reader;
        let mut whole = snapshot::whole(disk, Path::new(DIR), reader.format).unwrap();
        let snapshot = whole.next().unwrap();
        let index = MemoryIndex::new();
        snapshot.load(&index, || {}).unwrap();
        assert_eq!(index.applied().unwrap(), Some(snapshot.from.head));
        let mut scanner = reader.scanner(snapshot.from);
        let mut states = Vec::new();
        loop {
            if scanner.at.head.sequence >= snapshot.to.sequence {
                states.push(all(&index));
            }
            let before = scanner.at.head;
            let Some(payload) = scanner.next().unwrap() else {
                break;
            };
            let writes = reader.writes(&before, payload).unwrap();
            apply_in_parts(&index, &writes, before, scanner.at.head).unwrap();
        }
        (snapshot.to.sequence, states)
    }

    #[test]
    fn rows_that_were_read_while_writes_went_on_become_exact_by_the_records_after_the_begin() {
        let mut fuzzy = 0;
        for seed in 0..30u64 {
            let disk = MemoryDisk::new();
            let options = StoreOptions {
                segment_bytes: u64::MAX,
                ..StoreOptions::simulated(disk.clone(), seed)
            };
            let (mut committer, _) = recovery::open(Path::new(DIR), &options).unwrap();
            // Several pages of rows.
            (0..3000).for_each(|number| write(&mut committer, seed << 32 | number, 1800));
            let end = committer.shared.head();
            let from = {
                let mut scanner = committer.shared.reader.scan_from(end.sequence);
                while scanner.next().unwrap().is_some() {}
                scanner.at
            };
            let before = all(committer.shared.index.as_ref());
            let shared = Arc::clone(&committer.shared);
            let task = Source {
                disk: &disk,
                dir: Path::new(DIR),
                format: shared.reader.format,
                index: shared.index.as_ref(),
                from,
                reserve_bytes: 0,
            };
            let mut number = 3000;
            let written = task.write(
                || {
                    for _ in 0..40 {
                        number += 1;
                        write(&mut committer, seed << 32 | number, 1800);
                    }
                    true
                },
                || {},
            );
            assert!(written.is_ok());
            let mut exact = vec![all(committer.shared.index.as_ref())];
            for _ in 0..20 {
                number += 1;
                write(&mut committer, seed << 32 | number, 1800);
                exact.push(all(committer.shared.index.as_ref()));
            }
            let (to, states) = replayed(&committer, &disk);
            assert_eq!(to, committer.shared.head().sequence - 20, "seed {seed}");
            assert!(states == exact, "seed {seed}");
            let index = MemoryIndex::new();
            let mut whole = snapshot::whole(&disk, Path::new(DIR), shared.reader.format).unwrap();
            whole.next().unwrap().load(&index, || {}).unwrap();
            let rows = all(&index);
            fuzzy += u32::from(rows != before && rows != exact[0]);
        }
        assert!(fuzzy > 20, "only {fuzzy} snapshots were of no single moment");
    }

    #[test]
    fn a_snapshot_that_is_stopped_or_has_no_room_leaves_no_file() {
        let disk = MemoryDisk::new();
        let options = StoreOptions::simulated(disk.clone(), 1);
        let (mut committer, _) = recovery::open(Path::new(DIR), &options).unwrap();
        (0..50).for_each(|number| write(&mut committer, number, 1000));
        let names = disk.list(Path::new(DIR)).unwrap();
        let task = |reserve_bytes| Task {
            shared: Arc::clone(&committer.shared),
            disk: disk.share(),
            probe: Arc::new(NoProbe),
            from: committer.shared.reader.begin(),
            reserve_bytes,
        };
        task(0).run(|| false);
        assert_eq!(disk.list(Path::new(DIR)).unwrap(), names);
        disk.fail_sync_after(0);
        task(0).run(|| true);
        assert_eq!(disk.list(Path::new(DIR)).unwrap(), names);
        assert_eq!(committer.shared.stopped(), None);
        assert!(is_due(
            &disk,
            Path::new(DIR),
            committer.shared.reader.format,
            task(0).from
        ));
    }
}
