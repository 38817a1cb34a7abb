//! Goods keys, wrapped and sealed keys, recovery records and memos.

use crate::support::{decode, derived, key, party, public};
use curve25519_dalek::constants::RISTRETTO_BASEPOINT_POINT as G;
use curve25519_dalek::ristretto::CompressedRistretto;
use curve25519_dalek::scalar::Scalar;
use farthing_coin::{RecoveryRecordId, RecoveryRecordKey, SecretKey, Transcript, TranscriptExt};
use farthing_protocol::{
    documents::Offer,
    goods::{ContentKey, GoodsKey},
    ids::{EphemeralId, ItemId, KeyCiphertext, KeyCommitment, NodeSecret, SaleId, SealingContext},
    offered_key::OfferedKey,
    restore::{RecoveryRecord, ScanRecord},
    seal::{
        SealError, SealedKey, WrappedKey, commit_goods_key, derive_content_key, derive_ephemeral,
        derive_goods_key, open_goods_key, open_record, opens, reopen_goods_key, seal_goods_key, seal_record,
        unwrap, wrap,
    },
    wire,
};
use farthing_vectors::{Claims, Field};

pub(crate) fn goods_key(case: Field<'_>, claims: &mut Claims) {
    let key = derive_goods_key(
        &NodeSecret::from_bytes(case.get("secret").array()),
        &SaleId(case.get("sale_id").array()),
    );
    claims.bytes("goods_key", key.as_bytes(), case);
    claims.bytes("key_commitment", commit_goods_key(&key), case);
    claims.holds(
        "opens",
        opens(&KeyCommitment(case.get("key_commitment").array()), &key),
    );
}

pub(crate) fn content_key(case: Field<'_>, claims: &mut Claims) {
    let key = derive_content_key(
        &NodeSecret::from_bytes(case.get("secret").array()),
        &ItemId(case.get("item_id").array()),
    );
    claims.bytes("content_key", key.as_bytes(), case);
}

pub(crate) fn wrapped_key(case: Field<'_>, claims: &mut Claims) {
    let goods_key = GoodsKey::from_bytes(case.get("goods_key").array());
    let content_key = ContentKey::from_bytes(case.get("content_key").array());
    let sale_id = case.get("sale_id").array();
    let wrapping_key = derived(
        b"wrap content key",
        &[(b"goods key", goods_key.as_bytes()), (b"sale id", &sale_id)],
        b"key",
    );
    claims.bytes("wrapping_key", wrapping_key, case);
    let wrapped = wrap(&goods_key, &SaleId(sale_id), &content_key).expect("short");
    claims.bytes("body", wrapped.body, case);
    claims.bytes("tag", wrapped.tag, case);
    let published = WrappedKey {
        body: KeyCiphertext(case.get("body").array()),
        tag: case.get("tag").array(),
    };
    claims.equal(
        "unwrapped",
        unwrap(&goods_key, &SaleId(sale_id), &published),
        Ok(content_key),
    );
}

pub(crate) fn sealed_in_commit(case: Field<'_>, claims: &mut Claims) {
    let purchase = case.get("purchase_id").array();
    let ephemeral = derive_ephemeral(
        &NodeSecret::from_bytes(case.get("escrow_secret").array()),
        &EphemeralId(purchase),
    );
    let to = key(case.get("purchase_secret"));
    claims.bytes("purchase_key", to.public().0, case);
    sealed_key(case, claims, &ephemeral, &to, &purchase);
}

pub(crate) fn sealed_in_offer(case: Field<'_>, claims: &mut Claims) {
    let offer: Offer = decode(case.get("offer")).expect("an offer");
    claims.bytes("sale_id", offer.sale_id, case);
    let context = offer.sealing_context();
    claims.bytes("digest_to_seal_for", context, case);
    let ephemeral = derive_ephemeral(
        &NodeSecret::from_bytes(case.get("merchant_secret").array()),
        &offer.sale_id.into(),
    );
    let escrow = key(case.get("escrow_secret"));
    claims.bytes("escrow", escrow.public().0, case);
    let sealed = sealed_key(case, claims, &ephemeral, &escrow, &context.0);
    let offered = OfferedKey {
        sealed,
        proof: None,
        ticks: None,
    };
    claims.equal("in the offer", offer.sealed_key, Some(offered));
    let goods_key = GoodsKey::from_bytes(case.get("goods_key").array());
    claims.holds("opens the commitment", opens(&offer.key_commitment, &goods_key));
}

