//! Withdrawals: the account is debited once, the coins are always the same, and a refusal changes nothing.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use farthing_bank::{
    admin::Command,
    transactions::{withdraw_finish, withdraw_finish_reads},
};
use farthing_coin::{BootId, Challenge, ClientRandomness, Document, KeyId, SecretKey, Signed};
use farthing_node::network::{Lane, Service};
use farthing_protocol::{
    api::{Call, KeysRequest},
    denial::{DenialCause, RequestKind},
    issuance::{Issuance, IssuanceAsk},
    issue::{Admission, PreparedSession, Sessions},
    limits::{COINS_PER_REQUEST_MAX, NONCES_PER_PAYER_MAX, NONCES_WINDOW_MS},
    money::Amount,
    refusal::{AccountFault, Advice, IssueFault, Later, Refusal, RequestFault},
    restore::{AccountRequest, WithdrawalsRequest},
    withdraw::{WithdrawBegin, WithdrawFinish, Withdrawal, verify_begin, verify_finish},
};
use farthing_store::{
    Job,
    entropy::{Entropy, SeededEntropy},
};
use std::sync::{Arc, Mutex};
use support::{EPOCH_MS, START_MS, World};

fn stranger() -> SecretKey {
    let entropy: &dyn Entropy = &SeededEntropy::new(99);
    SecretKey::generate(&mut entropy.rng())
}

fn begin_of(world: &World, withdrawal: &Withdrawal) -> Signed<WithdrawBegin> {
    match withdrawal.ask(&world.account, &world.seed) {
        IssuanceAsk::Begin(begin) => begin,
        _ => panic!("it is not beginning"),
    }
}

/// The finish with changed fields, signed by its account.
fn altered(
    world: &World,
    finish: &Signed<WithdrawFinish>,
    change: impl FnOnce(&mut WithdrawFinish),
) -> Signed<WithdrawFinish> {
    let mut body = finish.body.clone();
    change(&mut body);
    Signed::sign(body, &world.account)
}

#[tokio::test]
async fn a_withdrawal_debits_the_account_and_gives_coins() {
    let mut world = World::new().await;
    assert_eq!(world.audited().await, Amount(0));
    let purse = world.withdraw(&[1, 2, 64]).await;
    assert_eq!(purse.coins.len(), 3);
    assert_eq!(world.balance(&world.account).await, Amount(2000 - 67));
    assert_eq!(world.audited().await, Amount(67));
}

#[tokio::test]
async fn a_finish_is_repeated_byte_for_byte_even_when_its_keys_have_ended() {
    let mut world = World::new().await;
    let withdrawal = world.withdrawal(&[4, 4]);
    let withdrawal = world.begun(&withdrawal).await;
    let finish = world.finish_of(&withdrawal);
    let (first, _) = world.ask_raw(finish.clone()).await;
    for restarts in 0..2 {
        let head = world.head();
        assert_eq!(world.ask_raw(finish.clone()).await.0, first, "{restarts}");
        assert_eq!(world.head(), head);
        world.clock.advance(5 * EPOCH_MS);
        world.restart().await;
    }
    let (again, reply) = world.ask_raw(finish).await;
    assert_eq!(again, first);
    assert_eq!(world.coins_of(&withdrawal, &reply.unwrap()).coins.len(), 2);
    assert_eq!(world.balance(&world.account).await, Amount(2000 - 8));
    assert_eq!(world.audited().await, Amount(8));
}

#[tokio::test]
async fn other_content_under_a_finished_id_gets_the_stored_reply() {
    let mut world = World::new().await;
    let withdrawal = world.withdrawal(&[4, 4]);
    let withdrawal = world.begun(&withdrawal).await;
    let finish = world.finish_of(&withdrawal);
    let issued = world.ask(finish.clone()).await.unwrap();
    let outputs = world.outputs(&[1, 1]);
    let others = [
        altered(&world, &finish, |f| f.challenges.swap(0, 1)),
        altered(&world, &finish, |f| f.outputs = outputs),
    ];
    for other in others {
        let refusal = world.refused(other).await;
        assert_eq!(refusal, IssueFault::OtherContent(Box::new(issued.clone())).into());
    }
    // A wallet that was rolled back begins under the same id and gets the stored reply.
    let rolled_back = withdrawal.on_session_gone();
    let Refusal::Issue(IssueFault::OtherContent(stored)) =
        world.refused(begin_of(&world, &rolled_back)).await
    else {
        panic!("expected what was stored")
    };
    let taken = rolled_back.on_other_content(&stored, &world.book(), &world.seed);
    assert_eq!(taken.unwrap().1.len(), 2);
}

