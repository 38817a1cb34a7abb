//! Reserves: each source credits once, no debit exceeds the credits, and money only moves.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use farthing_bank::{
    admin::{Cash, Command},
    evidence::About,
};
use farthing_coin::{Document, PublicKey, SecretKey, Signed};
use farthing_protocol::{
    api::SettleOne,
    decision::SignedDecision,
    denial::{Denial, DenialCause, RequestKind},
    deposit::DepositFrom,
    deposited::Payee,
    evidence::{Charge, Culprit, Papers, judge},
    issuance::{Issuance, IssuanceAsk},
    money::Amount,
    refusal::{IssueFault, Refusal, RequestFault},
    reserve::{FromReserve, ReserveRequest},
    reserve_sums::ReserveFault,
};
use support::{
    BankFixture, EPOCH_MS,
    payments::{begun, bought, deposit, fill, finish_of, output, paid_by, refund, sums, sums_of, withdrawal},
    secret_key,
};

#[tokio::test]
async fn the_change_of_a_purchase_is_credited_once_and_withdrawn_by_the_purchase_key() {
    let mut fixture = BankFixture::new().await;
    let purse = fixture.withdraw(&[8, 1]).await;
    let bought = bought(&mut fixture, &purse, 6).await;
    let key = &bought.purchase_key;
    let merchant = secret_key(3);
    for _ in 0..2 {
        assert_eq!(sums_of(&fixture, key).await, sums(3, 0));
        assert_eq!(fixture.balance(&merchant).await, Amount(6));
        assert_eq!(fixture.audited().await, Amount(0));
        fixture.ask(fixture.commit(&bought)).await.unwrap();
        fixture.restart().await;
    }
    let withdrawal = withdrawal(&mut fixture, &key.public(), &[2, 1]);
    let withdrawal = begun(&fixture, &withdrawal, key).await.unwrap();
    let finish = finish_of(&fixture, &withdrawal, key);
    let (first, issued) = fixture.ask_raw(finish.clone()).await;
    assert_eq!(sums_of(&fixture, key).await, sums(3, 3));
    assert_eq!(fixture.audited().await, Amount(3));
    // The record of what was issued does not name the reserve.
    let issued = issued.unwrap();
    assert!(!first.windows(32).any(|bytes| bytes == key.public().0));
    let (_, coins) = withdrawal
        .on_issued(&issued, &fixture.book(), &fixture.seed)
        .unwrap();
    assert_eq!(coins.len(), 2);
    // Its keys have ended, and the bank was restarted.
    fixture.clock.advance(8 * EPOCH_MS);
    fixture.restart().await;
    let head = fixture.head();
    assert_eq!(fixture.ask_raw(finish).await.0, first);
    assert_eq!(fixture.head(), head);
    let again = begun(&fixture, &withdrawal.on_session_gone(), key).await;
    assert_eq!(
        again.unwrap_err(),
        IssueFault::OtherContent(Box::new(issued)).into()
    );
}

#[tokio::test]
async fn an_aborted_purchase_has_no_change_and_exact_coins_open_no_reserve() {
    let mut fixture = BankFixture::new().await;
    let (one, other) = (fixture.withdraw(&[8]).await, fixture.withdraw(&[4]).await);
    let escrow = fixture.escrow.public();
    let aborted = fixture.order_at(&one, &escrow, 6);
    fixture.ask(aborted.hold()).await.unwrap();
    fixture.ask(fixture.abort(&aborted)).await.unwrap();
    let exact = bought(&mut fixture, &other, 4).await;
    for key in [&aborted.purchase_key, &exact.purchase_key] {
        assert_eq!(sums_of(&fixture, key).await, sums(0, 0));
    }
    assert_eq!(fixture.audited().await, Amount(8));
    assert_eq!(fixture.exchanged(&one, &[4, 4]).await.unwrap().worth(), 8);
}

