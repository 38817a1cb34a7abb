//! Receiving: what a bank owes in reserves of this wallet becomes coins.
//!
//! | reserve | what it holds |
//! |---|---|
//! | of a request | what others have paid |
//! | of a purchase | its change and its refunds |
//! | of a gift | what its giver has put there, for whoever is first |
//!
//! Each reserve is asked over a connection of its own, and its coins are issued blindly. So nothing joins two reserves. The
//! signed sums of the bank say what is left, whatever was lost before.

use crate::{
    coins::peek_coin,
    error::WalletError,
    issuance::{resume, withdraw_from_reserve},
    peer_client::{Backoff, PeerClient, RetryPolicy},
    request::Requested,
    reserves::count_deposited,
    rows::{
        Delivery, PurchaseRow, RESERVE_DENIALS, RESERVE_WITHDRAWALS, RESERVES, ReserveOrigin, ReserveRow,
        ReserveWithdrawalRow, all, is_under_way,
    },
    wallet::Wallet,
};
use farthing_coin::{PublicKey, SecretKey, Signed};
use farthing_node::{
    card::{Card, RoleName},
    network::Lane,
};
use farthing_protocol::{
    api::Question,
    denial::{Denial, DenialCause},
    deposit::{Deposit, DepositFrom},
    deposited::{DepositOutput, Payee, text_digest},
    money::Amount,
    purchase::Purchase,
    refusal::{AccountFault, Refusal},
    reserve::ReserveRequest,
    reserve_sums::ReserveSums,
};
use std::time::Duration;

/// How long a wallet waits until the bank has the commit of a purchase and owes its change. The escrow brings the commit
/// a tenth of a second after its decision.
const CHANGE_WAIT: Duration = Duration::from_secs(4);

/// How many withdrawals are made from one reserve in a row. Each takes what fits into one request.
const WITHDRAWALS_MAX: usize = 64;

/// The numbers of texts of deposits from a request's reserve. Those of payments stay below.
const REQUEST_TEXTS: u64 = 1 << 63;

/// The numbers of texts of deposits from a purchase's reserve.
const PURCHASE_TEXTS: u64 = 3 << 62;

/// Where the money of a reserve goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// Into coins of this wallet. The bank cannot tell whose they are.
    Coins,
    /// Into the wallet's account, by name. The way out of a bank that closes.
    Account,
}

/// What was received from a reserve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// What was paid into the reserve so far.
    pub credited: Amount,
    /// What was received now.
    pub now: Amount,
}

/// What a bank owes or has paid for a purchase.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Change {
    /// What its coins were worth above its price.
    pub amount: Amount,
    /// What the merchant has refunded, as far as the wallet knows.
    pub refunded: Amount,
    /// What the bank still owes for the purchase, as far as the wallet knows.
    pub due: Amount,
    /// Change that the bank says it has paid, and that this wallet has not got. A copy of the wallet may have it.
    pub lacking: Amount,
}

/// What the bank has for a request.
#[derive(Debug)]
pub struct Received {
    /// The request.
    pub requested: Requested,
    /// What was received. Or why the bank did not pay it.
    pub outcome: Result<Taken, WalletError>,
}

impl Wallet {
    /// Asks for each request of this wallet what was paid, and receives it. Requests that were paid in full and received
    /// are not asked for again, unless `also_paid` wants it.
    ///
    /// # Errors
    /// When the store fails. A bank that refuses or does not answer is told in the outcome.
    pub async fn receive(&self, into: Destination, also_paid: bool) -> Result<Vec<Received>, WalletError> {
        let mut all = Vec::new();
        for requested in self.requested()? {
            if !also_paid && is_paid(self, &requested)? {
                continue;
            }
            let origin = ReserveOrigin::Number(requested.number);
            let outcome = receive_from(self, &requested.bank, &origin, into).await;
            all.push(Received { requested, outcome });
        }
        Ok(all)
    }

    /// Receives what the bank owes for a purchase: its change and its refunds. A bank that does not have the commit yet is
    /// asked again for some seconds.
    ///
    /// # Errors
    /// [`WalletError::NoPurchase`], or [`WalletError::NothingOwed`] if the purchase has not paid. When the bank refuses, or
    /// does not answer; [`resume`](Wallet::resume) then receives the change.
    pub async fn receive_of_purchase(&self, number: u64, into: Destination) -> Result<Taken, WalletError> {
        let row = self.purchase(number)?;
        // The coins of a purchase of before a restore have paid for it, too. It ends when its goods are fetched.
        // One that has ended without a decision may have been paid, if it is long past.
        let may_be_paid = row.delivery == Delivery::OnDemand
            || matches!(row.purchase, Purchase::Recovered(_))
            || is_owed_for(&row, self.reserve_of_purchase(&row)?.as_ref());
        match row.purchase.order() {
            Some(order) if may_be_paid && !order.payment.coins.is_empty() => {
                let origin = ReserveOrigin::Order(order.counter);
                receive_from(self, &order.contract.terms.bank, &origin, into).await
            }
            _ => Err(WalletError::NothingOwed(number)),
        }
    }

