//! A node is made; a node answers.

use super::administer::OperatorError;
use super::network::reload;
use super::report::Report;
use crate::home::{Home, HomeError};
use crate::peers::Peers;
use serde_json::json;
use std::net::{SocketAddr, UdpSocket};

/// The address with a free port, if it has none.
///
/// # Errors
/// [`OperatorError::Listen`].
pub fn with_port(listen: SocketAddr) -> Result<SocketAddr, OperatorError> {
    if listen.port() != 0 {
        return Ok(listen);
    }
    UdpSocket::bind(listen)
        .and_then(|socket| socket.local_addr())
        .map_err(|source| OperatorError::Listen { listen, source })
}

/// What `init` says of a node that was made: its card is the last line. `note` is what to know about its files, and
/// `others` whose cards it needs.
///
/// # Errors
/// When it listens where nobody can dial.
pub fn made<C>(home: &Home<C>, note: &str, others: &str) -> Result<Report, HomeError> {
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

/// A node has begun to answer at `address`: takes up the cards that were pinned while it started, and says so on
/// standard output, with its card in a second line.
pub fn ready<C>(home: &Home<C>, peers: &Peers, address: SocketAddr, as_json: bool) {
    if let Err(error) = reload(home.dir(), peers) {
        tracing::error!(%error, "the pinned cards cannot be read again");
    }
    let config = home.config();
    let card = home.card_at(config.advertise.unwrap_or(address));
    let mut text = format!("farthing-{} serving {address}", config.role);
    match &card {
        Ok(card) => text.push_str(&format!("\n{card}")),
        Err(error) => tracing::warn!(%error, "this node has no card that others could use"),
    }
    let json = json!({ "serving": address.to_string(), "card": card.ok() });
    Report::new(text, json).print(as_json);
}
