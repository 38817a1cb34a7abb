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
    refusal::{AccountFault, CoinFault, CoinsFault, ContractFault, PurchaseFault, Refusal, RequestFault},
    settle::SettleRequest,
};
use farthing_store::Reads;
use support::{Bought, EPOCH_MS, Purse, START_MS, World, card, denied_coin};

/// The hold of this order with changed terms. The coins authorize the changed terms.
fn altered(
    world: &World,
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
    assert_eq!(request.terms.bank, world.bank.self_id());
    asked
}

#[tokio::test]
async fn a_commit_spends_the_coins_and_pays_the_merchant_once() {
    let mut world = World::new().await;
    let purse = world.withdraw(&[64, 2]).await;
    let bought = world.order(&purse);
    let hold = world.ask(bought.hold()).await.unwrap().body;
    hold.verify(&world.bank.self_id()).unwrap();
    assert_eq!(hold.body.total, Amount(66));
    assert_eq!(world.audited().await, Amount(66));
    assert_eq!(world.balance(&world.merchant).await, Amount(0));
    let (first, settled) = world.ask_raw(world.commit(&bought)).await;
    let terms = &bought.order.contract.terms;
    assert_eq!(settled.unwrap().body, Settled::committed(terms));
    for _ in 0..2 {
        world.restart().await;
        let head = world.head();
        assert_eq!(world.ask_raw(world.commit(&bought)).await.0, first);
        assert_eq!(world.head(), head);
    }
    assert_eq!(world.balance(&world.merchant).await, Amount(66));
    assert_eq!(world.audited().await, Amount(0));
}

async fn holds(world: &World, after: Option<HoldPosition>) -> Result<serde_json::Value, String> {
    world.bank.administer(Command::Holds { after }).await
}

#[tokio::test]
async fn the_operator_sees_which_purchases_have_coins_held() {
    let mut world = World::new().await;
    let (one, other) = (world.withdraw(&[64, 2]).await, world.withdraw(&[8]).await);
    let (one, other) = (world.order(&one), world.order(&other));
    for bought in [&one, &other] {
        world.ask(bought.hold()).await.unwrap();
    }
    let listed = holds(&world, None).await.unwrap();
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
    assert_eq!(holds(&world, Some(position)).await.unwrap()["holds"][0], lines[1]);
    let refused = "1.2".parse::<HoldPosition>().unwrap_err();
    assert!(refused.contains("not a position"), "{refused}");

    let (_, settled) = world.ask_raw(world.commit(&one)).await;
    settled.unwrap();
    let left = holds(&world, None).await.unwrap();
    assert_eq!(left["holds"].as_array().unwrap().len(), 1);
    assert_eq!(left["holds"][0]["purchase"], other.order.purchase().to_string());
}

#[tokio::test]
async fn a_hold_is_repeated_byte_for_byte() {
    let mut world = World::new().await;
    let purse = world.withdraw(&[8]).await;
    let bought = world.order(&purse);
    let first = world.ask(bought.hold()).await.unwrap().body;
    world.clock.advance(EPOCH_MS * 5);
    world.restart().await;
    let head = world.head();
    assert_eq!(world.ask(bought.hold()).await.unwrap().body, first);
    assert_eq!(world.head(), head);
}

#[tokio::test]
async fn a_held_coin_can_be_used_for_nothing_else() {
    let mut world = World::new().await;
    let (purse, other) = (world.withdraw(&[8]).await, world.withdraw(&[8]).await);
    let bought = world.order(&purse);
    world.ask(bought.hold()).await.unwrap();
    let again = world.order(&purse);
    let coin = purse.coins[0];
    let id = again.order.purchase().0;
    let denial = world.denied(again.hold(), RequestKind::Hold, id).await;
    let what = denied_coin(&denial, &coin);
    assert!(matches!(what, CoinDenial::Held(_)));
    let used = what.authorized_use(&coin.key_id, &coin.public).unwrap();
    assert_eq!(used.digest, bought.order.purchase().digest());
    assert!(world.exchanged(&purse, &[8]).await.is_err());
    // A hold of one free coin and one held coin holds neither.
    let mut both = other;
    both.coins.push(purse.coins[0]);
    both.keys
        .push(farthing_coin::SecretKey::from_bytes(&purse.keys[0].to_bytes()).unwrap());
    let escrow = world.escrow.public();
    let bought = world.order_at(&both, &escrow, 16);
    let id = bought.order.purchase().0;
    let denial = world.denied(bought.hold(), RequestKind::Hold, id).await;
    assert!(matches!(
        denied_coin(&denial, &both.coins[1]),
        CoinDenial::Held(_)
    ));
    both.coins.truncate(1);
    both.keys.truncate(1);
    world.exchanged(&both, &[8]).await.unwrap();
}