#[tokio::test]
async fn a_restart_ends_the_session_and_the_wallet_begins_again() {
    let mut world = World::new().await;
    let withdrawal = world.withdrawal(&[32]);
    let withdrawal = world.begun(&withdrawal).await;
    world.restart().await;
    let refusal = world.refused(world.finish_of(&withdrawal)).await;
    assert_eq!(refusal, IssueFault::SessionGone.into());
    assert_eq!(refusal.advice(), Advice::BeginAgain);
    let withdrawal = world.begun(&withdrawal.on_session_gone()).await;
    world.ask(world.finish_of(&withdrawal)).await.unwrap();
    assert_eq!(world.balance(&world.account).await, Amount(2000 - 32));
}

#[tokio::test]
async fn a_session_is_used_once_even_if_its_finish_is_refused() {
    let mut world = World::new().await;
    let entire = [128; 16];
    world.cash(Command::AccountCredit, "0.48", "more").await.unwrap();
    let withdrawal = world.withdrawal(&entire);
    let withdrawal = world.begun(&withdrawal).await;
    world.cash(Command::AccountPayout, "0.48", "less").await.unwrap();
    let finish = world.finish_of(&withdrawal);
    let too_low = world
        .denied(
            finish.clone(),
            RequestKind::WithdrawFinish,
            finish.body.digest().0,
        )
        .await;
    let balance = DenialCause::Balance {
        balance: Amount(2000),
        asked: Amount(2048),
    };
    assert_eq!(too_low.cause, balance);
    // More money arrives. A late copy of the refused request must not take it.
    world
        .cash(Command::AccountCredit, "10.00", "second")
        .await
        .unwrap();
    let swapped = altered(&world, &finish, |f| f.challenges.swap(0, 1));
    for late in [finish, swapped] {
        assert_eq!(world.refused(late).await, IssueFault::SessionGone.into());
    }
    assert_eq!(world.balance(&world.account).await, Amount(3000));
}

#[tokio::test]
async fn begin_repeats_its_reply_and_is_replaced_by_other_content() {
    let mut world = World::new().await;
    let withdrawal = world.withdrawal(&[1]);
    let begin = begin_of(&world, &withdrawal);
    let head = world.head();
    let first = world.ask(begin.clone()).await.unwrap();
    assert_eq!(world.ask(begin.clone()).await.unwrap(), first);
    let mut other = begin.body;
    other.client_randomness = ClientRandomness([1; 32]);
    assert_ne!(
        world.ask(Signed::sign(other, &world.account)).await.unwrap(),
        first
    );
    let withdrawal = withdrawal.on_begun(&first, &world.book(), &world.seed).unwrap();
    let refusal = world.refused(world.finish_of(&withdrawal)).await;
    assert_eq!(refusal, IssueFault::SessionGone.into());
    assert_eq!(world.head(), head, "begin writes nothing");
}

#[tokio::test]
async fn a_request_without_its_accounts_signature_is_refused() {
    let mut world = World::new().await;
    let withdrawal = world.withdrawal(&[1]);
    let withdrawal = world.begun(&withdrawal).await;
    let finish = world.finish_of(&withdrawal);
    let signature = |r| matches!(r, Refusal::Request(RequestFault::Signature { .. }));
    let forged = Signed::sign(finish.body.clone(), &stranger());
    assert!(signature(world.refused(forged).await));
    let mut body = finish.body.clone();
    body.account = stranger().public();
    let unknown = Signed::sign(body, &stranger());
    // The refusal says only that no session exists.
    assert_eq!(world.refused(unknown).await, IssueFault::SessionGone.into());
    let asked = AccountRequest {
        bank: world.bank.self_id(),
        account: stranger().public(),
    };
    let unknown = world.refused(Signed::sign(asked.clone(), &stranger())).await;
    assert_eq!(unknown, AccountFault::Unknown(stranger().public()).into());
    let balance = world.refused(Signed::sign(asked, &world.account)).await;
    assert!(signature(balance));
    // The refused requests did not use the session.
    world.ask(finish).await.unwrap();
}

