//! Sorting stations: every fault, kills, copies, two stations, and the purge.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

mod support;

use farthing_coin::Signed;
use farthing_postage::{
    address::Address,
    day::{DAY_MS, Day, VALID_DAYS},
    documents::{MeterList, MeterRequest, RevocationReason},
    indicium::{Indicium, encode, sign},
    meter::{interface::Meter, soft::SoftMeter},
    office::desk::Office,
    sort::{
        rows::{SEEN, SEEN_BY_DAY},
        rules::{Face, Fault},
        station::{Station, StationError},
    },
};
use farthing_protocol::money::Amount;
use farthing_store::{Store, disk::MemoryDisk, probe::WRITE_POINTS};
use std::{ops::Bound, path::Path};
use support::*;

/// An office, a meter with 200.00, and a station for the area 51 that knows it.
fn world() -> (Office, SoftMeter, Station) {
    let office = office();
    let (_, _, meter) = new_meter(9);
    supply(&office, &meter, 20_000, 1);
    let station = station(50, &["51"]);
    station.learn(&office.list().unwrap()).unwrap();
    (office, meter, station)
}

fn scan(station: &Station, bytes: &[u8]) -> Result<(), Fault> {
    station.scan(bytes, &face(&LINES), NOW_MS).unwrap()
}

/// An indicium with changed fields, signed by the meter's own key as a device that was opened could do.
fn altered(change: impl FnOnce(&mut Indicium)) -> Vec<u8> {
    let key = key(70);
    let mut body = Indicium {
        class: farthing_postage::class::MailClass::First,
        day: TODAY,
        value: Amount(110),
        sequence: 1,
        ascending: Amount(110),
        descending: Amount(0),
        meter: key.public(),
        address: Address::new(&LINES).unwrap().digest(),
        from: code("10115"),
        to: code("51147"),
    };
    change(&mut body);
    encode(&sign(body, &key).unwrap())
}

/// A station that knows the meter with the key of [`altered`].
fn station_with_open_meter() -> Station {
    let office = office();
    let request = MeterRequest {
        meter: key(70).public(),
        from: code("10115"),
    };
    office.certify(&Signed::sign(request, &key(70)), TODAY).unwrap();
    let station = station(50, &["51"]);
    station.learn(&office.list().unwrap()).unwrap();
    station
}

#[test]
fn a_letter_is_accepted_once_and_its_copy_named_with_the_first_date() {
    let (_, meter, station) = world();
    let letter = bytes(&print(&meter, 0));
    assert_eq!(scan(&station, &letter), Ok(()));
    for _ in 0..2 {
        assert_eq!(
            scan(&station, &letter),
            Err(Fault::Duplicate { first_ms: NOW_MS })
        );
    }
    assert_eq!(scan(&station, &bytes(&print(&meter, 1))), Ok(()));
}

#[test]
fn changed_bytes_are_forged_or_unreadable() {
    let (_, meter, station) = world();
    let letter = bytes(&print(&meter, 0));
    for at in 0..letter.len() {
        let mut changed = letter.clone();
        changed[at] ^= 4;
        let fault = scan(&station, &changed).unwrap_err();
        assert!(
            matches!(fault, Fault::Forged | Fault::Unreadable(_)),
            "byte {at}: {fault}"
        );
    }
    assert_eq!(scan(&station, &letter), Ok(()), "nothing of it was stored");
}

