//! The command line of the merchant.

use crate::admin::{AdminRequest, SaleLine, answer};
use crate::cli_goods::{self, GoodsCommand};
use crate::merchant::{Merchant, MerchantParts, Settings, check_currency};
use crate::secret::MerchantSecret;
use crate::shelf::Shelf;
use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use farthing_coin::SecretKey;
use farthing_node::admin::admin_call;
use farthing_node::card::{Card, NetworkFile, RoleName};
use farthing_node::clock::SystemClock;
use farthing_node::disk::FileDisk;
use farthing_node::entropy::{Entropy, SystemEntropy};
use farthing_node::home::{Home, files};
use farthing_node::logging::{self, LogFormat};
use farthing_node::operator::report::{self, Report};
use farthing_node::quic::QuicNetwork;
use farthing_node::serve::{open_store, serve};
use farthing_node::store::{Store, StoreError, StoreOptions, verify};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::io::Write;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// The folder of the store in the merchant's directory.
pub const STORE_DIR: &str = "store";

/// Where a merchant listens unless it is told otherwise.
pub const LISTEN_DEFAULT: &str = "127.0.0.1:7003";

/// How often a command looks again for a node that is just starting or stopping.
const SEND_TRIES: u32 = 20;

/// The pause between two looks (ms).
const SEND_PAUSE_MS: u64 = 100;

/// The merchant of Farthing: it sells files to people that it does not know.
#[derive(Debug, Parser)]
#[command(
    name = "farthing-merchant",
    version,
    after_help = "Examples:\n  \
        farthing-merchant init studio                        make a merchant; prints its card\n  \
        farthing-merchant account studio                     the key under which the bank opens its account\n  \
        farthing-merchant network add studio CARD            work with the bank or escrow of this card\n  \
        farthing-merchant goods add studio song.flac --title 'A song' --price 4.50\n  \
        farthing-merchant serve studio                       sell until it is stopped with ctrl-c\n  \
        farthing-merchant sales studio                       what was sold, and whether it is credited\n  \
        farthing-merchant evidence studio 3fa9 -o sale.json  what proves the sale 3fa9...\n\n\
        Keep a backup of merchant.key and identity.key: all goods, sales and the account hang on them.\n\n\
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
    /// Make a merchant in a new directory; its card is the last line.
    Init {
        /// The directory: it must not exist or be empty.
        dir: PathBuf,
        /// What people call it.
        #[arg(long, default_value = "studio")]
        name: String,
        /// Where it listens; with port 0 a free one is chosen and kept.
        #[arg(long, default_value = LISTEN_DEFAULT)]
        listen: SocketAddr,
        /// The currency of its prices.
        #[arg(long, default_value = "FTH")]
        currency: String,
    },
    /// Answer customers until stopped.
    Serve {
        /// The merchant's directory.
        dir: PathBuf,
    },
    /// Print the card that customers pin.
    Card {
        /// The merchant's directory.
        dir: PathBuf,
    },
    /// Print the key under which a bank opens the merchant's account.
    Account {
        /// The merchant's directory.
        dir: PathBuf,
    },
    /// The banks and escrows that the merchant works with.
    #[command(subcommand)]
    Network(NetworkCommand),
    /// What is for sale.
    #[command(subcommand)]
    Goods(GoodsCommand),
    /// List what was sold.
    Sales {
        /// The merchant's directory.
        dir: PathBuf,
    },
    /// Print what proves a sale: contract, receipt, commit, and the bank's word.
    Evidence {
        /// The merchant's directory.
        dir: PathBuf,
        /// The purchase's id, or the beginning of it.
        sale: String,
        /// Write it to this file instead.
        #[arg(short, long)]
        output: Option<PathBuf>,
    },
    /// Check the whole journal of a stopped merchant; changes nothing.
    Verify {
        /// The merchant's directory.
        dir: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum NetworkCommand {
    /// Pin a card; a running merchant takes it up at once.
    Add {
        /// The merchant's directory.
        dir: PathBuf,
        /// The card, one line, as its owner printed it.
        card: Card,
    },
    /// List the pinned cards.
    List {
        /// The merchant's directory.
        dir: PathBuf,
    },
}

/// Runs `farthing-merchant` with these arguments, the program's name first.
pub fn run(args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let _gone = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match start(cli.command, cli.json) {
        Ok(code) => code,
        Err(error) => {
            let _gone = writeln!(std::io::stderr(), "error: {error:#}");
            if cli.json {
                let _gone = writeln!(std::io::stdout(), "{}", json!({ "error": format!("{error:#}") }));
            }
            ExitCode::FAILURE
        }
    }
}

fn start(command: Command, as_json: bool) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(execute(command, as_json))
}

