//! Refused requests and contracts.

use crate::support::{TestRng, bank, decode, is_too_long, keys, party, public};
use farthing_coin::{PublicKey, Signed};
use farthing_protocol::{
    api::{BankRequest, Caller, EscrowRequest, MerchantRequest},
    documents::{Contract, Receipt},
    evidence::{Charge, Culprit, Papers, judge},
    exchange,
    refusal::{CoinFault, ContractFault, Refusal},
    restore::{verify_account, verify_memo},
    settle::verify_settle,
    withdraw,
};
use farthing_vectors::{Claims, Field};

pub(crate) fn frame(case: Field<'_>, claims: &mut Claims) {
    let bytes = case.get("bytes").bytes();
    let lane = match case.get("lane").text() {
        "identified" => Caller::Identified,
        "anonymous" => Caller::Anonymous,
        "peer" => Caller::Peer,
        other => panic!("there is no lane `{other}`"),
    };
    let wrong_lane = |caller| caller != Caller::Anyone && caller != lane;
    let refusal = match case.get("to").text() {
        "bank" => match BankRequest::decode(&bytes) {
            Ok(request) if wrong_lane(request.caller()) => "Request WrongLane".into(),
            Ok(request) => by_bank(request),
            Err(refusal) => name(refusal),
        },
        "escrow" => match EscrowRequest::decode(&bytes) {
            Ok(request) if wrong_lane(request.caller()) => "Request WrongLane".into(),
            Ok(_) => "none".into(),
            Err(refusal) => name(refusal),
        },
        "merchant" => MerchantRequest::decode(&bytes).map_or_else(name, |_| "none".into()),
        other => panic!("there is no server `{other}`"),
    };
    claims.equal("refusal", refusal, case.get("refusal").text().to_owned());
}

/// The refusal of a request by the bank's verifiers.
fn by_bank(request: BankRequest) -> String {
    let self_id = bank();
    let refused = match request {
        BankRequest::Account(request) => verify_account(request, &self_id).err(),
        BankRequest::WithdrawBegin(begin) => withdraw::verify_begin(begin, &self_id).err(),
        BankRequest::WithdrawFinish(finish) => withdraw::verify_finish(finish, &self_id).err(),
        BankRequest::Memo(request) => verify_memo(request, &self_id).err(),
        BankRequest::Bucket(request) => request.prefix.check().err(),
        BankRequest::Settle(request) => verify_settle(request, &self_id, |_| Ok(None), &mut TestRng(0)).err(),
        other => panic!("no case has a request for `{}`", other.question()),
    };
    refused.map_or_else(|| "none".into(), name)
}

/// The name of a refusal: its two variants.
fn name(refusal: Refusal) -> String {
    let Refusal::Request(fault) = refusal else {
        return format!("{refusal:?}");
    };
    let fault = format!("{fault:?}");
    let variant = fault.split([' ', '(']).next().unwrap_or_default();
    format!("Request {variant}")
}

pub(crate) fn contract(case: Field<'_>, claims: &mut Claims) {
    let expected = case.find("refused").map_or("none", Field::text);
    let contract: Contract = match decode(case.get("contract")) {
        Ok(contract) => contract,
        // The decoder refuses a list or text that is too long.
        Err(why) => {
            let fits = expected.starts_with("bounds: ") && is_too_long(&why);
            return claims.holds(format!("refused for {expected}, got {why}"), fits);
        }
    };
    let receipt: Signed<Receipt> = decode(case.get("receipt")).expect("a receipt");
    let fault = contract.clone().verified().err();
    let fault = fault.as_ref().map_or("none".into(), part_at_fault);
    // A case names two parts if each of them is wrong.
    let fits = match expected.split_once(": ") {
        Some((what, parts)) if fault != expected => {
            parts.split(" or ").any(|part| fault == format!("{what}: {part}"))
        }
        _ => fault == expected,
    };
    claims.holds(format!("refused for {expected}, got {fault}"), fits);
    let escrow = PublicKey(party(["escrow", "identity"]));
    claims.result("receipt", receipt.verify(&escrow));
    let papers = Papers {
        contract: Some(contract),
        receipt: Some(receipt),
        ..Papers::default()
    };
    let convicted = judge(&[papers], 0).into_iter().map(|c| (c.culprit, c.charge));
    let proven = vec![(Culprit::Escrow(escrow), Charge::WrongGoodsKey)];
    let expected = if expected == "none" { proven } else { vec![] };
    claims.equal("judged", convicted.collect::<Vec<_>>(), expected);
}

/// The faulty part of a contract, in the words of the cases.
fn part_at_fault(fault: &ContractFault) -> String {
    let signature = |why: &str| match why {
        "the signature is not by this key over this statement" => "Forged".to_owned(),
        "public key is the identity, which is never valid" => r#"Identity("public key")"#.to_owned(),
        "public key is not the canonical encoding of a ristretto255 point" => {
            r#"NonCanonicalPoint("public key")"#.to_owned()
        }
        other => other.to_owned(),
    };
    match fault {
        ContractFault::OfferBounds(field) => match field.as_str() {
            "list of escrows" => "bounds: escrows".into(),
            "list of banks" => "bounds: banks".into(),
            "list of escrows of a single sale" | "list of escrows of a sealed key" => {
                "bounds: sold once, or sealed, by several escrows".into()
            }
            other => format!("bounds: {other}"),
        },
        ContractFault::DoesNotFit(field) if field == "private part" => "contract: private digest".into(),
        ContractFault::DoesNotFit(field) => format!("contract: {field}"),
        ContractFault::OfferForged(why) => format!("offer: {}", signature(why)),
        ContractFault::Forged(why) => format!("contract: {}", signature(why)),
        other => format!("{other:?}"),
    }
}

pub(crate) fn batch(case: Field<'_>, claims: &mut Claims) {
    let request: BankRequest = decode(case.get("exchange_begin")).expect("a request");
    let BankRequest::ExchangeBegin(begin) = request else {
        panic!("an exchange is begun");
    };
    let entries = case.get("entries").items();
    claims.equal("inputs", begin.body.inputs.len(), entries.len());
    for (coin, entry) in begin.body.inputs.iter().zip(&entries) {
        claims.value("coin", coin, entry.get("coin"));
        claims.equal(
            "signer",
            coin.public,
            public(entry.get("authorization").get("public")),
        );
    }
    let refused = exchange::verify_begin(begin, &bank(), &keys(), &mut TestRng(0)).err();
    let refused = refused.map(|refusal| match refusal {
        Refusal::Coins(fault) => {
            let part = match fault.what {
                CoinFault::Invalid(_) => "Coin",
                CoinFault::Authorization(_) => "Signature",
                other => panic!("{other:?}"),
            };
            (fault.index as u64, part.to_owned())
        }
        other => panic!("{other:?}"),
    });
    let first = case.get("culprits").items().into_iter().next();
    let first = first.map(|culprit| {
        let error = culprit.get("error").text();
        let (part, _) = error.split_once('(').expect("a part");
        (culprit.get("index").u64(), part.to_owned())
    });
    claims.equal("first culprit", refused, first);
}
