//! The wallet's states of a stream, and what it refuses.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use farthing_coin::{Seed, Signed};
use farthing_protocol::{
    contract::check_opened,
    decision::Outcome,
    documents::{Abort, AbortReason},
    goods::GoodsKey,
    money::Amount,
    purchase::{Ask, Proof, Purchase, PurchaseError, check_shown_stream},
    settle::Collected,
    stream::{Close, Opened, StreamCommit, Voucher},
};
use support::{
    CUSTOMER, ESCROW, MERCHANT, key, secret,
    stream::{
        TICKS, abort, by, cancelled, closed, commit_of, contract, contract_on, hold_request, key_of,
        last_key, offer_of, opened, order, overdue, point, purchase_key, stream_commit, voucher, whole,
    },
};

fn seed() -> Seed {
    Seed::from_bytes(&[CUSTOMER; 32])
}

fn holding() -> Purchase {
    Purchase::Holding(order())
}

fn streaming() -> Purchase {
    Purchase::Streaming(order(), opened(&contract().terms))
}

fn told(purchase: Purchase, outcome: Outcome) -> Result<Purchase, PurchaseError> {
    purchase.on_outcome(outcome, &purchase_key())
}

fn streamed(stream: StreamCommit) -> Outcome {
    Outcome::Streamed(Box::new(stream))
}

fn committed(ticks: u32) -> Purchase {
    let stream = stream_commit(&contract(), ticks);
    Purchase::Committed(order(), Proof::Stream(Box::new(stream), key_of(ticks)))
}

fn aborted_by(reason: AbortReason) -> Signed<Abort> {
    abort(&contract().terms, reason)
}

#[test]
fn a_wallet_opens_watches_and_stops_a_stream() {
    let Ask::Open(open) = holding().ask(&seed()) else {
        panic!("a stream is opened")
    };
    assert_eq!(open.0, hold_request(contract()));
    let opened = Outcome::Streaming(opened(&contract().terms));
    assert_eq!(told(holding(), opened.clone()), Ok(streaming()));
    assert_eq!(told(streaming(), opened), Ok(streaming()));
    assert_eq!(streaming().status(), "streaming");
    let stop = order().stop_request(&purchase_key());
    assert_eq!(streaming().ask(&seed()), Ask::Stop(Box::new(stop)));
    assert_eq!(streaming().on_cancel(), Ok(streaming()));
    for ticks in [1, 3, TICKS] {
        let stream = stream_commit(&contract(), ticks);
        let ended = told(streaming(), streamed(stream.clone())).unwrap();
        assert_eq!(ended, committed(ticks));
        assert_eq!(ended.paid(), Some(Amount(25 * u64::from(ticks))));
        assert_eq!(ended.ask(&seed()), Ask::Nothing);
        let collected = Collected::Streamed(Box::new(stream));
        assert_eq!(
            streaming().on_collected(collected, &purchase_key()),
            Ok(committed(ticks))
        );
        assert_eq!(
            order().voucher(ticks, &purchase_key()),
            voucher(&contract(), ticks)
        );
    }
}

#[test]
fn a_stream_without_a_paid_tick_ends_as_aborted() {
    let terms = contract().terms;
    for reason in [closed(&terms), overdue(&terms)] {
        let abort = aborted_by(reason);
        let aborted = Purchase::Aborted(order(), abort.clone());
        assert_eq!(
            told(streaming(), Outcome::Aborted(abort.clone())),
            Ok(aborted.clone())
        );
        let applied = Collected::Aborted(abort);
        assert_eq!(streaming().on_collected(applied, &purchase_key()), Ok(aborted));
    }
    // The merchant's word for another purchase, and the word of another party, are no cause.
    let other = closed(&whole().terms);
    let forged = AbortReason::Closed(Box::new(by(
        CUSTOMER,
        Close {
            purchase: terms.purchase_id(),
            escrow: key(ESCROW),
        },
    )));
    for reason in [other, forged] {
        let refused = told(streaming(), Outcome::Aborted(aborted_by(reason)));
        assert!(
            matches!(refused, Err(PurchaseError::WithoutCause(_))),
            "{refused:?}"
        );
    }
}

