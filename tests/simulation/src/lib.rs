//! One world, one seed: bank, escrows, merchants and wallets in one process, in virtual time.
//!
//! The functions of the programs run with a simulated network, disks and clocks, and with the real cryptography.
//!
//! | what | file |
//! |---|---|
//! | parties and their clocks | [`party`] |
//! | machines: disk, process, crash points | [`machine`] |
//! | messages and their faults | [`network`], [`fault`]; random ones, [`weather`] |
//! | servers | [`server`]; identities and goods, [`foundation`]; encryption keys for a relay, [`keys`] |
//! | what servers open of a relay's requests | [`recorder`] |
//! | customers | [`customer`], [`shopping`] |
//! | the world | [`world`] |
//! | stories | [`stories`]; of a wallet's numbers, [`numbers`]; without an escrow, [`recovered`] |
//! | one day of a customer, with chosen faults | [`schedule`] |
//! | a wallet's life, with restores at random moments | [`life`] |
//! | a random campaign | [`campaign`], [`shopper`], [`trouble`] |
//! | the invariants | [`check`] |
//! | what a wallet has | [`money`] |
//! | servers that cheat | [`cheats`], [`denials`], [`setting`] |
//! | a relay that cheats, and what it sees | [`hostile_relay`] |
//! | traces for people | [`trace`] |

#![allow(clippy::disallowed_methods, reason = "it prints what it has counted itself")]

pub mod backup;
pub mod campaign;
pub mod change;
pub mod cheats;
pub mod check;
pub mod customer;
pub mod denials;
pub mod dice;
pub mod fault;
pub mod foundation;
pub mod front;
pub mod gifts;
pub mod hostile_relay;
pub mod keys;
pub mod life;
pub mod long_past;
pub mod machine;
pub mod money;
pub mod network;
pub mod numbers;
pub mod party;
pub mod payments;
pub mod recorder;
pub mod recovered;
pub mod schedule;
pub mod server;
pub mod setting;
pub mod shopper;
pub mod shopping;
pub mod stories;
pub mod stream_cheats;
pub mod streams;
pub mod trace;
pub mod trouble;
pub mod weather;
pub mod world;

/// Runs `future` and all tasks that it spawns in virtual time, in one thread, in a runtime of its own.
///
/// # Panics
/// When the runtime cannot be made, or `future` panics.
pub fn local<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    // On the heap: a world's future has tens of kilobytes, and every frame on the stack would hold a copy of it.
    tokio::task::LocalSet::new().block_on(&runtime, Box::pin(future))
}