#[tokio::test]
async fn an_abort_releases_the_coins_which_can_be_used_again() {
    let mut world = World::new().await;
    let purse = world.withdraw(&[8, 4]).await;
    let bought = world.order(&purse);
    world.ask(bought.hold()).await.unwrap();
    let settled = world.ask(world.abort(&bought)).await.unwrap();
    assert_eq!(settled.body.outcome, SettledAs::Aborted);
    assert_eq!(world.audited().await, Amount(12));
    // A repeated hold of the aborted purchase holds nothing.
    let refusal = world.refused(bought.hold()).await;
    assert_eq!(refusal, PurchaseFault::Aborted(bought.order.purchase()).into());
    // The coins are now held for a second purchase. The repeated abort of the first does not release them.
    let second = world.order(&purse);
    world.ask(second.hold()).await.unwrap();
    let head = world.head();
    world.ask(world.abort(&bought)).await.unwrap();
    assert_eq!(world.head(), head);
    world.ask(world.commit(&second)).await.unwrap();
    assert_eq!(world.balance(&world.merchant).await, Amount(12));
    assert_eq!(world.audited().await, Amount(0));
}

#[tokio::test]
async fn a_released_coin_can_be_exchanged() {
    let mut world = World::new().await;
    let purse = world.withdraw(&[8]).await;
    let bought = world.order(&purse);
    world.ask(bought.hold()).await.unwrap();
    world.ask(world.abort(&bought)).await.unwrap();
    world.exchanged(&purse, &[4, 4]).await.unwrap();
    assert_eq!(world.audited().await, Amount(8));
}

/// A statement that the purchase is overdue, as a bank signs it, signed by `key`.
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
    let mut world = World::new().await;
    let (first, second) = (world.withdraw(&[8]).await, world.withdraw(&[4]).await);
    let (bought, other) = (world.order(&first), world.order(&second));
    for held in [&bought, &other] {
        world.ask(held.hold()).await.unwrap();
    }
    for reason in [
        AbortReason::Cancelled,
        AbortReason::DeadlinePassed,
        AbortReason::CancelledBy(other.cancel()),
        overdue(&bought, &world.escrow, 0),
        overdue(&other, &world.escrow, 0),
    ] {
        let refusal = world.refused(world.abort_for(&bought, reason)).await;
        assert!(
            matches!(refusal, Refusal::Contract(ContractFault::Cause(_))),
            "{refusal}"
        );
    }
    // The refused aborts decided nothing: a commit is applied, and so is an abort with its cause.
    world.ask(world.commit(&bought)).await.unwrap();
    world.ask(world.abort(&other)).await.unwrap();
    assert_eq!(world.balance(&world.merchant).await, Amount(8));
    assert_eq!(world.audited().await, Amount(4));
}

#[tokio::test]
async fn coins_that_were_held_under_version_1_are_released_for_an_abort_of_version_1() {
    let mut world = World::new().await;
    let purse = world.withdraw(&[8]).await;
    let bought = world.order(&purse);
    world.ask(bought.hold()).await.unwrap();
    let row = (bought.order.purchase(), world.escrow.public());
    let store = world.bank.store();
    let marking = store.transact(Reads::none(), move |tx| HELD_BEFORE_CAUSES.put(tx, &row, &()));
    marking.await.unwrap();
    world
        .ask(world.abort_for(&bought, AbortReason::DeadlinePassed))
        .await
        .unwrap();
    assert_eq!(HELD_BEFORE_CAUSES.peek(&store.view(), &row).unwrap(), None);
    world.exchanged(&purse, &[8]).await.unwrap();
    assert_eq!(world.audited().await, Amount(8));
}

