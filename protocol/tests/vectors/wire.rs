//! The bytes of every request, reply and refusal.

use crate::support::{decode, encoded};
use farthing_coin::{KeyList, Signed};
use farthing_protocol::{
    api::{BankRequest, EscrowRequest, MerchantRequest, RelayRequest, TargetRequest, encode_reply},
    decision::{Committed, Outcome, SignedDecision},
    deposited::Deposited,
    documents::{BankHold, FreeReceipt, Hold, Issued, Receipt},
    history::{Testimony, WithHead},
    issue::Begun,
    money::Amount,
    oblivious::{EncryptionKey, SealedReply},
    offer::{CatalogPage, Offered, Piece},
    refund::Refunded,
    refusal::Refusal,
    reserve::ReserveBalance,
    restore::{BucketPage, KeptMemo, WithdrawalsPage},
    sealed::SalesPage,
    settle::{Answers, Collected},
    stream::{RaiseReply, Ticks, Voucher},
};
use farthing_vectors::{Claims, Field};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

pub(crate) fn bank(case: Field<'_>, claims: &mut Claims) {
    if is_request::<BankRequest>(case, claims) {
        return;
    }
    match message(case) {
        "Keys" => reply::<Signed<KeyList>>(case, claims),
        "Account" => reply::<Amount>(case, claims),
        "WithdrawBegin" | "ExchangeBegin" | "ReserveBegin" => reply::<Begun>(case, claims),
        "WithdrawFinish" | "ExchangeFinish" | "ReserveFinish" => reply::<Signed<Issued>>(case, claims),
        "Withdrawals" => reply::<WithdrawalsPage>(case, claims),
        "Hold" => reply::<WithHead<Signed<BankHold>>>(case, claims),
        "Settle" => reply::<Answers>(case, claims),
        "Collect" => reply::<Collected>(case, claims),
        "Bucket" => reply::<BucketPage>(case, claims),
        "Memo" => reply::<KeptMemo>(case, claims),
        "Push" => reply::<WithHead<Answers>>(case, claims),
        "Witness" => reply::<Signed<Testimony>>(case, claims),
        "Reserve" => reply::<Signed<ReserveBalance>>(case, claims),
        "Deposit" => reply::<Signed<Deposited>>(case, claims),
        "Refund" => reply::<Signed<Refunded>>(case, claims),
        other => panic!("a bank is not asked `{other}`"),
    }
}

pub(crate) fn escrow(case: Field<'_>, claims: &mut Claims) {
    if is_request::<EscrowRequest>(case, claims) {
        return;
    }
    match message(case) {
        "Hold" => reply::<Signed<Hold>>(case, claims),
        "Release" => reply::<Committed>(case, claims),
        "Cancel" | "Outcome" | "Pay" | "Open" | "Close" => reply::<Outcome>(case, claims),
        "Raise" => reply::<RaiseReply>(case, claims),
        "Overdue" => reply::<WithHead<SignedDecision>>(case, claims),
        "Witness" => reply::<Signed<Testimony>>(case, claims),
        "Sales" => reply::<SalesPage>(case, claims),
        other => panic!("an escrow is not asked `{other}`"),
    }
}

pub(crate) fn relay(case: Field<'_>, claims: &mut Claims) {
    if !is_request::<RelayRequest>(case, claims) {
        oblivious_reply(case, claims);
    }
}

/// What a relay asks a server.
pub(crate) fn target(case: Field<'_>, claims: &mut Claims) {
    if !is_request::<TargetRequest>(case, claims) {
        oblivious_reply(case, claims);
    }
}

fn oblivious_reply(case: Field<'_>, claims: &mut Claims) {
    match message(case) {
        "Key" => reply::<Signed<EncryptionKey>>(case, claims),
        "Forward" => reply::<SealedReply>(case, claims),
        other => panic!("neither a relay nor its target is asked `{other}`"),
    }
}

pub(crate) fn merchant(case: Field<'_>, claims: &mut Claims) {
    if is_request::<MerchantRequest>(case, claims) {
        return;
    }
    match message(case) {
        "Catalog" => reply::<CatalogPage>(case, claims),
        "Offer" => reply::<Offered>(case, claims),
        "Piece" => reply::<Piece>(case, claims),
        "Deliver" => reply::<Signed<Receipt>>(case, claims),
        "Take" => reply::<Signed<FreeReceipt>>(case, claims),
        "Watch" => reply::<Option<Signed<Voucher>>>(case, claims),
        "Ticks" => reply::<Ticks>(case, claims),
        "Stop" => reply::<Outcome>(case, claims),
        other => panic!("a merchant is not asked `{other}`"),
    }
}

fn message(case: Field<'_>) -> &str {
    case.get("message").text()
}

/// Claims the value and the encoding of a request, if the case is a request.
fn is_request<R: Serialize + DeserializeOwned>(case: Field<'_>, claims: &mut Claims) -> bool {
    if case.get("direction").text() != "request" {
        return false;
    }
    let bytes = case.get("bytes").bytes();
    let index = bytes.first_chunk().map(|index| u32::from_le_bytes(*index));
    claims.equal("index", index, Some(case.get("index").u32()));
    let mut value = case.0.get("value").cloned().unwrap_or_default();
    if value == json!({}) {
        // A request without fields.
        value = Value::Null;
    }
    let value = json!({ message(case): value });
    encoded::<R>(claims, case.get("bytes"), Field(&value));
    true
}

/// Claims the value and the encoding of a reply.
fn reply<R: Serialize + DeserializeOwned>(case: Field<'_>, claims: &mut Claims) {
    let value = json!({ "Ok": case.0.get("value") });
    let reply = encoded::<Result<R, Refusal>>(claims, case.get("bytes"), Field(&value));
    if let Some(reply) = reply {
        claims.bytes("bytes", encode_reply(&reply), case);
    }
}

pub(crate) fn refusal(case: Field<'_>, claims: &mut Claims) {
    let value = json!({ "Err": case.get("refusal").0 });
    encoded::<Result<(), Refusal>>(claims, case.get("bytes"), Field(&value));
    // A refusal decodes in the same way for every type of reply.
    let other: Result<Result<Vec<Amount>, Refusal>, _> = decode(case.get("bytes"));
    claims.holds(
        "decodes as the reply of another type",
        other.is_ok_and(|reply| reply.is_err()),
    );
}
