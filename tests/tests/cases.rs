//! Every adversarial case in `tests/cases.toml` names tests and planted defects that exist, and no case is missing.

use farthing_planted::patch::Patch;
use serde::Deserialize;
use std::{collections::BTreeSet, fs, path::Path};

/// The series of cases in the order of the file, each with its number of cases: their ids are `A1` to `A25`, and so on.
const SERIES: [(&str, usize); 3] = [("A", 25), ("W", 17), ("N", 7)];

/// The series whose cases need a planted defect. Most cases of everyday life show only on real processes, where each
/// defect would need a build of its own.
const PLANTED_SERIES: &str = "A";

/// All ids, in order.
fn ids() -> Vec<String> {
    let series = SERIES.iter();
    series
        .flat_map(|(letter, cases)| (1..=*cases).map(move |number| format!("{letter}{number}")))
        .collect()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    #[serde(default)]
    case: Vec<Case>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    id: String,
    fault: String,
    tests: Vec<String>,
    #[serde(default)]
    planted: Vec<String>,
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// What is wrong with a list of the cases `known`.
fn faults(text: &str, known: &[String]) -> Vec<String> {
    let cases: Cases = match toml::from_str(text) {
        Ok(cases) => cases,
        Err(error) => return vec![error.to_string()],
    };
    let mut faults = order_faults(&cases.case, known);
    for case in &cases.case {
        let Case {
            id,
            fault,
            tests,
            planted,
        } = case;
        for (field, is_empty) in [
            ("fault", fault.trim().is_empty()),
            ("tests", tests.is_empty()),
            ("planted", planted.is_empty() && id.starts_with(PLANTED_SERIES)),
        ] {
            if is_empty {
                faults.push(format!("{id}: `{field}` is empty"));
            }
        }
        let missing = tests.iter().filter_map(|test| missing_test(test));
        faults.extend(missing.map(|why| format!("{id}: {why}")));
        let unknown = planted.iter().filter(|name| !is_defect(name));
        faults.extend(unknown.map(|name| format!("{id}: no planted defect is called `{name}`")));
    }
    faults
}

/// Checks that each id has one table, in order.
fn order_faults(cases: &[Case], known: &[String]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut found = BTreeSet::new();
    let mut last = 0;
    for Case { id, .. } in cases {
        match known.iter().position(|name| name == id) {
            None => faults.push(format!("`{id}` is no id")),
            Some(place) if place < last => faults.push(format!("{id} is out of order")),
            Some(place) => last = place,
        }
        if !found.insert(id) {
            faults.push(format!("{id} has two tables"));
        }
    }
    let missing = known.iter().filter(|id| !found.contains(id));
    faults.extend(missing.map(|id| format!("{id} has no table")));
    faults
}

/// Why `test` names no test, if it names none.
fn missing_test(test: &str) -> Option<String> {
    let Some((path, name)) = test.split_once("::") else {
        return Some(format!("`{test}` is not a path and a name"));
    };
    let Ok(text) = fs::read_to_string(root().join(path)) else {
        return Some(format!("there is no file `{path}`"));
    };
    let has_it = text.contains(&format!("fn {name}("));
    (!has_it).then(|| format!("`{path}` has no `fn {name}`"))
}

fn is_defect(name: &str) -> bool {
    let patches = Patch::read_all(root()).expect("the patches");
    patches.iter().any(|patch| patch.name == name)
}

#[test]
fn every_case_has_its_tests_and_planted_defects() {
    let text = fs::read_to_string(root().join("tests/cases.toml")).expect("the list of cases");
    let faults = faults(&text, &ids());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn each_fault_of_the_list_is_found() {
    let table = |id: &str, fault: &str, tests: &str, planted: &str| {
        format!("[[case]]\nid = \"{id}\"\nfault = \"{fault}\"\ntests = [{tests}]\nplanted = [{planted}]\n")
    };
    let test = "\"tests/tests/cases.rs::each_fault_of_the_list_is_found\"";
    let defect = "\"SyncSkipped\"";
    let good = |id: &str| table(id, "A sentence.", test, defect);
    let (one, two) = (["A1".to_owned()], ["A1".to_owned(), "A2".to_owned()]);
    assert_eq!(faults("", &[]), [""; 0]);
    assert_eq!(faults(&good("A1"), &one), [""; 0]);
    for (text, known, expected) in [
        (String::new(), &one[..], "A1 has no table"),
        (good("A1").repeat(2), &one, "A1 has two tables"),
        (good("A2") + &good("A1"), &two, "A1 is out of order"),
        (good("A1") + &good("A26"), &one, "`A26` is no id"),
        (table("A1", " ", test, defect), &one, "A1: `fault` is empty"),
        (
            table("A1", "A sentence.", "", defect),
            &one,
            "A1: `tests` is empty",
        ),
        (
            table("A1", "A sentence.", test, ""),
            &one,
            "A1: `planted` is empty",
        ),
        (
            table("A1", "A sentence.", test, "\"NoSuchDefect\""),
            &one,
            "A1: no planted defect is called `NoSuchDefect`",
        ),
        (
            table("A1", "A sentence.", "\"tests/tests/none.rs::a\"", defect),
            &one,
            "A1: there is no file `tests/tests/none.rs`",
        ),
        (
            table(
                "A1",
                "A sentence.",
                "\"tests/tests/cases.rs::no_such_test\"",
                defect,
            ),
            &one,
            "A1: `tests/tests/cases.rs` has no `fn no_such_test`",
        ),
    ] {
        assert_eq!(faults(&text, known), [expected], "{text}");
    }
}
