//! Payments by deposit that go wrong, and a bank that denies one that it has carried out.

use super::{
    cheats::changed,
    customer::CustomerMachine,
    denials::deny,
    front::{Cheat, Honest, refuse},
    machine::Death,
    money::spendable,
    network::Sent,
    shopping::{REDEEMED, SENT, WITHDRAWN, request_of_bob, restored, withdrawn_in},
    stories::arrives_again,
    world::World,
};
use async_trait::async_trait;
use farthing_bank::rows::RESERVES;
use farthing_client::{
    error::WalletError,
    pay_uri::PayUri,
    rows::{CoinStatus, DepositState},
    wallet::Wallet,
};
use farthing_coin::{Document, SecretKey, Signed, StatementDigest};
use farthing_node::{
    card::{Card, RoleName},
    network::Lane,
};
use farthing_protocol::{
    api::BankRequest,
    denial::{CoinDenial, Denial, DenialCause, RequestKind},
    deposited::Payee,
    documents::{CoinUse, EarlierUse},
    money::Amount,
    refusal::Refusal,
    reserve::{ReserveBalance, ReserveRequest},
    reserve_sums::{ReserveFault, ReserveSums},
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// The name of a donor.
const DONOR: &str = "Erika Mustermann";

/// Whether a request asks the bank to carry a deposit out.
pub fn is_deposit(card: &Card, request: &[u8]) -> bool {
    card.role == RoleName::Bank && matches!(BankRequest::decode(request), Ok(BankRequest::Deposit(_)))
}

async fn withdrawn(seed: u64) -> (Arc<World>, CustomerMachine, Wallet) {
    withdrawn_in(World::new(seed).await).await
}

/// A payment to another customer whose request is on its way.
async fn stuck_payment(world: &World, wallet: &Wallet) {
    world.network.block(is_deposit);
    for _ in 0..2 {
        let sent = wallet.pay(&request_of_bob(world), SENT, false).await;
        assert!(sent.as_ref().is_err_and(WalletError::is_silence), "{sent:?}");
    }
    world.network.unblock();
    let payments = wallet.payments().expect("the payments");
    assert_eq!(
        payments.len(),
        1,
        "money: the same payment is made with other coins"
    );
    assert_eq!(payments[0].1.state, DepositState::Sending);
}

fn states(wallet: &Wallet) -> Vec<&'static str> {
    let payments = wallet.payments().expect("the payments").into_iter();
    payments.map(|(_, row)| row.state.word()).collect()
}

/// What the reserve of the other customer holds.
fn bobs(world: &World) -> Amount {
    let Payee::Reserve(reserve) = request_of_bob(world).to else {
        panic!("a request names a reserve");
    };
    let sums = RESERVES.peek(&world.bank().store().view(), &reserve);
    sums.expect("the bank's row").unwrap_or_default().balance()
}

/// A payment whose request is lost is given up. It arrives later, and the bank does not carry it out.
pub async fn a_payment_that_was_given_up_arrives() {
    let (world, _, wallet) = withdrawn(81).await;
    stuck_payment(&world, &wallet).await;
    let state = wallet.give_up_payment(0).await.expect("the bank answers");
    assert_eq!(state, DepositState::GivenUp);
    assert_eq!(spendable(&wallet), WITHDRAWN, "money: the coins are not back");
    arrives_again(&world, is_deposit).await;
    assert_eq!(
        bobs(&world),
        Amount(0),
        "finality: a payment that was given up is made"
    );
    let uri = request_of_bob(&world);
    wallet.pay(&uri, SENT, false).await.expect("another payment");
    let again = wallet.pay(&uri, SENT, false).await;
    assert!(
        matches!(again, Err(WalletError::PaidBefore { number: 1, .. })),
        "{again:?}"
    );
    assert_eq!((states(&wallet), bobs(&world)), (vec!["given-up", "done"], SENT));
    world.check(&[&wallet]).await;
}

