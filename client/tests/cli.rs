//! Runs the program `farthing` on an empty wallet, without any party.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod support;

use farthing_client::{
    holder::Holder,
    wallet::{Env, Wallet},
};
use farthing_coin::Seed;
use farthing_node::{card::RoleName, terminal::is_harmless};
use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use support::{card, directory, farthing, json};

#[test]
fn a_wallet_is_made_once_and_is_empty() {
    let dir = directory("init");
    let error = json(&dir, 1, &["balance"], "");
    assert!(
        error["error"].as_str().unwrap().contains("farthing init"),
        "{error}"
    );
    assert_eq!(error["code"], 1);

    let made = json(&dir, 0, &["init"], "");
    let phrase = made["phrase"].as_str().unwrap();
    assert!(Seed::from_phrase(phrase).is_ok());
    let again = json(&dir, 1, &["init"], "");
    assert!(again["error"].as_str().unwrap().contains("already"), "{again}");

    assert_eq!(json(&dir, 0, &["balance"], "")["balances"], serde_json::json!([]));
    assert_eq!(json(&dir, 0, &["coins"], "")["coins"], serde_json::json!([]));
    assert_eq!(
        json(&dir, 0, &["purchases"], "")["purchases"],
        serde_json::json!([])
    );
    assert_eq!(json(&dir, 0, &["resume"], "")["open"], serde_json::json!([]));
    assert_eq!(json(&dir, 0, &["exchange", "--all"], "")["exchanged"]["units"], 0);
    assert_eq!(json(&dir, 0, &["history"], "")["history"], serde_json::json!([]));
    for args in [["cancel", "0"], ["receipt", "show"]] {
        let args: Vec<&str> = args
            .into_iter()
            .chain((args[0] == "receipt").then_some("0"))
            .collect();
        let error = json(&dir, 1, &args, "");
        assert!(
            error["error"].as_str().unwrap().contains("no purchase `0`"),
            "{error}"
        );
    }
}

#[test]
fn the_phrase_is_shown_to_people_in_numbered_words() {
    let dir = directory("words");
    let output = farthing(&dir, &["init"], "");
    let text = String::from_utf8(output.stdout).unwrap();
    let kept = fs::read_to_string(dir.join("wallet/seed.phrase")).unwrap();
    for (number, word) in (1..).zip(kept.split_whitespace()) {
        assert!(text.contains(&format!("{number}. {word}")), "{number} is missing");
    }
}

#[test]
fn cards_are_pinned_and_another_key_is_refused() {
    let dir = directory("network");
    let bank = card(RoleName::Bank, "central", 1);
    assert!(
        json(&dir, 1, &["network", "add", &bank], "")["error"]
            .as_str()
            .unwrap()
            .contains("farthing init")
    );
    json(&dir, 0, &["init"], "");
    assert_eq!(json(&dir, 0, &["network", "add", &bank], "")["added"], "new");
    assert_eq!(json(&dir, 0, &["network", "add", &bank], "")["added"], "known");
    let other = card(RoleName::Bank, "central", 2);
    let error = json(&dir, 1, &["network", "add", &other], "");
    assert!(error["error"].as_str().unwrap().contains("--as NAME"), "{error}");
    assert_eq!(json(&dir, 0, &["network", "list"], "")["cards"][0]["card"], bank);
    assert_eq!(
        json(&dir, 0, &["network", "remove", "bank", "central"], "")["removed"]["name"],
        "central"
    );
    json(&dir, 1, &["network", "remove", "bank", "central"], "");

    let usage = farthing(&dir, &["network", "add", "no-card"], "");
    assert_eq!(usage.status.code(), Some(2));
}

