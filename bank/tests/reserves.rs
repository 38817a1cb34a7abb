//! Reserves: each source credits once, no debit exceeds the credits, and money only moves.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use farthing_bank::{
    admin::{Cash, Command},
    evidence::About,
};
use farthing_coin::{Coin, Document, PublicKey, SecretKey, Signed, TextSalt};
use farthing_protocol::{
    api::SettleOne,
    decision::SignedDecision,
    denial::{CoinDenial, Denial, DenialCause, RequestKind},
    deposit::{Deposit, DepositFrom},
    deposited::{DepositOutput, Payee, text_digest},
    evidence::{Charge, Culprit, Papers, judge},
    exchange::Authorized,
    issuance::{Issuance, IssuanceAsk},
    issue::IssueState,
    money::Amount,
    proofs::proves_deposit,
    refund::{RefundRequest, Refunded},
    refusal::{AccountFault, CoinFault, CoinsFault, IssueFault, PurchaseFault, Refusal, RequestFault},
    reserve::{FromReserve, ReserveRequest},
    reserve_sums::{ReserveFault, ReserveSums},
    settle::CollectRequest,
    withdraw::{ReserveWithdrawal, WithdrawFinish, Withdrawal},
};
use support::{BankFixture, Bought, EPOCH_MS, Purse, denied_coin, secret_key};

fn sums(credited: u64, debited: u64) -> ReserveSums {
    ReserveSums {
        credited: Amount(credited),
        debited: Amount(debited),
    }
}

/// The sums of a reserve, as its owner is told.
async fn sums_of(fixture: &BankFixture, reserve: &SecretKey) -> ReserveSums {
    let request = ReserveRequest {
        bank: fixture.bank.self_id(),
        reserve: reserve.public(),
    };
    let balance = fixture.ask(Signed::sign(request, reserve)).await.unwrap();
    balance.verify(&fixture.bank.self_id()).unwrap();
    assert_eq!(balance.body.reserve, reserve.public());
    balance.body.sums
}

fn output(to: Payee, amount: u64) -> DepositOutput {
    DepositOutput {
        to,
        amount: Amount(amount),
    }
}

/// A deposit of these coins or of this reserve.
fn deposit(fixture: &BankFixture, from: DepositFrom, outputs: &[DepositOutput]) -> Deposit {
    Deposit {
        bank: fixture.bank.self_id(),
        from,
        outputs: outputs.to_vec(),
        text: text_digest(&TextSalt::from_bytes([1; 32]), "a text"),
    }
}

fn paid_by(fixture: &BankFixture, purse: &Purse, outputs: &[DepositOutput]) -> Authorized<Deposit> {
    deposit(fixture, DepositFrom::Coins(purse.coins.clone()), outputs).authorized(&purse.keys)
}

/// Pays coins of this worth to the reserve.
async fn fill(fixture: &mut BankFixture, reserve: &PublicKey, values: &[u64]) {
    let purse = fixture.withdraw(values).await;
    let outputs = [output(Payee::Reserve(*reserve), purse.worth())];
    fixture.ask(paid_by(fixture, &purse, &outputs)).await.unwrap();
}

/// A withdrawal from `reserve` that has not begun.
fn withdrawal(fixture: &mut BankFixture, reserve: &PublicKey, values: &[u64]) -> ReserveWithdrawal {
    let counter = fixture.next();
    ReserveWithdrawal(Withdrawal {
        bank: fixture.bank.self_id(),
        account: *reserve,
        request_id: fixture.seed.exchange_id(counter),
        outputs: fixture.outputs(values),
        state: IssueState::Beginning,
    })
}

async fn begun(
    fixture: &BankFixture,
    withdrawal: &ReserveWithdrawal,
    reserve: &SecretKey,
) -> Result<ReserveWithdrawal, Refusal> {
    let IssuanceAsk::Begin(begin) = withdrawal.ask(reserve, &fixture.seed) else {
        panic!("it is not beginning")
    };
    let begun = fixture.ask(begin).await?;
    Ok(withdrawal
        .on_begun(&begun, &fixture.book(), &fixture.seed)
        .unwrap())
}

fn finish_of(
    fixture: &BankFixture,
    withdrawal: &ReserveWithdrawal,
    reserve: &SecretKey,
) -> Signed<FromReserve<WithdrawFinish>> {
    let IssuanceAsk::Finish(finish) = withdrawal.ask(reserve, &fixture.seed) else {
        panic!("it is not finishing")
    };
    finish
}

/// Holds and commits a purchase at `price`, paid with all of `purse`.
async fn bought(fixture: &mut BankFixture, purse: &Purse, price: u64) -> Bought {
    let escrow = fixture.escrow.public();
    let bought = fixture.order_at(purse, &escrow, price);
    let hold = fixture.ask(bought.hold()).await.unwrap();
    assert_eq!(
        hold.body.body.total,
        Amount(price),
        "it tells nobody what the coins are worth"
    );
    fixture.ask(fixture.commit(&bought)).await.unwrap();
    bought
}

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

