//! Jobs: the id of a print is durable before the meter is asked, so that an interrupted print is repeated with the same bytes.

use super::letter::{Letter, Mailing};
use crate::meter::{
    interface::Meter,
    order::{JobId, PrintOrder, Printed},
    soft::SoftMeter,
};
use anyhow::{Context, Result};
use farthing_coin::{Transcript, TranscriptExt};
use farthing_node::home::files::{self, Mode};
use farthing_store::entropy::{Entropy, SystemEntropy};
use serde::{Deserialize, Serialize};
use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

/// The longest job file (bytes).
const FILE_MAX_BYTES: u64 = 4096;

/// A job, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Job {
    /// The id.
    id: JobId,
    /// The meter's sequence number when it was drawn.
    after: u64,
    /// The digest of the list that is printed. The zero digest for one letter.
    list: JobId,
}

/// The job file beside an output file.
pub(super) fn beside(output: &Path) -> PathBuf {
    let mut name = OsString::from(output);
    name.push(".job");
    name.into()
}

/// The digest of a list of letters.
pub(super) fn list_digest(bytes: &[u8]) -> JobId {
    let mut transcript = Transcript::start(b"farthing postage list");
    transcript.bytes(b"list", bytes);
    JobId(transcript.digest32(b"digest"))
}

impl Job {
    /// The job in the file `path`, or a new one, which is durable when this returns. Also says whether it was there.
    pub(super) fn begin(path: &Path, list: JobId, after: u64) -> Result<(Job, bool)> {
        match files::read_bounded(path, FILE_MAX_BYTES) {
            Ok(bytes) => {
                let job: Job = serde_json::from_slice(&bytes).with_context(|| {
                    format!("{} is damaged; remove it to begin a new print", path.display())
                })?;
                if job.list != list {
                    anyhow::bail!(
                        "{} belongs to another list of letters, whose printing was interrupted; print that one to its end, or \
                         choose another directory",
                        path.display()
                    );
                }
                Ok((job, true))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut id = [0; 32];
                SystemEntropy.fill(&mut id);
                let job = Job {
                    id: JobId(id),
                    after,
                    list,
                };
                files::replace(path, &serde_json::to_vec(&job)?, Mode::Secret)
                    .with_context(|| format!("cannot write {}", path.display()))?;
                Ok((job, false))
            }
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// The id of a letter of a list. The first has the number 1. 0 is the job itself.
    fn id(&self, letter: u64) -> JobId {
        let mut transcript = Transcript::start(b"farthing postage job");
        transcript.bytes(b"id", &self.id.0);
        transcript.u64(b"letter", letter);
        JobId(transcript.digest32(b"id"))
    }

    /// Prints a letter of the job. A letter that was printed before gets the same bytes.
    pub(super) fn print(
        &self,
        meter: &SoftMeter,
        number: u64,
        letter: &Letter,
        mailing: &Mailing,
    ) -> Result<Printed> {
        let order = PrintOrder {
            job: self.id(number),
            after: self.after,
            class: letter.class,
            day: mailing.day,
            value: letter.value,
            to: letter.address.clone(),
            code: letter.code.clone(),
        };
        Ok(meter.print(&order)?)
    }

    /// Removes the file: everything is printed.
    pub(super) fn end(path: &Path) -> Result<()> {
        fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))
    }
}
