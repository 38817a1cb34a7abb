//! Processes that are killed or stopped, and started again on the same address.

use crate::{in_parallel, testbed};
use farthing_kit::{faults::Faults, line::Way};
use farthing_node::card::RoleName::{self, Bank, Escrow, Merchant};
use farthing_tests::processes::{
    buyer::{Buyer, PurchaseRequest},
    goods::{FILM, FILM_BYTES, POSTCARD, PRICE},
    run::{Wait, until},
};
use std::time::{Duration, Instant};

#[test]
fn the_escrow_is_killed_between_hold_and_commit() {
    let testbed = testbed();
    let alice = testbed.customer("alice");
    // The merchant is frozen after the goods are fetched, so the purchase waits with its coins held.
    alice.lines.lose_requests_to(&[Escrow]);
    let mut buying = alice.starts_buying(POSTCARD, "goods", "3");
    buying.until_says(PurchaseRequest::Hold.logged()).wait();
    testbed.merchant.freeze().unwrap();
    alice.lines.heal();
    until("coins are held", || (testbed.held() > 0).then_some(()));
    testbed.escrow.kill().wait();
    buying.end().wait().must_end_with(10);
    assert_eq!(alice.status(0), "held");
    assert_eq!(alice.balance()[1], PRICE);
    testbed.escrow.start().wait();
    assert!(testbed.decisions().is_empty());
    testbed.merchant.thaw().unwrap();
    alice.done(&["resume"]);
    assert_eq!(alice.status(0), "committed");
    assert_eq!(testbed.decisions(), ["committed"]);
    testbed.check(&[&alice]);
}

/// Where a purchase waits when a process is killed.
#[derive(Debug, Clone, Copy)]
enum Phase {
    /// A part of the goods is fetched.
    Fetching,
    /// The wallet has asked for the hold, and the request is lost.
    Asked,
    /// The coins are held, and the reply to the wallet is lost.
    Holding,
    /// The coins are held, and the merchant has not got the request.
    Held,
    /// The escrow has committed, and all replies to the wallet are lost.
    Committed,
    /// The escrow has aborted, and all replies to the wallet are lost.
    Cancelling,
    /// The wallet has the abort, and the coins are not exchanged.
    Aborted,
}

impl Phase {
    const ALL: [Phase; 7] = [
        Phase::Fetching,
        Phase::Asked,
        Phase::Holding,
        Phase::Held,
        Phase::Committed,
        Phase::Cancelling,
        Phase::Aborted,
    ];

    /// Brings the first purchase of `customer` to this phase.
    fn reach(self, customer: &Buyer) {
        let lines = &customer.lines;
        let status = match self {
            Phase::Fetching => {
                slow_down(customer);
                let buying = customer.starts_buying(FILM, "goods", "2");
                until("a part of the goods is there", || {
                    (customer.fetched_bytes() > 0).then_some(())
                });
                lines.lose_requests_to(&[Merchant]);
                buying.end().wait().must_end_with(10);
                "fetching"
            }
            Phase::Asked => {
                lines.lose_requests_to(&[Escrow]);
                customer.buys_into_silence(POSTCARD, "goods");
                "holding"
            }
            Phase::Holding => {
                lines.lose_answers_of(&[Escrow]);
                customer.buys_into_silence(POSTCARD, "goods");
                "holding"
            }
            Phase::Held => {
                customer.waits_with_a_hold();
                "held"
            }
            Phase::Committed => {
                customer.waits_with_a_hold();
                lines.lose_answers_of(&[Bank, Escrow, Merchant]);
                customer.into_silence(&["resume", "0"]);
                "held"
            }
            Phase::Cancelling => {
                customer.waits_with_a_hold();
                lines.lose_answers_of(&[Bank, Escrow]);
                customer.into_silence(&["cancel", "0"]);
                "cancelling"
            }
            Phase::Aborted => {
                customer.waits_with_a_hold();
                lines.lose_requests_to(&[Bank]);
                customer.into_silence(&["cancel", "0"]);
                "aborted"
            }
        };
        assert_eq!(customer.status(0), status, "{self:?}");
        lines.heal();
    }

