//! The command line of the relay.

use crate::relay::{Relay, RelayParts};
use anyhow::Result;
use clap::{Parser, Subcommand};
use farthing_node::address::Addresses;
use farthing_node::card::RoleName;
use farthing_node::home::Home;
use farthing_node::logging::{self, LogFormat};
use farthing_node::operator::lifecycle::{made, ready, with_port};
use farthing_node::operator::{self, CommonCommand, Report};
use farthing_node::probe::ProcessProbe;
use farthing_node::quic::QuicNetwork;
use farthing_node::serve::serve;
use farthing_node::serve_args::ServeArgs;
use farthing_store::clock::SystemClock;
use farthing_store::entropy::{Entropy, SystemEntropy};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// The default address of a relay.
pub const LISTEN_DEFAULT: &str = "127.0.0.1:7004";

/// The oblivious relay of Farthing. It carries the requests of wallets to banks, escrows and merchants, so that these do
/// not see who asks. It cannot read what it carries.
#[derive(Debug, Parser)]
#[command(
    name = "farthing-relay",
    version,
    after_help = "Examples:\n  \
        farthing-relay init veil                      make a relay; prints its card for wallets to pin\n  \
        farthing-relay network add veil CARD          forward to the server of this card\n  \
        farthing-relay serve veil                     answer until it is stopped with ctrl-c\n  \
        farthing-relay status veil                    show its counters\n\n\
        A wallet that has pinned a relay uses it for everything anonymous. The relay forwards only to servers that it has \
        pinned. Whoever runs a relay should not run one of these servers: together they would see who asks what.\n\n\
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
    /// Make a relay in a new directory. The last line is its card, for wallets to pin.
    Init {
        /// The directory. It must not exist or be empty.
        dir: PathBuf,
        /// The name of the relay. It is in its card.
        #[arg(long, default_value = "veil")]
        name: String,
        /// The address where it listens. With port 0 it chooses a free port and keeps it.
        #[arg(long, default_value = LISTEN_DEFAULT)]
        listen: SocketAddr,
        /// Addresses where others reach it, if they differ: HOST:PORT, several with commas between them.
        #[arg(long, value_name = "HOST:PORT")]
        advertise: Option<Addresses>,
    },
    /// Carry requests, until stopped with ctrl-c.
    Serve {
        /// The relay's directory.
        dir: PathBuf,
        #[command(flatten)]
        args: ServeArgs,
    },
    #[command(flatten)]
    Common(CommonCommand),
}

/// The settings of a relay. It has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {}

/// Runs `farthing-relay` with these arguments, the program's name first.
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
        } => init(&dir, &name, listen, advertise),
        Command::Serve { dir, args } => {
            serve_dir(&dir, args, cli.json).await?;
            Ok(Report::said())
        }
        Command::Common(command) => Ok(command.execute(RoleName::Relay).await?),
    }
}

fn init(dir: &Path, name: &str, listen: SocketAddr, advertise: Option<Addresses>) -> Result<Report> {
    let listen = with_port(listen)?;
    let entropy: &dyn Entropy = &SystemEntropy;
    let home = Home::create(
        dir,
        RoleName::Relay,
        name,
        listen,
        Settings {},
        &mut entropy.rng(),
    )?
    .complete()?;
    let note = "it will store nothing but its keys and the cards that it pins";
    Ok(made(home, advertise, note, "the servers to which it forwards")?)
}

async fn serve_dir(dir: &Path, args: ServeArgs, as_json: bool) -> Result<()> {
    logging::init(if as_json { LogFormat::Json } else { LogFormat::Text })?;
    let home = args.over(Home::<Settings>::open(dir, RoleName::Relay)?);
    let probe = ProcessProbe::from_environment(RoleName::Relay.as_str());
    let relay = Arc::new(Relay::new(RelayParts {
        network: probe.around_network(Arc::new(QuicNetwork::new())),
        cards: home.network()?.cards().to_vec(),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
    }));
    let node = Arc::clone(&relay);
    let ready = |address| ready(&home, node.peers(), address, as_json);
    serve(&home, relay, None, &probe, ready).await?;
    Ok(())
}
