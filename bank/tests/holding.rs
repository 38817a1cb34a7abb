//! Holds and settlement: all coins are held or none, a purchase has one outcome, and the merchant is paid once.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use farthing_bank::{admin::Command, evidence::About, replies::HoldPosition, rows::HELD_BEFORE_CAUSES};
use farthing_coin::{Document, SecretKey, Signed};
use farthing_protocol::{
    api::BankRequest,
    api::SettleOne,
    decision::SignedDecision,
    denial::{CoinDenial, Denial, RequestKind},
    documents::{AbortReason, Overdue, Settled, SettledAs},
    evidence::{Charge, Culprit, judge},
    history::WithHead,
    hold::BankHoldRequest,
    issuance::{Issuance, IssuanceAsk},
    limits::{DEADLINE_HORIZON_MS, SETTLE_MAX, SETTLEMENT_MARGIN_MS},
    money::Amount,
    refusal::{
        AccountFault, CoinFault, CoinsFault, ContractFault, IssueFault, Later, PurchaseFault, Refusal,
        RequestFault,
    },
    settle::SettleRequest,
};
use farthing_store::Reads;
use support::{BankFixture, Bought, EPOCH_MS, Purse, START_MS, card, denied_coin};

/// The hold of this order with changed terms. The coins authorize the changed terms.
fn altered(
    fixture: &BankFixture,
    bought: &Bought,
    purse: &Purse,
    change: impl FnOnce(&mut farthing_protocol::documents::Terms),
) -> WithHead<BankHoldRequest> {
    let mut asked = bought.hold();
    let request = &mut asked.body;
    change(&mut request.terms);
    request.payment.authorizations = farthing_protocol::exchange::authorize(
        &purse.coins,
        &purse.keys,
        farthing_protocol::documents::CoinUse::Hold,
        &request.terms.purchase_id().digest(),
    );
    assert_eq!(request.terms.bank, fixture.bank.self_id());
    asked
}

#[tokio::test]
async fn a_commit_spends_the_coins_and_pays_the_merchant_once() {
    let mut fixture = BankFixture::new().await;
    let purse = fixture.withdraw(&[64, 2]).await;
    let bought = fixture.order(&purse);
    let hold = fixture.ask(bought.hold()).await.unwrap().body;
    hold.verify(&fixture.bank.self_id()).unwrap();
    assert_eq!(hold.body.total, Amount(66));
    assert_eq!(fixture.audited().await, Amount(66));
    assert_eq!(fixture.balance(&fixture.merchant).await, Amount(0));
    let (first, settled) = fixture.ask_raw(fixture.commit(&bought)).await;
    let terms = &bought.order.contract.terms;
    assert_eq!(settled.unwrap().body, Settled::committed(terms, terms.price));
    for _ in 0..2 {
        fixture.restart().await;
        let head = fixture.head();
        assert_eq!(fixture.ask_raw(fixture.commit(&bought)).await.0, first);
        assert_eq!(fixture.head(), head);
    }
    assert_eq!(fixture.balance(&fixture.merchant).await, Amount(66));
    assert_eq!(fixture.audited().await, Amount(0));
}

async fn holds(fixture: &BankFixture, after: Option<HoldPosition>) -> Result<serde_json::Value, String> {
    fixture.bank.administer(Command::Holds { after }).await
}

