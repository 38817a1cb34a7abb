//! One world, one seed: bank, escrows, merchants and wallets in one process, in virtual time.
//!
//! | what | file |
//! |---|---|
//! | who takes part, and their clocks | [`party`] |
//! | a machine: its disk, its process, and where that dies | [`machine`] |
//! | messages, and what becomes of them | [`network`]; the kinds of faults in [`fault`], at random in [`weather`] |
//! | the servers | [`server`]; who they are and what they sell in [`foundation`] |
//! | customers | [`customer`]; what they do in [`shopping`] |
//! | all of them together | [`world`] |
//! | what happens to particular people | [`stories`]; to the numbers of their wallets in [`numbers`]; without their escrow in [`recovered`] |
//! | one day of one customer, with chosen faults | [`schedule`] |
//! | a wallet's life, and restores at random moments of it | [`life`] |
//! | a random campaign | [`campaign`]; its customers in [`shopper`], what befalls them in [`trouble`] |
//! | the invariants | [`check`] |
//! | peers that cheat | [`cheats`], [`denials`]; the world and customer that they meet in [`setting`] |
//! | what happened, for people | [`trace`] |

pub mod backup;
pub mod campaign;
pub mod cheats;
pub mod check;
pub mod customer;
pub mod denials;
pub mod dice;
pub mod fault;
pub mod foundation;
pub mod front;
pub mod life;
pub mod machine;
pub mod network;
pub mod numbers;
pub mod party;
pub mod recovered;
pub mod schedule;
pub mod server;
pub mod setting;
pub mod shopper;
pub mod shopping;
pub mod stories;
pub mod trace;
pub mod trouble;
pub mod weather;
pub mod world;

/// Runs `future` in virtual time, in one thread, with all that it spawns: in a runtime of its own, with which all of its
/// world goes.
///
/// # Panics
/// When the system gives no runtime; and when `future` does.
pub fn local<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    // On the heap: a world's future has tens of kilobytes, and every frame up to here would hold a copy of it.
    tokio::task::LocalSet::new().block_on(&runtime, Box::pin(future))
}
