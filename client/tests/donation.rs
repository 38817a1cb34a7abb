//! Links to accounts, and documents of donations, without any party.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod support;

use farthing_client::{pay_uri::PayUri, payment_proof::PaymentProof};
use farthing_coin::{SecretKey, Seed, Signed, TextSalt};
use farthing_node::card::{Card, RoleName};
use farthing_protocol::{
    deposited::{DepositOutput, Deposited, Payee, text_digest},
    ids::DepositSource,
    money::Amount,
};
use serde_json::Value;
use std::{fs, path::Path, thread};
use support::{card, directory, farthing, json};

fn secret(who: u8) -> SecretKey {
    Seed::from_bytes(&[who; 32]).account_key()
}

/// The document of a donation to account 2, signed by bank 1. Each number is another donation.
fn proof(number: u8, name: &str) -> PaymentProof {
    let salt = [number; 32];
    let deposited = Deposited {
        bank: secret(1).public(),
        source: DepositSource([number; 32]),
        outputs: vec![DepositOutput {
            to: Payee::Account(secret(2).public()),
            amount: Amount(1000),
        }],
        text: text_digest(&TextSalt::from_bytes(salt), name),
        at_ms: 1_709_164_800_000,
    };
    PaymentProof {
        deposits: vec![Signed::sign(deposited, &secret(1))],
        text: name.into(),
        salt: hex::encode(salt),
    }
}

fn write(dir: &Path, name: &str, value: &impl serde::Serialize) {
    fs::write(dir.join(name), serde_json::to_vec_pretty(value).unwrap()).unwrap();
}

fn says(value: &Value) -> &str {
    value["error"].as_str().unwrap()
}

#[test]
fn the_owner_of_an_account_prints_a_link_to_it() {
    let dir = directory("link");
    json(&dir, 0, &["init"], "");
    let bank = card(RoleName::Bank, "central", 1);
    json(&dir, 0, &["network", "add", &bank], "");
    let account = json(&dir, 0, &["account", "--key"], "")["account"].clone();
    let made = json(&dir, 0, &["account", "--uri", "--name", "Red Cross"], "");
    assert_eq!(made["account"], account);
    let uri: PayUri = made["uri"].as_str().unwrap().parse().unwrap();
    assert_eq!((uri.text.as_str(), uri.amount), ("Red Cross", None));
    let (Payee::Account(key) | Payee::Reserve(key)) = uri.to;
    assert_eq!(uri.to, Payee::Account(key));
    assert_eq!(key.to_string(), account.as_str().unwrap());
    assert!(uri.bank.is_of(&bank.parse::<Card>().unwrap().identity));

    let shop = secret(7).public().to_string();
    let other = json(&dir, 0, &["account", "--uri", "--of", &shop], "");
    assert_eq!((&other["account"], &other["name"]), (&shop.into(), &"".into()));
    let no_key = json(&dir, 1, &["account", "--uri", "--of", &"ff".repeat(32)], "");
    assert!(says(&no_key).contains("no key"), "{no_key}");
    let long = json(&dir, 1, &["account", "--uri", "--name", &"x".repeat(129)], "");
    assert!(says(&long).contains("128"), "{long}");
    let picture = farthing(&dir, &["account", "--uri", "--qr"], "");
    assert!(String::from_utf8(picture.stdout).unwrap().lines().count() > 20);
    for usage in [
        ["account", "--name", "x"],
        ["account", "--of", &"00".repeat(32)],
        ["account", "--uri", "--key"],
    ] {
        assert_eq!(farthing(&dir, &usage, "").status.code(), Some(2), "{usage:?}");
    }
}

#[test]
fn each_link_is_paid_by_its_command() {
    let dir = directory("donate");
    json(&dir, 0, &["init"], "");
    for (name, key) in [("central", 1), ("other", 2)] {
        json(&dir, 0, &["network", "add", &card(RoleName::Bank, name, key)], "");
    }
    let bank: Card = card(RoleName::Bank, "central", 1).parse().unwrap();
    let link = |to, amount| {
        PayUri::new(bank.identity, to, amount, "Charity")
            .unwrap()
            .to_string()
    };
    let key = secret(2).public();
    let (account, request) = (
        link(Payee::Account(key), None),
        link(Payee::Reserve(key), Some(Amount(500))),
    );
    let bound = link(Payee::Account(key), Some(Amount(500)));
    let long = "x".repeat(129);
    for (args, expected) in [
        (vec!["donate", &request, "5.00"], "farthing send"),
        (vec!["send", &account], "farthing donate"),
        (vec!["donate", &account, "0"], "nothing to pay"),
        (vec!["donate", &bound, "4.00"], "5.00"),
        (vec!["donate", &account, "5.00", "--for", &long], "128"),
        (vec!["donate", &account, "5.00", "--for", "a\nb"], "control"),
        (vec!["donate", &account, "5.00", "--bank", "other"], "not at"),
        (vec!["open", &account], "--amount"),
        (vec!["open", &account, "--amount", "5.00"], "open --yes"),
        (vec!["open", &request, "--yes", "--for", "Erika"], "--for"),
    ] {
        let refused = json(&dir, 1, &args, "");
        assert!(says(&refused).contains(expected), "{args:?}: {refused}");
    }
    let asked = json(
        &dir,
        1,
        &["open", &account, "--amount", "5.00", "--for", "Erika"],
        "",
    );
    for part in ["5.00", "Charity", "Erika", &key.to_string()[..12]] {
        assert!(says(&asked).contains(part), "{asked}");
    }
}

