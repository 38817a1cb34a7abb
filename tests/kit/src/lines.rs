//! The lines between parties, each of which can lose, repeat, reorder, delay and cut.
//!
//! A party knows another by its card: the pinned keys and an address, which may be a line's. So every line
//! can be faulted from outside, and no code of a wallet or a node takes part in it.

use crate::{
    line::{Gate, Line, Way},
    points::Party,
    process::{ProcessError, io},
};
use farthing_node::card::{Card, RoleName};
use std::collections::BTreeMap;
use std::io::ErrorKind;

/// The lines between the nodes, by asker and asked node. All requests between nodes go over these lines.
pub const BETWEEN_NODES: [(RoleName, RoleName); 4] = [
    (RoleName::Escrow, RoleName::Bank),
    (RoleName::Merchant, RoleName::Escrow),
    (RoleName::Merchant, RoleName::Bank),
    (RoleName::Bank, RoleName::Escrow),
];

/// A set of lines, each by asker and asked node. Without a line, the asker dials the node itself.
#[derive(Debug, Default)]
pub struct Lines(BTreeMap<(Party, RoleName), Line>);

impl Lines {
    /// A line from a wallet to each of these nodes. Any number of wallets may share it.
    ///
    /// # Errors
    /// When no socket can be opened.
    pub async fn of_wallet(cards: &[&Card]) -> Result<Lines, ProcessError> {
        Self::open(cards.iter().map(|card| (Party::Wallet, *card)).collect()).await
    }

    /// The lines between these nodes.
    ///
    /// # Errors
    /// When no socket can be opened.
    pub async fn between_nodes(cards: [&Card; 3]) -> Result<Lines, ProcessError> {
        let mut pairs = Vec::new();
        for card in cards {
            let askers = BETWEEN_NODES.iter().filter(|(_, to)| *to == card.role);
            pairs.extend(askers.map(|(from, _)| (Party::Node(*from), card)));
        }
        Self::open(pairs).await
    }

    /// The lines of wallets that use a relay: from a wallet to each node and to the relay, and from the relay to each node.
    ///
    /// # Errors
    /// When no socket can be opened.
    pub async fn through(relay: &Card, cards: [&Card; 3]) -> Result<Lines, ProcessError> {
        let wallet = cards.into_iter().chain([relay]).map(|card| (Party::Wallet, card));
        let relayed = cards.map(|card| (Party::Node(RoleName::Relay), card));
        Self::open(wallet.chain(relayed).collect()).await
    }

    async fn open(pairs: Vec<(Party, &Card)>) -> Result<Lines, ProcessError> {
        let mut opened = BTreeMap::new();
        for (asker, card) in pairs {
            let address = card.address.only_ip().ok_or(ErrorKind::Unsupported.into());
            let address = address.map_err(io("a line to other than one IP address"))?;
            let line = Line::start(address).await.map_err(io("a line"))?;
            opened.insert((asker, card.role), line);
        }
        Ok(Lines(opened))
    }

    /// The line from `asker` to the node of this role.
    #[must_use]
    pub fn find(&self, asker: Party, server: RoleName) -> Option<&Line> {
        self.0.get(&(asker, server))
    }

    /// The wallet's line to the node of this role.
    ///
    /// # Panics
    /// When there is no line.
    #[must_use]
    pub fn to(&self, server: RoleName) -> &Line {
        self.must_find(Party::Wallet, server)
    }

    /// The line from the node of role `from` to the node of role `to`.
    ///
    /// # Panics
    /// When there is no line.
    #[must_use]
    pub fn between(&self, from: RoleName, to: RoleName) -> &Line {
        self.must_find(Party::Node(from), to)
    }

    #[allow(clippy::expect_used, reason = "a test faults only lines that it has opened")]
    fn must_find(&self, asker: Party, server: RoleName) -> &Line {
        self.find(asker, server).expect("the line was opened")
    }

    /// Every line.
    pub fn all(&self) -> impl Iterator<Item = &Line> {
        self.0.values()
    }

    /// The card under which `asker` knows the node of `card`: its keys, with the line's address.
    #[must_use]
    pub fn card(&self, asker: Party, card: &Card) -> Card {
        let line = self.find(asker, card.role);
        Card {
            address: line.map_or_else(|| card.address.clone(), |line| line.address().into()),
            ..card.clone()
        }
    }

    /// The lines on which wallets' requests reach this node: the wallet's own, and the relay's, if there is one.
    fn for_wallets(&self, server: RoleName) -> impl Iterator<Item = &Line> {
        let relayed = self.find(Party::Node(RoleName::Relay), server);
        std::iter::once(self.to(server)).chain(relayed)
    }

    /// Lets connections of the wallet reach these nodes from now on, but no request.
    pub fn lose_requests_to(&self, servers: &[RoleName]) {
        self.gate(servers, Way::ToServer);
    }

    /// Lets these nodes hear the wallet from now on, but loses their replies.
    pub fn lose_answers_of(&self, servers: &[RoleName]) {
        self.gate(servers, Way::ToClient);
    }

    fn gate(&self, servers: &[RoleName], way: Way) {
        for line in servers.iter().flat_map(|server| self.for_wallets(*server)) {
            line.set_gate(way, Gate::Handshakes);
        }
    }

    /// The number of datagrams with this node's replies to wallets that were lost.
    #[must_use]
    pub fn lost_answers_of(&self, server: RoleName) -> u64 {
        let lines = self.for_wallets(server);
        lines.map(|line| line.counts(Way::ToClient).dropped).sum()
    }

    /// Stops all losses.
    pub fn heal(&self) {
        self.all().for_each(Line::heal);
    }
}
