//! The cash desk and the audit: a movement is made once, and the audit reports every wrong sum.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use farthing_bank::{
    admin::Command,
    bank::{Bank, BankParts},
    keys::{KeysError, Master},
    rows::{ACCOUNTS, COINS, TOTALS},
};
use farthing_coin::{PublicKey, SecretKey};
use farthing_protocol::money::Amount;
use farthing_store::{
    Reads, Store, StoreOptions,
    disk::MemoryDisk,
    entropy::{Entropy, SeededEntropy},
};
use serde_json::json;
use std::{path::Path, sync::Arc};
use support::{BankFixture, settings};

#[tokio::test]
async fn a_movement_with_one_reference_is_made_once() {
    let fixture = BankFixture::new().await;
    let first = fixture.cash(Command::AccountCredit, "5.00", "r").await.unwrap();
    assert_eq!(
        (&first["balance"], &first["new"]),
        (&"25.00".into(), &true.into())
    );
    let paid = fixture.cash(Command::AccountPayout, "1.25", "p").await.unwrap();
    assert_eq!(paid["balance"], "23.75");
    let head = fixture.head();
    let again = fixture.cash(Command::AccountCredit, "5", "r").await.unwrap();
    assert_eq!(
        (&again["balance"], &again["new"]),
        (&"25.00".into(), &false.into())
    );
    for (command, amount) in [
        (Command::AccountCredit as fn(_) -> _, "5.01"),
        (Command::AccountPayout as fn(_) -> _, "5.00"),
    ] {
        let error = fixture.cash(command, amount, "r").await.unwrap_err();
        assert!(error.contains("credit of 5.00"), "{error}");
    }
    assert_eq!(fixture.head(), head);
    assert_eq!(fixture.balance(&fixture.account).await, Amount(2375));
    fixture.audited().await;
}

#[tokio::test]
async fn the_desk_refuses_invalid_movements() {
    let fixture = BankFixture::new().await;
    let head = fixture.head();
    for (command, amount, reference, expected) in [
        (
            Command::AccountPayout as fn(_) -> _,
            "20.01",
            "a",
            "the balance is 20.00",
        ),
        (Command::AccountCredit, "0", "a", "nothing would be moved"),
        (Command::AccountCredit, "1", "", "a reference has 1 to 64"),
        (Command::AccountCredit, "1.234", "a", "is not an amount"),
        (
            Command::AccountCredit,
            "184467440737095516.15",
            "a",
            "more than the books can hold",
        ),
    ] {
        let error = fixture.cash(command, amount, reference).await.unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    let open = |key: &PublicKey, name: &str| Command::AccountOpen {
        key: *key,
        name: Some(name.into()),
    };
    let bad = fixture.bank.administer(open(&PublicKey([255; 32]), "x")).await;
    assert!(bad.unwrap_err().contains("is not a public key"));
    let key = fixture.merchant.public();
    let renamed = fixture.bank.administer(open(&key, "x")).await;
    assert!(renamed.unwrap_err().contains("already open"));
    assert_eq!(fixture.head(), head);
}

#[tokio::test]
async fn the_audit_notices_every_kind_of_tampering() {
    let mut fixture = BankFixture::new().await;
    let purse = fixture.withdraw(&[8]).await;
    fixture.exchanged(&purse, &[4, 4]).await.unwrap();
    fixture.audited().await;
    let key = fixture.account.public();
    fixture
        .bank
        .store()
        .transact([ACCOUNTS.key(&key)], move |tx| {
            let mut account = ACCOUNTS.get(tx, &key)?.unwrap();
            account.balance = Amount(account.balance.0 + 1);
            ACCOUNTS.put(tx, &key, &account)
        })
        .await
        .unwrap();
    let report = fixture.bank.audit().await.unwrap();
    assert_eq!(report.problems.len(), 1, "{:?}", report.problems);
    // With the total changed to match, the rows agree, but there is still too much money.
    fixture
        .bank
        .store()
        .transact([TOTALS.key(&())], |tx| {
            let mut totals = TOTALS.get(tx, &())?.unwrap();
            totals.accounts = Amount(totals.accounts.0 + 1);
            TOTALS.put(tx, &(), &totals)
        })
        .await
        .unwrap();
    let report = fixture.bank.audit().await.unwrap();
    assert_eq!(
        report.problems,
        ["accounts and coins are worth 20.01, paid in less paid out is 20.00"]
    );
    let coin = (purse.coins[0].key_id, purse.coins[0].public);
    fixture
        .bank
        .store()
        .transact(Reads::none(), move |tx| COINS.delete(tx, &coin))
        .await
        .unwrap();
    assert_eq!(fixture.bank.audit().await.unwrap().problems.len(), 2);
}

#[tokio::test]
async fn accounts_and_keys_are_listed() {
    let fixture = BankFixture::new().await;
    let accounts = fixture
        .bank
        .administer(Command::AccountList { after: None })
        .await
        .unwrap();
    assert_eq!(accounts["accounts"].as_array().unwrap().len(), 2);
    let keys = fixture.bank.administer(Command::Keys).await.unwrap();
    let listed = keys["keys"].as_array().unwrap();
    assert_eq!(listed.len(), 16);
    assert_eq!(listed.iter().filter(|k| k["issuing"] == true).count(), 8);
    assert_eq!(listed[7]["value"], json!({ "units": 128, "text": "1.28" }));
}

#[tokio::test]
async fn another_secret_or_configuration_is_refused() {
    let fixture = BankFixture::new().await;
    let disk: MemoryDisk = fixture.disk.clone();
    let open = |settings, master_seed: u64| {
        disk.kill();
        let (store, _) = Store::open(Path::new("/bank"), StoreOptions::simulated(disk.clone(), 9)).unwrap();
        let (identity, master): (&dyn Entropy, &dyn Entropy) =
            (&SeededEntropy::new(1), &SeededEntropy::new(master_seed));
        Bank::open(BankParts {
            identity: SecretKey::generate(&mut identity.rng()),
            master: Master::generate(&mut master.rng()),
            settings,
            store,
            clock: fixture.clock.clone(),
            entropy: Arc::new(SeededEntropy::new(3)),
            network: Arc::new(fixture.wire.clone()),
            cards: Vec::new(),
        })
    };
    let mut changed = settings();
    changed.values.pop();
    let error = open(changed, 77).await.unwrap_err();
    assert!(matches!(error, KeysError::Changed("list of values")), "{error}");
    let error = open(settings(), 78).await.unwrap_err();
    assert!(matches!(error, KeysError::OtherSecret { epoch: 100 }), "{error}");
    open(settings(), 77).await.unwrap();
}
