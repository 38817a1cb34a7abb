//! The HTML page of the table. Choose a cell: its definition, and the sequence diagram of its counterexample.
//!
//! Style, diagram and movement are those of the fault page (`crate::page`).

use super::{
    report::{BOUND, explored},
    run::Results,
};
use crate::page::{CELLS, DIAGRAM, Html, Machine, STYLE, Texts, escape, script_data};
use farthing_model::{
    check::{Checked, Finding},
    paper,
    property::Property,
    story::{Kind, Step},
};
use serde_json::{Value, json};

const SCRIPT: &str = include_str!("page/script.js");
const MORE_STYLE: &str = include_str!("page/more.css");

/// The kinds of steps as the diagram's script names them.
const KINDS: [(Kind, &str); 5] = [
    (Kind::Healing, "command"),
    (Kind::Send, "ask"),
    (Kind::Arrival, "arrival"),
    (Kind::Act, "act"),
    (Kind::Fault, "fault"),
];

/// One line of a table: its place in a group, and what was found.
struct Line<'r> {
    group: String,
    about: &'r str,
    name: String,
    id: &'r str,
    checked: &'r Checked,
}

/// Renders the page as HTML.
#[must_use]
pub fn page(results: &Results, machine: &Machine) -> String {
    let mut html = Html::new();
    html.raw("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    html.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    html.raw("<meta name=\"color-scheme\" content=\"light dark\">\n");
    html.text("title", "Farthing: atomicity, decided");
    html.raw(format_args!(
        "\n<style>\n{STYLE}{MORE_STYLE}</style>\n</head>\n<body>\n"
    ));
    head(&mut html, results, machine);
    let rows: Vec<Line<'_>> = results
        .rows
        .iter()
        .map(|row| Line {
            group: row.checked.system.to_owned(),
            about: row.about,
            name: row.checked.scenario.name.to_owned(),
            id: row.id,
            checked: &row.checked,
        })
        .collect();
    let defects: Vec<Line<'_>> = results
        .defects
        .iter()
        .map(|defect| Line {
            group: "Farthing with a mistake".to_owned(),
            about: "Each mistake is also a patch in tests/planted. Every one has to break a property.",
            name: format!("{}, {}", defect.name, defect.checked.scenario.name),
            id: "planted",
            checked: &defect.checked,
        })
        .collect();
    let mut data = Data::default();
    html.raw("<main>\n");
    write_table(&mut html, &mut data, "Systems", "systems", &rows);
    if !defects.is_empty() {
        write_table(&mut html, &mut data, "Planted defects", "defects", &defects);
    }
    definitions(&mut html);
    html.raw("</main>\n");
    html.raw(
        "<dialog id=\"cell\" tabindex=\"-1\" aria-labelledby=\"cell-title\"></dialog>\n\
         <noscript><p>The counterexamples are drawn by a script in this page.</p></noscript>\n",
    );
    html.raw(format_args!(
        "<script type=\"application/json\" id=\"data\">{}</script>\n<script>\n{DIAGRAM}{SCRIPT}{CELLS}</script>\n</body>\n</html>\n",
        data.json()
    ));
    html.done()
}