#[tokio::test]
async fn a_reserve_is_not_debited_beyond_its_credits() {
    let mut fixture = BankFixture::new().await;
    let reserve = secret_key(70);
    let empty = withdrawal(&mut fixture, &reserve.public(), &[1]);
    let fault = |credited, debited, asked| ReserveFault {
        reserve: reserve.public(),
        sums: sums(credited, debited),
        asked: Amount(asked),
    };
    let IssuanceAsk::Begin(begin) = empty.ask(&reserve, &fixture.seed) else {
        panic!("it is not beginning")
    };
    let digest = begin.body.digest().0;
    let denial = fixture.denied(begin, RequestKind::ReserveBegin, digest).await;
    assert_eq!(denial.cause, DenialCause::Reserve(fault(0, 0, 1)));
    fill(&mut fixture, &reserve.public(), &[4]).await;
    // Two sessions are open, and only one of them can be paid.
    let mut both = Vec::new();
    for _ in 0..2 {
        let withdrawal = withdrawal(&mut fixture, &reserve.public(), &[2, 1]);
        both.push(begun(&fixture, &withdrawal, &reserve).await.unwrap());
    }
    fixture
        .ask(finish_of(&fixture, &both[0], &reserve))
        .await
        .unwrap();
    let second = finish_of(&fixture, &both[1], &reserve);
    let digest = second.body.digest().0;
    let denial = fixture.denied(second, RequestKind::ReserveFinish, digest).await;
    assert_eq!(denial.cause, DenialCause::Reserve(fault(4, 3, 3)));
    let whole = deposit(
        &fixture,
        DepositFrom::Reserve(reserve.public()),
        &[output(Payee::Account(fixture.merchant.public()), 2)],
    );
    let id = whole.id().0;
    let denial = fixture
        .denied(
            whole.authorized(std::slice::from_ref(&reserve)),
            RequestKind::Deposit,
            id,
        )
        .await;
    assert_eq!(denial.cause, DenialCause::Reserve(fault(4, 3, 2)));
    assert_eq!(sums_of(&fixture, &reserve).await, sums(4, 3));
}

#[tokio::test]
async fn what_asks_for_one_reserve_at_the_same_time_is_paid_once() {
    let mut fixture = BankFixture::new().await;
    let (reserve, account) = (secret_key(70), Payee::Account(fixture.account.public()));
    fill(&mut fixture, &reserve.public(), &[4]).await;
    let mut both = Vec::new();
    for _ in 0..2 {
        let withdrawal = withdrawal(&mut fixture, &reserve.public(), &[2, 1]);
        let withdrawal = begun(&fixture, &withdrawal, &reserve).await.unwrap();
        both.push(finish_of(&fixture, &withdrawal, &reserve));
    }
    let (first, second) = tokio::join!(fixture.ask(both.remove(0)), fixture.ask(both.remove(0)));
    assert_eq!(usize::from(first.is_ok()) + usize::from(second.is_ok()), 1);
    assert_eq!(sums_of(&fixture, &reserve).await, sums(4, 3));
    assert_eq!(fixture.audited().await, Amount(3));
    // A deposit of all that is left, and a withdrawal of it: either may come first.
    for is_deposit_first in [true, false] {
        fill(&mut fixture, &reserve.public(), &[1]).await;
        let before = sums_of(&fixture, &reserve).await;
        let left = before.balance();
        let values: &[u64] = if left == Amount(2) { &[2] } else { &[1] };
        let withdrawal = withdrawal(&mut fixture, &reserve.public(), values);
        let withdrawal = begun(&fixture, &withdrawal, &reserve).await.unwrap();
        let finish = finish_of(&fixture, &withdrawal, &reserve);
        let whole = deposit(
            &fixture,
            DepositFrom::Reserve(reserve.public()),
            &[output(account, left.0)],
        );
        let whole = whole.authorized(std::slice::from_ref(&reserve));
        let (deposited, issued) = match is_deposit_first {
            true => tokio::join!(fixture.ask(whole), fixture.ask(finish)),
            false => {
                let (issued, deposited) = tokio::join!(fixture.ask(finish), fixture.ask(whole));
                (deposited, issued)
            }
        };
        assert!(
            matches!(
                (&deposited, &issued),
                (Ok(_), Err(Refusal::Denied(_))) | (Err(Refusal::Denied(_)), Ok(_))
            ),
            "{deposited:?} {issued:?}"
        );
        let debited = before.debited.0 + left.0;
        assert_eq!(
            sums_of(&fixture, &reserve).await,
            sums(before.credited.0, debited)
        );
        fixture.audited().await;
    }
}

