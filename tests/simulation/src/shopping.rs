//! A customer's day. It can be started again at every interruption.

use super::{
    customer::CustomerMachine,
    foundation::{ITEM, Population},
    money::owed,
    streams::{Viewer, limits, watch_once},
    world::World,
};
use farthing_client::{
    error::WalletError,
    pay_uri::PayUri,
    purchase::{Parties, WatchEnd},
    resume::Resumed,
    rows::{DepositRow, PurchaseRow},
    wallet::Wallet,
};
use farthing_node::card::{Card, RoleName};
use farthing_protocol::{
    api::{BankRequest, EscrowRequest, MerchantRequest},
    deposited::Payee,
    limits::SALES_ASKED_EVERY_MS,
    money::Amount,
    purchase::Purchase,
};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::time::{sleep, timeout};

/// Rounds of `resume`. A wallet that is not done after them is stuck.
const TRIES_MAX: usize = 40;

/// How long a customer waits for a merchant before a cancel.
const IMPATIENCE: Duration = Duration::from_millis(100);

/// More than the time until a stream's deadline.
pub const UNTIL_AFTER_THE_DEADLINE: Duration = Duration::from_secs(13 * 60 * 60);

/// What a party that was away takes to be back at work, and more.
const A_WHILE: Duration = Duration::from_secs(60 * 60);

/// What the account of a story's customer has at first.
pub(super) const FUNDS: Amount = Amount(5000);

/// What the customer of a story withdraws.
pub(super) const WITHDRAWN: Amount = Amount(2000);

/// A price that no set of coins of a fresh withdrawal of 20.00 is worth.
pub const NEEDS_CHANGE: Amount = Amount(1000);

/// What the customer pays back into the account. No set of coins of a fresh withdrawal is worth it.
pub const REDEEMED: Amount = Amount(333);

/// What the customer pays another one.
pub const SENT: Amount = Amount(250);

/// The kind of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Withdraw and buy.
    Buy,
    /// The merchant is silent when it should release. The customer cancels, and buys again once it is back.
    Cancel,
    /// Withdraw, and buy from a merchant with sealed offers.
    Sealed,
    /// The bank is silent when it should hold for a sealed offer. The customer cancels, and buys again once it is
    /// back.
    SealedCancel,
    /// The escrow is silent before it has heard of the purchase. The customer cancels, and buys again once it
    /// answers.
    EscrowSilent,
    /// Take a free item. The coins stay.
    Free,
    /// Withdraw and buy for a price that no set of the coins is worth. The change is received after the goods.
    Change,
    /// The same, from a merchant with sealed offers.
    SealedChange,
    /// Watch a part of a stream. What was not watched comes back.
    Stream,
    /// Pay coins into the account, pay the request of another customer, and request a payment. Nothing is bought.
    Pay,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Mode; 10] = [
        Mode::Buy,
        Mode::Cancel,
        Mode::Sealed,
        Mode::SealedCancel,
        Mode::EscrowSilent,
        Mode::Free,
        Mode::Change,
        Mode::SealedChange,
        Mode::Stream,
        Mode::Pay,
    ];

    /// The parties that the day needs. Their goods come with the offer, or are fetched in a piece.
    pub fn population(self) -> Population {
        let (population, goods_bytes) = match self {
            Mode::Buy | Mode::Cancel | Mode::EscrowSilent | Mode::Pay => (Population::default(), 2_000),
            Mode::Sealed | Mode::SealedCancel => (Population::sealed(), 20_000),
            Mode::Free => (Population::with_price(Amount(0)), 2_000),
            Mode::Stream => {
                let streaming = Population::streaming();
                let goods_bytes = streaming.goods_bytes;
                (streaming, goods_bytes)
            }
            Mode::Change => (Population::with_price(NEEDS_CHANGE), 2_000),
            Mode::SealedChange => (
                Population {
                    prices: vec![NEEDS_CHANGE],
                    ..Population::sealed()
                },
                20_000,
            ),
        };
        Population {
            goods_bytes,
            ..population
        }
    }

    /// The requests that are blocked until the customer has cancelled.
    fn silence(self) -> Option<fn(&Card, &[u8]) -> bool> {
        match self {
            Mode::Buy
            | Mode::Sealed
            | Mode::Free
            | Mode::Change
            | Mode::SealedChange
            | Mode::Stream
            | Mode::Pay => None,
            Mode::Cancel => Some(is_delivery),
            Mode::SealedCancel => Some(is_hold_at_bank),
            Mode::EscrowSilent => Some(is_customers_at_escrow),
        }
    }
}

