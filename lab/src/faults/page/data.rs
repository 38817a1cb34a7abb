//! The data of the page as JSON: the steps and the audit of each run. Most texts occur in every run. So each text is
//! stored once, in `texts`, and referred to by its number.

use super::{
    super::{
        matrix::called,
        run::{Ended, Results},
        stage::PARTIES,
        story::{Kind, Step},
    },
    look::{heading, look},
};
use crate::page::{Texts, script_data};
use serde_json::{Value, json};

/// Renders the data of the page, escaped for a `script` element.
#[must_use]
pub fn json(results: &Results) -> String {
    let mut texts = Texts::default();
    let mut runs = |all: &[Ended]| -> Vec<Value> { all.iter().map(|ended| run(ended, &mut texts)).collect() };
    let (cells, references) = (runs(&results.cells), runs(&results.references));
    let parties: Vec<&str> = PARTIES.iter().map(|party| called(*party)).collect();
    let data = json!({
        "parties": parties,
        "kinds": Kind::ALL,
        "cells": cells,
        "references": references,
        "texts": texts.all(),
    });
    script_data(&data)
}

fn run(ended: &Ended, texts: &mut Texts) -> Value {
    let (title, fault, about) = heading(ended);
    let (class, sign, _) = look(&ended.outcome);
    let steps: Vec<Value> = ended.steps.iter().map(|it| step(it, texts)).collect();
    let checks: Vec<Value> = ended
        .checks
        .iter()
        .map(|check| {
            json!([
                texts.number(check.promise),
                texts.number(&check.what),
                texts.number(&check.is),
                texts.number(&check.must_be),
                u8::from(check.holds),
            ])
        })
        .collect();
    json!({
        "route": texts.number(ended.route.title()),
        "title": texts.number(&title),
        "fault": texts.number(&fault),
        "about": texts.number(&about),
        "outcome": texts.number(&ended.outcome.words()),
        "class": class,
        "sign": sign,
        "ms": u64::try_from(ended.took.as_millis()).unwrap_or(u64::MAX),
        "steps": steps,
        "checks": checks,
    })
}

/// A step: its time, kind, party, target party (-1: no arrow), step of arrival (-1: none), text and label.
fn step(step: &Step, texts: &mut Texts) -> Value {
    let number = |index: Option<usize>| index.and_then(|index| i64::try_from(index).ok()).unwrap_or(-1);
    let kind = Kind::ALL.iter().position(|kind| *kind == step.kind);
    json!([
        step.ms,
        number(kind),
        step.of,
        number(step.to),
        number(step.arrives),
        texts.number(&step.text),
        texts.number(&step.label),
    ])
}
