//! A restarted bank waits until an escrow tells which head it remembers. A bank that lost history stops permanently.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use farthing_bank::admin::Command;
use farthing_coin::{SecretKey, Signed};
use farthing_protocol::{
    api::AskBank,
    history::{JournalHead, WithHead, WitnessRequest},
    ids::{JournalRun, RecordHash, RecordId, WitnessNonce},
    issuance::{Issuance, IssuanceAsk},
    refusal::{Later, Refusal, RequestFault},
    restore::{BucketRequest, Prefix, Shelf},
    settle::Collected,
};
use support::{BankFixture, secret_key};

fn later(why: Later) -> Refusal {
    why.into()
}

/// The witness request of an escrow with this key that remembers `head`.
fn asks(fixture: &BankFixture, escrow: &SecretKey, head: Option<Signed<JournalHead>>) -> AskBank {
    let question = WitnessRequest {
        asker: escrow.public(),
        witness: fixture.bank.self_id(),
        nonce: WitnessNonce([5; 32]),
        remembered: head,
    };
    AskBank(Signed::sign(question, escrow))
}

/// A bank that told a head and was then restored from an older backup.
async fn restored() -> (BankFixture, Signed<JournalHead>) {
    let mut fixture = BankFixture::new().await;
    let backup = fixture.disk.copy();
    fixture.withdraw(&[8]).await;
    let told = fixture.bank.history().head();
    fixture.disk.restore(&backup);
    (fixture, told)
}

#[tokio::test]
async fn an_unwitnessed_bank_only_repeats_replies() {
    let mut fixture = BankFixture::new().await;
    let withdrawal = fixture.withdrawal(&[8, 4]);
    let withdrawal = fixture.begun(&withdrawal).await;
    let finish = fixture.finish_of(&withdrawal);
    let (first, issued) = fixture.ask_raw(finish.clone()).await;
    let purse = fixture.coins_of(&withdrawal, &issued.unwrap());
    let bought = fixture.order(&purse);
    let hold = fixture.ask(bought.hold()).await.unwrap().body;
    let other = fixture.withdraw(&[2]).await;
    let unheld = fixture.order(&other);
    fixture.wire.be_silent(true);
    fixture.restart().await;

    assert_eq!(fixture.ask_raw(finish).await.0, first);
    assert_eq!(fixture.ask(bought.hold()).await.unwrap().body, hold);
    assert_eq!(fixture.refused(unheld.hold()).await, later(Later::Unwitnessed));
    assert_eq!(
        fixture.refused(fixture.commit(&bought)).await,
        later(Later::Unwitnessed)
    );
    let collect = bought.order.collect_request(&bought.purchase_key);
    assert_eq!(fixture.refused(collect).await, later(Later::Unwitnessed));
    let exchange = fixture.exchange(&other, &[2]);
    let refused = fixture.exchange_begun(&exchange, &other).await.map(|_| ());
    assert_eq!(refused, Err(later(Later::Unwitnessed)));
    let bucket = BucketRequest {
        shelf: Shelf::Exchanges,
        prefix: Prefix::of(&RecordId([0; 32]), 0),
        after: None,
    };
    assert_eq!(fixture.refused(bucket).await, later(Later::Unwitnessed));
    // The bank refuses nothing permanently while it may have lost the rows that the refusal depends on.
    let mut unknown = fixture.withdrawal(&[1]);
    unknown.account = secret_key(9).public();
    let IssuanceAsk::Begin(begin) = unknown.ask(&secret_key(9), &fixture.seed) else {
        panic!("it begins")
    };
    assert_eq!(fixture.refused(begin).await, later(Later::Unwitnessed));

    fixture.wire.be_silent(false);
    fixture.bank.history().ask_all().await;
    fixture.ask(unheld.hold()).await.unwrap();
    fixture.ask(fixture.commit(&bought)).await.unwrap();
    assert!(matches!(
        fixture.ask(collect).await.unwrap(),
        Collected::Committed(_)
    ));
}

#[tokio::test]
async fn a_head_outside_its_history_stops_the_bank_permanently() {
    let (mut fixture, told) = restored().await;
    fixture.wire.remember(Some(told.clone()));
    fixture.restart().await;
    assert_eq!(fixture.bank.history().standing(), Err(Later::Behind));
    let withdrawal = fixture.withdrawal(&[8]);
    let IssuanceAsk::Begin(begin) = withdrawal.ask(&fixture.account, &fixture.seed) else {
        panic!("it begins")
    };
    assert_eq!(fixture.ask(begin).await.unwrap_err(), later(Later::Behind));
    let refused = fixture.cash(Command::AccountPayout, "1.00", "out").await;
    assert!(refused.unwrap_err().contains("older copy"));
    // The bank stores this verdict, so that it holds after a restart without the escrow's head.
    tokio::task::yield_now().await;
    fixture.wire.remember(None);
    fixture.restart().await;
    assert_eq!(fixture.bank.history().standing(), Err(Later::Behind));
}

#[tokio::test]
async fn a_running_bank_stops_when_a_peer_remembers_more() {
    let (mut fixture, told) = restored().await;
    fixture.restart().await;
    assert_eq!(
        fixture.bank.history().standing(),
        Ok(()),
        "its escrow remembers nothing"
    );
    fixture.withdraw(&[4]).await;
    // Anyone may show the head: only the bank itself can have signed it.
    let somebody = secret_key(66);
    let testimony = fixture.ask(asks(&fixture, &somebody, Some(told))).await.unwrap();
    assert_eq!(
        testimony.body.own, None,
        "how long its journal is, is for its peers alone"
    );
    assert_eq!(fixture.bank.history().standing(), Err(Later::Behind));
}

#[tokio::test]
async fn a_head_that_the_bank_never_signed_stops_nothing() {
    let fixture = BankFixture::new().await;
    let mut made_up = fixture.bank.history().head();
    made_up.body.records += 1;
    let refused = fixture.ask(asks(&fixture, &fixture.escrow, Some(made_up))).await;
    assert!(matches!(
        refused.unwrap_err(),
        Refusal::Request(RequestFault::Signature { .. })
    ));
    let head = fixture.bank.history().head();
    let testimony = fixture
        .ask(asks(&fixture, &fixture.escrow, Some(head.clone())))
        .await
        .unwrap();
    let own = testimony.body.own.unwrap();
    assert_eq!(own.hash_there, Some(head.body.hash));
    assert_eq!(fixture.bank.history().standing(), Ok(()));
}

#[tokio::test]
async fn a_head_in_a_hold_must_be_its_escrows_and_is_remembered_once_it_is_proven() {
    let mut fixture = BankFixture::new().await;
    let purse = fixture.withdraw(&[8]).await;
    let bought = fixture.order(&purse);
    let of = |key: &SecretKey| {
        let head = JournalHead {
            node: key.public(),
            run: JournalRun([4; 32]),
            records: 12,
            hash: RecordHash([6; 32]),
        };
        Some(Signed::sign(head, key))
    };
    let hold = |head| WithHead {
        head,
        ..bought.hold()
    };
    assert!(matches!(
        fixture.refused(hold(of(&secret_key(66)))).await,
        Refusal::Request(RequestFault::Signature { .. })
    ));
    fixture.ask(hold(of(&fixture.escrow))).await.unwrap();
    let remembered = fixture.ask(asks(&fixture, &fixture.escrow, None)).await.unwrap();
    assert_eq!(
        remembered.body.remembered, None,
        "the escrow has not proven in this run that it has forgotten nothing"
    );
}
