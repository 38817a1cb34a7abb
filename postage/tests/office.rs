//! An office: refills and what is owed, copied meters, settlements, and the books.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

mod support;

use farthing_coin::{PublicKey, Signed};
use farthing_postage::{
    day::Day,
    documents::{AuditChallenge, IndiciumBytes, MeterAudit, Refill, RevocationReason, StationReport},
    indicium::{decode, verify},
    judge::{JudgeError, RefillVerdict, judge},
    meter::{
        interface::{Meter, MeterError},
        rules::CertifyRefusal,
        soft::SoftMeter,
    },
    office::{
        audit::Books,
        desk::{Office, OfficeError},
        rules::{OfficeRefusal, SETTLEMENT_DAYS},
    },
};
use farthing_protocol::{deposited::Payee, money::Amount, payment_proof::PaymentProof};
use farthing_store::{disk::MemoryDisk, probe::WRITE_POINTS};
use support::*;

fn books(office: &Office) -> Books {
    let books = office.audit().unwrap();
    assert_eq!(books.faults, Vec::<String>::new());
    let postage = books.printed.0 + books.held.0 + books.pending.0;
    assert_eq!(postage, books.deposited.0, "{books:?}");
    books
}

fn refused(result: Result<impl std::fmt::Debug, OfficeError>) -> OfficeRefusal {
    match result.unwrap_err() {
        OfficeError::Refused(refusal) => refusal,
        other => panic!("{other}"),
    }
}

/// A report of these indicia, as the first of station 50.
fn report(indicia: &[Vec<u8>]) -> Signed<StationReport> {
    let report = StationReport {
        station: key(50).public(),
        first: 1,
        indicia: indicia.iter().cloned().map(IndiciumBytes).collect(),
    };
    Signed::sign(report, &key(50))
}

/// A meter with 20.00, and a copy of it with its device.
fn copied() -> (Office, SoftMeter, SoftMeter) {
    let office = office();
    let (meter, copy) = copied_meter(&office, 2000);
    (office, meter, copy)
}

#[test]
fn a_refill_is_given_once_for_each_deposit_and_again_if_its_reply_is_lost() {
    let office = office();
    let (_, _, meter) = new_meter(9);
    supply(&office, &meter, 2000, 1);
    let paid = proof(&meter.id(), 500, 2);
    let refill = office.refill(&paid).unwrap();
    for _ in 0..2 {
        // The reply was lost. The same proof gets the same bytes.
        assert_eq!(office.refill(&paid).unwrap(), refill);
    }
    assert_eq!(refill.body.total, Amount(2500));
    assert_eq!(meter.refill(&refill).unwrap().descending, Amount(2500));
    office.audited(&audit(&meter), TODAY).unwrap();
    assert_eq!(books(&office).deposited, Amount(2500));
}

#[test]
fn a_refill_that_is_killed_anywhere_at_the_office_is_sold_once() {
    let disk = MemoryDisk::new();
    let camera = Camera::new(&disk, None);
    let office = office_on(filmed(&disk, &camera));
    let (_, _, meter) = new_meter(9);
    supply(&office, &meter, 2000, 1);
    let before = camera.images().len();
    let paid = proof(&meter.id(), 500, 2);
    let refill = office.refill(&paid).unwrap();
    camera.take("after the refill");
    let images = camera.images().split_off(before);
    assert!(images.len() > 2 * WRITE_POINTS.len());
    for image in images {
        let again = office_on(options(&image.disk));
        assert_eq!(again.refill(&paid).unwrap(), refill, "{}", image.point);
        assert_eq!(books(&again).sold, Amount(2500), "{}", image.point);
    }
}

