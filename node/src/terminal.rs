//! The output of all programs. Only this module prints. Text of another party cannot control a terminal.
//!
//! Other parties write refusals, titles, descriptions, names, reasons and currencies. This module replaces every
//! character that a terminal would interpret instead of showing. In JSON it escapes the character as `\uXXXX`. The
//! characters are:
//!
//! - controls (C0, DEL, C1), and so every escape sequence. A line feed stays in output of several lines.
//! - characters that change the direction of text, or are invisible: all format characters of Unicode (category Cf),
//!   the separators of lines and paragraphs, and others (see [`is_harmless`]).
//!
//! Clippy refuses [`std::io::stdout`], [`std::io::stderr`] and the printing macros in every other module of a product.

#![allow(
    clippy::disallowed_methods,
    reason = "only this module prints; it makes all text harmless first"
)]

use clap::error::Error as UsageError;
use serde::Serialize;
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;
use std::io::{self, IsTerminal, Write};

/// The replacement for a character that is not harmless.
const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// Whether a terminal only shows this character, and does not interpret it.
#[must_use]
pub fn is_harmless(c: char) -> bool {
    let is_invisible = matches!(c,
        // Soft hyphen, and joiners and fillers without a shape.
        '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{3164}' | '\u{ffa0}'
        // Arabic letter mark, and the selectors and separators of Mongolian.
        | '\u{61c}' | '\u{180b}'..='\u{180f}'
        // Zero width; directions; line and paragraph separators; embeddings, overrides and isolates.
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        // The byte order mark, annotations, musical and shorthand formats, tags and supplementary selectors.
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}'
        // The other format characters: signs around numbers, of Arabic, Syriac and Kaithi, and of hieroglyphs.
        | '\u{600}'..='\u{605}' | '\u{6dd}' | '\u{70f}' | '\u{890}' | '\u{891}' | '\u{8e2}'
        | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}'
    );
    !c.is_control() && !is_invisible
}

/// `text` without characters that could control a terminal. Line feeds stay.
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

/// [`printable`] text on one line, so that text of another party cannot begin a new line.
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

/// `value` as JSON on many lines, with the same escapes. It can be shown safely, and its meaning is unchanged.
#[must_use]
pub fn json_lines(value: &impl Serialize) -> String {
    escape_json(&to_json(serde_json::to_string_pretty(value))).into_owned()
}

/// Unwraps an encoded value. The values that programs print always encode: their keys are text, and JSON has all their
/// numbers.
fn to_json(encoded: serde_json::Result<String>) -> String {
    encoded.unwrap_or_else(|_| "null".into())
}

/// Escapes the characters of JSON that are not harmless. They occur only in strings, except line feeds, which stay.
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

/// Prints lines to standard output. A closed pipe is no error.
pub fn print_text(text: &str) {
    let _gone = print_part(&format!("{text}\n"));
}

/// Prints a value to standard output as one line of JSON. A closed pipe is no error.
pub fn print_json(value: &Value) {
    let _gone = print_part(&format!("{}\n", json_line(value)));
}

/// Prints a part of a long output to standard output. The whole output would need too much memory.
///
/// # Errors
/// When the pipe is closed. Nobody needs the rest then.
pub fn print_part(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(printable(text).as_bytes())?;
    out.flush()
}

/// Prints data of another party to standard output: as it is to a pipe or a file, and harmless to a terminal.
///
/// # Errors
/// When the pipe is closed.
pub fn print_data(data: &[u8]) -> io::Result<()> {
    if io::stdout().is_terminal() {
        return print_part(&String::from_utf8_lossy(data));
    }
    let mut out = io::stdout().lock();
    out.write_all(data)?;
    out.flush()
}

/// Prints lines to standard error.
pub fn print_note(text: &str) {
    let _gone = writeln!(io::stderr(), "{}", printable(text));
}

/// Prints lines to standard error. On a terminal they are dim.
pub fn print_dim_note(text: &str) {
    // The convention of https://no-color.org: any value except an empty one.
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

/// Prints a question to standard error, without a line feed. The answer is typed on the same line.
pub fn print_prompt(question: &str) {
    let _gone = write!(io::stderr(), "{}", one_line(question));
}

/// Prints the help, or the error of a command line. An error repeats arguments, such as a card that another party has
/// sent.
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

/// The output of logs.
pub(crate) fn log_output() -> io::Stderr {
    io::stderr()
}

/// The output of logs in JSON. Each write is escaped.
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

    /// One character of each kind that a terminal interprets or does not show.
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
    fn characters_that_control_a_terminal_are_replaced() {
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
    fn no_format_character_is_harmless() {
        let directions =
            "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";
        let zero_width = "\u{ad}\u{200b}\u{200c}\u{200d}\u{2060}\u{feff}\u{e0001}\u{e0101}";
        let others =
            "\u{2028}\u{2029}\u{600}\u{6dd}\u{70f}\u{891}\u{8e2}\u{110bd}\u{110cd}\u{13430}\u{1d173}";
        for c in directions.chars().chain(zero_width.chars()).chain(others.chars()) {
            assert!(!is_harmless(c), "{c:?}");
        }
    }

    #[test]
    fn ordinary_text_is_unchanged() {
        let text = "Prélude in C♯, 前奏曲, مقدمة, הקדמה, 🎼, \"quoted\" \\ <b>";
        assert_eq!(printable(text), text);
        assert_eq!(json_line(&json!(text)), serde_json::to_string(text).unwrap());
    }

    #[test]
    fn escaped_json_keeps_its_meaning() {
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
    fn a_usage_error_repeats_an_invalid_card_without_its_controls() {
        let usage = clap::Command::new("pin")
            .arg(clap::Arg::new("card").value_parser(clap::value_parser!(u32)))
            .try_get_matches_from(["pin", "\u{1b}[2J\u{9b}1m\u{202e}x"])
            .unwrap_err();
        let text = printable(&usage.render().to_string());
        assert!(text.chars().all(|c| c == '\n' || is_harmless(c)), "{text:?}");
    }
}
