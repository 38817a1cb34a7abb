//! The lines between any two parties, each through a relay that can lose, repeat, reorder, delay and cut.
//!
//! A party knows another by its card: its keys, which are pinned, and an address, which may be a relay's. So every
//! line of a world can be faulted from outside, and no code of a wallet or a node takes part in it.

use farthing_kit::{
    faults::Faults,
    relay::{Gate, Relay, Way},
};
use farthing_node::card::{Card, RoleName};
use std::sync::Arc;
use tokio::runtime::Runtime;

/// Both directions of a line.
pub const WAYS: [Way; 2] = [Way::ToServer, Way::ToClient];

/// The lines between the nodes, which dials whom: everything that one of them ever asks another goes over these.
pub const BETWEEN_NODES: [(RoleName, RoleName); 4] = [
    (RoleName::Escrow, RoleName::Bank),
    (RoleName::Merchant, RoleName::Escrow),
    (RoleName::Merchant, RoleName::Bank),
    (RoleName::Bank, RoleName::Escrow),
];

/// The longest that a datagram on a bad line takes (ms), those that are overtaken apart.
const BAD_LINE_MS: u64 = 5;

/// A line that loses, repeats and reorders `percent` of its datagrams each, and takes different times for all of them.
pub fn bad(percent: u8, seed: u64) -> Faults {
    Faults {
        seed,
        lose_percent: percent,
        repeat_percent: percent,
        reorder_percent: percent,
        delay_ms: 0,
        jitter_ms: BAD_LINE_MS,
    }
}

fn relay(runtime: &Runtime, card: &Card) -> Relay {
    runtime.block_on(Relay::start(card.address)).expect("a relay")
}

/// Makes a line bad in both directions, each by its own draws.
pub fn spoil(line: &Relay, percent: u8, seed: u64) {
    line.set_faults(Way::ToServer, bad(percent, seed));
    line.set_faults(Way::ToClient, bad(percent, !seed));
}

/// The lines through which a customer reaches the nodes. Without any she dials them herself.
#[derive(Debug)]
pub struct Lines {
    relays: Vec<(RoleName, Relay)>,
    // Dropped last: the relays live on it.
    _runtime: Arc<Runtime>,
}

impl Lines {
    /// A line to each of these nodes.
    pub fn open(runtime: &Arc<Runtime>, cards: &[&Card]) -> Lines {
        let relays = cards.iter().map(|card| (card.role, relay(runtime, card)));
        Lines {
            relays: relays.collect(),
            _runtime: Arc::clone(runtime),
        }
    }

    fn find(&self, role: RoleName) -> Option<&Relay> {
        let found = self.relays.iter().find(|(of, _)| *of == role);
        found.map(|(_, relay)| relay)
    }

    /// The line to the node of this role.
    pub fn to(&self, role: RoleName) -> &Relay {
        self.find(role).expect("a line to each")
    }

    /// Every line.
    pub fn all(&self) -> impl Iterator<Item = &Relay> {
        self.relays.iter().map(|(_, relay)| relay)
    }

    /// The card under which she knows the node: its keys, and the line's address.
    pub fn card(&self, card: &Card) -> Card {
        let address = self.find(card.role).map_or(card.address, Relay::address);
        Card {
            address,
            ..card.clone()
        }
    }

    /// From now on these nodes are reached, but hear no request.
    pub fn lose_requests_to(&self, roles: &[RoleName]) {
        for role in roles {
            self.to(*role).set_gate(Way::ToServer, Gate::Handshakes);
        }
    }

    /// From now on these nodes hear her, and their answers are lost.
    pub fn lose_answers_of(&self, roles: &[RoleName]) {
        for role in roles {
            self.to(*role).set_gate(Way::ToClient, Gate::Handshakes);
        }
    }

    /// Nothing more is lost.
    pub fn heal(&self) {
        self.all().for_each(Relay::heal);
    }
}

/// The lines between the nodes.
#[derive(Debug)]
pub struct NodeLines {
    relays: Vec<((RoleName, RoleName), Relay)>,
    // Dropped last: the relays live on it.
    _runtime: Arc<Runtime>,
}

impl NodeLines {
    /// The lines between the nodes of these cards; none if they dial each other directly.
    pub fn open(runtime: &Arc<Runtime>, directly: bool, cards: &[&Card]) -> NodeLines {
        let card = |role| cards.iter().find(|card| card.role == role).expect("a card");
        let pairs = if directly { &[][..] } else { &BETWEEN_NODES };
        let relays = pairs.iter().map(|pair| (*pair, relay(runtime, card(pair.1))));
        NodeLines {
            relays: relays.collect(),
            _runtime: Arc::clone(runtime),
        }
    }

    fn find(&self, pair: (RoleName, RoleName)) -> Option<&Relay> {
        let found = self.relays.iter().find(|(of, _)| *of == pair);
        found.map(|(_, relay)| relay)
    }

    /// The line over which `from` asks `to`.
    pub fn between(&self, from: RoleName, to: RoleName) -> &Relay {
        self.find((from, to)).expect("a line for these")
    }

    /// Every line.
    pub fn all(&self) -> impl Iterator<Item = &Relay> {
        self.relays.iter().map(|(_, relay)| relay)
    }

    /// The card under which `from` knows the node of `card`.
    pub fn card(&self, from: RoleName, card: &Card) -> Card {
        let address = self.find((from, card.role)).map_or(card.address, Relay::address);
        Card {
            address,
            ..card.clone()
        }
    }
}
