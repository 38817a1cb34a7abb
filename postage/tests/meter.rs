//! A meter that is killed, copied, rolled back or tampered with.

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
    documents::{Refill, Registers},
    indicium::verify,
    meter::{
        device::LockReason,
        interface::{Meter, MeterError},
        rows::JOBS_KEPT,
        rules::{PrintRefusal, RefillRefusal},
        soft::SoftMeter,
    },
};
use farthing_protocol::money::Amount;
use farthing_store::{disk::MemoryDisk, probe::WRITE_POINTS};
use std::{collections::BTreeSet, path::Path};
use support::*;

/// Images that a test must have seen: every point of a write, twice.
fn assert_all_points(images: &[Image]) {
    let points: BTreeSet<_> = images.iter().map(|image| image.point).collect();
    for point in WRITE_POINTS {
        assert!(points.contains(point), "{point} was not reached: {points:?}");
    }
}

/// A meter with 20.00 and three prints, filmed from now on.
fn filmed_meter() -> (std::sync::Arc<Camera>, MemoryDisk, MemoryDevice, SoftMeter) {
    let (disk, device, meter) = new_meter(9);
    supply(&office(), &meter, 2000, 1);
    (0..3).for_each(|job| drop(print(&meter, job)));
    meter.close().unwrap();
    let camera = Camera::new(&disk, Some(&device));
    let meter = open_meter(filmed(&disk, &camera), &device).unwrap();
    (camera, disk, device, meter)
}

#[test]
fn a_print_that_is_killed_anywhere_is_repeated_with_the_same_bytes() {
    let (camera, _, _, meter) = filmed_meter();
    let before = camera.images().len();
    let wanted = print(&meter, 3);
    camera.take("after the print");
    let images = camera.images().split_off(before);
    assert_all_points(&images);
    for image in images {
        let device = MemoryDevice::with(image.device.unwrap());
        let again = open_meter(options(&image.disk), &device).unwrap();
        let repeated = print(&again, 3);
        assert_eq!(bytes(&repeated), bytes(&wanted), "{}", image.point);
        assert_eq!(repeated.indicium.body.sequence, 4);
        let registers = audit(&again).body.registers;
        assert_eq!(registers.ascending, Amount(440), "{}: paid once", image.point);
        assert_eq!(registers.refilled(), Some(Amount(2000)));
        // The next letter has the next number.
        assert_eq!(print(&again, 4).indicium.body.sequence, 5);
    }
}

#[test]
fn a_refill_that_is_killed_anywhere_is_applied_once() {
    let office = office();
    let (disk, device, meter) = new_meter(9);
    supply(&office, &meter, 2000, 1);
    let refill = office.refill(&proof(&meter.id(), 500, 2)).unwrap();
    meter.close().unwrap();
    let camera = Camera::new(&disk, Some(&device));
    let meter = open_meter(filmed(&disk, &camera), &device).unwrap();
    let before = camera.images().len();
    assert_eq!(meter.refill(&refill).unwrap().descending, Amount(2500));
    camera.take("after the refill");
    let images = camera.images().split_off(before);
    assert_all_points(&images);
    for image in images {
        let device = MemoryDevice::with(image.device.unwrap());
        let again = open_meter(options(&image.disk), &device).unwrap();
        for _ in 0..2 {
            assert_eq!(
                again.refill(&refill).unwrap().descending,
                Amount(2500),
                "{}",
                image.point
            );
        }
        print(&again, 0);
        assert_eq!(
            again.refill(&refill).unwrap().descending,
            Amount(2390),
            "{}",
            image.point
        );
    }
}

#[test]
fn a_crash_at_any_sync_loses_no_print_that_has_left() {
    let mut interrupted = 0;
    for seed in 0..60 {
        let (disk, device, meter) = new_meter(9);
        supply(&office(), &meter, 2000, 1);
        disk.fail_sync_after(seed % 7);
        let mut left = Vec::new();
        for job in 0..5 {
            match meter.print(&order(job, &LINES, TODAY)) {
                Ok(printed) => left.push(bytes(&printed)),
                Err(_) => {
                    interrupted += 1;
                    break;
                }
            }
        }
        drop(meter);
        disk.crash(seed);
        let meter = open_meter(options(&disk), &device).unwrap();
        for (job, had) in (0..).zip(&left) {
            assert_eq!(bytes(&print(&meter, job)), *had, "seed {seed}");
        }
        let next = left.len() as u64;
        assert_eq!(
            print(&meter, next).indicium.body.sequence,
            next + 1,
            "seed {seed}"
        );
    }
    assert!(interrupted > 20, "without interruptions the test proves nothing");
}

