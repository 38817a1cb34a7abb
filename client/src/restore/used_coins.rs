//! Finds which coins the bank has seen used.

use super::buckets::{Fetched, bucket};
use crate::{
    coins::{coin_reads, coin_row, put_coin},
    error::WalletError,
    observer::WalletEvent,
    rows::{CoinRow, CoinStatus},
    wallet::Wallet,
};
use farthing_node::card::Card;
use farthing_protocol::{
    ids::RecordId,
    restore::{BucketRecord, Origin, Shelf},
};
use farthing_store::{StoreError, Transaction};

/// Marks the coins that the bank has seen used, among the coins for which `is_meant` is true.
pub(crate) async fn find_used_coins(
    wallet: &Wallet,
    bank: &Card,
    fetched: &mut Fetched,
    is_meant: impl Fn(&Origin) -> bool,
) -> Result<(), WalletError> {
    let mut found = 0;
    for row in wallet.coins()? {
        let open = matches!(row.status, CoinStatus::Available | CoinStatus::FoundUsed(_));
        if row.bank != bank.identity || !open || !is_meant(&row.origin) {
            continue;
        }
        let public = row.coin.public;
        let bucket = bucket(
            wallet,
            bank,
            fetched,
            Shelf::Coins(row.coin.key_id),
            &RecordId::from(public),
        )
        .await?;
        let used = bucket.iter().find_map(|record| match record {
            BucketRecord::Coin { coin, used } if *coin == public => Some(*used),
            _ => None,
        });
        let Some(used) = used else { continue };
        found += 1;
        wallet
            .transact(coin_reads([&row.coin]), move |tx| {
                move_coin(tx, &row, CoinStatus::FoundUsed(used))
            })
            .await?;
    }
    wallet.observer().on_event(&WalletEvent::Restored {
        what: "used coins",
        found,
    });
    Ok(())
}

/// Sets a coin's status, unless its status has changed since `row` was read.
pub(crate) fn move_coin(
    tx: &mut Transaction<'_>,
    row: &CoinRow,
    status: CoinStatus,
) -> Result<(), StoreError> {
    let key = (row.coin.key_id, row.coin.public);
    if coin_row(tx, &key)?.is_some_and(|now| now.status == row.status) {
        put_coin(
            tx,
            &CoinRow {
                status,
                ..row.clone()
            },
        )?;
    }
    Ok(())
}
