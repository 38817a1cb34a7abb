//! The commands about streams.

use crate::admin::{AdminRequest, GoodsAdded};
use crate::cli_feed::{self, Data};
use crate::cli_goods::{guess_media_type, warnings};
use crate::cli_home::{ask, open};
use crate::rows::{Item, StreamItem, StreamSource};
use crate::shelf::{GoodsShelf, ShelvedChunks};
use crate::streams::source::digest_chunks;
use crate::streams::tick_price::TickPrice;
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use farthing_node::operator::Report;
use farthing_node::terminal::Shown;
use farthing_protocol::goods::{GoodsSummary, encrypted_len};
use farthing_protocol::ids::{EncryptedDigest, GoodsDigest, ItemId};
use farthing_protocol::limits::TICK_MAX_BYTES;
use farthing_protocol::stream::chain::TICKS_MAX;
use farthing_store::entropy::{Entropy, SystemEntropy};
use indicatif::{ProgressBar, ProgressStyle};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// The number of ticks of a live stream, unless the command names another.
const TICKS_DEFAULT: u32 = 1000;

/// The size of a chunk, unless the command names another (bytes).
const CHUNK_DEFAULT_BYTES: u32 = 64 * 1024;

/// The largest chunk (bytes).
const CHUNK_MAX_BYTES: i64 = TICK_MAX_BYTES as i64;

/// The media type of live records.
const LINES_MEDIA_TYPE: &str = "text/plain";

#[derive(Debug, Subcommand)]
pub(crate) enum StreamCommand {
    /// Sell data by the tick: the chunks of a file, or live records, one for each line.
    ///
    /// A customer has the coins for all ticks held once, and then pays tick by tick, for as long as they watch. What they do
    /// not use comes back to them. Each tick is paid for after the customer has it, encrypted, and opened by the payment.
    ///
    /// With --file each tick is one chunk of the file, and the file has to stay as it is and where it is. With --command
    /// each line that the command prints is a tick, and without both each line of standard input. These lines go to the
    /// running node, and to the customers who watch then. The command ends with the data: then the stream is no longer for
    /// sale, and ends for its customers when they have paid for what they have. Ctrl-c ends it too.
    #[command(after_help = "Examples:\n  \
        farthing-merchant stream add studio --title 'Prices' --price-per-tick 0.001 --command './prices'\n  \
        tail -f readings.csv | farthing-merchant stream add studio --title 'Weather' --price-per-tick 0.01 --ticks 500\n  \
        farthing-merchant stream add studio --title 'A film' --price-per-tick 0.02 --file film.mkv --chunk 262144\n\n\
        All ticks together have to cost a whole amount: 1000 ticks at 0.001 cost 1.00. A wallet has coins of that price held, \
        so a stream with many ticks asks for many coins. `goods list` shows the streams, `goods remove` removes one, and \
        `sales` shows what was paid.")]
    Add(StreamAddArgs),
}

#[derive(Debug, Args)]
pub(crate) struct StreamAddArgs {
    /// The merchant's directory.
    dir: PathBuf,
    /// The title that customers see.
    #[arg(long)]
    title: String,
    /// The price of one tick, such as 0.05 or 0.001. It may be less than the smallest amount, 0.01.
    #[arg(long, value_name = "PRICE")]
    price_per_tick: TickPrice,
    /// How many ticks a customer can buy at once: 1000 by default. For a file, at least its number of chunks.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(TICKS_MAX)))]
    ticks: Option<u32>,
    /// Sell this file in chunks. It is not copied: do not change or move it while it is for sale.
    #[arg(long, conflicts_with = "command")]
    file: Option<PathBuf>,
    /// The size of a chunk (bytes): 65536 by default, 262144 at most.
    #[arg(long, value_name = "BYTES", requires = "file", value_parser = clap::value_parser!(u32).range(1..=CHUNK_MAX_BYTES))]
    chunk: Option<u32>,
    /// Run this command with `sh -c`, and sell the lines that it prints.
    #[arg(long, value_name = "CMD")]
    command: Option<String>,
    /// The description that customers see.
    #[arg(long, default_value = "")]
    description: String,
    /// The media type. By default it follows from the ending of the file name, and is text for live records.
    #[arg(long)]
    media_type: Option<String>,
}

pub(crate) async fn execute(command: StreamCommand) -> Result<Report> {
    match command {
        StreamCommand::Add(args) => add(args).await,
    }
}

