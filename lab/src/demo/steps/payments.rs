//! Payments by deposit: into the own account, to a person who is offline, back to a customer, and to a charity.

use super::{
    super::{
        amount::amount,
        report::{DemoReport, Label, Summary},
        scene::Scene,
        shopper::{Shopper, of},
    },
    ACTED_TIMEOUT, Before, must_be, times,
};
use farthing_client::{pay_uri::PayUri, receive::Destination};
use farthing_kit::{
    books::seen_within,
    customer::run_without_wallet,
    error::{RunError, must},
    process::Said,
    script::Moment,
};
use farthing_node::{card::RoleName, terminal::json_lines};
use farthing_protocol::{api::Question, deposited::Payee, money::Amount};
use serde_json::{Value, json};
use std::{fs, path::Path};

/// The exit code of `receipt verify --register` for a payment that was shown before.
const SHOWN_BEFORE: i32 = 9;

/// The name in the document of the donation.
const DONOR: &str = "Alice Example";

/// Coins are paid into their owner's account, and the bank's answer is lost.
///
/// # Errors
/// When a check fails.
pub async fn redeemed(
    scene: &Scene,
    alice: &Shopper,
    paid: Amount,
    report: &mut DemoReport,
) -> Result<(), RunError> {
    report.begin(
        "redeem-reply-lost",
        "Coins go back into the account, and the bank's answer is lost",
    );
    let bank = scene.bank.card();
    let before = Before::of(scene, alice).await?;
    let account = alice.account()?;
    let had = scene.books().await?.balance(&account);
    let expected = had.checked_add(paid);
    alice.script.forget();
    let lines = scene.wallet_lines.clone();
    alice.script.once(Moment::Asked(Question::Deposit), move || {
        lines.lose_answers_of(&[RoleName::Bank])
    });
    let silent = alice.wallet.redeem(bank, paid, false).await;
    must(silent.as_ref().is_err_and(|error| error.is_silence()), || {
        format!("the answer to the payment was lost, and the wallet says {silent:?}")
    })?;
    let acted = seen_within(ACTED_TIMEOUT, || async {
        Ok(Some(scene.books().await?.balance(&account)) == expected)
    })
    .await?;
    must(acted, || "the bank has not credited the account".into())?;
    let asked = alice.script.count(Moment::Asked(Question::Deposit));
    report.line(
        Label::Sent,
        format!(
            "alice paid {paid} in coins into the account; the wallet asked {}",
            times(asked)
        ),
    );
    report.line(Label::Lost, "all answers of the bank");
    report.line(
        Label::Books,
        "the account is credited already; the wallet has no answer",
    );
    scene.wallet_lines.heal();
    let again = alice
        .wallet
        .redeem(bank, paid, false)
        .await
        .map_err(|error| alice.failed(error))?;
    must(again.is_carried_on, || "the wallet began a second payment".into())?;
    must_be(
        "alice's account",
        scene.books().await?.balance(&account),
        expected.unwrap_or_default(),
    )?;
    let charged = before.charged(alice)?;
    must_be("what left the wallet", charged, paid)?;
    report.line(
        Label::Wallet,
        "the same command sent the same payment again, and the bank repeated its answer",
    );
    report.line(Label::Ended, format!("{paid} are in the account, once"));
    report.end(Summary {
        lost: "reply to the payment".into(),
        acted: format!("credited {paid}"),
        wallet: "sent the same again".into(),
        charged,
        ended: "in the account".into(),
        facts: json!({ "asked": asked, "redeemed": amount(paid) }),
    });
    Ok(())
}

/// Alice pays dave, who has asked for it and is offline. Later dave takes it.
///
/// # Errors
/// When a check fails.
pub async fn to_a_person(
    scene: &Scene,
    alice: &Shopper,
    dave: Shopper,
    paid: Amount,
    report: &mut DemoReport,
) -> Result<Shopper, RunError> {
    report.begin("person", "A person is paid who is offline");
    let bank = scene.bank.card();
    let (before, account) = (Before::of(scene, alice).await?, dave.account()?);
    let requested = dave.wallet.request(bank, Some(paid), "lunch").await;
    let uri = requested.map_err(|error| dave.failed(error))?;
    report.line(
        Label::Sent,
        format!(
            "dave asked for {paid} with a link of {} characters, and went offline",
            uri.to_string().len()
        ),
    );
    let (name, dir) = (dave.name, dave.wallet.dir().to_path_buf());
    dave.wallet.close().map_err(of(name))?;
    let sent = alice.wallet.pay(&uri, paid, false).await;
    let sent = sent.map_err(|error| alice.failed(error))?;
    let books = scene.books().await?;
    must_be("what waits at the bank", books.reserves, paid)?;
    must_be("dave's account", books.balance(&account), Amount(0))?;
    report.line(
        Label::Books,
        format!("{paid} wait at the bank under a key that names nobody; alice has a receipt that the bank has signed"),
    );
    let dave = Shopper::open(name, dir, &scene.wallet_lines)?;
    let taken = dave.wallet.receive(Destination::Coins, false).await;
    for one in taken.map_err(of(name))? {
        one.outcome.map_err(of(name))?;
    }
    must_be("dave's coins", dave.worth()?, paid)?;
    let charged = before.charged(alice)?;
    must_be("what alice has paid", charged, paid)?;
    report.line(
        Label::Ended,
        format!("dave came back and took {paid} in coins; the bank knows neither of the two"),
    );
    report.end(Summary {
        lost: "the payee was offline".into(),
        acted: format!("kept {paid}"),
        wallet: "paid without the payee".into(),
        charged,
        ended: "taken later".into(),
        facts: json!({ "payment": sent.number, "paid": amount(paid) }),
    });
    Ok(dave)
}

