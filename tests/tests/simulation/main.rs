//! One simulated world, from one seed, in virtual time.
//!
//! | what | file |
//! |---|---|
//! | one purchase in each mode, and every fault at every message and write of it | `schedules` |
//! | a wallet that dies, and comes back in three ways | `deaths` |
//! | random campaigns | `campaigns` |
//! | what happens to particular people | `stories` |

mod campaigns;
mod deaths;
mod schedules;
mod stories;

/// Runs `future` in virtual time.
fn local<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, future)
}