#[test]
fn no_payment_but_one_for_the_meter_is_sold() {
    let office = office();
    let (_, _, meter) = new_meter(9);
    supply(&office, &meter, 2000, 1);
    let id = meter.id();
    let changed = |change: fn(&mut PaymentProof)| {
        let mut proof = proof(&id, 500, 2);
        change(&mut proof);
        refused(office.refill(&proof))
    };
    // The bank's word counts, and only for what it says.
    let forged = changed(|proof| proof.deposits[0].body.outputs[0].amount = Amount(50_000));
    assert!(
        matches!(forged, OfficeRefusal::Payment(JudgeError::Proof(_))),
        "{forged}"
    );
    let elsewhere = changed(|proof| {
        proof.deposits[0].body.outputs[0].to = Payee::Account(key(77).public());
        proof.deposits[0] = Signed::sign(proof.deposits[0].body.clone(), &bank());
    });
    assert_eq!(elsewhere, OfficeRefusal::Payment(JudgeError::NotCredited));
    let other_bank = changed(|proof| {
        proof.deposits[0].body.bank = key(78).public();
        proof.deposits[0] = Signed::sign(proof.deposits[0].body.clone(), &key(78));
    });
    assert!(matches!(
        other_bank,
        OfficeRefusal::Payment(JudgeError::OtherBank { .. })
    ));
    let no_meter = changed(|proof| proof.text = "a gift".into());
    assert_eq!(no_meter, OfficeRefusal::NoMeter);
    let unknown = refused(office.refill(&proof(&key(79).public(), 500, 2)));
    assert_eq!(unknown, OfficeRefusal::UnknownMeter(key(79).public()));
    // A payment for another meter of the same office has another text.
    let (_, _, other) = new_meter(8);
    supply(&office, &other, 2000, 3);
    let mut taken = proof(&id, 500, 2);
    taken.text = farthing_postage::documents::refill_text(&other.id());
    assert!(matches!(
        refused(office.refill(&taken)),
        OfficeRefusal::Payment(JudgeError::Proof(_))
    ));
    assert_eq!(books(&office).sold, Amount(4000));
}

#[test]
fn an_office_owes_until_it_shows_the_signed_refill() {
    let office = office();
    let (_, _, meter) = new_meter(9);
    let certificate = office.certify(&meter.request().unwrap(), TODAY).unwrap();
    assert_eq!(
        office
            .certify(&meter.request().unwrap(), Day(TODAY.0 + 1))
            .unwrap(),
        certificate
    );
    let paid = proof(&meter.id(), 500, 2);
    let owed = judge(&paid, &certificate, None).unwrap();
    assert!(matches!(owed, RefillVerdict::Owed(paid) if paid.amount == Amount(500)));
    let refill = office.refill(&paid).unwrap();
    assert!(matches!(
        judge(&paid, &certificate, Some(&refill)),
        Ok(RefillVerdict::Kept(_))
    ));
    // Another refill does not pay this debt, and neither does a smaller or a forged one.
    let other = office.refill(&proof(&meter.id(), 500, 3)).unwrap();
    assert_eq!(
        judge(&paid, &certificate, Some(&other)),
        Err(JudgeError::OtherRefill)
    );
    let smaller = Refill {
        amount: Amount(499),
        ..refill.body.clone()
    };
    let smaller = Signed::sign(smaller, &key(3));
    assert_eq!(
        judge(&paid, &certificate, Some(&smaller)),
        Err(JudgeError::OtherRefill)
    );
    let forged = Signed::sign(refill.body.clone(), &key(4));
    assert_eq!(
        judge(&paid, &certificate, Some(&forged)),
        Err(JudgeError::OtherRefill)
    );
    // A stranger's certificate names a stranger's account.
    let mut terms = certificate.body.clone();
    terms.account = key(80).public();
    let strange = Signed {
        body: terms.clone(),
        signature: certificate.signature,
    };
    assert_eq!(judge(&paid, &strange, None), Err(JudgeError::Certificate));
    assert_eq!(
        judge(&paid, &Signed::sign(terms, &key(3)), None),
        Err(JudgeError::NotCredited)
    );
}

#[test]
fn a_meter_keeps_its_first_certificate() {
    let office = office();
    let (_, _, meter) = new_meter(9);
    let certificate = office.certify(&meter.request().unwrap(), TODAY).unwrap();
    meter.certify(&certificate).unwrap();
    meter.certify(&certificate).unwrap();
    let mut other = certificate.body.clone();
    other.office = key(60).public();
    let refused = meter.certify(&Signed::sign(other, &key(60))).unwrap_err();
    assert!(
        matches!(refused, MeterError::Certify(CertifyRefusal::Certified)),
        "{refused}"
    );
    let forged = Signed::sign(certificate.body.clone(), &key(61));
    let refused = meter.certify(&forged).unwrap_err();
    assert!(
        matches!(refused, MeterError::Certify(CertifyRefusal::Signature)),
        "{refused}"
    );
}

