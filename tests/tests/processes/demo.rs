//! The demo, as a newcomer runs it.

use crate::PROGRAM;
use serde_json::Value;
use std::process::Command;

/// The steps of `demo --all`, in their order.
const STEPS: [&str; 16] = [
    "ordinary",
    "hold-reply-lost",
    "receipt-lost",
    "escrow-killed",
    "merchant-killed",
    "double-spending",
    "withdrawal-reply-lost",
    "change-reply-lost",
    "stream-cut",
    "redeem-reply-lost",
    "person",
    "refund",
    "donation",
    "gift",
    "postage",
    "payout",
];

#[test]
fn every_step_of_the_demo_ends_well_and_the_books_agree() {
    let mut demo = Command::new(PROGRAM);
    let said = demo.args(["demo", "--all", "--json"]).output().unwrap();
    let report: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert!(said.status.success(), "{report}");
    let steps = report["steps"].as_array().unwrap().iter();
    let names: Vec<&str> = steps.map(|step| step["name"].as_str().unwrap()).collect();
    assert_eq!(names, STEPS);
    assert_eq!(report["ok"], true);
}
