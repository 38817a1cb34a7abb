//! Withdrawals: the account is debited once, the coins are always the same, and a refusal changes nothing.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use farthing_bank::{
    admin::Command,
    policy::Policy,
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
    withdraw::{Funds, WithdrawBegin, WithdrawFinish, Withdrawal, verify_begin, verify_finish},
};
use farthing_store::{
    Job,
    entropy::{Entropy, SeededEntropy},
};
use std::sync::{Arc, Mutex};
use support::{BankFixture, EPOCH_MS, START_MS};

fn stranger() -> SecretKey {
    let entropy: &dyn Entropy = &SeededEntropy::new(99);
    SecretKey::generate(&mut entropy.rng())
}

fn begin_of(fixture: &BankFixture, withdrawal: &Withdrawal) -> Signed<WithdrawBegin> {
    match withdrawal.ask(&fixture.account, &fixture.seed) {
        IssuanceAsk::Begin(begin) => begin,
        _ => panic!("it is not beginning"),
    }
}

/// The finish with changed fields, signed by its account.
fn altered(
    fixture: &BankFixture,
    finish: &Signed<WithdrawFinish>,
    change: impl FnOnce(&mut WithdrawFinish),
) -> Signed<WithdrawFinish> {
    let mut body = finish.body.clone();
    change(&mut body);
    Signed::sign(body, &fixture.account)
}

#[tokio::test]
async fn a_withdrawal_debits_the_account_and_gives_coins() {
    let mut fixture = BankFixture::new().await;
    assert_eq!(fixture.audited().await, Amount(0));
    let purse = fixture.withdraw(&[1, 2, 64]).await;
    assert_eq!(purse.coins.len(), 3);
    assert_eq!(fixture.balance(&fixture.account).await, Amount(2000 - 67));
    assert_eq!(fixture.audited().await, Amount(67));
}

#[tokio::test]
async fn a_finish_is_repeated_byte_for_byte_even_when_its_keys_have_ended() {
    let mut fixture = BankFixture::new().await;
    let withdrawal = fixture.withdrawal(&[4, 4]);
    let withdrawal = fixture.begun(&withdrawal).await;
    let finish = fixture.finish_of(&withdrawal);
    let (first, _) = fixture.ask_raw(finish.clone()).await;
    for restarts in 0..2 {
        let head = fixture.head();
        assert_eq!(fixture.ask_raw(finish.clone()).await.0, first, "{restarts}");
        assert_eq!(fixture.head(), head);
        fixture.clock.advance(5 * EPOCH_MS);
        fixture.restart().await;
    }
    let (again, reply) = fixture.ask_raw(finish).await;
    assert_eq!(again, first);
    assert_eq!(fixture.coins_of(&withdrawal, &reply.unwrap()).coins.len(), 2);
    assert_eq!(fixture.balance(&fixture.account).await, Amount(2000 - 8));
    assert_eq!(fixture.audited().await, Amount(8));
}

#[tokio::test]
async fn other_content_under_a_finished_id_gets_the_stored_reply() {
    let mut fixture = BankFixture::new().await;
    let withdrawal = fixture.withdrawal(&[4, 4]);
    let withdrawal = fixture.begun(&withdrawal).await;
    let finish = fixture.finish_of(&withdrawal);
    let issued = fixture.ask(finish.clone()).await.unwrap();
    let outputs = fixture.outputs(&[1, 1]);
    let others = [
        altered(&fixture, &finish, |f| f.challenges.swap(0, 1)),
        altered(&fixture, &finish, |f| f.outputs = outputs),
    ];
    for other in others {
        let refusal = fixture.refused(other).await;
        assert_eq!(refusal, IssueFault::OtherContent(Box::new(issued.clone())).into());
    }
    // A wallet that was rolled back begins under the same id and gets the stored reply.
    let rolled_back = withdrawal.on_session_gone();
    let Refusal::Issue(IssueFault::OtherContent(stored)) =
        fixture.refused(begin_of(&fixture, &rolled_back)).await
    else {
        panic!("expected what was stored")
    };
    let taken = rolled_back.on_other_content(&stored, &fixture.book(), &fixture.seed);
    assert_eq!(taken.unwrap().1.len(), 2);
}

