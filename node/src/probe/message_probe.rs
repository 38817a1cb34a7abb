//! The probe points of a message, and the trait of a probe.

use crate::card::RoleName;
use farthing_store::probe::Probe;

/// A question is about to be sent.
pub const BEFORE_ASKING: &str = "message: about to ask";
/// A question has arrived completely and is not decoded yet.
pub const ASKED: &str = "message: question is here";
/// The content of the answer is durable, and the answer is about to be sent.
pub const BEFORE_ANSWERING: &str = "message: about to answer";
/// The answer has arrived and is not processed yet.
pub const ANSWERED: &str = "message: answer is here";
/// There will be no answer to the question: the call has timed out, or the connection has ended.
pub const UNANSWERED: &str = "message: no answer";

/// A probe: it is called when a process reaches a point of its store or of a message.
pub trait MessageProbe: Probe {
    /// Called at a point of the message `question` to a server of this role, or of its answer. It may block, and it may
    /// end the process.
    fn message(&self, point: &'static str, server: RoleName, question: &'static str);
}
