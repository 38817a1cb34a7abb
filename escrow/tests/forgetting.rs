//! Forgetting: purchases that are long past leave no row, and are not decided a second time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod support;

use farthing_coin::Signed;
use farthing_escrow::rows::{
    ACKNOWLEDGED, CANCELS, CLOSED_BEFORE, DECISIONS, PURGE, Place, SEALED_SALES, SINGLE_SALES,
};
use farthing_node::serve::Role;
use farthing_protocol::{
    decision::Outcome,
    documents::{Hold, Offer, PurchaseId, SaleLimit},
    limits::{
        CANCEL_HORIZON_MS, CLOSED_AFTER_EPOCHS, CLOSED_AFTER_MS, RELEASED_GRACE_MS, SINGLE_SALE_HORIZON_MS,
    },
    offered_key::OfferedKey,
    refusal::{CoinFault, CoinsFault, ContractFault, PurchaseFault, Refusal},
    sealed::{PayRequest, SalesRequest},
};
use farthing_store::limits::SCAN_MAX_ROWS;
use std::ops::Bound;
use support::bank::{EPOCH, EPOCH_MS, Mood, secret_key};
use support::{Bought, EscrowFixture, HOUR_MS, goods_key};

/// When the first epoch is closed. Its coins can be spent for two epochs more, and exchanged for another.
const CLOSED_MS: u64 =
    (EPOCH as u64 + 4 + CLOSED_AFTER_EPOCHS as u64) * EPOCH_MS + RELEASED_GRACE_MS + CLOSED_AFTER_MS;

/// The first epoch that begins after that.
const LAST_EPOCH: u32 = CLOSED_MS.div_ceil(EPOCH_MS) as u32;

/// Lets time pass until `now_ms`, with a bank that has keys up to this epoch, and the escrow off meanwhile.
async fn years_pass(fixture: &mut EscrowFixture, now_ms: u64, epoch: u32) {
    fixture.bank.add_epochs(epoch);
    fixture.clock.set(now_ms);
    fixture.restart();
    fixture.witnessed().await;
    fixture
        .escrow
        .bank_keys()
        .refresh(&fixture.bank.key())
        .await
        .unwrap();
}

/// Runs rounds until nothing more is to be done. Returns how many rows were forgotten.
async fn purged(fixture: &EscrowFixture) -> usize {
    let mut forgotten = 0;
    loop {
        let round = fixture.escrow.purge_round().await.unwrap();
        forgotten += round.forgotten;
        if !round.more {
            return forgotten;
        }
    }
}

fn decisions(fixture: &EscrowFixture) -> Vec<PurchaseId> {
    let rows = DECISIONS.scan(&fixture.store.view(), Bound::Unbounded, SCAN_MAX_ROWS);
    rows.unwrap().into_iter().map(|(purchase, _)| purchase).collect()
}

/// How many rows there are of acknowledgements, sealed sales, single sales, and coins that have cancelled.
fn rows(fixture: &EscrowFixture) -> [usize; 4] {
    let view = fixture.store.view();
    let all = Bound::Unbounded;
    [
        ACKNOWLEDGED.scan(&view, all, SCAN_MAX_ROWS).unwrap().len(),
        SEALED_SALES
            .scan(&view, Bound::Unbounded, SCAN_MAX_ROWS)
            .unwrap()
            .len(),
        SINGLE_SALES
            .scan(&view, Bound::Unbounded, SCAN_MAX_ROWS)
            .unwrap()
            .len(),
        CANCELS
            .scan(&view, Bound::Unbounded, SCAN_MAX_ROWS)
            .unwrap()
            .len(),
    ]
}

/// An order on a sealed offer.
fn on_sealed_offer(fixture: &mut EscrowFixture) -> Bought {
    let mut offer = Offer {
        sales: SaleLimit::Unlimited,
        ..fixture.offer(24)
    };
    let to = fixture.escrow.self_id();
    let key = OfferedKey::seal(&secret_key(77), &to, &offer.sealing_context(), &goods_key());
    offer.sealed_key = Some(key.unwrap());
    let deadline_ms = fixture.now_ms() + HOUR_MS;
    fixture.order_of(offer, &[16, 8], deadline_ms)
}

/// What was decided, and what the escrow was shown for it.
struct DecidedPurchases {
    sold: Bought,
    hold: Signed<Hold>,
    sealed: Bought,
    cancelled: Bought,
    /// Sold, and not acknowledged by its bank.
    waiting: Bought,
}

