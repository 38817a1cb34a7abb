//! Postage that is bought with coins: an office, a meter and a sorting station, each as commands of `farthing-postage`.

use super::{
    super::{
        amount::amount,
        report::{DemoReport, Label, Summary},
        scene::Scene,
        shopper::{Shopper, of},
    },
    Before, must_be,
};
use farthing_kit::{
    customer::{run_postage, text},
    error::{RunError, must},
    process::Said,
};
use farthing_node::{pay_uri::PayUri, terminal::json_lines};
use farthing_protocol::money::Amount;
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The recipient of the letter.
const TO: &str = "Erika Mustermann / Heidestr. 17 / 51147 Köln";

/// The same with another number of the house.
const NEIGHBOUR: &str = "Erika Mustermann / Heidestr. 18 / 51147 Köln";

/// Runs commands in the directory of office, meter and station.
struct Post<'s> {
    program: &'s Path,
    dir: PathBuf,
}

impl Post<'_> {
    async fn run(&self, args: &[&str]) -> Result<Said, RunError> {
        Ok(run_postage(self.program, &self.dir, args).await?)
    }

    /// Runs a command that must succeed.
    async fn done(&self, args: &[&str]) -> Result<Value, RunError> {
        Ok(self.run(args).await?.done()?)
    }

    /// Scans the letter. Returns the word of the result.
    async fn scan(&self, args: &[&str]) -> Result<String, RunError> {
        let said = self.run(&[&["sort", "scan", "station"], args].concat()).await?;
        let letters = said.printed();
        Ok(text(
            letters.pointer("/letters/0").unwrap_or(&Value::Null),
            "result",
        ))
    }

    fn file(&self, name: &str) -> Result<Vec<u8>, RunError> {
        let path = self.dir.join(name);
        fs::read(&path).map_err(RunError::io(path.display()))
    }
}

/// Frank pays for a refill, and the office's reply is lost. A letter is printed, and accepted once.
///
/// # Errors
/// When a check fails.
pub async fn postage(
    scene: &Scene,
    frank: &Shopper,
    paid: Amount,
    report: &mut DemoReport,
) -> Result<(), RunError> {
    report.begin(
        "postage",
        "Postage is bought with coins, and a letter is posted twice",
    );
    frank.withdraw(scene, paid).await?;
    let before = Before::of(scene, frank).await?;
    let dir = scene.dir().join("postage");
    fs::create_dir(&dir).map_err(RunError::io(dir.display()))?;
    let program = scene.program();
    let post = Post { program, dir };
    let account = open(scene, &post).await?;
    pay(frank, &post, paid).await?;
    must_be(
        "the office's account",
        scene.books().await?.balance(&account),
        paid,
    )?;
    let charged = before.charged(frank)?;
    must_be("what frank paid", charged, paid)?;
    report.line(
        Label::Sent,
        format!("frank paid {paid} in coins to a post office; the bank signed it, and knows neither frank nor the meter"),
    );
    refill(&post, paid, report).await?;
    let value = letter(&post, report).await?;
    let books = audit(&post).await?;
    let sum = |name: &str| {
        books
            .get(name)
            .and_then(Value::as_u64)
            .map(Amount)
            .unwrap_or_default()
    };
    must_be("what was deposited by the office's books", sum("deposited"), paid)?;
    must_be("what was carried", sum("carried"), value)?;
    must_be("what was printed", sum("printed"), value)?;
    let held = paid.checked_sub(value).unwrap_or_default();
    must_be("what the meter holds", sum("held"), held)?;
    report.line(
        Label::Ended,
        format!("the office's audit: {paid} deposited = {value} printed and carried + {held} in the meter"),
    );
    report.end(Summary {
        lost: "a refill; a letter came twice".into(),
        acted: format!("credited {paid}"),
        wallet: "paid once".into(),
        charged,
        ended: "one letter carried".into(),
        facts: json!({ "refilled": amount(paid), "printed": amount(value), "held": amount(held) }),
    });
    Ok(())
}

/// Makes the office with its account, and a certified meter. Returns the account.
async fn open(scene: &Scene, post: &Post<'_>) -> Result<String, RunError> {
    let bank = scene.bank.card().identity.to_string();
    let office = post.done(&["office", "init", "post", "--bank", &bank]).await?;
    let account = text(&office, "account");
    scene.open_account(&account, "post").await?;
    post.done(&["meter", "init", "franking", "--from", "10115"])
        .await?;
    post.done(&["meter", "request", "franking", "-o", "request"])
        .await?;
    let certify = ["office", "certify", "post", "request", "-o", "certificate"];
    post.done(&certify).await?;
    post.done(&["meter", "certify", "franking", "certificate"])
        .await?;
    let office = text(&office, "office");
    let station = ["sort", "init", "station", "--office", &office, "--area", "51"];
    post.done(&station).await?;
    post.done(&["office", "list", "post", "-o", "list"]).await?;
    post.done(&["sort", "learn", "station", "list"]).await?;
    Ok(account)
}

