//! A repeated command while its purchase or withdrawal is under way: it continues that one, and pays once.

use crate::testbed;
use farthing_node::card::RoleName::{Bank, Escrow};
use farthing_tests::processes::{
    buyer::units,
    goods::{POSTCARD, PRICE},
};

#[test]
fn a_purchase_that_is_typed_again_is_carried_on() {
    let testbed = testbed();
    let alice = testbed.customer("alice");
    let before = alice.balance()[0];
    let output = alice.goods("goods");
    let buy = ["buy", "studio", POSTCARD, "-o", output.to_str().unwrap()];
    alice.lines.lose_requests_to(&[Escrow]);
    alice.into_silence(&buy);
    assert_eq!(alice.status(0), "holding");
    alice.into_silence(&buy);
    assert_eq!(alice.purchases().len(), 1);
    let refused = alice.run(&[&buy[..], &["--at-most", "0.01"]].concat()).error(1);
    assert!(refused.contains("farthing cancel 0"), "{refused}");
    alice.lines.heal();

    let elsewhere = alice.goods("elsewhere");
    let bought = alice.done(&["buy", "studio", POSTCARD, "-o", elsewhere.to_str().unwrap()]);
    assert!(elsewhere.exists() && !output.exists());
    assert_eq!(
        (&bought["carried_on"], &bought["purchase"]["number"]),
        (&true.into(), &0.into())
    );
    alice.done(&["resume"]);
    assert_eq!(alice.purchases().len(), 1);
    assert_eq!(alice.balance(), [before - PRICE, 0, 0]);

    // The first purchase has ended, so the same command begins a new one.
    alice.done(&["withdraw", "20.00"]);
    let output = alice.goods("more goods");
    let bought = alice.done(&["buy", "studio", POSTCARD, "-o", output.to_str().unwrap()]);
    assert_eq!(bought["purchase"]["number"], 1);
    // `--again` begins another purchase while one is under way.
    alice.lines.lose_requests_to(&[Escrow]);
    alice.buys_into_silence(POSTCARD, "third");
    alice.buys_into_silence(POSTCARD, "fourth");
    alice.lines.heal();
    alice.done(&["resume"]);
    assert_eq!(alice.purchases().len(), 4);
    testbed.check(&[&alice]);
}

#[test]
fn an_exchange_that_is_typed_again_is_carried_on() {
    let testbed = testbed();
    let alice = testbed.customer("alice");
    let before = alice.balance()[0];
    alice.lines.lose_requests_to(&[Bank]);
    alice.into_silence(&["exchange", "--all"]);
    alice.lines.heal();
    let [available, _, in_exchanges] = alice.balance();
    assert_eq!((available < before, available + in_exchanges), (true, before));
    let exchanged = alice.done(&["exchange", "--all"]);
    assert_eq!(units(&exchanged["exchanged"]), before);
    assert_eq!(alice.balance(), [before, 0, 0]);

    // A purchase whose coins are in an interrupted exchange carries it on.
    alice.lines.lose_requests_to(&[Bank]);
    alice.into_silence(&["exchange", "--all"]);
    assert_eq!(alice.balance(), [0, 0, before]);
    alice.lines.heal();
    alice.buys(POSTCARD, "goods");
    assert_eq!(alice.balance(), [before - PRICE, 0, 0]);
    testbed.check(&[&alice]);
}

#[test]
fn a_withdrawal_that_is_typed_again_is_carried_on_and_shown_meanwhile() {
    let testbed = testbed();
    let alice = testbed.customer("alice");
    let before = alice.balance()[0];
    alice.lines.lose_requests_to(&[Bank]);
    for _ in 0..2 {
        alice.into_silence(&["withdraw", "10.00"]);
        assert_eq!(
            units(&alice.done(&["balance"])["balances"][0]["in_withdrawals"]),
            1000
        );
    }
    // The key and the money under way are shown although the bank is silent.
    let account = alice.into_silence(&["account"]);
    assert_eq!(account["account"], alice.account);
    assert_eq!(units(&account["in_withdrawals"]), 1000);
    let refused = alice.run(&["withdraw", "5.00"]).error(1);
    assert!(
        refused.contains("a withdrawal of 10.00") && refused.contains("--again"),
        "{refused}"
    );
    alice.into_silence(&["withdraw", "5.00", "--again"]);
    assert_eq!(
        units(&alice.done(&["balance"])["balances"][0]["in_withdrawals"]),
        1500
    );
    alice.lines.heal();

    let withdrawn = alice.done(&["withdraw", "10.00"]);
    assert_eq!(withdrawn["carried_on"], true);
    assert_eq!(units(&withdrawn["balances"][0]["in_withdrawals"]), 500);
    alice.done(&["resume"]);
    assert_eq!(alice.balance(), [before + 1500, 0, 0]);
    assert_eq!(testbed.account(&alice.account), 5000 - before - 1500);
    testbed.check(&[&alice]);
}
