//! The commands of a sorting station.

use super::files::{self, Output, STORE_DIR, complete, make_dir, make_store, now_ms, open_store, settings};
use super::scan::{self, ScanArgs};
use crate::{
    address::PostalCode,
    day::Day,
    keys,
    sort::{
        rules::{StationSettings, WINDOW_DEFAULT},
        station::Station,
    },
};
use anyhow::{Context, Result};
use clap::Subcommand;
use farthing_coin::{PublicKey, SecretKey};
use farthing_node::operator::{Directory, Report};
use farthing_store::{
    archive_segments,
    disk::FileDisk,
    entropy::{Entropy, SystemEntropy},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::{Path, PathBuf};

const SETTINGS_FILE: &str = "station.json";
const KEY_FILE: &str = "station.key";

/// The settings of a station's directory.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SortSettings {
    office: PublicKey,
    station: StationSettings,
}

#[derive(Debug, Subcommand)]
pub(super) enum SortCommand {
    /// Make a station in a new directory.
    Init {
        /// The directory. It must not exist or be empty.
        dir: PathBuf,
        /// The office's key.
        #[arg(long, value_name = "KEY")]
        office: PublicKey,
        /// The beginning of a postal code that it delivers. Can be repeated. Without it, all.
        #[arg(long, value_name = "PREFIX")]
        area: Vec<PostalCode>,
        /// How far a sequence number may be from the highest one of its meter here.
        #[arg(long, default_value_t = WINDOW_DEFAULT)]
        window: u64,
    },
    /// Take the office's list of meters.
    Learn {
        /// The station's directory.
        dir: PathBuf,
        /// The list, from `farthing-postage office list`.
        list: PathBuf,
    },
    /// Scan letters: pictures, PDF files, or files of an indicium's bytes.
    Scan(ScanArgs),
    /// Write the report of all indicia that the office does not have yet.
    Report {
        /// The station's directory.
        dir: PathBuf,
        #[command(flatten)]
        output: Output,
    },
    /// Forget indicia that have expired, by the date on them.
    Purge(Directory),
    /// Move old files of the store's journal to another directory, once their rows are in two newer snapshots.
    Archive {
        /// The station's directory.
        dir: PathBuf,
        /// Where the files go.
        #[arg(long)]
        to: PathBuf,
    },
    /// Show the station's key and its counts.
    Show(Directory),
}

/// Executes a command.
pub(super) fn execute(command: SortCommand) -> Result<Report> {
    match command {
        SortCommand::Init {
            dir,
            office,
            area,
            window,
        } => init(&dir, office, StationSettings { area, window }),
        SortCommand::Learn { dir, list } => {
            let list = files::read(&list)?;
            with(&dir, |station| Ok(station.learn(&list)?))?;
            show(&dir)
        }
        SortCommand::Scan(args) => with(&args.dir, |station| scan::execute(station, &args)),
        SortCommand::Report { dir, output } => report(&dir, &output),
        SortCommand::Purge(Directory { dir }) => {
            let purged = with(&dir, |station| Ok(station.purge(Day::of_ms(now_ms()))?))?;
            Ok(Report::new(
                format!("{purged} indicia were forgotten"),
                json!({ "purged": purged }),
            ))
        }
        SortCommand::Archive { dir, to } => {
            let moved = archive_segments(&dir.join(STORE_DIR), &to, &FileDisk)?.len();
            Ok(Report::new(
                format!("{moved} files were moved to {}", to.display()),
                json!({ "moved": moved }),
            ))
        }
        SortCommand::Show(Directory { dir }) => show(&dir),
    }
}

fn with<T>(dir: &Path, work: impl FnOnce(&Station) -> Result<T>) -> Result<T> {
    let own: SortSettings = settings(dir, SETTINGS_FILE, "a station")?;
    let key = keys::read(&dir.join(KEY_FILE)).context("the key of the station")?;
    let station = Station::new(open_store(dir)?, key, own.office, own.station);
    let done = work(&station);
    station.close()?;
    done
}

fn init(dir: &Path, office: PublicKey, station: StationSettings) -> Result<Report> {
    make_dir(dir)?;
    let entropy: &dyn Entropy = &SystemEntropy;
    keys::create(&dir.join(KEY_FILE), &SecretKey::generate(&mut entropy.rng()))?;
    make_store(dir)?.close()?;
    complete(dir, SETTINGS_FILE, &SortSettings { office, station })?;
    show(dir)
}

fn show(dir: &Path) -> Result<Report> {
    let (id, counts) = with(dir, |station| Ok((station.id(), station.counts()?)))?;
    let waiting = counts.entries.saturating_sub(counts.received);
    let text = format!(
        "station {id}\nlist {} of the office\n{} indicia so far, {waiting} of them not confirmed by the office",
        counts.list, counts.entries
    );
    Ok(Report::new(text, json!({ "station": id, "counts": counts })))
}

fn report(dir: &Path, output: &Output) -> Result<Report> {
    let Some(report) = with(dir, |station| Ok(station.report()?))? else {
        let text = "the office has all indicia; nothing was written";
        return Ok(Report::new(text, json!({ "indicia": 0 })));
    };
    files::write(&report, output)?;
    let count = report.body.indicia.len();
    let text = format!(
        "{count} indicia are in {}; give it to the office",
        output.output.display()
    );
    Ok(Report::new(
        text,
        json!({ "indicia": count, "first": report.body.first, "last": report.body.last() }),
    ))
}