#[tokio::test]
async fn the_operator_sees_which_purchases_have_coins_held() {
    let mut fixture = BankFixture::new().await;
    let (one, other) = (fixture.withdraw(&[64, 2]).await, fixture.withdraw(&[8]).await);
    let (one, other) = (fixture.order(&one), fixture.order(&other));
    for bought in [&one, &other] {
        fixture.ask(bought.hold()).await.unwrap();
    }
    let listed = holds(&fixture, None).await.unwrap();
    let lines = listed["holds"].as_array().unwrap().clone();
    assert_eq!(lines.len(), 2);
    let id = one.order.purchase().to_string();
    let line = lines.iter().find(|line| line["purchase"] == id.as_str()).unwrap();
    assert_eq!(
        (&line["amount"], &line["overdue"]),
        (&"0.66".into(), &false.into())
    );
    // The next page begins after the last line of this one.
    let position = lines[0]["position"].as_str().unwrap().parse().unwrap();
    assert_eq!(
        holds(&fixture, Some(position)).await.unwrap()["holds"][0],
        lines[1]
    );
    let refused = "1.2".parse::<HoldPosition>().unwrap_err();
    assert!(refused.contains("not a position"), "{refused}");

    let (_, settled) = fixture.ask_raw(fixture.commit(&one)).await;
    settled.unwrap();
    let left = holds(&fixture, None).await.unwrap();
    assert_eq!(left["holds"].as_array().unwrap().len(), 1);
    assert_eq!(left["holds"][0]["purchase"], other.order.purchase().to_string());
}

#[tokio::test]
async fn a_hold_is_repeated_byte_for_byte() {
    let mut fixture = BankFixture::new().await;
    let purse = fixture.withdraw(&[8]).await;
    let bought = fixture.order(&purse);
    let first = fixture.ask(bought.hold()).await.unwrap().body;
    fixture.clock.advance(EPOCH_MS * 5);
    fixture.restart().await;
    let head = fixture.head();
    assert_eq!(fixture.ask(bought.hold()).await.unwrap().body, first);
    assert_eq!(fixture.head(), head);
}

#[tokio::test]
async fn a_held_coin_can_be_used_for_nothing_else() {
    let mut fixture = BankFixture::new().await;
    let (purse, other) = (fixture.withdraw(&[8]).await, fixture.withdraw(&[8]).await);
    let bought = fixture.order(&purse);
    fixture.ask(bought.hold()).await.unwrap();
    let again = fixture.order(&purse);
    let coin = purse.coins[0];
    let id = again.order.purchase().0;
    let denial = fixture.denied(again.hold(), RequestKind::Hold, id).await;
    let what = denied_coin(&denial, &coin);
    assert!(matches!(what, CoinDenial::Held(_)));
    let used = what.authorized_use(&coin.key_id, &coin.public).unwrap();
    assert_eq!(used.digest, bought.order.purchase().digest());
    assert!(fixture.exchanged(&purse, &[8]).await.is_err());
    // A hold of one free coin and one held coin holds neither.
    let mut both = other;
    both.coins.push(purse.coins[0]);
    both.keys
        .push(farthing_coin::SecretKey::from_bytes(&purse.keys[0].to_bytes()).unwrap());
    let escrow = fixture.escrow.public();
    let bought = fixture.order_at(&both, &escrow, 16);
    let id = bought.order.purchase().0;
    let denial = fixture.denied(bought.hold(), RequestKind::Hold, id).await;
    assert!(matches!(
        denied_coin(&denial, &both.coins[1]),
        CoinDenial::Held(_)
    ));
    both.coins.truncate(1);
    both.keys.truncate(1);
    fixture.exchanged(&both, &[8]).await.unwrap();
}

#[tokio::test]
async fn an_abort_releases_the_coins_which_can_be_used_again() {
    let mut fixture = BankFixture::new().await;
    let purse = fixture.withdraw(&[8, 4]).await;
    let bought = fixture.order(&purse);
    fixture.ask(bought.hold()).await.unwrap();
    let settled = fixture.ask(fixture.abort(&bought)).await.unwrap();
    assert_eq!(settled.body.outcome, SettledAs::Aborted);
    assert_eq!(fixture.audited().await, Amount(12));
    // A repeated hold of the aborted purchase holds nothing.
    let refusal = fixture.refused(bought.hold()).await;
    assert_eq!(refusal, PurchaseFault::Aborted(bought.order.purchase()).into());
    // The coins are now held for a second purchase. The repeated abort of the first does not release them.
    let second = fixture.order(&purse);
    fixture.ask(second.hold()).await.unwrap();
    let head = fixture.head();
    fixture.ask(fixture.abort(&bought)).await.unwrap();
    assert_eq!(fixture.head(), head);
    fixture.ask(fixture.commit(&second)).await.unwrap();
    assert_eq!(fixture.balance(&fixture.merchant).await, Amount(12));
    assert_eq!(fixture.audited().await, Amount(0));
}