#[tokio::test]
async fn a_deposit_pays_its_payees_once_and_the_same_answer_comes_again() {
    let mut fixture = BankFixture::new().await;
    let purse = fixture.withdraw(&[8, 4, 1]).await;
    let reserve = secret_key(70);
    let outputs = [
        output(Payee::Account(fixture.account.public()), 2),
        output(Payee::Reserve(reserve.public()), 10),
        output(Payee::Account(fixture.merchant.public()), 1),
    ];
    let request = paid_by(&fixture, &purse, &outputs);
    let (first, deposited) = fixture.ask_raw(request.clone()).await;
    let deposited = deposited.unwrap();
    deposited.verify(&fixture.bank.self_id()).unwrap();
    assert_eq!(deposited.body.deposit_id(), request.body.id());
    assert_eq!(deposited.body.credited(&outputs[1].to), Amount(10));
    assert_eq!(
        deposited.body.credited(&Payee::Account(reserve.public())),
        Amount(0)
    );
    assert_eq!(deposited.body.at_ms, fixture.now_ms());
    fixture.clock.advance(8 * EPOCH_MS);
    fixture.restart().await;
    assert_eq!(fixture.ask_raw(request.clone()).await.0, first);
    assert_eq!(fixture.audited().await, Amount(0));
    assert_eq!(sums_of(&fixture, &reserve).await, sums(10, 0));
    assert_eq!(fixture.balance(&secret_key(3)).await, Amount(1));
    assert_eq!(fixture.balance(&fixture.account).await, Amount(2000 - 13 + 2));
    // The coins are used up, and whoever shows one again is shown what was credited for it.
    let second = paid_by(&fixture, &purse, &[output(Payee::Reserve(reserve.public()), 13)]);
    let id = second.body.id().0;
    let denial = fixture.denied(second, RequestKind::Deposit, id).await;
    shows_the_deposit(&fixture, &denied_coin(&denial, &purse.coins[0]), &purse.coins[0]);
}

/// A denial of a deposited coin proves what was credited for it.
fn shows_the_deposit(fixture: &BankFixture, denial: &CoinDenial, coin: &Coin) {
    let CoinDenial::Deposited {
        used,
        deposited: Some(deposited),
    } = denial
    else {
        panic!("it shows no deposit: {denial}")
    };
    used.verify(coin).unwrap();
    assert!(proves_deposit(deposited, used, &fixture.bank.self_id()));
    assert!(
        denial
            .final_use(&coin.key_id, &coin.public, &fixture.book())
            .is_some()
    );
}

#[tokio::test]
async fn a_deposited_coin_is_neither_exchanged_nor_held_and_a_used_one_not_deposited() {
    let mut fixture = BankFixture::new().await;
    let purse = fixture.withdraw(&[8]).await;
    let outputs = [output(Payee::Reserve(secret_key(70).public()), 8)];
    fixture.ask(paid_by(&fixture, &purse, &outputs)).await.unwrap();
    let exchanged = fixture.exchanged(&purse, &[4, 4]).await;
    let Err(Refusal::Denied(denial)) = exchanged else {
        panic!("it is exchanged after its deposit")
    };
    shows_the_deposit(
        &fixture,
        &denied_coin(&denial.body, &purse.coins[0]),
        &purse.coins[0],
    );
    let order = fixture.order(&purse);
    let digest = order.order.purchase().0;
    let denial = fixture.denied(order.hold(), RequestKind::Hold, digest).await;
    let what = denied_coin(&denial, &purse.coins[0]);
    assert!(matches!(what, CoinDenial::Deposited { deposited: None, .. }));

    let (held, spent, exchanged) = (
        fixture.withdraw(&[8]).await,
        fixture.withdraw(&[8]).await,
        fixture.withdraw(&[8]).await,
    );
    let order = fixture.order(&held);
    fixture.ask(order.hold()).await.unwrap();
    bought(&mut fixture, &spent, 8).await;
    fixture.exchanged(&exchanged, &[8]).await.unwrap();
    for purse in [&held, &spent, &exchanged] {
        let request = paid_by(&fixture, purse, &outputs);
        let id = request.body.id().0;
        let denial = fixture.denied(request, RequestKind::Deposit, id).await;
        assert!(denied_coin(&denial, &purse.coins[0]).used().is_some());
    }
    // A released coin can be deposited.
    fixture.ask(fixture.abort(&order)).await.unwrap();
    fixture.ask(paid_by(&fixture, &held, &outputs)).await.unwrap();
}

