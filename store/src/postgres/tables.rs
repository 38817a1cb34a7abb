//! The tables of a store in a database, and every statement on them.
//!
//! | table | rows |
//! |---|---|
//! | `rows` | the rows of all tables and namespaces: key, value |
//! | `chain` | the hash of every batch of writes, by its number; number 0 has the genesis |
//! | `head` | one row: the format, the owner, the last number and hash, and which process writes |
//!
//! The head's `process` is the random id of the process that has taken the store over last. Its `attempt` grows with every
//! connection over which a process writes. A batch compares both, and the last number and hash, with what its process wrote
//! last. So a batch of another process, or of a connection that was given up, can never follow.
//!
//! PostgreSQL features that are used: one statement as one transaction, data-modifying `WITH`, `unnest` of two arrays,
//! `ON CONFLICT DO UPDATE`, row locks of READ COMMITTED, session-level advisory locks, `bytea` in the order of its bytes.

/// The format of these tables.
pub(crate) const FORMAT: i32 = 1;

/// Makes the tables in a schema.
pub(crate) const CREATE: &str = "
    CREATE TABLE rows (key bytea PRIMARY KEY, value bytea NOT NULL);
    CREATE TABLE chain (sequence bigint PRIMARY KEY, hash bytea NOT NULL);
    CREATE TABLE head (
        only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
        format integer NOT NULL,
        owner bytea NOT NULL,
        sequence bigint NOT NULL,
        hash bytea NOT NULL,
        bytes bigint NOT NULL,
        process bytea NOT NULL,
        attempt bigint NOT NULL
    );";

/// Writes the first row of `head`, and the genesis. No process has the store yet.
pub(crate) const BEGIN: &str = "
    WITH genesis AS (INSERT INTO chain VALUES (0, $3))
    INSERT INTO head (format, owner, sequence, hash, bytes, process, attempt) VALUES ($1, $2, 0, $3, 0, '', 0)
    RETURNING true";

/// Whether the store's head is in the session's schema.
pub(crate) const HAS_HEAD: &str = "SELECT to_regclass('head') IS NOT NULL";

/// The format and the owner.
pub(crate) const OWNER: &str = "SELECT format, owner FROM head";

/// The settings that decide whether an acknowledged batch survives a crash, and what the server is.
pub(crate) const SETTINGS: &str = "
    SELECT current_setting('server_version_num')::integer, pg_is_in_recovery(), current_setting('fsync'),
        current_setting('full_page_writes'), current_setting('synchronous_commit')";

/// Takes the store over. From now on, no batch of another process can follow.
pub(crate) const TAKE_OVER: &str = "
    UPDATE head SET process = $1, attempt = attempt + 1 RETURNING attempt, sequence, hash, bytes";

/// Begins to write over another connection, if no other process has taken the store over. From now on, no batch of an
/// earlier connection can follow. It waits for one that is under way.
pub(crate) const RESUME: &str = "
    UPDATE head SET attempt = attempt + 1 WHERE process = $1 RETURNING attempt, sequence, hash, bytes";

/// Whether no other process or connection has taken the store over.
pub(crate) const IS_MINE: &str = "SELECT process = $1 AND attempt = $2 FROM head";

/// Appends a batch: moves the head by compare-and-set, writes and deletes rows, and adds the hash to the chain. One
/// statement is one transaction. It does nothing if the head is not as expected, and returns whether it was.
pub(crate) const APPEND: &str = "
    WITH moved AS (
        UPDATE head SET sequence = $3, hash = $4, bytes = bytes + $5
        WHERE process = $1 AND attempt = $2 AND sequence = $6 AND hash = $7
        RETURNING true),
    put AS (
        INSERT INTO rows SELECT * FROM unnest($8::bytea[], $9::bytea[]) WHERE EXISTS (SELECT FROM moved)
        ON CONFLICT (key) DO UPDATE SET value = excluded.value),
    removed AS (
        DELETE FROM rows WHERE key = ANY($10::bytea[]) AND EXISTS (SELECT FROM moved)),
    chained AS (
        INSERT INTO chain SELECT $3, $4 WHERE EXISTS (SELECT FROM moved))
    SELECT EXISTS (SELECT FROM moved)";

/// The rows at these keys.
pub(crate) const READ: &str = "SELECT key, value FROM rows WHERE key = ANY($1::bytea[])";

/// The rows from one key on and before another, in key order.
pub(crate) const SCAN: &str =
    "SELECT key, value FROM rows WHERE key >= $1 AND key < $2 ORDER BY key LIMIT $3";

/// A hash of the chain.
pub(crate) const HASH: &str = "SELECT hash FROM chain WHERE sequence = $1";

/// Takes the lock of the active process, if it is free.
pub(crate) const TRY_LOCK: &str = "SELECT pg_try_advisory_lock($1)";

/// Gives the lock back.
pub(crate) const UNLOCK: &str = "SELECT pg_advisory_unlock($1)";

/// The process that has the lock.
pub(crate) const HOLDER: &str = "
    SELECT format('%s, connected from %s since %s', application_name, coalesce(host(client_addr), 'this server'),
        to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'))
    FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND objsubid = 1
        AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND (classid::bigint << 32) | objid::bigint = $1";