#[tokio::test]
async fn a_released_coin_can_be_exchanged() {
    let mut fixture = BankFixture::new().await;
    let purse = fixture.withdraw(&[8]).await;
    let bought = fixture.order(&purse);
    fixture.ask(bought.hold()).await.unwrap();
    fixture.ask(fixture.abort(&bought)).await.unwrap();
    fixture.exchanged(&purse, &[4, 4]).await.unwrap();
    assert_eq!(fixture.audited().await, Amount(8));
}

/// A statement that the purchase is overdue, as a bank signs it, signed by `key`.
/// The wallet gives an exchange up once its finish is denied. An escrow that signs both outcomes must not be able to let
/// that finish come through behind its back.
#[tokio::test]
async fn a_finish_that_was_denied_is_never_carried_out() {
    let mut fixture = BankFixture::new().await;
    let purse = fixture.withdraw(&[64, 2]).await;
    let bought = fixture.order(&purse);
    let exchange = fixture.exchange(&purse, &[64, 2]);
    let exchange = fixture.exchange_begun(&exchange, &purse).await.unwrap();
    let finish = fixture.exchange_finish(&exchange, &purse);
    fixture.ask(bought.hold()).await.unwrap();
    // The coins are held: the session is closed with the denial.
    let denied = fixture.refused(finish.clone()).await;
    assert!(matches!(denied, Refusal::Denied(_)));
    fixture.ask(fixture.abort(&bought)).await.unwrap();
    let refusal = fixture.refused(finish).await;
    assert_eq!(refusal, IssueFault::SessionGone.into());
    assert_eq!(fixture.audited().await, Amount(66));
}

fn overdue(bought: &Bought, key: &SecretKey, before_ms: u64) -> AbortReason {
    let terms = &bought.order.contract.terms;
    let overdue = Overdue {
        purchase: terms.purchase_id(),
        escrow: terms.escrow,
        deadline_ms: terms.deadline_ms,
        at_ms: terms.deadline_ms - before_ms,
    };
    AbortReason::Overdue(Box::new(Signed::sign(overdue, key)))
}

#[tokio::test]
async fn an_abort_without_its_cause_does_not_release_held_coins() {
    let mut fixture = BankFixture::new().await;
    let (first, second) = (fixture.withdraw(&[8]).await, fixture.withdraw(&[4]).await);
    let (bought, other) = (fixture.order(&first), fixture.order(&second));
    for held in [&bought, &other] {
        fixture.ask(held.hold()).await.unwrap();
    }
    for reason in [
        AbortReason::Cancelled,
        AbortReason::DeadlinePassed,
        AbortReason::CancelledBy(other.cancel()),
        overdue(&bought, &fixture.escrow, 0),
        overdue(&other, &fixture.escrow, 0),
    ] {
        let refusal = fixture.refused(fixture.abort_for(&bought, reason)).await;
        assert!(
            matches!(refusal, Refusal::Contract(ContractFault::Cause(_))),
            "{refusal}"
        );
    }
    // The refused aborts decided nothing: a commit is applied, and so is an abort with its cause.
    fixture.ask(fixture.commit(&bought)).await.unwrap();
    fixture.ask(fixture.abort(&other)).await.unwrap();
    assert_eq!(fixture.balance(&fixture.merchant).await, Amount(8));
    assert_eq!(fixture.audited().await, Amount(4));
}

#[tokio::test]
async fn coins_that_were_held_under_version_1_are_released_for_an_abort_of_version_1() {
    let mut fixture = BankFixture::new().await;
    let purse = fixture.withdraw(&[8]).await;
    let bought = fixture.order(&purse);
    fixture.ask(bought.hold()).await.unwrap();
    let row = (bought.order.purchase(), fixture.escrow.public());
    let store = fixture.bank.store();
    let marking = store.transact(Reads::none(), move |tx| HELD_BEFORE_CAUSES.put(tx, &row, &()));
    marking.await.unwrap();
    fixture
        .ask(fixture.abort_for(&bought, AbortReason::DeadlinePassed))
        .await
        .unwrap();
    assert_eq!(HELD_BEFORE_CAUSES.peek(&store.view(), &row).unwrap(), None);
    fixture.exchanged(&purse, &[8]).await.unwrap();
    assert_eq!(fixture.audited().await, Amount(8));
}

