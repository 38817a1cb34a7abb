//! Every bound of the protocol, by name.

use std::time::Duration;

/// The most coins that go in or out in one request: a withdrawal, an exchange, a purchase.
pub const COINS_PER_REQUEST_MAX: usize = 64;

/// The most credits of one deposit.
pub const DEPOSIT_OUTPUTS_MAX: usize = 3;

/// The longest request that a bank or escrow reads (bytes): 64 coins with all their data.
pub const REQUEST_MAX_BYTES: usize = 128 * 1024;

/// The longest reply that a wallet or node reads (bytes): a page of records or a piece of goods.
pub const REPLY_MAX_BYTES: usize = 1024 * 1024;

/// The longest encoded list of keys (bytes). A wallet or a node stores one row for each epoch of the list.
pub const KEY_LIST_MAX_BYTES: usize = 512 * 1024;

/// The most decisions in one request to a bank.
pub const SETTLE_MAX: usize = 64;

/// The longest text in a refusal, on the wire and in the recipient's store (bytes, UTF-8). The sender cuts a longer text.
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

/// The most sales in one page of an escrow's reply to a merchant.
pub const SALES_PAGE_MAX: usize = 64;

/// The time between two questions of a merchant to an escrow for sales of sealed offers (ms).
pub const SALES_ASKED_EVERY_MS: u64 = 5_000;

/// The most records in one page of a restore.
pub const RESTORE_PAGE_MAX: usize = 64;

/// The longest prefix of a bucket (bits). A bank refuses a longer prefix. So a bucket of a large shelf always holds
/// records of many wallets.
pub const BUCKET_BITS_MAX: u8 = 16;

/// The number of records that a wallet wants in a bucket, so that its own record is hidden among them.
pub const BUCKET_CROWD: u64 = 64;

/// The number of unused numbers in a row after which a restore stops its search.
pub const RESTORE_GAP: u64 = 100;

/// The extra time in which a released coin can be exchanged after its key ends (ms): 30 days. So an escrow that is silent
/// for long costs nobody a coin.
pub const RELEASED_GRACE_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// How long a bank keeps the rows of an epoch after its coins are not taken back any more (ms): a year, and
/// [`CLOSED_AFTER_EPOCHS`].
pub const CLOSED_AFTER_MS: u64 = 365 * 24 * 60 * 60 * 1000;

/// The farthest end of an offer that is sold once (ms from the escrow's time): two days. The escrow keeps longer than that
/// that it was sold.
pub const SINGLE_SALE_HORIZON_MS: u64 = 2 * DEADLINE_HORIZON_MS;

/// How long a judge hears claims about a purchase after its deadline, if a document could clear the accused (ms): a year.
pub const CLAIM_MS: u64 = 365 * 24 * 60 * 60 * 1000;

/// How many epochs longer the rows of an epoch are kept. A bank that does not doubt its clock can be so many epochs ahead.
pub const CLOSED_AFTER_EPOCHS: u32 = 4;

/// The largest encrypted goods that a merchant sends with their offer (bytes). A wallet fetches larger goods in pieces.
pub const GOODS_WITH_OFFER_MAX_BYTES: u64 = 16 * 1024;

/// The length of one piece of encrypted goods (bytes).
pub const GOODS_PIECE_BYTES: usize = 512 * 1024;

/// The most ticks in one reply of a stream.
pub const TICKS_PER_REPLY_MAX: usize = 64;

/// The longest record of one tick (bytes). A reply has room for it and its tag.
pub const TICK_MAX_BYTES: usize = 256 * 1024;

/// The time between the last payment of a stream and its deadline (ms): an hour. In it the escrow is shown the vouchers that
/// it does not have yet.
pub const STREAM_CLOSING_MS: u64 = 60 * 60 * 1000;

/// The most vouchers of one stream that an escrow stores for its customer. A wallet shows one when its merchant keeps back a
/// key, and then pays that merchant no more.
pub const RAISES_PER_CUSTOMER_MAX: u8 = 16;

/// The most vouchers of one stream that an escrow stores. It bounds the writes that a held coin buys.
pub const RAISES_MAX: u16 = 1024;

/// The greatest time to the deadline of a new purchase, by the escrow's and the bank's clocks (ms): a day.
pub const DEADLINE_HORIZON_MS: u64 = 24 * 60 * 60 * 1000;

/// The least time to the deadline of a new purchase (ms). It leaves time for the release after the hold.
pub const DEADLINE_LEAST_MS: u64 = 1000;

/// The least time between the deadline of a hold and the end of its coins' keys (ms): an hour. It leaves time to settle
/// the decision.
pub const SETTLEMENT_MARGIN_MS: u64 = 60 * 60 * 1000;

/// How long an open issuing session waits for its challenges (ms).
pub const SESSION_LIFE_MS: u64 = 10 * 60 * 1000;

/// The most issuing sessions that a bank keeps open at once. It closes the oldest to make room.
pub const SESSIONS_MAX: usize = 100_000;

/// The most issuing sessions of one account that are open at once. The bank closes the oldest to make room.
pub const SESSIONS_PER_ACCOUNT_MAX: usize = 16;

/// The most nonces for one account, or for one coin in an exchange, within [`NONCES_WINDOW_MS`]. They are enough for 16
/// of the longest requests.
pub const NONCES_PER_PAYER_MAX: usize = 16 * COINS_PER_REQUEST_MAX;

/// The most purchases that one coin cancels at an escrow before they are decided. A wallet exchanges the coins of an aborted
/// purchase, so it needs one. It bounds the rows that a coin buys.
pub const CANCELS_PER_COIN_MAX: u64 = 16;

/// The farthest deadline of a purchase that is cancelled undecided (ms from the escrow's time): a week. A hold has one within
/// [`DEADLINE_HORIZON_MS`], and the escrow's clock may be slow.
pub const CANCEL_HORIZON_MS: u64 = 7 * DEADLINE_HORIZON_MS;

/// The requests of one kind that the owner of an account or a reserve has at once. See [`OWNER_REQUEST_EVERY_MS`].
pub const OWNER_REQUESTS_AT_ONCE_MAX: u64 = 200;

/// The time after which one more of them comes back (ms). So an owner sends 250 a second of each kind, from however many
/// addresses.
pub const OWNER_REQUEST_EVERY_MS: u64 = 4;

/// How long nonces count against [`NONCES_PER_PAYER_MAX`] (ms). A wallet retries for a longer time when a bank is busy.
pub const NONCES_WINDOW_MS: u64 = 10_000;

/// How often an account may replace its memo at once: more restores than anybody makes in a day.
pub const MEMOS_AT_ONCE_MAX: u64 = 64;

/// The time after which an account may replace its memo once more (ms). An attacker with an account adds at most 0.3 MiB
/// to the bank's journal each day.
pub const MEMO_EVERY_MS: u64 = 10 * 60 * 1000;

/// How long a party waits for the reply to a request before it repeats the request.
pub const REPLY_TIMEOUT: Duration = Duration::from_secs(10);