#[test]
fn two_shops_with_the_same_name_get_local_names() {
    let dir = directory("local-names");
    json(&dir, 0, &["init"], "");
    let [one, other] = [1, 2].map(|key| card(RoleName::Merchant, "shop", key));
    json(&dir, 0, &["network", "add", &one], "");
    json(&dir, 1, &["network", "add", &other], "");
    let added = json(&dir, 0, &["network", "add", &other, "--as", "books"], "");
    assert_eq!(
        (&added["added"], &added["card"]["name"]),
        (&"new".into(), &"books".into())
    );
    let again = json(&dir, 0, &["network", "add", &other], "");
    assert_eq!(
        (&again["added"], &again["card"]["name"]),
        (&"known".into(), &"books".into())
    );
    let listed = json(&dir, 0, &["network", "list"], "");
    let names: Vec<_> = listed["cards"]
        .as_array()
        .unwrap()
        .iter()
        .map(|card| &card["name"])
        .collect();
    assert_eq!(names, ["shop", "books"]);
    // The local name names the shop in commands, and the shop in messages.
    let silent = json(&dir, 10, &["catalog", "books", "--patience", "1"], "");
    assert!(
        silent["error"].as_str().unwrap().contains("merchant `books`"),
        "{silent}"
    );
    assert_eq!(
        farthing(&dir, &["network", "add", &one, "--as", "A b"], "")
            .status
            .code(),
        Some(2)
    );
}

#[test]
fn cards_added_by_many_commands_at_once_are_all_kept() {
    let dir = directory("at-once");
    json(&dir, 0, &["init"], "");
    let cards: Vec<String> = (1..=8)
        .map(|key| card(RoleName::Bank, &format!("bank-{key}"), key))
        .collect();
    std::thread::scope(|scope| {
        for card in &cards {
            scope.spawn(|| json(&dir, 0, &["network", "add", card], ""));
        }
    });
    let listed = json(&dir, 0, &["network", "list"], "");
    assert_eq!(listed["cards"].as_array().unwrap().len(), cards.len(), "{listed}");
}

/// `dir`, and all directories and files in it.
fn all_in(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let below = entries.flat_map(|path| match path.is_dir() {
        true => all_in(&path),
        false => vec![path],
    });
    std::iter::once(dir.to_owned()).chain(below).collect()
}

#[test]
fn a_wallet_is_readable_by_its_owner_only() {
    let dir = directory("private");
    json(&dir, 0, &["init"], "");
    let wallet = dir.join("wallet");
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    json(&dir, 0, &["balance"], "");
    let bank = card(RoleName::Bank, "central", 1);
    json(&dir, 0, &["network", "add", &bank], "");
    fs::write(wallet.join("goods/some.sealed"), "").unwrap();
    for command in ["balance", "network list", "account --key", "purchases"] {
        let args: Vec<&str> = command.split(' ').collect();
        let all = all_in(&wallet);
        assert!(
            all.iter()
                .any(|path| path.starts_with(wallet.join("store/index")))
        );
        for path in &all {
            let is_seed = path.ends_with("seed.phrase");
            set(
                path,
                if path.is_dir() {
                    0o755
                } else if is_seed {
                    0o600
                } else {
                    0o664
                },
            );
        }
        let said = farthing(&dir, &args, "");
        assert!(said.status.success(), "{said:?}");
        let note = String::from_utf8(said.stderr).unwrap();
        assert!(note.contains("other users could enter"), "{note}");
        for path in all_in(&wallet) {
            assert_eq!(mode(&path) & 0o077, 0, "{path:?} after {command}");
        }
        assert_eq!(String::from_utf8(farthing(&dir, &args, "").stderr).unwrap(), "");
    }
    // A link is not followed.
    let outside = dir.join("outside");
    fs::write(&outside, "").unwrap();
    set(&outside, 0o644);
    std::os::unix::fs::symlink(&outside, wallet.join("goods/link")).unwrap();
    json(&dir, 0, &["balance"], "");
    assert_eq!(mode(&outside), 0o644);
    let words = wallet.join("seed.phrase");
    assert_eq!(mode(&words), 0o600);
    set(&words, 0o644);
    let error = json(&dir, 1, &["balance"], "");
    assert!(error["error"].as_str().unwrap().contains("chmod 600"), "{error}");
    set(&words, 0o600);
    json(&dir, 0, &["balance"], "");
}