#[tokio::test]
async fn an_abort_before_its_hold_needs_no_cause_and_releases_nothing() {
    let mut fixture = BankFixture::new().await;
    let purse = fixture.withdraw(&[8]).await;
    let bought = fixture.order(&purse);
    fixture
        .ask(fixture.abort_for(&bought, AbortReason::Cancelled))
        .await
        .unwrap();
    let refusal = fixture.refused(bought.hold()).await;
    assert_eq!(refusal, PurchaseFault::Aborted(bought.order.purchase()).into());
    fixture.exchanged(&purse, &[8]).await.unwrap();
}

#[tokio::test]
async fn an_abort_before_its_hold_leaves_a_tombstone() {
    let mut fixture = BankFixture::new().await;
    let purse = fixture.withdraw(&[8]).await;
    let bought = fixture.order(&purse);
    fixture.ask(fixture.abort(&bought)).await.unwrap();
    fixture.restart().await;
    let refusal = fixture.refused(bought.hold()).await;
    assert_eq!(refusal, PurchaseFault::Aborted(bought.order.purchase()).into());
    fixture.exchanged(&purse, &[8]).await.unwrap();
}

#[tokio::test]
async fn an_opposite_decision_and_a_decision_without_a_hold_are_refused() {
    let mut fixture = BankFixture::new().await;
    let (first, second) = (fixture.withdraw(&[8]).await, fixture.withdraw(&[8]).await);
    let (committed, aborted) = (fixture.order(&first), fixture.order(&second));
    let refusal = fixture.refused(fixture.commit(&committed)).await;
    assert_eq!(refusal, PurchaseFault::Unknown(committed.order.purchase()).into());
    for bought in [&committed, &aborted] {
        fixture.ask(bought.hold()).await.unwrap();
    }
    fixture.ask(fixture.commit(&committed)).await.unwrap();
    fixture.ask(fixture.abort(&aborted)).await.unwrap();
    for opposite in [fixture.abort(&committed), fixture.commit(&aborted)] {
        // The first decision stays in force and is returned. The bank keeps both, and they convict the escrow.
        let refusal = fixture.ask(opposite.clone()).await.unwrap_err();
        let Refusal::Purchase(PurchaseFault::DecidedOtherwise(earlier)) = refusal else {
            panic!("{refusal}");
        };
        assert_ne!(*earlier, opposite.decision);
        assert_eq!(earlier.purchase(), opposite.decision.purchase());
        // The evidence is stored once: the same request again writes nothing.
        fixture.refused(opposite).await;
    }
    let papers = fixture.bank.evidence(&About::Contradictions).unwrap();
    let convictions = judge(&papers, 0);
    assert_eq!(convictions.len(), 2, "{convictions:?}");
    for conviction in convictions {
        assert_eq!(conviction.culprit, Culprit::Escrow(fixture.escrow.public()));
        assert_eq!(conviction.charge, Charge::DecidedTwice);
    }
    assert_eq!(
        fixture
            .bank
            .evidence(&About::Purchase {
                id: committed.order.purchase()
            })
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        fixture.refused(committed.hold()).await,
        PurchaseFault::Committed(committed.order.purchase()).into()
    );
    let again = fixture.order(&first);
    let coin = first.coins[0];
    let id = again.order.purchase().0;
    let denial = fixture.denied(again.hold(), RequestKind::Hold, id).await;
    let CoinDenial::Spent { used, proof: None } = denied_coin(&denial, &coin) else {
        panic!("an escrow is told nothing of another purchase")
    };
    assert_eq!(used.digest, committed.order.purchase().digest());
    terms_and_commit_are_shown_to_the_holder(&mut fixture, &first).await;
}

