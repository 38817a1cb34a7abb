//! Writes `vectors/v2/*.json` again. Run it after a deliberate change of a document, a derivation or a message:
//! `cargo run -p farthing-protocol --example protocol_vectors`.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a generator of vectors fails, and it shares its modules with the tests"
)]

#[path = "../tests/vectors/described.rs"]
mod described;
#[path = "../tests/vectors/documents.rs"]
mod documents;
#[path = "../tests/vectors/made.rs"]
mod made;
#[path = "../tests/vectors/nonces.rs"]
mod nonces;
#[path = "../tests/vectors/relay.rs"]
mod relay;
#[path = "../tests/vectors/reserves.rs"]
mod reserves;
#[path = "../tests/vectors/streams.rs"]
mod streams;
#[path = "../tests/vectors/support.rs"]
mod support;

use std::path::Path;

fn main() -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/v2");
    for (name, text) in made::files() {
        std::fs::write(folder.join(format!("{name}.json")), text)?;
        println!("{name}.json");
    }
    Ok(())
}