#[tokio::test]
async fn only_the_key_of_a_reserve_uses_it_and_only_as_a_reserve() {
    let mut fixture = BankFixture::new().await;
    let (reserve, thief) = (secret_key(70), secret_key(71));
    fill(&mut fixture, &reserve.public(), &[4]).await;
    let forged = ReserveRequest {
        bank: fixture.bank.self_id(),
        reserve: reserve.public(),
    };
    let refusal = fixture.refused(Signed::sign(forged, &thief)).await;
    assert!(matches!(
        refusal,
        Refusal::Request(RequestFault::Signature { .. })
    ));
    let withdrawal = withdrawal(&mut fixture, &reserve.public(), &[4]);
    let refused = begun(&fixture, &withdrawal, &thief).await.unwrap_err();
    assert!(matches!(
        refused,
        Refusal::Request(RequestFault::Signature { .. })
    ));
    // The signature of a begin for an account is none for a reserve, and the other way around.
    let IssuanceAsk::Begin(as_account) = withdrawal.0.ask(&reserve, &fixture.seed) else {
        panic!("it is not beginning")
    };
    let swapped = Signed {
        body: FromReserve(as_account.body.clone()),
        signature: as_account.signature,
    };
    let refusal = fixture.refused(swapped).await;
    assert!(matches!(
        refusal,
        Refusal::Request(RequestFault::Signature { .. })
    ));
    let refusal = fixture.refused(as_account.clone()).await;
    assert_eq!(
        fixture
            .denial(&refusal, RequestKind::WithdrawBegin, &as_account.body.digest().0)
            .cause,
        DenialCause::UnknownAccount(reserve.public())
    );
    // Neither is that of a finish.
    let open = begun(&fixture, &withdrawal, &reserve).await.unwrap();
    let IssuanceAsk::Finish(as_account) = open.0.ask(&reserve, &fixture.seed) else {
        panic!("it is not finishing")
    };
    let swapped = Signed {
        body: FromReserve(as_account.body.clone()),
        signature: as_account.signature,
    };
    let by_thief = finish_of(&fixture, &open, &thief);
    for forged in [swapped, by_thief] {
        let refusal = fixture.refused(forged).await;
        assert!(matches!(
            refusal,
            Refusal::Request(RequestFault::Signature { .. })
        ));
    }
    assert_eq!(fixture.refused(as_account).await, IssueFault::SessionGone.into());
    let payout = [output(Payee::Account(fixture.account.public()), 4)];
    let stolen = deposit(&fixture, DepositFrom::Reserve(reserve.public()), &payout);
    for keys in [vec![thief], vec![], vec![secret_key(70), secret_key(70)]] {
        let refusal = fixture.refused(stolen.clone().authorized(&keys)).await;
        assert!(matches!(refusal, Refusal::Request(_)), "{refusal}");
    }
    fixture.ask(stolen.authorized(&[reserve])).await.unwrap();
    assert_eq!(fixture.balance(&fixture.account).await, Amount(2000));
    assert_eq!(fixture.audited().await, Amount(0));
}

/// Judges the papers of a wallet alone, and then with the bank's own papers of the reserve.
async fn verdicts(fixture: &BankFixture, reserve: &PublicKey, accusing: &Papers) -> [usize; 2] {
    let asked = Command::Evidence(About::Reserve { key: *reserve });
    let own = fixture.bank.administer(asked).await.unwrap();
    let own: Vec<Papers> = serde_json::from_value(own).unwrap();
    let charged = |papers: &[Papers]| {
        let convictions = judge(papers, 0);
        for conviction in &convictions {
            assert_eq!(conviction.culprit, Culprit::Bank(fixture.bank.self_id()));
            assert_eq!(conviction.charge, Charge::ReserveDenied(*reserve));
        }
        convictions.len()
    };
    let alone = charged(std::slice::from_ref(accusing));
    [alone, charged(&[vec![accusing.clone()], own].concat())]
}

/// The bank's signed denial of a withdrawal of `values` from the reserve.
async fn denied(fixture: &mut BankFixture, reserve: &SecretKey, values: &[u64]) -> Signed<Denial> {
    let withdrawal = withdrawal(fixture, &reserve.public(), values);
    match begun(fixture, &withdrawal, reserve).await {
        Err(Refusal::Denied(denial)) => *denial,
        other => panic!("it is not denied: {other:?}"),
    }
}