/// Claims everything about the sealing of the case's goods key to `to`.
fn sealed_key(
    case: Field<'_>,
    claims: &mut Claims,
    ephemeral: &SecretKey,
    to: &SecretKey,
    context: &[u8; 32],
) -> SealedKey {
    claims.bytes("ephemeral_secret", *ephemeral.to_bytes(), case);
    claims.bytes("ephemeral", ephemeral.public().0, case);
    let shared = ephemeral.diffie_hellman(&to.public()).expect("a good key");
    claims.bytes("shared", *shared.as_bytes(), case);
    let fields: [(&[u8], &[u8]); 4] = [
        (b"shared", shared.as_bytes()),
        (b"ephemeral", &ephemeral.public().0),
        (b"to", &to.public().0),
        (b"purchase id", context),
    ];
    claims.bytes("sealing_key", derived(b"seal goods key", &fields, b"key"), case);
    let goods_key = GoodsKey::from_bytes(case.get("goods_key").array());
    let sealed =
        seal_goods_key(ephemeral, &to.public(), &SealingContext(*context), &goods_key).expect("a good key");
    claims.bytes("body", sealed.body, case);
    claims.bytes("tag", sealed.tag, case);
    let published = read_sealed_key(case);
    claims.equal(
        "opened",
        open_goods_key(to, &SealingContext(*context), &published),
        Ok(goods_key.clone()),
    );
    let reopened = reopen_goods_key(ephemeral, &to.public(), &SealingContext(*context), &published);
    claims.equal("reopened", reopened, Ok(goods_key));
    sealed
}

/// Claims a shown Diffie-Hellman point and its proof, by the library and by the equations.
pub(crate) fn shared_point(case: Field<'_>, claims: &mut Claims) {
    let (secret, other) = (key(case.get("secret")), public(case.get("other")));
    let context: [u8; 32] = case.get("context").array();
    let made = secret.show_shared_point(&other, &context).expect("a good key");
    claims.value("shown", &made, case.get("shown"));
    let shared = made.verify(&secret.public(), &other, &context);
    claims.equal(
        "shared",
        shared.map(|shared| hex::encode(*shared.as_bytes())),
        Ok(case.get("shared").text().to_owned()),
    );
    claims.holds(
        "for nothing else",
        made.verify(&secret.public(), &other, &[0; 32]).is_err(),
    );
    claims.bytes("public", secret.public().0, case);
    claims.bytes("other", key(case.get("other_secret")).public().0, case);

    let scalar = |field: Field<'_>| Scalar::from_canonical_bytes(field.array()).expect("canonical");
    let point = |bytes| CompressedRistretto(bytes).decompress().expect("a point");
    let (x, y) = (scalar(case.get("secret")), scalar(case.get("other_secret")));
    claims.equal("D = x y G", (G * (x * y)).compress().to_bytes(), made.point.0);
    let mut transcript = Transcript::start(b"shared point nonce");
    transcript.bytes(b"secret", x.as_bytes());
    transcript.bytes(b"context", &context);
    transcript.bytes(b"E", &other.0);
    let k = transcript.scalar(b"k");
    let mut transcript = Transcript::start(b"shared point");
    transcript.bytes(b"context", &context);
    transcript.bytes(b"P", &secret.public().0);
    transcript.bytes(b"E", &other.0);
    transcript.bytes(b"D", &made.point.0);
    transcript.bytes(b"A", (G * k).compress().as_bytes());
    transcript.bytes(b"B", (point(other.0) * k).compress().as_bytes());
    let e = transcript.scalar(b"e");
    claims.equal("e", e.to_bytes(), made.challenge.0);
    claims.equal("s = k + e x", (k + e * x).to_bytes(), made.response.0);
}