#[tokio::test]
async fn a_restart_ends_the_session_and_the_wallet_begins_again() {
    let mut fixture = BankFixture::new().await;
    let withdrawal = fixture.withdrawal(&[32]);
    let withdrawal = fixture.begun(&withdrawal).await;
    fixture.restart().await;
    let refusal = fixture.refused(fixture.finish_of(&withdrawal)).await;
    assert_eq!(refusal, IssueFault::SessionGone.into());
    assert_eq!(refusal.advice(), Advice::BeginAgain);
    let withdrawal = fixture.begun(&withdrawal.on_session_gone()).await;
    fixture.ask(fixture.finish_of(&withdrawal)).await.unwrap();
    assert_eq!(fixture.balance(&fixture.account).await, Amount(2000 - 32));
}

#[tokio::test]
async fn a_session_is_used_once_even_if_its_finish_is_refused() {
    let mut fixture = BankFixture::new().await;
    let entire = [128; 16];
    fixture
        .cash(Command::AccountCredit, "0.48", "more")
        .await
        .unwrap();
    let withdrawal = fixture.withdrawal(&entire);
    let withdrawal = fixture.begun(&withdrawal).await;
    fixture
        .cash(Command::AccountPayout, "0.48", "less")
        .await
        .unwrap();
    let finish = fixture.finish_of(&withdrawal);
    let too_low = fixture
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
    fixture
        .cash(Command::AccountCredit, "10.00", "second")
        .await
        .unwrap();
    let swapped = altered(&fixture, &finish, |f| f.challenges.swap(0, 1));
    for late in [finish, swapped] {
        assert_eq!(fixture.refused(late).await, IssueFault::SessionGone.into());
    }
    assert_eq!(fixture.balance(&fixture.account).await, Amount(3000));
}

#[tokio::test]
async fn begin_repeats_its_reply_and_is_replaced_by_other_content() {
    let mut fixture = BankFixture::new().await;
    let withdrawal = fixture.withdrawal(&[1]);
    let begin = begin_of(&fixture, &withdrawal);
    let head = fixture.head();
    let first = fixture.ask(begin.clone()).await.unwrap();
    assert_eq!(fixture.ask(begin.clone()).await.unwrap(), first);
    let mut other = begin.body;
    other.client_randomness = ClientRandomness([1; 32]);
    assert_ne!(
        fixture.ask(Signed::sign(other, &fixture.account)).await.unwrap(),
        first
    );
    let withdrawal = withdrawal
        .on_begun(&first, &fixture.book(), &fixture.seed)
        .unwrap();
    let refusal = fixture.refused(fixture.finish_of(&withdrawal)).await;
    assert_eq!(refusal, IssueFault::SessionGone.into());
    assert_eq!(fixture.head(), head, "begin writes nothing");
}

#[tokio::test]
async fn a_request_without_its_accounts_signature_is_refused() {
    let mut fixture = BankFixture::new().await;
    let withdrawal = fixture.withdrawal(&[1]);
    let withdrawal = fixture.begun(&withdrawal).await;
    let finish = fixture.finish_of(&withdrawal);
    let signature = |r| matches!(r, Refusal::Request(RequestFault::Signature { .. }));
    let forged = Signed::sign(finish.body.clone(), &stranger());
    assert!(signature(fixture.refused(forged).await));
    let mut body = finish.body.clone();
    body.account = stranger().public();
    let unknown = Signed::sign(body, &stranger());
    // The refusal says only that no session exists.
    assert_eq!(fixture.refused(unknown).await, IssueFault::SessionGone.into());
    let asked = AccountRequest {
        bank: fixture.bank.self_id(),
        account: stranger().public(),
    };
    let unknown = fixture.refused(Signed::sign(asked.clone(), &stranger())).await;
    assert_eq!(unknown, AccountFault::Unknown(stranger().public()).into());
    let balance = fixture.refused(Signed::sign(asked, &fixture.account)).await;
    assert!(signature(balance));
    // The refused requests did not use the session.
    fixture.ask(finish).await.unwrap();
}

