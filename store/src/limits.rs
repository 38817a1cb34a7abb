//! Every bound of the store, by name.

/// The longest key (bytes, the table's prefix included).
pub const KEY_MAX_BYTES: usize = 512;
/// The longest value (bytes). sled moves values over a quarter of its segment to files of their own, which
/// it does not sync; this is half of that quarter.
pub const VALUE_MAX_BYTES: usize = 64 * 1024;
/// The most that one transaction may write (bytes of keys and values).
pub const TRANSACTION_MAX_BYTES: usize = 1024 * 1024;
/// Once a batch has written this much (bytes), the transactions that still wait go into the next one.
pub const BATCH_FULL_BYTES: usize = 2 * 1024 * 1024;
/// The longest payload of a journal record (bytes): a batch that one more transaction has overshot, with
/// room for the lengths between its parts.
pub const RECORD_MAX_BYTES: usize = 8 * 1024 * 1024;
/// The most transactions that one durable write takes.
pub const BATCH_MAX_TRANSACTIONS: usize = 256;
/// How many transactions may wait before more are refused as busy.
pub const QUEUE_MAX_TRANSACTIONS: usize = 4096;
/// The most rows that one scan returns.
pub const SCAN_MAX_ROWS: usize = 4096;
/// By how much the journal is extended ahead of its use (bytes).
pub const PREALLOCATE_BYTES: u64 = 16 * 1024 * 1024;
/// What must stay free on the disk (bytes), so that the index can still take what the journal took.
pub const RESERVE_BYTES: u64 = 64 * 1024 * 1024;
/// What sled may keep of its pages in memory (bytes, as on the disk).
pub const CACHE_BYTES: u64 = 64 * 1024 * 1024;
/// Each how much a scan reads of sled it makes sled count (bytes), which has up to 16 384 accesses that it did not count.
pub const COUNTED_BYTES: usize = 1024;
/// How much a store gathers in memory before it moves it to its index (bytes); twice as much while that is under way.
pub const BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// What a row in memory is counted for besides its key and value (bytes).
pub const BUFFER_ROW_BYTES: usize = 64;
/// After how many rows closing sled takes the time to spare the next start reading them.
pub const SNAPSHOT_ROWS: u64 = 250_000;
/// How many rows go to the index at once, unless its engine takes more: whoever reads meanwhile waits for them, and sled
/// keeps in memory whatever they replace until its end.
pub const PART_ROWS: usize = 64;
/// Each how many records the place of one is kept in memory, to find any other by.
pub const CHECKPOINT_RECORDS: u64 = 256;
/// How much is verified beside the work before it pauses (bytes), for how many times as long as it took.
pub const BACKGROUND_PIECE_BYTES: u64 = 1024 * 1024;
/// See [`BACKGROUND_PIECE_BYTES`].
pub const BACKGROUND_PAUSES: u32 = 3;
/// How many rows a migration changes in one transaction.
pub const MIGRATION_ROWS: usize = 256;
/// How much is gathered before it goes to the index while it is rebuilt (rows): in key order sled takes
/// twice as many.
pub const REBUILD_ROWS: usize = 16 * 1024;
/// The longest `state` file (bytes): its own lines, and one of about 100 bytes for each doubling of the journal.
pub const STATE_MAX_BYTES: usize = 8 * 1024;
