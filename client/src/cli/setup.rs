//! Commands that make, restore and open wallets, and manage their cards.

use super::{
    args::{NetworkCommand, Options, Restore},
    exit::Exit,
    money::balances,
    opening::{env, require_wallet, wallet_dir, when_free},
    password::{self, Secrets},
    phrase::{self, is_complete, words_in},
    purchases::resume_all,
    report::{Align, Report, amount, chain, count, error_json, table},
};
use crate::{
    exported::Exported,
    file_names::RESTORED_DIR,
    peer_client::RetryPolicy,
    relay_keys::Route,
    restore::LackingParty,
    vault::{self, Password},
    wallet::{Env, SEED_FILE, Wallet},
};
use anyhow::{Context, Result, bail};
use farthing_coin::Seed;
use farthing_node::{
    card::{Card, RoleName},
    home::files::{Existing, Mode, create_private_dir, write_output},
    network_file::{FileCipher, NetworkFile},
    terminal::{json_lines, print_prompt},
};
use farthing_store::entropy::{Entropy, SystemEntropy};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, IsTerminal, Read},
    path::{Path, PathBuf},
    sync::Arc,
};
use zeroize::Zeroizing;

/// Upper bound of the size of a phrase (bytes).
const PHRASE_MAX_BYTES: u64 = 4096;

/// Words per printed line.
const WORDS_PER_LINE: usize = 4;

/// What a new wallet without a password means.
const NO_PASSWORD: &str =
    "It has no password: anyone who can read the directory can take the money. `farthing password` sets one.";

// ---- init ---------------------------------------------------------------------------------------------------------

/// Makes a wallet.
pub(super) fn init(options: &Options, no_password: bool) -> Result<Report> {
    let dir = wallet_dir(options)?;
    let password = password::for_new_wallet(options, no_password)?;
    let entropy: &dyn Entropy = &SystemEntropy;
    let seed = Seed::generate(&mut entropy.rng());
    Wallet::create_with(&dir, &seed, password.as_ref())?;
    let phrase = seed.to_phrase();
    let text = format!(
        "There is a new wallet in {}.{}\n\n\
         Write these 24 words down, on paper. They are shown only now. Anyone who has them can take the money\n\
         of this wallet. Without them the money is lost when this machine is lost.\n\n{}\n\n\
         Next: add the cards of a bank, an escrow and a merchant with `farthing network add CARD`. Then give the\n\
         bank the key that `farthing account --key` prints, so that it opens an account for you.",
        dir.display(),
        match password {
            Some(_) => String::new(),
            None => format!("\n{NO_PASSWORD}"),
        },
        words(&phrase)
    );
    let json = json!({ "wallet": dir, "phrase": phrase.as_str(), "has_password": password.is_some() });
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
    require_wallet(&dir)?;
    let cipher = password::key(options)?.map(|key| -> Arc<dyn FileCipher> { Arc::new(key) });
    let mut file = NetworkFile::load_sealed(&dir, cipher)?;
    match command {
        NetworkCommand::Add { card, name } => add_card(file, card, name.as_deref()),
        NetworkCommand::List => Ok(cards_report(file.cards())),
        // It needs the open wallet.
        NetworkCommand::Check => Ok(Report::done("", Value::Null)),
        NetworkCommand::Remove { role, name } => match file.remove(*role, name)? {
            Some(card) => Ok(Report::done(
                format!("{} is not known any more", card.title()),
                json!({ "removed": card_json(&card) }),
            )),
            None => bail!("no {role} `{name}` is known; `farthing network list` shows all cards"),
        },
    }
}

