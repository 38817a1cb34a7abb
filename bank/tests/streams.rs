//! Settlement of streams: the merchant is paid what a voucher says, and the customer gets the rest as change.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use farthing_bank::evidence::About;
use farthing_bank::rows::{COINS, PURCHASES};
use farthing_coin::{Document, SecretKey, Signed};
use farthing_protocol::{
    api::SettleOne,
    decision::SignedDecision,
    denial::{CoinDenial, RequestKind},
    documents::{Commit, PurchaseId, PurchaseKeyUse, Settled},
    evidence::{Charge, Culprit, Papers, judge},
    issuance::{Issuance, IssuanceAsk},
    money::Amount,
    refusal::{ContractFault, PurchaseFault, Refusal},
    settle::{BankPurchase, CollectRequest, Collected, SettleDecision, SettleRequest, verify_settle},
    stream::{StreamCommit, Voucher},
};
use farthing_store::entropy::{Entropy, SeededEntropy};
use support::payments::{refund, sums, sums_of};
use support::{BankFixture, Bought, Purse, denied_coin, secret_key};

/// The price of all ticks.
const PRICE: u64 = 12;

/// A stream whose coins, worth 16, are held.
async fn held(fixture: &mut BankFixture) -> (Purse, Bought) {
    let purse = fixture.withdraw(&[8, 8]).await;
    let escrow = fixture.escrow.public();
    let bought = fixture.order_at(&purse, &escrow, PRICE);
    fixture.ask(bought.hold()).await.unwrap();
    (purse, bought)
}

fn voucher(bought: &Bought, amount: u64) -> Signed<Voucher> {
    let voucher = Voucher {
        purchase: bought.order.purchase(),
        ticks: 3,
        amount: Amount(amount),
    };
    Signed::sign(voucher, &bought.purchase_key)
}

fn commit(fixture: &BankFixture, bought: &Bought, change: impl FnOnce(&mut Commit)) -> Signed<Commit> {
    let SignedDecision::Commit(commit) = fixture.commit(bought).decision else {
        panic!("it is a commit")
    };
    let mut body = commit.body;
    change(&mut body);
    Signed::sign(body, &fixture.escrow)
}

fn settle(fixture: &BankFixture, commit: Signed<Commit>, voucher: Signed<Voucher>) -> SettleOne {
    SettleOne {
        escrow: fixture.escrow.public(),
        decision: SignedDecision::Stream(Box::new(StreamCommit { commit, voucher })),
    }
}

/// The decision to commit `amount`, beside the voucher for it.
fn paying(fixture: &BankFixture, bought: &Bought, amount: u64) -> SettleOne {
    let commit = commit(fixture, bought, |it| it.amount = Amount(amount));
    settle(fixture, commit, voucher(bought, amount))
}

/// The same commit without a voucher.
fn without_voucher(fixture: &BankFixture, bought: &Bought, amount: u64) -> SettleOne {
    SettleOne {
        escrow: fixture.escrow.public(),
        decision: SignedDecision::Commit(commit(fixture, bought, |it| it.amount = Amount(amount))),
    }
}

fn settled(bought: &Bought, amount: u64) -> Settled {
    Settled::committed(&bought.order.contract.terms, Amount(amount))
}

async fn collected(fixture: &BankFixture, bought: &Bought) -> Collected {
    let key: &SecretKey = &bought.purchase_key;
    let purchase = bought.order.purchase();
    let statement = PurchaseKeyUse::Collect.statement(&key.public(), &purchase);
    let request = CollectRequest {
        purchase,
        escrow: fixture.escrow.public(),
        signature: key.sign(&statement),
    };
    fixture.ask(request).await.unwrap()
}

