//! Finality: no two messages say that a purchase was committed and that it was aborted. And equal requests always got
//! equal replies, byte for byte.

use super::super::{
    network::{Sent, role_of},
    party::Party,
};
use farthing_coin::Signed;
use farthing_node::{card::RoleName, probe::question};
use farthing_protocol::{
    api::SettleOne,
    api::{BankRequest, Call, EscrowRequest, KeysRequest, MerchantRequest, encode_reply},
    decide::{CancelRequest, OutcomeRequest, OverdueRequest, ReleaseRequest},
    decision::{Committed, Outcome, SignedDecision},
    documents::PurchaseId,
    history::WithHead,
    hold::BankHoldRequest,
    offer::DeliverRequest,
    refusal::Refusal,
    sealed::{PayRequest, SalesRequest},
    settle::{Answers, CollectRequest, Collected, SettleRequest},
    stream::{CloseRequest, OpenRequest, StopRequest},
};
use std::collections::{BTreeMap, BTreeSet};

/// Whether the reply to a request, once given, never changes.
fn is_answered_for_ever(role: RoleName, request: &[u8]) -> bool {
    match role {
        RoleName::Bank => BankRequest::decode(request).is_ok_and(|question| {
            matches!(
                question,
                BankRequest::WithdrawFinish(_)
                    | BankRequest::ExchangeFinish(_)
                    | BankRequest::Hold(_)
                    | BankRequest::Settle(_)
                    | BankRequest::Push(_)
                    | BankRequest::ReserveFinish(_)
                    | BankRequest::Deposit(_)
                    | BankRequest::Refund(_)
            )
        }),
        RoleName::Escrow => EscrowRequest::decode(request).is_ok_and(|question| {
            use EscrowRequest::{Open, Outcome, Sales, Witness};
            !matches!(question, Open(_) | Outcome(_) | Sales(_) | Witness(_))
        }),
        RoleName::Merchant => MerchantRequest::decode(request).is_ok_and(|question| {
            use MerchantRequest::{Deliver, Stop, Take};
            matches!(question, Deliver(_) | Stop(_) | Take(_))
        }),
        RoleName::Relay => false,
    }
}

/// A request, and its reply or refusal.
type Answered = (Vec<u8>, Result<Vec<u8>, Refusal>);

/// Requests and replies, without the journal head between bank and escrow, which grows. Each decision of a list
/// counts as a request of its own, no matter who brought it with which others.
fn answered(role: RoleName, request: &[u8], reply: &[u8]) -> Vec<Answered> {
    let whole = |reply: Vec<u8>| match refusal(&reply) {
        None => vec![(request.to_vec(), Ok(reply))],
        Some(refusal) => vec![(request.to_vec(), Err(refusal))],
    };
    match (role, BankRequest::decode(request), EscrowRequest::decode(request)) {
        (RoleName::Bank, Ok(BankRequest::Hold(_)), _) => {
            let reply = WithHead::<BankHoldRequest>::decode_reply(reply).expect("a reply is one");
            whole(encode_reply(&reply.map(|answer| answer.body)))
        }
        (RoleName::Bank, Ok(BankRequest::Settle(settle)), _) => {
            let reply = SettleRequest::decode_reply(reply).expect("a reply is one");
            settled(&settle, reply)
        }
        (RoleName::Bank, Ok(BankRequest::Push(push)), _) => {
            let reply = WithHead::<SettleRequest>::decode_reply(reply).expect("a reply is one");
            settled(&push.body, reply.map(|answer| answer.body))
        }
        // A stream that is open cannot be cancelled. This answer ends nothing, and the end comes later.
        (RoleName::Escrow, _, Ok(EscrowRequest::Cancel(_))) if is_streaming(reply) => Vec::new(),
        (RoleName::Escrow, _, Ok(EscrowRequest::Overdue(_))) => {
            let reply = WithHead::<OverdueRequest>::decode_reply(reply).expect("a reply is one");
            whole(encode_reply(&reply.map(|answer| answer.body)))
        }
        _ => whole(reply.to_vec()),
    }
}

/// Whether the reply to a cancel says that the purchase is an open stream.
fn is_streaming(reply: &[u8]) -> bool {
    matches!(CancelRequest::decode_reply(reply), Ok(Ok(Outcome::Streaming(_))))
}

/// The reply to each decision.
fn settled(settle: &SettleRequest, reply: Result<Answers, Refusal>) -> Vec<Answered> {
    let all_refused = |refusal: Refusal| vec![Err(refusal); settle.decisions.len()].into();
    let answers = reply.unwrap_or_else(all_refused);
    assert_eq!(answers.len(), settle.decisions.len(), "each decision is answered");
    let each = settle.decisions.iter().zip(answers);
    each.map(|(decision, answer)| {
        let one = SettleOne {
            escrow: settle.escrow,
            decision: decision.clone(),
        };
        let asked = one.encode().expect("a question is not too long");
        (asked, answer.map(|settled| encode_reply(&Ok(settled))))
    })
    .collect()
}

/// The signed end of a purchase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Committed,
    Aborted,
    /// A stream, committed for so many ticks.
    Streamed(u32),
}

