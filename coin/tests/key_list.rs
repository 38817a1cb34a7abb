//! The bank's list of keys: which lists are refused, how keys are found, and how a longer list extends a shorter one.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod support;

use farthing_coin::{
    Calendar, DenominationSecret, EpochKeys, KeyBook, KeyId, KeyList, KeyListError, MasterSecret, PublicKey,
    SecretKey, SignatureError, Signed,
};

const CALENDAR: Calendar = Calendar {
    epoch_ms: 1000,
    spend_epochs: 2,
    redeem_epochs: 3,
};

fn bank() -> SecretKey {
    SecretKey::from_wide(&[9; 64]).expect("not zero")
}

fn list(epochs: std::ops::Range<u32>) -> KeyList {
    let values = vec![1, 4, 8];
    let keys_of = |epoch| EpochKeys {
        epoch,
        keys: values
            .iter()
            .map(|value| {
                DenominationSecret::derive(&MasterSecret::from_bytes([7; 32]), *value, epoch).public()
            })
            .collect(),
    };
    let epochs = epochs.map(keys_of).collect();
    KeyList {
        bank: bank().public(),
        currency: "TST".to_owned(),
        calendar: CALENDAR,
        values,
        epochs,
    }
}

fn book(list: KeyList) -> Result<KeyBook, KeyListError> {
    KeyBook::new(Signed::sign(list, &bank()), &bank().public())
}

#[test]
fn keys_are_found_by_id_and_by_date() {
    let book = book(list(5..8)).expect("a good list");
    assert_eq!(book.values(), [1, 4, 8]);
    assert_eq!(book.denominations().count(), 9);
    let d = book.issuing(4, 6_500).expect("epoch 6");
    assert_eq!((d.value, d.epoch, d.currency.as_str()), (4, 6, "TST"));
    assert_eq!((d.issue_from_ms, d.issue_until_ms), (6_000, 7_000));
    assert_eq!((d.spend_until_ms, d.redeem_until_ms), (9_000, 12_000));
    assert_eq!(
        d.public,
        DenominationSecret::derive(&MasterSecret::from_bytes([7; 32]), 4, 6).public()
    );
    assert_eq!(book.get(&d.id()), Some(d));
    assert_eq!(book.list().denomination(4, 6).as_ref(), Some(d));
    assert_eq!(book.denomination(4, 6), Some(d));
    // Bounds are half open, and nothing is issued outside the list.
    assert_eq!(book.issuing(4, 5_999).map(|d| d.epoch), Some(5));
    assert_eq!(book.issuing(4, 6_000).map(|d| d.epoch), Some(6));
    assert_eq!(book.issuing(4, 4_999), None);
    assert_eq!(book.issuing(4, 8_000), None);
    assert_eq!(book.issuing(4, u64::MAX), None);
    assert_eq!(book.issuing(2, 6_500), None);
    assert_eq!(book.get(&KeyId([0; 32])), None);
}

#[test]
fn a_longer_list_knows_the_digests_of_all_shorter_ones() {
    let books: Vec<KeyBook> = (6..10)
        .map(|end| book(list(5..end)).expect("a good list"))
        .collect();
    for (long_at, long) in books.iter().enumerate() {
        for (short_at, short) in books.iter().enumerate() {
            assert_eq!(long.knows_digest(&short.digest()), short_at <= long_at);
            assert_eq!(long.extends(short), short_at <= long_at);
        }
    }
    // A list with another first epoch, another old key or another calendar extends none of them.
    let mut changed = list(5..9);
    changed.epochs[0].keys[1] = DenominationSecret::derive(&MasterSecret::from_bytes([8; 32]), 4, 5).public();
    let mut calendar = list(5..9);
    calendar.calendar.spend_epochs += 1;
    for other in [list(6..9), changed, calendar] {
        assert!(!book(other).expect("good by itself").extends(&books[0]));
    }
}