/// A payment arrives whose answer is lost. It cannot be given up: the denial of the exchange shows that it was made.
pub async fn a_payment_that_was_made_is_not_given_up() {
    let (world, _, wallet) = withdrawn(82).await;
    stuck_payment(&world, &wallet).await;
    arrives_again(&world, is_deposit).await;
    let state = wallet.give_up_payment(0).await.expect("the bank answers");
    assert!(matches!(state, DepositState::Done(_)), "{state:?}");
    assert_eq!(bobs(&world), SENT);
    world.check(&[&wallet]).await;
}

/// The wallet dies while a payment is given up. The exchange is carried on, and the payment ends with it.
pub async fn a_wallet_dies_while_a_payment_is_given_up() {
    let (world, customer, wallet) = withdrawn(83).await;
    stuck_payment(&world, &wallet).await;
    world.network.block(|card, request| {
        card.role == RoleName::Bank
            && matches!(BankRequest::decode(request), Ok(BankRequest::ExchangeFinish(_)))
    });
    let given_up = wallet.give_up_payment(0).await;
    assert!(
        given_up.as_ref().is_err_and(WalletError::is_silence),
        "{given_up:?}"
    );
    drop(wallet);
    world.network.unblock();
    let wallet = customer.wallet_after(Death::PowerLost);
    let resumed = wallet.resume().await.expect("the wallet resumes");
    assert!(resumed.open.is_empty(), "progress: {:?}", resumed.open);
    assert_eq!(states(&wallet), ["given-up"]);
    assert_eq!(spendable(&wallet), WITHDRAWN, "money: the coins are not back");
    world.check(&[&wallet]).await;
}

/// A copy of the wallet pays with coins that the wallet has paid with. The bank denies it, and the copy pays with others.
pub async fn a_copy_of_the_wallet_pays_with_the_same_coins() {
    let (world, customer, wallet) = withdrawn(84).await;
    drop(wallet);
    let copy = customer.copy(&world, "copy");
    let wallet = customer.wallet_after(Death::Killed);
    let bank = world.parties().bank;
    wallet.redeem(&bank, REDEEMED, false).await.expect("a payment");
    let copy = copy.wallet();
    for _ in 0..20 {
        match copy.pay(&request_of_bob(&world), SENT, false).await {
            Ok(_) => break,
            Err(error) => assert!(!error.is_silence(), "{error}"),
        }
    }
    assert_eq!(bobs(&world), SENT, "progress: the copy does not get to pay");
    let used = copy.coins().expect("the coins").into_iter();
    let used = used.filter(|row| matches!(row.status, CoinStatus::UsedElsewhere(_)));
    assert!(
        used.count() > 0,
        "the copy does not learn what the wallet has paid with"
    );
    world.check(&[&wallet, &copy]).await;
}

/// The machine is lost after payments. A restore finds the money, and the requests that others may pay.
pub async fn a_restore_after_payments() {
    let (world, customer, wallet) = withdrawn(85).await;
    let bank = world.parties().bank;
    let asked = wallet
        .request(&bank, Some(SENT), "lunch")
        .await
        .expect("a request");
    wallet.redeem(&bank, REDEEMED, false).await.expect("a payment");
    wallet
        .pay(&request_of_bob(&world), SENT, false)
        .await
        .expect("a payment");
    let left = spendable(&wallet);
    assert_eq!(left.0, WITHDRAWN.0 - REDEEMED.0 - SENT.0);
    drop(wallet);
    let wallet = restored(&world, &customer, "alice-again").await;
    assert_eq!(spendable(&wallet), left, "money: a restore has lost coins");
    let known = wallet.requested().expect("the requests");
    assert!(
        known.iter().any(|it| Payee::Reserve(it.reserve) == asked.to),
        "money: a restore does not find what others may pay"
    );
    let next = wallet
        .request(&bank, Some(SENT), "lunch")
        .await
        .expect("a request");
    assert!(
        known.iter().all(|it| Payee::Reserve(it.reserve) != next.to),
        "anonymity: a restored wallet requests under a key that was used"
    );
    let row = wallet.pay(&next, SENT, false).await.expect("a payment");
    assert!(row.number > 2, "anonymity: a salt is used twice");
    world.check(&[&wallet]).await;
}