#[tokio::test]
async fn malformed_requests_name_their_fault() {
    let mut fixture = BankFixture::new().await;
    let withdrawal = fixture.withdrawal(&[1, 1]);
    let withdrawal = fixture.begun(&withdrawal).await;
    let finish = fixture.finish_of(&withdrawal);
    let cases: [(Signed<WithdrawFinish>, &str); 4] = [
        (
            altered(&fixture, &finish, |f| f.bank = stranger().public()),
            "the request is for",
        ),
        (
            altered(&fixture, &finish, |f| f.challenges = f.challenges[..1].to_vec()),
            "there are 1 challenges, expected 2",
        ),
        (
            altered(&fixture, &finish, |f| f.challenges[1] = Challenge([255; 32])),
            "challenge 1 is not a canonical scalar",
        ),
        (
            altered(&fixture, &finish, |f| {
                f.outputs = vec![f.outputs[0]; COINS_PER_REQUEST_MAX + 1];
                f.challenges = vec![f.challenges[0]; COINS_PER_REQUEST_MAX + 1];
            }),
            "65 entries",
        ),
    ];
    for (request, expected) in cases {
        let refusal = fixture.refused(request).await.to_string();
        assert!(refusal.contains(expected), "{refusal}");
    }
    fixture.ask(finish).await.unwrap();
}

#[tokio::test]
async fn only_the_keys_of_this_epoch_issue() {
    let mut fixture = BankFixture::new().await;
    let begin = |fixture: &BankFixture, mut withdrawal: Withdrawal, outputs| {
        withdrawal.outputs = outputs;
        begin_of(fixture, &withdrawal)
    };
    let withdrawal = fixture.withdrawal(&[1]);
    let made_up = KeyId([9; 32]);
    let unknown = begin(&fixture, withdrawal.clone(), vec![made_up]);
    let digest = unknown.body.digest();
    let denial = fixture
        .denied(unknown, RequestKind::WithdrawBegin, digest.0)
        .await;
    assert_eq!(denial.cause, DenialCause::UnknownKey(made_up));
    let next = fixture.book().issuing(1, START_MS + EPOCH_MS).unwrap().id();
    let early = begin(&fixture, withdrawal.clone(), vec![next]);
    assert_eq!(fixture.refused(early).await, IssueFault::NotIssuing(next).into());
    let now = fixture.begun(&withdrawal).await;
    let finish = fixture.finish_of(&now);
    fixture.clock.advance(EPOCH_MS);
    // The session's lifetime is over. The bank checks this before it looks at the keys.
    assert_eq!(fixture.refused(finish).await, IssueFault::SessionGone.into());
    let old = now.outputs[0];
    let late = begin(&fixture, withdrawal, vec![old]);
    assert_eq!(fixture.refused(late).await, IssueFault::NotIssuing(old).into());
}

#[tokio::test]
async fn the_key_list_grows_by_the_calendar_and_keeps_its_entries() {
    let mut fixture = BankFixture::new().await;
    let first = fixture.ask(KeysRequest).await.unwrap();
    assert_eq!(first.body.epochs.len(), 2);
    let (before, book) = (fixture.head(), fixture.book());
    fixture.bank.extend_keys().await.unwrap();
    assert_eq!(fixture.head(), before);
    fixture.clock.advance(EPOCH_MS);
    fixture.bank.extend_keys().await.unwrap();
    assert!(fixture.book().extends(&book));
    assert_eq!(fixture.book().list().epochs.len(), 3);
    // A bank that was stopped for several epochs appends all that it missed.
    fixture.clock.advance(4 * EPOCH_MS);
    fixture.restart().await;
    assert!(fixture.book().extends(&book));
    assert_eq!(fixture.book().list().epochs.len(), 7);
    assert!(fixture.book().issuing(1, fixture.now_ms()).is_some());
}

#[tokio::test]
async fn a_full_disk_refuses_for_now_and_changes_nothing() {
    let mut fixture = BankFixture::new().await;
    let withdrawal = fixture.withdrawal(&[128; 8]);
    let withdrawal = fixture.begun(&withdrawal).await;
    let finish = fixture.finish_of(&withdrawal);
    fixture.disk.set_capacity(Some(0));
    // The store may have allocated space left: fill it first.
    let mut credits = 0;
    while fixture
        .cash(Command::AccountCredit, "0.01", &format!("fill {credits}"))
        .await
        .is_ok()
    {
        credits += 1;
        assert!(credits < 10_000);
    }
    let refusal = fixture.refused(finish.clone()).await;
    assert_eq!(refusal, Later::Unavailable("its disk is full".into()).into());
    assert_eq!(refusal.advice(), Advice::AskAgain);
    fixture.disk.set_capacity(None);
    // The session was used, and its reply was never sent. The wallet begins again.
    assert_eq!(fixture.refused(finish).await, IssueFault::SessionGone.into());
    let withdrawal = fixture.begun(&withdrawal.on_session_gone()).await;
    fixture.ask(fixture.finish_of(&withdrawal)).await.unwrap();
    assert_eq!(fixture.audited().await, Amount(1024));
}

