//! A free item: without coins, without an escrow, and with documents that a judge accepts.

use crate::testbed;
use farthing_tests::processes::run::Wait;
use serde_json::json;
use std::fs;

const SAMPLE: &str = "A sample";

#[test]
fn a_free_item_is_taken_without_money_and_with_documents_that_prove_it() {
    let testbed = testbed();
    testbed.give(SAMPLE, b"The first few bars");
    let alice = testbed.newcomer("alice");
    testbed.escrow.kill().wait();
    alice.buys(SAMPLE, "sample.txt");
    assert_eq!(alice.status(0), "committed");
    let same = fs::read(alice.goods("sample.txt")).unwrap() == fs::read(testbed.original(SAMPLE)).unwrap();
    assert!(same, "the goods are another file");
    testbed.escrow.start().wait();
    let documents = alice.goods("documents.json");
    alice.done(&["receipt", "show", "0", "-o", documents.to_str().unwrap()]);
    let [sealed] = alice.sealed().try_into().unwrap();
    let files = [&documents, &sealed].map(|file| file.to_str().unwrap());
    let verdict = alice.done(&["receipt", "verify", files[0], files[1]]);
    assert_eq!(verdict["verdict"], "delivered");
    let sales = testbed.merchant.admin(&["sales"], &[]).wait();
    assert_eq!(sales["sales"], json!([]), "the merchant keeps no record");
    testbed.check(&[&alice]);
}
