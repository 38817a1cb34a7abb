//! Releases: a release must show the escrow's own hold, and the terms, offer and key that the hold binds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod support;

use farthing_coin::{SignatureError, Signed};
use farthing_protocol::ids::SaleId;
use farthing_protocol::{
    decide::ReleaseRequest,
    decision::Outcome,
    documents::{Offer, SaleLimit},
    goods::GoodsKey,
    refusal::ContractFault,
    seal::commit_goods_key,
};
use support::EscrowFixture;
use support::bank::secret_key;

/// A name, a change to a good release that may use another good one, and the expected fault.
type Bad = (
    &'static str,
    fn(&EscrowFixture, &mut ReleaseRequest, &ReleaseRequest),
    fn() -> ContractFault,
);

const BAD: [Bad; 15] = [
    (
        "another goods key",
        |_, it, _| it.goods_key = wrong_key(),
        || ContractFault::WrongGoodsKey,
    ),
    (
        "another goods key, and an offer that the merchant has signed for it",
        |fixture, it, _| {
            it.goods_key = wrong_key();
            reoffer(fixture, it, |offer| {
                offer.key_commitment = commit_goods_key(&wrong_key())
            });
        },
        || misfit("private part"),
    ),
    (
        "another sale's offer",
        |fixture, it, _| reoffer(fixture, it, |offer| offer.sale_id = SaleId([7; 32])),
        || misfit("private part"),
    ),
    (
        "an offer for any number of sales",
        |fixture, it, _| reoffer(fixture, it, |offer| offer.sales = SaleLimit::Unlimited),
        || misfit("private part"),
    ),
    (
        "an offer out of bounds",
        |fixture, it, _| reoffer(fixture, it, |offer| offer.banks.clear()),
        || ContractFault::OfferBounds("list of banks".into()),
    ),
    (
        "another contract, held and whole",
        |_, it, other| it.contract = other.contract.clone(),
        || misheld("it is for another purchase"),
    ),
    (
        "another deadline",
        |_, it, _| it.contract.terms.deadline_ms += 1,
        || misheld("it is for another purchase"),
    ),
    (
        "another purchase key",
        |_, it, other| it.contract.terms.purchase_key = other.contract.terms.purchase_key,
        || misheld("it is for another purchase"),
    ),
    (
        "another account",
        |_, it, _| it.contract.terms.account = secret_key(66).public(),
        || misfit("account"),
    ),
    (
        "another purchase's hold",
        |_, it, other| it.hold = other.hold.clone(),
        || misheld("it is for another purchase"),
    ),
    (
        "a hold by a stranger",
        |_, it, _| it.hold = Signed::sign(it.hold.body.clone(), &secret_key(66)),
        forged,
    ),
    (
        "a hold by the bank",
        |fixture, it, _| it.hold = Signed::sign(it.hold.body.clone(), &fixture.bank.identity),
        forged,
    ),
    (
        "another purchase's bank hold",
        |_, it, other| it.hold.body = other.hold.body.clone(),
        forged,
    ),
    (
        "a bank hold of more",
        |_, it, _| it.hold.body.bank_hold.body.total.0 += 1,
        forged,
    ),
    (
        "another signature of the bank's",
        |_, it, other| it.hold.body.bank_hold.signature = other.hold.body.bank_hold.signature,
        forged,
    ),
];

fn wrong_key() -> GoodsKey {
    GoodsKey::from_bytes([9; 32])
}

/// Replaces the offer by a changed one that the merchant signed, under the same terms.
fn reoffer(fixture: &EscrowFixture, release: &mut ReleaseRequest, change: impl FnOnce(&mut Offer)) {
    let mut offer = release.contract.offer.body.clone();
    change(&mut offer);
    release.contract.offer = Signed::sign(offer, &fixture.merchant);
}

fn misfit(field: &str) -> ContractFault {
    ContractFault::DoesNotFit(field.into())
}

fn misheld(why: &str) -> ContractFault {
    ContractFault::Hold(why.into())
}

fn forged() -> ContractFault {
    misheld(&format!("the escrow's signature: {}", SignatureError::Forged))
}

#[tokio::test]
async fn a_bad_release_is_refused_and_changes_nothing() {
    let mut fixture = EscrowFixture::new();
    let (bought, other) = (fixture.order(), fixture.order());
    let (hold, others_hold) = (fixture.held(&bought).await, fixture.held(&other).await);
    let good = fixture.release(&bought, &hold);
    let another = fixture.release(&other, &others_hold);
    for (case, spoil, fault) in BAD {
        let mut release = good.clone();
        spoil(&fixture, &mut release, &another);
        assert_eq!(fixture.refused(release).await, fault().into(), "{case}");
        for order in [&bought, &other] {
            let outcome = fixture.ask(order.outcome()).await.unwrap();
            assert_eq!(outcome, Outcome::Undecided, "{case}");
        }
    }
    fixture.ask(good).await.unwrap();
}

#[tokio::test]
async fn a_release_ignores_the_contracts_signatures_and_forwards_none() {
    let mut fixture = EscrowFixture::new();
    let bought = fixture.order();
    let hold = fixture.held(&bought).await;
    let good = fixture.release(&bought, &hold);
    let mut unsigned = good.clone();
    unsigned.contract.signature = bought.outcome().signature;
    unsigned.contract.offer.signature = bought.outcome().signature;
    let (first, committed) = fixture.ask_raw(unsigned).await;
    committed.unwrap();
    assert_eq!(fixture.ask_raw(good).await.0, first);
}
