//! The HTTP port of every node: metrics, health, and a page, which say nothing about a customer, a coin or a purchase.

use crate::relayed;
use farthing_kit::nodes::Node;
use farthing_node::{
    card::RoleName::{self, Bank, Escrow, Merchant, Relay},
    home::CONFIG_FILE,
};
use farthing_tests::processes::{
    browser::{BROWSER, Browser},
    goods::POSTCARD,
    run::{Wait, tell, until},
};
use serde_json::Value;
use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// The longest run of hexadecimal digits in an answer. Keys and ids have 64, and their short forms 8.
const HEX_MAX: usize = 7;

/// An answer of the port.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

/// Sends bytes to the port, and reads until it closes the connection.
fn exchange(address: SocketAddr, request: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // The port may have answered and closed before it has read everything.
    let _refused_early = stream.write_all(request.as_bytes());
    let mut bytes = Vec::new();
    let _closed = stream.read_to_end(&mut bytes);
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Answer {
        status: status.unwrap_or_default(),
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}

fn ask(address: SocketAddr, method: &str, path: &str, host: &str) -> Answer {
    exchange(
        address,
        &format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    )
}

fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, "GET", path, &address.to_string())
}

/// Starts a stopped node with the port, by its configuration file. Returns the address from its log.
fn start_with_port(node: &Node) -> SocketAddr {
    let path = node.dir().join(CONFIG_FILE);
    let config = fs::read_to_string(&path).unwrap();
    let with_port = config.replace("[settings]", "metrics = \"127.0.0.1:0\"\n\n[settings]");
    assert_ne!(with_port, config);
    fs::write(&path, with_port).unwrap();
    node.start().wait();
    let log = node.log();
    let address = log.rsplit("http://").next().unwrap();
    address.split('/').next().unwrap().parse().unwrap()
}

/// The value of a metric.
fn metric(metrics: &str, name: &str) -> f64 {
    let mut lines = metrics.lines();
    let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {metrics}"))
        .parse()
        .unwrap()
}

/// No answer has a name or an address of a party, or anything that could be a key, an id or a digest.
fn tells_nothing(path: &str, answer: &Answer) {
    for word in answer
        .body
        .split(|character: char| !character.is_ascii_alphanumeric())
    {
        let is_hex = word.len() > HEX_MAX && word.chars().all(|character| character.is_ascii_hexdigit());
        let is_decimal = word.chars().all(|character| character.is_ascii_digit());
        assert!(!is_hex || is_decimal, "{path}: {word}");
    }
    for word in ["alice", "postcard", "127.0.0.1"] {
        assert!(!answer.body.contains(word), "{path}: {word}");
    }
}

#[test]
fn every_node_has_metrics_and_a_page_that_tell_nothing_of_a_purchase() {
    let testbed = relayed::testbed();
    let alice = testbed.customer("alice");
    alice.buys(POSTCARD, "one");
    until("the purchase to be settled", || {
        testbed.is_settled().then_some(())
    });
    let roles = [Bank, Escrow, Merchant, Relay];
    let ports = roles.map(|role| {
        let node = testbed.node(role);
        node.kill().wait();
        (role, start_with_port(node))
    });
    alice.buys(POSTCARD, "two");
    for (role, address) in ports {
        until(&format!("the {role} to be ready"), || {
            (get(address, "/readyz").status == 200).then_some(())
        });
        assert_eq!(get(address, "/healthz").status, 200);
        for path in [
            "/",
            "/style.css",
            "/script.js",
            "/state.json",
            "/metrics",
            "/readyz",
        ] {
            let answer = get(address, path);
            assert_eq!(answer.status, 200, "{path}");
            assert!(
                answer
                    .head
                    .contains("content-security-policy: default-src 'none'"),
                "{path}"
            );
            tells_nothing(path, &answer);
        }
        refuses(address);
        agrees(testbed.node(role), role, address);
    }
    let [(_, bank), ..] = ports;
    let metrics = get(bank, "/metrics").body;
    let audit = testbed.node(Bank).admin(&["audit"], &[]).wait();
    let paid_in: f64 = audit["paid_in"].as_str().unwrap().parse().unwrap();
    assert_eq!(metric(&metrics, "farthing_books_money{of=\"paid_in\"}"), paid_in);
    // The second purchase came after the reading of the books, and alone it is not published.
    let (_, escrow) = ports[1];
    assert_eq!(
        metric(
            &get(escrow, "/metrics").body,
            "farthing_books_count{of=\"committed\"}"
        ),
        1.0
    );
    are_drawn(&ports);
    testbed.check(&[&alice]);
}