#[tokio::test]
async fn malformed_requests_name_their_fault() {
    let mut world = World::new().await;
    let withdrawal = world.withdrawal(&[1, 1]);
    let withdrawal = world.begun(&withdrawal).await;
    let finish = world.finish_of(&withdrawal);
    let cases: [(Signed<WithdrawFinish>, &str); 4] = [
        (
            altered(&world, &finish, |f| f.bank = stranger().public()),
            "the request is for",
        ),
        (
            altered(&world, &finish, |f| f.challenges = f.challenges[..1].to_vec()),
            "there are 1 challenges, expected 2",
        ),
        (
            altered(&world, &finish, |f| f.challenges[1] = Challenge([255; 32])),
            "challenge 1 is not a canonical scalar",
        ),
        (
            altered(&world, &finish, |f| {
                f.outputs = vec![f.outputs[0]; COINS_PER_REQUEST_MAX + 1];
                f.challenges = vec![f.challenges[0]; COINS_PER_REQUEST_MAX + 1];
            }),
            "65 entries",
        ),
    ];
    for (request, expected) in cases {
        let refusal = world.refused(request).await.to_string();
        assert!(refusal.contains(expected), "{refusal}");
    }
    world.ask(finish).await.unwrap();
}

#[tokio::test]
async fn only_the_keys_of_this_epoch_issue() {
    let mut world = World::new().await;
    let begin = |world: &World, mut withdrawal: Withdrawal, outputs| {
        withdrawal.outputs = outputs;
        begin_of(world, &withdrawal)
    };
    let withdrawal = world.withdrawal(&[1]);
    let made_up = KeyId([9; 32]);
    let unknown = begin(&world, withdrawal.clone(), vec![made_up]);
    let digest = unknown.body.digest();
    let denial = world.denied(unknown, RequestKind::WithdrawBegin, digest.0).await;
    assert_eq!(denial.cause, DenialCause::UnknownKey(made_up));
    let next = world.book().issuing(1, START_MS + EPOCH_MS).unwrap().id();
    let early = begin(&world, withdrawal.clone(), vec![next]);
    assert_eq!(world.refused(early).await, IssueFault::NotIssuing(next).into());
    let now = world.begun(&withdrawal).await;
    let finish = world.finish_of(&now);
    world.clock.advance(EPOCH_MS);
    // The session's lifetime is over. The bank checks this before it looks at the keys.
    assert_eq!(world.refused(finish).await, IssueFault::SessionGone.into());
    let old = now.outputs[0];
    let late = begin(&world, withdrawal, vec![old]);
    assert_eq!(world.refused(late).await, IssueFault::NotIssuing(old).into());
}

#[tokio::test]
async fn the_key_list_grows_by_the_calendar_and_keeps_its_entries() {
    let mut world = World::new().await;
    let first = world.ask(KeysRequest).await.unwrap();
    assert_eq!(first.body.epochs.len(), 2);
    let (before, book) = (world.head(), world.book());
    world.bank.extend_keys().await.unwrap();
    assert_eq!(world.head(), before);
    world.clock.advance(EPOCH_MS);
    world.bank.extend_keys().await.unwrap();
    assert!(world.book().extends(&book));
    assert_eq!(world.book().list().epochs.len(), 3);
    // A bank that was stopped for several epochs appends all that it missed.
    world.clock.advance(4 * EPOCH_MS);
    world.restart().await;
    assert!(world.book().extends(&book));
    assert_eq!(world.book().list().epochs.len(), 7);
    assert!(world.book().issuing(1, world.now_ms()).is_some());
}

#[tokio::test]
async fn a_full_disk_refuses_for_now_and_changes_nothing() {
    let mut world = World::new().await;
    let withdrawal = world.withdrawal(&[128; 8]);
    let withdrawal = world.begun(&withdrawal).await;
    let finish = world.finish_of(&withdrawal);
    world.disk.set_capacity(Some(0));
    // The store may have allocated space left: fill it first.
    let mut credits = 0;
    while world
        .cash(Command::AccountCredit, "0.01", &format!("fill {credits}"))
        .await
        .is_ok()
    {
        credits += 1;
        assert!(credits < 10_000);
    }
    let refusal = world.refused(finish.clone()).await;
    assert_eq!(refusal, Later::Unavailable("its disk is full".into()).into());
    assert_eq!(refusal.advice(), Advice::AskAgain);
    world.disk.set_capacity(None);
    // The session was used, and its reply was never sent. The wallet begins again.
    assert_eq!(world.refused(finish).await, IssueFault::SessionGone.into());
    let withdrawal = world.begun(&withdrawal.on_session_gone()).await;
    world.ask(world.finish_of(&withdrawal)).await.unwrap();
    assert_eq!(world.audited().await, Amount(1024));
}

