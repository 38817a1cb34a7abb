//! What one account may cost the bank: a number of requests of each kind at once, and of recovery records, then one per
//! interval.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use farthing_coin::{SecretKey, Signed};
use farthing_protocol::{
    limits::{MEMO_EVERY_MS, MEMOS_AT_ONCE_MAX, OWNER_REQUEST_EVERY_MS, OWNER_REQUESTS_AT_ONCE_MAX},
    refusal::{Later, Refusal},
    restore::{AccountRequest, Memo, MemoRequest},
    seal::SEALED_RECORD_BYTES,
};
use support::{BankFixture, secret_key};

fn memo(fixture: &BankFixture, number: u8) -> Signed<MemoRequest> {
    let request = MemoRequest {
        bank: fixture.bank.self_id(),
        account: fixture.account.public(),
        version: u64::from(number) + 1,
        memo: Some(Memo(vec![number; SEALED_RECORD_BYTES])),
    };
    Signed::sign(request, &fixture.account)
}

#[tokio::test]
async fn an_account_replaces_its_recovery_record_at_a_limited_rate() {
    let fixture = BankFixture::new().await;
    for number in 0..MEMOS_AT_ONCE_MAX {
        fixture.ask(memo(&fixture, number as u8)).await.unwrap();
        // The same record again is no replacement.
        let head = fixture.head();
        fixture.ask(memo(&fixture, number as u8)).await.unwrap();
        assert_eq!(fixture.head(), head);
    }
    let refused = fixture.refused(memo(&fixture, 200)).await;
    let busy = |retry_after_ms| Refusal::Later(Later::Busy { retry_after_ms });
    assert_eq!(refused, busy(MEMO_EVERY_MS));
    fixture.clock.advance(MEMO_EVERY_MS - 1);
    assert_eq!(fixture.refused(memo(&fixture, 200)).await, busy(1));
    fixture.clock.advance(1);
    fixture.ask(memo(&fixture, 200)).await.unwrap();
    fixture.refused(memo(&fixture, 201)).await;
    // Reading is free. A stranger's request does not count against an account.
    let reading = MemoRequest {
        bank: fixture.bank.self_id(),
        account: fixture.account.public(),
        version: 0,
        memo: None,
    };
    let read = fixture
        .ask(Signed::sign(reading, &fixture.account))
        .await
        .unwrap();
    assert_eq!(read.memo.unwrap().0[0], 200);
    let stranger = secret_key(99);
    let foreign = MemoRequest {
        account: stranger.public(),
        ..memo(&fixture, 1).body
    };
    fixture.refused(Signed::sign(foreign, &stranger)).await;
}

#[tokio::test]
async fn an_owner_who_asks_too_often_is_told_when_to_ask_again() {
    let mut fixture = BankFixture::new().await;
    let bank = fixture.bank.self_id();
    let asks = |key: &SecretKey| {
        let account = key.public();
        Signed::sign(AccountRequest { bank, account }, key)
    };
    // A stranger who names the account uses up nothing: the signature comes first.
    let owned = asks(&fixture.account);
    let forged = Signed::sign(owned.body.clone(), &secret_key(99));
    for _ in 0..OWNER_REQUESTS_AT_ONCE_MAX {
        assert!(fixture.ask(forged.clone()).await.is_err());
        fixture.ask(owned.clone()).await.unwrap();
    }
    let busy = |retry_after_ms| Refusal::Later(Later::Busy { retry_after_ms });
    assert_eq!(fixture.refused(owned.clone()).await, busy(OWNER_REQUEST_EVERY_MS));
    fixture.clock.advance(1);
    assert_eq!(
        fixture.refused(owned.clone()).await,
        busy(OWNER_REQUEST_EVERY_MS - 1)
    );
    // Requests of other kinds and of other owners go on.
    fixture.withdraw(&[1]).await;
    let other = secret_key(98);
    fixture.open_account(&other.public()).await;
    fixture.ask(asks(&other)).await.unwrap();
    fixture.clock.advance(OWNER_REQUEST_EVERY_MS - 1);
    fixture.ask(owned).await.unwrap();
}