/// Pays as the meter says, and writes the bank's statement for the office.
async fn pay(frank: &Shopper, post: &Post<'_>, paid: Amount) -> Result<(), RunError> {
    let says = post
        .done(&["meter", "pay", "franking", &paid.to_string()])
        .await?;
    let broken = |error: String| RunError::Broken(format!("the meter's link: {error}"));
    let uri: PayUri = text(&says, "uri")
        .parse()
        .map_err(|error| broken(format!("{error}")))?;
    let donated = frank.wallet.donate(&uri, paid, &text(&says, "text"), false).await;
    let number = donated.map_err(of(frank.name))?.number;
    let proof = frank.wallet.payment_proof(number).map_err(of(frank.name))?;
    let value = serde_json::to_value(&proof).map_err(|error| broken(error.to_string()))?;
    let path = post.dir.join("paid.json");
    fs::write(&path, json_lines(&value)).map_err(RunError::io(path.display()))
}

/// The refill: owed, lost, given again, and applied twice.
async fn refill(post: &Post<'_>, paid: Amount, report: &mut DemoReport) -> Result<(), RunError> {
    let judge = ["judge", "paid.json", "certificate"];
    let owed = text(&post.done(&judge).await?, "verdict");
    must(owed == "owed", || {
        format!("a judge says `{owed}` before the refill")
    })?;
    for file in ["refill-lost", "refill"] {
        post.done(&["office", "refill", "post", "paid.json", "-o", file])
            .await?;
    }
    must(post.file("refill-lost")? == post.file("refill")?, || {
        "the office has signed two refills for one payment".into()
    })?;
    let mut meter = Value::Null;
    for _ in 0..2 {
        meter = post.done(&["meter", "refill", "franking", "refill"]).await?;
    }
    let left = text(&meter, "descending");
    must(left == paid.to_string(), || {
        format!("the meter has {left} after a refill of {paid}")
    })?;
    let kept = text(&post.done(&[&judge[..], &["refill"]].concat()).await?, "verdict");
    must(kept == "kept", || format!("a judge says `{kept}` of the refill"))?;
    report.line(
        Label::Lost,
        "the office's refill; a judge reads the papers: the office owes it until it shows it signed",
    );
    report.line(
        Label::Books,
        format!("the office gave the same refill again; the meter got it twice, and has {left}"),
    );
    Ok(())
}

/// Prints a letter, and scans it with another address, as it is, and again. Returns its postage.
async fn letter(post: &Post<'_>, report: &mut DemoReport) -> Result<Amount, RunError> {
    let print = [
        "print",
        "franking",
        "--from",
        "Frank / 10115 Berlin",
        "--to",
        TO,
        "-o",
        "letter.pdf",
    ];
    let value = text(&post.done(&print).await?, "value");
    let value: Amount = value
        .parse()
        .map_err(|_| RunError::Broken(format!("the meter has printed `{value}`")))?;
    for (args, wanted) in [
        (&["letter.pdf", "--address", NEIGHBOUR][..], "altered_address"),
        (&["letter.pdf"], "accepted"),
        (&["letter.pdf"], "duplicate"),
    ] {
        let word = post.scan(args).await?;
        must(word == wanted, || {
            format!(
                "the station says `{word}` of {}, and not `{wanted}`",
                args.join(" ")
            )
        })?;
    }
    report.line(
        Label::Wallet,
        format!(
            "the meter printed {value} into a PDF; the station read its barcode: with another address it was refused, \
             then accepted, then refused as a duplicate"
        ),
    );
    Ok(value)
}

/// Gives the station's report and the meter's registers to the office. Returns the office's books, which must add up.
async fn audit(post: &Post<'_>) -> Result<Value, RunError> {
    post.done(&["sort", "report", "station", "-o", "report"]).await?;
    post.done(&["office", "report", "post", "report"]).await?;
    post.done(&["meter", "audit", "franking", "-o", "registers"])
        .await?;
    post.done(&["office", "take", "post", "registers"]).await?;
    let audit = post.done(&["audit", "post"]).await?;
    Ok(audit.get("books").cloned().unwrap_or_default())
}
