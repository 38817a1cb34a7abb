//! Cards, pinned cards, and a node's directory.

// A panic is how a test fails, in its helpers too.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod transport_support;

use farthing_node::fingerprint::Fingerprint;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use farthing_node::address::Addresses;
use farthing_node::home::{Home, HomeError, NewHome};
use farthing_node::probe::ProcessProbe;
use farthing_node::{
    card::{Card, CardError, RoleName},
    network_file::{Added, NetworkFile, NetworkFileError},
};
use farthing_store::entropy::{Entropy, SystemEntropy};
use serde::{Deserialize, Serialize};
use transport_support::{new_key, start};

fn some_card(role: RoleName, name: &str) -> Card {
    Card {
        role,
        name: name.to_owned(),
        address: "127.0.0.1:7001".parse().unwrap(),
        fingerprint: Fingerprint([0xab; 32]),
        identity: new_key(),
        fields: Default::default(),
    }
}

#[test]
fn a_card_is_one_line_and_parses_to_the_same_card() {
    for address in [
        "127.0.0.1:7001",
        "[::1]:9",
        "[2001:db8::7]:65535",
        "localhost:7001",
        "bank.example:7001,192.0.2.1:7001,[2001:db8::7]:7001",
    ] {
        let mut card = some_card(RoleName::Escrow, "north-2");
        card.address = address.parse().unwrap();
        let line = card.to_string();
        assert_eq!(
            line,
            format!(
                "farthing-card:escrow:north-2@{address}/{}/{}",
                "ab".repeat(32),
                card.identity_hex()
            )
        );
        assert!(!line.contains(char::is_whitespace));
        assert_eq!(line.parse::<Card>().unwrap(), card);
        let json = serde_json::to_string(&card).unwrap();
        assert_eq!(json, format!("\"{line}\""));
        assert_eq!(serde_json::from_str::<Card>(&json).unwrap(), card);
    }
}

#[test]
fn a_line_that_is_not_a_card_is_refused_with_a_reason() {
    let key = new_key();
    let identity = hex::encode(key.0);
    let print = "ab".repeat(32);
    let good = format!("farthing-card:bank:central@127.0.0.1:7001/{print}/{identity}");
    assert!(good.parse::<Card>().is_ok());
    let table: Vec<(String, &str)> = vec![
        (String::new(), "this is not a card"),
        ("hello".into(), "this is not a card"),
        (
            good.replace("farthing-card", "Farthing-card"),
            "this is not a card",
        ),
        (
            good.replace("farthing-card:bank", "farthing-card"),
            "this is not a card",
        ),
        (good.replace(":bank:", ":mint:"), "`mint` is not a role"),
        (good.replace(":bank:", ":Bank:"), "is not a role"),
        (good.replace("central", ""), "is not a name"),
        (good.replace("central", "Central"), "is not a name"),
        (good.replace("central", "cen tral"), "is not a name"),
        (good.replace("central", &"c".repeat(33)), "is not a name"),
        (good.replace("central@", "central"), "no `@` after the name"),
        (
            good.replace("127.0.0.1:7001", "local_host:7001"),
            "is not an address",
        ),
        (good.replace("127.0.0.1:7001", "127.0.0.1"), "is not an address"),
        (
            good.replace("127.0.0.1:7001", "Bank.example:7001"),
            "is not an address",
        ),
        (good.replace("127.0.0.1:7001", "127.0.0.1:0"), "is not an address"),
        (
            good.replace("127.0.0.1:7001", "0.0.0.0:7001"),
            "is not an address",
        ),
        (
            good.replace("127.0.0.1:7001", "127.0.0.1:07001"),
            "is not an address",
        ),
        (good.replace(&print, &print[2..]), "the fingerprint has to be 64"),
        (
            good.replace(&print, &print.to_uppercase()),
            "the fingerprint has to be 64",
        ),
        (good[..good.len() - 1].to_owned(), "the identity has to be 64"),
        (format!("{good}/"), "are not further fields"),
        (format!("{good} "), "the identity has to be 64"),
        (good.replace(&identity, &"ff".repeat(32)), "is not a public key"),
        (good.replace(&identity, &"00".repeat(32)), "is not a public key"),
        (
            good.replace(&identity, &"g".repeat(64)),
            "the identity has to be 64",
        ),
        (format!("{good}{}", "0".repeat(600)), "too many characters"),
    ];
    for (line, expected) in table {
        let error: CardError = line.parse::<Card>().unwrap_err();
        let message = error.to_string();
        assert!(message.contains(expected), "`{line}` gave: {message}");
        assert!(message.len() < 400, "{message}");
    }
}

