//! The encryption keys of servers that a relay has told the wallet, and which relay the wallet uses.

use crate::{
    error::WalletError,
    rows::{ENCRYPTION_KEYS, KnownKeys, TWO_KEYS},
};
use async_trait::async_trait;
use farthing_coin::Signed;
use farthing_node::{
    card::{Card, RoleName},
    network::Network,
    network_file::NetworkFile,
    relayed::{KEY_DAYS_MAX, KeyWitness, RelayedNetwork},
};
use farthing_protocol::oblivious::{EncryptionKey, TwoKeys};
use farthing_store::{Reads, Store, StoreError, clock::Clock, entropy::Entropy};
use std::sync::Arc;

/// The way of anonymous requests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Route {
    /// Through the relay that was pinned first. Directly, if none is pinned.
    #[default]
    Pinned,
    /// Through the relay with this name.
    Through(String),
    /// Directly. Every party then sees the network address of the wallet.
    Direct,
}

impl Route {
    /// The relay on this way, out of the pinned cards.
    ///
    /// # Errors
    /// [`WalletError::NoCard`] when the named relay is not pinned.
    pub fn relay(&self, file: &NetworkFile) -> Result<Option<Card>, WalletError> {
        let mut relays = file.cards().iter().filter(|card| card.role == RoleName::Relay);
        match self {
            Route::Pinned => Ok(relays.next().cloned()),
            Route::Through(name) => match relays.find(|card| card.name == *name) {
                Some(card) => Ok(Some(card.clone())),
                None => Err(WalletError::NoCard(format!("relay `{name}`"))),
            },
            Route::Direct => Ok(None),
        }
    }
}

/// The network of a wallet with this store: `direct`, with anonymous requests through `relay`, if there is one.
pub(crate) fn network(
    direct: Arc<dyn Network>,
    relay: Option<Card>,
    store: &Store,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> Arc<dyn Network> {
    let Some(relay) = relay else {
        return direct;
    };
    let witness = Arc::new(StoredKeys(store.clone()));
    Arc::new(RelayedNetwork::new(
        direct,
        relay,
        witness,
        Arc::clone(clock),
        Arc::clone(entropy),
    ))
}

/// The keys of the last two days, by server, in the wallet's store.
struct StoredKeys(Store);

#[async_trait]
impl KeyWitness for StoredKeys {
    async fn remember(&self, key: &Signed<EncryptionKey>) -> Result<bool, String> {
        let target = key.body.target;
        let known = ENCRYPTION_KEYS.peek(&self.0.view(), &target);
        let known = known.map_err(|error| error.to_string())?;
        if known.as_ref().is_some_and(|known| known.contains(key)) {
            let two = TWO_KEYS.peek(&self.0.view(), &target);
            let two = two.map_err(|error| error.to_string())?;
            return Ok(!two.is_some_and(|two| is_recent(&two, key)));
        }
        let agrees = witnessed(known, key.clone()).is_ok();
        let key = key.clone();
        let reads = Reads::none().and([ENCRYPTION_KEYS.key(&target), TWO_KEYS.key(&target)]);
        let stored = self.0.transact(reads, move |tx| {
            let two = TWO_KEYS.get(tx, &target)?;
            if two.is_some_and(|two| is_recent(&two, &key)) {
                return Ok(false);
            }
            match witnessed(ENCRYPTION_KEYS.get(tx, &target)?, key.clone()) {
                Ok(known) => {
                    ENCRYPTION_KEYS.put(tx, &target, &known)?;
                    Ok(true)
                }
                Err(two) => {
                    if TWO_KEYS.get(tx, &target)?.is_none() {
                        TWO_KEYS.put(tx, &target, &two)?;
                    }
                    Ok(false)
                }
            }
        });
        match stored.await {
            // Another command has the wallet. It remembers the keys that it is told itself.
            Err(StoreError::ReadOnly) => Ok(agrees),
            stored => stored.map_err(|error| error.to_string()),
        }
    }
}

/// Whether `two` keys of one day are so recent that the wallet uses no `key` of their server.
fn is_recent(two: &TwoKeys, key: &Signed<EncryptionKey>) -> bool {
    two.first.body.day.abs_diff(key.body.day) <= KEY_DAYS_MAX
}

/// The keys to remember when a server's `key` is told, after those that are `known`.
///
/// # Errors
/// The key of the same day that is known, beside the other one that was told.
fn witnessed(known: Option<KnownKeys>, key: Signed<EncryptionKey>) -> Result<KnownKeys, Box<TwoKeys>> {
    let Some(known) = known else {
        return Ok(KnownKeys {
            latest: key,
            previous: None,
        });
    };
    let days = [Some(&known.latest), known.previous.as_ref()];
    let same_day = days
        .into_iter()
        .flatten()
        .find(|other| other.body.day == key.body.day);
    match same_day {
        Some(same) if same.body.key == key.body.key => Ok(known),
        Some(other) => Err(Box::new(TwoKeys {
            first: other.clone(),
            second: key,
        })),
        None if key.body.day > known.latest.body.day => Ok(KnownKeys {
            previous: Some(known.latest),
            latest: key,
        }),
        None => Ok(known),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;
    use farthing_coin::SecretKey;
    use farthing_protocol::ids::ObliviousKey;

    fn key(day: u32, key: u8) -> Signed<EncryptionKey> {
        let identity = SecretKey::from_bytes(&[1; 32]).unwrap();
        let body = EncryptionKey {
            target: identity.public(),
            day,
            key: ObliviousKey([key; 32]),
        };
        Signed::sign(body, &identity)
    }

    #[test]
    fn two_keys_of_one_day_are_found_within_two_days() {
        let first = witnessed(None, key(7, 1)).unwrap();
        assert_eq!(witnessed(Some(first.clone()), key(7, 1)).unwrap(), first);
        let two = witnessed(Some(first.clone()), key(7, 2)).unwrap_err();
        assert!(two.convict(&two.first.body.target));
        let second = witnessed(Some(first), key(8, 3)).unwrap();
        assert!(witnessed(Some(second.clone()), key(7, 2)).is_err());
        // A relay that tells an older key harms nobody.
        assert_eq!(witnessed(Some(second.clone()), key(6, 9)).unwrap(), second);
        let third = witnessed(Some(second), key(9, 4)).unwrap();
        assert_eq!((third.latest.body.day, third.previous.unwrap().body.day), (9, 8));
    }
}
