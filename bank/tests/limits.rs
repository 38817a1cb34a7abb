//! What one account may cost the bank: a number of recovery records at once, then one per interval.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use farthing_coin::Signed;
use farthing_protocol::{
    limits::{MEMO_EVERY_MS, MEMOS_AT_ONCE_MAX},
    refusal::{Later, Refusal},
    restore::{Memo, MemoRequest},
    seal::SEALED_RECORD_BYTES,
};
use support::{World, secret_key};

fn memo(world: &World, number: u8) -> Signed<MemoRequest> {
    let request = MemoRequest {
        bank: world.bank.self_id(),
        account: world.account.public(),
        version: u64::from(number) + 1,
        memo: Some(Memo(vec![number; SEALED_RECORD_BYTES])),
    };
    Signed::sign(request, &world.account)
}

#[tokio::test]
async fn an_account_replaces_its_recovery_record_at_a_limited_rate() {
    let world = World::new().await;
    for number in 0..MEMOS_AT_ONCE_MAX {
        world.ask(memo(&world, number as u8)).await.unwrap();
        // The same record again is no replacement.
        let head = world.head();
        world.ask(memo(&world, number as u8)).await.unwrap();
        assert_eq!(world.head(), head);
    }
    let refused = world.refused(memo(&world, 200)).await;
    let busy = |retry_after_ms| Refusal::Later(Later::Busy { retry_after_ms });
    assert_eq!(refused, busy(MEMO_EVERY_MS));
    world.clock.advance(MEMO_EVERY_MS - 1);
    assert_eq!(world.refused(memo(&world, 200)).await, busy(1));
    world.clock.advance(1);
    world.ask(memo(&world, 200)).await.unwrap();
    world.refused(memo(&world, 201)).await;
    // Reading is free. A stranger's request does not count against an account.
    let reading = MemoRequest {
        bank: world.bank.self_id(),
        account: world.account.public(),
        version: 0,
        memo: None,
    };
    let read = world.ask(Signed::sign(reading, &world.account)).await.unwrap();
    assert_eq!(read.memo.unwrap().0[0], 200);
    let stranger = secret_key(99);
    let foreign = MemoRequest {
        account: stranger.public(),
        ..memo(&world, 1).body
    };
    world.refused(Signed::sign(foreign, &stranger)).await;
}
