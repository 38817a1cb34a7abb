//! Payments that this wallet requests, and payments and donations that it sends to others.
//!
//! A request names a fresh reserve of the wallet. The payer's bank credits the reserve, also while the payee is offline.
//! Before its key leaves the machine, the scan record at the bank has the reserve's number. So a restore finds what was
//! paid.

use crate::{
    deposit::{Order, Paid},
    error::WalletError,
    pay_uri::PayUri,
    reserves::new_reserve,
    rows::{REQUESTED, RequestedRow, all},
    wallet::Wallet,
};
use farthing_coin::PublicKey;
use farthing_node::{
    card::{Card, RoleName},
    uri::check_text,
};
use farthing_protocol::{deposited::Payee, money::Amount};

/// A payment that was requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requested {
    /// The bank.
    pub bank: PublicKey,
    /// The number of the reserve.
    pub number: u64,
    /// The key of the reserve.
    pub reserve: PublicKey,
    /// What was requested.
    pub row: RequestedRow,
}

impl Wallet {
    /// Requests a payment at a bank: stores a fresh reserve, and returns the URI for the payer. Without an amount, the payer
    /// chooses it.
    ///
    /// # Errors
    /// When the bank does not answer, or has no account of this wallet. When the text is too long.
    pub async fn request(
        &self,
        bank: &Card,
        amount: Option<Amount>,
        text: &str,
    ) -> Result<PayUri, WalletError> {
        self.check_restored(&bank.identity)?;
        if amount == Some(Amount(0)) {
            return Err(WalletError::NothingToPay);
        }
        let identity = bank.identity;
        let unkeyed = PayUri::new(identity, Payee::Reserve(identity), amount, text)?;
        let row = RequestedRow {
            amount,
            text: text.to_owned(),
            requested_ms: Some(self.now_ms()),
        };
        let number = new_reserve(self, bank, &REQUESTED, row).await?;
        let to = Payee::Reserve(self.reserve_of(&identity, number));
        Ok(PayUri { to, ..unkeyed })
    }

    /// The payments that were requested. Those that a restore has found have neither amount nor text.
    ///
    /// # Errors
    /// When the store fails.
    pub fn requested(&self) -> Result<Vec<Requested>, WalletError> {
        let rows = all(&self.rows(), &REQUESTED)?.into_iter();
        Ok(rows
            .map(|((bank, number), row)| Requested {
                bank,
                number,
                reserve: self.reserve_of(&bank, number),
                row,
            })
            .collect())
    }

    /// The key of the wallet's reserve with this number.
    #[must_use]
    pub fn reserve_of(&self, bank: &PublicKey, number: u64) -> PublicKey {
        self.seed_for(bank).reserve_key(number).public()
    }

    /// Pays a request. A payment of the same request and amount that is under way is carried on. If the payee was paid before,
    /// nothing is paid, unless `again` asks for it.
    ///
    /// # Errors
    /// [`WalletError::PaidBefore`]. When the URI names an account. When the wallet has too few coins at the bank. When the bank refuses, or does not answer;
    /// [`resume`](Wallet::resume) then carries on.
    pub async fn pay(&self, uri: &PayUri, amount: Amount, again: bool) -> Result<Paid, WalletError> {
        if !matches!(uri.to, Payee::Reserve(_)) {
            return Err(WalletError::NotARequest);
        }
        self.pay_for(uri, amount, &uri.text, again).await
    }

    /// Pays into the account of a URI, for example of a charity. The donor may name themselves: the deposit has the digest of
    /// the name with a salt, and only this wallet can show both. The rules of [`pay`](Wallet::pay) apply.
    ///
    /// # Errors
    /// When the URI names no account, or the name is too long or has control characters. As [`pay`](Wallet::pay).
    pub async fn donate(
        &self,
        uri: &PayUri,
        amount: Amount,
        donor: &str,
        again: bool,
    ) -> Result<Paid, WalletError> {
        if !matches!(uri.to, Payee::Account(_)) {
            return Err(WalletError::NotAnAccount);
        }
        check_text(donor)?;
        self.pay_for(uri, amount, donor, again).await
    }

    async fn pay_for(
        &self,
        uri: &PayUri,
        amount: Amount,
        text: &str,
        again: bool,
    ) -> Result<Paid, WalletError> {
        let (bank, to) = (self.party_of(RoleName::Bank, &uri.bank)?, uri.to);
        let order = Order { to, amount, text };
        if !again {
            if let Some(number) = self.payment_that(&bank, &order, |row| row.state.is_open())? {
                return self.carry_on(number).await;
            }
            for (number, row) in self.payments()? {
                let is_to = row.deposit.outputs.iter().any(|output| output.to == to);
                if is_to && row.state.has_paid() {
                    let status = row.state.word();
                    return Err(WalletError::PaidBefore { number, status });
                }
            }
        }
        self.pay_new(&bank, &order).await
    }
}
