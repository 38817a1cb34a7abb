//! Two commands of one wallet at the same time: commands that only read run, and a second purchase waits.

use crate::testbed;
use farthing_tests::processes::{
    buyer::PurchaseRequest,
    goods::{POSTCARD, PRICE},
    run::Wait,
};

#[test]
fn during_a_purchase_the_wallet_is_shown_and_a_second_purchase_waits() {
    let testbed = testbed();
    let alice = testbed.customer("alice");
    let before = alice.balance()[0];
    let first = alice.starts_buying_up_to(PurchaseRequest::Hold, "60");

    assert_eq!(alice.status(0), "holding");
    let [_, in_purchases, _] = alice.balance();
    assert!(in_purchases >= PRICE);
    let coins = alice.done(&["coins"]);
    assert!(
        coins["coins"]
            .as_array()
            .unwrap()
            .iter()
            .any(|coin| coin["status"] == "in-purchase")
    );
    alice.done(&["account", "--key"]);
    assert_eq!(alice.done(&["catalog", "studio"])["items"][0]["title"], POSTCARD);

    let again = alice.buying(POSTCARD, "again");
    let again: Vec<&str> = again.iter().map(String::as_str).collect();
    let refused = alice.run(&[&["--wait", "0"], again.as_slice()].concat()).json(1);
    assert!(
        refused["error"]
            .as_str()
            .unwrap()
            .contains("in use by `farthing buy`"),
        "{refused}"
    );
    let mut second = alice.start(&again);
    second.until_says("another command has the wallet").wait();

    alice.lines.heal();
    first.end().wait().must_end_with(0);
    second.end().wait().must_end_with(0);
    assert!((0..2).all(|number| alice.status(number) == "committed"));
    assert_eq!(alice.balance(), [before - 2 * PRICE, 0, 0]);
    testbed.check(&[&alice]);
}
