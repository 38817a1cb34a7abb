//! Wallets whose network has no UDP: over TCP, and through a proxy.
//!
//! The cards of these wallets name addresses at which UDP reaches nobody.

use crate::testbed;
use farthing_kit::{socks::SocksProxy, tcp_line::TcpLine};
use farthing_node::{
    address::Addresses,
    card::{Card, RoleName::Bank},
};
use farthing_tests::processes::{
    buyer::{Buyer, SILENT},
    goods::POSTCARD,
    run::Wait,
    testbed::Testbed,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
};

/// A customer of the testbed whose cards have these addresses.
fn customer(testbed: &Testbed, name: &str, address: impl Fn(&Card) -> Addresses) -> Buyer {
    let customer = testbed.newcomer(name);
    for card in testbed.cards() {
        let card = Card {
            address: address(card),
            ..card.clone()
        };
        customer.done(&["network", "add", &card.to_string()]);
    }
    customer
}

/// Withdraws and buys with these options, and checks the goods.
fn withdraws_and_buys(testbed: &Testbed, customer: &Buyer, options: &[&str]) {
    customer.done(&[&["withdraw", "20.00"], options].concat());
    let buying = customer.buying(POSTCARD, "card.txt");
    let buying: Vec<&str> = buying.iter().map(String::as_str).collect();
    customer.done(&[&buying[..], options].concat());
    assert_eq!(customer.status(0), "committed");
    let same = fs::read(customer.goods("card.txt")).unwrap() == fs::read(testbed.original(POSTCARD)).unwrap();
    assert!(same, "the goods are another file");
}

/// Checks that nobody answers these options.
fn reaches_nobody(customer: &Buyer, options: &[&str]) {
    let said = customer.run(&[&["catalog", "--patience", "1"], options].concat());
    assert_eq!(said.code, Some(SILENT), "{}", said.err);
}

/// The address at which a node listens.
fn address_of(card: &Card) -> SocketAddr {
    card.address.only_ip().unwrap()
}

#[test]
fn a_wallet_withdraws_and_buys_over_tcp_alone() {
    let testbed = testbed();
    let lines: BTreeMap<_, _> = testbed
        .cards()
        .map(|card| (card.role, TcpLine::start(address_of(card)).wait()))
        .into();
    let alice = customer(&testbed, "alice", |card| lines[&card.role].address().into());
    reaches_nobody(&alice, &[]);
    assert!(lines.values().all(|line| line.connections() == 0));
    withdraws_and_buys(&testbed, &alice, &["--tcp"]);
    for (role, line) in &lines {
        assert!(line.connections() > 0, "nothing went to the {role} over TCP");
    }

    // Connections that are cut in any place, in the handshake, before a reply and within it.
    for bytes in (200..3_000).step_by(400) {
        lines[&Bank].cut_next_after(bytes);
        alice.done(&["withdraw", "0.10", "--tcp"]);
        assert!(lines[&Bank].has_cut());
    }
    alice.done(&["exchange", "--all", "--tcp"]);
    testbed.check(&[&alice]);
}

#[test]
fn a_wallet_withdraws_and_buys_through_a_proxy_that_resolves_the_names() {
    let testbed = testbed();
    let host = |card: &Card| format!("{}.farthing.invalid", card.role);
    let hosts = testbed.cards().map(|card| (host(card), address_of(card)));
    let proxy = SocksProxy::start(hosts.clone().into()).wait();
    let bob = customer(&testbed, "bob", |card| {
        format!("{}:7001", host(card)).parse().unwrap()
    });
    // No resolver knows the names, and without the proxy nothing is reached.
    reaches_nobody(&bob, &[]);
    reaches_nobody(&bob, &["--tcp"]);
    let url = proxy.url();
    withdraws_and_buys(&testbed, &bob, &["--proxy", &url]);

    let asked = proxy.asked();
    let named: BTreeSet<&str> = asked.iter().map(|asked| asked.host.as_str()).collect();
    assert_eq!(named, hosts.iter().map(|(host, _)| host.as_str()).collect());
    // No two connections have a user name or a password in common, so Tor gives each its own circuit.
    let users: BTreeSet<&str> = asked.iter().map(|asked| asked.user.as_str()).collect();
    let passwords: BTreeSet<&str> = asked.iter().map(|asked| asked.password.as_str()).collect();
    assert_eq!((users.len(), passwords.len()), (asked.len(), asked.len()));

    // A proxy that is down is not passed by.
    drop(proxy);
    reaches_nobody(&bob, &["--proxy", &url]);
    testbed.check(&[&bob]);
}