/// A customer with coins, and the wallet. Messages are recorded from the withdrawal on.
pub(super) async fn withdrawn_in(world: Arc<World>) -> (Arc<World>, CustomerMachine, Wallet) {
    let customer = world.customer("alice", FUNDS).await;
    let wallet = customer.wallet();
    world.network.schedule([]);
    wallet
        .withdraw(&world.parties().bank, WITHDRAWN)
        .await
        .expect("a withdrawal");
    (world, customer, wallet)
}

/// A wallet that is restored from the customer's words.
pub(super) async fn restored(world: &Arc<World>, customer: &CustomerMachine, name: &str) -> Wallet {
    let wallet = CustomerMachine::with_phrase_of(world, customer, name).wallet();
    let restored = wallet.restore(&world.parties().bank, world.dir()).await;
    restored.expect("the restore");
    wallet
}

/// Begins a purchase that goes as far as it can while `blocked` requests are lost. Returns its number.
pub(super) async fn stuck_purchase(
    world: &World,
    wallet: &Wallet,
    blocked: impl Fn(&Card, &[u8]) -> bool + Send + 'static,
) -> u64 {
    let number = wallet
        .begin_purchase(&world.parties(), ITEM, &picture(world, 1))
        .await
        .expect("an offer");
    world.network.block(blocked);
    let stuck = wallet.drive_purchase(number).await;
    assert!(stuck.as_ref().is_err_and(WalletError::is_silence), "{stuck:?}");
    world.network.unblock();
    number
}

/// Where the goods of a purchase go.
pub fn picture(world: &World, name: impl std::fmt::Display) -> PathBuf {
    world.dir().join(format!("picture-{name}.png"))
}

/// Whether a request asks the merchant to release the key.
pub fn is_delivery(card: &Card, request: &[u8]) -> bool {
    card.role == RoleName::Merchant
        && matches!(MerchantRequest::decode(request), Ok(MerchantRequest::Deliver(_)))
}

/// Whether a request asks the bank to finish a withdrawal from a reserve.
pub fn finishes_a_reserve_withdrawal(card: &Card, request: &[u8]) -> bool {
    card.role == RoleName::Bank && matches!(BankRequest::decode(request), Ok(BankRequest::ReserveFinish(_)))
}

/// Whether a request asks the bank to hold coins.
pub fn is_hold_at_bank(card: &Card, request: &[u8]) -> bool {
    card.role == RoleName::Bank && matches!(BankRequest::decode(request), Ok(BankRequest::Hold(_)))
}

/// Whether a request is a customer's to the escrow.
pub fn is_customers_at_escrow(card: &Card, request: &[u8]) -> bool {
    use EscrowRequest::{Cancel, Hold, Outcome, Pay};
    card.role == RoleName::Escrow
        && matches!(
            EscrowRequest::decode(request),
            Ok(Hold(_) | Pay(_) | Outcome(_) | Cancel(_))
        )
}

