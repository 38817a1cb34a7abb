//! Reserves, deposits and refunds, as their owners ask for them.

use super::{BankFixture, Bought, Purse};
use farthing_coin::{PublicKey, SecretKey, Signed, TextSalt};
use farthing_protocol::{
    deposit::{Deposit, DepositFrom},
    deposited::{DepositOutput, Payee, text_digest},
    exchange::Authorized,
    issuance::{Issuance, IssuanceAsk},
    issue::IssueState,
    money::Amount,
    refund::RefundRequest,
    refusal::Refusal,
    reserve::{FromReserve, ReserveRequest},
    reserve_sums::ReserveSums,
    withdraw::{ReserveWithdrawal, WithdrawFinish, Withdrawal},
};

pub fn sums(credited: u64, debited: u64) -> ReserveSums {
    ReserveSums {
        credited: Amount(credited),
        debited: Amount(debited),
    }
}

/// The sums of a reserve, as its owner is told.
pub async fn sums_of(fixture: &BankFixture, reserve: &SecretKey) -> ReserveSums {
    let request = ReserveRequest {
        bank: fixture.bank.self_id(),
        reserve: reserve.public(),
    };
    let balance = fixture.ask(Signed::sign(request, reserve)).await.unwrap();
    balance.verify(&fixture.bank.self_id()).unwrap();
    assert_eq!(balance.body.reserve, reserve.public());
    balance.body.sums
}

pub fn output(to: Payee, amount: u64) -> DepositOutput {
    DepositOutput {
        to,
        amount: Amount(amount),
    }
}

/// A deposit of these coins or of this reserve.
pub fn deposit(fixture: &BankFixture, from: DepositFrom, outputs: &[DepositOutput]) -> Deposit {
    Deposit {
        bank: fixture.bank.self_id(),
        from,
        outputs: outputs.to_vec(),
        text: text_digest(&TextSalt::from_bytes([1; 32]), "a text"),
    }
}

pub fn paid_by(fixture: &BankFixture, purse: &Purse, outputs: &[DepositOutput]) -> Authorized<Deposit> {
    deposit(fixture, DepositFrom::Coins(purse.coins.clone()), outputs).authorized(&purse.keys)
}

/// Pays coins of this worth to the reserve.
pub async fn fill(fixture: &mut BankFixture, reserve: &PublicKey, values: &[u64]) {
    let purse = fixture.withdraw(values).await;
    let outputs = [output(Payee::Reserve(*reserve), purse.worth())];
    fixture.ask(paid_by(fixture, &purse, &outputs)).await.unwrap();
}

/// A withdrawal from `reserve` that has not begun.
pub fn withdrawal(fixture: &mut BankFixture, reserve: &PublicKey, values: &[u64]) -> ReserveWithdrawal {
    let counter = fixture.next();
    ReserveWithdrawal(Withdrawal {
        bank: fixture.bank.self_id(),
        account: *reserve,
        request_id: fixture.seed.exchange_id(counter),
        outputs: fixture.outputs(values),
        state: IssueState::Beginning,
    })
}

pub async fn begun(
    fixture: &BankFixture,
    withdrawal: &ReserveWithdrawal,
    reserve: &SecretKey,
) -> Result<ReserveWithdrawal, Refusal> {
    let IssuanceAsk::Begin(begin) = withdrawal.ask(reserve, &fixture.seed) else {
        panic!("it is not beginning")
    };
    let begun = fixture.ask(begin).await?;
    Ok(withdrawal
        .on_begun(&begun, &fixture.book(), &fixture.seed)
        .unwrap())
}

pub fn finish_of(
    fixture: &BankFixture,
    withdrawal: &ReserveWithdrawal,
    reserve: &SecretKey,
) -> Signed<FromReserve<WithdrawFinish>> {
    let IssuanceAsk::Finish(finish) = withdrawal.ask(reserve, &fixture.seed) else {
        panic!("it is not finishing")
    };
    finish
}

/// Holds and commits a purchase at `price`, paid with all of `purse`.
pub async fn bought(fixture: &mut BankFixture, purse: &Purse, price: u64) -> Bought {
    let escrow = fixture.escrow.public();
    let bought = fixture.order_at(purse, &escrow, price);
    let hold = fixture.ask(bought.hold()).await.unwrap();
    assert_eq!(
        hold.body.body.total,
        Amount(price),
        "it tells nobody what the coins are worth"
    );
    fixture.ask(fixture.commit(&bought)).await.unwrap();
    bought
}

/// The merchant's request to refund `total` of a purchase in all.
pub fn refund(fixture: &BankFixture, bought: &Bought, total: u64) -> Signed<RefundRequest> {
    let request = RefundRequest {
        bank: fixture.bank.self_id(),
        account: fixture.merchant.public(),
        purchase: bought.order.purchase(),
        escrow: fixture.escrow.public(),
        total: Amount(total),
    };
    Signed::sign(request, &fixture.merchant)
}
