//! The same request gets the same reply, byte for byte, after any number of kills of the nodes.

use crate::testbed;
use farthing_coin::Seed;
use farthing_kit::by_hand::ByHand;
use farthing_node::{
    card::RoleName::{self, Bank, Escrow, Merchant},
    network::Lane,
    quic::QuicNetwork,
};
use farthing_protocol::{
    api::SettleOne,
    api::{Call, encode_reply},
    decision::{Outcome, SignedDecision},
    refusal::{Later, Refusal},
};
use farthing_store::{
    clock::SystemClock,
    entropy::{Entropy, SystemEntropy},
};
use farthing_tests::processes::run::{Wait, runtime};
use farthing_tests::processes::testbed::Testbed;
use std::sync::Arc;

/// A customer by hand with 50.00 in the account.
pub(crate) fn customer(testbed: &Testbed) -> ByHand {
    let entropy: &dyn Entropy = &SystemEntropy;
    let cards = [&testbed.bank, &testbed.escrow, &testbed.merchant].map(|node| node.card().clone());
    let network = Arc::new(QuicNetwork::new());
    let seed = Seed::generate(&mut entropy.rng());
    let customer = ByHand::new(network, Arc::new(SystemClock), cards, seed);
    let account = customer.account().to_string();
    testbed.bank.admin(&["account", "open"], &[&account]).wait();
    testbed.pay_in(&account, 5000);
    customer
}

/// A request and its reply, for sending it again.
struct Sent {
    what: &'static str,
    to: RoleName,
    lane: Lane,
    request: Vec<u8>,
    reply: Vec<u8>,
}

/// Sends a request, records it with its reply, and returns the decoded reply.
async fn ask<C: Call>(
    hand: &ByHand,
    sent: &mut Vec<Sent>,
    (what, to, lane): (&'static str, RoleName, Lane),
    call: C,
) -> C::Reply {
    let request = call.encode().unwrap();
    let reply = hand.send(to, lane, request.clone()).await;
    let says: Result<C::Reply, Refusal> = C::decode_reply(&reply).unwrap();
    sent.push(Sent {
        what,
        to,
        lane,
        request,
        reply,
    });
    says.unwrap_or_else(|refusal| panic!("{what}: {refusal}"))
}

async fn everything(hand: &ByHand) -> Vec<Sent> {
    let mut all = Vec::new();
    let sent = &mut all;
    let withdrawal = hand.withdrawal(&[1024, 512, 128, 64, 16, 4, 1]).await;
    let withdrawal = hand.withdrawal_begun(&withdrawal).await;
    let finish = hand.withdraw_finish(&withdrawal);
    let issued = ask(hand, sent, ("withdraw", Bank, Lane::Identified), finish).await;
    let purse = hand.withdrawn(&withdrawal, &issued).await;

    let exchange = hand
        .exchange(&purse, &[512, 128, 64, 16, 4, 1, 512, 256, 256])
        .await;
    let exchange = hand.exchange_begun(&exchange, &purse).await;
    let finish = hand.exchange_finish(&exchange, &purse);
    ask(hand, sent, ("exchange", Bank, Lane::Anonymous), finish).await;

    let price = [512, 128, 64, 16, 4, 1];
    let bought = hand.order(&hand.withdraw(&price).await).await;
    let hold = ask(hand, sent, ("hold", Escrow, Lane::Anonymous), bought.hold()).await;
    ask(hand, sent, ("bank's hold", Bank, Lane::Peer), bought.bank_hold()).await;
    let receipt = ask(
        hand,
        sent,
        ("deliver", Merchant, Lane::Anonymous),
        bought.deliver(&hold),
    )
    .await;
    let release = bought.release(&hold, &receipt.body.goods_key);
    let committed = ask(hand, sent, ("release", Escrow, Lane::Peer), release).await;
    let outcome = bought.order.outcome_request(&bought.purchase_key);
    ask(hand, sent, ("outcome", Escrow, Lane::Anonymous), outcome).await;
    let settle = SettleOne {
        escrow: hand.key(Escrow),
        decision: SignedDecision::Commit(committed.commit),
    };
    ask(hand, sent, ("settle", Bank, Lane::Anonymous), settle).await;
    let collect = bought.order.collect_request(&bought.purchase_key);
    ask(hand, sent, ("collect", Bank, Lane::Anonymous), collect).await;
    // The cancel comes after the commit, so it gets the commit.
    ask(
        hand,
        sent,
        ("late cancel", Escrow, Lane::Anonymous),
        bought.cancel(),
    )
    .await;

    let given_up = hand.order(&hand.withdraw(&price).await).await;
    hand.held(&given_up).await;
    let cancelled = ask(hand, sent, ("cancel", Escrow, Lane::Anonymous), given_up.cancel()).await;
    let Outcome::Aborted(abort) = cancelled else {
        panic!("committed without a release")
    };
    let settle = SettleOne {
        escrow: hand.key(Escrow),
        decision: SignedDecision::Abort(abort),
    };
    ask(hand, sent, ("settle the abort", Bank, Lane::Anonymous), settle).await;
    all
}

#[test]
fn a_repeated_request_gets_the_same_bytes_after_every_node_was_killed() {
    let testbed = testbed();
    let hand = customer(&testbed);
    let mut sent = runtime().block_on(everything(&hand));
    // A hold of an ended purchase is refused. The refusal is final.
    for hold in sent.iter_mut().filter(|sent| sent.what.ends_with("hold")) {
        let refused = hand.send(hold.to, hold.lane, hold.request.clone());
        hold.reply = runtime().block_on(refused);
    }
    for round in 0..2 {
        for role in RoleName::PARTIES {
            testbed.node(role).restart().wait();
        }
        for Sent {
            what,
            to,
            lane,
            request,
            reply,
        } in &sent
        {
            let again = runtime().block_on(async {
                loop {
                    // A node that has just started refuses what it has not stored, until a witness answers.
                    match hand.send(*to, *lane, request.clone()).await {
                        waits if waits == encode_reply::<()>(&Err(Later::Unwitnessed.into())) => {}
                        again => return again,
                    }
                }
            });
            assert!(again == *reply, "{what}, round {round}: another reply");
        }
    }
}

#[test]
fn a_hold_is_the_same_to_the_byte_until_its_purchase_ends() {
    let testbed = testbed();
    let hand = customer(&testbed);
    let (bought, first) = runtime().block_on(async {
        let purse = hand.withdraw(&[512, 128, 64, 16, 4, 1]).await;
        let bought = hand.order(&purse).await;
        let (first, says) = hand.ask_raw(bought.hold()).await;
        says.unwrap();
        (bought, first)
    });
    for role in [Escrow, Bank, Merchant] {
        testbed.node(role).restart().wait();
        // The first reply may be that the escrow's connection to the killed bank has ended.
        let again = runtime().block_on(async {
            loop {
                match hand.ask_raw(bought.hold()).await {
                    (_, Err(Refusal::Later(_))) => {}
                    (bytes, _) => return bytes,
                }
            }
        });
        assert!(again == first, "another reply after the {role} was killed");
    }
}
