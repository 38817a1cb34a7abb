//! PostgreSQL servers for tests, and lines to them that can be cut.
//!
//! A [`Cluster`] is a server of its own in a temporary directory, on a Unix socket, and over TLS if a test wants it. It runs as an unprivileged user,
//! because `initdb` refuses root. It ends and its directory is removed when it is dropped, and also when the test's process
//! ends in any other way. Where no PostgreSQL is installed, [`Cluster::start`] says `SKIPPED: no PostgreSQL`.

mod cluster;
mod line;

pub use cluster::Cluster;
pub use line::{Cut, Line};
