//! Stories about what bank, escrow and merchant forget once it is long past. Each panics when a promise is broken, and says which.

use super::{
    customer::CustomerMachine,
    foundation::{ITEM, Population},
    machine::{Death, Machine},
    network::Sent,
    party::Party,
    schedule::{FUNDS, WITHDRAWN},
    server::bank_settings,
    shopping::{
        NEEDS_CHANGE, is_customers_at_escrow, is_delivery, is_hold_at_bank, picture, restored, stuck_purchase,
    },
    world::World,
};
use crate::money::spendable;
use farthing_bank::rows::{COINS, EXCHANGED, PURCHASES, RECOVERY_RECORDS};
use farthing_client::{error::WalletError, wallet::Wallet};
use farthing_escrow::rows::DECISIONS;
use farthing_merchant::rows::SALES;
use farthing_node::card::Card;
use farthing_protocol::{api::BankRequest, ids::PurchaseId, money::Amount};
use farthing_store::{clock::Clock, limits::SCAN_MAX_ROWS};
use std::{ops::Bound, sync::Arc, time::Duration};

/// The escrow that stops while coins are held through it.
const STOPPED: Party = Party::Escrow(0);

/// Longer than the bank waits before it looks whether an epoch more is closed, and than all its rounds take.
pub const A_WHILE: Duration = Duration::from_secs(2 * 60 * 60);

/// After so many epochs the present one is not closed: two in which its coins can be spent, one in which they can be exchanged,
/// four more, and 395 days.
pub const NOT_YET: u64 = 11;

/// After so many it is.
pub const LONG_PAST: u64 = 13;

/// What the bank, the merchant and the escrow that stays up keep, and may forget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kept {
    records: usize,
    coins: usize,
    exchanges: usize,
    purchases: usize,
    decisions: usize,
    sales: usize,
}

fn kept(world: &World) -> Kept {
    kept_by(world, 1)
}

/// What the bank, the merchant and this escrow keep.
fn kept_by(world: &World, escrow: usize) -> Kept {
    let view = world.bank().store().view();
    let records = RECOVERY_RECORDS.scan(&view, Bound::Unbounded, SCAN_MAX_ROWS);
    let coins = COINS.scan(&view, Bound::Unbounded, SCAN_MAX_ROWS);
    let exchanges = EXCHANGED.scan(&view, Bound::Unbounded, SCAN_MAX_ROWS);
    let purchases = PURCHASES.scan(&view, Bound::Unbounded, SCAN_MAX_ROWS);
    let decisions = DECISIONS.scan(
        &world.escrow(escrow).store().view(),
        Bound::Unbounded,
        SCAN_MAX_ROWS,
    );
    let merchant = world.merchant(0);
    let sales = SALES.scan(&merchant.store().view(), Bound::Unbounded, SCAN_MAX_ROWS);
    Kept {
        sales: sales.expect("the sales").len(),
        purchases: purchases.expect("the purchases").len(),
        decisions: decisions.expect("the decisions").len(),
        records: records.expect("the records").len(),
        coins: coins.expect("the coins").len(),
        exchanges: exchanges.expect("the exchanges").len(),
    }
}

/// Whether the first escrow has its decision on this purchase.
pub fn keeps_decision(world: &World, purchase: &PurchaseId) -> bool {
    let decision = DECISIONS.peek(&world.escrow(0).store().view(), purchase);
    decision.expect("the decisions").is_some()
}

async fn audited(world: &World) {
    let audit = world.bank().audit().await.expect("an audit");
    assert!(
        audit.counted_rows && audit.problems.is_empty(),
        "money: {audit:?}"
    );
}

/// Lets epochs pass in which no server runs, then starts all but `except`, and waits.
pub async fn epochs_pass(world: &World, epochs: u64, except: Option<Party>) {
    let servers = world.servers();
    servers.iter().for_each(|party| world.stop(*party));
    let passed_ms = epochs * bank_settings().calendar.epoch_ms;
    world.clock.jump_to(world.clock.now_ms() + passed_ms);
    for party in servers.into_iter().filter(|party| Some(*party) != except) {
        world.start(party).await;
    }
    // As an operator does after a long rest.
    world.bank().accept_clock().await.expect("the keys are appended");
    tokio::time::sleep(A_WHILE).await;
    audited(world).await;
}

/// The wallet withdraws, buys through the escrow that stays up, receives its change, and exchanges a coin.
async fn goes_shopping(world: &World, wallet: &Wallet, name: &str) {
    let parties = world.parties_of(0, 1);
    let before = wallet.present_coins().expect("the coins");
    wallet.withdraw(&parties.bank, WITHDRAWN).await.expect("coins");
    let bought = wallet.buy(&parties, ITEM, &picture(world, name)).await;
    wallet
        .receive_change(bought.expect("the goods"))
        .await
        .expect("the change");
    let mut coins = wallet.present_coins().expect("the coins");
    coins.retain(|coin| !before.contains(coin));
    wallet
        .exchange(coins.split_off(coins.len() - 1))
        .await
        .expect("an exchange");
}