/// A command that runs, and the lines that it writes to standard error.
fn started(dir: &Path, args: &[&str]) -> (std::process::Child, impl Iterator<Item = String> + use<>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_farthing"));
    command
        .env_remove("FARTHING_LOG")
        .env_remove("FARTHING_PASSWORD")
        .env("FARTHING_WALLET", dir.join("wallet"))
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    (child, lines.map(Result::unwrap))
}

#[test]
fn commands_that_look_work_while_another_process_has_the_wallet_and_others_wait_for_it() {
    let dir = directory("in-use");
    json(&dir, 0, &["init"], "");
    let bank = card(RoleName::Bank, "central", 1);
    json(&dir, 0, &["network", "add", &bank], "");
    let mut env = Env::system();
    env.store.lock_note = Holder::this_process("buy", 0).note();
    let holder = Wallet::open(&dir.join("wallet"), env).unwrap();
    let before = fs::read(dir.join("wallet/store/journal")).unwrap();
    for (code, command) in [
        (0, vec!["balance"]),
        (0, vec!["coins"]),
        (0, vec!["purchases"]),
        (0, vec!["account", "--key"]),
        (10, vec!["account", "--patience", "1"]),
        (0, vec!["network", "list"]),
        (1, vec!["receipt", "show", "0"]),
        (0, vec!["receipt", "denied"]),
    ] {
        let said = json(&dir, code, &command, "");
        assert!(!said.to_string().contains("in use"), "{command:?}: {said}");
    }
    assert_eq!(fs::read(dir.join("wallet/store/journal")).unwrap(), before);

    let refused = json(&dir, 1, &["withdraw", "1.00", "--wait", "0"], "");
    let who = format!("`farthing buy` (process {}, since 1970-01-01", std::process::id());
    assert!(refused["error"].as_str().unwrap().contains(&who), "{refused}");

    let (mut waits, mut lines) = started(&dir, &["exchange"]);
    let line = lines.next().unwrap();
    assert!(line.contains("waiting") && line.contains(&who), "{line}");
    holder.close().unwrap();
    assert!(waits.wait().unwrap().success());
}

#[test]
fn a_wallet_with_a_password_opens_only_with_it() {
    let dir = directory("password");
    for (name, text) in [
        ("one", "correct horse\n"),
        ("two", "battery staple"),
        ("empty", "\n"),
    ] {
        fs::write(dir.join(name), text).unwrap();
    }
    let error = json(&dir, 1, &["init", "--password-file", "empty"], "");
    assert!(
        error["error"].as_str().unwrap().contains("1 to 1024 bytes"),
        "{error}"
    );
    assert!(!dir.join("wallet").exists());
    let words = json(&dir, 0, &["init", "--password-file", "one"], "")["phrase"].to_string();
    let bank = card(RoleName::Bank, "central", 1);
    json(&dir, 0, &["network", "add", &bank, "--password-file", "one"], "");
    let looks = [
        vec!["balance"],
        vec!["purchases"],
        vec!["network", "list"],
        vec!["account", "--key"],
    ];
    let with = |password: &[&str], code| {
        for command in &looks {
            let args: Vec<&str> = command.iter().chain(password).copied().collect();
            let said = json(&dir, code, &args, "");
            if code == 12 {
                assert!(said["error"].as_str().unwrap().contains("password"), "{said}");
            }
        }
    };
    with(&["--password-file", "one"], 0);
    with(&["--password-file", "two"], 12);
    with(&[], 12);

    let change = ["password", "--new-password-file", "two", "--password-file", "one"];
    json(&dir, 0, &change, "");
    json(&dir, 12, &change, "");
    with(&["--password-file", "two"], 0);
    with(&["--password-file", "one"], 12);
    let stored = fs::read(dir.join("wallet/seed.phrase")).unwrap();
    let words: Vec<&str> = words.trim_matches('"').split(' ').collect();
    let clear = String::from_utf8_lossy(&stored).into_owned();
    assert!(words.windows(2).all(|pair| !clear.contains(&pair.join(" "))));
    let cards = fs::read(dir.join("wallet/network.json")).unwrap();
    assert!(!String::from_utf8_lossy(&cards).contains("central"));
    assert!(!dir.join("wallet/store/index").exists());

    // A wallet without a password may have been put in the place of one that has it.
    let dir = directory("no-password");
    fs::write(dir.join("one"), "correct horse").unwrap();
    json(&dir, 0, &["init", "--no-password"], "");
    let error = json(&dir, 1, &["balance", "--password-file", "one"], "");
    assert!(
        error["error"].as_str().unwrap().contains("has no password"),
        "{error}"
    );
}