#[tokio::test]
async fn a_deposit_that_does_not_fit_is_refused() {
    let mut fixture = BankFixture::new().await;
    let purse = fixture.withdraw(&[8]).await;
    let (account, reserve) = (
        Payee::Account(fixture.account.public()),
        Payee::Reserve(secret_key(70).public()),
    );
    for outputs in [
        vec![output(account, 8), output(reserve, 0)],
        vec![output(account, 4), output(account, 4)],
    ] {
        let refusal = fixture.refused(paid_by(&fixture, &purse, &outputs)).await;
        assert_eq!(refusal, RequestFault::Output.into());
    }
    let many: Vec<_> = (80..84)
        .map(|seed| output(Payee::Reserve(secret_key(seed).public()), 2))
        .collect();
    for outputs in [vec![], many] {
        let refusal = fixture.refused(paid_by(&fixture, &purse, &outputs)).await;
        assert!(matches!(refusal, Refusal::Request(_)), "{refusal}");
    }
    for amount in [7, 9, u64::MAX] {
        let refusal = fixture
            .refused(paid_by(&fixture, &purse, &[output(account, amount)]))
            .await;
        let (inputs, outputs) = (Amount(8), Amount(amount));
        assert_eq!(refusal, IssueFault::Unbalanced { inputs, outputs }.into());
    }
    let overflow = [output(account, u64::MAX), output(reserve, 2)];
    let refusal = fixture.refused(paid_by(&fixture, &purse, &overflow)).await;
    assert_eq!(refusal, IssueFault::Overflow.into());
    let nobody = secret_key(72).public();
    let request = paid_by(&fixture, &purse, &[output(Payee::Account(nobody), 8)]);
    let id = request.body.id().0;
    let denial = fixture.denied(request, RequestKind::Deposit, id).await;
    assert_eq!(denial.cause, DenialCause::UnknownAccount(nobody));
    // The authorization of an exchange or of another deposit is none for this one.
    let mut other = paid_by(&fixture, &purse, &[output(account, 8)]);
    other.body.outputs = vec![output(reserve, 8)];
    let refusal = fixture.refused(other).await;
    assert!(matches!(
        refusal,
        Refusal::Coins(CoinsFault {
            index: 0,
            what: CoinFault::Authorization(_)
        })
    ));
    let mut elsewhere = deposit(
        &fixture,
        DepositFrom::Coins(purse.coins.clone()),
        &[output(account, 8)],
    );
    elsewhere.bank = nobody;
    let refusal = fixture.refused(elsewhere.authorized(&purse.keys)).await;
    assert!(matches!(refusal, Refusal::Request(RequestFault::NotForMe { .. })));
    // Its time has ended, as for an exchange.
    fixture.clock.advance(20 * EPOCH_MS);
    let late = paid_by(&fixture, &purse, &[output(account, 8)]);
    let id = late.body.id().0;
    let denial = fixture.denied(late, RequestKind::Deposit, id).await;
    assert!(matches!(
        denied_coin(&denial, &purse.coins[0]),
        CoinDenial::Expired { .. }
    ));
}

/// The merchant's request to refund `total` of a purchase in all.
fn refund(fixture: &BankFixture, bought: &Bought, total: u64) -> Signed<RefundRequest> {
    let request = RefundRequest {
        bank: fixture.bank.self_id(),
        account: fixture.merchant.public(),
        purchase: bought.order.purchase(),
        escrow: fixture.escrow.public(),
        total: Amount(total),
    };
    Signed::sign(request, &fixture.merchant)
}

#[tokio::test]
async fn refunds_of_a_purchase_grow_up_to_its_price_and_reach_a_customer_whom_nobody_knows() {
    let mut fixture = BankFixture::new().await;
    let purse = fixture.withdraw(&[8, 1]).await;
    let escrow = fixture.escrow.public();
    let order = fixture.order_at(&purse, &escrow, 8);
    let unknown = PurchaseFault::Unknown(order.order.purchase());
    assert_eq!(
        fixture.refused(refund(&fixture, &order, 1)).await,
        unknown.clone().into()
    );
    fixture.ask(order.hold()).await.unwrap();
    assert_eq!(fixture.refused(refund(&fixture, &order, 1)).await, unknown.into());
    fixture.ask(fixture.commit(&order)).await.unwrap();
    let key = &order.purchase_key;
    let mut replies = Vec::new();
    for (total, refunded) in [(3, 3), (3, 3), (5, 5), (3, 5), (8, 8), (5, 8)] {
        let (bytes, reply) = fixture.ask_raw(refund(&fixture, &order, total)).await;
        let reply = reply.unwrap();
        reply.verify(&fixture.bank.self_id()).unwrap();
        let expected = Refunded {
            bank: fixture.bank.self_id(),
            purchase: order.order.purchase(),
            reserve: key.public(),
            total: Amount(total),
        };
        assert_eq!(reply.body, expected);
        assert_eq!(sums_of(&fixture, key).await, sums(1 + refunded, 0));
        assert_eq!(fixture.balance(&secret_key(3)).await, Amount(8 - refunded));
        fixture.audited().await;
        replies.push((total, bytes));
    }
    fixture.restart().await;
    for (total, bytes) in replies {
        assert_eq!(fixture.ask_raw(refund(&fixture, &order, total)).await.0, bytes);
    }
    let (price, asked) = (Amount(8), Amount(9));
    let refusal = fixture.refused(refund(&fixture, &order, 9)).await;
    assert_eq!(refusal, PurchaseFault::RefundTooHigh { price, asked }.into());
    // The decision is not changed by it.
    let statement = farthing_protocol::documents::PurchaseKeyUse::Collect
        .statement(&key.public(), &order.order.purchase());
    let collect = CollectRequest {
        purchase: order.order.purchase(),
        escrow,
        signature: key.sign(&statement),
    };
    fixture.ask(collect).await.unwrap();
}

