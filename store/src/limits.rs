//! Every bound of the store, by name.

use std::time::Duration;

/// The longest key (bytes, the table's prefix included).
pub const KEY_MAX_BYTES: usize = 512;
/// The longest value (bytes). sled moves a value over a quarter of its segment to a file of its own, and does not sync
/// that file. This is half of that quarter.
pub const VALUE_MAX_BYTES: usize = 64 * 1024;
/// The most that one transaction may write (bytes of keys and values).
pub const TRANSACTION_MAX_BYTES: usize = 1024 * 1024;
/// Once a batch has written this much (bytes), the transactions that still wait go into the next one.
pub const BATCH_FULL_BYTES: usize = 2 * 1024 * 1024;
/// The longest payload of a journal record (bytes): a full batch, one more transaction, and the lengths of all parts.
pub const RECORD_MAX_BYTES: usize = 8 * 1024 * 1024;
/// The most transactions that one durable write takes.
pub const BATCH_MAX_TRANSACTIONS: usize = 256;
/// The most transactions that wait. Further ones are refused as busy.
pub const QUEUE_MAX_TRANSACTIONS: usize = 4096;
/// The most rows that one scan returns.
pub const SCAN_MAX_ROWS: usize = 4096;
/// Preallocation step of the journal (bytes).
pub const PREALLOCATE_BYTES: u64 = 16 * 1024 * 1024;
/// Length of the journal's active file from which it is ended and a new one begun (bytes).
pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// Number of snapshots that are kept.
pub const SNAPSHOTS_KEPT: usize = 2;
/// A snapshot is due when the journal after the last one is longer than this part of that snapshot. So snapshots write at most
/// this many times as much as the journal.
pub const SNAPSHOT_PART: u64 = 2;
/// Rows of a snapshot that are read at once. Writers wait meanwhile.
pub const SNAPSHOT_PAGE_ROWS: usize = 512;
/// Length of a snapshot after which it is synced, and synced again (bytes).
pub const SNAPSHOT_SYNC_BYTES: u64 = 8 * 1024 * 1024;
/// Length of the pause after these rows, as a multiple of the time that they took.
pub const SNAPSHOT_PAUSES: u32 = 1;
/// Reserve that stays free on the disk (bytes), so that the index can take all rows of the journal.
pub const RESERVE_BYTES: u64 = 64 * 1024 * 1024;
/// Cache of sled's pages in memory (bytes, as on the disk).
pub const CACHE_BYTES: u64 = 64 * 1024 * 1024;
/// A scan makes sled count its accesses once for each of these bytes read. Otherwise sled leaves up to 16 384 accesses
/// uncounted.
pub const COUNTED_BYTES: usize = 1024;
/// Size of the buffer before the index (bytes). A second buffer fills while the first one moves to the index.
pub const BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// Overhead of a row in the buffer, added to its key and value (bytes).
pub const BUFFER_ROW_BYTES: usize = 64;
/// Rows written since the open, from which closing sled writes a snapshot. The next start then reads no log.
pub const SNAPSHOT_ROWS: u64 = 250_000;
/// Rows in one write to the index, unless its engine asks for more. Readers wait for the write. sled keeps replaced values
/// in memory until the write ends.
pub const PART_ROWS: usize = 64;
/// Checkpoint interval: one record position in this many records is kept in memory.
pub const CHECKPOINT_RECORDS: u64 = 256;
/// Piece of the journal that the background verification reads before it pauses (bytes).
pub const BACKGROUND_PIECE_BYTES: u64 = 1024 * 1024;
/// Length of that pause, as a multiple of the time that the piece took.
pub const BACKGROUND_PAUSES: u32 = 3;
/// Rows that a migration changes in one transaction.
pub const MIGRATION_ROWS: usize = 256;
/// Rows in one write to the index during a rebuild. In key order sled takes twice as many a second.
pub const REBUILD_ROWS: usize = 16 * 1024;
/// The longest `state` file (bytes): its own lines, and about 100 bytes for each doubling of the journal.
pub const STATE_MAX_BYTES: usize = 8 * 1024;
/// The longest note of a lock that is read (bytes).
pub const LOCK_NOTE_MAX_BYTES: usize = 1024;
/// The most that a cipher adds to a payload (bytes).
pub const SEAL_MAX_BYTES: usize = 64;
/// The pause between two tries to settle the outcome of a write, or to end an outage of the database.
pub const DATABASE_UNSETTLED_PAUSE: Duration = Duration::from_millis(250);
/// The interval at which an idle process looks whether its connections to the database and its lock still stand.
pub const DATABASE_IDLE_INTERVAL: Duration = Duration::from_secs(1);

/// The most bytes of the URL of a database.
pub const DATABASE_URL_MAX_BYTES: usize = 1024;
/// The sessions of a database that read outside transactions. Further reads wait for one.
pub const DATABASE_READ_SESSIONS: usize = 4;
/// The most keys of one question to a database. A batch with more keys takes several round trips.
pub const DATABASE_READ_KEYS: usize = 4096;
/// How long a connection to a database may take, its checks included.
pub const DATABASE_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a database may take for one answer. Then the connection counts as lost.
pub const DATABASE_REPLY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a statement waits for the lock of a row in the database.
pub const DATABASE_LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// How long transactions and reads wait for a database that does not answer. Then they get an error that has changed
/// nothing, and later ones get it after one try.
pub const DATABASE_OUTAGE_WAIT: Duration = Duration::from_secs(10);
/// The pause between two tries to reach a database.
pub const DATABASE_RETRY_PAUSE: Duration = Duration::from_millis(100);
/// The pause between two tries of a standby to take the place of the active process.
pub const STANDBY_PAUSE: Duration = Duration::from_millis(200);
/// The interval at which a standby says that it still waits.
pub const STANDBY_NOTE_INTERVAL: Duration = Duration::from_secs(600);
/// How long the other side of a connection to the database may be silent before it is probed. It is given up after three
/// probes without an answer.
pub const DATABASE_KEEPALIVE: Duration = Duration::from_secs(5);