#[test]
fn two_digests_under_one_number_revoke_the_meter_without_the_stations_word() {
    let (office, meter, copy) = copied();
    let one = print(&meter, 0);
    let two = copy.print(&order(0, &["Max", "10115 Berlin"], TODAY)).unwrap();
    assert_eq!(one.indicium.body.sequence, two.indicium.body.sequence);
    let (one, two) = (bytes(&one), bytes(&two));
    let taken = office
        .report(&report(&[one.clone(), one.clone()]), TODAY)
        .unwrap();
    assert_eq!((taken.new, taken.known), (1, 1));
    assert!(taken.copied.is_empty());
    let taken = office
        .report(&report(&[one.clone(), two.clone(), b"FPx".to_vec()]), TODAY)
        .unwrap();
    assert_eq!((taken.new, taken.known, taken.bad), (0, 1, 1));
    assert_eq!(
        taken.copied.iter().copied().collect::<Vec<PublicKey>>(),
        [meter.id()]
    );
    // Told again, it counts once.
    let again = office.report(&report(std::slice::from_ref(&two)), TODAY).unwrap();
    assert!(again.copied.is_empty());
    let row = office.meter(&meter.id()).unwrap();
    assert_eq!(row.revoked.unwrap().reason, RevocationReason::Copied);
    assert_eq!((row.letters, row.carried), (2, Amount(220)));
    // The two indicia convict the meter before anybody.
    let [(at, pair)] = office.conflicts().unwrap().try_into().unwrap();
    assert_eq!(at, (meter.id(), 1));
    let pair = pair.map(|bytes| verify(decode(&bytes.0).unwrap()).unwrap());
    assert_eq!(pair[0].body().sequence, pair[1].body().sequence);
    assert_ne!(pair[0].digest(), pair[1].digest());
    // The books say that more was carried than the meter states.
    let faults = office.audit().unwrap().faults;
    assert!(
        faults.iter().any(|fault| fault.contains("copied or rolled back")),
        "{faults:?}"
    );
}

#[test]
fn registers_that_run_back_revoke_the_meter() {
    let (office, meter, copy) = copied();
    print(&meter, 0);
    print(&meter, 1);
    office.audited(&audit(&meter), TODAY).unwrap();
    // An old file proves nothing, whether it answers no question or an earlier one.
    let row = office.audited(&audit(&copy), TODAY).unwrap();
    assert_eq!((row.revoked, row.seen.sequence), (None, 2));
    let (one, two) = (AuditChallenge([1; 32]), AuditChallenge([2; 32]));
    office.ask(&meter.id(), one).unwrap();
    let old = meter.audit(one).unwrap();
    print(&meter, 2);
    office.audited(&audit(&meter), TODAY).unwrap();
    assert_eq!(
        office.audited(&old, TODAY).unwrap().revoked,
        None,
        "it was made before the third print"
    );
    office.ask(&meter.id(), two).unwrap();
    assert_eq!(office.audited(&old, TODAY).unwrap().revoked, None);
    // The answer to the last question does.
    assert_eq!(
        office.audited(&meter.audit(two).unwrap(), TODAY).unwrap().revoked,
        None
    );
    let row = office.audited(&copy.audit(two).unwrap(), TODAY).unwrap();
    assert_eq!(row.revoked.unwrap().reason, RevocationReason::RolledBack);
    assert_eq!(row.seen.sequence, 3, "the later registers stay");

    // The same by a letter whose number is higher, and whose ascending register is not.
    let (office, meter, copy) = copied();
    let mut dear = order(0, &LINES, TODAY);
    dear.value = Amount(900);
    let dear = meter.print(&dear).unwrap();
    print(&copy, 0);
    let cheap = print(&copy, 1);
    let taken = office
        .report(&report(&[bytes(&dear), bytes(&cheap)]), TODAY)
        .unwrap();
    assert_eq!(taken.new, 2);
    let row = office.meter(&meter.id()).unwrap();
    assert_eq!(row.revoked.unwrap().reason, RevocationReason::RolledBack);

    // An audit must be the meter's.
    let foreign = MeterAudit {
        meter: meter.id(),
        registers: Default::default(),
        challenge: AuditChallenge([0; 32]),
    };
    let foreign = refused(office.audited(&Signed::sign(foreign, &key(9)), TODAY));
    assert_eq!(foreign, OfficeRefusal::Audit);
}

