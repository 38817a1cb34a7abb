//! What the port reads from a running node.

use crate::books::Books;
use crate::card::RoleName;
use crate::operator::status::Status;
use async_trait::async_trait;

/// A running node, as the port reads it.
#[async_trait]
pub(crate) trait Monitored: Send + Sync + 'static {
    /// The role.
    fn role(&self) -> RoleName;

    /// The status that its operator sees too.
    fn status(&self) -> Status;

    /// The books, if its role has any. It may take long.
    ///
    /// # Errors
    /// When they cannot be read.
    async fn books(&self) -> Result<Option<Books>, String>;

    /// Why its store has stopped, if it has.
    fn stopped(&self) -> Option<String>;

    /// What its role lacks to serve, in words.
    fn lacks(&self) -> Vec<&'static str>;
}
