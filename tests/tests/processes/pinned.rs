//! Impostors: the wallet reports a server with other keys, stops, and nothing is charged.

use crate::{PROGRAM, testbed};
use farthing_kit::{nodes::Node, points::Party};
use farthing_node::{
    card::{
        Card,
        RoleName::{self, Bank, Escrow, Merchant},
    },
    home::{TLS_CERTIFICATE_FILE, TLS_KEY_FILE},
    network::Lane,
};
use farthing_tests::processes::{
    buyer::Buyer,
    goods::POSTCARD,
    run::{Wait, does_not_start, runtime, until},
    testbed::Testbed,
};
use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use std::{fs, net::SocketAddr, path::Path, sync::Arc};

/// Another node of the same role, with the same address and its own keys.
fn stranger(testbed: &Testbed, role: RoleName) -> Node {
    let dir = testbed.dir().join(format!("stranger-{role}"));
    let address = testbed.node(role).card().address.only_ip();
    Node::init(Path::new(PROGRAM), role, &dir, address).wait()
}

/// Runs a command that asks the node of this role. It must fail. Returns the error.
fn refused(customer: &Buyer, role: RoleName) -> String {
    match role {
        Bank => customer.run(&["withdraw", "1.00"]),
        Escrow => customer.buy(POSTCARD, "goods"),
        Merchant => customer.run(&["catalog"]),
        RoleName::Relay => unreachable!("there is no relay here"),
    }
    .error(1)
}

/// Asserts that nothing was charged, and that everything ends with the right nodes.
fn unharmed(testbed: &Testbed, customer: &Buyer) {
    let [available, in_purchases, in_exchanges] = customer.balance();
    assert_eq!(available + in_purchases + in_exchanges, 2000);
    assert_eq!(testbed.account(&customer.account), 3000);
    assert_eq!(testbed.held(), 0);
    assert!(testbed.decisions().is_empty());
    customer.done(&["resume"]);
    testbed.check(&[customer]);
}

#[test]
fn another_node_at_the_same_address_is_refused() {
    let testbed = testbed();
    let alice = testbed.customer("alice");
    for role in [Bank, Escrow, Merchant] {
        let stranger = stranger(&testbed, role);
        testbed.node(role).kill().wait();
        stranger.start().wait();
        let error = refused(&alice, role);
        let (card, shown) = (testbed.node(role).card(), stranger.card());
        assert!(error.contains(&card.title()), "{error}");
        assert!(error.contains(&card.fingerprint_hex()), "{error}");
        assert!(error.contains(&shown.fingerprint_hex()), "{error}");
        stranger.kill().wait();
        testbed.node(role).start().wait();
    }
    unharmed(&testbed, &alice);
}

#[test]
fn a_card_with_other_keys_under_a_known_name_is_refused() {
    let testbed = testbed();
    let alice = testbed.customer("alice");
    for role in RoleName::PARTIES {
        let (pinned, stranger) = (testbed.node(role).card(), stranger(&testbed, role));
        let error = alice
            .run(&["network", "add", &stranger.card().to_string()])
            .error(1);
        assert!(
            error.contains("pinned") && error.contains(&pinned.title()),
            "{error}"
        );
        // Another certificate for the same identity is refused too.
        let other_certificate = Card {
            fingerprint: stranger.card().fingerprint,
            ..pinned.clone()
        };
        alice
            .run(&["network", "add", &other_certificate.to_string()])
            .error(1);
        // The same keys under another name are the same party.
        let alias = Card {
            name: "alias".into(),
            ..alice.lines.card(Party::Wallet, pinned)
        };
        let known = alice.done(&["network", "add", &alias.to_string()]);
        assert_eq!(known["added"], "known", "{known}");
        assert_eq!(known["card"]["name"], pinned.name, "{known}");
    }
    let cards = alice.done(&["network", "list"]);
    assert_eq!(cards["cards"].as_array().unwrap().len(), 3);
    alice.buys(POSTCARD, "goods");
    testbed.check(&[&alice]);
}

#[test]
fn a_merchant_has_its_local_name_in_every_output() {
    let testbed = testbed();
    let alice = testbed.customer("alice");
    alice.buys(POSTCARD, "goods");
    let card = alice
        .lines
        .card(Party::Wallet, testbed.merchant.card())
        .to_string();
    let renamed = alice.done(&["network", "add", &card, "--as", "corner"]);
    assert_eq!(renamed["added"], "renamed", "{renamed}");
    assert_eq!(alice.purchases()[0]["merchant"], "corner");
    let history = alice.done(&["history"]).to_string();
    assert!(
        history.contains("corner") && !history.contains("studio"),
        "{history}"
    );
    let output = alice.goods("other goods");
    let bought = alice.done(&["buy", "corner", POSTCARD, "-o", output.to_str().unwrap()]);
    assert_eq!(bought["purchase"]["merchant"], "corner", "{bought}");
    testbed.check(&[&alice]);
}

/// Shows the certificate of one party and signs with the key of another.
#[derive(Debug)]
struct Thief(Arc<CertifiedKey>);

impl ResolvesServerCert for Thief {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// A server at `address` with this certificate and this key, which do not match.
fn thief(address: SocketAddr, certificate: &Path, key: &Path) -> quinn::Endpoint {
    let certificate = CertificateDer::from(fs::read(certificate).unwrap());
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(fs::read(key).unwrap()));
    let key = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
    let stolen = Thief(Arc::new(CertifiedKey::new(vec![certificate], key)));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(stolen));
    tls.alpn_protocols = Lane::ALL.map(|lane| lane.alpn().into()).to_vec();
    let crypto = quinn::crypto::rustls::QuicServerConfig::try_from(tls).unwrap();
    let config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    let endpoint = quinn::Endpoint::server(config, address).unwrap();
    let server = endpoint.clone();
    tokio::spawn(async move {
        while let Some(incoming) = server.accept().await {
            let _refused = incoming.await;
        }
    });
    endpoint
}

#[test]
fn the_pinned_certificate_without_its_key_is_refused() {
    let testbed = testbed();
    let alice = testbed.customer("alice");
    for role in [Bank, Escrow, Merchant] {
        let stranger = stranger(&testbed, role);
        let node = testbed.node(role);
        let certificate = node.dir().join(TLS_CERTIFICATE_FILE);
        node.kill().wait();
        // The node's program refuses to serve with a certificate of another key.
        let own = fs::read(stranger.dir().join(TLS_CERTIFICATE_FILE)).unwrap();
        fs::copy(&certificate, stranger.dir().join(TLS_CERTIFICATE_FILE)).unwrap();
        let (code, log) = does_not_start(&stranger);
        assert_eq!(code, Some(1));
        assert!(log.contains("tls.cert") && log.contains("altered"), "{log}");
        fs::write(stranger.dir().join(TLS_CERTIFICATE_FILE), own).unwrap();
        // Wallets refuse a server that does.
        let runtime = runtime();
        let key = stranger.dir().join(TLS_KEY_FILE);
        let _context = runtime.enter();
        let thief = thief(node.card().address.only_ip().unwrap(), &certificate, &key);
        let error = refused(&alice, role);
        assert!(
            error.contains("impostor") && error.contains(&node.card().title()),
            "{error}"
        );
        thief.close(0u32.into(), b"");
        runtime.block_on(thief.wait_idle());
        drop(thief);
        until_free(node.card().address.only_ip().unwrap());
        node.start().wait();
    }
    unharmed(&testbed, &alice);
}

/// Waits until nobody listens on `address`.
fn until_free(address: SocketAddr) {
    until("the address is free", || {
        std::net::UdpSocket::bind(address).ok().map(drop)
    });
}
