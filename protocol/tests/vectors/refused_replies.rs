//! Replies of a bank that a wallet refuses.

use crate::support::{bank, bank_seed, decode, is_too_long, keys, party};
use farthing_coin::{KeyBook, KeyList, PublicKey, Signed};
use farthing_protocol::{
    api::BankRequest,
    documents::Issued,
    issuance::Issuance,
    issue::{Begun, IssueState},
    refusal::Refusal,
    withdraw::Withdrawal,
};
use farthing_vectors::{Claims, Field, file};

/// Reads a frame of the story, by its message.
fn story<T>(message: &str, direction: &str, name: &str, read: impl Fn(Field<'_>) -> T) -> T {
    let file = file("v1", "wire_bank");
    let frames = Field(&file).get("frames").items();
    let is_it = |frame: &&Field<'_>| {
        let fields = ["message", "direction", "name"].map(|field| frame.get(field).text());
        fields == [message, direction, name]
    };
    read(frames.iter().find(is_it).expect("a frame").get("bytes"))
}

/// Withdrawal 0 of the story, before it is begun.
fn withdrawal() -> Withdrawal {
    let begin = story("WithdrawBegin", "request", "counter 0", |bytes| {
        decode::<BankRequest>(bytes).expect("a request")
    });
    let BankRequest::WithdrawBegin(begin) = begin else {
        panic!("a withdrawal is begun");
    };
    Withdrawal {
        bank: bank(),
        account: PublicKey(party(["wallet", "account"])),
        request_id: begin.body.request_id,
        outputs: begin.body.outputs,
        state: IssueState::Beginning,
    }
}

fn reply<T: serde::de::DeserializeOwned>(bytes: Field<'_>) -> T {
    let reply: Result<T, Refusal> = decode(bytes).expect("a reply");
    reply.expect("no refusal")
}

pub(crate) fn issuing(case: Field<'_>, claims: &mut Claims) {
    let (keys, seed) = (keys(), bank_seed());
    let withdrawal = withdrawal();
    let fault = match case.get("reply").text() {
        "WithdrawBegin" => withdrawal.on_begun(&reply(case.get("bytes")), &keys, &seed).err(),
        "WithdrawFinish" => {
            let begun: Begun = story("WithdrawBegin", "reply", "counter 0", reply);
            let begun = withdrawal.on_begun(&begun, &keys, &seed).expect("a good reply");
            let issued: Signed<Issued> = story("WithdrawFinish", "reply", "counter 0", reply);
            claims.holds(
                "its neighbour is good",
                begun.on_issued(&issued, &keys, &seed).is_ok(),
            );
            begun.on_issued(&reply(case.get("bytes")), &keys, &seed).err()
        }
        other => panic!("there is no reply to `{other}`"),
    };
    let fault = fault.map(|fault| format!("{fault:?}")).unwrap_or_default();
    let slot = case.find("slot").map(Field::u64);
    let slot = slot.or_else(|| case.find("slots")?.items().first().map(|slot| slot.u64()));
    let why = match case.get("refused").text() {
        "the challenge is another" => "OtherChallenge".into(),
        "y is 0" => "ZeroY".into(),
        "not the outputs that were asked for" => r#"Mismatch("list of outputs")"#.into(),
        "not the challenges that were sent" => r#"Mismatch("list of challenges")"#.into(),
        "not as many responses as outputs" => r#"Mismatch("number of responses")"#.into(),
        "another request" => r#"Mismatch("request")"#.into(),
        "another source" => r#"Mismatch("source")"#.into(),
        "signature" => "Signature(Forged)".into(),
        other => match other.split_once(' ') {
            Some((field @ ("A" | "B"), "is the identity")) => format!("Identity({field:?})"),
            Some((field @ ("A" | "B"), "is not canonical")) => format!("NonCanonicalPoint({field:?})"),
            Some((field, "is not canonical")) => format!("NonCanonicalScalar({field:?})"),
            _ => panic!("`{other}` is unknown"),
        },
    };
    let expected = slot.map_or(why.clone(), |slot| {
        format!("Blind {{ slot: {slot}, why: {why} }}")
    });
    claims.equal("refused", fault, expected);
}

pub(crate) fn key_list(case: Field<'_>, claims: &mut Claims) {
    let error = match decode::<Result<Signed<KeyList>, Refusal>>(case.get("bytes")) {
        Ok(reply) => KeyBook::new(reply.expect("no refusal"), &bank())
            .err()
            .map_or("none".into(), |error| format!("{error:?}")),
        // The currency is the only text of a key list.
        Err(why) if is_too_long(&why) => "Currency".into(),
        Err(why) => panic!("{why}"),
    };
    let expected = case
        .find("refused")
        .map_or("none", |refused| match refused.text() {
            "signature" => "Signature(",
            "a key appears twice" => "DuplicateKey",
            "a key is the identity" | "a key is not canonical" => "Key {",
            "not one key for each value" => "KeyCount",
            "epochs do not succeed each other" => "EpochOrder",
            "no epochs" => "EpochCount",
            "no values" => "ValueCount",
            "values do not ascend" | "a value is no power of two" => "Value {",
            "currency" => "Currency",
            "a date exceeds 2^64 - 1" => "Dates",
            "another bank" => "WrongBank",
            other => panic!("`{other}` is unknown"),
        });
    claims.holds(
        format!("refused: {expected}, got {error}"),
        error.starts_with(expected),
    );
}
