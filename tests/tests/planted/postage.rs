//! Postage that is sold, printed or accepted twice, and meters that are copied or put back.

#[path = "../../../postage/tests/support/mod.rs"]
mod world;

use farthing_coin::Signed;
use farthing_postage::{
    day::{DAY_MS, Day, VALID_DAYS},
    documents::{AuditChallenge, Refill, RevocationReason},
    judge::{RefillVerdict, judge},
    meter::{interface::Meter, soft::SoftMeter},
    office::desk::Office,
    sort::{
        rules::{Face, Fault},
        station::Station,
    },
};
use farthing_protocol::{deposited::Payee, money::Amount};
use world::*;

/// An address of the station for the area 10.
const BERLIN: [&str; 2] = ["Max Mustermann", "10115 Berlin"];

/// What each meter has at first.
const FUNDS: u64 = 20_000;

/// An office, a meter, and a station for the area 51 that knows it.
fn setting() -> (Office, SoftMeter, Station) {
    let office = office();
    let (_, _, meter) = new_meter(9);
    supply(&office, &meter, FUNDS, 1);
    let station = station(50, &["51"]);
    station.learn(&office.list().unwrap()).unwrap();
    (office, meter, station)
}

fn scan_at(station: &Station, bytes: &[u8], lines: &[&str], now_ms: u64) -> Result<(), Fault> {
    station.scan(bytes, &face(lines), now_ms).unwrap()
}

fn scan(station: &Station, bytes: &[u8]) -> Result<(), Fault> {
    scan_at(station, bytes, &LINES, NOW_MS)
}

/// A customer shows the office one payment twice, because the reply was lost.
pub async fn a_payment_for_postage_that_is_shown_twice() {
    let (office, meter, _) = setting();
    let paid = proof(&meter.id(), 500, 2);
    let refill = office.refill(&paid).unwrap();
    assert!(
        office.refill(&paid).unwrap() == refill,
        "money: the office sells two refills for one payment"
    );
}

/// A customer pays another account, and shows that to the office.
pub async fn a_payment_for_postage_to_another_account() {
    let (office, meter, _) = setting();
    let mut paid = proof(&meter.id(), 500, 2);
    paid.deposits[0].body.outputs[0].to = Payee::Account(key(77).public());
    paid.deposits[0] = Signed::sign(paid.deposits[0].body.clone(), &bank());
    assert!(
        office.refill(&paid).is_err(),
        "money: the office sells a refill for money that somebody else has"
    );
}

/// A customer gives the meter one refill twice.
pub async fn a_refill_that_is_applied_twice() {
    let (office, meter, _) = setting();
    let refill = office.refill(&proof(&meter.id(), 500, 2)).unwrap();
    let once = meter.refill(&refill).unwrap();
    assert!(
        meter.refill(&refill).is_ok_and(|twice| twice == once),
        "money: one refill raises the balance twice"
    );
}

/// A customer signs a refill in the office's name.
pub async fn a_refill_that_the_office_has_not_signed() {
    let (office, meter, _) = setting();
    let refill = office.refill(&proof(&meter.id(), 500, 2)).unwrap();
    let body = Refill {
        amount: Amount(5000),
        total: Amount(FUNDS + 5000),
        ..refill.body
    };
    assert!(
        meter.refill(&Signed::sign(body, &key(9))).is_err(),
        "money: a refill that nobody has sold"
    );
}

/// The printer jams, and the customer prints the letter again.
pub async fn a_print_that_is_interrupted() {
    let (_, meter, _) = setting();
    let first = bytes(&print(&meter, 0));
    assert!(
        bytes(&print(&meter, 0)) == first,
        "goods: a letter is paid, and its postage cannot be had again"
    );
}

/// A disk fails while the meter prints. The machine is restarted, and another letter is printed.
pub async fn a_print_on_a_disk_that_fails() {
    for syncs in 0..7 {
        let (disk, device, meter) = new_meter(9);
        supply(&office(), &meter, FUNDS, 1);
        disk.fail_sync_after(syncs);
        let left = meter.print(&order(0, &LINES, TODAY)).ok();
        drop(meter);
        disk.crash(syncs);
        let meter = open_meter(options(&disk), &device).unwrap();
        let next = meter.print(&order(1, &BERLIN, TODAY)).unwrap();
        let number = left.map(|printed| printed.indicium.body.sequence);
        assert!(
            number != Some(next.indicium.body.sequence),
            "money: two letters are printed with one number, and one is paid"
        );
    }
}

/// A customer puts an older copy of the meter's state back.
pub async fn a_meter_whose_state_is_put_back() {
    let (disk, device, meter) = new_meter(9);
    supply(&office(), &meter, FUNDS, 1);
    meter.close().unwrap();
    let old = disk.copy();
    let meter = open_meter(options(&disk), &device).unwrap();
    print(&meter, 0);
    print(&meter, 1);
    meter.close().unwrap();
    disk.restore(&old);
    assert!(
        open_meter(options(&disk), &device).is_err(),
        "money: a meter prints again what it has printed"
    );
}

/// A customer copies a meter with its device, and refills the copy after the office has seen the original.
pub async fn a_copied_meter_that_is_refilled() {
    let office = office();
    let (meter, copy) = copied_meter(&office, FUNDS);
    print(&meter, 0);
    office.audited(&audit(&meter), TODAY).unwrap();
    let refill = office.refill(&proof(&meter.id(), 500, 2)).unwrap();
    assert!(
        copy.refill(&refill).is_err(),
        "money: a meter goes on that the office has seen further"
    );
}

