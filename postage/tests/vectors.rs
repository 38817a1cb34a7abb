//! The known answers in `vectors/postage`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

#[path = "support/cases.rs"]
mod cases;

use farthing_coin::{Document, PublicKey, StatementDigest};
use farthing_postage::{
    address::{Address, AddressDigest},
    indicium::{decode, encode, verify},
};
use serde_json::Value;
use std::{fs, path::Path};

fn file() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/postage/indicia.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn bytes(case: &Value) -> Vec<u8> {
    hex::decode(case["bytes"].as_str().unwrap()).unwrap()
}

#[test]
fn this_implementation_makes_the_known_answers() {
    let (made, kept) = (cases::file(), file());
    for (section, cases) in kept.as_object().unwrap() {
        assert_eq!(&made[section], cases, "{section}");
    }
    assert_eq!(made, kept);
}

#[test]
fn the_indicia_in_the_file_are_read_and_verified() {
    let file = file();
    let indicia = file["indicia"].as_array().unwrap();
    assert_eq!(indicia.len(), 2);
    for case in indicia {
        let signed = decode(&bytes(case)).unwrap();
        assert_eq!(encode(&signed), bytes(case));
        let digest: StatementDigest = case["digest"].as_str().unwrap().parse().unwrap();
        assert_eq!(signed.body.digest(), digest);
        let meter: PublicKey = case["meter"].as_str().unwrap().parse().unwrap();
        assert_eq!(signed.body.meter, meter);
        assert_eq!(signed.body.sequence, case["sequence"].as_u64().unwrap());
        assert_eq!(verify(signed).unwrap().digest(), digest);
    }
    let negatives = file["negatives"].as_array().unwrap();
    assert_eq!(negatives.len(), 13);
    for case in negatives {
        let refused = decode(&bytes(case)).unwrap_err().to_string();
        assert_eq!(case["refused"], refused, "{}", case["name"]);
    }
}

#[test]
fn the_addresses_in_the_file_have_their_digests() {
    for case in file()["addresses"].as_array().unwrap() {
        let lines = case["lines"].as_array().unwrap().iter();
        let lines: Vec<&str> = lines.map(|line| line.as_str().unwrap()).collect();
        let address = Address::new(&lines).unwrap();
        assert_eq!(case["compared"], address.to_string());
        let digest: AddressDigest = case["digest"].as_str().unwrap().parse().unwrap();
        assert_eq!(address.digest(), digest);
    }
}