/// What the port refuses.
fn refuses(address: SocketAddr) {
    for host in ["evil.example", "evil.example:80", "localhost.evil.example", ""] {
        assert_eq!(ask(address, "GET", "/state.json", host).status, 421, "{host}");
    }
    let foreign = "GET http://evil.example/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(exchange(address, foreign).status, 421);
    assert_eq!(exchange(address, "GET /metrics HTTP/1.1\r\n\r\n").status, 421);
    assert_eq!(ask(address, "GET", "/metrics", "localhost").status, 200);
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let answer = ask(address, method, "/", "localhost");
        assert_eq!(answer.status, 405, "{method}");
        assert!(answer.head.contains("allow: get, head"), "{}", answer.head);
    }
    assert!(ask(address, "HEAD", "/", "localhost").body.is_empty());
    for path in ["/admin.sock", "/identity.key", "/../config.toml", "//metrics"] {
        assert_eq!(ask(address, "GET", path, "localhost").status, 404, "{path}");
    }
    let long = "x".repeat(20_000);
    let refused = exchange(
        address,
        &format!("GET / HTTP/1.1\r\nHost: localhost\r\nA: {long}\r\n\r\n"),
    );
    assert!(
        refused.status != 200 && refused.body.is_empty(),
        "{}",
        refused.head
    );
}

/// Metrics, page and `status` have the same source.
fn agrees(node: &Node, role: RoleName, address: SocketAddr) {
    let answer = get(address, "/metrics");
    let kind = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert!(answer.head.contains(kind), "{}", answer.head);
    let metrics = answer.body;
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
    let status = node.admin(&["status"], &[]).wait();
    let state: Value = serde_json::from_str(&get(address, "/state.json").body).unwrap();
    assert_eq!(state["role"], role.as_str());
    for (name, field) in [("requests", "requests"), ("connections", "connections")] {
        let told = metric(&metrics, &format!("farthing_{name}_total"));
        assert_eq!(state["status"]["network"][field].as_f64().unwrap(), told);
        assert!(status["network"][field].as_f64().unwrap() >= told);
    }
    for peer in [Bank, Escrow, Merchant, Relay] {
        let told = metric(&metrics, &format!("farthing_peers{{role=\"{peer}\"}}"));
        assert_eq!(
            state["status"]["state"]["peers"][peer.as_str()]["pinned"]
                .as_f64()
                .unwrap(),
            told
        );
        assert_eq!(
            status["state"]["peers"][peer.as_str()]["pinned"]
                .as_f64()
                .unwrap(),
            told
        );
    }
    assert_eq!(metric(&metrics, "farthing_ready"), 1.0);
    assert_eq!(metric(&metrics, "farthing_stopped"), 0.0);
    assert_eq!(metrics.contains("farthing_syncs_total"), role != Relay);
    assert_eq!(
        metrics.contains("farthing_decides "),
        role == Bank || role == Escrow
    );
    assert!(metric(&metrics, "farthing_disk_free_bytes") > 0.0);
}

/// The pages in a real browser, on a wide and a narrow screen: the script has drawn every part, nothing is cut off, and
/// the page's own policy has refused nothing.
fn are_drawn(ports: &[(RoleName, SocketAddr)]) {
    let Some(mut browser) = Browser::start() else {
        return tell(&format!(
            "SKIPPED: there is no {BROWSER} here, so the pages were not drawn"
        ));
    };
    for (role, address) in ports {
        for screen in [[1280, 900], [390, 844]] {
            let drawn = browser.open(
                &format!("http://{address}/"),
                screen,
                "document.body.dataset.drawn ?? null",
            );
            assert_eq!(drawn, role.as_str());
            assert_eq!(
                browser.value("document.getElementById('verdict').textContent"),
                "✓ ready"
            );
            let charts = match role {
                Bank | Merchant => 9,
                Escrow => 8,
                Relay => 4,
            };
            assert_eq!(
                browser.value("document.querySelectorAll('figure.chart').length"),
                charts,
                "{role}"
            );
            assert_eq!(browser.too_wide(), 0, "{role} {screen:?}");
        }
    }
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);
}
