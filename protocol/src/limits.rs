//! Every bound of the protocol, by name.

use std::time::Duration;

/// The most coins that go in or out in one request: a withdrawal, an exchange, a purchase.
pub const COINS_PER_REQUEST_MAX: usize = 64;

/// The longest request that a bank or escrow reads (bytes): 64 coins with everything that goes with them.
pub const REQUEST_MAX_BYTES: usize = 128 * 1024;

/// The longest reply that a wallet or node reads (bytes): a page of records or a piece of goods.
pub const REPLY_MAX_BYTES: usize = 1024 * 1024;

/// The longest list of keys as it travels (bytes). A wallet or a node keeps one row for each of its epochs.
pub const KEY_LIST_MAX_BYTES: usize = 512 * 1024;

/// The most decisions of one escrow that are brought to a bank in one request.
pub const SETTLE_MAX: usize = 64;

/// The longest text in a refusal, as it is sent and as whoever asked keeps it (bytes, UTF-8). The sender cuts a longer
/// one.
pub const REASON_MAX_BYTES: usize = 256;

/// The longest currency name (bytes, ASCII).
pub const CURRENCY_MAX_BYTES: usize = 12;

/// The longest title of an item (bytes, UTF-8).
pub const TITLE_MAX_BYTES: usize = 96;

/// The longest description of an item (bytes, UTF-8).
pub const DESCRIPTION_MAX_BYTES: usize = 256;

/// The longest media type of an item (bytes, ASCII).
pub const MEDIA_TYPE_MAX_BYTES: usize = 64;

/// The most escrows, and the most banks, that one offer accepts.
pub const OFFER_PARTIES_MAX: usize = 3;

/// The most items in one page of a catalogue.
pub const CATALOG_PAGE_MAX: usize = 64;

/// The most items of a catalogue that a wallet reads: 1024 full pages.
pub const CATALOG_ITEMS_MAX: usize = 1024 * CATALOG_PAGE_MAX;

/// The most text of a catalogue that a wallet reads (bytes): titles, descriptions, media types and currencies.
pub const CATALOG_TEXT_MAX_BYTES: usize = 16 * 1024 * 1024;

/// The most sales in one page of what an escrow has committed of a merchant's sealed offers.
pub const SALES_PAGE_MAX: usize = 64;

/// How often a merchant asks escrows what they have committed on his sealed offers (ms).
pub const SALES_ASKED_EVERY_MS: u64 = 5_000;

/// The most records in one page of a restore.
pub const RESTORE_PAGE_MAX: usize = 64;

/// The longest prefix that a restore bucket is asked for by (bits). A bank answers for shorter ones only,
/// so that a bucket always holds many wallets' records once there are many.
pub const BUCKET_BITS_MAX: u8 = 16;

/// How many records a wallet wants in a bucket that it asks for, so that its own one hides among them.
pub const BUCKET_CROWD: u64 = 64;

/// How many unused counters in a row a restore looks at before it takes the end for reached.
pub const RESTORE_GAP: u64 = 100;

/// How much longer than other coins of its key a released coin can be exchanged (ms): 30 days, so that an
/// escrow's long silence costs nobody a coin.
pub const RELEASED_GRACE_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// The most that encrypted goods may have to come with their offer (bytes); others are fetched in pieces.
pub const GOODS_WITH_OFFER_MAX_BYTES: u64 = 16 * 1024;

/// One piece of encrypted goods, the unit in which a download is resumed (bytes).
pub const GOODS_PIECE_BYTES: usize = 512 * 1024;

/// How far in the future a purchase's deadline may lie by the escrow's and the bank's clock (ms): a day.
pub const DEADLINE_HORIZON_MS: u64 = 24 * 60 * 60 * 1000;

/// The least time that a purchase's deadline leaves for release after its hold (ms).
pub const DEADLINE_LEAST_MS: u64 = 1000;

/// The least time between a hold's deadline and the end of its coins' keys (ms), so that the decision can
/// be settled: an hour.
pub const SETTLEMENT_MARGIN_MS: u64 = 60 * 60 * 1000;

/// How long an opened issuing session waits for its challenges (ms).
pub const SESSION_LIFE_MS: u64 = 10 * 60 * 1000;

/// The most issuing sessions that a bank keeps open at once; the oldest is closed to make room.
pub const SESSIONS_MAX: usize = 100_000;

/// The most issuing sessions that one account keeps open at once; its oldest is closed to make room.
pub const SESSIONS_PER_ACCOUNT_MAX: usize = 16;

/// The most nonces that one account, or one coin in an exchange, gets within [`NONCES_WINDOW_MS`]: 16 of the longest
/// requests.
pub const NONCES_PER_PAYER_MAX: usize = 16 * COINS_PER_REQUEST_MAX;

/// How long nonces count against [`NONCES_PER_PAYER_MAX`] (ms). A wallet's patience with a busy bank is longer.
pub const NONCES_WINDOW_MS: u64 = 10_000;

/// How often an account replaces its memo at once: more restores than anybody makes in a day.
pub const MEMOS_AT_ONCE_MAX: u64 = 64;

/// How long after that it may replace it once more (ms): a stranger with an account adds 0.3 MiB a day to the bank's journal.
pub const MEMO_EVERY_MS: u64 = 10 * 60 * 1000;

/// How long a request to another party waits for its reply before it is asked again.
pub const REPLY_TIMEOUT: Duration = Duration::from_secs(10);