#[tokio::test]
async fn a_bank_that_keeps_a_reserve_is_convicted_and_an_honest_one_clears_itself() {
    let mut fixture = BankFixture::new().await;
    let keys = Some(fixture.book().signed().clone());
    let purse = fixture.withdraw(&[8, 1]).await;
    let order = bought(&mut fixture, &purse, 6).await;
    let (reserve, bank) = (order.purchase_key.public(), fixture.bank.self_id());
    // All kinds of credits: change, a refund, a deposit.
    let refunded = fixture.ask(refund(&fixture, &order, 4)).await.unwrap();
    let other = fixture.withdraw(&[2]).await;
    let outputs = [output(Payee::Reserve(reserve), 2)];
    let deposited = fixture.ask(paid_by(&fixture, &other, &outputs)).await.unwrap();
    assert_eq!(sums_of(&fixture, &order.purchase_key).await, sums(9, 0));
    // Both kinds of debits.
    let withdrawal = withdrawal(&mut fixture, &reserve, &[4]);
    let withdrawal = begun(&fixture, &withdrawal, &order.purchase_key).await.unwrap();
    let finish = finish_of(&fixture, &withdrawal, &order.purchase_key);
    fixture.ask(finish).await.unwrap();
    let payout = [output(Payee::Account(fixture.account.public()), 3)];
    let spent = deposit(&fixture, DepositFrom::Reserve(reserve), &payout);
    let own_key = std::slice::from_ref(&order.purchase_key);
    fixture.ask(spent.authorized(own_key)).await.unwrap();
    let denial = denied(&mut fixture, &order.purchase_key, &[2, 1]).await;
    let SettleOne {
        decision: SignedDecision::Commit(commit),
        ..
    } = fixture.commit(&order)
    else {
        panic!("it is a commit")
    };
    let honest = Papers {
        terms: Some(order.order.contract.terms.clone()),
        commit: Some(commit),
        coins: purse.coins.clone(),
        keys,
        refunds: vec![refunded],
        deposits: vec![deposited],
        denials: vec![denial.clone()],
        ..Papers::default()
    };
    // The bank has to show the debits, and can.
    assert_eq!(verdicts(&fixture, &reserve, &honest).await, [1, 0]);
    let lies = |change: &dyn Fn(&mut ReserveFault)| {
        let mut body = denial.body.clone();
        let DenialCause::Reserve(fault) = &mut body.cause else {
            panic!("it denies a reserve")
        };
        change(fault);
        Papers {
            denials: vec![Signed::sign(body, &secret_key(1))],
            ..honest.clone()
        }
    };
    assert_eq!(secret_key(1).public(), bank, "the bank's own key signs the lies");
    // It denies what it could pay, or claims a debit that nobody has signed.
    let could_pay = lies(&|fault| fault.asked = Amount(2));
    assert_eq!(verdicts(&fixture, &reserve, &could_pay).await, [1, 1]);
    let made_up = lies(&|fault| fault.sums.debited = Amount(8));
    assert_eq!(verdicts(&fixture, &reserve, &made_up).await, [1, 1]);
    // It forgets one credit. Without its later statement, each kind of credit convicts it.
    let forgot = lies(&|fault| fault.sums = sums(8, 7));
    assert_eq!(verdicts(&fixture, &reserve, &forgot).await, [1, 0]);
    let own = fixture
        .bank
        .administer(Command::Evidence(About::Reserve { key: reserve }));
    let mut own: Vec<Papers> = serde_json::from_value(own.await.unwrap()).unwrap();
    own[0].balances.clear();
    let without = |forget: fn(&mut Papers)| {
        let mut papers = forgot.clone();
        forget(&mut papers);
        judge(&[papers, own[0].clone()], 0).len()
    };
    assert_eq!(without(|_| {}), 1);
    assert_eq!(without(|papers| papers.coins.clear()), 0);
    assert_eq!(without(|papers| papers.refunds.clear()), 0);
    assert_eq!(without(|papers| papers.deposits.clear()), 0);
    assert_eq!(without(|papers| papers.denials.clear()), 0);
}

