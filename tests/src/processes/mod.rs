//! A testbed of real processes: the wallet, the bank, the escrow and the merchant as people run them, over real QUIC, with
//! real files. Each testbed has its own directory and ports, and leaves nothing over. `farthing_kit` provides the
//! processes and the lines between them.
//!
//! | what | file |
//! |---|---|
//! | bounded waits, blocking and not | [`run`] |
//! | a customer with blocking commands | [`buyer`] |
//! | a real browser without a window | [`browser`] |
//! | bad and slow lines | [`lines`] |
//! | one machine for each process, and a network that can be parted | [`hosts`] |
//! | kills of processes at named points | [`executioner`] |
//! | seeds, fresh or repeated | [`seed`] |
//! | many wallets under continuous faults | [`soak`] |
//! | a relay that counts connections | [`tap`] |
//! | the testbed, and the final count | [`testbed`] |

pub mod browser;
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
