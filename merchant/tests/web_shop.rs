//! The example of docs/MERCHANT.md: its commands and its program are run as they stand there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod support;

use farthing_node::process::stop_pair;
use farthing_node::serve::Role;
use farthing_store::clock::SystemClock;
use serde_json::Value;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::Duration;
use support::{ITEM, MerchantFixture};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const DOCUMENT: &str = include_str!("../../docs/MERCHANT.md");

/// The port of the web shop in the document.
const PORT: &str = "8000";

/// The blocks of the example in this language, with a free port in the place of the document's.
fn blocks(language: &str, port: u16) -> Vec<String> {
    let (_, example) = DOCUMENT
        .split_once("## Example: a web shop")
        .expect("the example");
    let begin = format!("```{language}\n");
    let parts = example.split(&begin).skip(1);
    let block = |part: &str| part.split("```").next().unwrap().replace(PORT, &port.to_string());
    parts.map(block).collect()
}

/// A command that finds the tested program under the name in the document.
fn command(program: &str, dir: &Path) -> Command {
    let programs = Path::new(env!("CARGO_BIN_EXE_farthing-merchant"))
        .parent()
        .unwrap();
    let others = std::env::var("PATH").unwrap();
    let mut command = Command::new(program);
    command
        .current_dir(dir)
        .env("PATH", format!("{}:{others}", programs.display()));
    command
}

fn run(block: &str, dir: &Path) -> String {
    let output = command("sh", dir).args(["-e", "-c", block]).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{block}\n{error}");
    String::from_utf8(output.stdout).unwrap()
}

/// The web shop, which ends with the test.
struct WebShop(Child);

impl Drop for WebShop {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _ended = self.0.wait();
    }
}

/// The goods that the web shop lists. Waits until it answers.
async fn listed(port: u16) -> Value {
    for _ in 0..500 {
        if let Ok(mut stream) = tokio::net::TcpStream::connect(("127.0.0.1", port)).await {
            stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
            return serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the web shop does not answer")
}

/// Sells one item to a customer, with the secret of the directory `shop`. The web shop gets the events.
async fn sell(dir: &Path, port: u16) {
    let mut fixture = MerchantFixture::new();
    fixture.add(ITEM, b"goods").await;
    let url = format!("http://127.0.0.1:{port}/farthing");
    fixture.post_events_to(&url, Arc::new(SystemClock)).await;
    let secret = "webhook.key";
    fs::copy(dir.join("shop").join(secret), fixture.home.path().join(secret)).unwrap();
    let (stopper, stop) = stop_pair();
    let background = tokio::spawn(fixture.merchant.clone().background(stop));
    let offer = fixture.offer().await;
    let request = fixture.held(offer);
    fixture.ask(request).await.unwrap();
    for _ in 0..500 {
        if dir.join("orders.txt").exists() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stopper.stop();
    background.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_the_document_lists_goods_and_notes_paid_sales() {
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("python3 is not installed, so the example is not run");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let commands = blocks("sh", port);
    let [first, books] = commands.as_slice() else {
        panic!("the example has {} blocks of commands", commands.len())
    };
    let listed_goods = run(first, dir.path());
    assert!(
        listed_goods.contains("A song") && listed_goods.contains("whsec_"),
        "{listed_goods}"
    );
    let program = blocks("python", port).pop().expect("the web shop");
    fs::write(dir.path().join("shop.py"), program).unwrap();
    let shop = WebShop(command("python3", dir.path()).arg("shop.py").spawn().unwrap());
    let goods = listed(port).await;
    assert_eq!(
        (&goods[0]["title"], &goods[0]["price"]),
        (&"A song".into(), &"4.50".into())
    );
    sell(dir.path(), port).await;
    drop(shop);
    let orders = fs::read_to_string(dir.path().join("orders.txt")).expect("an order");
    assert!(orders.ends_with(" a picture: 0.24 FTH\n"), "{orders}");
    assert_eq!(orders.lines().count(), 1);
    run(books, dir.path());
    let csv = fs::read_to_string(dir.path().join("sales.csv")).unwrap();
    assert!(csv.starts_with("begun_utc,"), "{csv}");
}
