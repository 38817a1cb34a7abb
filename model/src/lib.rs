//! Atomicity as definitions that a model checker decides.
//!
//! Tygar (1996) asks whether atomicity can be defined formally, and whether a model checker can decide it. Here the
//! definitions are functions ([`property`]) of what an observer counts ([`facts`]). Each system is a small model of its
//! messages ([`systems`]), all in one frame of faults ([`frame`]). `stateright` explores every state.
//!
//! `farthing-lab atomicity` prints the table and writes a page with all counterexamples. `docs/ATOMICITY.md` has the
//! definitions in words, the table, and what it says.

#![cfg_attr(doctest, doc = include_str!("../README.md"))]

pub mod catalog;
pub mod check;
pub mod facts;
pub mod frame;
pub mod paper;
pub mod promise;
pub mod property;
pub mod story;
pub mod systems;