#[tokio::test]
async fn lanes_are_never_mixed() {
    let mut world = World::new().await;
    let withdrawal = world.withdrawal(&[1]);
    let begin = begin_of(&world, &withdrawal);
    for lane in [Lane::Anonymous, Lane::Peer] {
        let reply = world.bank.call(lane, begin.clone().encode().unwrap()).await;
        let refusal = <Signed<WithdrawBegin>>::decode_reply(&reply)
            .unwrap()
            .unwrap_err();
        assert!(matches!(refusal, Refusal::Request(RequestFault::WrongLane(_))));
    }
    for lane in Lane::ALL {
        let reply = world.bank.call(lane, KeysRequest.encode().unwrap()).await;
        assert!(KeysRequest::decode_reply(&reply).unwrap().is_ok());
    }
    let garbage = world.bank.call(Lane::Anonymous, vec![255; 100]).await;
    let refusal = KeysRequest::decode_reply(&garbage).unwrap().unwrap_err();
    assert!(matches!(refusal, Refusal::Request(RequestFault::Malformed(_))));
}

#[tokio::test]
async fn withdrawals_are_listed_a_page_at_a_time_for_their_owner_alone() {
    let mut world = World::new().await;
    let mut expected = Vec::new();
    for _ in 0..67 {
        let withdrawal = world.withdrawal(&[1]);
        let withdrawal = world.begun(&withdrawal).await;
        expected.push(world.ask(world.finish_of(&withdrawal)).await.unwrap());
    }
    expected.sort_by_key(|issued| issued.body.request_id);
    let request = |after| WithdrawalsRequest {
        bank: world.bank.self_id(),
        account: world.account.public(),
        after,
    };
    let first = world
        .ask(Signed::sign(request(None), &world.account))
        .await
        .unwrap();
    assert_eq!((first.records.len(), first.more), (64, true));
    let after = first.records[63].body.request_id;
    let second = world
        .ask(Signed::sign(request(Some(after)), &world.account))
        .await
        .unwrap();
    assert_eq!((second.records.len(), second.more), (3, false));
    assert_eq!([first.records, second.records].concat(), expected);
    let refusal = world.refused(Signed::sign(request(None), &stranger())).await;
    assert!(matches!(
        refusal,
        Refusal::Request(RequestFault::Signature { .. })
    ));
}

#[tokio::test]
async fn two_copies_of_a_finish_in_one_batch_debit_once() {
    let mut world = World::new().await;
    let withdrawal = world.withdrawal(&[16]);
    let self_id = world.bank.self_id();
    let keys = world.bank.keys();
    let entropy: &dyn Entropy = &SeededEntropy::new(4);
    let sessions = Arc::new(Mutex::new(Sessions::new(BootId([0; 32]))));
    let begin = begin_of(&world, &withdrawal);
    let begun = {
        let request = verify_begin(begin, &self_id).unwrap();
        request.check(Some(Amount(2000)), keys.book(), START_MS).unwrap();
        let mut sessions = sessions.lock().unwrap();
        let Ok(Admission::Fresh(ticket)) = sessions.admit(&request.session(), START_MS) else {
            panic!("the account may have nonces")
        };
        let prepared = PreparedSession::new(request.session(), &ticket, &mut entropy.rng());
        sessions.open(prepared, START_MS)
    };
    let withdrawal = withdrawal.on_begun(&begun, keys.book(), &world.seed).unwrap();
    let finish = world.finish_of(&withdrawal);
    let replies = Arc::new(Mutex::new(Vec::new()));
    let jobs = (0..3)
        .map(|_| {
            let (sessions, keys, replies) = (sessions.clone(), keys.clone(), replies.clone());
            let request = verify_finish(finish.clone(), &self_id).unwrap();
            let claim = Mutex::default();
            Job::new(
                withdraw_finish_reads(&request),
                move |tx| {
                    let mut sessions = sessions.lock().unwrap();
                    let mut claim = claim.lock().unwrap();
                    withdraw_finish(tx, &request, &mut sessions, &mut claim, &keys, START_MS)
                        .map_err(|e| panic!("{e:?}"))
                },
                move |reply| replies.lock().unwrap().push(reply.unwrap()),
            )
        })
        .collect();
    let before = world.head().sequence;
    world.bank.store().commit(jobs).unwrap();
    assert_eq!(world.head().sequence, before + 1, "one durable write");
    let replies = replies.lock().unwrap().clone();
    assert!(replies.len() == 3 && replies.iter().all(|r| *r == replies[0]));
    assert_eq!(world.balance(&world.account).await, Amount(2000 - 16));
    assert_eq!(world.audited().await, Amount(16));
}

