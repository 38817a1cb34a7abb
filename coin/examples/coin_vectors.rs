//! Writes `coin/vectors/*.json` again. Run it after a deliberate change of a hashed field:
//! `cargo run -p farthing-coin --example coin_vectors`.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a panic is how a generator of vectors fails"
)]

#[path = "../tests/support/mod.rs"]
mod support;
#[allow(dead_code, unreachable_pub)]
#[path = "../tests/support/vectors.rs"]
mod vectors;

use std::path::Path;

fn main() -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    for (name, text) in vectors::files() {
        std::fs::write(folder.join(name), text)?;
        println!("{name}");
    }
    Ok(())
}
