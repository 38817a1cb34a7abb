//! Change from the purchase itself, and a gift that is taken back.

use super::{
    super::{
        amount::amount,
        report::{DemoReport, Label, Summary},
        scene::Scene,
        shopper::{Shopper, of},
    },
    Before, charged_once, must_be,
};
use farthing_kit::{
    error::{RunError, must},
    script::Moment,
};
use farthing_node::card::RoleName;
use farthing_protocol::{api::Question, money::Amount};
use serde_json::json;

/// A customer has no coins that are worth the price. The wallet pays with a larger coin, and the bank's answer with the change
/// is lost.
///
/// # Errors
/// When a check fails.
pub async fn change(
    scene: &Scene,
    erin: &Shopper,
    cash: Amount,
    report: &mut DemoReport,
) -> Result<(), RunError> {
    report.begin(
        "change-reply-lost",
        "A coin is worth more than the price, and the answer with the change is lost",
    );
    erin.withdraw(scene, cash).await?;
    let goods = &scene.goods;
    let before = Before::of(scene, erin).await?;
    let number = erin.begin(scene, goods).await?;
    erin.carry_on(number).await?;
    let charged = charged_once(scene, erin, number, &before, goods).await?;
    let change = erin.wallet.change_of_purchase(number).map_err(of(erin.name))?;
    must(change.amount > Amount(0) && change.due == change.amount, || {
        format!("the purchase gives no change: {change:?}")
    })?;
    report.line(
        Label::Sent,
        format!(
            "erin paid with coins worth {} more, and has the goods: no exchange came before them",
            change.amount
        ),
    );
    must_be(
        "what waits at the bank",
        scene.books().await?.reserves,
        change.amount,
    )?;
    erin.script.forget();
    let lines = scene.wallet_lines.clone();
    erin.script.once(Moment::Asked(Question::ReserveFinish), move || {
        lines.lose_answers_of(&[RoleName::Bank])
    });
    let silent = erin.wallet.receive_change(number).await;
    must(silent.as_ref().is_err_and(|error| error.is_silence()), || {
        format!("the answer with the change was lost, and the wallet says {silent:?}")
    })?;
    must_be("what waits at the bank", scene.books().await?.reserves, Amount(0))?;
    report.line(
        Label::Lost,
        "the bank has issued the change, and its answer is lost; the wallet does not know",
    );
    scene.wallet_lines.heal();
    erin.resume().await?;
    let left = cash.checked_sub(charged).unwrap_or_default();
    must_be("erin's coins", erin.worth()?, left)?;
    let due = erin.wallet.change_of_purchase(number).map_err(of(erin.name))?.due;
    must_be("what the bank owes", due, Amount(0))?;
    report.line(
        Label::Ended,
        format!(
            "the same request got the same answer: {} of change, once, in coins that nobody can recognize",
            change.amount
        ),
    );
    report.end(Summary {
        lost: "the answer with the change".into(),
        acted: format!("issued {}", change.amount),
        wallet: "asked again".into(),
        charged,
        ended: "change received once".into(),
        facts: json!({ "change": amount(change.amount) }),
    });
    Ok(())
}

/// A gift is given as a link, and taken back before anybody has accepted it. The recipient is told.
///
/// # Errors
/// When a check fails.
pub async fn gift(
    scene: &Scene,
    erin: &Shopper,
    dave: &Shopper,
    given: Amount,
    report: &mut DemoReport,
) -> Result<(), RunError> {
    report.begin("gift", "A gift is taken back before anybody has accepted it");
    let (had, daves) = (erin.worth()?, dave.worth()?);
    let gift = erin.wallet.give(scene.bank.card(), given, "for you", false).await;
    let gift = gift.map_err(of(erin.name))?;
    must_be("what waits at the bank", scene.books().await?.reserves, given)?;
    report.line(
        Label::Sent,
        format!(
            "erin put {given} into a link of {} characters: whoever is first has it",
            gift.uri.to_string().len()
        ),
    );
    let back = erin
        .wallet
        .take_back(gift.paid.number)
        .await
        .map_err(of(erin.name))?;
    must_be("what came back", back.now, given)?;
    must_be("erin's coins", erin.worth()?, had)?;
    let late = dave.wallet.accept(&gift.uri).await.map_err(of(dave.name))?;
    must_be("what dave got", late.now, Amount(0))?;
    must_be("dave's coins", dave.worth()?, daves)?;
    report.line(
        Label::Ended,
        format!("erin took the {given} back; dave opened the link after that, and it was empty"),
    );
    report.end(Summary {
        lost: "a gift nobody opened".into(),
        acted: format!("paid {given} once"),
        wallet: "took it back".into(),
        charged: Amount(0),
        ended: "back in coins".into(),
        facts: json!({ "given": amount(given) }),
    });
    Ok(())
}
