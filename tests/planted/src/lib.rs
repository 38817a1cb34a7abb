//! Planted defects: likely mistakes in Farthing's code. They show which check finds each.
//!
//! Each is a patch in `patches/`, plain wrong code ([`patch`]). [`tree`] copies the workspace and puts one patch into
//! the copy. Or [`hooks`] puts all of them into one copy, each with a switch, so that one build is enough. The
//! program of this crate does the latter, and runs the checks there: `cargo run -p farthing-planted -- [NAME]...`
//!
//! No product depends on this crate; the products in the copy do. A switch belongs to one thread. A simulated world
//! runs on the thread of its test, so other tests are not affected.

pub mod hooks;
pub mod patch;
mod switch;
pub mod tree;

pub use switch::{Planted, is_any_planted, is_planted, plant};
