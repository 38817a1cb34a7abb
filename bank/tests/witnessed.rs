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
use support::{World, secret_key};

fn later(why: Later) -> Refusal {
    why.into()
}

/// The witness request of an escrow with this key that remembers `head`.
fn asks(world: &World, escrow: &SecretKey, head: Option<Signed<JournalHead>>) -> AskBank {
    let question = WitnessRequest {
        asker: escrow.public(),
        witness: world.bank.self_id(),
        nonce: WitnessNonce([5; 32]),
        remembered: head,
    };
    AskBank(Signed::sign(question, escrow))
}

/// A bank that told a head and was then restored from an older backup.
async fn restored() -> (World, Signed<JournalHead>) {
    let mut world = World::new().await;
    let backup = world.disk.copy();
    world.withdraw(&[8]).await;
    let told = world.bank.history().head();
    world.disk.restore(&backup);
    (world, told)
}

#[tokio::test]
async fn an_unwitnessed_bank_only_repeats_replies() {
    let mut world = World::new().await;
    let withdrawal = world.withdrawal(&[8, 4]);
    let withdrawal = world.begun(&withdrawal).await;
    let finish = world.finish_of(&withdrawal);
    let (first, issued) = world.ask_raw(finish.clone()).await;
    let purse = world.coins_of(&withdrawal, &issued.unwrap());
    let bought = world.order(&purse);
    let hold = world.ask(bought.hold()).await.unwrap().body;
    let other = world.withdraw(&[2]).await;
    let unheld = world.order(&other);
    world.wire.be_silent(true);
    world.restart().await;

    assert_eq!(world.ask_raw(finish).await.0, first);
    assert_eq!(world.ask(bought.hold()).await.unwrap().body, hold);
    assert_eq!(world.refused(unheld.hold()).await, later(Later::Unwitnessed));
    assert_eq!(
        world.refused(world.commit(&bought)).await,
        later(Later::Unwitnessed)
    );
    let collect = bought.order.collect_request(&bought.purchase_key);
    assert_eq!(world.refused(collect).await, later(Later::Unwitnessed));
    let exchange = world.exchange(&other, &[2]);
    let refused = world.exchange_begun(&exchange, &other).await.map(|_| ());
    assert_eq!(refused, Err(later(Later::Unwitnessed)));
    let bucket = BucketRequest {
        shelf: Shelf::Exchanges,
        prefix: Prefix::of(&RecordId([0; 32]), 0),
        after: None,
    };
    assert_eq!(world.refused(bucket).await, later(Later::Unwitnessed));
    // The bank refuses nothing permanently while it may have lost the rows that the refusal depends on.
    let mut unknown = world.withdrawal(&[1]);
    unknown.account = secret_key(9).public();
    let IssuanceAsk::Begin(begin) = unknown.ask(&secret_key(9), &world.seed) else {
        panic!("it begins")
    };
    assert_eq!(world.refused(begin).await, later(Later::Unwitnessed));

    world.wire.be_silent(false);
    world.bank.history().ask_all().await;
    world.ask(unheld.hold()).await.unwrap();
    world.ask(world.commit(&bought)).await.unwrap();
    assert!(matches!(
        world.ask(collect).await.unwrap(),
        Collected::Committed(_)
    ));
}

#[tokio::test]
async fn a_head_outside_its_history_stops_the_bank_permanently() {
    let (mut world, told) = restored().await;
    world.wire.remember(Some(told.clone()));
    world.restart().await;
    assert_eq!(world.bank.history().standing(), Err(Later::Behind));
    let withdrawal = world.withdrawal(&[8]);
    let IssuanceAsk::Begin(begin) = withdrawal.ask(&world.account, &world.seed) else {
        panic!("it begins")
    };
    assert_eq!(world.ask(begin).await.unwrap_err(), later(Later::Behind));
    let refused = world.cash(Command::AccountPayout, "1.00", "out").await;
    assert!(refused.unwrap_err().contains("older copy"));
    // The bank stores this verdict, so that it holds after a restart without the escrow's head.
    tokio::task::yield_now().await;
    world.wire.remember(None);
    world.restart().await;
    assert_eq!(world.bank.history().standing(), Err(Later::Behind));
}

#[tokio::test]
async fn a_running_bank_stops_when_a_peer_remembers_more() {
    let (mut world, told) = restored().await;
    world.restart().await;
    assert_eq!(
        world.bank.history().standing(),
        Ok(()),
        "its escrow remembers nothing"
    );
    world.withdraw(&[4]).await;
    // Anyone may show the head: only the bank itself can have signed it.
    let somebody = secret_key(66);
    let testimony = world.ask(asks(&world, &somebody, Some(told))).await.unwrap();
    assert_eq!(
        testimony.body.own, None,
        "how long its journal is, is for its peers alone"
    );
    assert_eq!(world.bank.history().standing(), Err(Later::Behind));
}

#[tokio::test]
async fn a_head_that_the_bank_never_signed_stops_nothing() {
    let world = World::new().await;
    let mut made_up = world.bank.history().head();
    made_up.body.records += 1;
    let refused = world.ask(asks(&world, &world.escrow, Some(made_up))).await;
    assert!(matches!(
        refused.unwrap_err(),
        Refusal::Request(RequestFault::Signature { .. })
    ));
    let head = world.bank.history().head();
    let testimony = world
        .ask(asks(&world, &world.escrow, Some(head.clone())))
        .await
        .unwrap();
    let own = testimony.body.own.unwrap();
    assert_eq!(own.hash_there, Some(head.body.hash));
    assert_eq!(world.bank.history().standing(), Ok(()));
}

#[tokio::test]
async fn a_head_in_a_hold_must_be_its_escrows_and_is_remembered_once_it_is_proven() {
    let mut world = World::new().await;
    let purse = world.withdraw(&[8]).await;
    let bought = world.order(&purse);
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
        world.refused(hold(of(&secret_key(66)))).await,
        Refusal::Request(RequestFault::Signature { .. })
    ));
    world.ask(hold(of(&world.escrow))).await.unwrap();
    let remembered = world.ask(asks(&world, &world.escrow, None)).await.unwrap();
    assert_eq!(
        remembered.body.remembered, None,
        "the escrow has not proven in this run that it has forgotten nothing"
    );
}
