//! What a wallet of these tests has, and expects. They have one bank, or several of one currency.

use farthing_client::wallet::Wallet;
use farthing_protocol::money::Amount;

/// What a wallet can spend now, at all banks.
///
/// # Panics
/// When the wallet cannot be read.
pub fn spendable(wallet: &Wallet) -> Amount {
    let balances = wallet.balances().expect("the balances");
    Amount(balances.iter().map(|balance| balance.available.0).sum())
}

/// What banks owe the wallet, as far as it knows.
///
/// # Panics
/// When the wallet cannot be read.
pub fn owed(wallet: &Wallet) -> Amount {
    let balances = wallet.balances().expect("the balances");
    Amount(balances.iter().map(|balance| balance.in_reserves.0).sum())
}