/// The holder of a purchase's coin is shown its terms and its commit.
async fn terms_and_commit_are_shown_to_the_holder(fixture: &mut BankFixture, purse: &Purse) {
    let coin = purse.coins[0];
    let exchange = fixture.exchange(purse, &[8]);
    let IssuanceAsk::Begin(begin) = exchange.ask(&purse.keys, &fixture.seed) else {
        panic!("it is not beginning")
    };
    let digest = begin.body.digest();
    let denial = fixture.denied(begin, RequestKind::ExchangeBegin, digest.0).await;
    let book = fixture.book();
    let key = book.get(&coin.key_id).unwrap();
    assert!(denial.is_right(key, &book, std::iter::empty()));
    let CoinDenial::Spent {
        used,
        proof: Some(proof),
    } = denied_coin(&denial, &coin)
    else {
        panic!("it was spent")
    };
    assert!(proof.proves(&used, &fixture.bank.self_id()));
    let mut other = proof.clone();
    other.terms.price = Amount(7);
    assert!(!other.proves(&used, &fixture.bank.self_id()));
    let mut unsigned = proof.clone();
    unsigned.commit = Signed::sign(proof.commit.body.clone(), &fixture.merchant);
    assert!(!unsigned.proves(&used, &fixture.bank.self_id()));
    let missing = CoinDenial::Spent { used, proof: None };
    assert_eq!(missing.final_use(&coin.key_id, &coin.public, &book), None);
}

#[tokio::test]
async fn a_decision_that_does_not_fit_is_refused() {
    let mut fixture = BankFixture::new().await;
    let purse = fixture.withdraw(&[8]).await;
    let bought = fixture.order(&purse);
    fixture.ask(bought.hold()).await.unwrap();
    let SettleOne { escrow, decision } = fixture.commit(&bought);
    let SignedDecision::Commit(commit) = decision else {
        panic!()
    };
    let changed = |change: fn(&mut farthing_protocol::documents::Commit)| {
        let mut body = commit.body.clone();
        change(&mut body);
        let decision = SignedDecision::Commit(Signed::sign(body, &fixture.escrow));
        SettleOne { escrow, decision }
    };
    let forged = SettleOne {
        escrow,
        decision: SignedDecision::Commit(Signed::sign(commit.body.clone(), &fixture.merchant)),
    };
    let account = changed(|c| c.account = c.bank);
    let amount = changed(|c| c.amount = Amount(9));
    for wrong in [forged, account, amount] {
        let refusal = fixture.refused(wrong).await;
        assert!(
            matches!(refusal, Refusal::Contract(ContractFault::Decision(_))),
            "{refusal}"
        );
    }
    let elsewhere = changed(|c| c.bank = c.account);
    let refusal = fixture.refused(elsewhere).await;
    assert!(matches!(refusal, Refusal::Request(RequestFault::NotForMe { .. })));
    fixture.ask(fixture.commit(&bought)).await.unwrap();
}

