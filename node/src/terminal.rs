//! What programs print, and the only place that does: no text of another party steers a terminal.
//!
//! Refusals, titles, descriptions, names, reasons and currencies are written by other parties. Here every character
//! that a terminal would obey instead of showing is replaced, and in JSON escaped as `\uXXXX`:
//!
//! - controls (C0, DEL, C1), and with them every escape sequence; a line feed stays where several lines are printed;
//! - characters that turn the direction of text, or have no width and no shape: U+200B to U+200F, U+2028 to U+202E,
//!   U+2060 to U+206F, U+FEFF, tags, and others (see [`is_harmless`]).
//!
//! Clippy refuses [`std::io::stdout`], [`std::io::stderr`] and the macros that print in every other module of a product.

#![allow(
    clippy::disallowed_methods,
    reason = "this is the one place that prints; what it is given is made harmless first"
)]

use clap::error::Error as UsageError;
use serde::Serialize;
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;
use std::io::{self, IsTerminal, Write};

/// What is shown for a character that is not.
const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// Whether a terminal shows this character and does nothing else with it.
#[must_use]
pub fn is_harmless(c: char) -> bool {
    let is_invisible = matches!(c,
        // Soft hyphen, and joiners and fillers without a shape.
        '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{3164}' | '\u{ffa0}'
        // Arabic letter mark, and the selectors and separators of Mongolian.
        | '\u{61c}' | '\u{180b}'..='\u{180f}'
        // Zero width; directions; line and paragraph separators; embeddings, overrides and isolates.
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        // The byte order mark, annotations, musical and shorthand formats, tags.
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e007f}'
    );
    !c.is_control() && !is_invisible
}

/// `text` without what could steer a terminal; its lines stay lines.
#[must_use]
pub fn printable(text: &str) -> String {
    let shown = |c: char| {
        if c == '\n' || is_harmless(c) {
            c
        } else {
            REPLACEMENT
        }
    };
    text.chars().map(shown).collect()
}

/// [`printable`] text on one line: what another party has written begins no line of its own.
#[must_use]
pub fn one_line(text: &str) -> String {
    printable(text).replace('\n', " ")
}

/// Text of another party inside a message, shown on one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown<'a>(pub &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&one_line(self.0))
    }
}

/// `value` as one line of JSON in which every character that is not harmless is escaped.
#[must_use]
pub fn json_line(value: &impl Serialize) -> String {
    escape_json(&to_json(serde_json::to_string(value))).into_owned()
}

/// `value` as JSON on many lines, escaped in the same way: it can be shown, and still says exactly what it said.
#[must_use]
pub fn json_lines(value: &impl Serialize) -> String {
    escape_json(&to_json(serde_json::to_string_pretty(value))).into_owned()
}

/// Values that programs print have text as keys and no numbers that JSON lacks, so that they always encode.
fn to_json(encoded: serde_json::Result<String>) -> String {
    encoded.unwrap_or_else(|_| "null".into())
}

/// Escapes what is not harmless in JSON. Outside of strings there is nothing of the kind but line feeds.
pub(crate) fn escape_json(json: &str) -> Cow<'_, str> {
    if json.chars().all(|c| c == '\n' || is_harmless(c)) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if c == '\n' || is_harmless(c) {
            escaped.push(c);
        } else {
            let units = c.encode_utf16(&mut [0; 2]).to_vec();
            units
                .iter()
                .for_each(|unit| escaped.push_str(&format!("\\u{unit:04x}")));
        }
    }
    Cow::Owned(escaped)
}

// ---- printing -----------------------------------------------------------------------------------------------------

/// Prints lines to standard output. A reader that has gone away is no error.
pub fn print_text(text: &str) {
    let _gone = print_part(&format!("{text}\n"));
}

/// Prints a value to standard output as one line of JSON. A reader that has gone away is no error.
pub fn print_json(value: &Value) {
    let _gone = print_part(&format!("{}\n", json_line(value)));
}

/// Prints a part of an output that is longer than memory should hold, to standard output.
///
/// # Errors
/// When the reader has gone away, so that nobody needs the rest.
pub fn print_part(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(printable(text).as_bytes())?;
    out.flush()
}

