//! The command line of the escrow.

use crate::admin::{AdminRequest, PurchaseLine, PurchasesPage, purchases};
use crate::escrow::{Escrow, EscrowParts};
use crate::rows::LATEST_MS;
use crate::time::{BEHIND_MAX_MS, QUIET_MAX_MS};
use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use farthing_coin::SecretKey;
use farthing_node::admin::admin_call;
use farthing_node::card::{Card, NetworkFile, RoleName};
use farthing_node::clock::{Clock, SystemClock};
use farthing_node::disk::FileDisk;
use farthing_node::entropy::{Entropy, SystemEntropy};
use farthing_node::home::Home;
use farthing_node::logging::{self, LogFormat};
use farthing_node::operator::report::{self, Report};
use farthing_node::quic::QuicNetwork;
use farthing_node::serve::{open_store, serve};
use farthing_node::store::{Store, StoreError, StoreOptions, verify};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::ffi::OsString;
use std::io::Write;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// The folder of the store in the escrow's directory.
pub const STORE_DIR: &str = "store";

/// Where an escrow listens unless it is told otherwise.
pub const LISTEN_DEFAULT: &str = "127.0.0.1:7002";

/// How often a command looks again for a node that is just starting or stopping.
const SEND_TRIES: u32 = 20;

/// The pause between two looks (ms).
const SEND_PAUSE_MS: u64 = 100;