/// A whole day, or the rest of it.
pub async fn day(world: &World, wallet: &Wallet, mode: Mode, amount: Amount) {
    withdraw(wallet, &world.parties(), amount).await;
    if mode == Mode::Pay {
        return pay(world, wallet).await;
    }
    if let Some(silence) = mode.silence() {
        world.network.block(silence);
        cancelled_purchase(world, wallet).await;
        world.network.unblock();
    }
    match mode {
        Mode::Stream => watch(world, wallet).await,
        _ => buy(world, wallet).await,
    }
    let due = owed(wallet);
    assert_eq!(due, Amount(0), "money: the change of a purchase is not received");
    if matches!(mode, Mode::Sealed | Mode::SealedCancel | Mode::SealedChange) {
        // Until the merchant has asked for its sales.
        sleep(Duration::from_millis(SALES_ASKED_EVERY_MS)).await;
    }
}

/// Withdraws, unless that was done.
pub async fn withdraw(wallet: &Wallet, parties: &Parties, amount: Amount) {
    for _ in 0..TRIES_MAX {
        let resumed = resume(wallet).await;
        if resumed
            .open
            .iter()
            .any(|(matter, _)| matter.starts_with("withdrawal"))
        {
            continue;
        }
        if !wallet.coins().expect("the coins").is_empty() {
            return;
        }
        silent_at_worst(wallet.withdraw(&parties.bank, amount).await);
    }
    panic!("progress: the withdrawal does not get on");
}

/// Begins a purchase that cannot end, and cancels it.
async fn cancelled_purchase(world: &World, wallet: &Wallet) {
    for _ in 0..TRIES_MAX {
        let first = wallet.purchases().expect("the purchases").into_iter().next();
        match first.map(|(number, row)| (number, row.purchase.status())) {
            None => {
                let output = picture(world, "cancelled");
                silent_at_worst(wallet.begin_purchase(&world.parties(), ITEM, &output).await);
            }
            Some((number, "fetching" | "holding" | "held")) => {
                if let Ok(driven) = timeout(IMPATIENCE, wallet.drive_purchase(number)).await {
                    silent_at_worst(driven);
                }
                let row = wallet.purchase(number).expect("the purchase");
                if matches!(row.purchase.status(), "fetching" | "holding" | "held") {
                    silent_at_worst(wallet.cancel(number).await);
                }
            }
            Some((_, "committed")) => {
                panic!(
                    "goods: a purchase was committed whose key was never released, or whose coins were never held"
                )
            }
            Some((number, _)) => {
                // Another purchase may be open already. The silent merchant stops it.
                let matter = format!("purchase {number}");
                if resume(wallet).await.open.iter().all(|(open, _)| *open != matter) {
                    return;
                }
            }
        }
    }
    panic!("progress: the cancel does not get on");
}

/// Buys, unless that was done.
pub async fn buy(world: &World, wallet: &Wallet) {
    let is_bought = |purchase: &Purchase| purchase.status() == "committed";
    until(wallet, is_bought, async |number| {
        let output = picture(world, number);
        silent_at_worst(wallet.buy(&world.parties(), ITEM, &output).await);
    })
    .await;
}

/// Begins again, while nothing is under way, until a purchase is as it should be. `begin` gets the number of purchases so far.
async fn until(wallet: &Wallet, is_done: impl Fn(&Purchase) -> bool, begin: impl AsyncFn(usize)) {
    for _ in 0..TRIES_MAX {
        if !resume(wallet).await.open.is_empty() {
            continue;
        }
        let purchases = wallet.purchases().expect("the purchases");
        if purchases.iter().any(|(_, row)| is_done(&row.purchase)) {
            return;
        }
        begin(purchases.len()).await;
    }
    panic!("progress: the purchase does not get on");
}

/// Watches a part of the stream, unless that was done. What was not watched comes back. What is paid for and was not seen is
/// seen at last.
pub async fn watch(world: &World, wallet: &Wallet) {
    let is_watched = |purchase: &Purchase| purchase.committed_ticks().is_some();
    until(wallet, is_watched, async |_| {
        let watched = watch_once(world, wallet).await;
        if let Ok(seen) = &watched {
            let row = wallet.purchase(seen.number).expect("the purchase");
            let paid = row.purchase.committed_ticks();
            assert_eq!(
                paid.unwrap_or_default(),
                seen.ticks,
                "goods: ticks were paid for and not seen: {:?}",
                seen.end
            );
        }
        silent_at_worst(watched);
    })
    .await;
    see_the_rest(world, wallet).await;
}

