//! What a node is set to: a file that its operator edits. Whatever a program changes in it, comments stay.

use super::error::HomeError;
use super::file_names::{CONFIG_FILE, OLD_CONFIG_FILE};
use super::files;
use super::own_file::{self, FILE_MAX_BYTES, damaged, io_error};
use crate::card::{RoleName, check_name};
use serde::de::{DeserializeOwned, IgnoredAny, IntoDeserializer};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::Path;
use toml_edit::{DocumentMut, Item, Table, TableLike, Value};

/// What the old file is called once [`CONFIG_FILE`] has what it says. Nothing reads it.
const KEPT_CONFIG_FILE: &str = "config.json.old";

/// What stands above each setting in a new file.
const COMMENTS: &[(&str, &str)] = &[
    ("role", "What the node does. It never changes."),
    ("name", "What people call it."),
    (
        "listen",
        "Where it listens, over UDP. Who knows the node by its card needs a new card after a change.",
    ),
];

/// The settings that a new file does not make, as comments.
const OPTIONAL: &str = "
# Where others reach it, if that is not where it listens: behind address translation, say.
# advertise = \"203.0.113.5:7001\"

# How much of its index the node may keep in memory, in MiB; it takes some 1.6 times that.
# cache_mib = 64

# The settings of its role.
";

/// What stands above each setting of a role.
const fn role_comments(role: RoleName) -> &'static [(&'static str, &'static str)] {
    match role {
        RoleName::Bank => &[
            (
                "currency",
                "The currency's name. What is set from here on never changes: all coins depend on it.",
            ),
            ("values", "The values of coins, in the smallest unit."),
            (
                "calendar",
                "For how long one set of keys issues coins, then for how many times as long they can be spent, and exchanged.",
            ),
        ],
        RoleName::Merchant => &[
            ("currency", "The currency of the prices."),
            ("offer_life_ms", "How long an offer can be bought, in ms."),
            (
                "served_ms",
                "How long the encrypted goods are served after an offer, in ms.",
            ),
        ],
        RoleName::Escrow => &[],
    }
}

/// What a node is set to, in [`CONFIG_FILE`]. `C` is what its role adds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config<C> {
    /// What the node does.
    pub role: RoleName,
    /// What people call it.
    pub name: String,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where others reach it, if that is not where it listens (behind a translating router, say).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advertise: Option<SocketAddr>,
    /// How much of its index the node may keep in memory (MiB), if that is not
    /// [`CACHE_BYTES`](farthing_store::limits::CACHE_BYTES).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_mib: Option<NonZeroU32>,
    /// What its role adds.
    pub settings: C,
}

/// Writes the file of a new node.
pub(super) fn create<C: Serialize + DeserializeOwned>(
    dir: &Path,
    config: &Config<C>,
) -> Result<(), HomeError> {
    write(dir, &commented(dir, config)?)
}

/// Replaces the file. What has not changed stays as it is, with the comments.
pub(super) fn save<C: Serialize + DeserializeOwned>(dir: &Path, config: &Config<C>) -> Result<(), HomeError> {
    let text = text(dir)?;
    let document = text.parse::<DocumentMut>();
    let mut document = document.map_err(|error| {
        let at = error.span().map(|span| span.start);
        wrong(dir, &text, at, error.message())
    })?;
    update(document.as_table_mut(), &table(dir, config)?);
    write(dir, &document.to_string())
}

/// The configuration, once it is known to be of the right role: another role's settings would only look wrong.
pub(super) fn read<C: Serialize + DeserializeOwned>(
    dir: &Path,
    role: RoleName,
) -> Result<Config<C>, HomeError> {
    let text = text(dir)?;
    let any: Config<IgnoredAny> = parse(dir, &text)?;
    check(dir, role, &any)?;
    parse(dir, &text)
}

/// Makes [`CONFIG_FILE`] of the old file, durably, once. The old one stays as [`KEPT_CONFIG_FILE`].
pub(super) fn migrate<C: Serialize + DeserializeOwned>(dir: &Path, role: RoleName) -> Result<(), HomeError> {
    let old_path = dir.join(OLD_CONFIG_FILE);
    if !old_path.exists() {
        return Ok(());
    }
    let _locked = files::lock(dir).map_err(|source| io_error(dir, source))?;
    if !old_path.exists() {
        return Ok(());
    }
    let old = read_old::<C>(dir, role);
    if dir.join(CONFIG_FILE).exists() {
        // A crash has left both, which then say the same.
        let new: Config<C> = read(dir, role)?;
        let is_same = match &old {
            Ok(old) => table(dir, old)?.to_string() == table(dir, &new)?.to_string(),
            Err(_) => false,
        };
        if !is_same {
            return Err(HomeError::TwoConfigs { dir: dir.to_owned() });
        }
    } else {
        create(dir, &old?)?;
    }
    fs::rename(&old_path, dir.join(KEPT_CONFIG_FILE)).map_err(|source| io_error(&old_path, source))?;
    files::sync_dir(dir).map_err(|source| io_error(dir, source))?;
    tracing::info!(
        "the configuration is in {CONFIG_FILE} from now on; {OLD_CONFIG_FILE} is kept as {KEPT_CONFIG_FILE}, and not read"
    );
    Ok(())
}

