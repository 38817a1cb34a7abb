//! Slow lines: a slow reply is not silence, and every part of it that arrives counts.

use crate::{relayed, testbed};
use farthing_kit::{faults::Faults, line::Way};
use farthing_tests::processes::{
    buyer::Buyer,
    goods::{POSTCARD, PRICE},
    lines::slow,
    testbed::Testbed,
};
use std::{fs, time::Instant};

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

/// Rate of the long line (bits a second).
const LONG_LINE_BITS_PER_S: u64 = 100_000_000;

/// Delay of the long line in each direction (ms).
const LONG_LINE_DELAY_MS: u64 = 75;

/// Prints how long goods of `bytes` take over a long line, in relation to the time that the line alone takes for them.
fn film_over_a_long_line(testbed: &Testbed, bytes: u32) {
    for (title, first) in [("A near film", 0), ("A far film", 1)] {
        let film: Vec<u8> = (first..first + bytes).map(|at| (at / 5 % 253) as u8).collect();
        testbed.sell(title, &film);
    }
    let alice = testbed.newcomer("alice");
    alice.done(&["withdraw", "50.00"]);
    let timed = |title: &str, name: &str| {
        let began = Instant::now();
        alice.buys(title, name);
        began.elapsed().as_secs_f64()
    };
    // The list of keys, and change.
    alice.buys(POSTCARD, "first");
    let work_s = -timed(POSTCARD, "second") + timed("A near film", "near");
    on_lines(&alice, slow(LONG_LINE_BITS_PER_S, LONG_LINE_DELAY_MS, 0));
    let (postcard_s, film_s) = (timed(POSTCARD, "third"), timed("A far film", "far"));
    let line_s = f64::from(bytes) * 8.0 / LONG_LINE_BITS_PER_S as f64;
    let goods_s = film_s - postcard_s - work_s;
    println!(
        "{} MB over 100 Mbit/s and 150 ms: {film_s:.2} s. Messages take {postcard_s:.2} s of it, this machine's work on \
         the goods {work_s:.2} s, the goods {goods_s:.2} s. The line's own time is {line_s:.2} s: {:.2} times that, {:.2} \
         times with the work, {:.2} times with the messages too",
        bytes / 1_000_000,
        goods_s / line_s,
        (goods_s + work_s) / line_s,
        film_s / line_s
    );
    testbed.check(&[&alice]);
}

#[test]
#[ignore = "a measurement, for a machine that does nothing else"]
fn how_long_a_film_takes_over_a_long_line() {
    film_over_a_long_line(&testbed(), 20_000_000);
}

#[test]
#[ignore = "a measurement, for a machine that does nothing else"]
fn how_long_a_long_film_takes_through_a_relay() {
    film_over_a_long_line(&relayed::testbed(), 200_000_000);
}
