//! Feeds live records to the running node: each line of a command's output, or of standard input.

use crate::admin::{AdminRequest, GoodsAdded, GoodsRemoved};
use crate::cli_home::ask;
use crate::merchant::Settings;
use anyhow::{Context, Result, bail};
use farthing_node::home::Home;
use farthing_node::operator::Report;
use farthing_node::terminal::{Shown, print_note};
use farthing_protocol::{ids::ItemId, limits::TICK_MAX_BYTES};
use farthing_store::clock::{Clock, SystemClock};
use indicatif::ProgressBar;
use serde_json::{Value, json};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::sync::mpsc;

/// The most records in one request to the node.
const BATCH_RECORDS: usize = 1_000;

/// The most bytes of records in one request to the node. In hex they are twice as long.
const BATCH_BYTES: usize = 384 * 1024;

/// The records that were read and not sent.
const QUEUE_RECORDS: usize = 64;

/// The signal of ctrl-c.
const SIGINT: i32 = 2;

/// The exit code of a shell that ctrl-c has ended.
const INTERRUPTED: i32 = 130;

/// How often the number of records is drawn on a terminal.
const DRAWN_EVERY: Duration = Duration::from_millis(200);

/// Where live records come from.
pub(crate) struct Data {
    command: Option<Child>,
    records: mpsc::Receiver<io::Result<Vec<u8>>>,
    /// A record that did not fit into the last request.
    carried: Option<Vec<u8>>,
}

impl Data {
    /// Runs a command, or reads standard input.
    ///
    /// # Errors
    /// When the command cannot be run.
    pub(crate) fn open(command: Option<&str>) -> Result<Self> {
        let Some(command) = command else {
            return Ok(Self {
                command: None,
                records: lines_of(io::stdin()),
                carried: None,
            });
        };
        let mut child = Command::new("sh")
            .args(["-c", command])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot run `sh`")?;
        let output = child.stdout.take().context("the command has no output")?;
        Ok(Self {
            command: Some(child),
            records: lines_of(output),
            carried: None,
        })
    }

    /// The records that there are, at least one. Nothing at the end of the data.
    async fn next(&mut self) -> io::Result<Vec<Vec<u8>>> {
        let mut batch: Vec<Vec<u8>> = self.carried.take().into_iter().collect();
        if batch.is_empty() {
            match self.records.recv().await {
                Some(record) => batch.push(record?),
                None => return Ok(batch),
            }
        }
        let mut bytes = batch.iter().map(Vec::len).sum::<usize>();
        while batch.len() < BATCH_RECORDS {
            let Ok(record) = self.records.try_recv() else {
                break;
            };
            let record = record?;
            bytes = bytes.saturating_add(record.len());
            if bytes > BATCH_BYTES {
                self.carried = Some(record);
                break;
            }
            batch.push(record);
        }
        Ok(batch)
    }

    /// Ends the command, if it still runs, and says how it has ended.
    fn end(&mut self, is_stopped: bool) -> Result<()> {
        let Some(mut child) = self.command.take() else {
            return Ok(());
        };
        if is_stopped {
            // It may have ended by itself.
            let _ended = child.kill();
            let _status = child.wait();
            return Ok(());
        }
        let status = child.wait()?;
        // Ctrl-c in a terminal ends the command too.
        let is_interrupted = status.signal() == Some(SIGINT) || status.code() == Some(INTERRUPTED);
        if !status.success() && !is_interrupted {
            bail!("the command has failed: {status}");
        }
        Ok(())
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        // A command that has not ended prints into nothing.
        let _ended = self.end(true);
    }
}

/// Reads lines in a thread of its own. It does not hold up the end of the program, as a read in the runtime would.
fn lines_of(input: impl Read + Send + 'static) -> mpsc::Receiver<io::Result<Vec<u8>>> {
    let (sender, records) = mpsc::channel(QUEUE_RECORDS);
    std::thread::spawn(move || {
        let mut input = BufReader::new(input);
        loop {
            let read = line_of(&mut input);
            let is_last = !matches!(read, Ok(Some(_)));
            if let Some(read) = read.transpose()
                && sender.blocking_send(read).is_err()
            {
                return;
            }
            if is_last {
                return;
            }
        }
    });
    records
}

/// The next line, without its line feed. `None` at the end.
fn line_of(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let most = u64::try_from(TICK_MAX_BYTES).unwrap_or(u64::MAX);
    let mut line = Vec::new();
    if input.take(most.saturating_add(1)).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.len() > TICK_MAX_BYTES {
        let why = format!("a line has more than {TICK_MAX_BYTES} bytes, which is the most for one tick");
        return Err(io::Error::other(why));
    }
    Ok(Some(line))
}

/// Feeds `data` to the running node until it ends. Then the item is removed from the catalogue, and its streams end.
///
/// # Errors
/// When the node stops, or the data cannot be read, or its command has failed. The item is removed also then.
pub(crate) async fn run(
    home: &Home<Settings>,
    dir: &Path,
    added: &GoodsAdded,
    mut data: Data,
    said: String,
) -> Result<Report> {
    let item_id = added.item_id;
    let mut fed = 0_u64;
    let fed_all = tokio::select! {
        fed_all = feed(dir, item_id, &mut data, &mut fed, &said) => fed_all.map(|()| false),
        stopped = tokio::signal::ctrl_c() => stopped.map(|()| true).map_err(Into::into),
    };
    let is_stopped = !matches!(fed_all, Ok(false));
    let command_ended = data.end(is_stopped);
    let served_ms = home.config().settings.served_ms;
    let end = AdminRequest::StreamEnd {
        item_id,
        served_until_ms: SystemClock.now_ms().saturating_add(served_ms),
    };
    let removed = ask::<GoodsRemoved>(dir, end).await;
    let how = || {
        let records = if fed == 1 { "record" } else { "records" };
        match &removed {
            Ok(_) => format!("has ended after {fed} {records}, and is no longer for sale"),
            Err(error) => format!(
                "has ended after {fed} {records}, but is still for sale, as it could not be removed ({error}); remove it with \
                 `goods remove {} {item_id}`",
                dir.display()
            ),
        }
    };
    fed_all
        .and(command_ended)
        .with_context(|| format!("the stream {}", how()))?;
    let text = format!("`{}` {}\n{item_id}", Shown(&added.title), how());
    let mut json = serde_json::to_value(added)?;
    if let Some(fields) = json.as_object_mut() {
        fields.insert("records".into(), json!(fed));
        fields.insert("removed".into(), json!(removed.is_ok()));
    }
    Ok(Report::new(text, json))
}

async fn feed(dir: &Path, item_id: ItemId, data: &mut Data, fed: &mut u64, said: &str) -> Result<()> {
    let send = async |records: &[Vec<u8>]| {
        let records = records.iter().map(hex::encode).collect();
        let request = AdminRequest::StreamFeed { item_id, records };
        ask::<Value>(dir, request).await
    };
    // It begins the stream, so that customers get offers, and shows whether the node runs.
    send(&[]).await?;
    print_note(&format!("{said}\n{item_id}"));
    // Drawn on standard error, only if it is a terminal.
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(DRAWN_EVERY);
    loop {
        let batch = data.next().await.context("cannot read the data");
        let batch = match batch {
            Ok(batch) if !batch.is_empty() => batch,
            ended => {
                bar.finish_and_clear();
                return ended.map(drop);
            }
        };
        send(&batch).await?;
        *fed = fed.saturating_add(batch.len() as u64);
        bar.set_message(format!("{fed} records are fed"));
    }
}