#[test]
fn goods_that_an_earlier_version_named_by_their_digest_are_renamed() {
    let dir = directory("renamed");
    json(&dir, 0, &["init"], "");
    let goods = dir.join("wallet/goods");
    let digest = "ab".repeat(32);
    fs::write(goods.join(format!("{digest}.sealed")), "goods").unwrap();
    fs::write(goods.join(format!("{digest}.part")), "half").unwrap();
    fs::write(goods.join("notes.txt"), "not ours").unwrap();
    let names = || {
        let entries = fs::read_dir(&goods).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort_by_key(|name| name.len());
        names
    };
    json(&dir, 0, &["balance"], "");
    let renamed = names();
    assert_eq!(renamed.len(), 3);
    assert_eq!(renamed[0], "notes.txt");
    let stem = renamed[1].strip_suffix(".part").unwrap();
    assert_eq!(renamed[2], format!("{stem}.sealed"));
    assert!(stem.len() == 32 && !digest.contains(stem), "{renamed:?}");
    assert_eq!(fs::read(goods.join(&renamed[2])).unwrap(), b"goods");
    json(&dir, 0, &["balance"], "");
    assert_eq!(names(), renamed);
}

#[test]
fn text_of_other_parties_is_escaped_for_the_terminal() {
    let dir = directory("terminal");
    json(&dir, 0, &["init"], "");
    let hostile = "\u{1b}[2J\u{7}\u{9b}2J\u{202e}\u{200b}\u{7f}\u{2066}\u{61c}\u{2029}\u{e0101}";
    let is_harmless = |text: &str| text.chars().all(|c| c == '\n' || is_harmless(c));
    // The error repeats the text that is not a card.
    let card = format!("farthing-card:bank:{hostile}@");
    for args in [
        vec!["network", "add", &card],
        vec!["cancel", &hostile],
        vec!["receipt", "verify", &hostile],
    ] {
        for json in [None, Some("--json")] {
            let args: Vec<&str> = args.iter().copied().chain(json).collect();
            let output = farthing(&dir, &args, "");
            assert!(!output.status.success());
            for text in [output.stdout, output.stderr] {
                let text = String::from_utf8(text).unwrap();
                assert!(is_harmless(&text), "{args:?}: {text:?}");
            }
        }
    }
    // In JSON the text is complete.
    let error = json(&dir, 1, &["cancel", hostile], "");
    assert!(error["error"].as_str().unwrap().contains(hostile), "{error}");
}

#[test]
fn the_error_for_a_silent_party_names_resume() {
    let dir = directory("silent");
    json(&dir, 0, &["init"], "");
    json(
        &dir,
        0,
        &["network", "add", &card(RoleName::Bank, "central", 1)],
        "",
    );
    let error = json(&dir, 10, &["withdraw", "1.00", "--patience", "1"], "");
    assert_eq!(error["code"], 10);
    assert!(
        error["error"].as_str().unwrap().contains("farthing resume"),
        "{error}"
    );
    let account = json(&dir, 10, &["account", "--patience", "1"], "");
    assert!(
        account["error"].as_str().unwrap().contains("bank `central`"),
        "{account}"
    );
}