#[tokio::test]
async fn an_abort_before_its_hold_needs_no_cause_and_releases_nothing() {
    let mut world = World::new().await;
    let purse = world.withdraw(&[8]).await;
    let bought = world.order(&purse);
    world
        .ask(world.abort_for(&bought, AbortReason::Cancelled))
        .await
        .unwrap();
    let refusal = world.refused(bought.hold()).await;
    assert_eq!(refusal, PurchaseFault::Aborted(bought.order.purchase()).into());
    world.exchanged(&purse, &[8]).await.unwrap();
}

#[tokio::test]
async fn an_abort_before_its_hold_leaves_a_tombstone() {
    let mut world = World::new().await;
    let purse = world.withdraw(&[8]).await;
    let bought = world.order(&purse);
    world.ask(world.abort(&bought)).await.unwrap();
    world.restart().await;
    let refusal = world.refused(bought.hold()).await;
    assert_eq!(refusal, PurchaseFault::Aborted(bought.order.purchase()).into());
    world.exchanged(&purse, &[8]).await.unwrap();
}

#[tokio::test]
async fn an_opposite_decision_and_a_decision_without_a_hold_are_refused() {
    let mut world = World::new().await;
    let (first, second) = (world.withdraw(&[8]).await, world.withdraw(&[8]).await);
    let (committed, aborted) = (world.order(&first), world.order(&second));
    let refusal = world.refused(world.commit(&committed)).await;
    assert_eq!(refusal, PurchaseFault::Unknown(committed.order.purchase()).into());
    for bought in [&committed, &aborted] {
        world.ask(bought.hold()).await.unwrap();
    }
    world.ask(world.commit(&committed)).await.unwrap();
    world.ask(world.abort(&aborted)).await.unwrap();
    for opposite in [world.abort(&committed), world.commit(&aborted)] {
        // The first decision stays in force and is returned. The bank keeps both, and they convict the escrow.
        let refusal = world.ask(opposite.clone()).await.unwrap_err();
        let Refusal::Purchase(PurchaseFault::DecidedOtherwise(earlier)) = refusal else {
            panic!("{refusal}");
        };
        assert_ne!(*earlier, opposite.decision);
        assert_eq!(earlier.purchase(), opposite.decision.purchase());
        // The evidence is stored once: the same request again writes nothing.
        world.refused(opposite).await;
    }
    let papers = world.bank.evidence(&About::Contradictions).unwrap();
    let convictions = judge(&papers);
    assert_eq!(convictions.len(), 2, "{convictions:?}");
    for conviction in convictions {
        assert_eq!(conviction.culprit, Culprit::Escrow(world.escrow.public()));
        assert_eq!(conviction.charge, Charge::DecidedTwice);
    }
    assert_eq!(
        world
            .bank
            .evidence(&About::Purchase {
                id: committed.order.purchase()
            })
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        world.refused(committed.hold()).await,
        PurchaseFault::Committed(committed.order.purchase()).into()
    );
    let again = world.order(&first);
    let coin = first.coins[0];
    let id = again.order.purchase().0;
    let denial = world.denied(again.hold(), RequestKind::Hold, id).await;
    let CoinDenial::Spent { used, proof: None } = denied_coin(&denial, &coin) else {
        panic!("an escrow is told nothing of another purchase")
    };
    assert_eq!(used.digest, committed.order.purchase().digest());
    terms_and_commit_are_shown_to_the_holder(&mut world, &first).await;
}

