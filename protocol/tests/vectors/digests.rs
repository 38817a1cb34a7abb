//! Digests that are not signed as documents.

use crate::support::{derived, encoded, public};
use farthing_coin::{
    Challenge, ClientRandomness, Coin, Commitment, Document, EncodedPoint, EncodedScalar, KeyId, KeyList,
    PublicKey, RecoveryRecordId, RequestId, Transcript, TranscriptExt,
};
use farthing_protocol::{
    documents::{Offer, Terms, coins_digest, recovery_record_digest},
    exchange::{ExchangeBegin, ExchangeFinish},
    ids::SessionDigest,
    issue::session_digest,
};
use farthing_vectors::{Claims, Field};

pub(crate) fn key_list(case: Field<'_>, claims: &mut Claims) {
    let names = ["bank", "currency", "calendar", "values", "epochs"];
    let list = names.map(|name| (name.to_owned(), case.get(name).0.clone()));
    let value = serde_json::Value::Object(list.into_iter().collect());
    if let Some(list) = encoded::<KeyList>(claims, case.get("encoded"), Field(&value)) {
        claims.bytes("document_digest", list.digest(), case);
        claims.hex("digest", list.chain().last().expect("a link"), case.get("digest"));
    }
}

/// Reads coins of which the case has only key id and coin key.
fn read_coins(list: Field<'_>) -> Vec<Coin> {
    let coin = |coin: Field<'_>| Coin {
        suite: 1,
        key_id: KeyId(coin.get("key_id").array()),
        public: PublicKey(coin.get("coin_key").array()),
        r: EncodedPoint([0; 32]),
        z: EncodedScalar([0; 32]),
        y: EncodedScalar([0; 32]),
    };
    list.items().into_iter().map(coin).collect()
}

fn read_commitments(list: Field<'_>) -> Vec<Commitment> {
    let commitment = |commitment: Field<'_>| Commitment {
        a: EncodedPoint(commitment.get("A").array()),
        b: EncodedPoint(commitment.get("B").array()),
    };
    list.items().into_iter().map(commitment).collect()
}

pub(crate) fn coins(case: Field<'_>, claims: &mut Claims) {
    let coins = read_coins(case.get("coins"));
    claims.bytes("digest", coins_digest(&coins), case);
    let mut transcript = Transcript::start(b"farthing coins");
    transcript.u64(b"coins", coins.len() as u64);
    for coin in &coins {
        transcript.bytes(b"key id", &coin.key_id.0);
        transcript.bytes(b"coin key", &coin.public.0);
    }
    claims.hex(
        "digest, as documented",
        transcript.digest32(b"digest"),
        case.get("digest"),
    );
}

pub(crate) fn session(case: Field<'_>, claims: &mut Claims) {
    let commitments = read_commitments(case.get("commitments"));
    claims.bytes("digest", session_digest(&commitments), case);
}

pub(crate) fn note(case: Field<'_>, claims: &mut Claims) {
    let (note_id, note) = (case.get("note_id").array(), case.get("note").bytes());
    claims.bytes(
        "digest",
        recovery_record_digest(&RecoveryRecordId(note_id), &note),
        case,
    );
    let documented = derived(
        b"farthing note",
        &[(b"note id", &note_id), (b"note", &note)],
        b"digest",
    );
    claims.hex("digest, as documented", documented, case.get("digest"));
}

pub(crate) fn terms(case: Field<'_>, claims: &mut Claims) {
    if let Some(terms) = encoded::<Terms>(claims, case.get("encoded"), case.get("terms")) {
        claims.bytes("purchase_id", terms.purchase_id().0, case);
    }
}

pub(crate) fn offer(case: Field<'_>, claims: &mut Claims) {
    if let Some(offer) = encoded::<Offer>(claims, case.get("encoded"), case.get("offer")) {
        claims.bytes("digest", offer.digest(), case);
        claims.bytes("digest_to_seal_for", offer.sealing_context(), case);
        claims.result("bounds", offer.check_bounds());
    }
}

pub(crate) fn exchange(case: Field<'_>, claims: &mut Claims) {
    let inputs = read_coins(case.get("inputs"));
    let key_ids = case.get("outputs").items();
    let outputs: Vec<KeyId> = key_ids.into_iter().map(|id| KeyId(id.array())).collect();
    claims.bytes("inputs_digest", coins_digest(&inputs), case);
    let begin = ExchangeBegin {
        bank: public(case.get("bank")),
        request_id: RequestId(case.get("request_id").array()),
        inputs,
        outputs,
        client_randomness: ClientRandomness(case.get("client_randomness").array()),
    };
    claims.bytes("begin_digest", begin.digest(), case);
    let session = case.get("session").array();
    if let Some(commitments) = case.find("commitments") {
        claims.bytes("session", session_digest(&read_commitments(commitments)), case);
    }
    let challenges = case.get("challenges").items();
    let finish = ExchangeFinish {
        bank: begin.bank,
        request_id: begin.request_id,
        inputs: begin.inputs,
        outputs: begin.outputs,
        session: SessionDigest(session),
        challenges: challenges.into_iter().map(|c| Challenge(c.array())).collect(),
    };
    claims.bytes("finish_digest", finish.digest(), case);
}
