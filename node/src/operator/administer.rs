//! Execution of an operator's command: by the running node, or in the directory of a stopped one.

use crate::admin::{ADMIN_WORK_TIMEOUT_MS, AdminError, admin_call_within};
use crate::backup::BackupError;
pub use crate::home::STORE_DIR;
use crate::home::{Home, HomeError};
use crate::{card::RoleName, network_file::NetworkFileError};
use farthing_store::{Store, StoreError};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How many times a command tries to reach a node that is starting or stopping.
pub(super) const TRIES: u32 = 20;

/// The pause between two tries.
pub(super) const PAUSE: Duration = Duration::from_millis(100);

/// An error of an operator's command.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OperatorError {
    /// The directory.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The network file.
    #[error(transparent)]
    NetworkFile(#[from] NetworkFileError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A backup, or its restore.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// A file of the node.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The running node refused, or did not answer.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The network file is changed, and the running node did not confirm that it has read it.
    #[error(
        "the network file is changed, but the running node does not use it yet: {0}; repeat the command, or \
         restart the node"
    )]
    NotTakenUp(AdminError),
    /// The card is not pinned.
    #[error("no {role} `{name}` is known; `network list DIR` lists the pinned cards")]
    Unknown {
        /// The role.
        role: RoleName,
        /// The name.
        name: String,
    },
    /// Another process has the store open, and no node answers.
    #[error(
        "another process uses the store in {dir}, and no node answers commands there; stop that process, or try again \
         later",
        dir = dir.display()
    )]
    InUse {
        /// The node's directory.
        dir: PathBuf,
    },
    /// The command works on the files of a store in the directory.
    #[error(
        "`{command}` is for a store in the node's directory, and the store of this node is in {database}; use the tools of the \
         database, such as `pg_basebackup`, and copy the other files of the directory yourself; nothing was changed"
    )]
    InDatabase {
        /// The command.
        command: &'static str,
        /// The URL of the database.
        database: String,
    },
    /// The address has no free port.
    #[error("cannot listen on {listen}: {source}")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A request or a reply is not valid.
    #[error("the node's reply is not understood: {0}; is the node of another version than this command?")]
    Json(#[from] serde_json::Error),
    /// The node of this role cannot be opened.
    #[error(transparent)]
    Role(Box<dyn std::error::Error + Send + Sync>),
}

impl OperatorError {
    /// A refusal of the node, with its message for the operator.
    pub fn refused(message: impl Into<String>) -> Self {
        AdminError::Refused(message.into()).into()
    }

    /// The error for a store that stays in use, and no node answers in `dir`. A database knows by whom.
    pub(super) fn in_use(dir: &Path, error: Option<StoreError>) -> Self {
        match error {
            Some(error @ StoreError::Database(_)) => error.into(),
            _ => Self::InUse { dir: dir.to_owned() },
        }
    }

    /// Refuses a command that works on the files of a store, for a node whose store is in a database.
    ///
    /// # Errors
    /// [`OperatorError::InDatabase`].
    pub fn refuse_database<C>(home: &Home<C>, command: &'static str) -> Result<(), Self> {
        match &home.config().store {
            Some(url) => Err(Self::InDatabase {
                command,
                database: url.to_string(),
            }),
            None => Ok(()),
        }
    }
}

/// Sends `request` to the node that runs in `dir`. If no node runs, `alone` opens the directory and executes it.
///
/// A node that starts or stops holds the store and does not answer. This function waits for it.
///
/// # Errors
/// The error of the node or of `alone`, a reply that is not an `R`, and [`OperatorError::InUse`].
pub async fn administer<R: DeserializeOwned>(
    dir: &Path,
    request: &impl Serialize,
    alone: impl AsyncFn() -> Result<Value, OperatorError>,
) -> Result<R, OperatorError> {
    let request = serde_json::to_value(request)?;
    let mut in_use = None;
    for _ in 0..TRIES {
        if let Some(reply) = admin_call_within(dir, &request, ADMIN_WORK_TIMEOUT_MS).await? {
            return Ok(serde_json::from_value(reply)?);
        }
        match alone().await {
            Err(OperatorError::Store(error)) if error.is_in_use() => in_use = Some(error),
            reply => return Ok(serde_json::from_value(reply?)?),
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(OperatorError::in_use(dir, in_use))
}

/// Calls `work` with the opened store of a stopped node, and closes it.
///
/// # Errors
/// When the store cannot be closed, and the refusal of `work`.
pub fn with_store(
    store: Store,
    work: impl FnOnce(&Store) -> Result<Value, String>,
) -> Result<Value, OperatorError> {
    let done = work(&store);
    store.close()?;
    done.map_err(OperatorError::refused)
}

/// Returns all lines of a list that comes in pages.
///
/// `page` gets the `cursor` of the last line of the previous page. It returns its lines, and whether more follow.
///
/// # Errors
/// The error of `page`.
pub async fn all_pages<L, C>(
    cursor: impl Fn(&L) -> C,
    page: impl AsyncFn(Option<C>) -> Result<(Vec<L>, bool), OperatorError>,
) -> Result<Vec<L>, OperatorError> {
    let mut all: Vec<L> = Vec::new();
    loop {
        let (lines, more) = page(all.last().map(&cursor)).await?;
        // A node that announces more and sends nothing would be asked forever.
        let more = more && !lines.is_empty();
        all.extend(lines);
        if !more {
            return Ok(all);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::open_store_in;
    use farthing_store::StoreOptions;
    use serde_json::json;
    use std::cell::Cell;

    #[tokio::test]
    async fn a_command_waits_while_the_store_is_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let (busy, _) = Store::open(&dir.path().join(STORE_DIR), StoreOptions::default()).unwrap();
        let open = || open_store_in(&dir.path().join(STORE_DIR), StoreOptions::default(), |_| Ok(()));
        let busy = Cell::new(Some(busy));
        let tries = Cell::new(0);
        let alone = async || {
            tries.set(tries.get() + 1);
            if tries.get() == 3 {
                busy.take().unwrap().close().unwrap();
            }
            with_store(open()?, |_| Ok(json!("done")))
        };
        let done: Value = administer(dir.path(), &json!({}), alone).await.unwrap();
        assert_eq!((done, tries.get()), (json!("done"), 3));
        let refused = async || with_store(open()?, |_| Err("no".into()));
        let error = administer::<Value>(dir.path(), &json!({}), refused)
            .await
            .unwrap_err();
        assert!(matches!(&error, OperatorError::Admin(AdminError::Refused(why)) if why == "no"));
    }

    #[tokio::test]
    async fn each_page_begins_after_the_last_line_of_the_previous_one() {
        let page = async |after: Option<u8>| match after {
            None => Ok((vec![1, 2], true)),
            Some(2) => Ok((vec![3], false)),
            other => Err(OperatorError::refused(format!("{other:?}"))),
        };
        assert_eq!(all_pages(|line: &u8| *line, page).await.unwrap(), [1, 2, 3]);
    }

    #[tokio::test]
    async fn pages_end_when_a_node_announces_more_and_sends_nothing() {
        let empty = async |_: Option<u8>| Ok((Vec::<u8>::new(), true));
        assert!(all_pages(|line: &u8| *line, empty).await.unwrap().is_empty());
    }
}
