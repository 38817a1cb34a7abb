//! Logs: to standard error, filtered by the environment.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::Directive;

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
        .with_ansi(std::io::stderr().is_terminal())
        // What cannot be written (the log is on the disk that is full, say) is lost. The library would say so on
        // standard error by means that panic when that fails too, in the middle of whatever was being done.
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    }
    .map_err(|e| LogError::Twice(e.to_string()))
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
