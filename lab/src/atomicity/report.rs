//! The table for a terminal, and the results for a program.

use super::run::{Results, Row};
use farthing_model::{
    check::{Checked, Finding},
    paper,
    property::Property,
};
use farthing_node::table::{Align, table};
use serde_json::{Value, json};
use std::path::Path;

/// What the rows explore, in words.
pub const BOUND: &str = "one purchase and one coin, unless the row says more; any number of losses, repetitions, delays and crashes";

/// The word of a finding.
#[must_use]
pub const fn word(finding: &Finding) -> &'static str {
    match finding {
        Finding::Holds => "holds",
        Finding::Fails { .. } => "FAILS",
        Finding::NotApplicable(_) => "–",
    }
}

/// A number with its thousands apart.
#[must_use]
pub fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len().saturating_sub(place)).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// The states of a row in words.
#[must_use]
pub fn explored(checked: &Checked) -> String {
    let all = if checked.complete {
        "complete"
    } else {
        "not complete"
    };
    format!("{} states, {all}", thousands(checked.states))
}

/// The table and what follows from it.
#[must_use]
pub fn text(results: &Results, out: &Path) -> String {
    let columns = [
        ("SYSTEM", Align::Left),
        ("SCENARIO", Align::Left),
        ("MONEY", Align::Left),
        ("CONSENT", Align::Left),
        ("GOODS", Align::Left),
        ("EVIDENCE", Align::Left),
        ("CERTIFIED", Align::Left),
        ("ANONYMITY", Align::Left),
        ("PROGRESS", Align::Left),
        ("STATES", Align::Right),
    ];
    let rows: Vec<[String; 10]> = results
        .rows
        .iter()
        .map(|row| line(row.checked.system, &row.checked))
        .collect();
    let mut lines = vec![table(columns, &rows), String::new()];
    lines.push(format!(
        "Bound: {BOUND}. Rows without a mark are complete; + is not."
    ));
    lines.extend(differences(&results.rows));
    if !results.defects.is_empty() {
        lines.push(String::new());
        let mut columns = columns;
        if let Some(first) = columns.first_mut() {
            *first = ("PLANTED DEFECT", Align::Left);
        }
        let rows: Vec<[String; 10]> = results
            .defects
            .iter()
            .map(|it| line(&it.name, &it.checked))
            .collect();
        lines.push(table(columns, &rows));
    }
    lines.push(String::new());
    lines.extend(results.surprises().into_iter().map(|it| format!("BROKEN  {it}")));
    lines.push(format!(
        "{} rows and {} planted defects in {:.0} s. The page with every counterexample is {}; open it in a browser.",
        results.rows.len(),
        results.defects.len(),
        results.took.as_secs_f32(),
        out.display()
    ));
    lines.join("\n")
}

fn line(name: &str, checked: &Checked) -> [String; 10] {
    let states = format!(
        "{}{}",
        thousands(checked.states),
        if checked.complete { "" } else { "+" }
    );
    let mut cells = checked
        .findings
        .iter()
        .map(|(_, finding)| word(finding).to_owned());
    let mut cell = || cells.next().unwrap_or_default();
    [
        name.to_owned(),
        checked.scenario.name.to_owned(),
        cell(),
        cell(),
        cell(),
        cell(),
        cell(),
        cell(),
        cell(),
        states,
    ]
}

/// Where the checker and the paper differ, with the reason.
fn differences(rows: &[Row]) -> Vec<String> {
    let mut lines = Vec::new();
    for row in rows.iter().filter(|row| row.checked.scenario.name == "failures") {
        for property in Property::ALL {
            if let (Some(says), Some(why)) = (paper::says(row.id, property), paper::differs(row.id, property))
            {
                let found = row.checked.of(property).map_or("–", word);
                lines.push(format!(
                    "{}, {}: the paper says “{says}”, the checker {found}. {why}",
                    row.checked.system,
                    property.name()
                ));
            }
        }
    }
    lines
}

/// The results for a program.
#[must_use]
pub fn json(results: &Results, out: &Path) -> Value {
    let rows = results.rows.iter().map(|row| checked(row.id, &row.checked));
    let defects = results.defects.iter().map(|it| checked(&it.name, &it.checked));
    json!({
        "ok": results.surprises().is_empty(),
        "surprises": results.surprises(),
        "bound": BOUND,
        "rows": rows.collect::<Vec<_>>(),
        "defects": defects.collect::<Vec<_>>(),
        "seconds": results.took.as_secs(),
        "page": out,
    })
}

/// `id`: the name of the system on the command line, or of the defect.
fn checked(id: &str, checked: &Checked) -> Value {
    let findings = checked.findings.iter().map(|(property, finding)| {
        let (why, steps) = match finding {
            Finding::Fails { why, run } => (
                Some(why.as_str()),
                Some(run.iter().map(|step| step.text.as_str()).collect::<Vec<_>>()),
            ),
            Finding::NotApplicable(why) => (Some(*why), None),
            Finding::Holds => (None, None),
        };
        json!({ "property": property.name(), "finding": word(finding), "why": why, "counterexample": steps })
    });
    json!({
        "id": id,
        "system": checked.system,
        "scenario": checked.scenario.name,
        "findings": findings.collect::<Vec<_>>(),
        "states": checked.states,
        "depth": checked.depth,
        "complete": checked.complete,
        "milliseconds": u64::try_from(checked.took.as_millis()).unwrap_or(u64::MAX),
    })
}