/// A donation whose first answer is lost. It is made once, its donor alone can prove it, and nobody else was told a name.
pub async fn a_donation_is_made_once_and_proven_by_its_donor() {
    let (world, customer, wallet) = withdrawn(86).await;
    let charity = world.foundation.seed_of("charity").account_key().public();
    world.open_account(charity, "charity").await;
    let bank = world.parties().bank.identity;
    let uri = PayUri::new(bank, Payee::Account(charity), None, "Charity").expect("a short name");
    world.network.block(is_deposit);
    for _ in 0..2 {
        let sent = wallet.donate(&uri, SENT, DONOR, false).await;
        assert!(sent.as_ref().is_err_and(WalletError::is_silence), "{sent:?}");
    }
    assert!(
        wallet.payment_proof(0).is_err(),
        "money: a donation is proven before it is made"
    );
    // The digest that was sent is of this name, so another name is no way to carry it on.
    let other = wallet.donate(&uri, SENT, "Somebody Else", false).await;
    assert!(
        matches!(other, Err(WalletError::PaidBefore { number: 0, .. })),
        "{other:?}"
    );
    drop(wallet);
    world.network.unblock();
    let wallet = customer.wallet_after(Death::PowerLost);
    arrives_again(&world, is_deposit).await;
    let carried_on = wallet.donate(&uri, SENT, DONOR, false).await.expect("an answer");
    assert!(carried_on.is_carried_on && carried_on.number == 0);
    assert_eq!(
        world.account(charity).await,
        SENT,
        "money: a donation is made twice"
    );
    let again = wallet.donate(&uri, SENT, DONOR, false).await;
    assert!(
        matches!(again, Err(WalletError::PaidBefore { number: 0, .. })),
        "{again:?}"
    );
    let second = wallet
        .donate(&uri, SENT, DONOR, true)
        .await
        .expect("a second one");
    assert_eq!(second.number, 1);
    assert_eq!(world.account(charity).await.0, 2 * SENT.0);

    let proofs = [0, 1].map(|number| wallet.payment_proof(number).expect("a proof"));
    let [first, second] = proofs.each_ref().map(|proof| {
        let deposited = proof.verify().expect("a proof that holds");
        assert_eq!(deposited.credited(&Payee::Account(charity)), SENT);
        assert_eq!((deposited.bank, proof.text.as_str()), (bank, DONOR));
        (deposited.deposit_id(), deposited.text)
    });
    assert!(
        first.0 != second.0 && first.1 != second.1,
        "anonymity: two donations show the same digest of a name"
    );
    let names_the_donor = |message: &Sent| {
        let mut windows = message.request.windows(DONOR.len());
        windows.any(|bytes| bytes == DONOR.as_bytes())
    };
    let messages = [world.network.sent(), world.network.all_opened()].concat();
    assert!(messages.iter().any(|message| {
        let bank = world.parties().bank;
        is_deposit(&bank, &message.request)
    }));
    assert!(
        !messages.iter().any(names_the_donor),
        "anonymity: a message names a donor"
    );
    world.check(&[&wallet]).await;
}

/// A donation to an account that the bank does not have is refused, and its coins are back. Once there is the account, it is
/// made.
pub async fn a_donation_to_no_account_is_refused() {
    let (world, _, wallet) = withdrawn(87).await;
    let bank = world.parties().bank.identity;
    let charity = world.foundation.seed_of("charity").account_key().public();
    let uri = PayUri::new(bank, Payee::Account(charity), None, "").expect("no name");
    let refused = wallet.donate(&uri, SENT, DONOR, false).await;
    assert!(matches!(refused, Err(WalletError::Refused { .. })), "{refused:?}");
    assert_eq!(states(&wallet), ["refused"]);
    assert_eq!(spendable(&wallet), WITHDRAWN, "money: the coins are not back");
    world.open_account(charity, "charity").await;
    let made = wallet.donate(&uri, SENT, DONOR, false).await.expect("an answer");
    assert_eq!((made.number, made.is_carried_on), (1, false));
    assert_eq!(world.account(charity).await, SENT);
    world.check(&[&wallet]).await;
}