pub(super) fn check(sent: &[Sent], safety: &mut Vec<String>) {
    let mut ends: BTreeMap<PurchaseId, BTreeSet<End>> = BTreeMap::new();
    let mut answers: BTreeMap<(Party, Vec<u8>), Vec<u8>> = BTreeMap::new();
    let mut granted: BTreeSet<(Party, Vec<u8>)> = BTreeSet::new();
    for message in sent {
        let Some(role) = role_of(message.to) else { continue };
        let for_ever = is_answered_for_ever(role, &message.request);
        for (purchase, end) in said(role, message) {
            ends.entry(purchase).or_default().insert(end);
        }
        if !for_ever {
            continue;
        }
        let what = question(role, &message.request);
        let replies = message.replies.iter().zip(0..).flat_map(|(reply, place)| {
            let answered = answered(role, &message.request, reply);
            answered.into_iter().map(move |it| (place, it))
        });
        for (place, (asked, answer)) in replies {
            let key = (message.to, asked);
            match answer {
                Ok(answer) => {
                    // A request that arrives again much later may be granted, although a newer one was refused in
                    // between.
                    if place == 0 {
                        granted.insert(key.clone());
                    }
                    let first = answers.entry(key).or_insert_with(|| answer.clone());
                    if *first != answer {
                        safety.push(format!(
                            "same request, same reply: two replies to `{what}` differ"
                        ));
                    }
                }
                // It cannot answer now, or the purchase has ended since.
                Err(Refusal::Later(_) | Refusal::Purchase(_)) => {}
                Err(refusal) if message.to == Party::Bank && granted.contains(&key) => {
                    safety.push(format!(
                        "same request, same reply: `{what}` is refused after it was granted: {refusal}"
                    ));
                }
                Err(_) => {}
            }
        }
    }
    for (purchase, ends) in ends {
        if ends.len() > 1 {
            safety.push(format!("finality: {purchase} has several ends: {ends:?}"));
        }
    }
}

/// The refusal that a reply is, if it is one.
fn refusal(reply: &[u8]) -> Option<Refusal> {
    KeysRequest::decode_reply(reply).ok()?.err()
}

/// Every decision that a message or one of its replies shows.
fn said(role: RoleName, message: &Sent) -> Vec<(PurchaseId, End)> {
    let mut said = Vec::new();
    let mut of_decision = |decision: &SignedDecision| {
        let end = match decision {
            SignedDecision::Commit(_) => End::Committed,
            SignedDecision::Abort(_) => End::Aborted,
            SignedDecision::Stream(stream) => End::Streamed(stream.voucher.body.ticks),
        };
        said.push((decision.purchase(), end));
    };
    let request = &message.request;
    match role {
        RoleName::Bank => match BankRequest::decode(request) {
            Ok(BankRequest::Settle(settle) | BankRequest::Push(WithHead { body: settle, .. })) => {
                settle.decisions.iter().for_each(&mut of_decision);
            }
            Ok(BankRequest::Collect(_)) => {
                for collected in replies::<CollectRequest>(message) {
                    match collected {
                        Collected::Open => {}
                        Collected::Committed(commit) => of_decision(&SignedDecision::Commit(commit)),
                        Collected::Aborted(abort) => of_decision(&SignedDecision::Abort(abort)),
                        Collected::Streamed(stream) => of_decision(&SignedDecision::Stream(stream)),
                    }
                }
            }
            _ => {}
        },
        RoleName::Escrow => match EscrowRequest::decode(request) {
            Ok(EscrowRequest::Release(_)) => {
                let replies: Vec<Committed> = replies::<ReleaseRequest>(message);
                said.extend(
                    replies
                        .into_iter()
                        .map(|it| (it.receipt.body.purchase, End::Committed)),
                );
            }
            Ok(EscrowRequest::Cancel(_)) => said.extend(outcomes(replies::<CancelRequest>(message))),
            Ok(EscrowRequest::Outcome(_)) => said.extend(outcomes(replies::<OutcomeRequest>(message))),
            Ok(EscrowRequest::Overdue(_)) => replies::<WithHead<OverdueRequest>>(message)
                .iter()
                .for_each(|decision| of_decision(&decision.body)),
            Ok(EscrowRequest::Pay(_)) => said.extend(outcomes(replies::<PayRequest>(message))),
            Ok(EscrowRequest::Open(_)) => said.extend(outcomes(replies::<OpenRequest>(message))),
            Ok(EscrowRequest::Close(_)) => said.extend(outcomes(replies::<CloseRequest>(message))),
            Ok(EscrowRequest::Sales(_)) => {
                let sales = replies::<Signed<SalesRequest>>(message).into_iter();
                let committed = sales.flat_map(|page| page.sales).map(|sale| sale.committed);
                said.extend(committed.map(|it| (it.receipt.body.purchase, End::Committed)));
            }
            _ => {}
        },
        RoleName::Merchant => match MerchantRequest::decode(request) {
            Ok(MerchantRequest::Deliver(_)) => {
                let replies = replies::<DeliverRequest>(message).into_iter();
                said.extend(replies.map(|receipt| (receipt.body.purchase, End::Committed)));
            }
            Ok(MerchantRequest::Stop(_)) => said.extend(outcomes(replies::<StopRequest>(message))),
            _ => {}
        },
        RoleName::Relay => {}
    }
    said
}

fn outcomes(replies: Vec<Outcome>) -> impl Iterator<Item = (PurchaseId, End)> {
    replies.into_iter().filter_map(|outcome| match outcome {
        Outcome::Undecided | Outcome::Streaming(_) => None,
        Outcome::Streamed(stream) => Some((
            stream.commit.body.purchase,
            End::Streamed(stream.voucher.body.ticks),
        )),
        Outcome::Committed(committed) => Some((committed.receipt.body.purchase, End::Committed)),
        Outcome::Aborted(abort) => Some((abort.body.purchase, End::Aborted)),
    })
}

/// The replies that are not refusals. A cheat's reply may not decode at all.
pub(super) fn replies<C: Call>(message: &Sent) -> Vec<C::Reply> {
    let decoded = message.replies.iter().map(|reply| C::decode_reply(reply));
    decoded.filter_map(|reply| reply.ok()?.ok()).collect()
}
