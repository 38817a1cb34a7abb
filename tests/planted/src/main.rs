//! Runs the checks on planted defects: on all, or on the named ones.
//!
//! Copies the workspace into `target/planted`, puts every patch with its switch into the copy, and runs the test
//! `planted` there. The test switches them on one after the other.

use farthing_planted::{hooks, patch::Patch, tree::TreeCopy};
use std::{
    io,
    path::Path,
    process::{ExitCode, ExitStatus},
};

/// The workspace.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn main() -> io::Result<ExitCode> {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let found = look_for(Path::new(ROOT).canonicalize()?.as_path(), &names)?;
    Ok(match found.success() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn look_for(root: &Path, names: &[String]) -> io::Result<ExitStatus> {
    let patches = Patch::read_all(root)?;
    let unknown = |name: &&String| !patches.iter().any(|patch| patch.name == **name);
    if let Some(name) = names.iter().find(unknown) {
        return Err(io::Error::other(format!(
            "there is no planted defect {name}: tests/planted/patches has one file for each"
        )));
    }
    let copy = TreeCopy::of(root, "all", &hooks::edits(root, &patches)?)?;
    let test = ["--package", "farthing-tests", "--test", "planted", "--"];
    let mut cargo = copy.cargo_test(&[&test[..], &["--ignored", "--nocapture"]].concat());
    if !names.is_empty() {
        cargo.env("FARTHING_PLANTED", names.join(" "));
    }
    cargo.status()
}