async fn with_two_escrows(seed: u64) -> (Arc<World>, CustomerMachine) {
    let population = Population {
        escrows: 2,
        ..Population::with_price(NEEDS_CHANGE)
    };
    let world = World::of(seed, population).await;
    let customer = world.customer("alice", FUNDS).await;
    (world, customer)
}

/// A customer shops, and years later shops again. The coins of another one are held all the time.
pub async fn what_is_long_past_is_forgotten() {
    let (world, alice) = with_two_escrows(91).await;
    let bob = world.customer("bob", FUNDS).await;
    let (wallet, waiting) = (alice.wallet(), bob.wallet());
    waiting
        .withdraw(&world.parties().bank, WITHDRAWN)
        .await
        .expect("coins");
    world.network.block(is_delivery);
    let held = waiting
        .buy(&world.parties(), ITEM, &picture(&world, "held"))
        .await;
    assert!(held.as_ref().is_err_and(WalletError::is_silence), "{held:?}");
    world.network.unblock();
    let only_held = kept(&world);
    goes_shopping(&world, &wallet, "first").await;
    let first = kept(&world);

    epochs_pass(&world, NOT_YET, Some(STOPPED)).await;
    assert_eq!(kept(&world), first, "evidence: something was forgotten too early");
    goes_shopping(&world, &wallet, "second").await;
    let both = kept(&world);

    epochs_pass(&world, LONG_PAST - NOT_YET, Some(STOPPED)).await;
    let second = Kept {
        records: both.records - (first.records - only_held.records),
        coins: both.coins - (first.coins - only_held.coins),
        // What was withdrawn from the reserve proves its debit.
        exchanges: both.exchanges - (first.exchanges - only_held.exchanges) + 1,
        purchases: both.purchases - (first.purchases - only_held.purchases),
        decisions: both.decisions - first.decisions,
        sales: both.sales - (first.sales - only_held.sales),
    };
    assert_eq!(
        kept(&world),
        second,
        "progress or evidence: not only what is long past is forgotten"
    );
    let found = restored(&world, &alice, "restored").await;
    assert_eq!(
        spendable(&found),
        spendable(&wallet),
        "money: a restore finds less"
    );
    // It learns what epoch it is.
    let bank = world.parties().bank;
    wallet.withdraw(&bank, Amount(100)).await.expect("coins");
    let (had, has) = (wallet.balances(), found.balances());
    assert_eq!(had.expect("the balances")[0].lost, Amount(0));
    assert_eq!(has.expect("the balances")[0].lost, Amount(0));

    // The coins that were held for years are released.
    epochs_pass(&world, 0, None).await;
    drop(waiting.resume().await.expect("the wallet resumes"));
    epochs_pass(&world, LONG_PAST, None).await;
    let nothing = Kept {
        records: 0,
        coins: 0,
        exchanges: 2,
        purchases: 0,
        decisions: 0,
        sales: 0,
    };
    assert_eq!(
        kept(&world),
        nothing,
        "progress: something that is long past stays"
    );
}

/// The bank has forgotten that coins were spent. Its clock goes back to the time when they could be, and a copy of the wallet
/// brings them again.
pub async fn a_clock_that_goes_back_brings_no_spent_coin_back() {
    let (world, alice) = with_two_escrows(92).await;
    let wallet = alice.wallet();
    wallet
        .withdraw(&world.parties().bank, WITHDRAWN)
        .await
        .expect("coins");
    let twin = alice.copy(&world, "twin");
    let coins = wallet.present_coins().expect("the coins");
    wallet.exchange(coins.clone()).await.expect("an exchange");
    epochs_pass(&world, LONG_PAST, None).await;
    assert_eq!(kept(&world).coins, 0);

    let back_ms = (LONG_PAST * bank_settings().calendar.epoch_ms) as i64;
    let wrong = |machine: &Machine| machine.clock.set_wrong_by_ms(-back_ms);
    wrong(&world.machine(Party::Bank));
    wrong(&twin.machine);
    let copy = twin.wallet();
    let refused = copy.exchange(coins).await;
    assert!(
        refused.as_ref().is_err_and(WalletError::is_silence),
        "money: {refused:?}"
    );
    audited(&world).await;
    world.restart(Party::Bank, Death::Killed).await;
    drop(copy.resume().await.expect("the wallet resumes"));
    assert_eq!(
        kept(&world).coins,
        0,
        "money: coins that were used are taken again"
    );
    audited(&world).await;
}

