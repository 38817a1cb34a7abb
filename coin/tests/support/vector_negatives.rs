//! The negative vectors: changed copies of one good coin and one good signature. All must be refused.

use super::{
    CoinVector, NegativeCoin, NegativeSignature, Negatives, SignatureVector, denomination, issue, signing,
    unhex,
};

/// The group order, the smallest scalar encoding that is not canonical.
const GROUP_ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
/// Encodings that RFC 9496, appendix A.2, lists as invalid.
pub const BAD_POINTS: [&str; 3] = [
    "00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0100000000000000000000000000000000000000000000000000000000000000",
];
/// The encoding of zero and of the identity.
pub const ZERO: &str = "0000000000000000000000000000000000000000000000000000000000000000";

fn flip(text: &str) -> String {
    let mut bytes: [u8; 32] = unhex(text);
    bytes[0] ^= 2;
    hex::encode(bytes)
}

pub fn negatives() -> Negatives {
    Negatives {
        coins: negative_coins(),
        signatures: negative_signatures(),
    }
}

fn negative_coins() -> Vec<NegativeCoin> {
    let good = issue(0).0.coin;
    let other = issue(3).0.coin;
    let mut cases: Vec<(String, usize, CoinVector)> = Vec::new();
    let mut case = |name: &str, denomination: usize, change: &dyn Fn(&mut CoinVector)| {
        let mut coin = good.clone();
        change(&mut coin);
        cases.push((name.to_owned(), denomination, coin));
    };
    case("suite 0", 0, &|coin| coin.suite = 0);
    case("suite 2", 0, &|coin| coin.suite = 2);
    case("key id altered", 0, &|coin| coin.key_id = flip(&coin.key_id));
    case("checked under another value's key", 1, &|_| ());
    case("checked under another epoch's key", 2, &|_| ());
    case("relabelled with another value's key id", 1, &|coin| {
        coin.key_id = denomination(1).id().to_string()
    });
    case("relabelled with another epoch's key id", 2, &|coin| {
        coin.key_id = denomination(2).id().to_string()
    });
    case("y' is zero", 0, &|coin| coin.y = ZERO.to_owned());
    case("public is the identity", 0, &|coin| coin.public = ZERO.to_owned());
    case("r is the identity", 0, &|coin| coin.r = ZERO.to_owned());
    for bad in BAD_POINTS {
        case("public is no point", 0, &|coin| coin.public = bad.to_owned());
        case("r is no point", 0, &|coin| coin.r = bad.to_owned());
    }
    case("z is the group order", 0, &|coin| coin.z = GROUP_ORDER.to_owned());
    case("y is the group order", 0, &|coin| coin.y = GROUP_ORDER.to_owned());
    case("z altered", 0, &|coin| coin.z = flip(&coin.z));
    case("y altered", 0, &|coin| coin.y = flip(&coin.y));
    case("z and y swapped", 0, &|coin| {
        std::mem::swap(&mut coin.z, &mut coin.y)
    });
    case("public of another coin", 0, &|coin| {
        coin.public = other.public.clone()
    });
    case("r of another coin", 0, &|coin| coin.r = other.r.clone());
    case("z of another coin", 0, &|coin| coin.z = other.z.clone());
    case("y of another coin", 0, &|coin| coin.y = other.y.clone());
    case("r and z of another coin", 0, &|coin| {
        coin.r = other.r.clone();
        coin.z = other.z.clone();
    });
    let refused = |(name, number, coin): (String, usize, CoinVector)| {
        let error = coin.coin().verify(&denomination(number)).expect_err(&name);
        NegativeCoin {
            name,
            denomination: number,
            coin,
            error: format!("{error:?}"),
        }
    };
    cases.into_iter().map(refused).collect()
}

fn negative_signatures() -> Vec<NegativeSignature> {
    let good = signing(0).signature;
    let other = signing(1).signature;
    let mut cases: Vec<(String, SignatureVector)> = Vec::new();
    let mut case = |name: &str, change: &dyn Fn(&mut SignatureVector)| {
        let mut signature = good.clone();
        change(&mut signature);
        cases.push((name.to_owned(), signature));
    };
    case("another signer", &|signature| {
        signature.public = other.public.clone()
    });
    case("another context", &|signature| signature.context.push('x'));
    case("key id altered", &|signature| {
        signature.key_id = flip(&signature.key_id)
    });
    case("digest altered", &|signature| {
        signature.digest = flip(&signature.digest)
    });
    case("commitment of another signature", &|signature| {
        signature.commitment = other.commitment.clone()
    });
    case("response altered", &|signature| {
        signature.response = flip(&signature.response)
    });
    case("response is the group order", &|signature| {
        signature.response = GROUP_ORDER.to_owned()
    });
    case("signer is the identity", &|signature| {
        signature.public = ZERO.to_owned()
    });
    case("commitment is the identity", &|signature| {
        signature.commitment = ZERO.to_owned()
    });
    for bad in BAD_POINTS {
        case("signer is no point", &|signature| {
            signature.public = bad.to_owned()
        });
        case("commitment is no point", &|signature| {
            signature.commitment = bad.to_owned()
        });
    }
    let refused = |(name, vector): (String, SignatureVector)| {
        let (public, statement, signature) = vector.parts();
        let error = public.verify(&statement, &signature).expect_err(&name);
        NegativeSignature {
            name,
            signature: vector,
            error: format!("{error:?}"),
        }
    };
    cases.into_iter().map(refused).collect()
}
