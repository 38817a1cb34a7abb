//! What the wallet already knows of a bank.

use crate::{error::WalletError, wallet::Wallet};
use farthing_coin::PublicKey;
use std::collections::BTreeSet;

/// The numbers of the withdrawals, and of the exchanges, whose coins the wallet has.
pub(crate) fn issued_numbers(
    wallet: &Wallet,
    bank: &PublicKey,
) -> Result<(BTreeSet<u64>, BTreeSet<u64>), WalletError> {
    let rows = wallet.coins()?;
    let origins = || rows.iter().filter(|row| row.bank == *bank).map(|row| row.origin);
    let withdrawals = origins().filter_map(|origin| origin.withdrawal()).collect();
    let exchanges = origins().filter_map(|origin| origin.exchange()).collect();
    Ok((withdrawals, exchanges))
}

/// The numbers of the orders that the wallet knows.
pub(crate) fn order_numbers(wallet: &Wallet, bank: &PublicKey) -> Result<BTreeSet<u64>, WalletError> {
    let purchases = wallet.purchases()?;
    let orders = purchases.iter().filter_map(|(_, row)| row.purchase.order());
    let at_bank = orders.filter(|order| order.contract.terms.bank == *bank);
    Ok(at_bank.map(|order| order.counter).collect())
}
