//! No two tables of one role's store have the same number: rows of the one would be read as rows of the other.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

const MADE: &str = "Table::new(";

fn sources(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("a directory of sources");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let files = paths.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] });
    files
        .filter(|path| path.extension().is_some_and(|end| end == "rs"))
        .collect()
}

/// The numbers of the tables that a crate makes, with where.
fn numbers(dir: &Path) -> Vec<(u8, String)> {
    let mut found = Vec::new();
    for path in sources(dir) {
        let text = fs::read_to_string(&path).expect("a source");
        for made in text.split(MADE).skip(1) {
            let arguments = made.split(')').next().expect("the arguments");
            let (number, name) = arguments.split_once(',').expect("a number and a name");
            let number = number.trim().parse();
            let number = number.unwrap_or_else(|_| panic!("{arguments} begins with no number"));
            found.push((number, format!("{} in {}", name.trim(), path.display())));
        }
    }
    found
}

#[test]
fn no_two_tables_of_a_role_have_the_same_number() {
    // The roles of `postage` have stores of their own.
    for role in [
        "bank/src",
        "escrow/src",
        "merchant/src",
        "client/src",
        "postage/src/office",
        "postage/src/meter",
        "postage/src/sort",
    ] {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(role);
        let mut taken = BTreeMap::new();
        for (number, table) in numbers(&dir) {
            if let Some(other) = taken.insert(number, table.clone()) {
                panic!("{number} is the number of {other}, and of {table}");
            }
        }
        assert!(taken.len() > 1, "the tables of {role} are not found");
    }
}
