//! What a command has to say: a text for people and a value for programs.

use crate::card::{Added, Card};
use serde_json::{Value, json};
use std::io::Write;

/// The outcome of a command.
#[derive(Debug)]
pub struct Report {
    /// For people.
    pub text: String,
    /// For programs.
    pub json: Value,
}

impl Report {
    /// Prints it to standard output. A reader that has gone away is no error.
    pub fn print(&self, as_json: bool) {
        let mut out = std::io::stdout().lock();
        let _gone = if as_json {
            writeln!(out, "{}", self.json)
        } else if self.text.is_empty() {
            Ok(())
        } else {
            writeln!(out, "{}", self.text)
        };
        let _gone = out.flush();
    }
}

/// What adding a card did, for people.
pub fn added(title: &str, added: &Added) -> String {
    match added {
        Added::New => format!("{title} is known from now on"),
        Added::Known => format!("{title} was known already"),
        Added::Moved { from } => format!("{title} was known at {from}; its address is replaced"),
    }
}

/// The pinned cards.
pub fn cards(cards: &[Card]) -> Report {
    let text: Vec<String> = cards.iter().map(ToString::to_string).collect();
    Report {
        json: json!({ "cards": text }),
        text: if text.is_empty() {
            "no cards are pinned; add one with `network add DIR CARD`".into()
        } else {
            text.join("\n")
        },
    }
}

/// What a walk through a journal has found.
pub fn verified(report: &crate::store::VerifyReport) -> Report {
    let head = hex::encode(report.head.hash);
    let damage = report.damage.as_ref().map(ToString::to_string);
    let verdict = damage.as_ref().map_or_else(
        || "whole: every record follows the one before it".to_owned(),
        |damage| format!("damaged {damage}; restore the directory from a copy"),
    );
    Report {
        text: format!(
            "{} records, {} bytes, head {head}\nthe journal is {verdict}",
            report.records, report.bytes
        ),
        json: json!({
            "records": report.records,
            "bytes": report.bytes,
            "head": head,
            "torn_bytes": report.torn_bytes,
            "damage": damage,
        }),
    }
}