#[test]
fn further_fields_that_are_not_canonical_are_refused() {
    let good = some_card(RoleName::Bank, "central").to_string();
    let long = format!("a={}", "1".repeat(129));
    let nine = "a=1/b=1/c=1/d=1/e=1/f=1/g=1/h=1/i=1";
    for fields in [
        "a", "a=", "a=1/", "a=1/a=1", "b=1/a=1", "A=1", "a=$1", &long, nine,
    ] {
        let error = format!("{good}/{fields}").parse::<Card>().unwrap_err();
        assert!(matches!(error, CardError::Fields(_)), "{fields}: {error}");
    }
}

#[test]
fn the_unknown_fields_of_a_newer_card_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let old = some_card(RoleName::Bank, "central");
    let line = format!("{old}/next-tls={}/pq=a.b-c_d:e@f,g+H", "cd".repeat(32));
    let card: Card = line.parse().unwrap();
    assert_eq!(card.to_string(), line);
    assert_eq!(card.fields.get("next-tls"), Some("cd".repeat(32).as_str()));
    assert_eq!(card.fields.get("other"), None);
    assert!(card.same_keys(&old) && card.address == old.address);
    let mut file = NetworkFile::load(dir.path()).unwrap();
    assert_eq!(file.add(old.clone()).unwrap(), Added::New);
    assert_eq!(file.add(card.clone()).unwrap(), Added::Updated);
    assert_eq!(file.add(card.clone()).unwrap(), Added::Known);
    assert_eq!(NetworkFile::load(dir.path()).unwrap().cards(), [card]);
}

#[test]
fn a_network_file_refuses_a_card_that_contradicts_a_pinned_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut file = NetworkFile::load(dir.path()).unwrap();
    assert!(matches!(
        file.only_one(RoleName::Bank),
        Err(NetworkFileError::Nobody(RoleName::Bank))
    ));
    let bank = some_card(RoleName::Bank, "central");
    assert_eq!(file.add(bank.clone()).unwrap(), Added::New);
    assert_eq!(file.add(bank.clone()).unwrap(), Added::Known);
    assert_eq!(file.only_one(RoleName::Bank).unwrap(), &bank);

    let mut other_key = bank.clone();
    other_key.identity = new_key();
    let message = file.add(other_key.clone()).unwrap_err().to_string();
    assert!(
        message.contains("the pinned key of bank `central` is"),
        "{message}"
    );
    assert!(
        message.contains(&bank.identity_hex()) && message.contains(&other_key.identity_hex()),
        "{message}"
    );
    let mut other_print = bank.clone();
    other_print.fingerprint = Fingerprint([0xcd; 32]);
    let message = file.add(other_print).unwrap_err().to_string();
    assert!(
        message.contains("the pinned fingerprint of bank `central` is"),
        "{message}"
    );
    let mut other_role = bank.clone();
    other_role.role = RoleName::Merchant;
    let message = file.add(other_role).unwrap_err().to_string();
    assert!(
        message.contains("is already pinned as bank `central`"),
        "{message}"
    );
    assert_eq!(
        file.cards(),
        std::slice::from_ref(&bank),
        "a refusal changes nothing"
    );

    let mut moved = bank.clone();
    moved.address = "127.0.0.1:7002".parse().unwrap();
    assert_eq!(
        file.add(moved.clone()).unwrap(),
        Added::Moved {
            from: bank.address.clone()
        }
    );
    let second = some_card(RoleName::Bank, "second");
    assert_eq!(file.add(second.clone()).unwrap(), Added::New);
    let again = NetworkFile::load(dir.path()).unwrap();
    assert_eq!(again.cards(), [moved.clone(), second.clone()]);
    assert_eq!(again.find(RoleName::Bank, "second"), Some(&second));
    assert_eq!(again.by_identity(&bank.identity), Some(&moved));
    let message = again.only_one(RoleName::Bank).unwrap_err().to_string();
    assert!(message.contains("central, second"), "{message}");

    assert_eq!(file.remove(RoleName::Bank, "central").unwrap(), Some(moved));
    assert_eq!(file.remove(RoleName::Bank, "central").unwrap(), None);
    assert_eq!(file.add(other_key).unwrap(), Added::New);
}