#[test]
fn a_changed_face_is_found() {
    let (_, meter, station) = world();
    let letter = bytes(&print(&meter, 0));
    let with = |face: Face| station.scan(&letter, &face, NOW_MS).unwrap();
    for lines in [
        ["Erika Mustermann", "Heidestraße 18", "51147 Köln"],
        ["Erika Mustermann", "Heidestraße 17", "51148 Köln"],
        ["Max Mustermann", "Heidestraße 17", "51147 Köln"],
    ] {
        assert_eq!(with(face(&lines)), Err(Fault::AlteredAddress), "{lines:?}");
    }
    assert_eq!(with(Face::default()), Err(Fault::AddressNotRead));
    let shown = Face {
        value: Some(Amount(450)),
        ..face(&LINES)
    };
    let signed = Amount(110);
    assert_eq!(
        with(shown),
        Err(Fault::AlteredValue {
            shown: Amount(450),
            signed
        })
    );
    let shown = Face {
        value: Some(signed),
        ..face(&LINES)
    };
    assert_eq!(with(shown), Ok(()));
}

#[test]
fn a_letter_for_another_area_goes_to_its_station() {
    let (office, meter, here) = world();
    let lines = ["Max Mustermann", "Invalidenstraße 1", "10115 Berlin"];
    let letter = bytes(&meter.print(&order(0, &lines, TODAY)).unwrap());
    let wrong = here.scan(&letter, &face(&lines), NOW_MS).unwrap();
    assert_eq!(wrong, Err(Fault::WrongStation(code("10115"))));
    let there = station(51, &["10", "12"]);
    there.learn(&office.list().unwrap()).unwrap();
    assert_eq!(there.scan(&letter, &face(&lines), NOW_MS).unwrap(), Ok(()));
}

#[test]
fn dates_beyond_tomorrow_and_older_than_six_months_are_refused() {
    let (_, meter, station) = world();
    let dated = |job, day| bytes(&meter.print(&order(job, &LINES, day)).unwrap());
    let days = [
        (TODAY.plus(1), Ok(())),
        (TODAY.plus(2), Err(Fault::Future(TODAY.plus(2)))),
        (Day(TODAY.0 - VALID_DAYS), Ok(())),
        (
            Day(TODAY.0 - VALID_DAYS - 1),
            Err(Fault::Expired(Day(TODAY.0 - VALID_DAYS - 1))),
        ),
    ];
    for (job, (day, wanted)) in (0..).zip(days) {
        assert_eq!(scan(&station, &dated(job, day)), wanted, "{day}");
    }
}

#[test]
fn unknown_revoked_and_strange_meters_are_refused() {
    let (office, meter, station) = world();
    assert_eq!(scan(&station, &altered(|_| {})), Err(Fault::UnknownMeter));
    let letters: Vec<_> = (0..2).map(|job| bytes(&print(&meter, job))).collect();
    let tomorrow = bytes(&meter.print(&order(2, &LINES, TODAY.plus(1))).unwrap());
    assert_eq!(scan(&station, &letters[0]), Ok(()));
    office.revoke(&meter.id(), TODAY.plus(1), TODAY).unwrap();
    assert_eq!(
        scan(&station, &letters[1]),
        Ok(()),
        "the station has the old list"
    );
    station.learn(&office.list().unwrap()).unwrap();
    let fault = scan(&station, &tomorrow).unwrap_err();
    assert!(
        matches!(fault, Fault::Revoked(it) if it.reason == RevocationReason::GivenUp),
        "{fault}"
    );
    // Mail from before its revocation is still good, until the office knows that it was copied.
    assert_eq!(scan(&station, &bytes(&print(&meter, 3))), Ok(()));

    let open = station_with_open_meter();
    assert_eq!(
        scan(&open, &altered(|it| it.from = code("10117"))),
        Err(Fault::OtherSender(code("10115")))
    );
    let cheap = scan(&open, &altered(|it| it.value = Amount(109)));
    assert!(matches!(cheap, Err(Fault::Underpaid { .. })));
    assert_eq!(
        scan(&open, &altered(|it| it.to = code("51148"))),
        Err(Fault::AlteredAddress)
    );
    assert_eq!(scan(&open, &altered(|_| {})), Ok(()));
}

