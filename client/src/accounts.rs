//! The wallet's accounts: which key names it at a bank.
//!
//! A wallet shows each bank a key of its own, so that two banks cannot tell that a customer of theirs is the same. Wallets
//! that were made before had one key for all banks, which they keep where they have shown it (`migrate`); and a wallet that is
//! restored from the words shows it only to a bank that the customer names.

use crate::{
    error::WalletError,
    rows::{ACCOUNT_KEYS, AccountKey, RESTORED},
    wallet::Wallet,
};
use farthing_coin::{PublicKey, SecretKey, Seed};

impl Wallet {
    /// The key of the wallet's account at `bank`, which names it there.
    ///
    /// # Errors
    /// When the store fails.
    pub fn account(&self, bank: &PublicKey) -> Result<PublicKey, WalletError> {
        Ok(self.account_key(bank)?.public())
    }

    pub(crate) fn account_key(&self, bank: &PublicKey) -> Result<SecretKey, WalletError> {
        let which = ACCOUNT_KEYS.peek(&self.store.view(), bank)?;
        Ok(match which.unwrap_or(AccountKey::Own) {
            AccountKey::Own => self.seed.bank_account_key(bank),
            AccountKey::Shared => self.seed.account_key(),
        })
    }

    /// The keys by which the bank may know this wallet, that of the account in use first.
    pub(crate) fn account_keys(&self, bank: &PublicKey) -> Result<Vec<SecretKey>, WalletError> {
        let which = ACCOUNT_KEYS.peek(&self.store.view(), bank)?;
        let own = self.seed.bank_account_key(bank);
        Ok(match which.unwrap_or(AccountKey::Own) {
            AccountKey::Own => vec![own],
            AccountKey::Shared => vec![self.seed.account_key(), own],
        })
    }

    /// The key of `account`, which is this wallet's at `bank`.
    pub(crate) fn key_of(&self, bank: &PublicKey, account: &PublicKey) -> Result<SecretKey, WalletError> {
        let mut keys = self.account_keys(bank)?.into_iter();
        keys.find(|key| key.public() == *account)
            .ok_or(WalletError::Inconsistent("a withdrawal is from another account"))
    }

    /// Uses the key at `bank` that wallets of before showed to every bank. What the wallet has under its own key there
    /// stays known. If it was restored from this bank before, it has to be again.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn use_shared_account(&self, bank: &PublicKey) -> Result<(), WalletError> {
        let bank = *bank;
        self.transact(move |tx| {
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

    /// Whether the wallet is of this seed.
    pub fn is_of(&self, seed: &Seed) -> bool {
        self.seed.account_key().public() == seed.account_key().public()
    }
}