async fn decided(fixture: &mut EscrowFixture) -> DecidedPurchases {
    let [sold, cancelled] = [fixture.order(), fixture.order()];
    let (sealed, waiting) = (on_sealed_offer(fixture), on_sealed_offer(fixture));
    let hold = fixture.held(&sold).await;
    fixture.ask(fixture.release(&sold, &hold)).await.unwrap();
    for sealed in [&sealed, &waiting] {
        fixture.ask(PayRequest(sealed.hold())).await.unwrap();
    }
    fixture.ask(cancelled.cancel()).await.unwrap();
    fixture.bank.set_mood(Mood::Denying(waiting.id()));
    assert_eq!(fixture.escrow.settle_round().await.unwrap(), 1);
    DecidedPurchases {
        sold,
        hold,
        sealed,
        cancelled,
        waiting,
    }
}

fn closed(bought: &Bought) -> Refusal {
    PurchaseFault::Closed(bought.id()).into()
}

#[tokio::test]
async fn what_is_long_past_is_forgotten_and_not_decided_again() {
    let mut fixture = EscrowFixture::new();
    let began_ms = fixture.now_ms();
    let never = fixture.order();
    let DecidedPurchases {
        sold,
        hold,
        sealed,
        cancelled,
        waiting,
    } = decided(&mut fixture).await;
    assert_eq!(rows(&fixture), [3, 2, 1, 1]);

    years_pass(&mut fixture, CLOSED_MS - 1, LAST_EPOCH).await;
    assert_eq!(purged(&fixture).await, 0, "a millisecond too early");
    years_pass(&mut fixture, CLOSED_MS, LAST_EPOCH).await;
    // Two sales of a merchant's list, three decisions, a single sale, and a coin.
    assert_eq!(purged(&fixture).await, 7);
    assert_eq!(
        decisions(&fixture),
        [waiting.id()],
        "its bank has not acknowledged it"
    );
    assert_eq!(rows(&fixture), [0; 4]);
    let books = fixture.escrow.books().await.unwrap().unwrap();
    assert_eq!(books.acts, 4, "the forgotten ones are counted");
    assert_eq!(purged(&fixture).await, 0, "a pass begins once for each epoch");

    // The clock goes back, and the operator says that it is right.
    for now_ms in [CLOSED_MS, began_ms] {
        fixture.clock.set(now_ms);
        fixture.restart();
        fixture.witnessed().await;
        fixture.escrow.accept_clock().await.unwrap();
        for bought in [&sold, &sealed, &cancelled, &never] {
            assert_eq!(fixture.refused(fixture.overdue(bought)).await, closed(bought));
        }
        assert_eq!(
            fixture.refused(fixture.release(&sold, &hold)).await,
            closed(&sold)
        );
        let outcome = fixture.ask(waiting.cancel()).await.unwrap();
        assert!(
            matches!(outcome, Outcome::Committed(_)),
            "it still waits for its bank"
        );
    }
    assert_eq!(fixture.refused(PayRequest(sealed.hold())).await, closed(&sealed));
    // The coins of a closed epoch cancel nothing, so only a younger one gets as far as the refusal.
    let young = fixture.bank.mint_in(LAST_EPOCH, 8);
    for bought in [&sold, &never] {
        let refused = fixture.refused(bought.cancel()).await;
        let is_expired = |what: &CoinFault| matches!(what, CoinFault::Expired { .. });
        assert!(matches!(&refused, Refusal::Coins(CoinsFault { what, .. }) if is_expired(what)));
        let cancel = bought.cancel_with(&young);
        assert_eq!(fixture.refused(cancel).await, closed(bought));
    }
    let page = fixture.ask(sales_of(&fixture)).await.unwrap();
    assert!(page.sales.is_empty() && !page.more);

    // Its bank knows no such purchase. It has applied the commit and forgotten it.
    assert_eq!(fixture.escrow.settle_round().await.unwrap(), 1);
    assert_eq!(fixture.escrow.settle_round().await.unwrap(), 0);
    assert_eq!(decisions(&fixture), []);
    assert_eq!(fixture.escrow.books().await.unwrap().unwrap().acts, 4);
}

fn sales_of(fixture: &EscrowFixture) -> Signed<SalesRequest> {
    let request = SalesRequest {
        escrow: fixture.escrow.self_id(),
        merchant: fixture.merchant.public(),
        known: 0,
    };
    Signed::sign(request, &fixture.merchant)
}

