//! The commands `backup` and `restore-backup`.

use super::administer::{OperatorError, PAUSE, STORE_DIR, TRIES};
use super::archive::paths;
use super::report::Report;
use super::requests::{DurableHead, NodeRequest};
use crate::admin::admin_call;
use crate::backup::archive::{Manifest, Source, write};
use crate::backup::restore::{Restored, restore};
use crate::card::RoleName;
use crate::date;
use crate::home::Home;
use clap::Args;
use farthing_store::clock::{Clock, SystemClock};
use farthing_store::{Head, JournalExtract, StoreError, disk::FileDisk};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The arguments of `backup`.
#[derive(Debug, Clone, Args)]
pub struct BackupArgs {
    /// The node's directory.
    pub dir: PathBuf,
    /// The file to write. It must not exist. It has the node's secrets: keep it where nobody else can read it.
    #[arg(long, value_name = "FILE")]
    pub to: PathBuf,
    /// Write an archived segment: only the records after this one, which another backup ends with.
    #[arg(long, value_name = "RECORD", value_parser = clap::value_parser!(u64).range(1..))]
    pub since: Option<u64>,
    /// A directory with files of the journal that `archive` has moved. A full backup needs them.
    #[arg(long, value_name = "DIR")]
    pub archive: Vec<PathBuf>,
}

/// The arguments of `restore-backup`.
#[derive(Debug, Clone, Args)]
pub struct RestoreArgs {
    /// The directory of the restored node. It must not exist or be empty.
    pub dir: PathBuf,
    /// The backup.
    pub file: PathBuf,
    /// Archived segments (`backup --since`), in their order. Each begins where the file before it ends.
    #[arg(value_name = "SEGMENT")]
    pub segments: Vec<PathBuf>,
}

/// Writes the backup of a running or a stopped node.
pub(super) async fn backup(role: RoleName, args: &BackupArgs) -> Result<Report, OperatorError> {
    let BackupArgs {
        dir,
        to,
        since,
        archive,
    } = args;
    let home: Home<Value> = Home::open(dir, role)?;
    OperatorError::refuse_database(&home, "backup")?;
    let journal = journal(dir, &paths(archive), since.unwrap_or_default()).await?;
    let source = Source {
        dir,
        role,
        name: &home.config().name,
        identity: home.identity().public(),
        now_ms: SystemClock.now_ms(),
    };
    Ok(written(&write(to, &source, &journal)?, to))
}

/// The journal of the node in `dir`, up to its last durable record. A running node names this record.
async fn journal(dir: &Path, archives: &[&Path], after: u64) -> Result<JournalExtract, OperatorError> {
    let request = serde_json::to_value(NodeRequest::Head)?;
    let store = dir.join(STORE_DIR);
    for _ in 0..TRIES {
        if let Some(reply) = admin_call(dir, &request).await? {
            let DurableHead { record, hash } = serde_json::from_value(reply)?;
            let durable = Head {
                sequence: record,
                hash,
            };
            return Ok(JournalExtract::beside(
                &store, archives, &FileDisk, after, durable,
            )?);
        }
        match JournalExtract::locked(&store, archives, &FileDisk, after) {
            Err(StoreError::InUse { .. }) => tokio::time::sleep(PAUSE).await,
            journal => return Ok(journal?),
        }
    }
    Err(OperatorError::InUse { dir: dir.to_owned() })
}

fn written(manifest: &Manifest, to: &Path) -> Report {
    let Manifest {
        role,
        name,
        after,
        last,
        written_ms,
        ..
    } = manifest;
    let (to, hash) = (to.display(), hex::encode(last.hash));
    let first = after.number.saturating_add(1);
    let what = match manifest.is_full() {
        true => format!(
            "the {role} `{name}` is backed up to {to}: records 1 to {}",
            last.number
        ),
        false if after.number == last.number => {
            format!(
                "{to} has no record: the journal of the {role} `{name}` ends with record {}",
                last.number
            )
        }
        false => format!(
            "records {first} to {} of the {role} `{name}` are archived in {to}",
            last.number
        ),
    };
    let text = format!(
        "{what}, hash {hash}, {}\nit has the node's secrets: keep it where nobody else can read it\nfor the records after \
         these: farthing-{role} backup DIR --since {} --to FILE",
        date::text(*written_ms),
        last.number
    );
    let json = json!({
        "file": to.to_string(), "role": role, "name": name, "written_ms": written_ms, "after": after.number,
        "last": last.number, "hash": hash, "files": manifest.files.len(), "journal_bytes": manifest.journal_bytes,
    });
    Report::new(text, json)
}

/// Restores a backup and its segments to a new directory, and says what is missing to be the newest.
pub(super) fn restore_backup(role: RoleName, args: &RestoreArgs) -> Result<Report, OperatorError> {
    let RestoreArgs { dir, file, segments } = args;
    let Restored { last, segments } = restore(dir, role, file, segments)?;
    let hash = hex::encode(last.last.hash);
    let (number, name, shown) = (last.last.number, &last.name, dir.display());
    let peers = match role {
        RoleName::Bank => Some("escrows"),
        RoleName::Escrow => Some("banks"),
        RoleName::Merchant | RoleName::Relay => None,
    };
    let missing = match peers {
        Some(peers) => format!(
            "until it has every record that the node has written, its {peers} hold it *behind*: it answers, but pays and \
             decides nothing, and `farthing-{role} status {shown}` names the record that it must have at least. What none of \
             its {peers} had heard is missed unseen, so never start it as long as a newer journal may exist"
        ),
        None => "nobody holds it back: sales after that are missing, and so are goods that were added since"
            .to_owned(),
    };
    let text = format!(
        "the {role} `{name}` is restored in {shown}: records 1 to {number}, hash {hash}, as of {}\nit is the newest only if \
         the node wrote nothing after record {number}. These complete it, each into another empty directory:\n  \
         all files `journal*` of the old disk, in {shown}/store (OPERATIONS.md, A node that is behind)\n  \
         an archived segment of the old node: farthing-{role} backup OLD_DIR --since {number} --to SEGMENT, then \
         restore-backup with the segment as the last file\n  a later backup\n{missing}\nmake sure that the old node never \
         starts again; then run `farthing-{role} serve {shown}`",
        date::text(last.written_ms)
    );
    let json = json!({
        "dir": dir, "role": role, "name": name, "records": number, "hash": hash, "written_ms": last.written_ms,
        "segments": segments, "completed_by": { "segment_after": number }, "held_behind_by": peers,
    });
    Ok(Report::new(text, json))
}
