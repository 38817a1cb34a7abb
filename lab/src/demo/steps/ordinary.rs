//! The steps without a fault.

use super::{
    super::{
        amount::amount,
        report::{DemoReport, Label, Summary},
        scene::Scene,
        shopper::Shopper,
    },
    Before, charged_once, count, must_be,
};
use farthing_kit::error::RunError;
use farthing_protocol::money::Amount;
use serde_json::json;
use std::time::Instant;

/// A withdrawal and a purchase without losses, as a reference for the other steps.
///
/// # Errors
/// When a check fails.
pub async fn purchase(
    scene: &Scene,
    alice: &Shopper,
    withdrawn: Amount,
    report: &mut DemoReport,
) -> Result<(), RunError> {
    report.begin("ordinary", "Nothing is lost: a withdrawal and a purchase");
    alice.withdraw(scene, withdrawn).await?;
    let coins = alice.wallet.coins().map_err(|error| alice.failed(error))?.len();
    report.line(
        Label::Sent,
        format!(
            "alice withdrew {withdrawn} from the account: {}, signed blindly, so that the bank cannot recognize them \
            later",
            count(coins, "coin")
        ),
    );
    let goods = &scene.goods;
    let before = Before::of(scene, alice).await?;
    let began = Instant::now();
    let number = alice.begin(scene, goods).await?;
    alice.carry_on(number).await?;
    let took = began.elapsed();
    let row = alice
        .wallet
        .purchase(number)
        .map_err(|error| alice.failed(error))?;
    let used = row.purchase.order().map_or(0, |order| order.payment.coins.len());
    report.line(
        Label::Sent,
        format!(
            "the wallet fetched `{}` encrypted ({} bytes), the escrow held {}, and the merchant released the key",
            goods.title,
            row.purchase.offer().body.encrypted_bytes,
            count(used, "coin"),
        ),
    );
    let charged = charged_once(scene, alice, number, &before, goods).await?;
    report.line(
        Label::Books,
        format!("the merchant was credited {charged}; no coin is held any more"),
    );
    let milliseconds = took.as_millis() as u64;
    report.line(
        Label::Ended,
        format!("the goods are on alice's disk, byte for byte, {milliseconds} ms after the first question"),
    );
    report.end(Summary {
        lost: "nothing".into(),
        acted: String::new(),
        wallet: "asked everything once".into(),
        charged,
        ended: "goods".into(),
        facts: json!({ "coins_withdrawn": coins, "coins_spent": used, "purchase_ms": milliseconds }),
    });
    Ok(())
}

/// The merchant gets a part of the account paid out.
///
/// # Errors
/// When a check fails.
pub async fn payout(scene: &Scene, paid: Amount, report: &mut DemoReport) -> Result<(), RunError> {
    report.begin("payout", "The merchant gets money paid out");
    let before = scene.books().await?;
    let had = before.balance(&scene.merchant_account);
    // With a reference, a repeated command moves money once.
    let arguments = [
        scene.merchant_account.as_str(),
        &paid.to_string(),
        "--reference",
        "takings",
    ];
    for _ in 0..2 {
        scene.bank.admin(&["account", "payout"], &arguments).await?;
    }
    report.line(
        Label::Sent,
        format!("the cash desk paid out {paid}; the clerk was not sure and gave the command twice"),
    );
    let after = scene.books().await?;
    let left = had.checked_sub(paid).unwrap_or_default();
    must_be(
        "the merchant's account",
        after.balance(&scene.merchant_account),
        left,
    )?;
    must_be(
        "the sum of the cash desk's payouts",
        after.paid_out,
        before.paid_out.checked_add(paid).unwrap_or_default(),
    )?;
    report.line(
        Label::Ended,
        format!("paid out once: the merchant's account went from {had} to {left}"),
    );
    report.end(Summary {
        lost: "the clerk's certainty".into(),
        acted: format!("paid out {paid}"),
        wallet: String::new(),
        charged: Amount(0),
        ended: "paid out once".into(),
        facts: json!({ "paid_out": amount(paid) }),
    });
    Ok(())
}
