//! Whether the wallet's parties can be reached, and how far away they are.

use crate::{error::WalletError, wallet::Wallet};
use farthing_node::{
    card::{Card, RoleName},
    network::{Channel, Lane, Network, NetworkError},
};
use futures_util::future::join_all;
use std::time::Duration;
use tokio::time::Instant;

/// What was found out about one party.
#[derive(Debug)]
pub struct PartyCheck {
    /// The party.
    pub card: Card,
    /// The round trip to it on a connection of its own, or why it cannot be reached.
    pub direct: Result<Duration, NetworkError>,
    /// The same through the relay. `None` without a relay, and for a relay itself.
    pub relayed: Option<Result<Duration, NetworkError>>,
}

impl PartyCheck {
    /// The result on the way that the wallet uses for anonymous requests.
    pub fn used(&self) -> &Result<Duration, NetworkError> {
        self.relayed.as_ref().unwrap_or(&self.direct)
    }
}

impl Wallet {
    /// Connects to every party, directly and through the relay, and measures a round trip. Each party sees the network
    /// address of this machine. The parties are asked nothing: they refuse an empty request, and so show that they answer.
    ///
    /// # Errors
    /// When the cards cannot be read.
    pub async fn check_network(&self) -> Result<Vec<PartyCheck>, WalletError> {
        let file = self.network_file()?;
        let has_relay = self.relay()?.is_some();
        let checks = file.cards().iter().map(|card| async move {
            let through = has_relay && card.role != RoleName::Relay;
            let silence = self.env.retry.attempt;
            let (direct, relayed) =
                tokio::join!(round_trip(self.env.network.as_ref(), card, silence), async {
                    match through {
                        true => Some(round_trip(self.network(), card, silence).await),
                        false => None,
                    }
                });
            PartyCheck {
                card: card.clone(),
                direct,
                relayed,
            }
        });
        Ok(join_all(checks).await)
    }
}

/// Connects to the party of `card`, and measures the time of one empty request.
async fn round_trip(network: &dyn Network, card: &Card, silence: Duration) -> Result<Duration, NetworkError> {
    let channel = network.connect(card, Lane::Anonymous).await?;
    let began = Instant::now();
    let _refusal = Channel::call(channel.as_ref(), Vec::new(), silence).await?;
    Ok(began.elapsed())
}
