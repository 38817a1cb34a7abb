//! The commands about goods.

use crate::admin::{AdminRequest, GoodsAdded, GoodsChanged, GoodsLine, GoodsRemoved, GoodsStock, Page};
use crate::cli_home::{ask, open};
use crate::payable::UnpayableAt;
use crate::rows::Item;
use crate::secret::MerchantSecret;
use crate::shelf::{GoodsShelf, Shelved};
use crate::transactions::ItemChange;
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use farthing_node::offer_uri::OfferUri;
use farthing_node::operator::{Directory, Report, all_pages};
use farthing_node::qr::drawn;
use farthing_node::table::{Align, table};
use farthing_node::terminal::Shown;
use farthing_protocol::goods::{GoodsSummary, SALT_BYTES};
use farthing_protocol::ids::{EncryptedDigest, GoodsDigest, ItemId};
use farthing_protocol::money::Amount;
use farthing_store::clock::{Clock, SystemClock};
use farthing_store::entropy::{Entropy, SystemEntropy};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::fs::File;
use std::path::{Path, PathBuf};

/// The media type of a file with an unknown ending.
const MEDIA_TYPE_UNKNOWN: &str = "application/octet-stream";

/// The media types of known endings.
const MEDIA_TYPES: [(&str, &str); 24] = [
    ("txt", "text/plain"),
    ("md", "text/markdown"),
    ("html", "text/html"),
    ("csv", "text/csv"),
    ("json", "application/json"),
    ("pdf", "application/pdf"),
    ("epub", "application/epub+zip"),
    ("zip", "application/zip"),
    ("gz", "application/gzip"),
    ("tar", "application/x-tar"),
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("svg", "image/svg+xml"),
    ("mp3", "audio/mpeg"),
    ("ogg", "audio/ogg"),
    ("flac", "audio/flac"),
    ("wav", "audio/wav"),
    ("mp4", "video/mp4"),
    ("webm", "video/webm"),
    ("mkv", "video/x-matroska"),
    ("wasm", "application/wasm"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum GoodsCommand {
    /// Encrypt a file and offer it for sale. Works whether the node runs or not.
    Add(AddArgs),
    /// List the goods for sale.
    List(Directory),
    /// Change the title, description or price of an item. Its goods are not encrypted again.
    ///
    /// Offers that are out keep what they say until they expire.
    Set(SetArgs),
    /// Set how many of an item can still be sold.
    ///
    /// Each offer that is out reserves one until it expires. The count includes them.
    #[command(group = clap::ArgGroup::new("count").required(true).args(["left", "unlimited"]))]
    Stock {
        /// The merchant's directory.
        dir: PathBuf,
        /// The item id or its first characters.
        item: String,
        /// How many can still be sold.
        left: Option<u64>,
        /// Sell any number.
        #[arg(long)]
        unlimited: bool,
    },
    /// Print a link with which a wallet buys an item (`farthing open`), for a web page or a poster.
    ///
    /// The wallet needs the merchant's card, and pays at most the price in the link.
    Link {
        /// The merchant's directory.
        dir: PathBuf,
        /// The item id or its first characters.
        item: String,
        /// Draw it as a QR code too.
        #[arg(long)]
        qr: bool,
    },
    /// Remove an item from the catalogue. Its goods are served as long as earlier offers promise.
    Remove {
        /// The merchant's directory.
        dir: PathBuf,
        /// The item id or its first characters.
        item: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// The merchant's directory.
    dir: PathBuf,
    /// The file to sell. It is read once. The merchant stores only the encrypted goods.
    file: PathBuf,
    /// The title that customers see.
    #[arg(long)]
    title: String,
    /// The price, such as 20 or 4.50. An item at 0 is free: no coins, no escrow, no bank.
    #[arg(long)]
    price: Amount,
    /// The description that customers see.
    #[arg(long, default_value = "")]
    description: String,
    /// The media type. By default it follows from the ending of the file name.
    #[arg(long)]
    media_type: Option<String>,
    /// Seal the key of each sale to the escrow, inside the offer. The escrow releases it as soon as the coins are held.
    ///
    /// A purchase then takes one step less, and succeeds while this node is down. There are two costs. A customer can use
    /// an offer until it expires, even if you remove the item. And the escrow could open the goods of every offer that it
    /// sees, also without a purchase. Without this option, this node releases the key of each sale after the coins are
    /// held.
    #[arg(long)]
    sealed: bool,
    /// Sell only this many. `goods stock` changes the count later.
    #[arg(long, value_name = "N")]
    stock: Option<u64>,
}

#[derive(Debug, Args)]
#[group(id = "change", required = true, multiple = true, args = ["title", "description", "price"])]
pub(crate) struct SetArgs {
    /// The merchant's directory.
    dir: PathBuf,
    /// The item id or its first characters.
    item: String,
    /// The new title.
    #[arg(long)]
    title: Option<String>,
    /// The new description.
    #[arg(long)]
    description: Option<String>,
    /// The new price, such as 20 or 4.50; 0 for a free item.
    #[arg(long)]
    price: Option<Amount>,
}

pub(crate) async fn execute(command: GoodsCommand) -> Result<Report> {
    match command {
        GoodsCommand::Add(args) => add(args).await,
        GoodsCommand::List(Directory { dir }) => list(&dir).await,
        GoodsCommand::Set(args) => set(args).await,
        GoodsCommand::Stock { dir, item, left, .. } => stock(&dir, item, left).await,
        GoodsCommand::Link { dir, item, qr } => link(&dir, item, qr).await,
        GoodsCommand::Remove { dir, item } => remove(&dir, item).await,
    }
}

async fn add(args: AddArgs) -> Result<Report> {
    let home = open(&args.dir)?;
    let secret = MerchantSecret::load(&args.dir)?;
    let file_name = args.file.file_name().unwrap_or_default();
    let mut item = Item {
        title: args.title,
        description: args.description,
        media_type: args
            .media_type
            .unwrap_or_else(|| guess_media_type(&args.file).into()),
        price: args.price,
        currency: home.config().settings.currency.clone(),
        summary: GoodsSummary {
            size_bytes: 0,
            encrypted_bytes: 0,
            digest: GoodsDigest([0; 32]),
            encrypted_digest: EncryptedDigest([0; 32]),
        },
        file_name: file_name.to_string_lossy().into_owned(),
        sealed: args.sealed,
    };
    // Checked before the encryption, which may take long.
    item.check().map_err(anyhow::Error::msg)?;
    let mut item_id = [0; 32];
    SystemEntropy.fill(&mut item_id);
    let shelf = GoodsShelf::open(&args.dir)?;
    // Holds the file until its row is written. The background loop would otherwise remove it.
    let shelved = encrypt(&shelf, &secret, &ItemId(item_id), &args.file)?;
    item.summary = shelved.summary;
    let request = AdminRequest::GoodsAdd {
        item_id: ItemId(item_id),
        item: Box::new(item),
        stock: args.stock,
    };
    let answered = ask::<GoodsAdded>(&args.dir, request).await;
    drop(shelved);
    let added = match answered {
        Ok(added) => added,
        Err(error) => {
            // A file that cannot be removed now is removed by the background loop.
            let _left = shelf.remove(&ItemId(item_id));
            return Err(error.into());
        }
    };
    let mut text = format!(
        "`{}` is for sale at {} {}",
        Shown(&added.title),
        added.price,
        added.currency
    );
    text.push_str(&warnings(&added.unpayable, added.price));
    text.push_str(&format!("\n{}", added.item_id));
    Ok(Report::new(text, serde_json::to_value(added)?))
}

/// The warnings of banks whose coins cannot pay a price.
pub(crate) fn warnings(unpayable: &[UnpayableAt], price: Amount) -> String {
    let warning = |UnpayableAt { bank, highest }: &UnpayableAt| {
        format!(
            "\nwarning: nobody can buy it with coins of the bank {bank}, as no payment there can be worth {price}; the \
             highest price up to it that can be paid there is {highest}"
        )
    };
    unpayable.iter().map(warning).collect()
}

async fn stock(dir: &Path, item: String, left: Option<u64>) -> Result<Report> {
    open(dir)?;
    let set: GoodsStock = ask(dir, AdminRequest::GoodsStock { item, left }).await?;
    let title = Shown(&set.title);
    let reserved = set.stock.reserved;
    let text = match set.stock.left {
        None => format!("any number of `{title}` is for sale"),
        Some(left) if left >= reserved => {
            format!("{left} of `{title}` are left; offers that are out reserve {reserved} of them")
        }
        Some(left) => format!(
            "{left} of `{title}` are left, but offers that are out reserve {reserved}, and each of them can still be bought \
             until it expires; no new offer is made meanwhile"
        ),
    };
    Ok(Report::new(text, serde_json::to_value(set)?))
}

async fn link(dir: &Path, item: String, qr: bool) -> Result<Report> {
    let identity = open(dir)?.card()?.identity;
    let GoodsLine { item_id, item, .. } = ask(dir, AdminRequest::GoodsShow { item }).await?;
    let uri = OfferUri::new(&identity, item_id, item.price, &item.title).to_string();
    let json = json!({ "uri": uri, "item_id": item_id, "price": item.price.to_string() });
    Ok(Report::new(drawn(uri, qr)?, json))
}

async fn set(args: SetArgs) -> Result<Report> {
    open(&args.dir)?;
    let request = AdminRequest::GoodsSet {
        item: args.item,
        change: ItemChange {
            title: args.title,
            description: args.description,
            price: args.price,
        },
    };
    let GoodsChanged {
        item_id,
        item,
        unpayable,
    } = ask(&args.dir, request).await?;
    let mut text = format!(
        "`{}` is for sale at {} {}; offers that are out keep what they say until they expire",
        Shown(&item.title),
        item.price,
        item.currency
    );
    text.push_str(&warnings(&unpayable, item.price));
    let json = json!({
        "item_id": item_id,
        "title": item.title,
        "description": item.description,
        "price": item.price.to_string(),
        "currency": item.currency,
        "unpayable": unpayable,
    });
    Ok(Report::new(text, json))
}

fn encrypt(shelf: &GoodsShelf, secret: &MerchantSecret, item_id: &ItemId, path: &Path) -> Result<Shelved> {
    let mut file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        bail!(
            "{} is not a file; pack a folder into an archive first",
            path.display()
        );
    }
    let mut salt = [0; SALT_BYTES];
    SystemEntropy.fill(&mut salt);
    // Drawn on standard error, only if it is a terminal.
    let bar = ProgressBar::new(metadata.len());
    if let Ok(style) = ProgressStyle::with_template("encrypting {bar:30} {bytes}/{total_bytes} {eta}") {
        bar.set_style(style);
    }
    let key = secret.content_key(item_id);
    let shelved = shelf.add(item_id, &key, salt, &mut file, |done_bytes| {
        bar.set_position(done_bytes)
    });
    bar.finish_and_clear();
    shelved.with_context(|| format!("cannot encrypt {}", path.display()))
}

async fn list(dir: &Path) -> Result<Report> {
    open(dir)?;
    let page = async |after| {
        let page: Page<GoodsLine> = ask(dir, AdminRequest::GoodsList { after }).await?;
        Ok((page.lines, page.more))
    };
    let lines = all_pages(|line: &GoodsLine| line.item_id, page).await?;
    let mut items = Vec::new();
    let mut rows = Vec::new();
    for line in lines {
        let GoodsLine {
            item_id,
            item,
            stock,
            ticks,
        } = line;
        rows.push([
            item_id.to_string(),
            item.price.to_string(),
            item.currency.clone(),
            item.summary.size_bytes.to_string(),
            stock.left.map_or_else(String::new, |left| left.to_string()),
            ticks.map_or_else(String::new, |ticks| ticks.to_string()),
            item.title.clone(),
        ]);
        items.push(json!({
            "item_id": item_id,
            "title": item.title,
            "description": item.description,
            "media_type": item.media_type,
            "price": item.price.to_string(),
            "currency": item.currency,
            "size_bytes": item.summary.size_bytes,
            "encrypted_bytes": item.summary.encrypted_bytes,
            "file_name": item.file_name,
            "sealed": item.sealed,
            "left": stock.left,
            "ticks": ticks,
            "reserved": stock.reserved,
        }));
    }
    let columns = [
        ("ITEM", Align::Left),
        ("PRICE", Align::Right),
        ("CURRENCY", Align::Left),
        ("BYTES", Align::Right),
        ("LEFT", Align::Right),
        ("TICKS", Align::Right),
        ("TITLE", Align::Left),
    ];
    let text = match rows.is_empty() {
        true => "nothing is for sale; add goods with `goods add DIR FILE --title TITLE --price PRICE`, or a stream with `stream add`"
            .into(),
        false => table(columns, &rows),
    };
    Ok(Report::new(text, json!({ "items": items })))
}

async fn remove(dir: &Path, item: String) -> Result<Report> {
    let home = open(dir)?;
    let served_until_ms = SystemClock
        .now_ms()
        .saturating_add(home.config().settings.served_ms);
    let request = AdminRequest::GoodsRemove {
        item,
        served_until_ms,
    };
    let removed: GoodsRemoved = ask(dir, request).await?;
    let text = format!(
        "`{}` is no longer for sale; its encrypted file is served as long as an earlier offer promises, and then deleted",
        Shown(&removed.title)
    );
    Ok(Report::new(text, serde_json::to_value(removed)?))
}

pub(crate) fn guess_media_type(path: &Path) -> &'static str {
    let ending = path
        .extension()
        .and_then(|ending| ending.to_str())
        .unwrap_or_default();
    MEDIA_TYPES
        .iter()
        .find(|(known, _)| ending.eq_ignore_ascii_case(known))
        .map_or(MEDIA_TYPE_UNKNOWN, |(_, media_type)| media_type)
}
