//! Sets, changes and removes the password of a wallet, with the program `farthing`, and kills it at every step.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod support;

use farthing_client::{
    error::WalletError,
    vault::{self, Password, reseal},
    wallet::{Env, Wallet},
};
use farthing_coin::Seed;
use farthing_node::card::RoleName;
use farthing_store::{
    StoreError, StoreOptions,
    entropy::{Entropy, SystemEntropy},
    probe::Probe,
};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use support::{card, directory, farthing, json};

/// All files and directories in `dir`.
fn all_in(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => [vec![path.clone()], all_in(&path)].concat(),
            false => vec![path],
        })
        .collect()
}

/// Whether any file in `dir` has `text`.
fn lies_in(dir: &Path, text: &str) -> bool {
    let files = all_in(dir).into_iter().filter(|path| path.is_file());
    let has = |path: PathBuf| {
        let bytes = fs::read(path).unwrap();
        bytes.windows(text.len()).any(|part| part == text.as_bytes())
    };
    files.into_iter().any(has)
}

#[test]
fn a_password_is_set_changed_and_removed() {
    let dir = directory("password-set");
    let wallet = dir.join("wallet");
    for (name, text) in [("one", "correct horse\n"), ("two", "battery staple")] {
        fs::write(dir.join(name), text).unwrap();
    }
    let phrase = json(&dir, 0, &["init"], "")["phrase"]
        .as_str()
        .unwrap()
        .to_owned();
    let bank = card(RoleName::Bank, "central", 1);
    json(&dir, 0, &["network", "add", &bank], "");
    let key = json(&dir, 0, &["account", "--key"], "");
    let words = phrase.split(' ').take(3).collect::<Vec<_>>().join(" ");
    let secrets = [words.as_str(), bank.as_str()];
    let are_clear = || secrets.map(|secret| lies_in(&wallet, secret));
    assert_eq!(are_clear(), [true, true], "so the search finds them");

    let says = |code, args: &[&str]| json(&dir, code, args, "");
    says(1, &["password"]);
    let set = ["password", "--new-password-file", "one"];
    assert_eq!(says(0, &set)["password"], "set");
    assert_eq!(are_clear(), [false, false]);
    assert!(!wallet.join("store/index").exists());
    let modes = all_in(&wallet)
        .into_iter()
        .map(|path| path.metadata().unwrap().permissions().mode());
    assert!(modes.into_iter().all(|mode| mode & 0o077 == 0));
    says(12, &["balance"]);
    assert_eq!(says(0, &["account", "--key", "--password-file", "one"]), key);
    says(12, &set);
    says(12, &["password", "--remove", "--password-file", "two"]);

    let change = ["password", "--password-file", "one", "--new-password-file", "two"];
    assert_eq!(says(0, &change)["password"], "changed");
    says(12, &["balance", "--password-file", "one"]);
    says(0, &["balance", "--password-file", "two"]);
    assert_eq!(are_clear(), [false, false]);

    assert_eq!(
        says(0, &["password", "--remove", "--password-file", "two"])["password"],
        "removed"
    );
    assert_eq!(are_clear(), [true, true]);
    assert_eq!(says(0, &["account", "--key"]), key);
    assert_eq!(says(0, &["network", "list"])["cards"][0]["card"], bank.as_str());
    assert_eq!(says(0, &["password", "--remove"])["password"], "none");

    // Goods in clear would stay in a wallet with a password.
    fs::create_dir(wallet.join("restored")).unwrap();
    fs::write(wallet.join("restored/goods"), "").unwrap();
    let refused = says(1, &set);
    assert!(
        refused["error"].as_str().unwrap().contains("Move them"),
        "{refused}"
    );
    assert_eq!(are_clear(), [true, true]);
}

#[test]
fn a_wallet_that_is_being_sealed_is_waited_for_and_its_note_has_no_secret() {
    let dir = directory("password-busy");
    let wallet = dir.join("wallet");
    fs::write(dir.join("one"), "correct horse").unwrap();
    json(&dir, 0, &["init", "--password-file", "one"], "");
    let password = Password::new("correct horse").unwrap();
    let key = vault::unlock(&wallet, &password, Arc::new(SystemEntropy)).unwrap();
    let env = Env {
        key: Some(key),
        ..Env::system()
    };
    let holder = unless_in_use(|| Wallet::open(&wallet, env.clone())).unwrap();
    let with = |args: &[&'static str]| [args, &["--wait", "0", "--password-file", "one"]].concat();
    // A look works beside it, with the password.
    json(&dir, 0, &with(&["balance"]), "");
    json(&dir, 12, &["balance"], "");
    let refused = json(&dir, 1, &with(&["password", "--remove"]), "");
    assert!(
        refused["error"].as_str().unwrap().contains("in use by"),
        "{refused}"
    );
    // A change that was decided is completed by whoever gets the lock, and not passed over.
    fs::create_dir(wallet.join("resealed")).unwrap();
    let refused = json(&dir, 1, &with(&["balance"]), "");
    assert!(
        refused["error"].as_str().unwrap().contains("in use by"),
        "{refused}"
    );
    holder.close().unwrap();
    json(&dir, 0, &with(&["balance"]), "");
    assert!(!wallet.join("resealed").exists());
    let note = fs::read_to_string(wallet.join("store/lock")).unwrap();
    assert!(note.len() < 100 && note.contains("balance"), "{note}");
}

/// Ends the process, as far as a test can, at the point with this number.
struct Dies {
    at: usize,
    count: AtomicUsize,
    points: Mutex<Vec<&'static str>>,
}

impl Probe for Dies {
    fn reached(&self, point: &'static str) {
        if !point.starts_with("password") {
            return;
        }
        self.points.lock().unwrap().push(point);
        if self.count.fetch_add(1, Ordering::SeqCst) == self.at {
            resume_unwind(Box::new("killed"));
        }
    }
}

/// The longest wait for a lock that nobody has.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// Repeats `attempt` while the store is in use. Another test may be starting a program at this moment. Until the program
/// runs, its process has a copy of every lock of this one.
fn unless_in_use<T>(mut attempt: impl FnMut() -> Result<T, WalletError>) -> Result<T, WalletError> {
    let began = Instant::now();
    loop {
        match attempt() {
            Err(WalletError::Store(StoreError::InUse { .. })) if began.elapsed() < LOCK_PATIENCE => {
                thread::sleep(Duration::from_millis(1));
            }
            done => return done,
        }
    }
}

/// Runs [`reseal`] up to the point with the number `at`. Returns the points; `None` when it ended before.
fn killed_at(
    at: usize,
    dir: &Path,
    old: Option<&Password>,
    new: Option<&Password>,
) -> Option<Vec<&'static str>> {
    let dies = Arc::new(Dies {
        at,
        count: AtomicUsize::new(0),
        points: Mutex::default(),
    });
    let options = StoreOptions {
        probe: Arc::clone(&dies) as Arc<dyn Probe>,
        ..StoreOptions::default()
    };
    let reseals = || unless_in_use(|| reseal::reseal(dir, old, new, &options, Arc::new(SystemEntropy)));
    match catch_unwind(AssertUnwindSafe(reseals)) {
        Ok(done) => {
            done.unwrap();
            None
        }
        Err(_) => Some(dies.points.lock().unwrap().clone()),
    }
}

