//! One world of real processes: the wallet, the bank, the escrow and the merchant as people run them, over real
//! QUIC, with real files. Each world has a directory and ports of its own, and nothing of it outlives it.
//!
//! | what | file |
//! |---|---|
//! | running a program within a bound | [`run`] |
//! | a node: made, started, killed, stopped, asked | [`node`] |
//! | a customer: her wallet's command line | [`customer`] |
//! | the lines between any two, which can be bad and be cut | [`lines`] |
//! | machines of their own, and a network that can be parted | [`hosts`] |
//! | whoever lets processes go on from point to point, or kills them there | [`executioner`] |
//! | seeds, fresh ones and those that are to be repeated | [`seed`] |
//! | many wallets, and faults without end | [`soak`] |
//! | what counts connections | [`tap`] |
//! | all of them, and the count at the end | [`world`] |

pub mod customer;
pub mod executioner;
pub mod goods;
pub mod hosts;
pub mod lines;
pub mod node;
pub mod run;
pub mod seed;
pub mod soak;
pub mod tap;
pub mod world;
