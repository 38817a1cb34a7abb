//! Exchanges: a coin is exchanged once, for new coins of the same worth.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use farthing_coin::{Coin, Document, KeyBook, RequestId, Signed, StatementDigest};
use farthing_node::network::{Lane, Service};
use farthing_protocol::{
    api::Call,
    denial::{CoinDenial, Denial, DenialCause, RequestKind},
    documents::{CoinUse, EarlierUse, Issued},
    ids::RecordId,
    issuance::{Issuance, IssuanceAsk},
    limits::RELEASED_GRACE_MS,
    money::Amount,
    refusal::{CoinFault, CoinsFault, IssueFault, Refusal},
    restore::{BucketPage, BucketRecord, BucketRequest, CoinUsed, Prefix, Shelf},
};
use support::{BankFixture, EPOCH_MS, Purse, denied_coin, secret_key};

fn coin_fault(refusal: Refusal) -> (usize, CoinFault) {
    match refusal {
        Refusal::Coins(CoinsFault { index, what }) => (index, what),
        other => panic!("expected a fault of a coin, got: {other}"),
    }
}

fn joined(parts: [&Purse; 2]) -> (Vec<Coin>, Vec<farthing_coin::SecretKey>) {
    let coins = parts.iter().flat_map(|p| p.coins.clone()).collect();
    let copy =
        |key: &farthing_coin::SecretKey| farthing_coin::SecretKey::from_bytes(&key.to_bytes()).unwrap();
    let keys = parts.iter().flat_map(|p| p.keys.iter().map(copy)).collect();
    (coins, keys)
}

#[tokio::test]
async fn an_exchange_takes_coins_in_and_gives_the_same_worth() {
    let mut fixture = BankFixture::new().await;
    let purse = fixture.withdraw(&[8, 1]).await;
    let fresh = fixture.exchanged(&purse, &[4, 2, 2, 1]).await.unwrap();
    assert_eq!(fresh.worth(), 9);
    assert_eq!(fixture.audited().await, Amount(9));
    // The new coins can be exchanged again.
    let fresh = fixture.exchanged(&fresh, &[8, 1]).await.unwrap();
    assert_eq!(fresh.worth(), 9);
    assert_eq!(fixture.audited().await, Amount(9));
}

#[tokio::test]
async fn a_finished_exchange_is_repeated_byte_for_byte() {
    let mut fixture = BankFixture::new().await;
    let purse = fixture.withdraw(&[8]).await;
    let exchange = fixture.exchange(&purse, &[4, 4]);
    let exchange = fixture.exchange_begun(&exchange, &purse).await.unwrap();
    let finish = fixture.exchange_finish(&exchange, &purse);
    let (first, _) = fixture.ask_raw(finish.clone()).await;
    // The coins are spent and their keys have ended. The bank looks up the request id before it checks either.
    fixture.clock.advance(8 * EPOCH_MS);
    fixture.restart().await;
    let head = fixture.head();
    let (again, reply) = fixture.ask_raw(finish).await;
    assert_eq!(again, first);
    assert_eq!(fixture.head(), head);
    let issued = reply.unwrap();
    exchange
        .on_issued(&issued, &fixture.book(), &fixture.seed)
        .unwrap();
    // A wallet that was rolled back to before its begin gets the same reply.
    let refused = match fixture.exchange_begun(&exchange.on_session_gone(), &purse).await {
        Err(refusal) => refusal,
        Ok(_) => panic!("it was finished"),
    };
    assert_eq!(refused, IssueFault::OtherContent(Box::new(issued)).into());
}

#[tokio::test]
async fn other_content_under_a_finished_id_gets_the_stored_reply() {
    let mut fixture = BankFixture::new().await;
    let (purse, other) = (fixture.withdraw(&[8]).await, fixture.withdraw(&[8]).await);
    let exchange = fixture.exchange(&purse, &[4, 4]);
    let exchange = fixture.exchange_begun(&exchange, &purse).await.unwrap();
    let issued = fixture
        .ask(fixture.exchange_finish(&exchange, &purse))
        .await
        .unwrap();
    let mut stolen = exchange.clone();
    stolen.inputs = other.coins.clone();
    let refusal = fixture.refused(fixture.exchange_finish(&stolen, &other)).await;
    assert_eq!(refusal, IssueFault::OtherContent(Box::new(issued)).into());
    // The wallet that sent the other content keeps its coins.
    fixture.exchanged(&other, &[8]).await.unwrap();
}