/// The account's key and the cards, if the wallet opens with `password`.
fn opens(dir: &Path, password: Option<&Password>) -> Result<(usize, u64), WalletError> {
    unless_in_use(|| opens_now(dir, password))
}

fn opens_now(dir: &Path, password: Option<&Password>) -> Result<(usize, u64), WalletError> {
    reseal::settle(dir, &StoreOptions::default())?;
    let key = match password {
        Some(password) if vault::is_sealed(dir) => {
            Some(vault::unlock(dir, password, Arc::new(SystemEntropy))?)
        }
        _ => None,
    };
    let wallet = Wallet::open(dir, Env { key, ..Env::system() })?;
    let seen = (
        wallet.network_file()?.cards().len(),
        wallet.balances()?.len() as u64,
    );
    wallet.close()?;
    Ok(seen)
}

#[test]
fn a_kill_at_any_step_leaves_the_old_wallet_or_the_new_one() {
    let password = Password::new("correct horse").unwrap();
    let dir = directory("password-killed");
    let entropy: &dyn Entropy = &SystemEntropy;
    for (old, new) in [(None, Some(&password)), (Some(&password), None)] {
        for at in 0.. {
            let wallet = dir.join(format!("{at}-{}", old.is_some()));
            let seed = Seed::generate(&mut entropy.rng());
            Wallet::create_with(&wallet, &seed, old).unwrap();
            let before = opens(&wallet, old).unwrap();
            let words = seed
                .to_phrase()
                .as_str()
                .split(' ')
                .take(3)
                .collect::<Vec<_>>()
                .join(" ");
            let points = killed_at(at, &wallet, old, new);
            let Some(points) = points else {
                assert!(at > 7, "{at} points");
                break;
            };
            // A command that only looks may be the first to come.
            assert_eq!(opens(&wallet, Some(&password)).unwrap(), before, "{points:?}");
            let is_decided = points.contains(&reseal::AFTER_DECISION);
            let is_sealed = if is_decided { new.is_some() } else { old.is_some() };
            assert_eq!(vault::is_sealed(&wallet), is_sealed, "{points:?}");
            assert_eq!(lies_in(&wallet, &words), !is_sealed, "{points:?}");
            assert_eq!(wallet.join("store/index").exists(), !is_sealed, "{points:?}");
            for name in ["resealing", "resealed", "unsealed"] {
                assert!(!wallet.join(name).exists(), "{points:?}");
            }
            // Nothing stands in the way of the next attempt.
            let (options, password) = (StoreOptions::default(), Some(&password));
            unless_in_use(|| reseal::reseal(&wallet, password, password, &options, Arc::new(SystemEntropy)))
                .unwrap();
            assert_eq!(opens(&wallet, password).unwrap(), before);
        }
    }
}

#[test]
fn a_copy_that_fails_leaves_the_wallet_as_it_was() {
    let password = Password::new("correct horse").unwrap();
    let wallet = directory("password-fails").join("wallet");
    let entropy: &dyn Entropy = &SystemEntropy;
    let seed = Seed::generate(&mut entropy.rng());
    Wallet::create_with(&wallet, &seed, Some(&password)).unwrap();
    opens(&wallet, Some(&password)).unwrap();
    fs::write(wallet.join("network.json"), "not sealed").unwrap();
    let before = all_in(&wallet);
    let options = StoreOptions::default();
    let failed =
        unless_in_use(|| reseal::reseal(&wallet, Some(&password), None, &options, Arc::new(SystemEntropy)));
    assert!(failed.unwrap_err().to_string().contains("was changed"));
    assert!(all_in(&wallet) == before, "a file has changed");
    assert!(vault::is_sealed(&wallet));
}

#[test]
fn a_password_is_never_in_an_argument_and_help_says_where_it_comes_from() {
    let dir = directory("password-help");
    let help = String::from_utf8(farthing(&dir, &["password", "--help"], "").stdout).unwrap();
    for part in [
        "--password-file",
        "--new-password-file",
        "FARTHING_PASSWORD",
        "--remove",
    ] {
        assert!(help.contains(part), "{help}");
    }
}
