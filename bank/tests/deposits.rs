//! Deposits and refunds: each is carried out once, and every other request is refused without effect.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use farthing_coin::{Coin, SecretKey, Signed};
use farthing_protocol::{
    denial::{CoinDenial, DenialCause, RequestKind},
    deposit::DepositFrom,
    deposited::Payee,
    issuance::{Issuance, IssuanceAsk},
    issue::IssueState,
    money::Amount,
    proofs::proves_deposit,
    refund::{RefundRequest, Refunded},
    refusal::{AccountFault, CoinFault, CoinsFault, IssueFault, PurchaseFault, Refusal, RequestFault},
    settle::CollectRequest,
    withdraw::Withdrawal,
};
use support::{
    BankFixture, EPOCH_MS, Purse, denied_coin,
    payments::{bought, deposit, output, paid_by, refund, sums, sums_of},
    secret_key,
};

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
    // A coin in the list twice is not worth twice as much.
    let listed = |purse: &Purse| DepositFrom::Coins(purse.coins.repeat(2));
    let twice = deposit(&fixture, listed(&purse), &[output(account, 16)]);
    let keys = [&purse.keys[0], &purse.keys[0]].map(|key| SecretKey::from_bytes(&key.to_bytes()).unwrap());
    let refusal = fixture.refused(twice.authorized(&keys)).await;
    let what = CoinFault::Twice;
    assert_eq!(refusal, CoinsFault { index: 1, what }.into());
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

#[tokio::test]
async fn what_was_aborted_or_sold_at_another_escrow_is_not_refunded() {
    let mut fixture = BankFixture::new().await;
    let (one, other) = (fixture.withdraw(&[8]).await, fixture.withdraw(&[8]).await);
    let escrow = fixture.escrow.public();
    // The merchant has money of another sale.
    let sold = bought(&mut fixture, &other, 8).await;
    let aborted = fixture.order_at(&one, &escrow, 8);
    fixture.ask(aborted.hold()).await.unwrap();
    fixture.ask(fixture.abort(&aborted)).await.unwrap();
    let fault = PurchaseFault::Aborted(aborted.order.purchase());
    assert_eq!(fixture.refused(refund(&fixture, &aborted, 1)).await, fault.into());
    // The same purchase id at another escrow is another row.
    let elsewhere = RefundRequest {
        escrow: secret_key(73).public(),
        ..refund(&fixture, &sold, 1).body
    };
    let refusal = fixture.refused(Signed::sign(elsewhere, &fixture.merchant)).await;
    assert_eq!(refusal, PurchaseFault::Unknown(sold.order.purchase()).into());
    let elsewhere = RefundRequest {
        bank: escrow,
        ..refund(&fixture, &sold, 1).body
    };
    let refusal = fixture.refused(Signed::sign(elsewhere, &fixture.merchant)).await;
    assert!(matches!(refusal, Refusal::Request(RequestFault::NotForMe { .. })));
    for key in [&aborted.purchase_key, &sold.purchase_key] {
        assert_eq!(sums_of(&fixture, key).await, sums(0, 0));
    }
    assert_eq!(fixture.balance(&secret_key(3)).await, Amount(8));
}

#[tokio::test]
async fn refunds_of_one_purchase_at_the_same_time_move_the_largest_total() {
    let mut fixture = BankFixture::new().await;
    let purse = fixture.withdraw(&[8]).await;
    let order = bought(&mut fixture, &purse, 8).await;
    let [first, second, third] = [5, 8, 5].map(|total| refund(&fixture, &order, total));
    let all = tokio::join!(fixture.ask(first), fixture.ask(second), fixture.ask(third));
    let totals = [all.0, all.1, all.2].map(|refunded| refunded.unwrap().body.total);
    assert_eq!(totals, [5, 8, 5].map(Amount));
    assert_eq!(sums_of(&fixture, &order.purchase_key).await, sums(8, 0));
    assert_eq!(fixture.balance(&secret_key(3)).await, Amount(0));
    assert_eq!(fixture.audited().await, Amount(0));
}

#[tokio::test]
async fn one_coin_in_two_deposits_at_the_same_time_pays_one_payee() {
    let mut fixture = BankFixture::new().await;
    let purse = fixture.withdraw(&[8]).await;
    let payees = [secret_key(70), secret_key(71)];
    let to = |payee: &SecretKey| paid_by(&fixture, &purse, &[output(Payee::Reserve(payee.public()), 8)]);
    let (first, second) = tokio::join!(fixture.ask(to(&payees[0])), fixture.ask(to(&payees[1])));
    assert!(
        matches!(
            (&first, &second),
            (Ok(_), Err(Refusal::Denied(_))) | (Err(Refusal::Denied(_)), Ok(_))
        ),
        "{first:?} {second:?}"
    );
    let credited = [
        sums_of(&fixture, &payees[0]).await.credited,
        sums_of(&fixture, &payees[1]).await.credited,
    ];
    let [first, second] = [first.is_ok(), second.is_ok()].map(|is_paid| Amount(if is_paid { 8 } else { 0 }));
    assert_eq!(credited, [first, second]);
    assert_eq!(fixture.audited().await, Amount(0));
}
