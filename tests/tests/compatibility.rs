//! Opens directories, wallets and documents of an older version, and migrates them. Everything under way is carried
//! on to its end, and every unit is counted. The README beside the fixtures says how they were made.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use farthing_bank::{
    migrate::migrate,
    rows::{COINS, EXCHANGED, FINISHED},
};
use farthing_kit::{
    market::Market,
    nodes::Node,
    ports,
    process::{Running, Said},
    program::{CUSTOMER, ROLE_COMMAND},
};
use farthing_node::{
    card::RoleName,
    home::{CONFIG_FILE, OLD_CONFIG_FILE},
    store::open_store_in,
};
use farthing_protocol::{coins::CoinState, money::Amount};
use farthing_store::{SCHEMA_VERSION, StoreOptions};
use farthing_tests::processes::{
    buyer::{SILENT, units},
    run::{Wait, does_not_start, until},
};
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr},
    ops::Bound,
    path::{Path, PathBuf},
};
use tar::Archive;
use tempfile::TempDir;
use tokio::process::Command;

/// The wallet and every node, built with these tests.
const PROGRAM: &str = env!("CARGO_BIN_EXE_farthing-tested");

/// Exit code: the documents prove nothing.
const PROVES_NOTHING: i32 = 6;

/// Exit code: the coins are back, and there are no goods.
const COINS_ARE_BACK: i32 = 11;

/// All directories of the fixtures.
const DIRECTORIES: [&str; 5] = ["bank", "escrow", "merchant", "wallet", "second"];

/// The amount that was paid in.
const PAID_IN: u64 = 10_000;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/1aef5c3")
        .join(name)
}

fn read_json(name: &str) -> Value {
    let text = fs::read(fixture(name)).expect("a fixture");
    serde_json::from_slice(&text).expect("a fixture in JSON")
}

/// The directories as the old programs left them, in a temporary directory.
fn unpacked(names: &[&str]) -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for name in names {
        let file = File::open(fixture(&format!("{name}.tar.gz"))).expect("a fixture");
        Archive::new(GzDecoder::new(file))
            .unpack(dir.path())
            .expect("the fixture is unpacked");
    }
    dir
}

/// The version in the journal's own header.
fn version(dir: &Path) -> u32 {
    let journal = fs::read(dir.join("store/journal")).expect("a journal");
    u32::from_le_bytes(journal[8..12].try_into().expect("four bytes"))
}

/// Runs a command of the wallet in `dir`. Goods go beside that directory.
fn wallet(dir: &Path, args: &[&str]) -> Said {
    let mut command = Command::new(PROGRAM);
    command.current_dir(dir.parent().expect("a directory above"));
    command.args([ROLE_COMMAND, CUSTOMER]);
    command.arg("--wallet").arg(dir).arg("--json").args(args);
    async { Running::start(command, "farthing")?.end().await }.wait()
}

/// Runs `args`, then `resume` as long as a party is silent. Everything must end, with `code` at the end.
fn carried_on(dir: &Path, args: &[&str], code: i32) -> Value {
    let mut said = wallet(dir, args);
    until("everything has ended", || {
        if said.code == Some(SILENT) {
            said = wallet(dir, &["resume"]);
            return None;
        }
        Some(said.json(code))
    })
}

fn purchases(dir: &Path) -> Value {
    wallet(dir, &["purchases"]).json(0)["purchases"].clone()
}

fn available(dir: &Path) -> u64 {
    let balance = &wallet(dir, &["balance"]).json(0)["balances"][0];
    for part in ["in_purchases", "in_exchanges"] {
        assert_eq!(units(&balance[part]), 0, "{balance}");
    }
    units(&balance["available"])
}

/// Sets a port of its own for the node of an older version in `dir`.
fn moves(dir: &Path) {
    let path = dir.join(OLD_CONFIG_FILE);
    let config = fs::read(&path).expect("its configuration");
    let mut config: Value = serde_json::from_slice(&config).expect("its configuration in JSON");
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free().expect("a port")));
    config["listen"] = listen.to_string().into();
    fs::write(&path, config.to_string()).expect("its configuration is written");
}