async fn add(args: StreamAddArgs) -> Result<Report> {
    let home = open(&args.dir)?;
    let mut item_id = [0; 32];
    SystemEntropy.fill(&mut item_id);
    let item_id = ItemId(item_id);
    let mut item = Item {
        title: args.title.clone(),
        description: args.description.clone(),
        media_type: args.media_type.clone().unwrap_or_else(|| match &args.file {
            Some(file) => guess_media_type(file).into(),
            None => LINES_MEDIA_TYPE.into(),
        }),
        price: args.price_per_tick.of(1).unwrap_or_default(),
        currency: home.config().settings.currency.clone(),
        summary: summary(0),
        file_name: String::new(),
        sealed: false,
    };
    // Checked before the file is read, which may take long.
    item.check().map_err(anyhow::Error::msg)?;
    let Some(file) = &args.file else {
        let ticks = args.ticks.unwrap_or(TICKS_DEFAULT);
        item.price = args.price_per_tick.of(ticks)?;
        let source = StreamSource::Live;
        let stream = StreamItem { ticks, source };
        stream.check(item.price).map_err(anyhow::Error::msg)?;
        let data = Data::open(args.command.as_deref())?;
        let added: GoodsAdded = ask(&args.dir, request(item_id, item, stream)).await?;
        let said = for_sale(&added, ticks, &args.price_per_tick);
        return cli_feed::run(&home, &args.dir, &added, data, said).await;
    };
    let shelf = GoodsShelf::open(&args.dir)?;
    // Holds the digests until the row is written. The background loop would otherwise remove them.
    let (stream, size_bytes, shelved) = read(&args, file, &shelf, &item_id)?;
    let ticks = stream.ticks;
    item.price = args.price_per_tick.of(ticks)?;
    item.summary = summary(size_bytes);
    item.file_name = file
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let added = ask::<GoodsAdded>(&args.dir, request(item_id, item, stream)).await;
    drop(shelved);
    match added {
        Ok(added) => {
            let text = format!("{}\n{item_id}", for_sale(&added, ticks, &args.price_per_tick));
            let mut json = serde_json::to_value(added)?;
            if let Some(fields) = json.as_object_mut() {
                fields.insert("ticks".into(), ticks.into());
            }
            Ok(Report::new(text, json))
        }
        Err(error) => {
            // Digests that cannot be removed now are removed by the background loop.
            let _left = shelf.remove(&item_id);
            Err(error.into())
        }
    }
}

fn request(item_id: ItemId, item: Item, stream: StreamItem) -> AdminRequest {
    AdminRequest::StreamAdd {
        item_id,
        item: Box::new(item),
        stream,
    }
}

/// What customers are told of the data. Its digest is unknown: they pay for each tick that they hold.
fn summary(size_bytes: u64) -> GoodsSummary {
    GoodsSummary {
        size_bytes,
        encrypted_bytes: encrypted_len(size_bytes),
        digest: GoodsDigest([0; 32]),
        encrypted_digest: EncryptedDigest([0; 32]),
    }
}

fn for_sale(added: &GoodsAdded, ticks: u32, price: &TickPrice) -> String {
    let mut text = format!(
        "`{}` is for sale by the tick, at {price} {} each; {ticks} ticks cost {}",
        Shown(&added.title),
        added.currency,
        added.price
    );
    text.push_str(&warnings(&added.unpayable, added.price));
    text
}

/// Reads a file, and adds the digests of its chunks to the shelf. The file has a tick for each chunk. If the price needs it,
/// the stream has a few more, which nobody gets.
fn read(
    args: &StreamAddArgs,
    file: &Path,
    shelf: &GoodsShelf,
    item_id: &ItemId,
) -> Result<(StreamItem, u64, ShelvedChunks)> {
    let cannot_read = || format!("cannot read {}", file.display());
    let path = fs::canonicalize(file).with_context(cannot_read)?;
    let mut opened = File::open(&path).with_context(cannot_read)?;
    let metadata = opened.metadata().with_context(cannot_read)?;
    if !metadata.is_file() {
        bail!(
            "{} is not a file; pack a folder into an archive first",
            file.display()
        );
    }
    let path = path
        .to_str()
        .with_context(|| format!("the path {} is not UTF-8; rename it first", path.display()))?;
    let chunk_bytes = args.chunk.unwrap_or(CHUNK_DEFAULT_BYTES);
    let chunks = chunks_of(metadata.len(), chunk_bytes, file)?;
    let least = args.ticks.or_else(|| args.price_per_tick.next_ticks(chunks));
    let stream = StreamItem {
        ticks: least.unwrap_or(chunks),
        source: StreamSource::File {
            path: path.to_owned(),
            chunk_bytes,
            chunks,
        },
    };
    let price = args.price_per_tick.of(stream.ticks)?;
    stream.check(price).map_err(anyhow::Error::msg)?;
    // Drawn on standard error, only if it is a terminal.
    let bar = ProgressBar::new(metadata.len());
    if let Ok(style) = ProgressStyle::with_template("reading {bar:30} {bytes}/{total_bytes} {eta}") {
        bar.set_style(style);
    }
    let digests = digest_chunks(&mut opened, chunk_bytes, |done_bytes| {
        bar.set_position(done_bytes)
    });
    bar.finish_and_clear();
    let (digests, size_bytes) = digests.with_context(cannot_read)?;
    if size_bytes != metadata.len() {
        bail!(
            "{} changes while it is read; add it when it is complete",
            file.display()
        );
    }
    let shelved = shelf.add_chunks(item_id, &digests)?;
    Ok((stream, size_bytes, shelved))
}

/// The number of chunks of a file.
fn chunks_of(size_bytes: u64, chunk_bytes: u32, file: &Path) -> Result<u32> {
    if size_bytes == 0 {
        bail!("{} is empty; there is nothing to sell", file.display());
    }
    let chunks = size_bytes.div_ceil(u64::from(chunk_bytes).max(1));
    if chunks > u64::from(TICKS_MAX) {
        bail!(
            "{} has {chunks} chunks of {chunk_bytes} bytes, and a stream has at most {TICKS_MAX} ticks; give a larger --chunk, \
             such as {}, or sell the file in parts",
            file.display(),
            size_bytes.div_ceil(TICKS_MAX.into()).next_power_of_two()
        );
    }
    Ok(u32::try_from(chunks)?)
}
