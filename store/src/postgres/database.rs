//! The database in which a node keeps its store.

use crate::postgres::url::DatabaseUrl;
use farthing_coin::PublicKey;
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The database in which a node keeps its store.
#[derive(Clone)]
pub struct Database {
    /// Where it is.
    pub url: DatabaseUrl,
    /// The password, if the server asks for one. It is not in the URL, in no error and in no log.
    pub password: Option<Arc<Zeroizing<Vec<u8>>>>,
    /// The identity key of the node that owns the store. The store of another one is refused.
    pub owner: PublicKey,
    /// The name of this process in the list of the server's sessions. PostgreSQL shows its first 63 bytes.
    pub name: String,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("url", &self.url)
            .field("owner", &self.owner)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A function that gets the process that a standby waits for, in words.
pub type StandbyFn = Arc<dyn Fn(&str) + Send + Sync>;

/// What to do while another process has the store in a database.
#[derive(Clone)]
pub enum WhileInUse {
    /// Return an error.
    Refuse,
    /// Wait as a standby until the store is free. The function is called at the begin of the wait, and from time to time.
    Wait(StandbyFn),
}
