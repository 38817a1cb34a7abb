//! The runtime that every Farthing program shares: QUIC, the durable store, clock, entropy, configuration.


pub mod clock;
pub mod disk;
pub mod entropy;
pub mod probe;
pub mod store;
pub mod admin;
pub mod card;
pub mod home;
pub mod logging;
pub mod network;
pub mod process;
pub mod quic;
pub mod call;
pub mod serve;