/// The merchant gives back a part of the price to a customer whom nobody knows.
///
/// # Errors
/// When a check fails.
pub async fn refund(
    scene: &Scene,
    alice: &Shopper,
    purchase: u64,
    refunded: Amount,
    report: &mut DemoReport,
) -> Result<(), RunError> {
    report.begin("refund", "The merchant gives a part of a price back");
    let before = scene.books().await?;
    let had = before.balance(&scene.merchant_account);
    let (id, total) = (alice.purchase_id(purchase)?, refunded.to_string());
    // The amount is the total of all refunds of the sale, so the same command twice refunds it once.
    let mut line = Value::Null;
    for _ in 0..2 {
        line = scene.merchant.admin(&["refund"], &[&id, &total]).await?;
    }
    report.line(
        Label::Sent,
        format!("the merchant refunded {refunded} of alice's purchase, and gave the command twice"),
    );
    let confirmed = line.get("confirmed").and_then(Value::as_str).unwrap_or_default();
    must(confirmed == total, || {
        format!("the bank has signed a refund of {confirmed:?}, and not of {total}")
    })?;
    let after = scene.books().await?;
    let left = had.checked_sub(refunded).unwrap_or_default();
    must_be(
        "the merchant's account",
        after.balance(&scene.merchant_account),
        left,
    )?;
    let waits = before.reserves.checked_add(refunded).unwrap_or_default();
    must_be("what waits at the bank", after.reserves, waits)?;
    report.line(
        Label::Books,
        format!("the merchant's account went from {had} to {left}; the bank has signed that the key of the purchase has {confirmed}"),
    );
    let had = alice.worth()?;
    let taken = alice
        .wallet
        .receive_of_purchase(purchase, Destination::Coins)
        .await;
    let taken = taken.map_err(|error| alice.failed(error))?;
    must_be("what alice has received", taken.now, refunded)?;
    must_be(
        "alice's coins",
        alice.worth()?,
        had.checked_add(refunded).unwrap_or_default(),
    )?;
    report.line(
        Label::Ended,
        "alice took it in coins: only alice's wallet has the key of the purchase, and nobody learns whose it is",
    );
    report.end(Summary {
        lost: "the merchant's certainty".into(),
        acted: format!("refunded {refunded}"),
        wallet: String::new(),
        charged: Amount(0),
        ended: "refunded once".into(),
        facts: json!({ "refunded": amount(refunded), "purchase_id": id }),
    });
    Ok(())
}

/// Alice gives to a charity, anonymously, and proves it to the tax office, which accepts the proof once.
///
/// # Errors
/// When a check fails.
pub async fn donation(
    scene: &Scene,
    alice: &Shopper,
    charity: &str,
    given: Amount,
    report: &mut DemoReport,
) -> Result<(), RunError> {
    report.begin("donation", "A donation is proven to the tax office, twice");
    let before = Before::of(scene, alice).await?;
    let broken = |why: &str| RunError::Broken(why.to_owned());
    let key = charity
        .parse()
        .map_err(|_| broken("the charity's key is not one"))?;
    let uri = PayUri::new(scene.bank.card().identity, Payee::Account(key), None, "Charity");
    let uri = uri.map_err(|error| RunError::Broken(error.to_string()))?;
    let paid = alice.wallet.donate(&uri, given, DONOR, false).await;
    let paid = paid.map_err(|error| alice.failed(error))?;
    must_be(
        "the charity's account",
        scene.books().await?.balance(charity),
        given,
    )?;
    report.line(
        Label::Sent,
        format!(
            "alice gave {given} to a charity; the bank signed a digest of the donor's name with a secret salt"
        ),
    );
    let proof = alice
        .wallet
        .payment_proof(paid.number)
        .map_err(|error| alice.failed(error))?;
    let value = serde_json::to_value(&proof).map_err(|error| broken(&error.to_string()))?;
    let [file, copy, register] =
        ["donation.json", "donation-copy.json", "donations.register"].map(|name| scene.dir().join(name));
    for path in [&file, &copy] {
        fs::write(path, json_lines(&value)).map_err(RunError::io(path.display()))?;
    }
    let accepted = shown(scene, &file, &register).await?;
    must(accepted.code == Some(0), || {
        format!(
            "the tax office refuses the document: {}{}",
            accepted.out, accepted.err
        )
    })?;
    report.line(
        Label::Wallet,
        format!("alice showed the document: the bank has signed {given} for \"{DONOR}\"; the tax office accepted it"),
    );
    let refused = shown(scene, &copy, &register).await?;
    must(refused.code == Some(SHOWN_BEFORE), || {
        format!(
            "the tax office takes one donation twice: {}{}",
            refused.out, refused.err
        )
    })?;
    let charged = before.charged(alice)?;
    must_be("what alice gave", charged, given)?;
    report.line(
        Label::Ended,
        "the same donation in another file was refused: its id is in the register",
    );
    report.end(Summary {
        lost: "a document shown twice".into(),
        acted: format!("credited {given}"),
        wallet: "proved it".into(),
        charged,
        ended: "accepted once".into(),
        facts: json!({ "donated": amount(given), "donor": DONOR }),
    });
    Ok(())
}

/// Shows a document to the tax office.
async fn shown(scene: &Scene, file: &Path, register: &Path) -> Result<Said, RunError> {
    let [file, register] = [file, register].map(|path| path.display().to_string());
    let args = ["receipt", "verify", &file, "--register", &register];
    Ok(run_without_wallet(scene.program(), &args).await?)
}