#[tokio::test]
async fn an_exchanged_coin_is_refused_with_evidence() {
    let mut fixture = BankFixture::new().await;
    let purse = fixture.withdraw(&[8, 2]).await;
    let first = fixture.exchange(&purse, &[8, 2]);
    let second = fixture.exchange(&purse, &[8, 1, 1]);
    let first = fixture.exchange_begun(&first, &purse).await.unwrap();
    fixture
        .ask(fixture.exchange_finish(&first, &purse))
        .await
        .unwrap();
    let IssuanceAsk::Begin(begin) = second.ask(&purse.keys, &fixture.seed) else {
        panic!("it is not beginning")
    };
    let (book, digest) = (fixture.book(), begin.body.digest());
    let denial = fixture
        .denied(begin.clone(), RequestKind::ExchangeBegin, digest.0)
        .await;
    let (coin, other) = (&purse.coins[0], &purse.coins[1]);
    let what = denied_coin(&denial, coin);
    // The denial shows what was issued for the coin, which proves the use that the holder signed.
    let used = what.final_use(&coin.key_id, &coin.public, &book).unwrap();
    assert_eq!(used.operation, CoinUse::Exchange);
    assert_eq!(Some(used.digest), first.finish_digest());
    assert_eq!(what.final_use(&other.key_id, &other.public, &book), None);
    let key = book.get(&coin.key_id).unwrap();
    assert!(denial.is_right(key, &book, std::iter::empty()));

    // A later denial differs only in its time.
    fixture.clock.advance(1000);
    fixture.restart().await;
    let again = fixture.denied(begin, RequestKind::ExchangeBegin, digest.0).await;
    assert_eq!(again.at_ms, denial.at_ms + 1000);
    assert_eq!(
        Denial {
            at_ms: denial.at_ms,
            ..again
        },
        denial
    );
    only_what_was_given_proves_it(&purse, what, used, &book);
}

/// A use without a reply, and a reply to another exchange, prove nothing.
fn only_what_was_given_proves_it(purse: &Purse, what: CoinDenial, used: EarlierUse, book: &KeyBook) {
    let coin = &purse.coins[0];
    let exchanged = |used, issued: Option<Issued>| CoinDenial::Exchanged {
        used,
        issued: issued.map(|issued| Box::new(Signed::sign(issued, &secret_key(1)))),
    };
    let CoinDenial::Exchanged {
        issued: Some(issued), ..
    } = what
    else {
        panic!("expected what was given for it")
    };
    let issued = issued.body;
    let statement = CoinUse::Exchange.statement(&coin.key_id, &StatementDigest([7; 32]));
    let unanswered = EarlierUse {
        digest: StatementDigest([7; 32]),
        authorization: purse.keys[0].sign(&statement),
        ..used
    };
    let mut swapped = issued.clone();
    swapped.responses.swap(0, 1);
    let mut fewer = issued.clone();
    fewer.responses.truncate(1);
    let mut other_id = issued.clone();
    other_id.request_id = RequestId([7; 32]);
    let cases = [
        exchanged(unanswered, Some(issued.clone())),
        exchanged(used, Some(swapped)),
        exchanged(used, Some(fewer)),
        exchanged(used, Some(other_id)),
        exchanged(used, None),
    ];
    for case in cases {
        assert_eq!(case.final_use(&coin.key_id, &coin.public, book), None, "{case:?}");
    }
    let right = exchanged(used, Some(issued));
    assert_eq!(right.final_use(&coin.key_id, &coin.public, book), Some(used));
}

