//! Named points around every message, beside those of the store ([`farthing_store::probe`]).
//!
//! A process that is started with [`PROBE_VARIABLE`] set tells whoever listens on that socket of each point that it
//! reaches, and waits there until it is let go on.
//!
//! | what | file |
//! |---|---|
//! | the points and who is told of them | `message_probe` |
//! | the probe that tells a socket | [`socket`] |
//! | what a process passes to its parts | [`process`] |
//! | points around messages | `messages` |

mod message_probe;
mod messages;
pub mod process;
pub mod socket;

pub use message_probe::{ANSWERED, ASKED, BEFORE_ANSWERING, BEFORE_ASKING, MessageProbe, UNANSWERED};
pub use messages::question;
pub use process::ProcessProbe;
pub use socket::PROBE_VARIABLE;
