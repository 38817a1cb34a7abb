//! The configuration file of a node. Its operator edits it. A program that changes a setting keeps the comments.

use super::error::HomeError;
use super::file_names::{CONFIG_FILE, OLD_CONFIG_FILE};
use super::files;
use super::own_file::{self, FILE_MAX_BYTES, damaged, io_error};
use crate::address::Addresses;
use crate::card::{RoleName, check_name};
use farthing_store::DatabaseUrl;
use serde::de::{DeserializeOwned, IgnoredAny, IntoDeserializer};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use toml_edit::{DocumentMut, Item, Table, TableLike, Value};

/// The name of the old file after its settings were copied to [`CONFIG_FILE`]. Nothing reads it.
const KEPT_CONFIG_FILE: &str = "config.json.old";

/// The comment above each setting in a new file.
const COMMENTS: &[(&str, &str)] = &[
    (
        "role",
        "The role of the node: bank, escrow, merchant or relay. Do not change it.",
    ),
    ("name", "The name of the node. It is in its card."),
    (
        "listen",
        "The UDP address where the node listens. After a change, everyone who pinned its card needs the new card.",
    ),
    (
        "store",
        "The database with the store of the node, without a password. Do not change it: no command moves a store.",
    ),
];

/// The optional settings. A new file has them as comments.
const OPTIONAL: &str = "
# The address where others reach the node, if it differs from `listen`, for example behind address translation. A host
# name works too, and several addresses with commas between them.
# advertise = \"203.0.113.5:7001\"

# The memory for the cache of the index, in MiB. The process takes about 1.6 times as much for it.
# cache_mib = 64

# The HTTP address for Prometheus (/metrics), health (/healthz, /readyz) and a page about the node (/). It has no password
# and no encryption, so an address that other machines reach needs `metrics_open` too.
# metrics = \"127.0.0.1:9101\"
# metrics_open = true

# The PostgreSQL database with the store of the node, without a password. `init --store` sets it. Do not change it: no
# command moves a store.
# store = \"postgres://bank@db.example/cash?schema=bank&sslrootcert=/etc/farthing/db.pem\"

# The settings of the role.
";

/// The comment above each setting of a role.
const fn role_comments(role: RoleName) -> &'static [(&'static str, &'static str)] {
    match role {
        RoleName::Bank => &[
            (
                "currency",
                "The name of the currency. Do not change this setting or the ones below: all coins depend on them.",
            ),
            (
                "values",
                "The values of the coins, in the smallest unit. Each is a power of two.",
            ),
            (
                "calendar",
                "How long one set of keys issues coins (ms), and then how many such epochs its coins can be spent and exchanged.",
            ),
        ],
        RoleName::Merchant => &[
            ("currency", "The currency of the prices."),
            (
                "offer_life_ms",
                "How long a customer can buy after an offer was made, in ms.",
            ),
            (
                "served_ms",
                "How long the encrypted goods can be downloaded after an offer was made, in ms.",
            ),
        ],
        RoleName::Escrow | RoleName::Relay => &[],
    }
}

/// The configuration of a node, in [`CONFIG_FILE`]. `C` has the settings of its role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config<C> {
    /// The role of the node.
    pub role: RoleName,
    /// The name of the node.
    pub name: String,
    /// The address where it listens.
    pub listen: SocketAddr,
    /// The addresses where others reach it, if they differ from `listen` (for example behind address translation).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advertise: Option<Addresses>,
    /// The memory for the cache of the index (MiB). The default is
    /// [`CACHE_BYTES`](farthing_store::limits::CACHE_BYTES).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_mib: Option<NonZeroU32>,
    /// The address of the HTTP port for metrics, health and a page. Without it there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<SocketAddr>,
    /// Whether other machines may reach that address.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub metrics_open: bool,
    /// The database with its store. Without it, the store is in the node's directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<DatabaseUrl>,
    /// The settings of the role.
    pub settings: C,
}

/// Writes the file of a new node.
pub(super) fn create<C: Serialize + DeserializeOwned>(
    dir: &Path,
    config: &Config<C>,
) -> Result<(), HomeError> {
    write(dir, &commented(dir, config)?)
}

