//! Real processes over real QUIC, with real files, and with the commands that people have.
//!
//! | what | file |
//! |---|---|
//! | a purchase as the README shows it, and what proves it | `by_hand` |
//! | coins, verified without the code that makes them | `coins` |
//! | processes that are killed, frozen and stopped | `killed` |
//! | replies that are lost; a wallet that is lost | `lost` |
//! | whoever pretends to be another | `pinned` |
//! | disks that are full or damaged | `disk` |
//! | the same request, asked again and again | `repeated` |
//! | connections, which never join two matters | `lanes` |

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

mod by_hand;
mod coins;
mod disk;
mod killed;
mod lanes;
mod lost;
mod pinned;
mod repeated;

use farthing_tests::processes::world::World;

/// The wallet and every node, built with these tests.
const PROGRAM: &str = env!("CARGO_BIN_EXE_farthing-tested");

fn world() -> World {
    World::new(PROGRAM)
}
