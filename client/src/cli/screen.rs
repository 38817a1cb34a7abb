//! Progress on standard error.

use crate::observer::{Observer, WalletEvent};
use farthing_node::terminal::{one_line, print_dim_note, print_note};
use farthing_protocol::{api::Question, limits::COINS_PER_REQUEST_MAX};
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

/// Whether progress is printed in lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lines {
    /// For people.
    Told,
    /// For programs, which get one value at the end.
    Silent,
}

/// Draws progress bars if standard error is a terminal, and prints events.
pub(super) struct Screen {
    lines: Lines,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    bar: Option<(Measure, ProgressBar)>,
    silent: BTreeSet<(String, Question)>,
    statuses: BTreeMap<u64, &'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measure {
    Goods,
    Coins,
}

impl Screen {
    pub(super) fn new(lines: Lines) -> Screen {
        Screen {
            lines,
            state: Mutex::default(),
        }
    }

    fn tell(&self, state: &State, line: &str) {
        self.write(state, || print_note(line));
    }

    /// Prints text of other parties, dimmed.
    fn tell_dim(&self, state: &State, line: &str) {
        self.write(state, || print_dim_note(&one_line(line)));
    }

    fn write(&self, state: &State, write: impl FnOnce()) {
        if self.lines == Lines::Silent {
            return;
        }
        match &state.bar {
            Some((_, bar)) => bar.suspend(write),
            None => write(),
        }
    }

    fn measure(&self, state: &mut State, measure: Measure, done: u64, total: u64) {
        let same = state.bar.as_ref().is_some_and(|(of, _)| *of == measure);
        if !same {
            clear(state);
            // A bar draws nothing if standard error is not a terminal.
            let bar = ProgressBar::new(total);
            bar.set_style(style(measure));
            state.bar = Some((measure, bar));
        }
        if let Some((_, bar)) = &state.bar {
            bar.set_length(total);
            bar.set_position(done);
        }
        if done >= total {
            clear(state);
        }
    }
}

impl Observer for Screen {
    fn on_event(&self, event: &WalletEvent) {
        tracing::debug!(?event, "the wallet works");
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            WalletEvent::Asked { .. } => {}
            WalletEvent::Answered { party, .. } => state.silent.retain(|(silent, _)| silent != party),
            WalletEvent::Unanswered { party, question, why } => {
                // It is asked again every two seconds. One line is enough.
                if state.silent.insert((party.clone(), *question)) {
                    let line = format!("  asking again ({question}): {}", of_party(party, why));
                    self.tell_dim(&state, &line);
                }
            }
            WalletEvent::Refused { party, question, why } => {
                state.silent.retain(|(silent, _)| silent != party);
                // Other refusals end the command, which prints them. These start a cancel.
                if matches!(question, Question::Hold | Question::Deliver) {
                    let line = format!("  {party} refuses ({question}): {why}");
                    self.tell_dim(&state, &line);
                }
            }
            WalletEvent::Purchase { number, status } => {
                if state.statuses.insert(*number, status) != Some(status) {
                    self.tell(&state, &format!("purchase {number}: {}", says(status)));
                }
            }
            WalletEvent::Goods {
                done_bytes,
                total_bytes,
            } => self.measure(&mut state, Measure::Goods, *done_bytes, *total_bytes),
            WalletEvent::Consolidates { coins } => self.tell(
                &state,
                &format!(
                    "the price would take {coins} coins, and one payment has at most {COINS_PER_REQUEST_MAX}: \
                     exchanging small coins for large ones first"
                ),
            ),
            WalletEvent::Coins { done, total } => self.measure(&mut state, Measure::Coins, *done, *total),
            WalletEvent::Restored { what, found } => self.tell(&state, &format!("{what} found: {found}")),
        }
    }
}

/// An error with the party's name, unless the text has it already.
fn of_party(party: &str, why: &str) -> String {
    if why.contains(party) {
        why.to_owned()
    } else {
        format!("{party}: {why}")
    }
}

/// A purchase's status in words.
fn says(status: &str) -> &str {
    match status {
        "holding" => "all is ready; asking the escrow to hold the coins",
        "held" => "the coins are held; asking the merchant for the key",
        "cancelling" => "asking the escrow for the coins back",
        "streaming" => "the coins are held, and the stream is open",
        "taking" => "the encrypted goods are fetched; asking the merchant for the key of a free item",
        "committed" => "the key has arrived",
        "aborted" => "aborted; exchanging its coins for fresh ones",
        "dropped" => "given up before any coin was at stake",
        "recovered" => "ended without the escrow: the bank has exchanged its coins for fresh ones",
        other => other,
    }
}

fn clear(state: &mut State) {
    if let Some((_, bar)) = state.bar.take() {
        bar.finish_and_clear();
    }
}

fn style(measure: Measure) -> ProgressStyle {
    let template = match measure {
        Measure::Goods => "{spinner} goods {wide_bar:.cyan/dim} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        Measure::Coins => "{spinner} coins {wide_bar:.cyan/dim} {pos}/{len} {eta}",
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_valid() {
        for measure in [Measure::Goods, Measure::Coins] {
            let _style = style(measure);
        }
        assert!(ProgressStyle::with_template("{spinner} {wide_bar:.cyan/dim} {eta}").is_ok());
    }

    #[test]
    fn every_status_of_a_purchase_has_words() {
        for status in [
            "holding",
            "held",
            "cancelling",
            "committed",
            "aborted",
            "dropped",
            "recovered",
        ] {
            assert_ne!(says(status), status);
        }
    }

    #[test]
    fn a_full_bar_is_removed() {
        let screen = Screen::new(Lines::Silent);
        let coins = |done| WalletEvent::Coins { done, total: 3 };
        screen.on_event(&coins(1));
        assert!(screen.state.lock().unwrap().bar.is_some());
        screen.on_event(&coins(3));
        assert!(screen.state.lock().unwrap().bar.is_none());
    }
}
