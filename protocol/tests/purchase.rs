//! The wallet's side of a purchase that ends without a decision of its escrow.
#![allow(clippy::unwrap_used, clippy::panic)]

use farthing_coin::{Document, PublicKey, SecretKey, Seed, Signed};
use farthing_protocol::{
    decide::{Committed, Outcome},
    documents::{
        Abort, AbortReason, AcceptedBank, Commit, Contract, Offer, PurchaseKeyUse, Receipt, SaleLimit, Terms,
    },
    goods::{ContentKey, GoodsKey},
    hold::Payment,
    money::Amount,
    purchase::{Ask, Order, Plan, Purchase, PurchaseError},
    seal::{commit_goods_key, seal_goods_key, wrap},
    settle::Collected,
};

const MERCHANT: u8 = 1;
const ESCROW: u8 = 2;
const BANK: u8 = 3;
const CUSTOMER: u8 = 4;

fn seed() -> Seed {
    Seed::from_bytes(&[CUSTOMER; 32])
}

fn secret(who: u8) -> SecretKey {
    Seed::from_bytes(&[who; 32]).account_key()
}

fn key(who: u8) -> PublicKey {
    secret(who).public()
}

fn purchase_key() -> SecretKey {
    seed().purchase_key(0)
}

fn goods_key() -> GoodsKey {
    GoodsKey::from_bytes([7; 32])
}

fn offer() -> Signed<Offer> {
    let offer = Offer {
        merchant: key(MERCHANT),
        sale_id: [4; 32],
        item_id: [5; 32],
        title: "Evening postcard".into(),
        description: String::new(),
        media_type: "text/plain".into(),
        size_bytes: 1,
        encrypted_bytes: 1,
        goods_digest: [6; 32],
        encrypted_digest: [7; 32],
        wrapped_key: wrap(&goods_key(), &[4; 32], &ContentKey::from_bytes([8; 32])).unwrap(),
        key_commitment: commit_goods_key(&goods_key()),
        price: Amount(150),
        currency: "FTH".into(),
        escrows: vec![key(ESCROW)],
        banks: vec![AcceptedBank {
            bank: key(BANK),
            account: key(MERCHANT),
            key_list_digest: [14; 32],
        }],
        expires_ms: 15,
        served_until_ms: 16,
        sales: SaleLimit::Once,
        sealed_key: None,
    };
    Signed::sign(offer, &secret(MERCHANT))
}

fn order() -> Order {
    let offer = offer();
    let terms = Terms {
        bank: key(BANK),
        currency: "FTH".into(),
        price: Amount(150),
        account: key(MERCHANT),
        merchant: key(MERCHANT),
        escrow: key(ESCROW),
        deadline_ms: 15,
        coins_digest: [17; 32],
        purchase_key: purchase_key().public(),
        private_digest: offer.body.digest(),
        note_digest: [20; 32],
    };
    let agreed = PurchaseKeyUse::Agree.statement(&terms.purchase_key, &terms.purchase_id());
    Order {
        counter: 0,
        contract: Contract {
            offer,
            signature: purchase_key().sign(&agreed),
            terms,
        },
        payment: Payment {
            coins: Vec::new(),
            authorizations: Vec::new(),
            note_id: [18; 32],
            note: Vec::new(),
        },
    }
}

fn receipt() -> Signed<Receipt> {
    let terms = order().contract.terms;
    let receipt = Receipt {
        purchase: terms.purchase_id(),
        bank: terms.bank,
        coins_digest: terms.coins_digest,
        account: terms.account,
        amount: terms.price,
        goods_key: goods_key(),
    };
    Signed::sign(receipt, &secret(ESCROW))
}

fn commit() -> Signed<Commit> {
    let terms = order().contract.terms;
    let purchase = terms.purchase_id();
    let commit = Commit {
        purchase,
        bank: terms.bank,
        coins_digest: terms.coins_digest,
        account: terms.account,
        amount: terms.price,
        sealed_key: seal_goods_key(&secret(9), &terms.purchase_key, &purchase.0, &goods_key()).unwrap(),
    };
    Signed::sign(commit, &secret(ESCROW))
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
fn a_purchase_is_recovered_only_while_it_is_cancelled() {
    assert_eq!(recovered(), Purchase::Recovered(order()));
    let plan = Plan {
        bank: key(BANK),
        escrow: key(ESCROW),
        offer: offer(),
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
fn a_recovered_purchase_asks_nothing_and_stays_as_it_is() {
    assert_eq!(recovered().status(), "recovered");
    assert_eq!(recovered().order(), Some(&order()));
    assert_eq!(recovered().offer(), &offer());
    assert_eq!(recovered().ask(&seed()), Ask::Nothing);
    assert_eq!(recovered().on_cancel(), Ok(recovered()));
    // An abort says the same.
    assert_eq!(recovered().on_abort(abort()), Ok(recovered()));
    let aborted = Outcome::Aborted(abort());
    assert_eq!(recovered().on_outcome(aborted), Ok(recovered()));
    assert_eq!(recovered().on_outcome(Outcome::Undecided), Ok(recovered()));
    for collected in [Collected::Open, Collected::Aborted(abort())] {
        assert_eq!(
            recovered().on_collected(collected, &purchase_key()),
            Ok(recovered())
        );
    }
}

#[test]
fn a_payment_with_coins_that_are_back_accuses_and_ends_nothing() {
    let paid = Err(PurchaseError::PaidAfterRecovery);
    assert_eq!(recovered().on_receipt(receipt()), paid);
    let committed = Outcome::Committed(Box::new(Committed {
        receipt: receipt(),
        commit: commit(),
    }));
    assert_eq!(recovered().on_outcome(committed), paid);
    let collected = Collected::Committed(commit());
    assert_eq!(recovered().on_collected(collected, &purchase_key()), paid);
    // What the escrow did not sign accuses nobody.
    let forged = Signed::sign(receipt().body, &secret(MERCHANT));
    let refused = recovered().on_receipt(forged);
    assert!(matches!(refused, Err(PurchaseError::Signature(_))), "{refused:?}");
}
