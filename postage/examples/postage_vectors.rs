//! Makes `vectors/postage/indicia.json`: `cargo run -p farthing-postage --example postage_vectors`.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "the inputs are fixed; a panic says which one is wrong"
)]

#[path = "../tests/support/cases.rs"]
mod cases;

use std::{fs, io, path::Path};

fn main() -> io::Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/postage/indicia.json");
    let text = serde_json::to_string_pretty(&cases::file())?;
    fs::create_dir_all(path.parent().expect("a directory"))?;
    fs::write(path, format!("{text}\n"))
}
