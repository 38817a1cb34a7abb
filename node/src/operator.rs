//! What the programs that run nodes have in common on the command line, so that an operator learns it once.
//!
//! | module | holds |
//! |---|---|
//! | [`program`] | arguments in; a report or an error, and an exit code, out |
//! | [`report`] | what a command has to say |
//! | [`commands`] | the commands that every node has: `card`, `network`, `status`, `verify` |
//! | [`network`] | changed cards, which a running node takes up |
//! | [`administer()`] | having the running node do it, or doing it in the directory of a stopped one |
//! | [`status`] | what a running node has done, in numbers |
//! | [`lifecycle`] | a node is made; a node answers |

pub mod administer;
pub mod commands;
pub mod lifecycle;
pub mod network;
pub mod program;
pub mod report;
pub mod status;

pub use administer::{OperatorError, STORE_DIR, administer, all_pages, with_store};
pub use commands::{Directory, NodeCommand};
pub use program::run;
pub use report::Report;