#[test]
fn a_server_is_recognised_by_its_key_and_keeps_its_local_name() {
    let dir = tempfile::tempdir().unwrap();
    let mut file = NetworkFile::load(dir.path()).unwrap();
    let mut one = some_card(RoleName::Merchant, "shop");
    let other = some_card(RoleName::Merchant, "shop");
    file.add(one.clone()).unwrap();
    let message = file.add(other.clone()).unwrap_err().to_string();
    assert!(message.contains("`--as NAME`"), "{message}");
    let (added, pinned) = file.add_as(other.clone(), Some("books")).unwrap();
    assert_eq!((added, pinned.name.as_str()), (Added::New, "books"));
    assert!(pinned.same_keys(&other));

    // The owner's card has the owner's name. It changes the address only.
    let mut moved = other.clone();
    moved.address = "127.0.0.1:7002".parse().unwrap();
    let (added, pinned) = file.add_as(moved.clone(), None).unwrap();
    assert_eq!(
        added,
        Added::Moved {
            from: other.address.clone()
        }
    );
    assert_eq!((pinned.name.as_str(), &pinned.address), ("books", &moved.address));
    assert_eq!(file.add(moved.clone()).unwrap(), Added::Known);
    let taken = file.add_as(moved.clone(), Some("shop")).unwrap_err();
    assert!(matches!(taken, NetworkFileError::Pinned { .. }), "{taken}");

    // A name of one's own is given to a known server too.
    let from = "books".to_owned();
    let (added, _) = file.add_as(moved.clone(), Some("papers")).unwrap();
    assert_eq!(added, Added::Renamed { from });
    one.name = "shop-2".into();
    assert_eq!(file.add(one).unwrap(), Added::Known);
    let again = NetworkFile::load(dir.path()).unwrap();
    let names: Vec<&str> = again.cards().iter().map(|card| card.name.as_str()).collect();
    assert_eq!(names, ["shop", "papers"]);

    // A name that makes the line of a long card too long is refused: the file would not be read again.
    let short = some_card(RoleName::Bank, "b").to_string();
    let fields = ["a", "b", "c"].map(|name| format!("/{name}={}", "v".repeat(105)));
    let long: Card = format!("{short}{}", fields.concat()).parse().unwrap();
    let refused = file.add_as(long.clone(), Some(&"n".repeat(32))).unwrap_err();
    assert!(matches!(refused, NetworkFileError::LongName(_)), "{refused}");
    file.add(long).unwrap();
    NetworkFile::load(dir.path()).unwrap();
}