/// The nodes of the fixtures, each on a port of its own. The parties that know them are told so.
struct Nodes(Market);

impl Nodes {
    fn start(dir: &Path) -> Nodes {
        for role in RoleName::PARTIES {
            moves(&dir.join(role.as_str()));
        }
        let market = Market::existing(Path::new(PROGRAM), dir).wait();
        for node in market.nodes() {
            let taken_over =
                node.dir().join(CONFIG_FILE).exists() && !node.dir().join(OLD_CONFIG_FILE).exists();
            assert!(taken_over, "the configuration is not taken over");
        }
        market.introduce().wait();
        market.start().wait();
        Nodes(market)
    }

    /// Tells a wallet the new addresses.
    fn known_to(&self, wallet_dir: &Path) {
        for card in self.0.cards() {
            // The restored wallet has never known the merchant.
            let added = wallet(wallet_dir, &["network", "add", &card.to_string()]).json(0);
            assert!(added["added"] != "known", "{added}");
        }
    }

    /// Waits until nothing is held. Then the books must balance, and all money must be in these wallets and the
    /// accounts.
    fn count(&self, wallets: &[&Path]) {
        let books = until("no coin is held", || {
            let books = self.0.books().wait();
            (books.held == Amount(0)).then_some(books)
        });
        assert_eq!(books.problems, Vec::<String>::new());
        assert!(books.counted_rows, "only the sums were compared");
        assert_eq!(books.paid_in, Amount(PAID_IN));
        let in_wallets: u64 = wallets.iter().map(|dir| available(dir)).sum();
        assert_eq!(books.outstanding, Amount(in_wallets));
        assert_eq!(books.accounts.0 + in_wallets, PAID_IN);
    }

    fn stop(&self) {
        for node in self.0.nodes().into_iter().rev() {
            assert!(node.stop().wait().success(), "{}", node.log());
        }
    }
}

#[test]
fn what_was_under_way_in_old_directories_is_carried_on_to_its_end() {
    let old = unpacked(&DIRECTORIES);
    let dir = |name: &str| old.path().join(name);
    for name in DIRECTORIES {
        assert_eq!(version(&dir(name)), 1, "{name}");
    }
    let (first, second) = (dir("wallet"), dir("second"));
    nothing_has_changed(&first);

    let nodes = Nodes::start(old.path());
    for wallet in [&first, &second] {
        nodes.known_to(wallet);
    }
    for name in DIRECTORIES {
        let version = if name == "second" { 1 } else { SCHEMA_VERSION };
        assert_eq!(self::version(&dir(name)), version, "{name}");
    }
    open_purchases_end(&first, old.path());
    past_goods_are_fetched(&second, old.path());
    nodes.count(&[&first, &second]);

    old_wallets_go_on_buying(&first, &second, old.path());
    nodes.count(&[&first, &second]);
    for name in DIRECTORIES {
        assert_eq!(version(&dir(name)), SCHEMA_VERSION, "{name}");
    }

    let has = available(&first);
    fs::remove_dir_all(&first).expect("it is lost");
    let again = dir("again");
    old_words_restore(&again, &nodes, has);
    nodes.count(&[&again, &second]);
    nodes.stop();

    // A migrated directory is opened again without a migration.
    let audit = nodes.0.bank.admin(&["audit"], &[]).wait();
    assert_eq!(audit["problems"], json!([]), "{audit}");
    assert_eq!(available(&again), has);
}

/// Shows the balance and the purchases of a wallet of the old version. These commands work offline.
fn nothing_has_changed(first: &Path) {
    let balances = wallet(first, &["balance"]).json(0);
    for (part, amount) in read_json("balance.json").as_object().expect("the old balance") {
        assert_eq!(balances["balances"][0][part], *amount, "{balances}");
    }
    assert_eq!(wallet(first, &["purchases"]).json(0), read_json("purchases.json"));
}

