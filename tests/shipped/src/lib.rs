//! The shipped functions under a model checker: a purchase, a withdrawal or an exchange, with every order of messages,
//! crashes, a cancel and the deadline at any time.
//!
//! A state has the rows of each store, the bank's open sessions, the functions that wait for a reply, and the messages
//! that were sent. A step runs
//! the function that the programs run, on these rows: the service of a node, a round of its background work, or a
//! purchase of the wallet. Each different step runs once, with the real cryptography, and is then remembered.
//!
//! A function that waits for a reply is kept as the rows and replies that it has got, and runs again from its start.
//!
//! | what | file |
//! |---|---|
//! | the parties | [`who`] |
//! | the network under a function | [`hub`] |
//! | one function on given rows | [`stage`] |
//! | all steps, remembered; what is true after them | [`machine`], [`pool`] |
//! | which steps may follow, and what must hold | [`model`] |
//! | explores, and tells what was found | [`check`] |
//! | the rows of the lab's table | [`catalog`] |

pub mod catalog;
pub mod check;
pub mod hub;
pub mod machine;
pub mod model;
pub mod pool;
pub mod stage;
pub mod who;
