//! The command `print`.

use super::{
    batch,
    job::{Job, beside},
    letter::{Letter, Mailing, lines},
    meter::with,
    render::{FileKind, check, render},
};
use crate::{
    address::PostalCode,
    class::MailClass,
    day::Day,
    meter::{order::JobId, soft::SoftMeter},
    page::Format,
};
use anyhow::{Context, Result};
use clap::Args;
use farthing_node::{
    date,
    home::files::{Existing, Mode, check_output, prove_output, write_output},
    operator::Report,
};
use farthing_protocol::money::Amount;
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(super) struct PrintArgs {
    /// The meter's directory.
    dir: PathBuf,
    /// The recipient's address. ` / ` or line breaks separate its lines.
    #[arg(
        long,
        value_name = "ADDRESS",
        required_unless_present = "csv",
        conflicts_with = "csv"
    )]
    to: Option<String>,
    /// The sender's address, as it is printed.
    #[arg(long, value_name = "ADDRESS", default_value = "")]
    from: String,
    /// The mail class: first, second, card or parcel.
    #[arg(long, default_value = "first")]
    class: MailClass,
    /// The postage. Without it the tariff of the class.
    #[arg(long, value_name = "AMOUNT")]
    value: Option<Amount>,
    /// The date of mailing (2026-11-29). Without it today.
    #[arg(long, value_parser = date::parse)]
    date: Option<u64>,
    /// The recipient's postal code, if it is not in the last line with a digit.
    #[arg(long, value_name = "CODE", conflicts_with = "csv")]
    postcode: Option<PostalCode>,
    /// The sheet: an envelope (dl, c5, c4, no10) or a label (label-a6, label-4x6).
    #[arg(long, default_value_t = Format::Dl)]
    sheet: Format,
    /// The output file. Its ending says what it is: .pdf, .png, .svg, or .bin for the bytes alone.
    #[arg(short, long, required_unless_present = "csv", conflicts_with = "csv")]
    output: Option<PathBuf>,
    /// Overwrite the file if it exists.
    #[arg(long)]
    force: bool,
    /// Print a batch: a CSV file with the column `to`, and optional columns `class`, `value` and `postcode`.
    #[arg(long, value_name = "FILE", requires = "into")]
    csv: Option<PathBuf>,
    /// The directory for the files of a batch.
    #[arg(long, value_name = "DIR", requires = "csv")]
    into: Option<PathBuf>,
    /// What the files of a batch are: pdf, png, svg or bin.
    #[arg(long, default_value_t = FileKind::Pdf)]
    files: FileKind,
}

/// Prints a letter, or a batch.
pub(super) fn execute(args: PrintArgs) -> Result<Report> {
    let mailing = Mailing {
        from: lines(&args.from),
        day: Day::of_ms(args.date.unwrap_or_else(super::files::now_ms)),
        sheet: args.sheet,
    };
    if let (Some(csv), Some(into)) = (&args.csv, &args.into) {
        let letters = batch::Letters::read(csv, args.class, args.value)?;
        return with(&args.dir, |meter| {
            batch::print(meter, &letters, into, args.files, &mailing)
        });
    }
    let to = args.to.as_deref().unwrap_or_default();
    let letter = Letter::new(to, args.postcode.clone(), args.class, args.value)?;
    let output = args.output.as_deref().context("name the output file with -o")?;
    with(&args.dir, |meter| {
        one(meter, &letter, output, Existing::by_force(args.force), &mailing)
    })
}

fn one(
    meter: &SoftMeter,
    letter: &Letter,
    output: &Path,
    existing: Existing,
    mailing: &Mailing,
) -> Result<Report> {
    let kind = FileKind::of(output)?;
    check(letter, mailing, kind)?;
    let file = beside(output);
    // With a job file, the file at the output's path is what the interrupted print has written.
    let existing = if file.exists() {
        Existing::Replaced
    } else {
        existing
    };
    check_output(output, existing)?;
    prove_output(output)?;
    let (job, was_there) = Job::begin(&file, JobId([0; 32]), meter.state()?.registers.sequence)?;
    let printed = match job.print(meter, 0, letter, mailing) {
        Err(error) if !was_there => {
            // Nothing was printed under this id.
            Job::end(&file)?;
            return Err(error);
        }
        printed => printed.with_context(|| format!("{} is of an interrupted print", file.display()))?,
    };
    let bytes = render(&printed.indicium, letter, mailing, kind)?;
    write_output(output, &bytes, Mode::Public, existing)?;
    Job::end(&file)?;
    let body = &printed.indicium.body;
    let again = if printed.is_repeated {
        ", as it was begun before"
    } else {
        ""
    };
    let text = format!(
        "print {} for {}{again} is in {}; {} left",
        body.sequence,
        body.value,
        output.display(),
        body.descending
    );
    let json = json!({
        "sequence": body.sequence, "value": body.value.to_string(), "left": body.descending.to_string(), "file": output,
        "repeated": printed.is_repeated,
    });
    Ok(Report::new(text, json))
}