/// Resumes the first wallet. Every purchase ends, and the withdrawal is booked once.
fn open_purchases_end(first: &Path, old: &Path) {
    let resumed = carried_on(first, &["resume"], COINS_ARE_BACK);
    assert_eq!(resumed["open"], json!([]), "{resumed}");
    let now = purchases(first);
    let status: Vec<&str> = (0..6)
        .map(|number| now[number]["status"].as_str().expect("a status"))
        .collect();
    // Held purchases are overdue by now, paid ones bring their goods, and aborted ones have their coins back.
    assert_eq!(
        status,
        [
            "committed",
            "committed",
            "aborted",
            "aborted",
            "committed",
            "aborted"
        ]
    );
    let bought = fs::read(old.join("4.txt")).expect("the goods");
    assert_eq!(bought, fs::read(fixture("postcard.txt")).expect("a fixture"));
    // 50.00, of which 23.00 were withdrawn; 1.25 and 2.50 and 1.25 were paid.
    assert_eq!(available(first), 1800);
    assert_eq!(
        units(&wallet(first, &["account"]).json(0)["balance"]),
        2700,
        "the withdrawal is booked once"
    );
}

/// The second wallet was restored. It fetches past goods into a folder that was beside it.
fn past_goods_are_fetched(second: &Path, old: &Path) {
    fs::create_dir(old.join("restored")).expect("a directory");
    carried_on(second, &["resume"], 0);
    carried_on(second, &["resume", "0"], 0);
    assert_eq!(available(second), 875);
    let output = purchases(second)[0]["output"].clone();
    let name = Path::new(output.as_str().expect("a path"))
        .strip_prefix("/proc/self/cwd")
        .expect("a path where the command runs");
    assert!(old.join(name).exists(), "{output}");
}

/// Old wallets go on buying, with plain and with sealed offers, and withdraw.
fn old_wallets_go_on_buying(first: &Path, second: &Path, old: &Path) {
    for (wallet, sealed) in [(first, "5.letter"), (second, "6.letter")] {
        carried_on(wallet, &["buy", "studio", "Letter", "-o", sealed], 0);
        assert!(old.join(sealed).exists());
    }
    carried_on(first, &["buy", "studio", "Postcard", "-o", "7.postcard"], 0);
    carried_on(second, &["withdraw", "1.00"], 0);
}

/// Restores a lost wallet into `again`, from the words that the old program printed. It had `has` units.
fn old_words_restore(again: &Path, nodes: &Nodes, has: u64) {
    let words = fixture("wallet.words");
    let [bank, escrow, _] = nodes.0.cards().map(ToString::to_string);
    let words = words.to_str().expect("a path in UTF-8");
    let restore = [
        "restore",
        "--phrase-file",
        words,
        "--card",
        &bank,
        "--card",
        &escrow,
    ];
    // Its account key was the same at every bank, and no bank is shown it unasked.
    let unasked = until("the bank answers", || {
        let said = wallet(again, &restore);
        (said.code != Some(SILENT)).then(|| said.error(1))
    });
    assert!(unasked.contains("--shared-account central"), "{unasked}");
    let restore = [&restore[..], &["--shared-account", "central"]].concat();
    let restored = until("the restore is complete", || {
        let said = wallet(again, &restore);
        (said.code != Some(SILENT)).then(|| said.json(0))
    });
    assert_eq!(available(again), has, "{restored}");
    assert_eq!(purchases(again).as_array().expect("a list").len(), 8);
}