#[test]
fn a_restore_says_what_is_wrong_and_can_be_repeated() {
    let dir = directory("restore");
    let words = Seed::from_bytes(&[7; 32]).to_phrase();
    let misspelt = words.replacen(words.split(' ').nth(2).unwrap(), "farthing", 1);
    let bank = card(RoleName::Bank, "central", 1);
    for (input, says) in [
        ("1. one 2. two", "got 2 words and expected 24"),
        (misspelt.as_str(), "word 3 of 24"),
    ] {
        let error = json(&dir, 1, &["restore", "--card", &bank], input);
        assert!(error["error"].as_str().unwrap().contains(says), "{error}");
    }
    let error = json(&dir, 1, &["restore"], &words);
    assert!(error["error"].as_str().unwrap().contains("--card"), "{error}");
    assert!(
        !dir.join("wallet").exists(),
        "a refused restore leaves nothing behind"
    );

    fs::write(dir.join("words"), words.as_bytes()).unwrap();
    let args = [
        "restore",
        "--card",
        &bank,
        "--phrase-file",
        "words",
        "--patience",
        "1",
    ];
    for _ in 0..2 {
        let error = json(&dir, 10, &args, "");
        assert!(error["error"].as_str().unwrap().contains("repeat"), "{error}");
    }
    // Another wallet's words, as `init` prints them: numbered, in lines, with prose around them.
    let others = farthing(&dir, &["--wallet", "other", "init"], "").stdout;
    let others = String::from_utf8(others).unwrap();
    let error = json(&dir, 1, &["restore", "--card", &bank, "--patience", "1"], &others);
    assert!(
        error["error"].as_str().unwrap().contains("other words"),
        "{error}"
    );
}

#[test]
fn exported_cards_and_names_come_back_with_a_restore() {
    let dir = directory("export");
    let words = json(&dir, 0, &["init"], "")["phrase"]
        .as_str()
        .unwrap()
        .to_owned();
    let export = ["export", "-o", "cards.json"];
    let empty = json(&dir, 1, &export, "");
    assert!(
        empty["error"].as_str().unwrap().contains("network add"),
        "{empty}"
    );
    json(
        &dir,
        0,
        &["network", "add", &card(RoleName::Bank, "central", 1)],
        "",
    );
    let shop = card(RoleName::Merchant, "shop", 2);
    json(&dir, 0, &["network", "add", &shop, "--as", "books"], "");
    assert_eq!(json(&dir, 0, &export, "")["cards"], 2);
    let file = dir.join("cards.json");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    json(&dir, 1, &export, "");
    json(&dir, 0, &[&export[..], &["--force"]].concat(), "");

    let restore = |import| {
        [
            "--wallet",
            "new",
            "restore",
            "--import",
            import,
            "--patience",
            "1",
        ]
    };
    fs::write(dir.join("other.json"), r#"{"version": 2, "cards": []}"#).unwrap();
    let refused = json(&dir, 1, &restore("other.json"), &words);
    assert!(
        refused["error"].as_str().unwrap().contains("version 2"),
        "{refused}"
    );
    assert!(!dir.join("new").exists());
    // The bank is silent, and the cards are there.
    json(&dir, 10, &restore("cards.json"), &words);
    let list = |wallet| json(&dir, 0, &["--wallet", wallet, "network", "list"], "")["cards"].clone();
    assert_eq!(list("new"), list("wallet"));
    assert_eq!(list("new")[1]["name"], "books");
}

#[test]
fn documents_are_judged_without_a_wallet() {
    let dir = directory("verify");
    let missing = json(&dir, 1, &["receipt", "verify", "documents", "goods"], "");
    assert!(
        missing["error"].as_str().unwrap().contains("cannot read"),
        "{missing}"
    );
    fs::write(dir.join("documents"), "{}").unwrap();
    fs::write(dir.join("goods"), "anything").unwrap();
    let nothing = json(&dir, 6, &["receipt", "verify", "documents", "goods"], "");
    assert_eq!(nothing["verdict"], "proves_nothing");
}