/// Prints lines to standard error.
pub fn print_note(text: &str) {
    let _gone = writeln!(io::stderr(), "{}", printable(text));
}

/// Prints lines to standard error, dim where that is a terminal which shows it.
pub fn print_dim_note(text: &str) {
    // The convention of https://no-color.org: any value but an empty one.
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let _gone = match io::stderr().is_terminal() && !plain {
        true => writeln!(io::stderr(), "\u{1b}[2m{}\u{1b}[0m", printable(text)),
        false => writeln!(io::stderr(), "{}", printable(text)),
    };
}

/// Prints an error to standard error, on one line.
pub fn print_error(message: &str) {
    let _gone = writeln!(io::stderr(), "error: {}", one_line(message));
}

/// Prints a question to standard error; the answer is typed on its line.
pub fn print_prompt(question: &str) {
    let _gone = write!(io::stderr(), "{}", one_line(question));
}

/// Prints why a command line is not understood, or its help. The former repeats arguments, such as a card that
/// somebody has sent.
pub fn print_usage(error: &UsageError) {
    if error.use_stderr() {
        print_note(error.render().to_string().trim_end());
    } else {
        let _gone = error.print();
    }
}

// ---- logs ---------------------------------------------------------------------------------------------------------

/// Whether logs go to a terminal.
pub(crate) fn logs_are_seen() -> bool {
    io::stderr().is_terminal()
}

/// Where logs go.
pub(crate) fn log_output() -> io::Stderr {
    io::stderr()
}

/// Where logs in JSON go: what arrives in one piece is escaped.
#[derive(Debug)]
pub(crate) struct EscapedLog;

impl Write for EscapedLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        io::stderr().write_all(escape_json(&text).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// One of each kind that a terminal obeys, or that nobody sees.
    const HOSTILE: [char; 16] = [
        '\0',
        '\u{7}',
        '\u{8}',
        '\r',
        '\t',
        '\u{1b}',
        '\u{7f}',
        '\u{85}',
        '\u{9b}',
        '\u{200b}',
        '\u{200f}',
        '\u{2028}',
        '\u{202e}',
        '\u{2066}',
        '\u{feff}',
        '\u{e0041}',
    ];

    #[test]
    fn nothing_that_steers_a_terminal_is_shown() {
        for c in HOSTILE {
            let text = format!("a{c}b\nc");
            assert_eq!(printable(&text), "a\u{fffd}b\nc", "{c:?}");
            assert_eq!(one_line(&text), "a\u{fffd}b c", "{c:?}");
            assert_eq!(format!("{:>7}", Shown(&text)), "  a\u{fffd}b c", "{c:?}");
        }
        let sequence = "\u{1b}[2J\u{1b}]0;owned\u{7}";
        assert_eq!(printable(sequence), "\u{fffd}[2J\u{fffd}]0;owned\u{fffd}");
    }

    #[test]
    fn what_people_write_stays_as_it_is() {
        let text = "Prélude in C♯, 前奏曲, مقدمة, הקדמה, 🎼, \"quoted\" \\ <b>";
        assert_eq!(printable(text), text);
        assert_eq!(json_line(&json!(text)), serde_json::to_string(text).unwrap());
    }

    #[test]
    fn json_is_escaped_and_says_what_it_said() {
        for c in HOSTILE {
            let value = json!({ "title": format!("a{c}b"), "list": [1, null] });
            for text in [json_line(&value), json_lines(&value)] {
                assert!(text.chars().all(|c| c == '\n' || is_harmless(c)), "{text:?}");
                assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value, "{text}");
            }
        }
        assert_eq!(json_line(&"\u{9b}\u{202e}"), "\"\\u009b\\u202e\"");
        assert_eq!(json_line(&"\u{e0041}"), "\"\\udb40\\udc41\"");
    }

    #[test]
    fn a_card_that_is_none_is_repeated_without_its_controls() {
        let usage = clap::Command::new("pin")
            .arg(clap::Arg::new("card").value_parser(clap::value_parser!(u32)))
            .try_get_matches_from(["pin", "\u{1b}[2J\u{9b}1m\u{202e}x"])
            .unwrap_err();
        let text = printable(&usage.render().to_string());
        assert!(text.chars().all(|c| c == '\n' || is_harmless(c)), "{text:?}");
    }
}