#[tokio::test]
async fn only_the_newest_session_of_a_coin_is_open() {
    let mut fixture = BankFixture::new().await;
    let purse = fixture.withdraw(&[8]).await;
    let first = fixture.exchange(&purse, &[8]);
    let second = fixture.exchange(&purse, &[4, 4]);
    let first = fixture.exchange_begun(&first, &purse).await.unwrap();
    let second = fixture.exchange_begun(&second, &purse).await.unwrap();
    let refusal = fixture.refused(fixture.exchange_finish(&first, &purse)).await;
    assert_eq!(refusal, IssueFault::SessionGone.into());
    fixture
        .ask(fixture.exchange_finish(&second, &purse))
        .await
        .unwrap();
    assert_eq!(fixture.audited().await, Amount(8));
}

#[tokio::test]
async fn a_coin_cannot_be_put_in_twice() {
    let mut fixture = BankFixture::new().await;
    let purse = fixture.withdraw(&[8]).await;
    let (coins, keys) = joined([&purse, &purse]);
    let mut exchange = fixture.exchange(&purse, &[16]);
    exchange.inputs = coins;
    let IssuanceAsk::Begin(begin) = exchange.ask(&keys, &fixture.seed) else {
        panic!()
    };
    assert_eq!(coin_fault(fixture.refused(begin).await), (1, CoinFault::Twice));
}

#[tokio::test]
async fn an_exchange_must_keep_the_worth() {
    let mut fixture = BankFixture::new().await;
    let purse = fixture.withdraw(&[8]).await;
    for outputs in [&[4, 2, 1][..], &[8, 1]] {
        let exchange = fixture.exchange(&purse, outputs);
        let IssuanceAsk::Begin(begin) = exchange.ask(&purse.keys, &fixture.seed) else {
            panic!()
        };
        let unbalanced = DenialCause::Unbalanced {
            inputs: Amount(8),
            outputs: Amount(outputs.iter().sum()),
        };
        let digest = begin.body.digest();
        let denial = fixture.denied(begin, RequestKind::ExchangeBegin, digest.0).await;
        assert_eq!(denial.cause, unbalanced);
    }
}

#[tokio::test]
async fn forged_coins_and_foreign_authorizations_are_refused() {
    let mut fixture = BankFixture::new().await;
    let purse = fixture.withdraw(&[8, 8]).await;
    let exchange = fixture.exchange(&purse, &[16]);
    let IssuanceAsk::Begin(begin) = exchange.ask(&purse.keys, &fixture.seed) else {
        panic!()
    };
    let mut swapped = begin.clone();
    swapped.authorizations.swap(0, 1);
    let (index, fault) = coin_fault(fixture.refused(swapped).await);
    assert!(index == 0 && matches!(fault, CoinFault::Authorization(_)));
    // The holders' signatures cover the coin's fields, so the forger signs again.
    let forged = |change: fn(&mut Coin, &Coin)| {
        let mut exchange = exchange.clone();
        let other = exchange.inputs[1];
        change(&mut exchange.inputs[0], &other);
        match exchange.ask(&purse.keys, &fixture.seed) {
            IssuanceAsk::Begin(begin) => begin,
            _ => panic!(),
        }
    };
    let dearer = fixture.book().issuing(128, fixture.now_ms()).unwrap().id();
    let mut worth_more = exchange.clone();
    worth_more.inputs[0].key_id = dearer;
    let IssuanceAsk::Begin(worth_more) = worth_more.ask(&purse.keys, &fixture.seed) else {
        panic!()
    };
    let (_, fault) = coin_fault(fixture.refused(worth_more).await);
    assert!(matches!(fault, CoinFault::Invalid(_)), "{fault}");
    let made_up = forged(|coin, _| coin.key_id.0 = [1; 32]);
    assert_eq!(
        coin_fault(fixture.refused(made_up).await),
        (0, CoinFault::UnknownKey)
    );
    let other_key = forged(|coin, other| {
        let public = coin.public;
        *coin = *other;
        coin.public = public;
    });
    let (index, fault) = coin_fault(fixture.refused(other_key).await);
    assert!(index == 0 && matches!(fault, CoinFault::Invalid(_)), "{fault}");
    // The refused requests did not use the coins.
    fixture.exchanged(&purse, &[16]).await.unwrap();
}

