//! Offers that expire before any coin is put to the purchase. The merchant's offers live for an hour.

use farthing_client::wallet::Wallet;
use farthing_node::{
    admin::AdminHandler,
    card::{Card, RoleName},
};
use farthing_protocol::api::{EscrowRequest, MerchantRequest};
use farthing_simulation::{
    customer::CustomerMachine,
    foundation::ITEM,
    local,
    money::spendable,
    schedule::{FUNDS, WITHDRAWN},
    shopping::picture,
    world::World,
};
use farthing_store::clock::Clock;
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

/// The age at which an offer has 15 seconds left (ms).
const SHORT_OF_AN_HOUR_MS: i64 = 60 * 60 * 1000 - 15_000;

/// Longer than an offer's life.
const TWO_HOURS: Duration = Duration::from_secs(2 * 60 * 60);

/// A wallet that has accepted an offer. Messages are recorded from there on.
async fn accepted(seed: u64) -> (Arc<World>, CustomerMachine, Wallet, u64) {
    let world = World::new(seed).await;
    let customer = world.customer("alice", FUNDS).await;
    let wallet = customer.wallet();
    let parties = world.parties();
    wallet.withdraw(&parties.bank, WITHDRAWN).await.expect("coins");
    let number = wallet.begin_purchase(&parties, ITEM, &picture(&world, 1)).await;
    world.network.schedule([]);
    (world, customer, wallet, number.expect("an offer"))
}

/// How many requests the merchant got for which `is_it` holds.
fn asked(world: &World, is_it: impl Fn(&MerchantRequest) -> bool) -> usize {
    let merchant = world.network.party(&world.parties().merchant.identity);
    let sent = world.network.sent().into_iter();
    sent.filter(|message| Some(message.to) == merchant)
        .filter_map(|message| MerchantRequest::decode(&message.request).ok())
        .filter(is_it)
        .count()
}

fn offers(world: &World) -> usize {
    asked(world, |request| matches!(request, MerchantRequest::Offer(_)))
}

fn is_piece(card: &Card, request: &[u8]) -> bool {
    let request = MerchantRequest::decode(request);
    card.role == RoleName::Merchant && matches!(request, Ok(MerchantRequest::Piece(_)))
}

/// Checks that the purchase was given up for a reason that has `says`, and that no coin was shown to the escrow.
fn given_up(world: &World, wallet: &Wallet, number: u64, says: &str) {
    let row = wallet.purchase(number).expect("its row");
    assert_eq!(row.purchase.status(), "dropped");
    let refusal = row.refusal.expect("a reason");
    assert!(refusal.contains(says), "{refusal}");
    let escrow = world.network.party(&world.parties().escrow.identity);
    let is_hold = |request: &[u8]| matches!(EscrowRequest::decode(request), Ok(EscrowRequest::Hold(_)));
    let sent = world.network.sent();
    assert!(
        !sent
            .iter()
            .any(|sent| Some(sent.to) == escrow && is_hold(&sent.request))
    );
    assert_eq!(spendable(wallet), WITHDRAWN);
}

#[test]
fn an_offer_that_has_expired_is_replaced() {
    local(async {
        let (world, _, wallet, number) = accepted(41).await;
        sleep(TWO_HOURS).await;
        wallet.drive_purchase(number).await.expect("the goods");
        assert_eq!(
            wallet.purchase(number).expect("its row").purchase.status(),
            "committed"
        );
        assert_eq!(offers(&world), 1);
        world.check(&[&wallet]).await;
    });
}

#[test]
fn an_offer_that_expires_during_the_download_is_replaced_and_the_goods_are_kept() {
    local(async {
        let (world, customer, wallet, number) = accepted(42).await;
        let clock = Arc::clone(&customer.machine.clock);
        world.network.block(move |card, request| {
            if is_piece(card, request) {
                clock.set_wrong_by_ms(SHORT_OF_AN_HOUR_MS);
            }
            false
        });
        wallet.drive_purchase(number).await.expect("the goods");
        let row = wallet.purchase(number).expect("its row");
        assert_eq!(row.purchase.status(), "committed");
        assert!(std::fs::read(row.output).expect("the goods") == world.foundation.goods(0));
        assert_eq!(offers(&world), 1);
        assert_eq!(
            asked(&world, |request| matches!(request, MerchantRequest::Piece(_))),
            1
        );
        customer.machine.clock.set_wrong_by_ms(0);
        world.check(&[&wallet]).await;
    });
}

#[test]
fn an_expired_offer_of_an_item_that_is_gone_costs_nothing() {
    local(async {
        let (world, _, wallet, number) = accepted(43).await;
        sleep(TWO_HOURS).await;
        let offer = wallet
            .purchase(number)
            .expect("its row")
            .purchase
            .offer()
            .body
            .clone();
        let removed = json!({
            "do": "goods-remove",
            "item": hex::encode(offer.item_id),
            "served_until_ms": world.clock.now_ms(),
        });
        world
            .merchant(0)
            .admin(removed)
            .await
            .expect("the item is removed");
        wallet.drive_purchase(number).await.expect("the end");
        given_up(
            &world,
            &wallet,
            number,
            "the offer had expired, and merchant `merchant-0` refused",
        );
    });
}

#[test]
fn a_clock_that_is_wrong_shows_no_coin_and_is_named() {
    local(async {
        let (world, customer, wallet, _) = accepted(44).await;
        let two_hours_ms = TWO_HOURS.as_millis() as i64;
        customer.machine.clock.set_wrong_by_ms(two_hours_ms);
        let bought = wallet.buy(&world.parties(), ITEM, &picture(&world, 2)).await;
        given_up(&world, &wallet, bought.expect("the end"), "is the clock right?");
        assert_eq!(offers(&world), 2);
    });
}