/// A bank that carries deposits out, and signs that their coins were deposited, without what it has credited.
pub struct DeniesDeposits(
    /// Its identity key.
    pub SecretKey,
);

#[async_trait]
impl Cheat for DeniesDeposits {
    async fn answer(&self, honest: &Honest, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        let Ok(BankRequest::Deposit(deposit)) = BankRequest::decode(&request) else {
            return honest.answer(lane, request).await;
        };
        let reply = honest.answer(lane, request).await;
        let id = StatementDigest::from(deposit.body.id());
        match (deposit.body.coins().first(), deposit.authorizations.first()) {
            (Some(coin), Some(authorization)) => {
                let used = EarlierUse {
                    operation: CoinUse::Deposit,
                    digest: id,
                    authorization: *authorization,
                };
                let what = CoinDenial::Deposited {
                    used,
                    deposited: None,
                };
                refuse(deny(&self.0, RequestKind::Deposit, id.0, coin, what))
            }
            _ => reply,
        }
    }
}

/// A bank that says of each reserve that this much less was credited, and pays nothing from it.
pub struct KeepsReserves {
    /// Its identity key.
    pub key: SecretKey,
    /// What it keeps of each.
    pub kept: Amount,
}

impl KeepsReserves {
    /// The sums of a reserve, as the bank lies about them.
    fn lie(&self, balance: ReserveBalance) -> ReserveBalance {
        let credited = Amount(balance.sums.credited.0.saturating_sub(self.kept.0));
        let sums = ReserveSums {
            credited,
            ..balance.sums
        };
        ReserveBalance { sums, ..balance }
    }
}

#[async_trait]
impl Cheat for KeepsReserves {
    async fn answer(&self, honest: &Honest, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        match BankRequest::decode(&request) {
            Ok(BankRequest::Reserve(_)) => {
                let reply = honest.answer(lane, request).await;
                changed::<Signed<ReserveRequest>>(reply, |balance| {
                    Signed::sign(self.lie(balance.body), &self.key)
                })
            }
            Ok(BankRequest::ReserveBegin(begin)) => {
                let fault = ReserveFault {
                    reserve: begin.body.0.account,
                    sums: ReserveSums::default(),
                    asked: self.kept,
                };
                let denial = Denial {
                    bank: self.key.public(),
                    kind: RequestKind::ReserveBegin,
                    request: begin.body.digest(),
                    cause: DenialCause::Reserve(fault),
                    at_ms: 1,
                };
                refuse(Refusal::Denied(Box::new(Signed::sign(denial, &self.key))))
            }
            _ => honest.answer(lane, request).await,
        }
    }
}

/// A bank that learns of what it owes when it is asked for the money, and says of each reserve until then what [`KeepsReserves`]
/// says.
pub struct LearnsLate {
    says: KeepsReserves,
    has_learned: AtomicBool,
}

impl LearnsLate {
    /// A bank that has not learned of it.
    pub fn new(says: KeepsReserves) -> Self {
        let has_learned = AtomicBool::new(false);
        Self { says, has_learned }
    }
}

#[async_trait]
impl Cheat for LearnsLate {
    async fn answer(&self, honest: &Honest, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        match BankRequest::decode(&request) {
            Ok(BankRequest::Reserve(_)) if !self.has_learned.load(Ordering::SeqCst) => {
                self.says.answer(honest, lane, request).await
            }
            Ok(BankRequest::ReserveBegin(_)) => {
                self.has_learned.store(true, Ordering::SeqCst);
                honest.answer(lane, request).await
            }
            _ => honest.answer(lane, request).await,
        }
    }
}
