//! Signed documents, and statements without a document.

use crate::described;
use crate::support::{decode, encoded, key, public, signature};
use curve25519_dalek::constants::RISTRETTO_BASEPOINT_POINT as G;
use curve25519_dalek::scalar::Scalar;
use farthing_coin::{
    Document, KeyId, KeyList, SecretKey, Signature, Signed, Statement, StatementDigest, Transcript,
    TranscriptExt,
};
use farthing_protocol::{
    denial::Denial,
    deposit::Deposit,
    deposited::Deposited,
    documents::{
        Abort, BankHold, CoinUse, Commit, FreeReceipt, Hold, HoldWithCauses, Issued, Offer, Overdue,
        PurchaseId, PurchaseKeyUse, Receipt, Settled, promises_causes,
    },
    history::{JournalHead, Testimony, WitnessRequest},
    ids::{KeyCiphertext, SealingContext},
    oblivious::EncryptionKey,
    offered_key::OfferedKey,
    refund::{RefundRequest, Refunded},
    reserve::{FromReserve, ReserveBalance, ReserveRequest},
    restore::{AccountRequest, MemoRequest, WithdrawalsRequest},
    seal::SealedKey,
    sealed::SalesRequest,
    stream::{Close, Opened, Raised, TickBatch, Voucher},
    withdraw::{WithdrawBegin, WithdrawFinish},
};
use farthing_vectors::{Claims, Field};
use serde::{Serialize, de::DeserializeOwned};

/// Calls `$function` with the type of the document whose kind the case names.
macro_rules! by_kind {
    ($function:ident, $case:expr, $claims:expr, $($document:ty),+ $(,)?) => {
        match $case.get("kind").text() {
            $(<$document>::LABEL => $function::<$document>($case, $claims),)+
            kind => $claims.holds(format!("there are documents of the kind `{kind}`"), false),
        }
    };
}

macro_rules! any_document {
    ($function:ident, $case:expr, $claims:expr) => {
        by_kind!(
            $function,
            $case,
            $claims,
            Abort,
            AccountRequest,
            BankHold,
            Close,
            Commit,
            Denial,
            Deposit,
            Deposited,
            EncryptionKey,
            FreeReceipt,
            Hold,
            Issued,
            JournalHead,
            KeyList,
            MemoRequest,
            Offer,
            Opened,
            Overdue,
            Raised,
            Receipt,
            RefundRequest,
            Refunded,
            ReserveBalance,
            ReserveRequest,
            FromReserve<WithdrawBegin>,
            FromReserve<WithdrawFinish>,
            SalesRequest,
            Settled,
            Testimony,
            TickBatch,
            Voucher,
            WithdrawBegin,
            WithdrawFinish,
            WithdrawalsRequest,
            WitnessRequest,
        )
    };
}

pub(crate) fn document(case: Field<'_>, claims: &mut Claims) {
    match case.get("kind").text() {
        HoldWithCauses::LABEL => check_hold_with_causes(case, claims),
        _ => any_document!(check_document, case, claims),
    }
}

pub(crate) fn refused(case: Field<'_>, claims: &mut Claims) {
    any_document!(check_refused, case, claims);
}

fn check_document<D: Document + Serialize + DeserializeOwned>(case: Field<'_>, claims: &mut Claims) {
    let Some(body) = encoded::<D>(claims, case.get("encoded"), case.get("body")) else {
        return;
    };
    let (secret, signer) = (key(case.get("secret")), public(case.get("signer")));
    claims.bytes("digest", body.digest(), case);
    described_again(claims, case);
    check_statement(claims, case, &secret, &body.statement(&signer));
    let signed = Signed::sign(body, &secret);
    claims.equal("signed", signed.signature, signature(case.get("signature")));
    claims.result("verifies", signed.verify(&signer));
}

/// Claims the digest of a document of version 2 by the documented equations.
fn described_again(claims: &mut Claims, case: Field<'_>) {
    if let Some(digest) = described::digest(case.get("kind").text(), case.get("body")) {
        claims.hex("digest, as documented", digest, case.get("digest"));
    }
}

/// Claims a hold with the promise to show causes. It is encoded like any hold.
fn check_hold_with_causes(case: Field<'_>, claims: &mut Claims) {
    let Some(hold) = encoded::<Hold>(claims, case.get("encoded"), case.get("body")) else {
        return;
    };
    let (secret, signer) = (key(case.get("secret")), public(case.get("signer")));
    let statement = HoldWithCauses(&hold).statement(&signer);
    claims.bytes("digest", statement.digest, case);
    described_again(claims, case);
    check_statement(claims, case, &secret, &statement);
    let signed = hold.sign_with_causes(&secret);
    claims.equal("signed", signed.signature, signature(case.get("signature")));
    claims.holds("promises causes", promises_causes(&signed, &signer));
    claims.holds("is not of version 1", signed.verify(&signer).is_err());
}