    /// The reserve of a purchase, if the wallet knows that it was credited.
    fn reserve_of_purchase(&self, row: &PurchaseRow) -> Result<Option<ReserveRow>, WalletError> {
        let Some(order) = row.purchase.order() else {
            return Ok(None);
        };
        let terms = &order.contract.terms;
        Ok(RESERVES.peek(&self.rows(), &(terms.bank, terms.purchase_key))?)
    }

    /// The change of a purchase that was paid with coins worth more than its price, and what the bank owes for the purchase, as
    /// far as the wallet knows.
    ///
    /// # Errors
    /// When there is no such purchase. When the store fails.
    pub fn change_of_purchase(&self, number: u64) -> Result<Change, WalletError> {
        let row = self.purchase(number)?;
        let reserve = self.reserve_of_purchase(&row)?;
        let is_owed = is_owed_for(&row, reserve.as_ref());
        let Some(order) = row.purchase.order().filter(|_| is_owed) else {
            return Ok(Change::default());
        };
        let view = self.rows();
        let mut worth = 0u64;
        for coin in &order.payment.coins {
            let coin = peek_coin(&view, &(coin.key_id, coin.public))?;
            worth = worth.saturating_add(coin.map_or(0, |coin| coin.value));
        }
        let paid = row.purchase.paid().unwrap_or(order.contract.terms.price);
        let amount = order
            .contract
            .terms
            .change(Amount(worth), paid)
            .unwrap_or_default();
        let credited = reserve.as_ref().map(|row| row.sums.credited).unwrap_or_default();
        Ok(Change {
            amount,
            refunded: credited.checked_sub(amount).unwrap_or_default(),
            due: reserve.as_ref().map(ReserveRow::due).unwrap_or_default(),
            lacking: reserve.map(|row| row.lacking()).unwrap_or_default(),
        })
    }

    /// Receives the change of a purchase that has just been paid, if the bank owes any. Its goods are delivered, so a
    /// failure is not one of the purchase: [`resume`](Wallet::resume) receives the change then.
    ///
    /// # Errors
    /// As [`receive_of_purchase`](Wallet::receive_of_purchase).
    pub async fn receive_change(&self, number: u64) -> Result<(), WalletError> {
        match self.change_of_purchase(number)?.due {
            Amount(0) => Ok(()),
            _ => self
                .receive_of_purchase(number, Destination::Coins)
                .await
                .map(drop),
        }
    }

    /// Receives what banks still owe, as far as the wallet knows. A reserve that fails does not stop the others. Returns the
    /// outcome of each, with its name.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn receive_all_due(
        &self,
    ) -> Result<Vec<(String, Result<(), WalletError>)>, WalletError> {
        let mut due = all(&self.rows(), &RESERVES)?;
        due.retain(|(_, row)| row.due() > Amount(0));
        let mut outcomes = Vec::new();
        for ((bank, _), row) in due {
            let name = self.name_of(&bank, &row.origin)?;
            let outcome = receive_from(self, &bank, &row.origin, Destination::Coins).await;
            outcomes.push((name, outcome.map(drop)));
        }
        Ok(outcomes)
    }

    /// The name of a reserve for people.
    fn name_of(&self, bank: &PublicKey, origin: &ReserveOrigin) -> Result<String, WalletError> {
        let counter = match origin {
            ReserveOrigin::Order(counter) => *counter,
            ReserveOrigin::Number(number) => return Ok(format!("request or gift {number}")),
            ReserveOrigin::Gift(_) => return Ok("a gift that was accepted".into()),
        };
        let mut purchases = self.purchases()?.into_iter();
        Ok(match purchases.find(|(_, row)| row.is_paid_at(bank, origin)) {
            Some((number, _)) => format!("change of purchase {number}"),
            None => format!("change of order {counter}"),
        })
    }
}

/// Whether the bank may owe something for a purchase: it was paid, or a restore has found that it was.
fn is_owed_for(row: &PurchaseRow, reserve: Option<&ReserveRow>) -> bool {
    matches!(row.purchase, Purchase::Committed(..)) || reserve.is_some()
}

/// Whether a request was paid in full, and everything of it received.
fn is_paid(wallet: &Wallet, requested: &Requested) -> Result<bool, WalletError> {
    let row = RESERVES.peek(&wallet.rows(), &(requested.bank, requested.reserve))?;
    let (Some(row), Some(amount)) = (row, requested.row.amount) else {
        return Ok(false);
    };
    Ok(row.sums.credited >= amount && row.due() == Amount(0))
}

