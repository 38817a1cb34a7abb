//! Prices and the number of coins of a payment: a wallet of many small coins, and a price that is too high for any
//! payment.

use farthing_client::{error::WalletError, wallet::Wallet};
use farthing_node::card::{Card, RoleName};
use farthing_protocol::{
    api::{BankRequest, MerchantRequest},
    limits::COINS_PER_REQUEST_MAX,
    money::Amount,
};
use farthing_simulation::{
    foundation::ITEM,
    local,
    machine::Death,
    money::spendable,
    schedule::{FUNDS, WITHDRAWN},
    server::bank_settings,
    shopping::picture,
    world::World,
};
use std::sync::atomic::{AtomicUsize, Ordering};

fn is_exchange(card: &Card, request: &[u8]) -> bool {
    let request = BankRequest::decode(request);
    card.role == RoleName::Bank && matches!(request, Ok(BankRequest::ExchangeBegin(_)))
}

/// Buys with a wallet of small coins whose second exchange is not answered. Then `carry_on` finishes the purchase in a
/// new process.
fn pays_after_an_interruption(carry_on: impl AsyncFn(&Wallet)) {
    const COINS: u64 = 200;
    local(async {
        let price = Amount(COINS - 10);
        let world = World::with_price(51, price).await;
        let customer = world.customer("alice", FUNDS).await;
        let wallet = customer.wallet();
        let parties = world.parties();
        for _ in 0..COINS {
            wallet.withdraw(&parties.bank, Amount(1)).await.expect("a coin");
        }
        assert_eq!(wallet.present_coins().expect("the coins").len(), COINS as usize);

        // The first exchange succeeds, and the bank does not answer to the second.
        let begun = AtomicUsize::new(0);
        world.network.block(move |card, request| {
            is_exchange(card, request) && begun.fetch_add(1, Ordering::SeqCst) > 0
        });
        let stuck = wallet.buy(&parties, ITEM, &picture(&world, 1)).await;
        assert!(stuck.as_ref().is_err_and(WalletError::is_silence), "{stuck:?}");
        drop(wallet);
        world.network.unblock();

        let wallet = customer.wallet_after(Death::Killed);
        carry_on(&wallet).await;
        let (_, row) = wallet.purchases().expect("the purchases").remove(0);
        assert_eq!(row.purchase.status(), "committed");
        let order = row.purchase.order().expect("an order");
        assert!(order.payment.coins.len() <= COINS_PER_REQUEST_MAX);
        assert_eq!(spendable(&wallet), Amount(COINS - price.0));
        world.check(&[&wallet]).await;
    });
}

#[test]
fn a_wallet_of_small_coins_pays_after_exchanges_that_may_be_interrupted() {
    pays_after_an_interruption(async |wallet| {
        let resumed = wallet.resume().await.expect("the wallet resumes");
        assert!(resumed.open.is_empty(), "{:?}", resumed.open);
    });
}

#[test]
fn a_purchase_that_is_carried_on_alone_finds_its_coins_in_an_interrupted_exchange() {
    pays_after_an_interruption(async |wallet| {
        wallet.drive_purchase(0).await.expect("the purchase is paid");
    });
}

#[test]
fn a_price_that_no_payment_can_have_is_refused_before_anything_is_fetched() {
    local(async {
        let largest = *bank_settings().values.last().expect("a value");
        let highest = Amount(largest * COINS_PER_REQUEST_MAX as u64);
        let world = World::with_price(52, Amount(highest.0 + 1)).await;
        let wallet = world.customer("alice", FUNDS).await.wallet();
        let parties = world.parties();
        wallet.withdraw(&parties.bank, WITHDRAWN).await.expect("coins");
        world.network.schedule([]);
        let refused = wallet.buy(&parties, ITEM, &picture(&world, 1)).await;
        let Err(WalletError::NotPayable { highest: named, .. }) = &refused else {
            panic!("{refused:?}");
        };
        assert_eq!(*named, highest);
        assert!(wallet.purchases().expect("the purchases").is_empty());
        assert_eq!(spendable(&wallet), WITHDRAWN);
        let sent = world.network.sent();
        let is_harmless = |request: &[u8]| {
            matches!(
                MerchantRequest::decode(request),
                Ok(MerchantRequest::Catalog(_) | MerchantRequest::Offer(_))
            )
        };
        assert!(sent.iter().all(|sent| is_harmless(&sent.request)));
    });
}
