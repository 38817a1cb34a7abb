//! The final count can fail: it finds one extra unit and changed goods. A short soak, which the final count checks.

use crate::{PROGRAM, testbed};
use farthing_tests::processes::{
    goods::POSTCARD,
    run::{Wait, tell},
    seed::fresh_seed,
    soak::{self, SoakOptions},
    testbed::Testbed,
};
use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    time::Duration,
};

#[test]
fn the_count_finds_one_extra_unit_and_changed_goods() {
    let testbed = testbed();
    let alice = testbed.customer("alice");
    alice.buys(POSTCARD, "goods");
    testbed.check(&[&alice]);
    let finds = |testbed: &Testbed| catch_unwind(AssertUnwindSafe(|| testbed.check(&[&alice]))).is_err();
    assert!(!finds(&testbed));
    // The delivered goods differ from the sold ones.
    let (goods, original) = (alice.goods("goods"), testbed.original(POSTCARD));
    fs::write(&goods, "Greetings from somewhere else.\n").unwrap();
    assert!(finds(&testbed));
    fs::copy(original, goods).unwrap();
    assert!(!finds(&testbed));
    // The testbed does not count this deposit.
    testbed
        .bank
        .admin(&["account", "credit"], &[&alice.account, "0.01"])
        .wait();
    assert!(finds(&testbed));
}

#[test]
fn a_short_soak_agrees_to_the_unit() {
    let plan = SoakOptions {
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
