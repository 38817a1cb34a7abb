//! Gifts: money in a fresh reserve of the giver, whose secret key is in a link.
//!
//! Whoever has the link can withdraw the money, once. Until somebody has, the giver can take it back. Each of the two uses a
//! request id of its own, so the bank pays one of them, and the other one learns that the money is gone.
//!
//! Before a reserve is paid, the scan record at the bank has its number. So a restored wallet can take back what nobody has
//! accepted.

use crate::{
    deposit::{Order, Paid},
    error::WalletError,
    gift_uri::GiftUri,
    receive::{Destination, Taken, receive_from},
    reserves::new_reserve,
    rows::{DepositRow, DepositState, GIFTS, GiftRow, ReserveOrigin, all},
    wallet::Wallet,
};
use farthing_coin::PublicKey;
use farthing_node::{
    card::{Card, RoleName},
    uri::check_text,
};
use farthing_protocol::{deposited::Payee, money::Amount};

/// A gift of this wallet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gift {
    /// The bank.
    pub bank: PublicKey,
    /// The number of its reserve.
    pub number: u64,
    /// The gift.
    pub row: GiftRow,
    /// The payment into its reserve. `None` if no coins were put to it yet.
    pub payment: Option<(u64, DepositRow)>,
}

/// A gift that was paid.
#[derive(Debug)]
pub struct Given {
    /// The link for the recipient. Whoever has it has the money.
    pub uri: GiftUri,
    /// The payment into the reserve.
    pub paid: Paid,
}

impl Wallet {
    /// Pays a gift into a fresh reserve, and returns the link for the recipient. A gift of the same amount and text whose payment
    /// is under way is carried on instead, unless `again` asks for another.
    ///
    /// # Errors
    /// When the wallet has too few coins at the bank, or no account there. When the text is too long. When the bank refuses, or
    /// does not answer; [`resume`](Wallet::resume) then carries on.
    pub async fn give(
        &self,
        bank: &Card,
        amount: Amount,
        text: &str,
        again: bool,
    ) -> Result<Given, WalletError> {
        self.check_restored(&bank.identity)?;
        if amount == Amount(0) {
            return Err(WalletError::NothingToPay);
        }
        check_text(text)?;
        let row = GiftRow {
            amount,
            text: text.to_owned(),
            given_ms: self.now_ms(),
        };
        let open = self.gift_under_way(bank, &row)?.filter(|_| !again);
        if let Some(Gift {
            number,
            payment: Some((payment, _)),
            ..
        }) = &open
        {
            let paid = self.carry_on(*payment).await?;
            let uri = self.gift_uri(&bank.identity, *number, &row)?;
            return Ok(Given { uri, paid });
        }
        let number = match open {
            Some(unpaid) => unpaid.number,
            None => new_reserve(self, bank, &GIFTS, row.clone()).await?,
        };
        let order = Order {
            to: Payee::Reserve(self.reserve_of(&bank.identity, number)),
            amount,
            text: "",
        };
        let paid = self.pay_new(bank, &order).await?;
        let uri = self.gift_uri(&bank.identity, number, &row)?;
        Ok(Given { uri, paid })
    }

    /// The link of a gift.
    ///
    /// # Errors
    /// When the text is too long for one.
    pub fn gift_uri(&self, bank: &PublicKey, number: u64, row: &GiftRow) -> Result<GiftUri, WalletError> {
        let key = self.seed_for(bank).reserve_key(number);
        Ok(GiftUri::new(*bank, &key, row.amount, &row.text)?)
    }

    /// All gifts of this wallet.
    ///
    /// # Errors
    /// When the store fails.
    pub fn gifts(&self) -> Result<Vec<Gift>, WalletError> {
        let payments = self.payments()?;
        let gift = |((bank, number), row)| {
            let to = Payee::Reserve(self.reserve_of(&bank, number));
            let pays_it = |(_, payment): &&(u64, DepositRow)| {
                payment.deposit.outputs.iter().any(|output| output.to == to)
            };
            Gift {
                bank,
                number,
                row,
                payment: payments.iter().rfind(pays_it).cloned(),
            }
        };
        Ok(all(&self.rows(), &GIFTS)?.into_iter().map(gift).collect())
    }

    /// Takes a gift back, by the number of its payment, which is carried on first. What was received is 0 if it was accepted.
    ///
    /// # Errors
    /// [`WalletError::NoGift`] when the payment is no gift, [`WalletError::NoPaymentProof`] when it was not carried out. When the
    /// bank refuses, or does not answer.
    pub async fn take_back(&self, payment: u64) -> Result<Taken, WalletError> {
        let mut gifts = self.gifts()?.into_iter();
        let is_it = |gift: &Gift| {
            gift.payment
                .as_ref()
                .is_some_and(|(number, _)| *number == payment)
        };
        let gift = gifts.find(is_it).ok_or(WalletError::NoGift(payment))?;
        if self.payment(payment)?.state.is_open() {
            self.drive_payment(payment).await?;
        }
        let state = self.payment(payment)?.state;
        if !matches!(state, DepositState::Done(_)) {
            let status = state.word();
            return Err(WalletError::NoPaymentProof {
                number: payment,
                status,
            });
        }
        let origin = ReserveOrigin::Number(gift.number);
        receive_from(self, &gift.bank, &origin, Destination::Coins).await
    }

    /// Accepts a gift: withdraws its money into this wallet. What was received is 0 if it was accepted or taken back before.
    ///
    /// # Errors
    /// When no card of its bank is pinned. When the bank refuses, or does not answer. Accepting it again carries on.
    pub async fn accept(&self, uri: &GiftUri) -> Result<Taken, WalletError> {
        let bank = self.party_of(RoleName::Bank, &uri.bank)?;
        self.check_restored(&bank.identity)?;
        let origin = ReserveOrigin::Gift(uri.secret.clone());
        receive_from(self, &bank.identity, &origin, Destination::Coins).await
    }

    /// The gift of this amount and text whose payment is under way, or has no coins yet.
    fn gift_under_way(&self, bank: &Card, row: &GiftRow) -> Result<Option<Gift>, WalletError> {
        let is_it = |gift: &Gift| {
            let is_open = gift
                .payment
                .as_ref()
                .is_none_or(|(_, payment)| payment.state.is_open());
            let same = (gift.bank, gift.row.amount, &gift.row.text) == (bank.identity, row.amount, &row.text);
            same && is_open
        };
        Ok(self.gifts()?.into_iter().find(is_it))
    }
}
