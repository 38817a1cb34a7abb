//! The errors about a node's directory.

use std::io;
use std::path::PathBuf;

use super::file_names::{CONFIG_FILE, OLD_CONFIG_FILE};
use crate::address::Addresses;
use crate::transport::IdentityError;
use crate::{
    card::{CardError, RoleName},
    network_file::NetworkFileError,
};

/// An error about a node's directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HomeError {
    /// The directory has no node.
    #[error("there is no {role} in {dir}: run `farthing-{role} init {dir}`", dir = dir.display())]
    Missing {
        /// The expected role.
        role: RoleName,
        /// The directory.
        dir: PathBuf,
    },
    /// The directory is not empty, so no node is created in it.
    #[error("{dir} is not empty; choose a new directory, so that nothing is overwritten", dir = dir.display())]
    NotEmpty {
        /// The directory.
        dir: PathBuf,
    },
    /// The creation of the node was interrupted.
    #[error(
        "the {role} in {dir} is incomplete: it has {present} but no {missing}; restore {missing} from your backup, or, \
         if the {role} never ran, remove the directory and run `farthing-{role} init {dir}`",
        dir = dir.display()
    )]
    Incomplete {
        /// The expected role.
        role: RoleName,
        /// The directory.
        dir: PathBuf,
        /// A file that exists.
        present: &'static str,
        /// A file that is missing.
        missing: &'static str,
    },
    /// The directory has a node of another role.
    #[error("{dir} holds the {got} `{name}`, not a node of the role {expected}; use `farthing-{got}`", dir = dir.display())]
    OtherRole {
        /// The directory.
        dir: PathBuf,
        /// The expected role.
        expected: RoleName,
        /// The role of the node in it.
        got: RoleName,
        /// The name of the node in it.
        name: String,
    },
    /// Other users can read a secret.
    #[error(
        "{path} can be read by other users (mode {mode:o}); run `chmod 600 {path}`, and find out who may have read it",
        path = path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A file has the wrong content.
    #[error("{path} is damaged: {reason}; restore it from your backup", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The error in it.
        reason: String,
    },
    /// The configuration file has an error.
    #[error(
        "{path}, line {line}: {reason}; correct that line, docs/OPERATIONS.md has all settings",
        path = path.display()
    )]
    Config {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The error in it.
        reason: String,
    },
    /// The old and the new configuration file exist and differ.
    #[error(
        "{dir} has {CONFIG_FILE} and {OLD_CONFIG_FILE}, and they differ; the node uses {CONFIG_FILE}: check its \
         settings, then remove {OLD_CONFIG_FILE}",
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
        /// The error of the operating system.
        source: io::Error,
    },
    /// Nobody can dial the node's address.
    #[error(
        "{0} is not an address where others can reach the node; set `advertise` in {CONFIG_FILE} to one that is"
    )]
    NoAddress(Addresses),
    /// The name is not valid.
    #[error(transparent)]
    Name(#[from] CardError),
    /// The TLS certificate cannot be made or used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The network file cannot be used.
    #[error(transparent)]
    Network(#[from] NetworkFileError),
}
