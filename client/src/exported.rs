//! A wallet's parties as a file. With it and the words, a restore is complete.

use crate::{
    error::WalletError,
    rows::{ACCOUNT_KEYS, AccountKey, all},
    wallet::Wallet,
};
use farthing_coin::PublicKey;
use farthing_node::{card::Card, home::files::read_bounded, network_file::NETWORK_CARDS_MAX};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The version of the file.
const VERSION: u32 = 1;

/// Upper bound of the size of the file (bytes).
const FILE_MAX_BYTES: u64 = 1024 * 1024;

/// The parties of a wallet. Nothing in it is secret, but it tells with whom the wallet deals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exported {
    /// The version of the file.
    version: u32,
    /// The pinned cards, with their local names.
    pub cards: Vec<Card>,
    /// The banks at which the wallet uses the shared account key of protocol version 1.
    #[serde(default)]
    pub shared_accounts: Vec<PublicKey>,
}

impl Exported {
    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read, is of a newer version, or is not a file of parties.
    pub fn read(path: &Path) -> Result<Exported, WalletError> {
        let bytes = read_bounded(path, FILE_MAX_BYTES).map_err(WalletError::io(path))?;
        Self::parse(&bytes).map_err(|why| {
            let path = path.display();
            WalletError::Home(format!("{path} is not a file of `farthing export`: {why}"))
        })
    }

    fn parse(bytes: &[u8]) -> Result<Exported, String> {
        let exported: Exported = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if exported.version != VERSION {
            let version = exported.version;
            return Err(format!(
                "it has version {version}, and this program reads version {VERSION}"
            ));
        }
        let lists = exported.cards.len().max(exported.shared_accounts.len());
        if lists > NETWORK_CARDS_MAX {
            return Err(format!("it has more than {NETWORK_CARDS_MAX} cards or accounts"));
        }
        Ok(exported)
    }
}

impl Wallet {
    /// The wallet's parties, for a file that completes a restore.
    ///
    /// # Errors
    /// When the store fails, or the file of cards cannot be read.
    pub fn export(&self) -> Result<Exported, WalletError> {
        let keys = all(&self.rows(), &ACCOUNT_KEYS)?.into_iter();
        let shared = keys.filter(|(_, key)| *key == AccountKey::Shared);
        Ok(Exported {
            version: VERSION,
            cards: self.network_file()?.cards().to_vec(),
            shared_accounts: shared.map(|(bank, _)| bank).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_other_programs_and_of_newer_versions_are_refused() {
        let good = r#"{"version": 1, "cards": [], "later": true}"#;
        assert_eq!(Exported::parse(good.as_bytes()).unwrap().cards, []);
        for (text, says) in [
            ("", "EOF"),
            ("[]", "invalid length"),
            (r#"{"version": 2, "cards": []}"#, "version 2"),
            (r#"{"version": 1}"#, "cards"),
            (r#"{"version": 1, "cards": ["farthing-card:"]}"#, "not a card"),
        ] {
            let why = Exported::parse(text.as_bytes()).unwrap_err();
            assert!(why.contains(says), "{text}: {why}");
        }
    }
}
