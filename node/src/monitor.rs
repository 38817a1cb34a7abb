//! The metrics of a running node, and a page about it, on an HTTP port of the machine. Off by default, and read-only.
//!
//! | path | answer |
//! |---|---|
//! | `/metrics` | the figures, for Prometheus (OpenMetrics) |
//! | `/healthz` | whether the process works: 200, or 503 if its store has stopped |
//! | `/readyz` | whether it is ready to serve: 200, or 503 with the reasons |
//! | `/` | the page, for a person |
//! | `/state.json` | what the page shows |
//!
//! Nobody proves an identity at this port, so it says less than the operator's socket. `coarse` has the rules: one reading a
//! minute, counts in tens, no sizes, and books only as sums over several customers.
//!
//! | module | holds |
//! |---|---|
//! | [`listen`] | the address, and the names under which a browser may ask |
//! | `source` | what is read from the node |
//! | `coarse` | what is left out of it |
//! | `recorder` | the readings of a day |
//! | `health` | whether the node works and is ready |
//! | `metrics` | the readings for Prometheus |
//! | `answers` | the answers to requests |
//! | `server` | the port |

mod answers;
pub(crate) mod coarse;
mod health;
pub mod listen;
mod metrics;
mod recorder;
mod server;
pub(crate) mod source;

pub use listen::ListenError;
pub use recorder::{BOOKS_EVERY_MS, SAMPLE_EVERY_MS, SAMPLES_MAX, SECOND_AFTER_MS};
pub use server::MonitorServer;
