//! The command line of the merchant.

use crate::admin::{AdminRequest, SaleEvidence, parse_id};
use crate::cli_balance;
use crate::cli_events::{self, EventsArgs};
use crate::cli_goods::{self, GoodsCommand};
use crate::cli_home::{ask, open};
use crate::cli_refund::{self, RefundArgs};
use crate::cli_sales::{self, SalesArgs};
use crate::cli_stream::{self, StreamCommand};
use crate::cli_webhook::{self, WebhookCommand};
use crate::merchant::{Merchant, MerchantParts, Settings};
use crate::migrate::migrate;
use crate::rows::check_currency;
use crate::secret::MerchantSecret;
use crate::shelf::GoodsShelf;
use anyhow::{Result, bail};
use clap::{Args, Parser, Subcommand};
use farthing_coin::SecretKey;
use farthing_node::address::Addresses;
use farthing_node::card::RoleName;
use farthing_node::drain::Drain;
use farthing_node::home::Home;
use farthing_node::home::files::{Existing, Mode, write_output};
use farthing_node::logging::{self, LogFormat};
pub use farthing_node::operator::STORE_DIR;
use farthing_node::operator::lifecycle::{made, ready, with_port};
use farthing_node::operator::{self, Directory, NodeCommand, OperatorError, Report};
use farthing_node::probe::ProcessProbe;
use farthing_node::quic::QuicNetwork;
use farthing_node::serve::serve;
use farthing_node::serve_args::ServeArgs;
use farthing_node::store::{make_store, make_store_in, open_store, parse_url};
use farthing_node::terminal::json_lines;
use farthing_protocol::{evidence::Papers, goods::SealingSecret, money::Amount};
use farthing_store::clock::SystemClock;
use farthing_store::entropy::{Entropy, SystemEntropy};
use farthing_store::{DatabaseUrl, Store, StoreError, StoreOptions};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// The default address of a merchant.
pub const LISTEN_DEFAULT: &str = "127.0.0.1:7003";

/// The merchant of Farthing. It sells digital files to anonymous customers.
#[derive(Debug, Parser)]
#[command(
    name = "farthing-merchant",
    version,
    after_help = "Examples:\n  \
        farthing-merchant init studio                        make a merchant; prints its card\n  \
        farthing-merchant account studio                     print the key for `farthing-bank account open`\n  \
        farthing-merchant network add studio CARD            work with the bank or escrow of this card\n  \
        farthing-merchant goods add studio song.flac --title 'A song' --price 4.50\n  \
        farthing-merchant stream add studio --title 'Prices' --price-per-tick 0.001 --command ./prices\n  \
        farthing-merchant serve studio                       sell until it is stopped with ctrl-c\n  \
        farthing-merchant sales studio                       list the sales, and which of them are credited\n  \
        farthing-merchant refund studio 3fa9 2.00            give 2.00 of the sale 3fa9... back\n  \
        farthing-merchant balance studio                     ask the bank what the account holds\n  \
        farthing-merchant evidence studio 3fa9 -o sale.json  export what proves the sale 3fa9...\n\n\
        Before the first sale: the bank opens your account, and you pin the cards of one bank and one escrow. A sale \
        is `credited` when the bank has paid its price into the account.\n\n\
        Keep a backup of merchant.key and identity.key. Without them you lose goods, sales and the account.\n\n\
        Exit codes: 0 done, 1 refused or failed, 2 the command line is not understood."
)]
struct Cli {
    /// Print one JSON value instead of text.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a merchant in a new directory. The last line is its card, for others to pin.
    Init {
        /// The directory. It must not exist or be empty.
        dir: PathBuf,
        /// The name of the merchant. It is in its card.
        #[arg(long, default_value = "studio")]
        name: String,
        /// The address where it listens. With port 0 it chooses a free port and keeps it.
        #[arg(long, default_value = LISTEN_DEFAULT)]
        listen: SocketAddr,
        /// Addresses where others reach it, if they differ: HOST:PORT, several with commas between them.
        #[arg(long, value_name = "HOST:PORT")]
        advertise: Option<Addresses>,
        /// Keep the store in this PostgreSQL database instead of the directory: postgres://USER@HOST/DATABASE?schema=NAME. The
        /// password comes from PGPASSWORD, or the file that FARTHING_STORE_PASSWORD_FILE names.
        #[arg(long, value_name = "URL")]
        store: Option<String>,
        /// The currency of its prices.
        #[arg(long, default_value = "FTH")]
        currency: String,
    },
    /// Sell goods, until stopped with ctrl-c.
    Serve {
        /// The merchant's directory.
        dir: PathBuf,
        #[command(flatten)]
        args: SellArgs,
    },
    /// Begin an empty store in the place of one that is lost. The goods, the sales and their evidence are forgotten.
    ///
    /// Use it only if no copy of the store is left. Keys, card and account stay the same.
    NewStore(Directory),
    #[command(flatten)]
    Node(NodeCommand),
    /// Print the key under which a bank opens the merchant's account.
    Account(Directory),
    /// Add, change, list and remove goods.
    #[command(subcommand)]
    Goods(GoodsCommand),
    /// Sell live data or a large file by the tick.
    #[command(subcommand)]
    Stream(StreamCommand),
    /// List the sales with their dates, status and totals.
    Sales(SalesArgs),
    /// Give a part of a sale's price back, to a customer whom nobody knows.
    ///
    /// The account pays it. The bank credits the key of the purchase, which only the customer's wallet has.
    Refund(RefundArgs),
    /// Print what happened in the shop: sales, credits, and items that run out. One event on each line.
    Events(EventsArgs),
    /// Post the events to a web shop.
    #[command(subcommand)]
    Webhook(WebhookCommand),
    /// Ask the banks for the balance of the merchant's account.
    Balance(Directory),
    /// Print what proves a sale: contract, receipt, commit, and the bank's signed word. `farthing receipt verify` reads it.
    Evidence {
        /// The merchant's directory.
        dir: PathBuf,
        /// The purchase id or its first characters.
        sale: String,
        /// Write to this file instead. Only its owner can read it.
        #[arg(short, long)]
        output: Option<PathBuf>,
        /// Overwrite the file if it exists.
        #[arg(long, requires = "output")]
        force: bool,
    },
    /// Print the secret with which the key in a sealed offer was sealed, for a judge.
    ///
    /// It answers an escrow of version 1 that has aborted a purchase for a wrong key in the offer. Together with the
    /// customer's documents it shows whether the key was wrong. It opens the goods of this one offer, so show it only to
    /// the judge.
    SealingSecret {
        /// The merchant's directory.
        dir: PathBuf,
        /// The `sale_id` of the offer, from the customer's documents (64 hex characters).
        sale_id: String,
    },
}