/// The holder of a purchase's coin is shown its terms and its commit.
async fn terms_and_commit_are_shown_to_the_holder(world: &mut World, purse: &Purse) {
    let coin = purse.coins[0];
    let exchange = world.exchange(purse, &[8]);
    let IssuanceAsk::Begin(begin) = exchange.ask(&purse.keys, &world.seed) else {
        panic!("it is not beginning")
    };
    let digest = begin.body.digest();
    let denial = world.denied(begin, RequestKind::ExchangeBegin, digest.0).await;
    let book = world.book();
    let key = book.get(&coin.key_id).unwrap();
    assert!(denial.is_right(key, &book, std::iter::empty()));
    let CoinDenial::Spent {
        used,
        proof: Some(proof),
    } = denied_coin(&denial, &coin)
    else {
        panic!("it was spent")
    };
    assert!(proof.proves(&used, &world.bank.self_id()));
    let mut other = proof.clone();
    other.terms.price = Amount(7);
    assert!(!other.proves(&used, &world.bank.self_id()));
    let mut unsigned = proof.clone();
    unsigned.commit = Signed::sign(proof.commit.body.clone(), &world.merchant);
    assert!(!unsigned.proves(&used, &world.bank.self_id()));
    let missing = CoinDenial::Spent { used, proof: None };
    assert_eq!(missing.final_use(&coin.key_id, &coin.public, &book), None);
}

#[tokio::test]
async fn a_decision_that_does_not_fit_is_refused() {
    let mut world = World::new().await;
    let purse = world.withdraw(&[8]).await;
    let bought = world.order(&purse);
    world.ask(bought.hold()).await.unwrap();
    let SettleOne { escrow, decision } = world.commit(&bought);
    let SignedDecision::Commit(commit) = decision else {
        panic!()
    };
    let changed = |change: fn(&mut farthing_protocol::documents::Commit)| {
        let mut body = commit.body.clone();
        change(&mut body);
        let decision = SignedDecision::Commit(Signed::sign(body, &world.escrow));
        SettleOne { escrow, decision }
    };
    let forged = SettleOne {
        escrow,
        decision: SignedDecision::Commit(Signed::sign(commit.body.clone(), &world.merchant)),
    };
    let account = changed(|c| c.account = c.bank);
    let amount = changed(|c| c.amount = Amount(9));
    for wrong in [forged, account, amount] {
        let refusal = world.refused(wrong).await;
        assert!(
            matches!(refusal, Refusal::Contract(ContractFault::Decision(_))),
            "{refusal}"
        );
    }
    let elsewhere = changed(|c| c.bank = c.account);
    let refusal = world.refused(elsewhere).await;
    assert!(matches!(refusal, Refusal::Request(RequestFault::NotForMe { .. })));
    world.ask(world.commit(&bought)).await.unwrap();
}

#[tokio::test]
async fn each_decision_of_a_list_is_applied_or_refused_on_its_own() {
    let mut world = World::new().await;
    let mut bought = Vec::new();
    for _ in 0..4 {
        let purse = world.withdraw(&[8]).await;
        bought.push(world.order(&purse));
    }
    for held in &bought[..3] {
        world.ask(held.hold()).await.unwrap();
    }
    let commit = |bought| world.commit(bought).decision;
    let abort = |bought| world.abort(bought).decision;
    let SignedDecision::Commit(signed) = commit(&bought[0]) else {
        panic!()
    };
    let forged = SignedDecision::Commit(Signed::sign(signed.body, &world.merchant));
    let settle = |decisions| SettleRequest {
        escrow: world.escrow.public(),
        decisions,
    };
    let list = settle(vec![
        forged.clone(),
        commit(&bought[0]),
        commit(&bought[3]),
        abort(&bought[1]),
        commit(&bought[0]),
        abort(&bought[0]),
    ]);
    let (first, answers) = world.ask_raw(list.clone()).await;
    let answers = answers.unwrap();
    let terms = |bought: &Bought| bought.order.contract.terms.clone();
    let paid = Settled::committed(&terms(&bought[0]));
    let released = Settled::aborted(bought[1].order.purchase(), world.escrow.public());
    let body = |index: usize| answers[index].clone().map(|settled| settled.body);
    assert_eq!(
        (body(1), body(3), body(4)),
        (Ok(paid.clone()), Ok(released), Ok(paid))
    );
    assert!(matches!(
        body(0),
        Err(Refusal::Contract(ContractFault::Decision(_)))
    ));
    assert_eq!(
        body(2),
        Err(PurchaseFault::Unknown(bought[3].order.purchase()).into())
    );
    let opposed = PurchaseFault::DecidedOtherwise(Box::new(commit(&bought[0])));
    assert_eq!(body(5), Err(opposed.into()));
    assert_eq!(answers.len(), 6);
    assert_eq!(world.balance(&world.merchant).await, Amount(8));
    assert_eq!(world.audited().await, Amount(24));

    let later = commit(&bought[2]);
    lists_of_no_and_too_many_decisions_are_refused(&mut world, forged, later).await;
    world.restart().await;
    let head = world.head();
    assert_eq!(world.ask_raw(list).await.0, first);
    assert_eq!(world.head(), head);
}

