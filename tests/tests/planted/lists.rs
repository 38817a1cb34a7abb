//! A bank's key lists, as servers keep them.

use crate::strangers::stranger;
use farthing_bank::{
    bank::{Bank, BankParts},
    keys::{BankSettings, Master},
};
use farthing_coin::{Calendar, DenominationSecret, KeyId, KeyList, MAX_EPOCHS, MasterSecret, SecretKey};
use farthing_node::bank_keys::{KEYS_FAILED_MS, KEYS_REFETCH_MS};
use farthing_protocol::{
    limits::REPLY_TIMEOUT,
    refusal::{Later, Refusal},
};
use farthing_simulation::{
    cheats::{HidesKeys, ShowsOtherKeys},
    machine::Death,
    party::Party,
    world::World,
};
use farthing_store::{
    Store, StoreOptions,
    clock::ManualClock,
    disk::MemoryDisk,
    entropy::{Entropy, SeededEntropy},
};
use std::{path::Path, sync::Arc, time::Duration};
use tokio::{task::JoinSet, time::Instant};

/// Coins worth the price.
const EXACT: [u64; 6] = [512, 128, 64, 16, 4, 1];

/// The number of made-up holds that wait at once.
const MADE_UP: u8 = 8;

/// The last epoch is gone.
fn shorter(list: &mut KeyList) {
    list.epochs.pop();
}

/// The last epoch has other keys.
fn forked(list: &mut KeyList) {
    let values = list.values.clone();
    let last = list.epochs.last_mut().expect("an epoch");
    let other = |value: &u64| {
        DenominationSecret::derive(&MasterSecret::from_bytes([66; 32]), *value, last.epoch).public()
    };
    last.keys = values.iter().map(other).collect();
}

/// After a server's restart, the bank shows it another list than before.
async fn after_a_restart(seed: u64, server: Party, change: fn(&mut KeyList)) {
    let world = World::new(seed).await;
    let key = world.foundation.key(Party::Bank);
    world.cheat(Party::Bank, ShowsOtherKeys { key, change });
    world.restart(server, Death::PowerLost).await;
    world.witnessed().await;
    tokio::time::sleep(Duration::from_millis(KEYS_REFETCH_MS + KEYS_FAILED_MS)).await;
    let bank = world.card(Party::Bank).identity;
    let shown = match server {
        Party::Escrow(number) => world.escrow(number).bank_keys().refresh(&bank).await,
        _ => world.merchant(0).bank_keys().refresh(&bank).await,
    };
    let refused = matches!(shown, Err(Refusal::Later(Later::Unavailable(_))));
    assert!(
        refused,
        "anonymity: {server} takes a list of keys that does not continue its own"
    );
}

/// A shorter list, and a forked one, at the escrow.
pub async fn other_keys_for_an_escrow_after_a_restart() {
    after_a_restart(67, Party::Escrow(0), shorter).await;
    after_a_restart(68, Party::Escrow(0), forked).await;
}

/// A shorter list, and a forked one, at the merchant.
pub async fn other_keys_for_a_merchant_after_a_restart() {
    after_a_restart(69, Party::Merchant(0), shorter).await;
    after_a_restart(70, Party::Merchant(0), forked).await;
}

/// Holds with an unknown key, while the bank is silent. All are refused when the first one is.
pub async fn made_up_holds_at_a_silent_bank() {
    let (world, hand) = stranger(45).await;
    let purse = hand.withdraw(&EXACT).await;
    let offer = hand.offer().await;
    world.cheat(Party::Bank, HidesKeys);
    // The list that the escrow has just fetched does not replace a newer one.
    tokio::time::sleep(Duration::from_millis(KEYS_REFETCH_MS)).await;
    let mut holds = Vec::new();
    for number in 0..MADE_UP {
        let mut made_up = purse.and(&purse);
        made_up.coins.truncate(EXACT.len());
        made_up.keys.truncate(EXACT.len());
        made_up.coins[0].key_id = KeyId([number; 32]);
        holds.push(hand.order_of(offer.clone(), &made_up).hold());
    }
    let escrow = world.escrow(0);
    let began = Instant::now();
    let mut asked = JoinSet::new();
    for hold in holds {
        let escrow = escrow.clone();
        asked.spawn(async move { escrow.hold(hold).await.is_err() });
    }
    assert!(asked.join_all().await.into_iter().all(|refused| refused));
    let took = began.elapsed();
    assert!(
        took <= REPLY_TIMEOUT + Duration::from_secs(1),
        "progress: made-up holds queue up behind a silent bank for {} s",
        took.as_secs()
    );
}

/// When the bank of a short calendar begins (ms since 1970).
const BEGINNING_MS: u64 = 20_000 * DAY_MS;

const DAY_MS: u64 = 24 * 3_600_000;

/// A bank whose key list is full starts again.
pub async fn a_full_list_of_keys() {
    let world = World::new(71).await;
    let (disk, clock) = (MemoryDisk::new(), Arc::new(ManualClock::new(BEGINNING_MS)));
    let open = || {
        disk.kill();
        let options = StoreOptions::simulated(disk.clone(), 1);
        let (store, _) = Store::open(Path::new("/bank"), options).expect("the store");
        let seeded: &dyn Entropy = &SeededEntropy::new(1);
        Bank::open(BankParts {
            identity: SecretKey::generate(&mut seeded.rng()),
            master: Master::generate(&mut seeded.rng()),
            settings: BankSettings {
                currency: "FTH".into(),
                calendar: Calendar {
                    epoch_ms: DAY_MS,
                    spend_epochs: 2,
                    redeem_epochs: 1,
                },
                values: vec![1],
            },
            store,
            clock: clock.clone(),
            entropy: Arc::new(SeededEntropy::new(2)),
            network: world.wire(),
            cards: Vec::new(),
        })
    };
    open().await.expect("a bank");
    clock.advance((MAX_EPOCHS as u64 - 2) * DAY_MS);
    let bank = open().await.expect("a bank");
    bank.accept_clock().await.expect("the keys are appended");
    assert_eq!(bank.key_list().epochs, MAX_EPOCHS);
    drop(bank);
    clock.advance(DAY_MS);
    let full = open().await;
    let full = full.is_ok_and(|bank| bank.key_list().full);
    assert!(full, "progress: a bank whose list of keys is full does not start");
}
