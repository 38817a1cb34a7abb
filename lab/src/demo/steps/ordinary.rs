//! What happens when nothing goes wrong.

use super::{
    super::{
        amount::amount,
        report::{Label, Report, Summary},
        scene::Scene,
        shopper::Shopper,
    },
    Before, charged_once, count, must_be,
};
use farthing_kit::error::RunError;
use farthing_protocol::money::Amount;
use serde_json::json;
use std::time::Instant;

/// A withdrawal and a purchase with nothing lost, to compare the others with.
///
/// # Errors
/// When anything is not as it must be.
pub async fn purchase(
    scene: &Scene,
    alice: &Shopper,
    withdrawn: Amount,
    report: &mut Report,
) -> Result<(), RunError> {
    report.begin("ordinary", "Nothing is lost: a withdrawal and a purchase");
    alice.withdraw(scene, withdrawn).await?;
    let coins = alice.wallet.coins().map_err(|error| alice.failed(error))?.len();
    report.line(
        Label::Sent,
        format!(
            "alice withdrew {withdrawn} from her account: {}, signed blindly, so that the bank will not know them \
             again",
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
            "she fetched `{}` encrypted ({} bytes), had {} held by the escrow, and the merchant released the key",
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
        format!("the goods are on her disk, byte for byte, {milliseconds} ms after the first question"),
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

/// The merchant has some of what he earned paid out.
///
/// # Errors
/// When anything is not as it must be.
pub async fn payout(scene: &Scene, paid: Amount, report: &mut Report) -> Result<(), RunError> {
    report.begin("payout", "The merchant takes money home");
    let before = scene.books().await?;
    let had = before.balance(&scene.merchant_account);
    // With a reference of its own a command that is repeated moves money once.
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
        format!("the cash desk paid out {paid}; the clerk, unsure, gave the command twice"),
    );
    let after = scene.books().await?;
    let left = had.checked_sub(paid).unwrap_or_default();
    must_be(
        "the merchant's account",
        after.balance(&scene.merchant_account),
        left,
    )?;
    must_be(
        "what the cash desk paid out",
        after.paid_out,
        before.paid_out.checked_add(paid).unwrap_or_default(),
    )?;
    report.line(
        Label::Ended,
        format!("paid out once: his account went from {had} to {left}"),
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
