//! Key lists near their bounds: a full list stops only new epochs, and no new bank gets a list that fills soon.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use farthing_bank::{
    admin::{Cash, Command},
    bank::{Bank, BankParts},
    keys::{BankSettings, CLOCK_LEAST_MS, CLOCK_MOST_MS, KeysError, Master, check_clock},
    node::create,
};
use farthing_coin::{Calendar, SecretKey, Transcript, TranscriptExt};
use farthing_node::operator::status::ClockDoubt;
use farthing_protocol::{limits::KEY_LIST_MAX_BYTES, wire};
use farthing_store::{
    Store, StoreOptions,
    clock::ManualClock,
    disk::MemoryDisk,
    entropy::{Entropy, SeededEntropy},
};
use serde_json::Value;
use std::{path::Path, sync::Arc};
use support::{Wire, secret_key};

const DAY_MS: u64 = 24 * 3_600_000;
const START_MS: u64 = 20_000 * DAY_MS;

fn settings(values: u32, epoch_days: u64) -> BankSettings {
    BankSettings {
        currency: "FTH".into(),
        calendar: Calendar {
            epoch_ms: epoch_days * DAY_MS,
            spend_epochs: 4,
            redeem_epochs: 4,
        },
        values: (0..values).map(|power| 1 << power).collect(),
    }
}

struct Setting {
    disk: MemoryDisk,
    clock: Arc<ManualClock>,
    settings: BankSettings,
}

impl Setting {
    async fn open(&self) -> Bank {
        self.disk.kill();
        let options = StoreOptions::simulated(self.disk.clone(), 9);
        let (store, _) = Store::open(Path::new("/bank"), options).unwrap();
        let (identity, master): (&dyn Entropy, &dyn Entropy) =
            (&SeededEntropy::new(1), &SeededEntropy::new(2));
        let parts = BankParts {
            identity: SecretKey::generate(&mut identity.rng()),
            master: Master::generate(&mut master.rng()),
            settings: self.settings.clone(),
            store,
            clock: self.clock.clone(),
            entropy: Arc::new(SeededEntropy::new(3)),
            network: Arc::new(Wire::new(secret_key(2))),
            cards: Vec::new(),
        };
        Bank::open(parts).await.unwrap()
    }
}

fn list_bytes(bank: &Bank) -> usize {
    wire::encode(bank.keys().book().signed()).unwrap().len()
}

#[tokio::test]
async fn a_full_list_still_serves() {
    let setting = Setting {
        disk: MemoryDisk::new(),
        clock: Arc::new(ManualClock::new(START_MS)),
        settings: settings(40, 1),
    };
    let most = setting.settings.epochs_max();
    let bank = setting.open().await;
    let (account, reference) = (secret_key(5).public(), "once".to_owned());
    let open = Command::AccountOpen {
        key: account,
        name: None,
    };
    bank.administer(open).await.unwrap();
    let cash = |amount: &str, reference: &str| Cash {
        key: account,
        amount: amount.parse().unwrap(),
        reference: reference.into(),
    };
    let credit = Command::AccountCredit(cash("20.00", &reference));
    bank.administer(credit).await.unwrap();

    // The list has two epochs from the first day.
    setting.clock.advance((most as u64 - 2) * DAY_MS);
    bank.accept_clock().await.unwrap();
    let status = bank.key_list();
    assert_eq!(
        (status.epochs, status.epochs_max, status.full),
        (most, most, false)
    );
    assert!(list_bytes(&bank) <= KEY_LIST_MAX_BYTES);
    assert!(
        list_bytes(&bank) > KEY_LIST_MAX_BYTES - 2 * 40 * 40,
        "one more does not fit"
    );
    let digest = bank.keys().book().digest();

    // The last epoch has begun and has no successor. This holds for the running bank and after a restart.
    setting.clock.advance(DAY_MS);
    assert!(!bank.keys().wants_more(START_MS + most as u64 * DAY_MS));
    bank.extend_keys().await.unwrap();
    assert!(bank.key_list().full);
    drop(bank);
    let bank = setting.open().await;
    assert!(bank.key_list().full);
    assert_eq!(bank.keys().book().digest(), digest);
    let payout = Command::AccountPayout(cash("5.00", "out"));
    let paid = bank.administer(payout).await.unwrap();
    assert_eq!(paid["balance"], "15.00");
    let keys = bank.administer(Command::Keys).await.unwrap();
    assert_eq!(keys["keys"].as_array().unwrap().len(), most * 40);
    assert_eq!(bank.audit().await.unwrap().problems, Vec::<String>::new());
}

