//! The nonces of issuing sessions, and the inputs that a bank's first message depends on.

use crate::support::public;
use curve25519_dalek::constants::RISTRETTO_BASEPOINT_POINT as G;
use curve25519_dalek::ristretto::CompressedRistretto;
use farthing_coin::{
    BootId, ClientRandomness, Commitment, EncodedPoint, KeyId, RequestId, Transcript, TranscriptExt,
    generator_h,
};
use farthing_protocol::issue::{Admission, Begun, Owner, PreparedSession, SessionRequest, Sessions};
use farthing_vectors::{Claims, Field};
use rand_core::{TryCryptoRng, TryRng};
use std::convert::Infallible;

/// Reads the request of a case.
pub(crate) fn read_request(case: Field<'_>) -> SessionRequest {
    let owner = match case.find("account") {
        Some(account) => Owner::Account(public(account)),
        None => Owner::Coins,
    };
    let outputs = case.get("outputs").items().into_iter();
    let inputs = case.get("inputs").items().into_iter();
    SessionRequest {
        key: (owner, RequestId(case.get("request_id").array())),
        outputs: outputs.map(|id| KeyId(id.array())).collect(),
        inputs: inputs
            .map(|coin| (KeyId(coin.get("key_id").array()), public(coin.get("coin_key"))))
            .collect(),
        randomness: ClientRandomness(case.get("client_randomness").array()),
    }
}

/// The first message of a bank that draws the `fresh` bytes of the case.
pub(crate) fn begun(case: Field<'_>) -> Begun {
    let request = read_request(case);
    let mut sessions = Sessions::new(BootId(case.get("boot_id").array()));
    let mut ticket = None;
    for _ in 0..=case.get("turn").u64() {
        let Ok(Admission::Fresh(fresh)) = sessions.admit(&request, 0) else {
            panic!("nonces may be made");
        };
        ticket = Some(fresh);
    }
    let fresh = case.get("fresh").items().into_iter().flat_map(Field::bytes);
    let mut rng = Drawn(fresh.collect());
    let prepared = PreparedSession::new(request, &ticket.expect("a ticket"), &mut rng);
    sessions.open(prepared, 0)
}

/// Claims the first message, by the library and by the documented derivation.
pub(crate) fn session(case: Field<'_>, claims: &mut Claims) {
    let SessionRequest {
        key,
        outputs,
        inputs,
        randomness,
    } = read_request(case);
    let begun = begun(case);
    claims.value("commitments", &begun.commitments, case.get("commitments"));
    let mut transcript = Transcript::start(b"farthing nonce context");
    match case.find("account") {
        Some(account) => transcript.bytes(b"account", &account.bytes()),
        None => transcript.bytes(b"coins", &[]),
    }
    transcript.u64(b"outputs", outputs.len() as u64);
    for output in &outputs {
        transcript.bytes(b"output", &output.0);
    }
    transcript.u64(b"inputs", inputs.len() as u64);
    for (key_id, coin) in &inputs {
        transcript.bytes(b"input key", &key_id.0);
        transcript.bytes(b"input", &coin.0);
    }
    transcript.bytes(b"request", &key.1.0);
    transcript.u64(b"turn", case.get("turn").u64());
    let context = transcript.digest32(b"digest");

    let h = CompressedRistretto(generator_h().0)
        .decompress()
        .expect("a point");
    for (slot, fresh) in (0_u64..).zip(case.get("fresh").items()) {
        let session_id = [context.as_slice(), &slot.to_le_bytes()].concat();
        let mut transcript = Transcript::start(b"issuing nonces");
        transcript.bytes(b"fresh", &fresh.bytes());
        transcript.bytes(b"boot id", &case.get("boot_id").bytes());
        transcript.bytes(b"session id", &session_id);
        transcript.bytes(b"client randomness", &randomness.0);
        let [a, b, y] = [&b"a"[..], b"b", b"y"].map(|label| transcript.scalar(label));
        let commitment = Commitment {
            a: EncodedPoint((G * a).compress().to_bytes()),
            b: EncodedPoint((G * b + h * y).compress().to_bytes()),
        };
        claims.equal(
            "as documented",
            begun.commitments.get(slot as usize),
            Some(&commitment),
        );
    }
}

/// A generator that returns the given bytes.
pub(crate) struct Drawn(pub(crate) Vec<u8>);

impl TryRng for Drawn {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        panic!("nonces are drawn as bytes");
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        panic!("nonces are drawn as bytes");
    }

    fn try_fill_bytes(&mut self, target: &mut [u8]) -> Result<(), Infallible> {
        let rest = self.0.split_off(target.len());
        target.copy_from_slice(&self.0);
        self.0 = rest;
        Ok(())
    }
}

impl TryCryptoRng for Drawn {}
