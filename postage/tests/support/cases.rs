//! The known answers of `vectors/postage`: made from fixed inputs by `examples/postage_vectors.rs`, and checked by
//! `tests/vectors.rs`.

use farthing_coin::{Document, SecretKey, Seed, Signed};
use farthing_postage::{
    address::{Address, PostalCode},
    class::MailClass,
    day::Day,
    documents::{
        AuditChallenge, IndiciumBytes, ListedMeter, MeterAudit, MeterCertificate, MeterList, MeterRequest,
        Received, Refill, RefillSource, Registers, Revocation, RevocationReason, StationReport, refill_text,
    },
    indicium::{Indicium, decode, encode, sign},
};
use farthing_protocol::{ids::DepositId, money::Amount};
use serde::Serialize;
use serde_json::{Value, json};

/// The secret keys of the story, by name.
pub(crate) fn secret(name: &str) -> SecretKey {
    let who = match name {
        "bank" => 1,
        "account" => 2,
        "office" => 3,
        "meter" => 4,
        "other meter" => 5,
        _ => 6,
    };
    Seed::from_bytes(&[who; 32]).account_key()
}

const ADDRESSES: [&[&str]; 3] = [
    &["Erika Mustermann", "Heidestraße 17", "51147 Köln"],
    &["  erika   MUSTERMANN", "Heidestraße 17 51147", "Köln"],
    &["10 Downing Street", "London SW1A 2AA", "United Kingdom"],
];

fn addresses() -> Vec<Value> {
    let case = |lines: &&[&str]| {
        let address = Address::new(lines).expect("an address");
        json!({ "lines": lines, "compared": address, "digest": address.digest() })
    };
    ADDRESSES.iter().map(case).collect()
}

/// The indicia of the story.
pub(crate) fn indicia() -> Vec<Indicium> {
    let first = Indicium {
        class: MailClass::First,
        day: Day(20_787),
        value: Amount(110),
        sequence: 1,
        ascending: Amount(110),
        descending: Amount(1_890),
        meter: secret("meter").public(),
        address: Address::new(ADDRESSES[0]).expect("an address").digest(),
        from: "10115".parse().expect("a code"),
        to: "51147".parse().expect("a code"),
    };
    let long = Indicium {
        class: MailClass::Parcel,
        day: Day(u32::MAX),
        value: Amount(u32::MAX.into()),
        sequence: u64::MAX,
        ascending: Amount(u64::MAX),
        descending: Amount(0),
        from: "ABCDEFGHIJKL".parse().expect("a code"),
        to: "SW1A 2AA".parse().expect("a code"),
        ..first.clone()
    };
    vec![first, long]
}

fn indicium_cases() -> Vec<Value> {
    let case = |body: Indicium| {
        let signed = sign(body, &secret("meter")).expect("in its bounds");
        let body = &signed.body;
        json!({
            "class": body.class, "day": body.day, "value": body.value, "sequence": body.sequence,
            "ascending": body.ascending, "descending": body.descending, "meter": body.meter, "address": body.address,
            "from": body.from, "to": body.to, "digest": body.digest(), "bytes": hex::encode(encode(&signed)),
        })
    };
    indicia().into_iter().map(case).collect()
}

/// Changed bytes of the first indicium that are no indicium: a name, the place, and the new bytes there.
fn negatives() -> Vec<Value> {
    let good = encode(&sign(indicia().swap_remove(0), &secret("meter")).expect("in its bounds"));
    let changes: [(&str, usize, &[u8]); 11] = [
        ("another magic", 0, b"fp"),
        ("another version", 2, &[2]),
        ("class 0", 3, &[0]),
        ("class 5", 3, &[5]),
        ("value 0", 8, &[0; 4]),
        ("sequence number 0", 12, &[0; 8]),
        ("ascending register below the value", 20, &[0; 8]),
        ("registers that overflow", 28, &[0xff; 8]),
        ("an empty postal code", 100, &[0]),
        ("a postal code in small letters", 101, b"a"),
        ("a postal code with a space at its end", 105, b" "),
    ];
    let changed = changes.map(|(name, at, new)| {
        let mut bytes = good.clone();
        bytes[at..at + new.len()].copy_from_slice(new);
        (name, bytes)
    });
    let cut = ("a byte less", good[..good.len() - 1].to_vec());
    let longer = ("a byte more", [good.as_slice(), &[0]].concat());
    let case = |(name, bytes): (&str, Vec<u8>)| {
        let error = decode(&bytes).expect_err(name).to_string();
        json!({ "name": name, "bytes": hex::encode(bytes), "refused": error })
    };
    changed.into_iter().chain([cut, longer]).map(case).collect()
}

fn document<D: Document + Serialize>(body: D, signer: &str) -> Value {
    let digest = body.digest();
    let signed = Signed::sign(body, &secret(signer));
    json!({
        "label": D::LABEL, "signer": signer, "digest": digest, "body": signed.body, "signature": signed.signature,
    })
}

/// A refill of the meter for this source.
fn refill(source: RefillSource, total: u64) -> Refill {
    Refill {
        office: secret("office").public(),
        meter: secret("meter").public(),
        source,
        amount: Amount(1_000),
        total: Amount(total),
        seen: 3,
    }
}

/// The list of both meters. The other one is revoked.
fn list() -> MeterList {
    let revoked = Revocation {
        from: Day(20_780),
        reason: RevocationReason::Copied,
        day: Day(20_787),
    };
    let listed = |name, revoked| ListedMeter {
        meter: secret(name).public(),
        from: "10115".parse().expect("a code"),
        revoked,
    };
    MeterList {
        office: secret("office").public(),
        number: 4,
        meters: vec![listed("meter", None), listed("other meter", Some(revoked))],
        received: vec![Received {
            station: secret("station").public(),
            up_to: 9,
        }],
    }
}

fn documents() -> Vec<Value> {
    let [office, meter, other] = ["office", "meter", "other meter"].map(|name| secret(name).public());
    let from: PostalCode = "10115".parse().expect("a code");
    let deposit = RefillSource::Deposit(DepositId([7; 32]));
    let settled = RefillSource::Settlement {
        meter: other,
        number: 1,
    };
    let certificate = MeterCertificate {
        office,
        bank: secret("bank").public(),
        account: secret("account").public(),
        meter,
        from: from.clone(),
        day: Day(20_787),
    };
    let registers = Registers {
        sequence: 3,
        ascending: Amount(330),
        descending: Amount(670),
    };
    let audit = MeterAudit {
        meter,
        registers,
        challenge: AuditChallenge([8; 32]),
    };
    let indicium = encode(&sign(indicia().swap_remove(0), &secret("meter")).expect("in its bounds"));
    let report = StationReport {
        station: secret("station").public(),
        first: 10,
        indicia: vec![IndiciumBytes(indicium)],
    };
    vec![
        document(MeterRequest { meter, from }, "meter"),
        document(certificate, "office"),
        document(refill(deposit, 1_000), "office"),
        document(refill(settled, 2_000), "office"),
        document(audit, "meter"),
        document(list(), "office"),
        document(report, "station"),
    ]
}

/// The whole file.
pub(crate) fn file() -> Value {
    let names = ["bank", "account", "office", "meter", "other meter", "station"];
    let keys = names.map(|name| {
        let key = secret(name);
        json!({ "name": name, "secret": hex::encode(*key.to_bytes()), "public": key.public() })
    });
    json!({
        "keys": keys, "addresses": addresses(), "indicia": indicium_cases(), "negatives": negatives(),
        "documents": documents(), "refill_text": refill_text(&secret("meter").public()),
    })
}
