//! Known-answer vectors: the files, and how the tests of `coin`, `protocol` and `node` check every case in them.
//!
//! A test has one check for each section of a file: a function that computes what the case states, and makes claims
//! about it. [`check_all`] runs the checks. It fails if a claim does not hold, if a section has no check or another
//! number of cases than is listed here, or if `changed.json` is out of date. See `README.md`.

#![allow(clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod changed;
mod claims;
mod files;
mod sections;
mod value;

pub use claims::Claims;
pub use files::file;
pub use value::Field;

use changed::Changed;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// A check of one section: the file, the section, and the function that makes claims of a case.
pub type Check = (&'static str, &'static str, fn(Field<'_>, &mut Claims));

/// The cases of a section, each with its name. A section that is not a list is one case.
fn cases(section: &Value) -> Vec<(String, &Value)> {
    let cases: Vec<&Value> = match section {
        Value::Array(cases) => cases.iter().collect(),
        single => vec![single],
    };
    let mut seen = BTreeMap::<String, usize>::new();
    let named = cases.into_iter().enumerate().map(|(index, case)| {
        let words = ["kind", "context", "message", "direction", "name"];
        let words = words.iter().filter_map(|word| case.get(word)?.as_str());
        let name = words.collect::<Vec<_>>().join(": ");
        let name = if name.is_empty() {
            format!("#{index}")
        } else {
            name
        };
        let count = seen.entry(name.clone()).or_default();
        *count += 1;
        match count {
            1 => (name, case),
            again => (format!("{name} #{again}"), case),
        }
    });
    named.collect()
}

/// Runs the checks of `checker` (`coin`, `protocol` or `node`) over all cases in its sections of a version's files.
/// Returns the number of claims.
///
/// # Panics
/// If a check fails. The message lists all failures.
pub fn check_all(version: &str, checker: &str, checks: &[Check]) -> usize {
    let mut changed = Changed::read(version);
    let mut faults = Vec::new();
    let mut claimed = 0;
    let mut left: Vec<_> = checks
        .iter()
        .map(|(file, section, _)| (*file, *section))
        .collect();
    for (name, section, count, checkers) in sections::of(version) {
        if !checkers.contains(&checker) {
            continue;
        }
        let Some((.., check)) = checks.iter().find(|(f, s, _)| (*f, *s) == (*name, *section)) else {
            faults.push(format!("{name}, {section}: no check in `{checker}`"));
            continue;
        };
        left.retain(|checked| *checked != (*name, *section));
        let file = file(version, name);
        let cases = cases(file.get(section).unwrap_or(&Value::Null));
        if cases.len() != *count {
            faults.push(format!(
                "{name}, {section}: {} cases, expected {count}",
                cases.len()
            ));
        }
        for (case, value) in cases {
            let mut claims = Claims::default();
            let checked = catch_unwind(AssertUnwindSafe(|| check(Field(value), &mut claims)));
            if checked.is_err() {
                claims.holds("the check ends without a panic", false);
            }
            claimed += claims.len();
            for fault in changed.compare(name, section, &case, &claims) {
                faults.push(format!("{name}, {section}, {case}: {fault}"));
            }
        }
    }
    let unknown = left
        .into_iter()
        .map(|(file, section)| format!("{file}, {section}: this section does not exist"));
    faults.extend(unknown);
    faults.extend(changed.unused(|name, section| {
        let mut known = sections::of(version).iter();
        known.any(|(n, s, _, checkers)| (*n, *s) == (name, section) && checkers.contains(&checker))
    }));
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
    claimed
}