/// Receives what a reserve of this wallet holds.
///
/// # Errors
/// When the bank refuses, or does not answer.
pub(crate) async fn receive_from(
    wallet: &Wallet,
    bank: &PublicKey,
    origin: &ReserveOrigin,
    into: Destination,
) -> Result<Taken, WalletError> {
    let bank = wallet.party_by_key(RoleName::Bank, bank)?;
    let key = origin.key(&wallet.seed_for(&bank.identity))?;
    let at = (bank.identity, key.public());
    let known = RESERVES.peek(&wallet.rows(), &at)?;
    let before = known.as_ref().map(|row| row.received).unwrap_or_default();
    match carry_on(wallet, &bank.identity, known).await {
        // Whether the bank has carried it out shows in its sums. A bank that closes does not begin it.
        Err(_) if into == Destination::Account => {}
        Err(error) if is_emptied(&error) => {}
        outcome => outcome?,
    }
    let mut peer = wallet.peer_client(&bank, Lane::Anonymous);
    let mut refused_at = None;
    for _ in 0..WITHDRAWALS_MAX {
        let sums = owed_sums(wallet, &bank, origin, &key, &mut peer).await?;
        let balance = sums.balance();
        if balance == Amount(0) {
            break;
        }
        let outcome = match into {
            Destination::Coins => withdraw_from_reserve(wallet, &bank, origin, balance, &mut peer).await,
            Destination::Account => deposit(wallet, &bank, origin, sums, &mut peer).await,
        };
        match outcome {
            Ok(()) => {}
            // Another owner of the key, such as a copy of this wallet, was faster. The next sums show it.
            Err(error) if is_emptied(&error) && refused_at != Some(sums) => refused_at = Some(sums),
            Err(error) => {
                keep_denial(wallet, at, origin, &error).await?;
                return Err(error);
            }
        }
    }
    let row = RESERVES.peek(&wallet.rows(), &at)?;
    let row = row.unwrap_or_else(|| ReserveRow::new(origin.clone()));
    Ok(Taken {
        credited: row.sums.credited,
        now: row.received.checked_sub(before).unwrap_or_default(),
    })
}

/// Asks for change that the wallet's documents prove, and of which the bank says that it was not credited. A bank that does
/// not pay it has to sign that. Returns whether it has paid.
async fn have_it_denied(
    wallet: &Wallet,
    bank: &Card,
    (at, row): ((PublicKey, PublicKey), &ReserveRow),
    sums: ReserveSums,
    peer: &mut PeerClient<'_>,
) -> Result<bool, WalletError> {
    let missing = row.proven.checked_sub(row.received).unwrap_or_default();
    let kept = RESERVE_DENIALS.peek(&wallet.rows(), &at)?;
    let is_known = kept.is_some_and(|denial| denied_sums(&denial) == Some(sums));
    if missing == Amount(0) || sums.credited >= row.proven || is_known {
        return Ok(false);
    }
    match withdraw_from_reserve(wallet, bank, &row.origin, missing, peer).await {
        Ok(()) => Ok(true),
        Err(error) => keep_denial(wallet, at, &row.origin, &error).await.map(|()| false),
    }
}

/// The sums of the reserve in a denial of it.
fn denied_sums(denial: &Signed<Denial>) -> Option<ReserveSums> {
    match &denial.body.cause {
        DenialCause::Reserve(fault) => Some(fault.sums),
        _ => None,
    }
}

/// Keeps a signed denial of a reserve: the first, or one that says that more was credited or debited. A gift may belong to
/// somebody else.
async fn keep_denial(
    wallet: &Wallet,
    at: (PublicKey, PublicKey),
    origin: &ReserveOrigin,
    error: &WalletError,
) -> Result<(), WalletError> {
    let WalletError::Refused { refusal, .. } = error else {
        return Ok(());
    };
    let (Refusal::Denied(denial), false) = (&**refusal, matches!(origin, ReserveOrigin::Gift(_))) else {
        return Ok(());
    };
    let (denial, Some(sums)) = ((**denial).clone(), denied_sums(denial)) else {
        return Ok(());
    };
    wallet
        .transact([RESERVE_DENIALS.key(&at)], move |tx| {
            let kept = RESERVE_DENIALS.get(tx, &at)?;
            let known = kept.as_ref().and_then(denied_sums).unwrap_or_default();
            let is_more = sums.credited > known.credited || sums.debited > known.debited;
            match kept.is_none() || is_more {
                true => RESERVE_DENIALS.put(tx, &at, &denial),
                false => Ok(()),
            }
        })
        .await
}

