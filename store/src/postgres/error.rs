//! The errors of a store in a database.

/// Why the store in a database could not be opened or used. The texts never contain a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// The URL is not understood, or not allowed.
    #[error("the URL of the database cannot be used: {why}")]
    Url {
        /// What is wrong with it.
        why: String,
    },
    /// The password or the certificates cannot be read.
    #[error("cannot read {what}: {why}")]
    Secret {
        /// What was read.
        what: String,
        /// What the operating system said.
        why: String,
    },
    /// The database does not answer. Nothing was changed.
    #[error(
        "the database {database} cannot be used now: {why}; nothing was changed; check that it runs and that this machine \
         reaches it, and try again"
    )]
    Unreachable {
        /// Its URL.
        database: String,
        /// What went wrong last.
        why: String,
    },
    /// The database could lose acknowledged transactions.
    #[error(
        "the database {database} could lose acknowledged money: `{setting}` is `{found}`, and must be `{wanted}`; set it in \
         postgresql.conf, let the server read it again, and try again"
    )]
    NotDurable {
        /// Its URL.
        database: String,
        /// The setting of the server.
        setting: &'static str,
        /// Its value.
        found: String,
        /// The allowed values.
        wanted: &'static str,
    },
    /// The server is too old.
    #[error(
        "the server of {database} is PostgreSQL {found}, and {wanted} or newer is needed; upgrade the server"
    )]
    OldServer {
        /// The URL.
        database: String,
        /// Its version.
        found: i32,
        /// The oldest version that works.
        wanted: i32,
    },
    /// The server is a replica, which takes no writes.
    #[error(
        "the server of {database} is a replica that takes no writes; name the primary, or all servers with \
         `target_session_attrs=read-write`"
    )]
    Replica {
        /// The URL.
        database: String,
    },
    /// The tables have a format that this program does not know.
    #[error(
        "the store in {database} has the format {found}, and this program knows {known}; nothing was changed; use the program \
         that made it"
    )]
    OtherFormat {
        /// The URL.
        database: String,
        /// The format of the tables.
        found: i32,
        /// The format of this program.
        known: i32,
    },
    /// The store is another node's.
    #[error(
        "the store in {database} belongs to another node: the key of its owner is {found}; nothing was changed; name this \
         node's own database and schema"
    )]
    OtherNode {
        /// The URL.
        database: String,
        /// The public identity key of the owner (hex).
        found: String,
    },
    /// There is no store.
    #[error(
        "there is no store in {database}, and an empty one would have forgotten everything; is it the right database and \
         schema? nothing was changed"
    )]
    Absent {
        /// The URL.
        database: String,
    },
    /// There is a store already, and none is made.
    #[error(
        "there is a store in {database} already; name another schema with `?schema=NAME`; nothing was changed"
    )]
    Exists {
        /// The URL.
        database: String,
    },
    /// Another process has the store.
    #[error("the store in {database} is in use by {by}; stop that process first")]
    InUse {
        /// The URL.
        database: String,
        /// The process, as the database knows it.
        by: String,
    },
    /// The database refused a statement.
    #[error("the database {database} did not {doing}: {why}")]
    Failed {
        /// The URL.
        database: String,
        /// What was attempted.
        doing: &'static str,
        /// What the database said.
        why: String,
    },
}
