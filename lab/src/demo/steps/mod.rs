//! The steps of the demonstration.
//!
//! A step plans a loss at an exact moment and runs the wallet into it. It then checks in the nodes' own books that the
//! server has acted. Only then does it heal the network and resume the wallet.

pub mod change;
pub mod killed;
pub mod lost;
pub mod ordinary;
pub mod payments;
pub mod postage;
pub mod stream;
pub mod twice;

use super::{
    scene::{Goods, Scene},
    shopper::Shopper,
};
use farthing_kit::{
    books::{seen_within, until},
    error::{RunError, must},
    nodes::Node,
};
use farthing_protocol::money::Amount;
use std::{future::Future, time::Duration};

/// How often a wallet is run into a loss until the server has acted. More than once is needed only if the machine is so
/// busy that the request itself does not arrive.
const LOSSES_MAX: usize = 5;

/// How long the books are read after each attempt.
const ACTED_TIMEOUT: Duration = Duration::from_secs(3);

/// The amounts before a step.
#[derive(Debug, Clone, Copy)]
struct Before {
    worth: Amount,
    credited: Amount,
}

impl Before {
    async fn of(scene: &Scene, customer: &Shopper) -> Result<Before, RunError> {
        Ok(Before {
            worth: customer.worth()?,
            credited: scene.credited().await?,
        })
    }

    /// The customer's cost of the step.
    fn charged(&self, customer: &Shopper) -> Result<Amount, RunError> {
        let worth = customer.worth()?;
        self.worth.checked_sub(worth).ok_or_else(|| {
            RunError::Broken(format!(
                "{} has {worth}, more than {} before",
                customer.name, self.worth
            ))
        })
    }
}

/// Checks that two amounts are equal.
fn must_be(what: &str, got: Amount, expected: Amount) -> Result<(), RunError> {
    must(got == expected, || format!("{what} is {got}, not {expected}"))
}

/// Runs a purchase into the planned loss, until the books show that the server has acted and the wallet has no answer.
async fn lose<F>(
    customer: &Shopper,
    number: u64,
    what: &str,
    mut acted: impl FnMut() -> F,
) -> Result<(), RunError>
where
    F: Future<Output = Result<bool, RunError>>,
{
    for _ in 0..LOSSES_MAX {
        customer.run_into_silence(number).await?;
        if seen_within(ACTED_TIMEOUT, &mut acted).await? {
            return Ok(());
        }
    }
    Err(RunError::Broken(format!("this did not happen: {what}")))
}

/// Runs a purchase into a loss after the hold, and until the node that the step kills has ended. The bank then holds the
/// price or more, the escrow has not decided, and the merchant was not paid.
async fn lose_once_held(
    scene: &Scene,
    customer: &Shopper,
    number: u64,
    before: &Before,
    killed: Option<&Node>,
) -> Result<(), RunError> {
    let price = scene.goods.price;
    lose(customer, number, "the bank holds the coins", || async {
        // On a busy machine the wallet may have missed the answer at which it kills the node.
        let is_killed = killed.is_none_or(|node| !node.is_running());
        // The coins may be worth more than the price.
        Ok(scene.books().await?.held >= price && is_killed)
    })
    .await?;
    must_be("the merchant's credit", scene.credited().await?, before.credited)?;
    if scene.escrow.is_running() {
        let decided = scene.decision(customer, number).await?;
        must(decided.is_none(), || {
            format!("the escrow has decided already: {decided:?}")
        })?;
    }
    Ok(())
}

/// Waits until a committed purchase is settled. Checks that it was charged and credited once.
async fn charged_once(
    scene: &Scene,
    customer: &Shopper,
    number: u64,
    before: &Before,
    goods: &Goods,
) -> Result<Amount, RunError> {
    customer.must_have(number, goods)?;
    let expected = before.credited.checked_add(goods.price);
    until(
        "the merchant is credited the price, and no coin is held",
        || async {
            let books = scene.books().await?;
            Ok(Some(books.balance(&scene.merchant_account)) == expected && books.held == Amount(0))
        },
    )
    .await?;
    let charged = before.charged(customer)?;
    must_be("what the customer was charged", charged, goods.price)?;
    Ok(charged)
}

/// `1 coin`, `2 coins`.
fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// `once`, `twice`, `3 times`.
fn times(number: usize) -> String {
    match number {
        1 => "once".into(),
        2 => "twice".into(),
        more => format!("{more} times"),
    }
}
