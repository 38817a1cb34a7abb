//! The wallet's phrase and derivations.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod support;

use std::collections::BTreeSet;

use farthing_coin::{BootId, ClientRandomness, Commitment, PhraseError, RequestId, Seed, blind};
use support::{TestRng, denomination};

/// The published BIP-39 vector of 32 zero bytes.
const ZERO_PHRASE: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon \
     abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon art";

#[test]
fn a_phrase_equals_the_published_bip_39_vector() {
    assert_eq!(*Seed::from_bytes(&[0; 32]).to_phrase(), ZERO_PHRASE);
    let vector = "legal winner thank year wave sausage worth useful legal winner thank year wave sausage worth useful \
                  legal winner thank year wave sausage worth title";
    assert_eq!(*Seed::from_bytes(&[0x7f; 32]).to_phrase(), vector);
}

#[test]
fn a_phrase_is_read_in_any_case_and_spacing() {
    for number in 0..20 {
        let seed = Seed::generate(&mut TestRng::new("seed", number));
        let phrase = seed.to_phrase();
        assert_eq!(phrase.split(' ').count(), 24);
        let read = Seed::from_phrase(&phrase).expect("its own phrase");
        assert_eq!(*read.to_bytes(), *seed.to_bytes());
        let sloppy = format!("  {}\n", phrase.to_uppercase().replace(' ', " \n\t"));
        assert_eq!(
            *Seed::from_phrase(&sloppy).expect("the same words").to_bytes(),
            *seed.to_bytes()
        );
    }
}

#[test]
fn a_wrong_phrase_is_refused_with_the_position_of_the_word() {
    let refused = |phrase: &str| Seed::from_phrase(phrase).expect_err("a wrong phrase");
    assert_eq!(refused(""), PhraseError::WordCount { got: 0 });
    assert_eq!(refused("abandon abandon"), PhraseError::WordCount { got: 2 });
    assert_eq!(
        refused(&format!("{ZERO_PHRASE} art")),
        PhraseError::WordCount { got: 25 }
    );
    let misspelt = ZERO_PHRASE.replacen("abandon abandon", "abandon abandom", 1);
    assert_eq!(refused(&misspelt), PhraseError::UnknownWord { position: 2 });
    assert_eq!(
        refused(&ZERO_PHRASE.replace("art", "abandon")),
        PhraseError::Checksum
    );
    // A phrase of 12 words is valid BIP-39, but it holds only half a seed.
    let short = format!("{}about", "abandon ".repeat(11));
    assert_eq!(refused(&short), PhraseError::WordCount { got: 12 });
}

#[test]
fn all_derived_values_differ() {
    let mut seen = BTreeSet::new();
    let mut fresh = |bytes: [u8; 32]| assert!(seen.insert(bytes), "derived twice");
    for number in 0..2 {
        let seed = Seed::generate(&mut TestRng::new("seed", number));
        fresh(*seed.account_key().to_bytes());
        for bank in [1, 2] {
            fresh(
                *seed
                    .bank_account_key(&farthing_coin::PublicKey([bank; 32]))
                    .to_bytes(),
            );
        }
        for counter in [0, 1, u64::MAX] {
            fresh(seed.withdraw_id(counter).0);
            fresh(seed.exchange_id(counter).0);
            fresh(*seed.purchase_key(counter).to_bytes());
            fresh(seed.recovery_record_id(counter).0);
            fresh(*seed.recovery_record_key(counter).as_bytes());
            let request_id = seed.withdraw_id(counter);
            fresh(seed.client_randomness(&request_id).0);
            for slot in [0, 1, u32::MAX] {
                fresh(*seed.coin_key(&request_id, slot).to_bytes());
            }
        }
    }
}

/// Blinders that are used with two first messages, or with one message under two keys, could link sessions to coins.
#[test]
fn blinders_depend_on_the_first_message_the_key_the_request_and_the_slot() {
    let mut rng = TestRng::new("blinders", 0);
    let (_, d) = denomination(8, 1);
    let (_, other_key) = denomination(8, 2);
    let mut commitment = || {
        farthing_coin::Nonces::generate(&mut rng, &BootId([1; 32]), b"session", &ClientRandomness([2; 32])).1
    };
    let (one, two) = (commitment(), commitment());
    let mixed = Commitment { a: one.a, b: two.b };
    let seed = Seed::from_bytes(&[1; 32]);
    let (id, m) = (
        seed.withdraw_id(0),
        seed.coin_key(&RequestId([0; 32]), 0).public(),
    );
    let all = [
        seed.blinders(&id, 0, &d.id(), &one),
        seed.blinders(&id, 1, &d.id(), &one),
        seed.blinders(&seed.withdraw_id(1), 0, &d.id(), &one),
        seed.blinders(&id, 0, &other_key.id(), &one),
        seed.blinders(&id, 0, &d.id(), &two),
        seed.blinders(&id, 0, &d.id(), &mixed),
    ];
    // With the same first message, different blinders give different challenges.
    let challenges: BTreeSet<_> = all
        .iter()
        .map(|b| blind(&d, &m, &one, b).expect("good"))
        .collect();
    assert_eq!(challenges.len(), all.len());
    let again = blind(&d, &m, &one, &seed.blinders(&id, 0, &d.id(), &one)).expect("good");
    assert!(challenges.contains(&again));
}
