//! What a merchant forgets of its sales, and what it does not.

use crate::strangers::{EXACT, stranger};
use farthing_kit::by_hand::ByHand;
use farthing_node::{admin::AdminHandler, card::Card, serve::Role};
use farthing_protocol::{
    api::BankRequest,
    documents::PurchaseId,
    offer::DeliverRequest,
    refusal::{PurchaseFault, Refusal},
};
use farthing_simulation::{
    long_past::{LONG_PAST, epochs_pass},
    party::Party,
    server::bank_settings,
    world::World,
};
use serde_json::json;

const MERCHANT: Party = Party::Merchant(0);

fn is_refund(_: &Card, request: &[u8]) -> bool {
    matches!(BankRequest::decode(request), Ok(BankRequest::Refund(_)))
}

async fn bought(hand: &ByHand) -> DeliverRequest {
    let bought = hand.order(&hand.withdraw(&EXACT).await).await;
    let request = bought.deliver(&hand.held(&bought).await);
    hand.ask(request.clone()).await.expect("a receipt");
    request
}

fn id(request: &DeliverRequest) -> PurchaseId {
    request.contract.terms.purchase_id()
}

/// The purchases (hex) that the merchant lists.
async fn listed(world: &World) -> Vec<String> {
    let asked = json!({ "do": "sales", "after": null });
    let page = world.merchant(0).admin(asked).await.expect("the sales");
    let lines = page["lines"].as_array().expect("lines").iter();
    let purchases = lines.map(|line| line["purchase"].as_str().expect("a purchase").to_owned());
    purchases.collect()
}

/// A merchant sells twice, and refunds one of the sales at a bank that does not hear of it. Years later it has forgotten the other
/// one, whose customer comes again when the merchant's clock has gone back.
pub async fn sales_that_are_long_past() {
    let (world, hand) = stranger(62).await;
    let (first, second) = (bought(&hand).await, bought(&hand).await);
    world.settle().await;
    world.network.block(is_refund);
    let refund = json!({ "do": "refund", "sale": id(&second).to_string(), "total": 100 });
    let merchant = world.merchant(0);
    merchant.admin(refund).await.expect("the refund is set");
    let before = merchant.books().await.expect("the books");
    drop(merchant);

    epochs_pass(&world, LONG_PAST, None).await;
    let kept = [id(&second).to_string()];
    assert_eq!(
        listed(&world).await,
        kept,
        "progress or evidence: not only sales that are long past are forgotten"
    );
    let after = world.merchant(0).books().await.expect("the books");
    assert_eq!(after, before, "money: the merchant's books lose sales");

    let back_ms = (LONG_PAST * bank_settings().calendar.epoch_ms) as i64;
    world.machine(MERCHANT).clock.set_wrong_by_ms(-back_ms);
    let again = hand.ask(first.clone()).await;
    let closed: Refusal = PurchaseFault::Closed(id(&first)).into();
    assert_eq!(
        again.expect_err("no receipt"),
        closed,
        "finality: a forgotten sale begins again"
    );
    assert_eq!(
        listed(&world).await,
        kept,
        "finality: a forgotten sale begins again"
    );
}