#[tokio::test]
async fn a_begin_that_the_account_cannot_pay_gets_no_nonces() {
    let mut world = World::new().await;
    // The withdrawal is worth 20.48, and the account holds 20.00.
    let withdrawal = world.withdrawal(&[128; 16]);
    let begin = begin_of(&world, &withdrawal);
    let before = world.entropy.fills();
    for _ in 0..3 {
        let digest = begin.body.digest();
        let denial = world
            .denied(begin.clone(), RequestKind::WithdrawBegin, digest.0)
            .await;
        let balance = DenialCause::Balance {
            balance: Amount(2000),
            asked: Amount(2048),
        };
        assert_eq!(denial.cause, balance);
    }
    assert_eq!(world.entropy.fills(), before, "nonces were made");
    let within = world.withdrawal(&[128; 15]);
    world.ask(begin_of(&world, &within)).await.unwrap();
    assert_eq!(world.entropy.fills(), before + 15);
}

#[tokio::test]
async fn an_account_gets_a_limited_number_of_nonces_at_a_time() {
    let mut world = World::new().await;
    let other = world.withdrawal(&[1]);
    for _ in 0..NONCES_PER_PAYER_MAX / COINS_PER_REQUEST_MAX {
        let withdrawal = world.withdrawal(&[1; COINS_PER_REQUEST_MAX]);
        world.ask(begin_of(&world, &withdrawal)).await.unwrap();
        // The same begin again returns the same session and costs nothing.
        world.ask(begin_of(&world, &withdrawal)).await.unwrap();
    }
    let before = world.entropy.fills();
    let begin = begin_of(&world, &other);
    let refused = world.refused(begin.clone()).await;
    assert_eq!(
        refused,
        Refusal::Later(Later::Busy {
            retry_after_ms: NONCES_WINDOW_MS
        })
    );
    assert_eq!(world.entropy.fills(), before, "nonces were made");
    world.clock.advance(NONCES_WINDOW_MS);
    world.ask(begin).await.unwrap();
}

#[tokio::test]
async fn a_coin_gets_a_limited_number_of_nonces_at_a_time() {
    let mut world = World::new().await;
    let purse = world.withdraw(&[64]).await;
    for _ in 0..NONCES_PER_PAYER_MAX / COINS_PER_REQUEST_MAX {
        let exchange = world.exchange(&purse, &[1; COINS_PER_REQUEST_MAX]);
        world.exchange_begun(&exchange, &purse).await.unwrap();
    }
    let exchange = world.exchange(&purse, &[1; COINS_PER_REQUEST_MAX]);
    let refused = world.exchange_begun(&exchange, &purse).await.unwrap_err();
    assert!(matches!(refused, Refusal::Later(Later::Busy { .. })));
    world.clock.advance(NONCES_WINDOW_MS);
    world.exchange_begun(&exchange, &purse).await.unwrap();
}

#[tokio::test]
async fn a_begin_after_its_finish_gets_the_issued_coins() {
    let mut world = World::new().await;
    let withdrawal = world.withdrawal(&[128; 15]);
    let begin = begin_of(&world, &withdrawal);
    let begun = world.begun(&withdrawal).await;
    let issued = world.ask(world.finish_of(&begun)).await.unwrap();
    // The account holds 0.80 now. A wallet that was rolled back to its begin gets its coins nevertheless.
    let Refusal::Issue(IssueFault::OtherContent(stored)) = world.refused(begin).await else {
        panic!("it was finished")
    };
    assert_eq!(*stored, issued);
}
