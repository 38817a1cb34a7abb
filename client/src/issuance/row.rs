//! The row of an issuance: a withdrawal from an account or a reserve, or an exchange.

use crate::{
    accounts::key_of,
    coins::{coin_keys, coin_reads, set_status},
    error::WalletError,
    recovery::{again_reads, status_again},
    reserves::{count_received, received_reads},
    rows::{
        CoinRow, CoinStatus, Counter, EXCHANGES, ExchangeRow, RESERVE_WITHDRAWALS, ReserveWithdrawalRow,
        WITHDRAWALS,
    },
    wallet::Wallet,
};
use farthing_coin::{PublicKey, SecretKey, Signed};
use farthing_node::network::Lane;
use farthing_protocol::{
    api::{Call, Question},
    denial::RequestKind,
    documents::Issued,
    exchange::Exchange,
    issuance::Issuance,
    issue::{Begun, IssueState},
    restore::Origin,
    withdraw::{ReserveWithdrawal, Withdrawal},
};
use farthing_store::{RowKey, StoreError, Table, Transaction};
use serde::{Serialize, de::DeserializeOwned};
use std::borrow::Borrow;

/// Key of an issuance: its bank and its number there.
pub(crate) type At = (PublicKey, u64);

/// The row of an issuance.
pub(crate) trait IssuanceRow: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The protocol's state machine of a withdrawal or an exchange.
    type Issuance: Issuance<
            Begin: Call<Reply = Begun> + Clone + Send + Sync,
            Finish: Call<Reply = Signed<Issued>> + Clone + Send + Sync,
        >;
    /// The keys that sign.
    type Signers: Borrow<<Self::Issuance as Issuance>::Signers> + Send + Sync;

    /// Its name in events and errors.
    const QUESTION: Question;
    /// The request that opens a session.
    const BEGIN: RequestKind;
    /// The request that takes the payment.
    const FINISH: RequestKind;
    /// The counter of its numbers.
    const COUNTER: Counter;
    /// The lane of its requests.
    const LANE: Lane;
    /// The table of its rows.
    const TABLE: Table<At, Self>;

    /// The issuance.
    fn issuance(&self) -> &Self::Issuance;

    /// The same row with this issuance.
    fn with(&self, issuance: Self::Issuance) -> Self;

    /// The keys that sign for it.
    fn signers(&self, wallet: &Wallet) -> Result<Self::Signers, WalletError>;

    /// The origin of a new coin: from it, the coin's secrets derive.
    fn origin(number: u64, slot: u8) -> Origin;

    /// The rows that [`settle`](IssuanceRow::settle) reads.
    fn settle_reads(&self) -> Vec<RowKey> {
        Vec::new()
    }

    /// Updates what paid for it, after it has ended with a reply. `issued` are its new coins, which are not in the store
    /// yet.
    fn settle(&self, _tx: &mut Transaction<'_>, _number: u64, _issued: &[CoinRow]) -> Result<(), StoreError> {
        Ok(())
    }

    /// The purchase from which its coins were taken. It may end with the issuance.
    fn purchase(&self) -> Option<u64> {
        None
    }

    /// The payment from which its coins were taken. It may end with the issuance.
    fn payment(&self) -> Option<u64> {
        None
    }
}

impl IssuanceRow for Withdrawal {
    type Issuance = Withdrawal;
    type Signers = SecretKey;

    const QUESTION: Question = Question::Withdraw;
    const BEGIN: RequestKind = RequestKind::WithdrawBegin;
    const FINISH: RequestKind = RequestKind::WithdrawFinish;
    const COUNTER: Counter = Counter::Withdrawals;
    const LANE: Lane = Lane::Identified;
    const TABLE: Table<At, Self> = WITHDRAWALS;

    fn issuance(&self) -> &Withdrawal {
        self
    }

    fn with(&self, issuance: Withdrawal) -> Self {
        issuance
    }

