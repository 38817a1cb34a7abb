//! What must be true of all the messages that were sent, whoever looks at them later.

use super::{network::Sent, party::Party};
use farthing_coin::PublicKey;
use farthing_node::network::Lane;
use farthing_protocol::{
    api::{BankRequest, Caller, EscrowRequest, MerchantRequest},
    documents::PurchaseId,
    limits::REPLY_MAX_BYTES,
    refusal::Refusal,
    wire,
};
use std::collections::BTreeMap;

/// A question, by who is asked.
enum Question {
    Bank(BankRequest),
    Escrow(EscrowRequest),
    Merchant(MerchantRequest),
}

impl Question {
    fn of(sent: &Sent) -> Option<Question> {
        match sent.to {
            Party::Bank => BankRequest::decode(&sent.request).ok().map(Question::Bank),
            Party::Escrow(_) => EscrowRequest::decode(&sent.request).ok().map(Question::Escrow),
            Party::Merchant(_) => MerchantRequest::decode(&sent.request)
                .ok()
                .map(Question::Merchant),
            Party::Customer(_) | Party::Stranger => None,
        }
    }

    fn caller(&self) -> Caller {
        match self {
            Question::Bank(request) => request.caller(),
            Question::Escrow(request) => request.caller(),
            Question::Merchant(request) => request.caller(),
        }
    }

    /// Whether what it says is final, so that whoever asks again gets the same bytes for ever.
    fn has_one_answer(&self) -> bool {
        matches!(
            self,
            Question::Bank(BankRequest::WithdrawFinish(_) | BankRequest::ExchangeFinish(_))
                | Question::Bank(BankRequest::Hold(_) | BankRequest::Settle(_))
                | Question::Escrow(EscrowRequest::Hold(_) | EscrowRequest::Release(_))
                | Question::Escrow(EscrowRequest::Cancel(_))
        )
    }
}

/// Checks that no message tells more than it has to, and that who asked again was told the same.
pub fn check(sent: &[Sent]) {
    check_lanes(sent);
    check_purchases_are_apart(sent);
    check_same_replies(sent);
}

/// On a connection that says who she is, a customer asks nothing but what takes that.
fn check_lanes(sent: &[Sent]) {
    for message in sent {
        let identified = message.lane == Lane::Identified;
        let takes_it = Question::of(message).is_none_or(|question| question.caller() == Caller::Identified);
        assert!(
            !identified || takes_it,
            "anonymity: an identified connection carries what could be asked anonymously"
        );
    }
}

/// No coin and no purchase key is shown for two purchases. (Copies of one wallet do not know of each other.)
fn check_purchases_are_apart(sent: &[Sent]) {
    let mut shown: BTreeMap<(Party, PublicKey), PurchaseId> = BTreeMap::new();
    for message in sent {
        let Some(Question::Escrow(EscrowRequest::Hold(request))) = Question::of(message) else {
            continue;
        };
        let purchase = request.contract.terms.purchase_id();
        let coins = request.payment.coins.iter().map(|coin| coin.public);
        for key in coins.chain([request.contract.terms.purchase_key]) {
            let first = *shown.entry((message.from, key)).or_insert(purchase);
            assert!(first == purchase, "anonymity: one key is shown for two purchases");
        }
    }
}

/// The same request gets the same reply, byte for byte. A bank that has said yes once never says no to it, but that the
/// purchase has ended since, or that it cannot answer now.
fn check_same_replies(sent: &[Sent]) {
    let mut told: BTreeMap<(Party, &[u8]), &[u8]> = BTreeMap::new();
    for message in sent {
        if !Question::of(message).is_some_and(|question| question.has_one_answer()) {
            continue;
        }
        let key = (message.to, message.request.as_slice());
        for reply in &message.replies {
            match refusal(reply) {
                None => {
                    let first = *told.entry(key).or_insert(reply);
                    assert!(first == reply, "same request, same reply: two replies differ");
                }
                Some(Refusal::Later(_) | Refusal::Purchase(_)) => {}
                Some(_) => {
                    let granted = message.to == Party::Bank && told.contains_key(&key);
                    assert!(!granted, "same request, same reply: refused after it was granted");
                }
            }
        }
    }
}

/// The refusal that a reply is, if it is one.
fn refusal(reply: &[u8]) -> Option<Refusal> {
    let decoded: Result<Result<(), Refusal>, _> = wire::decode(reply, REPLY_MAX_BYTES);
    decoded.ok()?.err()
}