#[test]
fn numbers_and_registers_out_of_their_order_are_refused() {
    let station = station_with_open_meter();
    let letter = |sequence, ascending| {
        scan(
            &station,
            &altered(|it| {
                it.sequence = sequence;
                it.ascending = Amount(ascending);
            }),
        )
    };
    assert_eq!(letter(500, 55_000), Ok(()));
    assert_eq!(
        letter(601, 66_110),
        Err(Fault::Gap {
            sequence: 601,
            highest: 500
        })
    );
    assert_eq!(
        letter(399, 43_890),
        Err(Fault::Gap {
            sequence: 399,
            highest: 500
        })
    );
    assert_eq!(letter(501, 55_109), Err(Fault::Registers { highest: 500 }));
    assert_eq!(letter(499, 55_000), Err(Fault::Registers { highest: 500 }));
    assert_eq!(letter(499, 54_890), Ok(()));
    assert_eq!(letter(600, 66_000), Ok(()));
    assert_eq!(letter(500, 54_999), Err(Fault::NumberReused { first_ms: NOW_MS }));
    assert_eq!(letter(500, 55_000), Err(Fault::Duplicate { first_ms: NOW_MS }));
}

#[test]
fn only_the_offices_newest_list_counts() {
    let (office, meter, station) = world();
    let old = office.list().unwrap();
    office.revoke(&meter.id(), Day(0), TODAY).unwrap();
    let new = office.list().unwrap();
    let cut: Signed<MeterList> = Signed {
        body: MeterList {
            meters: old.body.meters.clone(),
            ..new.body.clone()
        },
        signature: new.signature,
    };
    assert!(matches!(station.learn(&cut), Err(StationError::OtherOffice(_))));
    let foreign = Signed::sign(old.body.clone(), &key(60));
    assert!(matches!(
        station.learn(&foreign),
        Err(StationError::OtherOffice(_))
    ));
    station.learn(&new).unwrap();
    assert!(matches!(station.learn(&old), Err(StationError::OlderList { .. })));
    assert!(matches!(
        scan(&station, &bytes(&print(&meter, 0))),
        Err(Fault::Revoked(_))
    ));
}

#[test]
fn a_scan_that_is_killed_anywhere_accepts_the_letter_once() {
    let (office, meter, _) = world();
    let disk = MemoryDisk::new();
    let camera = Camera::new(&disk, None);
    let station = station_on(filmed(&disk, &camera), 50, &["51"]);
    station.learn(&office.list().unwrap()).unwrap();
    let letter = bytes(&print(&meter, 0));
    let before = camera.images().len();
    assert_eq!(scan(&station, &letter), Ok(()));
    camera.take("after the scan");
    let images = camera.images().split_off(before);
    assert!(images.len() > 2 * WRITE_POINTS.len());
    let (mut lost, mut kept) = (0, 0);
    for image in images {
        let again = station_on(options(&image.disk), 50, &["51"]);
        match scan(&again, &letter) {
            Ok(()) => lost += 1,
            Err(Fault::Duplicate { .. }) => kept += 1,
            Err(other) => panic!("{}: {other}", image.point),
        }
        // In both cases it is accepted from now on, and the office hears of it once.
        assert_eq!(scan(&again, &letter), Err(Fault::Duplicate { first_ms: NOW_MS }));
        assert_eq!(
            again.report().unwrap().unwrap().body.indicia.len(),
            1,
            "{}",
            image.point
        );
    }
    assert!(
        lost > 0 && kept > 0,
        "both sides of the write were seen: {lost}, {kept}"
    );
}