#[tokio::test]
async fn each_decision_of_a_list_is_applied_or_refused_on_its_own() {
    let mut fixture = BankFixture::new().await;
    let mut bought = Vec::new();
    for _ in 0..4 {
        let purse = fixture.withdraw(&[8]).await;
        bought.push(fixture.order(&purse));
    }
    for held in &bought[..3] {
        fixture.ask(held.hold()).await.unwrap();
    }
    let commit = |bought| fixture.commit(bought).decision;
    let abort = |bought| fixture.abort(bought).decision;
    let SignedDecision::Commit(signed) = commit(&bought[0]) else {
        panic!()
    };
    let forged = SignedDecision::Commit(Signed::sign(signed.body, &fixture.merchant));
    let settle = |decisions| SettleRequest {
        escrow: fixture.escrow.public(),
        decisions,
    };
    let head = fixture.head();
    let with_forged = settle(vec![commit(&bought[0]), forged.clone()]);
    let refusal = fixture.refused(with_forged).await;
    assert!(matches!(refusal, Refusal::Contract(ContractFault::Decision(_))));
    assert_eq!(fixture.head(), head);
    let list = settle(vec![
        commit(&bought[0]),
        commit(&bought[3]),
        abort(&bought[1]),
        commit(&bought[0]),
        abort(&bought[0]),
    ]);
    let (first, answers) = fixture.ask_raw(list.clone()).await;
    let answers = answers.unwrap();
    let terms = |bought: &Bought| bought.order.contract.terms.clone();
    let paid = Settled::committed(&terms(&bought[0]), terms(&bought[0]).price);
    let released = Settled::aborted(bought[1].order.purchase(), fixture.escrow.public());
    let body = |index: usize| answers[index].clone().map(|settled| settled.body);
    assert_eq!(
        (body(0), body(2), body(3)),
        (Ok(paid.clone()), Ok(released), Ok(paid))
    );
    assert_eq!(
        body(1),
        Err(PurchaseFault::Unknown(bought[3].order.purchase()).into())
    );
    let opposed = PurchaseFault::DecidedOtherwise(Box::new(commit(&bought[0])));
    assert_eq!(body(4), Err(opposed.into()));
    assert_eq!(answers.len(), 5);
    assert_eq!(fixture.balance(&fixture.merchant).await, Amount(8));
    assert_eq!(fixture.audited().await, Amount(24));

    let later = commit(&bought[2]);
    lists_of_no_and_too_many_decisions_are_refused(&mut fixture, forged, later).await;
    fixture.restart().await;
    let head = fixture.head();
    assert_eq!(fixture.ask_raw(list).await.0, first);
    assert_eq!(fixture.head(), head);
}

/// The signature of a decision for a settled purchase is verified if the decision differs. Lists have a bounded length.
async fn lists_of_no_and_too_many_decisions_are_refused(
    fixture: &mut BankFixture,
    forged: SignedDecision,
    commit: SignedDecision,
) {
    let escrow = fixture.escrow.public();
    let settle = |decisions| SettleRequest { escrow, decisions };
    let refusal = fixture
        .refused(SettleOne {
            escrow,
            decision: forged,
        })
        .await;
    assert!(matches!(refusal, Refusal::Contract(ContractFault::Decision(_))));
    let none = RequestFault::ListLength {
        what: "decisions".into(),
        got: 0,
        most: SETTLE_MAX,
    };
    assert_eq!(fixture.refused(settle(vec![])).await, none.into());
    let refusal = fixture
        .refused(settle(vec![commit.clone(); SETTLE_MAX + 1]))
        .await;
    assert!(matches!(&refusal, Refusal::Request(RequestFault::Malformed(why)) if why.contains("65 entries")));
    let again = settle(vec![commit; SETTLE_MAX]);
    let answers = fixture.ask(again).await.unwrap();
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(fixture.balance(&fixture.merchant).await, Amount(16));
}

#[tokio::test]
async fn only_escrows_whose_cards_are_known_hold_and_settle() {
    let mut fixture = BankFixture::new().await;
    let purse = fixture.withdraw(&[8]).await;
    let stranger = fixture.merchant.public();
    let bought = fixture.order(&purse);
    let at_stranger = altered(&fixture, &bought, &purse, |terms| terms.escrow = stranger);
    let unknown = Refusal::from(ContractFault::UnknownParty {
        role: "escrow".into(),
        key: stranger,
    });
    assert_eq!(fixture.refused(at_stranger.clone()).await, unknown);
    let SettleOne { decision, .. } = fixture.abort(&bought);
    let settle = SettleOne {
        escrow: stranger,
        decision,
    };
    assert_eq!(fixture.refused(settle).await, unknown);
    // A merchant's card with this key does not make it an escrow. An escrow's card does.
    fixture
        .bank
        .set_cards(&[card(farthing_node::card::RoleName::Merchant, &stranger)]);
    assert_eq!(fixture.refused(at_stranger.clone()).await, unknown);
    fixture
        .bank
        .set_cards(&[card(farthing_node::card::RoleName::Escrow, &stranger)]);
    fixture.ask(at_stranger).await.unwrap();
}