#[test]
fn a_list_that_another_key_signed_or_that_was_altered_is_refused() {
    let stranger = SecretKey::from_wide(&[3; 64]).expect("not zero");
    let signed = Signed::sign(list(5..8), &stranger);
    let refused = KeyBook::new(signed.clone(), &bank().public()).expect_err("signed by a stranger");
    assert_eq!(refused, KeyListError::Signature(SignatureError::Forged));
    let refused = KeyBook::new(signed, &stranger.public()).expect_err("of another bank");
    let (got, expected) = (bank().public(), stranger.public());
    assert_eq!(refused, KeyListError::WrongBank { got, expected });
    let mut altered = Signed::sign(list(5..8), &bank());
    altered.body.epochs[2].keys.swap(0, 1);
    let refused = KeyBook::new(altered, &bank().public()).expect_err("altered");
    assert_eq!(refused, KeyListError::Signature(SignatureError::Forged));
}

/// The error of a good list after this change.
fn refused(change: &dyn Fn(&mut KeyList)) -> KeyListError {
    let mut list = list(5..8);
    change(&mut list);
    let error = list.check().expect_err("a broken rule");
    assert_eq!(book(list).expect_err("a broken rule"), error);
    error
}

#[test]
fn each_rule_of_currency_and_values_has_its_error() {
    assert_eq!(refused(&|list| list.currency.clear()), KeyListError::Currency);
    assert_eq!(
        refused(&|list| list.currency = "A".repeat(13)),
        KeyListError::Currency
    );
    assert_eq!(
        refused(&|list| list.currency = "A B".to_owned()),
        KeyListError::Currency
    );
    assert_eq!(
        refused(&|list| list.currency = "€".to_owned()),
        KeyListError::Currency
    );
    assert_eq!(
        refused(&|list| list.values.clear()),
        KeyListError::ValueCount { got: 0 }
    );
    assert_eq!(
        refused(&|list| list.values = vec![1; 65]),
        KeyListError::ValueCount { got: 65 }
    );
    assert_eq!(
        refused(&|list| list.values[1] = 3),
        KeyListError::Value { value: 3 }
    );
    assert_eq!(
        refused(&|list| list.values[0] = 0),
        KeyListError::Value { value: 0 }
    );
    assert_eq!(
        refused(&|list| list.values[1] = 1),
        KeyListError::Value { value: 1 }
    );
    assert_eq!(
        refused(&|list| list.values.reverse()),
        KeyListError::Value { value: 4 }
    );
}

#[test]
fn each_rule_of_epochs_and_keys_has_its_error() {
    assert_eq!(
        refused(&|list| list.epochs.clear()),
        KeyListError::EpochCount { got: 0 }
    );
    let none = EpochKeys {
        epoch: 0,
        keys: vec![],
    };
    let many = vec![none; 4097];
    assert_eq!(
        refused(&|list| list.epochs = many.clone()),
        KeyListError::EpochCount { got: 4097 }
    );
    let skipped = KeyListError::EpochOrder { got: 7, expected: 6 };
    assert_eq!(
        refused(&|list| list.epochs.retain(|keys| keys.epoch != 6)),
        skipped
    );
    assert_eq!(
        refused(&|list| list.calendar.epoch_ms = 0),
        KeyListError::Dates { epoch: 5 }
    );
    assert_eq!(
        refused(&|list| list.calendar.epoch_ms = u64::MAX / 6),
        KeyListError::Dates { epoch: 5 }
    );
    let missing = KeyListError::KeyCount {
        epoch: 6,
        got: 2,
        expected: 3,
    };
    assert_eq!(refused(&|list| list.epochs[1].keys.truncate(2)), missing);
    let error = SignatureError::Identity("public key");
    let identity = KeyListError::Key {
        value: 4,
        epoch: 6,
        error,
    };
    assert_eq!(
        refused(&|list| list.epochs[1].keys[1] = PublicKey([0; 32])),
        identity
    );
    let twice = KeyListError::DuplicateKey { value: 1, epoch: 6 };
    assert_eq!(
        refused(&|list| list.epochs[1].keys[0] = list.epochs[0].keys[2]),
        twice
    );
}