fn head(html: &mut Html, results: &Results, machine: &Machine) {
    html.raw("<header>\n");
    html.text("h1", "Farthing: atomicity, decided");
    html.text(
        "p class=\"lead\"",
        "Can atomicity be defined formally, and can a model checker decide it (Tygar, 1996)? Each row is a system in a \
         scenario. A checker explores every state. From each state it lets faults cease, has the honest parties carry on, \
         and decides the properties where nothing moves any more.",
    );
    let surprises = results.surprises();
    let (class, verdict) = match surprises.first() {
        None => (
            "bought",
            "✓ Farthing keeps its promises in every state, and every planted defect is found.".to_owned(),
        ),
        Some(first) => ("violated", format!("✗ {first}")),
    };
    html.text(&format!("p class=\"verdict {class}\""), &verdict);
    let states: usize = results.rows.iter().map(|row| row.checked.states).sum();
    let took = results.took.as_secs();
    let facts = [
        ("Rows", results.rows.len().to_string()),
        ("States", super::report::thousands(states)),
        ("Bound", BOUND.to_owned()),
        ("Time", format!("{} min {:02} s", took / 60, took % 60)),
        ("Run", machine.time()),
        ("Machine", machine.words.clone()),
        ("Version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    html.facts(&facts);
    html.text(
        "p class=\"how\"",
        "Choose a cell to see its definition and, if it fails, the shortest run that breaks it. Arrow keys move between \
         cells. In the scenario “failures” of a model, customer and merchant may also stop for good.",
    );
    html.raw("</header>\n");
}

/// The look of a finding: class and sign.
const fn look(finding: &Finding) -> (&'static str, &'static str, &'static str) {
    match finding {
        Finding::Holds => ("bought", "✓", "holds"),
        Finding::Fails { .. } => ("fails", "✗", "fails"),
        Finding::NotApplicable(_) => ("not-run", "–", "does not apply"),
    }
}

fn write_table(html: &mut Html, data: &mut Data, title: &str, id: &str, lines: &[Line<'_>]) {
    html.raw(format_args!(
        "<section aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{title}</h2>\n"
    ));
    html.raw(format_args!(
        "<div class=\"box\" tabindex=\"0\" role=\"region\" aria-labelledby=\"{id}\">\n<table class=\"matrix\" style=\"--columns: {}\">\n<thead><tr><td></td>",
        Property::ALL.len() + 1
    ));
    for property in Property::ALL {
        html.text(
            &format!("th scope=\"col\" title=\"{}\"", escape(property.definition())),
            property.name(),
        );
    }
    html.raw("<th scope=\"col\">states</th></tr></thead>\n");
    let mut group = None;
    for line in lines {
        if group != Some(&line.group) {
            group = Some(&line.group);
            let reference = data.reference(line);
            html.raw(format_args!(
                "<tbody>\n<tr class=\"route\"><th scope=\"rowgroup\" colspan=\"{}\"><div>",
                Property::ALL.len() + 2
            ));
            html.text("b", &line.group);
            html.text("span", line.about);
            html.raw(format_args!(
                "<a href=\"#r{reference}\">without a fault</a></div></th></tr>\n"
            ));
        }
        write_line(html, data, line);
    }
    html.raw("</table>\n</div>\n</section>\n");
}

fn write_line(html: &mut Html, data: &mut Data, line: &Line<'_>) {
    html.raw("<tr>");
    html.text("th scope=\"row\"", &line.name);
    for (property, finding) in &line.checked.findings {
        let number = data.cell(line, *property, finding);
        let (class, sign, word) = look(finding);
        let label = escape(&format!(
            "{}, {}, {}: {word}",
            line.group,
            line.name,
            property.name()
        ));
        html.raw(format_args!(
            "<td><a class=\"{class}\" href=\"#c{number}\" id=\"m{number}\" aria-label=\"{label}\" title=\"{label}\">{sign}</a></td>"
        ));
    }
    let all = if line.checked.complete { "" } else { "<br>not all" };
    html.raw(format_args!(
        "<td class=\"states\">{}{all}</td></tr>\n",
        super::report::thousands(line.checked.states)
    ));
}

fn definitions(html: &mut Html) {
    html.raw("<section>\n<h2>Definitions</h2>\n<dl class=\"faults\">");
    for property in Property::ALL {
        html.text("dt", property.name());
        html.text("dd", property.definition());
    }
    html.raw("</dl>\n");
    html.text(
        "p",
        "A state is quiet if faults have ceased and no honest party has a step left. Losses, repetitions, delays and \
         crashes have no bound: any message that was ever sent may arrive at any time, once, again, or never.",
    );
    html.raw("</section>\n");
}

/// The data of the page: one object for each cell.
#[derive(Default)]
struct Data {
    texts: Texts,
    cells: Vec<Value>,
    references: Vec<Value>,
}

impl Data {
    fn cell(&mut self, line: &Line<'_>, property: Property, finding: &Finding) -> usize {
        let (class, sign, word) = look(finding);
        let outcome = match finding {
            Finding::Holds => format!("holds: {BOUND}; {}", explored(line.checked)),
            Finding::Fails { why, .. } => format!("{word}: {why}"),
            Finding::NotApplicable(why) => format!("{word}: {why}"),
        };
        let run = match finding {
            Finding::Fails { run, .. } => run.as_slice(),
            _ => line.checked.without_faults.as_slice(),
        };
        let says = paper::says(line.id, property).filter(|_| line.name == "failures");
        let differs = paper::differs(line.id, property).filter(|_| line.name == "failures");
        let paper = says.map(|says| match differs {
            Some(why) => format!("The paper says: {says}. {why}"),
            None => format!("The paper says: {says}."),
        });
        let value = json!({
            "parties": line.checked.parties,
            "title": self.texts.number(&format!("{}, {}", line.group, line.name)),
            "property": self.texts.number(property.name()),
            "definition": self.texts.number(property.definition()),
            "outcome": self.texts.number(&outcome),
            "paper": self.texts.number(&paper.unwrap_or_default()),
            "class": class,
            "sign": sign,
            "fails": finding.fails(),
            "steps": self.steps(run),
        });
        self.cells.push(value);
        self.cells.len().saturating_sub(1)
    }

    fn reference(&mut self, line: &Line<'_>) -> usize {
        let value = json!({
            "parties": line.checked.parties,
            "title": self.texts.number(&line.group),
            "property": self.texts.number("without a fault"),
            "definition": self.texts.number(line.about),
            "outcome": self.texts.number("one run, message by message"),
            "paper": self.texts.number(""),
            "class": "not-run",
            "sign": "→",
            "fails": false,
            "steps": self.steps(&line.checked.without_faults),
        });
        self.references.push(value);
        self.references.len().saturating_sub(1)
    }

    /// Each step: time (none), kind, party, target (-1: no arrow), step of arrival (-1: none), text and label.
    fn steps(&mut self, run: &[Step]) -> Vec<Value> {
        let number = |index: Option<usize>| index.and_then(|index| i64::try_from(index).ok()).unwrap_or(-1);
        run.iter()
            .map(|step| {
                let kind = KINDS.iter().position(|(kind, _)| *kind == step.kind);
                json!([
                    0,
                    number(kind),
                    step.of,
                    number(step.to),
                    number(step.arrives),
                    self.texts.number(&step.text),
                    self.texts.number(&step.label)
                ])
            })
            .collect()
    }

    fn json(self) -> String {
        script_data(&json!({
            "kinds": KINDS.map(|(_, name)| name),
            "cells": self.cells,
            "references": self.references,
            "texts": self.texts.all(),
        }))
    }
}

#[cfg(test)]
mod tests;
