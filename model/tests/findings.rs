//! What the checker has to find: the table of `docs/ATOMICITY.md`, planted defects, and the trust of
//! `docs/THREATS.md`.

#![allow(clippy::expect_used, reason = "a panic is how a test fails")]

use farthing_model::{
    catalog::{catalog, planted},
    check::{Checked, Finding, check},
    frame::{Explored, Scenario},
    property::Property,
    story::Kind,
    systems::{
        metered::{self, Metered},
        stream::{Defect, Stream},
    },
};
use std::collections::BTreeSet;

const BOUND: usize = 20_000_000;

fn failing(id: &str, scenario: &str) -> Vec<&'static str> {
    let entry = catalog()
        .into_iter()
        .find(|entry| entry.id == id && entry.scenario.name == scenario);
    let checked = entry.expect("the row is there").check(BOUND);
    assert!(checked.complete, "{id}, {scenario}");
    assert_told(&checked);
    checked.failing()
}

/// Every finding has its run, and the reason.
fn assert_told(checked: &Checked) {
    for (property, finding) in &checked.findings {
        if let Finding::Fails { why, run } = finding {
            assert!(
                !why.is_empty() && !run.is_empty(),
                "{}: {property:?}",
                checked.system
            );
        }
    }
}

const MONEY: &str = "money atomicity";
const CONSENT: &str = "consent";
const GOODS: &str = "goods atomicity";
const EVIDENCE: &str = "evidence";
const CERTIFIED: &str = "certified delivery";
const ANONYMITY: &str = "anonymity";
const PROGRESS: &str = "progress";

#[test]
fn the_systems_of_the_paper_are_as_it_says() {
    let cash = [MONEY, GOODS, EVIDENCE, CERTIFIED, ANONYMITY, PROGRESS];
    let cards = [GOODS, EVIDENCE, CERTIFIED, ANONYMITY];
    for (id, expected) in [
        ("chaum", &cash[..]),
        ("digicash", &cash[..]),
        ("first-virtual", &cards[..]),
        ("ssl", &cards[..]),
        ("set", &cards[..]),
        ("netbill", &[ANONYMITY][..]),
        ("postage", &cards[..]),
    ] {
        assert_eq!(failing(id, "failures"), expected, "{id}");
    }
    // SET keeps a merchant from charging more. A card number does not.
    assert!(failing("ssl", "merchant cheats").contains(&CONSENT));
    assert!(!failing("set", "merchant cheats").contains(&CONSENT));
    // Certified delivery is for every cheating merchant and every lying customer.
    assert_eq!(failing("netbill", "merchant cheats"), [ANONYMITY]);
    assert!(failing("netbill", "customer cheats").is_empty());
}

#[test]
fn the_systems_of_today() {
    assert_eq!(failing("cashu", "failures"), [MONEY, CONSENT]);
    assert_eq!(failing("cashu-ttl", "failures"), [MONEY, CONSENT]);
    assert!(failing("cashu-cache", "failures").is_empty());
    assert_eq!(failing("taler", "failures"), [GOODS, EVIDENCE, CERTIFIED]);
}

/// What each party's honesty is needed for, as `docs/THREATS.md` says.
#[test]
fn the_trust_of_farthing() {
    const NOTHING: &[&str] = &[];
    let all = &[MONEY, GOODS, EVIDENCE, CERTIFIED, PROGRESS][..];
    let but_money = &[GOODS, EVIDENCE, CERTIFIED, PROGRESS][..];
    for id in ["farthing", "farthing-sealed"] {
        for (scenario, expected) in [
            ("failures", NOTHING),
            ("customer cheats", NOTHING),
            ("merchant cheats", NOTHING),
            ("escrow cheats", but_money),
            ("bank cheats", all),
            ("escrow and merchant cheat", but_money),
            ("escrow and customer cheat", but_money),
            ("bank and escrow cheat", all),
        ] {
            assert_eq!(failing(id, scenario), expected, "{id}, {scenario}");
        }
    }
    assert_eq!(failing("farthing-withdrawal", "failures"), NOTHING);
    for (scenario, expected) in [
        ("failures", NOTHING),
        ("customer cheats", NOTHING),
        ("bank cheats", &[MONEY, PROGRESS]),
    ] {
        assert_eq!(failing("farthing-payment", scenario), expected, "{scenario}");
    }
}

/// What a customer of postage needs each party for.
#[test]
fn the_trust_of_postage() {
    let but_evidence = &[GOODS, CERTIFIED, ANONYMITY][..];
    for (scenario, expected) in [
        ("failures", but_evidence),
        ("failures, the office stays", &[ANONYMITY]),
        ("customer cheats", &[]),
        ("customer copies the meter", &[GOODS, CERTIFIED]),
        ("office cheats", but_evidence),
        (
            "bank cheats",
            &[MONEY, GOODS, EVIDENCE, CERTIFIED, ANONYMITY, PROGRESS],
        ),
        ("station cheats", but_evidence),
    ] {
        assert_eq!(failing("farthing-postage", scenario), expected, "{scenario}");
    }
}

