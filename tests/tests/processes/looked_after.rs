//! `farthing run`, which looks after a wallet while other commands use it.

use crate::testbed;
use farthing_tests::processes::{
    goods::{POSTCARD, PRICE},
    run::{Wait, until},
};

#[test]
fn a_purchase_is_finished_by_the_service_beside_other_commands() {
    let testbed = testbed();
    let alice = testbed.customer("alice");
    let before = alice.balance()[0];
    alice.waits_with_a_hold();
    let service = alice.start_quietly(&["run"]);
    until("the purchase is finished", || {
        (alice.status(0) == "committed").then_some(())
    });
    // The wallet is free while the service waits.
    alice.buys(POSTCARD, "second");
    let said = service.stop().wait();
    said.must_end_with(0);
    let job = said.printed();
    assert_eq!(job["job"], "finish", "{job}");
    assert_eq!(job["matter"], "purchase 0");
    assert_eq!(job["code"], 0);
    assert_eq!(alice.balance(), [before - 2 * PRICE, 0, 0]);

    let once = alice.run(&["run", "--once"]);
    once.must_end_with(0);
    assert_eq!(once.out, "", "nothing was due");
    testbed.check(&[&alice]);
}
