//! `farthing watch`.

use super::{
    args::Watch,
    exit::Exit,
    purchases::{find, one_purchase, unseen, with_change},
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
use std::{
    fs::{File, Metadata, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    os::unix::fs::MetadataExt,
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
    sink.flush()?;
    let seen = seen?;
    let row = one_purchase(wallet, seen.number)?;
    let mut report = outcome(&seen, &row);
    if let Some((_, hint)) = unseen(wallet, seen.number, &row)? {
        report.text = format!("{}\n{hint}", report.text);
    }
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

/// Whether `path` is the file of this place, with all records before it.
fn is_in(place: &Place, path: &Path) -> bool {
    let is_same =
        |file: Metadata| (file.dev(), file.ino()) == (place.device, place.inode) && file.len() >= place.bytes;
    path.metadata().is_ok_and(is_same)
}

/// Writes records to a file or to standard output, and progress to standard error.
struct Sink {
    path: Option<PathBuf>,
    existing: Existing,
    /// Where the first record goes.
    place: Option<Place>,
    /// The file, from the first record on.
    file: Option<File>,
    stop: Arc<AtomicBool>,
    /// Whether each record is a line. It is found out with the first record.
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
            place: None,
            file: None,
            stop: Arc::default(),
            adds_line_feeds: true,
            tells: !as_json,
            began: now,
            told: now,
            records: 0,
        })
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

    /// Creates the file, or cuts it where the records go on.
    fn open(&self, path: &Path) -> io::Result<File> {
        let Some(place) = self.place else {
            return File::create(path);
        };
        let mut file = OpenOptions::new().write(true).open(path)?;
        file.set_len(place.bytes)?;
        file.seek(SeekFrom::End(0))?;
        Ok(file)
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.file {
            Some(file) => file.flush().and_then(|()| file.sync_data()),
            None => Ok(()),
        }
    }
}

impl TickSink for Sink {
    fn begin(&mut self, begun: Begun) -> io::Result<()> {
        self.adds_line_feeds = begun.is_live;
        self.began = Instant::now();
        let Some(path) = &self.path else {
            return Ok(());
        };
        self.place = begun.place.filter(|place| is_in(place, path));
        match self.place {
            Some(_) => Ok(()),
            None => files::check_output(path, self.existing).map_err(io::Error::other),
        }
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
        if let (Some(path), None) = (&self.path, &self.file) {
            self.file = Some(self.open(path)?);
        }
        match &mut self.file {
            Some(file) => file.write_all(bytes)?,
            // Nobody reads any more, for example `head`.
            None if terminal::print_data(bytes).is_err() => self.stop.store(true, Ordering::SeqCst),
            None => {}
        }
        self.records = self.records.saturating_add(1);
        self.tell(cost);
        Ok(())
    }

    fn place(&mut self) -> io::Result<Option<Place>> {
        self.flush()?;
        let Some(file) = &mut self.file else {
            return Ok(self.place);
        };
        let (bytes, file) = (file.stream_position()?, file.metadata()?);
        Ok(Some(Place {
            device: file.dev(),
            inode: file.ino(),
            bytes,
        }))
    }

    fn wants_stop(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }
}