async fn execute(command: Command, as_json: bool) -> Result<ExitCode> {
    let report = match command {
        Command::Init {
            dir,
            name,
            listen,
            currency,
        } => init(&dir, &name, listen, currency)?,
        Command::Serve { dir } => {
            serve_dir(&dir, as_json).await?;
            return Ok(ExitCode::SUCCESS);
        }
        Command::Card { dir } => card_report(&open(&dir)?.card()?),
        Command::Account { dir } => account(&dir)?,
        Command::Network(NetworkCommand::Add { dir, card }) => network_add(&dir, card).await?,
        Command::Network(NetworkCommand::List { dir }) => report::cards(open(&dir)?.network()?.cards()),
        Command::Goods(command) => cli_goods::execute(command).await?,
        Command::Sales { dir } => sales(&dir).await?,
        Command::Evidence { dir, sale, output } => evidence(&dir, sale, output).await?,
        Command::Verify { dir } => {
            open(&dir)?;
            let found = verify(&dir.join(STORE_DIR), &FileDisk, &|_| {})?;
            report::verified(&found).print(as_json);
            let whole = found.damage.is_none();
            return Ok(if whole {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            });
        }
    };
    report.print(as_json);
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn open(dir: &Path) -> Result<Home<Settings>> {
    Ok(Home::open(dir, RoleName::Merchant)?)
}

/// Has the running node do what `request` asks, or does it itself when no node runs.
pub(crate) async fn send(dir: &Path, request: AdminRequest) -> Result<Value> {
    let value = serde_json::to_value(&request)?;
    let shelf = Shelf::open(dir)?;
    for _ in 0..SEND_TRIES {
        if let Some(answer) = admin_call(dir, &value).await? {
            return Ok(answer);
        }
        match Store::open(&dir.join(STORE_DIR), StoreOptions::default()) {
            Ok((store, _)) => {
                let answered = answer(&store, &shelf, request).map_err(anyhow::Error::msg);
                store.close()?;
                return answered;
            }
            // A node that is starting or stopping has the store, and no socket.
            Err(StoreError::InUse { .. }) => {
                tokio::time::sleep(Duration::from_millis(SEND_PAUSE_MS)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    bail!(
        "the merchant's store is in use, but nobody answers its operator; stop what uses it, or try again later"
    )
}

/// All lines of a list that comes in pages.
pub(crate) async fn all_lines(
    dir: &Path,
    request: impl Fn(Option<String>) -> AdminRequest,
) -> Result<Vec<Value>> {
    let mut lines = Vec::new();
    let mut after = None;
    loop {
        let mut page = send(dir, request(after)).await?;
        if let Some(Value::Array(more)) = page.get_mut("lines").map(Value::take) {
            lines.extend(more);
        }
        let last = page.get("last").and_then(Value::as_str).map(str::to_owned);
        let more = page.get("more").and_then(Value::as_bool).unwrap_or_default();
        if !more || last.is_none() {
            return Ok(lines);
        }
        after = last;
    }
}

fn card_report(card: &Card) -> Report {
    Report {
        text: card.to_string(),
        json: json!({ "card": card, "identity": card.identity_hex() }),
    }
}

fn init(dir: &Path, name: &str, listen: SocketAddr, currency: String) -> Result<Report> {
    check_currency(&currency).map_err(anyhow::Error::msg)?;
    let listen = with_port(listen)?;
    let entropy: &dyn Entropy = &SystemEntropy;
    let settings = Settings::new(currency);
    let home = Home::create(
        dir,
        RoleName::Merchant,
        name,
        listen,
        settings,
        &mut entropy.rng(),
    )?;
    let secret = MerchantSecret::generate(entropy);
    secret.save(dir)?;
    Shelf::open(dir)?;
    // Made now, so that every command finds a store, and a node starts at once.
    let (store, _) = Store::open(&dir.join(STORE_DIR), StoreOptions::default())?;
    store.close()?;
    let card = home.card()?;
    let account = secret.account_key().public().to_string();
    Ok(Report {
        text: format!(
            "the merchant `{name}` is made in {dir}; its account key is {account}\nadd its bank and its escrow with \
             `farthing-merchant network add {dir} CARD`, then run `farthing-merchant serve {dir}`\n{card}",
            dir = dir.display()
        ),
        json: json!({ "card": card, "identity": card.identity_hex(), "account": account }),
    })
}

/// The address with a free port, if none was given.
fn with_port(listen: SocketAddr) -> Result<SocketAddr> {
    if listen.port() != 0 {
        return Ok(listen);
    }
    let socket = UdpSocket::bind(listen).with_context(|| format!("cannot listen on {listen}"))?;
    Ok(socket.local_addr()?)
}

fn account(dir: &Path) -> Result<Report> {
    open(dir)?;
    let account = MerchantSecret::load(dir)?.account_key().public().to_string();
    Ok(Report {
        json: json!({ "account": account }),
        text: account,
    })
}

async fn network_add(dir: &Path, card: Card) -> Result<Report> {
    open(dir)?;
    let title = card.title();
    let request = serde_json::to_value(AdminRequest::NetworkAdd { card: card.clone() })?;
    let text = match admin_call(dir, &request).await? {
        Some(answer) => answer.as_str().unwrap_or_default().to_owned(),
        None => report::added(&title, &NetworkFile::load(dir)?.add(card.clone())?),
    };
    Ok(Report {
        json: json!({ "card": card, "message": text }),
        text,
    })
}

async fn sales(dir: &Path) -> Result<Report> {
    open(dir)?;
    let lines = all_lines(dir, |after| AdminRequest::Sales { after }).await?;
    let mut sales: Vec<SaleLine> = Vec::new();
    for line in lines {
        sales.push(serde_json::from_value(line)?);
    }
    let show = |sale: &SaleLine| {
        let why = sale
            .why
            .as_ref()
            .map(|why| format!(": {why}"))
            .unwrap_or_default();
        format!(
            "{}  {:>10} {}  {:9}  {}{why}",
            sale.purchase, sale.amount, sale.currency, sale.state, sale.title
        )
    };
    Ok(Report {
        text: if sales.is_empty() {
            "nothing was sold yet".into()
        } else {
            sales.iter().map(show).collect::<Vec<_>>().join("\n")
        },
        json: json!({ "sales": sales }),
    })
}

async fn evidence(dir: &Path, sale: String, output: Option<PathBuf>) -> Result<Report> {
    open(dir)?;
    let mut found = send(dir, AdminRequest::Evidence { sale }).await?;
    let evidence = found.get_mut("evidence").map(Value::take).unwrap_or_default();
    let Some(path) = output else {
        return Ok(Report {
            text: serde_json::to_string_pretty(&evidence)?,
            json: evidence,
        });
    };
    let mut bytes = serde_json::to_vec_pretty(&evidence)?;
    bytes.push(b'\n');
    // With the goods key in it: whoever reads it can open the goods.
    files::replace(&path, &bytes, files::Mode::Secret)
        .with_context(|| format!("cannot write {}", path.display()))?;
    let purchase = found.get("purchase").and_then(Value::as_str).unwrap_or_default();
    Ok(Report {
        text: format!("the evidence of sale {purchase} is in {}", path.display()),
        json: json!({ "purchase": purchase, "file": path }),
    })
}

async fn serve_dir(dir: &Path, as_json: bool) -> Result<()> {
    logging::init(if as_json { LogFormat::Json } else { LogFormat::Text })?;
    let home = open(dir)?;
    home.config().settings.check().map_err(anyhow::Error::msg)?;
    let store = open_store(&dir.join(STORE_DIR), StoreOptions::default())?;
    let merchant = Arc::new(Merchant::new(MerchantParts {
        key: SecretKey::from_bytes(&home.identity().to_bytes())?,
        secret: MerchantSecret::load(dir)?,
        settings: home.config().settings.clone(),
        store: store.clone(),
        shelf: Shelf::open(dir)?,
        network: Arc::new(QuicNetwork::new()),
        cards: home.network()?.cards().to_vec(),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        dir: Some(dir.to_owned()),
    }));
    let ready = |address: SocketAddr| {
        let report = Report {
            text: format!("farthing-merchant serving {address}"),
            json: json!({ "serving": address.to_string() }),
        };
        report.print(as_json);
    };
    serve(dir, home.config().listen, home.tls(), merchant, store, ready).await?;
    Ok(())
}
