//! What a command has to say: a text for people and a value for programs.

use crate::terminal;
use serde_json::Value;

/// The exit code of a command that was done.
pub const EXIT_DONE: u8 = 0;

/// The exit code of a command that was refused or has failed.
pub const EXIT_FAILED: u8 = 1;

/// The exit code for a command line that is not understood.
pub const EXIT_USAGE: u8 = 2;

/// The outcome of a command.
#[derive(Debug)]
pub struct Report {
    /// For people.
    pub text: String,
    /// For programs.
    pub json: Value,
    /// The exit code.
    pub exit: u8,
}

impl Report {
    /// A command that did what it was asked.
    #[must_use]
    pub fn new(text: impl Into<String>, json: Value) -> Self {
        Self {
            text: text.into(),
            json,
            exit: EXIT_DONE,
        }
    }

    /// A command that has said what it had to say while it ran.
    #[must_use]
    pub fn said() -> Self {
        Self::new("", Value::Null)
    }

    /// Prints it to standard output. A reader that has gone away is no error.
    pub fn print(&self, as_json: bool) {
        if as_json && !self.json.is_null() {
            terminal::print_json(&self.json);
        } else if !as_json && !self.text.is_empty() {
            terminal::print_text(&self.text);
        }
    }
}
