//! The sorting station: it accepts each indicium once, and only the letters of its area.
//!
//! All mail to one address goes through one station. So a copy of a letter's indicium meets the original there. A copied
//! *meter* can print one sequence number to two addresses at two stations. The stations report what they have seen, and
//! the office finds it.
//!
//! | module | holds |
//! |---|---|
//! | [`rows`] | the rows of its store |
//! | [`rules`] | whether an indicium is accepted; pure |
//! | [`station`] | the scans, reports and purges, each in transactions |

pub mod rows;
pub mod rules;
pub mod station;