fn read_sealed_key(case: Field<'_>) -> SealedKey {
    SealedKey {
        ephemeral: public(case.get("ephemeral")),
        body: KeyCiphertext(case.get("body").array()),
        tag: case.get("tag").array(),
    }
}

pub(crate) fn refused_key(case: Field<'_>, claims: &mut Claims) {
    let secret = key(case.get("to_secret"));
    claims.bytes("to", secret.public().0, case);
    let opened = open_goods_key(
        &secret,
        &SealingContext(case.get("purchase_id").array()),
        &read_sealed_key(case),
    );
    let opened = opened.ok().map(|key| hex::encode(key.as_bytes()));
    claims.equal(
        "opens_to",
        opened,
        case.find("opens_to").map(|k| k.text().to_owned()),
    );
}

pub(crate) fn note(case: Field<'_>, claims: &mut Claims) {
    let id = case.get("note_id").array();
    let text = case.get("text").bytes();
    sealed_note(case, claims, &id, &text);
    if case.get("name").text().starts_with("story") {
        let note: Result<RecoveryRecord, _> = decode(case.get("text"));
        let again = note.map(|note| wire::encode(&note).expect("short"));
        claims.equal("says an order", again, Ok(text));
    }
}

pub(crate) fn memo(case: Field<'_>, claims: &mut Claims) {
    let ranges = |name| {
        let ranges = case.get("ranges").get(name).items().into_iter();
        let ranges = ranges.map(|range| {
            let ends = range.items();
            (ends[0].u64(), ends[1].u64())
        });
        ranges.collect()
    };
    let asked = ScanRecord {
        withdrawals: ranges("withdrawals"),
        exchanges: ranges("exchanges"),
        orders: ranges("orders"),
        reserves: Vec::new(),
    };
    let text = asked.to_bytes().expect("short");
    claims.bytes("text", &text, case);
    let read = ScanRecord::from_bytes(&case.get("text").bytes());
    claims.equal("read back", read.ok(), Some(asked));
    let account = party(["wallet", "account"]);
    claims.bytes("account", account, case);
    sealed_note(case, claims, &account, &case.get("text").bytes());
}

/// Claims everything about the sealing of `text` under the case's key.
fn sealed_note(case: Field<'_>, claims: &mut Claims, id: &[u8; 32], text: &[u8]) {
    let key = case.get("note_key").array();
    let note = seal_record(&RecoveryRecordKey::from_bytes(key), &RecoveryRecordId(*id), text).expect("short");
    claims.bytes("note", &note, case);
    let mut body = (text.len() as u16).to_le_bytes().to_vec();
    body.extend_from_slice(text);
    body.resize(2016, 0);
    let mut transcript = Transcript::start(b"note nonce");
    transcript.bytes(b"key", &key);
    transcript.bytes(b"note id", id);
    transcript.bytes(b"body", &body);
    let mut nonce = [0; 16];
    transcript.challenge_bytes(b"nonce", &mut nonce);
    claims.bytes("nonce", nonce, case);
    let fields: [(&[u8], &[u8]); 3] = [(b"key", &key), (b"note id", id), (b"nonce", &nonce)];
    claims.bytes("sealing_key", derived(b"seal note", &fields, b"key"), case);
    let opened = open_record(
        &RecoveryRecordKey::from_bytes(key),
        &RecoveryRecordId(*id),
        &case.get("note").bytes(),
    );
    claims.equal("opened", opened.map(|text| text.to_vec()), Ok(text.to_vec()));
}

pub(crate) fn refused_note(case: Field<'_>, claims: &mut Claims) {
    let (key, id) = (case.get("note_key").array(), case.get("note_id").array());
    let error = open_record(
        &RecoveryRecordKey::from_bytes(key),
        &RecoveryRecordId(id),
        &case.get("note").bytes(),
    )
    .err();
    let expected = case.find("refused").map(|why| match why.text() {
        "does not open" => SealError::DoesNotOpen("sealed record"),
        _ => SealError::RecordMalformed,
    });
    claims.equal("refused", error, expected);
}
