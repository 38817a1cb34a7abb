//! Slow lines: a slow reply is not silence, and every part of it that arrives counts.

use crate::{relayed, testbed};
use farthing_kit::{faults::Faults, line::Way};
use farthing_tests::processes::{
    buyer::Buyer,
    goods::{POSTCARD, PRICE},
    lines::slow,
    testbed::Testbed,
};
use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

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

/// How often the wallet's directory is looked at during a download.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// How long a customer's download takes (s), from the first request for goods of `bytes` to their last byte. The wallet
/// makes the file before the first request, and each piece is in it as soon as it has come.
fn download_s(customer: &Buyer, bytes: u32, is_over: &AtomicBool) -> f64 {
    let mut began = None;
    while !is_over.load(Ordering::Relaxed) {
        let parts = fs::read_dir(customer.dir().join("goods")).into_iter().flatten();
        let part = parts
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|ending| ending == "part"));
        if let Some(part) = part {
            let began = *began.get_or_insert_with(Instant::now);
            // Encrypted goods are a little longer.
            if part.metadata().is_ok_and(|file| file.len() > u64::from(bytes)) {
                return began.elapsed().as_secs_f64();
            }
        }
        thread::sleep(LOOK_EVERY);
    }
    panic!("the download was not seen");
}

/// Prints how long goods of `bytes` take over a long line, in relation to the time that the line alone takes for them: its
/// round trip, and the time of the bytes.
fn film_over_a_long_line(testbed: &Testbed, bytes: u32) {
    const FILM: &str = "A far film";
    let film: Vec<u8> = (0..bytes).map(|at| (at / 5 % 253) as u8).collect();
    testbed.sell(FILM, &film);
    let alice = testbed.newcomer("alice");
    alice.done(&["withdraw", "50.00"]);
    // The list of keys, and change.
    alice.buys(POSTCARD, "first");
    on_lines(&alice, slow(LONG_LINE_BITS_PER_S, LONG_LINE_DELAY_MS, 0));
    let is_over = AtomicBool::new(false);
    let (whole_s, download_s) = thread::scope(|scope| {
        let download = scope.spawn(|| download_s(&alice, bytes, &is_over));
        let began = Instant::now();
        alice.buys(FILM, "far");
        let whole_s = began.elapsed().as_secs_f64();
        is_over.store(true, Ordering::Relaxed);
        (whole_s, download.join().unwrap())
    });
    let round_trip_s = 2.0 * LONG_LINE_DELAY_MS as f64 / 1e3;
    let line_s = round_trip_s + f64::from(bytes) * 8.0 / LONG_LINE_BITS_PER_S as f64;
    println!(
        "{} MB over 100 Mbit/s and 150 ms: the whole purchase {whole_s:.2} s, the download {download_s:.2} s. The line's own \
         time is {line_s:.2} s. The download takes {:.2} times that, the whole purchase {:.2} times",
        bytes / 1_000_000,
        download_s / line_s,
        whole_s / line_s
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
