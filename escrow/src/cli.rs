//! The command line of the escrow.

use crate::admin::{AdminRequest, PurchaseLine, PurchasesPage, papers, purchases_page};
use crate::escrow::{Escrow, EscrowParts};
use crate::migrate::migrate;
use crate::rows::LATEST_MS;
use crate::time::{BEHIND_MAX_MS, QUIET_MAX_MS};
use anyhow::Result;
use clap::{Parser, Subcommand};
use farthing_coin::SecretKey;
use farthing_node::address::Addresses;
use farthing_node::card::RoleName;
use farthing_node::drain::Drain;
use farthing_node::home::Home;
use farthing_node::logging::{self, LogFormat};
pub use farthing_node::operator::STORE_DIR;
use farthing_node::operator::lifecycle::{made, ready, with_port};
use farthing_node::operator::{self, Directory, NodeCommand, Report, administer, all_pages, with_store};
use farthing_node::probe::ProcessProbe;
use farthing_node::quic::QuicNetwork;
use farthing_node::serve::serve;
use farthing_node::serve_args::ServeArgs;
use farthing_node::store::{make_store, open_stopped, open_store, parse_url};
use farthing_node::table::{Align, table};
use farthing_node::terminal::json_lines;
use farthing_protocol::documents::PurchaseId;
use farthing_store::clock::{Clock, SystemClock};
use farthing_store::entropy::{Entropy, SystemEntropy};
use farthing_store::{DatabaseUrl, Store};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// The default address of an escrow.
pub const LISTEN_DEFAULT: &str = "127.0.0.1:7002";

/// The escrow of Farthing. It decides each purchase once: paid or not.
#[derive(Debug, Parser)]
#[command(
    name = "farthing-escrow",
    version,
    after_help = "Examples:\n  \
        farthing-escrow init fair                     make an escrow; prints its card for others to pin\n  \
        farthing-escrow network add fair CARD         work with the bank of this card\n  \
        farthing-escrow serve fair                    answer until it is stopped with ctrl-c\n  \
        farthing-escrow purchases fair                list the decisions, and which of them the bank has applied\n  \
        farthing-escrow evidence fair ID              print a decision and its cause, for a judge\n  \
        farthing-escrow status fair                   show whether it may decide, and its counters\n\n\
        An escrow is needed between the customer's order and the bank's payment. Start with `init`, exchange cards with \
        a bank (`network add` on both sides), then `serve`.\n\n\
        An escrow decides deadlines by its clock, so keep the clock right. It decides no deadline while the clock has \
        leapt by more than an hour, or is more than an hour behind its decisions. Customers can still cancel. If the \
        clock is right, restart the escrow with `serve fair --accept-clock`.\n\n\
        Exit codes: 0 done, 1 refused or failed, 2 the command line is not understood, 4 the node may not decide (`status`)."
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
    /// Make an escrow in a new directory. The last line is its card, for others to pin.
    Init {
        /// The directory. It must not exist or be empty.
        dir: PathBuf,
        /// The name of the escrow. It is in its card.
        #[arg(long, default_value = "fair")]
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
    },
    /// Answer requests and settle decisions, until stopped with ctrl-c.
    Serve {
        /// The escrow's directory.
        dir: PathBuf,
        /// Set the journal's time back to the clock. Use it once, for an escrow that reports that its clock is behind its
        /// decisions, if the clock is right now and was once far ahead. Decisions stay as they are.
        #[arg(long)]
        accept_clock: bool,
        #[command(flatten)]
        args: ServeArgs,
    },
    #[command(flatten)]
    Node(NodeCommand),
    /// List the decided purchases, and whether the bank has applied each decision.
    Purchases(Directory),
    /// Print the escrow's decision on a purchase, for a judge: with the cause of an abort, or the voucher of a stream.
    #[command(after_long_help = "Example:\n  \
        farthing-escrow evidence fair ID > papers.json\n\n\
        Anyone can judge it beside the papers of others: `farthing receipt verify papers.json OTHERS.json`.")]
    Evidence {
        /// The escrow's directory.
        dir: PathBuf,
        /// The id of the purchase, as `purchases` prints it.
        purchase: PurchaseId,
    },
}

/// The settings of an escrow. It has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {}

/// Runs `farthing-escrow` with these arguments, the program's name first.
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
        } => init(&dir, &name, listen, advertise, parse_url(store.as_deref())?),
        Command::Serve {
            dir,
            accept_clock,
            args,
        } => {
            serve_dir(&dir, accept_clock, args, cli.json).await?;
            Ok(Report::said())
        }
        Command::Node(command) => Ok(command.execute(RoleName::Escrow).await?),
        Command::Purchases(Directory { dir }) => list_purchases(&dir).await,
        Command::Evidence { dir, purchase } => evidence(&dir, purchase).await,
    }
}