/// The escrow of Farthing: it decides each purchase once and for all.
#[derive(Debug, Parser)]
#[command(
    name = "farthing-escrow",
    version,
    after_help = "Examples:\n  \
        farthing-escrow init fair                     make an escrow; prints its card for others to pin\n  \
        farthing-escrow network add fair CARD         work with the bank of this card\n  \
        farthing-escrow serve fair                    answer until it is stopped with ctrl-c\n  \
        farthing-escrow purchases fair                what was decided, and whether the bank has obeyed\n\n\
        An escrow decides deadlines by its clock: keep it right. If the clock leaps by more than an hour while the \
        escrow runs, or is more than an hour behind what was decided by it, no deadline is decided until it is right \
        again; customers can still cancel. If it is right, restart the escrow with `serve fair --accept-clock`.\n\n\
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
    /// Make an escrow in a new directory; its card is the last line.
    Init {
        /// The directory: it must not exist or be empty.
        dir: PathBuf,
        /// What people call it.
        #[arg(long, default_value = "fair")]
        name: String,
        /// Where it listens; with port 0 a free one is chosen and kept.
        #[arg(long, default_value = LISTEN_DEFAULT)]
        listen: SocketAddr,
    },
    /// Answer requests and settle decisions until stopped.
    Serve {
        /// The escrow's directory.
        dir: PathBuf,
        /// The clock is right, and the journal's time may be set back to it: for an escrow that says that its clock is
        /// behind its decisions, as it was once far ahead. What is decided stays decided.
        #[arg(long)]
        accept_clock: bool,
    },
    /// Print the card that others pin.
    Card {
        /// The escrow's directory.
        dir: PathBuf,
    },
    /// The banks that the escrow works with.
    #[command(subcommand)]
    Network(NetworkCommand),
    /// List what was decided.
    Purchases {
        /// The escrow's directory.
        dir: PathBuf,
    },
    /// Check the whole journal of a stopped escrow; changes nothing.
    Verify {
        /// The escrow's directory.
        dir: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum NetworkCommand {
    /// Pin a card; a running escrow takes it up at once.
    Add {
        /// The escrow's directory.
        dir: PathBuf,
        /// The card, one line, as its owner printed it.
        card: Card,
    },
    /// List the pinned cards.
    List {
        /// The escrow's directory.
        dir: PathBuf,
    },
}

/// An escrow's own settings: none so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {}

/// Runs `farthing-escrow` with these arguments, the program's name first.
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
        Command::Init { dir, name, listen } => init(&dir, &name, listen)?,
        Command::Serve { dir, accept_clock } => {
            serve_dir(&dir, accept_clock, as_json).await?;
            return Ok(ExitCode::SUCCESS);
        }
        Command::Card { dir } => card_report(&open(&dir)?.card()?),
        Command::Network(NetworkCommand::Add { dir, card }) => network_add(&dir, card).await?,
        Command::Network(NetworkCommand::List { dir }) => report::cards(open(&dir)?.network()?.cards()),
        Command::Purchases { dir } => list_purchases(&dir).await?,
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

fn open(dir: &Path) -> Result<Home<Settings>> {
    Ok(Home::open(dir, RoleName::Escrow)?)
}

fn card_report(card: &Card) -> Report {
    Report {
        text: card.to_string(),
        json: json!({ "card": card, "identity": card.identity_hex() }),
    }
}

fn init(dir: &Path, name: &str, listen: SocketAddr) -> Result<Report> {
    let listen = with_port(listen)?;
    let entropy: &dyn Entropy = &SystemEntropy;
    let home = Home::create(
        dir,
        RoleName::Escrow,
        name,
        listen,
        Settings {},
        &mut entropy.rng(),
    )?;
    // Made now, so that every command finds a store, and a node starts at once.
    let (store, _) = Store::open(&dir.join(STORE_DIR), StoreOptions::default())?;
    store.close()?;
    let card = home.card()?;
    let mut report = card_report(&card);
    report.text = format!(
        "the escrow `{name}` is made in {dir}; add its bank with `farthing-escrow network add {dir} CARD`, then \
         run `farthing-escrow serve {dir}`\n{card}",
        dir = dir.display()
    );
    Ok(report)
}

/// The address with a free port, if none was given.
fn with_port(listen: SocketAddr) -> Result<SocketAddr> {
    if listen.port() != 0 {
        return Ok(listen);
    }
    let socket = UdpSocket::bind(listen).with_context(|| format!("cannot listen on {listen}"))?;
    Ok(socket.local_addr()?)
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

async fn list_purchases(dir: &Path) -> Result<Report> {
    open(dir)?;
    let mut all: Vec<PurchaseLine> = Vec::new();
    loop {
        let after = all.last().map(|line| line.purchase.clone());
        let page = purchases_page(dir, after).await?;
        all.extend(page.purchases);
        if !page.more {
            break;
        }
    }
    let line = |p: &PurchaseLine| {
        let settled = match (p.settled, p.waiting) {
            (true, _) => "settled",
            (false, true) => "not settled yet",
            (false, false) => "its bank is not known here; the customer brings it there",
        };
        format!(
            "{}  {:9}  {:>12} {}  {settled}",
            p.purchase, p.outcome, p.amount, p.currency
        )
    };
    let text = if all.is_empty() {
        "nothing was decided yet".to_owned()
    } else {
        all.iter().map(line).collect::<Vec<_>>().join("\n")
    };
    Ok(Report {
        json: json!({ "purchases": all }),
        text,
    })
}

/// A page of purchases from the running node, or from its store when no node runs.
async fn purchases_page(dir: &Path, after: Option<String>) -> Result<PurchasesPage> {
    let request = serde_json::to_value(AdminRequest::Purchases { after: after.clone() })?;
    for _ in 0..SEND_TRIES {
        if let Some(answer) = admin_call(dir, &request).await? {
            return Ok(serde_json::from_value(answer)?);
        }
        match Store::open(&dir.join(STORE_DIR), StoreOptions::default()) {
            Ok((store, _)) => {
                let page = purchases(&store.view(), after.as_deref()).map_err(anyhow::Error::msg);
                store.close()?;
                return page;
            }
            // A node that is starting or stopping has the store, and no socket.
            Err(StoreError::InUse { .. }) => {
                tokio::time::sleep(Duration::from_millis(SEND_PAUSE_MS)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    bail!(
        "the escrow's store is in use, but nobody answers its operator; stop what uses it, or try again later"
    )
}

async fn serve_dir(dir: &Path, accept_clock: bool, as_json: bool) -> Result<()> {
    logging::init(if as_json { LogFormat::Json } else { LogFormat::Text })?;
    let home = open(dir)?;
    let store = open_store(&dir.join(STORE_DIR), StoreOptions::default())?;
    let escrow = Arc::new(Escrow::new(EscrowParts {
        key: SecretKey::from_bytes(&home.identity().to_bytes())?,
        store: store.clone(),
        network: Arc::new(QuicNetwork::new()),
        cards: home.network()?.cards().to_vec(),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        dir: Some(dir.to_owned()),
    }));
    if accept_clock && let Some(latest_ms) = escrow.accept_clock().await? {
        tracing::warn!(latest_ms, "the journal's time is set back to the clock");
    }
    warn_of_clock(&store)?;
    let ready = |address: SocketAddr| {
        let report = Report {
            text: format!("farthing-escrow serving {address}"),
            json: json!({ "serving": address.to_string() }),
        };
        report.print(as_json);
    };
    serve(dir, home.config().listen, home.tls(), escrow, store, ready).await?;
    Ok(())
}

/// At its start an escrow takes the clock as it is; its operator is told when that is far from the journal's time.
fn warn_of_clock(store: &Store) -> Result<()> {
    let clock_ms = SystemClock.now_ms();
    let Some(latest_ms) = LATEST_MS.peek(&store.view(), &())? else {
        return Ok(());
    };
    if clock_ms.saturating_sub(latest_ms) > QUIET_MAX_MS {
        tracing::warn!(
            clock_ms,
            latest_ms,
            "the clock is more than a day ahead of the last decision that rests on it; see that it is right"
        );
    }
    if latest_ms.saturating_sub(clock_ms) > BEHIND_MAX_MS {
        tracing::error!(
            clock_ms,
            latest_ms,
            "the clock is far behind what was decided by it, so no deadline is decided; set it right or, if it is, \
             start the escrow with `serve --accept-clock`"
        );
    }
    Ok(())
}
