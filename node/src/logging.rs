//! Logs to standard error, filtered by an environment variable.

use std::fmt::Debug;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::Directive;
use tracing_subscriber::fmt::format::{FormatFields, Writer, debug_fn};

use crate::terminal::{EscapedLog, log_output, logs_are_seen, one_line};

/// The environment variable with the log filter, such as `debug` or `info,farthing_node=trace`.
pub const LOG_VARIABLE: &str = "FARTHING_LOG";

/// The log filter if the variable is not set.
pub const LOG_DEFAULT: &str = "info";

/// The filters of libraries that log the addresses of clients, or rows. Nodes keep no addresses, not even in a debug log.
const SILENCED: [&str; 4] = [
    "quinn=off",
    "quinn_proto=off",
    "quinn_udp=off",
    "tokio_postgres=off",
];

/// The format of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Text, for people.
    #[default]
    Text,
    /// One JSON object on each line, for programs.
    Json,
}

/// The error of a failed setup of the logs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The variable is not a valid filter.
    #[error(
        "{LOG_VARIABLE} is `{got}`: {reason}; write a level such as `info`, or `info,farthing_node=debug`"
    )]
    Filter {
        /// The value of the variable.
        got: String,
        /// The error in it.
        reason: String,
    },
    /// The logs of this process are already set up.
    #[error("logs have been set up already in this process: {0}")]
    Twice(String),
}

/// Sends this process's logs to standard error, filtered by [`LOG_VARIABLE`].
///
/// # Errors
/// [`LogError`].
pub fn init(format: LogFormat) -> Result<(), LogError> {
    let text = std::env::var(LOG_VARIABLE).unwrap_or_else(|_| LOG_DEFAULT.to_owned());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(&text)?)
        .with_ansi(logs_are_seen())
        // A line that cannot be written is lost, for example when the log is on a full disk. The library would report
        // that on standard error, and panic if this fails too.
        .log_internal_errors(false);
    match format {
        LogFormat::Text => builder.fmt_fields(fields()).with_writer(log_output).try_init(),
        LogFormat::Json => builder.json().with_writer(|| EscapedLog).try_init(),
    }
    .map_err(|e| LogError::Twice(e.to_string()))
}

/// Formats the fields of a text line. A field can hold text of another party, so it never begins a new line.
fn fields() -> impl for<'writer> FormatFields<'writer> {
    debug_fn(|writer: &mut Writer<'_>, field, value: &dyn Debug| {
        let value = one_line(&format!("{value:?}"));
        match field.name() {
            "message" => write!(writer, "{value}"),
            name => write!(writer, "{name}={value}"),
        }
    })
    .delimited(" ")
}

/// Parses the filter `text`. It also silences the libraries of [`SILENCED`].
fn filter(text: &str) -> Result<EnvFilter, LogError> {
    let refused = |reason: String| LogError::Filter {
        got: text.to_owned(),
        reason,
    };
    let text = if text.trim().is_empty() { LOG_DEFAULT } else { text };
    let mut filter = EnvFilter::try_new(text).map_err(|e| refused(e.to_string()))?;
    for silenced in SILENCED {
        let directive: Directive = silenced.parse().map_err(|_| refused(silenced.to_owned()))?;
        filter = filter.add_directive(directive);
    }
    Ok(filter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn text_of_another_party_controls_no_terminal_and_begins_no_line() {
        let kept = Kept::default();
        let writer = kept.clone();
        let logs = tracing_subscriber::fmt()
            .fmt_fields(fields())
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let refusal = "\u{1b}[2J\u{9b}1m\u{202e}no\nERROR the bank has failed";
        tracing::subscriber::with_default(logs, || {
            tracing::error!(%refusal, waiting = 3, "a bank has refused a commit");
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text:?}");
        let says = "a bank has refused a commit refusal=\u{fffd}[2J\u{fffd}1m\u{fffd}no ERROR the bank has failed waiting=3\n";
        assert!(text.ends_with(says), "{text:?}");
    }

    #[test]
    fn a_filter_is_parsed_and_never_shows_addresses() {
        for text in ["trace", "info,quinn=trace", "", "farthing_node=debug"] {
            let filter = filter(text).unwrap().to_string();
            assert!(filter.contains("quinn=off"), "{filter}");
            assert!(!filter.contains("quinn=trace"), "{filter}");
        }
        assert!(matches!(filter("info,=="), Err(LogError::Filter { .. })));
    }
}
