//! The wallet's password on the command line.

use super::{
    args::{Options, Restore},
    opening::{env, require_wallet, wallet_dir, when_free},
    report::Report,
};
use crate::{
    error::WalletError,
    file_names::RESTORED_DIR,
    vault::{self, PASSWORD_MAX_BYTES, Password, WalletKey, reseal::reseal},
    wallet::{Env, SEED_FILE, Wallet},
};
use anyhow::{Context, Result, bail};
use farthing_node::{home::files::read_bounded, secret_line::read_secret};
use farthing_store::entropy::SystemEntropy;
use serde_json::json;
use std::{
    io::{self, IsTerminal},
    path::Path,
    sync::Arc,
    time::Duration,
};
use zeroize::Zeroizing;

/// The environment variable with the password.
const PASSWORD_VARIABLE: &str = "FARTHING_PASSWORD";

/// What opens the wallet of a command.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    /// The key of an existing wallet with a password.
    pub(super) key: Option<WalletKey>,
    /// The password of a wallet that a restore is about to make.
    pub(super) password: Option<Password>,
}

impl Secrets {
    pub(super) fn of_wallet(key: Option<WalletKey>) -> Secrets {
        Secrets { key, password: None }
    }
}

/// The key of the wallet. `None` if it has no password.
pub(super) fn key(options: &Options) -> Result<Option<WalletKey>> {
    let dir = wallet_dir(options)?;
    if options.password_file.is_some() && dir.join(SEED_FILE).exists() && !vault::is_sealed(&dir) {
        bail!(
            "the wallet in {} has no password, and --password-file gives one; if you have set one, somebody has put \
             another wallet in its place; otherwise leave --password-file out, or set a password with `farthing password`",
            dir.display()
        );
    }
    let password = of_wallet(options, &dir)?;
    password.map(|password| unlock(&dir, &password)).transpose()
}

/// The password of the wallet in `dir`, if it has one.
fn of_wallet(options: &Options, dir: &Path) -> Result<Option<Password>> {
    if !vault::is_sealed(dir) {
        return Ok(None);
    }
    match given(options)? {
        Some(password) => Ok(Some(password)),
        None if is_asked(options) => typed("Password of the wallet: ").map(Some),
        None => Err(WalletError::Locked(dir.to_owned()).into()),
    }
}

/// The key that `password` opens.
pub(super) fn unlock(dir: &Path, password: &Password) -> Result<WalletKey> {
    Ok(vault::unlock(dir, password, Arc::new(SystemEntropy))?)
}

/// The password of a new wallet, or `None` if it gets none.
pub(super) fn for_new_wallet(options: &Options, no_password: bool) -> Result<Option<Password>> {
    if no_password {
        return Ok(None);
    }
    match given(options)? {
        Some(password) => Ok(Some(password)),
        None if is_asked(options) => typed_twice().map(Some),
        None => Ok(None),
    }
}

/// The secrets of a restore: of the wallet that an earlier attempt has made, or of a new one.
pub(super) fn for_restore(options: &Options, restore: &Restore) -> Result<Secrets> {
    let dir = wallet_dir(options)?;
    let is_made = dir.join(SEED_FILE).exists();
    let is_sealed = match is_made {
        true => vault::is_sealed(&dir),
        false => !restore.no_password && (is_given(options) || is_asked(options)),
    };
    // Before anything is asked.
    if is_sealed && restore.goods_dir.is_none() {
        bail!(
            "a wallet with a password has no goods in clear in its directory; name another directory for restored goods \
             with --goods-dir DIR, or make a wallet without a password with --no-password"
        );
    }
    Ok(match is_made {
        true => Secrets::of_wallet(key(options)?),
        false => Secrets {
            key: None,
            password: for_new_wallet(options, restore.no_password)?,
        },
    })
}

/// Sets, changes or removes the password.
pub(super) fn change(options: &Options, new_file: Option<&Path>, removes: bool) -> Result<Report> {
    let dir = wallet_dir(options)?;
    require_wallet(&dir)?;
    let old = of_wallet(options, &dir)?;
    if let (true, None) = (removes, &old) {
        return Ok(report("none", "the wallet has no password"));
    }
    let new = match new_file {
        _ if removes => None,
        Some(path) => Some(from_file(path)?),
        // The wallet has no password yet, so the one that is given is the new one.
        None if old.is_none()
            && let Some(password) = given(options)? =>
        {
            Some(password)
        }
        None if is_asked(options) => Some(typed_twice()?),
        None => bail!("give the new password with --new-password-file FILE"),
    };
    let entropy = || Arc::new(SystemEntropy);
    if let (Some(old), Some(new)) = (&old, &new) {
        vault::change(&dir, old, new, entropy())?;
        return Ok(report("changed", "the password was changed"));
    }
    let goods = dir.join(RESTORED_DIR);
    if new.is_some() && goods.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
        bail!(
            "goods of restored purchases lie in clear in {}; nothing was changed. Move them to a directory outside of the \
             wallet, and repeat the command",
            goods.display()
        );
    }
    let env = env(options, Duration::ZERO);
    let key = old.as_ref().map(|old| unlock(&dir, old)).transpose()?;
    when_free(options, &dir, || {
        // Rows of an older program are upgraded first.
        let opens = Env {
            key: key.clone(),
            ..env.clone()
        };
        Wallet::open(&dir, opens)?.close()?;
        reseal(&dir, old.as_ref(), new.as_ref(), &env.store, entropy())
    })?;
    Ok(match new {
        Some(_) => report(
            "set",
            "the wallet has a password from now on; every command asks for it",
        ),
        None => report(
            "removed",
            "the password was removed; anyone who can read the directory can take the money",
        ),
    })
}

fn report(done: &str, text: &str) -> Report {
    Report::done(text, json!({ "password": done }))
}

/// Whether the password comes from a file or the environment.
fn is_given(options: &Options) -> bool {
    options.password_file.is_some() || std::env::var_os(PASSWORD_VARIABLE).is_some()
}

/// The password from a file or the environment.
fn given(options: &Options) -> Result<Option<Password>> {
    if let Some(path) = &options.password_file {
        return from_file(path).map(Some);
    }
    match std::env::var(PASSWORD_VARIABLE).map(Zeroizing::new) {
        Ok(text) => Ok(Some(Password::new(&text).context(PASSWORD_VARIABLE)?)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => bail!("{PASSWORD_VARIABLE} is not UTF-8"),
    }
}

fn from_file(path: &Path) -> Result<Password> {
    // One line: the line feed is not part of the password.
    let bytes = read_bounded(path, PASSWORD_MAX_BYTES as u64 + 2).map(Zeroizing::new);
    let bytes = bytes.with_context(|| format!("cannot read {}", path.display()))?;
    let text = std::str::from_utf8(&bytes).with_context(|| path.display().to_string())?;
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    Password::new(line).with_context(|| path.display().to_string())
}

/// Whether a person can be asked.
fn is_asked(options: &Options) -> bool {
    !options.json && io::stdin().is_terminal()
}

fn typed(question: &str) -> Result<Password> {
    let line = read_secret(question).context("cannot read the password")?;
    Ok(Password::new(&line)?)
}

fn typed_twice() -> Result<Password> {
    let first = read_secret("New password: ").context("cannot read the password")?;
    let second = read_secret("The same password again: ").context("cannot read the password")?;
    if first != second {
        bail!("these are two different passwords; nothing was done. Repeat the command");
    }
    Ok(Password::new(&first)?)
}
