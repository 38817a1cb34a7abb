//! The command `archive`.

use super::administer::{OperatorError, STORE_DIR};
use super::report::Report;
use crate::card::RoleName;
use clap::Args;
use farthing_store::{ArchivedSegment, archive_segments, disk::FileDisk};
use serde_json::json;
use std::path::{Path, PathBuf};

/// The arguments of `archive`.
#[derive(Debug, Clone, Args)]
pub struct ArchiveArgs {
    /// The node's directory.
    pub dir: PathBuf,
    /// The directory for the moved files, of this node only. It is made if it is not there.
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,
}

/// The same paths, borrowed.
pub(super) fn paths(dirs: &[PathBuf]) -> Vec<&Path> {
    dirs.iter().map(PathBuf::as_path).collect()
}

/// Moves the old files of the journal of a running or a stopped node.
pub(super) fn archive(role: RoleName, args: &ArchiveArgs) -> Result<Report, OperatorError> {
    let ArchiveArgs { dir, to } = args;
    let moved = archive_segments(&dir.join(STORE_DIR), to, &FileDisk)?;
    let bytes: u64 = moved.iter().map(|file| file.bytes).sum();
    let shown = to.display();
    let text = match (moved.first(), moved.last()) {
        (Some(first), Some(last)) => format!(
            "{} files of the journal, {bytes} bytes, are moved to {shown}: records {} to {}\n\
             keep them: a full backup needs them (`farthing-{role} backup DIR --to FILE --archive {shown}`)",
            moved.len(),
            first.first,
            last.last
        ),
        _ => "nothing is moved: a start may need all files of the journal that are here".to_owned(),
    };
    let files: Vec<_> = moved.iter().map(described).collect();
    Ok(Report::new(
        text,
        json!({ "to": to, "bytes": bytes, "files": files }),
    ))
}

fn described(file: &ArchivedSegment) -> serde_json::Value {
    json!({ "file": file.path, "first": file.first, "last": file.last, "bytes": file.bytes })
}