/// Stops or begins to issue, by the operator's command.
async fn issuing(fixture: &BankFixture, stop: bool) {
    let state = fixture.bank.administer(Command::Issuing { stop: Some(stop) });
    assert_eq!(state.await.unwrap()["stopped_ms"].is_u64(), stop);
}

#[tokio::test]
async fn a_bank_that_winds_down_takes_all_of_its_money_back_to_the_unit() {
    let mut fixture = BankFixture::new().await;
    let (first, second) = (fixture.withdraw(&[8, 1]).await, fixture.withdraw(&[4]).await);
    let reserve = secret_key(70);
    fill(&mut fixture, &reserve.public(), &[16]).await;
    let escrow = fixture.escrow.public();
    let order = fixture.order_at(&first, &escrow, 6);
    fixture.ask(order.hold()).await.unwrap();
    // A session that is open when the bank stops is finished.
    let under_way = fixture.withdrawal(&[2]);
    let under_way = fixture.begun(&under_way).await;
    issuing(&fixture, true).await;
    let issued = fixture.ask(fixture.finish_of(&under_way)).await.unwrap();
    let last = fixture.coins_of(&under_way, &issued);
    fixture.restart().await;
    let stopped: Refusal = IssueFault::Stopped.into();
    let late = fixture.withdrawal(&[2]);
    let IssuanceAsk::Begin(begin) = late.ask(&fixture.account, &fixture.seed) else {
        panic!("it is not beginning")
    };
    assert_eq!(fixture.refused(begin).await, stopped);
    // An exchange adds no money. The coins of an aborted purchase need one before they are redeemed.
    let second = fixture.exchanged(&second, &[2, 2]).await.unwrap();
    // What is in a reserve can become coins, so that nobody has to say whose it is.
    let from_reserve = withdrawal(&mut fixture, &reserve.public(), &[8]);
    let from_reserve = begun(&fixture, &from_reserve, &reserve).await.unwrap();
    let finish = finish_of(&fixture, &from_reserve, &reserve);
    let issued = fixture.ask(finish).await.unwrap();
    let fresh = fixture.coins_of(&from_reserve, &issued);
    // What is under way ends, and everything goes into accounts: coins, change and reserves.
    fixture.ask(fixture.commit(&order)).await.unwrap();
    let account = Payee::Account(fixture.account.public());
    for purse in [&second, &last, &fresh] {
        let outputs = [output(account, purse.worth())];
        fixture.ask(paid_by(&fixture, purse, &outputs)).await.unwrap();
    }
    for (key, amount) in [(&reserve, 8), (&order.purchase_key, 3)] {
        let whole = deposit(
            &fixture,
            DepositFrom::Reserve(key.public()),
            &[output(account, amount)],
        );
        fixture
            .ask(whole.authorized(std::slice::from_ref(key)))
            .await
            .unwrap();
    }
    assert_eq!(fixture.audited().await, Amount(0));
    let report = fixture.bank.audit().await.unwrap();
    let (accounts, reserves) = (report.accounts, report.reserves);
    assert_eq!((accounts, reserves), (Amount(2000), Amount(0)));
    pay_out(&fixture).await;
    issuing(&fixture, false).await;
    assert!(fixture.exchanged(&second, &[4]).await.is_err(), "it was redeemed");
    fixture
        .cash(Command::AccountCredit, "1.00", "again")
        .await
        .unwrap();
    fixture.begun(&late).await;
}

/// Pays out all that the accounts have.
async fn pay_out(fixture: &BankFixture) {
    assert_eq!(fixture.balance(&secret_key(3)).await, Amount(6));
    fixture
        .cash(Command::AccountPayout, "19.94", "customer")
        .await
        .unwrap();
    let rest = Cash {
        key: fixture.merchant.public(),
        amount: Amount(6),
        reference: "merchant".into(),
    };
    fixture
        .bank
        .administer(Command::AccountPayout(rest))
        .await
        .unwrap();
    let report = fixture.bank.audit().await.unwrap();
    assert_eq!((report.accounts, report.problems.len()), (Amount(0), 0));
    assert_eq!(report.paid_in, report.paid_out);
}
