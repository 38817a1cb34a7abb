//! A stream whose customer is killed while it is watched.

use crate::testbed;
use farthing_tests::processes::{
    buyer::units,
    run::{Wait, until},
};
use std::fs;

/// The records of the stream: the pieces of a file.
const RECORDS: usize = 400;
const RECORD_BYTES: usize = 64;

/// The price of each (units), and as the merchant's operator types it.
const PRICE: u64 = 5;
const PRICE_PER_TICK: &str = "0.05";

/// How often the wallet is killed in the middle.
const DEATHS: usize = 3;

/// How many bytes arrive in each life, at least.
const BETWEEN_DEATHS: u64 = 20 * RECORD_BYTES as u64;

#[test]
fn a_customer_who_is_killed_while_watching_has_each_record_once() {
    let testbed = testbed();
    let records: Vec<u8> = (0..RECORDS * RECORD_BYTES).map(|at| (at * 7 / 3) as u8).collect();
    let original = testbed.dir().join("records");
    fs::write(&original, &records).unwrap();
    let sold = testbed.sell_by_tick(&original, "Records", PRICE_PER_TICK, RECORD_BYTES);
    sold.wait();
    let alice = testbed.customer("alice");
    let output = alice.goods("records");
    let written = || output.metadata().map_or(0, |file| file.len());
    let file = output.to_str().unwrap();
    let begin = ["watch", "studio", "Records", "--window", "2", "-o", file];
    let go_on = ["watch", "--on", "0", "--window", "2", "-o", file];
    // The first death comes as soon as there is a file.
    let watching = alice.start_quietly(&begin);
    until("the stream begins", || output.exists().then_some(()));
    watching.kill().wait();
    for _ in 0..DEATHS {
        let watching = alice.start_quietly(&go_on);
        let enough = written() + BETWEEN_DEATHS;
        until("records arrive", || (written() >= enough).then_some(()));
        watching.kill().wait();
        assert!(written() < records.len() as u64, "it was killed too late");
    }
    // Another file is left as it is, and so is the stream.
    let other = alice.goods("other");
    fs::write(&other, &records).unwrap();
    let refused = alice.run(&["watch", "--on", "0", "-o", other.to_str().unwrap()]);
    refused.must_end_with(1);
    assert_eq!(fs::read(&other).unwrap(), records);
    assert_eq!(alice.status(0), "streaming");
    // Another command ends the stream, and says what is missing in the file.
    let resumed = alice.done(&["resume"]);
    assert_eq!(alice.status(0), "committed");
    let unseen = resumed["purchases"][0]["unseen_records"]
        .as_u64()
        .unwrap_or_default();
    assert!(unseen <= 2, "{resumed}");
    let ended = alice.done(&go_on);
    assert_eq!(ended["records"].as_u64(), Some(unseen), "{ended}");
    assert_eq!(ended["ended"], "ended_before");
    let seen = fs::read(&output).unwrap();
    assert!(records.starts_with(&seen), "a record is missing, or there twice");
    // It costs what is in the file.
    assert_eq!(units(&ended["paid"]), PRICE * (seen.len() / RECORD_BYTES) as u64);
    // The escrow that committed less than the price shows the voucher that allowed it.
    let decided = testbed.escrow.admin(&["purchases"], &[]).wait();
    let purchase = decided["purchases"][0]["purchase"].as_str().unwrap();
    let papers = testbed.escrow.admin(&["evidence"], &[purchase]).wait();
    assert_eq!(papers["voucher"]["body"]["purchase"], purchase, "{papers}");
    assert!(fs::read_dir(alice.dir().join("goods")).unwrap().next().is_none());
    testbed.check(&[&alice]);
}
