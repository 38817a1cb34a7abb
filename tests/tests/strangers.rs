//! What a stranger can send costs no row and no sync, whatever it is and however deep it gets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is how a test fails"
)]

use farthing_coin::Seed;
use farthing_kit::{
    by_hand::ByHand,
    stranger::{Depth, KINDS, Stranger},
};
use farthing_node::card::RoleName::{self, Bank, Escrow, Merchant};
use farthing_protocol::api::{BankRequest, EscrowRequest, MerchantRequest};
use farthing_simulation::world::World;
use farthing_store::entropy::{Entropy, SeededEntropy};
use std::{collections::BTreeSet, path::Path, sync::Arc};

async fn stranger(world: &Arc<World>, number: u64) -> Stranger {
    let parties = world.parties();
    let cards = [parties.bank, parties.escrow, parties.merchant];
    let entropy: &dyn Entropy = &SeededEntropy::new(number);
    let seed = Seed::generate(&mut entropy.rng());
    Stranger::new(ByHand::new(world.wire(), world.clock.clone(), cards, seed)).await
}

/// All bytes that the nodes have written.
fn journals(world: &World) -> Vec<Vec<u8>> {
    let (disks, journal) = (world.disks(), Path::new("/store/journal"));
    let journals = disks.iter().map(|disk| disk.bytes(journal));
    journals.map(|bytes| bytes.expect("a journal")).collect()
}

/// Sends every kind at both depths, and returns the names of those that were written.
async fn written(world: &Arc<World>) -> Vec<String> {
    let stranger = stranger(world, 7).await;
    let mut written = Vec::new();
    for kind in KINDS {
        for depth in [Depth::First, Depth::Deepest] {
            let (lane, request) = kind.request(&stranger, depth);
            let before = journals(world);
            let reply = stranger.hand().send(kind.role, lane, request).await;
            assert!(!reply.is_empty());
            if journals(world) != before {
                written.push(format!("{}, {depth:?}", kind.name));
            }
        }
    }
    written
}

#[tokio::test(start_paused = true)]
async fn nothing_that_a_stranger_sends_is_written() {
    assert_eq!(written(&World::new(81).await).await, Vec::<String>::new());
    assert_eq!(written(&World::sealed(82).await).await, Vec::<String>::new());
}

/// The index of a request in its server's enum: its first four bytes.
fn index(request: &[u8]) -> u32 {
    u32::from_le_bytes(*request.first_chunk().unwrap())
}

/// The requests of bank, escrow and merchant. A later request makes this number wrong, and needs a kind.
const REQUESTS: [(RoleName, u32); 3] = [(Bank, 19), (Escrow, 11), (Merchant, 8)];

#[tokio::test(start_paused = true)]
async fn every_request_of_every_server_has_a_kind() {
    let stranger = stranger(&World::new(83).await, 8).await;
    for (role, count) in REQUESTS {
        let of_role = KINDS.iter().filter(|kind| kind.role == role);
        let indices: BTreeSet<u32> = of_role
            .map(|kind| index(&kind.request(&stranger, Depth::Deepest).1))
            .collect();
        assert_eq!(indices, (0..count).collect(), "{role:?}");
        let next = count.to_le_bytes();
        let says = match role {
            Bank => BankRequest::decode(&next).map(drop),
            Escrow => EscrowRequest::decode(&next).map(drop),
            _ => MerchantRequest::decode(&next).map(drop),
        };
        // An index of a known request would lack its fields, or decode.
        let why = says.unwrap_err().to_string();
        assert!(why.contains("tag") || why.contains("variant"), "{role:?}: {why}");
    }
}