/// Replaces the file. Unchanged settings and all comments stay as they are.
pub(super) fn save<C: Serialize + DeserializeOwned>(dir: &Path, config: &Config<C>) -> Result<(), HomeError> {
    let text = text(dir)?;
    let document = text.parse::<DocumentMut>();
    let mut document = document.map_err(|error| {
        let at = error.span().map(|span| span.start);
        wrong(dir.join(CONFIG_FILE), &text, at, error.message())
    })?;
    update(document.as_table_mut(), &table(dir, config)?);
    write(dir, &document.to_string())
}

/// Reads the configuration. The role is checked first, as another role's settings would only look damaged.
pub(super) fn read<C: Serialize + DeserializeOwned>(
    dir: &Path,
    role: RoleName,
) -> Result<Config<C>, HomeError> {
    let text = text(dir)?;
    let any: Config<IgnoredAny> = parse(dir, &text)?;
    check(dir, role, &any)?;
    parse(dir, &text)
}

/// Durably copies the settings of the old file to [`CONFIG_FILE`], once. The old file is renamed to [`KEPT_CONFIG_FILE`].
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
        // After a crash both files can exist. They then have the same settings.
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
        "the configuration is in {CONFIG_FILE} from now on; {OLD_CONFIG_FILE} was renamed to {KEPT_CONFIG_FILE}, which \
         no program reads"
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

/// Reads a file of settings of its own in a node's directory. Unknown settings are refused if `T` refuses them. `None` if
/// there is no file.
///
/// # Errors
/// [`HomeError::Config`] names the line with the mistake.
pub fn read_settings<T: DeserializeOwned>(dir: &Path, name: &str) -> Result<Option<T>, HomeError> {
    let path = dir.join(name);
    let bytes = match files::read_bounded(&path, FILE_MAX_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(io_error(&path, source)),
    };
    let text = String::from_utf8(bytes).map_err(|error| damaged(dir, name, error.to_string()))?;
    let settings = toml_edit::de::from_str(&text).map_err(|error| {
        let at = error.span().map(|span| span.start);
        wrong(path, &text, at, error.message())
    });
    settings.map(Some)
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
        wrong(dir.join(CONFIG_FILE), text, at, error.message())
    })
}

/// The error at a position in the file's text.
fn wrong(path: PathBuf, text: &str, at: Option<usize>, reason: &str) -> HomeError {
    let before = text.get(..at.unwrap_or_default()).unwrap_or_default();
    HomeError::Config {
        path,
        line: before.matches('\n').count().saturating_add(1),
        reason: reason.replace('\n', ", "),
    }
}

fn write(dir: &Path, text: &str) -> Result<(), HomeError> {
    let path = dir.join(CONFIG_FILE);
    files::replace(&path, text.as_bytes(), files::Mode::Public).map_err(|source| io_error(&path, source))
}

/// The configuration as a table. Each structure in it is a table too, not inline.
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
        "# The {role} `{name}`. farthing-{role} reads this file when it starts. Stop the node before you change a\n\
         # setting. docs/OPERATIONS.md explains the effect of each change.\n\n"
    );
    comment(&mut table, COMMENTS);
    prefix(&mut table, "role", |comment| format!("{title}{comment}"));
    if let Some(settings) = table.get_mut("settings").and_then(Item::as_table_mut) {
        comment(settings, role_comments(*role));
        settings.decor_mut().set_prefix(OPTIONAL);
    }
    Ok(DocumentMut::from(table).to_string())
}

/// Adds comments above the entries of a table.
fn comment(table: &mut Table, comments: &[(&str, &str)]) {
    for (key, text) in comments {
        prefix(table, key, |_| format!("# {text}\n"));
    }
}

/// Changes the comment above an entry.
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

/// Copies the entries of `new` to `table`, and changes nothing else in it.
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

/// Whether two values are equal. Their spelling may differ.
fn is_same(one: &Value, other: &Value) -> bool {
    let plain = |value: &Value| serde_json::Value::deserialize(value.clone().into_deserializer()).ok();
    plain(one).is_some_and(|one| plain(other) == Some(one))
}