/// The signature of a decision for a settled purchase is verified if the decision differs. Lists have a bounded length.
async fn lists_of_no_and_too_many_decisions_are_refused(
    world: &mut World,
    forged: SignedDecision,
    commit: SignedDecision,
) {
    let escrow = world.escrow.public();
    let settle = |decisions| SettleRequest { escrow, decisions };
    let refusal = world
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
    assert_eq!(world.refused(settle(vec![])).await, none.into());
    let refusal = world.refused(settle(vec![commit.clone(); SETTLE_MAX + 1])).await;
    assert!(matches!(&refusal, Refusal::Request(RequestFault::Malformed(why)) if why.contains("65 entries")));
    let again = settle(vec![commit; SETTLE_MAX]);
    let answers = world.ask(again).await.unwrap();
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(world.balance(&world.merchant).await, Amount(16));
}

#[tokio::test]
async fn only_escrows_whose_cards_are_known_hold_and_settle() {
    let mut world = World::new().await;
    let purse = world.withdraw(&[8]).await;
    let stranger = world.merchant.public();
    let bought = world.order(&purse);
    let at_stranger = altered(&world, &bought, &purse, |terms| terms.escrow = stranger);
    let unknown = Refusal::from(ContractFault::UnknownParty {
        role: "escrow".into(),
        key: stranger,
    });
    assert_eq!(world.refused(at_stranger.clone()).await, unknown);
    let SettleOne { decision, .. } = world.abort(&bought);
    let settle = SettleOne {
        escrow: stranger,
        decision,
    };
    assert_eq!(world.refused(settle).await, unknown);
    // A merchant's card with this key does not make it an escrow. An escrow's card does.
    world
        .bank
        .set_cards(&[card(farthing_node::card::RoleName::Merchant, &stranger)]);
    assert_eq!(world.refused(at_stranger.clone()).await, unknown);
    world
        .bank
        .set_cards(&[card(farthing_node::card::RoleName::Escrow, &stranger)]);
    world.ask(at_stranger).await.unwrap();
}

#[tokio::test]
async fn an_escrow_whose_card_was_removed_still_decides_its_held_purchases() {
    let mut world = World::new().await;
    let (first, second, third) = (
        world.withdraw(&[8]).await,
        world.withdraw(&[4]).await,
        world.withdraw(&[2]).await,
    );
    let (committed, aborted, never_held) = (world.order(&first), world.order(&second), world.order(&third));
    for bought in [&committed, &aborted] {
        world.ask(bought.hold()).await.unwrap();
    }
    world.bank.set_cards(&[]);
    let unknown = Refusal::from(ContractFault::UnknownParty {
        role: "escrow".into(),
        key: world.escrow.public(),
    });
    assert_eq!(world.refused(never_held.hold()).await, unknown);
    assert_eq!(world.refused(world.abort(&never_held)).await, unknown);
    assert_eq!(world.refused(world.commit(&never_held)).await, unknown);
    for _ in 0..2 {
        world.ask(world.commit(&committed)).await.unwrap();
        world.ask(world.abort(&aborted)).await.unwrap();
    }
    assert_eq!(world.balance(&world.merchant).await, Amount(8));
    world.exchanged(&second, &[4]).await.unwrap();
    // The third purchase was never held, so its coins are free.
    world.exchanged(&third, &[2]).await.unwrap();
    assert_eq!(world.audited().await, Amount(6));
}

