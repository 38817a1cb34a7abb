//! Replies that are lost after the server has acted.

use super::{
    super::{
        amount::amount,
        report::{DemoReport, Label, Summary},
        scene::Scene,
        shopper::Shopper,
    },
    ACTED_TIMEOUT, Before, LOSSES_MAX, charged_once, lose, lose_once_held, must_be, times,
};
use farthing_kit::{
    books::seen_within,
    error::{RunError, must},
    script::Moment,
};
use farthing_node::card::RoleName;
use farthing_protocol::{api::Question, money::Amount};
use serde_json::json;

/// The escrow's reply to the hold is lost.
///
/// # Errors
/// When a check fails.
pub async fn reply_to_hold(scene: &Scene, alice: &Shopper, report: &mut DemoReport) -> Result<(), RunError> {
    report.begin("hold-reply-lost", "The escrow's reply to the hold is lost");
    let (goods, before) = (&scene.goods, Before::of(scene, alice).await?);
    alice.script.forget();
    let number = alice.begin(scene, goods).await?;
    let lost_before = scene.wallet_lines.lost_answers_of(RoleName::Escrow);
    let lines = scene.wallet_lines.clone();
    alice.script.once(Moment::Asked(Question::Hold), move || {
        lines.lose_answers_of(&[RoleName::Escrow])
    });
    report.line(
        Label::Sent,
        format!("alice asked the escrow to hold coins worth {}", goods.price),
    );
    lose_once_held(scene, alice, number, &before, None).await?;
    let asked = alice.script.count(Moment::Asked(Question::Hold));
    let lost = scene.wallet_lines.lost_answers_of(RoleName::Escrow) - lost_before;
    report.line(
        Label::Lost,
        format!(
            "all answers of the escrow: {lost} datagrams; the wallet asked {}",
            times(asked)
        ),
    );
    report.line(
        Label::Books,
        format!(
            "the bank holds {} already; the wallet has no answer and waits",
            goods.price
        ),
    );
    scene.wallet_lines.heal();
    alice.carry_on(number).await?;
    report.line(
        Label::Wallet,
        "when the network worked again, the wallet sent the same hold again",
    );
    let charged = charged_once(scene, alice, number, &before, goods).await?;
    report.line(
        Label::Ended,
        format!("the escrow repeated its reply; goods delivered, {charged} charged once"),
    );
    report.end(Summary {
        lost: "reply to the hold".into(),
        acted: format!("held {}", goods.price),
        wallet: "sent the same hold again".into(),
        charged,
        ended: "goods".into(),
        facts: json!({ "asked": asked, "datagrams_lost": lost, "held_before_retry": amount(goods.price) }),
    });
    Ok(())
}

/// The receipt is lost after the commit, and so is every other answer to the customer at that time.
///
/// # Errors
/// When a check fails.
pub async fn receipt(scene: &Scene, alice: &Shopper, report: &mut DemoReport) -> Result<(), RunError> {
    report.begin(
        "receipt-lost",
        "The receipt is lost after the purchase was committed",
    );
    let (goods, before) = (&scene.goods, Before::of(scene, alice).await?);
    alice.script.forget();
    let number = alice.begin(scene, goods).await?;
    let lines = scene.wallet_lines.clone();
    alice.script.once(Moment::Answered(Question::Hold), move || {
        lines.lose_answers_of(&RoleName::PARTIES)
    });
    lose_once_credited(scene, alice, number, &before).await?;
    report.line(
        Label::Sent,
        "alice's coins were held; the wallet sent the hold to the merchant",
    );
    report.line(
        Label::Lost,
        "the receipt with the key, and all later answers of escrow and bank",
    );
    let status = alice.status(number)?;
    must(status == "held", || {
        format!("the wallet has the purchase as `{status}` although it has no answer")
    })?;
    report.line(
        Label::Books,
        format!(
            "the escrow has committed and the merchant was credited {}; the wallet still has it as `{status}`",
            goods.price
        ),
    );
    scene.wallet_lines.heal();
    scene.wallet_lines.lose_answers_of(&[RoleName::Merchant]);
    alice.script.forget();
    alice.carry_on(number).await?;
    let outcomes = alice.script.count(Moment::Answered(Question::Outcome));
    let receipts = alice.script.count(Moment::Answered(Question::Deliver));
    must(outcomes > 0 && receipts == 0, || {
        format!("{outcomes} answers of the escrow and {receipts} of the merchant, which was cut off")
    })?;
    scene.wallet_lines.heal();
    report.line(
        Label::Wallet,
        "the merchant stayed cut off; the wallet asked the escrow for the outcome, and got the key",
    );
    let charged = charged_once(scene, alice, number, &before, goods).await?;
    report.line(
        Label::Ended,
        format!("goods delivered without another answer of the merchant, {charged} charged once"),
    );
    report.end(Summary {
        lost: "receipt with the key".into(),
        acted: "committed, credited".into(),
        wallet: "asked the escrow instead".into(),
        charged,
        ended: "goods".into(),
        facts: json!({ "status_before_retry": status, "merchant_answers": receipts, "escrow_answers": outcomes }),
    });
    Ok(())
}

