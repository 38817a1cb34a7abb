//! The HTML page of the results. It is one self-contained file: a browser loads nothing else for it.
//!
//! This module writes the matrix as HTML. The diagram, steps and audit of a cell are data in the page (see [`data`]).
//! `page/script.js` draws them when the cell is chosen.

pub mod data;
mod look;

use super::{
    matrix::{Fault, Place, Route},
    run::{CellResult, Results, is_message, tally},
};
use crate::page::{CELLS, DIAGRAM, Html, Machine, STYLE, escape};
use look::look;
use std::collections::BTreeMap;

const SCRIPT: &str = include_str!("page/script.js");

/// The time, machine and seed of a run of the matrix.
#[derive(Debug, Clone)]
pub struct RunInfo {
    /// The time and the machine.
    pub machine: Machine,
    /// The seed of the lossy lines.
    pub seed: u64,
}

impl RunInfo {
    /// The facts of this machine and the current time.
    #[must_use]
    pub fn here(seed: u64) -> RunInfo {
        let machine = Machine::here();
        RunInfo { machine, seed }
    }
}

/// Renders the page as HTML.
#[must_use]
pub fn page(results: &Results, info: &RunInfo) -> String {
    let mut html = Html::new();
    html.raw("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    html.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    html.raw("<meta name=\"color-scheme\" content=\"light dark\">\n");
    html.text("title", "Farthing: the fault matrix");
    html.raw(format_args!("\n<style>\n{STYLE}</style>\n</head>\n<body>\n"));
    head(&mut html, results, info);
    html.raw("<main>\n");
    let numbers: BTreeMap<(&Place, Fault), usize> = (0..)
        .zip(&results.cells)
        .filter_map(|(number, ended)| {
            ended
                .cell
                .as_ref()
                .map(|cell| ((&cell.place, cell.fault), number))
        })
        .collect();
    let matrix = Matrix { results, numbers };
    matrix.write(
        &mut html,
        "Messages",
        "messages",
        Fault::ON_MESSAGES.as_slice(),
        is_message,
    );
    matrix.write(
        &mut html,
        "Durable writes",
        "writes",
        Fault::ON_WRITES.as_slice(),
        |place| !is_message(place),
    );
    faults(&mut html);
    html.raw("</main>\n");
    html.raw(
        "<dialog id=\"cell\" tabindex=\"-1\" aria-labelledby=\"cell-title\"></dialog>\n\
         <noscript><p>What happened in a cell is drawn by a script in this page.</p></noscript>\n",
    );
    html.raw(format_args!(
        "<script type=\"application/json\" id=\"data\">{}</script>\n<script>\n{DIAGRAM}{SCRIPT}{CELLS}</script>\n</body>\n</html>\n",
        data::json(results)
    ));
    html.done()
}

