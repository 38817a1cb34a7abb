//! Opens the wallet of a command. While another command has it open, this waits.

use super::{
    args::{Command, Options},
    report::date,
    screen::{Lines, Screen},
};
use crate::{
    error::WalletError,
    holder::Holder,
    peer_client::RetryPolicy,
    relay_keys::Route,
    vault::{WalletKey, reseal},
    wallet::{Env, SEED_FILE, Wallet, make_private},
};
use anyhow::{Context, Result, bail};
use farthing_node::{
    probe::ProcessProbe,
    terminal::{Shown, print_note},
    transport::ClientLimits,
};
use farthing_store::{
    StoreError, StoreOptions,
    clock::{Clock, SystemClock},
    disk::FileDisk,
    entropy::SystemEntropy,
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

/// How long `account` waits for the bank by default. Short, because most callers want only the key.
const ACCOUNT_PATIENCE: Duration = Duration::from_secs(5);

/// The pause between two attempts to open a wallet that another process has open.
const IN_USE_PAUSE: Duration = Duration::from_millis(50);

/// The wallet's directory.
pub(super) fn wallet_dir(options: &Options) -> Result<PathBuf> {
    if let Some(dir) = &options.wallet {
        return Ok(dir.clone());
    }
    let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
    home.map(|home| home.join(".farthing"))
        .context("there is no home directory; name the wallet's directory with --wallet DIR")
}

/// Settles an interrupted change of the password. Makes the wallet's directory private, and says so if others could read it.
pub(super) fn settle(options: &Options) -> Result<()> {
    let dir = wallet_dir(options)?;
    when_free(options, &dir, || reseal::settle(&dir, &StoreOptions::default()))?;
    if make_private(&dir)? {
        print_note(&format!(
            "other users could enter {}; it is private from now on. If somebody may have read it, move the money to a new \
             wallet",
            dir.display()
        ));
    }
    Ok(())
}

/// Fails if there is no wallet in `dir`.
pub(super) fn require_wallet(dir: &Path) -> Result<(), WalletError> {
    match dir.join(SEED_FILE).exists() {
        true => Ok(()),
        false => Err(WalletError::NoWallet(dir.to_owned())),
    }
}

/// How many times longer a wallet waits through a proxy. The answers of Tor may take seconds.
const PROXIED_TIMES: u32 = 3;

fn retry_policy(options: &Options, total_otherwise: Duration) -> RetryPolicy {
    let times = if options.proxy.is_some() { PROXIED_TIMES } else { 1 };
    let total = options
        .patience
        .map_or(total_otherwise * times, Duration::from_secs);
    let attempt = (RetryPolicy::default().attempt * times).min(total);
    RetryPolicy { attempt, total }
}

pub(super) fn env(options: &Options, total_otherwise: Duration) -> Env {
    let lines = if options.json { Lines::Silent } else { Lines::Told };
    let probe = ProcessProbe::from_environment("wallet");
    let retry = retry_policy(options, total_otherwise);
    let limits = ClientLimits {
        connect_timeout: retry.attempt,
        ..ClientLimits::default()
    };
    Env {
        network: probe.around_network(options.carrier().network(limits)),
        route: match (&options.relay, options.direct) {
            (_, true) => Route::Direct,
            (Some(name), false) => Route::Through(name.clone()),
            (None, false) => Route::Pinned,
        },
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        observer: Arc::new(Screen::new(lines)),
        retry,
        store: StoreOptions {
            lock_note: Holder::this_process(&options.typed, SystemClock.now_ms()).note(),
            ..probe.store_options()
        },
        key: None,
    }
}

/// Opens the wallet for `command`.
pub(super) fn open(options: &Options, command: &Command, key: Option<WalletKey>) -> Result<Wallet> {
    let total = match command {
        Command::Account { .. } => ACCOUNT_PATIENCE,
        _ => RetryPolicy::default().total,
    };
    let open = match command.only_reads() {
        true => Wallet::open_to_read,
        false => Wallet::open,
    };
    let env = Env {
        key,
        ..env(options, total)
    };
    let dir = wallet_dir(options)?;
    when_free(options, &dir, || open(&dir, env.clone()))
}

/// Does `what` with the wallet in `dir`. While another process has it open, this waits as long as the options say.
pub(super) fn when_free<T>(
    options: &Options,
    dir: &Path,
    what: impl Fn() -> Result<T, WalletError>,
) -> Result<T> {
    let began = Instant::now();
    let mut is_told = false;
    loop {
        match what() {
            Err(WalletError::Store(StoreError::InUse { .. } | StoreError::Older { .. })) => {}
            done => return Ok(done?),
        }
        let holder = Wallet::holder(dir, &FileDisk).map_or_else(|| "another process".to_owned(), holder_text);
        if began.elapsed() >= Duration::from_secs(options.wait) {
            bail!(
                "the wallet in {} is in use by {holder}; nothing was done. Repeat this command when that one has ended, \
                 or wait longer with --wait SECONDS",
                dir.display()
            );
        }
        if !is_told {
            is_told = true;
            tracing::debug!(?holder, "another command has the wallet");
            if !options.json {
                print_note(&format!(
                    "waiting at most {} s for {holder}, which has the wallet open",
                    options.wait
                ));
            }
        }
        std::thread::sleep(IN_USE_PAUSE);
    }
}

/// The holder, in words.
fn holder_text(holder: Holder) -> String {
    format!(
        "`farthing {}` (process {}, since {} UTC)",
        Shown(&holder.command),
        holder.process,
        date(holder.since_ms)
    )
}
