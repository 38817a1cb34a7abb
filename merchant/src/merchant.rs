//! The merchant as a node: its keys, its store and shelf, and the banks and escrows that it works with.

use crate::rows::{KEY_LISTS, check_currency};
use crate::secret::MerchantSecret;
use crate::shelf::Shelf;
use farthing_coin::{PublicKey, SecretKey};
use farthing_node::bank_keys::BankKeys;
use farthing_node::card::Card;
use farthing_node::network::Network;
use farthing_node::peers::Peers;
use farthing_protocol::limits::{DEADLINE_HORIZON_MS, DEADLINE_LEAST_MS};
use farthing_store::Store;
use farthing_store::clock::Clock;
use farthing_store::entropy::Entropy;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::Notify;

/// How long an offer can be bought unless the merchant says otherwise (ms): an hour.
pub const OFFER_LIFE_DEFAULT_MS: u64 = 60 * 60 * 1000;

/// The longest that an offer may be open (ms): its expiry is the purchase's deadline, which escrow and bank take a day
/// ahead at most, by clocks that may be a little behind this one.
pub const OFFER_LIFE_MAX_MS: u64 = DEADLINE_HORIZON_MS - 60 * 60 * 1000;

/// How long encrypted goods are served after an offer unless the merchant says otherwise (ms): 30 days.
pub const SERVED_DEFAULT_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// A merchant's own settings, in `config.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The currency of its prices.
    pub currency: String,
    /// How long an offer can be bought (ms).
    pub offer_life_ms: u64,
    /// How long the encrypted goods are served after an offer (ms).
    pub served_ms: u64,
}

impl Settings {
    /// The defaults, with prices in `currency`.
    pub fn new(currency: String) -> Self {
        Self {
            currency,
            offer_life_ms: OFFER_LIFE_DEFAULT_MS,
            served_ms: SERVED_DEFAULT_MS,
        }
    }

    /// Refuses settings under which nothing could be sold.
    ///
    /// # Errors
    /// A message for the operator.
    pub fn check(&self) -> Result<(), String> {
        check_currency(&self.currency)?;
        let life_ms = DEADLINE_LEAST_MS..=OFFER_LIFE_MAX_MS;
        if !life_ms.contains(&self.offer_life_ms) {
            return Err(format!(
                "`offer_life_ms` is {}, but escrows take deadlines of {} to {} ms only; change it in `config.toml`",
                self.offer_life_ms,
                life_ms.start(),
                life_ms.end()
            ));
        }
        Ok(())
    }
}

/// What a merchant is made of.
pub struct MerchantParts {
    /// Signs its offers.
    pub key: SecretKey,
    /// What the keys of its goods and sales follow from.
    pub secret: MerchantSecret,
    /// What it is set to.
    pub settings: Settings,
    /// Holds its catalogue and its sales.
    pub store: Store,
    /// Holds its goods.
    pub shelf: Shelf,
    /// Reaches banks and escrows.
    pub network: Arc<dyn Network>,
    /// The banks and escrows that it works with.
    pub cards: Vec<Card>,
    /// Its clock.
    pub clock: Arc<dyn Clock>,
    /// Its randomness, for the ids of sales.
    pub entropy: Arc<dyn Entropy>,
    /// Where its network file is, if it has one that its operator changes.
    pub dir: Option<PathBuf>,
}

/// A merchant.
pub struct Merchant {
    pub(crate) key: SecretKey,
    pub(crate) secret: MerchantSecret,
    pub(crate) account: PublicKey,
    pub(crate) settings: Settings,
    pub(crate) store: Store,
    pub(crate) shelf: Shelf,
    pub(crate) peers: Arc<Peers>,
    pub(crate) keys: BankKeys,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) dir: Option<PathBuf>,
    /// Tells the background of a sale that is not at its end.
    pub(crate) sale_opened: Notify,
}

impl std::fmt::Debug for Merchant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Merchant")
            .field("identity", &self.self_id())
            .finish_non_exhaustive()
    }
}

impl Merchant {
    /// A merchant that is ready to answer.
    pub fn new(parts: MerchantParts) -> Self {
        let peers = Arc::new(Peers::new(parts.network, parts.cards));
        Self {
            account: parts.secret.account_key().public(),
            key: parts.key,
            secret: parts.secret,
            settings: parts.settings,
            keys: BankKeys::new(Arc::clone(&peers), parts.store.clone(), KEY_LISTS),
            store: parts.store,
            shelf: parts.shelf,
            peers,
            clock: parts.clock,
            entropy: parts.entropy,
            dir: parts.dir,
            sale_opened: Notify::new(),
        }
    }

    /// Its identity key.
    pub fn self_id(&self) -> PublicKey {
        self.key.public()
    }

    /// The key lists of its banks.
    pub fn bank_keys(&self) -> &BankKeys {
        &self.keys
    }

    /// Its account at every bank.
    pub fn account(&self) -> PublicKey {
        self.account
    }
}