    /// The status at the end of the purchase.
    fn end(self) -> &'static str {
        match self {
            Phase::Cancelling | Phase::Aborted => "aborted",
            _ => "committed",
        }
    }
}

/// Slows the goods down, so that the test sees a part of them.
fn slow_down(customer: &Buyer) {
    let slow = Faults {
        delay_ms: 10,
        ..Faults::default()
    };
    customer.lines.to(Merchant).set_faults(Way::ToClient, slow);
}

/// Kills and restarts a node while a purchase waits in each phase.
fn killed_in_every_phase(role: RoleName) {
    let testbed = testbed();
    testbed.sell_film();
    let waiting = in_parallel(&Phase::ALL, |phase| {
        let customer = testbed.customer(&format!("{phase:?}").to_lowercase());
        phase.reach(&customer);
        customer
    });
    testbed.node(role).restart().wait();
    let ended = in_parallel(&Phase::ALL, |phase| {
        let customer = &waiting[phase as usize];
        customer.done(&["resume"]);
        customer.status(0)
    });
    assert_eq!(ended, Phase::ALL.map(Phase::end));
    // The returned coins can be spent.
    waiting[Phase::Aborted as usize].buys(POSTCARD, "other goods");
    testbed.check(&waiting.iter().collect::<Vec<_>>());
}

#[test]
fn the_bank_is_killed_while_purchases_wait_in_every_phase() {
    killed_in_every_phase(Bank);
}

#[test]
fn the_escrow_is_killed_while_purchases_wait_in_every_phase() {
    killed_in_every_phase(Escrow);
}

#[test]
fn the_merchant_is_killed_while_purchases_wait_in_every_phase() {
    killed_in_every_phase(Merchant);
}

#[test]
fn a_dead_merchant_costs_nothing_and_the_coins_buy_elsewhere() {
    let testbed = testbed();
    let alice = testbed.customer("alice");
    alice.waits_with_a_hold();
    testbed.merchant.kill().wait();
    alice.into_silence(&["resume"]);
    let held = coins(&alice, "in-purchase");
    assert!(!held.is_empty());
    alice.done(&["cancel", "0"]);
    assert_eq!(alice.status(0), "aborted");
    assert_eq!(testbed.decisions(), ["aborted"]);
    assert_eq!(alice.balance(), [2000, 0, 0]);
    // None of the coins is used again. They were exchanged, so nothing links the two purchases.
    assert!(coins(&alice, "available").iter().all(|coin| !held.contains(coin)));
    testbed.merchant.start().wait();
    alice.buys(POSTCARD, "other goods");
    assert!(coins(&alice, "spent").iter().all(|coin| !held.contains(coin)));
    testbed.check(&[&alice]);
}

#[test]
fn an_escrow_that_is_gone_before_the_hold_costs_nothing_and_one_that_holds_is_waited_for() {
    let testbed = testbed();
    let [alice, bob] = ["alice", "bob"].map(|name| testbed.customer(name));
    alice.lines.lose_requests_to(&[Escrow]);
    alice.buys_into_silence(POSTCARD, "goods");
    let put = coins(&alice, "in-purchase");
    bob.waits_with_a_hold();
    testbed.escrow.kill().wait();
    alice.done(&["--patience", "3", "cancel", "0"]);
    assert_eq!(alice.status(0), "recovered");
    assert_eq!(alice.balance(), [2000, 0, 0]);
    assert!(coins(&alice, "available").iter().all(|coin| !put.contains(coin)));
    // The bank keeps held coins until the escrow decides.
    bob.into_silence(&["cancel", "0"]);
    assert_eq!(bob.status(0), "cancelling");
    assert!(testbed.holds(&bob, 0));
    alice.lines.heal();
    testbed.escrow.start().wait();
    bob.done(&["resume"]);
    assert_eq!(bob.status(0), "aborted");
    assert_eq!(testbed.decisions(), ["aborted"]);
    alice.buys(POSTCARD, "other goods");
    testbed.check(&[&alice, &bob]);
}

