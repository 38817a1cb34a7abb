//! The wallet's accounts: which key names the wallet at a bank.
//!
//! A wallet shows each bank a key of its own, so that two banks cannot tell that they have the same customer. Wallets
//! of protocol version 1 had one key for all banks. They keep it at the banks that have seen it (`migrate`). A wallet
//! that is restored from the words shows that key only to a bank that the customer names.

use crate::{
    error::WalletError,
    rows::{ACCOUNT_KEYS, AccountKey, RESTORED},
    wallet::Wallet,
};
use farthing_coin::{PublicKey, SecretKey, Seed, Signed};
use farthing_node::{card::Card, network::Lane};
use farthing_protocol::{money::Amount, restore::AccountRequest};

impl Wallet {
    /// The public key of the wallet's account at `bank`. It names the wallet there.
    ///
    /// # Errors
    /// When the store fails.
    pub fn account(&self, bank: &PublicKey) -> Result<PublicKey, WalletError> {
        Ok(account_key(self, bank)?.public())
    }

    /// Uses, at `bank`, the shared account key of protocol version 1. What the wallet already knows of this bank
    /// stays known. A wallet that was restored from this bank must be restored from it again.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn use_shared_account(&self, bank: &PublicKey) -> Result<(), WalletError> {
        let bank = *bank;
        let reads = [ACCOUNT_KEYS.key(&bank), RESTORED.key(&bank)];
        self.transact(reads, move |tx| {
            if ACCOUNT_KEYS.get(tx, &bank)? == Some(AccountKey::Shared) {
                return Ok(());
            }
            if RESTORED.get(tx, &bank)?.is_some() {
                RESTORED.delete(tx, &bank)?;
            }
            ACCOUNT_KEYS.put(tx, &bank, &AccountKey::Shared)
        })
        .await
    }

    /// The balance of the wallet's account.
    ///
    /// # Errors
    /// When the bank does not answer, or has no account under this key.
    pub async fn account_balance(&self, bank: &Card) -> Result<Amount, WalletError> {
        let request = AccountRequest {
            bank: bank.identity,
            account: self.account(&bank.identity)?,
        };
        let signed = Signed::sign(request, &account_key(self, &bank.identity)?);
        self.peer_client(bank, Lane::Identified).must(&signed).await
    }

    /// Whether the wallet was made from this seed.
    pub fn is_of(&self, seed: &Seed) -> bool {
        self.seed.account_key().public() == seed.account_key().public()
    }
}

pub(crate) fn account_key(wallet: &Wallet, bank: &PublicKey) -> Result<SecretKey, WalletError> {
    let which = ACCOUNT_KEYS.peek(&wallet.rows(), bank)?;
    Ok(match which.unwrap_or(AccountKey::Own) {
        AccountKey::Own => wallet.seed.bank_account_key(bank),
        AccountKey::Shared => wallet.seed.account_key(),
    })
}

/// The keys by which the bank may know this wallet. The key of the account in use comes first.
pub(crate) fn account_keys(wallet: &Wallet, bank: &PublicKey) -> Result<Vec<SecretKey>, WalletError> {
    let which = ACCOUNT_KEYS.peek(&wallet.rows(), bank)?;
    let own = wallet.seed.bank_account_key(bank);
    Ok(match which.unwrap_or(AccountKey::Own) {
        AccountKey::Own => vec![own],
        AccountKey::Shared => vec![wallet.seed.account_key(), own],
    })
}

/// The secret key of `account`, an account of this wallet at `bank`.
pub(crate) fn key_of(
    wallet: &Wallet,
    bank: &PublicKey,
    account: &PublicKey,
) -> Result<SecretKey, WalletError> {
    let mut keys = account_keys(wallet, bank)?.into_iter();
    keys.find(|key| key.public() == *account)
        .ok_or(WalletError::Inconsistent(
            "a withdrawal is from an account of another wallet",
        ))
}
