//! Printing of a batch from a CSV file.

use super::{
    job::{Job, list_digest},
    letter::{Letter, Mailing},
    render::{FileKind, check, render},
};
use crate::{
    class::MailClass,
    meter::{order::JobId, rows::JOBS_KEPT, soft::SoftMeter},
};
use anyhow::{Context, Result, bail};
use farthing_node::{
    home::files::{Existing, Mode, create_private_dir, read_bounded, write_output},
    operator::Report,
};
use farthing_protocol::money::Amount;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde_json::json;
use std::path::Path;

/// The longest CSV file (bytes).
const CSV_MAX_BYTES: u64 = 16 * 1024 * 1024;

/// The job file in the directory of a batch.
const JOB_FILE: &str = "batch.job";

/// The letters of a batch.
pub(super) struct Letters {
    letters: Vec<Letter>,
    digest: JobId,
}

/// A line of the file.
#[derive(Debug, Deserialize)]
struct Line {
    to: String,
    #[serde(default)]
    class: Option<String>,
    #[serde(default)]
    value: Option<String>,
    #[serde(default)]
    postcode: Option<String>,
}

impl Letters {
    /// Reads and checks all letters, before the first is printed.
    pub(super) fn read(path: &Path, class: MailClass, value: Option<Amount>) -> Result<Letters> {
        let bytes = read_bounded(path, CSV_MAX_BYTES);
        let bytes = bytes.with_context(|| format!("cannot read {}", path.display()))?;
        let mut letters = Vec::new();
        let mut lines = csv::Reader::from_reader(bytes.as_slice());
        for (number, line) in (2u64..).zip(lines.deserialize::<Line>()) {
            let letter = line
                .map_err(anyhow::Error::from)
                .and_then(|line| line.letter(class, value));
            letters.push(
                letter.with_context(|| format!("{}, line {number}; nothing was printed", path.display()))?,
            );
        }
        let most = usize::try_from(JOBS_KEPT).unwrap_or(usize::MAX);
        if letters.is_empty() || letters.len() > most {
            bail!(
                "{} has {} letters; a batch has 1 to {JOBS_KEPT}",
                path.display(),
                letters.len()
            );
        }
        let digest = list_digest(&bytes);
        Ok(Letters { letters, digest })
    }
}

impl Line {
    fn letter(self, class: MailClass, value: Option<Amount>) -> Result<Letter> {
        let said = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let class = said(self.class).map_or(Ok(class), |text| text.trim().parse())?;
        let value = said(self.value)
            .map(|text| text.trim().parse())
            .transpose()?
            .or(value);
        let code = said(self.postcode).map(|text| text.parse()).transpose()?;
        Letter::new(&self.to, code, class, value)
    }
}

/// Prints all letters into `into`, one file each. A batch that was interrupted goes on where it stopped.
pub(super) fn print(
    meter: &SoftMeter,
    letters: &Letters,
    into: &Path,
    kind: FileKind,
    mailing: &Mailing,
) -> Result<Report> {
    for (number, letter) in (1u64..).zip(&letters.letters) {
        check(letter, mailing, kind).with_context(|| format!("letter {number}; nothing was printed"))?;
    }
    let is_new = !into.join(JOB_FILE).exists();
    if is_new && into.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
        bail!("the directory {} is not empty; name a new one", into.display());
    }
    let registers = meter.state()?.registers;
    let total =
        Amount::sum(letters.letters.iter().map(|letter| letter.value.0)).context("the sum is too large")?;
    if is_new && total > registers.descending {
        bail!(
            "these {} letters cost {total}, and the meter has {} left; nothing was printed. Refill it",
            letters.letters.len(),
            registers.descending
        );
    }
    create_private_dir(into).with_context(|| format!("cannot make {}", into.display()))?;
    let (job, _) = Job::begin(&into.join(JOB_FILE), letters.digest, registers.sequence)?;
    let bar = ProgressBar::new(letters.letters.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("printing {bar:30} {pos}/{len} {eta}") {
        bar.set_style(style);
    }
    let mut printed = 0u64;
    for (number, letter) in (1u64..).zip(&letters.letters) {
        let path = into.join(format!("{number:05}.{}", kind));
        // A file is durable and whole when it has its name.
        if !path.exists() {
            let one = job.print(meter, number, letter, mailing)?;
            let bytes = render(&one.indicium, letter, mailing, kind)?;
            write_output(&path, &bytes, Mode::Public, Existing::Kept)?;
            printed = printed.saturating_add(1);
        }
        bar.set_position(number);
    }
    bar.finish_and_clear();
    let left = meter.state()?.registers.descending;
    let count = letters.letters.len();
    let text = format!(
        "{printed} letters are printed, {count} files are in {}; {left} left",
        into.display()
    );
    let json = json!({ "printed": printed, "files": count, "left": left.to_string(), "directory": into });
    Ok(Report::new(text, json))
}