#[tokio::test]
async fn coins_are_exchanged_until_their_keys_end() {
    let mut fixture = BankFixture::new().await;
    let (purse, late) = (fixture.withdraw(&[8]).await, fixture.withdraw(&[8]).await);
    let released = [fixture.withdraw(&[8]).await, fixture.withdraw(&[8]).await];
    for purse in &released {
        let bought = fixture.order(purse);
        fixture.ask(bought.hold()).await.unwrap();
        fixture.ask(fixture.abort(&bought)).await.unwrap();
    }
    // Coins can be spent for two epochs and exchanged for one more.
    fixture.clock.advance(3 * EPOCH_MS);
    fixture.bank.extend_keys().await.unwrap();
    let fresh = fixture.exchanged(&purse, &[8]).await.unwrap();
    assert_ne!(fresh.coins[0].key_id, purse.coins[0].key_id);
    fixture.clock.advance(EPOCH_MS);
    fixture.bank.extend_keys().await.unwrap();
    let expired = |refusal| {
        let Refusal::Denied(denial) = refusal else {
            panic!("expected a denial, got: {refusal}")
        };
        matches!(
            &denial.body.cause,
            DenialCause::Coin {
                what: CoinDenial::Expired { .. },
                ..
            }
        )
    };
    assert!(expired(fixture.exchanged(&late, &[8]).await.err().unwrap()));
    // A released coin stays valid for `RELEASED_GRACE_MS` more: its escrow may have been silent for that long.
    fixture.exchanged(&released[0], &[8]).await.unwrap();
    fixture.clock.advance(RELEASED_GRACE_MS);
    fixture.bank.extend_keys().await.unwrap();
    assert!(expired(
        fixture.exchanged(&released[1], &[8]).await.err().unwrap()
    ));
}

async fn whole_bucket(fixture: &BankFixture, shelf: Shelf, prefix: Prefix) -> (Vec<BucketRecord>, u64) {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page: BucketPage = fixture.ask(BucketRequest { shelf, prefix, after }).await.unwrap();
        all.extend(page.records);
        after = page.more_after;
        if after.is_none() {
            return (all, page.shelf_records);
        }
    }
}

#[tokio::test]
async fn buckets_hold_every_exchange_and_coin_once() {
    let mut fixture = BankFixture::new().await;
    let mut ids = Vec::new();
    let mut coins = Vec::new();
    let mut purse = fixture.withdraw(&[1]).await;
    for _ in 0..70 {
        coins.push(purse.coins[0]);
        purse = fixture.exchanged(&purse, &[1]).await.unwrap();
    }
    let everything = Prefix::of(&RecordId([0; 32]), 0);
    let (records, shelf) = whole_bucket(&fixture, Shelf::Exchanges, everything).await;
    for record in records {
        let BucketRecord::Exchange(issued) = record else {
            panic!()
        };
        issued.verify(&fixture.bank.self_id()).unwrap();
        ids.push(issued.body.request_id);
    }
    assert_eq!((ids.len(), shelf), (70, 70));
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
    let (mut of_halves, bits) = (0, 2);
    for first in [0u8, 64, 128, 192] {
        let prefix = Prefix::of(&RecordId([first; 32]), bits);
        let (records, _) = whole_bucket(&fixture, Shelf::Exchanges, prefix).await;
        of_halves += records.len();
    }
    assert_eq!(of_halves, 70);
    let key = coins[0].key_id;
    let (records, shelf) = whole_bucket(&fixture, Shelf::Coins(key), everything).await;
    assert_eq!((records.len(), shelf), (70, 70));
    for coin in &coins {
        let used = CoinUsed::Exchanged;
        assert!(records.contains(&BucketRecord::Coin {
            coin: coin.public,
            used
        }));
    }
    let narrow = r#"{"bits":17,"value":0}"#;
    let narrow = BucketRequest {
        shelf: Shelf::Notes,
        prefix: serde_json::from_str(narrow).unwrap(),
        after: None,
    };
    let reply = fixture.bank.call(Lane::Anonymous, narrow.encode().unwrap()).await;
    assert!(BucketRequest::decode_reply(&reply).unwrap().is_err());
}
