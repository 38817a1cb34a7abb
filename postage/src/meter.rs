//! The meter: the secure coprocessor that holds a balance and prints postage.
//!
//! | module | holds |
//! |---|---|
//! | [`interface`] | the narrow interface of a meter: certify, refill, print, audit |
//! | [`order`] | what is printed |
//! | [`rules`] | what each of them changes; pure |
//! | [`rows`] | the rows of its store |
//! | [`device`] | what stands for the device: the sealing key, a counter, a lock |
//! | [`sealing`] | the encryption of its store |
//! | [`soft`] | a meter in software |
//! | [`file_device`] | a device as a file |

pub mod device;
pub mod file_device;
pub mod interface;
pub mod order;
pub mod rows;
pub mod rules;
pub mod sealing;
pub mod soft;