/// Pins a card.
pub(super) fn add_card(mut file: NetworkFile, card: &Card, name: Option<&str>) -> Result<Report> {
    let (added, card) = file.add_as(card.clone(), name)?;
    let (word, text) = added.say(&card);
    Ok(Report::done(
        text,
        json!({ "added": word, "card": card_json(&card) }),
    ))
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

/// Writes the wallet's parties to a file.
pub(super) fn export(wallet: &Wallet, output: &Path, existing: Existing) -> Result<Report> {
    let exported = wallet.export()?;
    if exported.cards.is_empty() {
        bail!("no cards are known, so there is nothing to export; add one with `farthing network add CARD`");
    }
    let text = format!("{}\n", json_lines(&serde_json::to_value(&exported)?));
    // Readable by its owner only: it tells whom they deal with.
    write_output(output, text.as_bytes(), Mode::Secret, existing)?;
    let cards = exported.cards.len();
    let text = format!(
        "{} in {output}: keep the file with your 24 words. `farthing restore --import {output}` makes a complete wallet \
         from both",
        count(cards as u64, "card"),
        output = output.display()
    );
    Ok(Report::done(text, json!({ "file": output, "cards": cards })))
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
pub(super) async fn restore(
    options: &Options,
    restore: &Restore,
    seed: &Seed,
    secrets: Secrets,
) -> Result<Report> {
    let dir = wallet_dir(options)?;
    let imported = restore.import.as_deref().map(Exported::read).transpose()?;
    let (mut cards, shared) =
        imported.map_or_else(Default::default, |file| (file.cards, file.shared_accounts));
    cards.extend(restore.cards.iter().cloned());
    let (wallet, file) = open_restored(&dir, options, cards, seed, secrets)?;
    let goods_dir = make_goods_dir(&dir, restore.goods_dir.as_deref())?;
    for bank in shared {
        wallet.use_shared_account(&bank).await?;
    }
    for name in &restore.shared_accounts {
        let bank = wallet.party(RoleName::Bank, Some(name))?;
        wallet.use_shared_account(&bank.identity).await?;
    }
    let mut banks = restore_banks(&wallet, file.cards(), &goods_dir).await?;
    let mut report = resume_all(&wallet).await?;
    // Coins released by old aborted purchases: no purchase under way exchanges them.
    let (exchanged, failed) = wallet.exchange_released().await?;
    if matches!(report.exit, Exit::Done | Exit::Aborted | Exit::NotFinished) && !failed.is_empty() {
        report.exit = Exit::of_all(&failed);
    }
    let mut incomplete: Vec<Value> = Vec::new();
    for error in banks.incomplete {
        report.exit = Exit::of(&error);
        let why = chain(&error);
        incomplete.push(error_json(&why, report.exit));
        banks.lines.push(why);
    }
    let (balances, balances_json) = balances(&wallet)?;
    let lacking = wallet.lacking()?;
    let lacking_lines: Vec<String> = lacking.iter().map(lacking_line).collect();
    let mut text = vec![
        banks.lines.join("\n"),
        report.text.clone(),
        balances,
        lacking_lines.join("\n"),
    ];
    let has_password = vault::is_sealed(&dir);
    if !has_password && !restore.no_password {
        text.push(NO_PASSWORD.into());
    }
    text.retain(|part| !part.is_empty());
    report.text = text.join("\n");
    report.json = json!({
        "wallet": dir,
        "has_password": has_password,
        "account": banks.account,
        "banks": banks.json,
        "incomplete": incomplete,
        "goods_dir": goods_dir,
        "resumed": report.json,
        "exchanged": amount(exchanged),
        "balances": balances_json,
        "lacking": lacking.iter().map(lacking_json).collect::<Vec<Value>>(),
    });
    if let Err(error) = wallet.close() {
        tracing::warn!(%error, "the wallet could not be closed in order");
    }
    Ok(report)
}

/// What a restore has found at the banks.
#[derive(Default)]
struct RestoredBanks {
    /// A line for each restored bank.
    lines: Vec<String>,
    /// The same for programs.
    json: Vec<Value>,
    /// The account at the first bank.
    account: Option<String>,
    /// Why the restore from a bank is not complete.
    incomplete: Vec<anyhow::Error>,
}

/// Restores from every bank of `cards`.
async fn restore_banks(wallet: &Wallet, cards: &[Card], goods_dir: &Path) -> Result<RestoredBanks> {
    let mut banks = RestoredBanks::default();
    for bank in cards.iter().filter(|card| card.role == RoleName::Bank) {
        let restored = match wallet.restore(bank, goods_dir).await {
            Ok(restored) => restored,
            // Other banks are still restored.
            Err(error) => {
                let text = format!("the restore from {} is not complete; repeat it", bank.title());
                banks.incomplete.push(anyhow::Error::from(error).context(text));
                continue;
            }
        };
        let key = wallet.account(&bank.identity)?.to_string();
        banks.account.get_or_insert_with(|| key.clone());
        banks.lines.push(format!(
            "{}: {}, {}, {}",
            bank.title(),
            count(restored.withdrawals, "withdrawal"),
            count(restored.exchanges, "exchange"),
            count(restored.purchases, "purchase")
        ));
        let json = json!({ "bank": bank.name, "account": key, "found": restored });
        banks.json.push(json);
    }
    if banks.json.is_empty()
        && let Some(error) = banks.incomplete.pop()
    {
        return Err(error);
    }
    if banks.json.is_empty() {
        bail!(
            "no bank is known, so nothing was restored; repeat it with --card and the card of your bank, or with \
             --import and the file of `farthing export`"
        );
    }
    Ok(banks)
}

/// Says what to do about a party whose card is lacking.
fn lacking_line(party: &LackingParty) -> String {
    let LackingParty { role, identity, .. } = party;
    let numbers: Vec<String> = party.purchases.iter().map(ToString::to_string).collect();
    let whose = match numbers.as_slice() {
        [] => "your coins".to_owned(),
        [number] => format!("purchase {number}"),
        _ => format!("purchases {}", numbers.join(", ")),
    };
    match &party.card {
        Some(card) => format!(
            "the {} of {whose} is not among your cards; to buy there again, run `farthing network add {card}`",
            card.title()
        ),
        None => format!(
            "the card of the {role} of {whose} is lacking (key {identity}); add it with `farthing network add CARD`, \
             then run `{}`",
            then(party)
        ),
    }
}

/// The command that carries on when the card of a lacking party is there.
fn then(party: &LackingParty) -> String {
    match (party.role, party.purchases.first()) {
        (RoleName::Bank, _) => "farthing restore".to_owned(),
        (_, Some(number)) if !party.is_under_way => format!("farthing resume {number}"),
        _ => "farthing resume".to_owned(),
    }
}

fn lacking_json(party: &LackingParty) -> Value {
    json!({
        "role": party.role,
        "identity": party.identity,
        "card": party.card,
        "purchases": party.purchases,
        "then": party.card.is_none().then(|| then(party)),
    })
}

/// Opens the restored wallet, and adds the cards.
fn open_restored(
    dir: &Path,
    options: &Options,
    cards: Vec<Card>,
    seed: &Seed,
    secrets: Secrets,
) -> Result<(Wallet, NetworkFile)> {
    prepare(dir, &cards, seed, secrets.password.as_ref())?;
    let key = match &secrets.password {
        Some(password) => Some(password::unlock(dir, password)?),
        None => secrets.key,
    };
    let env = env(options, RetryPolicy::default().total);
    let route = env.route.clone();
    let env = Env {
        key,
        // Nothing is asked before the cards are there.
        route: Route::Direct,
        ..env
    };
    let mut wallet = when_free(options, dir, || Wallet::open(dir, env.clone()))?;
    if !wallet.is_of(seed) {
        bail!(
            "the wallet in {} has other words; choose another directory with --wallet DIR",
            dir.display()
        );
    }
    // Cards are added only after the words were checked.
    let file = wallet.add_cards(cards, route)?;
    Ok((wallet, file))
}

/// Makes the directory for restored goods, and returns it.
fn make_goods_dir(dir: &Path, wanted: Option<&Path>) -> Result<PathBuf> {
    let goods_dir = match wanted {
        Some(goods) => std::path::absolute(goods).with_context(|| goods.display().to_string())?,
        None => std::path::absolute(dir.join(RESTORED_DIR)).with_context(|| dir.display().to_string())?,
    };
    let made = match wanted {
        Some(_) => fs::create_dir_all(&goods_dir),
        None => create_private_dir(&goods_dir),
    };
    made.with_context(|| format!("cannot make {}", goods_dir.display()))?;
    Ok(goods_dir)
}

/// Makes the wallet, unless an earlier attempt has made it.
fn prepare(dir: &Path, cards: &[Card], seed: &Seed, password: Option<&Password>) -> Result<()> {
    if dir.join(SEED_FILE).exists() {
        return Ok(());
    }
    // Without a bank there is nothing to restore from, so no wallet is made.
    if !cards.iter().any(|card| card.role == RoleName::Bank) {
        bail!(
            "give the file of `farthing export` with --import, or the card of your bank with --card, and the cards of \
             the escrows of your purchases"
        );
    }
    Ok(Wallet::create_from_phrase_with(dir, seed, password)?)
}