#[tokio::test]
async fn lanes_are_never_mixed() {
    let mut fixture = BankFixture::new().await;
    let withdrawal = fixture.withdrawal(&[1]);
    let begin = begin_of(&fixture, &withdrawal);
    for lane in [Lane::Anonymous, Lane::Peer] {
        let reply = fixture.bank.call(lane, begin.clone().encode().unwrap()).await;
        let refusal = <Signed<WithdrawBegin>>::decode_reply(&reply)
            .unwrap()
            .unwrap_err();
        assert!(matches!(refusal, Refusal::Request(RequestFault::WrongLane(_))));
    }
    for lane in Lane::ALL {
        let reply = fixture.bank.call(lane, KeysRequest.encode().unwrap()).await;
        assert!(KeysRequest::decode_reply(&reply).unwrap().is_ok());
    }
    let garbage = fixture.bank.call(Lane::Anonymous, vec![255; 100]).await;
    let refusal = KeysRequest::decode_reply(&garbage).unwrap().unwrap_err();
    assert!(matches!(refusal, Refusal::Request(RequestFault::Malformed(_))));
}

#[tokio::test]
async fn withdrawals_are_listed_a_page_at_a_time_for_their_owner_alone() {
    let mut fixture = BankFixture::new().await;
    let mut expected = Vec::new();
    for _ in 0..67 {
        let withdrawal = fixture.withdrawal(&[1]);
        let withdrawal = fixture.begun(&withdrawal).await;
        expected.push(fixture.ask(fixture.finish_of(&withdrawal)).await.unwrap());
    }
    expected.sort_by_key(|issued| issued.body.request_id);
    let request = |after| WithdrawalsRequest {
        bank: fixture.bank.self_id(),
        account: fixture.account.public(),
        after,
    };
    let first = fixture
        .ask(Signed::sign(request(None), &fixture.account))
        .await
        .unwrap();
    assert_eq!((first.records.len(), first.more), (64, true));
    let after = first.records[63].body.request_id;
    let second = fixture
        .ask(Signed::sign(request(Some(after)), &fixture.account))
        .await
        .unwrap();
    assert_eq!((second.records.len(), second.more), (3, false));
    assert_eq!([first.records, second.records].concat(), expected);
    let refusal = fixture.refused(Signed::sign(request(None), &stranger())).await;
    assert!(matches!(
        refusal,
        Refusal::Request(RequestFault::Signature { .. })
    ));
}

#[tokio::test]
async fn two_copies_of_a_finish_in_one_batch_debit_once() {
    let mut fixture = BankFixture::new().await;
    let withdrawal = fixture.withdrawal(&[16]);
    let self_id = fixture.bank.self_id();
    let keys = fixture.bank.keys();
    let entropy: &dyn Entropy = &SeededEntropy::new(4);
    let sessions = Arc::new(Mutex::new(Sessions::new(BootId([0; 32]))));
    let begin = begin_of(&fixture, &withdrawal);
    let begun = {
        let request = verify_begin(begin, &self_id).unwrap();
        request
            .check(Funds::Account(Some(Amount(2000))), keys.book(), START_MS)
            .unwrap();
        let mut sessions = sessions.lock().unwrap();
        let Ok(Admission::Fresh(ticket)) = sessions.admit(&request.session(), START_MS) else {
            panic!("the account may have nonces")
        };
        let prepared = PreparedSession::new(request.session(), &ticket, &mut entropy.rng());
        sessions.open(prepared, START_MS)
    };
    let withdrawal = withdrawal.on_begun(&begun, keys.book(), &fixture.seed).unwrap();
    let finish = fixture.finish_of(&withdrawal);
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
                    withdraw_finish(
                        tx,
                        &request,
                        &mut sessions,
                        &mut claim,
                        &keys,
                        &Policy::default(),
                        START_MS,
                    )
                    .map_err(|e| panic!("{e:?}"))
                },
                move |reply| replies.lock().unwrap().push(reply.unwrap()),
            )
        })
        .collect();
    let before = fixture.head().sequence;
    fixture.bank.store().commit(jobs).unwrap();
    assert_eq!(fixture.head().sequence, before + 1, "one durable write");
    let replies = replies.lock().unwrap().clone();
    assert!(replies.len() == 3 && replies.iter().all(|r| *r == replies[0]));
    assert_eq!(fixture.balance(&fixture.account).await, Amount(2000 - 16));
    assert_eq!(fixture.audited().await, Amount(16));
}