/// The 32 bytes of a JSON member in hex.
fn bytes(value: &Value) -> [u8; 32] {
    let mut bytes = [0; 32];
    hex::decode_to_slice(value.as_str().unwrap(), &mut bytes).unwrap();
    bytes
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

#[tokio::test]
async fn every_key_id_and_the_digest_follow_from_the_json_alone() {
    let setting = Setting {
        disk: MemoryDisk::new(),
        clock: Arc::new(ManualClock::new(START_MS)),
        settings: settings(3, 30),
    };
    let bank = setting.open().await;
    let list = bank.administer(Command::Keys).await.unwrap();
    let calendar = &list["calendar"];
    let values: Vec<u64> = list["values"].as_array().unwrap().iter().map(number).collect();
    let lines = list["keys"].as_array().unwrap();
    assert_eq!((values.len(), lines.len()), (3, 6));

    // CRYPTOGRAPHY.md, Denominations: the id is the digest of all fields.
    for line in lines {
        let mut id = Transcript::start(b"denomination");
        id.bytes(b"bank", &bytes(&list["bank"]));
        id.bytes(b"currency", list["currency"].as_str().unwrap().as_bytes());
        id.u64(b"value", number(&line["value"]["units"]));
        id.u32(b"epoch", u32::try_from(number(&line["epoch"])).unwrap());
        for (label, member) in [
            (b"issue from".as_slice(), "issue_from_ms"),
            (b"issue until", "issue_until_ms"),
            (b"spend until", "spend_until_ms"),
            (b"redeem until", "redeem_until_ms"),
        ] {
            id.u64(label, number(&line[member]));
        }
        id.bytes(b"X", &bytes(&line["x"]));
        assert_eq!(line["id"], hex::encode(id.digest32(b"id")));
    }

    // CRYPTOGRAPHY.md, Key list: a chain with a link for each epoch.
    let mut root = Transcript::start(b"key list");
    root.bytes(b"bank", &bytes(&list["bank"]));
    root.bytes(b"currency", list["currency"].as_str().unwrap().as_bytes());
    root.u64(b"epoch length", number(&calendar["epoch_ms"]));
    root.u32(
        b"spend epochs",
        u32::try_from(number(&calendar["spend_epochs"])).unwrap(),
    );
    root.u32(
        b"redeem epochs",
        u32::try_from(number(&calendar["redeem_epochs"])).unwrap(),
    );
    root.count(b"values", values.len());
    for value in &values {
        root.u64(b"value", *value);
    }
    let mut link = root.digest32(b"link");
    for epoch in lines.chunks(values.len()) {
        let mut next = Transcript::start(b"key list epoch");
        next.bytes(b"previous", &link);
        next.u32(b"epoch", u32::try_from(number(&epoch[0]["epoch"])).unwrap());
        next.count(b"keys", epoch.len());
        for line in epoch {
            next.bytes(b"X", &bytes(&line["x"]));
        }
        link = next.digest32(b"link");
    }
    assert_eq!(list["digest"], hex::encode(link));
}

#[tokio::test]
async fn a_clock_that_is_years_ahead_appends_nothing() {
    for (epoch_days, years_ms) in [(1, 5_000 * DAY_MS), (90, 2 * 365 * DAY_MS), (90, u64::MAX / 2)] {
        let setting = Setting {
            disk: MemoryDisk::new(),
            clock: Arc::new(ManualClock::new(START_MS)),
            settings: settings(40, epoch_days),
        };
        let bank = setting.open().await;
        let digest = bank.keys().book().digest();
        let is_doubted = |bank: &Bank, doubt: Option<ClockDoubt>| {
            let status = bank.key_list();
            assert_eq!((status.full, status.doubt), (false, doubt), "{epoch_days}");
            assert_eq!(bank.keys().book().digest(), digest);
        };
        // The clock leaps while the bank runs, and is still wrong after a restart.
        setting.clock.set(START_MS + years_ms);
        bank.extend_keys().await.unwrap();
        is_doubted(&bank, Some(ClockDoubt::Ahead));
        drop(bank);
        let bank = setting.open().await;
        is_doubted(&bank, Some(ClockDoubt::Ahead));
        setting.clock.set(START_MS);
        bank.extend_keys().await.unwrap();
        is_doubted(&bank, None);
    }
}

#[tokio::test]
async fn a_bank_that_rested_for_years_goes_on_when_its_clock_is_accepted() {
    let setting = Setting {
        disk: MemoryDisk::new(),
        clock: Arc::new(ManualClock::new(START_MS)),
        settings: settings(4, 90),
    };
    drop(setting.open().await);
    // Up to four missing epochs are appended without a question.
    setting.clock.advance(4 * 90 * DAY_MS);
    let bank = setting.open().await;
    assert_eq!((bank.key_list().epochs, bank.key_list().doubt), (6, None));
    drop(bank);
    setting.clock.advance(5 * 90 * DAY_MS);
    let bank = setting.open().await;
    assert_eq!(
        (bank.key_list().epochs, bank.key_list().doubt),
        (6, Some(ClockDoubt::Ahead))
    );
    bank.accept_clock().await.unwrap();
    assert_eq!((bank.key_list().epochs, bank.key_list().doubt), (11, None));
}

#[tokio::test]
async fn a_clock_before_the_first_epoch_is_doubted() {
    let setting = Setting {
        disk: MemoryDisk::new(),
        clock: Arc::new(ManualClock::new(START_MS)),
        settings: settings(4, 90),
    };
    let digest = setting.open().await.keys().book().digest();
    setting.clock.set(START_MS - 365 * DAY_MS);
    let bank = setting.open().await;
    bank.accept_clock().await.unwrap();
    assert_eq!(bank.key_list().doubt, Some(ClockDoubt::Behind));
    assert_eq!(bank.keys().book().digest(), digest);
}

#[test]
fn a_new_bank_refuses_a_clock_that_cannot_be_right() {
    for right_ms in [CLOCK_LEAST_MS, CLOCK_MOST_MS - 1] {
        check_clock(right_ms).unwrap();
    }
    for wrong_ms in [0, CLOCK_LEAST_MS - 1, CLOCK_MOST_MS, u64::MAX] {
        let why = check_clock(wrong_ms).unwrap_err().to_string();
        assert!(why.contains("set the clock right, then repeat `init`"), "{why}");
    }
}

#[test]
fn a_new_bank_can_live_ten_years() {
    for (values, epoch_days) in [(16, 90), (16, 4), (40, 10), (4, 1), (1, 1), (40, 3650)] {
        settings(values, epoch_days).check_life().unwrap();
    }
    for (values, epoch_days, expected) in [
        (16, 3, "epochs of at least 4 days, or at most 13 values"),
        (40, 1, "epochs of at least 10 days, or at most 4 values"),
        (40, 9, "epochs of at least 10 days, or at most 39 values"),
        (5, 1, "epochs of at least 2 days, or at most 4 values"),
    ] {
        let error = settings(values, epoch_days).check_life().unwrap_err();
        assert!(matches!(error, KeysError::ShortLife { .. }));
        assert!(error.to_string().ends_with(expected), "{error}");
    }
}

#[test]
fn a_refused_configuration_creates_no_directory() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bank");
    let listen = "127.0.0.1:7001".parse().unwrap();
    let error = create(&path, "central", listen, settings(40, 1), None).unwrap_err();
    assert!(error.to_string().contains("full after 405 days"), "{error}");
    assert!(!path.exists());
}
