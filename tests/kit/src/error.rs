//! The errors of a run.

use crate::process::ProcessError;
use farthing_client::error::WalletError;
use farthing_node::home::files::OutputError;
use std::path::PathBuf;

/// The exit code of a run that could not be made.
pub const EXIT_FAILED: u8 = 1;

/// The exit code when a guarantee is broken.
pub const EXIT_BROKEN: u8 = 3;

/// The exit code when a signal stopped the run.
pub const EXIT_STOPPED: u8 = 130;

/// The error that ended a run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A guarantee does not hold: a defect of the system under test.
    #[error("broken: {0}")]
    Broken(String),
    /// A node.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A wallet.
    #[error("the wallet of {who}: {source}")]
    Wallet {
        /// The name of the party.
        who: String,
        /// The party's message.
        source: WalletError,
    },
    /// A node's reply to its operator is not as expected.
    #[error("the {role}'s reply to its operator has no {what}")]
    Answer {
        /// The name of the party.
        role: farthing_node::card::RoleName,
        /// The missing part.
        what: String,
    },
    /// A file, a directory, a socket.
    #[error("{what}: {source}")]
    Io {
        /// Its name.
        what: String,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The page's file.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The directory to keep.
    #[error("{} is not empty; name a new directory", .0.display())]
    NotEmpty(PathBuf),
    /// The goods to sell.
    #[error("{} cannot be sold: {why}", path.display())]
    Goods {
        /// Their name.
        path: PathBuf,
        /// The reason.
        why: String,
    },
    /// A name that the user typed.
    #[error("there is no {what} `{name}`; choose one of: {}", .all.join(", "))]
    Unknown {
        /// What it should name.
        what: &'static str,
        /// The name.
        name: String,
        /// The names that there are.
        all: Vec<String>,
    },
    /// The user stopped the run.
    #[error("stopped; nothing is left running")]
    Stopped,
}

impl RunError {
    /// The exit code of the program for this error. A wallet that does not finish on a repaired network breaks a
    /// guarantee. A full disk does not.
    pub fn exit_code(&self) -> u8 {
        match self {
            RunError::Wallet {
                source: WalletError::Io { .. } | WalletError::Home(_),
                ..
            } => EXIT_FAILED,
            RunError::Broken(_) | RunError::Wallet { .. } => EXIT_BROKEN,
            RunError::Stopped => EXIT_STOPPED,
            _ => EXIT_FAILED,
        }
    }

    /// A file error at `what`.
    pub fn io(what: impl std::fmt::Display) -> impl FnOnce(std::io::Error) -> RunError {
        let what = what.to_string();
        move |source| RunError::Io { what, source }
    }
}

/// Checks that a guarantee holds.
///
/// # Errors
/// [`RunError::Broken`] with the guarantee, if it does not.
pub fn must(holds: bool, what: impl FnOnce() -> String) -> Result<(), RunError> {
    if holds {
        Ok(())
    } else {
        Err(RunError::Broken(what()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_promise_and_a_broken_machine_end_otherwise() {
        let of = |source| RunError::Wallet {
            who: "alice".into(),
            source,
        };
        let full = WalletError::io("journal")(std::io::Error::other("no space left"));
        assert_eq!(of(full).exit_code(), EXIT_FAILED);
        assert_eq!(of(WalletError::NotAsDescribed(1)).exit_code(), EXIT_BROKEN);
        assert_eq!(
            must(false, || "two is not three".into()).unwrap_err().exit_code(),
            EXIT_BROKEN
        );
        assert_eq!(RunError::Stopped.exit_code(), EXIT_STOPPED);
    }
}
