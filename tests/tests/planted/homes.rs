//! The programs' output, and how they treat their own and foreign files.

use farthing_client::wallet::Wallet;
use farthing_coin::Seed;
use farthing_node::fingerprint::Fingerprint;
use farthing_node::{
    card::{Card, RoleName},
    home::files::{Existing, Mode, NewFile, write_output},
    network_file::NetworkFile,
    terminal::{json_line, one_line},
};
use farthing_protocol::ids::ItemId;
use farthing_protocol::{
    money::Amount,
    offer::{CatalogItem, CatalogPage, CatalogReader},
};
use farthing_simulation::{foundation::ITEM, shopping::picture, world::World};
use std::{fs, fs::Permissions, io::Write, os::unix::fs::PermissionsExt, path::PathBuf};

/// What the customer has in the account, and withdraws.
const FUNDS: Amount = Amount(2000);

/// Another party's text is shown, and is read by a program.
pub async fn text_that_steers_a_terminal() {
    let text = "\u{1b}[2J\u{9b}2J\u{202e}";
    for shown in [one_line(text), json_line(&text)] {
        let obeyed = shown.contains(['\u{1b}', '\u{9b}', '\u{202e}']);
        assert!(!obeyed, "text: a refusal clears an operator's screen");
    }
}

/// Both ways of writing a file meet an existing report.
pub async fn a_report_where_there_is_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("report.json");
    fs::write(&path, "first").expect("a report");
    let _refused = write_output(&path, b"second", Mode::Secret, Existing::Kept);
    let mut new = NewFile::beside(&path, Mode::Secret).expect("a file");
    new.file().write_all(b"second").expect("it is written");
    let _refused = new.put(&path);
    let kept = fs::read(&path).expect("a report");
    assert!(kept == b"first", "files: a report is overwritten unasked");
}

/// Two commands that have read the network file each add a card.
pub async fn two_cards_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let card = |name: &str, key: u8| Card {
        role: RoleName::Bank,
        name: name.into(),
        address: "127.0.0.1:7001".parse().expect("an address"),
        fingerprint: Fingerprint([key; 32]),
        identity: Seed::from_bytes(&[key; 32]).account_key().public(),
        fields: Default::default(),
    };
    let load = || NetworkFile::load(dir.path()).expect("the network file");
    let [mut one, mut other] = [load(), load()];
    one.add(card("central", 1)).expect("a card");
    other.add(card("coast", 2)).expect("a card");
    assert_eq!(load().cards().len(), 2, "files: a card is lost");
}

/// A wallet is opened whose directory others can read.
pub async fn a_wallet_that_others_can_read() {
    let world = World::new(44).await;
    let customer = world.customer("alice", FUNDS).await;
    fs::set_permissions(customer.dir(), Permissions::from_mode(0o755)).expect("its mode");
    let _wallet = customer.wallet();
    let mode = fs::metadata(customer.dir())
        .expect("the wallet")
        .permissions()
        .mode();
    assert_eq!(mode & 0o077, 0, "files: others can read a wallet");
}

/// An observer who knows what a merchant sells sees the names of a wallet's files.
pub async fn the_names_of_a_wallets_goods() {
    let world = World::new(45).await;
    let wallet: Wallet = world.customer("alice", FUNDS).await.wallet();
    let withdrawn = wallet.withdraw(&world.parties().bank, FUNDS).await;
    withdrawn.expect("a withdrawal");
    let bought = wallet.buy(&world.parties(), ITEM, &picture(&world, 1)).await;
    let number = bought.expect("a purchase");
    let file: PathBuf = wallet.goods_file(number).expect("the encrypted goods");
    let name = file.file_stem().expect("a name").to_string_lossy().into_owned();
    let row = wallet.purchase(number).expect("the purchase");
    let digest = hex::encode(row.purchase.offer().body.encrypted_digest);
    assert!(
        !digest.contains(&name),
        "anonymity: a file's name says what was bought"
    );
}

/// A merchant repeats the first page of its catalogue, and always says that there is more.
pub async fn a_catalogue_without_an_end() {
    let item = CatalogItem {
        item_id: ItemId([1; 32]),
        title: ITEM.into(),
        description: String::new(),
        media_type: "image/png".into(),
        size_bytes: 1,
        price: Amount(1),
        currency: "FTH".into(),
    };
    let mut reader = CatalogReader::default();
    let read = (0..3).all(|_| {
        let (items, more) = (vec![item.clone()], true);
        reader.on_page(CatalogPage { items, more }).is_ok()
    });
    assert!(!read, "bad input: a catalogue has no end");
}
