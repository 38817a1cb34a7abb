//! `farthing watch`.

use super::{
    args::Watch,
    exit::Exit,
    purchases::{find, one_purchase, with_change, with_unseen},
    report::{Report, amount, count},
};
use crate::{
    purchase::{Begun, Parties, Place, Seen, TickSink, Wanted, WatchEnd, WatchLimits},
    rows::PurchaseRow,
    wallet::Wallet,
};
use anyhow::{Context, Result, bail};
use farthing_node::{
    card::RoleName,
    home::files::{self, Existing},
    process::stop_signal,
    terminal::{self, one_line},
};
use farthing_protocol::{money::Amount, purchase::Purchase};
use sha2::{Digest, Sha256};
use std::{
    fs::{File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

/// How often progress is printed (ms).
const PROGRESS_EVERY_MS: u128 = 1000;

/// Watches a stream until it ends, a limit is reached, or the customer types ctrl-c.
pub(super) async fn watch(wallet: &Wallet, watch: &Watch, as_json: bool) -> Result<Report> {
    if as_json && watch.output.is_none() {
        bail!(
            "with --json the records need a file, as the result goes to standard output; name it with --output FILE"
        );
    }
    let mut sink = Sink::new(watch, as_json)?;
    let stop = Arc::clone(&sink.stop);
    let listening = tokio::spawn(async move {
        if stop_signal().await.is_ok() {
            terminal::print_note("ending the stream; ctrl-c again leaves it to `farthing resume`");
            stop.store(true, Ordering::SeqCst);
        }
    });
    let seen = see(wallet, watch, &mut sink).await;
    listening.abort();
    let mut seen = seen?;
    if sink.has_no_reader {
        seen.end = WatchEnd::Stopped;
    }
    let row = one_purchase(wallet, seen.number)?;
    let report = with_unseen(wallet, seen.number, &row, outcome(&seen, &row))?;
    with_change(wallet, seen.number, report).await
}

async fn see(wallet: &Wallet, watch: &Watch, sink: &mut Sink) -> Result<Seen> {
    let limits = WatchLimits {
        at_most: watch.most,
        ticks: watch.ticks,
        window: watch.window,
    };
    if let Some(purchase) = &watch.on {
        let number = find(wallet, purchase)?;
        return Ok(wallet.watch_on(number, limits, sink).await?);
    }
    let parties = Parties {
        merchant: wallet.party(RoleName::Merchant, watch.merchant.as_deref())?,
        escrow: wallet
            .party(RoleName::Escrow, watch.escrow.as_deref())
            .context("name the escrow that decides with --escrow NAME")?,
        bank: wallet
            .party(RoleName::Bank, watch.bank.as_deref())
            .context("name the bank whose coins pay with --bank NAME")?,
    };
    let wanted = Wanted {
        item: watch.item.as_deref().unwrap_or_default(),
        at_most: None,
    };
    Ok(wallet.watch(&parties, wanted, limits, sink).await?)
}

fn outcome(seen: &Seen, row: &PurchaseRow) -> Report {
    let number = seen.number;
    let offer = &row.purchase.offer().body;
    let (title, currency) = (one_line(&offer.title), one_line(&offer.currency));
    let paid = row.purchase.paid().unwrap_or_default();
    let records = count(seen.ticks.into(), "record");
    let (why, word, exit) = match &seen.end {
        WatchEnd::EndedBefore => {
            let exit = match row.purchase {
                Purchase::Committed(..) => Exit::Done,
                _ => Exit::Aborted,
            };
            let why = format!("it has ended before: the purchase is {}", row.purchase.status());
            (why, "ended_before", exit)
        }
        WatchEnd::AllSeen => ("it has no more".to_owned(), "all_seen", Exit::Done),
        WatchEnd::Stopped => ("you wanted no more".to_owned(), "stopped", Exit::Done),
        WatchEnd::TimeOver => (
            "its time for payments is over".to_owned(),
            "time_over",
            Exit::Done,
        ),
        WatchEnd::Merchant(why) => (
            format!("the merchant went no further: {why}"),
            "merchant",
            Exit::Failed,
        ),
        WatchEnd::DoesNotOpen(tick) => (
            format!(
                "record {tick} does not open with its key; `farthing receipt show {number}` prints the documents that \
                 prove it"
            ),
            "does_not_open",
            Exit::MerchantBroke,
        ),
        WatchEnd::Output(why) => (
            format!("they could not be written: {why}"),
            "output",
            Exit::Failed,
        ),
    };
    let ended = matches!(row.purchase, Purchase::Committed(..) | Purchase::Aborted(..));
    let rest = match ended {
        true => String::new(),
        false => format!(
            "; the stream is still {}, `farthing resume` ends it",
            row.purchase.status()
        ),
    };
    Report {
        text: format!("{records} of \"{title}\" for {paid} {currency} (purchase {number}); {why}{rest}"),
        json: serde_json::json!({
            "number": number,
            "status": row.purchase.status(),
            "title": offer.title,
            "records": seen.ticks,
            "paid": amount(paid),
            "currency": offer.currency,
            "ended": word,
            "why": why,
        }),
        exit,
    }
}

/// The bytes before a place by which a file is known again.
const KNOWN_BY_BYTES: u64 = 4096;

/// Writes records to a file or to standard output, and progress to standard error.
struct Sink {
    path: Option<PathBuf>,
    existing: Existing,
    /// Whether the stream was begun before.
    goes_on: bool,
    /// The file, while a stream is watched.
    file: Option<File>,
    stop: Arc<AtomicBool>,
    /// Whether nobody reads standard output any more, for example `head`.
    has_no_reader: bool,
    adds_line_feeds: bool,
    tells: bool,
    began: Instant,
    told: Instant,
    records: u64,
}

impl Sink {
    fn new(watch: &Watch, as_json: bool) -> Result<Sink> {
        let existing = Existing::by_force(watch.force);
        // A stream that goes on says first where.
        if let (Some(path), None) = (&watch.output, &watch.on) {
            files::check_output(path, existing)?;
        }
        let now = Instant::now();
        Ok(Sink {
            path: watch.output.clone(),
            existing,
            goes_on: watch.on.is_some(),
            file: None,
            stop: Arc::default(),
            has_no_reader: false,
            adds_line_feeds: false,
            tells: !as_json,
            began: now,
            told: now,
            records: 0,
        })
    }

    /// The file where the records go on, cut at their place, or a new one.
    fn open(&self, path: &Path, begun: &Begun) -> io::Result<File> {
        if let Some(place) = begun.place
            && let Some(file) = opened_at(path, &place, begun.repeats)?
        {
            return Ok(file);
        }
        // A process that died before its first record has left an empty file.
        if self.goes_on
            && begun.place.is_none()
            && let Some(file) = empty_at(path)?
        {
            return Ok(file);
        }
        files::check_output(path, self.existing).map_err(io::Error::other)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        let file = match self.existing {
            Existing::Kept => options.create_new(true).open(path)?,
            Existing::Replaced => options.create(true).truncate(true).open(path)?,
        };
        files::sync_parent(path)?;
        Ok(file)
    }

    fn tell(&mut self, cost: Amount) {
        if !self.tells || self.told.elapsed().as_millis() < PROGRESS_EVERY_MS {
            return;
        }
        self.told = Instant::now();
        let rate = self.records as f64 / self.began.elapsed().as_secs_f64();
        terminal::print_dim_note(&format!(
            "{} for {cost}, {rate:.1} a second",
            count(self.records, "record")
        ));
    }
}

impl TickSink for Sink {
    fn begin(&mut self, begun: Begun) -> io::Result<()> {
        self.adds_line_feeds = begun.is_live;
        self.began = Instant::now();
        if let Some(path) = &self.path {
            self.file = Some(self.open(path, &begun)?);
        }
        Ok(())
    }

    fn record(&mut self, _tick: u32, cost: Amount, record: &[u8]) -> io::Result<()> {
        let mut line;
        let bytes = match self.adds_line_feeds {
            true => {
                line = record.to_vec();
                line.push(b'\n');
                &line
            }
            false => record,
        };
        match &mut self.file {
            Some(file) => file.write_all(bytes)?,
            None => terminal::print_data(bytes).inspect_err(|error| {
                self.has_no_reader = error.kind() == io::ErrorKind::BrokenPipe;
            })?,
        }
        self.records = self.records.saturating_add(1);
        self.tell(cost);
        Ok(())
    }

    fn place(&mut self) -> io::Result<Option<Place>> {
        let Some(file) = &mut self.file else {
            return Ok(None);
        };
        file.sync_data()?;
        let bytes = file.stream_position()?;
        let before = bytes_before(file, bytes)?;
        let file = file.metadata()?;
        Ok(Some(Place {
            device: file.dev(),
            inode: file.ino(),
            bytes,
            before,
        }))
    }

    fn wants_stop(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }
}

/// The file at `path`, if it is there.
fn opened(path: &Path) -> io::Result<Option<File>> {
    match OpenOptions::new().read(true).write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        file => file.map(Some),
    }
}

/// The file at `path`, cut at `place`. `None` if it is another file, or has less or other bytes. If no record `repeats`, it must
/// end there.
fn opened_at(path: &Path, place: &Place, repeats: bool) -> io::Result<Option<File>> {
    let Some(mut file) = opened(path)? else {
        return Ok(None);
    };
    let found = file.metadata()?;
    let is_same = (found.dev(), found.ino()) == (place.device, place.inode)
        && (found.len() == place.bytes || (repeats && found.len() > place.bytes))
        && bytes_before(&file, place.bytes)? == place.before;
    if !is_same {
        return Ok(None);
    }
    file.set_len(place.bytes)?;
    file.seek(SeekFrom::Start(place.bytes))?;
    Ok(Some(file))
}

/// The file at `path`, if it is there and empty.
fn empty_at(path: &Path) -> io::Result<Option<File>> {
    let Some(file) = opened(path)? else {
        return Ok(None);
    };
    let found = file.metadata()?;
    Ok((found.is_file() && found.len() == 0).then_some(file))
}

/// SHA-256 of the last bytes of a file before this place.
fn bytes_before(file: &File, place: u64) -> io::Result<[u8; 32]> {
    let first = place.saturating_sub(KNOWN_BY_BYTES);
    let length = usize::try_from(place.saturating_sub(first)).unwrap_or_default();
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, first)?;
    Ok(Sha256::digest(&bytes).into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;
    use std::fs;

    fn place_in(path: &Path, bytes: u64) -> Place {
        let file = File::open(path).unwrap();
        let found = file.metadata().unwrap();
        Place {
            device: found.dev(),
            inode: found.ino(),
            bytes,
            before: bytes_before(&file, bytes).unwrap(),
        }
    }

    #[test]
    fn records_begin_in_an_empty_file_and_in_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records");
        assert!(empty_at(&path).unwrap().is_none(), "no file");
        fs::write(&path, b"").unwrap();
        assert!(empty_at(&path).unwrap().is_some());
        fs::write(&path, b"1").unwrap();
        assert!(empty_at(&path).unwrap().is_none(), "somebody's file");
        assert_eq!(fs::read(&path).unwrap(), b"1");
    }

    #[test]
    fn records_go_on_in_their_own_file_only() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("records"), dir.path().join("other"));
        fs::write(&path, b"one two three").unwrap();
        fs::write(&other, b"one two three").unwrap();
        let place = place_in(&path, 8);
        let goes_on = |path: &Path, repeats| opened_at(path, &place, repeats).unwrap().is_some();
        assert!(!goes_on(&other, true), "another file");
        assert!(!goes_on(&dir.path().join("none"), true), "no file");
        assert!(!goes_on(&path, false), "somebody has added to it");
        assert_eq!(fs::read(&path).unwrap(), b"one two three");
        assert!(goes_on(&path, true));
        assert_eq!(fs::read(&path).unwrap(), b"one two ");
        assert!(goes_on(&path, false));
        fs::write(&path, b"ONE TWO three").unwrap();
        assert!(!goes_on(&path, true), "other bytes");
        fs::write(&path, b"one").unwrap();
        assert!(!goes_on(&path, true), "it is shorter");
        assert_eq!(fs::read(&path).unwrap(), b"one");
    }
}