#[test]
fn the_document_of_a_donation_says_what_the_bank_has_signed() {
    let dir = directory("proof");
    write(&dir, "donation.json", &proof(1, "Erika"));
    let verified = json(&dir, 0, &["receipt", "verify", "donation.json"], "");
    assert_eq!(verified["verdict"], "paid");
    let payment = &verified["payments"][0];
    assert_eq!(payment["text"], "Erika");
    assert_eq!(payment["outputs"][0]["amount"]["text"], "10.00");
    assert_eq!(payment["outputs"][0]["kind"], "account");
    let text = farthing(&dir, &["receipt", "verify", "donation.json"], "");
    let text = String::from_utf8(text.stdout).unwrap();
    for part in [
        "10.00 into the account",
        &secret(2).public().to_string(),
        &secret(1).public().to_string(),
        "2024-02-29",
        "\"Erika\"",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }

    let [bank, charity, other] = [1, 2, 3].map(|who| secret(who).public().to_string());
    let named = |bank: &str, account: &str, code| {
        let keys = ["--bank-key", bank, "--account-key", account];
        let args = [&["receipt", "verify", "donation.json"], &keys[..]].concat();
        json(&dir, code, &args, "");
        let args = [&args[..], &["--register", "named"]].concat();
        json(&dir, code, &args, "");
    };
    for (bank, account) in [(&other, &charity), (&bank, &other)] {
        named(bank, account, 6);
        assert!(!dir.join("named").exists());
    }
    named(&bank, &charity, 0);

    let mut forged = proof(1, "Erika");
    forged.text = "Max".into();
    write(&dir, "forged.json", &forged);
    for files in [vec!["forged.json"], vec!["donation.json", "forged.json"]] {
        let args = [vec!["receipt", "verify"], files].concat();
        assert_eq!(json(&dir, 6, &args, "")["verdict"], "proves_nothing");
    }
}

#[test]
fn a_register_accepts_a_donation_once() {
    let dir = directory("register");
    let verify = |code, files: &[&str]| {
        let args = [&["receipt", "verify", "--register", "2024"], files].concat();
        json(&dir, code, &args, "")
    };
    let mut forged = proof(1, "Erika");
    forged.deposits[0].body.outputs[0].amount = Amount(2000);
    write(&dir, "forged.json", &forged);
    write(&dir, "empty.json", &Value::Array(Vec::new()));
    write(
        &dir,
        "papers.json",
        &serde_json::json!({ "deposits": proof(1, "").deposits }),
    );
    fs::write(dir.join("letter"), "Dear tax office").unwrap();
    write(&dir, "one.json", &proof(1, "Erika"));
    for file in ["forged.json", "empty.json", "papers.json", "letter"] {
        for files in [vec![file], vec!["one.json", file]] {
            assert_eq!(verify(6, &files)["verdict"], "proves_nothing", "{files:?}");
        }
    }
    assert!(
        !dir.join("2024").exists(),
        "a refused file has changed the register"
    );

    let accepted = verify(0, &["one.json"]);
    assert_eq!(accepted["verdict"], "registered");
    let id = accepted["payments"][0]["deposit_id"].as_str().unwrap();
    assert_eq!(fs::read_to_string(dir.join("2024")).unwrap(), format!("{id}\n"));
    // The same deposit in another file, signed again at another time, and beside another deposit.
    let mut again = proof(1, "Erika");
    let mut body = again.deposits[0].body.clone();
    body.at_ms += 1;
    again.deposits = vec![Signed::sign(body, &secret(1))];
    write(&dir, "again.json", &again);
    write(&dir, "both.json", &[proof(2, "Erika"), proof(1, "Erika")]);
    for file in ["one.json", "again.json", "both.json"] {
        let refused = verify(9, &[file]);
        assert_eq!(refused["verdict"], "registered_before");
        assert!(refused["reason"].as_str().unwrap().contains(id), "{refused}");
    }
    write(&dir, "two.json", &proof(2, "Max"));
    verify(9, &["two.json", "two.json"]);
    assert_eq!(fs::read_to_string(dir.join("2024")).unwrap(), format!("{id}\n"));
    verify(0, &["two.json"]);
    assert_eq!(fs::read_to_string(dir.join("2024")).unwrap().lines().count(), 2);
    fs::write(dir.join("2024"), "a letter\n").unwrap();
    assert!(says(&verify(1, &["one.json"])).contains("line 1"));
}

#[test]
fn of_many_showings_at_once_one_is_accepted() {
    let dir = directory("register-race");
    write(&dir, "one.json", &proof(1, "Erika"));
    let mut codes: Vec<Option<i32>> = thread::scope(|scope| {
        let show = || {
            let shown = farthing(&dir, &["receipt", "verify", "one.json", "--register", "r"], "");
            shown.status.code()
        };
        let runs: Vec<_> = (0..6).map(|_| scope.spawn(show)).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    codes.sort_unstable();
    let nine = Some(9);
    assert_eq!(codes, [Some(0), nine, nine, nine, nine, nine]);
}
