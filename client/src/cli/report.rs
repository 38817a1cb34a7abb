//! The result of a command: a text for people and a JSON value for programs.

use super::exit::Exit;
use farthing_coin::PublicKey;
pub(super) use farthing_node::table::{Align, table};
use farthing_node::{network_file::NetworkFile, terminal};
use farthing_protocol::money::Amount;
use jiff::Timestamp;
use serde_json::{Value, json};

/// The result of a command.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) text: String,
    pub(super) json: Value,
    pub(super) exit: Exit,
}

impl Report {
    /// The result of a command that succeeded.
    pub(super) fn done(text: impl Into<String>, json: Value) -> Report {
        Report {
            text: text.into(),
            json,
            exit: Exit::Done,
        }
    }

    /// Prints it to standard output. A command that printed all while it ran has an empty result. A closed pipe is no
    /// error.
    pub(super) fn print(&self, as_json: bool) {
        if as_json && !self.json.is_null() {
            terminal::print_json(&self.json);
        } else if !as_json && !self.text.is_empty() {
            terminal::print_text(&self.text);
        }
    }
}

/// Prints an error: to standard error for people, and to standard output for programs.
pub(super) fn print_error(error: &anyhow::Error, as_json: bool) -> Exit {
    let exit = Exit::of(error);
    let text = chain(error);
    terminal::print_error(&text);
    if as_json {
        terminal::print_json(&error_json(&text, exit));
    }
    exit
}

/// An error as JSON.
pub(super) fn error_json(text: &str, exit: Exit) -> Value {
    json!({ "error": text, "code": exit.code() })
}

/// The error and its causes. A cause that the text already contains is left out.
pub(super) fn chain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    // A command with its own way to continue, as a restore, says it in the context.
    if error.chain().count() == 1 && Exit::of(error) == Exit::NotFinished {
        text.push_str(", `farthing resume` carries on from here");
    }
    text
}

/// An amount as JSON.
pub(super) fn amount(amount: Amount) -> Value {
    json!({ "units": amount.0, "text": amount.to_string() })
}

/// `1 coin`, `2 coins`.
pub(super) fn count(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// The first 12 of the 64 characters of a digest or key: enough to name it.
pub(super) fn short(bytes: &[u8; 32]) -> String {
    hex::encode(bytes).chars().take(12).collect()
}

/// The name of a bank here, or the beginning of its key if its card was removed.
pub(super) fn bank_name(bank: &PublicKey, file: &NetworkFile) -> String {
    let card = file.by_identity(bank);
    card.map_or_else(|| short(&bank.0), |card| card.name.clone())
}

/// Date and time (UTC) of milliseconds since 1970; `never` for a time outside the calendar.
pub(super) fn date(ms: u64) -> String {
    let time = i64::try_from(ms)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok());
    time.map_or_else(
        || "never".into(),
        |time| time.strftime("%Y-%m-%d %H:%M").to_string(),
    )
}

/// A size for people.
pub(super) fn size(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use farthing_protocol::api::Question;

    #[test]
    fn a_silent_party_is_reported_once_with_how_to_carry_on() {
        let silent = || {
            anyhow::Error::from(crate::error::WalletError::Silent {
                party: "the bank".into(),
                question: Question::Account,
                why: "no reply".into(),
            })
        };
        let text = chain(&silent());
        assert!(
            text.ends_with("nothing is lost, `farthing resume` carries on from here"),
            "{text}"
        );
        let text = chain(&silent().context("the restore is not complete; repeat it"));
        assert!(
            text.starts_with("the restore is not complete; repeat it: the bank has not answered"),
            "{text}"
        );
        assert!(!text.contains("farthing resume"), "{text}");
    }

    #[test]
    fn dates_match_the_calendar() {
        assert_eq!(date(0), "1970-01-01 00:00");
        assert_eq!(date(951_782_340_000), "2000-02-28 23:59");
        assert_eq!(date(951_868_800_000), "2000-03-01 00:00");
        assert_eq!(date(1_709_164_800_000), "2024-02-29 00:00");
        assert_eq!(date(1_798_761_599_999), "2026-12-31 23:59");
        // The largest time does not overflow.
        assert_eq!(date(u64::MAX), "never");
    }

    #[test]
    fn amounts_have_units_and_text_and_errors_have_a_code() {
        assert_eq!(amount(Amount(2050)), json!({ "units": 2050, "text": "20.50" }));
        assert_eq!(
            error_json("no", Exit::NotFinished),
            json!({ "error": "no", "code": 10 })
        );
    }

    #[test]
    fn a_repeated_cause_is_left_out() {
        let io = crate::error::WalletError::io("x")(std::io::Error::other("disk on fire"));
        assert_eq!(chain(&io.into()), "x: disk on fire");
        let error = anyhow::anyhow!("inner").context("outer");
        assert_eq!(chain(&error), "outer: inner");
    }
}
