//! Planted defects: mistakes that someone could make in Farthing, to see by which check each is found.
//!
//! Each is a patch in `patches/`, plain wrong code ([`patch`]). [`tree`] copies the workspace, and puts one into the copy,
//! or [`hooks`] puts all of them into one copy, each behind a switch, so that one build is enough. The program of this
//! crate does the latter, and runs the checks there: `cargo run -p farthing-planted -- [NAME]...`
//!
//! No product depends on this crate; those in the copy do. A switch belongs to one thread: a simulated world runs on the
//! thread of its test, and other tests beside it notice nothing.

pub mod hooks;
pub mod patch;
mod switch;
pub mod tree;

pub use switch::{Planted, is_any_planted, is_planted, plant};
