//! Slow lines: a slow reply is not silence, and every part of it that arrives counts.

use crate::testbed;
use farthing_kit::{faults::Faults, relay::Way};
use farthing_tests::processes::{
    buyer::Buyer,
    goods::{POSTCARD, PRICE},
    lines::slow,
};
use std::fs;

/// Size of the album (bytes): more than two pieces.
const ALBUM_BYTES: usize = 1_200_000;

const ALBUM: &str = "An album";

/// Gives all lines of a customer these faults, in both directions.
fn on_lines(customer: &Buyer, faults: Faults) {
    for line in customer.lines.all() {
        for way in Way::ALL {
            line.set_faults(way, faults);
        }
    }
}

#[test]
fn goods_arrive_over_a_line_on_which_one_piece_takes_longer_than_the_patience() {
    let testbed = testbed();
    let album: Vec<u8> = (0..ALBUM_BYTES).map(|at| (at / 5 % 253) as u8).collect();
    testbed.sell(ALBUM, &album);
    let alice = testbed.customer("alice");
    // A piece of 512 KiB takes six seconds. The party may be silent for five.
    on_lines(&alice, slow(700_000, 25, 0));
    alice.buys(ALBUM, "album");
    assert_eq!(fs::read(alice.goods("album")).unwrap(), album);
    testbed.check(&[&alice]);
}

#[test]
fn a_wallet_on_the_slowest_line_withdraws_and_buys() {
    let testbed = testbed();
    let alice = testbed.newcomer("alice");
    on_lines(&alice, slow(8_000, 100, 0));
    alice.done(&["withdraw", "20.00"]);
    alice.buys(POSTCARD, "postcard");
    assert_eq!(alice.balance(), [2000 - PRICE, 0, 0]);
    testbed.check(&[&alice]);
}

#[test]
fn a_wallet_on_a_telephone_line_withdraws_buys_and_is_restored() {
    let testbed = testbed();
    let alice = testbed.newcomer("alice");
    let line = Faults {
        seed: 1,
        ..slow(56_000, 150, 2)
    };
    on_lines(&alice, line);
    alice.done(&["withdraw", "20.00"]);
    alice.buys(POSTCARD, "postcard");
    assert_eq!(alice.balance(), [2000 - PRICE, 0, 0]);
    fs::remove_dir_all(alice.dir()).unwrap();
    let dir = testbed.dir().join("alice-again");
    let cards = [testbed.bank.card(), testbed.escrow.card()];
    let (alice, _) = alice.restored(&dir, cards);
    alice.carries_on(&["resume"]);
    alice.fetches_what_was_restored();
    assert_eq!(alice.balance(), [2000 - PRICE, 0, 0]);
    testbed.check(&[&alice]);
}