#[tokio::test]
async fn a_begin_that_the_account_cannot_pay_gets_no_nonces() {
    let mut fixture = BankFixture::new().await;
    // The withdrawal is worth 20.48, and the account holds 20.00.
    let withdrawal = fixture.withdrawal(&[128; 16]);
    let begin = begin_of(&fixture, &withdrawal);
    let before = fixture.entropy.fills();
    for _ in 0..3 {
        let digest = begin.body.digest();
        let denial = fixture
            .denied(begin.clone(), RequestKind::WithdrawBegin, digest.0)
            .await;
        let balance = DenialCause::Balance {
            balance: Amount(2000),
            asked: Amount(2048),
        };
        assert_eq!(denial.cause, balance);
    }
    assert_eq!(fixture.entropy.fills(), before, "nonces were made");
    let within = fixture.withdrawal(&[128; 15]);
    fixture.ask(begin_of(&fixture, &within)).await.unwrap();
    assert_eq!(fixture.entropy.fills(), before + 15);
}

#[tokio::test]
async fn an_account_gets_a_limited_number_of_nonces_at_a_time() {
    let mut fixture = BankFixture::new().await;
    let other = fixture.withdrawal(&[1]);
    for _ in 0..NONCES_PER_PAYER_MAX / COINS_PER_REQUEST_MAX {
        let withdrawal = fixture.withdrawal(&[1; COINS_PER_REQUEST_MAX]);
        fixture.ask(begin_of(&fixture, &withdrawal)).await.unwrap();
        // The same begin again returns the same session and costs nothing.
        fixture.ask(begin_of(&fixture, &withdrawal)).await.unwrap();
    }
    let before = fixture.entropy.fills();
    let begin = begin_of(&fixture, &other);
    let refused = fixture.refused(begin.clone()).await;
    assert_eq!(
        refused,
        Refusal::Later(Later::Busy {
            retry_after_ms: NONCES_WINDOW_MS
        })
    );
    assert_eq!(fixture.entropy.fills(), before, "nonces were made");
    fixture.clock.advance(NONCES_WINDOW_MS);
    fixture.ask(begin).await.unwrap();
}

#[tokio::test]
async fn a_coin_gets_a_limited_number_of_nonces_at_a_time() {
    let mut fixture = BankFixture::new().await;
    let purse = fixture.withdraw(&[64]).await;
    for _ in 0..NONCES_PER_PAYER_MAX / COINS_PER_REQUEST_MAX {
        let exchange = fixture.exchange(&purse, &[1; COINS_PER_REQUEST_MAX]);
        fixture.exchange_begun(&exchange, &purse).await.unwrap();
    }
    let exchange = fixture.exchange(&purse, &[1; COINS_PER_REQUEST_MAX]);
    let refused = fixture.exchange_begun(&exchange, &purse).await.unwrap_err();
    assert!(matches!(refused, Refusal::Later(Later::Busy { .. })));
    fixture.clock.advance(NONCES_WINDOW_MS);
    fixture.exchange_begun(&exchange, &purse).await.unwrap();
}

#[tokio::test]
async fn a_begin_after_its_finish_gets_the_issued_coins() {
    let mut fixture = BankFixture::new().await;
    let withdrawal = fixture.withdrawal(&[128; 15]);
    let begin = begin_of(&fixture, &withdrawal);
    let begun = fixture.begun(&withdrawal).await;
    let issued = fixture.ask(fixture.finish_of(&begun)).await.unwrap();
    // The account holds 0.80 now. A wallet that was rolled back to its begin gets its coins nevertheless.
    let Refusal::Issue(IssueFault::OtherContent(stored)) = fixture.refused(begin).await else {
        panic!("it was finished")
    };
    assert_eq!(*stored, issued);
}
