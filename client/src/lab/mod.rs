//! What fault tests on real processes are made of, beside the nodes and relays of [`demo`](crate::demo).
//!
//! | what | file |
//! |---|---|
//! | the points that processes reach, and wait at | [`points`] |
//! | a directory for a run | [`scratch`] |

pub mod points;
pub mod scratch;
