//! One testbed of real processes: the wallet, the bank, the escrow and the merchant as people run them, over real
//! QUIC, with real files. Each testbed has a directory and ports of its own, and nothing of it outlives it. The processes
//! and the lines between them are those of `farthing_kit`.
//!
//! | what | file |
//! |---|---|
//! | waiting within a bound, for what blocks and for what does not | [`run`] |
//! | a customer, with the verbs of tests | [`buyer`] |
//! | lines that are bad | [`lines`] |
//! | machines of their own, and a network that can be parted | [`hosts`] |
//! | whoever lets processes go on from point to point, or kills them there | [`executioner`] |
//! | seeds, fresh ones and those that are to be repeated | [`seed`] |
//! | many wallets, and faults without end | [`soak`] |
//! | what counts connections | [`tap`] |
//! | all of them, and the count at the end | [`testbed`] |

pub mod buyer;
pub mod executioner;
pub mod goods;
pub mod hosts;
pub mod lines;
pub mod run;
pub mod seed;
pub mod soak;
pub mod tap;
pub mod testbed;
