//! Every flow of Farthing as messages and pure state machines.
//!
//! Nothing here reaches a clock, a socket, a file or the operating system's randomness: time and
//! randomness are arguments.

pub mod wire;
pub mod goods;
pub mod seal;
