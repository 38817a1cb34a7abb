//! What the bank does when others fail: dead escrows, overdue holds, and recovery records of lost wallets.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use farthing_bank::rows::HOLDS;
use farthing_protocol::{
    api::SettleOne,
    api::{EscrowRequest, encode_reply},
    history::WithHead,
    money::Amount,
    refusal::{Later, Refusal, RequestFault},
    restore::{BucketRecord, BucketRequest, Prefix, Shelf},
    settle::Collected,
};
use std::ops::Bound;
use support::BankFixture;

#[tokio::test]
async fn the_customer_collects_what_a_dead_escrow_decided() {
    let mut fixture = BankFixture::new().await;
    let purse = fixture.withdraw(&[8]).await;
    let bought = fixture.order(&purse);
    let collect = bought.order.collect_request(&bought.purchase_key);
    assert_eq!(fixture.ask(collect).await.unwrap(), Collected::Open);
    fixture.ask(bought.hold()).await.unwrap();
    assert_eq!(fixture.ask(collect).await.unwrap(), Collected::Open);
    let mut forged = collect;
    forged.signature = bought.order.contract.signature;
    fixture.refused(forged).await;
    fixture.ask(fixture.commit(&bought)).await.unwrap();
    let Collected::Committed(commit) = fixture.ask(collect).await.unwrap() else {
        panic!("it was committed")
    };
    commit.verify(&fixture.escrow.public()).unwrap();
    fixture.refused(forged).await;
}

#[tokio::test]
async fn other_records_under_its_id_do_not_hide_a_recovery_record() {
    let mut fixture = BankFixture::new().await;
    let purse = fixture.withdraw(&[1]).await;
    let bought = fixture.order(&purse);
    let (note_id, note) = (bought.order.payment.note_id, bought.order.payment.note.clone());
    fixture.ask(bought.hold()).await.unwrap();
    fixture.ask(fixture.abort(&bought)).await.unwrap();
    let mut kept = 1;
    for flood in 0..20u8 {
        let mut other = fixture.order(&purse);
        let mut request = other.hold();
        request.body.payment.note_id = note_id;
        request.body.payment.note = vec![flood; note.len()];
        request.body.terms.note_digest =
            farthing_protocol::documents::recovery_record_digest(&note_id, &request.body.payment.note);
        request.body.payment.authorizations = farthing_protocol::exchange::authorize(
            &purse.coins,
            &purse.keys,
            farthing_protocol::documents::CoinUse::Hold,
            &request.body.terms.purchase_id().digest(),
        );
        other.order.contract.terms = request.body.terms.clone();
        let abort = fixture.abort(&other);
        match fixture.ask(request).await {
            Ok(_) => kept += 1,
            Err(refusal) => assert!(matches!(
                refusal,
                Refusal::Request(RequestFault::ListLength { .. })
            )),
        }
        fixture.ask(abort).await.unwrap();
    }
    assert_eq!(kept, 8);
    let request = BucketRequest {
        shelf: Shelf::Notes,
        prefix: Prefix::of(&note_id.into(), 16),
        after: None,
    };
    let page = fixture.ask(request).await.unwrap();
    assert_eq!((page.records.len(), page.shelf_records), (8, 8));
    assert_eq!(page.records[0], BucketRecord::Note { note_id, note });
}

#[tokio::test]
async fn an_overdue_hold_ends_with_its_escrows_decision() {
    let mut fixture = BankFixture::new().await;
    let (first, second) = (fixture.withdraw(&[8]).await, fixture.withdraw(&[4]).await);
    let (committed, open) = (fixture.order(&first), fixture.order(&second));
    for bought in [&committed, &open] {
        fixture.ask(bought.hold()).await.unwrap();
    }
    assert_eq!(fixture.bank.chase_overdue().await.unwrap(), 0);
    fixture.clock.advance(3_600_000);
    // A silent escrow does not decide the purchase.
    let head = fixture.head();
    assert_eq!(fixture.bank.chase_overdue().await.unwrap(), 0);
    assert_eq!(fixture.head(), head);
    let SettleOne { decision, .. } = fixture.commit(&committed);
    let purchase = committed.order.purchase();
    fixture.wire.answer(move |bytes| {
        let EscrowRequest::Overdue(asked) = EscrowRequest::decode(&bytes).unwrap() else {
            panic!("it was asked something else")
        };
        Some(encode_reply(&match asked.body.terms.purchase_id() == purchase {
            true => Ok(WithHead::without(decision.clone())),
            false => Err(Later::NotYet.into()),
        }))
    });
    tokio::time::sleep(std::time::Duration::from_millis(60)).await;
    assert_eq!(fixture.bank.chase_overdue().await.unwrap(), 1);
    assert_eq!(fixture.balance(&fixture.merchant).await, Amount(8));
    assert_eq!(fixture.bank.chase_overdue().await.unwrap(), 0);
    assert_eq!(fixture.audited().await, Amount(4));
    fixture.ask(fixture.abort(&open)).await.unwrap();
    fixture.exchanged(&second, &[4]).await.unwrap();
    let left = HOLDS
        .scan(&fixture.bank.store().view(), Bound::Unbounded, 10)
        .unwrap();
    assert_eq!(left, [], "what is settled is not asked about again");
}
