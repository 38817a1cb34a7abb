//! Commands that make, restore and open wallets, and manage their cards.

use super::{
    args::{Command, NetworkCommand, Options, Restore},
    exit::Exit,
    money::balances,
    phrase::{self, is_complete, words_in},
    purchases::resume_all,
    report::{Align, Report, amount, chain, count, date, table},
    screen::{Lines, Screen},
};
use crate::{
    error::WalletError,
    holder::Holder,
    peer_client::RetryPolicy,
    wallet::{Env, SEED_FILE, Wallet, make_private},
};
use anyhow::{Context, Result, bail};
use farthing_coin::Seed;
use farthing_node::{
    card::{Card, RoleName},
    home::files::create_private_dir,
    network_file::NetworkFile,
    probe::ProcessProbe,
    quic::{ClientLimits, QuicNetwork},
    terminal::{Shown, print_note, print_prompt},
};
use farthing_store::{
    StoreError, StoreOptions,
    clock::{Clock, SystemClock},
    entropy::{Entropy, SystemEntropy},
};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, IsTerminal, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use zeroize::Zeroizing;

/// How long `account` waits for the bank by default. Short, because most callers want only the key.
const ACCOUNT_PATIENCE: Duration = Duration::from_secs(5);

/// The pause between two attempts to open a wallet that another process has open.
const IN_USE_PAUSE: Duration = Duration::from_millis(50);

/// Upper bound of the size of a phrase (bytes).
const PHRASE_MAX_BYTES: u64 = 4096;

/// Words per printed line.
const WORDS_PER_LINE: usize = 4;

// ---- opening ------------------------------------------------------------------------------------------------------

/// The wallet's directory.
pub(super) fn wallet_dir(options: &Options) -> Result<PathBuf> {
    if let Some(dir) = &options.wallet {
        return Ok(dir.clone());
    }
    let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
    home.map(|home| home.join(".farthing"))
        .context("there is no home directory; name the wallet's directory with --wallet DIR")
}

fn retry_policy(options: &Options, total_otherwise: Duration) -> RetryPolicy {
    let total = options.patience.map_or(total_otherwise, Duration::from_secs);
    let attempt = RetryPolicy::default().attempt.min(total);
    RetryPolicy { attempt, total }
}

fn env(options: &Options, total_otherwise: Duration) -> Env {
    let lines = if options.json { Lines::Silent } else { Lines::Told };
    let probe = ProcessProbe::from_environment("wallet");
    let retry = retry_policy(options, total_otherwise);
    let limits = ClientLimits {
        connect_timeout: retry.attempt,
        ..ClientLimits::default()
    };
    Env {
        network: probe.around_network(Arc::new(QuicNetwork::new().with_limits(limits))),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        observer: Arc::new(Screen::new(lines)),
        retry,
        store: StoreOptions {
            lock_note: Holder::this_process(&options.typed, SystemClock.now_ms()).note(),
            ..probe.store_options()
        },
    }
}

/// Opens the wallet for `command`.
pub(super) async fn open(options: &Options, command: &Command) -> Result<Wallet> {
    let total = match command {
        Command::Account { .. } => ACCOUNT_PATIENCE,
        _ => RetryPolicy::default().total,
    };
    let open = match command.only_reads() {
        true => Wallet::open_to_read,
        false => Wallet::open,
    };
    open_when_free(options, &wallet_dir(options)?, env(options, total), open).await
}

