//! What a bank refuses or denies, and does not prove.

use farthing_client::{
    error::WalletError,
    rows::{CoinRow, CoinStatus},
    wallet::Wallet,
};
use farthing_protocol::{
    evidence::{Papers, judge},
    money::Amount,
};
use farthing_simulation::money::spendable;
use farthing_simulation::{
    denials::{AnswersWithRefusals, StealsInExchange, Theft},
    party::Party,
    world::World,
};
use std::sync::Arc;

/// What the customer has in the account at first, and withdraws.
const FUNDS: Amount = Amount(2000);

async fn customer(seed: u64) -> (Arc<World>, Wallet) {
    let world = World::new(seed).await;
    let wallet = world.customer("alice", FUNDS).await.wallet();
    (world, wallet)
}

async fn withdrawn(seed: u64) -> (Arc<World>, Wallet, CoinRow) {
    let (world, wallet) = customer(seed).await;
    let withdrawn = wallet.withdraw(&world.parties().bank, FUNDS).await;
    withdrawn.expect("a withdrawal");
    let coins = wallet.present_coins().expect("the coins");
    let coin = coins.into_iter().next().expect("a coin");
    (world, wallet, coin)
}

/// The bank denies a coin by a finish of its holder's that it has never answered.
pub async fn a_finish_that_was_never_answered() {
    let (world, wallet, coin) = withdrawn(51).await;
    let key = world.foundation.key(Party::Bank);
    world.cheat(Party::Bank, StealsInExchange::new(key, Theft::WithoutProof));
    let denied = wallet.exchange(vec![coin.clone()]).await;
    let coins = wallet.coins().expect("the coins");
    let row = coins.iter().find(|row| row.coin == coin.coin).expect("the coin");
    assert!(
        row.status == CoinStatus::Available,
        "money: a bank takes a coin and gives nothing for it"
    );
    assert!(
        matches!(denied, Err(WalletError::CoinDenied { .. })),
        "{denied:?}"
    );
    let papers = wallet.denied_coins().expect("the papers");
    assert!(
        !judge(&papers, 0).is_empty(),
        "evidence: a bank that denies a coin goes free"
    );
}

/// The bank debits the account, and answers with a refusal that it has not signed.
pub async fn a_debit_that_is_refused_without_a_signature() {
    let (world, wallet) = customer(52).await;
    let refusal = AnswersWithRefusals::balance();
    world.cheat(Party::Bank, AnswersWithRefusals::always(refusal));
    let refused = wallet.withdraw(&world.parties().bank, Amount(700)).await;
    assert!(refused.is_err(), "the bank gives no coins");
    world.honest(Party::Bank);
    drop(wallet.resume().await);
    let balance = spendable(&wallet);
    assert_eq!(balance, Amount(700), "money: what was debited is given up");
}

/// A customer shows a judge the bank's keys and a coin that was never used.
pub async fn a_coin_that_nobody_has_denied() {
    let (world, _wallet, coin) = withdrawn(53).await;
    let papers = Papers {
        keys: Some(world.bank().keys().book().signed().clone()),
        coins: vec![coin.coin],
        ..Papers::default()
    };
    assert_eq!(judge(&[papers], 0), [], "evidence: an honest bank is convicted");
}
