//! Wallets whose network has no UDP: over TCP, and through a proxy.
//!
//! The cards of these wallets name addresses at which UDP reaches nobody.

use crate::{PROGRAM, contains, files, testbed};
use farthing_kit::{
    market::{Layout, WalletRoute},
    nodes::Node,
    socks::SocksProxy,
    tcp_line::TcpLine,
};
use farthing_node::{
    address::Addresses,
    card::{
        Card,
        RoleName::{Bank, Relay},
    },
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
    net::{Ipv4Addr, SocketAddr},
};

/// A customer of the testbed whose cards, that of a relay included, have these addresses.
fn customer(testbed: &Testbed, name: &str, address: impl Fn(&Card) -> Addresses) -> Buyer {
    let customer = testbed.newcomer(name);
    let relay = testbed.relay.as_ref().map(Node::card);
    for card in testbed.cards().into_iter().chain(relay) {
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

/// The address of the wallet, as relay and bank see it. Nobody else uses it.
const WALLET: Ipv4Addr = Ipv4Addr::new(127, 31, 41, 59);

/// The wallet uses TCP, a proxy and a relay together. What it buys reaches the nodes through the relay alone, and nothing
/// on their disks and in their logs has the wallet's address.
#[test]
fn a_wallet_reaches_its_relay_through_a_proxy_and_no_node_keeps_its_address() {
    let layout = Layout {
        route: WalletRoute::Relayed,
        log_level: Some("trace".into()),
        ..Layout::default()
    };
    let testbed = Testbed::with_files(PROGRAM, layout);
    let host = |card: &Card| format!("{}.farthing.invalid", card.role);
    let nodes = testbed.nodes().into_iter().chain([testbed.node(Relay)]);
    let nodes: Vec<&Node> = nodes.collect();
    let hosts = nodes
        .iter()
        .map(|node| (host(node.card()), address_of(node.card())));
    let proxy = SocksProxy::start_at(WALLET, hosts.collect()).wait();
    let carol = customer(&testbed, "carol", |card| {
        format!("{}:7001", host(card)).parse().unwrap()
    });
    reaches_nobody(&carol, &["--tcp"]);
    let url = proxy.url();
    carol.done(&["withdraw", "20.00", "--proxy", &url]);
    let before = proxy.asked().len();
    let buying = carol.buying(POSTCARD, "card.txt");
    let buying: Vec<&str> = buying.iter().map(String::as_str).collect();
    carol.done(&[&buying[..], &["--proxy", &url]].concat());
    assert_eq!(carol.status(0), "committed");
    let asked = proxy.asked();
    let of_purchase: BTreeSet<&str> = asked[before..].iter().map(|it| it.host.as_str()).collect();
    assert_eq!(
        of_purchase.into_iter().collect::<Vec<_>>(),
        ["relay.farthing.invalid"]
    );
    testbed.check(&[&carol]);

    for node in nodes {
        let files = files(node.dir());
        let found = |part: &[u8]| {
            let having = files.iter().filter(|(_, bytes)| contains(bytes, part));
            having
                .map(|(path, _)| path.display().to_string())
                .collect::<Vec<_>>()
        };
        // The search finds the node's own address, and the log is of the deepest level.
        assert!(!found(address_of(node.card()).to_string().as_bytes()).is_empty());
        assert!(node.log().contains("TRACE"), "the log of the {}", node.role());
        for form in [WALLET.to_string().as_bytes(), &WALLET.octets()] {
            assert!(found(form).is_empty(), "{}: {:?}", node.role(), found(form));
        }
    }
}
