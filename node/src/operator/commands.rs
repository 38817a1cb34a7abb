//! The commands that every node has.

use super::administer::{OperatorError, STORE_DIR};
use super::report::{EXIT_FAILED, Report};
use super::{network, status};
use crate::card::{Card, RoleName};
use crate::home::Home;
use clap::{Args, Subcommand};
use farthing_store::disk::FileDisk;
use farthing_store::{VerifyReport, verify};
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

/// Commands that do not depend on what the node's role is.
#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// Print the card that others pin.
    Card(Directory),
    /// The nodes that this one works with.
    #[command(subcommand)]
    Network(NetworkCommand),
    /// Show what the running node has done since it started, in numbers.
    Status(Directory),
    /// Check the whole journal of a stopped node; changes nothing.
    Verify(Directory),
}

/// What can be done about the pinned cards.
#[derive(Debug, Subcommand)]
pub enum NetworkCommand {
    /// Pin a card; a running node takes it up at once.
    Add {
        /// The node's directory.
        dir: PathBuf,
        /// The card, one line, as its owner printed it.
        card: Card,
    },
    /// Remove a pinned card; a running node takes it up at once.
    Remove {
        /// The node's directory.
        dir: PathBuf,
        /// bank, escrow or merchant.
        role: RoleName,
        /// Its name.
        name: String,
    },
    /// List the pinned cards.
    List(Directory),
}

impl NodeCommand {
    /// Does it in the directory of a node of this role.
    ///
    /// # Errors
    /// When there is no such node, or what its directory holds cannot be used as asked.
    pub async fn execute(self, role: RoleName) -> Result<Report, OperatorError> {
        match self {
            NodeCommand::Card(Directory { dir }) => Ok(card(&home(&dir, role)?.card()?)),
            NodeCommand::Network(NetworkCommand::Add { dir, card }) => {
                home(&dir, role)?;
                network::add(&dir, card).await
            }
            NodeCommand::Network(NetworkCommand::Remove { dir, role: of, name }) => {
                home(&dir, role)?;
                network::remove(&dir, of, &name).await
            }
            NodeCommand::Network(NetworkCommand::List(Directory { dir })) => {
                Ok(network::list(home(&dir, role)?.network()?.cards()))
            }
            NodeCommand::Status(Directory { dir }) => {
                home(&dir, role)?;
                status::show(&dir).await
            }
            NodeCommand::Verify(Directory { dir }) => {
                home(&dir, role)?;
                let found = verify(&dir.join(STORE_DIR), &FileDisk, &|_| {})?;
                Ok(verified(&found))
            }
        }
    }
}

/// The node's directory, whatever its own settings are.
fn home(dir: &Path, role: RoleName) -> Result<Home<Value>, OperatorError> {
    Ok(Home::open(dir, role)?)
}

fn card(card: &Card) -> Report {
    let json = json!({ "card": card, "identity": card.identity_hex() });
    Report::new(card.to_string(), json)
}

/// What a walk through a journal has found.
fn verified(found: &VerifyReport) -> Report {
    let head = hex::encode(found.head.hash);
    let damage = found.damage.as_ref().map(ToString::to_string);
    let mut lines = vec![format!(
        "{} records, {} bytes, head {head}",
        found.records, found.bytes
    )];
    if found.torn_bytes > 0 {
        lines.push(format!(
            "{} bytes of an interrupted write stand behind them; the next start cuts them off",
            found.torn_bytes
        ));
    }
    lines.push(match &damage {
        None => "the journal is whole: every record follows the one before it".to_owned(),
        Some(damage) => {
            format!("the journal is damaged {damage}; restore the directory from a copy, do not delete it")
        }
    });
    let json = json!({
        "records": found.records,
        "bytes": found.bytes,
        "head": head,
        "torn_bytes": found.torn_bytes,
        "damage": damage,
    });
    let mut report = Report::new(lines.join("\n"), json);
    if damage.is_some() {
        report.exit = EXIT_FAILED;
    }
    report
}