/// The escrow's earlier decision, with which the bank refuses an opposite one.
#[track_caller]
fn earlier(refused: Result<Signed<Settled>, Refusal>) -> SignedDecision {
    match refused {
        Err(Refusal::Purchase(PurchaseFault::DecidedOtherwise(earlier))) => *earlier,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn convicts_the_escrow(fixture: &BankFixture, papers: &[Papers]) {
    let convicted: Vec<(Culprit, Charge)> = judge(papers, 0)
        .iter()
        .map(|it| (it.culprit, it.charge))
        .collect();
    let escrow = Culprit::Escrow(fixture.escrow.public());
    assert_eq!(convicted, [(escrow, Charge::DecidedTwice)]);
}

#[tokio::test]
async fn a_stream_pays_the_merchant_the_voucher_and_the_customer_the_rest() {
    for paid in [1, 5, PRICE - 1, PRICE] {
        let mut fixture = BankFixture::new().await;
        let (_, bought) = held(&mut fixture).await;
        assert_eq!(fixture.audited().await, Amount(16));
        assert_eq!(collected(&fixture, &bought).await, Collected::Open);
        let request = paying(&fixture, &bought, paid);
        let (first, reply) = fixture.ask_raw(request.clone()).await;
        assert_eq!(reply.unwrap().body, settled(&bought, paid));
        for _ in 0..2 {
            assert_eq!(fixture.balance(&secret_key(3)).await, Amount(paid));
            assert_eq!(sums_of(&fixture, &bought.purchase_key).await, sums(16 - paid, 0));
            assert_eq!(fixture.audited().await, Amount(0));
            // The same decision is acknowledged again, and moves nothing.
            let head = fixture.head();
            assert_eq!(fixture.ask_raw(request.clone()).await.0, first);
            assert_eq!(fixture.head(), head);
            fixture.restart().await;
        }
        let SignedDecision::Stream(stream) = request.decision else {
            panic!("it is a stream's")
        };
        assert_eq!(
            collected(&fixture, &bought).await,
            Collected::Streamed(stream.clone())
        );
        let papers = fixture
            .bank
            .evidence(&About::Purchase {
                id: bought.order.purchase(),
            })
            .unwrap();
        assert_eq!(papers.len(), 1);
        assert_eq!(papers[0].commit.as_ref(), Some(&stream.commit));
        assert_eq!(papers[0].voucher.as_ref(), Some(&stream.voucher));
        assert_eq!(judge(&papers, 0), []);
        fixture.refused(bought.hold()).await;
    }
}

#[tokio::test]
async fn a_commit_that_no_voucher_of_the_purchase_pays_for_is_refused() {
    let mut fixture = BankFixture::new().await;
    let (purse, bought) = held(&mut fixture).await;
    let good = voucher(&bought, 5).body;
    let of = |amount: u64| commit(&fixture, &bought, |it| it.amount = Amount(amount));
    let signed = |change: fn(&mut Voucher)| {
        let mut body = good;
        change(&mut body);
        Signed::sign(body, &bought.purchase_key)
    };
    let mut changed = voucher(&bought, 5);
    changed.body.ticks += 1;
    let refused = [
        // Without a voucher, of another key, for another amount, of another purchase, and changed after it was signed.
        without_voucher(&fixture, &bought, 5),
        settle(&fixture, of(5), Signed::sign(good, &fixture.escrow)),
        settle(&fixture, of(5), Signed::sign(good, &fixture.merchant)),
        settle(&fixture, of(6), voucher(&bought, 5)),
        settle(&fixture, of(4), voucher(&bought, 5)),
        settle(&fixture, of(5), signed(|it| it.purchase = PurchaseId([9; 32]))),
        settle(&fixture, of(5), changed),
        // More than the price, though the customer signed it.
        paying(&fixture, &bought, PRICE + 1),
        paying(&fixture, &bought, 16),
        paying(&fixture, &bought, u64::MAX),
        // Another account, other coins, and another signer.
        settle(
            &fixture,
            commit(&fixture, &bought, |it| {
                it.amount = Amount(5);
                it.account = secret_key(5).public();
            }),
            voucher(&bought, 5),
        ),
        settle(
            &fixture,
            commit(&fixture, &bought, |it| {
                it.amount = Amount(5);
                it.coins_digest.0[0] ^= 1;
            }),
            voucher(&bought, 5),
        ),
        settle(
            &fixture,
            Signed::sign(of(5).body, &fixture.merchant),
            voucher(&bought, 5),
        ),
    ];
    for request in refused {
        let refusal = fixture.refused(request).await;
        assert!(
            matches!(refusal, Refusal::Contract(ContractFault::Decision(_))),
            "{refusal}"
        );
    }
    assert_eq!(fixture.balance(&secret_key(3)).await, Amount(0));
    assert_eq!(sums_of(&fixture, &bought.purchase_key).await, sums(0, 0));
    // The coins are still held, and an abort releases them.
    fixture.ask(fixture.abort(&bought)).await.unwrap();
    fixture.exchanged(&purse, &[8, 8]).await.unwrap();
}

#[tokio::test]
async fn a_commit_before_its_hold_is_refused() {
    let mut fixture = BankFixture::new().await;
    let purse = fixture.withdraw(&[8, 8]).await;
    let escrow = fixture.escrow.public();
    let bought = fixture.order_at(&purse, &escrow, PRICE);
    let refusal = fixture.refused(paying(&fixture, &bought, 5)).await;
    assert_eq!(refusal, PurchaseFault::Unknown(bought.order.purchase()).into());
    fixture.ask(bought.hold()).await.unwrap();
    fixture.ask(paying(&fixture, &bought, 5)).await.unwrap();
}

/// The row of the hold is written after the decision was verified without it, and before it is applied.
#[tokio::test]
async fn a_hold_that_arrives_meanwhile_does_not_skip_the_check_of_the_voucher() {
    let mut fixture = BankFixture::new().await;
    let (purse, bought) = held(&mut fixture).await;
    let key = (bought.order.purchase(), fixture.escrow.public());
    let view = fixture.bank.store().view();
    let row = PURCHASES.peek(&view, &key).unwrap();
    let states: Vec<_> = (purse.coins.iter())
        .map(|coin| COINS.peek(&view, &(coin.key_id, coin.public)).unwrap().unwrap())
        .collect();
    let entropy: &dyn Entropy = &SeededEntropy::new(7);
    let answer = |voucher: Signed<Voucher>| {
        let commit = commit(&fixture, &bought, |it| it.amount = Amount(5));
        let SettleOne { escrow, decision } = settle(&fixture, commit, voucher);
        let request = SettleRequest {
            escrow,
            decisions: vec![decision],
        };
        let mut verified =
            verify_settle(request, &fixture.bank.self_id(), |_| Ok(None), &mut entropy.rng()).unwrap();
        let verified = verified.pop().unwrap().unwrap();
        verified.respond(row.clone(), &states, Amount(16), true, fixture.now_ms())
    };
    let forged = Signed::sign(voucher(&bought, 5).body, &fixture.escrow);
    let refused = answer(forged).unwrap_err();
    assert!(
        matches!(refused, Refusal::Contract(ContractFault::Decision(_))),
        "{refused}"
    );
    let SettleDecision::Now(settlement, body) = answer(voucher(&bought, 5)).unwrap() else {
        panic!("it is new")
    };
    assert_eq!(body, settled(&bought, 5));
    let terms = &bought.order.contract.terms;
    assert_eq!(settlement.credit, Some((terms.account, Amount(5))));
    assert_eq!(settlement.change, Some((terms.purchase_key, Amount(11))));
    assert!(matches!(settlement.purchase, BankPurchase::Streamed { .. }));
}

#[tokio::test]
async fn a_second_commit_of_another_amount_is_kept_and_convicts_the_escrow() {
    let mut fixture = BankFixture::new().await;
    let (_, bought) = held(&mut fixture).await;
    let first = paying(&fixture, &bought, 5);
    fixture.ask(first.clone()).await.unwrap();
    for other in [
        paying(&fixture, &bought, 7),
        paying(&fixture, &bought, 3),
        without_voucher(&fixture, &bought, PRICE),
        fixture.abort(&bought),
    ] {
        assert_eq!(earlier(fixture.ask(other.clone()).await), first.decision);
        fixture.refused(other).await;
    }
    assert_eq!(fixture.balance(&secret_key(3)).await, Amount(5));
    assert_eq!(sums_of(&fixture, &bought.purchase_key).await, sums(11, 0));
    let papers = fixture.bank.evidence(&About::Contradictions).unwrap();
    assert_eq!(papers.len(), 2, "one set for each commit");
    convicts_the_escrow(&fixture, &papers);
    fixture.restart().await;
    assert_eq!(fixture.bank.evidence(&About::Contradictions).unwrap(), papers);
    // The voucher belongs to a commit of its amount.
    for paper in &papers {
        let (commit, voucher) = (paper.commit.as_ref().unwrap(), paper.voucher.as_ref().unwrap());
        assert_eq!(commit.body.amount, voucher.body.amount);
    }
}

#[tokio::test]
async fn a_commit_of_ticks_after_one_of_the_whole_price_is_kept_too() {
    let mut fixture = BankFixture::new().await;
    let (_, bought) = held(&mut fixture).await;
    let whole = without_voucher(&fixture, &bought, PRICE);
    fixture.ask(whole.clone()).await.unwrap();
    // With a voucher for the price it is the same decision.
    let same = fixture.ask(paying(&fixture, &bought, PRICE)).await.unwrap();
    assert_eq!(same.body, settled(&bought, PRICE));
    let less = paying(&fixture, &bought, 5);
    assert_eq!(earlier(fixture.ask(less).await), whole.decision);
    convicts_the_escrow(&fixture, &fixture.bank.evidence(&About::Contradictions).unwrap());
    assert_eq!(fixture.balance(&secret_key(3)).await, Amount(PRICE));
}

#[tokio::test]
async fn a_commit_after_an_abort_is_kept_with_its_voucher_in_one_set_of_papers() {
    let mut fixture = BankFixture::new().await;
    let (_, bought) = held(&mut fixture).await;
    let abort = fixture.abort(&bought);
    fixture.ask(abort.clone()).await.unwrap();
    assert_eq!(
        earlier(fixture.ask(paying(&fixture, &bought, 5)).await),
        abort.decision
    );
    let papers = fixture.bank.evidence(&About::Contradictions).unwrap();
    assert_eq!(papers.len(), 1);
    assert_eq!(papers[0].voucher, Some(voucher(&bought, 5)));
    assert!(papers[0].commit.is_some() && papers[0].abort.is_some());
    convicts_the_escrow(&fixture, &papers);
}

#[tokio::test]
async fn a_merchant_refunds_at_most_what_the_voucher_paid() {
    let mut fixture = BankFixture::new().await;
    let (_, bought) = held(&mut fixture).await;
    fixture.ask(paying(&fixture, &bought, 5)).await.unwrap();
    // The merchant has more money.
    let (_, other) = held(&mut fixture).await;
    fixture
        .ask(without_voucher(&fixture, &other, PRICE))
        .await
        .unwrap();
    for (total, credited) in [(2, 13), (2, 13), (5, 16)] {
        fixture.ask(refund(&fixture, &bought, total)).await.unwrap();
        assert_eq!(sums_of(&fixture, &bought.purchase_key).await, sums(credited, 0));
        fixture.audited().await;
    }
    let (price, asked) = (Amount(5), Amount(6));
    assert_eq!(
        fixture.refused(refund(&fixture, &bought, 6)).await,
        PurchaseFault::RefundTooHigh { price, asked }.into()
    );
}

#[tokio::test]
async fn the_holder_of_a_coin_that_a_stream_spent_is_shown_the_commit() {
    let mut fixture = BankFixture::new().await;
    let (purse, bought) = held(&mut fixture).await;
    fixture.ask(paying(&fixture, &bought, 5)).await.unwrap();
    let exchange = fixture.exchange(&purse, &[8, 8]);
    let IssuanceAsk::Begin(begin) = exchange.ask(&purse.keys, &fixture.seed) else {
        panic!("it is not beginning")
    };
    let digest = begin.body.digest();
    let denial = fixture.denied(begin, RequestKind::ExchangeBegin, digest.0).await;
    let (book, coin) = (fixture.book(), purse.coins[0]);
    assert!(denial.is_right(book.get(&coin.key_id).unwrap(), &book, std::iter::empty()));
    let CoinDenial::Spent {
        used,
        proof: Some(proof),
    } = denied_coin(&denial, &coin)
    else {
        panic!("it was spent")
    };
    let bank = fixture.bank.self_id();
    assert_eq!(proof.commit.body.amount, Amount(5));
    assert!(proof.proves(&used, &bank));
    let mut dearer = proof.clone();
    dearer.commit = commit(&fixture, &bought, |it| it.amount = Amount(PRICE + 1));
    assert!(!dearer.proves(&used, &bank));
    let mut unsigned = proof;
    unsigned.commit = Signed::sign(unsigned.commit.body.clone(), &fixture.merchant);
    assert!(!unsigned.proves(&used, &bank));
}

/// One forged voucher in a list refuses the list, as a forged signature of the escrow does.
#[tokio::test]
async fn streams_are_settled_in_one_list_with_other_decisions() {
    let mut fixture = BankFixture::new().await;
    let (_, one) = held(&mut fixture).await;
    let (_, two) = held(&mut fixture).await;
    let (_, three) = held(&mut fixture).await;
    let list = |decisions: Vec<SettleOne>| SettleRequest {
        escrow: fixture.escrow.public(),
        decisions: decisions.into_iter().map(|one| one.decision).collect(),
    };
    let forged = settle(
        &fixture,
        commit(&fixture, &two, |it| it.amount = Amount(5)),
        Signed::sign(voucher(&two, 5).body, &fixture.escrow),
    );
    let with_forged = list(vec![paying(&fixture, &one, 5), forged]);
    fixture.refused(with_forged).await;
    let answers = fixture
        .ask(list(vec![
            paying(&fixture, &one, 5),
            without_voucher(&fixture, &two, 5),
            fixture.abort(&three),
            paying(&fixture, &one, 5),
        ]))
        .await
        .unwrap();
    let body = |place: usize| answers[place].clone().map(|settled| settled.body);
    assert_eq!((body(0), body(3)), (Ok(settled(&one, 5)), Ok(settled(&one, 5))));
    assert!(body(1).is_err() && body(2).is_ok());
    assert_eq!(fixture.balance(&secret_key(3)).await, Amount(5));
    fixture.audited().await;
}
