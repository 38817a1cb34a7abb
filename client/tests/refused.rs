//! Every command, against each situation in which it cannot do what it was asked, without any party.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod support;

use farthing_client::{
    gift_uri::GiftUri,
    pay_uri::PayUri,
    wallet::{Env, Wallet},
};
use farthing_coin::SecretKey;
use farthing_node::{
    card::{Card, RoleName},
    offer_uri::OfferUri,
};
use farthing_protocol::{deposited::Payee, ids::ItemId, money::Amount};
use std::{collections::BTreeSet, fs, path::Path};
use support::{card, directory, farthing, json};

/// A command, and its exit code in each of the [`SITUATIONS`].
type Row = (&'static str, [u8; 6]);

/// The columns of [`COMMANDS`].
const SITUATIONS: [&str; 6] = [
    "there is no wallet",
    "no card is known",
    "no party answers",
    "another command has the wallet",
    "the journal is damaged",
    "the store is gone",
];

/// All commands. `CARD` stands for the bank's card, `URI` for a request of a payment at that bank, `LINK` for an account
/// there, `GIFT` for a gift there, and `OFFER` for an item of the merchant.
const COMMANDS: &[Row] = &[
    ("network add CARD", [1, 0, 0, 0, 0, 0]),
    ("network list", [1, 0, 0, 0, 0, 0]),
    ("network check", [1, 0, 10, 10, 3, 1]),
    ("network remove bank nobody", [1, 1, 1, 1, 1, 1]),
    ("account", [1, 1, 10, 10, 3, 1]),
    ("account --key", [1, 1, 0, 0, 3, 1]),
    ("account --uri --name charity", [1, 1, 0, 0, 3, 1]),
    ("withdraw 1.00", [1, 1, 10, 1, 3, 1]),
    ("balance", [1, 0, 0, 0, 3, 1]),
    ("coins", [1, 0, 0, 0, 3, 1]),
    ("exchange --all", [1, 0, 0, 1, 3, 1]),
    ("catalog", [1, 1, 10, 10, 3, 1]),
    ("buy studio postcard -o goods", [1, 1, 10, 1, 3, 1]),
    ("watch studio prices -o records", [1, 1, 10, 1, 3, 1]),
    ("watch --on 0 -o records", [1, 1, 1, 1, 3, 1]),
    ("purchases", [1, 0, 0, 0, 3, 1]),
    ("history", [1, 0, 0, 0, 3, 1]),
    // Nothing is under way: a bank that never answered was not asked for coins.
    ("resume", [1, 0, 0, 1, 3, 1]),
    ("resume 0", [1, 1, 1, 1, 3, 1]),
    ("cancel 0", [1, 1, 1, 1, 3, 1]),
    ("receipt show 0", [1, 1, 1, 1, 3, 1]),
    ("receipt denied", [1, 0, 0, 0, 3, 1]),
    ("receipt denied -o documents", [1, 1, 1, 1, 3, 1]),
    ("receipt keys", [1, 0, 0, 0, 3, 1]),
    ("receipt keys -o documents", [1, 1, 1, 1, 3, 1]),
    ("redeem 1.00", [1, 1, 10, 1, 3, 1]),
    ("request 1.00", [1, 1, 10, 1, 3, 1]),
    ("send URI", [1, 1, 10, 1, 3, 1]),
    ("donate LINK 1.00 --for donor", [1, 1, 10, 1, 3, 1]),
    ("open --yes URI", [1, 1, 10, 1, 3, 1]),
    ("open --yes LINK --amount 1.00", [1, 1, 10, 1, 3, 1]),
    ("gift 1.00", [1, 1, 10, 1, 3, 1]),
    ("open --yes GIFT", [1, 1, 10, 1, 3, 1]),
    ("open --yes OFFER -o goods", [1, 1, 10, 1, 3, 1]),
    // A card is pinned only by hand.
    ("open --yes CARD", [1, 1, 1, 1, 3, 1]),
    ("accept GIFT", [1, 1, 10, 1, 3, 1]),
    ("take-back 0", [1, 1, 1, 1, 3, 1]),
    ("payments", [1, 0, 0, 0, 3, 1]),
    ("receive", [1, 0, 0, 1, 3, 1]),
    ("give-up 0", [1, 1, 1, 1, 3, 1]),
    ("receipt payment 0", [1, 1, 1, 1, 3, 1]),
    ("export -o exported --force", [1, 1, 0, 0, 3, 1]),
    ("run --once", [1, 0, 0, 1, 3, 1]),
    ("password --remove", [1, 0, 0, 0, 0, 0]),
    // These use no wallet, or make one.
    ("receipt verify missing", [1, 1, 1, 1, 1, 1]),
    ("receipt verify missing --register register", [1, 1, 1, 1, 1, 1]),
    ("restore --card CARD --phrase-file missing", [1, 1, 1, 1, 1, 1]),
    ("completions bash", [0, 0, 0, 0, 0, 0]),
    ("man", [0, 0, 0, 0, 0, 0]),
    ("init", [0, 1, 1, 1, 1, 1]),
];

/// The programs that a person types: every page of the manual that is not of a group of commands.
fn typed_commands(dir: &Path) -> BTreeSet<String> {
    let pages = dir.join("pages");
    json(dir, 0, &["man", "-o", pages.to_str().unwrap()], "");
    let names: BTreeSet<String> = fs::read_dir(&pages)
        .unwrap()
        .map(|page| page.unwrap().file_name().into_string().unwrap())
        .map(|name| name.trim_end_matches(".1").replace('-', " "))
        .collect();
    let is_group = |name: &str| names.iter().any(|other| other.starts_with(&format!("{name} ")));
    let commands = names.iter().filter(|name| !is_group(name));
    commands.map(|name| name.replacen("farthing ", "", 1)).collect()
}

/// A request of a payment at the bank of `check`, a link to an account there, a gift, and an item of
/// the merchant.
fn links() -> [(&'static str, String); 4] {
    let central: Card = card(RoleName::Bank, "central", 1).parse().unwrap();
    let (bank, key) = (central.identity, central.identity);
    let request = PayUri::new(bank, Payee::Reserve(key), Some(Amount(100)), "").unwrap();
    let link = PayUri::new(bank, Payee::Account(key), None, "Charity").unwrap();
    let secret = SecretKey::from_bytes(&[7; 32]).unwrap();
    let gift = GiftUri::new(bank, &secret, Amount(100), "").unwrap();
    let studio: Card = card(RoleName::Merchant, "studio", RoleName::Merchant as u8 + 1)
        .parse()
        .unwrap();
    let offer = OfferUri::new(&studio.identity, ItemId([7; 32]), Amount(100), "");
    [
        ("URI", request.to_string()),
        ("LINK", link.to_string()),
        ("GIFT", gift.to_string()),
        ("OFFER", offer.to_string()),
    ]
}

/// Runs every command in the situation of this number.
fn check(dir: &Path, situation: usize) {
    let bank = card(RoleName::Bank, "central", 1);
    let links = links();
    for (line, codes) in COMMANDS {
        let line = line.replace("CARD", &bank);
        let line = links
            .iter()
            .fold(line, |line, (word, link)| line.replace(word, link));
        let mut args: Vec<&str> = line.split(' ').collect();
        args.extend(["--patience", "1", "--wait", "0"]);
        let said = farthing(dir, &[&args[..], &["--json"]].concat(), "");
        let (text, why) = (
            String::from_utf8(said.stdout).unwrap(),
            String::from_utf8(said.stderr).unwrap(),
        );
        let (code, case) = (codes[situation], SITUATIONS[situation]);
        assert_eq!(
            said.status.code(),
            Some(i32::from(code)),
            "`{line}` if {case}: {text}{why}"
        );
        // A program that reads the value is told the same.
        let value = match text.is_empty() {
            // Nothing was to be done.
            true => serde_json::Value::Null,
            false => serde_json::from_str(&text).unwrap(),
        };
        let told = value["code"]
            .as_u64()
            .or_else(|| value["open"][0]["code"].as_u64());
        assert_eq!(told.unwrap_or(0), u64::from(code), "`{line}` if {case}: {text}");
        if situation == 1 && line.starts_with("network add") {
            // The next commands find no card.
            json(dir, 0, &["network", "remove", "bank", "central"], "");
        }
    }
}

#[test]
fn a_command_that_did_not_do_what_it_was_asked_exits_with_its_code() {
    let dir = directory("refused");
    let commands = typed_commands(&dir);
    for command in &commands {
        let is_listed = COMMANDS
            .iter()
            .any(|(line, _)| line.replace('-', " ").starts_with(command));
        assert!(is_listed, "`{command}` is missing in the table of commands");
    }
    assert!(
        commands.contains("network add") && !commands.contains("network"),
        "{commands:?}"
    );

    // The last command of the first situation makes the wallet.
    check(&dir, 0);
    check(&dir, 1);
    for (role, name) in [
        (RoleName::Bank, "central"),
        (RoleName::Escrow, "fair"),
        (RoleName::Merchant, "studio"),
    ] {
        json(
            &dir,
            0,
            &["network", "add", &card(role, name, role as u8 + 1)],
            "",
        );
    }
    check(&dir, 2);
    let holder = Wallet::open(&dir.join("wallet"), Env::system()).unwrap();
    check(&dir, 3);
    drop(holder);
    let journal = dir.join("wallet/store/journal");
    let mut bytes = fs::read(&journal).unwrap();
    bytes[0] ^= 1;
    fs::write(&journal, bytes).unwrap();
    check(&dir, 4);
    let store = dir.join("wallet/store");
    fs::remove_dir_all(&store).unwrap();
    check(&dir, 5);
    assert!(!store.exists(), "no empty store takes its place");
    assert_eq!(farthing(&dir, &["pay"], "").status.code(), Some(2));
}