/// Drives a purchase until the merchant is credited. The customer gets no answer.
async fn lose_once_credited(
    scene: &Scene,
    alice: &Shopper,
    number: u64,
    before: &Before,
) -> Result<(), RunError> {
    let what = "the escrow has committed and the merchant is credited";
    lose(alice, number, what, || async {
        let committed = scene
            .decision(alice, number)
            .await?
            .is_some_and(|it| it.outcome == "committed");
        let credited = Some(scene.credited().await?) == before.credited.checked_add(scene.goods.price);
        Ok(committed && credited)
    })
    .await
}

/// The reply to a withdrawal is lost.
///
/// # Errors
/// When a check fails.
pub async fn reply_to_withdrawal(
    scene: &Scene,
    alice: &Shopper,
    withdrawn: Amount,
    report: &mut DemoReport,
) -> Result<(), RunError> {
    report.begin(
        "withdrawal-reply-lost",
        "The bank's reply to a withdrawal is lost",
    );
    let account = alice.account()?;
    let (worth, in_account) = (alice.worth()?, scene.books().await?.balance(&account));
    let debited = in_account.checked_sub(withdrawn).unwrap_or_default();
    alice.script.forget();
    let lines = scene.wallet_lines.clone();
    alice
        .script
        .once(Moment::Answered(Question::WithdrawBegin), move || {
            lines.lose_answers_of(&[RoleName::Bank])
        });
    withdraw_unheard(scene, alice, withdrawn, debited).await?;
    let asked = alice.script.count(Moment::Asked(Question::WithdrawFinish));
    report.line(
        Label::Sent,
        format!(
            "alice asked the bank for coins worth {withdrawn}, {}",
            times(asked)
        ),
    );
    report.line(Label::Lost, "the bank's answer: its signatures on the coins");
    must_be("the worth of the wallet", alice.worth()?, worth)?;
    report.line(
        Label::Books,
        format!("the account went from {in_account} to {debited}; the wallet has none of the coins"),
    );
    scene.wallet_lines.heal();
    alice.resume().await?;
    report.line(
        Label::Wallet,
        "sent the same request again, with the same blinding, and got the same signatures",
    );
    let gained = alice.worth()?.checked_sub(worth).unwrap_or_default();
    must_be("the gain of the wallet", gained, withdrawn)?;
    must_be("alice's account", scene.books().await?.balance(&account), debited)?;
    report.line(
        Label::Ended,
        format!("coins worth {gained} are in the wallet; the account was debited once"),
    );
    report.end(Summary {
        lost: "reply to a withdrawal".into(),
        acted: format!("debited {withdrawn}"),
        wallet: "sent the same again".into(),
        charged: Amount(0),
        ended: format!("{gained} in coins"),
        facts: json!({
            "asked": asked,
            "account_before": amount(in_account),
            "account_before_retry": amount(debited),
            "gained": amount(gained),
        }),
    });
    Ok(())
}

/// Withdraws until the account holds `debited`. The wallet gets no answer.
async fn withdraw_unheard(
    scene: &Scene,
    alice: &Shopper,
    withdrawn: Amount,
    debited: Amount,
) -> Result<(), RunError> {
    match alice.wallet.withdraw(scene.bank.card(), withdrawn).await {
        Err(error) if error.is_silence() => {}
        Err(error) => return Err(alice.failed(error)),
        Ok(()) => {
            return Err(RunError::Broken(
                "the withdrawal went on though its reply was lost".into(),
            ));
        }
    }
    let account = alice.account()?;
    for _ in 0..LOSSES_MAX {
        let acted = seen_within(ACTED_TIMEOUT, || async {
            Ok(scene.books().await?.balance(&account) == debited)
        });
        if acted.await? {
            return Ok(());
        }
        // The request itself did not arrive, because the machine is busy.
        alice.wallet.resume().await.map_err(|error| alice.failed(error))?;
    }
    Err(RunError::Broken("the bank never debited the account".into()))
}
