//! How many indicia a second one station verifies and accepts, without pictures, and whether purging keeps its rows flat.
//!
//! `cargo run --release -p farthing-postage --example sort_rate -- DAYS LETTERS`

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a measurement that fails has nothing to say"
)]

use farthing_coin::{SecretKey, Signed};
use farthing_node::{terminal::print_text, usage::Usage};
use farthing_postage::{
    address::Address,
    class::MailClass,
    day::{DAY_MS, Day, VALID_DAYS},
    documents::{ListedMeter, MeterList},
    indicium::{Indicium, encode, sign},
    sort::{
        rows::{SEEN, SEEN_BY_DAY},
        rules::{Face, StationSettings, WINDOW_DEFAULT},
        station::Station,
    },
};
use farthing_protocol::money::Amount;
use farthing_store::{Store, StoreOptions};
use std::{ops::Bound, time::Instant};

/// The first day.
const FIRST: Day = Day(20_000);

fn key(who: u8) -> SecretKey {
    SecretKey::from_wide(&[who; 64]).expect("a key")
}

fn letters(day: Day, count: u64, before: u64) -> Vec<(Vec<u8>, Face)> {
    let address = Address::new(&["Erika Mustermann", "51147 Köln"]).expect("an address");
    let make = |sequence: u64| {
        let body = Indicium {
            class: MailClass::First,
            day,
            value: Amount(110),
            sequence,
            ascending: Amount(110 * sequence),
            descending: Amount(0),
            meter: key(2).public(),
            address: address.digest(),
            from: "10115".parse().expect("a code"),
            to: "51147".parse().expect("a code"),
        };
        let face = Face {
            address: Some(address.clone()),
            value: None,
        };
        (encode(&sign(body, &key(2)).expect("within its bounds")), face)
    };
    (before + 1..=before + count).map(make).collect()
}

fn rows(store: &Store) -> usize {
    let (mut count, mut after) = (0, None);
    loop {
        let from = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let page = SEEN_BY_DAY.scan(&store.view(), from, 1000).expect("rows");
        count += page.len();
        match page.into_iter().next_back() {
            Some((key, ())) => after = Some(key),
            None => return count,
        }
    }
}

fn main() {
    let numbers: Vec<u64> = std::env::args()
        .skip(1)
        .filter_map(|text| text.parse().ok())
        .collect();
    let (days, count) = match numbers.as_slice() {
        [days, count] => (*days, *count),
        _ => (1, 20_000),
    };
    let dir = tempfile::tempdir().expect("a directory");
    let (store, _) = Store::open(dir.path(), StoreOptions::default()).expect("a store");
    let settings = StationSettings {
        area: Vec::new(),
        window: WINDOW_DEFAULT,
    };
    let station = Station::new(store.clone(), key(3), key(1).public(), settings);
    let meter = ListedMeter {
        meter: key(2).public(),
        from: "10115".parse().expect("a code"),
        revoked: None,
    };
    let list = MeterList {
        office: key(1).public(),
        number: 1,
        meters: vec![meter],
        received: Vec::new(),
    };
    station.learn(&Signed::sign(list, &key(1))).expect("a list");
    let (mut scanned_ms, mut cpu_us) = (0u128, 0u64);
    for day in 0..u32::try_from(days).expect("days") {
        let today = FIRST.plus(day);
        let letters = letters(today, count, u64::from(day) * count);
        let (begin, before) = (Instant::now(), Usage::of_this_process());
        let results = station
            .scan_all(&letters, today.begin_ms() + DAY_MS / 2)
            .expect("scans");
        scanned_ms += begin.elapsed().as_millis();
        cpu_us += Usage::of_this_process().cpu_us - before.cpu_us;
        assert!(results.iter().all(Result::is_ok), "every letter is accepted");
        let purged = station.purge(today).expect("a purge");
        if day % 61 == 60 || u64::from(day) + 1 == days {
            print_text(&format!(
                "day {day}: {} rows, {purged} purged today, valid for {VALID_DAYS} days",
                rows(&store)
            ));
        }
    }
    let last = SEEN
        .peek(&store.view(), &(key(2).public(), days * count))
        .expect("a row");
    assert!(last.is_some());
    let all = days * count;
    let a_second = |us: u128| u128::from(all) * 1_000_000 / us.max(1);
    print_text(&format!(
        "{all} indicia: {} a second by the clock, {} a second of CPU time over all threads",
        a_second(scanned_ms * 1000),
        a_second(cpu_us.into())
    ));
}
