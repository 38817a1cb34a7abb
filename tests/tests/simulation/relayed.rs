//! Wallets that use a relay: days with faults at the messages of wallet, relay and servers, and campaigns.

use farthing_client::rows::Delivery;
use farthing_node::network::Lane;
use farthing_protocol::api::{RelayRequest, TargetRequest};
use farthing_simulation::{
    campaign::relayed_campaign,
    customer::CustomerMachine,
    fault::Fault,
    foundation::{ITEM, Population},
    local,
    network::{MUCH_LATER, PARTITION},
    party::Party,
    schedule::{FUNDS, WITHDRAWN},
    shopping::picture,
    world::World,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Campaigns of every run.
const SEEDS: std::ops::Range<u64> = 0..12;

/// The most connections of a relay to one server.
const CONNECTIONS: usize = 4;

#[test]
fn campaigns_with_a_relay() {
    for seed in SEEDS {
        let outcome = local(relayed_campaign(seed));
        if !outcome.findings.safety.is_empty() || !outcome.findings.progress.is_empty() {
            println!("seed {seed}:\n{}", outcome.trace);
        }
        outcome.findings.expect_none();
        println!(
            "seed {seed}: {} committed, {} aborted, {} messages",
            outcome.committed, outcome.aborted, outcome.messages
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_trace_with_a_relay() {
    for seed in [0, 3] {
        let trace = || local(relayed_campaign(seed)).trace;
        let (one, other) = (trace(), trace());
        let differ = one.lines().zip(other.lines()).find(|(one, other)| one != other);
        assert!(one == other, "seed {seed}: {differ:?}");
    }
}

/// Two customers shop. The relay sees who asks which server, and no server sees more than the relay's connections.
#[test]
fn no_connection_to_a_server_is_of_one_wallet() {
    local(async {
        let world = World::of(7, Population::default().relayed()).await;
        world.network.schedule([]);
        let mut wallets = Vec::new();
        for name in ["alice", "bella"] {
            let wallet = world.customer(name, FUNDS).await.wallet();
            let bank = world.parties().bank;
            wallet.withdraw(&bank, WITHDRAWN).await.expect("a withdrawal");
            for number in 0..2 {
                let output = picture(&world, format!("{name}-{number}"));
                let bought = wallet.buy(&world.parties(), ITEM, &output).await;
                bought.expect("a purchase");
            }
            wallets.push(wallet);
        }
        world.check(&wallets.iter().collect::<Vec<_>>()).await;
        let sent = world.network.sent();
        let of_wallets = sent.iter().filter(|it| matches!(it.from, Party::Customer(_)));
        let mut connections: BTreeMap<Party, BTreeSet<u64>> = BTreeMap::new();
        let mut asked = BTreeMap::new();
        for message in of_wallets.filter(|it| it.lane != Lane::Identified) {
            assert_eq!(message.to, Party::Relay);
            connections
                .entry(message.from)
                .or_default()
                .insert(message.connection);
            if let Ok(RelayRequest::Forward(forward)) = RelayRequest::decode(&message.request) {
                asked.insert(forward.request.body, message.from);
            }
        }
        assert!(connections.values().all(|of_wallet| of_wallet.len() == 1));
        let mut askers: BTreeMap<(Party, u64), BTreeSet<Party>> = BTreeMap::new();
        for message in sent.iter().filter(|it| it.from == Party::Relay) {
            assert_eq!(message.lane, Lane::Relayed);
            let askers = askers.entry((message.to, message.connection)).or_default();
            if let Ok(TargetRequest::Forward(request)) = TargetRequest::decode(&message.request) {
                askers.insert(asked[&request.body]);
            }
        }
        for server in [Party::Bank, Party::Escrow(0), Party::Merchant(0)] {
            let of_server: Vec<_> = askers.iter().filter(|((to, _), _)| *to == server).collect();
            assert!(of_server.len() <= CONNECTIONS, "{server}: {of_server:?}");
        }
        // Which wallet uses which connection is drawn at random, so some connection is of both.
        assert!(askers.values().any(|askers| askers.len() > 1), "{askers:?}");
        // Nothing by which a connection is known reaches a server's disk: not the address and not the name of anyone.
        let opened = world.network.all_opened();
        assert!(
            opened
                .iter()
                .all(|it| it.from == Party::Relay && it.lane == Lane::Anonymous)
        );
        assert!(!opened.is_empty());
    });
}

/// A world in which a customer with a relay has bought something, and the customer.
async fn bought() -> (Arc<World>, CustomerMachine) {
    let population = Population {
        goods_bytes: 2_000,
        ..Population::default()
    };
    let world = World::of(8, population.relayed()).await;
    let customer = world.customer("alice", FUNDS).await;
    let wallet = customer.wallet();
    let bank = world.parties().bank;
    wallet.withdraw(&bank, WITHDRAWN).await.expect("a withdrawal");
    let bought = wallet
        .buy(&world.parties(), ITEM, &picture(&world, "first"))
        .await;
    bought.expect("a purchase");
    wallet.close().expect("the wallet closes");
    (world, customer)
}

/// Runs `errand` in copies of the same world, once without a fault, and then with each fault at each message.
fn with_each_fault(
    step: usize,
    errand: impl AsyncFn(&Arc<World>, &CustomerMachine, Option<(u64, Fault)>) -> u64,
) {
    local(async {
        let (world, customer) = bought().await;
        let run = async |fault: Option<(u64, Fault)>| {
            let world = world.fork().await;
            let customer = customer.fork(&world, "alice");
            let _told = world.network.trace.told_on_panic();
            errand(&world, &customer, fault).await
        };
        let messages = run(None).await;
        let kinds = Fault::LEAVING_THE_SENDER;
        let faults = (0..messages).flat_map(|number| kinds.map(|fault| (number, fault)));
        let faults: Vec<_> = faults.step_by(step).collect();
        println!("{} schedules over {messages} messages", faults.len());
        for fault in faults {
            run(Some(fault)).await;
        }
    });
}

async fn wait_for_late_messages(world: &World, fault: Option<(u64, Fault)>) {
    if fault.is_some_and(|(_, fault)| matches!(fault, Fault::RepeatLate | Fault::Partition)) {
        tokio::time::sleep(MUCH_LATER + PARTITION).await;
    }
    world.heal();
}

#[test]
fn single_faults_of_an_exchange_through_a_relay() {
    with_each_fault(1, async |world, customer, fault| {
        let wallet = customer.wallet();
        world.network.schedule(fault);
        let coins = wallet.present_coins().expect("the coins");
        let largest = coins.into_iter().max_by_key(|row| row.value).expect("a coin");
        let exchanged = wallet.exchange(vec![largest]).await;
        assert!(
            exchanged
                .as_ref()
                .map_or_else(|error| error.is_silence(), |_| true),
            "{exchanged:?}"
        );
        let messages = world.network.messages();
        wait_for_late_messages(world, fault).await;
        let resumed = wallet.resume().await.expect("the wallet resumes");
        assert!(resumed.open.is_empty(), "{:?}", resumed.open);
        world.check(&[&wallet]).await;
        messages
    });
}

#[test]
fn single_faults_of_a_restore_through_a_relay() {
    with_each_fault(5, async |world, customer, fault| {
        let before = customer.wallet().balances().expect("balances");
        let wallet = CustomerMachine::with_phrase_of(world, customer, "again").wallet();
        world.network.schedule(fault);
        let bank = world.parties().bank;
        let mut restored = wallet.restore(&bank, world.dir()).await;
        let messages = world.network.messages();
        while let Err(error) = restored {
            assert!(error.is_silence(), "{error}");
            restored = wallet.restore(&bank, world.dir()).await;
        }
        wait_for_late_messages(world, fault).await;
        let resumed = wallet.resume().await.expect("the wallet resumes");
        assert!(resumed.open.is_empty(), "{:?}", resumed.open);
        assert_eq!(wallet.balances().expect("balances"), before);
        for (number, row) in wallet.purchases().expect("the purchases") {
            if row.delivery == Delivery::OnDemand {
                wallet
                    .drive_purchase(number)
                    .await
                    .expect("a purchase of the past ends as it had ended");
            }
        }
        world.check(&[&wallet]).await;
        messages
    });
}
