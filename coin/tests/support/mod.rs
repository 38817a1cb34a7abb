//! Helpers of the tests, the bench and the vectors: a deterministic generator, and coins.
#![allow(dead_code, unreachable_pub)]

use std::convert::Infallible;

use farthing_coin::{
    Blinders, BootId, Challenge, ClientRandomness, Coin, Commitment, Denomination, DenominationSecret, KeyId,
    MasterSecret, Nonces, PublicKey, Response, SecretKey, Signature, Statement, StatementDigest, Transcript,
    TranscriptExt, blind, recover,
};
use rand_core::{TryCryptoRng, TryRng};

/// The context of authorizations in tests, vectors and the bench.
pub const CONTEXT: &str = "farthing test authorization";

/// A deterministic generator with a name and a number. Block i of its output is the digest of both and i.
pub struct TestRng {
    seed: Vec<u8>,
    block: u64,
}

impl TestRng {
    pub fn new(name: &str, number: u64) -> Self {
        Self {
            seed: format!("{name} {number}").into_bytes(),
            block: 0,
        }
    }
}

impl TryRng for TestRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, target: &mut [u8]) -> Result<(), Infallible> {
        let mut transcript = Transcript::start(b"test generator");
        transcript.bytes(b"seed", &self.seed);
        transcript.u64(b"block", self.block);
        transcript.challenge_bytes(b"bytes", target);
        self.block += 1;
        Ok(())
    }
}

impl TryCryptoRng for TestRng {}

/// A denomination of `value` and `epoch` with its secret.
pub fn denomination(value: u64, epoch: u32) -> (DenominationSecret, Denomination) {
    let secret = DenominationSecret::derive(&MasterSecret::from_bytes([7; 32]), value, epoch);
    let bank = SecretKey::from_wide(&[9; 64]).expect("not zero");
    let start_ms = 1_000_000 * u64::from(epoch);
    let denomination = Denomination {
        bank: bank.public(),
        currency: "TST".to_owned(),
        value,
        epoch,
        issue_from_ms: start_ms,
        issue_until_ms: start_ms + 1_000_000,
        spend_until_ms: start_ms + 3_000_000,
        redeem_until_ms: start_ms + 5_000_000,
        public: secret.public(),
    };
    (secret, denomination)
}

/// One issuing session, with the values of both sides.
pub struct Session {
    pub commitment: Commitment,
    pub challenge: Challenge,
    pub response: Response,
    pub key: SecretKey,
    pub coin: Coin,
}

/// Issues one coin. It runs both sides.
pub fn issue(rng: &mut TestRng, secret: &DenominationSecret, denomination: &Denomination) -> Session {
    let (nonces, commitment) =
        Nonces::generate(rng, &BootId([1; 32]), b"session", &ClientRandomness([2; 32]));
    let key = SecretKey::generate(rng);
    let blinders = Blinders::generate(rng);
    let challenge = blind(denomination, &key.public(), &commitment, &blinders).expect("a good first message");
    let response = nonces.respond(secret, &challenge).expect("a canonical challenge");
    let coin = recover(denomination, &key.public(), &challenge, &response, |_, _| {
        blinders
    });
    Session {
        commitment,
        challenge,
        response,
        key,
        coin: coin.expect("a good answer"),
    }
}

/// The statement of an authorization for a coin of this key.
pub fn statement(key_id: &KeyId, digest: [u8; 32]) -> Statement {
    Statement {
        context: CONTEXT,
        key_id: *key_id,
        digest: StatementDigest(digest),
    }
}

/// A coin, and a statement with the signature of the coin's key.
pub struct Spend {
    pub coin: Coin,
    pub statement: Statement,
    pub authorization: Signature,
}

/// Issues a coin, and signs `digest` with its key.
pub fn spend(
    rng: &mut TestRng,
    secret: &DenominationSecret,
    denomination: &Denomination,
    digest: [u8; 32],
) -> Spend {
    let session = issue(rng, secret, denomination);
    let statement = statement(&session.coin.key_id, digest);
    let authorization = session.key.sign(&statement);
    Spend {
        coin: session.coin,
        statement,
        authorization,
    }
}

/// Verifies the coin, and then the authorization.
pub fn verify_singly(spend: &Spend, denomination: &Denomination) -> bool {
    let signer: PublicKey = spend.coin.public;
    spend.coin.verify(denomination).is_ok() && signer.verify(&spend.statement, &spend.authorization).is_ok()
}
