//! One coin in two purchases at the same time, by a wallet and its copy.

use super::{
    super::{
        amount::amount,
        report::{DemoReport, Label, Summary},
        scene::Scene,
        shopper::Shopper,
    },
    Before, must_be,
};
use farthing_client::rows::CoinStatus;
use farthing_kit::{
    books::until,
    error::{RunError, must},
    scratch::copy_dir,
    script::Moment,
};
use farthing_protocol::{api::Question, money::Amount};
use serde_json::json;
use std::path::PathBuf;

/// The suffix of a copied directory.
const COPY: &str = "-copy";

/// A wallet and its copy.
#[derive(Debug)]
pub struct Twins {
    /// The wallet.
    pub first: Shopper,
    /// Its copy.
    pub second: Shopper,
}

/// The same coin is used for two purchases at the same time.
///
/// # Errors
/// When a check fails.
pub async fn spend_twice(scene: &Scene, carol: Shopper, report: &mut DemoReport) -> Result<Twins, RunError> {
    report.begin(
        "double-spending",
        "One coin is used for two purchases at the same time",
    );
    let goods = &scene.trifle;
    let twins = copy(scene, carol)?;
    let before = Before::of(scene, &twins.first).await?;
    let (first, second) = (&twins.first, &twins.second);
    first.script.forget();
    second.script.forget();
    let (one, other) = (
        first.begin(scene, goods).await?,
        second.begin(scene, goods).await?,
    );
    report.line(
        Label::Sent,
        format!(
            "carol copied the wallet with its only coin, worth {}, and paid from both at the same time",
            goods.price
        ),
    );
    let ((winner, won), (loser, lost)) = race((first, one), (second, other)).await?;
    winner.must_have(won, goods)?;
    let row = loser.wallet.purchase(lost).map_err(|error| loser.failed(error))?;
    let refusal = row.refusal.unwrap_or_default();
    must(
        !refusal.is_empty() && loser.script.count(Moment::Refused(Question::Hold)) > 0,
        || "the second purchase was not refused".into(),
    )?;
    must(!row.output.exists(), || {
        format!("{} was delivered but not paid", row.output.display())
    })?;
    report.line(
        Label::Wallet,
        format!("one copy has the goods; the other got the refusal: {refusal}"),
    );
    let expected = before.credited.checked_add(goods.price);
    until("the merchant is credited one price", || async {
        let books = scene.books().await?;
        Ok(Some(books.balance(&scene.merchant_account)) == expected && books.held == Amount(0))
    })
    .await?;
    must_be_proven(loser)?;
    let charged = before.charged(winner)?;
    must_be("the amount that the coin paid", charged, goods.price)?;
    report.line(
        Label::Books,
        format!(
            "the merchant was credited {} for one purchase; the other is aborted",
            goods.price
        ),
    );
    report.line(
        Label::Ended,
        "the refusal shows the coin's own signature for the other purchase, which the bank cannot forge",
    );
    report.end(Summary {
        lost: "a coin spent twice".into(),
        acted: "held it for one".into(),
        wallet: "the other was refused".into(),
        charged,
        ended: "goods once".into(),
        facts: json!({ "refusal": refusal, "credited": amount(goods.price), "winner": winner.name }),
    });
    Ok(twins)
}

/// A customer, and the number of one of their purchases.
type Purchase<'c> = (&'c Shopper, u64);

/// Drives two purchases with the same coin at the same time. Returns the committed one, then the aborted one.
async fn race<'c>(
    (first, one): Purchase<'c>,
    (second, other): Purchase<'c>,
) -> Result<(Purchase<'c>, Purchase<'c>), RunError> {
    let (ended, other_ended) = tokio::join!(first.carry_on(one), second.carry_on(other));
    ended?;
    other_ended?;
    match (first.status(one)?, second.status(other)?) {
        ("committed", "aborted") => Ok(((first, one), (second, other))),
        ("aborted", "committed") => Ok(((second, other), (first, one))),
        (first, second) => Err(RunError::Broken(format!(
            "one coin paid for two purchases: `{first}` and `{second}`"
        ))),
    }
}

/// Checks that the refusal had the coin's own signature for the other purchase.
fn must_be_proven(loser: &Shopper) -> Result<(), RunError> {
    let coins = loser.wallet.coins().map_err(|error| loser.failed(error))?;
    let proven = coins.iter().any(|coin| {
        matches!(
            coin.status,
            CoinStatus::UsedElsewhere(_) | CoinStatus::HeldElsewhere(_)
        )
    });
    must(proven, || {
        "the refusal came without the coin's own signature for the other purchase".into()
    })
}

/// Copies a wallet's directory, and opens both wallets.
fn copy(scene: &Scene, carol: Shopper) -> Result<Twins, RunError> {
    let Shopper { name, wallet, .. } = carol;
    let dir = wallet.dir().to_path_buf();
    wallet.close().map_err(|source| RunError::Wallet {
        who: name.into(),
        source,
    })?;
    let mut copied = dir.clone().into_os_string();
    copied.push(COPY);
    let copied = PathBuf::from(copied);
    copy_dir(&dir, &copied).map_err(RunError::io(copied.display()))?;
    Ok(Twins {
        first: Shopper::open(name, dir, &scene.wallet_lines)?,
        second: Shopper::open(name, copied, &scene.wallet_lines)?,
    })
}
