//! Connections: identified and anonymous requests never share one, and neither do two purchases, exchanges or
//! withdrawals.

use crate::{repeated, testbed};
use farthing_node::{
    card::{
        Card,
        RoleName::{self, Bank, Escrow},
    },
    network::Lane,
};
use farthing_protocol::{
    api::{Call, KeysRequest},
    ids::RecordId,
    refusal::{Refusal, RequestFault},
    restore::{AccountRequest, BucketRequest, Prefix, Shelf},
};
use farthing_tests::processes::{buyer::Buyer, goods::POSTCARD, run::runtime, tap::Tap};

fn is_wrong_lane<C: Call>(reply: &[u8]) -> bool {
    let refusal = C::decode_reply(reply).unwrap().err();
    matches!(refusal, Some(Refusal::Request(RequestFault::WrongLane(_))))
}

#[test]
fn a_request_on_another_lane_than_its_own_is_refused() {
    let testbed = testbed();
    let hand = repeated::customer(&testbed);
    let account = AccountRequest {
        bank: hand.key(Bank),
        account: hand.account(),
    };
    let account = farthing_coin::Signed::sign(account, &hand.seed.account_key());
    let bucket = BucketRequest {
        shelf: Shelf::Notes,
        prefix: Prefix::of(&RecordId([0; 32]), 0),
        after: None,
    };
    runtime().block_on(async {
        let send = |lane, request| hand.send(Bank, lane, request);
        for lane in [Lane::Anonymous, Lane::Peer] {
            let reply = send(lane, account.clone().encode().unwrap()).await;
            assert!(is_wrong_lane::<farthing_coin::Signed<AccountRequest>>(&reply));
        }
        for lane in [Lane::Identified, Lane::Peer] {
            let reply = send(lane, bucket.encode().unwrap()).await;
            assert!(is_wrong_lane::<BucketRequest>(&reply));
        }
        for lane in [Lane::Identified, Lane::Anonymous, Lane::Peer] {
            let reply = send(lane, KeysRequest.encode().unwrap()).await;
            assert!(KeysRequest::decode_reply(&reply).unwrap().is_ok());
        }
        hand.ask(account).await.unwrap();
        hand.ask(bucket).await.unwrap();
    });
}

/// Opens a tap on each line of the customer. Returns the number of connections to bank, escrow and merchant.
fn tapped(customer: &Buyer, cards: [&Card; 3]) -> impl Fn() -> [usize; 3] + use<> {
    let taps = cards.map(|card| {
        let tap = Tap::open(customer.lines.to(card.role).address());
        let card = Card {
            address: tap.address().into(),
            ..card.clone()
        };
        let moved = customer.done(&["network", "add", &card.to_string()]);
        assert_eq!(moved["added"], "moved");
        (card.role, tap)
    });
    move || {
        RoleName::PARTIES.map(|role| {
            let tap = taps.iter().find(|(of, _)| *of == role).unwrap();
            tap.1.sources().len()
        })
    }
}

#[test]
fn no_two_flows_share_a_connection_even_within_one_resume() {
    let testbed = testbed();
    let cards = [
        testbed.bank.card(),
        testbed.escrow.card(),
        testbed.merchant.card(),
    ];
    // The wallet fetches the list of keys anonymously. It identifies itself only on a second connection.
    let alice = testbed.newcomer("alice");
    let sources = tapped(&alice, cards);
    alice.done(&["withdraw", "20.00"]);
    assert_eq!(sources(), [2, 0, 0]);

    // Two purchases, an exchange and a withdrawal are under way.
    alice.lines.lose_requests_to(&[Escrow]);
    alice.buys_into_silence(POSTCARD, "one");
    alice.buys_into_silence(POSTCARD, "two");
    alice.lines.lose_requests_to(&[Bank]);
    alice.into_silence(&["exchange", "--all"]);
    alice.into_silence(&["withdraw", "5.00"]);
    alice.lines.heal();
    let before = sources();
    alice.done(&["resume"]);
    let after = sources();
    let connections: Vec<usize> = after
        .iter()
        .zip(before)
        .map(|(after, before)| after - before)
        .collect();
    // At the bank one for the exchange, one for the withdrawal, and one for the change of the second purchase. At escrow and
    // merchant one for each purchase.
    assert_eq!(connections, [3, 2, 2]);
    assert_eq!([alice.status(0), alice.status(1)], ["committed", "committed"]);
    testbed.check(&[&alice]);

    // From the catalogue to the receipt: one connection to the escrow, and one to the merchant.
    let before = sources();
    alice.buys(POSTCARD, "three");
    let after = sources();
    assert_eq!((after[1] - before[1], after[2] - before[2]), (1, 1));
    testbed.check(&[&alice]);
}
