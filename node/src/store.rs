//! The store of a node: in its directory, or in a database.

use crate::home::{Home, NewHome, STORE_DIR};
use crate::probe::ProcessProbe;
use farthing_store::entropy::SystemEntropy;
use farthing_store::{
    Database, DatabaseError, DatabaseUrl, Migration, OpenReport, Store, StoreError, StoreOptions, WhileInUse,
    create_database_store,
};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The environment variable with the password of the database.
pub const PASSWORD_VARIABLE: &str = "PGPASSWORD";

/// The environment variable with the path of a file that has the password. It goes before [`PASSWORD_VARIABLE`].
pub const PASSWORD_FILE_VARIABLE: &str = "FARTHING_STORE_PASSWORD_FILE";

/// The longest file with a password (bytes).
const PASSWORD_MAX_BYTES: u64 = 1024;

/// Makes the empty store of a new node, durably. A later start never makes one.
///
/// # Errors
/// The errors of the disk or of the database.
pub fn make_store<C>(
    new: &NewHome<C>,
    migrate: impl FnOnce(&Migration<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let home = new.home();
    let Some(database) = database(home)? else {
        return make_store_in(&home.dir().join(STORE_DIR), migrate);
    };
    create_database_store(&database, &SystemEntropy)?;
    let store = Store::open_database(&database, &StoreOptions::default(), WhileInUse::Refuse)?;
    let migrated = store.migrate(migrate);
    store.close()?;
    migrated
}

/// Makes the empty store of a node in the folder `dir`, durably.
///
/// # Errors
/// The errors of the disk.
pub fn make_store_in(
    dir: &Path,
    migrate: impl FnOnce(&Migration<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let (store, _) = Store::open(dir, StoreOptions::default())?;
    let migrated = store.migrate(migrate);
    store.close()?;
    migrated
}

/// Opens the store of a node that is about to serve, and migrates its rows with `migrate`. If the store is in a database and
/// another process of the node has it, this one waits as a standby until it can take over, and the log says so.
///
/// # Errors
/// When there is no store, it cannot be used, or a newer program has used it. A store in the directory must not be in use.
pub fn open_store<C>(
    home: &Home<C>,
    probe: &ProcessProbe,
    migrate: impl FnOnce(&Migration<'_>) -> Result<(), StoreError>,
) -> Result<Store, StoreError> {
    let wait = WhileInUse::Wait(Arc::new(|by: &str| {
        tracing::warn!(
            by,
            "standby: the store is in use, and this process takes over when it is free"
        );
    }));
    let store = open(home, home.store_options(probe), wait)?;
    store.migrate(migrate)?;
    Ok(store)
}

/// Opens the store of a stopped node for one command, and migrates its rows with `migrate`.
///
/// # Errors
/// As [`open_store`], and when the store is in use.
pub fn open_stopped<C>(
    home: &Home<C>,
    migrate: impl FnOnce(&Migration<'_>) -> Result<(), StoreError>,
) -> Result<Store, StoreError> {
    let store = open(home, StoreOptions::default(), WhileInUse::Refuse)?;
    store.migrate(migrate)?;
    Ok(store)
}

/// Opens the store in the folder `dir`, and migrates its rows with `migrate`. The log says what was verified and rebuilt.
///
/// # Errors
/// When there is no store, another process has the store open, the journal is damaged, or a newer program has used the store.
pub fn open_store_in(
    dir: &Path,
    options: StoreOptions,
    migrate: impl FnOnce(&Migration<'_>) -> Result<(), StoreError>,
) -> Result<Store, StoreError> {
    let store = open_embedded(dir, options)?;
    store.migrate(migrate)?;
    Ok(store)
}

/// Opens the store of a node.
pub(crate) fn open<C>(
    home: &Home<C>,
    options: StoreOptions,
    in_use: WhileInUse,
) -> Result<Store, StoreError> {
    let Some(database) = database(home)? else {
        return open_embedded(&home.dir().join(STORE_DIR), options);
    };
    let store = Store::open_database(&database, &options, in_use)?;
    tracing::info!(records = store.head().sequence, database = %database.url, "the store is open");
    Ok(store)
}

fn open_embedded(dir: &Path, options: StoreOptions) -> Result<Store, StoreError> {
    let (store, report): (Store, OpenReport) = Store::open_existing(dir, options)?;
    let head = store.head();
    tracing::info!(
        records = head.sequence,
        verified = report.verified,
        rebuilt = report.rebuilt(),
        "the store is open"
    );
    Ok(store)
}

/// The URL of a database that an operator gives. The error does not repeat it, as it could have a password.
///
/// # Errors
/// [`StoreError::Database`] says what is wrong with it.
pub fn parse_url(text: Option<&str>) -> Result<Option<DatabaseUrl>, StoreError> {
    Ok(text.map(str::parse).transpose()?)
}

/// The database with the node's store. `None` if the store is in its directory.
fn database<C>(home: &Home<C>) -> Result<Option<Database>, StoreError> {
    let config = home.config();
    let Some(url) = config.store.clone() else {
        return Ok(None);
    };
    Ok(Some(Database {
        url,
        password: password()?.map(Arc::new),
        owner: home.identity().public(),
        name: format!(
            "farthing-{} {} (process {})",
            config.role,
            config.name,
            std::process::id()
        ),
    }))
}

/// The password of the database, from a file or the environment.
fn password() -> Result<Option<Zeroizing<Vec<u8>>>, DatabaseError> {
    let Some(path) = std::env::var_os(PASSWORD_FILE_VARIABLE).filter(|path| !path.is_empty()) else {
        let given = std::env::var(PASSWORD_VARIABLE).ok();
        return Ok(given.map(|password| Zeroizing::new(password.into_bytes())));
    };
    read_password(Path::new(&path))
        .map(Some)
        .map_err(|error| DatabaseError::Secret {
            what: format!("the password in {}", Path::new(&path).display()),
            why: error.to_string(),
        })
}

/// The first line of a file.
fn read_password(path: &Path) -> std::io::Result<Zeroizing<Vec<u8>>> {
    // The whole buffer is there from the begin, so that no copy of a part is left when it grows.
    let mut bytes = Zeroizing::new(Vec::with_capacity(PASSWORD_MAX_BYTES as usize));
    File::open(path)?
        .take(PASSWORD_MAX_BYTES)
        .read_to_end(&mut bytes)?;
    let line = bytes.split(|byte| matches!(byte, b'\n' | b'\r')).next();
    Ok(Zeroizing::new(line.unwrap_or_default().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_first_line_of_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        for (content, password) in [("secret\n", "secret"), ("secret", "secret"), ("a b\r\nc", "a b")] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(read_password(&path).unwrap().as_slice(), password.as_bytes());
        }
        assert!(read_password(dir.path()).is_err());
    }
}
