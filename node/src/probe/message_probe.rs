//! The points around every message, and who is told of them.

use crate::card::RoleName;
use farthing_store::probe::Probe;

/// A question is about to be sent.
pub const BEFORE_ASKING: &str = "message: about to ask";
/// A question has arrived whole; nothing was looked at.
pub const ASKED: &str = "message: question is here";
/// All that the answer says is durable; the answer is about to be sent.
pub const BEFORE_ANSWERING: &str = "message: about to answer";
/// The answer is here; nothing was done with it.
pub const ANSWERED: &str = "message: answer is here";
/// There will be no answer to the question: the time for it has run out, or the connection has ended.
pub const UNANSWERED: &str = "message: no answer";

/// Is told when a process reaches a named point: of its store, or of a message.
pub trait MessageProbe: Probe {
    /// A point of the message `question` to a server of this role, or of its answer. It may block, and it may end the
    /// process.
    fn message(&self, point: &'static str, server: RoleName, question: &'static str);
}
