//! The rows of the wallet's reserves: balances at a bank that a key of the wallet names.

use crate::{error::WalletError, gift_uri::GiftSecret};
use farthing_coin::{PublicKey, SecretKey, Seed, Signed};
use farthing_protocol::{
    denial::Denial, money::Amount, reserve_sums::ReserveSums, withdraw::ReserveWithdrawal,
};
use farthing_store::Table;
use serde::{Deserialize, Serialize};

/// Reserves of this wallet that were credited, as far as it knows, by bank and key.
pub const RESERVES: Table<(PublicKey, PublicKey), ReserveRow> = Table::new(90, "reserves");

/// Withdrawals from reserves, by bank and number. Their numbers are those of exchanges.
pub const RESERVE_WITHDRAWALS: Table<(PublicKey, u64), ReserveWithdrawalRow> =
    Table::new(91, "withdrawals from reserves");

/// Gifts of this wallet, by bank and number of the reserve.
pub const GIFTS: Table<(PublicKey, u64), GiftRow> = Table::new(92, "gifts");

/// The bank's signed denials of reserves of this wallet, by bank and key: for each reserve the one with the largest sums.
pub const RESERVE_DENIALS: Table<(PublicKey, PublicKey), Signed<Denial>> =
    Table::new(93, "denials of reserves");

/// A gift of this wallet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GiftRow {
    /// The amount.
    pub amount: Amount,
    /// The words for the recipient. Empty without any.
    pub text: String,
    /// When it was given (ms since 1970).
    pub given_ms: u64,
}

/// From what the key of a reserve derives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReserveOrigin {
    /// The order with this number. Its purchase key names the reserve of its change and its refunds.
    Order(u64),
    /// The reserve with this number, of a payment that was requested, or of a gift of this wallet.
    Number(u64),
    /// The secret of a gift that this wallet has accepted.
    Gift(GiftSecret),
}

impl ReserveOrigin {
    /// The key of the reserve. `seed` is the seed for its bank.
    ///
    /// # Errors
    /// When the stored secret of a gift is no key.
    pub fn key(&self, seed: &Seed) -> Result<SecretKey, WalletError> {
        match self {
            ReserveOrigin::Order(counter) => Ok(seed.purchase_key(*counter)),
            ReserveOrigin::Number(number) => Ok(seed.reserve_key(*number)),
            ReserveOrigin::Gift(secret) => {
                let no_key = WalletError::Inconsistent("the secret of a gift is no key");
                secret.key().ok_or(no_key)
            }
        }
    }
}

/// A reserve of this wallet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReserveRow {
    /// From what its key derives.
    pub origin: ReserveOrigin,
    /// The largest sums that the bank has signed.
    pub sums: ReserveSums,
    /// The change that the wallet's documents prove. The bank may learn of it later.
    pub proven: Amount,
    /// What this wallet has got from it: coins, and what it has put into its account.
    pub received: Amount,
    /// The number of its latest withdrawal.
    pub latest: Option<u64>,
}

impl ReserveRow {
    /// A reserve that was never credited.
    #[must_use]
    pub fn new(origin: ReserveOrigin) -> ReserveRow {
        ReserveRow {
            origin,
            sums: ReserveSums::default(),
            proven: Amount(0),
            received: Amount(0),
            latest: None,
        }
    }

    /// Whether this wallet has got less than its documents prove, and than the bank has signed.
    #[must_use]
    pub fn is_lacking(&self) -> bool {
        self.received < self.sums.credited.max(self.proven)
    }

    /// Change that the wallet's documents prove, of which the bank says that it is paid, and which this wallet has not got.
    #[must_use]
    pub fn lacking(&self) -> Amount {
        let missing = self.proven.checked_sub(self.received).unwrap_or_default();
        missing.checked_sub(self.due()).unwrap_or_default()
    }

    /// What the bank still owes, as far as the wallet knows.
    #[must_use]
    pub fn due(&self) -> Amount {
        let debited = self.sums.debited.max(self.received);
        let credited = self.sums.credited.max(self.proven);
        credited.checked_sub(debited).unwrap_or_default()
    }
}

/// A withdrawal from a reserve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReserveWithdrawalRow {
    /// The withdrawal.
    pub withdrawal: ReserveWithdrawal,
    /// From what the reserve's key derives.
    pub origin: ReserveOrigin,
    /// When it was planned (ms since 1970).
    pub begun_ms: u64,
}
