//! The table in docs/TESTING.md, and that no product links a switch.

use crate::{Found, patches, root};
use farthing_planted::patch::Patch;
use std::{collections::BTreeMap, fs, process::Command};

/// The table's head.
pub(crate) const HEAD: &str =
    "| planted | the mistake | found by | after schedules | with |\n|---|---|---|---|---|";

fn beginning(mistake: &Patch) -> String {
    format!("| {} | {} |", mistake.name, mistake.mistake)
}

/// The table row of one defect.
pub(crate) fn row(mistake: &Patch, found: &Found) -> String {
    let Found {
        check,
        schedules,
        why,
    } = found;
    format!("{} {check} | {schedules} | {why} |", beginning(mistake))
}

#[test]
fn the_document_lists_exactly_the_defects_that_there_are() {
    let text = fs::read_to_string(root().join("docs/TESTING.md")).expect("the document");
    let section = text
        .split("\n## ")
        .find(|section| section.starts_with("Planted defects"));
    let lines = section.expect("the section").lines();
    let rows = lines.skip_while(|line| !line.starts_with("| planted |")).skip(1);
    let rows = rows.filter(|line| line.starts_with("| "));
    let mut rows: BTreeMap<&str, &str> = rows
        .map(|row| (row.split(' ').nth(1).expect("a name"), row))
        .collect();
    for mistake in patches() {
        let beginning = beginning(&mistake);
        let row = rows.remove(mistake.name.as_str()).unwrap_or_default();
        assert!(row.starts_with(&beginning), "expected `{beginning}`, got `{row}`");
    }
    assert!(rows.is_empty(), "there are no such planted defects: {rows:?}");
}

#[test]
fn no_product_links_the_switches() {
    let invert = ["tree", "--offline", "--workspace", "--invert", "farthing-planted"];
    let tree = Command::new(env!("CARGO"))
        .args(invert)
        .args(["--edges", "normal,build", "--prefix", "none"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).expect("text");
    let others: Vec<&str> = tree
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("farthing-planted "))
        .collect();
    assert!(
        others.is_empty(),
        "they depend on the planted defects: {others:?}"
    );
}
