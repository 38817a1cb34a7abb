//! Probe points before and after every message. The store has probe points too ([`farthing_store::probe`]).
//!
//! A process that is started with [`PROBE_VARIABLE`] reports each point that it reaches to that socket. It then waits
//! until the listener lets it continue.
//!
//! | what | file |
//! |---|---|
//! | the points, and the trait of a probe | `message_probe` |
//! | the probe that reports to a socket | [`socket`] |
//! | the probe of a process | [`process`] |
//! | a network and a service with probe points | `messages` |

mod message_probe;
mod messages;
pub mod process;
pub mod socket;

pub use message_probe::{ANSWERED, ASKED, BEFORE_ANSWERING, BEFORE_ASKING, MessageProbe, UNANSWERED};
pub use messages::question;
pub use process::ProcessProbe;
pub use socket::PROBE_VARIABLE;
