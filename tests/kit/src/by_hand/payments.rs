//! Deposits, reserves and refunds by hand.

use super::{ByHand, Purse};
use farthing_coin::{PublicKey, SecretKey, Signed, TextSalt};
use farthing_node::card::RoleName;
use farthing_protocol::{
    deposit::{Deposit, DepositFrom},
    deposited::{DepositOutput, Payee, text_digest},
    documents::Terms,
    exchange::Authorized,
    issuance::{Issuance, IssuanceAsk},
    issue::IssueState,
    money::Amount,
    refund::RefundRequest,
    refusal::Refusal,
    reserve::{FromReserve, ReserveRequest},
    reserve_sums::ReserveSums,
    withdraw::{ReserveWithdrawal, WithdrawBegin, WithdrawFinish, Withdrawal},
};

impl ByHand {
    /// A deposit to these payees.
    pub fn deposit(&self, from: DepositFrom, outputs: &[(Payee, u64)]) -> Deposit {
        let output = |(to, amount): &(Payee, u64)| DepositOutput {
            to: *to,
            amount: Amount(*amount),
        };
        Deposit {
            bank: self.key(RoleName::Bank),
            from,
            outputs: outputs.iter().map(output).collect(),
            text: text_digest(&TextSalt::from_bytes([1; 32]), "a text"),
        }
    }

    /// A deposit that pays with all of `purse`.
    pub fn deposit_of(&self, purse: &Purse, outputs: &[(Payee, u64)]) -> Authorized<Deposit> {
        let from = DepositFrom::Coins(purse.coins.clone());
        self.deposit(from, outputs).authorized(&purse.keys)
    }

    /// A deposit that pays with the money of a reserve.
    pub fn deposit_from(&self, reserve: &SecretKey, outputs: &[(Payee, u64)]) -> Authorized<Deposit> {
        let from = DepositFrom::Reserve(reserve.public());
        self.deposit(from, outputs)
            .authorized(std::slice::from_ref(reserve))
    }

    /// Pays coins of these values to a reserve.
    pub async fn fill(&self, reserve: &PublicKey, values: &[u64]) {
        let purse = self.withdraw(values).await;
        let outputs = [(Payee::Reserve(*reserve), values.iter().sum())];
        let answer = self.ask(self.deposit_of(&purse, &outputs)).await;
        answer.expect("a deposit");
    }

    /// The sums of a reserve.
    pub async fn sums(&self, reserve: &SecretKey) -> ReserveSums {
        let request = ReserveRequest {
            bank: self.key(RoleName::Bank),
            reserve: reserve.public(),
        };
        let balance = self.ask(Signed::sign(request, reserve)).await;
        balance.expect("the sums of the reserve").body.sums
    }

    /// A withdrawal from a reserve of which nothing was sent yet.
    pub async fn reserve_withdrawal(&self, reserve: &PublicKey, values: &[u64]) -> ReserveWithdrawal {
        ReserveWithdrawal(Withdrawal {
            bank: self.key(RoleName::Bank),
            account: *reserve,
            request_id: self.seed.exchange_id(self.next()),
            outputs: self.outputs(values).await,
            state: IssueState::Beginning,
        })
    }

    /// The request that begins it.
    pub fn reserve_begin(
        &self,
        withdrawal: &ReserveWithdrawal,
        reserve: &SecretKey,
    ) -> Signed<FromReserve<WithdrawBegin>> {
        match withdrawal.ask(reserve, &self.seed) {
            IssuanceAsk::Begin(begin) => begin,
            _ => panic!("it is not beginning"),
        }
    }

    /// The withdrawal with its session open.
    ///
    /// # Errors
    /// When the bank refuses.
    pub async fn reserve_begun(
        &self,
        withdrawal: &ReserveWithdrawal,
        reserve: &SecretKey,
    ) -> Result<ReserveWithdrawal, Refusal> {
        let begin = self.reserve_begin(withdrawal, reserve);
        let (begun, keys) = (self.ask(begin).await?, self.keys().await);
        let begun = withdrawal.on_begun(&begun, &keys, &self.seed);
        Ok(begun.expect("a good session"))
    }

    /// The request that finishes it.
    pub fn reserve_finish(
        &self,
        withdrawal: &ReserveWithdrawal,
        reserve: &SecretKey,
    ) -> Signed<FromReserve<WithdrawFinish>> {
        match withdrawal.ask(reserve, &self.seed) {
            IssuanceAsk::Finish(finish) => finish,
            _ => panic!("it is not finishing"),
        }
    }

    /// The request of `merchant`, the key of its account, to refund `total` of a purchase in all.
    pub fn refund(&self, terms: &Terms, total: u64, merchant: &SecretKey) -> Signed<RefundRequest> {
        let request = RefundRequest {
            bank: terms.bank,
            account: merchant.public(),
            purchase: terms.purchase_id(),
            escrow: terms.escrow,
            total: Amount(total),
        };
        Signed::sign(request, merchant)
    }
}
