//! Postage that is bought with anonymous coins: the office, the meter and the sorting station.
//!
//! It follows Heintze, Tygar and Yee, *Cryptographic Postage Indicia* (1996). `docs/POSTAGE.md` describes it.
//!
//! | module | holds |
//! |---|---|
//! | [`address`], [`class`], [`day`] | what is written on a letter, in the form that is hashed |
//! | [`indicium`] | the signed bytes that are printed |
//! | [`documents`] | what office, meters and stations sign |
//! | [`judge`] | whether an office owes a refill |
//! | [`meter`] | the secure coprocessor |
//! | [`office`] | certifies, sells refills, revokes, settles, audits |
//! | [`sort`] | accepts each indicium once |
//! | [`page`], [`picture`] | mail as PDF, PNG and SVG |
//! | [`barcode`], [`reading`] | PDF417, and files of scanned mail |
//! | [`cli`] | the command line |

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod address;
pub mod barcode;
pub mod class;
pub mod cli;
pub mod day;
pub mod documents;
mod forget;
pub mod indicium;
pub mod judge;
pub mod keys;
pub mod meter;
pub mod office;
pub mod page;
pub mod picture;
mod quiet;
pub mod reading;
pub mod sort;
