//! Bytes of a named conversation never occur in an anonymous one. Otherwise they would link a withdrawal to a purchase.

use farthing_node::network::Lane;
use farthing_protocol::money::Amount;
use farthing_simulation::{foundation::ITEM, network::Sent, party::Party, shopping::picture, world::World};
use std::collections::BTreeSet;

/// What both customers have, and withdraw.
const FUNDS: Amount = Amount(2000);

/// How many bytes are no coincidence.
const TELLING_BYTES: usize = 24;

type Windows<'a> = BTreeSet<&'a [u8]>;

/// Two customers withdraw the same and buy the same. Bytes that occur in one customer's named conversation with the
/// bank, and not in the other's, occur nowhere else.
pub async fn what_is_said_under_a_name_is_said_nowhere_else() {
    let world = World::new(51).await;
    world.network.schedule([]);
    for name in ["alice", "bella"] {
        let wallet = world.customer(name, FUNDS).await.wallet();
        let withdrawn = wallet.withdraw(&world.parties().bank, FUNDS).await;
        withdrawn.expect("a withdrawal");
        for number in 1..=2 {
            let output = picture(&world, format!("{name}-{number}"));
            let bought = wallet.buy(&world.parties(), ITEM, &output).await;
            bought.expect("a purchase");
        }
    }
    world.settle().await;
    let sent = world.network.sent();
    let (alice, bella) = (Party::Customer(0), Party::Customer(1));
    let of = |who: Party| windows(&sent, |it| it.lane == Lane::Identified && it.from == who);
    let (alices, bellas) = (of(alice), of(bella));
    let anonymous = windows(&sent, |it| it.lane != Lane::Identified);
    assert!(!alices.is_empty() && !bellas.is_empty() && !anonymous.is_empty());
    for (one, other) in [(&alices, &bellas), (&bellas, &alices)] {
        let link = one.difference(other).find(|window| anonymous.contains(*window));
        assert!(
            link.is_none(),
            "anonymity: an account is joined to what is asked without a name"
        );
    }
}

/// Every run of bytes of these messages and their replies.
fn windows(sent: &[Sent], which: impl Fn(&Sent) -> bool) -> Windows<'_> {
    let messages = sent.iter().filter(|message| which(message));
    let texts = messages.flat_map(|it| it.replies.iter().chain([&it.request]));
    texts.flat_map(|text| text.windows(TELLING_BYTES)).collect()
}
