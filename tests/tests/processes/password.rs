//! A wallet with a password, in whose directory nothing lies in clear.

use crate::{contains, files, testbed};
use farthing_kit::points::Party;
use farthing_tests::processes::{buyer::Buyer, goods::POSTCARD};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The texts of at least 8 characters in `value`. A text of hex digits also counts as the bytes that it stands for.
fn texts(value: &Value, found: &mut Vec<Vec<u8>>) {
    match value {
        Value::String(text) if text.len() >= 8 => {
            found.push(text.clone().into_bytes());
            found.extend(hex::decode(text).ok());
        }
        Value::Array(values) => values.iter().for_each(|value| texts(value, found)),
        Value::Object(values) => values.values().for_each(|value| texts(value, found)),
        _ => {}
    }
}

/// What must not lie in clear: the words, a title, and all texts in coins, purchases, cards, account and receipt.
fn secrets(alice: &Buyer, with: &dyn Fn(&[&str]) -> Value) -> Vec<Vec<u8>> {
    let mut found = vec![POSTCARD.as_bytes().to_vec(), alice.words.clone().into_bytes()];
    let words: Vec<&str> = alice.words.split(' ').collect();
    found.extend(words.windows(2).map(|pair| pair.join(" ").into_bytes()));
    for command in [
        vec!["coins", "--all"],
        vec!["purchases"],
        vec!["network", "list"],
        vec!["account", "--key"],
        vec!["receipt", "show", "0"],
    ] {
        texts(&with(&command), &mut found);
    }
    found
}

/// Asserts that no file in `dir` has one of these secrets.
fn assert_none_lies_in(dir: &Path, secrets: &[Vec<u8>]) {
    for (path, bytes) in files(dir) {
        for secret in secrets {
            assert!(
                !contains(&bytes, secret),
                "{} has {}",
                path.display(),
                String::from_utf8_lossy(secret)
            );
        }
    }
}

#[test]
fn no_secret_lies_in_clear_in_a_wallet_with_a_password() {
    let testbed = testbed();
    let alice = testbed.customer("alice");
    alice.buys(POSTCARD, "first");
    let plain_dir = alice.dir().to_owned();
    let plain = |args: &[&str]| alice.done(args);
    let in_plain = secrets(&alice, &plain);
    let before = files(&plain_dir);
    let is_in =
        |files: &[(PathBuf, Vec<u8>)], secret: &[u8]| files.iter().any(|(_, bytes)| contains(bytes, secret));
    let lie_in_clear = in_plain.iter().filter(|secret| is_in(&before, secret)).count();
    assert!(
        lie_in_clear > 20,
        "{lie_in_clear} secrets are found without a password"
    );

    let password = testbed.dir().join("password");
    fs::write(&password, "correct horse\n").unwrap();
    alice.done(&["password", "--new-password-file", password.to_str().unwrap()]);
    assert_none_lies_in(&plain_dir, &in_plain);

    // A wallet that was restored with a password.
    let words = testbed.dir().join("words");
    fs::write(&words, &alice.words).unwrap();
    let goods = testbed.dir().join("restored-goods");
    let dir = testbed.dir().join("alice-sealed");
    let alice = alice.with_words_only(&dir);
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let file = path(&password);
    let with = |args: &[&str]| alice.done(&[&["--password-file", file.as_str()], args].concat());
    let cards = [testbed.bank.card(), testbed.escrow.card()]
        .map(|card| alice.lines.card(Party::Wallet, card).to_string());
    let restore = [
        "restore",
        "--phrase-file",
        &path(&words),
        "--card",
        &cards[0],
        "--card",
        &cards[1],
    ]
    .map(str::to_owned);
    let restore: Vec<&str> = restore.iter().map(String::as_str).collect();
    // Without a directory of their own, goods would lie in clear in the wallet.
    alice
        .run(&[&["--password-file", file.as_str()], restore.as_slice()].concat())
        .must_end_with(1);
    with(&[restore.as_slice(), &["--goods-dir", &path(&goods)]].concat());
    let merchant = alice
        .lines
        .card(Party::Wallet, testbed.merchant.card())
        .to_string();
    with(&["network", "add", &merchant]);
    with(&["resume", "0"]);
    with(&["withdraw", "3.00"]);
    let buying = alice.buying(POSTCARD, "second");
    with(&buying.iter().map(String::as_str).collect::<Vec<_>>());
    with(&["exchange", "--all"]);

    let secrets = secrets(&alice, &with);
    assert!(secrets.len() > 50, "{}", secrets.len());
    assert_none_lies_in(&dir, &secrets);
    let names: Vec<PathBuf> = files(&dir).into_iter().map(|(path, _)| path).collect();
    assert!(
        names
            .iter()
            .all(|path| !path.starts_with(dir.join("store/index"))),
        "{names:?}"
    );
}
