//! The creation and the start of a node.

use super::administer::OperatorError;
use super::network::reload;
use super::report::Report;
use crate::address::Addresses;
use crate::home::{Home, HomeError};
use crate::peers::Peers;
use crate::server::free_port;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::net::SocketAddr;

/// Chooses a port that is free for UDP and TCP if the address has port 0.
///
/// # Errors
/// [`OperatorError::Listen`].
pub fn with_port(listen: SocketAddr) -> Result<SocketAddr, OperatorError> {
    if listen.port() != 0 {
        return Ok(listen);
    }
    free_port(listen).map_err(|source| OperatorError::Listen { listen, source })
}

/// Stores the addresses that `init` advertises, and returns its report. The last line is the card. `note` is a remark on
/// the node's files, and `others` names the nodes whose cards it needs.
///
/// # Errors
/// When nobody can dial the node's address, or the configuration cannot be written.
pub fn made<C: Serialize + DeserializeOwned>(
    mut home: Home<C>,
    advertise: Option<Addresses>,
    note: &str,
    others: &str,
) -> Result<Report, HomeError> {
    if advertise.is_some() {
        home.change_config(|config| config.advertise = advertise)?;
    }
    let card = home.card()?;
    let dir = home.dir().display();
    let (role, name) = (card.role, &card.name);
    let text = format!(
        "the {role} `{name}` is made in {dir}; {note}\nadd {others} with `farthing-{role} network add {dir} CARD`, \
         then run `farthing-{role} serve {dir}`\n{card}"
    );
    let json = json!({ "card": card, "identity": card.identity_hex(), "name": name, "dir": home.dir() });
    Ok(Report::new(text, json))
}

/// Reports on standard output that a node answers at `address`. The second line is its card.
///
/// It first reads the pinned cards again, as a command may have changed them during the start.
pub fn ready<C>(home: &Home<C>, peers: &Peers, address: SocketAddr, as_json: bool) {
    if let Err(error) = reload(home.dir(), peers) {
        tracing::error!(%error, "the pinned cards cannot be read again");
    }
    let config = home.config();
    let card = home.card_at(address);
    let mut text = format!("farthing-{} serving {address}", config.role);
    match &card {
        Ok(card) => text.push_str(&format!("\n{card}")),
        Err(error) => tracing::warn!(%error, "this node has no card that others could use"),
    }
    let json = json!({ "serving": address.to_string(), "card": card.ok() });
    Report::new(text, json).print(as_json);
}