#[tokio::test]
async fn only_the_account_that_was_paid_refunds_and_only_what_it_has() {
    let mut fixture = BankFixture::new().await;
    let purse = fixture.withdraw(&[8]).await;
    let order = bought(&mut fixture, &purse, 8).await;
    // Another account, with money, does not refund another's sale.
    let other = RefundRequest {
        account: fixture.account.public(),
        ..refund(&fixture, &order, 1).body
    };
    let refusal = fixture.refused(Signed::sign(other, &fixture.account)).await;
    assert_eq!(refusal, PurchaseFault::Unknown(order.order.purchase()).into());
    let forged = Signed::sign(refund(&fixture, &order, 1).body, &fixture.account);
    let refusal = fixture.refused(forged).await;
    assert!(matches!(
        refusal,
        Refusal::Request(RequestFault::Signature { .. })
    ));
    // The merchant has withdrawn most of it.
    let withdrawal = Withdrawal {
        bank: fixture.bank.self_id(),
        account: fixture.merchant.public(),
        request_id: fixture.seed.withdraw_id(900),
        outputs: fixture.outputs(&[4, 2]),
        state: IssueState::Beginning,
    };
    let IssuanceAsk::Begin(begin) = withdrawal.ask(&fixture.merchant, &fixture.seed) else {
        panic!("it is not beginning")
    };
    let begun = fixture.ask(begin).await.unwrap();
    let withdrawal = withdrawal
        .on_begun(&begun, &fixture.book(), &fixture.seed)
        .unwrap();
    let IssuanceAsk::Finish(finish) = withdrawal.ask(&fixture.merchant, &fixture.seed) else {
        panic!("it is not finishing")
    };
    fixture.ask(finish).await.unwrap();
    let refusal = fixture.refused(refund(&fixture, &order, 3)).await;
    let (balance, asked) = (Amount(2), Amount(3));
    assert_eq!(refusal, AccountFault::Balance { balance, asked }.into());
    fixture.ask(refund(&fixture, &order, 2)).await.unwrap();
    assert_eq!(sums_of(&fixture, &order.purchase_key).await, sums(2, 0));
}

/// Judges the papers of a wallet alone, and then with the bank's own papers of the reserve.
async fn verdicts(fixture: &BankFixture, reserve: &PublicKey, accusing: &Papers) -> [usize; 2] {
    let asked = Command::Evidence(About::Reserve { key: *reserve });
    let own = fixture.bank.administer(asked).await.unwrap();
    let own: Vec<Papers> = serde_json::from_value(own).unwrap();
    let charged = |papers: &[Papers]| {
        let convictions = judge(papers);
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
        judge(&[papers, own[0].clone()]).len()
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
    let exchange = fixture.exchange(&second, &[2, 2]);
    let refused = fixture.exchange_begun(&exchange, &second).await;
    assert_eq!(refused.err(), Some(stopped.clone()));
    let from_reserve = withdrawal(&mut fixture, &reserve.public(), &[16]);
    assert_eq!(
        begun(&fixture, &from_reserve, &reserve).await.err(),
        Some(stopped)
    );
    // What is under way ends, and everything goes into accounts: coins, change and reserves.
    fixture.ask(fixture.commit(&order)).await.unwrap();
    let account = Payee::Account(fixture.account.public());
    for purse in [&second, &last] {
        let outputs = [output(account, purse.worth())];
        fixture.ask(paid_by(&fixture, purse, &outputs)).await.unwrap();
    }
    for (key, amount) in [(&reserve, 16), (&order.purchase_key, 3)] {
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
    assert!(
        fixture.exchange_begun(&exchange, &second).await.is_err(),
        "it was redeemed"
    );
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
