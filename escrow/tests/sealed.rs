//! Sealed offers: one request holds and decides with the key in the offer, and the merchant learns of the sale.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod support;

use farthing_coin::{Document, SecretKey, Signed};
use farthing_protocol::{
    contract::check_hold,
    decision::Outcome,
    documents::{AbortReason, Offer, SaleLimit},
    goods::{ContentKey, GoodsKey},
    ids::SaleId,
    limits::SALES_PAGE_MAX,
    offered_key::OfferedKey,
    refusal::{ContractFault, Later, PurchaseFault, Refusal, RequestFault},
    seal::wrap,
    sealed::{PayRequest, SalesRequest, shows_wrong_key},
};
use support::bank::{Mood, secret_key};
use support::{Bought, EscrowFixture, HOUR_MS, goods_key};

/// An offer with `key` sealed to the escrow.
fn sealing(fixture: &EscrowFixture, key: &GoodsKey) -> Offer {
    sealed_in(fixture, fixture.offer(24), key)
}

fn sealed_in(fixture: &EscrowFixture, mut offer: Offer, key: &GoodsKey) -> Offer {
    let to = fixture.escrow.self_id();
    let sealed_key = OfferedKey::seal(&secret_key(77), &to, &offer.sealing_context(), key);
    offer.sealed_key = Some(sealed_key.unwrap());
    offer
}

fn order(fixture: &mut EscrowFixture, offer: Offer) -> Bought {
    let deadline_ms = fixture.now_ms() + HOUR_MS;
    fixture.order_of(offer, &[16, 8], deadline_ms)
}

fn sealed(fixture: &mut EscrowFixture) -> Bought {
    let offer = sealing(fixture, &goods_key());
    order(fixture, offer)
}

fn pay(bought: &Bought) -> PayRequest {
    PayRequest(bought.hold())
}

fn sales(fixture: &EscrowFixture, by: &SecretKey, known: u64) -> Signed<SalesRequest> {
    let request = SalesRequest {
        escrow: fixture.escrow.self_id(),
        merchant: fixture.merchant.public(),
        known,
    };
    Signed::sign(request, by)
}

async fn aborted(fixture: &EscrowFixture, bought: &Bought) -> AbortReason {
    let Outcome::Aborted(abort) = fixture.ask(pay(bought)).await.unwrap() else {
        panic!("it was committed")
    };
    fixture.signed_here(&abort);
    assert_eq!(abort.body.purchase, bought.id());
    abort.body.reason
}

#[tokio::test]
async fn one_request_holds_and_commits_and_repeats_byte_for_byte() {
    let mut fixture = EscrowFixture::new();
    let bought = sealed(&mut fixture);
    let (first, outcome) = fixture.ask_raw(pay(&bought)).await;
    let Outcome::Committed(committed) = outcome.unwrap() else {
        panic!("it was aborted")
    };
    fixture.signed_here(&committed.receipt);
    fixture.signed_here(&committed.commit);
    assert_eq!(committed.receipt.body.goods_key, goods_key());
    assert_eq!(fixture.bank.held(), [bought.id()]);

    let head = fixture.head();
    fixture.restart();
    // The repetition needs no valid deadline, no bank and no trusted clock.
    fixture.wire.detach(&fixture.bank.key());
    fixture.clock.advance(40 * 24 * HOUR_MS);
    assert_eq!(fixture.ask_raw(pay(&bought)).await.0, first);
    assert_eq!(
        fixture.ask(bought.cancel()).await.unwrap(),
        Outcome::Committed(committed)
    );
    assert_eq!(fixture.head(), head, "a repetition writes nothing");
}

#[tokio::test]
async fn a_wrong_sealed_key_aborts_and_shows_it_once_the_coins_are_held() {
    let mut fixture = EscrowFixture::new();
    let another = sealing(&fixture, &GoodsKey::from_bytes([9; 32]));
    // The key is sealed for a dearer offer of the same merchant, who proves knowledge of the secret in both.
    let mut cheap = fixture.offer(24);
    cheap.title = "another picture".into();
    let mut dear = sealing(&fixture, &goods_key()).sealed_key.unwrap();
    dear.proof = OfferedKey::seal(
        &secret_key(77),
        &fixture.escrow.self_id(),
        &cheap.sealing_context(),
        &goods_key(),
    )
    .unwrap()
    .proof;
    cheap.sealed_key = Some(dear);
    // The key is right, but does not unwrap the content key.
    let mut wraps_nothing = fixture.offer(24);
    wraps_nothing.wrapped_key.tag[0] ^= 1;
    let wraps_nothing = sealed_in(&fixture, wraps_nothing, &goods_key());
    for offer in [another, cheap, wraps_nothing] {
        let bought = order(&mut fixture, offer.clone());
        let reason = aborted(&fixture, &bought).await;
        let AbortReason::WrongKey(shown) = &reason else {
            panic!("{reason:?}")
        };
        assert!(shows_wrong_key(shown, &fixture.escrow.self_id(), &offer));
        assert_eq!(fixture.bank.held().last(), Some(&bought.id()));
        // The abort is final and every repetition returns it. The bank is told.
        assert_eq!(aborted(&fixture, &bought).await, reason);
        assert_eq!(fixture.escrow.settle_round().await.unwrap(), 0);
        assert_eq!(fixture.bank.settled().last(), Some(&bought.id()));
        // A release with the right key comes too late.
        let hold = bought.hold();
        assert_eq!(
            fixture.refused(hold).await,
            PurchaseFault::Aborted(bought.id()).into()
        );
    }
    let listed = fixture.ask(sales(&fixture, &fixture.merchant, 0)).await.unwrap();
    assert!(listed.sales.is_empty(), "nothing was sold");
}