#[tokio::test]
async fn an_escrow_whose_card_was_removed_still_decides_its_held_purchases() {
    let mut fixture = BankFixture::new().await;
    let (first, second, third) = (
        fixture.withdraw(&[8]).await,
        fixture.withdraw(&[4]).await,
        fixture.withdraw(&[2]).await,
    );
    let (committed, aborted, never_held) = (
        fixture.order(&first),
        fixture.order(&second),
        fixture.order(&third),
    );
    for bought in [&committed, &aborted] {
        fixture.ask(bought.hold()).await.unwrap();
    }
    fixture.bank.set_cards(&[]);
    let unknown = Refusal::from(ContractFault::UnknownParty {
        role: "escrow".into(),
        key: fixture.escrow.public(),
    });
    assert_eq!(fixture.refused(never_held.hold()).await, unknown);
    assert_eq!(fixture.refused(fixture.abort(&never_held)).await, unknown);
    assert_eq!(fixture.refused(fixture.commit(&never_held)).await, unknown);
    for _ in 0..2 {
        fixture.ask(fixture.commit(&committed)).await.unwrap();
        fixture.ask(fixture.abort(&aborted)).await.unwrap();
    }
    assert_eq!(fixture.balance(&fixture.merchant).await, Amount(8));
    fixture.exchanged(&second, &[4]).await.unwrap();
    // The third purchase was never held, so its coins are free.
    fixture.exchanged(&third, &[2]).await.unwrap();
    assert_eq!(fixture.audited().await, Amount(6));
}

#[tokio::test]
async fn terms_and_coins_must_fit() {
    let mut fixture = BankFixture::new().await;
    let purse = fixture.withdraw(&[8, 1]).await;
    let escrow = fixture.escrow.public();
    for price in [10, 4096] {
        let bought = fixture.order_at(&purse, &escrow, price);
        let worth = ContractFault::Worth {
            worth: Amount(9),
            price: Amount(price),
        };
        assert_eq!(fixture.refused(bought.hold()).await, worth.into());
    }
    let bought = fixture.order(&purse);
    let mut swapped = bought.hold();
    swapped.body.payment.authorizations.swap(0, 1);
    let refusal = fixture.refused(swapped).await;
    assert!(matches!(
        refusal,
        Refusal::Coins(CoinsFault {
            index: 0,
            what: CoinFault::Authorization(_)
        })
    ));
    let mut other_coins = bought.hold();
    other_coins.body.payment.coins.swap(0, 1);
    assert_eq!(
        fixture.refused(other_coins).await,
        ContractFault::OtherCoins.into()
    );
    let mut other_note = bought.hold();
    other_note.body.payment.note[0] ^= 1;
    assert_eq!(fixture.refused(other_note).await, ContractFault::OtherNote.into());
    let other = altered(&fixture, &bought, &purse, |terms| terms.currency = "XYZ".into());
    assert_eq!(
        fixture.refused(other).await,
        ContractFault::DoesNotFit("currency".into()).into()
    );
    let other = altered(&fixture, &bought, &purse, |terms| {
        terms.currency = "x".repeat(100_000);
    });
    let refusal = fixture.refused(other).await;
    assert!(matches!(refusal, Refusal::Request(RequestFault::Malformed(_))));
    let nobody = escrow;
    let account = altered(&fixture, &bought, &purse, |terms| terms.account = nobody);
    assert_eq!(
        fixture.refused(account).await,
        AccountFault::Unknown(nobody).into()
    );
    fixture.ask(bought.hold()).await.unwrap();
}

