//! The cash desk and the audit: a movement is made once, and the audit reports every wrong sum.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use farthing_bank::{
    admin::Command,
    bank::{Bank, BankParts},
    keys::{KeysError, Master},
    movement::MovementKind,
    policy::{Level, POLICY_FILE, Policy},
    rows::{ACCOUNTS, COINS, LEDGER, LEDGER_ENDS, TOTALS},
    statement::{ReportLine, ReportsRequest, StatementRequest},
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
    assert_eq!(report.problems.len(), 2, "{:?}", report.problems);
    // With the total and the ledger changed to match, the rows agree, but there is still too much money.
    fixture
        .bank
        .store()
        .transact([TOTALS.key(&()), LEDGER_ENDS.key(&key)], move |tx| {
            let mut totals = TOTALS.get(tx, &())?.unwrap();
            totals.accounts = Amount(totals.accounts.0 + 1);
            let mut end = LEDGER_ENDS.get(tx, &key)?.unwrap();
            end.balance = Amount(end.balance.0 + 1);
            LEDGER_ENDS.put(tx, &key, &end)?;
            TOTALS.put(tx, &(), &totals)
        })
        .await
        .unwrap();
    let report = fixture.bank.audit().await.unwrap();
    assert_eq!(
        report.problems,
        ["accounts, reserves and coins are worth 20.01, paid in less paid out is 20.00"]
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

fn policy() -> Policy {
    let text = "currency = \"FTH\"\nperiod_hours = 24\n[cash_in]\nreport_above = \"100.00\"\nkeep_above = \"30.00\"\n\
                [withdrawals]\nreport_above = \"0.10\"\n[deposits]\nreport_above = \"0.05\"\n";
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(POLICY_FILE), text).unwrap();
    Policy::read(dir.path(), "FTH").unwrap()
}

fn statement(fixture: &BankFixture, key: &SecretKey) -> Vec<(MovementKind, u64, u64)> {
    let request = StatementRequest {
        account: Some(key.public()),
        ..StatementRequest::default()
    };
    let page = fixture.bank.statement(&request).unwrap();
    assert_eq!(page.next, None);
    let movements = page.movements.iter();
    movements
        .map(|line| (line.kind, line.amount.0, line.balance.0))
        .collect()
}

fn reports(fixture: &BankFixture) -> Vec<ReportLine> {
    fixture.bank.reports(&ReportsRequest::default()).unwrap().reports
}

#[tokio::test]
async fn every_movement_has_one_dated_row_that_leads_to_the_balance() {
    let mut fixture = BankFixture::new().await;
    let began_ms = fixture.now_ms();
    fixture.clock.advance(1000);
    let purse = fixture.withdraw(&[8, 2]).await;
    fixture.cash(Command::AccountPayout, "1.00", "out").await.unwrap();
    fixture.cash(Command::AccountPayout, "1.00", "out").await.unwrap();
    let bought = fixture.order(&purse);
    fixture.ask(bought.hold()).await.unwrap();
    for _ in 0..2 {
        let (_, settled) = fixture.ask_raw(fixture.commit(&bought)).await;
        settled.unwrap();
        fixture.restart().await;
    }
    let customers = [
        (MovementKind::CashIn, 2000, 2000),
        (MovementKind::Withdrawal, 10, 1990),
        (MovementKind::CashOut, 100, 1890),
    ];
    assert_eq!(statement(&fixture, &fixture.account), customers);
    assert_eq!(
        statement(&fixture, &fixture.merchant),
        [(MovementKind::Deposit, 10, 10)]
    );
    let since = StatementRequest {
        since_ms: Some(began_ms + 1),
        until_ms: Some(began_ms + 1001),
        ..StatementRequest::default()
    };
    let later = fixture.bank.statement(&since).unwrap().movements;
    assert_eq!(later.len(), 3);
    let changes = fixture.bank.changes(began_ms + 1).await.unwrap();
    assert_eq!((changes.movements, changes.moved_accounts), (3, 2));
    let sums = [
        changes.cash_in,
        changes.cash_out,
        changes.withdrawn,
        changes.deposited,
    ];
    assert_eq!(sums.map(|sum| sum.0), [0, 100, 10, 10]);
    assert_eq!((changes.problems, changes.unknown_accounts), (vec![], 0));
    assert!(reports(&fixture).is_empty());
    fixture.audited().await;
}