fn check_refused<D: Document + Serialize + DeserializeOwned>(case: Field<'_>, claims: &mut Claims) {
    let signed = Signed::<D> {
        body: decode(case.get("encoded")).expect("a document"),
        signature: signature(case.get("signature")),
    };
    claims.value("value", &signed.body, case.get("body"));
    let error = signed.verify(&public(case.get("signer"))).err();
    let error = error.map(|error| format!("{error:?}"));
    claims.equal("error", error, case.find("error").map(|e| e.text().to_owned()));
}

pub(crate) fn statement(case: Field<'_>, claims: &mut Claims) {
    let secret = key(case.get("secret"));
    let signer = public(case.get("signer"));
    let digest = case.get("digest").array();
    let of_coin =
        |used: CoinUse| used.statement(&KeyId(case.get("key_id").array()), &StatementDigest(digest));
    let of_purchase = |used: PurchaseKeyUse| used.statement(&signer, &PurchaseId(digest));
    let context = case.get("context").text();
    let statement = match context {
        "farthing sealed key" => proof_of_secret(claims, case, digest),
        "farthing contract" => of_purchase(PurchaseKeyUse::AgreeV1),
        "farthing contract 2" => of_purchase(PurchaseKeyUse::Agree),
        "farthing cancel" => of_purchase(PurchaseKeyUse::Cancel),
        "farthing outcome" => of_purchase(PurchaseKeyUse::Outcome),
        "farthing collect" => of_purchase(PurchaseKeyUse::Collect),
        "farthing stop" => of_purchase(PurchaseKeyUse::Stop),
        "farthing coin hold" => of_coin(CoinUse::Hold),
        "farthing coin exchange begin" => of_coin(CoinUse::ExchangeBegin),
        "farthing coin exchange" => of_coin(CoinUse::Exchange),
        "farthing coin deposit" => of_coin(CoinUse::Deposit),
        other => panic!("there is no context `{other}`"),
    };
    claims.equal("context", statement.context, context);
    claims.bytes("key_id", statement.key_id, case);
    check_statement(claims, case, &secret, &statement);
}

/// The statement of a sealed key's maker. The library checks it and does not export it.
fn proof_of_secret(claims: &mut Claims, case: Field<'_>, digest: [u8; 32]) -> Statement {
    let offered = OfferedKey {
        sealed: SealedKey {
            ephemeral: public(case.get("signer")),
            body: KeyCiphertext([0; 32]),
            tag: [0; 16],
        },
        proof: Some(signature(case.get("signature"))),
        ticks: None,
    };
    claims.result("proves", offered.check_proof(&SealingContext(digest)));
    claims.holds(
        "for nothing else",
        offered.check_proof(&SealingContext([0; 32])).is_err(),
    );
    Statement {
        context: "farthing sealed key",
        key_id: KeyId(offered.sealed.ephemeral.0),
        digest: StatementDigest(digest),
    }
}

/// Claims nonce, challenge and signature, by the library and by the equations.
fn check_statement(claims: &mut Claims, case: Field<'_>, secret: &SecretKey, statement: &Statement) {
    let signer = public(case.get("signer"));
    claims.equal("signer", secret.public(), signer);
    let made = secret.sign(statement);
    claims.equal("signature", made, signature(case.get("signature")));
    claims.result("verifies", signer.verify(statement, &made));

    let published: Signature = signature(case.get("signature"));
    let (k, e) = nonce_and_challenge(secret, statement, &published);
    claims.bytes("nonce", k.as_bytes(), case);
    claims.equal("S = k G", (G * k).compress().to_bytes(), published.commitment.0);
    claims.bytes("e", e.as_bytes(), case);
    let x = Scalar::from_canonical_bytes(*secret.to_bytes()).expect("canonical");
    claims.equal("s = k + e x", (k + e * x).to_bytes(), published.response.0);
}

/// The nonce k and the challenge e, from the documented transcripts.
pub(crate) fn nonce_and_challenge(
    secret: &SecretKey,
    statement: &Statement,
    signature: &Signature,
) -> (Scalar, Scalar) {
    let signer = secret.public();
    let mut transcript = Transcript::start(b"signature nonce");
    transcript.bytes(b"secret", secret.to_bytes().as_ref());
    transcript.bytes(b"context", statement.context.as_bytes());
    transcript.bytes(b"P", &signer.0);
    transcript.bytes(b"key id", &statement.key_id.0);
    transcript.bytes(b"digest", &statement.digest.0);
    let k = transcript.scalar(b"k");

    let mut transcript = Transcript::start(b"signature");
    transcript.bytes(b"context", statement.context.as_bytes());
    transcript.bytes(b"P", &signer.0);
    transcript.bytes(b"key id", &statement.key_id.0);
    transcript.bytes(b"S", &signature.commitment.0);
    transcript.bytes(b"digest", &statement.digest.0);
    (k, transcript.scalar(b"e"))
}