#[tokio::test]
async fn a_deadline_must_lie_within_its_bounds_and_before_the_keys_end() {
    let mut fixture = BankFixture::new().await;
    let purse = fixture.withdraw(&[8]).await;
    let bought = fixture.order(&purse);
    let at = |fixture: &BankFixture, deadline_ms| {
        altered(fixture, &bought, &purse, |terms| terms.deadline_ms = deadline_ms)
    };
    let soon = fixture.refused(at(&fixture, START_MS + 999)).await;
    assert_eq!(soon, ContractFault::DeadlineTooSoon.into());
    let far = fixture
        .refused(at(&fixture, START_MS + DEADLINE_HORIZON_MS + 1))
        .await;
    assert_eq!(far, ContractFault::DeadlineTooFar.into());
    let ends_ms = 103 * EPOCH_MS;
    fixture.clock.set(ends_ms - SETTLEMENT_MARGIN_MS);
    let late = at(&fixture, ends_ms - SETTLEMENT_MARGIN_MS + 1001);
    let (terms, book) = (late.body.terms.clone(), fixture.book());
    let denial = fixture
        .denied(late, RequestKind::Hold, terms.purchase_id().0)
        .await;
    assert_eq!(denied_coin(&denial, &purse.coins[0]), CoinDenial::EndsTooSoon);
    let key = book.get(&purse.coins[0].key_id).unwrap();
    assert!(denial.is_right(key, &book, [&terms].into_iter()));
    fixture.clock.set(ends_ms);
    let ended = at(&fixture, ends_ms + 5000);
    let id = ended.body.terms.purchase_id().0;
    let denial = fixture.denied(ended, RequestKind::Hold, id).await;
    let expired = CoinDenial::Expired { expired_ms: ends_ms };
    assert_eq!(denied_coin(&denial, &purse.coins[0]), expired);
    assert!(denial.is_right(key, &book, std::iter::empty()));
    // The same denial one millisecond earlier would be false. So would the same denial of an exchange.
    let early = Denial {
        at_ms: ends_ms - 1,
        ..denial.clone()
    };
    let exchange = Denial {
        kind: RequestKind::ExchangeBegin,
        ..denial
    };
    for wrong in [early, exchange] {
        assert!(!wrong.is_right(key, &book, std::iter::empty()));
    }
}

#[tokio::test]
async fn settled_states_the_outcome() {
    let mut fixture = BankFixture::new().await;
    let purse = fixture.withdraw(&[8]).await;
    let bought = fixture.order(&purse);
    fixture.ask(bought.hold()).await.unwrap();
    let settled: Signed<Settled> = fixture.ask(fixture.commit(&bought)).await.unwrap();
    settled.verify(&fixture.bank.self_id()).unwrap();
    assert_eq!(settled.body.purchase, bought.order.purchase());
    assert!(BankRequest::decode(&[]).is_err());
}

#[tokio::test]
async fn a_draining_bank_begins_nothing_new_and_finishes_the_old() {
    let mut fixture = BankFixture::new().await;
    let (purse, other) = (fixture.withdraw(&[8]).await, fixture.withdraw(&[4]).await);
    let bought = fixture.order(&purse);
    let hold = fixture.ask(bought.hold()).await.unwrap().body;
    let begun = fixture.withdrawal(&[2]);
    let begun = fixture.begun(&begun).await;
    fixture.bank.drain().set(true, fixture.now_ms()).unwrap();
    let under_way = fixture.bank.under_way().unwrap();
    assert!(!under_way.is_done(fixture.now_ms()), "{under_way:?}");
    // New: a withdrawal, and a hold.
    let draining = Refusal::Later(Later::Draining);
    let fresh = fixture.withdrawal(&[1]);
    let IssuanceAsk::Begin(begin) = fresh.ask(&fixture.account, &fixture.seed) else {
        panic!("it is beginning")
    };
    assert_eq!(fixture.refused(begin.clone()).await, draining);
    let unheld = fixture.order(&other);
    assert_eq!(fixture.refused(unheld.hold()).await, draining);
    // Old: the session, the hold, its decision, and the exchange of coins, which nobody may lose.
    fixture.ask(fixture.finish_of(&begun)).await.unwrap();
    assert_eq!(fixture.ask(bought.hold()).await.unwrap().body, hold);
    let (_, settled) = fixture.ask_raw(fixture.commit(&bought)).await;
    settled.unwrap();
    fixture.exchanged(&other, &[4]).await.unwrap();
    assert!(fixture.bank.under_way().unwrap().is_done(fixture.now_ms()));
    fixture.bank.drain().set(false, fixture.now_ms()).unwrap();
    fixture.ask(begin).await.unwrap();
}