#[test]
fn a_state_that_was_put_back_locks_the_meter() {
    let (disk, device, meter) = new_meter(9);
    supply(&office(), &meter, 2000, 1);
    print(&meter, 0);
    meter.close().unwrap();
    let old = disk.copy();
    let old_device = device.content();
    let meter = open_meter(options(&disk), &device).unwrap();
    print(&meter, 1);
    print(&meter, 2);
    meter.close().unwrap();

    let newer = disk.copy();
    disk.restore(&old);
    let locked = open_meter(options(&disk), &device).unwrap_err();
    assert!(
        matches!(locked, MeterError::Locked(LockReason::StoreOlder)),
        "{locked}"
    );
    // For good, also with the right state.
    let locked = open_meter(options(&newer), &device).unwrap_err();
    assert!(
        matches!(locked, MeterError::Locked(LockReason::StoreOlder)),
        "{locked}"
    );

    let older = MemoryDevice::with(old_device);
    let locked = open_meter(options(&newer), &older).unwrap_err();
    assert!(
        matches!(locked, MeterError::Locked(LockReason::DeviceOlder)),
        "{locked}"
    );
}

#[test]
fn a_changed_byte_of_the_state_locks_the_meter_and_wipes_nothing() {
    let (disk, device, meter) = new_meter(9);
    supply(&office(), &meter, 2000, 1);
    print(&meter, 0);
    meter.close().unwrap();
    let journal = Path::new(DIR).join("journal");
    let end = disk
        .bytes(&journal)
        .unwrap()
        .iter()
        .rposition(|byte| *byte != 0)
        .unwrap();
    let mut locked = 0;
    for at in [end / 4, end / 2, end - 40] {
        let (changed, device) = (disk.copy(), MemoryDevice::with(device.content()));
        assert!(changed.flip(&journal, at as u64, 1));
        let error = open_meter(options(&changed), &device).unwrap_err();
        assert!(
            matches!(error, MeterError::Locked(LockReason::Tampered)),
            "byte {at}: {error}"
        );
        locked += 1;
        assert_eq!(device.content().key, [9; 32], "the key stays");
    }
    assert_eq!(locked, 3);
    // The state of another device does not open either.
    let other = MemoryDevice::new(8);
    assert!(matches!(
        open_meter(options(&disk), &other).unwrap_err(),
        MeterError::Locked(LockReason::Tampered)
    ));
}

#[test]
fn nothing_of_the_state_is_on_the_disk_in_clear() {
    let (disk, _, meter) = new_meter(9);
    supply(&office(), &meter, 2000, 1);
    let printed = bytes(&print(&meter, 0));
    let id = meter.id();
    meter.close().unwrap();
    let journal = disk.bytes(&Path::new(DIR).join("journal")).unwrap();
    for secret in [id.0.as_slice(), &printed[..40], b"10115"] {
        assert!(!journal.windows(secret.len()).any(|part| part == secret));
    }
}

#[test]
fn a_meter_behind_the_office_is_locked_by_the_next_refill() {
    // State and device were copied together, so the meter itself cannot know.
    let office = office();
    let (disk, device, meter) = new_meter(9);
    supply(&office, &meter, 2000, 1);
    meter.close().unwrap();
    let (copy, copied_device) = (disk.copy(), MemoryDevice::with(device.content()));
    let meter = open_meter(options(&disk), &device).unwrap();
    print(&meter, 0);
    office.audited(&audit(&meter), TODAY).unwrap();
    let refill = office.refill(&proof(&meter.id(), 500, 2)).unwrap();
    let clone = open_meter(options(&copy), &copied_device).unwrap();
    let locked = clone.refill(&refill).unwrap_err();
    assert!(
        matches!(locked, MeterError::Locked(LockReason::BehindOffice)),
        "{locked}"
    );
    drop(clone);
    assert!(open_meter(options(&copy), &copied_device).is_err());
    meter.refill(&refill).unwrap();
}

