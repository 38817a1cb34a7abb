//! Logs: to standard error, filtered by the environment.

use std::fmt::Debug;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::Directive;
use tracing_subscriber::fmt::format::{FormatFields, Writer, debug_fn};

use crate::terminal::{EscapedLog, log_output, logs_are_seen, one_line};

/// The environment variable that says what is logged, such as `debug` or `info,farthing_node=trace`.
pub const LOG_VARIABLE: &str = "FARTHING_LOG";

/// What is logged when nobody says.
pub const LOG_DEFAULT: &str = "info";

/// Libraries whose messages hold the addresses of clients. Nodes keep no addresses, not even in a debugging log.
const SILENCED: [&str; 3] = ["quinn=off", "quinn_proto=off", "quinn_udp=off"];

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for programs.
    Json,
}

/// Why there are no logs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The variable does not hold a filter.
    #[error(
        "{LOG_VARIABLE} is `{got}`: {reason}; write a level such as `info`, or `info,farthing_node=debug`"
    )]
    Filter {
        /// What it holds.
        got: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Something else in this process logs already.
    #[error("logs have been set up already in this process: {0}")]
    Twice(String),
}

/// Sends this process's logs to standard error, as [`LOG_VARIABLE`] says.
///
/// # Errors
/// [`LogError`].
pub fn init(format: LogFormat) -> Result<(), LogError> {
    let text = std::env::var(LOG_VARIABLE).unwrap_or_else(|_| LOG_DEFAULT.to_owned());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(&text)?)
        .with_ansi(logs_are_seen())
        // What cannot be written (the log is on the disk that is full, say) is lost. The library would say so on
        // standard error by means that panic when that fails too, in the middle of whatever was being done.
        .log_internal_errors(false);
    match format {
        LogFormat::Text => builder.fmt_fields(fields()).with_writer(log_output).try_init(),
        LogFormat::Json => builder.json().with_writer(|| EscapedLog).try_init(),
    }
    .map_err(|e| LogError::Twice(e.to_string()))
}

/// How the fields of a line of text are written: what is in them may be another party's, and makes no line of its own.
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

/// The filter that `text` spells, without what must never be logged.
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
    fn what_others_wrote_steers_no_terminal_and_begins_no_line() {
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
    fn a_filter_is_understood_and_never_shows_addresses() {
        for text in ["trace", "info,quinn=trace", "", "farthing_node=debug"] {
            let filter = filter(text).unwrap().to_string();
            assert!(filter.contains("quinn=off"), "{filter}");
            assert!(!filter.contains("quinn=trace"), "{filter}");
        }
        assert!(matches!(filter("info,=="), Err(LogError::Filter { .. })));
    }
}
