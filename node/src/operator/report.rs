//! The report of a command: a text for people and a value for programs.

use crate::terminal;
use serde_json::{Value, json};
use std::process::ExitCode;

/// The exit code of a successful command.
pub const EXIT_DONE: u8 = 0;

/// The exit code of a refused or failed command.
pub const EXIT_FAILED: u8 = 1;

/// The exit code for a command line that is not understood.
pub const EXIT_USAGE: u8 = 2;

/// The report of a command.
#[derive(Debug)]
pub struct Report {
    /// The text for people.
    pub text: String,
    /// The value for programs.
    pub json: Value,
    /// The exit code.
    pub exit: u8,
}

impl Report {
    /// The report of a successful command.
    #[must_use]
    pub fn new(text: impl Into<String>, json: Value) -> Self {
        Self {
            text: text.into(),
            json,
            exit: EXIT_DONE,
        }
    }

    /// The report of a command that has printed everything while it ran.
    #[must_use]
    pub fn said() -> Self {
        Self::new("", Value::Null)
    }

    /// Prints the report on standard output. A closed pipe is no error.
    pub fn print(&self, as_json: bool) {
        if as_json && !self.json.is_null() {
            terminal::print_json(&self.json);
        } else if !as_json && !self.text.is_empty() {
            terminal::print_text(&self.text);
        }
    }
}

/// Prints an error on standard error, and as JSON on standard output if programs read it.
pub(super) fn failed(message: &str, as_json: bool) -> ExitCode {
    terminal::print_error(message);
    if as_json {
        Report::new("", json!({ "error": message, "code": EXIT_FAILED })).print(true);
    }
    ExitCode::from(EXIT_FAILED)
}
