//! The merchant as a node: its keys, its store and shelf, and its banks and escrows.

use crate::forgotten::Pass;
use crate::rows::{KEY_LISTS, OPEN_REFUNDS, OPEN_SALES, STREAMS, check_currency};
use crate::secret::MerchantSecret;
use crate::shelf::GoodsShelf;
use crate::small_goods::SmallGoods;
use crate::streams::sessions::Streams;
use farthing_coin::{PublicKey, SecretKey};
use farthing_node::bank_keys::BankKeys;
use farthing_node::card::Card;
use farthing_node::complaints::Complaints;
use farthing_node::drain::{Drain, UnderWay};
use farthing_node::network::Network;
use farthing_node::peers::Peers;
use farthing_protocol::limits::{DEADLINE_HORIZON_MS, DEADLINE_LEAST_MS};
use farthing_protocol::money::{Amount, amount_text};
use farthing_store::clock::Clock;
use farthing_store::entropy::Entropy;
use farthing_store::{Store, StoreError, limits::SCAN_MAX_ROWS};
use serde::{Deserialize, Serialize};
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// The default time in which an offer can be bought (ms): an hour.
pub const OFFER_LIFE_DEFAULT_MS: u64 = 60 * 60 * 1000;

/// The longest time in which an offer can be bought (ms).
///
/// Its end is the deadline of the purchase. Escrow and bank accept a deadline at most a day ahead, and their clocks may be
/// a little behind.
pub const OFFER_LIFE_MAX_MS: u64 = DEADLINE_HORIZON_MS - 60 * 60 * 1000;

/// The time in which a stream can be bought (ms): 12 hours. Its end is the deadline, and nobody pays in the last hour before
/// it. So a customer watches for 11 hours at most.
pub const STREAM_LIFE_MS: u64 = 12 * 60 * 60 * 1000;

/// The default time for which encrypted goods are served after an offer (ms): 30 days.
pub const SERVED_DEFAULT_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// The default of what is paid on a stream before its escrow is shown the voucher: 1.00.
pub const RAISE_ABOVE_DEFAULT: Amount = Amount(100);

fn raise_above_default() -> Amount {
    RAISE_ABOVE_DEFAULT
}

/// The settings of a merchant, in `config.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The currency of the prices.
    pub currency: String,
    /// How long an offer can be bought (ms).
    pub offer_life_ms: u64,
    /// How long the encrypted goods are served after an offer (ms).
    pub served_ms: u64,
    /// Streams: the escrow is shown a voucher as soon as it pays for more than this that the escrow has not acknowledged. It is
    /// what a crash of the node can cost. Twice as much is the most that is not acknowledged.
    #[serde(with = "amount_text", default = "raise_above_default")]
    pub raise_above: Amount,
}

impl Settings {
    /// The defaults, with prices in `currency`.
    pub fn new(currency: String) -> Self {
        Self {
            currency,
            offer_life_ms: OFFER_LIFE_DEFAULT_MS,
            served_ms: SERVED_DEFAULT_MS,
            raise_above: RAISE_ABOVE_DEFAULT,
        }
    }

    /// Refuses settings with which no sale is possible.
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

/// The parts of a [`Merchant`].
pub struct MerchantParts {
    /// The key that signs its offers.
    pub key: SecretKey,
    /// The secret from which the keys of goods and sales derive.
    pub secret: MerchantSecret,
    /// Its settings.
    pub settings: Settings,
    /// The store of its catalogue and sales.
    pub store: Store,
    /// The encrypted goods.
    pub shelf: GoodsShelf,
    /// The network to banks and escrows.
    pub network: Arc<dyn Network>,
    /// The pinned cards.
    pub cards: Vec<Card>,
    /// Its clock.
    pub clock: Arc<dyn Clock>,
    /// Its randomness, for the ids of sales.
    pub entropy: Arc<dyn Entropy>,
}

/// A merchant.
pub struct Merchant {
    pub(crate) key: SecretKey,
    pub(crate) secret: MerchantSecret,
    pub(crate) account: PublicKey,
    pub(crate) settings: Settings,
    pub(crate) store: Store,
    pub(crate) shelf: GoodsShelf,
    pub(crate) small_goods: SmallGoods,
    pub(crate) streams: Streams,
    pub(crate) peers: Arc<Peers>,
    pub(crate) keys: BankKeys,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    /// Whether it begins nothing new.
    pub(crate) drain: Drain,
    /// What its background work has found wrong.
    pub(crate) complaints: Complaints,
    /// The directory with the webhook's secret, if events are posted.
    pub(crate) webhook_dir: Option<PathBuf>,
    /// Wakes the background loop for an open sale.
    pub(crate) sale_opened: Notify,
    /// Wakes the background loop for a new refund.
    pub(crate) refund_asked: Notify,
    /// How far it has forgotten what is of closed epochs. Rounds that find nothing are only here. `None` until it is read.
    pub(crate) purge: Mutex<Option<Pass>>,
}

impl std::fmt::Debug for Merchant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Merchant")
            .field("identity", &self.self_id())
            .finish_non_exhaustive()
    }
}

impl Merchant {
    /// The merchant, draining as `drain` says.
    #[must_use]
    pub fn with_drain(self, drain: Drain) -> Self {
        Self { drain, ..self }
    }

    /// Whether it drains.
    pub fn drain(&self) -> &Drain {
        &self.drain
    }

    /// What the merchant has still to finish. Its open offers are sold until they expire.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn under_way(&self) -> Result<UnderWay, StoreError> {
        let open = OPEN_SALES.scan(&self.store.view(), Bound::Unbounded, SCAN_MAX_ROWS)?;
        let streams = STREAMS.scan(&self.store.view(), Bound::Unbounded, 1)?;
        let stream_life_ms = if streams.is_empty() { 0 } else { STREAM_LIFE_MS };
        let life_ms = self.settings.offer_life_ms.max(stream_life_ms);
        let since_ms = self.drain.since_ms();
        let under_way = UnderWay {
            until_ms: since_ms.map(|since_ms| since_ms.saturating_add(life_ms)),
            ..UnderWay::default()
        };
        let refunds = OPEN_REFUNDS.scan(&self.store.view(), Bound::Unbounded, SCAN_MAX_ROWS)?;
        Ok(under_way
            .and("sales wait for their escrow or their bank", &open, SCAN_MAX_ROWS)
            .and("refunds wait for their bank", &refunds, SCAN_MAX_ROWS))
    }

    /// Creates a merchant.
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
            small_goods: SmallGoods::default(),
            streams: Streams::new(parts.clock.now_ms()),
            peers,
            clock: parts.clock,
            entropy: parts.entropy,
            drain: Drain::default(),
            complaints: Complaints::default(),
            webhook_dir: None,
            sale_opened: Notify::new(),
            refund_asked: Notify::new(),
            purge: Mutex::default(),
        }
    }

    /// Lets the merchant post its events, with the secret in `dir`. Without this it opens no connection for them.
    #[must_use]
    pub fn with_webhook(self, dir: PathBuf) -> Self {
        Self {
            webhook_dir: Some(dir),
            ..self
        }
    }

    /// The store of its sales.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The identity key.
    pub fn self_id(&self) -> PublicKey {
        self.key.public()
    }

    /// The key lists of its banks.
    pub fn bank_keys(&self) -> &BankKeys {
        &self.keys
    }

    /// The account key. It is the same at every bank.
    pub fn account(&self) -> PublicKey {
        self.account
    }
}