#[test]
fn a_damaged_network_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let card = some_card(RoleName::Bank, "central");
    let twice = format!("[\"{card}\",\"{card}\"]");
    for text in ["", "{}", "[1]", "[\"farthing-card:\"]", &twice] {
        fs::write(dir.path().join("network.json"), text).unwrap();
        let error = NetworkFile::load(dir.path()).unwrap_err();
        assert!(
            matches!(error, NetworkFileError::Malformed { .. }),
            "{text}: {error}"
        );
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Settings {
    currency: String,
}

fn begin(dir: &Path, name: &str) -> Result<NewHome<Settings>, HomeError> {
    let entropy: &dyn Entropy = &SystemEntropy;
    let settings = Settings {
        currency: "EUR".to_owned(),
    };
    let listen: SocketAddr = "127.0.0.1:7001".parse().unwrap();
    Home::create(dir, RoleName::Bank, name, listen, settings, &mut entropy.rng())
}

fn create(dir: &Path, name: &str) -> Result<Home<Settings>, HomeError> {
    begin(dir, name)?.complete()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// The configuration of a new node.
const NEW_CONFIG: &str = r#"# The bank `central`. farthing-bank reads this file when it starts. Stop the node before you change a
# setting. docs/OPERATIONS.md explains the effect of each change.

# The role of the node: bank, escrow, merchant or relay. Do not change it.
role = "bank"
# The name of the node. It is in its card.
name = "central"
# The UDP address where the node listens. After a change, everyone who pinned its card needs the new card.
listen = "127.0.0.1:7001"

# The address where others reach the node, if it differs from `listen`, for example behind address translation. A host
# name works too, and several addresses with commas between them.
# advertise = "203.0.113.5:7001"

# The memory for the cache of the index, in MiB. The process takes about 1.6 times as much for it.
# cache_mib = 64

# The HTTP address for Prometheus (/metrics), health (/healthz, /readyz) and a page about the node (/). It has no password
# and no encryption, so an address that other machines reach needs `metrics_open` too.
# metrics = "127.0.0.1:9101"
# metrics_open = true

# The PostgreSQL database with the store of the node, without a password. `init --store` sets it. Do not change it: no
# command moves a store.
# store = "postgres://bank@db.example/cash?schema=bank&sslrootcert=/etc/farthing/db.pem"

# The settings of the role.
[settings]
# The name of the currency. Do not change this setting or the ones below: all coins depend on them.
currency = "EUR"
"#;

#[test]
fn a_node_directory_is_created_once_and_opened_again() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("nodes").join("bank");
    let made = create(&dir, "central").unwrap();
    let opened: Home<Settings> = Home::open(&dir, RoleName::Bank).unwrap();
    let card = opened.card().unwrap();
    assert_eq!(card, made.card().unwrap());
    assert_eq!(card.to_string().parse::<Card>().unwrap(), card);
    assert_eq!(
        (card.name.as_str(), card.identity),
        ("central", opened.identity().public())
    );
    assert_eq!(opened.config().settings.currency, "EUR");
    assert_eq!(fs::read_to_string(dir.join("config.toml")).unwrap(), NEW_CONFIG);
    assert!(opened.network().unwrap().cards().is_empty());
    assert_eq!(mode(&dir), 0o700);
    for secret in ["identity.key", "tls.key"] {
        assert_eq!(mode(&dir.join(secret)), 0o600);
    }
    let error = create(&dir, "central").unwrap_err();
    assert!(matches!(error, HomeError::NotEmpty { .. }), "{error}");
    // An existing empty directory is accepted, and becomes private to its owner.
    let empty = parent.path().join("empty");
    fs::create_dir(&empty).unwrap();
    create(&empty, "second").unwrap();
    assert_eq!(mode(&empty), 0o700);
}

#[test]
fn a_node_lives_at_the_root_of_a_volume() {
    // Its file system has made a directory there, and the volume hands its group on.
    const PRIVATE_WITH_GROUP: u32 = 0o2700;
    let volume = tempfile::tempdir().unwrap();
    fs::create_dir(volume.path().join("lost+found")).unwrap();
    fs::set_permissions(volume.path(), fs::Permissions::from_mode(PRIVATE_WITH_GROUP)).unwrap();
    create(volume.path(), "central").unwrap();
    let _: Home<Settings> = Home::open(volume.path(), RoleName::Bank).unwrap();
    assert_eq!(
        fs::metadata(volume.path()).unwrap().permissions().mode() & 0o7777,
        PRIVATE_WITH_GROUP,
        "what other users cannot read keeps its mode"
    );
}

#[test]
fn an_error_about_a_node_directory_says_what_to_do() {
    let parent = tempfile::tempdir().unwrap();
    let open = |dir: &Path, role| Home::<Settings>::open(dir, role).unwrap_err().to_string();
    let nowhere = parent.path().join("nowhere");
    let message = open(&nowhere, RoleName::Bank);
    assert_eq!(
        message,
        format!(
            "there is no bank in {0}: run `farthing-bank init {0}`",
            nowhere.display()
        )
    );
    assert!(
        create(&nowhere, "Not A Name")
            .unwrap_err()
            .to_string()
            .contains("is not a name")
    );
    assert!(!nowhere.exists(), "a refusal makes nothing");

    let dir = parent.path().join("bank");
    create(&dir, "central").unwrap();
    let message = open(&dir, RoleName::Escrow);
    assert!(
        message.contains("holds the bank `central`") && message.contains("use `farthing-bank`"),
        "{message}"
    );

    let key = dir.join("identity.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    let message = open(&dir, RoleName::Bank);
    assert!(
        message.contains("can be read by other users (mode 640); run `chmod 600"),
        "{message}"
    );
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();

    let good = fs::read(&key).unwrap();
    for damaged in ["", "00", &"0".repeat(64), &"f".repeat(64)] {
        fs::write(&key, damaged).unwrap();
        let message = open(&dir, RoleName::Bank);
        assert!(message.contains("identity.key is damaged"), "{message}");
    }
    fs::write(&key, good).unwrap();
    let config = dir.join("config.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("\nlisten", "\nlissten")).unwrap();
    let message = open(&dir, RoleName::Bank);
    assert!(
        message.contains("config.toml, line 9: unknown field `lissten`")
            && message.contains("correct that line"),
        "{message}"
    );
    fs::write(&config, text).unwrap();
    fs::remove_file(dir.join("tls.key")).unwrap();
    let message = open(&dir, RoleName::Bank);
    assert!(message.contains("it has config.toml but no tls.key"), "{message}");
}

#[test]
fn concurrent_changes_by_two_commands_are_both_kept() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("bank");
    let mut one = create(&dir, "central").unwrap();
    let mut other: Home<Settings> = Home::open(&dir, RoleName::Bank).unwrap();
    let advertise: Option<Addresses> = Some("192.0.2.7:7001".parse().unwrap());
    one.change_config(|config| config.advertise = advertise.clone())
        .unwrap();
    let listen = "0.0.0.0:7009".parse().unwrap();
    other.change_config(|config| config.listen = listen).unwrap();
    let opened: Home<Settings> = Home::open(&dir, RoleName::Bank).unwrap();
    assert_eq!(opened.config().advertise, advertise);
    assert_eq!(opened.config().listen, listen);
}

#[test]
fn a_directory_that_other_users_can_read_is_made_private_when_it_is_opened() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("bank");
    create(&dir, "central").unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    Home::<Settings>::open(&dir, RoleName::Bank).unwrap();
    assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn an_address_that_nobody_can_connect_to_is_refused_for_a_card() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("bank");
    let mut home = create(&dir, "central").unwrap();
    home.change_config(|config| config.listen = "0.0.0.0:7001".parse().unwrap())
        .unwrap();
    let message = home.card().unwrap_err().to_string();
    assert!(message.contains("set `advertise` in config.toml"), "{message}");
    home.change_config(|config| config.advertise = Some("192.0.2.7:7001".parse().unwrap()))
        .unwrap();
    let opened: Home<Settings> = Home::open(&dir, RoleName::Bank).unwrap();
    assert_eq!(opened.card().unwrap().address, "192.0.2.7:7001".parse().unwrap());
}

#[test]
fn the_operator_sets_the_size_of_the_index_cache() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("bank");
    let home = create(&dir, "central").unwrap();
    let probe = ProcessProbe::from_environment("bank");
    assert_eq!(home.store_options(&probe).cache_bytes, 64 * 1024 * 1024);
    let config = dir.join("config.toml");
    let text = fs::read_to_string(&config).unwrap();
    let set = |mib: &str| {
        let with = text.replacen("# cache_mib = 64", &format!("cache_mib = {mib}"), 1);
        fs::write(&config, with).unwrap();
        Home::<Settings>::open(&dir, RoleName::Bank)
    };
    let home = set("3").unwrap();
    assert_eq!(home.store_options(&probe).cache_bytes, 3 * 1024 * 1024);
    for refused in ["0", "-1", "\"much\"", "4294967296"] {
        let message = set(refused).unwrap_err().to_string();
        assert!(message.contains("config.toml, line 16: "), "{message}");
    }
}