#[test]
fn reports_repeat_until_the_office_confirms_them() {
    let (office, meter, station) = world();
    for job in 0..3 {
        scan(&station, &bytes(&print(&meter, job))).unwrap();
    }
    let report = station.report().unwrap().unwrap();
    assert_eq!((report.body.first, report.body.last()), (1, 3));
    assert_eq!(station.report().unwrap().unwrap(), report, "the file was lost");
    assert_eq!(office.report(&report, TODAY).unwrap().new, 3);
    assert_eq!(office.report(&report, TODAY).unwrap().known, 3);
    scan(&station, &bytes(&print(&meter, 3))).unwrap();
    station.learn(&office.list().unwrap()).unwrap();
    let next = station.report().unwrap().unwrap();
    assert_eq!((next.body.first, next.body.last()), (4, 4));
    // A report before which one is missing is taken, and not confirmed.
    let mut early = next.body.clone();
    early.first = 9;
    let taken = office.report(&Signed::sign(early, &key(50)), TODAY).unwrap();
    assert!(taken.is_early && taken.new == 1);
    let forged = Signed {
        body: next.body.clone(),
        signature: report.signature,
    };
    assert!(office.report(&forged, TODAY).is_err());
    office.report(&next, TODAY).unwrap();
    station.learn(&office.list().unwrap()).unwrap();
    assert_eq!(station.report().unwrap(), None);
    assert_eq!(office.meter(&meter.id()).unwrap().carried, Amount(440));
}

#[test]
fn a_copied_meter_at_two_stations_is_found_by_the_office_and_revoked_at_both() {
    let office = office();
    let (meter, copy) = copied_meter(&office, 20_000);
    let (here, there) = (station(50, &["51"]), station(51, &["10"]));
    for station in [&here, &there] {
        station.learn(&office.list().unwrap()).unwrap();
    }
    let berlin = ["Max Mustermann", "10115 Berlin"];
    let own = bytes(&print(&meter, 0));
    let copied = bytes(&copy.print(&order(0, &berlin, TODAY)).unwrap());
    // No station alone can know.
    assert_eq!(scan(&here, &own), Ok(()));
    assert_eq!(there.scan(&copied, &face(&berlin), NOW_MS).unwrap(), Ok(()));
    for station in [&here, &there] {
        office.report(&station.report().unwrap().unwrap(), TODAY).unwrap();
    }
    let revoked = office.meter(&meter.id()).unwrap().revoked.unwrap();
    assert_eq!(revoked.reason, RevocationReason::Copied);
    for station in [&here, &there] {
        station.learn(&office.list().unwrap()).unwrap();
    }
    assert!(matches!(
        scan(&here, &bytes(&print(&meter, 1))),
        Err(Fault::Revoked(_))
    ));
    let next = bytes(&copy.print(&order(1, &berlin, TODAY)).unwrap());
    assert!(matches!(
        there.scan(&next, &face(&berlin), NOW_MS).unwrap(),
        Err(Fault::Revoked(_))
    ));
}

#[test]
fn a_copied_meter_at_one_station_is_found_there_and_reported() {
    let office = office();
    let (meter, copy) = copied_meter(&office, 20_000);
    let station = station(50, &["51"]);
    station.learn(&office.list().unwrap()).unwrap();
    // The same address: the same bytes, a duplicate.
    let own = bytes(&print(&meter, 0));
    assert_eq!(own, bytes(&print(&copy, 0)));
    scan(&station, &own).unwrap();
    assert_eq!(scan(&station, &own), Err(Fault::Duplicate { first_ms: NOW_MS }));
    // Another address of the same station.
    scan(&station, &bytes(&print(&meter, 1))).unwrap();
    let max = ["Max Mustermann", "51147 Köln"];
    let copied = bytes(&copy.print(&order(1, &max, TODAY)).unwrap());
    for _ in 0..2 {
        let fault = station.scan(&copied, &face(&max), NOW_MS).unwrap();
        assert_eq!(fault, Err(Fault::NumberReused { first_ms: NOW_MS }));
    }
    let report = station.report().unwrap().unwrap();
    assert_eq!(report.body.indicia.len(), 3, "the second one is evidence, once");
    let taken = office.report(&report, TODAY).unwrap();
    assert!(taken.copied.contains(&meter.id()));
}

