//! Bytes that a sorting station reads from letters of strangers.

use crate::purchase;
use farthing_postage::{
    indicium::{Indicium, decode, encode, sign, verify},
    page::{Format, Mailpiece, pdf, png},
    reading,
};

/// The bytes of an indicium. One that is read is written with the same bytes.
pub fn indicium(data: &[u8]) {
    if let Ok(signed) = decode(data) {
        assert_eq!(encode(&signed), data);
        let _forged = verify(signed.clone());
        // With a key that the fuzzer has, every indicium within its bounds is signed and verified.
        let body = Indicium {
            meter: purchase::key(9).public(),
            ..signed.body
        };
        let signed = sign(body, &purchase::key(9)).expect("it was read");
        assert!(verify(signed).is_ok());
    }
}

/// A file of scanned mail: a picture or a document.
pub fn scanned_mail(data: &[u8]) {
    for found in reading::read("input", data).into_iter().flatten() {
        indicium(&found.indicium);
    }
}

pub(crate) fn indicium_samples() -> Vec<Vec<u8>> {
    let body = Indicium {
        class: farthing_postage::class::MailClass::First,
        day: farthing_postage::day::Day(20_787),
        value: farthing_protocol::money::Amount(110),
        sequence: 5,
        ascending: farthing_protocol::money::Amount(550),
        descending: farthing_protocol::money::Amount(1450),
        meter: purchase::key(9).public(),
        address: farthing_postage::address::AddressDigest([7; 32]),
        from: "10115".parse().expect("a code"),
        to: "SW1A 2AA".parse().expect("a code"),
    };
    vec![encode(&sign(body, &purchase::key(9)).expect("within its bounds"))]
}

pub(crate) fn scanned_mail_samples() -> Vec<Vec<u8>> {
    let piece = Mailpiece {
        from: vec!["Press".into(), "10115 Berlin".into()],
        to: vec!["Erika Mustermann".into(), "51147 Berlin".into()],
        class: "FIRST".into(),
        value: "1.10".into(),
        date: "2026-11-30".into(),
        meter: "e86b6c7b".into(),
        sequence: 5,
        indicium: indicium_samples().concat(),
    };
    vec![
        pdf(std::slice::from_ref(&piece), Format::Dl).expect("a page"),
        png(&piece, Format::LabelA6, 100).expect("a picture"),
    ]
}