/// A sealed key without a proof of its own is refused before anything is opened or held.
///
/// The point that an escrow publishes for a wrong key opens everything sealed with the same ephemeral key. A thief who
/// copies that key into their own offer cannot prove knowledge of its secret, and gets no point.
#[tokio::test]
async fn a_sealed_key_without_its_own_proof_is_not_opened_and_no_coin_is_held() {
    let mut fixture = EscrowFixture::new();
    let honest = sealing(&fixture, &goods_key());
    let stolen = honest.sealed_key.unwrap();
    let mut theirs = fixture.offer(24);
    theirs.title = "another picture".into();
    let mut no_point = stolen;
    no_point.sealed.ephemeral.0 = [0xff; 32];
    let mut no_proof = stolen;
    no_proof.proof = None;
    for offered in [stolen, no_point, no_proof] {
        theirs.sealed_key = Some(offered);
        let bought = order(&mut fixture, theirs.clone());
        let refusal = fixture.refused(pay(&bought)).await;
        assert!(
            matches!(refusal, Refusal::Contract(ContractFault::DoesNotFit(_))),
            "{refusal}"
        );
    }
    assert!(fixture.bank.held().is_empty());
}

#[tokio::test]
async fn a_goods_key_that_does_not_unwrap_the_content_key_is_not_committed() {
    let mut fixture = EscrowFixture::new();
    let mut offer = fixture.offer(24);
    offer.wrapped_key.tag[0] ^= 1;
    let bought = order(&mut fixture, offer);
    let hold = fixture.held(&bought).await;
    let refusal = fixture.refused(fixture.release(&bought, &hold)).await;
    assert_eq!(refusal, ContractFault::WrongGoodsKey.into());
    assert_eq!(fixture.ask(bought.outcome()).await.unwrap(), Outcome::Undecided);
}

#[tokio::test]
async fn a_sealed_key_is_bound_to_every_other_field_of_its_offer() {
    let fixture = EscrowFixture::new();
    let offer = sealing(&fixture, &goods_key());
    let changes: [fn(&mut Offer); 20] = [
        |o| o.merchant = secret_key(5).public(),
        |o| o.sale_id.0[0] ^= 1,
        |o| o.item_id.0[0] ^= 1,
        |o| o.title.push('!'),
        |o| o.description.push('!'),
        |o| o.media_type.push('!'),
        |o| o.size_bytes += 1,
        |o| o.encrypted_bytes += 1,
        |o| o.goods_digest.0[0] ^= 1,
        |o| o.encrypted_digest.0[0] ^= 1,
        |o| o.wrapped_key.body.0[0] ^= 1,
        |o| o.wrapped_key.tag[0] ^= 1,
        |o| o.key_commitment.0[0] ^= 1,
        |o| o.price.0 += 1,
        |o| o.currency.push('!'),
        |o| o.escrows[0] = secret_key(5).public(),
        |o| o.banks[0].account = secret_key(5).public(),
        |o| o.expires_ms += 1,
        |o| o.served_until_ms += 1,
        |o| o.sales = SaleLimit::Unlimited,
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut changed = offer.clone();
        change(&mut changed);
        assert_ne!(
            changed.sealing_context(),
            offer.sealing_context(),
            "change {number}"
        );
    }
    let mut without = offer.clone();
    without.sealed_key = None;
    assert_eq!(without.sealing_context(), offer.sealing_context());
    assert_ne!(without.digest(), offer.digest(), "it is signed all the same");
    let mut two = offer;
    two.escrows.push(secret_key(5).public());
    two.sales = SaleLimit::Unlimited;
    assert!(two.check_bounds().is_err(), "it is sealed to one escrow");
}

