//! Progress bars on standard error.

use crate::args::Mode;
use indicatif::{ProgressBar, ProgressStyle};
use std::{borrow::Cow, time::Duration};

/// A task of unknown length.
pub(crate) fn busy(what: impl Into<Cow<'static, str>>) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(what);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// Progress of preparing customers.
pub(crate) fn preparing(customers: u64) -> ProgressBar {
    let style = "preparing customers {bar:30} {pos} of {len}, {eta} left";
    ProgressBar::new(customers).with_style(style_of(style, ProgressStyle::default_bar()))
}

/// Progress of writing spent coins into the bank's store.
pub(crate) fn filling(coins: u64) -> ProgressBar {
    let style = "spent coins {bar:30} {pos} of {len}, {per_sec}, {eta} left";
    ProgressBar::new(coins).with_style(style_of(style, ProgressStyle::default_bar()))
}

/// Progress of a run with this number under way.
pub(crate) fn running(under_way: u64, mode: Mode, time: Duration) -> ProgressBar {
    let style = "{msg}: {elapsed} {spinner} {pos} done, {per_sec}";
    let what = format!("{under_way} {}s under way for {} s", mode.noun(), time.as_secs());
    let bar = ProgressBar::new_spinner()
        .with_style(style_of(style, ProgressStyle::default_spinner()))
        .with_message(what);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// The style of this template, or the default style if the template is invalid.
fn style_of(template: &str, otherwise: ProgressStyle) -> ProgressStyle {
    otherwise.clone().template(template).unwrap_or(otherwise)
}