/// Writes the header: the run and its results.
fn head(html: &mut Html, results: &Results, info: &RunInfo) {
    let counts = tally(results);
    let violated = counts
        .iter()
        .find(|(word, _)| *word == "violated")
        .map_or(0, |(_, count)| *count);
    html.raw("<header>\n");
    html.text("h1", "Farthing: the fault matrix");
    html.text(
        "p class=\"lead\"",
        "Every message and every durable write of a purchase, a payment and a refund, under every kind of fault, on real \
        processes over real QUIC. After each fault everything is mended, the customer continues with the wallet’s commands, and all \
        money is counted to the unit.",
    );
    let (class, verdict) = match violated {
        0 => ("bought", "✓ No promise is broken in any cell.".to_owned()),
        1 => ("violated", "✗ A promise is broken in one cell.".to_owned()),
        more => ("violated", format!("✗ Promises are broken in {more} cells.")),
    };
    html.text(&format!("p class=\"verdict {class}\""), &verdict);
    html.raw("<ul class=\"tally\">");
    let sample = [
        CellResult::Bought,
        CellResult::Retried(1),
        CellResult::CoinsBack(0),
        CellResult::Paid(0),
        CellResult::NotRun(String::new()),
        CellResult::Violated(Vec::new()),
    ];
    for outcome in &sample {
        let (class, sign, word) = look(outcome);
        let count = counts
            .iter()
            .find(|(of, _)| *of == word)
            .map_or(0, |(_, count)| *count);
        html.raw(format_args!(
            "<li><span class=\"sign {class}\" aria-hidden=\"true\">{sign}</span> <b>{count}</b> {}</li>",
            escape(word)
        ));
    }
    html.raw("</ul>\n");
    let took = results.took.as_secs();
    let facts = [
        ("Cells", results.cells.len().to_string()),
        ("Time", format!("{} min {:02} s", took / 60, took % 60)),
        ("Run", format!("{}, seed {}", info.machine.time(), info.seed)),
        ("Machine", info.machine.words.clone()),
        ("Version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    html.facts(&facts);
    html.text(
        "p class=\"how\"",
        "Choose a cell to see what happened in it, message by message. Arrow keys move between cells. A number says how many \
         commands more than usual the customer typed.",
    );
    html.raw("</header>\n");
}

struct Matrix<'r> {
    results: &'r Results,
    numbers: BTreeMap<(&'r Place, Fault), usize>,
}

impl Matrix<'_> {
    /// Writes one table: the places that `which` selects, against `faults`.
    fn write(&self, html: &mut Html, title: &str, id: &str, faults: &[Fault], which: fn(&Place) -> bool) {
        html.raw(format_args!(
            "<section aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{title}</h2>\n"
        ));
        html.raw(format_args!(
            "<div class=\"box\" tabindex=\"0\" role=\"region\" aria-labelledby=\"{id}\">\n<table class=\"matrix\" style=\"--columns: {}\">\n<thead><tr><td></td>",
            faults.len()
        ));
        for fault in faults {
            html.text(
                &format!("th scope=\"col\" title=\"{}\"", escape(fault.about())),
                fault.name(),
            );
        }
        html.raw("</tr></thead>\n");
        for route in Route::ALL {
            let places: Vec<&Place> = self
                .results
                .places
                .iter()
                .filter(|place| place.route == route && which(place))
                .collect();
            if !places.is_empty() {
                self.write_route(html, route, faults, &places);
            }
        }
        html.raw("</table>\n</div>\n</section>\n");
    }

    fn write_route(&self, html: &mut Html, route: Route, faults: &[Fault], places: &[&Place]) {
        let reference = self
            .results
            .references
            .iter()
            .position(|ended| ended.route == route);
        html.raw(format_args!(
            "<tbody>\n<tr class=\"route\"><th scope=\"rowgroup\" colspan=\"{}\"><div>",
            faults.len() + 1
        ));
        html.text("b", route.title());
        html.text("span", route.about());
        if let Some(number) = reference {
            html.raw(format_args!("<a href=\"#r{number}\">without a fault</a>"));
        }
        html.raw("</div></th></tr>\n");
        for place in places {
            html.raw("<tr>");
            html.text("th scope=\"row\"", &place.to_string());
            for fault in faults {
                self.write_cell(html, place, *fault);
            }
            html.raw("</tr>\n");
        }
        html.raw("</tbody>\n");
    }

    fn write_cell(&self, html: &mut Html, place: &Place, fault: Fault) {
        let number = self.numbers.get(&(place, fault)).copied();
        let Some((number, ended)) = number.and_then(|n| Some((n, self.results.cells.get(n)?))) else {
            html.raw("<td class=\"unchosen\"></td>");
            return;
        };
        let (class, sign, _) = look(&ended.outcome);
        let label = format!("{place}, {}: {}", fault.name(), ended.outcome.words());
        let more = match ended.outcome {
            CellResult::Retried(more) | CellResult::CoinsBack(more @ 1..) | CellResult::Paid(more @ 1..) => {
                format!("<small aria-hidden=\"true\">{more}</small>")
            }
            _ => String::new(),
        };
        html.raw(format_args!(
            "<td><a class=\"{class}\" href=\"#c{number}\" id=\"m{number}\" aria-label=\"{0}\" title=\"{0}\">{sign}{more}</a></td>",
            escape(&label)
        ));
    }
}

/// Writes the meaning of the columns.
fn faults(html: &mut Html) {
    html.raw("<section>\n<h2>What the faults are</h2>\n<dl class=\"faults\">");
    for fault in Fault::ON_MESSAGES.iter().chain(&Fault::ON_WRITES) {
        html.text("dt", fault.name());
        html.text("dd", fault.about());
    }
    html.raw("</dl>\n");
    html.text(
        "p",
        "In these runs a wallet waits two seconds for an answer. When a command fails, the customer types “farthing \
        resume”, or repeats the command if nothing was begun. The key lists that nodes fetch for themselves, and a bank’s \
        questions about overdue holds (half a day later), are no part of these purchases.",
    );
    html.raw("</section>\n");
}

#[cfg(test)]
mod tests;
