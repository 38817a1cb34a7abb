//! The runtime that every Farthing program shares: QUIC and TCP, administration, configuration.

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod address;
pub mod admin;
pub mod backup;
pub mod bank_keys;
pub mod books;
pub mod call;
pub mod card;
pub mod carrier;
pub mod complaints;
mod counted;
pub mod date;
pub mod drain;
pub mod fingerprint;
pub mod history;
pub mod home;
pub mod key_lists;
pub mod link;
pub mod logging;
pub mod monitor;
pub mod network;
pub mod network_file;
pub mod oblivious;
pub mod offer_uri;
pub mod operator;
pub mod pay_uri;
pub mod peers;
pub mod probe;
pub mod process;
pub mod purge;
pub mod qr;
pub mod quic;
pub mod relayed;
pub mod secret_line;
pub mod serve;
pub mod serve_args;
pub mod server;
mod shares;
pub mod store;
pub mod table;
pub mod tcp;
pub mod terminal;
pub mod transport;
pub mod uri;
pub mod usage;