#[test]
fn exchanges_on_record_are_found_by_their_finish() {
    let old = unpacked(&["bank"]);
    let dir = old.path().join("bank").join("store");
    let store = open_store_in(&dir, StoreOptions::default(), migrate).expect("the store of a bank");
    let exchanged = EXCHANGED
        .scan(&store.view(), Bound::Unbounded, 1000)
        .expect("the exchanges");
    let finished = FINISHED
        .scan(&store.view(), Bound::Unbounded, 1000)
        .expect("the index");
    assert!(!exchanged.is_empty());
    assert_eq!(exchanged.len(), finished.len());
    // Every coin that was exchanged leads to what was issued for it.
    let coins = COINS
        .scan(&store.view(), Bound::Unbounded, 10_000)
        .expect("the coins");
    let mut found = 0;
    for (_, state) in coins {
        if let CoinState::Exchanged(used) = state {
            let id = FINISHED.peek(&store.view(), &used.digest).expect("the index");
            let id = id.expect("its finish is in the index");
            assert!(
                EXCHANGED
                    .peek(&store.view(), &id)
                    .expect("the exchanges")
                    .is_some()
            );
            found += 1;
        }
    }
    assert!(found > 0);
}

/// Judges documents, without a wallet.
fn judged(files: &[&str], code: i32) -> Value {
    let dir = tempfile::tempdir().expect("a directory");
    let files: Vec<PathBuf> = files.iter().map(|name| fixture(name)).collect();
    let files: Vec<&str> = files.iter().map(|path| path.to_str().expect("UTF-8")).collect();
    let args = [&["receipt", "verify"], files.as_slice()].concat();
    wallet(&dir.path().join("none"), &args).json(code)
}

#[test]
fn old_documents_are_judged_as_before() {
    for (receipt, goods) in [
        ("receipt-committed.json", "postcard.sealed"),
        ("receipt-sealed.json", "letter.sealed"),
    ] {
        let verdict = judged(&[receipt, goods], 0);
        assert_eq!(verdict["verdict"], "delivered", "{verdict}");
        // With the wrong goods nothing is proven.
        let verdict = judged(&[receipt, "letter.txt"], PROVES_NOTHING);
        assert_eq!(verdict["convictions"], json!([]), "{verdict}");
    }
    // All parties are honest, so all documents together accuse nobody.
    for documents in [
        &[
            "receipt-committed.json",
            "bank-committed.json",
            "merchant-committed.json",
        ] as &[&str],
        &["receipt-sealed.json"],
        &["receipt-aborted.json", "bank-aborted.json"],
        &[
            "receipt-aborted.json",
            "receipt-committed.json",
            "receipt-sealed.json",
        ],
    ] {
        let verdict = judged(documents, PROVES_NOTHING);
        assert_eq!(verdict["convictions"], json!([]), "{verdict}");
    }
}

#[test]
fn the_directory_of_a_newer_version_is_refused_and_left_alone() {
    let old = unpacked(&["bank", "wallet"]);
    for name in ["bank", "wallet"] {
        let path = old.path().join(name).join("store/journal");
        let mut journal = fs::read(&path).expect("a journal");
        journal[8..12].copy_from_slice(&(SCHEMA_VERSION + 1).to_le_bytes());
        let crc = crc32fast::hash(&journal[..28]);
        journal[28..32].copy_from_slice(&crc.to_le_bytes());
        fs::write(&path, &journal).expect("the journal is written");
        let state = fs::read(path.with_file_name("state")).expect("a state");

        let why = if name == "bank" {
            let dir = old.path().join(name);
            moves(&dir);
            let node = Node::existing(Path::new(PROGRAM), RoleName::Bank, &dir).wait();
            let (code, log) = does_not_start(&node);
            assert_eq!(code, Some(1), "{log}");
            assert_eq!(node.command(&["audit"], &[]).wait().code, Some(1));
            log
        } else {
            wallet(&old.path().join(name), &["balance"]).error(1)
        };
        for part in [
            "was last used by a newer program",
            "its format version is 3, this program knows up to 2",
            "nothing was changed",
        ] {
            assert!(why.contains(part), "{why}");
        }
        assert_eq!(fs::read(&path).expect("a journal"), journal);
        assert_eq!(fs::read(path.with_file_name("state")).expect("a state"), state);
    }
}
