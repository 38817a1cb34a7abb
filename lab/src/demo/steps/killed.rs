//! Processes that are killed between two phases of a purchase.

use super::{
    super::{
        amount::amount,
        report::{DemoReport, Label, Summary},
        scene::Scene,
        shopper::Shopper,
    },
    Before, charged_once, count, lose_once_held, must_be,
};
use farthing_client::rows::{CoinRow, CoinStatus};
use farthing_coin::PublicKey;
use farthing_kit::{
    error::{RunError, must},
    script::Moment,
};
use farthing_protocol::{api::Question, money::Amount};
use serde_json::json;
use std::{collections::BTreeSet, time::Instant};

/// The escrow is killed between hold and commit, and restarted.
///
/// # Errors
/// When a check fails.
pub async fn escrow(scene: &Scene, alice: &Shopper, report: &mut DemoReport) -> Result<(), RunError> {
    report.begin("escrow-killed", "The escrow is killed between hold and commit");
    let (goods, before) = (&scene.goods, Before::of(scene, alice).await?);
    alice.script.forget();
    let number = alice.begin(scene, goods).await?;
    let killer = scene.escrow.killer();
    alice.script.once(Moment::Answered(Question::Hold), move || {
        killer.kill();
    });
    lose_once_held(scene, alice, number, &before, Some(&scene.escrow)).await?;
    report.line(
        Label::Sent,
        "alice's coins were held; the wallet sent the hold to the merchant",
    );
    must(!scene.escrow.is_running(), || {
        "the escrow is still running".into()
    })?;
    report.line(
        Label::Lost,
        "the escrow: SIGKILL when its hold had arrived, before it could commit",
    );
    report.line(
        Label::Books,
        format!(
            "the bank holds {}, and only that escrow can decide who gets it",
            goods.price
        ),
    );
    let began = Instant::now();
    scene.escrow.restart().await?;
    let restarted = began.elapsed();
    alice.carry_on(number).await?;
    report.line(
        Label::Wallet,
        format!(
            "the escrow restarted from its journal in {} ms; the wallet sent the same hold to the merchant",
            restarted.as_millis()
        ),
    );
    let charged = charged_once(scene, alice, number, &before, goods).await?;
    report.line(
        Label::Ended,
        format!("committed with the same hold; goods delivered, {charged} charged once"),
    );
    report.end(Summary {
        lost: "escrow killed".into(),
        acted: format!("held {}", goods.price),
        wallet: "sent the hold again".into(),
        charged,
        ended: "goods".into(),
        facts: json!({
            "restart_ms": restarted.as_millis() as u64,
            "end_ms": began.elapsed().as_millis() as u64,
        }),
    });
    Ok(())
}

/// The merchant is killed before it releases the key. The customer takes the coins back and spends them again.
///
/// # Errors
/// When a check fails.
pub async fn merchant(scene: &Scene, bob: &Shopper, report: &mut DemoReport) -> Result<(), RunError> {
    report.begin(
        "merchant-killed",
        "The merchant is killed before it releases the key; the customer cancels",
    );
    let (goods, before) = (&scene.goods, Before::of(scene, bob).await?);
    let number = kill_merchant(scene, bob, &before, report).await?;
    let fresh = take_coins_back(scene, bob, number, &before, report).await?;

    scene.merchant.restart().await?;
    let again = bob.begin(scene, goods).await?;
    bob.carry_on(again).await?;
    let spent = coin_keys(bob, |row| row.status == CoinStatus::Spent(again))?;
    must(!spent.is_empty() && spent.is_subset(&fresh), || {
        "the wallet spent coins that are not the fresh ones".into()
    })?;
    let charged = charged_once(scene, bob, again, &before, goods).await?;
    must_be(
        "the worth of bob's wallet",
        bob.worth()?,
        before.worth.checked_sub(charged).unwrap_or(Amount(0)),
    )?;
    report.line(
        Label::Ended,
        format!("after the merchant restarted, the fresh coins bought the goods: {charged} charged once"),
    );
    report.end(Summary {
        lost: "merchant killed".into(),
        acted: format!("held {}", goods.price),
        wallet: "cancelled, bought again".into(),
        charged,
        ended: "coins back; goods".into(),
        facts: json!({
            "released": amount(before.worth),
            "fresh_coins": fresh.len(),
            "coins_spent_again": spent.len(),
        }),
    });
    Ok(())
}

/// Kills the merchant when the coins of a purchase are held. Returns the purchase's number.
async fn kill_merchant(
    scene: &Scene,
    bob: &Shopper,
    before: &Before,
    report: &mut DemoReport,
) -> Result<u64, RunError> {
    let goods = &scene.goods;
    bob.script.forget();
    let number = bob.begin(scene, goods).await?;
    let killer = scene.merchant.killer();
    bob.script.once(Moment::Answered(Question::Hold), move || {
        killer.kill();
    });
    lose_once_held(scene, bob, number, before, Some(&scene.merchant)).await?;
    report.line(
        Label::Sent,
        format!(
            "bob used all coins of the wallet, worth {}, for a purchase; they were held",
            goods.price
        ),
    );
    must(!scene.merchant.is_running(), || {
        "the merchant is still running".into()
    })?;
    report.line(Label::Lost, "the merchant: SIGKILL before it got the hold");
    report.line(
        Label::Books,
        format!("the bank holds {}; nothing is decided", goods.price),
    );
    Ok(number)
}

/// Cancels the purchase. Its coins are exchanged for fresh ones, whose keys are returned.
async fn take_coins_back(
    scene: &Scene,
    bob: &Shopper,
    number: u64,
    before: &Before,
    report: &mut DemoReport,
) -> Result<BTreeSet<PublicKey>, RunError> {
    let old = coin_keys(bob, |_| true)?;
    bob.cancel(number).await?;
    let status = bob.status(number)?;
    let outcome = scene
        .decision(bob, number)
        .await?
        .map(|decided| decided.outcome)
        .unwrap_or_default();
    must(status == "aborted" && outcome == "aborted", || {
        format!("the cancelled purchase is `{status}` in the wallet and `{outcome}` at the escrow")
    })?;
    must_be("bob's wallet after the abort", bob.worth()?, before.worth)?;
    let fresh = coin_keys(bob, |row| row.status == CoinStatus::Available)?;
    must(old.is_disjoint(&fresh), || {
        "a released coin was used again without an exchange".into()
    })?;
    report.line(
        Label::Wallet,
        format!(
            "bob cancelled: the escrow signed an abort, the bank released the coins, and the wallet exchanged them \
            for {} that nothing links to the old ones",
            count(fresh.len(), "fresh coin"),
        ),
    );
    Ok(fresh)
}

/// The keys of a customer's coins that `which` selects.
fn coin_keys(of: &Shopper, which: impl Fn(&CoinRow) -> bool) -> Result<BTreeSet<PublicKey>, RunError> {
    let coins = of.wallet.coins().map_err(|error| of.failed(error))?;
    Ok(coins
        .iter()
        .filter(|row| which(row))
        .map(|row| row.coin.public)
        .collect())
}