/// The bank forgets no record that is younger than a year. So a scan record of some months names all that it may forget.
pub async fn an_old_scan_record_is_written_again() {
    let (world, alice) = with_two_escrows(93).await;
    let wallet = alice.wallet();
    goes_shopping(&world, &wallet, "first").await;
    epochs_pass(&world, 2, None).await;
    world.network.schedule([]);
    goes_shopping(&world, &wallet, "second").await;
    let is_written = |sent: &Sent| match BankRequest::decode(&sent.request) {
        Ok(BankRequest::Memo(asked)) => sent.to == Party::Bank && asked.body.memo.is_some(),
        _ => false,
    };
    assert_eq!(
        world
            .network
            .sent()
            .iter()
            .filter(|sent| is_written(sent))
            .count(),
        1,
        "restore: the scan record is not written again"
    );
}

/// Wallets come back after years with purchases under way. Their parties have forgotten what became of them. Each purchase ends,
/// and no wallet believes that it has coins which nobody takes.
pub async fn wallets_that_come_back_after_years() {
    let (world, alice) = with_two_escrows(95).await;
    let bank = world.parties().bank;
    let wallet = alice.wallet();
    wallet.withdraw(&bank, WITHDRAWN).await.expect("coins");
    let paid = stuck_purchase(&world, &wallet, is_delivery).await;
    let twin = alice.copy(&world, "twin");
    wallet.drive_purchase(paid).await.expect("the goods");
    let mut late = Vec::new();
    for (name, blocked) in [
        ("held", is_delivery as fn(&Card, &[u8]) -> bool),
        ("unheld", is_hold_at_bank),
        ("unsent", is_customers_at_escrow),
    ] {
        let customer = world.customer(name, FUNDS).await;
        let wallet = customer.wallet();
        wallet.withdraw(&bank, WITHDRAWN).await.expect("coins");
        stuck_purchase(&world, &wallet, blocked).await;
        late.push(wallet);
    }
    late.push(twin.wallet());
    epochs_pass(&world, LONG_PAST, None).await;
    let kept = kept_by(&world, 0);
    assert_eq!(
        (kept.purchases, kept.decisions, kept.sales),
        (0, 0, 0),
        "progress: something that is long past stays"
    );
    for wallet in &late {
        drop(wallet.resume().await.expect("the wallet resumes"));
        let open: Vec<&str> = wallet
            .purchases()
            .expect("the purchases")
            .into_iter()
            .filter(|(_, row)| row.is_under_way())
            .map(|(_, row)| row.purchase.status())
            .collect();
        assert!(open.is_empty(), "progress: a purchase is open for ever: {open:?}");
        let balance = &wallet.balances().expect("the balances")[0];
        let pending = [
            balance.in_purchases,
            balance.in_exchanges,
            balance.in_reserves,
            balance.lost,
        ];
        assert_eq!(pending, [Amount(0); 4], "money: coins that nobody takes");
    }
    let change: Vec<bool> = late.iter().map(|wallet| spendable(wallet) > Amount(0)).collect();
    assert_eq!(
        change,
        [false, false, false, true],
        "money: only the one that has paid has change"
    );
    audited(&world).await;
}

/// Prints what a round of shopping leaves at bank, escrow and merchant, before and after it is forgotten: the bytes of keys and values, by
/// table.
pub async fn rows_of_a_round() {
    let (world, alice) = with_two_escrows(94).await;
    let wallet = alice.wallet();
    let empty = bytes_of_rows(&world);
    goes_shopping(&world, &wallet, "first").await;
    tokio::time::sleep(A_WHILE).await;
    let before = bytes_of_rows(&world);
    epochs_pass(&world, LONG_PAST, None).await;
    let after = bytes_of_rows(&world);
    let bytes = |all: &Bytes, table: &(&str, u8)| all.get(table).copied().unwrap_or(0);
    for table in before.keys() {
        let [empty, before, after] = [&empty, &before, &after].map(|all| bytes(all, table));
        eprintln!(
            "{table:?}: {} bytes, {} after years",
            before - empty,
            after - empty.min(after)
        );
    }
}

/// Bytes by the role and the number of a table.
type Bytes = std::collections::BTreeMap<(&'static str, u8), usize>;

fn bytes_of_rows(world: &World) -> Bytes {
    let (bank, escrow, merchant) = (world.bank(), world.escrow(1), world.merchant(0));
    let stores = [
        ("bank", bank.store()),
        ("escrow", escrow.store()),
        ("merchant", merchant.store()),
    ];
    let bytes = |rows: Vec<(Vec<u8>, Vec<u8>)>| rows.iter().map(|(key, value)| key.len() + value.len()).sum();
    let mut all = Bytes::new();
    for (role, store) in stores {
        for number in 1..=64 {
            let rows = store.view().scan(&[number], Bound::Unbounded, SCAN_MAX_ROWS);
            all.insert((role, number), bytes(rows.expect("rows")));
        }
    }
    all.retain(|_, bytes| *bytes > 0);
    all
}
