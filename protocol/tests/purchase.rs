//! The wallet's states of a purchase that ends without a decision of its escrow.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use farthing_coin::{RecoveryRecordId, SecretKey, Seed, Signed};
use farthing_protocol::{
    decision::{Committed, Outcome},
    documents::{Abort, AbortReason, Commit, Offer, PurchaseKeyUse, Receipt},
    hold::Payment,
    money::Amount,
    purchase::{Ask, OfferFault, Order, Plan, Purchase, PurchaseError, check_renewed},
    settle::Collected,
};
use support::{
    BANK, CUSTOMER, ESCROW, MERCHANT, commit_of, contract_of, goods_key, key, offer, receipt_of, secret,
};

fn seed() -> Seed {
    Seed::from_bytes(&[CUSTOMER; 32])
}

fn purchase_key() -> SecretKey {
    seed().purchase_key(0)
}

fn signed_offer() -> Signed<Offer> {
    order().contract.offer
}

fn order() -> Order {
    Order {
        counter: 0,
        contract: contract_of(offer(), &purchase_key()),
        payment: Payment {
            coins: Vec::new(),
            authorizations: Vec::new(),
            note_id: RecoveryRecordId([18; 32]),
            note: Vec::new(),
        },
    }
}

fn receipt() -> Signed<Receipt> {
    Signed::sign(receipt_of(&order().contract.terms, goods_key()), &secret(ESCROW))
}

fn commit() -> Signed<Commit> {
    Signed::sign(commit_of(&order().contract.terms, &goods_key()), &secret(ESCROW))
}

fn abort() -> Signed<Abort> {
    let terms = order().contract.terms;
    let cancel = PurchaseKeyUse::Cancel.statement(&terms.purchase_key, &terms.purchase_id());
    let abort = Abort {
        purchase: terms.purchase_id(),
        bank: terms.bank,
        reason: AbortReason::CancelledBy(purchase_key().sign(&cancel)),
    };
    Signed::sign(abort, &secret(ESCROW))
}

fn recovered() -> Purchase {
    Purchase::Cancelling(order()).on_recovered()
}

#[test]
fn only_a_purchase_that_is_being_cancelled_is_recovered() {
    assert_eq!(recovered(), Purchase::Recovered(order()));
    let plan = Plan {
        bank: key(BANK),
        escrow: key(ESCROW),
        offer: signed_offer(),
    };
    let cancelling = Purchase::Cancelling(order());
    for other in [
        Purchase::Fetching(plan.clone()),
        Purchase::Dropped(plan),
        Purchase::Holding(order()),
        cancelling.clone().on_receipt(receipt()).unwrap(),
        cancelling.on_abort(abort()).unwrap(),
        recovered(),
    ] {
        assert_eq!(other.clone().on_recovered(), other);
    }
}

#[test]
fn a_recovered_purchase_has_no_next_request_and_keeps_its_state() {
    assert_eq!(recovered().status(), "recovered");
    assert_eq!(recovered().order(), Some(&order()));
    assert_eq!(recovered().offer(), &signed_offer());
    assert_eq!(recovered().ask(&seed()), Ask::Nothing);
    assert_eq!(recovered().on_cancel(), Ok(recovered()));
    // An abort agrees with the recovery, so it changes nothing.
    assert_eq!(recovered().on_abort(abort()), Ok(recovered()));
    let aborted = Outcome::Aborted(abort());
    assert_eq!(recovered().on_outcome(aborted, &purchase_key()), Ok(recovered()));
    assert_eq!(
        recovered().on_outcome(Outcome::Undecided, &purchase_key()),
        Ok(recovered())
    );
    for collected in [Collected::Open, Collected::Aborted(abort())] {
        assert_eq!(
            recovered().on_collected(collected, &purchase_key()),
            Ok(recovered())
        );
    }
}

#[test]
fn a_commit_after_the_recovery_is_an_error_and_changes_no_state() {
    let paid = Err(PurchaseError::PaidAfterRecovery);
    assert_eq!(recovered().on_receipt(receipt()), paid);
    let committed = Outcome::Committed(Box::new(Committed {
        receipt: receipt(),
        commit: commit(),
    }));
    assert_eq!(recovered().on_outcome(committed, &purchase_key()), paid);
    let collected = Collected::Committed(commit());
    assert_eq!(recovered().on_collected(collected, &purchase_key()), paid);
    // A document that the escrow did not sign accuses nobody.
    let forged = Signed::sign(receipt().body, &secret(MERCHANT));
    let refused = recovered().on_receipt(forged);
    assert!(matches!(refused, Err(PurchaseError::Signature(_))), "{refused:?}");
}

#[test]
fn a_new_offer_replaces_one_of_the_same_goods_for_no_more() {
    let old = offer();
    let new = |change: &dyn Fn(&mut Offer)| {
        let mut new = old.clone();
        new.expires_ms += 1;
        change(&mut new);
        check_renewed(&new, &old)
    };
    assert_eq!(new(&|_| {}), Ok(()));
    assert_eq!(new(&|new| new.price.0 -= 1), Ok(()));
    let risen = OfferFault::PriceTooHigh {
        price: Amount(old.price.0 + 1),
        at_most: old.price,
    };
    assert_eq!(new(&|new| new.price.0 += 1), Err(risen));
    assert_eq!(new(&|new| new.item_id.0[0] ^= 1), Err(OfferFault::OtherItem));
    for (change, field) in [
        ((|new| new.title.push('x')) as fn(&mut Offer), "title"),
        (|new| new.description.push('x'), "description"),
        (|new| new.media_type.push('x'), "media type"),
        (|new| new.size_bytes += 1, "size"),
        (|new| new.currency.push('X'), "currency"),
        (|new| new.goods_digest.0[0] ^= 1, "digest of the goods"),
        (
            |new| new.encrypted_digest.0[0] ^= 1,
            "digest of the encrypted goods",
        ),
    ] {
        assert_eq!(new(&change), Err(OfferFault::Changed(field)));
    }
}
