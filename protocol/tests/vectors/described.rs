//! The documents of version 2, written field by field from the body of a case. It implements the equations of
//! `docs/PROTOCOL.md` a second time.

use crate::reserves;
use farthing_coin::{Transcript, TranscriptExt};
use farthing_vectors::Field;

/// The digest of a document of `kind`. `None` for a kind of version 1, as its vectors are independent.
pub(crate) fn digest(kind: &str, body: Field<'_>) -> Option<[u8; 32]> {
    let mut t = Transcript::start(b"document");
    t.bytes(b"kind", kind.as_bytes());
    match kind {
        "farthing overdue" => overdue(&mut t, body),
        "farthing abort" => abort(&mut t, body),
        "farthing hold 2" | "farthing stream opened" => hold(&mut t, body),
        "farthing voucher" => voucher(&mut t, body),
        "farthing stream raised" => raised(&mut t, body),
        "farthing stream close" => close(&mut t, body),
        "farthing ticks" => ticks(&mut t, body),
        "farthing memo 2" => memo(&mut t, body),
        "farthing denial" => denial(&mut t, body),
        "farthing encryption key" => encryption_key(&mut t, body),
        _ if reserves::describe(&mut t, kind, body) => {}
        _ => return None,
    }
    Some(t.digest32(b"digest"))
}

/// The digest of a document inside another document.
fn inner(kind: &str, write: impl FnOnce(&mut Transcript)) -> [u8; 32] {
    let mut t = Transcript::start(b"document");
    t.bytes(b"kind", kind.as_bytes());
    write(&mut t);
    t.digest32(b"digest")
}

/// Writes fields of the body, each under its label.
fn fields(t: &mut Transcript, body: Field<'_>, names: &[(&'static [u8], &str)]) {
    for (label, name) in names {
        t.bytes(label, &body.get(name).bytes());
    }
}