/// Whether the bank refused because the reserve holds too little.
fn is_emptied(error: &WalletError) -> bool {
    let WalletError::Refused { refusal, .. } = error else {
        return false;
    };
    match &**refusal {
        Refusal::Account(AccountFault::Reserve(_)) => true,
        Refusal::Denied(denial) => denied_sums(denial).is_some(),
        _ => false,
    }
}

/// Carries on the latest withdrawal from a reserve, if it is under way.
async fn carry_on(wallet: &Wallet, bank: &PublicKey, row: Option<ReserveRow>) -> Result<(), WalletError> {
    let Some(number) = row.and_then(|row| row.latest) else {
        return Ok(());
    };
    let at = (*bank, number);
    let latest = RESERVE_WITHDRAWALS.peek(&wallet.rows(), &at)?;
    match latest.is_some_and(|row| is_under_way(&row.withdrawal.0.state)) {
        true => resume::<ReserveWithdrawalRow>(wallet, at).await,
        false => Ok(()),
    }
}

/// The sums of a reserve, signed by the bank. If the bank does not know yet of a credit that the wallet's documents prove,
/// it is asked again until it does.
async fn owed_sums(
    wallet: &Wallet,
    bank: &Card,
    origin: &ReserveOrigin,
    key: &SecretKey,
    peer: &mut PeerClient<'_>,
) -> Result<ReserveSums, WalletError> {
    let retry = wallet.env.retry;
    let total = retry.total.min(CHANGE_WAIT);
    let mut pause = Backoff::new(RetryPolicy { total, ..retry });
    let at = (bank.identity, key.public());
    loop {
        let sums = ask_sums(peer, bank, key).await?;
        let row = wallet.raise_sums(at, origin, sums).await?;
        let is_all_received = row.received >= row.proven && sums.credited >= row.sums.credited;
        if sums.balance() > Amount(0) || is_all_received {
            return Ok(sums);
        }
        if !pause.wait().await {
            if have_it_denied(wallet, bank, (at, &row), sums, peer).await? {
                continue;
            }
            // A copy of this wallet has received it, or the bank keeps it.
            if sums.credited >= row.proven && sums.credited >= row.sums.credited {
                return Ok(sums);
            }
            return Err(WalletError::Silent {
                party: bank.title(),
                question: Question::Reserve,
                why: format!(
                    "it does not know yet that it owes {}; `farthing resume` asks again",
                    row.due()
                ),
            });
        }
    }
}

/// Asks for the sums of the reserve of `key`.
async fn ask_sums(
    peer: &mut PeerClient<'_>,
    bank: &Card,
    key: &SecretKey,
) -> Result<ReserveSums, WalletError> {
    let request = ReserveRequest {
        bank: bank.identity,
        reserve: key.public(),
    };
    let balance = peer.must(&Signed::sign(request, key)).await?;
    let body = &balance.body;
    let is_right = (body.bank, body.reserve) == (bank.identity, key.public());
    match is_right && balance.verify(&bank.identity).is_ok() {
        true => Ok(body.sums),
        false => Err(wrong(bank)),
    }
}

/// Deposits the whole balance of a reserve into the wallet's account. Nothing is stored before: with the same sums, the
/// deposit has the same id.
async fn deposit(
    wallet: &Wallet,
    bank: &Card,
    origin: &ReserveOrigin,
    sums: ReserveSums,
    peer: &mut PeerClient<'_>,
) -> Result<(), WalletError> {
    let seed = wallet.seed_for(&bank.identity);
    let key = origin.key(&seed)?;
    let salt = match origin {
        ReserveOrigin::Number(number) => seed.text_salt(REQUEST_TEXTS.saturating_add(*number)),
        ReserveOrigin::Order(counter) => seed.text_salt(PURCHASE_TEXTS.saturating_add(*counter)),
        ReserveOrigin::Gift(_) => return Err(WalletError::Inconsistent("a gift is accepted into coins")),
    };
    let reserve = key.public();
    let deposit = Deposit {
        bank: bank.identity,
        from: DepositFrom::Reserve(reserve),
        outputs: vec![DepositOutput {
            to: Payee::Account(wallet.account(&bank.identity)?),
            amount: sums.balance(),
        }],
        text: text_digest(&salt, &sums.debited.to_string()),
    };
    let answer = peer.must(&deposit.clone().authorized(&[key])).await?;
    match deposit.is_answered_by(&answer) {
        true => {
            let debited = sums.credited;
            let spent = ReserveSums { debited, ..sums };
            count_deposited(wallet, (bank.identity, reserve), origin, spent).await
        }
        false => Err(wrong(bank)),
    }
}

fn wrong(bank: &Card) -> WalletError {
    WalletError::Garbled {
        party: bank.title(),
        why: "its answer does not fit the question, or is not signed; receive again later".into(),
    }
}
