//! Batches: they name exactly the first culprit that single verifications name.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod support;

use farthing_coin::{
    Batch, BatchError, Coin, CoinError, Denomination, EncodedPoint, EncodedScalar, SignatureError,
};
use proptest::prelude::*;
use std::sync::LazyLock;
use support::{Spend, TestRng, denomination, spend};

/// Coins of four keys, with authorizations.
static SPENDS: LazyLock<Vec<(Spend, Denomination)>> = LazyLock::new(|| {
    let mut rng = TestRng::new("spends", 0);
    let keys = [
        denomination(1, 1),
        denomination(2, 1),
        denomination(4, 1),
        denomination(1, 2),
    ];
    (0..48)
        .map(|number: u8| {
            let (secret, d) = &keys[usize::from(number) % keys.len()];
            (spend(&mut rng, secret, d, [number; 32]), d.clone())
        })
        .collect()
});

/// The first culprit that single verifications find.
fn singly(spends: &[(Spend, Denomination)]) -> Result<(), BatchError> {
    for (index, (spend, d)) in spends.iter().enumerate() {
        let named = |what| BatchError { index, what };
        spend.coin.verify(d).map_err(|error| named(error.into()))?;
        let signed = spend.coin.public.verify(&spend.statement, &spend.authorization);
        signed.map_err(|error| named(error.into()))?;
    }
    Ok(())
}

/// What a batch finds, each coin added with its authorization.
fn together(spends: &[(Spend, Denomination)], number: u64) -> Result<(), BatchError> {
    let mut batch = Batch::new();
    for (index, (spend, d)) in spends.iter().enumerate() {
        batch.coin_with_authorization(index, &spend.coin, d, &spend.statement, &spend.authorization);
    }
    assert_eq!(batch.len(), 2 * spends.len());
    batch.verify(&mut TestRng::new("weights", number))
}

/// What a batch finds, each coin and authorization added by itself.
fn apart(spends: &[(Spend, Denomination)], number: u64) -> Result<(), BatchError> {
    let mut batch = Batch::new();
    for (index, (spend, d)) in spends.iter().enumerate() {
        batch.signature(index, &spend.coin.public, &spend.statement, &spend.authorization);
        batch.coin(index, &spend.coin, d);
    }
    batch.verify(&mut TestRng::new("weights", number))
}

fn copies() -> Vec<(Spend, Denomination)> {
    let copy = |(spend, d): &(Spend, Denomination)| {
        let spend = Spend {
            coin: spend.coin,
            statement: spend.statement,
            authorization: spend.authorization,
        };
        (spend, d.clone())
    };
    SPENDS.iter().map(copy).collect()
}

#[test]
fn an_empty_batch_verifies() {
    let batch = Batch::new();
    assert!(batch.is_empty());
    assert_eq!(batch.verify(&mut TestRng::new("empty", 0)), Ok(()));
}

#[test]
fn good_coins_verify_in_batches_of_every_size() {
    let spends = copies();
    for size in [1, 2, 3, 7, 31, 32, 48] {
        assert_eq!(together(&spends[..size], 0), Ok(()));
        assert_eq!(apart(&spends[..size], 0), Ok(()));
    }
}

/// Without weights, the sum of all equations would be the identity here.
#[test]
fn errors_that_cancel_out_are_found() {
    use curve25519_dalek::scalar::Scalar;
    let mut spends = copies();
    let add = |bytes: &mut [u8; 32], error: Scalar| {
        *bytes = (Scalar::from_canonical_bytes(*bytes).expect("canonical") + error).to_bytes();
    };
    add(&mut spends[3].0.coin.z.0, Scalar::ONE);
    add(&mut spends[7].0.coin.z.0, -Scalar::ONE);
    add(&mut spends[9].0.authorization.response.0, Scalar::ONE);
    add(&mut spends[9].0.coin.z.0, -Scalar::ONE);
    let forged = |index| BatchError {
        index,
        what: CoinError::Forged.into(),
    };
    let signature = BatchError {
        index: 0,
        what: SignatureError::Forged.into(),
    };
    // The tail of the list from each place, and what is its first culprit there.
    for (from, first) in [(0, forged(3)), (4, forged(7)), (8, forged(9))] {
        let first = BatchError {
            index: first.index - from,
            ..first
        };
        assert_eq!(together(&spends[from..], 0), Err(first));
    }
    spends[9].0.coin = SPENDS[9].0.coin;
    assert_eq!(together(&spends[9..], 0), Err(signature));
}