/// The office asks a meter for its registers, and a copy answers that has printed less.
pub async fn a_copied_meter_that_is_asked() {
    let office = office();
    let (meter, copy) = copied_meter(&office, FUNDS);
    print(&meter, 0);
    office.audited(&audit(&meter), TODAY).unwrap();
    let question = AuditChallenge([1; 32]);
    office.ask(&meter.id(), question).unwrap();
    let row = office.audited(&copy.audit(question).unwrap(), TODAY).unwrap();
    assert!(
        row.revoked
            .is_some_and(|it| it.reason == RevocationReason::RolledBack),
        "money: a meter that was rolled back stays certified"
    );
}

/// A copied meter prints one number for two addresses of two stations.
pub async fn a_copied_meter_at_two_stations() {
    let office = office();
    let (meter, copy) = copied_meter(&office, FUNDS);
    let (here, there) = (station(50, &["51"]), station(51, &["10"]));
    let own = bytes(&print(&meter, 0));
    let copied = bytes(&copy.print(&order(0, &BERLIN, TODAY)).unwrap());
    for (station, letter, lines) in [(&here, &own, &LINES[..]), (&there, &copied, &BERLIN[..])] {
        station.learn(&office.list().unwrap()).unwrap();
        scan_at(station, letter, lines, NOW_MS).unwrap();
        let report = station.report().unwrap().unwrap();
        office.report(&report, TODAY).unwrap();
    }
    here.learn(&office.list().unwrap()).unwrap();
    let next = scan(&here, &bytes(&print(&meter, 1)));
    assert!(
        matches!(next, Err(Fault::Revoked(_))),
        "money: a copied meter is not revoked"
    );
}

/// Somebody posts a copy of a letter.
pub async fn a_letter_that_is_posted_twice() {
    let (_, meter, station) = setting();
    let letter = bytes(&print(&meter, 0));
    scan(&station, &letter).unwrap();
    assert!(
        scan(&station, &letter).is_err(),
        "money: one indicium carries two letters"
    );
}

/// Somebody posts an indicium with another address, and with another value.
pub async fn a_letter_that_was_changed() {
    let (_, meter, station) = setting();
    let letter = bytes(&print(&meter, 0));
    let neighbour = ["Erika Mustermann", "Heidestraße 18", "51147 Köln"];
    assert!(
        scan_at(&station, &letter, &neighbour, NOW_MS).is_err(),
        "money: an indicium carries letters to anybody"
    );
    let dearer = Face {
        value: Some(Amount(450)),
        ..face(&LINES)
    };
    assert!(
        station.scan(&letter, &dearer, NOW_MS).unwrap().is_err(),
        "money: a letter shows more postage than was paid"
    );
}

/// A letter is dated a month ahead, and another one six months back. A third one is far from the numbers before.
pub async fn letters_out_of_their_time_and_number() {
    let (_, meter, station) = setting();
    for day in [TODAY.plus(30), Day(TODAY.0 - VALID_DAYS - 1)] {
        let letter = bytes(&meter.print(&order(u64::from(day.0), &LINES, day)).unwrap());
        assert!(
            scan(&station, &letter).is_err(),
            "bounds: a station remembers letters for longer than six months"
        );
    }
    scan(&station, &bytes(&print(&meter, 0))).unwrap();
    (1..=100).for_each(|job| drop(print(&meter, job)));
    assert!(
        scan(&station, &bytes(&print(&meter, 101))).is_err(),
        "bounds: numbers of a meter may be far apart"
    );
}

/// A station has purged an expired letter, and its clock goes back.
pub async fn a_clock_that_goes_back_after_a_purge() {
    let (_, meter, station) = setting();
    let old = Day(TODAY.0 - VALID_DAYS);
    let letter = bytes(&meter.print(&order(0, &LINES, old)).unwrap());
    scan(&station, &letter).unwrap();
    scan(&station, &bytes(&print(&meter, 1))).unwrap();
    let tomorrow = NOW_MS + DAY_MS;
    assert_eq!(station.purge(Day::of_ms(tomorrow)).unwrap(), 1);
    assert!(
        scan(&station, &letter).is_err(),
        "money: a letter is accepted again after it was forgotten"
    );
}

/// Somebody gives a station the list from before a revocation.
pub async fn an_older_list_of_meters() {
    let (office, meter, station) = setting();
    let old = office.list().unwrap();
    office.revoke(&meter.id(), Day(0), TODAY).unwrap();
    station.learn(&office.list().unwrap()).unwrap();
    drop(station.learn(&old));
    assert!(
        scan(&station, &bytes(&print(&meter, 0))).is_err(),
        "money: a revoked meter is accepted again"
    );
}

/// A revoked meter is settled on the day of its revocation.
pub async fn a_meter_that_is_settled_at_once() {
    let (office, meter, _) = setting();
    let (_, _, other) = new_meter(8);
    supply(&office, &other, FUNDS, 2);
    office.revoke(&meter.id(), TODAY, TODAY).unwrap();
    assert!(
        office.settle(&meter.id(), &other.id(), TODAY).is_err(),
        "money: postage is reissued while letters with it are under way"
    );
}

/// A customer has paid, and the office shows a judge nothing, and then another refill.
pub async fn an_office_that_denies() {
    let (office, meter, _) = setting();
    let certificate = office.certify(&meter.request().unwrap(), TODAY).unwrap();
    let paid = proof(&meter.id(), 500, 2);
    assert!(
        matches!(judge(&paid, &certificate, None), Ok(RefillVerdict::Owed(_))),
        "evidence: an office that shows no refill owes nothing"
    );
    let other = office.refill(&proof(&meter.id(), 500, 3)).unwrap();
    assert!(
        judge(&paid, &certificate, Some(&other)).is_err(),
        "evidence: one refill pays for two payments"
    );
}