/// A stream needs what a purchase needs. A bank that takes the whole hold takes more than the vouchers say.
#[test]
fn the_trust_of_streams() {
    const NOTHING: &[&str] = &[];
    let bank = &[MONEY, CONSENT, GOODS, EVIDENCE, CERTIFIED, PROGRESS][..];
    let but_money = &[GOODS, EVIDENCE, CERTIFIED, PROGRESS][..];
    for (scenario, expected) in [
        ("failures", NOTHING),
        ("customer cheats", NOTHING),
        ("merchant cheats", NOTHING),
        ("escrow cheats", but_money),
        ("bank cheats", bank),
        ("escrow and merchant cheat", but_money),
        ("escrow and customer cheat", but_money),
        ("bank and escrow cheat", bank),
    ] {
        assert_eq!(failing("farthing-stream", scenario), expected, "{scenario}");
    }
}

/// A merchant that raises later risks the ticks that are not raised, and no more.
#[test]
fn a_merchant_that_raises_later_loses_one_tick_at_most() {
    for (scenario, expected) in [
        ("failures", &[GOODS, CERTIFIED][..]),
        ("customer cheats", &[GOODS, CERTIFIED]),
        ("merchant cheats", &[]),
    ] {
        assert_eq!(failing("farthing-stream-later", scenario), expected, "{scenario}");
        let none = failing("farthing-stream-but-one", scenario);
        assert!(none.is_empty(), "{scenario}: {none:?}");
    }
}

/// An escrow that cheats breaks much without the mistake, but not consent.
#[test]
fn a_bank_that_asks_for_no_voucher_breaks_consent() {
    let defect = Defect::VoucherUnchecked;
    let row = Explored::new(Stream {
        defect: Some(defect),
        ..Stream::raised_first(defect.shown_in())
    });
    assert!(check("stream", &row, BOUND).failing().contains(&CONSENT));
}

/// In a row that keeps fewer promises, a defect must break one more.
#[test]
fn every_defect_of_postage_breaks_what_holds_without_it() {
    for defect in metered::Defect::ALL {
        let scenario = defect.shown_in();
        let failing = |defect| {
            let row = Explored::new(Metered { scenario, defect });
            check("postage", &row, BOUND).failing()
        };
        let without = failing(None);
        let with = failing(Some(defect));
        assert!(
            with.iter().any(|it| !without.contains(it)),
            "{defect:?}: {with:?}"
        );
    }
}

/// The paper's device loses a letter when its printer jams. Ours prints it again: only an office that is gone takes goods.
#[test]
fn a_jammed_print_is_printed_again() {
    let row = Metered {
        scenario: Scenario::FAILURES,
        defect: None,
    };
    let checked = check("postage", &Explored::new(row), BOUND);
    let Some(Finding::Fails { run, .. }) = checked.of(Property::Goods) else {
        panic!("the office takes the money and is gone");
    };
    let faults: Vec<&str> = run
        .iter()
        .filter(|step| step.kind == Kind::Fault)
        .map(|step| step.text.as_str())
        .collect();
    assert_eq!(faults, ["office: stops"]);
}

/// A property that no defect breaks is not tested.
#[test]
fn every_planted_defect_breaks_a_property_and_every_property_is_broken() {
    let mut broken = BTreeSet::new();
    for defect in planted() {
        let checked = defect.entry.check(BOUND);
        assert!(checked.complete, "{}", defect.name);
        assert!(!checked.failing().is_empty(), "{}", defect.name);
        assert_told(&checked);
        broken.extend(checked.failing());
    }
    for property in Property::ALL {
        assert!(broken.contains(property.name()), "{property:?}");
    }
}

#[test]
fn every_planted_defect_is_a_patch_by_the_same_name() {
    let patches = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/planted/patches");
    for defect in planted() {
        let patch = std::path::Path::new(patches).join(format!("{}.patch", defect.name));
        assert!(patch.is_file(), "{}", defect.name);
    }
}

/// One lost message is enough, and the shortest run has no other event.
#[test]
fn the_counterexamples_are_the_shortest() {
    let entry = catalog().into_iter().find(|entry| entry.id == "digicash");
    let checked = entry.expect("the row is there").check(BOUND);
    let Some(Finding::Fails { run, .. }) = checked.of(Property::Money) else {
        panic!("the coin is lost");
    };
    let told: Vec<&str> = run.iter().map(|step| step.text.as_str()).collect();
    let lost = [
        "customer: pays",
        "customer: coin",
        "faults cease, and the honest parties carry on",
    ];
    assert_eq!(told, lost);
    assert!(run.iter().all(|step| step.arrives.is_none()));
}
