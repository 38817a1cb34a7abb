//! Why a node's directory cannot be used.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::file_names::{CONFIG_FILE, OLD_CONFIG_FILE};
use crate::quic::IdentityError;
use crate::{
    card::{CardError, RoleName},
    network_file::NetworkFileError,
};

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HomeError {
    /// There is no node in it.
    #[error("there is no {role} in {dir}: run `farthing-{role} init {dir}`", dir = dir.display())]
    Missing {
        /// What was looked for.
        role: RoleName,
        /// Where.
        dir: PathBuf,
    },
    /// It is not empty, so no node is made in it.
    #[error("{dir} is not empty; choose a new directory, so that nothing is overwritten", dir = dir.display())]
    NotEmpty {
        /// The directory.
        dir: PathBuf,
    },
    /// Making the node was interrupted.
    #[error(
        "making the {role} in {dir} was interrupted: it has {present} but no {missing}; restore what is missing, or, \
         if the {role} never ran, remove the directory and run `farthing-{role} init {dir}`",
        dir = dir.display()
    )]
    Incomplete {
        /// What was looked for.
        role: RoleName,
        /// The directory.
        dir: PathBuf,
        /// A file that is there.
        present: &'static str,
        /// A file that is not.
        missing: &'static str,
    },
    /// There is a node of another role in it.
    #[error("{dir} holds the {got} `{name}`, the directory of another program than the {expected}; use `farthing-{got}`", dir = dir.display())]
    OtherRole {
        /// The directory.
        dir: PathBuf,
        /// What was looked for.
        expected: RoleName,
        /// What is there.
        got: RoleName,
        /// Its name.
        name: String,
    },
    /// Others can read a secret.
    #[error(
        "{path} can be read by others (mode {mode:o}); run `chmod 600 {path}`, and think of who may have read it",
        path = path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A file is not what it should be.
    #[error("{path} is damaged: {reason}; restore it from your backup", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The configuration is not understood.
    #[error(
        "{path}, line {line}: {reason}; correct it there, docs/OPERATIONS.md says what the file takes",
        path = path.display()
    )]
    Config {
        /// The file.
        path: PathBuf,
        /// The line, from 1 on.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// There are two configurations, which say different things.
    #[error(
        "{dir} has {CONFIG_FILE} and {OLD_CONFIG_FILE}, and they differ; {CONFIG_FILE} is what counts: see that it says \
         what you want, and remove {OLD_CONFIG_FILE}",
        dir = dir.display()
    )]
    TwoConfigs {
        /// The directory.
        dir: PathBuf,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The node's card would have no address that others can dial.
    #[error("{0} is not an address to reach a node at; set `advertise` in {CONFIG_FILE} to one that is")]
    NoAddress(SocketAddr),
    /// The name is not one.
    #[error(transparent)]
    Name(#[from] CardError),
    /// The TLS certificate cannot be made or used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The network file cannot be used.
    #[error(transparent)]
    Network(#[from] NetworkFileError),
}