/// The settings of one run of a merchant.
#[derive(Debug, Clone, Args)]
pub struct SellArgs {
    #[command(flatten)]
    node: ServeArgs,
    /// How long a customer can buy after an offer was made (ms).
    #[arg(long, value_name = "MS", env = "FARTHING_OFFER_LIFE_MS")]
    offer_life_ms: Option<u64>,
    /// How long the encrypted goods can be downloaded after an offer was made (ms).
    #[arg(long, value_name = "MS", env = "FARTHING_SERVED_MS")]
    served_ms: Option<u64>,
    /// Show the escrow what customers pay on a stream as soon as it is more than this. It is what a crash can cost.
    #[arg(long, value_name = "AMOUNT", env = "FARTHING_RAISE_ABOVE")]
    raise_above: Option<Amount>,
}

impl SellArgs {
    /// The settings with those of this run.
    fn over(&self, settings: Settings) -> Settings {
        Settings {
            offer_life_ms: self.offer_life_ms.unwrap_or(settings.offer_life_ms),
            served_ms: self.served_ms.unwrap_or(settings.served_ms),
            raise_above: self.raise_above.unwrap_or(settings.raise_above),
            ..settings
        }
    }
}

/// Runs `farthing-merchant` with these arguments, the program's name first.
pub fn run(args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> ExitCode {
    operator::run(args, |cli: &Cli| cli.json, execute)
}

async fn execute(cli: Cli) -> Result<Report> {
    match cli.command {
        Command::Init {
            dir,
            name,
            listen,
            advertise,
            store,
            currency,
        } => {
            let store = parse_url(store.as_deref())?;
            init(&dir, &name, listen, advertise, store, currency)
        }
        Command::Serve { dir, args } => {
            serve_dir(&dir, args, cli.json).await?;
            Ok(Report::said())
        }
        Command::NewStore(Directory { dir }) => new_store(&dir),
        Command::Node(command) => Ok(command.execute(RoleName::Merchant).await?),
        Command::Account(Directory { dir }) => account(&dir),
        Command::Goods(command) => cli_goods::execute(command).await,
        Command::Stream(command) => cli_stream::execute(command).await,
        Command::Sales(args) => cli_sales::execute(args).await,
        Command::Refund(args) => cli_refund::execute(args).await,
        Command::Events(args) => cli_events::execute(args, cli.json).await,
        Command::Webhook(command) => cli_webhook::execute(command).await,
        Command::Balance(Directory { dir }) => cli_balance::execute(&dir).await,
        Command::Evidence {
            dir,
            sale,
            output,
            force,
        } => evidence(&dir, sale, output, Existing::by_force(force)).await,
        Command::SealingSecret { dir, sale_id } => sealing_secret(&dir, &sale_id),
    }
}

fn init(
    dir: &Path,
    name: &str,
    listen: SocketAddr,
    advertise: Option<Addresses>,
    store: Option<DatabaseUrl>,
    currency: String,
) -> Result<Report> {
    check_currency(&currency).map_err(anyhow::Error::msg)?;
    let listen = with_port(listen)?;
    let entropy: &dyn Entropy = &SystemEntropy;
    let settings = Settings::new(currency);
    let new = Home::create(
        dir,
        RoleName::Merchant,
        name,
        listen,
        settings,
        &mut entropy.rng(),
    )?;
    let secret = MerchantSecret::generate(entropy);
    secret.save(dir)?;
    GoodsShelf::open(dir)?;
    let new = new.with_store(store);
    make_store(&new, migrate)?;
    let home = new.complete()?;
    let account = secret.account_key().public().to_string();
    let note = format!("its account key is {account}");
    let mut report = made(home, advertise, &note, "its bank and its escrow")?;
    if let Value::Object(fields) = &mut report.json {
        fields.insert("account".into(), account.into());
    }
    Ok(report)
}

/// Begins an empty store in the place of a lost one. A merchant may go on without its store: its escrows bring its commits
/// to the banks, and nothing that it signs twice takes money from anybody. A bank and an escrow have no command like this.
fn new_store(dir: &Path) -> Result<Report> {
    OperatorError::refuse_database(&open(dir)?, "new-store")?;
    let store_dir = dir.join(STORE_DIR);
    match Store::open_existing(&store_dir, StoreOptions::default()) {
        Err(StoreError::Absent { .. }) => make_store_in(&store_dir, migrate)?,
        Err(error) => return Err(error.into()),
        Ok((store, _)) => {
            store.close()?;
            bail!(
                "{} is a store, so no new one is begun; nothing was changed",
                store_dir.display()
            );
        }
    }
    let text = format!(
        "an empty store is in {}; add the goods again with `farthing-merchant goods add`, then run `farthing-merchant serve \
         {}`",
        store_dir.display(),
        dir.display()
    );
    Ok(Report::new(text, json!({ "store": store_dir })))
}

fn account(dir: &Path) -> Result<Report> {
    open(dir)?;
    let account = MerchantSecret::load(dir)?.account_key().public().to_string();
    let json = json!({ "account": account });
    Ok(Report::new(account, json))
}

async fn evidence(dir: &Path, sale: String, output: Option<PathBuf>, existing: Existing) -> Result<Report> {
    open(dir)?;
    let found: SaleEvidence = ask(dir, AdminRequest::Evidence { sale }).await?;
    let evidence = serde_json::to_value(&found.evidence)?;
    let Some(path) = output else {
        return Ok(Report::new(json_lines(&evidence), evidence));
    };
    let mut bytes = json_lines(&evidence).into_bytes();
    bytes.push(b'\n');
    // The file has the goods key, and everyone who reads it can open the goods.
    write_output(&path, &bytes, Mode::Secret, existing)?;
    let purchase = found.purchase;
    Ok(Report::new(
        format!("the evidence of sale {purchase} is in {}", path.display()),
        json!({ "purchase": purchase, "file": path }),
    ))
}

fn sealing_secret(dir: &Path, sale_id: &str) -> Result<Report> {
    open(dir)?;
    let ephemeral = MerchantSecret::load(dir)?.ephemeral(&parse_id(sale_id).map_err(anyhow::Error::msg)?);
    let papers = serde_json::to_value(Papers {
        sealing_secret: Some(SealingSecret::from_bytes(*ephemeral.to_bytes())),
        ..Papers::default()
    })?;
    Ok(Report::new(json_lines(&papers), papers))
}

async fn serve_dir(dir: &Path, args: SellArgs, as_json: bool) -> Result<()> {
    logging::init(if as_json { LogFormat::Json } else { LogFormat::Text })?;
    let home = args.node.clone().over(open(dir)?);
    let settings = args.over(home.config().settings.clone());
    settings.check().map_err(anyhow::Error::msg)?;
    let probe = ProcessProbe::from_environment(RoleName::Merchant.as_str());
    let store = open_store(&home, &probe, migrate)?;
    let merchant = Arc::new(
        Merchant::new(MerchantParts {
            key: SecretKey::from_bytes(&home.identity().to_bytes())?,
            secret: MerchantSecret::load(dir)?,
            settings,
            store: store.clone(),
            shelf: GoodsShelf::open(dir)?,
            network: probe.around_network(Arc::new(QuicNetwork::new())),
            cards: home.network()?.cards().to_vec(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
        })
        .with_drain(Drain::of(dir)?)
        .with_webhook(dir.to_owned()),
    );
    let node = Arc::clone(&merchant);
    let ready = |address| ready(&home, &node.peers, address, as_json);
    serve(&home, merchant, Some(store), &probe, ready).await?;
    Ok(())
}