#[tokio::test]
async fn a_clock_that_is_years_ahead_forgets_nothing() {
    let mut fixture = EscrowFixture::new();
    decided(&mut fixture).await;
    for now_ms in [CLOSED_MS, 2 * CLOSED_MS] {
        years_pass(&mut fixture, now_ms, LAST_EPOCH - 1).await;
        assert_eq!(purged(&fixture).await, 0);
    }
    assert_eq!(decisions(&fixture).len(), 4);
    // What is before the first epoch is closed.
    let bank = fixture.bank.key();
    let closed = CLOSED_BEFORE.peek(&fixture.store.view(), &bank).unwrap();
    assert_eq!(closed, Some(u64::from(EPOCH) * EPOCH_MS));
}

#[tokio::test]
async fn a_pass_goes_on_after_a_restart() {
    let mut fixture = EscrowFixture::new();
    decided(&mut fixture).await;
    years_pass(&mut fixture, CLOSED_MS, LAST_EPOCH).await;
    let mut forgotten = 0;
    let place = |fixture: &EscrowFixture| PURGE.peek(&fixture.store.view(), &()).unwrap();
    let mut places = Vec::new();
    loop {
        let round = fixture.escrow.purge_round().await.unwrap();
        forgotten += round.forgotten;
        if !round.more {
            break;
        }
        places.push(place(&fixture).unwrap());
        fixture.restart();
        fixture.witnessed().await;
    }
    assert_eq!(forgotten, 7);
    assert_eq!(
        places[..3],
        [
            Place::Decisions(None),
            Place::SingleSales(None),
            Place::Cancels(None)
        ]
    );
    assert_eq!(place(&fixture), None);
}

#[tokio::test]
async fn a_deadline_that_no_hold_has_is_not_cancelled() {
    let mut fixture = EscrowFixture::new();
    let offer = Offer {
        expires_ms: u64::MAX,
        ..fixture.offer(24)
    };
    let last_ms = fixture.now_ms() + CANCEL_HORIZON_MS;
    let far = fixture.order_of(offer.clone(), &[16, 8], last_ms + 1);
    assert_eq!(
        fixture.refused(far.cancel()).await,
        ContractFault::DeadlineTooFar.into()
    );
    let near = fixture.order_of(offer.clone(), &[16, 8], last_ms);
    fixture.ask(near.cancel()).await.unwrap();
    // The clock has leapt, so it bounds nothing.
    fixture.clock.set(fixture.now_ms() - 3 * HOUR_MS);
    fixture.ask(far.cancel()).await.unwrap();
}

#[tokio::test]
async fn an_abort_that_no_bank_acknowledges_is_forgotten() {
    let mut fixture = EscrowFixture::new();
    let [waiting, without_card] = [fixture.order(), fixture.order()];
    fixture.witnessed().await;
    fixture.ask(waiting.cancel()).await.unwrap();
    fixture.restart_without_card();
    fixture.ask(without_card.cancel()).await.unwrap();
    assert_eq!(decisions(&fixture).len(), 2);
    years_pass(&mut fixture, CLOSED_MS, LAST_EPOCH).await;
    // Each with the coin that was shown.
    assert_eq!(purged(&fixture).await, 4);
    assert_eq!(decisions(&fixture), []);
    assert_eq!(
        fixture.escrow.settle_round().await.unwrap(),
        0,
        "nothing is pushed"
    );
}

#[tokio::test]
async fn an_offer_that_is_sold_once_ends_before_its_sale_is_forgotten() {
    let mut fixture = EscrowFixture::new();
    let offer = |fixture: &EscrowFixture, sales, expires_ms| Offer {
        sales,
        expires_ms,
        ..fixture.offer(24)
    };
    let (now_ms, last_ms) = (fixture.now_ms(), fixture.now_ms() + SINGLE_SALE_HORIZON_MS);
    let late = offer(&fixture, SaleLimit::Once, last_ms + 1);
    let late = fixture.order_of(late, &[16, 8], now_ms + HOUR_MS);
    let refused = fixture.refused(late.hold()).await;
    assert!(matches!(
        refused,
        Refusal::Contract(ContractFault::OfferBounds(_))
    ));
    for (sales, expires_ms) in [(SaleLimit::Once, last_ms), (SaleLimit::Unlimited, u64::MAX)] {
        let good = offer(&fixture, sales, expires_ms);
        let good = fixture.order_of(good, &[16, 8], now_ms + HOUR_MS);
        fixture.held(&good).await;
    }
}
