//! The pinned cards. A command changes the network file and then tells a running node to read it again.
//!
//! A node also reads the file when it begins to answer (see [`ready`](super::lifecycle::ready)). So no change is lost that
//! was made during its start.

use super::administer::OperatorError;
use super::report::Report;
use super::requests::NodeRequest;
use crate::admin::admin_call;
use crate::peers::Peers;
use crate::{
    card::{Card, RoleName},
    network_file::NetworkFile,
};
use serde_json::json;
use std::path::Path;

/// Pins `card` in `dir`, under the local name `name` if there is one.
///
/// # Errors
/// When the card contradicts a pinned one, or the file or the running node cannot be reached.
pub async fn add(dir: &Path, card: Card, name: Option<&str>) -> Result<Report, OperatorError> {
    let (added, card) = NetworkFile::load(dir)?.add_as(card, name)?;
    tell(dir).await?;
    let title = card.title();
    let (word, text) = added.say(&card);
    Ok(Report::new(
        text,
        json!({ "card": card, "who": title, "added": word }),
    ))
}

/// Removes the card of this role and name from `dir`.
///
/// # Errors
/// [`OperatorError::Unknown`] when there is none, or when the file or the running node cannot be reached.
pub async fn remove(dir: &Path, role: RoleName, name: &str) -> Result<Report, OperatorError> {
    let removed = NetworkFile::load(dir)?.remove(role, name)?;
    // Done even if the card was not pinned: an earlier command may have failed to tell the node.
    tell(dir).await?;
    let card = removed.ok_or_else(|| OperatorError::Unknown {
        role,
        name: name.to_owned(),
    })?;
    let title = card.title();
    Ok(Report::new(
        format!("{title} is not known any more"),
        json!({ "removed": card, "who": title }),
    ))
}

/// The pinned cards.
pub(super) fn list(cards: &[Card]) -> Report {
    let lines: Vec<String> = cards.iter().map(ToString::to_string).collect();
    let json = json!({ "cards": lines });
    if lines.is_empty() {
        return Report::new("no cards are pinned; add one with `network add DIR CARD`", json);
    }
    Report::new(lines.join("\n"), json)
}

/// Tells the node that runs in `dir`, if one does.
async fn tell(dir: &Path) -> Result<(), OperatorError> {
    let request = serde_json::to_value(NodeRequest::NetworkReload)?;
    match admin_call(dir, &request).await {
        Ok(_) => Ok(()),
        Err(source) => Err(OperatorError::NotTakenUp(source)),
    }
}

/// Reads the network file of `dir` again. Returns the number of its cards.
///
/// # Errors
/// When the file cannot be read. The cards then stay as they are.
pub(super) fn reload(dir: &Path, peers: &Peers) -> Result<usize, crate::network_file::NetworkFileError> {
    let file = NetworkFile::load(dir)?;
    peers.set_cards(file.cards().to_vec());
    Ok(file.cards().len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint::Fingerprint;
    use crate::quic::QuicNetwork;
    use std::sync::Arc;

    fn card(name: &str, key: [u8; 32]) -> Card {
        let identity = farthing_coin::SecretKey::from_bytes(&key).unwrap().public();
        Card {
            role: RoleName::Bank,
            name: name.into(),
            address: "127.0.0.1:7001".parse().unwrap(),
            fingerprint: Fingerprint(key),
            identity,
            fields: Default::default(),
        }
    }

    #[tokio::test]
    async fn added_and_removed_cards_are_used_after_a_reload() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let peers = Peers::new(Arc::new(QuicNetwork::new()), Vec::new());
        for (known, name) in ["central", "coast"].into_iter().enumerate() {
            let card = card(name, [u8::try_from(known).unwrap() + 1; 32]);
            let report = add(dir, card.clone(), None).await.unwrap();
            assert_eq!(report.json["added"], "new");
            assert_eq!(add(dir, card, None).await.unwrap().json["added"], "known");
            assert_eq!(peers.cards(RoleName::Bank).len(), known);
            assert_eq!(reload(dir, &peers).unwrap(), known + 1);
            assert_eq!(peers.cards(RoleName::Bank).len(), known + 1);
        }
        let report = remove(dir, RoleName::Bank, "central").await.unwrap();
        assert_eq!(report.text, "bank `central` is not known any more");
        reload(dir, &peers).unwrap();
        assert_eq!(peers.cards(RoleName::Bank).len(), 1);
        let error = remove(dir, RoleName::Bank, "central").await.unwrap_err();
        assert!(matches!(error, OperatorError::Unknown { .. }), "{error}");
    }
}