fn signature(t: &mut Transcript, labels: [&'static [u8]; 2], signed: Field<'_>) {
    let signature = signed.find("signature").unwrap_or(signed);
    t.bytes(labels[0], &signature.get("commitment").bytes());
    t.bytes(labels[1], &signature.get("response").bytes());
}

fn overdue(t: &mut Transcript, body: Field<'_>) {
    fields(t, body, &[(b"purchase", "purchase_id"), (b"escrow", "escrow")]);
    t.u64(b"deadline", body.get("deadline").u64());
    t.u64(b"at", body.get("at").u64());
}

fn abort(t: &mut Transcript, body: Field<'_>) {
    fields(t, body, &[(b"purchase", "purchase_id"), (b"bank", "bank")]);
    let reason = body.get("reason");
    if let Some(cancel) = reason.find("CancelledBy") {
        t.u8(b"reason", 3);
        signature(t, [b"cancel commitment", b"cancel response"], cancel);
    } else if let Some(word) = reason.find("Overdue") {
        t.u8(b"reason", 4);
        let digest = inner("farthing overdue", |t| overdue(t, word.get("body")));
        t.bytes(b"overdue", &digest);
        signature(t, [b"bank commitment", b"bank response"], word);
    } else if let Some(shown) = reason.find("WrongKey") {
        t.u8(b"reason", 5);
        let names: [(&[u8], &str); 3] = [
            (b"shared point", "point"),
            (b"shared point challenge", "challenge"),
            (b"shared point response", "response"),
        ];
        fields(t, shown, &names);
    } else if let Some(word) = reason.find("Closed") {
        t.u8(b"reason", 6);
        let digest = inner("farthing stream close", |t| close(t, word.get("body")));
        t.bytes(b"close", &digest);
        signature(t, [b"merchant commitment", b"merchant response"], word);
    } else {
        let of_version_1 = ["Cancelled", "DeadlinePassed", "WrongSealedKey"];
        let code = (0..).zip(of_version_1).find(|(_, name)| *name == reason.text());
        t.u8(b"reason", code.expect("a reason").0);
    }
}

fn hold(t: &mut Transcript, body: Field<'_>) {
    let signed = body.get("bank_hold");
    let digest = inner("farthing bank hold", |t| {
        let held = signed.get("body");
        fields(
            t,
            held,
            &[
                (b"purchase", "purchase_id"),
                (b"escrow", "escrow"),
                (b"coins", "coins_digest"),
            ],
        );
        t.u64(b"total", held.get("total").u64());
    });
    t.bytes(b"bank hold", &digest);
    signature(t, [b"bank commitment", b"bank response"], signed);
}

fn voucher(t: &mut Transcript, body: Field<'_>) {
    raised(t, body);
    t.u64(b"amount", body.get("amount").u64());
}

fn raised(t: &mut Transcript, body: Field<'_>) {
    t.bytes(b"purchase", &body.get("purchase_id").bytes());
    t.u64(b"ticks", body.get("ticks").u64());
}

fn close(t: &mut Transcript, body: Field<'_>) {
    fields(t, body, &[(b"purchase", "purchase_id"), (b"escrow", "escrow")]);
}

fn ticks(t: &mut Transcript, body: Field<'_>) {
    t.bytes(b"purchase", &body.get("purchase_id").bytes());
    t.u64(b"first", body.get("first").u64());
    let digests = body.get("digests").items();
    t.u64(b"ticks", digests.len() as u64);
    digests
        .iter()
        .for_each(|digest| t.bytes(b"tick", &digest.bytes()));
}

fn memo(t: &mut Transcript, body: Field<'_>) {
    fields(t, body, &[(b"bank", "bank"), (b"account", "account")]);
    t.u64(b"version", body.get("version").u64());
    let memo = body.find("memo").map(Field::bytes);
    t.u8(b"replaced", memo.is_some().into());
    t.bytes(b"memo", &memo.unwrap_or_default());
}

fn encryption_key(t: &mut Transcript, body: Field<'_>) {
    t.bytes(b"target", &body.get("target").bytes());
    t.u32(b"day", body.get("day").u32());
    t.bytes(b"key", &body.get("key").bytes());
}

fn denial(t: &mut Transcript, body: Field<'_>) {
    let place = |names: &[&str], name: &str| names.iter().position(|n| *n == name).expect("a variant") as u8;
    t.bytes(b"bank", &body.get("bank").bytes());
    let kinds = [
        "WithdrawBegin",
        "WithdrawFinish",
        "ExchangeBegin",
        "ExchangeFinish",
        "Hold",
        "ReserveBegin",
        "ReserveFinish",
        "Deposit",
    ];
    t.u8(b"kind of request", place(&kinds, body.get("kind").text()));
    t.bytes(b"request", &body.get("request").bytes());
    let cause = body.get("cause");
    if let Some(coin) = cause.find("Coin") {
        t.u8(b"cause", 0);
        fields(t, coin, &[(b"key id", "key_id"), (b"coin key", "coin")]);
        denied_coin(t, coin.get("what"));
    } else if let Some(account) = cause.find("UnknownAccount") {
        t.u8(b"cause", 1);
        t.bytes(b"account", &account.bytes());
    } else if let Some(amounts) = cause.find("Balance") {
        t.u8(b"cause", 2);
        t.u64(b"balance", amounts.get("balance").u64());
        t.u64(b"asked", amounts.get("asked").u64());
    } else if let Some(key_id) = cause.find("UnknownKey") {
        t.u8(b"cause", 3);
        t.bytes(b"key id", &key_id.bytes());
    } else if let Some(amounts) = cause.find("Unbalanced") {
        t.u8(b"cause", 4);
        t.u64(b"inputs", amounts.get("inputs").u64());
        t.u64(b"outputs", amounts.get("outputs").u64());
    } else if let Some(fault) = cause.find("Reserve") {
        t.u8(b"cause", 6);
        t.bytes(b"reserve", &fault.get("reserve").bytes());
        t.u64(b"credited", fault.get("sums").get("credited").u64());
        t.u64(b"debited", fault.get("sums").get("debited").u64());
        t.u64(b"asked", fault.get("asked").u64());
    } else {
        t.u8(b"cause", 4 + place(&["Unbalanced", "Overflow"], cause.text()));
    }
    t.u64(b"at", body.get("at").u64());
}

fn denied_coin(t: &mut Transcript, what: Field<'_>) {
    let proven = |t: &mut Transcript, proof: Option<Field<'_>>| t.u8(b"proof", proof.is_some().into());
    if let Some(held) = what.find("Held") {
        t.u8(b"fault", 0);
        earlier_use(t, held);
    } else if let Some(spent) = what.find("Spent") {
        t.u8(b"fault", 1);
        earlier_use(t, spent.get("used"));
        proven(t, spent.find("proof"));
        if let Some(proof) = spent.find("proof") {
            t.bytes(
                b"terms",
                &inner("farthing terms", |t| terms(t, proof.get("terms"))),
            );
            let commit = proof.get("commit");
            t.bytes(
                b"commit",
                &inner("farthing commit", |t| commit_fields(t, commit.get("body"))),
            );
            signature(t, [b"commitment", b"response"], commit);
        }
    } else if let Some(exchanged) = what.find("Exchanged") {
        t.u8(b"fault", 2);
        earlier_use(t, exchanged.get("used"));
        proven(t, exchanged.find("issued"));
        if let Some(issued) = exchanged.find("issued") {
            t.bytes(
                b"issued",
                &inner("farthing issued", |t| issued_fields(t, issued.get("body"))),
            );
            signature(t, [b"commitment", b"response"], issued);
        }
    } else if let Some(deposited) = what.find("Deposited") {
        t.u8(b"fault", 5);
        earlier_use(t, deposited.get("used"));
        proven(t, deposited.find("deposited"));
        if let Some(deposited) = deposited.find("deposited") {
            let body = deposited.get("body");
            let digest = inner("farthing deposited", |t| {
                reserves::describe(t, "farthing deposited", body);
            });
            t.bytes(b"deposited", &digest);
            signature(t, [b"commitment", b"response"], deposited);
        }
    } else if let Some(expired) = what.find("Expired") {
        t.u8(b"fault", 3);
        t.u64(b"expired", expired.get("expired").u64());
    } else {
        assert_eq!(what.text(), "EndsTooSoon");
        t.u8(b"fault", 4);
    }
}

fn earlier_use(t: &mut Transcript, used: Field<'_>) {
    let operations = ["Hold", "ExchangeBegin", "Exchange", "Deposit"];
    let operation = operations
        .iter()
        .position(|name| *name == used.get("operation").text());
    t.u8(b"operation", operation.expect("an operation") as u8);
    t.bytes(b"used for", &used.get("digest").bytes());
    signature(t, [b"commitment", b"response"], used.get("authorization"));
}

fn terms(t: &mut Transcript, body: Field<'_>) {
    t.bytes(b"bank", &body.get("bank").bytes());
    t.bytes(b"currency", body.get("currency").text().as_bytes());
    t.u64(b"price", body.get("price").u64());
    fields(
        t,
        body,
        &[
            (b"account", "account"),
            (b"merchant", "merchant"),
            (b"escrow", "escrow"),
        ],
    );
    t.u64(b"deadline", body.get("deadline").u64());
    let names: [(&[u8], &str); 4] = [
        (b"coins", "coins_digest"),
        (b"purchase key", "purchase_key"),
        (b"private part", "private_digest"),
        (b"note", "note_digest"),
    ];
    fields(t, body, &names);
}

fn commit_fields(t: &mut Transcript, body: Field<'_>) {
    let names: [(&[u8], &str); 4] = [
        (b"purchase", "purchase_id"),
        (b"bank", "bank"),
        (b"coins", "coins_digest"),
        (b"account", "account"),
    ];
    fields(t, body, &names);
    t.u64(b"amount", body.get("amount").u64());
    let names: [(&[u8], &str); 3] = [
        (b"sealed key ephemeral", "ephemeral"),
        (b"sealed key body", "body"),
        (b"sealed key tag", "tag"),
    ];
    fields(t, body.get("sealed_key"), &names);
}

fn issued_fields(t: &mut Transcript, body: Field<'_>) {
    fields(t, body, &[(b"request", "request_id"), (b"source", "source")]);
    for (list, label, name) in [
        (&b"outputs"[..], &b"output"[..], "outputs"),
        (b"challenges", b"challenge", "challenges"),
    ] {
        let items = body.get(name).items();
        t.u64(list, items.len() as u64);
        items.iter().for_each(|item| t.bytes(label, &item.bytes()));
    }
    let responses = body.get("responses").items();
    t.u64(b"responses", responses.len() as u64);
    for response in responses {
        fields(t, response, &[(b"z", "z"), (b"b", "b"), (b"y", "y")]);
    }
}