/// The public keys of the customer's coins with this status.
fn coins(of: &Buyer, status: &str) -> Vec<String> {
    let all = of.done(&["coins", "--all"]);
    let all = all["coins"].as_array().unwrap();
    all.iter()
        .filter(|coin| coin["status"] == status)
        .map(|coin| coin["public"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_wallet_is_killed_while_it_fetches_and_fetches_only_the_rest() {
    let testbed = testbed();
    testbed.sell_film();
    let alice = testbed.customer("alice");
    slow_down(&alice);
    let buying = alice.starts_buying(FILM, "goods", "60");
    until("most of the goods are there", || {
        (alice.fetched_bytes() > FILM_BYTES as u64 * 6 / 10).then_some(())
    });
    buying.kill().wait();
    let there = alice.fetched_bytes();
    assert!(there < FILM_BYTES as u64, "it was killed too late");
    assert_eq!(alice.balance(), [2000, 0, 0]);
    assert_eq!(alice.status(0), "fetching");
    let line = alice.lines.to(Merchant);
    let before = line.counts(Way::ToClient).passed;
    alice.done(&["resume"]);
    let datagrams = line.counts(Way::ToClient).passed - before;
    // A datagram has between 1000 and 1500 bytes of goods, and some have none.
    let rest = FILM_BYTES as u64 - there;
    assert!(
        datagrams < rest / 1000 + 500,
        "{datagrams} datagrams for {rest} bytes"
    );
    assert!(
        datagrams < FILM_BYTES as u64 / 1500,
        "{datagrams} datagrams are enough for all of the goods"
    );
    testbed.check(&[&alice]);
}

#[test]
fn the_wallet_is_killed_while_it_waits_and_carries_on() {
    let testbed = testbed();
    let alice = testbed.customer("alice");
    // Killed while the coins are held and the merchant is silent.
    alice.lines.lose_requests_to(&[Escrow]);
    let mut buying = alice.starts_buying(POSTCARD, "goods", "60");
    buying.until_says(r#"question: "hold""#).wait();
    alice.lines.heal();
    alice.lines.lose_requests_to(&[Merchant]);
    until("the wallet has the hold", || {
        (alice.status(0) == "held").then_some(())
    });
    buying.kill().wait();
    assert!(testbed.holds(&alice, 0));
    alice.lines.heal();
    alice.done(&["resume"]);
    assert_eq!(alice.status(0), "committed");
    // Killed after the commit, before the receipt arrives.
    alice.lines.lose_answers_of(&[Escrow]);
    let mut buying = alice.starts_buying(POSTCARD, "other goods", "60");
    buying.until_says(r#"question: "collect""#).wait();
    alice.lines.heal();
    alice.lines.lose_answers_of(&[Bank, Merchant]);
    until("it is committed", || {
        (testbed.decisions().len() == 2).then_some(())
    });
    buying.kill().wait();
    alice.lines.heal();
    alice.done(&["resume"]);
    assert_eq!(alice.status(1), "committed");
    testbed.check(&[&alice]);
}

#[test]
fn nodes_that_are_asked_to_stop_finish_what_is_under_way() {
    let testbed = testbed();
    let customers: Vec<Buyer> = (0..4)
        .map(|number| testbed.customer(&format!("customer-{number}")))
        .collect();
    let mut buying: Vec<_> = customers
        .iter()
        .map(|customer| customer.starts_buying(POSTCARD, "goods", "60"))
        .collect();
    for command in &mut buying {
        command.until_says(r#"question: "offer""#).wait();
    }
    for role in [Bank, Escrow, Merchant] {
        let node = testbed.node(role);
        assert_eq!(node.stop().wait().code(), Some(0), "{}", node.log());
        let begun = Instant::now();
        node.start().wait();
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        assert!(!node.log().contains("rebuilding"), "{}", node.log());
    }
    for command in buying {
        command.end().wait().must_end_with(0);
    }
    testbed.check(&customers.iter().collect::<Vec<_>>());
}
