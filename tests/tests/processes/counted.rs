//! The count at the end can fail: it finds a unit that was made of nothing, and goods that are not those. And a short
//! soak, of which it decides how it ends.

use crate::{PROGRAM, testbed};
use farthing_tests::processes::{
    goods::POSTCARD,
    run::{Wait, tell},
    seed::fresh_seed,
    soak::{self, Plan},
    testbed::Testbed,
};
use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    time::Duration,
};

#[test]
fn the_count_finds_one_unit_too_many_and_goods_that_are_not_those() {
    let testbed = testbed();
    let alice = testbed.customer("alice");
    alice.buys(POSTCARD, "goods");
    testbed.check(&[&alice]);
    let finds = |testbed: &Testbed| catch_unwind(AssertUnwindSafe(|| testbed.check(&[&alice]))).is_err();
    assert!(!finds(&testbed));
    // Other goods than were sold.
    let (goods, original) = (alice.goods("goods"), testbed.original(POSTCARD));
    fs::write(&goods, "Greetings from somewhere else.\n").unwrap();
    assert!(finds(&testbed));
    fs::copy(original, goods).unwrap();
    assert!(!finds(&testbed));
    // Money that nobody has paid in.
    testbed
        .bank
        .admin(&["account", "credit"], &[&alice.account, "0.01"])
        .wait();
    assert!(finds(&testbed));
}

#[test]
fn a_short_soak_agrees_to_the_unit() {
    let plan = Plan {
        lasts: Duration::from_secs(6),
        wallets: 3,
        seed: fresh_seed(),
    };
    match soak::run(Path::new(PROGRAM), plan, |_, _| {}) {
        Ok(counted) => tell(&format!(
            "a soak of {} s by seed {}: {} purchases begun, {} commands met silence",
            plan.lasts.as_secs(),
            plan.seed,
            counted.of("purchases begun"),
            counted.of("commands that met silence"),
        )),
        Err(found) => panic!(
            "by seed {}: {}, kept in {}",
            plan.seed,
            found.what,
            found.dir.display()
        ),
    }
}