#[test]
fn refills_are_applied_in_order_each_once_and_only_by_their_meter() {
    let office = office();
    let (_, _, meter) = new_meter(9);
    let (_, _, other) = new_meter(8);
    supply(&office, &meter, 2000, 1);
    supply(&office, &other, 2000, 2);
    let second = office.refill(&proof(&meter.id(), 500, 3)).unwrap();
    let third = office.refill(&proof(&meter.id(), 700, 4)).unwrap();
    let early = meter.refill(&third).unwrap_err();
    assert!(
        matches!(early, MeterError::Refill(RefillRefusal::Order { .. })),
        "{early}"
    );
    let foreign = other.refill(&second).unwrap_err();
    assert!(
        matches!(foreign, MeterError::Refill(RefillRefusal::OtherMeter)),
        "{foreign}"
    );
    let forged = Signed::<Refill> {
        body: Refill {
            amount: Amount(5000),
            total: Amount(7000),
            ..second.body.clone()
        },
        ..second.clone()
    };
    let forged = meter.refill(&forged).unwrap_err();
    assert!(
        matches!(forged, MeterError::Refill(RefillRefusal::Signature)),
        "{forged}"
    );
    meter.refill(&second).unwrap();
    assert_eq!(meter.refill(&third).unwrap().descending, Amount(3200));
    assert_eq!(meter.refill(&second).unwrap().descending, Amount(3200));
}

#[test]
fn a_print_is_paid_and_refused_changes_nothing() {
    let (_, _, meter) = new_meter(9);
    let no_certificate = meter.print(&order(0, &LINES, TODAY)).unwrap_err();
    assert!(matches!(
        no_certificate,
        MeterError::Print(PrintRefusal::Uncertified)
    ));
    supply(&office(), &meter, 250, 1);
    let signed = print(&meter, 0).indicium;
    assert_eq!(signed.body.descending, Amount(140));
    verify(signed).unwrap();
    print(&meter, 1);
    let before = meter.state().unwrap();
    let refused = |order| meter.print(&order).unwrap_err();
    let empty = refused(order(2, &LINES, TODAY));
    assert!(
        matches!(empty, MeterError::Print(PrintRefusal::Balance { .. })),
        "{empty}"
    );
    let mut cheap = order(2, &LINES, TODAY);
    cheap.value = Amount(109);
    assert!(matches!(
        refused(cheap),
        MeterError::Print(PrintRefusal::Tariff { .. })
    ));
    let mut elsewhere = order(2, &LINES, TODAY);
    elsewhere.code = code("51148");
    assert!(matches!(
        refused(elsewhere),
        MeterError::Print(PrintRefusal::PostalCode)
    ));
    let other = order(1, &["Max Mustermann", "51147 Köln"], TODAY);
    assert!(matches!(
        refused(other),
        MeterError::Print(PrintRefusal::OtherOrder)
    ));
    assert_eq!(meter.state().unwrap(), before);
    assert_eq!(
        before.registers,
        Registers {
            sequence: 2,
            ascending: Amount(220),
            descending: Amount(30)
        }
    );
}

#[test]
fn the_meter_forgets_old_jobs_and_never_prints_one_of_them_twice() {
    let (_, _, meter) = new_meter(9);
    supply(&office(), &meter, 2_000_000, 1);
    let first = bytes(&print(&meter, 0));
    for job in 1..=JOBS_KEPT {
        if job == JOBS_KEPT {
            assert_eq!(bytes(&print(&meter, 0)), first, "the oldest that is kept");
        }
        print(&meter, job);
    }
    print(&meter, JOBS_KEPT + 1);
    let refused = meter.print(&order(0, &LINES, TODAY)).unwrap_err();
    assert!(
        matches!(refused, MeterError::Print(PrintRefusal::TooOld)),
        "{refused}"
    );
}
