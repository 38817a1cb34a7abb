//! The wallet as a library: the client's example buys from real nodes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is how a test fails"
)]

/// The client's example.
#[allow(dead_code, reason = "the example's own command line is not called")]
#[path = "../../client/examples/buy.rs"]
mod buy;

use farthing_kit::market::{Layout, Market, Offers};
use farthing_protocol::money::Amount;
use std::{fs, path::Path};

/// The program that is every node, built with these tests.
const PROGRAM: &str = env!("CARGO_BIN_EXE_farthing-tested");

/// The amount that is paid in and withdrawn.
const PAID_IN: Amount = Amount(1000);

#[tokio::test(flavor = "multi_thread")]
async fn the_example_buys_an_item_and_verifies_its_receipt() {
    let dir = tempfile::tempdir().unwrap();
    let nodes = dir.path().join("nodes");
    let market = Market::make(Path::new(PROGRAM), &nodes, Layout::default())
        .await
        .expect("the nodes are made");
    market.start().await.expect("the nodes start");
    let goods = dir.path().join("postcard.txt");
    fs::write(&goods, "a view of the harbour").unwrap();
    let sold = market.sell(&goods, "Evening postcard", Amount(150), Offers::Plain);
    sold.await.expect("the item is for sale");

    let shopping = buy::Shopping {
        wallet: dir.path().join("wallet"),
        parties: market.parties(),
        amount: PAID_IN,
        title: "Evening postcard".into(),
    };
    let wallet = buy::open(&shopping.wallet).expect("a new wallet");
    let account = wallet
        .account(&shopping.parties.bank.identity)
        .unwrap()
        .to_string();
    wallet.close().unwrap();
    market
        .open_account(&account, "customer")
        .await
        .expect("an account");
    market.pay_in(&account, PAID_IN).await.expect("money");

    let bought = buy::run(&shopping).await.expect("the example ends well");
    assert_eq!(fs::read(bought).unwrap(), fs::read(goods).unwrap());
}