/// A configuration file of version 1.
const OLD_CONFIG: &str = r#"{
  "role": "bank",
  "name": "central",
  "listen": "127.0.0.1:7001",
  "cache_mib": 3,
  "settings": { "currency": "EUR" }
}
"#;

#[test]
fn a_directory_that_was_never_completed_is_no_node() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("bank");
    let new = begin(&dir, "central").unwrap();
    // As after a crash before the role has made its store.
    let opened = Home::<Settings>::open(&dir, RoleName::Bank);
    let message = opened.unwrap_err().to_string();
    assert!(
        message.contains("it has identity.key but no config.toml") && message.contains("never ran"),
        "{message}"
    );
    fs::create_dir(dir.join("store")).unwrap();
    new.complete().unwrap();
    Home::<Settings>::open(&dir, RoleName::Bank).unwrap();
}

#[test]
fn an_old_configuration_is_migrated_once() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("bank");
    create(&dir, "central").unwrap();
    let [new, old, kept] = ["config.toml", "config.json", "config.json.old"].map(|name| dir.join(name));
    fs::remove_file(&new).unwrap();
    fs::write(&old, OLD_CONFIG).unwrap();
    let open = || Home::<Settings>::open(&dir, RoleName::Bank);
    let opened = open().unwrap().config().clone();
    assert_eq!(
        (opened.cache_mib.unwrap().get(), opened.settings.currency.as_str()),
        (3, "EUR")
    );
    assert!(!old.exists());
    assert_eq!(fs::read_to_string(&kept).unwrap(), OLD_CONFIG);
    let text = fs::read_to_string(&new).unwrap();
    assert!(
        text.contains("\n# The name of the node. It is in its card.\nname = \"central\"\n"),
        "{text}"
    );
    // A crash can leave both files. The old one is then renamed at the next start.
    fs::rename(&kept, &old).unwrap();
    assert_eq!(open().unwrap().config(), &opened);
    assert!(!old.exists() && kept.exists());
    // An old file with other settings is refused.
    for other in [OLD_CONFIG.replace("7001", "7009"), "damaged".to_owned()] {
        fs::write(&old, other).unwrap();
        let message = open().unwrap_err().to_string();
        assert!(
            message.contains("has config.toml and config.json") && message.contains("remove config.json"),
            "{message}"
        );
        assert_eq!(fs::read_to_string(&new).unwrap(), text);
    }
}