    fn signers(&self, wallet: &Wallet) -> Result<SecretKey, WalletError> {
        key_of(wallet, &self.bank, &self.account)
    }

    fn origin(number: u64, slot: u8) -> Origin {
        Origin::withdrawn(number as u32, slot)
    }
}

impl IssuanceRow for ExchangeRow {
    type Issuance = Exchange;
    type Signers = Vec<SecretKey>;

    const QUESTION: Question = Question::Exchange;
    const BEGIN: RequestKind = RequestKind::ExchangeBegin;
    const FINISH: RequestKind = RequestKind::ExchangeFinish;
    const COUNTER: Counter = Counter::Exchanges;
    const LANE: Lane = Lane::Anonymous;
    const TABLE: Table<At, Self> = EXCHANGES;

    fn issuance(&self) -> &Exchange {
        &self.exchange
    }

    fn with(&self, exchange: Exchange) -> Self {
        ExchangeRow {
            exchange,
            origins: self.origins.clone(),
            before: self.before,
        }
    }

    fn signers(&self, wallet: &Wallet) -> Result<Vec<SecretKey>, WalletError> {
        Ok(coin_keys(&wallet.seed_for(&self.exchange.bank), &self.origins))
    }

    fn origin(number: u64, slot: u8) -> Origin {
        Origin::exchanged(number as u32, slot)
    }

    fn settle_reads(&self) -> Vec<RowKey> {
        let coins = coin_reads(&self.exchange.inputs).into_iter();
        coins.chain(again_reads(self.before)).collect()
    }

    fn settle(&self, tx: &mut Transaction<'_>, number: u64, _: &[CoinRow]) -> Result<(), StoreError> {
        let status = match self.exchange.state {
            IssueState::Done => CoinStatus::Exchanged(number),
            // A copy of this wallet used the number for other coins, so these return to their earlier status.
            _ => status_again(tx, self.before)?,
        };
        set_status(tx, &self.exchange.inputs, |_| status)
    }

    fn purchase(&self) -> Option<u64> {
        match self.before {
            CoinStatus::InPurchase(number) => Some(number),
            _ => None,
        }
    }

    fn payment(&self) -> Option<u64> {
        match self.before {
            CoinStatus::InDeposit(number) => Some(number),
            _ => None,
        }
    }
}

impl IssuanceRow for ReserveWithdrawalRow {
    type Issuance = ReserveWithdrawal;
    type Signers = SecretKey;

    const QUESTION: Question = Question::Reserve;
    const BEGIN: RequestKind = RequestKind::ReserveBegin;
    const FINISH: RequestKind = RequestKind::ReserveFinish;
    const COUNTER: Counter = Counter::Exchanges;
    const LANE: Lane = Lane::Anonymous;
    const TABLE: Table<At, Self> = RESERVE_WITHDRAWALS;

    fn issuance(&self) -> &ReserveWithdrawal {
        &self.withdrawal
    }

    fn with(&self, withdrawal: ReserveWithdrawal) -> Self {
        ReserveWithdrawalRow {
            withdrawal,
            origin: self.origin.clone(),
            begun_ms: self.begun_ms,
        }
    }

    fn signers(&self, wallet: &Wallet) -> Result<SecretKey, WalletError> {
        self.origin.key(&wallet.seed_for(&self.withdrawal.0.bank))
    }

    fn origin(number: u64, slot: u8) -> Origin {
        Origin::exchanged(number as u32, slot)
    }

    fn settle_reads(&self) -> Vec<RowKey> {
        vec![received_reads(&self.withdrawal.0)]
    }

    fn settle(&self, tx: &mut Transaction<'_>, _: u64, issued: &[CoinRow]) -> Result<(), StoreError> {
        match self.withdrawal.0.state {
            IssueState::Done => count_received(tx, &self.withdrawal.0, issued),
            // A copy of this wallet used the number for something else, and nothing was debited here.
            _ => Ok(()),
        }
    }
}