/// The fields of two good coins are swapped.
#[test]
fn swapped_fields_of_two_coins_are_found() {
    let swaps: [fn(&mut Coin, &mut Coin); 5] = [
        |one, two| std::mem::swap(&mut one.public, &mut two.public),
        |one, two| std::mem::swap(&mut one.r, &mut two.r),
        |one, two| std::mem::swap(&mut one.z, &mut two.z),
        |one, two| std::mem::swap(&mut one.y, &mut two.y),
        |one, two| {
            std::mem::swap(&mut one.r, &mut two.r);
            std::mem::swap(&mut one.y, &mut two.y);
        },
    ];
    for swap in swaps {
        let mut spends = copies();
        // Coins 0 and 4 are of the same key.
        let (left, right) = spends.split_at_mut(4);
        swap(&mut left[0].0.coin, &mut right[0].0.coin);
        assert!(matches!(singly(&spends), Err(BatchError { index: 0, .. })));
        assert_eq!(together(&spends, 0), singly(&spends));
        // Without the first of the two, the second is named.
        assert!(matches!(singly(&spends[1..]), Err(BatchError { index: 3, .. })));
        assert_eq!(together(&spends[1..], 0), singly(&spends[1..]));
    }
}

#[test]
fn a_batch_of_bad_coins_and_signatures_names_the_first() {
    let mut spends = copies();
    for (spend, _) in &mut spends {
        spend.statement.digest.0[0] ^= 1;
    }
    for (spend, _) in &mut spends[1..] {
        std::mem::swap(&mut spend.coin.z, &mut spend.coin.y);
    }
    let signature = SignatureError::Forged.into();
    assert_eq!(
        together(&spends, 0),
        Err(BatchError {
            index: 0,
            what: signature
        })
    );
    assert_eq!(singly(&spends), together(&spends, 0));
    let coin = CoinError::Forged.into();
    assert_eq!(
        together(&spends[1..], 0),
        Err(BatchError { index: 0, what: coin })
    );
}

/// The batch has opened the coin's key for another coin. The altered denomination must not use that key.
#[test]
fn a_coin_under_an_altered_denomination_is_refused_when_the_batch_knows_its_key() {
    let (first, d) = &SPENDS[0];
    let (second, _) = &SPENDS[4];
    let mut altered = d.clone();
    altered.value *= 2;
    let mut batch = Batch::new();
    batch.coin(0, &first.coin, d);
    batch.coin(1, &second.coin, &altered);
    assert_eq!(
        batch.verify(&mut TestRng::new("borrow", 0)),
        Err(BatchError {
            index: 1,
            what: CoinError::WrongKey.into()
        })
    );
}

fn corrupt(spend: &mut Spend, how: usize, bit: usize) {
    let flip = |bytes: &mut [u8; 32]| bytes[bit / 8] ^= 1 << (bit % 8);
    match how {
        0 => flip(&mut spend.coin.public.0),
        1 => flip(&mut spend.coin.r.0),
        2 => flip(&mut spend.coin.z.0),
        3 => flip(&mut spend.coin.y.0),
        4 => flip(&mut spend.coin.key_id.0),
        5 => flip(&mut spend.authorization.commitment.0),
        6 => flip(&mut spend.authorization.response.0),
        7 => flip(&mut spend.statement.digest.0),
        8 => flip(&mut spend.statement.key_id.0),
        9 => spend.coin.y = EncodedScalar([0; 32]),
        10 => spend.coin.r = EncodedPoint([0; 32]),
        11 => spend.coin.public.0 = [0; 32],
        12 => spend.coin.suite ^= 1 << (bit % 8),
        _ => spend.statement.context = "farthing test, another context",
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    /// Random corruptions: the batch names the same culprit as single verifications, with the same error.
    #[test]
    fn a_batch_agrees_with_single_verification(
        corruptions in prop::collection::vec((0..24_usize, 0..14_usize, 0..256_usize), 0..6),
        size in 1..24_usize,
        number in any::<u64>(),
    ) {
        let mut spends = copies();
        for (index, how, bit) in corruptions {
            corrupt(&mut spends[index].0, how, bit);
        }
        let expected = singly(&spends[..size]);
        prop_assert_eq!(&together(&spends[..size], number), &expected);
        prop_assert_eq!(&apart(&spends[..size], number), &expected);
    }
}