#[tokio::test]
async fn terms_and_coins_must_fit() {
    let mut world = World::new().await;
    let purse = world.withdraw(&[8, 1]).await;
    let escrow = world.escrow.public();
    for price in [8, 10] {
        let bought = world.order_at(&purse, &escrow, price);
        let worth = ContractFault::Worth {
            worth: Amount(9),
            price: Amount(price),
        };
        assert_eq!(world.refused(bought.hold()).await, worth.into());
    }
    let bought = world.order(&purse);
    let mut swapped = bought.hold();
    swapped.body.payment.authorizations.swap(0, 1);
    let refusal = world.refused(swapped).await;
    assert!(matches!(
        refusal,
        Refusal::Coins(CoinsFault {
            index: 0,
            what: CoinFault::Authorization(_)
        })
    ));
    let mut other_coins = bought.hold();
    other_coins.body.payment.coins.swap(0, 1);
    assert_eq!(world.refused(other_coins).await, ContractFault::OtherCoins.into());
    let mut other_note = bought.hold();
    other_note.body.payment.note[0] ^= 1;
    assert_eq!(world.refused(other_note).await, ContractFault::OtherNote.into());
    let other = altered(&world, &bought, &purse, |terms| terms.currency = "XYZ".into());
    assert_eq!(
        world.refused(other).await,
        ContractFault::DoesNotFit("currency".into()).into()
    );
    let other = altered(&world, &bought, &purse, |terms| {
        terms.currency = "x".repeat(100_000);
    });
    let refusal = world.refused(other).await;
    assert!(matches!(refusal, Refusal::Request(RequestFault::Malformed(_))));
    let nobody = escrow;
    let account = altered(&world, &bought, &purse, |terms| terms.account = nobody);
    assert_eq!(world.refused(account).await, AccountFault::Unknown(nobody).into());
    world.ask(bought.hold()).await.unwrap();
}

#[tokio::test]
async fn a_deadline_must_lie_within_its_bounds_and_before_the_keys_end() {
    let mut world = World::new().await;
    let purse = world.withdraw(&[8]).await;
    let bought = world.order(&purse);
    let at =
        |world: &World, deadline_ms| altered(world, &bought, &purse, |terms| terms.deadline_ms = deadline_ms);
    let soon = world.refused(at(&world, START_MS + 999)).await;
    assert_eq!(soon, ContractFault::DeadlineTooSoon.into());
    let far = world
        .refused(at(&world, START_MS + DEADLINE_HORIZON_MS + 1))
        .await;
    assert_eq!(far, ContractFault::DeadlineTooFar.into());
    let ends_ms = 103 * EPOCH_MS;
    world.clock.set(ends_ms - SETTLEMENT_MARGIN_MS);
    let late = at(&world, ends_ms - SETTLEMENT_MARGIN_MS + 1001);
    let (terms, book) = (late.body.terms.clone(), world.book());
    let denial = world.denied(late, RequestKind::Hold, terms.purchase_id().0).await;
    assert_eq!(denied_coin(&denial, &purse.coins[0]), CoinDenial::EndsTooSoon);
    let key = book.get(&purse.coins[0].key_id).unwrap();
    assert!(denial.is_right(key, &book, [&terms].into_iter()));
    world.clock.set(ends_ms);
    let ended = at(&world, ends_ms + 5000);
    let id = ended.body.terms.purchase_id().0;
    let denial = world.denied(ended, RequestKind::Hold, id).await;
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
    let mut world = World::new().await;
    let purse = world.withdraw(&[8]).await;
    let bought = world.order(&purse);
    world.ask(bought.hold()).await.unwrap();
    let settled: Signed<Settled> = world.ask(world.commit(&bought)).await.unwrap();
    settled.verify(&world.bank.self_id()).unwrap();
    assert_eq!(settled.body.purchase, bought.order.purchase());
    assert!(BankRequest::decode(&[]).is_err());
}