fn read_old<C: Serialize + DeserializeOwned>(dir: &Path, role: RoleName) -> Result<Config<C>, HomeError> {
    let bytes = own_file::read(dir, OLD_CONFIG_FILE, files::Mode::Public)?;
    let wrong = |error: serde_json::Error| HomeError::Config {
        path: dir.join(OLD_CONFIG_FILE),
        line: error.line(),
        reason: error.to_string(),
    };
    let any: Config<IgnoredAny> = serde_json::from_slice(&bytes).map_err(wrong)?;
    check(dir, role, &any)?;
    serde_json::from_slice(&bytes).map_err(wrong)
}

fn check(dir: &Path, role: RoleName, any: &Config<IgnoredAny>) -> Result<(), HomeError> {
    if any.role != role {
        return Err(HomeError::OtherRole {
            dir: dir.to_owned(),
            expected: role,
            got: any.role,
            name: any.name.clone(),
        });
    }
    Ok(check_name(&any.name)?)
}

fn text(dir: &Path) -> Result<String, HomeError> {
    let path = dir.join(CONFIG_FILE);
    let bytes = files::read_bounded(&path, FILE_MAX_BYTES).map_err(|source| io_error(&path, source))?;
    String::from_utf8(bytes).map_err(|error| damaged(dir, CONFIG_FILE, error.to_string()))
}

fn parse<T: DeserializeOwned>(dir: &Path, text: &str) -> Result<T, HomeError> {
    toml_edit::de::from_str(text).map_err(|error| {
        let at = error.span().map(|span| span.start);
        wrong(dir, text, at, error.message())
    })
}

/// What is wrong in the file, at a place in its text.
fn wrong(dir: &Path, text: &str, at: Option<usize>, reason: &str) -> HomeError {
    let before = text.get(..at.unwrap_or_default()).unwrap_or_default();
    HomeError::Config {
        path: dir.join(CONFIG_FILE),
        line: before.matches('\n').count().saturating_add(1),
        reason: reason.replace('\n', ", "),
    }
}

fn write(dir: &Path, text: &str) -> Result<(), HomeError> {
    let path = dir.join(CONFIG_FILE);
    files::replace(&path, text.as_bytes(), files::Mode::Public).map_err(|source| io_error(&path, source))
}

/// The configuration as a table whose structures are tables of their own.
fn table<C: Serialize>(dir: &Path, config: &Config<C>) -> Result<Table, HomeError> {
    let document = toml_edit::ser::to_document(config);
    let document = document.map_err(|error| io_error(&dir.join(CONFIG_FILE), io::Error::other(error)))?;
    Ok(expanded(document.as_table().clone()))
}

fn expanded(mut table: Table) -> Table {
    for (_, item) in table.iter_mut() {
        if item.is_inline_table() || item.is_table() {
            let inner = std::mem::take(item).into_table().unwrap_or_default();
            *item = Item::Table(expanded(inner));
        }
    }
    table
}

/// The text of a new file.
fn commented<C: Serialize + DeserializeOwned>(dir: &Path, config: &Config<C>) -> Result<String, HomeError> {
    let mut table = table(dir, config)?;
    let Config { role, name, .. } = config;
    let title = format!(
        "# The {role} `{name}`. farthing-{role} reads this file when it starts: stop the node before you change\n\
         # something here. docs/OPERATIONS.md says what that takes.\n\n"
    );
    comment(&mut table, COMMENTS);
    prefix(&mut table, "role", |comment| format!("{title}{comment}"));
    if let Some(settings) = table.get_mut("settings").and_then(Item::as_table_mut) {
        comment(settings, role_comments(*role));
        settings.decor_mut().set_prefix(OPTIONAL);
    }
    Ok(DocumentMut::from(table).to_string())
}

/// Puts comments above the entries of a table.
fn comment(table: &mut Table, comments: &[(&str, &str)]) {
    for (key, text) in comments {
        prefix(table, key, |_| format!("# {text}\n"));
    }
}

/// Changes what stands above an entry.
fn prefix(table: &mut Table, key: &str, change: impl FnOnce(&str) -> String) {
    if let Some(inner) = table.get_mut(key).and_then(Item::as_table_mut) {
        inner.decor_mut().set_prefix(format!("\n{}", change("")));
    } else if let Some(mut key) = table.key_mut(key) {
        let decor = key.leaf_decor_mut();
        let before = decor.prefix().and_then(|raw| raw.as_str()).unwrap_or_default();
        let changed = change(before);
        decor.set_prefix(changed);
    }
}

/// Makes `table` say what `new` says, and touches nothing else of it.
fn update(table: &mut dyn TableLike, new: &dyn TableLike) {
    let keys: Vec<String> = table.iter().map(|(key, _)| key.to_owned()).collect();
    for gone in keys.iter().filter(|key| !new.contains_key(key)) {
        table.remove(gone);
    }
    for (key, item) in new.iter() {
        let both = table.get_mut(key).map(|old| (old, item));
        match both {
            Some((old, item)) if old.is_table_like() && item.is_table_like() => {
                if let (Some(old), Some(item)) = (old.as_table_like_mut(), item.as_table_like()) {
                    update(old, item);
                }
            }
            Some((Item::Value(old), Item::Value(value))) => {
                if !is_same(old, value) {
                    let decor = old.decor().clone();
                    *old = value.clone();
                    *old.decor_mut() = decor;
                }
            }
            _ => {
                table.insert(key, item.clone());
            }
        }
    }
}

/// Whether two values mean the same, however they are written.
fn is_same(one: &Value, other: &Value) -> bool {
    let plain = |value: &Value| serde_json::Value::deserialize(value.clone().into_deserializer()).ok();
    plain(one).is_some_and(|one| plain(other) == Some(one))
}