#[test]
fn late_letters_and_late_audits_of_an_honest_meter_are_no_fault() {
    let office = office();
    let (_, _, meter) = new_meter(9);
    supply(&office, &meter, 2000, 1);
    let first = bytes(&print(&meter, 0));
    let second = bytes(&print(&meter, 1));
    let refill = office.refill(&proof(&meter.id(), 300, 2)).unwrap();
    meter.refill(&refill).unwrap();
    let third = bytes(&print(&meter, 2));
    office.report(&report(&[third, first, second]), TODAY).unwrap();
    office.audited(&audit(&meter), TODAY).unwrap();
    assert_eq!(office.meter(&meter.id()).unwrap().revoked, None);
    let books = books(&office);
    assert_eq!(
        (books.printed, books.held, books.carried),
        (Amount(330), Amount(1970), Amount(330))
    );
}

#[test]
fn what_is_left_of_a_locked_meter_is_reissued_once_after_settlement() {
    let office = office();
    let (_, _, old) = new_meter(9);
    let (_, _, new) = new_meter(8);
    supply(&office, &old, 2000, 1);
    supply(&office, &new, 1000, 2);
    let letter = bytes(&print(&old, 0));
    print(&old, 1);
    office.report(&report(&[letter]), TODAY).unwrap();
    office.audited(&audit(&old), TODAY).unwrap();
    let settle = |today| office.settle(&old.id(), &new.id(), today);
    assert_eq!(refused(settle(TODAY)), OfficeRefusal::NotRevoked);
    office.revoke(&old.id(), TODAY, TODAY).unwrap();
    let day = TODAY.plus(SETTLEMENT_DAYS);
    assert_eq!(refused(settle(Day(day.0 - 1))), OfficeRefusal::TooEarly(day));
    // A deposit that comes after the revocation is not lost.
    office.refill(&proof(&old.id(), 400, 3)).unwrap();
    let refill = settle(day).unwrap();
    assert_eq!(refill.body.amount, Amount(2000 - 220 + 400));
    // The reply was lost: the same refill again, and nothing more.
    assert_eq!(settle(day).unwrap(), refill);
    assert_eq!(
        refused(office.settle(&old.id(), &old.id(), day)),
        OfficeRefusal::NothingLeft
    );
    assert_eq!(new.refill(&refill).unwrap().descending, Amount(3180));
    assert_eq!(new.refill(&refill).unwrap().descending, Amount(3180));
    office.audited(&audit(&new), day).unwrap();
    let books = books(&office);
    assert_eq!(
        (books.reissued, books.printed, books.held),
        (Amount(2180), Amount(220), Amount(3180))
    );
    // And a deposit after the settlement is settled on its own.
    office.refill(&proof(&old.id(), 100, 4)).unwrap();
    assert_eq!(settle(day).unwrap().body.amount, Amount(100));
    assert_eq!(office.audit().unwrap().faults, Vec::<String>::new());
}

#[test]
fn changed_rows_do_not_pass_the_audit() {
    // Whoever can write to the store can raise a refill. The bank's document does not agree.
    use farthing_postage::office::rows::{METERS, REFILLS};
    use farthing_store::Store;
    let disk = MemoryDisk::new();
    let office = office_on(options(&disk));
    let (_, _, meter) = new_meter(9);
    supply(&office, &meter, 2000, 1);
    office.close().unwrap();
    let store = Store::open(std::path::Path::new(DIR), options(&disk)).unwrap().0;
    let refills = REFILLS
        .scan(&store.view(), std::ops::Bound::Unbounded, 9)
        .unwrap();
    let (source, mut refill) = refills[0].clone();
    let mut row = METERS.peek(&store.view(), &meter.id()).unwrap().unwrap();
    refill.refill.amount = Amount(3000);
    row.sold = Amount(3000);
    store
        .transact_blocking([METERS.key(&row.certificate.meter)], move |tx| {
            REFILLS.put(tx, &source, &refill)?;
            METERS.put(tx, &row.certificate.meter, &row)
        })
        .unwrap();
    store.close().unwrap();
    let faults = office_on(options(&disk)).audit().unwrap().faults;
    assert!(
        faults
            .iter()
            .any(|fault| fault.contains("no statement of the bank")),
        "{faults:?}"
    );
}
