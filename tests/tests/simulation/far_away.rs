//! Large goods from a merchant that is far away.

use farthing_protocol::limits::GOODS_PIECE_BYTES;
use farthing_simulation::{
    foundation::{ITEM, Population},
    local,
    schedule::{FUNDS, WITHDRAWN},
    shopping::picture,
    weather::Weather,
    world::World,
};
use std::time::Duration;
use tokio::time::Instant;

/// The pieces of the goods.
const PIECES: u32 = 16;

/// Longest time of a message one way (ms).
const ONE_WAY_MS: u64 = 150;

/// Mean time of a request and its reply.
const ROUND_TRIP: Duration = Duration::from_millis(ONE_WAY_MS);

#[test]
fn several_pieces_of_large_goods_are_under_way_at_once() {
    local(async {
        let population = Population {
            goods_bytes: PIECES as usize * GOODS_PIECE_BYTES - 1000,
            ..Population::default()
        };
        let world = World::of(71, population).await;
        let customer = world.customer("alice", FUNDS).await;
        let wallet = customer.wallet();
        let parties = world.parties();
        wallet.withdraw(&parties.bank, WITHDRAWN).await.expect("coins");
        world.network.set_weather(Some(Weather::new(71, 0, ONE_WAY_MS)));
        let began = Instant::now();
        wallet
            .buy(&parties, ITEM, &picture(&world, 1))
            .await
            .expect("the goods");
        let took = began.elapsed();
        world.network.set_weather(None);
        assert!(
            took < PIECES * ROUND_TRIP,
            "{took:?}: as long as one piece after the other, without the payment"
        );
        world.check(&[&wallet]).await;
    });
}
