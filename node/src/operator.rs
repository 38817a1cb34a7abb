//! The common command line of all node programs.
//!
//! | module | holds |
//! |---|---|
//! | [`arguments`] | parses the arguments of a program, the wallet included; `completions` and `man` |
//! | [`program`] | runs a program, from its arguments to its exit code |
//! | [`report`] | the report of a command |
//! | [`commands`] | the commands of every node: `card`, `network`, `status`, `verify` |
//! | [`archive`] | `archive` |
//! | [`backup`] | `backup` and `restore-backup` |
//! | [`drain`] | `drain` |
//! | [`network`] | the pinned cards, and their reload in a running node |
//! | [`administer()`] | executes a command in the running node, or in the directory of a stopped one |
//! | [`status`] | the counters of a running node |
//! | [`state`] | what a running node is doing now |
//! | `requests`, `handler` | the requests that every running node answers, and their answers |
//! | [`lifecycle`] | the creation and the start of a node |

pub mod administer;
pub mod archive;
pub mod arguments;
pub mod backup;
pub mod commands;
pub mod drain;
pub(crate) mod handler;
pub mod lifecycle;
pub mod network;
pub mod program;
pub mod report;
mod requests;
pub mod state;
pub mod status;

pub use administer::{OperatorError, STORE_DIR, administer, all_pages, with_store};
pub use arguments::parse;
pub use commands::{CommonCommand, Directory, NodeCommand};
pub use program::run;
pub use report::Report;
