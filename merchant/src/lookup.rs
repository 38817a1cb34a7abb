//! How the operator's requests find rows: in pages, and by the first characters of an id.

use farthing_store::{Key, Table, View};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::ops::Bound;

/// The most lines in one reply. The command line asks for the next page after the last line.
pub const LINES_PAGE_MAX: usize = 1_000;

/// The fewest characters by which a purchase or an item can be named.
pub const PREFIX_MIN_CHARS: usize = 4;

/// The most rows that are read to find out whether a prefix names exactly one.
const PREFIX_ROWS_MAX: usize = 1_000;

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<L> {
    /// At most [`LINES_PAGE_MAX`] lines.
    pub lines: Vec<L>,
    /// Whether more lines follow.
    pub more: bool,
}

/// The rows of a table after the key `after`, each as a line.
pub(crate) fn page<K: Key, V: Serialize + DeserializeOwned, L>(
    table: &Table<K, V>,
    view: &View,
    after: Option<&K>,
    line: impl Fn(K, V) -> L,
) -> Result<Page<L>, String> {
    let from = after.map_or(Bound::Unbounded, Bound::Excluded);
    let rows = table
        .scan(view, from, LINES_PAGE_MAX + 1)
        .map_err(|e| e.to_string())?;
    let more = rows.len() > LINES_PAGE_MAX;
    let lines = rows
        .into_iter()
        .take(LINES_PAGE_MAX)
        .map(|(key, value)| line(key, value))
        .collect();
    Ok(Page { lines, more })
}

/// The one row whose key begins with `prefix` (hex).
pub(crate) fn find<K: Key + AsRef<[u8]>, V: Serialize + DeserializeOwned>(
    table: &Table<K, V>,
    view: &View,
    prefix: &str,
    what: &str,
) -> Result<(K, V), String> {
    let found = find_any(table, view, prefix, what)?;
    found.ok_or_else(|| format!("there is no {what} `{prefix}` here"))
}

/// The one row whose key begins with `prefix` (hex), if there is one.
pub(crate) fn find_any<K: Key + AsRef<[u8]>, V: Serialize + DeserializeOwned>(
    table: &Table<K, V>,
    view: &View,
    prefix: &str,
    what: &str,
) -> Result<Option<(K, V)>, String> {
    let prefix = prefix.to_ascii_lowercase();
    if prefix.len() < PREFIX_MIN_CHARS || prefix.len() > 64 || !prefix.bytes().all(|b| b.is_ascii_hexdigit())
    {
        return Err(format!(
            "`{prefix}` does not name a {what}: give {PREFIX_MIN_CHARS} to 64 characters of its id"
        ));
    }
    // An odd last digit is half a byte, which is compared after the scan.
    let whole = prefix.get(..prefix.len() & !1).unwrap_or_default();
    let bytes = hex::decode(whole).map_err(|e| e.to_string())?;
    let rows = table
        .scan_bytes(view, &bytes, Bound::Unbounded, PREFIX_ROWS_MAX)
        .map_err(|e| e.to_string())?;
    let mut fitting = rows
        .into_iter()
        .filter(|(key, _)| hex::encode(key).starts_with(&prefix));
    let found = fitting.next();
    match fitting.next() {
        None => Ok(found),
        Some(_) => Err(format!(
            "several {what}s begin with `{prefix}`; give more of the id"
        )),
    }
}
