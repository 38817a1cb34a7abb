//! The commands of every node.

use super::administer::{OperatorError, STORE_DIR};
use super::archive::{self, ArchiveArgs, paths};
use super::backup::{self, BackupArgs, RestoreArgs};
use super::drain::{self, DrainArgs};
use super::report::{EXIT_FAILED, Report};
use super::{network, status};
use crate::card::{Card, RoleName, parse_name};
use crate::home::Home;
use crate::qr::drawn;
use clap::{Args, Subcommand};
use farthing_store::disk::FileDisk;
use farthing_store::{VerifyReport, verify_with_archives};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, Args)]
#[allow(
    missing_docs,
    reason = "the text would replace that of every command that takes a directory"
)]
pub struct Directory {
    /// The node's directory.
    pub dir: PathBuf,
}

/// The arguments of `verify`.
#[derive(Debug, Clone, Args)]
pub struct VerifyArgs {
    /// The node's directory.
    pub dir: PathBuf,
    /// A directory with files of the journal that `archive` has moved. They are verified too.
    #[arg(long, value_name = "DIR")]
    pub archive: Vec<PathBuf>,
}

/// The commands of a node that has a store.
#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    #[command(flatten)]
    #[allow(missing_docs, reason = "the text would replace that of its commands")]
    Common(CommonCommand),
    /// Verify the whole journal of a stopped node. Changes nothing.
    Verify(VerifyArgs),
    /// Move old files of the journal that no start needs to another directory, while the node runs or not.
    Archive(ArchiveArgs),
    /// Write a consistent backup of the node, while it runs or not: settings, keys, cards and journal in one file.
    Backup(BackupArgs),
    /// Begin nothing new and finish what is under way, until `--off`, also after a restart. Shows what is left.
    Drain(DrainArgs),
    /// Make a node of a backup and the archived segments after it, and say what is missing to be the newest.
    RestoreBackup(RestoreArgs),
}

/// The commands that are the same for all roles.
#[derive(Debug, Subcommand)]
pub enum CommonCommand {
    /// Print the card of this node, for others to pin with `network add`. A wallet opens it as a link, too.
    Card {
        /// The node's directory.
        dir: PathBuf,
        /// Draw it as a QR code too.
        #[arg(long)]
        qr: bool,
    },
    /// Add, remove and list the cards of the nodes that this one works with.
    #[command(subcommand)]
    Network(NetworkCommand),
    /// Show whether the running node may decide, and its counters since the start.
    Status(Directory),
}

/// The commands for the pinned cards.
#[derive(Debug, Subcommand)]
pub enum NetworkCommand {
    /// Pin a card. A running node uses it at once.
    Add {
        /// The node's directory.
        dir: PathBuf,
        /// The card: the line that its owner's `card` command prints.
        card: Card,
        /// Local name for the node, if another one has the name in the card. Without it a known node keeps its name.
        #[arg(long = "as", value_name = "NAME", value_parser = parse_name)]
        name: Option<String>,
    },
    /// Remove a pinned card. A running node stops using it at once.
    Remove {
        /// The node's directory.
        dir: PathBuf,
        /// The role of the node: bank, escrow, merchant or relay.
        role: RoleName,
        /// The name of the node.
        name: String,
    },
    /// List the pinned cards.
    List(Directory),
}

impl NodeCommand {
    /// Executes the command in the directory of a node of this role.
    ///
    /// # Errors
    /// When the directory has no node of this role, or the command fails.
    pub async fn execute(self, role: RoleName) -> Result<Report, OperatorError> {
        match self {
            NodeCommand::Common(command) => command.execute(role).await,
            NodeCommand::Verify(VerifyArgs { dir, archive }) => {
                OperatorError::refuse_database(&home(&dir, role)?, "verify")?;
                let store = dir.join(STORE_DIR);
                let found = verify_with_archives(&store, &paths(&archive), &FileDisk, &|_| {})?;
                Ok(verified(&found))
            }
            NodeCommand::Archive(args) => {
                OperatorError::refuse_database(&home(&args.dir, role)?, "archive")?;
                archive::archive(role, &args)
            }
            NodeCommand::Backup(args) => backup::backup(role, &args).await,
            NodeCommand::Drain(args) => drain::drain(&home(&args.dir, role)?, &args).await,
            NodeCommand::RestoreBackup(args) => backup::restore_backup(role, &args),
        }
    }
}

impl CommonCommand {
    /// Executes the command in the directory of a node of this role.
    ///
    /// # Errors
    /// When the directory has no node of this role, or the command fails.
    pub async fn execute(self, role: RoleName) -> Result<Report, OperatorError> {
        match self {
            CommonCommand::Card { dir, qr } => card(&home(&dir, role)?.card()?, qr),
            CommonCommand::Network(NetworkCommand::Add { dir, card, name }) => {
                home(&dir, role)?;
                network::add(&dir, card, name.as_deref()).await
            }
            CommonCommand::Network(NetworkCommand::Remove { dir, role: of, name }) => {
                home(&dir, role)?;
                network::remove(&dir, of, &name).await
            }
            CommonCommand::Network(NetworkCommand::List(Directory { dir })) => {
                Ok(network::list(home(&dir, role)?.network()?.cards()))
            }
            CommonCommand::Status(Directory { dir }) => {
                home(&dir, role)?;
                status::show(&dir).await
            }
        }
    }
}

/// The node's directory, without reading the settings of its role.
fn home(dir: &Path, role: RoleName) -> Result<Home<Value>, OperatorError> {
    Ok(Home::open(dir, role)?)
}

fn card(card: &Card, qr: bool) -> Result<Report, OperatorError> {
    let json = json!({ "card": card, "identity": card.identity_hex() });
    let text = drawn(card.to_string(), qr).map_err(|error| OperatorError::Role(Box::new(error)))?;
    Ok(Report::new(text, json))
}

/// The result of a verification of the journal.
fn verified(found: &VerifyReport) -> Report {
    let head = hex::encode(found.head.hash);
    let damage = found.damage.as_ref().map(ToString::to_string);
    let mut lines = vec![format!(
        "{} records, {} bytes, head {head}",
        found.records, found.bytes
    )];
    if found.archived > 0 {
        lines.push(format!(
            "records 1 to {} are archived, and were not verified; name the directory with their files with `--archive`",
            found.archived
        ));
    }
    if found.torn_bytes > 0 {
        lines.push(format!(
            "{} bytes of an interrupted write follow; no reply rests on them, and the next start removes them",
            found.torn_bytes
        ));
    }
    lines.push(match &damage {
        None => "the journal is whole: each record follows the previous one".to_owned(),
        Some(damage) => format!(
            "the journal is damaged {damage}, in {}; restore the directory from a copy, do not delete it",
            found.file.display()
        ),
    });
    let json = json!({
        "records": found.records,
        "archived": found.archived,
        "bytes": found.bytes,
        "head": head,
        "torn_bytes": found.torn_bytes,
        "damage": damage,
        "file": found.file,
    });
    let mut report = Report::new(lines.join("\n"), json);
    if damage.is_some() {
        report.exit = EXIT_FAILED;
    }
    report
}