#[tokio::test]
async fn a_report_is_written_once_for_each_movement_and_survives_a_kill() {
    const DAY_MS: u64 = 24 * 60 * 60 * 1000;
    let mut fixture = BankFixture::new().await;
    fixture.bank.set_policy(policy());
    for (amount, reference) in [("30.00", "a"), ("40.00", "b"), ("30.01", "c"), ("30.01", "c")] {
        fixture
            .cash(Command::AccountCredit, amount, reference)
            .await
            .unwrap();
    }
    fixture.clock.advance(2 * DAY_MS);
    for (amount, reference) in [("25.00", "d"), ("100.01", "e")] {
        fixture
            .cash(Command::AccountCredit, amount, reference)
            .await
            .unwrap();
    }
    let purse = fixture.withdraw(&[8, 2]).await;
    let more = fixture.withdraw(&[1]).await;
    let bought = fixture.order(&purse);
    fixture.ask(bought.hold()).await.unwrap();
    let (_, settled) = fixture.ask_raw(fixture.commit(&bought)).await;
    settled.unwrap();
    let line = |report: &ReportLine| (report.kind, report.level, report.amount.0, report.sum.0);
    let written: Vec<_> = reports(&fixture).iter().map(line).collect();
    let mut of_the_cash = vec![
        (MovementKind::CashIn, Level::Keep, 4000, 7000),
        (MovementKind::CashIn, Level::Report, 3001, 10_001),
        (MovementKind::CashIn, Level::Report, 10_001, 12_501),
    ];
    assert_eq!(written.len(), 5, "{written:?}");
    of_the_cash.retain(|report| !written.contains(report));
    assert_eq!(of_the_cash, []);
    assert!(written.contains(&(MovementKind::Withdrawal, Level::Report, 1, 11)));
    assert!(written.contains(&(MovementKind::Deposit, Level::Report, 10, 10)));
    let before = reports(&fixture);
    fixture.restart().await;
    fixture.bank.set_policy(policy());
    assert_eq!(reports(&fixture), before);
    let (_, settled) = fixture.ask_raw(fixture.commit(&bought)).await;
    settled.unwrap();
    fixture.cash(Command::AccountCredit, "100.01", "e").await.unwrap();
    assert_eq!(reports(&fixture), before);
    // A report has the account's edge, and nothing from beyond it.
    let text = serde_json::to_string(&before).unwrap();
    for coin in purse.coins.iter().chain(&more.coins) {
        assert!(!text.contains(&coin.public.to_string()));
    }
    assert!(!text.contains(&bought.order.purchase().to_string()));
    let since = ReportsRequest {
        since_ms: Some(fixture.now_ms()),
        ..ReportsRequest::default()
    };
    assert_eq!(fixture.bank.reports(&since).unwrap().reports.len(), 3);
}

#[tokio::test]
async fn an_account_that_is_older_than_the_ledger_says_so() {
    let fixture = BankFixture::new().await;
    let account = fixture.account.public();
    let forget = fixture.bank.store().transact(Reads::none(), move |tx| {
        LEDGER.delete(tx, &(account, 0))?;
        LEDGER_ENDS.delete(tx, &account)
    });
    forget.await.unwrap();
    assert_eq!(fixture.bank.changes(0).await.unwrap().unknown_accounts, 1);
    fixture.clock.advance(1000);
    fixture
        .cash(Command::AccountCredit, "5.00", "later")
        .await
        .unwrap();
    let expected = [(MovementKind::Before, 0, 2000), (MovementKind::CashIn, 500, 2500)];
    assert_eq!(statement(&fixture, &fixture.account), expected);
    let changes = fixture.bank.changes(0).await.unwrap();
    assert_eq!((changes.problems, changes.unknown_accounts), (vec![], 1));
    let changes = fixture.bank.changes(fixture.now_ms() + 1).await.unwrap();
    assert_eq!((changes.problems, changes.unknown_accounts), (vec![], 0));
    fixture.audited().await;
}

#[tokio::test]
async fn a_balance_that_the_ledger_does_not_explain_is_reported() {
    let fixture = BankFixture::new().await;
    let account = fixture.account.public();
    let change = fixture
        .bank
        .store()
        .transact([ACCOUNTS.key(&account)], move |tx| {
            let mut row = ACCOUNTS.get(tx, &account)?.unwrap();
            row.balance = Amount(2001);
            ACCOUNTS.put(tx, &account, &row)
        });
    change.await.unwrap();
    let changes = fixture.bank.changes(0).await.unwrap();
    assert_eq!(changes.problems.len(), 1, "{:?}", changes.problems);
    let problems = fixture.bank.audit().await.unwrap().problems;
    assert!(problems.iter().any(|problem| problem.contains("ends with 20.00")));
}