#[test]
fn a_stream_that_is_open_cannot_be_cancelled() {
    let cancelling = holding().on_cancel().unwrap();
    assert_eq!(cancelling, Purchase::Cancelling(order()));
    let open = Outcome::Streaming(opened(&contract().terms));
    assert_eq!(told(cancelling.clone(), open), Ok(streaming()));
    // It may have ended meanwhile, or the cancel came first.
    let ended = streamed(stream_commit(&contract(), 2));
    assert_eq!(told(cancelling.clone(), ended), Ok(committed(2)));
    let abort = aborted_by(cancelled(&contract().terms));
    assert_eq!(
        told(cancelling, Outcome::Aborted(abort.clone())),
        Ok(Purchase::Aborted(order(), abort))
    );
}

#[test]
fn a_wallet_accepts_no_word_of_another_party_that_a_stream_is_open() {
    let terms = contract().terms;
    let body = opened(&terms).body;
    let forged_hold = Opened {
        bank_hold: by(ESCROW, body.bank_hold.body.clone()),
    };
    for opened in [
        by(MERCHANT, body),
        by(ESCROW, forged_hold),
        opened(&whole().terms),
    ] {
        let refused = told(holding(), Outcome::Streaming(opened));
        assert!(matches!(refused, Err(PurchaseError::Contract(_))), "{refused:?}");
    }
}

#[test]
fn a_wallet_refuses_a_commit_that_is_not_for_its_voucher_and_its_key() {
    let contract = contract();
    let terms = &contract.terms;
    let good = stream_commit(&contract, 2);
    let refused =
        |commit, voucher| told(streaming(), streamed(StreamCommit { commit, voucher })).unwrap_err();
    let of = |amount, goods_key: &GoodsKey| commit_of(terms, Amount(amount), goods_key);
    for (commit, voucher, expected) in [
        // The key of fewer ticks, of more ticks, and none of the stream's.
        (
            of(50, &key_of(1)),
            good.voucher.clone(),
            PurchaseError::WrongGoodsKey,
        ),
        (
            of(50, &key_of(3)),
            good.voucher.clone(),
            PurchaseError::WrongGoodsKey,
        ),
        (
            of(50, &GoodsKey::from_bytes([1; 32])),
            good.voucher.clone(),
            PurchaseError::WrongGoodsKey,
        ),
        // An amount that is not the voucher's.
        (
            of(75, &key_of(2)),
            good.voucher.clone(),
            PurchaseError::Mismatch("amount"),
        ),
        (
            of(25, &key_of(2)),
            good.voucher.clone(),
            PurchaseError::Mismatch("amount"),
        ),
        // A voucher that the customer did not sign.
        (
            good.commit.clone(),
            by(MERCHANT, good.voucher.body),
            PurchaseError::Voucher,
        ),
        (
            good.commit.clone(),
            voucher(&contract_on(offer_of(2, 100, &last_key())), 1),
            PurchaseError::Voucher,
        ),
    ] {
        assert_eq!(refused(commit, voucher), expected);
    }
    let by_other = by(MERCHANT, good.commit.body.clone());
    let error = refused(by_other, good.voucher.clone());
    assert!(matches!(error, PurchaseError::Signature(_)), "{error}");
    // A voucher for an amount that its ticks do not cost, though the customer signed it.
    let cheap = Voucher {
        ticks: 3,
        ..good.voucher.body
    };
    let cheap = Signed::sign(cheap, &purchase_key());
    assert_eq!(refused(of(50, &key_of(3)), cheap), PurchaseError::Voucher);
    // The commit of the whole price without a voucher, as for goods that are sold whole.
    let collected = Collected::Committed(of(100, &last_key()));
    let refused = streaming().on_collected(collected, &purchase_key());
    assert_eq!(refused.unwrap_err(), PurchaseError::WrongGoodsKey);
}

#[test]
fn a_shown_point_opens_the_key_of_a_stream_and_no_other_point_does() {
    let contract = contract();
    let stream = stream_commit(&contract, 3);
    let shown = |point| check_shown_stream(&stream, &contract, &point);
    assert_eq!(shown(point(&stream.commit)), Ok(key_of(3)));
    let other = secret(MERCHANT)
        .show_shared_point(
            &stream.commit.body.sealed_key.ephemeral,
            &contract.terms.purchase_id().0,
        )
        .unwrap();
    assert_eq!(shown(other), Err(PurchaseError::PointNotProven));
}

#[test]
fn opened_is_signed_by_escrow_and_bank() {
    let terms = contract().terms;
    assert_eq!(check_opened(&terms, &opened(&terms)), Ok(()));
    assert!(check_opened(&whole().terms, &opened(&terms)).is_err());
}
