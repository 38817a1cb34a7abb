//! A random campaign: from one seed come a world, its customers and all faults. At the end everything is repaired,
//! everyone retries, and every invariant is checked.

use super::{
    check::Findings,
    dice::Dice,
    foundation::Population,
    machine::Life,
    shopper::{self, Shopper},
    trouble,
    weather::Weather,
    world::World,
};
use farthing_client::wallet::Wallet;
use farthing_protocol::money::Amount;
use farthing_store::clock::Clock;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::task::JoinSet;

/// Rounds of retries after the repair. What is still open after them is stuck.
const ROUNDS_MAX: usize = 40;

/// Pause between two rounds. All pauses together are longer than any deadline is ahead.
const ROUND_PAUSE: Duration = Duration::from_secs(45 * 60);

/// Rounds after which the operators read their logs and confirm that the clocks are right.
const ROUNDS_ALONE: usize = 4;

/// Upper bound of a message's time on its way: late, slow, and waiting for a slow disk. One exception: a message that
/// arrives again.
const ON_ITS_WAY: Duration = Duration::from_secs(60);

/// Upper bound of merchants in a campaign.
const MERCHANTS_MAX: usize = 3;

/// Seed part of the dice that decide whose offers are sealed.
const SEALING: u64 = 0x5EA1;

/// Pieces of bad input that every server gets at the end.
const BAD_INPUTS: usize = 20;

/// The result of a campaign.
#[derive(Debug, Clone)]
pub struct CampaignResult {
    /// Broken invariants.
    pub findings: Findings,
    /// Purchases that were committed.
    pub committed: u64,
    /// Purchases that were aborted or dropped.
    pub aborted: u64,
    /// Messages that were sent.
    pub messages: u64,
    /// Faults of messages, and troubles of machines, by kind.
    pub faults: BTreeMap<String, u64>,
    /// The trace.
    pub trace: String,
}

/// Runs the campaign of this seed. Needs tokio's paused time and a `LocalSet`.
pub async fn campaign(seed: u64) -> CampaignResult {
    campaign_of(seed, false).await
}

/// Runs the campaign of this seed, with wallets that use a relay.
pub async fn relayed_campaign(seed: u64) -> CampaignResult {
    campaign_of(seed, true).await
}

async fn campaign_of(seed: u64, relayed: bool) -> CampaignResult {
    let dice = Dice::new(seed);
    // Separate dice: the other dice then give the same results as before there were sealed offers.
    let sealing = Dice::new(seed ^ SEALING);
    let population = Population {
        escrows: 1 + dice.below(3) as usize,
        prices: (0..=dice.below(3)).map(|_| Amount(1 + dice.below(900))).collect(),
        goods_bytes: dice.one_of(&[0, 1, 1_000, 20_000]),
        sealed: (0..MERCHANTS_MAX).filter(|_| sealing.percent(40)).collect(),
        streams: Default::default(),
        relayed,
    };
    let world = World::of(seed, population).await;
    let mut shoppers = Vec::new();
    for number in 0..2 + dice.below(4) {
        let name = format!("shopper-{number}");
        let customer = world.customer(&name, shopper::FUNDS).await;
        shoppers.push(Shopper::new(name, customer, dice.any()));
    }
    world.network.schedule([]);
    let mut faults = chaos(&world, &mut shoppers, &dice).await;
    heal(&world).await;
    let wallets = everyone_retries(&world, &shoppers).await;
    let mut findings = world.findings(&wallets.iter().collect::<Vec<_>>()).await;
    for shopper in &shoppers {
        findings.safety.extend(shopper.surprises());
    }
    if findings == Findings::default() {
        findings.safety = world.send_bad_input(&dice, BAD_INPUTS).await;
    }
    let sent = world.network.sent();
    for fault in sent.iter().filter_map(|message| message.fault) {
        *faults.entry(format!("{fault:?}")).or_default() += 1;
    }
    let (committed, aborted) = ends(&wallets);
    CampaignResult {
        findings,
        committed,
        aborted,
        messages: sent.len() as u64,
        faults,
        trace: world.network.trace.to_string(),
    }
}

/// Customers shop under faults. Returns the counts of troubles.
async fn chaos(world: &Arc<World>, shoppers: &mut Vec<Shopper>, dice: &Dice) -> BTreeMap<String, u64> {
    let (per_mille, slow_ms) = (
        dice.one_of(&[0, 10, 30, 80, 150]),
        dice.one_of(&[3, 30, 300, 3_000]),
    );
    let minutes = 2 + dice.below(20);
    let weather = Weather::new(dice.any(), per_mille, slow_ms);
    world.network.set_weather(Some(weather));
    let trace = &world.network.trace;
    trace.note(format!(
        "{minutes} minutes, {per_mille} of 1000 messages meet a fault, each takes up to {slow_ms} ms"
    ));
    let (mut shopping, open_hours) = (JoinSet::new(), Life::default());
    for mut shopper in shoppers.drain(..) {
        let (world, open_hours) = (world.clone(), open_hours.clone());
        shopping.spawn_local(async move {
            open_hours.run(shopper.shop(&world)).await;
            shopper
        });
    }
    let end = tokio::time::Instant::now() + Duration::from_secs(60 * minutes);
    let counted = trouble::trouble(world, dice, end).await;
    world.network.trace.note("the shops close");
    open_hours.end();
    shoppers.extend(shopping.join_all().await);
    shoppers.sort_by(|one, other| one.name.cmp(&other.name));
    counted
}

/// Repairs everything. Starts every server that is down, and restarts those whose disk had failed.
async fn heal(world: &World) {
    // The faults of messages under way happen before this, so nobody dies of one later.
    world.network.heal();
    tokio::time::sleep(ON_ITS_WAY).await;
    world.heal();
    world
        .network
        .set_weather(Some(Weather::new(world.foundation.seed, 0, 1)));
    for party in world.servers() {
        world.stop(party);
        world.start(party).await;
    }
    world.network.trace.note("all is well again");
}

async fn everyone_retries<'s>(world: &World, shoppers: &'s [Shopper]) -> Vec<Wallet> {
    let with_wallets = |shopper: &'s Shopper| shopper.customers.iter().map(move |it| (shopper, it.wallet()));
    let wallets: Vec<(&Shopper, Wallet)> = shoppers.iter().flat_map(with_wallets).collect();
    for round in 0..ROUNDS_MAX {
        let mut open = Vec::new();
        for (shopper, wallet) in &wallets {
            open.extend(shopper.retry(world, wallet, round).await);
        }
        if open.is_empty() && world.try_settle().await {
            break;
        }
        world.network.trace.note(format!("still open: {open:?}"));
        if round == ROUNDS_ALONE {
            operators_accept_the_clocks(world).await;
        }
        tokio::time::sleep(ROUND_PAUSE).await;
    }
    wallets.into_iter().map(|(_, wallet)| wallet).collect()
}

/// The steps in OPERATIONS.md for the operator of an escrow whose clock was wrong.
async fn operators_accept_the_clocks(world: &World) {
    for number in 0..world.foundation.population.escrows {
        let accepted = world.escrow(number).accept_clock().await;
        let now_ms = world.clock.now_ms();
        world.network.trace.note(format!(
            "escrow-{number} accepts its clock, {now_ms}: {accepted:?}"
        ));
    }
}

fn ends(wallets: &[Wallet]) -> (u64, u64) {
    let mut ends = (0, 0);
    for wallet in wallets {
        for (_, row) in wallet.purchases().expect("the purchases") {
            match row.purchase.status() {
                "committed" => ends.0 += 1,
                _ => ends.1 += 1,
            }
        }
    }
    ends
}