#[tokio::test]
async fn nothing_is_decided_before_the_bank_has_held() {
    let mut fixture = EscrowFixture::new();
    let bought = sealed(&mut fixture);
    for mood in [Mood::Lying, Mood::Refusing(Later::NotYet.into())] {
        fixture.bank.set_mood(mood);
        let refusal = fixture.refused(pay(&bought)).await;
        assert!(matches!(refusal, Refusal::Later(_)), "{refusal}");
    }
    fixture.bank.set_mood(Mood::Honest);
    fixture.wire.detach(&fixture.bank.key());
    let refusal = fixture.refused(pay(&bought)).await;
    assert!(matches!(refusal, Refusal::Later(_)), "{refusal}");
    assert_eq!(fixture.ask(bought.outcome()).await.unwrap(), Outcome::Undecided);
}

#[tokio::test]
async fn paying_for_an_aborted_purchase_gets_the_abort() {
    let mut fixture = EscrowFixture::new();
    let bought = sealed(&mut fixture);
    fixture.ask(bought.cancel()).await.unwrap();
    let by_customer = AbortReason::CancelledBy(bought.cancel().signature);
    assert_eq!(aborted(&fixture, &bought).await, by_customer);
    assert!(fixture.bank.held().is_empty());
}

#[tokio::test]
async fn one_offer_is_sold_once_and_an_unsealed_offer_cannot_be_paid_in_one_request() {
    let mut fixture = EscrowFixture::new();
    let (bought, rival) = (sealed(&mut fixture), sealed(&mut fixture));
    fixture.ask(pay(&bought)).await.unwrap();
    assert_eq!(fixture.refused(pay(&rival)).await, PurchaseFault::Sold.into());
    let released = fixture.order();
    let refusal = fixture.refused(pay(&released)).await;
    assert!(
        matches!(refusal, Refusal::Contract(ContractFault::DoesNotFit(_))),
        "{refusal}"
    );
}

#[tokio::test]
async fn a_wrong_sealed_key_sells_nothing_so_that_the_merchant_can_release_another_purchase_of_the_offer() {
    let mut fixture = EscrowFixture::new();
    let offer = sealing(&fixture, &GoodsKey::from_bytes([9; 32]));
    let (bought, again) = (order(&mut fixture, offer.clone()), order(&mut fixture, offer));
    let reason = aborted(&fixture, &bought).await;
    assert!(matches!(reason, AbortReason::WrongKey(_)), "{reason:?}");
    let hold = fixture.held(&again).await;
    fixture.ask(fixture.release(&again, &hold)).await.unwrap();
}

#[tokio::test]
async fn only_the_merchant_is_told_of_its_sales_in_order() {
    let mut fixture = EscrowFixture::new();
    let mut sold = Vec::new();
    for number in 0..=SALES_PAGE_MAX as u8 {
        let mut offer = fixture.offer(24);
        offer.sale_id = SaleId([number; 32]);
        offer.wrapped_key = wrap(&goods_key(), &offer.sale_id, &ContentKey::from_bytes([5; 32])).unwrap();
        let context = offer.sealing_context();
        let sealed_key = OfferedKey::seal(&secret_key(77), &fixture.escrow.self_id(), &context, &goods_key());
        offer.sealed_key = Some(sealed_key.unwrap());
        let bought = order(&mut fixture, offer);
        fixture.ask(pay(&bought)).await.unwrap();
        sold.push(bought.id());
    }
    fixture.restart();
    let ask = |known| fixture.ask(sales(&fixture, &fixture.merchant, known));
    let first = ask(0).await.unwrap();
    assert!(first.more);
    let rest = ask(SALES_PAGE_MAX as u64).await.unwrap();
    assert!(!rest.more);
    let told = first.sales.iter().chain(&rest.sales);
    let told: Vec<_> = told.map(|sale| sale.contract.terms.purchase_id()).collect();
    assert_eq!(told, sold);
    for sale in &first.sales {
        let contract = sale.contract.clone().verified().unwrap();
        check_hold(contract.contract(), &sale.hold).unwrap();
        assert_eq!(sale.committed.receipt.body.purchase, contract.purchase());
        fixture.signed_here(&sale.committed.receipt);
        fixture.signed_here(&sale.committed.commit);
    }
    assert!(ask(SALES_PAGE_MAX as u64 + 1).await.unwrap().sales.is_empty());
    assert!(ask(u64::MAX).await.unwrap().sales.is_empty());

    let forged = fixture.refused(sales(&fixture, &secret_key(5), 0)).await;
    assert!(matches!(forged, Refusal::Request(RequestFault::Signature { .. })));
    let mut elsewhere = sales(&fixture, &fixture.merchant, 0).body;
    elsewhere.escrow = secret_key(5).public();
    let elsewhere = fixture.refused(Signed::sign(elsewhere, &fixture.merchant)).await;
    assert!(matches!(
        elsewhere,
        Refusal::Request(RequestFault::NotForMe { .. })
    ));
}
