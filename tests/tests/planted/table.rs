//! The table in docs/TESTING.md, and that no program which anybody runs has a switch.

use crate::{Found, Mistake, hooks, patches, root};
use farthing_planted::MARKER;
use std::{collections::BTreeMap, fs, process::Command};

/// The table's head.
pub(crate) const HEAD: &str =
    "| planted | the mistake | found by | after schedules | with |\n|---|---|---|---|---|";

fn beginning(mistake: &Mistake) -> String {
    format!("| {} | {} |", mistake.name, mistake.sentence)
}

/// The row of one mistake.
pub(crate) fn row(mistake: &Mistake, found: &Found) -> String {
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
    for mistake in hooks().chain(patches()) {
        let beginning = beginning(&mistake);
        let row = rows.remove(mistake.name.as_str()).unwrap_or_default();
        assert!(row.starts_with(&beginning), "expected `{beginning}`, got `{row}`");
    }
    assert!(rows.is_empty(), "there are no such planted defects: {rows:?}");
}

#[test]
fn nothing_but_the_tests_is_built_with_the_switches() {
    let features_by = |edges: &str| {
        let tree = Command::new(env!("CARGO"))
            .args([
                "tree",
                "--offline",
                "--workspace",
                "--invert",
                "farthing-planted",
                "--edges",
            ])
            .arg(edges)
            .current_dir(root())
            .output()
            .expect("cargo runs");
        assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
        String::from_utf8(tree.stdout).expect("text")
    };
    let switched = "farthing-planted feature \"planted\"";
    assert!(features_by("normal,build,dev,features").contains(switched));
    let built = features_by("normal,build,features");
    assert!(
        built.contains("farthing-client") && !built.contains(switched),
        "{built}"
    );
}

#[test]
fn a_program_that_has_the_switches_shows_it() {
    let this = std::env::current_exe().and_then(fs::read).expect("this program");
    assert!(this.windows(MARKER.len()).any(|bytes| bytes == MARKER.as_bytes()));
}
