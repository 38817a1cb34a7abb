//! The oblivious relay of Farthing: it knows who asks but not what.
//!
//! A wallet encrypts each anonymous request to its server, and sends it here. The relay forwards it, over a connection
//! that it uses for the requests of all wallets. The server knows what is asked but not who asks. A relay stores nothing
//! and logs no address. It forwards only to the servers that its operator has pinned.
//!
//! | module | holds |
//! |---|---|
//! | [`relay`] | the answers to requests |
//! | `pool` | the connections to one server |
//! | `fair_queue` | the places under way to one server, shared out fairly among clients |
//! | `key_cache` | the one copy of a server's encryption key that all wallets get |
//! | [`cli`] | the command line |

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod cli;
mod fair_queue;
mod key_cache;
mod pool;
pub mod relay;

pub use cli::run;
pub use relay::{Relay, RelayParts};