#[test]
fn a_purge_forgets_by_date_and_lets_nothing_in_again() {
    let (office, meter, station) = world();
    let old = Day(TODAY.0 - VALID_DAYS);
    let expiring = bytes(&meter.print(&order(0, &LINES, old)).unwrap());
    let fresh = bytes(&print(&meter, 1));
    scan(&station, &expiring).unwrap();
    scan(&station, &fresh).unwrap();
    assert_eq!(station.purge(TODAY).unwrap(), 0, "it is valid today");
    assert_eq!(station.purge(TODAY.plus(1)).unwrap(), 1);
    // Also if the clock goes back, it is not accepted again.
    assert_eq!(scan(&station, &expiring), Err(Fault::Expired(old)));
    let tomorrow = station.scan(&expiring, &face(&LINES), NOW_MS + DAY_MS).unwrap();
    assert_eq!(tomorrow, Err(Fault::Expired(old)));
    assert_eq!(scan(&station, &fresh), Err(Fault::Duplicate { first_ms: NOW_MS }));
    // What the office has not confirmed is reported after the purge too.
    let report = station.report().unwrap().unwrap();
    assert_eq!(report.body.indicia.len(), 2);
    assert_eq!(office.report(&report, TODAY).unwrap().new, 2);
    let much_later = TODAY.plus(2 * VALID_DAYS + 1);
    assert_eq!(office.purge(much_later).unwrap(), 2);
    assert_eq!(
        office.meter(&meter.id()).unwrap().carried,
        Amount(220),
        "the sums stay"
    );
}

#[test]
fn with_a_purge_each_day_the_rows_stay_flat() {
    let disk = MemoryDisk::new();
    let office = office();
    let request = MeterRequest {
        meter: key(70).public(),
        from: code("10115"),
    };
    office.certify(&Signed::sign(request, &key(70)), TODAY).unwrap();
    let list = office.list().unwrap();
    let rows_after = |days: std::ops::Range<u32>| {
        let station = station_on(options(&disk), 50, &["51"]);
        station.learn(&list).unwrap();
        for day in days {
            let now = Day(TODAY.0 + day);
            let letter = altered(|it| {
                it.sequence = u64::from(day) + 1;
                it.ascending = Amount(110 * it.sequence);
                it.day = now;
            });
            let now_ms = u64::from(now.0) * DAY_MS;
            assert_eq!(station.scan(&letter, &face(&LINES), now_ms).unwrap(), Ok(()));
            station.purge(now).unwrap();
        }
        station.close().unwrap();
        let store = Store::open(Path::new(DIR), options(&disk)).unwrap().0;
        let seen = SEEN.scan(&store.view(), Bound::Unbounded, 1000).unwrap().len();
        let by_day = SEEN_BY_DAY.scan(&store.view(), Bound::Unbounded, 1000).unwrap();
        store.close().unwrap();
        assert_eq!(seen, by_day.len());
        seen
    };
    let kept = VALID_DAYS as usize + 1;
    assert_eq!(rows_after(0..100), 100);
    assert_eq!(rows_after(100..200), kept);
    assert_eq!(rows_after(200..300), kept);
}

#[test]
fn many_letters_are_scanned_in_one_pass_with_the_same_results() {
    let (_, meter, station) = world();
    let letters: Vec<_> = (0..150).map(|job| bytes(&print(&meter, job))).collect();
    let mut all: Vec<_> = letters
        .iter()
        .map(|letter| (letter.clone(), face(&LINES)))
        .collect();
    all.push((letters[3].clone(), face(&LINES)));
    all.push((b"FP".to_vec(), face(&LINES)));
    let results = station.scan_all(&all, NOW_MS).unwrap();
    assert_eq!(results.len(), 152);
    assert!(results[..150].iter().all(Result::is_ok));
    assert_eq!(results[150], Err(Fault::Duplicate { first_ms: NOW_MS }));
    assert!(matches!(results[151], Err(Fault::Unreadable(_))));
}