fn open(dir: &Path) -> Result<Home<Settings>> {
    Ok(Home::open(dir, RoleName::Escrow)?)
}

fn init(
    dir: &Path,
    name: &str,
    listen: SocketAddr,
    advertise: Option<Addresses>,
    store: Option<DatabaseUrl>,
) -> Result<Report> {
    let listen = with_port(listen)?;
    let entropy: &dyn Entropy = &SystemEntropy;
    let new = Home::create(
        dir,
        RoleName::Escrow,
        name,
        listen,
        Settings {},
        &mut entropy.rng(),
    )?;
    let new = new.with_store(store);
    make_store(&new, migrate)?;
    let home = new.complete()?;
    let note = "keep a copy of its files where nobody else can read it";
    Ok(made(home, advertise, note, "its bank")?)
}

async fn list_purchases(dir: &Path) -> Result<Report> {
    let home = open(dir)?;
    let page = async |after: Option<PurchaseId>| {
        let request = AdminRequest::Purchases { after };
        let page: PurchasesPage = administer(dir, &request, async || {
            with_store(open_stopped(&home, migrate)?, |store| {
                purchases_page(&store.view(), after.as_ref())
            })
        })
        .await?;
        Ok((page.purchases, page.more))
    };
    let all = all_pages(|purchase: &PurchaseLine| purchase.purchase, page).await?;
    let row = |p: &PurchaseLine| {
        let settled = match (p.settled, p.waiting) {
            (true, _) => "settled",
            (false, true) => "not settled yet",
            (false, false) => "no card of its bank; the customer brings it",
        };
        [
            p.purchase.to_string(),
            p.outcome.as_str().to_owned(),
            p.amount.to_string(),
            p.currency.clone(),
            settled.to_owned(),
        ]
    };
    let columns = [
        ("PURCHASE", Align::Left),
        ("OUTCOME", Align::Left),
        ("AMOUNT", Align::Right),
        ("CURRENCY", Align::Left),
        ("SETTLED", Align::Left),
    ];
    let text = match all.is_empty() {
        true => "no purchase is decided yet".to_owned(),
        false => table(columns, &all.iter().map(row).collect::<Vec<_>>()),
    };
    Ok(Report::new(text, json!({ "purchases": all })))
}

async fn evidence(dir: &Path, purchase: PurchaseId) -> Result<Report> {
    let home = open(dir)?;
    let papers: Value = administer(dir, &AdminRequest::Evidence { purchase }, async || {
        with_store(open_stopped(&home, migrate)?, |store| {
            papers(&store.view(), &purchase, home.identity())
        })
    })
    .await?;
    Ok(Report::new(json_lines(&papers), papers))
}

async fn serve_dir(dir: &Path, accept_clock: bool, args: ServeArgs, as_json: bool) -> Result<()> {
    logging::init(if as_json { LogFormat::Json } else { LogFormat::Text })?;
    let home = args.over(open(dir)?);
    let probe = ProcessProbe::from_environment(RoleName::Escrow.as_str());
    let store = open_store(&home, &probe, migrate)?;
    let escrow = Arc::new(
        Escrow::new(EscrowParts {
            key: SecretKey::from_bytes(&home.identity().to_bytes())?,
            store: store.clone(),
            network: probe.around_network(Arc::new(QuicNetwork::new())),
            cards: home.network()?.cards().to_vec(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
        })
        .with_drain(Drain::of(dir)?),
    );
    if accept_clock && let Some(latest_ms) = escrow.accept_clock().await? {
        tracing::warn!(
            latest_ms,
            "the journal's time was set back to the clock; decisions stay as they are"
        );
    }
    warn_of_clock(&store)?;
    let node = Arc::clone(&escrow);
    let ready = |address| ready(&home, &node.peers, address, as_json);
    serve(&home, escrow, Some(store), &probe, ready).await?;
    Ok(())
}

/// Warns the operator at a start if the clock is far from the journal's time. The escrow accepts the clock as it is.
fn warn_of_clock(store: &Store) -> Result<()> {
    let clock_ms = SystemClock.now_ms();
    let Some(latest_ms) = LATEST_MS.peek(&store.view(), &())? else {
        return Ok(());
    };
    if clock_ms.saturating_sub(latest_ms) > QUIET_MAX_MS {
        tracing::warn!(
            clock_ms,
            latest_ms,
            "the clock is more than a day ahead of the last decision by it; check that it is right"
        );
    }
    if latest_ms.saturating_sub(clock_ms) > BEHIND_MAX_MS {
        tracing::error!(
            clock_ms,
            latest_ms,
            "the clock is more than an hour behind the last decision by it, so no deadline is decided; set it right or, if \
             it is right, start the escrow with `serve --accept-clock`"
        );
    }
    Ok(())
}