/// Opens the wallet in `dir`. While another process has it open, this waits as long as the options say.
async fn open_when_free(
    options: &Options,
    dir: &Path,
    env: Env,
    open: fn(&Path, Env) -> Result<Wallet, WalletError>,
) -> Result<Wallet> {
    let began = Instant::now();
    let mut is_told = false;
    loop {
        match open(dir, env.clone()) {
            Err(WalletError::Store(StoreError::InUse { .. } | StoreError::Older { .. })) => {}
            opened => return Ok(opened?),
        }
        let holder = Wallet::holder(dir, &env).map_or_else(|| "another process".to_owned(), holder_text);
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
        tokio::time::sleep(IN_USE_PAUSE).await;
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

// ---- init ---------------------------------------------------------------------------------------------------------

/// Makes a wallet.
pub(super) fn init(options: &Options) -> Result<Report> {
    let dir = wallet_dir(options)?;
    let entropy: &dyn Entropy = &SystemEntropy;
    let seed = Seed::generate(&mut entropy.rng());
    Wallet::create(&dir, &seed)?;
    let phrase = seed.to_phrase();
    let text = format!(
        "There is a new wallet in {}.\n\n\
         Write these 24 words down, on paper. They are shown only now. Anyone who has them can take the money\n\
         of this wallet. Without them the money is lost when this machine is lost.\n\n{}\n\n\
         Next: add the cards of a bank, an escrow and a merchant with `farthing network add CARD`. Then give the\n\
         bank the key that `farthing account --key` prints, so that it opens an account for you.",
        dir.display(),
        words(&phrase)
    );
    let json = json!({ "wallet": dir, "phrase": phrase.as_str() });
    Ok(Report::done(text, json))
}

/// The words, numbered, so that a forgotten one is noticed.
fn words(phrase: &str) -> String {
    let numbered: Vec<String> = (1..)
        .zip(phrase.split_whitespace())
        .map(|(number, word): (usize, &str)| format!("{number:>4}. {word:<9}"))
        .collect();
    let lines: Vec<String> = numbered
        .chunks(WORDS_PER_LINE)
        .map(|line| line.concat().trim_end().to_owned())
        .collect();
    lines.join("\n")
}

// ---- cards --------------------------------------------------------------------------------------------------------

/// Adds, lists and removes cards.
pub(super) fn network(options: &Options, command: &NetworkCommand) -> Result<Report> {
    let dir = wallet_dir(options)?;
    if !dir.join(SEED_FILE).exists() {
        bail!(
            "there is no wallet in {}; make one with `farthing init`",
            dir.display()
        );
    }
    make_private(&dir)?;
    let mut file = NetworkFile::load(&dir)?;
    match command {
        NetworkCommand::Add { card, name } => {
            let (added, card) = file.add_as(card.clone(), name.as_deref())?;
            let (word, text) = added.say(&card);
            Ok(Report::done(
                text,
                json!({ "added": word, "card": card_json(&card) }),
            ))
        }
        NetworkCommand::List => Ok(cards_report(file.cards())),
        NetworkCommand::Remove { role, name } => match file.remove(*role, name)? {
            Some(card) => Ok(Report::done(
                format!("{} is not known any more", card.title()),
                json!({ "removed": card_json(&card) }),
            )),
            None => bail!("no {role} `{name}` is known; `farthing network list` shows all cards"),
        },
    }
}

fn cards_report(cards: &[Card]) -> Report {
    let json = json!({ "cards": cards.iter().map(card_json).collect::<Vec<Value>>() });
    if cards.is_empty() {
        return Report::done("no cards yet; add one with `farthing network add CARD`", json);
    }
    let rows: Vec<[String; 4]> = cards
        .iter()
        .map(|card| {
            let key = card.identity_hex();
            [
                card.role.to_string(),
                card.name.clone(),
                card.address.to_string(),
                key,
            ]
        })
        .collect();
    let columns = ["ROLE", "NAME", "ADDRESS", "KEY"].map(|heading| (heading, Align::Left));
    Report::done(table(columns, &rows), json)
}

fn card_json(card: &Card) -> Value {
    json!({
        "role": card.role,
        "name": card.name,
        "address": card.address,
        "fingerprint": card.fingerprint_hex(),
        "identity": card.identity_hex(),
        "card": card.to_string(),
    })
}

// ---- restore ------------------------------------------------------------------------------------------------------

/// Reads the 24 words, from a file or from standard input.
pub(super) fn read_phrase(restore: &Restore) -> Result<Seed> {
    let mut phrase = Zeroizing::new(String::new());
    let from = match &restore.phrase_file {
        Some(path) => {
            let file = fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
            file.take(PHRASE_MAX_BYTES)
                .read_to_string(&mut phrase)
                .with_context(|| format!("cannot read {}", path.display()))?;
            path.display().to_string()
        }
        None => {
            if std::io::stdin().is_terminal() {
                read_lines(&mut phrase)?;
            } else {
                std::io::stdin()
                    .take(PHRASE_MAX_BYTES)
                    .read_to_string(&mut phrase)?;
            }
            "these are not the words of a wallet".to_owned()
        }
    };
    Seed::from_phrase(&words_in(&phrase)).context(from)
}

/// Reads lines from the terminal until there are 24 words.
fn read_lines(phrase: &mut Zeroizing<String>) -> Result<()> {
    print_prompt("The 24 words, on one line or several: ");
    let mut input = std::io::stdin().lock().take(PHRASE_MAX_BYTES);
    while input.read_line(phrase)? > 0 && !is_complete(phrase) {
        print_prompt(&format!("{} words so far, more: ", phrase::count(phrase)));
    }
    Ok(())
}

/// Builds a wallet again from its words.
pub(super) async fn restore(options: &Options, restore: &Restore, seed: &Seed) -> Result<Report> {
    let dir = wallet_dir(options)?;
    let (wallet, file) = open_restored(&dir, options, restore, seed).await?;
    let goods_dir = make_goods_dir(&dir, restore.goods_dir.as_deref())?;
    for name in &restore.shared_accounts {
        let bank = wallet.party(RoleName::Bank, Some(name))?;
        wallet.use_shared_account(&bank.identity).await?;
    }
    let (mut found, mut banks) = (Vec::new(), Vec::new());
    let (mut account, mut incomplete) = (None, Vec::new());
    for bank in file.cards().iter().filter(|card| card.role == RoleName::Bank) {
        let restored = match wallet.restore(bank, &goods_dir).await {
            Ok(restored) => restored,
            // Other banks are still restored.
            Err(error) => {
                let text = format!("the restore from {} is not complete; repeat it", bank.title());
                incomplete.push(anyhow::Error::from(error).context(text));
                continue;
            }
        };
        let key = wallet.account(&bank.identity)?.to_string();
        account.get_or_insert_with(|| key.clone());
        found.push(format!(
            "{}: {}, {}, {}",
            bank.title(),
            count(restored.withdrawals, "withdrawal"),
            count(restored.exchanges, "exchange"),
            count(restored.purchases, "purchase")
        ));
        banks.push(json!({ "bank": bank.name, "account": key, "found": restored }));
    }
    if let (true, Some(error)) = (banks.is_empty(), incomplete.pop()) {
        return Err(error);
    }
    if banks.is_empty() {
        bail!("no bank is known, so nothing was restored; repeat it with --card and the card of your bank");
    }
    let mut report = resume_all(&wallet).await?;
    // Coins released by old aborted purchases: no purchase under way exchanges them.
    let (exchanged, failed) = wallet.exchange_released().await?;
    if matches!(report.exit, Exit::Done | Exit::Aborted | Exit::NotFinished) && !failed.is_empty() {
        report.exit = Exit::of_all(&failed);
    }
    for error in incomplete {
        report.exit = Exit::of(&error);
        found.push(chain(&error));
    }
    let (balances, balances_json) = balances(&wallet)?;
    let mut text = vec![found.join("\n"), report.text.clone(), balances];
    text.retain(|part| !part.is_empty());
    report.text = text.join("\n");
    report.json = json!({
        "wallet": dir,
        "account": account,
        "banks": banks,
        "goods_dir": goods_dir,
        "resumed": report.json,
        "exchanged": amount(exchanged),
        "balances": balances_json,
    });
    if let Err(error) = wallet.close() {
        tracing::warn!(%error, "the wallet could not be closed in order");
    }
    Ok(report)
}

/// Opens the restored wallet, and adds the cards.
async fn open_restored(
    dir: &Path,
    options: &Options,
    restore: &Restore,
    seed: &Seed,
) -> Result<(Wallet, NetworkFile)> {
    prepare(dir, restore, seed)?;
    let env = env(options, RetryPolicy::default().total);
    let wallet = open_when_free(options, dir, env, Wallet::open).await?;
    if !wallet.is_of(seed) {
        bail!(
            "the wallet in {} has other words; choose another directory with --wallet DIR",
            dir.display()
        );
    }
    // Cards are added only after the words were checked.
    let mut file = wallet.network_file()?;
    for card in &restore.cards {
        file.add(card.clone())?;
    }
    Ok((wallet, file))
}

/// Makes the directory for restored goods, and returns it.
fn make_goods_dir(dir: &Path, wanted: Option<&Path>) -> Result<PathBuf> {
    let goods_dir = match wanted {
        Some(goods) => std::path::absolute(goods).with_context(|| goods.display().to_string())?,
        None => std::path::absolute(dir.join("restored")).with_context(|| dir.display().to_string())?,
    };
    let made = match wanted {
        Some(_) => fs::create_dir_all(&goods_dir),
        None => create_private_dir(&goods_dir),
    };
    made.with_context(|| format!("cannot make {}", goods_dir.display()))?;
    Ok(goods_dir)
}

/// Makes the wallet, unless an earlier attempt has made it.
fn prepare(dir: &Path, restore: &Restore, seed: &Seed) -> Result<()> {
    if dir.join(SEED_FILE).exists() {
        return Ok(());
    }
    // Without a bank there is nothing to restore from, so no wallet is made.
    if !restore.cards.iter().any(|card| card.role == RoleName::Bank) {
        bail!("give the card of your bank with --card, and the cards of the escrows of your purchases");
    }
    Ok(Wallet::create_from_phrase(dir, seed)?)
}