#[test]
fn an_invalid_old_configuration_is_unchanged() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("bank");
    create(&dir, "central").unwrap();
    let [new, old] = ["config.toml", "config.json"].map(|name| dir.join(name));
    fs::remove_file(&new).unwrap();
    for (text, expected) in [
        (
            OLD_CONFIG.replace("listen", "lissten"),
            "config.json, line 4: unknown field `lissten`",
        ),
        (OLD_CONFIG.replace("bank", "escrow"), "holds the escrow `central`"),
        (OLD_CONFIG.replace("}\n}", "}"), "config.json, line"),
    ] {
        fs::write(&old, &text).unwrap();
        let opened = Home::<Settings>::open(&dir, RoleName::Bank);
        let message = opened.map(|_| ()).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
        assert!(!new.exists());
        assert_eq!(fs::read_to_string(&old).unwrap(), text);
    }
}

#[test]
fn the_operators_comments_and_spelling_stay_in_the_configuration() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("bank");
    let mut home = create(&dir, "central").unwrap();
    let path = dir.join("config.toml");
    let own = "# Ours.\nname='central' # as agreed\nrole = \"bank\"\nlisten = \"127.0.0.1:7001\" # behind the wall\n\
               cache_mib = 0x40\nsettings = { currency = \"EUR\" } # one line\n";
    fs::write(&path, own).unwrap();
    home.change_config(|config| config.advertise = Some("192.0.2.7:7001".parse().unwrap()))
        .unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text, format!("{own}advertise = \"192.0.2.7:7001\"\n"));
    home.change_config(|config| {
        config.advertise = None;
        config.listen = "127.0.0.1:7009".parse().unwrap();
        config.settings.currency = "USD".to_owned();
    })
    .unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text, own.replace("7001", "7009").replace("EUR", "USD"));
    assert_eq!(
        Home::<Settings>::open(&dir, RoleName::Bank).unwrap().config(),
        home.config()
    );
}

#[tokio::test]
async fn a_stored_certificate_serves_again_with_the_same_fingerprint() {
    use farthing_node::network::{Lane, Network};
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("bank");
    create(&dir, "central").unwrap();
    let home: Home<Settings> = Home::open(&dir, RoleName::Bank).unwrap();
    let running = transport_support::start_at(
        transport_support::any_port(),
        home.tls().clone(),
        farthing_node::transport::ServerLimits::default(),
    );
    let card = home.card_at(running.card.address.only_ip().unwrap()).unwrap();
    assert!(
        farthing_node::quic::QuicNetwork::new()
            .connect(&card, Lane::Peer)
            .await
            .is_ok()
    );
    // It does not serve with the fingerprint of another certificate.
    let other = start(farthing_node::transport::ServerLimits::default());
    let card = home.card_at(other.card.address.only_ip().unwrap()).unwrap();
    assert!(
        farthing_node::quic::QuicNetwork::new()
            .connect(&card, Lane::Peer)
            .await
            .is_err()
    );
}
