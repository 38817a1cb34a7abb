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
use std::io::Write;
use std::ops::Bound;
use std::sync::{Arc, Mutex};
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

/// The lines of a log.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// The lines that say `what`.
    fn that_say(&self, what: &str) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let lines = text.lines().filter(|line| line.contains(what));
        lines.map(str::to_owned).collect()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_silent_escrow_is_one_line_of_the_log_until_it_answers() {
    let lines = Lines::default();
    let writer = lines.clone();
    let logs = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    // With one subscriber alone, a thread without it would turn the lines off for all threads.
    let _other = tracing::Dispatch::new(tracing_subscriber::registry());
    let _logged = tracing::subscriber::set_default(logs);
    let mut fixture = BankFixture::new().await;
    let purse = fixture.withdraw(&[8]).await;
    let bought = fixture.order(&purse);
    fixture.ask(bought.hold()).await.unwrap();
    fixture.clock.advance(3_600_000);
    for _ in 0..7 {
        assert_eq!(fixture.bank.chase_overdue().await.unwrap(), 0);
    }
    let silent = lines.that_say("the escrow does not answer about overdue holds");
    assert_eq!(silent.len(), 1, "{silent:?}");
    assert!(silent[0].contains("times=1"), "{silent:?}");
    fixture
        .wire
        .answer(|_| Some(encode_reply::<()>(&Err(Later::NotYet.into()))));
    tokio::time::sleep(std::time::Duration::from_millis(60)).await;
    for _ in 0..3 {
        assert_eq!(fixture.bank.chase_overdue().await.unwrap(), 0);
    }
    let again = lines.that_say("the escrow answers about overdue holds again");
    assert_eq!(again.len(), 1, "{again:?}");
    assert!(again[0].contains("times=7"), "{again:?}");
    let coin = purse.coins[0].public.to_string();
    assert_eq!(lines.that_say(&coin), [""; 0], "no line names a coin");
}
