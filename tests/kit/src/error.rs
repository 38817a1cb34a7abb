//! Why a run did not come to its end.

use crate::process::ProcessError;
use farthing_client::error::WalletError;
use farthing_node::home::files::OutputError;
use std::path::PathBuf;

/// The exit code when it could not be shown.
pub const EXIT_FAILED: u8 = 1;

/// The exit code when something that must hold does not.
pub const EXIT_BROKEN: u8 = 3;

/// The exit code when it was stopped by a signal.
pub const EXIT_STOPPED: u8 = 130;

/// Why a run did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Something that must hold does not: a defect of the system that is shown.
    #[error("broken: {0}")]
    Broken(String),
    /// A node.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A wallet.
    #[error("the wallet of {who}: {source}")]
    Wallet {
        /// Whose.
        who: String,
        /// What it said.
        source: WalletError,
    },
    /// A node's answer to its operator is not what it should be.
    #[error("the {role}'s answer to its operator is not understood: no {what}")]
    Answer {
        /// Whose.
        role: farthing_node::card::RoleName,
        /// What is missing.
        what: String,
    },
    /// A file, a directory, a socket.
    #[error("{what}: {source}")]
    Io {
        /// Which.
        what: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The page's file.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The directory that is to be kept.
    #[error("{} is not empty; name a new directory", .0.display())]
    NotEmpty(PathBuf),
    /// The goods that are to be sold.
    #[error("{} cannot be sold: {why}", path.display())]
    Goods {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Whoever runs it has stopped it.
    #[error("stopped; nothing is left running")]
    Stopped,
}

impl RunError {
    /// How the program ends with it. A wallet that does not get on once the network is whole has broken a promise;
    /// a full disk has not.
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

/// Says that something must hold.
///
/// # Errors
/// [`RunError::Broken`] with what does not.
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
