//! The files of goods: proven before the payment, written again when they are gone, and never over a file of another
//! program.

use crate::testbed;
use farthing_tests::processes::{
    buyer::Buyer,
    goods::{POSTCARD, PRICE},
    run::Wait,
    testbed::Testbed,
};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::Value;
use std::{
    fs::{self, File},
    os::unix::fs::{FileTypeExt, symlink},
    path::Path,
    time::{Duration, SystemTime},
};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Whether the postcard is at `path`.
fn is_postcard(testbed: &Testbed, path: &Path) -> bool {
    fs::read(path).unwrap() == fs::read(testbed.original(POSTCARD)).unwrap()
}

fn says(refused: &Value) -> &str {
    refused["error"].as_str().unwrap()
}

/// Buys a postcard with additional options.
fn buys_with(alice: &Buyer, name: &str, options: &[&str]) -> Value {
    let args = alice.buying(POSTCARD, name);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    alice.done(&[&args, options].concat())
}

#[test]
fn a_file_that_cannot_be_written_is_refused_before_the_payment() {
    let testbed = testbed();
    let alice = testbed.customer("alice");
    let fifo = alice.goods("fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RWXU, 0).unwrap();
    let too_long = "a".repeat(256);
    for (name, why) in [
        (too_long.as_str(), "too long"),
        ("nowhere/goods", "there is no directory"),
        ("/proc/self/goods", "cannot write"),
        ("fifo", "is not a file"),
        ("/dev/full", "is not a file"),
        (".", "is not a file"),
    ] {
        let args = alice.buying(POSTCARD, name);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let refused = alice.run(&[&args, &["--force"][..]].concat()).json(1);
        assert!(says(&refused).contains(why), "{name}: {refused}");
    }
    assert!(alice.purchases().is_empty());
    assert_eq!(alice.balance(), [2000, 0, 0]);
    assert!(fs::metadata(&fifo).unwrap().file_type().is_fifo());
    // The longest allowed name works.
    alice.buys(POSTCARD, &"a".repeat(255));
    testbed.check(&[&alice]);
}

#[test]
fn goods_whose_directory_has_vanished_are_kept_and_delivered_elsewhere() {
    let testbed = testbed();
    let alice = testbed.customer("alice");
    alice.waits_with_a_hold();
    let output = alice.goods("goods");
    fs::remove_dir_all(output.parent().unwrap()).unwrap();
    let refused = alice.run(&["resume", "0"]).json(1);
    for part in [
        "paid for",
        text(output.parent().unwrap()),
        "`farthing resume 0 -o FILE`",
    ] {
        assert!(says(&refused).contains(part), "{refused}");
    }
    assert_eq!(alice.status(0), "committed");
    // Delivery needs no other party.
    testbed.kill().wait();
    let other = alice.dir().with_extension("other");
    let nowhere = other.join("goods");
    let refused = alice.run(&["resume", "0", "-o", text(&nowhere)]).json(1);
    assert!(says(&refused).contains("there is no directory"), "{refused}");
    let resumed = alice.done(&["resume", "0", "-o", text(&other)]);
    assert_eq!(resumed["purchase"]["output"], text(&other));
    assert_eq!(resumed["purchase"]["delivery"], "delivered");
    assert!(is_postcard(&testbed, &other));
    testbed.start().wait();
    testbed.check(&[&alice]);
}

#[test]
fn delivered_goods_are_written_again() {
    let testbed = testbed();
    testbed.sell("A song", &[7; 100_000]);
    let alice = testbed.customer("alice");
    for (number, title) in [(0, POSTCARD), (1, "A song")] {
        let number = number.to_string();
        alice.buys(title, &number);
        let output = alice.goods(&number);
        let original = fs::read(testbed.original(title)).unwrap();
        assert_eq!(alice.done(&["resume", &number])["written_again"], false);
        fs::remove_file(&output).unwrap();
        // Only a `resume` that names the purchase writes a removed file again.
        alice.done(&["resume"]);
        assert!(!output.exists());
        assert_eq!(alice.done(&["resume", &number])["written_again"], true);
        assert_eq!(fs::read(&output).unwrap(), original);
        let other = alice.goods("other");
        alice.done(&["resume", &number, "-o", text(&other)]);
        assert_eq!(fs::read(&other).unwrap(), original);
        // To the first path again, over a file of the customer.
        fs::write(&output, "a letter").unwrap();
        alice.done(&["resume", &number, "-o", text(&output), "--force"]);
        assert_eq!(fs::read(&output).unwrap(), original);
        fs::remove_file(&other).unwrap();
    }
    // If the encrypted goods are gone too, the merchant is asked.
    let output = alice.goods("1");
    fs::remove_file(&output).unwrap();
    for sealed in alice.sealed() {
        fs::remove_file(sealed).unwrap();
    }
    alice.done(&["resume", "1"]);
    assert_eq!(fs::read(&output).unwrap(), [7; 100_000]);
    assert_eq!(alice.balance(), [2000 - 2 * PRICE, 0, 0]);
    testbed.check(&[&alice]);
}

#[test]
fn an_existing_file_is_replaced_only_with_force() {
    let testbed = testbed();
    let alice = testbed.customer("alice");
    alice.waits_with_a_hold();
    // A file of the customer, with an old time stamp.
    let output = alice.goods("goods");
    fs::write(&output, "a letter").unwrap();
    let letter = File::options().write(true).open(&output).unwrap();
    let old = SystemTime::now() - Duration::from_secs(1_000_000);
    letter.set_modified(old).unwrap();
    let resumed = alice.done(&["resume"]);
    let beside = alice.goods("goods.2");
    assert_eq!(resumed["purchases"][0]["output"], text(&beside));
    assert!(is_postcard(&testbed, &beside));
    assert_eq!(fs::read(&output).unwrap(), b"a letter");
    // With `--force` it is replaced.
    buys_with(&alice, "goods", &["--force"]);
    assert!(is_postcard(&testbed, &output));
    testbed.check(&[&alice]);
}

#[test]
fn a_planted_link_is_not_followed() {
    let testbed = testbed();
    let alice = testbed.customer("alice");
    let (output, victim) = (alice.goods("b.out"), alice.goods("victim"));
    fs::write(&victim, "precious").unwrap();
    symlink(&victim, alice.goods("b.out.farthing-part")).unwrap();
    symlink(&victim, &output).unwrap();
    buys_with(&alice, "b.out", &["--force"]);
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
    assert!(fs::symlink_metadata(&output).unwrap().is_file());
    testbed.check(&[&alice]);
}