/// Watches a part of the stream once, however that ends. What is under way then ends when the dates have passed. Needs coins.
pub async fn late_day(world: &World, wallet: &Wallet) {
    if wallet.purchases().expect("the purchases").is_empty() {
        silent_at_worst(watch_once(world, wallet).await);
    }
    sleep(UNTIL_AFTER_THE_DEADLINE + A_WHILE).await;
    for _ in 0..TRIES_MAX {
        if resume(wallet).await.open.is_empty() {
            return see_the_rest(world, wallet).await;
        }
    }
    panic!("progress: the dates have passed, and the purchase does not get on");
}

/// Takes the ticks of ended streams that were paid for and not seen, as the customer had died.
async fn see_the_rest(world: &World, wallet: &Wallet) {
    let unseen = |row: &PurchaseRow| wallet.unseen_ticks(row).expect("the held ticks");
    for (number, row) in wallet.purchases().expect("the purchases") {
        let missing = unseen(&row);
        if missing > 0 {
            let mut viewer = Viewer::new(world, wallet);
            let seen = wallet.watch_on(number, limits(), &mut viewer).await;
            let seen = seen.expect("nobody is asked");
            assert_eq!((seen.ticks, seen.end), (missing, WatchEnd::EndedBefore));
            assert_eq!(unseen(&row), 0, "goods: ticks that were seen are held");
        }
    }
}

/// Pays into the account, pays another customer, and requests a payment, unless that was done.
pub async fn pay(world: &World, wallet: &Wallet) {
    let bank = world.parties().bank;
    let own = wallet.account(&bank.identity).expect("an account");
    let uri = request_of_bob(world);
    for _ in 0..TRIES_MAX {
        if !resume(wallet).await.open.is_empty() {
            continue;
        }
        let payments = wallet.payments().expect("the payments");
        let done = |to: Payee| {
            let is_it = |(_, row): &&(u64, DepositRow)| {
                row.state.has_paid() && row.deposit.outputs.iter().any(|output| output.to == to)
            };
            payments.iter().filter(is_it).count()
        };
        match (done(Payee::Account(own)), done(uri.to)) {
            (0, _) => silent_at_worst(wallet.redeem(&bank, REDEEMED, false).await),
            (1, 0) => silent_at_worst(wallet.pay(&uri, SENT, false).await),
            (1, 1) if wallet.requested().expect("the requests").is_empty() => {
                silent_at_worst(wallet.request(&bank, Some(SENT), "lunch").await);
            }
            (1, 1) => return,
            times => panic!("money: a payment was made more than once: {times:?}"),
        }
    }
    panic!("progress: the payments do not get on");
}

/// The request of another customer, who is offline.
pub fn request_of_bob(world: &World) -> PayUri {
    let bank = world.parties().bank.identity;
    let seed = world.foundation.seed_of("bob").for_bank(&bank);
    let to = Payee::Reserve(seed.reserve_key(0).public());
    PayUri::new(bank, to, Some(SENT), "lunch").expect("a short text")
}

/// Carries on everything. All parties are honest, so the only error is a late reply.
async fn resume(wallet: &Wallet) -> Resumed {
    let resumed = wallet.resume().await.expect("the wallet resumes");
    let silent = |(_, error): &(String, WalletError)| error.is_silence();
    assert!(resumed.open.iter().all(silent), "{:?}", resumed.open);
    resumed
}

fn silent_at_worst<T>(outcome: Result<T, WalletError>) {
    if let Err(error) = outcome {
        assert!(error.is_silence(), "{error}");
    }
}
